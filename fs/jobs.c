/* jobs.c - commands at work: see jobs.h. */
#include "jobs.h"

#include "commit.h"
#include "control_text.h"
#include "log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct bcfs_jobs {
    pthread_mutex_t lock;        /* a leaf: memory only */
    unsigned running;            /* lock; commands that take time */
    struct bcfs_history history; /* lock */
};

/* One command at work. */
struct job {
    fuse_req_t req;
    struct bcfs *fs;
    struct bcfs_inode *dir;
    struct bcfs_command command;
    bitcask_verify_result verified;
    struct bcfs_findings findings;
    char reason[256]; /* why it failed */
};

struct bcfs_jobs *bcfs_jobs_new(void)
{
    struct bcfs_jobs *jobs = calloc(1, sizeof(*jobs));

    if (jobs != NULL && pthread_mutex_init(&jobs->lock, NULL) != 0) {
        free(jobs);
        jobs = NULL;
    }
    return jobs;
}

void bcfs_jobs_free(struct bcfs_jobs *jobs)
{
    if (jobs == NULL) return;
    bcfs_findings_release(&jobs->history.findings);
    (void)pthread_mutex_destroy(&jobs->lock);
    free(jobs);
}

/* ---- where a directory is ---- */

void bcfs_dir_path(struct bcfs *fs, struct bcfs_inode *dir, char path[BCFS_PATH_SIZE])
{
    size_t start = BCFS_PATH_SIZE - 1;

    path[start] = '\0';
    bcfs_inode_ref(dir);
    while (dir != NULL) {
        struct bcfs_inode *parent = NULL;

        (void)pthread_mutex_lock(&dir->lock);
        parent = dir->parent;
        if (parent != NULL) {
            size_t size = 0;

            /* Once nothing fits any more the rest is only walked. */
            if (path[start] != '\0' && start > 0) path[--start] = '/';
            size = dir->name_size < start ? dir->name_size : start;
            start -= size;
            memcpy(path + start, dir->name + dir->name_size - size, size);
            bcfs_inode_ref(parent);
        }
        (void)pthread_mutex_unlock(&dir->lock);
        bcfs_inode_unref(fs, dir, 1);
        dir = parent;
    }
    memmove(path, path + start, BCFS_PATH_SIZE - start);
}

/* ---- the work ---- */

/* Whether the job shall go on. The library calls it now and then, from this thread. */
static bool go_on(void *context, const bitcask_progress *progress)
{
    struct job *job = context;

    (void)progress;
    return !fuse_req_interrupted(job->req) && !atomic_load(&job->fs->ending);
}

static bool note_finding(void *context, const bitcask_finding *finding)
{
    struct job *job = context;

    bcfs_findings_add(&job->findings, finding);
    return true;
}

static bitcask_status merge(struct job *job)
{
    bitcask_merge_options options = {
        .flags = BITCASK_BELOW | (job->command.full ? BITCASK_MERGE_FULL : 0u),
        .progress = go_on,
        .context = job,
    };

    return bitcask_merge(job->dir->dir->partition, &options, NULL);
}

static bitcask_status verify(struct job *job)
{
    bitcask_verify_options options = {
        .flags = BITCASK_BELOW,
        .found = note_finding,
        .progress = go_on,
        .context = job,
    };

    return bitcask_verify(job->dir->dir->partition, &options, &job->verified);
}

/* What takes time: first all that is in memory alone goes into the log, so that the work is on what the user sees. What
 * cannot be committed keeps its error for its own files, and stops nobody but who asked for just that: on a full disk
 * a merge is the way out. */
static bitcask_status work(struct job *job)
{
    bitcask_status status = bcfs_commit_all(job->fs);

    if (job->command.kind == BCFS_SYNC) return status == BITCASK_OK ? bitcask_sync(job->fs->db) : status;
    if (!go_on(job, NULL)) return BITCASK_CANCELLED;
    /* What directories that were removed leave behind goes with a sync: room that the merge may need. */
    if (job->command.kind == BCFS_MERGE) (void)bitcask_sync(job->fs->db);
    switch (job->command.kind) {
    case BCFS_MERGE: return merge(job);
    case BCFS_ROTATE: return bitcask_rotate(job->dir->dir->partition, BITCASK_BELOW);
    default: return verify(job);
    }
}

static bool takes_time(const struct bcfs_command *command)
{
    return command->kind != BCFS_SCHEDULER && command->kind != BCFS_THROTTLE;
}

/* False: too many run. */
static bool begin(struct bcfs_jobs *jobs)
{
    bool free_place = false;

    (void)pthread_mutex_lock(&jobs->lock);
    free_place = jobs->running < BCFS_JOBS_MAX;
    if (free_place) jobs->running++;
    (void)pthread_mutex_unlock(&jobs->lock);
    return free_place;
}

