/* data.c - the commands that move single values: put, get, del.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "cli.h"
#include "output.h"
#include "path.h"
#include "place.h"
#include "value.h"

/* Opens the partition that holds path's last name. Returns an exit status. */
static int open_parent(const struct cli_store *store, const struct cli_path *path, bitcask_partition **parent)
{
    bitcask_status status = bitcask_partition_open(store->db, path->parent, parent);
    return status == BITCASK_OK ? CLI_OK : cli_fail(store, path->parent, status);
}

/* ---- put ---- */

static int open_input(const char *file, int *fd)
{
    *fd = file ? open(file, O_RDONLY | O_CLOEXEC) : STDIN_FILENO;
    return *fd >= 0 ? CLI_OK : cli_error("%s: %s", file, strerror(errno));
}

/* The attributes that the key keeps when its value is replaced, as `>` would do: owner, mode, inode number, extended
 * attributes. Set-id bits were given to the old bytes and go. *old is pinned while attrs->xattrs are in use. */
static bitcask_status attrs_to_keep(bitcask_partition *parent, const struct cli_path *path, bitcask_value **old,
                                    bitcask_attrs *attrs)
{
    bitcask_entry entry;
    bitcask_status status = bitcask_pin(parent, path->name, path->name_size, old);
    if (status != BITCASK_OK) return status;
    /* Extended attributes come with the value. Where that is damaged they are lost with it, which is no reason to
     * refuse a sound one. */
    status = bitcask_value_load(*old);
    if (status != BITCASK_OK && status != BITCASK_CORRUPT) return status;
    bitcask_value_entry(*old, &entry);
    *attrs = entry.attrs;
    attrs->present &= ~(uint32_t)(BITCASK_ATTR_MTIME | BITCASK_ATTR_CTIME | BITCASK_ATTR_ATIME);
    if (status == BITCASK_CORRUPT) attrs->present &= ~(uint32_t)BITCASK_ATTR_XATTRS;
    if (attrs->ino == bitcask_derived_ino(parent, path->name, path->name_size))
        attrs->present &= ~(uint32_t)BITCASK_ATTR_INO; /* it need not be stored */
    attrs->mode &= ~(uint32_t)(S_ISUID | S_ISGID);
    return BITCASK_OK;
}

/* Stores the bytes under path's name. Returns an exit status. */
static int put_value(const struct cli_store *store, bitcask_partition *parent, const struct cli_path *path,
                     struct cli_gather *value)
{
    bitcask_value *old = NULL;
    bitcask_entry entry;
    bitcask_attrs attrs;
    bitcask_write_options options = {.attrs = &attrs};

    bitcask_status status = bitcask_stat(parent, path->name, path->name_size, &entry);
    if (status == BITCASK_NOT_FOUND) {
        attrs = cli_attrs_of_new(S_IFREG | 0666);
        status = BITCASK_OK;
    } else if (status == BITCASK_OK && entry.kind == BITCASK_PARTITION) {
        status = BITCASK_IS_PARTITION;
    } else if (status == BITCASK_OK) {
        if ((entry.attrs.present & BITCASK_ATTR_MODE) && !S_ISREG(entry.attrs.mode))
            return cli_error("%s/%s: is a symbolic link or a special file; delete it first", store->path, path->full);
        status = attrs_to_keep(parent, path, &old, &attrs);
    }
    if (status == BITCASK_OK) status = cli_gather_put(value, parent, path->name, path->name_size, &options);
    int result = status == BITCASK_OK ? CLI_OK : cli_fail(store, path->full, status);
    bitcask_value_unpin(&old);
    return result;
}

