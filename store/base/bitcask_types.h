/* bitcask_types.h - the vocabulary of libbitcask: statuses, attributes, entries, options.
 *
 * Holds the public data types and nothing that acts. It stands on the lowest floor so that every module of
 * the store speaks of a status or an attribute in the same words; bitcask.h includes it, and programs
 * include bitcask.h alone.
 */
#ifndef BITCASK_TYPES_H
#define BITCASK_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What a call came to. A miss is a status and no error. Each says what it leaves unchanged: unless noted, a
 * call that does not return BITCASK_OK changed nothing. */
typedef enum bitcask_status {
    BITCASK_OK = 0,
    BITCASK_NOT_FOUND,        /* no such key or partition, or a query's end */
    BITCASK_EXISTS,           /* the name is taken */
    BITCASK_NOT_EMPTY,        /* the partition holds keys or partitions */
    BITCASK_IS_PARTITION,     /* the name is a partition where a key is wanted */
    BITCASK_NOT_PARTITION,    /* the name is a key where a partition is wanted */
    BITCASK_BAD_NAME,         /* a name that no mount could show: see bitcask_check_name() */
    BITCASK_NAME_TOO_LONG,    /* a name of more than 255 bytes */
    BITCASK_BAD_ARGUMENT,     /* an argument outside its documented range */
    BITCASK_TOO_LARGE,        /* the value, the attributes or the batch exceed their limit */
    BITCASK_VERSION_MISMATCH, /* if_version named another version than the key has */
    BITCASK_LOOP,             /* a partition would be moved into itself */
    BITCASK_READ_ONLY,        /* the store was opened read-only, or its filesystem is */
    BITCASK_IN_USE,           /* another process writes (or repairs) the store */
    BITCASK_NOT_A_STORE,      /* the path is no store: a file, or a directory with other things in it */
    BITCASK_NEWER_FORMAT,     /* written by a newer version of this software */
    BITCASK_UNSAFE,           /* the store belongs to someone else, or others may write to it */
    BITCASK_DENIED,           /* the operating system refuses access */
    BITCASK_CORRUPT,          /* stored bytes fail their check; never handed out */
    BITCASK_POISONED,         /* an fsync failed earlier: the partition takes no writes until reopened */
    BITCASK_NO_SPACE,         /* the disk is full */
    BITCASK_QUOTA,            /* the disk quota is used up */
    BITCASK_TOO_MANY_FILES,   /* out of file descriptors */
    BITCASK_IO,               /* the disk failed; a write it hit may or may not be there after a crash */
    BITCASK_NO_MEMORY,
    BITCASK_UNSUPPORTED,   /* the filesystem below lacks something that the store needs */
    BITCASK_CANCELLED,     /* a progress function said so; inputs are untouched */
    BITCASK_TOO_MANY_LINKS /* the file has as many names as it may have */
} bitcask_status;

/* Limits. */
#define BITCASK_NAME_MAX 255u                    /* bytes in one name */
#define BITCASK_VALUE_MAX (256u * 1024u * 1024u) /* bytes in one value */
#define BITCASK_SMALL_MAX (64u * 1024u)          /* bytes of a value that stands in its name's record; more: an inode */
#define BITCASK_SIZE_MAX (1ull << 44)            /* bytes in one value that is written in pieces */
#define BITCASK_BATCH_MAX (64u * 1024u * 1024u)  /* encoded bytes of a batch of more than one record */
#define BITCASK_XATTRS_MAX (64u * 1024u)         /* encoded bytes of a key's extended attributes */
#define BITCASK_LINKS_MAX 65000u                 /* names of one file */

/* Which members of a bitcask_attrs are given. */
enum {
    BITCASK_ATTR_MODE = 1u << 0,
    BITCASK_ATTR_UID = 1u << 1,
    BITCASK_ATTR_GID = 1u << 2,
    BITCASK_ATTR_MTIME = 1u << 3,
    BITCASK_ATTR_CTIME = 1u << 4,
    BITCASK_ATTR_ATIME = 1u << 5,
    BITCASK_ATTR_INO = 1u << 6,
    BITCASK_ATTR_RDEV = 1u << 7,
    BITCASK_ATTR_EXPIRY = 1u << 8,
    BITCASK_ATTR_XATTRS = 1u << 9,
    BITCASK_ATTR_ALL = (1u << 10) - 1
};

