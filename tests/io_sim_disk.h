/* io_sim_disk.h - what the simulated disk remembers: nodes, names, and the changes that no sync has covered yet.
 *
 * Each node has two states: `now`, what the running system reads, and `durable`, what the last sync left. Between
 * them stands the list of changes since. A power cut computes a third state from durable and any part of the list.
 * A data write is a change of its file; creating, renaming and removing names are changes of their directory.
 *
 * Out of memory ends the test program. Threads: none of its own; io_sim.c holds its mutex around every call.
 */
#ifndef BC_IO_SIM_DISK_H
#define BC_IO_SIM_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SIM_SECTOR 512u                  /* a torn write is torn between sectors, and now and then inside one */
#define SIM_BLOCK 4096u                  /* what room is counted in */
#define SIM_FILE_MAX ((uint64_t)1 << 30) /* bytes; a write beyond it is a bug of the store under test */

enum sim_change_kind { SIM_WRITE, SIM_TRUNCATE, SIM_LINK, SIM_UNLINK, SIM_RENAME };

struct sim_node;

struct sim_change {
    enum sim_change_kind kind;
    bool in_flight;  /* the power went during this call: it may be on disk, nobody was told so */
    bool lost;       /* a sync of it failed: later syncs do not cover it */
    uint64_t offset; /* of a write; the size of a truncation */
    size_t size;
    uint8_t *data;
    char *name; /* of a link, an unlink; the old name of a rename */
    char *to;   /* the new name of a rename */
    struct sim_node *node;
};

struct sim_content {
    uint8_t *data;
    uint64_t size;
    uint64_t room;
};

struct sim_entry {
    char *name;
    struct sim_node *node;
};

struct sim_entries {
    struct sim_entry *list;
    size_t count;
    size_t room;
};

struct sim_node {
    size_t number; /* its place in the disk's array */
    bool is_directory;
    struct sim_content now, durable;      /* of a file */
    uint64_t allocated;                   /* bytes of it that have room, if that is more than its size */
    struct sim_entries names, safe_names; /* of a directory: now, and durable */
    struct sim_change *changes;
    size_t change_count;
    size_t change_room;
};

struct sim_disk {
    struct sim_node **nodes; /* all there ever were; 0 is the root directory */
    size_t count;
    size_t room;
};

/* One of the unsynced changes is that with the number seed modulo how many there are. */
enum sim_keep {
    SIM_KEEP_ALL,
    SIM_KEEP_SYNCED,
    SIM_KEEP_RANDOM,
    SIM_KEEP_SYNCED_AND_ONE,
    SIM_KEEP_ALL_BUT_ONE,
    SIM_KEEP_NAMES, /* all names, and of the files' content what was synced */
    SIM_KEEP_CONTENT
};

/* Grows memory or ends the program. */
void *sim_realloc(void *memory, size_t size);

/* The next number of a splitmix64 sequence. */
uint64_t sim_random(uint64_t *state);

/* An empty disk: a root directory, durable. */
struct sim_disk *sim_disk_open(void);
void sim_disk_close(struct sim_disk **disk);

/* A node that no name leads to yet. */
struct sim_node *sim_node_new(struct sim_disk *disk, bool is_directory);

/* The node under name (size bytes) in directory as it is now, NULL if there is none. */
struct sim_node *sim_find(const struct sim_node *directory, const char *name, size_t size);

/* Walks path from start to its last component: the directory that holds it, its name (the rest of path; empty where
 * path names start itself) and its node, NULL if there is none yet. 0 or a negative errno. */
int sim_walk(struct sim_node *start, const char *path, struct sim_node **directory, const char **leaf,
             struct sim_node **node);

/* Changes. in_flight: the power goes during the call; the change is remembered, and `now` stays as it is. The caller
 * has checked that names exist, or do not, as the call demands; a rename replaces what stands under `to`. */
void sim_write(struct sim_node *file, const void *data, size_t size, uint64_t offset, bool in_flight);
void sim_truncate(struct sim_node *file, uint64_t size, bool in_flight);
void sim_link(struct sim_node *directory, const char *name, struct sim_node *node, bool in_flight);
void sim_unlink(struct sim_node *directory, const char *name, bool in_flight);
void sim_rename(struct sim_node *directory, const char *from, const char *to, bool in_flight);

/* Makes all changes of node durable, but those that a failed sync lost. */
void sim_sync(struct sim_node *node);

/* What a failed fsync does: the changes count as written from now on, and are not. */
void sim_sync_lose(struct sim_node *node);

/* Forgets what was in flight: it never got as far as the system. */
void sim_disk_drop_flights(struct sim_disk *disk);

/* The disk after a power cut, a new one; disk is left as it is. SIM_KEEP_ALL keeps what was in flight if the seed
 * is odd. SIM_KEEP_RANDOM keeps any subset of the changes: writes sector by sector, growth as zeros or not at all. */
size_t sim_disk_unsynced(const struct sim_disk *disk); /* changes, those in flight too */
struct sim_disk *sim_disk_cut(const struct sim_disk *disk, enum sim_keep keep, uint64_t seed);

/* Bytes in blocks that the files take which have a name now; and one of them, were it to end, or have room, at end. */
uint64_t sim_disk_used(const struct sim_disk *disk);
uint64_t sim_node_used(const struct sim_node *node, uint64_t end);

/* A hash of all names and bytes as they are now: two disks that look the same have the same. */
uint64_t sim_disk_digest(const struct sim_disk *disk);

#endif