int cli_put(int argc, char **argv)
{
    static const struct option options[] = {{"file", required_argument, NULL, 'f'},
                                            {"parents", no_argument, NULL, 'p'},
                                            {"escape", no_argument, NULL, 'e'},
                                            {"help", no_argument, NULL, CLI_OPTION_HELP},
                                            {NULL, 0, NULL, 0}};
    struct cli_store store = {0};
    struct cli_path path = {0};
    bitcask_partition *parent = NULL;
    struct cli_gather value = {0};
    const char *file = NULL;
    int input = -1;
    bool parents = false, escaped = false;

    for (int c; (c = getopt_long(argc, argv, "f:peh", options, NULL)) != -1;) {
        if (c == CLI_OPTION_HELP) return cli_help("put");
        if (c == 'f')
            file = optarg;
        else if (c == 'p')
            parents = true;
        else if (c == 'e')
            escaped = true;
        else
            return CLI_USAGE;
    }
    int status = cli_check_operands("put", argc, argv, optind, 2, 2);
    if (status == CLI_OK && escaped) status = cli_unescape_operands(argc, argv, optind);
    if (status != CLI_OK) return status;
    status = cli_path_parse_key(argv[optind], argv[optind + 1], &path);
    if (status != CLI_OK) return status;

    /* All of the input first, unless it is large: the store is not kept locked while a pipe is slow. Nothing is stored
     * of one that fails. */
    store.remedy = (struct cli_remedy){"cat >", path.full, NULL};
    status = open_input(file, &input);
    if (status == CLI_OK) status = cli_gather_file(&value, input, file ? file : "standard input");
    if (status == CLI_OK) status = cli_store_open(&store, argv[optind], CLI_CREATE);
    if (status != CLI_OK) goto out;
    if (parents) {
        bitcask_status made = cli_make_partitions(store.db, path.parent, &parent);
        if (made != BITCASK_OK) status = cli_fail(&store, path.parent, made);
    } else {
        status = open_parent(&store, &path, &parent);
    }
    if (status != CLI_OK) goto out;
    value.partition = parent;
    if (value.more) status = cli_gather_file(&value, input, file ? file : "standard input");
    if (status == CLI_OK) status = put_value(&store, parent, &path, &value);

out:
    if (file && input >= 0) close(input);
    cli_gather_release(&value);
    bitcask_partition_close(&parent);
    status = cli_store_close(&store, status);
    cli_path_release(&path);
    return status;
}

/* ---- get ---- */

/* The value on its way out. */
static bool write_piece(void *context, const void *data, size_t size)
{
    int *status = context;
    *status = cli_write_output(data, size);
    return *status == CLI_OK;
}

int cli_get(int argc, char **argv)
{
    static const struct option options[] = {
        {"escape", no_argument, NULL, 'e'}, {"help", no_argument, NULL, CLI_OPTION_HELP}, {NULL, 0, NULL, 0}};
    bool escaped = false;
    struct cli_store store = {0};
    struct cli_path path = {0};
    bitcask_partition *parent = NULL;
    bitcask_value *value = NULL;

    for (int c; (c = getopt_long(argc, argv, "eh", options, NULL)) != -1;) {
        if (c != 'e') return c == CLI_OPTION_HELP ? cli_help("get") : CLI_USAGE;
        escaped = true;
    }
    int status = cli_check_operands("get", argc, argv, optind, 2, 2);
    if (status == CLI_OK && escaped) status = cli_unescape_operands(argc, argv, optind);
    if (status != CLI_OK) return status;
    status = cli_path_parse_key(argv[optind], argv[optind + 1], &path);
    if (status != CLI_OK) return status;
    status = cli_store_open(&store, argv[optind], CLI_READ);
    if (status == CLI_OK) status = open_parent(&store, &path, &parent);
    if (status != CLI_OK) goto out;

    bitcask_status got = bitcask_pin(parent, path.name, path.name_size, &value);
    if (got == BITCASK_OK) got = cli_value_pieces(value, write_piece, &status);
    if (got != BITCASK_OK) {
        status = cli_fail(&store, path.full, got);
        goto out;
    }
    if (status == CLI_OK) status = cli_finish_output(status);

out:
    bitcask_value_unpin(&value);
    bitcask_partition_close(&parent);
    status = cli_store_close(&store, status);
    cli_path_release(&path);
    return status;
}

/* ---- del ---- */

struct del_arguments {
    bool partition;
    bool listed; /* names come from standard input */
    bool escaped;
};

