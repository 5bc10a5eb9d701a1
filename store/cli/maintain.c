/* maintain.c - the commands that take their time: merge and verify.
 *
 * What they found or did goes to standard output; the bar and what a user should know of a failure to standard error.
 * A signal ends them through the library's progress function, so that the store is closed in good order.
 */
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "output.h"
#include "path.h"
#include "progress.h"

#define RATE_LEAST 4096u /* bytes a second; what bitcask_set_throttle() takes */

enum { OPTION_FULL = 256, OPTION_RATE, OPTION_REPAIR }; /* above every letter */

static double seconds(uint64_t ns)
{
    return (double)ns / 1e9;
}

static const char *plural(uint64_t count)
{
    return count == 1 ? "" : "s";
}

/* ---- merge ---- */

struct merge_arguments {
    const char *store;
    const char *path; /* as given */
    uint64_t bytes_per_s;
    unsigned flags;
    bool quiet;
};

/* Reads BYTES[K|M|G]. Returns an exit status. */
static int parse_rate(const char *text, uint64_t *bytes_per_s)
{
    uint64_t rate = 0, unit = 1;
    const char *p = text;
    bool good = *p >= '0' && *p <= '9';

    for (; good && *p >= '0' && *p <= '9'; p++) {
        good = rate <= (INT64_MAX - 9) / 10;
        rate = rate * 10 + (uint64_t)(*p - '0');
    }
    switch (*p) {
    case 'G':
    case 'g': unit *= 1024; /* fall through */
    case 'M':
    case 'm': unit *= 1024; /* fall through */
    case 'K':
    case 'k':
        unit *= 1024;
        p++;
        break;
    default: break;
    }
    good = good && *p == 0 && rate <= INT64_MAX / unit;
    rate *= unit;
    if (!good || (rate > 0 && rate < RATE_LEAST))
        return cli_usage("merge", "merge: --rate %s: wants bytes a second, 4096 or more (500K, 20M), or 0 for no limit",
                         text);
    *bytes_per_s = rate;
    return CLI_OK;
}

/* Reads the command line. *done: it was but a call for help, or wrong; the exit status is returned. */
static int parse_merge(int argc, char **argv, struct merge_arguments *arguments, bool *done)
{
    static const struct option options[] = {{"full", no_argument, NULL, OPTION_FULL},
                                            {"rate", required_argument, NULL, OPTION_RATE},
                                            {"quiet", no_argument, NULL, 'q'},
                                            {"escape", no_argument, NULL, 'e'},
                                            {"help", no_argument, NULL, CLI_OPTION_HELP},
                                            {NULL, 0, NULL, 0}};
    bool escaped = false;
    int status;

    *done = true;
    arguments->flags = BITCASK_BELOW;
    for (int c; (c = getopt_long(argc, argv, "qeh", options, NULL)) != -1;) {
        switch (c) {
        case CLI_OPTION_HELP: return cli_help("merge");
        case OPTION_FULL: arguments->flags |= BITCASK_MERGE_FULL; break;
        case OPTION_RATE:
            status = parse_rate(optarg, &arguments->bytes_per_s);
            if (status != CLI_OK) return status;
            break;
        case 'q': arguments->quiet = true; break;
        case 'e': escaped = true; break;
        default: return CLI_USAGE;
        }
    }
    status = cli_check_operands("merge", argc, argv, optind, 1, 2);
    if (status == CLI_OK && escaped) status = cli_unescape_operands(argc, argv, optind);
    if (status != CLI_OK) return status;
    arguments->store = argv[optind];
    arguments->path = argc > optind + 1 ? argv[optind + 1] : "";
    *done = false;
    return CLI_OK;
}

static bool merge_progress(void *context, const bitcask_progress *state)
{
    return cli_progress_update(context, state);
}

