/* survey.c - reads a data file and sorts what it holds into good and bad, by the rules that recovery goes by.
 *
 * It may assume nothing of the file but that its header was read. What a torn tail is, recover.c says; the same rule
 * stands here, so that verify calls nothing damage that the next open would simply cut off.
 */
#include "partition/survey.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "index/index.h"
#include "partition/load.h"

#define PACE_BYTES (256u * 1024u)

/* ---- judging one record ---- */

enum bc_flaw bc_item_flaw(const struct bc_scan_item *item)
{
    const struct bc_record *record = &item->record;
    bitcask_attrs attrs;

    if (item->kind == BC_SCAN_BAD) return BC_FLAW_BYTES;
    if (item->kind == BC_SCAN_ZEROS) return BC_FLAW_ZEROS;
    if (record->version > BC_VERSION_MAX) return BC_FLAW_VERSION;
    if (bc_key_is_hostile(record->key, record->key_size)) return BC_FLAW_NAME;
    if (!(record->flags & BC_RECORD_TOMBSTONE) && !bc_record_is_mark(record)) {
        bc_status status = bc_attrs_decode(record->attrs, record->attrs_size, &attrs);
        if (status != BITCASK_OK) return status == BITCASK_NEWER_FORMAT ? BC_FLAW_NEWER : BC_FLAW_MEANING;
        if (item->kind == BC_SCAN_RECORD && (record->flags & BC_RECORD_CHILD) && record->value_size != 8)
            return BC_FLAW_MEANING;
    }
    return item->kind == BC_SCAN_BAD_VALUE ? BC_FLAW_VALUE : BC_FLAW_NONE;
}

bool bc_item_is_indexed(const struct bc_scan_item *item, enum bc_flaw flaw)
{
    if (flaw == BC_FLAW_VALUE) return !(item->record.flags & BC_RECORD_CHILD);
    return flaw == BC_FLAW_NONE && !bc_record_is_mark(&item->record);
}

enum { DIGEST_TOMBSTONE = 1, DIGEST_PARTITION = 2, DIGEST_XATTRS = 4, DIGEST_LINK = 8 };

static uint64_t digest(uint64_t version, uint32_t record_size, uint32_t value_size, unsigned flags, uint64_t child_id,
                       const bitcask_attrs *attrs)
{
    uint32_t present = attrs->present & ~(uint32_t)BITCASK_ATTR_XATTRS;
    /* Of a deletion nothing but its place and its version counts. */
    if (flags & DIGEST_TOMBSTONE) {
        const uint64_t words[] = {version, record_size, DIGEST_TOMBSTONE};
        return XXH3_64bits(words, sizeof words);
    }
    const uint64_t words[] = {
        version,
        (uint64_t)record_size << 32 | value_size,
        flags,
        flags & (DIGEST_PARTITION | DIGEST_LINK) ? child_id : 0,
        present,
        present & BITCASK_ATTR_MODE ? attrs->mode : 0,
        present & BITCASK_ATTR_UID ? attrs->uid : 0,
        present & BITCASK_ATTR_GID ? attrs->gid : 0,
        present & BITCASK_ATTR_RDEV ? attrs->rdev : 0,
        present & BITCASK_ATTR_MTIME ? (uint64_t)attrs->mtime_ns : 0,
        present & BITCASK_ATTR_CTIME ? (uint64_t)attrs->ctime_ns : 0,
        present & BITCASK_ATTR_ATIME ? (uint64_t)attrs->atime_ns : 0,
        present & BITCASK_ATTR_EXPIRY ? (uint64_t)attrs->expiry_ns : 0,
        present & BITCASK_ATTR_INO ? attrs->ino : 0,
    };
    return XXH3_64bits(words, sizeof words);
}

