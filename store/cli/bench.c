/* bench.c - the command that measures how fast a store is on this machine and disk.
 */
#include <dirent.h>
#include <errno.h>
#include <ftw.h>
#include <getopt.h>
#include <inttypes.h>
#include <langinfo.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bench_work.h"
#include "output.h"

enum {
    OPS = 100000,
    VALUE_SIZE = 100,
    THREADS_MOST = 256,
    BAR = 24,           /* cells of the chart's bars */
    CELLS_A_DECADE = 8, /* of the chart's times */
    DECADES = 6,
    FIRST_NS = 100 /* where the chart's times begin */
};

struct arguments {
    uint64_t ops, value_size, threads;
    bool keep, json, quiet;
    bool wanted[CLI_BENCH_WORKLOADS];
    const char *store;
};

/* A workload that was measured, for the chart. */
struct measured {
    const struct cli_bench_workload *workload;
    struct cli_bench_result result;
};

/* ---- printing ---- */

static double per_second(const struct cli_bench_result *result)
{
    return result->elapsed_ns > 0 ? (double)result->ops * 1e9 / (double)result->elapsed_ns : 0;
}

static void print_time(uint64_t ns)
{
    double time = (double)ns;
    const char *unit = "ns";

    if (time >= 1e9) {
        time /= 1e9;
        unit = "s";
    } else if (time >= 1e6) {
        time /= 1e6;
        unit = "ms";
    } else if (time >= 1e3) {
        time /= 1e3;
        unit = "us";
    }
    printf("  %6.*f %-2s", ns < 1000 ? 0 : time < 10 ? 2 : time < 100 ? 1 : 0, time, unit);
}

static void print_result(const struct arguments *arguments, const struct measured *measured)
{
    const struct cli_bench_result *result = &measured->result;
    uint64_t p50 = cli_histogram_quantile(&result->times, 0.5), p99 = cli_histogram_quantile(&result->times, 0.99),
             p999 = cli_histogram_quantile(&result->times, 0.999);

    if (arguments->json) {
        printf("{\"workload\": \"%s\", \"ops\": %" PRIu64 ", \"threads\": %" PRIu64 ", \"value_bytes\": %" PRIu64
               ", \"elapsed_ns\": %" PRIu64 ", \"ops_per_s\": %.1f, \"p50_ns\": %" PRIu64 ", \"p99_ns\": %" PRIu64
               ", \"p999_ns\": %" PRIu64 ", \"max_ns\": %" PRIu64 ", \"merges\": %" PRIu64 "}\n",
               measured->workload->name, result->ops, arguments->threads, arguments->value_size, result->elapsed_ns,
               per_second(result), p50, p99, p999, result->times.max_ns, result->merges);
    } else {
        printf("%-9s %9" PRIu64 " %11.0f", measured->workload->name, result->ops, per_second(result));
        print_time(p50);
        print_time(p99);
        print_time(p999);
        print_time(result->times.max_ns);
        printf("  %s\n", measured->workload->meaning);
    }
    fflush(stdout); /* at once, for who watches */
}

