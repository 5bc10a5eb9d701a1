/* verify_index.c - see verify_index.h.
 *
 * What is to be true: each key's entry names the last record of that key, where "last" is by segment, then offset; and
 * a key whose last record is a deletion has none. Reading the segments in that order, each record is looked up:
 *   - the entry is this record: it must say of it what the record says
 *   - the entry is a later one, or in a segment that came since: nothing to say yet
 *   - the entry is an earlier one: it was never moved on. Wrong
 *   - it is in a segment whose ids overlap with this one's: one of the two was merged from the other, and the entries
 * move over a few at a time. Either will do
 *   - there is none, and the record is a value: a deletion must follow, here or in what came since
 * In the end each entry must name a place where a record of its key was seen.
 */
#include "partition/verify_index.h"

#include <stdlib.h>
#include <string.h>

#include "index/index.h"

#define STEP 1024u /* entries looked at within one read section */

static bc_status no_memory(void)
{
    return bc_fail(BITCASK_NO_MEMORY, "out of memory for a verify");
}

/* ---- the list of segments ---- */

static int oldest_first(const void *a, const void *b)
{
    const struct bc_subject *x = a, *y = b;
    bool x_memory = x->segment->memory != NULL, y_memory = y->segment->memory != NULL;

    if (x_memory != y_memory) return x_memory ? 1 : -1; /* redone records are newer than any file's */
    if (x->segment->segment_id != y->segment->segment_id)
        return x->segment->segment_id < y->segment->segment_id ? -1 : 1;
    /* A merge's input before its output, which stands for more. */
    if (x->segment->lowest_id != y->segment->lowest_id) return x->segment->lowest_id > y->segment->lowest_id ? -1 : 1;
    return x->slot < y->slot ? -1 : 1;
}

/* write_lock held. */
static bc_status list_subjects(struct bc_index_check *check)
{
    struct bc_partition *partition = check->partition;

    check->slot_count = partition->slot_count;
    check->subjects = calloc((size_t)partition->slot_count + 1, sizeof *check->subjects);
    check->subject_of = calloc((size_t)partition->slot_count + 1, sizeof *check->subject_of);
    if (!check->subjects || !check->subject_of) return no_memory();
    for (uint32_t i = 0; i < partition->slot_count; i++) {
        struct bc_segment *segment = partition->slots[i].segment;
        struct bc_subject *subject = &check->subjects[check->count];

        if (!segment) continue;
        *subject = (struct bc_subject){
            .segment = bc_segment_ref(segment), .slot = i, .active = segment == partition->active, .end = segment->end};
        subject->survey = (struct bc_survey){.verify = check->verify, .segment = segment};
        /* Copied here, since a rotation renames the segment. */
        memcpy(subject->survey.name, segment->name, sizeof subject->survey.name);
        check->count++;
    }
    return BITCASK_OK;
}

bc_status bc_index_check_begin(struct bc_index_check *check, bc_status (*listed)(void *context), void *context)
{
    struct bc_partition *partition = check->partition;
    bc_status status;

    bc_fair_lock_soon(&partition->write_lock);
    status = list_subjects(check);
    if (status == BITCASK_OK && listed) status = listed(context);
    bc_fair_unlock(&partition->write_lock);
    if (status == BITCASK_OK) status = bc_index_open(0, &check->missing);
    if (check->count > 0) qsort(check->subjects, check->count, sizeof *check->subjects, oldest_first);
    for (size_t i = 0; i < check->count; i++) check->subject_of[check->subjects[i].slot] = i + 1;
    return status;
}

void bc_index_check_release(struct bc_index_check *check)
{
    for (size_t i = 0; i < check->count; i++) {
        bc_survey_release(&check->subjects[i].survey);
        bc_segment_unref(&check->subjects[i].segment);
    }
    free(check->subjects);
    free(check->subject_of);
    bc_index_close(&check->missing);
}

/* The subject whose segment stands in slot now, NULL if that is another. write_lock held, or in a read section. */
static struct bc_subject *subject_at(const struct bc_index_check *check, uint32_t slot)
{
    size_t i = slot < check->slot_count ? check->subject_of[slot] : 0;
    struct bc_subject *subject = i > 0 ? &check->subjects[i - 1] : NULL;

    return subject && bc_partition_segment_at(check->partition, slot) == subject->segment ? subject : NULL;
}

/* ---- record by record ---- */

/* Whether one of the two stands for the other: a merge is at work, or could not finish. */
static bool are_one(const struct bc_subject *a, const struct bc_subject *b)
{
    const struct bc_segment *x = a->segment, *y = b->segment;

    return a != b && !x->memory && !y->memory && x->lowest_id <= y->segment_id && y->lowest_id <= x->segment_id;
}

