/* survey_hint.c - a hint held against what its data file was found to hold.
 *
 * A hint is disposable: one thing that does not match is enough to make it anew, so only the first is told. What it
 * knows of bytes that have gone bad is the more welcome. Nothing in it is believed about a record that can be read.
 */
#include "partition/survey.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "index/index.h"

bc_status bc_survey_open_hint(const struct bc_survey *survey, int at, struct bc_hint **hint)
{
    const struct bc_hint_head wanted = {.segment_id = survey->segment->segment_id,
                                        .generation = survey->segment->generation,
                                        .data_size = BC_SEGMENT_SIZE_MAX};
    return bc_hint_open(survey->segment->io, at, &wanted, false, hint);
}

static int by_hash(const void *a, const void *b)
{
    const struct bc_fact *x = a, *y = b;
    if (x->hash != y->hash) return x->hash < y->hash ? -1 : 1;
    return x->offset < y->offset ? -1 : x->offset > y->offset;
}

/* The records whose keys have this hash: *count of them, by offset. */
static struct bc_fact *find_facts(struct bc_survey *survey, uint64_t hash, size_t *count)
{
    size_t low = 0, high = survey->fact_count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (survey->fact_list[middle].hash < hash)
            low = middle + 1;
        else
            high = middle;
    }
    for (high = low; high < survey->fact_count && survey->fact_list[high].hash == hash;) high++;
    *count = high - low;
    return *count > 0 ? survey->fact_list + low : NULL;
}

/* Whether the record at offset is of key: two keys may share a hash. NO_MEMORY: it cannot be said. */
static bc_status is_of_key(struct bc_survey *survey, uint32_t offset, const struct bc_hint_entry *entry, bool *same)
{
    struct bc_buffer buffer = {0};
    struct bc_record record;
    bc_status status = bc_segment_read_front(survey->segment, offset, &buffer, &record);

    *same = status == BITCASK_OK && record.key_size == entry->key_size &&
            memcmp(record.key, entry->key, entry->key_size) == 0;
    bc_buffer_release(&buffer);
    return status == BITCASK_NO_MEMORY ? status : BITCASK_OK;
}

/* Whether what the hint says of a key is so. A record that is damaged does not speak against it. */
static bc_status matches(struct bc_survey *survey, const struct bc_hint_entry *entry, bool *found)
{
    size_t count;
    struct bc_fact *facts = find_facts(survey, bc_hash_key(entry->key, entry->key_size), &count);
    bc_status status = BITCASK_OK;

    *found = bc_survey_stretch_at(survey, entry->offset) != NULL;
    for (size_t i = count; i > 0 && status == BITCASK_OK; i--) {
        struct bc_fact *fact = &facts[i - 1];
        bool same;

        if (fact->offset < entry->offset) {
            if (*found) fact->listed = true; /* the key's last one that can be read */
            break;
        }
        status = is_of_key(survey, fact->offset, entry, &same);
        if (fact->offset == entry->offset) {
            fact->listed = true;
            *found = same && fact->digest == bc_digest_hint(entry);
            break;
        }
        if (same) {
            *found = false;
            break;
        }
    }
    return status;
}

static bc_status tell_mismatch(struct bc_survey *survey, const char *name, const struct bc_hint_entry *entry,
                               const char *what)
{
    return bc_tell(
        survey->verify,
        (bitcask_finding){.kind = BITCASK_FOUND_HINT, .file = name, .key = entry->key, .key_size = entry->key_size},
        "%s; the hint will be made anew", what);
}

/* Tells the first key whose last record the hint does not list. */
static bc_status tell_unlisted(struct bc_survey *survey, const char *name)
{
    struct bc_buffer buffer = {0};
    struct bc_record record;
    bc_status status = BITCASK_OK;

    for (size_t i = 0; i < survey->fact_count; i++) {
        const struct bc_fact *fact = &survey->fact_list[i];
        struct bc_hint_entry entry = {0};
        if (i + 1 < survey->fact_count && fact[1].hash == fact->hash) continue; /* not the key's last */
        if (fact->listed) continue;
        if (bc_segment_read_front(survey->segment, fact->offset, &buffer, &record) == BITCASK_OK) {
            entry.key = record.key;
            entry.key_size = record.key_size;
        }
        status = tell_mismatch(survey, name, &entry, "a key of the data file is missing");
        break;
    }
    bc_buffer_release(&buffer);
    return status;
}

