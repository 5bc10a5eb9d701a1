/* verify.c - an open partition, file by file, then its index and what it counts.
 *
 * Reads every byte once. Beside a writer and a merge what it looks at changes: it holds the segments that it began
 * with, and what it finds wrong in the directory or in a hint counts only if the segment it concerns is still the one
 * that bears the name. See verify_index.h for the index.
 */
#include "partition/merge.h"
#include "partition/verify.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "partition/file_list.h"
#include "partition/verify_checkpoint.h"
#include "partition/verify_index.h"

struct verification {
    struct bc_index_check index;
    struct bc_file_list files;
    int dir_fd; /* -1: there is no directory yet */
};

/* write_lock held. */
static bc_status list_directory(void *context)
{
    struct verification *v = context;
    struct bc_partition *partition = v->index.partition;

    v->dir_fd = partition->dir_fd;
    if (v->dir_fd < 0) return BITCASK_OK;
    return bc_file_list_read(partition->env->io, v->dir_fd, partition->label, &v->files);
}

/* ---- the directory ---- */

/* The subject that is segment id, or that stands for it since a merge. */
static const struct bc_subject *find_subject(const struct verification *v, uint32_t id)
{
    for (size_t i = 0; i < v->index.count; i++) {
        const struct bc_subject *subject = &v->index.subjects[i];
        const struct bc_segment *segment = subject->segment;
        if (!segment->memory && segment->lowest_id <= id && id <= segment->segment_id) return subject;
    }
    return NULL;
}

static uint32_t highest_id(const struct verification *v)
{
    uint32_t highest = 0;

    for (size_t i = 0; i < v->index.count; i++)
        if (v->index.subjects[i].segment->segment_id > highest) highest = v->index.subjects[i].segment->segment_id;
    return highest;
}

/* A data file of the directory that is no segment of the instance. Listed under write_lock, so that a writer knows of
 * all that belongs there; a reader may have been overtaken by its writer. */
static bc_status check_data_name(const struct verification *v, uint32_t id)
{
    const struct bc_verify *verify = v->index.verify;
    const struct bc_subject *subject = find_subject(v, id);
    bool read_only = v->index.partition->env->read_only;
    char name[16];

    if (subject && subject->segment->segment_id == id && !subject->active) return BITCASK_OK;
    bc_segment_name(id, name);
    if (subject && subject->segment->segment_id != id) {
        /* A merge that is about to remove it, or one that a crash kept from it. */
        if (!read_only) return BITCASK_OK;
        return bc_tell_file(verify, BITCASK_FOUND_NOTE, name, "superseded by %s; the next writer removes it",
                            subject->survey.name);
    }
    if (!read_only)
        return bc_tell_file(verify, BITCASK_FOUND_DAMAGE, name,
                            "a data file that came here while the partition was open; the next open would read it");
    if (id >= highest_id(v)) return BITCASK_OK; /* sealed, or made, since */
    return bc_tell_file(verify, BITCASK_FOUND_NOTE, name, "a data file that was not here when the store was opened");
}

static bc_status check_names(const struct verification *v)
{
    const struct bc_verify *verify = v->index.verify;
    const struct bc_file_list *files = &v->files;
    bc_status status = BITCASK_OK;

    for (size_t i = 0; i < files->data_count && status == BITCASK_OK; i++) status = check_data_name(v, files->data[i]);
    for (size_t i = 0; i < files->hint_count && status == BITCASK_OK && !v->index.partition->env->read_only; i++) {
        char name[16];
        if (find_subject(v, files->hints[i])) continue;
        bc_hint_name(files->hints[i], name);
        status = bc_tell_file(verify, BITCASK_FOUND_NOTE, name, "a hint without a data file");
    }
    for (size_t i = 0; i < files->other_count && status == BITCASK_OK; i++)
        status = bc_tell_other(verify, files->others[i]);
    return status;
}

/* What the writer's directory lacks. An empty segment does not count: a merge may be removing it. */
static bc_status check_presence(const struct verification *v, const struct bc_subject *subject)
{
    const struct bc_segment *segment = subject->segment;
    bool there = subject->active ? v->files.active : bc_file_list_has_data(&v->files, segment->segment_id);

    if (there || v->index.partition->env->read_only || subject->end <= segment->header_size) return BITCASK_OK;
    return bc_tell_file(v->index.verify, BITCASK_FOUND_DAMAGE, subject->survey.name,
                        "the file is gone from its directory; its records are there until the store is closed");
}

