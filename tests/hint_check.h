/* hint_check.h - what the tests of hints share: random entries, hints of them on a disk or in memory, checking them.
 *
 * Failures are CUnit's. Threads: one.
 */
#ifndef HINT_CHECK_H
#define HINT_CHECK_H

#include "io_sim.h"
#include "log/hint.h"

#define HINT_NAME "000007.hint"

/* Of the hints below; segment 7. */
extern const struct bc_hint_head hint_head;

/* An entry with the memory of its key. */
struct hint_item {
    struct bc_hint_entry entry;
    uint8_t key[255];
};

/* Orders items by their keys, for qsort and bsearch. */
int hint_item_order(const void *a, const void *b);

/* About count entries in order, each key once, as malloc'ed array; largest: bytes in the largest key. Many keys begin
 * alike, or with all of another; every kind of flag, attribute and size is among them. */
struct hint_item *hint_items_make(uint64_t *seed, size_t count, size_t largest, size_t *made);

/* Whether two entries say the same, attributes compared as they are stored. */
bool hint_entry_same(const struct bc_hint_entry *a, const struct bc_hint_entry *b);

/* Writes a hint of count items; on failure the writer is aborted. bytes: its size, may be NULL. */
bc_status hint_write(struct bc_io *io, int at, const struct bc_hint_head *head, const struct hint_item *items,
                     size_t count, uint64_t *bytes);

/* Walks all entries, opens the hint and asks it for every key and some others. Each answer must be right, or CORRUPT;
 * these are counted, in *errors or in what is returned. */
void hint_check_cursor(const struct bc_hint *hint, const struct hint_item *items, size_t count, size_t *errors);
size_t hint_check(struct bc_io *io, int at, const struct hint_item *items, size_t count);

/* A simulated disk with a directory on it, made durable, and whether a name is in that. Closing checks that no other
 * handle is open. */
struct bc_sim *hint_disk_open(int *at);
void hint_disk_close(struct bc_sim **sim, int at);
bool hint_disk_has(struct bc_sim *sim, int at, const char *name);

/* A hint as bytes in memory, to be read through io. */
struct hint_memory {
    struct bc_io io; /* first: the table's functions get a pointer to it */
    struct bc_io_ops ops;
    uint8_t *data;
    size_t size;
    int open; /* handles */
};

/* more: bytes of room behind it, zero. */
struct hint_memory *hint_memory_open(const struct hint_item *items, size_t count, size_t more);
void hint_memory_close(struct hint_memory **memory);

#endif