uint64_t bc_digest_record(const struct bc_record *record)
{
    bitcask_attrs attrs = {0};
    bool has_child = (record->flags & BC_RECORD_CHILD) && record->value && record->value_size == 8;
    unsigned flags = record->flags & BC_RECORD_TOMBSTONE ? DIGEST_TOMBSTONE : 0u;

    if (has_child) flags |= record->flags & BC_RECORD_PARTITION ? DIGEST_PARTITION : DIGEST_LINK;
    /* One that does not decode is a flaw of its own, told as such. */
    if (bc_attrs_decode(record->attrs, record->attrs_size, &attrs) != BITCASK_OK) attrs = (bitcask_attrs){0};
    if (attrs.present & BITCASK_ATTR_XATTRS) flags |= DIGEST_XATTRS;
    return digest(record->version, (uint32_t)bc_record_size(record), record->value_size, flags,
                  has_child ? bc_get_u64(record->value) : 0, &attrs);
}

uint64_t bc_digest_entry(const struct bc_entry *entry)
{
    unsigned flags = (entry->flags & BC_ENTRY_PARTITION ? DIGEST_PARTITION : 0u) |
                     (entry->flags & BC_ENTRY_LINK ? DIGEST_LINK : 0u) |
                     (entry->flags & BC_ENTRY_HAS_XATTRS ? DIGEST_XATTRS : 0u);
    return digest(entry->version, entry->record_size, entry->value_size, flags, entry->child_id, &entry->attrs);
}

uint64_t bc_digest_hint(const struct bc_hint_entry *entry)
{
    unsigned flags = (entry->flags & BC_HINT_TOMBSTONE ? DIGEST_TOMBSTONE : 0u) |
                     (entry->flags & BC_HINT_PARTITION ? DIGEST_PARTITION : 0u) |
                     (entry->flags & BC_HINT_LINK ? DIGEST_LINK : 0u) |
                     (entry->flags & BC_HINT_XATTRS ? DIGEST_XATTRS : 0u);
    return digest(entry->version, entry->record_size, entry->value_size, flags, entry->child_id, &entry->attrs);
}

/* ---- reading ---- */

static bc_status no_memory(const struct bc_survey *survey)
{
    return bc_fail(BITCASK_NO_MEMORY, "%s: out of memory", survey->name);
}

/* What is kept from record to record. */
struct walk {
    uint64_t batch; /* where the one under way began; 0: none */
    uint64_t batch_records;
    uint64_t last_version;
    uint64_t unordered_versions, unordered_keys; /* the first record that breaks each order; 0: none */
    uint8_t last_key[BITCASK_NAME_MAX];
    size_t last_key_size;
    uint64_t unpaced;
};

/* A segment that is appended to is in the order of its versions, a merged one in that of its keys. One that was merged
 * from itself alone stands for no other, so only its records can tell. */
static void look_at_order(struct walk *walk, const struct bc_scan_item *item)
{
    const struct bc_record *record = &item->record;
    bool mark = bc_record_is_mark(record);
    size_t common = walk->last_key_size < record->key_size ? walk->last_key_size : record->key_size;
    int order = common > 0 ? memcmp(walk->last_key, record->key, common) : 0;

    if (mark ? record->version < walk->last_version : record->version <= walk->last_version)
        if (walk->unordered_versions == 0) walk->unordered_versions = item->offset;
    if (mark || order > 0 || (order == 0 && walk->last_key_size >= record->key_size))
        if (walk->unordered_keys == 0) walk->unordered_keys = item->offset;
    if (record->version > walk->last_version) walk->last_version = record->version;
    memcpy(walk->last_key, record->key, record->key_size);
    walk->last_key_size = record->key_size;
}

static void look_at_marks(struct bc_survey *survey, const struct bc_scan_item *item)
{
    const struct bc_record *record = &item->record;
    uint64_t stated = record->flags & BC_RECORD_DURABLE ? item->offset : 0;

    if (bc_record_is_mark(record) && record->value_size == 8 && record->value) {
        uint64_t value = bc_get_u64(record->value);
        if (value <= item->offset && value > stated) stated = value;
    }
    if (stated > survey->durable) survey->durable = stated;
}

static bc_status keep_place(struct bc_survey *survey, const struct bc_scan_item *item)
{
    const struct bc_record *record = &item->record;
    uint64_t hash = bc_hash_key(record->key, record->key_size);

    struct bc_place *places = bc_list_room(survey->places, survey->place_count, &survey->place_room, sizeof *places);
    if (places == NULL) return no_memory(survey);
    survey->places = places;
    places[survey->place_count++] = (struct bc_place){(uint32_t)item->offset, (uint32_t)hash};
    if (!survey->facts) return BITCASK_OK;

    struct bc_fact *facts = bc_list_room(survey->fact_list, survey->fact_count, &survey->fact_room, sizeof *facts);
    if (facts == NULL) return no_memory(survey);
    survey->fact_list = facts;
    facts[survey->fact_count++] =
        (struct bc_fact){.hash = hash, .digest = bc_digest_record(record), .offset = (uint32_t)item->offset};
    return BITCASK_OK;
}

