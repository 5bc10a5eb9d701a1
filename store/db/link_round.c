/* link_round.c - names that come and go: links to a file, and deletions, many of them in one round.
 *
 * Unlike moves, which wait for the next round where they concern a name or an inode that the round has changed already,
 * links to a file may follow one another: the round is one batch in partition 1, so the inode's record, which is in it
 * once, may count all of them.
 */
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "db/move.h"
#include "partition/derived_ino.h"

/* ---- names that the round has changed ---- */

bc_status bc_round_names_init(struct bc_round_names *names, size_t most)
{
    names->places = 16;
    while (names->places < most * 4) names->places *= 2; /* two names an item, half full */
    names->table = calloc(names->places, sizeof *names->table);
    return names->table ? BITCASK_OK : BITCASK_NO_MEMORY;
}

void bc_round_names_release(struct bc_round_names *names)
{
    free(names->table);
    names->table = NULL;
}

/* The place of a name, or the free one where it belongs. */
static struct bc_round_name *find_place(const struct bc_round_names *names, const struct bitcask_partition *node,
                                        const void *key, size_t key_size)
{
    size_t at = XXH3_64bits_withSeed(key, key_size, node->id) & (names->places - 1);

    for (;; at = (at + 1) & (names->places - 1)) {
        struct bc_round_name *name = &names->table[at];

        if (!name->node) return name;
        if (name->node == node && name->key_size == key_size && memcmp(name->key, key, key_size) == 0) return name;
    }
}

const struct bc_round_name *bc_round_names_find(const struct bc_round_names *names,
                                                const struct bitcask_partition *node, const void *key, size_t key_size)
{
    const struct bc_round_name *name = find_place(names, node, key, key_size);

    return name->node ? name : NULL;
}

void bc_round_names_add(struct bc_round_names *names, const struct bitcask_partition *node, const void *key,
                        size_t key_size, uint64_t ino)
{
    *find_place(names, node, key, key_size) = (struct bc_round_name){node, key, key_size, ino};
}

/* ---- the inode ---- */

/* The inode as the round has it, else as the log has it. */
static bc_status find_inode(struct bc_round *round, struct bc_move *move, uint64_t ino, struct bc_inode **inode)
{
    *inode = bc_round_find_inode(round, ino);
    return *inode ? BITCASK_OK : bc_change_inode(&move->change, bc_round_inodes(round), ino, inode);
}

/* Its ctime is that of the change; but content may have been committed since, with a later one. */
static void set_ctime(struct bc_inode *inode, const bitcask_move_item *item)
{
    if (!item->attrs || !(item->attrs->present & BITCASK_ATTR_CTIME)) return;
    if ((inode->attrs.present & BITCASK_ATTR_CTIME) && inode->attrs.ctime_ns >= item->attrs->ctime_ns) return;
    inode->attrs.present |= BITCASK_ATTR_CTIME;
    inode->attrs.ctime_ns = item->attrs->ctime_ns;
}

static bc_status add_link(struct bc_move *move, struct bitcask_partition *node, const void *key, size_t key_size)
{
    const struct bc_write write = {.key = key,
                                   .key_size = key_size,
                                   .flags = BC_RECORD_LINK,
                                   .value = move->number,
                                   .value_size = sizeof move->number};

    return bc_change_add(&move->change, node, &write);
}

/* The record of a small file becomes an inode, and its name a link. */
static bc_status make_inode(struct bc_round *round, struct bc_move *move, struct bc_inode **inode)
{
    const bitcask_move_item *item = move->item;
    struct bc_write write;
    bc_status status = bc_partition_pin(move->from, item->from_key, item->from_key_size, &move->source);

    if (status == BITCASK_OK) status = bc_value_load(move->source);
    if (status == BITCASK_OK)
        status = bc_change_new_inode(&move->change, item->from->db, bc_round_inodes(round), inode);
    if (status != BITCASK_OK) return status;
    bc_write_from_value(move->source, &write);
    if (!(write.attrs.present & BITCASK_ATTR_INO)) {
        write.attrs.present |= BITCASK_ATTR_INO;
        write.attrs.ino = bc_derived_ino(item->from->id, item->from_key, item->from_key_size);
    }
    move->content = (struct bc_content){.size = write.value_size, .bytes = write.value};
    bc_inode_set_content(*inode, &move->content, &write.attrs);
    move->ino = (*inode)->ino;
    bc_put_u64(move->number, move->ino);
    return add_link(move, item->from, item->from_key, item->from_key_size);
}

/* ---- links ---- */

/* Finds the inode that a file is, or makes it one. */
static bc_status find_source(struct bc_round *round, const struct bc_round_names *names, struct bc_move *move,
                             struct bc_inode **inode, bool *later)
{
    const bitcask_move_item *item = move->item;
    const struct bc_round_name *changed = NULL;
    struct bc_entry entry = {0};
    bc_status status;

