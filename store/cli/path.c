/* path.c - splitting a path into the partition and the name in it.
 *
 * Every name is checked here, before the store is opened: a bad one is a matter of the command line, and what the
 * library would say of it could not point at the component.
 */
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "path.h"

/* One component. Returns an exit status. */
static int check_name(const char *store, const char *text, const char *name, size_t size)
{
    bitcask_status status = bitcask_check_name(name, size);
    if (status == BITCASK_OK) return CLI_OK;
    const char *what = "this name is not possible in a store";
    if (status == BITCASK_NAME_TOO_LONG)
        what = "a name has more than 255 bytes; use a shorter one";
    else if (size <= 2)
        what = "\".\" and \"..\" are no names; write the path from the store's root";
    else if (size == 8 && memcmp(name, ".bitcask", size) == 0)
        what = "\".bitcask\" is reserved; use another name";
    return cli_error("%s/%s: %s", store, text, what);
}

int cli_path_parse(const char *store, const char *text, struct cli_path *path)
{
    size_t room = strlen(text) + 1;
    memset(path, 0, sizeof(*path));
    path->full = malloc(room);
    path->parent = malloc(room);
    int status = CLI_FAILED;
    if (!path->full || !path->parent) {
        cli_error("out of memory");
        goto out;
    }

    size_t used = 0, name_at = 0;
    for (const char *p = text; *p;) {
        size_t length = strcspn(p, "/");
        if (length > 0) {
            if (check_name(store, text, p, length) != CLI_OK) goto out;
            if (used > 0) path->full[used++] = '/';
            name_at = used;
            memcpy(path->full + used, p, length);
            used += length;
        }
        p += length;
        if (*p == '/') p++;
    }
    path->full[used] = 0;
    memcpy(path->parent, path->full, name_at);
    path->parent[name_at > 0 ? name_at - 1 : 0] = 0;
    path->name = path->full + name_at;
    path->name_size = used - name_at;
    path->wants_partition = used == 0 || text[strlen(text) - 1] == '/';
    status = CLI_OK;

out:
    if (status != CLI_OK) cli_path_release(path);
    return status;
}

int cli_path_parse_key(const char *store, const char *text, struct cli_path *path)
{
    int status = cli_path_parse(store, text, path);
    if (status != CLI_OK) return status;
    if (!path->wants_partition) return CLI_OK;
    if (path->name_size == 0)
        cli_error("%s: PATH is empty or the root; a key has a name, such as orders/0001", store);
    else
        cli_error("%s/%s: ends in a slash, but a key is wanted; leave the slash out", store, text);
    cli_path_release(path);
    return CLI_FAILED;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

int cli_unescape(char *text)
{
    char *to = text;
    for (const char *from = text; *from;) {
        if (*from != '\\') {
            *to++ = *from++;
        } else if (from[1] == '\\' || from[1] == '"') {
            *to++ = from[1];
            from += 2;
        } else if (from[1] == 'x' && hex_digit(from[2]) >= 0 && hex_digit(from[3]) >= 0) {
            int byte = hex_digit(from[2]) * 16 + hex_digit(from[3]);
            if (byte == 0) return cli_error("\\x00: a name cannot hold a NUL byte");
            *to++ = (char)byte;
            from += 4;
        } else {
            return cli_error("%.4s: not an escape; with --escape a backslash is followed by xNN, \\ or \"", from);
        }
    }
    *to = 0;
    return CLI_OK;
}

int cli_unescape_operands(int argc, char **argv, int first)
{
    int status = CLI_OK;
    for (int i = first + 1; i < argc && status == CLI_OK; i++) status = cli_unescape(argv[i]);
    return status;
}

void cli_path_release(struct cli_path *path)
{
    free(path->full);
    free(path->parent);
    memset(path, 0, sizeof(*path));
}
