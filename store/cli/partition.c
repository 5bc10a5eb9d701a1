/* partition.c - the commands on partitions: create, drop, rename, ls.
 */
#include <getopt.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

#include "cli.h"
#include "output.h"
#include "path.h"
#include "place.h"
#include "progress.h"
#include "tree.h"

struct arguments {
    bool parents, recursive, quiet, json, null, escaped;
};

/* ---- create ---- */

static int create(const struct cli_store *store, const struct cli_path *path, bool parents)
{
    bitcask_attrs attrs = cli_attrs_of_new(S_IFDIR | 0777);
    bitcask_partition *parent = NULL;
    bitcask_status status;

    if (parents) {
        status = cli_make_partitions(store->db, path->full, &parent); /* one that is there is as good as made */
    } else {
        status = bitcask_partition_open(store->db, path->parent, &parent);
        if (status != BITCASK_OK) return cli_fail(store, path->parent, status);
        status = bitcask_partition_create(parent, path->name, path->name_size, &attrs, 0, NULL);
    }
    bitcask_partition_close(&parent);
    return status == BITCASK_OK ? CLI_OK : cli_fail(store, path->full, status);
}

/* ---- drop ---- */

struct drop {
    const struct cli_store *store;
    const struct cli_path *path;
    struct cli_progress progress;
    bitcask_progress state;
    int status;
};

static bool drop_done(struct drop *drop, const struct cli_place *place, bitcask_status status)
{
    drop->state.path = place->path;
    drop->state.bytes_done++;
    if (status != BITCASK_OK && status != BITCASK_NOT_FOUND)
        drop->status = cli_fail(drop->store, drop->path->full, status);
    return drop->status == CLI_OK && cli_progress_update(&drop->progress, &drop->state);
}

static bool drop_key(void *context, const struct cli_place *place)
{
    return drop_done(context, place, bitcask_delete(place->partition, place->entry->key, place->entry->key_size, NULL));
}

static bool drop_below(void *context, const struct cli_place *place)
{
    if (!place->parent) return true; /* the topmost goes last, under its own name */
    size_t size = place->entry->key_size;
    return drop_done(context, place, bitcask_partition_drop(place->parent, place->entry->key, size, 0));
}

/* Empties the partition. Returns an exit status. */
static int empty(const struct cli_store *store, const struct cli_path *path, bool quiet)
{
    struct drop drop = {.store = store, .path = path};
    struct cli_visitor visitor = {.key = drop_key, .leave = drop_below, .context = &drop};

    cli_progress_begin(&drop.progress, quiet);
    drop.progress.noun = "names";
    int status = cli_tree_walk(store, path->full, &visitor);
    cli_progress_clear(&drop.progress);
    if (cli_progress_signal() != 0)
        return cli_tell_stopped(store->path, "what was deleted before is gone, the rest is as it was");
    return status != CLI_OK ? status : drop.status;
}

static int drop(const struct cli_store *store, const struct cli_path *path, const struct arguments *arguments)
{
    bitcask_partition *parent = NULL;
    int status = arguments->recursive ? empty(store, path, arguments->quiet) : CLI_OK;

    if (status != CLI_OK) return status;
    bitcask_status dropped = bitcask_partition_open(store->db, path->parent, &parent);
    if (dropped == BITCASK_OK) dropped = bitcask_partition_drop(parent, path->name, path->name_size, 0);
    bitcask_partition_close(&parent);
    if (dropped == BITCASK_NOT_EMPTY)
        return cli_error("%s/%s: is not empty; partition drop --recursive deletes what is in it, too", store->path,
                         path->full);
    return dropped == BITCASK_OK ? CLI_OK : cli_fail(store, path->full, dropped);
}

/* ---- rename ---- */