/* The characters of the chart, from none to most. */
static const char *const *shades(size_t *count)
{
    static const char *const blocks[] = {" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
    static const char *const letters[] = {" ", ".", ":", "-", "=", "+", "*", "%", "#"};

    *count = sizeof(blocks) / sizeof(blocks[0]);
    return strcmp(nl_langinfo(CODESET), "UTF-8") == 0 ? blocks : letters;
}

/* Operations a second as a bar; beside it, how the times of single ones lie on a scale from 100 ns to 100 ms, ten times
 * as much every eight cells. */
static void print_chart(const struct measured *all, size_t count)
{
    double most = 0;
    size_t steps;
    const char *const *shade = shades(&steps);

    for (size_t i = 0; i < count; i++)
        if (per_second(&all[i].result) > most) most = per_second(&all[i].result);
    printf("\n%-9s %-*s %s\n", "", BAR, "operations a second", "100ns   1us     10us    100us   1ms     10ms");
    for (size_t i = 0; i < count; i++) {
        const struct cli_bench_result *result = &all[i].result;
        uint64_t cells[CELLS_A_DECADE * DECADES], highest = 1;
        int filled = most > 0 ? (int)(per_second(result) / most * BAR + 0.5) : 0;
        double from = 0, to = FIRST_NS;

        printf("%-9s ", all[i].workload->name);
        for (int cell = 0; cell < BAR; cell++) fputs(cell < filled ? shade[steps - 1] : shade[0], stdout);
        putchar('|');
        for (size_t cell = 0; cell < CELLS_A_DECADE * DECADES; cell++, from = to) {
            to = cell + 1 == CELLS_A_DECADE * DECADES ? 1e18 : (from > 0 ? to : FIRST_NS) * 1.3335214321633240;
            cells[cell] = cli_histogram_between(&result->times, (uint64_t)from, (uint64_t)to);
            if (cells[cell] > highest) highest = cells[cell];
        }
        for (size_t cell = 0; cell < CELLS_A_DECADE * DECADES; cell++) {
            size_t level = (size_t)((cells[cell] * (steps - 1) + highest - 1) / highest);
            fputs(shade[level], stdout);
        }
        puts("|");
    }
}

/* ---- the store ---- */

/* Whether path can be made a store for a while: absent, or empty. *there: it is a directory already. */
static int check_place(const char *path, bool *there)
{
    DIR *directory = opendir(path);
    bool empty = true;

    *there = directory != NULL;
    if (!directory && errno == ENOENT) return CLI_OK;
    if (!directory) return cli_error("%s: %s", path, strerror(errno));
    for (struct dirent *entry; (entry = readdir(directory));)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) empty = false;
    closedir(directory);
    return empty ? CLI_OK
                 : cli_error("%s: is not empty; bench makes a store of its own, and removes it in the end", path);
}

static int remove_one(const char *path, const struct stat *info, int type, struct FTW *place)
{
    (void)info;
    (void)type;
    return place->level == 0 ? 0 : remove(path);
}

/* Removes the store that was made; the directory too, unless it was there before. Returns an exit status. */
static int remove_store(const char *path, bool was_there)
{
    if (nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT) == 0 && (was_there || rmdir(path) == 0))
        return CLI_OK;
    return cli_error("%s: cannot be removed: %s", path, strerror(errno));
}

/* ---- the command ---- */

/* Reads a number with K or M behind it, from least to most. Returns an exit status. */
static int parse_number(const char *option, const char *text, uint64_t least, uint64_t most, uint64_t *number)
{
    char *end;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    unsigned shift = *end == 'K' || *end == 'k' ? 10 : *end == 'M' || *end == 'm' ? 20 : 0;

    if (shift > 0) end++;
    if (*text < '0' || *text > '9' || *end || errno || value > most >> shift || value << shift < least)
        return cli_usage("bench", "bench: %s %s: wants a number from %" PRIu64 " to %" PRIu64, option, text, least,
                         most);
    *number = value << shift;
    return CLI_OK;
}

static int parse_workloads(int argc, char **argv, int first, struct arguments *arguments)
{
    const char *names[CLI_BENCH_WORKLOADS];

    for (size_t i = 0; i < CLI_BENCH_WORKLOADS; i++) {
        names[i] = cli_bench_workloads[i].name;
        arguments->wanted[i] = first == argc;
    }
    for (int a = first; a < argc; a++) {
        size_t i = 0;
        while (i < CLI_BENCH_WORKLOADS && strcmp(argv[a], names[i]) != 0) i++;
        if (i == CLI_BENCH_WORKLOADS) return cli_unknown("bench", argv[a], names, CLI_BENCH_WORKLOADS);
        arguments->wanted[i] = true;
    }
    return CLI_OK;
}

