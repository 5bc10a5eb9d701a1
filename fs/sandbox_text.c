/* sandbox_text.c - the sandbox in words: the defaults, the options that change them, what came of them: see sandbox.h.
 *
 * Apart from the rest, so that what only reads options or shows states does without libseccomp.
 */
#include "sandbox.h"

#include <linux/capability.h>
#include <string.h>

#ifdef __has_feature
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#endif
#if defined(SANITIZED) || defined(BCFS_SANDBOX_DISABLED)
#define DEFAULT false
#else
#define DEFAULT true
#endif

void bcfs_sandbox_defaults(struct bcfs_sandbox_options *options)
{
    /* A sanitizer traces its own process at the end and reads files of all kinds to name what it found. */
    *options = (struct bcfs_sandbox_options){
        .no_new_privs = DEFAULT,
        .capabilities = DEFAULT,
        .landlock = DEFAULT,
        .seccomp = DEFAULT,
        .dumpable = !DEFAULT,
    };
}

bool bcfs_sandbox_word(struct bcfs_sandbox_options *options, const char *word)
{
    if (strcmp(word, "no_sandbox") == 0) {
        *options = (struct bcfs_sandbox_options){.dumpable = true, .listens = options->listens};
    } else if (strcmp(word, "no_nnp") == 0) {
        /* The kernel lets nobody use the other two without. */
        options->no_new_privs = options->landlock = options->seccomp = false;
    } else if (strcmp(word, "no_caps") == 0) {
        options->capabilities = false;
    } else if (strcmp(word, "no_landlock") == 0) {
        options->landlock = false;
    } else if (strcmp(word, "no_seccomp") == 0) {
        options->seccomp = false;
    } else if (strcmp(word, "dumpable") == 0) {
        options->dumpable = true;
    } else {
        return false;
    }
    return true;
}

static const char *state_text(enum bcfs_sandbox_state state)
{
    static const char *const texts[] = {"off", "on", "not in this kernel", "not built in"};
    return texts[state];
}

static void print_capabilities(FILE *out, const struct bcfs_sandbox *sandbox)
{
    static const struct {
        int number;
        const char *name;
    } names[] = {{CAP_DAC_READ_SEARCH, "dac_read_search"}, {CAP_NET_BIND_SERVICE, "net_bind_service"}};

    fputs("capabilities:", out);
    if (sandbox->capabilities == BCFS_SANDBOX_OFF) {
        fprintf(out, " not given up (%#llx)\n", (unsigned long long)sandbox->kept);
        return;
    }
    if (sandbox->kept == 0) fputs(" none", out);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if ((sandbox->kept >> names[i].number & 1) != 0) fprintf(out, " %s", names[i].name);
    }
    fputc('\n', out);
}

void bcfs_sandbox_text(FILE *out, const struct bcfs_sandbox *sandbox)
{
    fprintf(out, "no_new_privs: %s\n", state_text(sandbox->no_new_privs));
    print_capabilities(out, sandbox);
    fprintf(out, "landlock: %s", state_text(sandbox->landlock));
    if (sandbox->landlock == BCFS_SANDBOX_ON) fprintf(out, ", version %d", sandbox->landlock_abi);
    fprintf(out, "\nseccomp: %s\n", state_text(sandbox->seccomp));
    fprintf(out, "dumpable: %s\n", sandbox->dumpable ? "yes" : "no");
    fprintf(out, "core dumps: %s\n", sandbox->core_limited ? "off" : "as the limit of the process says");
}
