/* tree.h - going through a partition and all below it, name by name.
 */
#ifndef CLI_TREE_H
#define CLI_TREE_H

#include "cli.h"

/* What is visited. All of it is valid during the call. */
struct cli_place {
    const char *path;             /* from where the walk began: "" for that, "a/b" below */
    bitcask_partition *partition; /* that holds the key; of a partition, itself */
    bitcask_partition *parent;    /* of a partition, the one above; NULL where the walk began */
    const bitcask_entry *entry;   /* of a partition where the walk began entry->key is NULL */
};

/* Each may be NULL; false stops the walk, which is no failure. */
struct cli_visitor {
    bool (*enter)(void *context, const struct cli_place *place); /* a partition, before what is in it */
    bool (*key)(void *context, const struct cli_place *place);
    bool (*leave)(void *context, const struct cli_place *place); /* a partition, after what is in it */
    bool only_partitions;
    bool silent; /* failures are not told: another walk will */
    void *context;
};

/* Visits the partition at path and all below, in the order of names. One that has gone meanwhile is passed over; one
 * that cannot be read is told and passed over, and makes the result CLI_FAILED. Returns an exit status. */
int cli_tree_walk(const struct cli_store *store, const char *path, const struct cli_visitor *visitor);

#endif
