/* value.h - values on their way into and out of a store: the one place where the commands deal with large ones.
 *
 * Out: in pieces, whatever their size. In: gathered in memory up to 8 MiB, beyond that by a writer of the store, and
 * stored in one step.
 */
#ifndef CLI_VALUE_H
#define CLI_VALUE_H

#include "cli.h"

/* A value that is being gathered. All zero: empty. */
struct cli_gather {
    bitcask_partition *partition; /* not owned: of the store that a large value goes to; NULL: none is open yet */
    bitcask_writer *writer;       /* owned: has the value, once it is large */
    bool more;                    /* cli_gather_file() stopped for want of a partition */
    char *data;                   /* owned */
    size_t size;
    size_t room;
};

/* Empties it; what it had of memory stays for the next one. Before the store is closed. */
void cli_gather_reset(struct cli_gather *gather);
void cli_gather_release(struct cli_gather *gather);

/* Places size bytes at offset; what is skipped is zeros. name: where they come from, for messages. Returns an exit
 * status: a value that gets too large is told. */
int cli_gather_write(struct cli_gather *gather, const char *name, uint64_t offset, const void *data, size_t size);

uint64_t cli_gather_size(const struct cli_gather *gather);

/* Adds all that fd has; or, without a partition, as much as memory should hold. Returns an exit status. */
int cli_gather_file(struct cli_gather *gather, int fd, const char *name);

/* Stores what was gathered, as bitcask_put() does. */
bitcask_status cli_gather_put(struct cli_gather *gather, bitcask_partition *partition, const void *key, size_t key_size,
                              const bitcask_write_options *options);

/* Hands a pinned value to take, piece by piece, each checked before; take returns false to stop, which is no failure.
 */
bitcask_status cli_value_pieces(bitcask_value *value, bool (*take)(void *context, const void *data, size_t size),
                                void *context);

#endif