static int rename_to(const struct cli_store *store, const struct cli_path *from, const struct cli_path *to)
{
    bitcask_partition *from_parent = NULL, *to_parent = NULL, *moved = NULL;
    int status = CLI_OK;

    bitcask_status found = bitcask_partition_open(store->db, from->full, &moved);
    bitcask_partition_close(&moved);
    if (found == BITCASK_OK) found = bitcask_partition_open(store->db, from->parent, &from_parent);
    if (found != BITCASK_OK) {
        status = cli_fail(store, from->full, found);
        goto out;
    }
    found = bitcask_partition_open(store->db, to->parent, &to_parent);
    if (found != BITCASK_OK) {
        status = cli_fail(store, to->parent, found);
        goto out;
    }
    const bitcask_move_item item = {.from = from_parent,
                                    .from_key = from->name,
                                    .from_key_size = from->name_size,
                                    .to = to_parent,
                                    .to_key = to->name,
                                    .to_key_size = to->name_size,
                                    .flags = BITCASK_NOREPLACE};
    found = bitcask_move(store->db, &item, 1, NULL);
    if (found != BITCASK_OK) status = cli_fail(store, found == BITCASK_EXISTS ? to->full : from->full, found);

out:
    bitcask_partition_close(&from_parent);
    bitcask_partition_close(&to_parent);
    return status;
}

/* ---- ls ---- */

struct listing {
    const struct arguments *arguments;
    const struct cli_store *store;
    int status;
};

static void print_partition(struct listing *listing, const char *path, const bitcask_entry *entry, uint64_t id)
{
    enum cli_escape escape = listing->arguments->escaped ? CLI_ESCAPE_QUOTED
                             : listing->arguments->null  ? CLI_ESCAPE_NOTHING
                                                         : cli_output_escape();
    if (listing->arguments->json) {
        putchar('{');
        cli_print_json_member(stdout, "path", path, strlen(path));
        printf(", \"id\": \"%016" PRIx64 "\", \"inode\": %" PRIu64 "}\n", id, entry->ino);
        return;
    }
    cli_print_name(stdout, path, escape);
    putchar('/');
    putchar(listing->arguments->null ? 0 : '\n');
}

static bool list_one(void *context, const struct cli_place *place)
{
    struct listing *listing = context;

    if (place->parent) print_partition(listing, place->path, place->entry, bitcask_partition_id(place->partition));
    return !ferror(stdout);
}

/* The partitions in the partition, without opening them. */
static bitcask_status list_flat(struct listing *listing, const char *path)
{
    static const bitcask_query_options options = {.partitions = true};
    char name[BITCASK_NAME_MAX + 1];
    bitcask_partition *partition = NULL;
    bitcask_query *query = NULL;
    bitcask_entry entry;

    bitcask_status status = bitcask_partition_open(listing->store->db, path, &partition);
    if (status == BITCASK_OK) status = bitcask_query_open(partition, &options, &query);
    bool running = status == BITCASK_OK;
    while (status == BITCASK_OK && !ferror(stdout)) {
        status = bitcask_query_next(query, &entry);
        if (status != BITCASK_OK) break;
        memcpy(name, entry.key, entry.key_size);
        name[entry.key_size] = 0;
        print_partition(listing, name, &entry, entry.partition_id);
    }
    bitcask_query_close(&query);
    bitcask_partition_close(&partition);
    return running && status == BITCASK_NOT_FOUND ? BITCASK_OK : status;
}

static int list(const struct cli_store *store, const struct cli_path *path, const struct arguments *arguments)
{
    struct listing listing = {.arguments = arguments, .store = store};
    struct cli_visitor visitor = {.enter = list_one, .only_partitions = true, .context = &listing};
    int status = CLI_OK;

    if (arguments->recursive) {
        status = cli_tree_walk(store, path->full, &visitor);
    } else {
        bitcask_status listed = list_flat(&listing, path->full);
        if (listed != BITCASK_OK) status = cli_fail(store, path->full, listed);
    }
    return cli_finish_output(status);
}

/* ---- the command ---- */

enum action { CREATE, DROP, RENAME, LS };

