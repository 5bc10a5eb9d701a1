/* health.c - whether all is well, for people and for what watches a mount: see metrics.h. */
#include "metrics.h"

#include "control_text.h"
#include "dirty.h"
#include "jobs.h"
#include "sandbox.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Whether dir is top or stands below it. Renames may go on meanwhile. */
static bool is_below(struct bcfs *fs, struct bcfs_inode *dir, const struct bcfs_inode *top)
{
    bool found = false;

    bcfs_inode_ref(dir);
    while (dir != NULL) {
        struct bcfs_inode *parent = NULL;

        found = found || dir == top;
        if (!found) {
            (void)pthread_mutex_lock(&dir->lock);
            parent = dir->parent;
            if (parent != NULL) bcfs_inode_ref(parent);
            (void)pthread_mutex_unlock(&dir->lock);
        }
        bcfs_inode_unref(fs, dir, 1);
        dir = parent;
    }
    return found;
}

/* Counts the directories below top whose files cannot be committed at present; path is that of one. */
static uint64_t count_failing(struct bcfs *fs, const struct bcfs_inode *top, char path[BCFS_PATH_SIZE])
{
    struct bcfs_inode **dirs = NULL;
    size_t count = 0;
    uint64_t failing = 0;

    if (!bcfs_dirty_dirs(fs, false, &dirs, &count)) return 0;
    for (size_t i = 0; i < count; i++) {
        bool fails = false;

        (void)pthread_mutex_lock(&fs->nodes->dirty_lock);
        fails = dirs[i]->dir->backoff_ms != 0;
        (void)pthread_mutex_unlock(&fs->nodes->dirty_lock);
        if (fails && is_below(fs, dirs[i], top)) {
            if (failing == 0) bcfs_dir_path(fs, dirs[i], path);
            failing++;
        }
        bcfs_inode_unref(fs, dirs[i], 1);
    }
    free(dirs);
    return failing;
}

static void print_names(FILE *out, const char *text)
{
    bcfs_print_escaped(out, text, strlen(text));
}

/* What the store says of itself. */
static enum bcfs_health check_store(struct bcfs *fs, struct bcfs_inode *dir, FILE *out)
{
    enum bcfs_health level = BCFS_HEALTH_OK;
    bitcask_health health;
    bitcask_status status = bitcask_get_health(dir->dir->partition, &health);

    if (status != BITCASK_OK) {
        if (out != NULL) fprintf(out, "degraded: the store does not say how it is: %s\n", bitcask_status_text(status));
        return BCFS_HEALTH_DEGRADED;
    }
    if (health.poisoned > 0) {
        level = BCFS_HEALTH_POISONED;
        if (out != NULL) {
            fputs("poisoned: ", out);
            print_names(out, health.poisoned_path);
            if (health.poisoned > 1) fprintf(out, " and %" PRIu64 " more", health.poisoned - 1);
            fputs(": the disk failed an fsync or a write, so what was not durable by then may be lost. It can be "
                  "read and takes no writes. Look at the disk (dmesg), then unmount, and mount again\n",
                  out);
        }
    }
    if (health.damaged > 0) {
        if (level == BCFS_HEALTH_OK) level = BCFS_HEALTH_DEGRADED;
        if (out != NULL) {
            fputs("degraded: ", out);
            print_names(out, health.damaged_path);
            if (health.damaged > 1) fprintf(out, " and %" PRIu64 " more", health.damaged - 1);
            fputs(
                ": stored bytes fail their check. See what: echo verify > .bitcask/control, and read it; then unmount "
                "and run: bitcask verify --repair ",
                out);
            print_names(out, fs->options.store);
            fputc('\n', out);
        }
    }
    if (health.merge != BITCASK_OK && dir == fs->nodes->root) {
        if (level == BCFS_HEALTH_OK) level = BCFS_HEALTH_DEGRADED;
        if (out != NULL) {
            fputs("degraded: the last merge failed: ", out);
            print_names(out, health.merge_detail[0] != '\0' ? health.merge_detail : bitcask_status_text(health.merge));
            fputs(". Space does not come back until one succeeds: echo merge > .bitcask/control\n", out);
        }
    }
    return level;
}

/* What the last verify found. It stays so until another one finds nothing. */
static enum bcfs_health check_verify(struct bcfs *fs, struct bcfs_inode *dir, FILE *out)
{
    bitcask_activity activity;

    if (dir != fs->nodes->root) return BCFS_HEALTH_OK;
    bitcask_get_activity(fs->db, &activity);
    if (activity.verify.ended_ns == 0 || activity.verify.result.verify.damage == 0) return BCFS_HEALTH_OK;
    if (out != NULL) {
        fprintf(out, "degraded: the last verify, of /");
        print_names(out, activity.verify.path);
        fprintf(out,
                ", found damage in %" PRIu64 " places: .bitcask/control lists them. Unmount and run: "
                "bitcask verify --repair ",
                activity.verify.result.verify.damage);
        print_names(out, fs->options.store);
        fputc('\n', out);
    }
    return BCFS_HEALTH_DEGRADED;
}

static enum bcfs_health check_commits(struct bcfs *fs, struct bcfs_inode *dir, FILE *out)
{
    char path[BCFS_PATH_SIZE] = "";
    uint64_t failing = count_failing(fs, dir, path);

    if (failing == 0) return BCFS_HEALTH_OK;
    if (out != NULL) {
        fputs("degraded: changed files in /", out);
        print_names(out, path);
        if (failing > 1) fprintf(out, " and %" PRIu64 " more directories", failing - 1);
        fprintf(
            out,
            " cannot be committed (%s): they are in memory alone. Make room, or look at the disk; it is tried again "
            "by itself, or at once: echo sync > .bitcask/control\n",
            bitcask_status_text(bcfs_metrics_last_failure(fs->metrics)));
    }
    return BCFS_HEALTH_DEGRADED;
}

enum bcfs_health bcfs_health(struct bcfs *fs, struct bcfs_inode *dir, FILE *out)
{
    enum bcfs_health level = check_store(fs, dir, out);
    enum bcfs_health verified = check_verify(fs, dir, out);
    enum bcfs_health committed = check_commits(fs, dir, out);

    if (level < verified) level = verified;
    if (level < committed) level = committed;
    if (level == BCFS_HEALTH_OK && out != NULL) fputs("ok\n", out);
    return level;
}

static char *render(struct bcfs *fs, struct bcfs_inode *dir, const struct bcfs_sandbox *sandbox, size_t *size)
{
    char *text = NULL;
    FILE *out = open_memstream(&text, size);

    if (out == NULL) return NULL;
    (void)bcfs_health(fs, dir, out);
    if (sandbox != NULL) bcfs_sandbox_text(out, sandbox);
    if (fclose(out) == 0) return text;
    free(text);
    return NULL;
}

char *bcfs_health_text(struct bcfs *fs, struct bcfs_inode *dir, size_t *size)
{
    return render(fs, dir, NULL, size);
}

char *bcfs_health_file(struct bcfs *fs, struct bcfs_inode *dir, size_t *size)
{
    return render(fs, dir, fs->sandbox, size);
}