/* Tells that the hint itself cannot be read; other failures are the caller's. */
static bc_status tell_unreadable(struct bc_survey *survey, const char *name, bc_status status)
{
    char why[300];

    if (status != BITCASK_CORRUPT && status != BITCASK_NEWER_FORMAT) return status;
    snprintf(why, sizeof why, "%s", bc_detail());
    return bc_tell_file(survey->verify, BITCASK_FOUND_HINT, name, "%s; the hint will be made anew", why);
}

/* Walks the hint to its end, for what it knows of bad stretches; *mismatch: something
 * was told already; else it says whether the first entry that is not so was. */
static bc_status walk_hint(struct bc_survey *survey, const struct bc_hint *hint, const char *name, bool *mismatch)
{
    struct bc_hint_cursor *cursor = NULL;
    struct bc_hint_entry entry;
    uint64_t unpaced = 0;
    bc_status status = bc_hint_cursor_open(hint, &cursor);

    while (status == BITCASK_OK && (status = bc_hint_cursor_next(cursor, &entry)) == BITCASK_OK) {
        /* Keys behind the end of a sealed file, which was durable as a whole: it was longer. */
        if ((uint64_t)entry.offset + entry.record_size > survey->end)
            status = bc_survey_add_short(survey, (uint64_t)entry.offset + entry.record_size);
        if (status == BITCASK_OK)
            status = bc_survey_add_lost(survey, entry.offset, entry.record_size, entry.key, entry.key_size);
        if (status == BITCASK_OK && !*mismatch) {
            bool found;

            status = matches(survey, &entry, &found);
            *mismatch = status == BITCASK_OK && !found;
            if (*mismatch)
                status = tell_mismatch(survey, name, &entry, "the data file has no such record as the key's last one");
        }
        unpaced += 16 + entry.key_size;
        if (status == BITCASK_OK && unpaced >= 256 * 1024) {
            status = bc_pace(survey->verify, unpaced);
            unpaced = 0;
        }
    }
    bc_hint_cursor_close(&cursor);
    return status == BITCASK_NOT_FOUND ? BITCASK_OK : status;
}

bc_status bc_survey_check_hint(struct bc_survey *survey, const struct bc_hint *hint)
{
    uint64_t data_size = bc_hint_head(hint)->data_size, end = survey->end;
    bool mismatch = data_size != end; /* told below, once */
    char name[16];
    bc_status status;

    bc_hint_name(survey->segment->segment_id, name);
    if (survey->fact_count > 0) qsort(survey->fact_list, survey->fact_count, sizeof *survey->fact_list, by_hash);
    survey->whole_hint = data_size >= end;
    status = walk_hint(survey, hint, name, &mismatch);
    if (status != BITCASK_OK) {
        survey->whole_hint = false;
        return tell_unreadable(survey, name, status);
    }
    /* A file that lost its end is not the hint's fault; keys behind the end have said so. */
    if (data_size > end && bc_survey_stretch_at(survey, end)) return BITCASK_OK;
    if (data_size != end)
        return bc_tell_file(survey->verify, BITCASK_FOUND_HINT, name,
                            "it stands for %" PRIu64 " bytes of a data file of %" PRIu64 "; the hint will be made anew",
                            data_size, end);
    return mismatch ? BITCASK_OK : tell_unlisted(survey, name);
}

bc_status bc_survey_ask_hint(struct bc_survey *survey, const struct bc_hint *hint)
{
    struct bc_hint_cursor *cursor = NULL;
    struct bc_hint_entry entry;
    bc_status status = bc_hint_cursor_open(hint, &cursor);

    while (status == BITCASK_OK && (status = bc_hint_cursor_next(cursor, &entry)) == BITCASK_OK)
        status = bc_survey_add_lost(survey, entry.offset, entry.record_size, entry.key, entry.key_size);
    bc_hint_cursor_close(&cursor);
    return status == BITCASK_NOT_FOUND || status == BITCASK_CORRUPT ? BITCASK_OK : status;
}