/* Takes note of how it ended, and of what a verify found. */
static void end(struct job *job, bitcask_status status, uint64_t elapsed_ns)
{
    struct bcfs_jobs *jobs = job->fs->jobs;
    struct bcfs_history *history = &jobs->history;
    struct bcfs_outcome outcome = {.ended_ns = bcfs_now_ns(job->fs), .elapsed_ns = elapsed_ns};

    if (status != BITCASK_OK) strcpy(outcome.failure, job->reason);
    outcome.cancelled = status == BITCASK_CANCELLED;
    bcfs_dir_path(job->fs, job->dir, outcome.path);
    (void)pthread_mutex_lock(&jobs->lock);
    jobs->running--;
    if (job->command.kind == BCFS_SYNC) history->sync = outcome;
    if (job->command.kind == BCFS_ROTATE) history->rotate = outcome;
    if (job->command.kind == BCFS_VERIFY) {
        struct bcfs_findings old = history->findings;

        history->verify = outcome;
        history->verified = job->verified;
        history->findings = job->findings;
        job->findings = old; /* to be freed */
    }
    (void)pthread_mutex_unlock(&jobs->lock);
    bcfs_findings_release(&job->findings);
}

static void take_reason(struct job *job, bitcask_status status)
{
    const char *detail = bitcask_error_detail();

    (void)snprintf(job->reason, sizeof(job->reason), "%s",
                   detail[0] != '\0' && status != BITCASK_CANCELLED ? detail : bitcask_status_text(status));
}

static uint64_t clock_ns(void)
{
    struct timespec now = {0};

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* Runs what was understood. Returns an errno, with its reason. */
static int run(struct job *job)
{
    struct bcfs *fs = job->fs;
    uint64_t started_ns = clock_ns();
    bitcask_status status = BITCASK_OK;

    if (!takes_time(&job->command)) {
        status = job->command.kind == BCFS_SCHEDULER ? bitcask_set_scheduler(fs->db, job->command.on)
                                                     : bitcask_set_throttle(fs->db, job->command.rate_bytes_per_s);
        if (status != BITCASK_OK) take_reason(job, status);
        return bitcask_status_errno(status);
    }
    if (!begin(fs->jobs)) {
        (void)snprintf(job->reason, sizeof(job->reason), "%d commands run already", BCFS_JOBS_MAX);
        return EBUSY;
    }
    status = work(job);
    if (status != BITCASK_OK) take_reason(job, status);
    end(job, status, clock_ns() - started_ns);
    if (status == BITCASK_OK && job->verified.damage > 0) {
        (void)snprintf(job->reason, sizeof(job->reason), "damage was found: see the last verify");
        return EIO;
    }
    return bitcask_status_errno(status);
}

/* ---- commands and text ---- */

static void note_refusal(struct job *job, const char *bytes, size_t size)
{
    struct bcfs_jobs *jobs = job->fs->jobs;
    struct bcfs_refusal *refusal = &jobs->history.refusal;

    bcfs_command_trim(&bytes, &size);
    if (size > BCFS_COMMAND_MAX) size = BCFS_COMMAND_MAX;
    (void)pthread_mutex_lock(&jobs->lock);
    refusal->when_ns = bcfs_now_ns(job->fs);
    memcpy(refusal->command, bytes, size);
    refusal->command_size = size;
    strcpy(refusal->reason, job->reason);
    (void)pthread_mutex_unlock(&jobs->lock);
}

int bcfs_jobs_run(fuse_req_t req, struct bcfs_inode *dir, const char *bytes, size_t size)
{
    struct job job = {.req = req, .fs = fuse_req_userdata(req), .dir = dir};
    uid_t uid = fuse_req_ctx(req)->uid;
    const char *wrong = NULL;
    int error = 0;

    /* The kernel checked who opened the file; what counts is who writes. */
    if (uid != 0 && uid != job.fs->owner_uid) return EPERM;
    if (job.fs->options.read_only) return EROFS;
    wrong = bcfs_command_parse(bytes, size, &job.command);
    if (wrong != NULL) {
        (void)snprintf(job.reason, sizeof(job.reason), "%s", wrong);
        error = EINVAL;
    } else {
        error = run(&job);
    }
    if (error != 0) note_refusal(&job, bytes, size);
    return error;
}

char *bcfs_jobs_text(struct bcfs *fs, struct bcfs_inode *dir, size_t *size)
{
    char path[BCFS_PATH_SIZE];
    bitcask_activity activity;
    struct bcfs_report report = {
        .path = path,
        .read_only = fs->options.read_only,
        .activity = &activity,
        .history = &fs->jobs->history,
        .sandbox = fs->sandbox,
    };
    char *text = NULL;

    bcfs_dir_path(fs, dir, path);
    bitcask_get_activity(fs->db, &activity);
    (void)pthread_mutex_lock(&fs->jobs->lock);
    text = bcfs_report_render(&report, size);
    (void)pthread_mutex_unlock(&fs->jobs->lock);
    return text;
}