/* One line of what was merged. */
static void print_merged(const bitcask_merge_result *result)
{
    if (result->merges == 0) {
        puts("nothing to merge");
        return;
    }
    uint64_t reclaimed = result->bytes_in > result->bytes_out ? result->bytes_in - result->bytes_out : 0;
    printf("merged %" PRIu64 " segment%s into %" PRIu64 ": %" PRIu64 " bytes before, %" PRIu64 " after, %" PRIu64
           " reclaimed, in %.2f s\n",
           result->segments_in, plural(result->segments_in), result->segments_out, result->bytes_in, result->bytes_out,
           reclaimed, seconds(result->elapsed_ns));
}

/* Merges path and all below it. Returns an exit status. */
static int merge_path(const struct cli_store *store, const char *path, const struct merge_arguments *arguments)
{
    struct cli_progress progress;
    bitcask_merge_options options = {.flags = arguments->flags, .progress = merge_progress, .context = &progress};
    bitcask_merge_result result = {0};
    bitcask_partition *partition = NULL;

    bitcask_status merged = bitcask_partition_open(store->db, path, &partition);
    if (merged == BITCASK_OK) merged = bitcask_set_throttle(store->db, arguments->bytes_per_s);
    if (merged == BITCASK_OK) {
        cli_progress_begin(&progress, arguments->quiet);
        merged = bitcask_merge(partition, &options, &result);
        cli_progress_clear(&progress);
    }

    int status = CLI_OK;
    if (merged == BITCASK_CANCELLED)
        status = cli_tell_stopped(store->path, "what was merged before stands, the rest is as it was");
    else if (merged != BITCASK_OK)
        status = cli_fail(store, path, merged);
    else if (result.damaged > 0)
        status = cli_error("%s: left %" PRIu64 " damaged segment%s alone; bitcask verify %s says what is wrong",
                           store->path, result.damaged, plural(result.damaged), store->path);
    /* After a failure too, for what was merged before it. */
    if (!arguments->quiet && (merged == BITCASK_OK || result.merges > 0)) print_merged(&result);
    bitcask_partition_close(&partition);
    return status;
}

int cli_merge(int argc, char **argv)
{
    struct cli_store store = {0};
    char *control = NULL;
    struct merge_arguments arguments = {0};
    struct cli_path path = {0};
    bool done;

    int status = parse_merge(argc, argv, &arguments, &done);
    if (done) return status;
    status = cli_path_parse(arguments.store, arguments.path, &path);
    if (status != CLI_OK) return status;
    if (asprintf(&control, "%s%s.bitcask/control", path.full, *path.full ? "/" : "") < 0) control = NULL;
    if (control) store.remedy = (struct cli_remedy){"echo merge >", control, NULL};
    status = cli_store_open(&store, arguments.store, CLI_WRITE);
    if (status == CLI_OK) {
        status = merge_path(&store, path.full, &arguments);
        status = cli_finish_output(status);
    }
    status = cli_store_close(&store, status);
    free(control);
    cli_path_release(&path);
    return status;
}

/* ---- verify ---- */

/* A verify under way, and what came of it. */
struct verify {
    bool repair, json, quiet;
    struct cli_store store;
    bitcask_partition *partition;
    struct cli_path path;
    struct cli_progress progress;
    bitcask_verify_result result;
};

static void print_finding_json(const bitcask_finding *finding)
{
    static const char *const kinds[] = {
        [BITCASK_FOUND_DAMAGE] = "damage", [BITCASK_FOUND_HINT] = "hint", [BITCASK_FOUND_NOTE] = "note"};

    printf("{\"type\": \"finding\", \"kind\": \"%s\", ", kinds[finding->kind]);
    cli_print_json_member(stdout, "partition", finding->path, strlen(finding->path));
    fputs(", ", stdout);
    cli_print_json_member(stdout, "file", finding->file, strlen(finding->file));
    printf(", \"offset\": %" PRIu64 ", \"bytes\": %" PRIu64 ", ", finding->offset, finding->size);
    if (finding->key) {
        cli_print_json_member(stdout, "key", finding->key, finding->key_size);
        fputs(", ", stdout);
    }
    cli_print_json_member(stdout, "text", finding->text, strlen(finding->text));
    puts("}");
}