/* Runs what is wanted, and fill in any case: the others need its keys. Returns an exit status. */
static int run_all(struct cli_bench *bench, const struct arguments *arguments, struct measured *all, size_t *count)
{
    int status = CLI_OK;

    for (size_t i = 0; i < CLI_BENCH_WORKLOADS && status == CLI_OK && cli_progress_signal() == 0; i++) {
        struct measured *measured = &all[*count];
        if (!arguments->wanted[i] && bench->filled) continue;
        memset(measured, 0, sizeof(*measured));
        measured->workload = &cli_bench_workloads[i];
        status = measured->workload->run(bench, &measured->result);
        if (status != CLI_OK || cli_progress_signal() != 0 || !arguments->wanted[i]) continue;
        print_result(arguments, measured);
        ++*count;
        if (ferror(stdout)) break;
    }
    return status;
}

static int bench_store(struct cli_bench *bench, const struct arguments *arguments)
{
    struct measured *all = calloc(CLI_BENCH_WORKLOADS, sizeof(*all));
    size_t count = 0;
    bool there;

    if (!all) return cli_error("out of memory");
    int status = check_place(arguments->store, &there);
    if (status != CLI_OK) goto out;
    cli_progress_begin(&bench->progress, arguments->quiet);
    bench->progress.noun = "operations";
    status = cli_store_open(&bench->store, arguments->store, CLI_CREATE);
    if (status == CLI_OK) {
        if (!arguments->json)
            printf("%-9s %9s %11s  %9s  %9s  %9s  %9s  an operation is\n", "workload", "ops", "ops/s", "p50", "p99",
                   "p99.9", "max");
        status = run_all(bench, arguments, all, &count);
        cli_progress_clear(&bench->progress);
        if (!arguments->json && isatty(STDOUT_FILENO) && count > 0) print_chart(all, count);
        status = cli_store_close(&bench->store, status);
        int removed = arguments->keep ? CLI_OK : remove_store(arguments->store, there);
        if (status == CLI_OK) status = removed;
    } else {
        status = cli_store_close(&bench->store, status);
    }
    if (cli_progress_signal() != 0)
        status = cli_tell_stopped(arguments->store, arguments->keep ? "the store is whole" : "the store was removed");
    status = cli_finish_output(status);

out:
    free(all);
    return status;
}

int cli_bench(int argc, char **argv)
{
    static const struct option options[] = {{"ops", required_argument, NULL, 'n'},
                                            {"size", required_argument, NULL, 's'},
                                            {"threads", required_argument, NULL, 't'},
                                            {"keep", no_argument, NULL, 'k'},
                                            {"json", no_argument, NULL, 'j'},
                                            {"quiet", no_argument, NULL, 'q'},
                                            {"help", no_argument, NULL, CLI_OPTION_HELP},
                                            {NULL, 0, NULL, 0}};
    struct arguments arguments = {.ops = OPS, .value_size = VALUE_SIZE, .threads = 1};
    struct cli_bench bench = {0};
    int status = CLI_OK;

    for (int c; status == CLI_OK && (c = getopt_long(argc, argv, "n:s:t:kjqh", options, NULL)) != -1;) {
        switch (c) {
        case CLI_OPTION_HELP: return cli_help("bench");
        case 'n': status = parse_number("--ops", optarg, 1, UINT32_MAX, &arguments.ops); break;
        case 's': status = parse_number("--size", optarg, 0, BITCASK_VALUE_MAX, &arguments.value_size); break;
        case 't': status = parse_number("--threads", optarg, 1, THREADS_MOST, &arguments.threads); break;
        case 'k': arguments.keep = true; break;
        case 'j': arguments.json = true; break;
        case 'q': arguments.quiet = true; break;
        default: return CLI_USAGE;
        }
    }
    if (status == CLI_OK) status = cli_check_operands("bench", argc, argv, optind, 1, 1 + CLI_BENCH_WORKLOADS);
    if (status == CLI_OK) status = parse_workloads(argc, argv, optind + 1, &arguments);
    if (status != CLI_OK) return status;
    arguments.store = argv[optind];
    bench.ops = arguments.ops;
    bench.value_size = arguments.value_size;
    bench.threads = (unsigned)arguments.threads;
    return bench_store(&bench, &arguments);
}