/* The ids that segments stand for must not cross. One may hold all of another's: it was merged from that, and both are
 * in use while the index moves over. previous: the one before, or NULL. */
static bc_status check_coverage(const struct verification *v, const struct bc_subject *subject,
                                const struct bc_subject *previous)
{
    const struct bc_segment *segment = subject->segment;

    if (segment->lowest_id > segment->segment_id)
        return bc_tell_file(v->index.verify, BITCASK_FOUND_DAMAGE, subject->survey.name,
                            "segment %u says that it stands for those from %u on", segment->segment_id,
                            segment->lowest_id);
    uint32_t next = previous ? previous->segment->segment_id + 1 : 1;
    if (segment->lowest_id > next && segment->lowest_id <= segment->segment_id) {
        /* No damage: a merge that leaves nothing leaves no file. But whoever deleted one wants to know. */
        bc_status status =
            bc_tell_file(v->index.verify, BITCASK_FOUND_NOTE, subject->survey.name,
                         "the segments from %u to %u are not here: nothing of them was left, or they are lost", next,
                         segment->lowest_id - 1);
        if (status != BITCASK_OK) return status;
    }
    if (previous && segment->lowest_id <= previous->segment->segment_id &&
        segment->lowest_id > previous->segment->lowest_id && segment->segment_id > previous->segment->segment_id)
        return bc_tell_file(v->index.verify, BITCASK_FOUND_DAMAGE, subject->survey.name,
                            "it stands for the segments from %u on, and %s is here too", segment->lowest_id,
                            previous->survey.name);
    return BITCASK_OK;
}

/* ---- one segment ---- */

/* The header as it is on disk now: it was good when the segment was opened. */
static bc_status check_header(const struct verification *v, const struct bc_subject *subject)
{
    struct bc_segment *segment = subject->segment;
    const bitcask_finding finding = {
        .kind = BITCASK_FOUND_DAMAGE, .file = subject->survey.name, .size = segment->header_size};
    struct bc_segment_header header;
    uint8_t bytes[BC_SEGMENT_HEADER_FIXED + BC_SEGMENT_PATH_MAX];
    char why[300];
    bc_status status = bc_segment_read_raw(segment, 0, bytes, segment->header_size);

    if (status == BITCASK_OK)
        status = bc_segment_header_decode(bytes, segment->header_size, subject->end, subject->survey.name, &header);
    if (status == BITCASK_CORRUPT || status == BITCASK_NEWER_FORMAT) {
        snprintf(why, sizeof why, "%s", bc_detail());
        return bc_tell(v->index.verify, finding, "%s", why);
    }
    if (status != BITCASK_OK) return status;
    if (header.partition_id != v->index.partition->id || header.segment_id != segment->segment_id ||
        header.generation != segment->generation)
        return bc_tell(v->index.verify, finding, "its header is now that of another file");
    return BITCASK_OK;
}

/* Whether the name of the subject's file leads to another by now, or will in a moment: a merge puts its output under
 * the name of its last input, and then into that one's place. */
static bool is_replaced(const struct verification *v, const struct bc_subject *subject)
{
    struct bc_partition *partition = v->index.partition;
    struct bc_segment_header header;
    struct bc_segment *now = NULL;
    bool replaced;

    bc_rcu_read_lock();
    replaced = bc_partition_segment_at(partition, subject->slot) != subject->segment;
    bc_rcu_read_unlock();
    if (replaced) return true;
    replaced =
        bc_segment_open(partition->env->io, v->dir_fd, subject->survey.name, false, &now, &header) != BITCASK_OK ||
        header.generation != subject->segment->generation;
    bc_segment_unref(&now);
    return replaced;
}

/* Whether the hint under the subject's name is that of a merge's output, which gets its hint first and then the name.
 */
static bool is_of_merge(const struct verification *v, const struct bc_subject *subject)
{
    struct bc_io *io = v->index.partition->env->io;
    struct bc_segment_header header;
    struct bc_segment *output = NULL;
    struct bc_hint_head head;
    bool same;

    if (bc_hint_read_head(io, v->dir_fd, subject->segment->segment_id, &head) != BITCASK_OK) return false;
    same = bc_segment_open(io, v->dir_fd, BC_MERGE_NAME, false, &output, &header) == BITCASK_OK &&
           header.generation == head.generation;
    bc_segment_unref(&output);
    return same;
}