static void print_finding(const bitcask_finding *finding)
{
    const char *between = "";

    cli_print_path(stdout, finding->path);
    fputs(": ", stdout);
    if (*finding->file) {
        cli_print_name(stdout, finding->file, CLI_ESCAPE_QUOTED);
        fputs(": ", stdout);
    }
    if (finding->offset > 0 || finding->size > 0) {
        printf("offset %" PRIu64, finding->offset);
        between = ", ";
    }
    if (finding->size > 0) printf(", %" PRIu64 " byte%s", finding->size, plural(finding->size));
    if (finding->key) {
        printf("%skey \"", between);
        cli_print_bytes(stdout, finding->key, finding->key_size, CLI_ESCAPE_QUOTED);
        fputs("\"", stdout);
        between = ", ";
    }
    if (*between) fputs(": ", stdout);
    if (finding->kind != BITCASK_FOUND_DAMAGE) fputs("note: ", stdout);
    cli_print_name(stdout, finding->text, CLI_ESCAPE_CONTROLS);
    putchar('\n');
}

static bool verify_found(void *context, const bitcask_finding *finding)
{
    struct verify *verify = context;

    cli_progress_clear(&verify->progress);
    if (verify->json)
        print_finding_json(finding);
    else
        print_finding(finding);
    fflush(stdout); /* at once, for who watches, and in the right order with the bar */
    return !ferror(stdout) && cli_progress_signal() == 0;
}

static bool verify_progress(void *context, const bitcask_progress *state)
{
    struct verify *verify = context;
    return cli_progress_update(&verify->progress, state);
}

static void print_summary(const struct verify *verify, bool whole)
{
    const bitcask_verify_result *result = &verify->result;

    if (verify->json) {
        printf("{\"type\": \"summary\", \"partitions\": %" PRIu64 ", \"segments\": %" PRIu64 ", \"records\": %" PRIu64
               ", \"bytes\": %" PRIu64 ", \"damage\": %" PRIu64 ", \"hints\": %" PRIu64 ", \"notes\": %" PRIu64
               ", \"segments_repaired\": %" PRIu64 ", \"elapsed_ms\": %" PRIu64 ", \"complete\": %s}\n",
               result->partitions, result->segments, result->records, result->bytes, result->damage, result->hints,
               result->notes, result->segments_repaired, result->elapsed_ns / 1000000, whole ? "true" : "false");
        return;
    }
    printf("%" PRIu64 " partition%s, %" PRIu64 " segment%s, %" PRIu64 " record%s, %" PRIu64
           " bytes looked at in %.2f s: ",
           result->partitions, plural(result->partitions), result->segments, plural(result->segments), result->records,
           plural(result->records), result->bytes, seconds(result->elapsed_ns));
    if (result->damage > 0)
        printf("%" PRIu64 " damaged place%s", result->damage, plural(result->damage));
    else
        fputs(whole ? "no damage" : "no damage so far", stdout);
    if (result->hints + result->notes > 0)
        printf(", %" PRIu64 " note%s", result->hints + result->notes, plural(result->hints + result->notes));
    if (result->segments_repaired > 0)
        printf(", %" PRIu64 " segment%s set aside as *.damaged", result->segments_repaired,
               plural(result->segments_repaired));
    puts(whole ? "" : "; not all was looked at");
}

/* What is so damaged that the library cannot open it is a finding too. */
static void note_unopenable(struct verify *verify)
{
    const char *detail = bitcask_error_detail();
    char *text = strdup(*detail ? detail : bitcask_status_text(BITCASK_CORRUPT));
    bitcask_finding finding = {.kind = BITCASK_FOUND_DAMAGE,
                               .path = verify->path.full ? verify->path.full : "",
                               .file = "",
                               .text = text ? text : "damaged"};

    verify->result.damage++;
    verify_found(verify, &finding);
    free(text);
}

