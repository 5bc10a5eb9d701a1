/* import.c - the command that stores a tar archive, or JSON lines, from standard input.
 *
 * Items are stored one by one as they come, each in one step, so that whenever it ends each is there or not. One that
 * is not possible in a store (a name that is reserved, a value that is too large) is told and left out, and makes the
 * exit status 1; a disk that is full ends it.
 */
#include "import.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "output.h"
#include "place.h"

enum { PIECE = 256 * 1024 /* bytes of standard input that are read at a time */ };

#define LINE_MOST (512u * 1024 * 1024) /* bytes: 256 MiB in base64, and some */

/* ---- input ---- */

long cli_import_read(struct cli_import *import, void *buffer, size_t size)
{
    ssize_t got;

    do {
        if (!cli_progress_wait(STDIN_FILENO, false)) return -1;
        got = read(STDIN_FILENO, buffer, size);
    } while (got < 0 && errno == EINTR);
    if (got < 0) {
        import->input_failed = true;
        import->status = cli_error("standard input: %s", strerror(errno));
    }
    if (got > 0) import->state.bytes_done += (uint64_t)got;
    return got;
}

/* ---- one item ---- */

static void tell(struct cli_import *import, const char *path, bitcask_status status)
{
    cli_progress_clear(&import->progress);
    import->status = cli_fail(&import->store, path, status);
    switch (status) {
    case BITCASK_NO_SPACE:
    case BITCASK_QUOTA:
    case BITCASK_POISONED:
    case BITCASK_READ_ONLY:
    case BITCASK_IO:
    case BITCASK_NO_MEMORY: import->ended = true; break;
    default: break;
    }
}

void cli_import_refuse(struct cli_import *import, const char *path, const char *why)
{
    cli_progress_clear(&import->progress);
    import->status = cli_error("%s: %s; left out", path, why);
}

/* Takes the components "." out of text: archives are full of them. To be freed. */
static char *without_dots(const char *base, const char *text)
{
    char *clean = malloc(strlen(base) + strlen(text) + 2);
    size_t used = strlen(base);

    if (!clean) return NULL;
    memcpy(clean, base, used);
    for (const char *p = text; *p;) {
        size_t length = strcspn(p, "/");
        if (length > 0 && !(length == 1 && *p == '.')) {
            if (used > 0) clean[used++] = '/';
            memcpy(clean + used, p, length);
            used += length;
        }
        p += length;
        if (*p == '/') p++;
    }
    clean[used] = 0;
    return clean;
}

/* Splits a path of the input, which is taken from where the import begins. False: told. */
static bool parse_path(struct cli_import *import, const char *text, struct cli_path *path)
{
    char *clean = without_dots(import->path.full, text);
    int status = clean ? cli_path_parse(import->store.path, clean, path) : cli_error("out of memory");

    free(clean);
    if (status != CLI_OK) import->status = status;
    return status == CLI_OK;
}

/* The partition that holds path's last name, made if need be. It stays open for the next item, which mostly is beside.
 */
static bitcask_status open_parent(struct cli_import *import, const struct cli_path *path)
{
    if (import->parent && strcmp(import->parent_path, path->parent) == 0) return BITCASK_OK;
    bitcask_partition_close(&import->parent);
    free(import->parent_path);
    import->parent_path = strdup(path->parent);
    if (!import->parent_path) return BITCASK_NO_MEMORY;
    return cli_make_partitions(import->store.db, path->parent, &import->parent);
}

static bitcask_status store_partition(struct cli_import *import, const struct cli_path *path,
                                      const struct cli_item *item)
{
    bitcask_partition *partition = NULL;
    bitcask_status status = BITCASK_EXISTS;

    if (path->name_size > 0) {
        status = open_parent(import, path);
        if (status != BITCASK_OK) return status;
        status = bitcask_partition_create(import->parent, path->name, path->name_size, &item->attrs, 0, NULL);
    }
    if (status != BITCASK_EXISTS) return status;
    status = bitcask_partition_open(import->store.db, path->full, &partition);
    if (status == BITCASK_OK && item->attrs.present != 0)
        status = bitcask_partition_set_attrs(partition, &item->attrs, 0);
    bitcask_partition_close(&partition);
    return status;
}

/* Takes away a name that the input has anew, where putting would change other names' file, too. */
static bitcask_status make_way(bitcask_partition *parent, const struct cli_path *path, bool always)
{
    bitcask_entry entry;
    bitcask_status status = bitcask_stat(parent, path->name, path->name_size, &entry);

    if (status == BITCASK_NOT_FOUND) return BITCASK_OK;
    if (status != BITCASK_OK) return status;
    if (entry.kind == BITCASK_PARTITION) return BITCASK_IS_PARTITION;
    if (!always && entry.nlink < 2) return BITCASK_OK;
    return bitcask_delete(parent, path->name, path->name_size, NULL);
}

