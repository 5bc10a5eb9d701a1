/* stats.c - the figures as JSON: the file stats, and what the page over HTTP shows. See metrics.h.
 *
 * Names of partitions are told as in the file metrics: all but printable ASCII, '\' and '"' as \xNN. So the text is
 * valid whatever bytes a name has, and no two names look alike.
 */
#include "metrics.h"

#include "commit.h"
#include "control_text.h"
#include "jobs.h"
#include "moves.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { SHOWN_PARTITIONS = 20, SHOWN_SEGMENTS = 60 };

/* Members of an object as they come: figures first, then the object of its operations. */
struct writer {
    FILE *out;
    bool any;                      /* a member was written in the present object */
    bool operations;               /* within that of the operations */
    char *partition;               /* whose object is open; owned; NULL: that of the whole */
    char *shown[SHOWN_PARTITIONS]; /* paths of the first that are open; owned */
    unsigned shown_count;
};

static void print_string(FILE *out, const char *text)
{
    fputc('"', out);
    for (const unsigned char *at = (const unsigned char *)text; *at != '\0'; at++) {
        if (*at >= ' ' && *at <= '~' && *at != '\\' && *at != '"') {
            fputc(*at, out);
        } else {
            fprintf(out, "\\\\x%02x", *at);
        }
    }
    fputc('"', out);
}

static void begin_member(struct writer *writer, const char *name)
{
    fprintf(writer->out, "%s\"%s\": ", writer->any ? ", " : "", name);
    writer->any = true;
}

static void print_seconds(FILE *out, uint64_t ns)
{
    fprintf(out, "%" PRIu64 ".%09" PRIu64, ns / 1000000000u, ns % 1000000000u);
}

/* The name without what all of them begin with, and without _total. */
static void begin_metric(struct writer *writer, const char *name)
{
    static const char *const prefixes[] = {"bitcask_partition_", "bitcask_", "bitcaskfs_"};
    char part[64];
    size_t size = 0;

    for (size_t i = writer->partition != NULL ? 0 : 1; i < sizeof(prefixes) / sizeof(prefixes[0]); i++) {
        if (strncmp(name, prefixes[i], strlen(prefixes[i])) != 0) continue;
        name += strlen(prefixes[i]);
        break;
    }
    (void)snprintf(part, sizeof(part), "%s", name);
    size = strlen(part);
    if (size > 6 && strcmp(part + size - 6, "_total") == 0) part[size - 6] = '\0';
    begin_member(writer, part);
}

static void print_histogram(FILE *out, const bitcask_metric *metric)
{
    fprintf(out, "{\"count\": %" PRIu64 ", \"seconds\": ", metric->histogram->count);
    print_seconds(out, metric->histogram->sum_ns);
    if (metric->type == BITCASK_HISTOGRAM) {
        fputs(", \"buckets\": [", out);
        for (unsigned i = 0; i < BITCASK_HISTOGRAM_BUCKETS; i++) {
            fprintf(out, "%s%" PRIu64, i > 0 ? ", " : "", metric->histogram->counts[i]);
        }
        fputc(']', out);
    }
    fputc('}', out);
}

static void end_operations(struct writer *writer)
{
    if (writer->operations) fputc('}', writer->out);
    writer->operations = false;
}

/* One figure, in the object that is open. */
static bool write_metric(void *context, const bitcask_metric *metric)
{
    struct writer *writer = context;

    if (metric->histogram == NULL) {
        end_operations(writer);
        begin_metric(writer, metric->name);
        if (metric->nanoseconds) {
            print_seconds(writer->out, metric->value);
        } else {
            fprintf(writer->out, "%" PRIu64, metric->value);
        }
        return true;
    }
    if (!writer->operations) {
        begin_member(writer, strncmp(metric->name, "bitcaskfs_", 10) == 0 ? "requests" : "operations");
        fputc('{', writer->out);
        writer->operations = true;
        writer->any = false;
    }
    begin_member(writer, metric->operation);
    print_histogram(writer->out, metric);
    writer->any = true;
    return true;
}

/* All of the whole come first, then all of one partition, and so on. */
static bool write_in_order(void *context, const bitcask_metric *metric)
{
    struct writer *writer = context;

    if (metric->partition != NULL && (writer->partition == NULL || strcmp(writer->partition, metric->partition) != 0)) {
        end_operations(writer);
        if (writer->partition == NULL) begin_member(writer, "partitions");
        fputs(writer->partition == NULL ? "[" : "}, ", writer->out);
        free(writer->partition);
        writer->partition = strdup(metric->partition);
        if (writer->partition == NULL) return false;
        writer->any = false;
        fputc('{', writer->out);
        begin_member(writer, "partition");
        print_string(writer->out, metric->partition);
    }
    /* Those that are closed are left so: to open them for a look would close others. */
    if (metric->partition != NULL && strcmp(metric->name, "bitcask_partition_open") == 0 && metric->value > 0 &&
        metric->partition[0] == '/' && writer->shown_count < SHOWN_PARTITIONS) {
        writer->shown[writer->shown_count] = strdup(metric->partition + 1);
        if (writer->shown[writer->shown_count] != NULL) writer->shown_count++;
    }
    return write_metric(writer, metric);
}

/* ---- segments ---- */

struct segments {
    FILE *out;
    unsigned count;
};

