/* survey.h - one data file read from end to end: what is good in it, what is not, and where each record stands.
 *
 * It is what verify and repair judge a file by. It tells nothing before bc_survey_tell(), since what a bad stretch held
 * may be known elsewhere: from the file's hint, or from an index that was made when the bytes were still good.
 *
 * Threads: a survey is used by one; the segment may be appended to meanwhile, behind the end that is given.
 */
#ifndef BC_SURVEY_H
#define BC_SURVEY_H

#include "index/index.h"
#include "log/hint.h"
#include "log/scan.h"
#include "partition/finding.h"

/* What is wrong with an item of a scan. */
enum bc_flaw {
    BC_FLAW_NONE,
    BC_FLAW_BYTES,   /* they are no record */
    BC_FLAW_ZEROS,   /* nothing but zeros to the end */
    BC_FLAW_SHORT,   /* they are not there: the file ends too early */
    BC_FLAW_VALUE,   /* the value fails its check */
    BC_FLAW_VERSION, /* nothing could follow it */
    BC_FLAW_NAME,    /* its key is none that a writer makes */
    BC_FLAW_MEANING, /* attributes, or a partition's id, that make no sense: an open refuses the whole partition */
    BC_FLAW_NEWER    /* attributes that only a newer version of this software understands: likewise */
};

enum bc_flaw bc_item_flaw(const struct bc_scan_item *item);

/* Whether the loader enters such a record in the index, key and place: a bad value is there, to be refused when read.
 */
bool bc_item_is_indexed(const struct bc_scan_item *item, enum bc_flaw flaw);

/* One number for all that hint and index know of a record besides its place: equal for the same. */
uint64_t bc_digest_record(const struct bc_record *record);
uint64_t bc_digest_entry(const struct bc_entry *entry);
uint64_t bc_digest_hint(const struct bc_hint_entry *entry);

/* A bad stretch. */
struct bc_stretch {
    enum bc_flaw flaw;
    uint8_t key_size; /* 0: unknown */
    size_t key_at;    /* in survey->keys */
    uint64_t offset, size;
    uint64_t batch;   /* where the batch began that it interrupts; 0: none */
    uint64_t records; /* good ones before it */
};

/* A key that is known to have had its record in a bad stretch. */
struct bc_lost {
    uint64_t offset;
    uint32_t size;
    uint8_t key_size;
    size_t key_at;
};

/* Where a record stands: its offset, and the low half of its key's hash. */
struct bc_place {
    uint32_t offset, hash;
};

/* What a hint has to say of a record. */
struct bc_fact {
    uint64_t hash, digest;
    uint32_t offset;
    bool listed;
};

struct bc_survey {
    const struct bc_verify *verify; /* as are the next, set by the caller; not owned */
    struct bc_segment *segment;
    char name[16];
    bool tail;      /* an active segment as a crash may have left it: what is torn behind `durable` is no damage */
    bool facts;     /* wanted, for bc_survey_check_hint() */
    bool repairing; /* for the words in which damage is told */
    /* Told of each record that an index would hold, as it is read. May be NULL. */
    bc_status (*each)(void *context, const struct bc_scan_item *item);
    void *context;

    uint64_t end;                 /* where the log ends; of a tail, where recovery would cut it */
    uint64_t durable;             /* of a tail: the last length that a record states to be durable */
    uint64_t records;             /* good ones, marks included */
    uint64_t unended;             /* where a batch begins whose end is missing; 0: none */
    uint64_t unordered;           /* a record that stands in no order with the one before it; 0: none */
    bool whole_hint;              /* the file's hint speaks for all of it */
    struct bc_stretch *stretches; /* by offset */
    size_t stretch_count, stretch_room;
    struct bc_lost *lost;
    size_t lost_count, lost_room;
    struct bc_place *places; /* of records that an index would hold, by offset */
    size_t place_count, place_room;
    struct bc_fact *fact_list;
    size_t fact_count, fact_room;
    struct bc_buffer keys; /* of stretches and lost */
};

/* Reads from offset `from` to `end`. OK whatever was found; CANCELLED, IO, NO_MEMORY. */
bc_status bc_survey_read(struct bc_survey *survey, uint64_t from, uint64_t end);

/* Whether anything in it is damaged that a copy of the rest would be rid of. */
bool bc_survey_is_damaged(const struct bc_survey *survey);

/* The bad stretch that offset lies in, NULL if there is none. */
const struct bc_stretch *bc_survey_stretch_at(const struct bc_survey *survey, uint64_t offset);

/* Notes that the record of key stood at offset, if that is in a bad stretch. */
bc_status bc_survey_add_lost(struct bc_survey *survey, uint64_t offset, uint32_t size, const void *key,
                             size_t key_size);

/* Says that the file should have been longer, up to end. */
bc_status bc_survey_add_short(struct bc_survey *survey, uint64_t end);

/* Tells all damage, keys that are known one by one. */
bc_status bc_survey_tell(struct bc_survey *survey);

/* Whether a good record of a key with this hash stands at offset. */
bool bc_survey_has(const struct bc_survey *survey, uint32_t offset, uint64_t hash);

/* Frees all but the places; and everything. */
void bc_survey_shrink(struct bc_survey *survey);
void bc_survey_release(struct bc_survey *survey);

/* ---- survey_hint.c: a data file against its hint ---- */

/* Opens the hint in the directory at, if it is one of the survey's segment, even of a longer or shorter file.
 * NOT_FOUND, CORRUPT, IO, NO_MEMORY. */
bc_status bc_survey_open_hint(const struct bc_survey *survey, int at, struct bc_hint **hint);

/* Holds the hint against the file, which was read with facts: tells the first thing that does not match. For a sealed
 * segment; what the hint knows of bad stretches, or of a file that was longer, is noted as lost. */
bc_status bc_survey_check_hint(struct bc_survey *survey, const struct bc_hint *hint);

/* Only the last: which keys had their record in a bad stretch. A hint that cannot be read is no failure. */
bc_status bc_survey_ask_hint(struct bc_survey *survey, const struct bc_hint *hint);

#endif