/* Does it. What it opened is left open, since closing might take away the library's word on a failure. */
static bitcask_status run_verify(struct verify *verify)
{
    bitcask_verify_options options = {
        .flags = BITCASK_BELOW, .found = verify_found, .progress = verify_progress, .context = verify};

    if (verify->repair) {
        signal(SIGPIPE, SIG_IGN); /* a reader that goes away must not end this half way */
        cli_progress_begin(&verify->progress, verify->quiet);
        return bitcask_repair(verify->store.path, verify->path.full, &options, &verify->result);
    }
    bitcask_status status = cli_store_try_open(&verify->store, verify->store.path, CLI_READ);
    if (status == BITCASK_OK) status = bitcask_partition_open(verify->store.db, verify->path.full, &verify->partition);
    if (status != BITCASK_OK) return status;
    cli_progress_begin(&verify->progress, verify->quiet);
    return bitcask_verify(verify->partition, &options, &verify->result);
}

/* Tells what came of it. Returns the exit status. */
static int conclude(struct verify *verify, bitcask_status status)
{
    const bitcask_verify_result *result = &verify->result;
    const char *store = verify->store.path;
    int exit_status = CLI_OK;

    cli_progress_clear(&verify->progress);
    if (status == BITCASK_CORRUPT) {
        note_unopenable(verify);
        cli_progress_clear(&verify->progress);
    }
    bool looked = status == BITCASK_OK || status == BITCASK_CORRUPT;
    if (status == BITCASK_CANCELLED) {
        exit_status = CLI_NOT_RUN; /* unless a signal came: the output is lost, and that will be told */
        if (cli_progress_signal() != 0)
            exit_status =
                cli_tell_stopped(store, verify->repair ? "what was repaired before stands" : "nothing was changed");
    } else if (!looked) {
        cli_fail(&verify->store, verify->path.full, status);
        exit_status = CLI_NOT_RUN;
    } else if (result->damage > 0) {
        exit_status = CLI_DAMAGED;
        if (result->segments_repaired > 0)
            cli_error("%s: %" PRIu64 " damaged segment%s set aside as *.damaged; what is named above comes back from a "
                      "backup alone, all else was kept",
                      store, result->segments_repaired, plural(result->segments_repaired));
        else if (verify->repair)
            cli_error("%s: is damaged, and there was nothing to repair it from; restore what is named from a backup",
                      store);
        else
            cli_error("%s: is damaged; bitcask verify --repair keeps what is good, once nobody uses the store", store);
    }
    if (!verify->quiet && (looked || status == BITCASK_CANCELLED)) print_summary(verify, status == BITCASK_OK);
    return exit_status;
}

int cli_verify(int argc, char **argv)
{
    static const struct option options[] = {{"repair", no_argument, NULL, OPTION_REPAIR},
                                            {"json", no_argument, NULL, 'j'},
                                            {"quiet", no_argument, NULL, 'q'},
                                            {"escape", no_argument, NULL, 'e'},
                                            {"help", no_argument, NULL, CLI_OPTION_HELP},
                                            {NULL, 0, NULL, 0}};
    struct verify verify = {0};
    bool escaped = false;

    for (int c; (c = getopt_long(argc, argv, "jqeh", options, NULL)) != -1;) {
        switch (c) {
        case CLI_OPTION_HELP: return cli_help("verify");
        case OPTION_REPAIR: verify.repair = true; break;
        case 'j': verify.json = true; break;
        case 'q': verify.quiet = true; break;
        case 'e': escaped = true; break;
        default: return CLI_USAGE;
        }
    }
    int status = cli_check_operands("verify", argc, argv, optind, 1, 2);
    if (status == CLI_OK && escaped && cli_unescape_operands(argc, argv, optind) != CLI_OK) status = CLI_NOT_RUN;
    if (status != CLI_OK) return status;
    verify.store.path = argv[optind];
    if (cli_path_parse(argv[optind], argc > optind + 1 ? argv[optind + 1] : "", &verify.path) != CLI_OK)
        return CLI_NOT_RUN;

    status = conclude(&verify, run_verify(&verify));
    /* Whatever else fails: the answer has not arrived, which is neither "sound" nor "damaged". */
    if (cli_finish_output(CLI_OK) != CLI_OK) status = CLI_NOT_RUN;
    bitcask_partition_close(&verify.partition);
    if (cli_store_close(&verify.store, CLI_OK) != CLI_OK) status = CLI_NOT_RUN;
    cli_path_release(&verify.path);
    return status;
}