static const struct {
    const char *name;
    const char *options; /* of getopt */
    enum cli_access access;
    int least, most;  /* operands */
    const char *verb; /* through the mount */
} actions[] = {
    [CREATE] = {"create", "peh", CLI_CREATE, 2, 2, "mkdir"},
    [DROP] = {"drop", "rqeh", CLI_WRITE, 2, 2, "rmdir"},
    [RENAME] = {"rename", "eh", CLI_WRITE, 3, 3, "mv -nT"},
    [LS] = {"ls", "rj0eh", CLI_READ, 1, 2, NULL},
};

static const char *const action_names[] = {"create", "drop", "rename", "ls"};

/* Does it, with the operands in operands. Returns an exit status. */
static int act(enum action action, const struct arguments *arguments, int count, char **operands)
{
    struct cli_store store = {0};
    struct cli_path path = {0}, to = {0};
    bool ls = action == LS;

    int status = cli_path_parse(operands[0], count > 1 ? operands[1] : "", &path);
    if (status == CLI_OK && action == RENAME) status = cli_path_parse(operands[0], operands[2], &to);
    if (status == CLI_OK && !ls && (path.name_size == 0 || (action == RENAME && to.name_size == 0)))
        status = cli_error("%s: the root partition is always there; name one below it", operands[0]);
    if (status != CLI_OK) goto out;
    store.remedy = (struct cli_remedy){actions[action].verb, path.full, action == RENAME ? to.full : NULL};
    if (action == DROP && arguments->recursive) store.remedy.verb = "rm -r";
    if (action == CREATE && arguments->parents) store.remedy.verb = "mkdir -p";
    status = cli_store_open(&store, operands[0], actions[action].access);
    if (status == CLI_OK) {
        status = action == CREATE   ? create(&store, &path, arguments->parents)
                 : action == DROP   ? drop(&store, &path, arguments)
                 : action == RENAME ? rename_to(&store, &path, &to)
                                    : list(&store, &path, arguments);
    }
    status = cli_store_close(&store, status);

out:
    cli_path_release(&path);
    cli_path_release(&to);
    return status;
}

int cli_partition(int argc, char **argv)
{
    static const struct option options[] = {{"parents", no_argument, NULL, 'p'},
                                            {"recursive", no_argument, NULL, 'r'},
                                            {"quiet", no_argument, NULL, 'q'},
                                            {"json", no_argument, NULL, 'j'},
                                            {"null", no_argument, NULL, '0'},
                                            {"escape", no_argument, NULL, 'e'},
                                            {"help", no_argument, NULL, CLI_OPTION_HELP},
                                            {NULL, 0, NULL, 0}};
    const size_t count = sizeof(actions) / sizeof(actions[0]);
    struct arguments arguments = {0};
    const char *word = argc > 1 ? argv[1] : "";
    size_t action = 0;

    if (!strcmp(word, "--help") || !strcmp(word, "-h")) return cli_help("partition");
    if (argc < 2) return cli_usage("partition", "partition: one of create, drop, rename and ls is missing");
    while (action < count && strcmp(word, actions[action].name) != 0) action++;
    if (action == count) return cli_unknown("partition", word, action_names, count);
    argv[1] = argv[0];
    argc--;
    argv++;
    for (int c; (c = getopt_long(argc, argv, "prqj0eh", options, NULL)) != -1;) {
        if (c == CLI_OPTION_HELP) return cli_help("partition");
        if (c == '?') return CLI_USAGE;
        if (!strchr(actions[action].options, c))
            return cli_usage("partition", "partition %s: has no option -%c", actions[action].name, c);
        arguments.parents |= c == 'p';
        arguments.recursive |= c == 'r';
        arguments.quiet |= c == 'q';
        arguments.json |= c == 'j';
        arguments.null |= c == '0';
        arguments.escaped |= c == 'e';
    }
    int status = cli_check_operands("partition", argc, argv, optind, actions[action].least, actions[action].most);
    if (status == CLI_OK && arguments.escaped) status = cli_unescape_operands(argc, argv, optind);
    if (status != CLI_OK) return status;
    return act((enum action)action, &arguments, argc - optind, argv + optind);
}
