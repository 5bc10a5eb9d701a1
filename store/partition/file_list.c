/* file_list.c - see file_list.h.
 */
#include "partition/file_list.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "log/checkpoint.h"
#include "log/hint.h"
#include "log/segment.h"

bool bc_is_damaged_name(const char *name)
{
    const char *suffix = strstr(name, BC_DAMAGED_SUFFIX);
    const char *rest = suffix ? suffix + strlen(BC_DAMAGED_SUFFIX) : NULL;

    if (!rest) return false;
    return *rest == '\0' || (*rest == '.' && rest[1] != '\0' && strspn(rest + 1, "0123456789") == strlen(rest + 1));
}

static bool add_id(uint32_t **ids, size_t *count, size_t *room, uint32_t id)
{
    uint32_t *moved = bc_list_room(*ids, *count, room, sizeof **ids);

    if (!moved) return false;
    *ids = moved;
    moved[(*count)++] = id;
    return true;
}

static bool add_other(struct bc_file_list *list, const char *name)
{
    char(*moved)[256] = bc_list_room(list->others, list->other_count, &list->other_room, sizeof *moved);

    if (!moved) return false;
    list->others = moved;
    snprintf(moved[list->other_count++], sizeof *moved, "%s", name);
    return true;
}

static bool add_name(void *context, const char *name)
{
    struct bc_file_list *list = context;
    bool added = true;
    uint32_t id;

    if (strcmp(name, BC_ACTIVE_NAME) == 0)
        list->active = true;
    else if (bc_segment_parse_name(name, &id))
        added = add_id(&list->data, &list->data_count, &list->data_room, id);
    else if (bc_hint_parse_name(name, &id))
        added = add_id(&list->hints, &list->hint_count, &list->hint_room, id);
    else if (strcmp(name, BC_CHECKPOINT_NAME) == 0)
        list->checkpoint = true;
    else if (strcmp(name, BC_TEMPORARY_NAME) != 0 && strcmp(name, BC_MERGE_NAME) != 0 &&
             strcmp(name, BC_HINT_TEMPORARY_NAME) != 0 && strcmp(name, BC_CHECKPOINT_TEMPORARY_NAME) != 0)
        added = add_other(list, name);
    if (!added) list->failed = true;
    return added;
}

static int compare_ids(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

bc_status bc_file_list_read(struct bc_io *io, int fd, const char *label, struct bc_file_list *list)
{
    bc_status status;

    *list = (struct bc_file_list){0};
    status = bc_io_list(io, fd, label, add_name, list);
    if (status == BITCASK_OK && list->failed) status = bc_fail(BITCASK_NO_MEMORY, "%s: out of memory", label);
    if (list->data_count > 0) qsort(list->data, list->data_count, sizeof *list->data, compare_ids);
    if (list->hint_count > 0) qsort(list->hints, list->hint_count, sizeof *list->hints, compare_ids);
    return status;
}

void bc_file_list_release(struct bc_file_list *list)
{
    free(list->data);
    free(list->hints);
    free(list->others);
    *list = (struct bc_file_list){0};
}

bool bc_file_list_has_data(const struct bc_file_list *list, uint32_t segment_id)
{
    return list->data_count > 0 &&
           bsearch(&segment_id, list->data, list->data_count, sizeof *list->data, compare_ids) != NULL;
}
