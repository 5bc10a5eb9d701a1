/* stats.c - the command stats: what a store holds, as a table, as JSON, or as metrics for Prometheus.
 *
 * It reads, beside a daemon that has the store mounted too, and then sees what that has committed. What only the daemon
 * knows, the counters of what it did, it is asked for through its mount.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli.h"
#include "in_use.h"
#include "output.h"
#include "path.h"

/* ---- metrics ---- */

/* Copies what the daemon says. False: it cannot be asked. */
static bool ask_daemon(const char *mountpoint, const char *path)
{
    char *name = NULL, buffer[65536];
    ssize_t got = -1;
    int fd;

    if (asprintf(&name, "%s/%s%s.bitcask/metrics", mountpoint, path, *path ? "/" : "") < 0) return false;
    fd = open(name, O_RDONLY | O_CLOEXEC);
    free(name);
    if (fd >= 0) got = read(fd, buffer, sizeof buffer);
    if (got > 0) {
        printf("# As of now, from the daemon that has the store mounted at ");
        cli_print_path(stdout, mountpoint);
        putchar('\n');
    }
    for (; got > 0; got = read(fd, buffer, sizeof buffer)) fwrite(buffer, 1, (size_t)got, stdout);
    if (fd >= 0) close(fd);
    return got == 0;
}

struct printer {
    bitcask_metric previous; /* its name lives for ever */
    bool any;
};

/* Only what is on disk: a command that reads has done nothing else that would be worth counting. */
static bool print_metric(void *context, const bitcask_metric *metric)
{
    struct printer *printer = context;

    if (metric->type != BITCASK_GAUGE) return true;
    bitcask_metric_print(stdout, metric, printer->any ? &printer->previous : NULL);
    printer->previous = *metric;
    printer->any = true;
    return !ferror(stdout);
}

static bitcask_status print_metrics(bitcask_partition *partition, const char *mountpoint)
{
    struct printer printer = {.any = false};
    time_t now = time(NULL);
    struct tm parts;
    char text[40] = "now";

    if (gmtime_r(&now, &parts)) strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
    printf("# As of %s, read from the store's files; counters are known to the process that does the work alone.\n",
           text);
    if (mountpoint) {
        printf("# That one, which cannot be asked, has it mounted at ");
        cli_print_path(stdout, mountpoint);
        puts(", and may know more than it has committed.");
    }
    return bitcask_metrics(partition, BITCASK_BELOW | BITCASK_UNOPENED, print_metric, &printer);
}

/* ---- table and JSON ---- */

/* A partition being surveyed: its sub-partitions are still to come. */
struct level {
    bitcask_partition *partition;
    bitcask_query *query;
    char *path; /* for messages; owned */
};

/* A sum over partitions, and where it was found wanting. The levels are a stack of our own: how deep directories are
 * nested is up to whoever writes the store. */
struct survey {
    const struct cli_store *store;
    bool json;
    bool list_segments;       /* as they come, ahead of the sum: there may be many */
    uint64_t segments_listed; /* so far */
    const char *path;         /* of the partition whose segments are being listed */
    uint64_t partitions;
    bitcask_stats sum;
    char *mountpoint; /* where a daemon has the store mounted; owned; NULL: nowhere */
    struct level *levels;
    size_t depth;
    size_t room;
    int status; /* exit status: a partition that cannot be read is told and left out */
};

static void survey_add(struct survey *survey, const bitcask_stats *stats)
{
    bitcask_stats *sum = &survey->sum;
    survey->partitions++;
    sum->live_keys += stats->live_keys;
    sum->live_bytes += stats->live_bytes;
    sum->dead_bytes += stats->dead_bytes;
    sum->data_bytes += stats->data_bytes;
    sum->segments += stats->segments;
    sum->index_bytes += stats->index_bytes;
    sum->key_bytes += stats->key_bytes;
    sum->damaged_regions += stats->damaged_regions;
    sum->tombstone_bytes += stats->tombstone_bytes;
    sum->hint_bytes += stats->hint_bytes;
    sum->checkpoint_bytes += stats->checkpoint_bytes;
}

/* What is counted for the whole store alone. */
static void survey_add_store(struct survey *survey, bitcask *db)
{
    bitcask_stats stats = {0};

    if (bitcask_get_stats(db, &stats) != BITCASK_OK) return; /* it was read all the same */
    survey->sum.index_limit_bytes = stats.index_limit_bytes;
    survey->sum.memory_closes = stats.memory_closes;
    survey->sum.open_ns = stats.open_ns;
}

