/* import.h - what comes in on standard input, on its way into a store.
 */
#ifndef CLI_IMPORT_H
#define CLI_IMPORT_H

#include "item.h"
#include "path.h"
#include "progress.h"

/* An import under way. */
struct cli_import {
    struct cli_store store;
    struct cli_path path; /* below which everything goes */
    struct cli_xattrs xattrs;
    struct cli_gather value;
    struct cli_progress progress;
    bitcask_progress state;
    bool quiet;
    bool input_failed; /* standard input cannot be read, which was told */
    bool ended;        /* nothing more can be stored: the disk is full, say */
    int status;
    uint64_t keys, partitions, links;
    uint64_t bytes;    /* of values */
    char *parent_path; /* of the partition that was used last, which stays open; owned */
    bitcask_partition *parent;
};

/* Reads some of standard input. 0: its end; -1: told, or a signal came. */
long cli_import_read(struct cli_import *import, void *buffer, size_t size);

/* Stores an item, the value of which was gathered in import->value. What fails is told and counted. Returns false once
 * nothing more can be stored, or a signal came. */
bool cli_import_item(struct cli_import *import, const struct cli_item *item);

/* Tells of something that cannot be stored, in the words of the format, and goes on. */
void cli_import_refuse(struct cli_import *import, const char *path, const char *why);

/* Reads all of standard input as a tar archive. Returns an exit status, of the archive alone. */
int cli_import_tar(struct cli_import *import);

#endif