/* Whether key's entry is still the one that was seen, in the same segment as then. */
static bool is_still(const struct bc_index_check *check, const void *key, size_t key_size, const struct bc_entry *seen,
                     const struct bc_subject *subject)
{
    struct bc_partition *partition = check->partition;
    struct bc_entry now;
    bool still;

    bc_fair_lock_soon(&partition->write_lock);
    still = bc_index_get(partition->index, key, key_size, &now) == BITCASK_OK && now.slot == seen->slot &&
            now.offset == seen->offset && now.version == seen->version && subject_at(check, seen->slot) == subject;
    bc_fair_unlock(&partition->write_lock);
    return still;
}

static bc_status tell_entry(const struct bc_index_check *check, const struct bc_subject *subject, uint64_t offset,
                            uint64_t size, const void *key, size_t key_size, const char *what)
{
    return bc_tell(check->verify,
                   (bitcask_finding){.kind = BITCASK_FOUND_DAMAGE,
                                     .file = subject->survey.name,
                                     .offset = offset,
                                     .size = size,
                                     .key = key,
                                     .key_size = key_size},
                   "%s", what);
}

/* Remembers, or forgets, that the index misses key. */
static bc_status note_missing(struct bc_index_check *check, const struct bc_scan_item *item, bool missing)
{
    const struct bc_record *record = &item->record;
    struct bc_entry entry = {.slot = (uint32_t)check->current,
                             .offset = (uint32_t)item->offset,
                             .record_size = (uint32_t)bc_record_size(record)};

    if (missing) return bc_index_put(check->missing, record->key, record->key_size, &entry, NULL, NULL);
    if (bc_index_count(check->missing) > 0) (void)bc_index_remove(check->missing, record->key, record->key_size, NULL);
    return BITCASK_OK;
}

bc_status bc_index_check_record(void *context, const struct bc_scan_item *item)
{
    struct bc_index_check *check = context;
    struct bc_partition *partition = check->partition;
    const struct bc_record *record = &item->record;
    struct bc_subject *here = &check->subjects[check->current], *there = NULL;
    bool tombstone = record->flags & BC_RECORD_TOMBSTONE;
    const char *wrong = NULL;
    struct bc_entry entry;
    bc_status status, found;

    bc_rcu_read_lock();
    found = bc_index_get(partition->index, record->key, record->key_size, &entry);
    if (found == BITCASK_OK) there = subject_at(check, entry.slot);
    bc_rcu_read_unlock();
    /* An extent goes with the inode that mapped it, without a deletion of its own. */
    status = note_missing(check, item,
                          found != BITCASK_OK && !tombstone && !bc_partition_is_extent(partition, record->key, record->key_size));
    if (status != BITCASK_OK || found != BITCASK_OK || !there) return status;
    if (there == here && entry.offset == item->offset) {
        if (tombstone)
            wrong = "the index has the key, which is deleted here";
        else if (bc_digest_entry(&entry) != bc_digest_record(record))
            wrong = "the index says something else of this record";
    } else if (are_one(there, here)) {
        return BITCASK_OK;
    } else if (there < here || (there == here && entry.offset < item->offset)) {
        wrong = "the index has an older record of this key";
    }
    if (!wrong || !is_still(check, record->key, record->key_size, &entry, there)) return BITCASK_OK;
    return tell_entry(check, here, item->offset, bc_record_size(record), record->key, record->key_size, wrong);
}

/* ---- entry by entry ---- */

/* Entries of one step that are to be looked at outside the read section. */
struct suspects {
    const struct bc_index_check *check;
    const struct bc_subject *only; /* entries of this one alone; NULL: of all */
    size_t count;
    uint8_t last_key[BITCASK_NAME_MAX]; /* where the next step goes on */
    size_t last_key_size, seen;
    struct {
        uint8_t key[BITCASK_NAME_MAX];
        size_t key_size;
        struct bc_entry entry;
        const struct bc_subject *subject;
    } list[STEP];
};

static bool look_at_entry(void *context, const void *key, size_t key_size, const struct bc_entry *entry)
{
    struct suspects *suspects = context;
    const struct bc_subject *subject = subject_at(suspects->check, entry->slot);
    bool in_stretch;

    suspects->seen++;
    memcpy(suspects->last_key, key, key_size);
    suspects->last_key_size = key_size;
    if (!subject || (suspects->only && subject != suspects->only)) return true;
    if (entry->offset >= subject->end) return true; /* appended since */
    in_stretch = bc_survey_stretch_at(&subject->survey, entry->offset) != NULL;
    /* Of bad stretches bc_index_check_lost() tells, of the rest the check of places. */
    if (suspects->only ? !in_stretch
                       : in_stretch || bc_survey_has(&subject->survey, entry->offset, bc_hash_key(key, key_size)))
        return true;
    memcpy(suspects->list[suspects->count].key, key, key_size);
    suspects->list[suspects->count].key_size = key_size;
    suspects->list[suspects->count].entry = *entry;
    suspects->list[suspects->count].subject = subject;
    suspects->count++;
    return true;
}