/* The metadata of a key or a partition. A member counts only where its bit is set in `present`; an absent one
 * takes no room on disk. Times are nanoseconds since 1970, so 1677 to 2262. */
typedef struct bitcask_attrs {
    uint32_t present; /* BITCASK_ATTR_* */
    uint32_t mode;    /* type and permissions as in stat(2); absent: a regular file, 0644, or a directory, 0755 */
    uint32_t uid;
    uint32_t gid;
    uint32_t rdev;      /* device number of a device node */
    int64_t mtime_ns;   /* absent: the version */
    int64_t ctime_ns;   /* absent: the version */
    int64_t atime_ns;   /* absent: the mtime */
    int64_t expiry_ns;  /* absent: never */
    uint64_t ino;       /* absent: derived from partition id and name */
    const void *xattrs; /* opaque bytes, kept as they are; not owned. Stat and query only say whether there are any */
    size_t xattrs_size; /* at most BITCASK_XATTRS_MAX */
} bitcask_attrs;

typedef enum bitcask_kind { BITCASK_KEY = 0, BITCASK_PARTITION = 1 } bitcask_kind;

/* What is known of a name without reading its value. */
typedef struct bitcask_entry {
    const void *key; /* the name; whose memory it is and how long it lives, the call says that fills this in */
    size_t key_size;
    bitcask_kind kind;
    bitcask_attrs attrs; /* as stored, except: mtime, ctime and ino are always filled in and present */
    uint64_t version;    /* nanoseconds since 1970, strictly growing in a partition */
    uint64_t value_size; /* bytes; 0 for a partition */
    uint64_t ino;        /* stable inode number: a partition's id (the root's 1); a key's stored one; else, of one that
                            is large or has several names, a random one, top bit set; else the derived one. One that
                            was renamed, or linked, keeps it; a new file under its old name has the same one then: use
                            file_id to tell files with several names apart. The mount gives no two it knows the same */
    uint64_t partition_id; /* of a partition; 0 for a key */
    uint64_t nlink;        /* names that the file has; 1 for a partition */
    uint64_t stored_size;  /* of value_size, bytes that are no hole */
    uint64_t file_id;      /* of a file that is large or has several names: the same under all of them, and of no other
                              file; 0: its record stands under its name */
} bitcask_entry;

/* When an acknowledged put is on stable storage without being asked for. */
typedef enum bitcask_sync_policy {
    BITCASK_SYNC_INTERVAL = 0, /* at most sync_interval_ms later */
    BITCASK_SYNC_ALWAYS,       /* before the call returns */
    BITCASK_SYNC_OS            /* when the operating system sees fit, or at a sync call, or at close */
} bitcask_sync_policy;

typedef enum bitcask_log_level { BITCASK_LOG_INFO = 0, BITCASK_LOG_WARNING, BITCASK_LOG_ERROR } bitcask_log_level;

/* Options of bitcask_open(); bitcask_options_init() fills in the defaults. */
typedef struct bitcask_options {
    bool read_only; /* beside a running writer too; nothing on disk is changed */
    bool create;    /* make the store if path is absent or an empty directory */
    bitcask_sync_policy sync;
    unsigned sync_interval_ms; /* default 1000; 1 to 3,600,000 */
    unsigned max_open;         /* partitions open at once; 0: derived from RLIMIT_NOFILE */
    /* Bytes of memory for the indexes of all open partitions together; 0: a quarter of the machine's, else from 64 KiB
     * on. Beyond it those unused for longest are closed. Not those in use, nor the one used last: a single partition
     * may take more. */
    uint64_t memory_limit;
    unsigned lock_wait_ms;      /* how long to wait for a writer that is closing, to read as well; default 0 */
    uint64_t segment_size;      /* bytes; default 256 MiB; 64 KiB to 4 GiB - 1 */
    bool scheduler;             /* merge in the background what is worth it; default: not */
    uint64_t merge_bytes_per_s; /* the most that merges write; 0: no limit, the default */
    /* Called with one line, without a newline, for what happens outside any call's result (a tail cut at open,
     * a background sync that failed). From any thread; must not call the library. NULL: silence. */
    void (*log)(void *context, bitcask_log_level level, const char *line);
    void *log_context;
} bitcask_options;

