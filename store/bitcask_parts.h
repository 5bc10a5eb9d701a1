/* bitcask_parts.h - what the files of the public API share. */
#ifndef BITCASK_PARTS_H
#define BITCASK_PARTS_H

#include "bitcask.h"

#include "db/db.h"

/* What a public handle on a value points at. */
struct bitcask_value {
    struct bc_value value; /* must be the only member: the handle is the pinned value itself */
};

#define ENTER() bc_detail_clear()

/* OK, BAD_ARGUMENT or TOO_LARGE. attrs may be NULL. */
bitcask_status bc_check_attrs(const bitcask_attrs *attrs);
bitcask_status bc_check_value(const void *value, size_t size);

#endif
