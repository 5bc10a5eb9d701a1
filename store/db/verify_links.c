/* verify_links.c - whether names and inodes agree: each link has its inode, each inode as many names as it says, and
 * the extents that it maps.
 *
 * All names are counted, with nothing locked. Names change meanwhile; db->name_changes tells, and then it is done
 * again. What says how many names an inode has is compared only if no partition was too damaged to be counted in.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "db/inodes.h"
#include "db/maintain.h"
#include "partition/finding.h"

#define STEP 1024u /* names looked at within one read section */
#define TRIES 3u

struct tally {
    struct bc_index *names; /* by number of inode: how many, as version */
    bool whole;             /* all partitions could be counted in */
};

struct step {
    uint8_t last[BITCASK_NAME_MAX];
    size_t last_size, seen, count;
    uint64_t inodes[STEP];
};

static bool look(void *context, const void *key, size_t key_size, const struct bc_entry *entry)
{
    struct step *step = context;

    memcpy(step->last, key, key_size);
    step->last_size = key_size;
    step->seen++;
    if (entry->flags & BC_ENTRY_LINK) step->inodes[step->count++] = entry->child_id;
    return true;
}

static bc_status count_name(struct tally *tally, uint64_t ino)
{
    uint8_t key[BC_INODE_KEY_SIZE];
    struct bc_entry entry = {0};

    bc_inode_key(ino, key);
    (void)bc_index_get(tally->names, key, sizeof key, &entry);
    entry.version++;
    return bc_index_put(tally->names, key, sizeof key, &entry, NULL, NULL);
}

static bc_status count_names(void *context, struct bitcask_partition *node)
{
    static const uint8_t first = 1; /* names begin with a byte of at least 1 */
    struct tally *tally = context;
    struct step *step = calloc(1, sizeof *step);
    struct bc_partition *instance;
    bc_status status = step ? BITCASK_OK : BITCASK_NO_MEMORY;

    do {
        uint8_t from[BITCASK_NAME_MAX];
        size_t from_size;

        if (status == BITCASK_OK) status = bc_node_pin(node, &instance);
        if (status != BITCASK_OK) break;
        from_size = step->last_size;
        memcpy(from, step->last, from_size);
        step->seen = step->count = 0;
        bc_rcu_read_lock();
        status = from_size == 0 ? bc_index_walk(instance->index, BC_SEEK_GE, &first, 1, STEP, look, step)
                                : bc_index_walk(instance->index, BC_SEEK_GT, from, from_size, STEP, look, step);
        bc_rcu_read_unlock();
        bc_node_unpin(node);
        for (size_t i = 0; i < step->count && status == BITCASK_OK; i++) status = count_name(tally, step->inodes[i]);
    } while (status == BITCASK_OK && step->seen == STEP);
    free(step);
    if (status == BITCASK_CORRUPT) { /* told by the check of the partition */
        tally->whole = false;
        status = BITCASK_OK;
    }
    return status;
}

/* ---- against the inodes ---- */

static bc_status tell(const struct bc_verify *verify, uint64_t ino, const char *what, uint64_t a, uint64_t b)
{
    char line[200];

    snprintf(line, sizeof line, what, (unsigned long long)a, (unsigned long long)b);
    return bc_tell_file(verify, BITCASK_FOUND_DAMAGE, "", "inode %016llx %s", (unsigned long long)ino, line);
}

/* Extents that the map names and the index has not. An inode that changed meanwhile maps others. */
static bc_status check_extents(const struct bc_verify *verify, struct bc_partition *inodes, const uint8_t *inode_key,
                               uint64_t ino, const struct bc_inode_body *body, uint64_t version)
{
    uint64_t missing = 0;
    struct bc_entry now;
    bool same;

    for (size_t i = 0; i < body->run_count; i++) {
        struct bc_run run = bc_inode_run(body, i);

        for (uint64_t n = 0; n < run.count; n++) {
            uint8_t key[BC_EXTENT_KEY_SIZE];
            bc_extent_key(run.value_id, run.first + n, key);
            if (bc_partition_find(inodes, key, sizeof key, NULL) != BITCASK_NOT_FOUND) continue;
            if (missing++ > bc_index_count(inodes->index)) break; /* the map lies */
        }
    }
    same = bc_partition_find(inodes, inode_key, BC_INODE_KEY_SIZE, &now) == BITCASK_OK && now.version == version;
    return missing > 0 && same ? tell(verify, ino, "lacks %llu extents of its content", missing, 0) : BITCASK_OK;
}