/* Flags of writes. */
enum {
    BITCASK_DURABLE = 1u << 0,    /* on stable storage when the call returns, the path of partitions to it too */
    BITCASK_IF_ABSENT = 1u << 1,  /* BITCASK_EXISTS if the name is taken */
    BITCASK_IF_VERSION = 1u << 2, /* BITCASK_VERSION_MISMATCH unless the key has if_version */
    BITCASK_NOREPLACE = 1u << 3,  /* move: BITCASK_EXISTS if the target is there */
    BITCASK_EXCHANGE = 1u << 4,   /* move: swap the two, which must both be there */
    BITCASK_BELOW = 1u << 5,      /* rotate, merge, verify: the partitions below as well */
    BITCASK_MERGE_FULL = 1u << 6, /* merge: rewrite everything, not only where space comes back */
    BITCASK_LINK = 1u << 7,       /* move: the file keeps its name and gets the other one besides */
    BITCASK_REMOVE = 1u << 8,     /* move: the name is deleted; there is no target */
    BITCASK_UNOPENED = 1u << 9,   /* metrics: partitions that are not open too: they are opened */
    BITCASK_BY_PARTITION = 1u << 10, /* metrics: all of one partition, then all of the next */
    BITCASK_PROMISED = 1u << 11      /* set_attrs: its room was reserved, and given back for this call: on a full disk it
                                        may take what is kept for deletions */
};

/* Options of a put or delete; NULL stands for all zero. */
typedef struct bitcask_write_options {
    unsigned flags;             /* BITCASK_DURABLE, BITCASK_IF_ABSENT, BITCASK_IF_VERSION */
    const bitcask_attrs *attrs; /* put only; NULL: none. Not owned, read during the call */
    uint64_t if_version;
    uint64_t reserved; /* bytes of bitcask_reserve() that this write uses up if it succeeds */
} bitcask_write_options;

/* One rename, link or deletion: see bitcask_move(). */
struct bitcask_partition;
typedef struct bitcask_move_item {
    struct bitcask_partition *from;
    const void *from_key;
    size_t from_key_size;
    struct bitcask_partition *to;
    const void *to_key;
    size_t to_key_size;
    unsigned flags; /* none, or one of BITCASK_NOREPLACE, BITCASK_EXCHANGE, BITCASK_LINK and BITCASK_REMOVE */
    /* Members to set in what is moved (its ctime, say), NULL: none; not for EXCHANGE. For LINK and REMOVE the ctime
     * alone, of a file that has several names, and not back. */
    const bitcask_attrs *attrs;
    uint64_t *file_id; /* LINK: NULL, or gets that of the file when the item is done */
} bitcask_move_item;

/* Options of a query; all zero: every key and partition, in order. Bounds are compared by memcmp. */
typedef struct bitcask_query_options {
    const void *from; /* first name wanted, NULL: no lower bound */
    size_t from_size;
    bool from_exclusive;
    const void *to; /* last name wanted, NULL: no upper bound */
    size_t to_size;
    bool to_exclusive;
    const void *prefix; /* only names that begin so, NULL: all */
    size_t prefix_size;
    /* Go on behind this name in the query's direction, whether it still exists or not: the way to resume after the last
     * one seen, with the other options as they were. NULL: from the start of the range. */
    const void *after;
    size_t after_size;
    uint64_t limit; /* at most so many, 0: no limit */
    bool reverse;   /* from the last to the first */
    bool keys;      /* keys and partitions: both false means both */
    bool partitions;
} bitcask_query_options;