static bc_status keep_stretch(struct bc_survey *survey, struct bc_stretch stretch, const uint8_t *key)
{
    struct bc_stretch *list =
        bc_list_room(survey->stretches, survey->stretch_count, &survey->stretch_room, sizeof *list);
    if (list == NULL) return no_memory(survey);
    survey->stretches = list;
    stretch.key_at = survey->keys.size;
    if (stretch.key_size > 0 && bc_buffer_append(&survey->keys, key, stretch.key_size) != BITCASK_OK)
        return no_memory(survey);
    list[survey->stretch_count++] = stretch;
    return BITCASK_OK;
}

static bc_status take(struct bc_survey *survey, struct walk *walk, const struct bc_scan_item *item)
{
    const struct bc_record *record = &item->record;
    enum bc_flaw flaw = bc_item_flaw(item);
    bool has_head = item->kind == BC_SCAN_RECORD || item->kind == BC_SCAN_BAD_VALUE;
    bool indexed = has_head && bc_item_is_indexed(item, flaw);
    bc_status status = BITCASK_OK;

    if (flaw != BC_FLAW_NONE)
        status = keep_stretch(survey,
                              (struct bc_stretch){.flaw = flaw,
                                                  .key_size = has_head ? record->key_size : 0,
                                                  .offset = item->offset,
                                                  .size = item->size,
                                                  .batch = walk->batch,
                                                  .records = survey->records},
                              record->key);
    if (flaw == BC_FLAW_NONE) {
        look_at_marks(survey, item);
        look_at_order(walk, item);
    }
    if (flaw == BC_FLAW_NONE || indexed) {
        if (walk->batch == 0) walk->batch_records = survey->records;
        if (!(record->flags & BC_RECORD_MORE))
            walk->batch = 0;
        else if (walk->batch == 0)
            walk->batch = item->offset;
    } else {
        walk->batch = 0; /* recovery takes what it has of a batch that damage interrupts */
    }
    if (flaw == BC_FLAW_NONE) survey->records++;
    if (status == BITCASK_OK && indexed) status = keep_place(survey, item);
    if (status == BITCASK_OK && indexed && survey->each) status = survey->each(survey->context, item);
    return status;
}

/* Forgets what stands at or behind the end. */
static void cut(struct bc_survey *survey, uint64_t end)
{
    survey->end = end;
    while (survey->stretch_count > 0 && survey->stretches[survey->stretch_count - 1].offset >= end)
        survey->stretch_count--;
    while (survey->place_count > 0 && survey->places[survey->place_count - 1].offset >= end) survey->place_count--;
    while (survey->fact_count > 0 && survey->fact_list[survey->fact_count - 1].offset >= end) survey->fact_count--;
}

/* The first bad stretch at or behind the last stated length is where a torn tail begins. Records that make no sense are
 * none: they are whole, and recovery refuses them rather than to cut them off. */
static void cut_tail(struct bc_survey *survey, struct walk *walk)
{
    const struct bc_stretch *first = NULL;

    for (size_t i = survey->stretch_count; i > 0; i--) {
        const struct bc_stretch *stretch = &survey->stretches[i - 1];
        if (stretch->flaw == BC_FLAW_MEANING || stretch->flaw == BC_FLAW_NEWER) continue;
        if (stretch->offset < survey->durable) break;
        first = stretch;
    }
    if (first == NULL) return;
    walk->batch = first->batch;
    survey->records = first->records;
    cut(survey, first->offset);
}

