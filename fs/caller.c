/* caller.c - the groups and capabilities of who sent a request: see caller.h.
 *
 * libfuse's fuse_req_getgroups() searches its buffer beyond the end (3.14), so the file is read here.
 */
#include "caller.h"

#include <inttypes.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What is looked for among the caller's. */
struct answer {
    gid_t gid;
    bool in_group;
    uint64_t capabilities;
};

static void take_line(const char *line, struct answer *answer)
{
    if (sscanf(line, "CapEff: %" SCNx64, &answer->capabilities) == 1 || strncmp(line, "Groups:", 7) != 0) return;
    line += 7;
    for (;;) {
        char *end = NULL;
        unsigned long gid = strtoul(line, &end, 10);

        if (end == line) return;
        if (gid == answer->gid) answer->in_group = true;
        line = end;
    }
}

static void ask(fuse_req_t req, struct answer *answer)
{
    char name[64], *line = NULL;
    size_t room = 0;
    FILE *status = NULL;

    answer->in_group = fuse_req_ctx(req)->gid == answer->gid;
    (void)snprintf(name, sizeof(name), "/proc/%ld/status", (long)fuse_req_ctx(req)->pid);
    status = fopen(name, "re");
    if (status == NULL) return;
    while (getline(&line, &room, status) > 0) take_line(line, answer);
    free(line);
    (void)fclose(status);
}

bool bcfs_caller_in_group(fuse_req_t req, gid_t gid)
{
    struct answer answer = {.gid = gid};

    ask(req, &answer);
    return answer.in_group;
}

bool bcfs_caller_keeps_setgid(fuse_req_t req, gid_t gid)
{
    struct answer answer = {.gid = gid};

    ask(req, &answer);
    return answer.in_group || (answer.capabilities >> CAP_FSETID & 1) != 0;
}