/* Deletes the key, or the empty partition. Returns an exit status. */
static int delete_path(const struct cli_store *store, const struct cli_path *path, bool partition)
{
    bitcask_partition *parent = NULL;
    int status = open_parent(store, path, &parent);

    if (status != CLI_OK) return status;
    bitcask_status deleted = partition ? bitcask_partition_drop(parent, path->name, path->name_size, 0)
                                       : bitcask_delete(parent, path->name, path->name_size, NULL);
    if (deleted == BITCASK_IS_PARTITION)
        status = cli_error("%s/%s: is a partition; an empty one goes with del -d", store->path, path->full);
    else if (deleted != BITCASK_OK)
        status = cli_fail(store, path->full, deleted);
    bitcask_partition_close(&parent);
    return status;
}

static int parse_del_path(const char *store, const char *text, bool partition, struct cli_path *path)
{
    int status = partition ? cli_path_parse(store, text, path) : cli_path_parse_key(store, text, path);

    if (status == CLI_OK && path->name_size == 0) {
        status = cli_error("%s: the root partition cannot be deleted", store);
        cli_path_release(path);
    }
    return status;
}

/* Deletes what standard input names, below base. One that cannot be deleted is told, and the others are. */
static int delete_listed(const struct cli_store *store, const char *base, bool partition)
{
    char *line = NULL, *text = NULL;
    size_t room = 0;
    int status = CLI_OK;

    for (ssize_t size; (size = getdelim(&line, &room, 0, stdin)) > 0;) {
        struct cli_path path = {0};
        if (line[size - 1] == 0) size--;
        if (size == 0) continue;
        if (asprintf(&text, "%s/%.*s", base, (int)size, line) < 0) {
            status = cli_error("out of memory");
            break;
        }
        int parsed = parse_del_path(store->path, text, partition, &path);
        if (parsed == CLI_OK) parsed = delete_path(store, &path, partition);
        if (parsed != CLI_OK) status = parsed;
        cli_path_release(&path);
        free(text);
    }
    if (ferror(stdin)) status = cli_error("standard input: %s", strerror(errno));
    free(line);
    return status;
}

int cli_del(int argc, char **argv)
{
    static const struct option options[] = {{"partition", no_argument, NULL, 'd'},
                                            {"null", no_argument, NULL, '0'},
                                            {"escape", no_argument, NULL, 'e'},
                                            {"help", no_argument, NULL, CLI_OPTION_HELP},
                                            {NULL, 0, NULL, 0}};
    struct del_arguments arguments = {0};
    struct cli_store store = {0};
    struct cli_path path = {0};

    for (int c; (c = getopt_long(argc, argv, "d0eh", options, NULL)) != -1;) {
        switch (c) {
        case CLI_OPTION_HELP: return cli_help("del");
        case 'd': arguments.partition = true; break;
        case '0': arguments.listed = true; break;
        case 'e': arguments.escaped = true; break;
        default: return CLI_USAGE;
        }
    }
    int status = cli_check_operands("del", argc, argv, optind, arguments.listed ? 1 : 2, 2);
    if (status == CLI_OK && arguments.escaped) status = cli_unescape_operands(argc, argv, optind);
    if (status != CLI_OK) return status;
    const char *text = argc > optind + 1 ? argv[optind + 1] : "";
    status = arguments.listed ? cli_path_parse(argv[optind], text, &path)
                              : parse_del_path(argv[optind], text, arguments.partition, &path);
    if (status != CLI_OK) return status;
    const char *verb = arguments.listed ? "xargs -0 rm, in" : arguments.partition ? "rmdir" : "rm";
    store.remedy = (struct cli_remedy){verb, path.full, NULL};
    status = cli_store_open(&store, argv[optind], CLI_WRITE);
    if (status == CLI_OK)
        status = arguments.listed ? delete_listed(&store, path.full, arguments.partition)
                                  : delete_path(&store, &path, arguments.partition);
    status = cli_store_close(&store, status);
    cli_path_release(&path);
    return status;
}