/* The next step through the index. False at the end, or where *status is no OK. */
static bool step(struct suspects *suspects, bc_status *status)
{
    struct bc_partition *partition = suspects->check->partition;
    uint8_t from[BITCASK_NAME_MAX];
    size_t from_size = suspects->last_key_size;

    memcpy(from, suspects->last_key, from_size);
    suspects->count = suspects->seen = 0;
    bc_rcu_read_lock();
    *status = bc_index_walk(partition->index, from_size > 0 ? BC_SEEK_GT : BC_SEEK_GE, from, from_size, STEP,
                            look_at_entry, suspects);
    bc_rcu_read_unlock();
    return *status == BITCASK_OK && suspects->seen > 0;
}

bc_status bc_index_check_lost(struct bc_index_check *check)
{
    struct bc_subject *subject = &check->subjects[check->current];
    struct suspects *suspects;
    bc_status status = BITCASK_OK;

    if (subject->survey.stretch_count == 0) return BITCASK_OK;
    suspects = calloc(1, sizeof *suspects);
    if (!suspects) return no_memory();
    suspects->check = check;
    suspects->only = subject;
    while (status == BITCASK_OK && step(suspects, &status))
        for (size_t i = 0; i < suspects->count && status == BITCASK_OK; i++)
            status = bc_survey_add_lost(&subject->survey, suspects->list[i].entry.offset,
                                        suspects->list[i].entry.record_size, suspects->list[i].key,
                                        suspects->list[i].key_size);
    free(suspects);
    /* Told one by one: that an older record shows, or none does, is the same damage. */
    for (size_t i = 0; i < subject->survey.lost_count && status == BITCASK_OK; i++) {
        const struct bc_lost *lost = &subject->survey.lost[i];
        (void)bc_index_remove(check->missing, subject->survey.keys.data + lost->key_at, lost->key_size, NULL);
    }
    return status;
}

static bc_status check_entries(struct bc_index_check *check)
{
    struct suspects *suspects = calloc(1, sizeof *suspects);
    bc_status status = BITCASK_OK;

    if (!suspects) return no_memory();
    suspects->check = check;
    while (status == BITCASK_OK && step(suspects, &status))
        for (size_t i = 0; i < suspects->count && status == BITCASK_OK; i++) {
            const struct bc_entry *entry = &suspects->list[i].entry;
            if (is_still(check, suspects->list[i].key, suspects->list[i].key_size, entry, suspects->list[i].subject))
                status = tell_entry(check, suspects->list[i].subject, entry->offset, entry->record_size,
                                    suspects->list[i].key, suspects->list[i].key_size,
                                    "the index names a place where this key has no record");
        }
    free(suspects);
    return status;
}

/* ---- keys that the index does not have ---- */

/* What was appended since the check began: a segment, from an offset to an end. */
struct since {
    struct bc_segment *segment; /* reference held */
    uint64_t from, end;
};

static bc_status list_since(struct bc_index_check *check, struct since **list, size_t *count)
{
    struct bc_partition *partition = check->partition;
    bc_status status = BITCASK_OK;

    bc_fair_lock_soon(&partition->write_lock);
    *list = calloc((size_t)partition->slot_count + 1, sizeof **list);
    if (!*list) status = no_memory();
    for (uint32_t i = 0; i < partition->slot_count && *list; i++) {
        struct bc_segment *segment = partition->slots[i].segment;
        const struct bc_subject *subject = segment ? subject_at(check, i) : NULL;
        uint64_t from = subject ? subject->end : segment ? segment->header_size : 0;

        if (segment && from < segment->end)
            (*list)[(*count)++] = (struct since){bc_segment_ref(segment), from, segment->end};
    }
    /* Whose segment was replaced meanwhile may have gone with it. */
    for (size_t i = 0; i < check->count; i++)
        if (subject_at(check, check->subjects[i].slot) != &check->subjects[i]) check->subjects[i].end = 0;
    bc_fair_unlock(&partition->write_lock);
    return status;
}