static bitcask_status store_key(struct cli_import *import, const struct cli_path *path, const struct cli_item *item)
{
    bitcask_write_options options = {.attrs = &item->attrs};
    bitcask_status status = open_parent(import, path);

    if (status == BITCASK_OK) status = make_way(import->parent, path, false);
    if (status == BITCASK_OK)
        status = cli_gather_put(&import->value, import->parent, path->name, path->name_size, &options);
    return status;
}

/* Gives the file at target the name path. Two names that are one file already stay as they are. */
static bitcask_status store_link(struct cli_import *import, const struct cli_path *path, const struct cli_path *target)
{
    bitcask_partition *from = NULL;
    bitcask_entry old, new;

    bitcask_status status = open_parent(import, path);
    if (status == BITCASK_OK) status = bitcask_partition_open(import->store.db, target->parent, &from);
    if (status == BITCASK_OK) status = bitcask_stat(from, target->name, target->name_size, &old);
    /* Of a file with several names the version is the file's own. */
    bool same = status == BITCASK_OK && old.nlink > 1 &&
                bitcask_stat(import->parent, path->name, path->name_size, &new) == BITCASK_OK &&
                old.ino == new.ino &&old.version == new.version;
    if (status == BITCASK_OK && !same) status = make_way(import->parent, path, true);
    if (status == BITCASK_OK && !same)
        status = bitcask_link(from, target->name, target->name_size, import->parent, path->name, path->name_size, 0);
    bitcask_partition_close(&from);
    return status;
}

bool cli_import_item(struct cli_import *import, const struct cli_item *item)
{
    struct cli_path path = {0}, target = {0};
    bitcask_status status = BITCASK_OK;

    if (!parse_path(import, item->path, &path)) goto out;
    if (item->target && !parse_path(import, item->target, &target)) goto out;
    if (path.name_size == 0 && (item->target || item->kind == BITCASK_KEY)) {
        cli_import_refuse(import, item->path, "a key needs a name");
        goto out;
    }
    if (item->target) {
        status = target.name_size > 0 ? store_link(import, &path, &target) : BITCASK_IS_PARTITION;
        import->links += status == BITCASK_OK;
    } else if (item->kind == BITCASK_PARTITION) {
        status = store_partition(import, &path, item);
        import->partitions += status == BITCASK_OK;
    } else {
        status = store_key(import, &path, item);
        import->keys += status == BITCASK_OK;
        if (status == BITCASK_OK) import->bytes += import->value.size;
    }
    if (status != BITCASK_OK)
        tell(import, item->target && status == BITCASK_NOT_FOUND ? target.full : path.full, status);

out:
    import->state.path = item->path;
    cli_path_release(&path);
    cli_path_release(&target);
    bool going = cli_progress_update(&import->progress, &import->state);
    import->state.path = "";
    return going && !import->ended;
}

/* ---- JSON lines ---- */

/* Lines of standard input. */
struct lines {
    char *bytes;
    size_t used, room;
    size_t scanned; /* bytes at the beginning without a newline */
    uint64_t number;
};

/* Makes room for another piece. Returns an exit status. */
static int grow(struct lines *lines)
{
    if (lines->room - lines->used >= PIECE) return CLI_OK;
    size_t room = lines->room ? 2 * lines->room : 4 * PIECE;
    if (lines->used > LINE_MOST)
        return cli_error("standard input: line %" PRIu64 " is longer than 512 MiB; larger values come as tar",
                         lines->number + 1);
    char *grown = realloc(lines->bytes, room);
    if (!grown) return cli_error("out of memory");
    lines->bytes = grown;
    lines->room = room;
    return CLI_OK;
}

static bool import_line(struct cli_import *import, struct lines *lines, char *line, size_t size)
{
    struct cli_item item;
    char whose[64];

    lines->number++;
    size_t space = 0;
    while (space < size && (line[space] == ' ' || line[space] == '\t' || line[space] == '\r')) space++;
    if (space == size) return true;
    snprintf(whose, sizeof(whose), "standard input: line %" PRIu64, lines->number);
    int status = cli_item_parse_json(line, size, whose, &item, &import->xattrs, &import->value);
    if (status == CLI_OK) return cli_import_item(import, &item);
    import->status = status;
    return true;
}

