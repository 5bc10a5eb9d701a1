/* data.c - the commands that move data: put, get, del, ls.
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

static const struct option only_help[] = {{"help", no_argument, NULL, CLI_OPTION_HELP}, {NULL, 0, NULL, 0}};

/* Opens the partition that holds path's last name. Returns an exit status. */
static int open_parent(const struct cli_store *store, const struct cli_path *path, bitcask_partition **parent)
{
    bitcask_status status = bitcask_partition_open(store->db, path->parent, parent);
    return status == BITCASK_OK ? CLI_OK : cli_fail(store, path->parent, status);
}

/* ---- put ---- */

/* Reads fd to its end. *data is the caller's to free, also after a failure. Returns an exit status. */
static int read_all(int fd, const char *name, char **data, size_t *size)
{
    size_t room = 0;
    for (;;) {
        if (*size == room) {
            room = room ? 2 * room : 64 * 1024;
            char *grown = realloc(*data, room);
            if (!grown) return cli_error("%s: out of memory", name);
            *data = grown;
        }
        ssize_t got = read(fd, *data + *size, room - *size);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return cli_error("%s: %s; nothing was stored", name, strerror(errno));
        if (got == 0) return CLI_OK;
        *size += (size_t)got;
        if (*size > BITCASK_VALUE_MAX) return cli_error("%s: larger than a value may be, 256 MiB", name);
    }
}