static bc_status forget_written(struct bc_index_check *check, const struct since *since)
{
    struct bc_scan *scan = NULL;
    struct bc_scan_item item;
    uint64_t unpaced = 0;
    bc_status status = bc_scan_open(since->segment, since->from, since->end, &scan);

    while (status == BITCASK_OK && (status = bc_scan_next(scan, &item)) == BITCASK_OK && item.kind != BC_SCAN_END) {
        if (item.kind == BC_SCAN_RECORD || item.kind == BC_SCAN_BAD_VALUE)
            (void)bc_index_remove(check->missing, item.record.key, item.record.key_size, NULL);
        unpaced += item.size;
        if (unpaced < 256 * 1024) continue;
        status = bc_pace(check->verify, unpaced);
        unpaced = 0;
    }
    if (scan) bc_scan_close(&scan);
    return status;
}

/* Keys that were deleted since the check began have their deletion in what was appended since. */
static bc_status check_missing(struct bc_index_check *check)
{
    struct since *list = NULL;
    size_t count = 0;
    uint8_t key[BITCASK_NAME_MAX];
    size_t key_size = 0;
    struct bc_entry entry;
    bc_status status;

    if (bc_index_count(check->missing) == 0) return BITCASK_OK;
    status = list_since(check, &list, &count);
    for (size_t i = 0; i < count && status == BITCASK_OK; i++) status = forget_written(check, &list[i]);
    for (size_t i = 0; i < count; i++) bc_segment_unref(&list[i].segment);
    free(list);
    while (status == BITCASK_OK &&
           bc_index_seek(check->missing, BC_SEEK_GT, key, key_size, key, &key_size, &entry) == BITCASK_OK) {
        const struct bc_subject *subject = &check->subjects[entry.slot];
        if (subject->end > 0)
            status = tell_entry(check, subject, entry.offset, entry.record_size, key, key_size,
                                "the index does not have this key, and no deletion of it can be read");
    }
    return status;
}

bc_status bc_index_check_end(struct bc_index_check *check)
{
    bc_status status = check_entries(check);

    return status == BITCASK_OK ? check_missing(check) : status;
}

/* ---- accounting ---- */

struct account {
    uint64_t bytes, keys;           /* as the index has it */
    uint64_t slot_bytes, slot_keys; /* as the slot says */
    char name[16];
};

struct accounts {
    struct account *list;
    uint32_t count;
    uint64_t lost; /* entries that name no segment */
};

static bool add_up(void *context, const void *key, size_t key_size, const struct bc_entry *entry)
{
    struct accounts *accounts = context;

    (void)key;
    (void)key_size;
    if (entry->slot >= accounts->count || accounts->list[entry->slot].name[0] == '\0') {
        accounts->lost++;
        return true;
    }
    accounts->list[entry->slot].bytes += entry->record_size;
    accounts->list[entry->slot].keys++;
    return true;
}

bc_status bc_index_check_accounts(struct bc_index_check *check)
{
    struct bc_partition *partition = check->partition;
    struct accounts accounts = {0};
    bc_status status = BITCASK_OK;

    bc_fair_lock_soon(&partition->write_lock);
    accounts.count = partition->slot_count;
    accounts.list = calloc((size_t)accounts.count + 1, sizeof *accounts.list);
    for (uint32_t i = 0; i < accounts.count && accounts.list; i++) {
        const struct bc_slot *slot = &partition->slots[i];
        if (!slot->segment) continue;
        accounts.list[i] = (struct account){.slot_bytes = slot->live_bytes, .slot_keys = slot->live_keys};
        memcpy(accounts.list[i].name, slot->segment->name, sizeof accounts.list[i].name);
    }
    if (accounts.list) status = bc_index_walk(partition->index, BC_SEEK_GE, "", 0, SIZE_MAX, add_up, &accounts);
    bc_fair_unlock(&partition->write_lock);
    if (!accounts.list) status = no_memory();
    for (uint32_t i = 0; i < accounts.count && status == BITCASK_OK; i++) {
        const struct account *a = &accounts.list[i];
        if (a->bytes == a->slot_bytes && a->keys == a->slot_keys) continue;
        status = bc_tell_file(check->verify, BITCASK_FOUND_DAMAGE, a->name,
                              "counted as holding %llu keys of %llu bytes in use; the index has %llu of %llu in it",
                              (unsigned long long)a->slot_keys, (unsigned long long)a->slot_bytes,
                              (unsigned long long)a->keys, (unsigned long long)a->bytes);
    }
    if (status == BITCASK_OK && accounts.lost > 0)
        status = bc_tell_file(check->verify, BITCASK_FOUND_DAMAGE, "", "%llu keys of the index are in no data file",
                              (unsigned long long)accounts.lost);
    free(accounts.list);
    return status;
}
