/* export.c - the command that writes a partition, and all below it, to standard output.
 *
 * Goes through the names in order and hands each, with its attributes and its pinned value, to the form: tar or JSON
 * lines. Of a file with several names the first one met is the file, and the others are links to it; only these are
 * remembered.
 */
#include "export.h"

#include <getopt.h>
#include <search.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "output.h"
#include "path.h"
#include "progress.h"
#include "tree.h"

/* A file with several names, the first of which was written. */
struct first_name {
    uint64_t ino, version; /* the version is the file's own, whatever its number */
    char path[];
};

struct export
{
    struct cli_store store;
    struct cli_path path;
    const struct cli_export_form *form;
    void *out;
    struct cli_progress progress;
    bitcask_progress state;
    void *first_names; /* a tree of struct first_name, see tsearch(3) */
    bool quiet;
    bool ended; /* nothing more can be written */
    int status;
};

/* ---- JSON lines ---- */

static void *open_json(const char *store)
{
    static int nothing;
    (void)store;
    return &nothing;
}

static enum cli_export_result add_json(void *form, const struct cli_item *item, bitcask_value *value,
                                       bitcask_status *status)
{
    (void)form;
    /* Its text is made in one piece: whether it is UTF-8 shows at its end. */
    if (value && bitcask_value_size(value) > BITCASK_VALUE_MAX) {
        cli_error("%s: larger than 256 MiB, which a line of JSON cannot be; export it as tar", item->path);
        return CLI_EXPORT_LEFT_OUT;
    }
    *status = cli_item_print_json(item, value, false);
    return ferror(stdout) ? CLI_EXPORT_ENDED : CLI_EXPORT_OK;
}

static int close_json(void *form, bool whole)
{
    (void)form;
    (void)whole;
    return CLI_OK;
}

static const struct cli_export_form export_json = {open_json, add_json, close_json};

/* ---- items ---- */

static int compare_first_names(const void *a, const void *b)
{
    const struct first_name *x = a, *y = b;
    if (x->ino != y->ino) return x->ino < y->ino ? -1 : 1;
    return x->version < y->version ? -1 : x->version > y->version;
}

/* The name under which the file was written already; NULL: it was not, and is from now on under path. */
static const char *find_first_name(struct export *export, const bitcask_entry *entry, const char *path)
{
    struct first_name *name = malloc(sizeof(*name) + strlen(path) + 1);
    if (!name) return NULL; /* then it is exported as a file of its own */
    name->ino = entry->ino;
    name->version = entry->version;
    memcpy(name->path, path, strlen(path) + 1);
    struct first_name **found = tsearch(name, &export->first_names, compare_first_names);
    if (found && *found == name) return NULL;
    free(name);
    return found ? (*found)->path : NULL;
}

static void tell(struct export *export, const char *path, bitcask_status status)
{
    char *full = NULL;
    bool joined = *export->path.full && *path;

    cli_progress_clear(&export->progress);
    if (asprintf(&full, "%s%s%s", export->path.full, joined ? "/" : "", path) < 0) full = NULL;
    export->status = cli_fail(&export->store, full ? full : path, status);
    free(full);
}

static bool go_on(struct export *export)
{
    return !export->ended && cli_progress_update(&export->progress, &export->state);
}

/* Writes one item, whose value is pinned where it has one. */
static void write_item(struct export *export, const struct cli_place *place, struct cli_item *item,
                       bitcask_value *value, bitcask_value *xattrs)
{
    bitcask_status status = BITCASK_OK;

    item->path = place->path;
    item->kind = place->entry->kind;
    item->attrs.present &= ~(uint32_t)(BITCASK_ATTR_CTIME | BITCASK_ATTR_INO | BITCASK_ATTR_XATTRS);
    if (xattrs && bitcask_value_size(xattrs) > 0) {
        item->attrs.present |= BITCASK_ATTR_XATTRS;
        item->attrs.xattrs = bitcask_value_data(xattrs);
        item->attrs.xattrs_size = (size_t)bitcask_value_size(xattrs);
    } else if (value) {
        bitcask_entry loaded;
        bitcask_value_entry(value, &loaded);
        item->attrs.present |= loaded.attrs.present & BITCASK_ATTR_XATTRS;
        item->attrs.xattrs = loaded.attrs.xattrs;
        item->attrs.xattrs_size = loaded.attrs.xattrs_size;
    }
    enum cli_export_result result = export->form->add(export->out, item, value, &status);
    if (result != CLI_EXPORT_OK) export->status = CLI_FAILED;
    if (result == CLI_EXPORT_ENDED) export->ended = true;
    if (status != BITCASK_OK) tell(export, place->path, status);
    export->state.path = place->path;
    export->state.bytes_done += item->value_size + strlen(place->path);
}