static bc_status check_inode(const struct bc_verify *verify, struct bc_partition *inodes, const uint8_t *key,
                             struct tally *tally, bool count)
{
    struct bc_value *value = NULL;
    struct bc_inode_body body;
    struct bc_entry names = {0};
    uint64_t ino;
    bc_status status = bc_partition_pin(inodes, key, BC_INODE_KEY_SIZE, &value);

    (void)bc_is_inode_key(key, BC_INODE_KEY_SIZE, &ino);
    if (status == BITCASK_NOT_FOUND) return BITCASK_OK; /* gone meanwhile */
    if (status == BITCASK_OK) status = bc_value_load(value);
    if (status == BITCASK_OK) {
        status = bc_inode_decode(value->data, value->entry.value_size, &body);
        if (status == BITCASK_OK)
            status = check_extents(verify, inodes, key, ino, &body, value->entry.version);
        else if (status == BITCASK_CORRUPT)
            status = bc_tell_file(verify, BITCASK_FOUND_DAMAGE, "", "%s", bc_detail());
        if (status == BITCASK_OK && count &&
            bc_index_remove(tally->names, key, BC_INODE_KEY_SIZE, &names) == BITCASK_OK && names.version == body.links)
            count = false;
        if (status == BITCASK_OK && count)
            status = tell(verify, ino, "should have %llu names and has %llu", body.links, names.version);
    } else if (status == BITCASK_CORRUPT) {
        (void)bc_index_remove(tally->names, key, BC_INODE_KEY_SIZE, NULL);
        status = BITCASK_OK; /* told by the check of the partition */
    }
    bc_value_close(&value);
    return status;
}

static bc_status check_inodes(const struct bc_verify *verify, struct bc_partition *inodes, struct tally *tally,
                              bool count)
{
    uint8_t key[BITCASK_NAME_MAX] = {0, BC_KEY_INODE};
    size_t size = 2;
    bc_status status = BITCASK_OK;

    while (status == BITCASK_OK) {
        bc_rcu_read_lock();
        status = bc_index_seek(inodes->index, BC_SEEK_GT, key, size, key, &size, NULL);
        bc_rcu_read_unlock();
        if (status == BITCASK_NOT_FOUND || (status == BITCASK_OK && !bc_is_inode_key(key, size, NULL))) break;
        if (status == BITCASK_OK) status = check_inode(verify, inodes, key, tally, count);
    }
    if (status != BITCASK_OK && status != BITCASK_NOT_FOUND) return status;
    /* Those that are left have names and no record. */
    key[0] = 0;
    size = 1;
    for (status = BITCASK_OK; count && status == BITCASK_OK;) {
        struct bc_entry names;
        uint64_t ino;

        if (bc_index_seek(tally->names, BC_SEEK_GT, key, size, key, &size, &names) != BITCASK_OK) break;
        if (bc_is_inode_key(key, size, &ino))
            status = tell(verify, ino, "is not there, and has %llu names", names.version, 0);
    }
    return status == BITCASK_NOT_FOUND ? BITCASK_OK : status;
}

bc_status bc_verify_links(struct bitcask *db, const struct bc_verify *verify)
{
    bc_status status = BITCASK_OK;
    bool count = false;

    for (unsigned i = 0; i < TRIES && status == BITCASK_OK && !count; i++) {
        uint64_t before = atomic_load(&db->name_changes);
        struct tally tally = {.whole = true};
        struct bc_partition *inodes;

        status = bc_index_open(0, &tally.names);
        if (status == BITCASK_OK) status = bc_nodes_walk(db->root, true, count_names, &tally);
        if (status == BITCASK_OK) status = bc_node_pin(db->inodes, &inodes);
        if (status == BITCASK_OK) {
            count = before % 2 == 0 && atomic_load(&db->name_changes) == before;
            if (count || i + 1 == TRIES) status = check_inodes(verify, inodes, &tally, count && tally.whole);
            bc_node_unpin(db->inodes);
        } else if (status == BITCASK_CORRUPT) {
            count = true; /* told by the check of partition 1 */
            status = BITCASK_OK;
        }
        bc_index_close(&tally.names);
    }
    if (status == BITCASK_OK && !count)
        status = bc_tell_file(verify, BITCASK_FOUND_NOTE, "", "names changed all the time: they were not counted");
    return status;
}