static void settle(struct bc_survey *survey, struct walk *walk)
{
    bool alone = survey->segment->lowest_id == survey->segment->segment_id;

    if (survey->tail) cut_tail(survey, walk);
    if (walk->batch != 0 && survey->tail && walk->batch >= survey->durable) {
        if (survey->records > walk->batch_records) survey->records = walk->batch_records;
        cut(survey, walk->batch);
    } else {
        survey->unended = walk->batch;
    }
    if (alone && walk->unordered_versions != 0 && walk->unordered_keys != 0 && walk->unordered_versions < survey->end &&
        walk->unordered_keys < survey->end)
        survey->unordered = walk->unordered_versions;
}

bc_status bc_survey_read(struct bc_survey *survey, uint64_t from, uint64_t end)
{
    struct walk walk = {0};
    struct bc_scan *scan = NULL;
    struct bc_scan_item item = {.offset = from};
    bc_status status = bc_scan_open(survey->segment, from, end, &scan);

    survey->durable = from;
    while (status == BITCASK_OK) {
        status = bc_scan_next(scan, &item);
        if (status != BITCASK_OK || item.kind == BC_SCAN_END) break;
        status = take(survey, &walk, &item);
        walk.unpaced += item.size;
        if (status == BITCASK_OK && walk.unpaced >= PACE_BYTES) {
            status = bc_pace(survey->verify, walk.unpaced);
            walk.unpaced = 0;
        }
    }
    if (scan != NULL) bc_scan_close(&scan);
    if (status == BITCASK_OK && walk.unpaced > 0) status = bc_pace(survey->verify, walk.unpaced);
    if (status != BITCASK_OK) return status;
    survey->end = item.offset;
    settle(survey, &walk);
    survey->verify->result->records += survey->records;
    survey->verify->result->bytes += survey->end;
    /* The scan ends where the file does. */
    return item.offset < end ? bc_survey_add_short(survey, end) : BITCASK_OK;
}

/* ---- what was found ---- */

bool bc_survey_is_damaged(const struct bc_survey *survey)
{
    for (size_t i = 0; i < survey->stretch_count; i++)
        if (survey->stretches[i].flaw != BC_FLAW_NEWER) return true;
    return survey->unended != 0; /* what is out of order can be read, and a copy would be no better */
}

const struct bc_stretch *bc_survey_stretch_at(const struct bc_survey *survey, uint64_t offset)
{
    size_t low = 0, high = survey->stretch_count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct bc_stretch *stretch = &survey->stretches[middle];
        if (offset < stretch->offset)
            high = middle;
        else if (offset - stretch->offset < stretch->size)
            return stretch;
        else
            low = middle + 1;
    }
    return NULL;
}

bc_status bc_survey_add_short(struct bc_survey *survey, uint64_t end)
{
    struct bc_stretch *last = survey->stretch_count > 0 ? &survey->stretches[survey->stretch_count - 1] : NULL;

    if (end <= survey->end) return BITCASK_OK;
    if (last != NULL && last->flaw == BC_FLAW_SHORT) {
        if (end - last->offset > last->size) last->size = end - last->offset;
        return BITCASK_OK;
    }
    return keep_stretch(
        survey, (struct bc_stretch){.flaw = BC_FLAW_SHORT, .offset = survey->end, .size = end - survey->end}, NULL);
}

bc_status bc_survey_add_lost(struct bc_survey *survey, uint64_t offset, uint32_t size, const void *key, size_t key_size)
{
    const struct bc_stretch *stretch = bc_survey_stretch_at(survey, offset);

    if (stretch == NULL || stretch->key_size > 0) return BITCASK_OK;
    struct bc_lost *list = bc_list_room(survey->lost, survey->lost_count, &survey->lost_room, sizeof *list);
    if (list == NULL) return no_memory(survey);
    survey->lost = list;
    list[survey->lost_count++] = (struct bc_lost){offset, size, (uint8_t)key_size, survey->keys.size};
    return bc_buffer_append(&survey->keys, key, key_size) == BITCASK_OK ? BITCASK_OK : no_memory(survey);
}

bool bc_survey_has(const struct bc_survey *survey, uint32_t offset, uint64_t hash)
{
    size_t low = 0, high = survey->place_count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (survey->places[middle].offset < offset)
            low = middle + 1;
        else
            high = middle;
    }
    return low < survey->place_count && survey->places[low].offset == offset &&
           survey->places[low].hash == (uint32_t)hash;
}

