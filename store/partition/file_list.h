/* file_list.h - what lies in a partition's directory, sorted by what it is by its name.
 */
#ifndef BC_FILE_LIST_H
#define BC_FILE_LIST_H

#include "io/io.h"

#define BC_DAMAGED_SUFFIX ".damaged" /* of a file that a repair set aside; a number may follow: ".damaged.1" */

struct bc_file_list {
    uint32_t *data, *hints; /* ids, ascending */
    size_t data_count, data_room, hint_count, hint_room;
    bool active;         /* active.data */
    bool checkpoint;     /* of the index */
    char (*others)[256]; /* names that mean nothing to an open, *.damaged among them */
    size_t other_count, other_room;
    bool failed;
};

bc_status bc_file_list_read(struct bc_io *io, int fd, const char *label, struct bc_file_list *list);
void bc_file_list_release(struct bc_file_list *list);

bool bc_file_list_has_data(const struct bc_file_list *list, uint32_t segment_id);

/* Whether a name is one that repair gives to what it sets aside. */
bool bc_is_damaged_name(const char *name);

#endif