static bool print_segment(void *context, const bitcask_segment_info *segment)
{
    struct survey *survey = context;
    uint64_t dead = segment->bytes > segment->live_bytes ? segment->bytes - segment->live_bytes : 0;
    double dead_percent = segment->bytes ? 100.0 * (double)dead / (double)segment->bytes : 0;

    survey->segments_listed++;
    if (!survey->json) {
        printf("%-11s %10" PRIu32 " %10" PRIu32 " %10" PRIu64 " %10" PRIu64 " %5.1f %10" PRIu64 " %10" PRIu64
               " %10" PRIu64 " %-7s ",
               segment->file, segment->segment_id, segment->lowest_id, segment->bytes, segment->live_bytes,
               dead_percent, segment->live_keys, segment->tombstone_bytes, segment->hint_bytes,
               segment->damaged ? "DAMAGED" : "ok");
        cli_print_path(stdout, survey->path);
        putchar('\n');
        return !ferror(stdout);
    }
    fputs(survey->segments_listed > 1 ? ", {" : "{", stdout);
    cli_print_json_member(stdout, "partition", survey->path, strlen(survey->path));
    fputs(", ", stdout);
    cli_print_json_member(stdout, "file", segment->file, strlen(segment->file));
    printf(", \"id\": %" PRIu32 ", \"lowest_id\": %" PRIu32 ", \"active\": %s, \"bytes\": %" PRIu64
           ", \"live_bytes\": %" PRIu64 ", \"dead_percent\": %.1f, \"live_keys\": %" PRIu64
           ", \"tombstone_bytes\": %" PRIu64 ", \"hint_bytes\": %" PRIu64 ", \"damaged\": %s}",
           segment->segment_id, segment->lowest_id, segment->active ? "true" : "false", segment->bytes,
           segment->live_bytes, dead_percent, segment->live_keys, segment->tombstone_bytes, segment->hint_bytes,
           segment->damaged ? "true" : "false");
    return !ferror(stdout);
}

/* Counts partition and puts it on the stack. Takes over partition and path, also when it fails. */
static void survey_enter(struct survey *survey, bitcask_partition *partition, char *path)
{
    static const bitcask_query_options only_partitions = {.partitions = true};
    struct level level = {.partition = partition, .path = path};
    bitcask_stats stats;

    if (!path || survey->depth == survey->room) {
        size_t room = survey->room ? 2 * survey->room : 16;
        struct level *grown = path ? realloc(survey->levels, room * sizeof(*grown)) : NULL;
        if (!grown) {
            survey->status = cli_error("out of memory");
            goto fail;
        }
        survey->levels = grown;
        survey->room = room;
    }
    memset(&stats, 0, sizeof(stats));
    bitcask_status status = bitcask_partition_stats(partition, &stats);
    survey->path = path;
    if (status == BITCASK_OK && survey->list_segments) status = bitcask_segments(partition, print_segment, survey);
    if (status == BITCASK_OK) status = bitcask_query_open(partition, &only_partitions, &level.query);
    if (status == BITCASK_OK) {
        survey_add(survey, &stats);
        survey->levels[survey->depth++] = level;
        return;
    }
    /* A partition may have gone since its parent was listed. */
    if (status != BITCASK_NOT_FOUND || survey->depth == 0) survey->status = cli_fail(survey->store, path, status);

fail:
    free(path);
    bitcask_partition_close(&partition);
}

/* Goes on with the topmost partition: enters its next sub-partition, or leaves it. */
static void survey_step(struct survey *survey)
{
    struct level *top = &survey->levels[survey->depth - 1];
    bitcask_entry entry;
    bitcask_partition *child = NULL;
    char *path = NULL;

    bitcask_status status = bitcask_query_next(top->query, &entry);
    if (status != BITCASK_OK) {
        if (status != BITCASK_NOT_FOUND) survey->status = cli_fail(survey->store, top->path, status);
        bitcask_query_close(&top->query);
        bitcask_partition_close(&top->partition);
        free(top->path);
        survey->depth--;
        return;
    }
    if (asprintf(&path, "%s%s%.*s", top->path, *top->path ? "/" : "", (int)entry.key_size, (const char *)entry.key) < 0)
        path = NULL;
    status = bitcask_partition_open_at(top->partition, entry.key, entry.key_size, &child);
    if (status == BITCASK_OK) {
        survey_enter(survey, child, path);
        return;
    }
    if (status != BITCASK_NOT_FOUND) survey->status = cli_fail(survey->store, path, status);
    free(path);
}

/* What comes ahead of the segments. */
static void print_segments_begin(const struct survey *survey)
{
    if (survey->json)
        fputs("{\"segments\": [", stdout);
    else
        printf("%-11s %10s %10s %10s %10s %5s %10s %10s %10s %-7s %s\n", "file", "id", "lowest", "bytes", "live",
               "dead%", "keys", "tombstones", "hint", "check", "partition");
}