static int read_input(const char *file, char **data, size_t *size)
{
    if (!file) return read_all(STDIN_FILENO, "standard input", data, size);
    int fd = open(file, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return cli_error("%s: %s", file, strerror(errno));
    int status = read_all(fd, file, data, size);
    close(fd);
    return status;
}

/* What a new file or directory made by this process gets: owner, group, and the mode that the umask leaves. */
static bitcask_attrs attrs_of_new(uint32_t mode)
{
    mode_t mask = umask(0);
    umask(mask);
    return (bitcask_attrs){.present = BITCASK_ATTR_MODE | BITCASK_ATTR_UID | BITCASK_ATTR_GID,
                           .mode = mode & ~(uint32_t)mask,
                           .uid = geteuid(),
                           .gid = getegid()};
}

/* Opens the partition at path, making what is missing of it from the root down. */
static bitcask_status make_partitions(bitcask *db, const char *path, bitcask_partition **partition)
{
    bitcask_attrs attrs = attrs_of_new(S_IFDIR | 0777);
    bitcask_status status = bitcask_partition_open(db, "", partition);
    for (const char *name = path; status == BITCASK_OK && *name;) {
        size_t size = strcspn(name, "/");
        bitcask_partition *child = NULL;
        status = bitcask_partition_open_at(*partition, name, size, &child);
        if (status == BITCASK_NOT_FOUND) status = bitcask_partition_create(*partition, name, size, &attrs, 0, &child);
        bitcask_partition_close(partition);
        *partition = child;
        name += size + (name[size] == '/');
    }
    return status;
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
                     const char *data, size_t size)
{
    bitcask_value *old = NULL;
    bitcask_entry entry;
    bitcask_attrs attrs;
    bitcask_write_options options = {.attrs = &attrs};

    bitcask_status status = bitcask_stat(parent, path->name, path->name_size, &entry);
    if (status == BITCASK_NOT_FOUND) {
        attrs = attrs_of_new(S_IFREG | 0666);
        status = BITCASK_OK;
    } else if (status == BITCASK_OK && entry.kind == BITCASK_PARTITION) {
        status = BITCASK_IS_PARTITION;
    } else if (status == BITCASK_OK) {
        if ((entry.attrs.present & BITCASK_ATTR_MODE) && !S_ISREG(entry.attrs.mode))
            return cli_error("%s/%s: is a symbolic link or a special file; delete it first", store->path, path->full);
        status = attrs_to_keep(parent, path, &old, &attrs);
    }
    if (status == BITCASK_OK) status = bitcask_put(parent, path->name, path->name_size, data, size, &options, NULL);
    int result = status == BITCASK_OK ? CLI_OK : cli_fail(store, path->full, status);
    bitcask_value_unpin(&old);
    return result;
}

int cli_put(int argc, char **argv)
{
    static const struct option options[] = {{"file", required_argument, NULL, 'f'},
                                            {"parents", no_argument, NULL, 'p'},
                                            {"help", no_argument, NULL, CLI_OPTION_HELP},
                                            {NULL, 0, NULL, 0}};
    struct cli_store store = {0};
    struct cli_path path = {0};
    bitcask_partition *parent = NULL;
    char *data = NULL;
    size_t size = 0;
    const char *file = NULL;
    bool parents = false;

    for (int c; (c = getopt_long(argc, argv, "f:ph", options, NULL)) != -1;) {
        if (c == CLI_OPTION_HELP) return cli_help("put");
        if (c == 'f')
            file = optarg;
        else if (c == 'p')
            parents = true;
        else
            return CLI_USAGE;
    }
    int status = cli_check_operands("put", argc, argv, optind, 2, 2);
    if (status != CLI_OK) return status;
    status = cli_path_parse_key(argv[optind], argv[optind + 1], &path);
    if (status != CLI_OK) return status;

    /* All of the input first: the store is not kept locked while a pipe is slow, and nothing is stored of one that
     * fails. */
    status = read_input(file, &data, &size);
    if (status == CLI_OK) status = cli_store_open(&store, argv[optind], CLI_CREATE);
    if (status != CLI_OK) goto out;
    if (parents) {
        bitcask_status made = make_partitions(store.db, path.parent, &parent);
        if (made != BITCASK_OK) status = cli_fail(&store, path.parent, made);
    } else {
        status = open_parent(&store, &path, &parent);
    }
    if (status != CLI_OK) goto out;
    status = put_value(&store, parent, &path, data, size);

out:
    bitcask_partition_close(&parent);
    status = cli_store_close(&store, status);
    free(data);
    cli_path_release(&path);
    return status;
}

/* ---- get ---- */

int cli_get(int argc, char **argv)
{
    struct cli_store store = {0};
    struct cli_path path = {0};
    bitcask_partition *parent = NULL;
    bitcask_value *value = NULL;

    for (int c; (c = getopt_long(argc, argv, "h", only_help, NULL)) != -1;)
        return c == CLI_OPTION_HELP ? cli_help("get") : CLI_USAGE;
    int status = cli_check_operands("get", argc, argv, optind, 2, 2);
    if (status != CLI_OK) return status;
    status = cli_path_parse_key(argv[optind], argv[optind + 1], &path);
    if (status != CLI_OK) return status;
    status = cli_store_open(&store, argv[optind], CLI_READ);
    if (status == CLI_OK) status = open_parent(&store, &path, &parent);
    if (status != CLI_OK) goto out;

    bitcask_status got = bitcask_get(parent, path.name, path.name_size, &value);
    if (got != BITCASK_OK) {
        status = cli_fail(&store, path.full, got);
        goto out;
    }
    status = cli_write_output(bitcask_value_data(value), (size_t)bitcask_value_size(value));
    if (status == CLI_OK) status = cli_finish_output(status);

out:
    bitcask_value_unpin(&value);
    bitcask_partition_close(&parent);
    status = cli_store_close(&store, status);
    cli_path_release(&path);
    return status;
}

/* ---- del ---- */

int cli_del(int argc, char **argv)
{
    static const struct option options[] = {
        {"partition", no_argument, NULL, 'd'}, {"help", no_argument, NULL, CLI_OPTION_HELP}, {NULL, 0, NULL, 0}};
    struct cli_store store = {0};
    struct cli_path path = {0};
    bitcask_partition *parent = NULL;
    bool partition = false;

    for (int c; (c = getopt_long(argc, argv, "dh", options, NULL)) != -1;) {
        if (c == CLI_OPTION_HELP) return cli_help("del");
        if (c != 'd') return CLI_USAGE;
        partition = true;
    }
    int status = cli_check_operands("del", argc, argv, optind, 2, 2);
    if (status != CLI_OK) return status;
    status = partition ? cli_path_parse(argv[optind], argv[optind + 1], &path)
                       : cli_path_parse_key(argv[optind], argv[optind + 1], &path);
    if (status != CLI_OK) return status;
    if (path.name_size == 0) {
        status = cli_error("%s: the root partition cannot be deleted", argv[optind]);
        goto out;
    }
    status = cli_store_open(&store, argv[optind], CLI_WRITE);
    if (status == CLI_OK) status = open_parent(&store, &path, &parent);
    if (status != CLI_OK) goto out;

    bitcask_status deleted = partition ? bitcask_partition_drop(parent, path.name, path.name_size, 0)
                                       : bitcask_delete(parent, path.name, path.name_size, NULL);
    if (deleted == BITCASK_IS_PARTITION)
        status = cli_error("%s/%s: is a partition; an empty one goes with del -d", argv[optind], path.full);
    else if (deleted != BITCASK_OK)
        status = cli_fail(&store, path.full, deleted);

out:
    bitcask_partition_close(&parent);
    status = cli_store_close(&store, status);
    cli_path_release(&path);
    return status;
}

/* ---- ls ---- */

static void print_mode(const bitcask_entry *entry)
{
    uint32_t mode = entry->kind == BITCASK_PARTITION ? S_IFDIR | 0755 : S_IFREG | 0644;
    if (entry->attrs.present & BITCASK_ATTR_MODE) mode = entry->attrs.mode;
    char type = S_ISDIR(mode)    ? 'd'
                : S_ISLNK(mode)  ? 'l'
                : S_ISFIFO(mode) ? 'p'
                : S_ISSOCK(mode) ? 's'
                : S_ISCHR(mode)  ? 'c'
                : S_ISBLK(mode)  ? 'b'
                                 : '-';
    putchar(type);
    for (int shift = 6; shift >= 0; shift -= 3) {
        uint32_t bits = mode >> shift;
        bool special = mode & (shift == 6 ? S_ISUID : shift == 3 ? S_ISGID : S_ISVTX);
        putchar(bits & 4 ? 'r' : '-');
        putchar(bits & 2 ? 'w' : '-');
        putchar(special ? (shift ? (bits & 1 ? 's' : 'S') : (bits & 1 ? 't' : 'T')) : bits & 1 ? 'x' : '-');
    }
}

static void print_id(bool present, uint32_t id)
{
    if (present)
        printf(" %6u", id);
    else
        printf(" %6s", "-");
}

/* Mode, owner, group, bytes, mtime in UTC, name. */
static void print_entry(const bitcask_entry *entry, bool in_full)
{
    if (in_full) {
        int64_t ns = entry->attrs.mtime_ns % 1000000000, seconds = entry->attrs.mtime_ns / 1000000000;
        if (ns < 0) {
            ns += 1000000000;
            seconds--;
        }
        time_t clock = (time_t)seconds;
        struct tm tm;
        char when[32] = "?";
        if (gmtime_r(&clock, &tm)) strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%S", &tm);
        print_mode(entry);
        print_id(entry->attrs.present & BITCASK_ATTR_UID, entry->attrs.uid);
        print_id(entry->attrs.present & BITCASK_ATTR_GID, entry->attrs.gid);
        printf(" %10llu %s.%09lldZ ", (unsigned long long)entry->value_size, when, (long long)ns);
    }
    cli_print_bytes(stdout, entry->key, entry->key_size, cli_output_escape());
    fputs(entry->kind == BITCASK_PARTITION ? "/\n" : "\n", stdout);
}

static bitcask_status list_partition(bitcask_partition *partition, bool in_full)
{
    bitcask_query *query = NULL;
    bitcask_entry entry;
    bitcask_status status = bitcask_query_open(partition, NULL, &query);
    while (status == BITCASK_OK && !ferror(stdout)) {
        status = bitcask_query_next(query, &entry);
        if (status == BITCASK_OK) print_entry(&entry, in_full);
    }
    bitcask_query_close(&query);
    return status == BITCASK_NOT_FOUND ? BITCASK_OK : status;
}

/* What path names: a partition is listed, a key shows itself. */
static bitcask_status list_path(bitcask *db, const struct cli_path *path, bool in_full)
{
    bitcask_partition *partition = NULL;
    bitcask_status status = bitcask_partition_open(db, path->full, &partition);
    if (status == BITCASK_OK) {
        status = list_partition(partition, in_full);
    } else if (status == BITCASK_NOT_PARTITION && !path->wants_partition) {
        bitcask_entry entry;
        status = bitcask_partition_open(db, path->parent, &partition);
        if (status == BITCASK_OK) status = bitcask_stat(partition, path->name, path->name_size, &entry);
        if (status == BITCASK_OK) print_entry(&entry, in_full);
    }
    bitcask_partition_close(&partition);
    return status;
}

int cli_ls(int argc, char **argv)
{
    static const struct option options[] = {
        {"long", no_argument, NULL, 'l'}, {"help", no_argument, NULL, CLI_OPTION_HELP}, {NULL, 0, NULL, 0}};
    struct cli_store store = {0};
    struct cli_path path = {0};
    bool in_full = false;

    for (int c; (c = getopt_long(argc, argv, "lh", options, NULL)) != -1;) {
        if (c == CLI_OPTION_HELP) return cli_help("ls");
        if (c != 'l') return CLI_USAGE;
        in_full = true;
    }
    int status = cli_check_operands("ls", argc, argv, optind, 1, 2);
    if (status != CLI_OK) return status;
    status = cli_path_parse(argv[optind], argc > optind + 1 ? argv[optind + 1] : "", &path);
    if (status != CLI_OK) return status;
    status = cli_store_open(&store, argv[optind], CLI_READ);
    if (status == CLI_OK) {
        bitcask_status listed = list_path(store.db, &path, in_full);
        if (listed != BITCASK_OK) status = cli_fail(&store, path.full, listed);
        status = cli_finish_output(status);
    }
    status = cli_store_close(&store, status);
    cli_path_release(&path);
    return status;
}