static bool export_partition(void *context, const struct cli_place *place)
{
    struct export *export = context;
    struct cli_item item = {.attrs = place->entry->attrs};
    bitcask_value *xattrs = NULL;

    if (item.attrs.mtime_ns == 0) item.attrs.present &= ~(uint32_t)BITCASK_ATTR_MTIME; /* a root that never had one */
    bitcask_status status = bitcask_partition_xattrs(place->partition, &xattrs);
    if (status == BITCASK_OK) status = bitcask_value_load(xattrs);
    if (status != BITCASK_OK && status != BITCASK_NOT_FOUND) tell(export, place->path, status);
    write_item(export, place, &item, NULL, status == BITCASK_OK ? xattrs : NULL);
    bitcask_value_unpin(&xattrs);
    return go_on(export);
}

static bool export_key(void *context, const struct cli_place *place)
{
    struct export *export = context;
    struct cli_item item = {.attrs = place->entry->attrs, .value_size = place->entry->value_size};
    bitcask_value *value = NULL;

    if (place->entry->nlink > 1) item.target = find_first_name(export, place->entry, place->path);
    if (item.target) {
        write_item(export, place, &item, NULL, NULL);
        return go_on(export);
    }
    bitcask_status status = bitcask_pin(place->partition, place->entry->key, place->entry->key_size, &value);
    if (status == BITCASK_NOT_FOUND) return go_on(export); /* it went meanwhile */
    /* The extended attributes come with the value; of a large one no bytes are read for them. */
    if (status == BITCASK_OK && bitcask_value_size(value) <= BITCASK_SMALL_MAX) status = bitcask_value_load(value);
    if (status == BITCASK_OK && bitcask_value_size(value) > BITCASK_SMALL_MAX) {
        char byte;
        size_t got;
        status = bitcask_value_read(value, 0, &byte, 1, &got);
    }
    if (status == BITCASK_OK) {
        bitcask_entry entry; /* as of the pin: it may be another one than the query saw */
        bitcask_value_entry(value, &entry);
        item.attrs = entry.attrs;
        item.value_size = bitcask_value_size(value);
        write_item(export, place, &item, value, NULL);
    } else {
        tell(export, place->path, status);
    }
    bitcask_value_unpin(&value);
    return go_on(export);
}

/* ---- the command ---- */

static bool count_name(void *context, const struct cli_place *place)
{
    bitcask_progress *state = context;
    state->bytes_total += strlen(place->path);
    if (place->entry->kind == BITCASK_KEY) state->bytes_total += place->entry->value_size;
    return cli_progress_signal() == 0;
}

static void export_all(struct export *export)
{
    struct cli_visitor counter = {.enter = count_name, .key = count_name, .silent = true, .context = &export->state};
    struct cli_visitor writer = {.enter = export_partition, .key = export_key, .context = export};

    cli_progress_begin(&export->progress, export->quiet);
    /* Names are cheap to go through; only who watches wants to know how many there are. What fails is told later. */
    if (export->progress.shown) cli_tree_walk(&export->store, export->path.full, &counter);
    export->out = export->form->open(export->store.path);
    if (!export->out) {
        export->status = CLI_FAILED;
        return;
    }
    int status = cli_tree_walk(&export->store, export->path.full, &writer);
    if (status != CLI_OK) export->status = status;
    status = export->form->close(export->out, !export->ended && cli_progress_signal() == 0);
    if (status != CLI_OK) export->status = status;
    cli_progress_clear(&export->progress);
    if (cli_progress_signal() != 0)
        export->status = cli_tell_stopped(export->store.path, "the output is not whole; the store was not changed");
}

int cli_export(int argc, char **argv)
{
    static const struct option options[] = {{"json", no_argument, NULL, 'j'},
                                            {"quiet", no_argument, NULL, 'q'},
                                            {"escape", no_argument, NULL, 'e'},
                                            {"help", no_argument, NULL, CLI_OPTION_HELP},
                                            {NULL, 0, NULL, 0}};
    struct export export = {.form = &cli_export_tar};
    bool escaped = false;

    for (int c; (c = getopt_long(argc, argv, "jqeh", options, NULL)) != -1;) {
        switch (c) {
        case CLI_OPTION_HELP: return cli_help("export");
        case 'j': export.form = &export_json; break;
        case 'q': export.quiet = true; break;
        case 'e': escaped = true; break;
        default: return CLI_USAGE;
        }
    }
    int status = cli_check_operands("export", argc, argv, optind, 1, 2);
    if (status == CLI_OK && escaped) status = cli_unescape_operands(argc, argv, optind);
    if (status != CLI_OK) return status;
    if (export.form == &cli_export_tar && isatty(STDOUT_FILENO))
        return cli_usage("export", "export: a tar archive is nothing for a terminal; send it to a file, or use --json");
    status = cli_path_parse(argv[optind], argc > optind + 1 ? argv[optind + 1] : "", &export.path);
    if (status != CLI_OK) return status;
    status = cli_store_open(&export.store, argv[optind], CLI_READ);
    if (status == CLI_OK) {
        signal(SIGPIPE, SIG_IGN); /* told by a status instead, so that the store is closed in good order */
        export_all(&export);
        status = cli_finish_output(export.status);
    }
    tdestroy(export.first_names, free);
    status = cli_store_close(&export.store, status);
    cli_path_release(&export.path);
    return status;
}