/* Counts since the store was opened, and sizes as they are now, of the partitions that are open. Bytes and syncs are
 * those of the whole process, if it has several stores open. */
typedef struct bitcask_stats {
    uint64_t partitions_open;
    uint64_t live_keys;       /* keys and partitions with a name */
    uint64_t live_bytes;      /* encoded records that the index points at */
    uint64_t dead_bytes;      /* the rest of the data files */
    uint64_t data_bytes;      /* data files, headers included */
    uint64_t segments;        /* data files */
    uint64_t index_bytes;     /* memory of the indexes, key bytes included */
    uint64_t key_bytes;       /* of these, the keys themselves */
    uint64_t damaged_regions; /* found at opening: bytes that fail their check in front of the durable mark */
    uint64_t bytes_written;
    uint64_t bytes_read;
    uint64_t puts;
    uint64_t deletes;
    uint64_t gets;
    uint64_t syncs;            /* fsync and fdatasync calls */
    uint64_t partition_opens;  /* how often a partition was opened, and scanned */
    uint64_t partition_closes; /* how often one was closed to make room */
    uint64_t tombstone_bytes;  /* of the dead bytes, deletions that older segments may still need */
    uint64_t hint_bytes;       /* hint files */
    uint64_t merges;           /* that replaced segments */
    uint64_t merge_ns;         /* time spent in them */
    uint64_t merge_reclaimed_bytes;
    uint64_t last_merge_ns;     /* when the last one ended, nanoseconds since 1970; 0: none */
    uint64_t bloom_hits;        /* a filter said that a segment may hold the key */
    uint64_t bloom_misses;      /* a filter spared a segment */
    uint64_t checkpoint_bytes;  /* checkpoints of indexes */
    uint64_t index_limit_bytes; /* memory_limit of the options, or what it stood for. Of the store, as are the next */
    uint64_t memory_closes;     /* of partition_closes, those to stay within it */
    uint64_t open_ns;           /* time spent in opening partitions: what the two limits cost, among others */
    uint64_t log_bytes_written; /* to the logs of these partitions alone, outputs of merges included */
    uint64_t poisoned;          /* partitions that take no writes, after an fsync that failed */
    uint64_t partitions_known;  /* open, or closed since the store was opened; the sizes are of all these */
} bitcask_stats;

/* ---- metrics ---- */

typedef enum bitcask_metric_type {
    BITCASK_COUNTER = 0, /* grows, from 0 at opening */
    BITCASK_GAUGE,       /* as it is now */
    BITCASK_HISTOGRAM,   /* see bitcask_histogram */
    BITCASK_SUMMARY      /* count and sum of a bitcask_histogram; its buckets are not worth telling */
} bitcask_metric_type;

/* How long operations took. Bucket i counts those of at most BITCASK_HISTOGRAM_BOUND_NS(i) that are in none below; the
 * last one, all longer ones. What takes around a microsecond is sampled: after a thread's first 64 one in 64 is timed,
 * and counts for 64. */
#define BITCASK_HISTOGRAM_BUCKETS 28u
#define BITCASK_HISTOGRAM_BOUND_NS(i) ((uint64_t)128 << (i))
typedef struct bitcask_histogram {
    uint64_t count;
    uint64_t sum_ns;
    uint64_t counts[BITCASK_HISTOGRAM_BUCKETS];
} bitcask_histogram;

#define BITCASK_METRICS_PARTITIONS 100u /* told one by one: those with the most bytes */

/* One figure, named as Prometheus wants it. All pointers are valid during the call that hands it out. */
typedef struct bitcask_metric {
    const char *name; /* "bitcask_live_keys"; of counters it ends in "_total" */
    const char *help; /* one line */
    bitcask_metric_type type;
    bool nanoseconds;      /* value counts these; name says seconds, and so it is to be shown */
    const char *partition; /* "/orders/2026", "/": the root, "inodes": the store's own; "rest": all others of the walk as
                              one; NULL: the whole of it */
    const char *operation; /* "get", "put", ...; NULL: none */
    uint64_t value;        /* of counters and gauges */
    const bitcask_histogram *histogram; /* of the others; else NULL */
} bitcask_metric;