static const char *flaw_text(const struct bc_survey *survey, enum bc_flaw flaw)
{
    switch (flaw) {
    case BC_FLAW_ZEROS: return "zeros where records should be";
    case BC_FLAW_SHORT: return "the file is cut short";
    case BC_FLAW_VALUE: return "the value fails its checksum";
    case BC_FLAW_VERSION: return "a version that nothing could follow";
    case BC_FLAW_NAME: return "a key that is no name";
    case BC_FLAW_MEANING: return "attributes, or a partition's id, that make no sense";
    case BC_FLAW_NEWER: return "attributes of a newer version of this software; use that";
    default:
        return survey->whole_hint ? "these bytes are no record; no other key had its last one here"
                                  : "these bytes are no record; whose it was is not known";
    }
}

static int by_offset(const void *a, const void *b)
{
    const struct bc_lost *x = a, *y = b;
    return x->offset < y->offset ? -1 : x->offset > y->offset;
}

/* Tells one stretch: each key that is known to have been in it, and the rest of it. */
static bc_status tell_stretch(const struct bc_survey *survey, const struct bc_stretch *stretch, size_t *next_lost)
{
    static const char again[] = "; an older value of it may show again";
    bitcask_finding finding = {.kind = stretch->flaw == BC_FLAW_NEWER ? BITCASK_FOUND_NOTE : BITCASK_FOUND_DAMAGE,
                               .file = survey->name};
    uint64_t known = 0;
    bc_status status = BITCASK_OK;

    for (; *next_lost < survey->lost_count && status == BITCASK_OK; (*next_lost)++) {
        const struct bc_lost *lost = &survey->lost[*next_lost];
        if (lost->offset - stretch->offset >= stretch->size) break;
        if (*next_lost > 0 && lost->offset == lost[-1].offset) continue; /* known from two sides */
        finding.offset = lost->offset;
        finding.size = lost->size;
        finding.key = survey->keys.data + lost->key_at;
        finding.key_size = lost->key_size;
        known += lost->size;
        status =
            bc_tell(survey->verify, finding, "the record of this key is damaged%s", survey->repairing ? again : "");
    }
    if (status != BITCASK_OK || known >= stretch->size) return status;
    finding.offset = stretch->offset;
    finding.size = stretch->size;
    finding.key = stretch->key_size > 0 ? survey->keys.data + stretch->key_at : NULL;
    finding.key_size = stretch->key_size;
    return bc_tell(survey->verify, finding, "%s%s", flaw_text(survey, stretch->flaw),
                   survey->repairing && stretch->key_size > 0 ? again : "");
}

bc_status bc_survey_tell(struct bc_survey *survey)
{
    bitcask_finding finding = {.kind = BITCASK_FOUND_DAMAGE, .file = survey->name};
    size_t next_lost = 0;
    bc_status status = BITCASK_OK;

    if (survey->lost_count > 0) qsort(survey->lost, survey->lost_count, sizeof *survey->lost, by_offset);
    for (size_t i = 0; i < survey->stretch_count && status == BITCASK_OK; i++)
        status = tell_stretch(survey, &survey->stretches[i], &next_lost);
    if (status == BITCASK_OK && survey->unended != 0) {
        finding.offset = survey->unended;
        finding.size = survey->end - survey->unended;
        status = bc_tell(survey->verify, finding, "a batch whose end is missing");
    }
    if (status == BITCASK_OK && survey->unordered != 0) {
        finding.offset = survey->unordered;
        finding.size = 0;
        status = bc_tell(survey->verify, finding, "a version that is not above the one before it");
    }
    return status;
}

void bc_survey_shrink(struct bc_survey *survey)
{
    free(survey->lost);
    free(survey->fact_list);
    survey->lost = NULL;
    survey->fact_list = NULL;
    survey->lost_count = survey->lost_room = survey->fact_count = survey->fact_room = 0;
}

void bc_survey_release(struct bc_survey *survey)
{
    bc_survey_shrink(survey);
    free(survey->stretches);
    free(survey->places);
    bc_buffer_release(&survey->keys);
    survey->stretches = NULL;
    survey->places = NULL;
    survey->stretch_count = survey->stretch_room = survey->place_count = survey->place_room = 0;
}