static bool write_segment(void *context, const bitcask_segment_info *segment)
{
    struct segments *segments = context;

    if (segments->count == SHOWN_SEGMENTS) return false;
    fprintf(segments->out,
            "%s{\"file\": \"%s\", \"bytes\": %" PRIu64 ", \"live_bytes\": %" PRIu64
            ", \"active\": %s, \"damaged\": %s}",
            segments->count > 0 ? ", " : "", segment->file, segment->bytes, segment->live_bytes,
            segment->active ? "true" : "false", segment->damaged ? "true" : "false");
    segments->count++;
    return true;
}

/* Those of the partitions that were told first and are open. */
static void write_segments(struct bcfs *fs, struct writer *writer)
{
    bool any = false;

    begin_member(writer, "segments_of");
    fputc('[', writer->out);
    for (unsigned i = 0; i < writer->shown_count; i++) {
        struct segments segments = {.out = writer->out};
        bitcask_partition *partition = NULL;
        char label[4096 + 2];

        if (bitcask_partition_open(fs->db, writer->shown[i], &partition) != BITCASK_OK) continue;
        (void)snprintf(label, sizeof(label), "/%s", writer->shown[i]);
        fprintf(writer->out, "%s{\"partition\": ", any ? ", " : "");
        print_string(writer->out, label);
        fputs(", \"segments\": [", writer->out);
        (void)bitcask_segments(partition, write_segment, &segments);
        fputs("]}", writer->out);
        bitcask_partition_close(&partition);
        any = true;
    }
    fputc(']', writer->out);
    writer->any = true;
}

/* ---- the whole ---- */

static void write_job(FILE *out, const bitcask_job *job)
{
    fprintf(out, "{\"running\": %s, \"partition\": ", job->running ? "true" : "false");
    print_string(out, job->path);
    fprintf(out, ", \"bytes_done\": %" PRIu64 ", \"bytes_total\": %" PRIu64 ", \"elapsed_seconds\": ", job->bytes_done,
            job->bytes_total);
    print_seconds(out, job->elapsed_ns);
    fputs(", \"ended\": ", out);
    print_seconds(out, job->ended_ns);
    fputs(", \"status\": ", out);
    print_string(out, bitcask_status_text(job->status));
    fputc('}', out);
}

static void write_head(struct bcfs *fs, struct bcfs_inode *dir, struct writer *writer)
{
    char path[BCFS_PATH_SIZE];
    char *health = NULL;
    size_t size = 0;
    bitcask_activity activity;

    fputc('{', writer->out);
    begin_member(writer, "as_of");
    print_seconds(writer->out, (uint64_t)bcfs_now_ns(fs));
    begin_member(writer, "store");
    print_string(writer->out, fs->options.store);
    bcfs_dir_path(fs, dir, path);
    begin_member(writer, "directory");
    print_string(writer->out, path);
    health = bcfs_health_text(fs, dir, &size);
    begin_member(writer, "health_text");
    if (health != NULL && size > 0) health[size - 1] = '\0'; /* the last newline */
    fputc('[', writer->out);
    for (char *rest = health, *line = NULL; (line = strsep(&rest, "\n")) != NULL;) {
        print_string(writer->out, line);
        if (rest != NULL) fputs(", ", writer->out);
    }
    fputc(']', writer->out);
    free(health);
    bitcask_get_activity(fs->db, &activity);
    begin_member(writer, "merge");
    write_job(writer->out, &activity.merge);
    begin_member(writer, "verify");
    write_job(writer->out, &activity.verify);
    begin_member(writer, "bucket_bounds_seconds");
    fputc('[', writer->out);
    for (unsigned i = 0; i + 1 < BITCASK_HISTOGRAM_BUCKETS; i++) {
        if (i > 0) fputs(", ", writer->out);
        print_seconds(writer->out, BITCASK_HISTOGRAM_BOUND_NS(i));
    }
    fputc(']', writer->out);
}

static char *render(struct bcfs *fs, struct bcfs_inode *dir, bool with_segments, size_t *size)
{
    char *text = NULL;
    struct writer writer = {.out = open_memstream(&text, size)};
    bitcask_status status = BITCASK_OK;
    bool failed = false;

    if (writer.out == NULL) return NULL;
    write_head(fs, dir, &writer);
    if (dir == fs->nodes->root) {
        bcfs_metrics_visit(fs, write_metric, &writer);
        end_operations(&writer);
    }
    status = bitcask_metrics(dir->dir->partition, BITCASK_BELOW | BITCASK_BY_PARTITION, write_in_order, &writer);
    end_operations(&writer);
    if (writer.partition != NULL) fputs("}]", writer.out);
    free(writer.partition);
    writer.partition = NULL;
    writer.any = true;
    if (status != BITCASK_OK) {
        begin_member(&writer, "error");
        print_string(writer.out, bitcask_status_text(status));
    }
    if (with_segments) write_segments(fs, &writer);
    for (unsigned i = 0; i < writer.shown_count; i++) free(writer.shown[i]);
    fputs("}\n", writer.out);
    failed = ferror(writer.out) != 0;
    if (fclose(writer.out) == 0 && !failed) return text;
    free(text);
    return NULL;
}

char *bcfs_stats_text(struct bcfs *fs, struct bcfs_inode *dir, size_t *size)
{
    if (!fs->options.read_only) {
        /* So that what was just created counts. What cannot be committed keeps its error for its own files. */
        (void)bcfs_moves_complete(fs);
        (void)bcfs_commit_dir(fs, dir, BCFS_ALL);
    }
    return render(fs, dir, false, size);
}

char *bcfs_stats_page(struct bcfs *fs, size_t *size)
{
    return render(fs, fs->nodes->root, true, size);
}