/* How a store, or a part of it, is. */
typedef struct bitcask_health {
    uint64_t poisoned;       /* partitions that take no writes, because an fsync failed */
    char poisoned_path[256]; /* of one of these, as in bitcask_metric; the end of a longer one */
    uint64_t damaged;        /* partitions with bytes that failed their check at opening */
    char damaged_path[256];
    bitcask_status merge; /* how the last merge, on command or of the scheduler, ended; cancelled: OK */
    char merge_detail[256];
} bitcask_health;

/* One data file of a partition. */
typedef struct bitcask_segment_info {
    uint32_t segment_id;
    uint32_t lowest_id;  /* it stands for the segments from this id on, which it was merged from */
    char file[16];       /* "000007.data" or "active.data" */
    bool active;         /* still appended to */
    bool damaged;        /* bytes in it fail their check */
    uint64_t bytes;      /* of log, the header included */
    uint64_t live_bytes; /* of records that the index points at */
    uint64_t live_keys;
    uint64_t tombstone_bytes; /* of deletions */
    uint64_t hint_bytes;      /* of its hint file; 0: there is none */
} bitcask_segment_info;

/* Where a key's record is. */
typedef struct bitcask_location {
    uint32_t segment_id;
    char file[16];
    uint64_t offset;       /* bytes from the file's start */
    uint64_t record_bytes; /* whole record */
    uint64_t version;
    uint32_t value_crc; /* CRC-32C of the value */
    uint64_t extents;   /* that a large value is cut into; 0: it stands in one record */
} bitcask_location;

typedef enum bitcask_work { BITCASK_WORK_NONE = 0, BITCASK_WORK_MERGE, BITCASK_WORK_VERIFY } bitcask_work;

/* How far a merge or a verify is. */
typedef struct bitcask_progress {
    bitcask_work work;
    const char *path;     /* of the partition that is worked at; valid during the call */
    uint64_t bytes_done;  /* of all partitions so far */
    uint64_t bytes_total; /* as far as it is known: grows when further partitions are found */
    uint64_t elapsed_ns;
} bitcask_progress;

typedef struct bitcask_merge_options {
    unsigned flags; /* BITCASK_BELOW, BITCASK_MERGE_FULL */
    /* Called now and then from the thread that merges; false cancels: BITCASK_CANCELLED, inputs untouched. NULL: none.
     * Must not call the library. */
    bool (*progress)(void *context, const bitcask_progress *progress);
    void *context;
} bitcask_merge_options;

typedef struct bitcask_merge_result {
    uint64_t merges;       /* runs of segments that were replaced */
    uint64_t segments_in;  /* these together */
    uint64_t segments_out; /* files that came of them; one that would be empty does not stay */
    uint64_t bytes_in;     /* of the segments replaced */
    uint64_t bytes_out;    /* of what replaced them */
    uint64_t damaged;      /* segments left alone because they are damaged */
    uint64_t elapsed_ns;
} bitcask_merge_result;

/* What verify found. */
typedef enum bitcask_finding_kind {
    BITCASK_FOUND_DAMAGE = 0, /* stored bytes that fail their check, or files that contradict one another */
    BITCASK_FOUND_HINT,       /* a hint, or a checkpoint, that does not match the data: disposable, made anew */
    BITCASK_FOUND_NOTE        /* nothing wrong: a file of unknown name, say. Does not count as damage */
} bitcask_finding_kind;

typedef struct bitcask_finding {
    bitcask_finding_kind kind;
    const char *path; /* of the partition */
    const char *file; /* in its directory; "" if it concerns the whole */
    uint64_t offset;  /* of what is damaged, bytes from the file's start */
    uint64_t size;    /* 0: unknown */
    const void *key;  /* NULL: unknown */
    size_t key_size;
    const char *text; /* one line */
} bitcask_finding;    /* all pointers are valid during the call */

