/* metrics_text.c - a metric in the text format that Prometheus reads.
 */
#include <inttypes.h>
#include <string.h>

#include "db/metrics.h"

/* A value of a label: what is not plain is told as \xNN, in which the format wants the backslash doubled. */
static void print_label(FILE *out, const char *name, const char *value)
{
    fprintf(out, "%s=\"", name);
    for (const unsigned char *at = (const unsigned char *)value; *at; at++) {
        if (*at >= ' ' && *at <= '~' && *at != '\\' && *at != '"')
            fputc(*at, out);
        else
            fprintf(out, "\\\\x%02x", *at);
    }
    fputc('"', out);
}

/* NAME{LABELS} with upto, if given, as its last label. */
static void print_name(FILE *out, const bitcask_metric *metric, const char *suffix, const char *upto)
{
    const char *names[] = {"partition", "operation", "le"};
    const char *values[] = {metric->partition, metric->operation, upto};
    char before = '{';

    fprintf(out, "%s%s", metric->name, suffix);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (!values[i]) continue;
        fputc(before, out);
        print_label(out, names[i], values[i]);
        before = ',';
    }
    fputs(before == '{' ? " " : "} ", out);
}

static void print_seconds(FILE *out, uint64_t ns)
{
    fprintf(out, "%" PRIu64 ".%09" PRIu64 "\n", ns / 1000000000u, ns % 1000000000u);
}

static void print_buckets(FILE *out, const bitcask_metric *metric)
{
    uint64_t sum = 0;

    for (unsigned i = 0; i < BITCASK_HISTOGRAM_BUCKETS; i++) {
        uint64_t bound_ns = BITCASK_HISTOGRAM_BOUND_NS(i);
        char upto[40] = "+Inf";

        if (i + 1 < BITCASK_HISTOGRAM_BUCKETS)
            snprintf(upto, sizeof upto, "%" PRIu64 ".%09" PRIu64, bound_ns / 1000000000u, bound_ns % 1000000000u);
        sum += metric->histogram->counts[i];
        print_name(out, metric, "_bucket", upto);
        fprintf(out, "%" PRIu64 "\n", sum);
    }
}

void bc_metric_print(FILE *out, const bitcask_metric *metric, const bitcask_metric *previous)
{
    static const char *const types[] = {"counter", "gauge", "histogram", "summary"};

    if (!previous || strcmp(previous->name, metric->name) != 0)
        fprintf(out, "# HELP %s %s\n# TYPE %s %s\n", metric->name, metric->help, metric->name, types[metric->type]);
    if (!metric->histogram) {
        print_name(out, metric, "", NULL);
        if (metric->nanoseconds)
            print_seconds(out, metric->value);
        else
            fprintf(out, "%" PRIu64 "\n", metric->value);
        return;
    }
    if (metric->type == BITCASK_HISTOGRAM) print_buckets(out, metric);
    print_name(out, metric, "_sum", NULL);
    print_seconds(out, metric->histogram->sum_ns);
    print_name(out, metric, "_count", NULL);
    fprintf(out, "%" PRIu64 "\n", metric->histogram->count);
}
