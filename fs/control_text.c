/* control_text.c - the text of a control file: see control_text.h. */
#include "control_text.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

void bcfs_print_escaped(FILE *out, const void *bytes, size_t size)
{
    const unsigned char *at = bytes;

    for (size_t i = 0; i < size; i++) {
        if (at[i] >= ' ' && at[i] <= '~' && at[i] != '\\' && at[i] != '"') {
            fputc(at[i], out);
        } else {
            fprintf(out, "\\x%02x", at[i]);
        }
    }
}

/* A line of the library's, which escaped the names in it: only what could break the line is left to do. */
static void print_reason(FILE *out, const char *reason)
{
    for (; *reason != '\0'; reason++) fputc(*reason >= ' ' && *reason <= '~' ? *reason : '?', out);
}

/* A partition's path; the root's is empty, and would leave a hole in the sentence. */
static void print_path(FILE *out, const char *path)
{
    if (path[0] == '\0') {
        fputc('/', out);
    } else {
        bcfs_print_escaped(out, path, strlen(path));
    }
}

static double to_mb(uint64_t bytes)
{
    return (double)bytes / 1e6;
}

static double to_s(uint64_t ns)
{
    return (double)ns / 1e9;
}

static void print_time(FILE *out, int64_t ns)
{
    time_t seconds = (time_t)(ns / 1000000000);
    struct tm parts;
    char text[40];

    if (gmtime_r(&seconds, &parts) == NULL || strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S UTC", &parts) == 0) {
        strcpy(text, "at an unknown time");
    }
    fputs(text, out);
}

/* ---- what can be written, and what is set ---- */

static void print_commands(FILE *out, bool read_only)
{
    fputs("# One write is one command, for this directory and all below; it returns when the work is done.\n"
          "# It fails as any write does, and the last line here says why. Example: echo verify > control\n",
          out);
    if (read_only) fputs("# This mount is read-only and takes none.\n", out);
    for (const struct bcfs_command_help *help = bcfs_command_help; help->words != NULL; help++) {
        fprintf(out, "#   %-18s %s\n", help->words, help->text);
    }
    fputc('\n', out);
}

static void print_settings(FILE *out, const bitcask_activity *activity)
{
    fprintf(out, "scheduler: %s\n", activity->scheduler ? "on" : "off");
    if (activity->merge_bytes_per_s == 0) {
        fputs("throttle: off\n", out);
    } else {
        fprintf(out, "throttle: %" PRIu64 " bytes/s\n", activity->merge_bytes_per_s);
    }
}

/* ---- what runs ---- */

static void print_running(FILE *out, const char *what, const bitcask_job *job, uint64_t waiting)
{
    uint64_t done = job->bytes_done;
    uint64_t total = job->bytes_total > done ? job->bytes_total : done;
    double percent = total > 0 ? 100.0 * (double)done / (double)total : 0;
    double seconds = to_s(job->elapsed_ns);

    if (!job->running) {
        fprintf(out, "%s: idle\n", what);
        return;
    }
    fprintf(out, "%s: %d%% of ", what, (int)percent);
    print_path(out, job->path);
    fprintf(out, ", %.1f MB of %.1f MB, %.1f MB/s, for %.1f s", to_mb(done), to_mb(total),
            seconds > 0 ? to_mb(done) / seconds : 0.0, seconds);
    if (waiting > 0) fprintf(out, ", %" PRIu64 " waiting", waiting);
    fputc('\n', out);
}

/* ---- how the last ones ended ---- */

/* "last KIND: WORD TIME in N s, of PATH"; the caller ends the line. */
static void print_last(FILE *out, const char *kind, const char *word, int64_t ended_ns, uint64_t elapsed_ns,
                       const char *path)
{
    fprintf(out, "last %s: %s ", kind, word);
    print_time(out, ended_ns);
    fprintf(out, " in %.3f s, of ", to_s(elapsed_ns));
    print_path(out, path);
}

static void print_last_merge(FILE *out, const bitcask_job *job)
{
    const bitcask_merge_result *result = &job->result.merge;
    uint64_t reclaimed = result->bytes_in > result->bytes_out ? result->bytes_in - result->bytes_out : 0;
    const char *word = job->status == BITCASK_OK ? "done" : job->status == BITCASK_CANCELLED ? "cancelled" : "failed";

    if (job->ended_ns == 0) {
        fputs("last merge: none\n", out);
        return;
    }
    print_last(out, "merge", word, (int64_t)job->ended_ns, job->elapsed_ns, job->path);
    fprintf(out,
            ": %" PRIu64 " merges, %" PRIu64 " segments to %" PRIu64 ", %" PRIu64 " bytes to %" PRIu64 ", %" PRIu64
            " bytes reclaimed",
            result->merges, result->segments_in, result->segments_out, result->bytes_in, result->bytes_out, reclaimed);
    if (result->damaged > 0) fprintf(out, ", %" PRIu64 " damaged segments left alone", result->damaged);
    if (job->status != BITCASK_OK) {
        const char *why = job->detail[0] != '\0' ? job->detail : bitcask_status_text(job->status);

        fputs(": ", out);
        print_reason(out, why);
    }
    fputc('\n', out);
}