/* Opens the hint of a sealed segment; *hint stays NULL where there is none to be checked, which is told. */
static bc_status open_hint(const struct verification *v, const struct bc_subject *subject, struct bc_hint **hint)
{
    const struct bc_verify *verify = v->index.verify;
    char name[16], why[300];
    bc_status status;

    /* An output that has its place already, and its name not yet: the hint may be its last input's, or its own. */
    if (strcmp(subject->survey.name, BC_MERGE_NAME) == 0) return BITCASK_OK;
    status = bc_survey_open_hint(&subject->survey, v->dir_fd, hint);
    if (status != BITCASK_NOT_FOUND && status != BITCASK_CORRUPT && status != BITCASK_NEWER_FORMAT) return status;
    snprintf(why, sizeof why, "%s", bc_detail());
    /* In this order, and behind the look at the hint: the output that it may be of has the one name or the other from
     * then on. */
    if (is_of_merge(v, subject) || is_replaced(v, subject)) return BITCASK_OK;
    if (status == BITCASK_NOT_FOUND)
        return bc_tell_file(verify, BITCASK_FOUND_NOTE, subject->survey.name,
                            "there is no hint: opening the partition reads the whole file");
    bc_hint_name(subject->segment->segment_id, name);
    return bc_tell_file(verify, BITCASK_FOUND_HINT, name, "%s; the hint will be made anew", why);
}

/* A merge is to leave it alone. */
static void note_damage(const struct verification *v, const struct bc_subject *subject)
{
    struct bc_partition *partition = v->index.partition;

    bc_fair_lock_soon(&partition->write_lock);
    if (partition->slots[subject->slot].segment == subject->segment) partition->slots[subject->slot].damaged = true;
    bc_fair_unlock(&partition->write_lock);
}

static bc_status check_subject(struct verification *v, struct bc_subject *subject)
{
    struct bc_survey *survey = &subject->survey;
    bool is_file = !subject->segment->memory;
    struct bc_hint *hint = NULL;
    bc_status status = BITCASK_OK;

    if (is_file) v->index.verify->result->segments++;
    if (is_file) status = check_presence(v, subject);
    if (status == BITCASK_OK && is_file) status = check_header(v, subject);
    if (status == BITCASK_OK && is_file && !subject->active) status = open_hint(v, subject, &hint);
    survey->facts = hint != NULL;
    survey->each = bc_index_check_record;
    survey->context = &v->index;
    if (status == BITCASK_OK) status = bc_survey_read(survey, subject->segment->header_size, subject->end);
    if (status == BITCASK_OK && hint) status = bc_survey_check_hint(survey, hint);
    if (status == BITCASK_OK && is_file && subject->active && survey->stretch_count > 0) {
        /* As it was closed the last time: what it knows of bytes that have gone bad since is worth asking for. */
        if (bc_survey_open_hint(survey, v->dir_fd, &hint) == BITCASK_OK) status = bc_survey_ask_hint(survey, hint);
    }
    if (status == BITCASK_OK) status = bc_index_check_lost(&v->index);
    if (status == BITCASK_OK) status = bc_survey_tell(survey);
    if (bc_survey_is_damaged(survey)) note_damage(v, subject);
    bc_survey_shrink(survey);
    bc_hint_close(&hint);
    return status;
}

bc_status bc_verify_partition(const struct bc_verify *verify, struct bc_partition *partition)
{
    struct verification v = {.index = {.verify = verify, .partition = partition}, .dir_fd = -1};
    const struct bc_subject *previous = NULL;
    bc_status status = BITCASK_OK;

    /* A merge that is at work is none that has to be finished. */
    if (pthread_mutex_trylock(&partition->files_lock) == 0) {
        status = bc_merge_finish(partition);
        pthread_mutex_unlock(&partition->files_lock);
    }
    if (status != BITCASK_OK) return status;
    status = bc_index_check_begin(&v.index, list_directory, &v);
    verify->result->partitions++;
    if (status == BITCASK_OK) status = check_names(&v);
    for (size_t i = 0; i < v.index.count && status == BITCASK_OK; i++) {
        struct bc_subject *subject = &v.index.subjects[i];
        v.index.current = i;
        if (!subject->segment->memory) status = check_coverage(&v, subject, previous);
        if (status == BITCASK_OK) status = check_subject(&v, subject);
        previous = subject;
    }
    if (status == BITCASK_OK) status = bc_index_check_end(&v.index);
    if (status == BITCASK_OK) status = bc_index_check_accounts(&v.index);
    if (status == BITCASK_OK) status = bc_verify_checkpoint(verify, partition);
    bc_index_check_release(&v.index);
    bc_file_list_release(&v.files);
    return status;
}