static void print_survey(const struct survey *survey)
{
    const bitcask_stats *sum = &survey->sum;
    const struct {
        const char *name, *meaning;
        uint64_t value;
    } rows[] = {
        {"partitions", "this one and all below it", survey->partitions},
        {"live_keys", "keys and partitions with a name", sum->live_keys},
        {"live_bytes", "bytes of records in use", sum->live_bytes},
        {"dead_bytes", "bytes of the data files that are not in use", sum->dead_bytes},
        {"tombstone_bytes", "of these, deletions that older data may still need", sum->tombstone_bytes},
        {"data_bytes", "bytes of the data files", sum->data_bytes},
        {"hint_bytes", "bytes of the hint files", sum->hint_bytes},
        {"checkpoint_bytes", "bytes of the checkpoints of indexes", sum->checkpoint_bytes},
        {"segments", "data files", sum->segments},
        {"index_bytes", "bytes of memory that the indexes take, keys included", sum->index_bytes},
        {"key_bytes", "of these, the keys", sum->key_bytes},
        {"index_limit_bytes", "bytes of memory that indexes may take at once", sum->index_limit_bytes},
        {"memory_closes", "partitions closed, on the way, to stay within that", sum->memory_closes},
        {"open_ns", "nanoseconds spent in opening partitions", sum->open_ns},
        {"damaged_regions", "stretches of data files that fail their check", sum->damaged_regions},
    };
    const size_t count = sizeof(rows) / sizeof(rows[0]);
    const char *before = "{";

    if (survey->list_segments) {
        fputs(survey->json ? "]" : "\n", stdout);
        before = ", ";
    }
    for (size_t i = 0; i < count; i++) {
        if (survey->json && survey->list_segments && strcmp(rows[i].name, "segments") == 0) continue; /* the array is */
        if (survey->json)
            printf("%s\"%s\": %" PRIu64, before, rows[i].name, rows[i].value);
        else
            printf("%-17s %15" PRIu64 "  %s\n", rows[i].name, rows[i].value, rows[i].meaning);
        before = ", ";
    }
    if (survey->json && survey->mountpoint) {
        fputs(", ", stdout);
        cli_print_json_member(stdout, "mounted_at", survey->mountpoint, strlen(survey->mountpoint));
    }
    if (survey->json) {
        puts("}");
    } else if (survey->mountpoint) {
        fputs("\nAs committed by the daemon that has the store mounted at ", stdout);
        cli_print_path(stdout, survey->mountpoint);
        puts(";\nwhat it has counted, and not committed yet, it says itself: .bitcask/stats there.");
    }
}

int cli_stats(int argc, char **argv)
{
    static const struct option options[] = {{"json", no_argument, NULL, 'j'},
                                            {"prometheus", no_argument, NULL, 'p'},
                                            {"segments", no_argument, NULL, 's'},
                                            {"escape", no_argument, NULL, 'e'},
                                            {"help", no_argument, NULL, CLI_OPTION_HELP},
                                            {NULL, 0, NULL, 0}};
    struct cli_store store = {0};
    struct cli_path path = {0};
    bitcask_partition *partition = NULL;
    struct survey survey = {.store = &store};
    bool prometheus = false, escaped = false;

    for (int c; (c = getopt_long(argc, argv, "jpseh", options, NULL)) != -1;) {
        switch (c) {
        case CLI_OPTION_HELP: return cli_help("stats");
        case 'j': survey.json = true; break;
        case 'p': prometheus = true; break;
        case 's': survey.list_segments = true; break;
        case 'e': escaped = true; break;
        default: return CLI_USAGE;
        }
    }
    int status = cli_check_operands("stats", argc, argv, optind, 1, 2);
    if (status == CLI_OK && escaped) status = cli_unescape_operands(argc, argv, optind);
    if (status != CLI_OK) return status;
    if (prometheus && (survey.json || survey.list_segments))
        return cli_usage("stats", "stats: --prometheus goes with neither --json nor --segments");
    status = cli_path_parse(argv[optind], argc > optind + 1 ? argv[optind + 1] : "", &path);
    if (status != CLI_OK) return status;
    survey.mountpoint = cli_mountpoint_of(argv[optind]);
    if (prometheus && survey.mountpoint && ask_daemon(survey.mountpoint, path.full)) {
        status = cli_finish_output(CLI_OK);
        goto out;
    }
    status = cli_store_open(&store, argv[optind], CLI_READ);
    if (status != CLI_OK) goto out;

    bitcask_status opened = bitcask_partition_open(store.db, path.full, &partition);
    if (opened == BITCASK_OK && prometheus) {
        opened = print_metrics(partition, survey.mountpoint);
        if (opened != BITCASK_OK) status = cli_fail(&store, path.full, opened);
        bitcask_partition_close(&partition);
    } else if (opened == BITCASK_OK) {
        if (survey.list_segments) print_segments_begin(&survey);
        survey_enter(&survey, partition, strdup(path.full));
        while (survey.depth > 0) survey_step(&survey);
        free(survey.levels);
        survey_add_store(&survey, store.db);
        print_survey(&survey);
        status = survey.status;
    } else {
        status = cli_fail(&store, path.full, opened);
    }
    status = cli_finish_output(status);

out:
    status = cli_store_close(&store, status);
    free(survey.mountpoint);
    cli_path_release(&path);
    return status;
}