/* Ends the line if there was none, or it failed. */
static bool print_outcome(FILE *out, const char *kind, const char *good, const struct bcfs_outcome *outcome)
{
    if (outcome->ended_ns == 0) {
        fprintf(out, "last %s: none\n", kind);
        return false;
    }
    print_last(out, kind,
               outcome->cancelled            ? "cancelled"
               : outcome->failure[0] != '\0' ? "failed"
                                             : good,
               outcome->ended_ns, outcome->elapsed_ns, outcome->path);
    if (outcome->failure[0] == '\0') return true;
    fputs(": ", out);
    print_reason(out, outcome->failure);
    fputc('\n', out);
    return false;
}

static void print_last_verify(FILE *out, const struct bcfs_history *history)
{
    const bitcask_verify_result *result = &history->verified;
    const struct bcfs_findings *findings = &history->findings;
    uint64_t found = result->damage + result->hints + result->notes;

    if (!print_outcome(out, "verify", result->damage > 0 ? "damage" : "sound", &history->verify)) return;
    fprintf(out,
            ": %" PRIu64 " partitions, %" PRIu64 " segments, %" PRIu64 " records, %" PRIu64 " bytes; %" PRIu64
            " damaged, %" PRIu64 " bad hints, %" PRIu64 " notes\n",
            result->partitions, result->segments, result->records, result->bytes, result->damage, result->hints,
            result->notes);
    for (size_t i = 0; i < findings->count; i++) fprintf(out, "  %s\n", findings->lines[i]);
    if (found > findings->count) fprintf(out, "  ... and %" PRIu64 " more\n", found - findings->count);
}

static void print_refusal(FILE *out, const struct bcfs_refusal *refusal)
{
    if (refusal->when_ns == 0) {
        fputs("last error: none\n", out);
        return;
    }
    fputs("last error: ", out);
    print_time(out, refusal->when_ns);
    fputs(", \"", out);
    bcfs_print_escaped(out, refusal->command, refusal->command_size);
    fputs("\": ", out);
    print_reason(out, refusal->reason);
    fputc('\n', out);
}

char *bcfs_report_render(const struct bcfs_report *report, size_t *size)
{
    char *text = NULL;
    FILE *out = open_memstream(&text, size);
    bool failed = false;

    if (out == NULL) return NULL;
    print_commands(out, report->read_only);
    fputs("directory: ", out);
    print_path(out, report->path);
    fputc('\n', out);
    print_settings(out, report->activity);
    print_running(out, "merge", &report->activity->merge, report->activity->merges_waiting);
    print_running(out, "verify", &report->activity->verify, 0);
    print_last_merge(out, &report->activity->merge);
    print_last_verify(out, report->history);
    if (print_outcome(out, "sync", "done", &report->history->sync)) fputc('\n', out);
    if (print_outcome(out, "rotate", "done", &report->history->rotate)) fputc('\n', out);
    print_refusal(out, &report->history->refusal);
    if (report->sandbox != NULL) bcfs_sandbox_text(out, report->sandbox);
    failed = ferror(out) != 0;
    if (fclose(out) == 0 && !failed) return text;
    free(text);
    return NULL;
}

/* ---- findings ---- */

static char *finding_line(const bitcask_finding *finding)
{
    static const char *const kinds[] = {"damage", "bad hint", "note"};
    char *line = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&line, &size);

    if (out == NULL) return NULL;
    fprintf(out, "%s: ", kinds[finding->kind <= BITCASK_FOUND_NOTE ? finding->kind : BITCASK_FOUND_NOTE]);
    print_path(out, finding->path);
    if (finding->file[0] != '\0') {
        fputs(", ", out);
        bcfs_print_escaped(out, finding->file, strlen(finding->file));
        fprintf(out, " at %" PRIu64, finding->offset);
    }
    if (finding->size > 0) fprintf(out, ", %" PRIu64 " bytes", finding->size);
    if (finding->key != NULL) {
        fputs(", key \"", out);
        bcfs_print_escaped(out, finding->key, finding->key_size);
        fputc('"', out);
    }
    fputs(": ", out);
    print_reason(out, finding->text);
    if (fclose(out) == 0) return line;
    free(line);
    return NULL;
}

void bcfs_findings_add(struct bcfs_findings *findings, const bitcask_finding *finding)
{
    bool serious = finding->kind != BITCASK_FOUND_NOTE;
    size_t place = serious ? findings->serious : findings->count;
    char *line = NULL;

    if (place == BCFS_FINDINGS_MAX) return;
    line = finding_line(finding);
    if (line == NULL) return;
    if (findings->count == BCFS_FINDINGS_MAX) free(findings->lines[--findings->count]);
    memmove(&findings->lines[place + 1], &findings->lines[place], (findings->count - place) * sizeof(char *));
    findings->lines[place] = line;
    findings->count++;
    if (serious) findings->serious++;
}

void bcfs_findings_release(struct bcfs_findings *findings)
{
    for (size_t i = 0; i < findings->count; i++) free(findings->lines[i]);
    *findings = (struct bcfs_findings){.count = 0};
}