    if (bc_is_files(item->from)) {
        status = bc_files_number(item->from_key, item->from_key_size, &move->ino);
    } else if ((changed = bc_round_names_find(names, item->from, item->from_key, item->from_key_size)) != NULL) {
        move->ino = changed->ino;
        *later = move->ino == 0;
        status = BITCASK_OK;
    } else {
        status = bc_partition_writable(move->from);
        if (status == BITCASK_OK) status = bc_index_get(move->from->index, item->from_key, item->from_key_size, &entry);
        if (status == BITCASK_OK && (entry.flags & BC_ENTRY_PARTITION)) status = BITCASK_IS_PARTITION;
        if (status == BITCASK_OK && !(entry.flags & BC_ENTRY_LINK)) return make_inode(round, move, inode);
        move->ino = entry.child_id;
    }
    if (status != BITCASK_OK || *later) return status;
    bc_put_u64(move->number, move->ino);
    status = find_inode(round, move, move->ino, inode);
    return status == BITCASK_NOT_FOUND && move->from ? bc_no_inode(move->from, move->ino) : status;
}

bc_status bc_link_prepare(struct bc_round *round, struct bc_round_names *names, struct bc_move *move, bool *later)
{
    const bitcask_move_item *item = move->item;
    struct bc_inode *inode = NULL;
    bc_status status = bc_partition_writable(move->to);

    if (status == BITCASK_OK) status = bc_partition_writable(bc_round_inodes(round));
    if (status != BITCASK_OK) return status;
    *later = bc_round_names_find(names, item->to, item->to_key, item->to_key_size) != NULL;
    if (*later) return BITCASK_OK;
    if (bc_index_get(move->to->index, item->to_key, item->to_key_size, NULL) == BITCASK_OK) return BITCASK_EXISTS;
    status = find_source(round, names, move, &inode, later);
    if (status != BITCASK_OK || *later) return status;
    if (inode->links == 0) return BITCASK_NOT_FOUND; /* the round deletes it */
    if (inode->links >= BC_LINKS_MAX) return bc_fail(BITCASK_TOO_MANY_LINKS, "a file may have %u names", BC_LINKS_MAX);
    status = add_link(move, item->to, item->to_key, item->to_key_size);
    if (status == BITCASK_OK) status = bc_round_take(round, &move->change);
    if (status != BITCASK_OK) return status;
    /* Not before it is part of the round: the inode may be that of another change. */
    inode->links++;
    set_ctime(inode, item);
    if (!bc_is_files(item->from)) bc_round_names_add(names, item->from, item->from_key, item->from_key_size, move->ino);
    bc_round_names_add(names, item->to, item->to_key, item->to_key_size, move->ino);
    return BITCASK_OK;
}

/* ---- deletions ---- */

bc_status bc_removal_prepare(struct bc_round *round, struct bc_round_names *names, struct bc_move *move, bool *later)
{
    const bitcask_move_item *item = move->item;
    struct bc_inode *inode = NULL;
    struct bc_entry entry = {0};
    bc_status status = bc_partition_writable(move->from);

    if (status == BITCASK_OK) status = bc_partition_writable(bc_round_inodes(round));
    if (status != BITCASK_OK) return status;
    *later = bc_round_names_find(names, item->from, item->from_key, item->from_key_size) != NULL;
    if (*later) return BITCASK_OK;
    status = bc_index_get(move->from->index, item->from_key, item->from_key_size, &entry);
    if (status == BITCASK_OK && (entry.flags & BC_ENTRY_PARTITION)) status = BITCASK_IS_PARTITION;
    if (status != BITCASK_OK) return status;
    if (entry.flags & BC_ENTRY_LINK) {
        status = find_inode(round, move, entry.child_id, &inode);
        if (status == BITCASK_NOT_FOUND) status = BITCASK_OK; /* damage; the name goes */
    }
    /* One that the round makes cannot go in it as well. */
    *later = status == BITCASK_OK && inode && inode->fresh && inode->links == 1;
    if (status != BITCASK_OK || *later) return status;
    move->removal =
        (struct bc_write){.key = item->from_key, .key_size = item->from_key_size, .flags = BC_RECORD_TOMBSTONE};
    status = bc_change_add(&move->change, item->from, &move->removal);
    if (status == BITCASK_OK) status = bc_round_take(round, &move->change);
    if (status != BITCASK_OK) return status;
    if (inode && inode->links > 0) inode->links--;
    if (inode) set_ctime(inode, item);
    bc_round_names_add(names, item->from, item->from_key, item->from_key_size, 0);
    return BITCASK_OK;
}