/* Stores the whole lines that are there; at the end also what has no newline behind it. */
static bool import_lines(struct cli_import *import, struct lines *lines, bool end)
{
    size_t begin = 0;

    for (;;) {
        char *newline = memchr(lines->bytes + lines->scanned, '\n', lines->used - lines->scanned);
        size_t stop = newline ? (size_t)(newline - lines->bytes) : lines->used;
        if (!newline && !(end && stop > begin)) break;
        if (!import_line(import, lines, lines->bytes + begin, stop - begin)) return false;
        begin = lines->scanned = newline ? stop + 1 : stop;
    }
    memmove(lines->bytes, lines->bytes + begin, lines->used - begin);
    lines->used -= begin;
    lines->scanned = lines->used;
    return true;
}

static int import_json(struct cli_import *import)
{
    struct lines lines = {0};
    int status;

    for (long got = 1; got > 0;) {
        status = grow(&lines);
        if (status != CLI_OK) break;
        got = cli_import_read(import, lines.bytes + lines.used, lines.room - lines.used);
        if (got > 0) lines.used += (size_t)got;
        if (got < 0 || !import_lines(import, &lines, got == 0)) break;
    }
    free(lines.bytes);
    return status;
}

/* ---- the command ---- */

static void print_summary(const struct cli_import *import, uint64_t elapsed_ns)
{
    printf("imported %" PRIu64 " key%s, %" PRIu64 " partition%s, %" PRIu64 " link%s, %" PRIu64 " bytes in %.2f s\n",
           import->keys, import->keys == 1 ? "" : "s", import->partitions, import->partitions == 1 ? "" : "s",
           import->links, import->links == 1 ? "" : "s", import->bytes, (double)elapsed_ns / 1e9);
}

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* Reads all of standard input into the store, which is open. */
static void import_all(struct cli_import *import, bool json)
{
    struct stat info;

    cli_progress_begin(&import->progress, import->quiet);
    if (fstat(STDIN_FILENO, &info) == 0 && S_ISREG(info.st_mode) && info.st_size > 0)
        import->state.bytes_total = (uint64_t)info.st_size;
    import->state.path = "";
    int status = json ? import_json(import) : cli_import_tar(import);
    if (status != CLI_OK) import->status = status;
    cli_progress_clear(&import->progress);
    if (cli_progress_signal() != 0)
        import->status = cli_tell_stopped(import->store.path, "what was stored before stands");
}

int cli_import(int argc, char **argv)
{
    static const struct option options[] = {{"json", no_argument, NULL, 'j'},
                                            {"quiet", no_argument, NULL, 'q'},
                                            {"escape", no_argument, NULL, 'e'},
                                            {"help", no_argument, NULL, CLI_OPTION_HELP},
                                            {NULL, 0, NULL, 0}};
    struct cli_import import = {0};
    bool json = false, escaped = false;

    for (int c; (c = getopt_long(argc, argv, "jqeh", options, NULL)) != -1;) {
        switch (c) {
        case CLI_OPTION_HELP: return cli_help("import");
        case 'j': json = true; break;
        case 'q': import.quiet = true; break;
        case 'e': escaped = true; break;
        default: return CLI_USAGE;
        }
    }
    int status = cli_check_operands("import", argc, argv, optind, 1, 2);
    if (status == CLI_OK && escaped) status = cli_unescape_operands(argc, argv, optind);
    if (status != CLI_OK) return status;
    if (isatty(STDIN_FILENO) && !json)
        return cli_usage("import", "import: standard input is a terminal; give it a tar archive, or use --json");
    status = cli_path_parse(argv[optind], argc > optind + 1 ? argv[optind + 1] : "", &import.path);
    if (status != CLI_OK) return status;
    if (!json) import.store.remedy = (struct cli_remedy){"tar -xp -C", import.path.full, NULL};
    uint64_t began_ns = now_ns();
    status = cli_store_open(&import.store, argv[optind], CLI_CREATE);
    if (status == CLI_OK) {
        bitcask_status opened = bitcask_partition_open(import.store.db, "", &import.value.partition);
        if (opened != BITCASK_OK) status = cli_fail(&import.store, "", opened);
    }
    if (status == CLI_OK) {
        import_all(&import, json);
        cli_gather_release(&import.value);
        bitcask_partition_close(&import.parent);
        /* Before it is said to be there. */
        bitcask_status synced = bitcask_sync(import.store.db);
        if (synced != BITCASK_OK) tell(&import, NULL, synced);
        if (!import.quiet) print_summary(&import, now_ns() - began_ns);
        status = cli_finish_output(import.status);
    }
    bitcask_partition_close(&import.value.partition);
    status = cli_store_close(&import.store, status);
    cli_xattrs_release(&import.xattrs);
    free(import.parent_path);
    cli_path_release(&import.path);
    return status;
}