typedef struct bitcask_verify_options {
    unsigned flags;                                                    /* BITCASK_BELOW */
    bool (*found)(void *context, const bitcask_finding *finding);      /* false stops; NULL: only count */
    bool (*progress)(void *context, const bitcask_progress *progress); /* false stops; NULL: none */
    void *context;                                                     /* of both; neither may call the library */
} bitcask_verify_options;

typedef struct bitcask_verify_result {
    uint64_t partitions, segments, records, bytes; /* looked at */
    uint64_t damage, hints, notes;                 /* findings by kind */
    uint64_t segments_repaired;                    /* set aside as *.damaged, their good records copied out */
    uint64_t elapsed_ns;
} bitcask_verify_result;

/* What a store does in the background, or on command, and how the last of each kind ended. */
typedef struct bitcask_job {
    bool running;
    char path[256]; /* of the partition that is, or was, worked at; the end of a longer one */
    uint64_t bytes_done, bytes_total;
    uint64_t elapsed_ns;   /* so far, or of the last one */
    uint64_t ended_ns;     /* when the last one ended, nanoseconds since 1970; 0: none so far */
    bitcask_status status; /* of the last one */
    char detail[256];      /* its failure in a line, or "" */
    union {
        bitcask_merge_result merge;
        bitcask_verify_result verify;
    } result; /* of the last one */
} bitcask_job;

typedef struct bitcask_activity {
    bool scheduler;             /* on */
    uint64_t merge_bytes_per_s; /* 0: no limit */
    uint64_t merges_waiting;    /* others that wait for the one that runs */
    bitcask_job merge;
    bitcask_job verify;
} bitcask_activity;

/* What bitcask_dump() says of one stretch of a data file. */
typedef enum bitcask_dump_state {
    BITCASK_DUMP_HEADER = 0, /* the file's header; key is the partition's last known path */
    BITCASK_DUMP_GOOD,       /* a record that verifies */
    BITCASK_DUMP_BAD_VALUE,  /* head and key verify, the value does not */
    BITCASK_DUMP_BAD,        /* bytes that are no record; size says how many */
    /* Of hints: */
    BITCASK_DUMP_HINT,       /* the file's header */
    BITCASK_DUMP_HINT_ENTRY, /* a key; offset, size, sizes and version are its record's in the data file */
    /* Of a checkpoint: */
    BITCASK_DUMP_CHECKPOINT, /* the file's header */
    BITCASK_DUMP_SLOT,       /* a segment that it stands for, as in `segment`; key_size 0 */
    BITCASK_DUMP_BLOCK       /* a part of the index that verifies; one that does not is BITCASK_DUMP_BAD */
} bitcask_dump_state;

typedef struct bitcask_dump_record {
    const char *file; /* its name in the partition's directory, or the path that was given; valid during the call */
    bitcask_dump_state state;
    uint64_t offset; /* bytes from the file's start */
    uint64_t size;   /* bytes of the whole stretch */
    uint64_t version;
    const char *flags; /* names joined by commas, "-" when there are none */
    const void *key;   /* valid during the call */
    size_t key_size;
    uint64_t attrs_size;
    uint64_t value_size;
    uint64_t partition_id; /* header only, as the next two */
    uint64_t parent_id;
    uint32_t segment_id;
    uint64_t generation; /* of a hint, or slot: that of its data file */
    uint64_t keys;       /* header of a hint or checkpoint: entries */
    uint64_t data_size;  /* header of a hint: bytes of the data file that it stands for */
    /* Header of a checkpoint: the log is replayed from the tail on; it was durable up to the end. */
    uint32_t tail_segment_id, end_segment_id;
    uint64_t tail_offset, end_offset;
    const bitcask_segment_info *segment; /* slot only; valid during the call */
} bitcask_dump_record;

#ifdef __cplusplus
}
#endif

#endif
