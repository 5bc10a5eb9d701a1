/* crash_check.c - compares an opened store with what a world allows. See crash_world.h.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "accounts.h"
#include "crash_world.h"
#include "db/maintain.h"
#include "log/hint.h"

#define NAMES 128       /* names are numbers below this */
#define SEGMENT_IDS 256 /* no script gets as far */

uint64_t world_cold_checks, world_checkpoint_loads;

struct found {
    struct world_state state;
    size_t low, high; /* the states of the history that it may be */
};

struct check {
    struct world *world;
    struct found found[WORLD_OBJECTS];
    uint64_t named[WORLD_OBJECTS]; /* ids of the partitions that were walked */
    size_t named_count;
    bool good;
};

static void complain(struct check *check, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void complain(struct check *check, const char *format, ...)
{
    va_list args;
    check->good = false;
    fprintf(stderr, "%s: ", world_context);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
}

static void note(struct check *check, int object, bool is_partition, struct world_state state)
{
    if (object < 1 || (size_t)object >= check->world->object_count ||
        check->world->objects[object].is_partition != is_partition) {
        complain(check, "n%d in partition %d is nothing that was written", state.name, state.parent);
        return;
    }
    if (check->found[object].state.parent != WORLD_ABSENT)
        complain(check, "object %d stands twice: as n%d in %d and n%d in %d", object, check->found[object].state.name,
                 check->found[object].state.parent, state.name, state.parent);
    check->found[object].state = state;
}

/* What is found under one name. */
struct look_up {
    bool there;
    uint64_t version;
    struct world_state state; /* of a key */
    int object;
};

/* Gets the key and checks that its value is one that was put; whose and which goes into *look_up. */
static bool read_key(struct check *check, bitcask_partition *partition, int parent, int name, struct look_up *look_up)
{
    bitcask_value *value = NULL;
    char key[16];
    int tag = 0, size = 0;
    size_t key_size = (size_t)snprintf(key, sizeof key, "n%d", name);
    bitcask_status status = bitcask_get(partition, key, key_size, &value);
    if (status != BITCASK_OK) {
        complain(check, "get n%d in %d: %s (%s)", name, parent, bitcask_status_text(status), bitcask_error_detail());
        return false;
    }
    char head[32] = "";
    const char *data = bitcask_value_data(value);
    size_t got = (size_t)bitcask_value_size(value);
    if (got) memcpy(head, data, got < 31 ? got : 31);
    bool whole = sscanf(head, "o%d t%d %n", &look_up->object, &tag, &size) == 2 && got == check->world->value_size;
    for (size_t i = (size_t)size; whole && i < got; i++) whole = data[i] == 'a' + tag % 26;
    bitcask_value_unpin(&value);
    if (!whole) complain(check, "n%d in %d has a value that was never put", name, parent);
    look_up->state = (struct world_state){.parent = parent, .name = name, .tag = tag};
    return whole;
}

/* Looks up every name that was ever used, before anything makes the partition warm. */
static void look_up_all(struct check *check, bitcask_partition *partition, int number, struct look_up *names)
{
    bool used[NAMES] = {false};
    struct bc_partition *instance = NULL;
    for (size_t i = 1; i < check->world->object_count; i++)
        for (size_t j = 0; j < check->world->objects[i].count; j++) {
            const struct world_state *state = &check->world->objects[i].states[j];
            if (state->name < 0 || state->name >= NAMES) abort();
            if (state->parent != WORLD_ABSENT) used[state->name] = true;
        }
    if (bc_node_pin_reading(partition, &instance) == BITCASK_OK) {
        world_cold_checks += atomic_load(&instance->cold);
        bc_node_unpin(partition);
    }
    for (int name = 0; name < NAMES; name++) {
        char key[16];
        bitcask_entry entry;
        names[name].there = false;
        if (!used[name]) continue;
        bitcask_status status = bitcask_stat(partition, key, (size_t)snprintf(key, sizeof key, "n%d", name), &entry);
        if (status != BITCASK_OK && status != BITCASK_NOT_FOUND)
            complain(check, "stat n%d in %d: %s (%s)", name, number, bitcask_status_text(status),
                     bitcask_error_detail());
        if (status != BITCASK_OK) continue;
        names[name] = (struct look_up){.there = true, .version = entry.version};
        if (entry.kind == BITCASK_KEY) read_key(check, partition, number, name, &names[name]);
    }
}

/* What the query gives under a name must be what the look-up gave. */
static void compare_look_up(struct check *check, int number, int name, struct look_up *looked_up,
                            const struct look_up *listed)
{
    if (!looked_up->there || looked_up->version != listed->version || looked_up->object != listed->object ||
        looked_up->state.tag != listed->state.tag)
        complain(check, "n%d in %d is listed with version %llu, but %s by look-up (version %llu)", name, number,
                 (unsigned long long)listed->version, looked_up->there ? "another" : "absent",
                 (unsigned long long)looked_up->version);
    looked_up->there = false; /* seen */
}

struct directory {
    struct check *check;
    size_t data_files;
    int number;
    bool hints[SEGMENT_IDS], data[SEGMENT_IDS];
};

static bool check_name(void *context, const char *name)
{
    struct directory *directory = context;
    uint32_t id;
    if (strcmp(name, BC_ACTIVE_NAME) == 0)
        directory->data_files++;
    else if (bc_segment_parse_name(name, &id) && id < SEGMENT_IDS)
        directory->data[id] = ++directory->data_files > 0;
    else if (bc_hint_parse_name(name, &id) && id < SEGMENT_IDS)
        directory->hints[id] = true;
    else if (strcmp(name, BC_CHECKPOINT_NAME) != 0)
        complain(directory->check, "partition %d: %s was left behind", directory->number, name);
    return true;
}

static bool count_segment(void *context, const bitcask_segment_info *segment)
{
    struct directory *directory = context;
    if (segment->segment_id >= SEGMENT_IDS) return true;
    if (segment->active) directory->data[segment->segment_id] = true;
    directory->data_files--;
    return true;
}

/* A writer that has a partition open has left nothing in its directory but what is in use: nothing temporary, no
 * segment that was merged, no hint without data. And the numbers are right. */
static void check_tidy(struct check *check, bitcask_partition *partition, int number)
{
    static struct directory directory;
    struct bc_partition *instance = NULL;
    int fd = -1;
    const struct bc_env *env = &check->world->db->env;
    if (bc_node_pin(partition, &instance) != BITCASK_OK) {
        complain(check, "partition %d cannot be pinned: %s", number, bitcask_error_detail());
        return;
    }
    world_checkpoint_loads += instance->checkpoint.id != 0;
    if (!accounts_agree(instance)) complain(check, "partition %d: the numbers above", number);
    memset(&directory, 0, sizeof directory);
    directory.check = check;
    directory.number = number;
    if (!env->read_only && !check->world->faulty &&
        bc_partition_open_dir(env, instance->id, false, &fd) == BITCASK_OK) {
        bc_io_list(env->io, fd, "directory", check_name, &directory);
        bc_io_close(env->io, &fd);
        bc_partition_segments(instance, count_segment, &directory);
        if (directory.data_files != 0) complain(check, "partition %d: files of segments not in use", number);
        for (size_t i = 0; i < SEGMENT_IDS; i++)
            if (directory.hints[i] && !directory.data[i])
                complain(check, "partition %d: a hint of segment %zu, which is gone", number, i);
    }
    bc_node_unpin(partition);
}

static void walk(struct check *check, bitcask_partition *partition, int number)
{
    bitcask_query_options options = {0};
    bitcask_query *query = NULL;
    bitcask_entry entry;
    struct look_up names[NAMES];
    if (check->named_count < WORLD_OBJECTS) check->named[check->named_count++] = bitcask_partition_id(partition);
    look_up_all(check, partition, number, names);
    bitcask_status status = bitcask_query_open(partition, &options, &query);
    while (status == BITCASK_OK && (status = bitcask_query_next(query, &entry)) == BITCASK_OK) {
        char text[16] = "";
        int name = -1;
        struct look_up listed = {.there = true, .version = entry.version};
        memcpy(text, entry.key, entry.key_size < 15 ? entry.key_size : 15);
        if (sscanf(text, "n%d", &name) != 1 || name < 0 || name >= NAMES) {
            complain(check, "a name that was never written: %s", text);
            continue;
        }
        if (entry.kind == BITCASK_KEY) {
            if (read_key(check, partition, number, name, &listed)) note(check, listed.object, false, listed.state);
            compare_look_up(check, number, name, &names[name], &listed);
            continue;
        }
        bitcask_partition *child = NULL;
        int object = entry.attrs.present & BITCASK_ATTR_UID ? (int)entry.attrs.uid : 0;
        compare_look_up(check, number, name, &names[name], &listed);
        note(check, object, true, (struct world_state){.parent = number, .name = name});
        status = bitcask_partition_open_at(partition, text, strlen(text), &child);
        if (status == BITCASK_OK) walk(check, child, object);
        bitcask_partition_close(&child);
    }
    if (status != BITCASK_NOT_FOUND)
        complain(check, "listing partition %d: %s (%s)", number, bitcask_status_text(status), bitcask_error_detail());
    bitcask_query_close(&query);
    for (int name = 0; name < NAMES; name++)
        if (names[name].there) complain(check, "n%d in %d is found by look-up, but not listed", name, number);
    check_tidy(check, partition, number);
}

static bool same_state(const struct world_state *a, const struct world_state *b)
{
    if (a->parent == WORLD_ABSENT || b->parent == WORLD_ABSENT) return a->parent == b->parent;
    return a->parent == b->parent && a->name == b->name && a->tag == b->tag;
}

/* Which states of its history the object may be in; none at or above the floor is the failure that matters. */
static void match(struct check *check, size_t number)
{
    const struct world_object *object = &check->world->objects[number];
    struct found *found = &check->found[number];
    found->low = SIZE_MAX;
    for (size_t i = object->floor; i < object->count; i++) {
        if (!same_state(&object->states[i], &found->state)) continue;
        if (found->low == SIZE_MAX) found->low = i;
        found->high = i;
    }
    if (found->low != SIZE_MAX) return;
    const struct world_state *floor = &object->states[object->floor];
    complain(check,
             "%s %zu: found as n%d in %d (put %d), but it was durable as n%d in %d (put %d), with %zu later states "
             "(%d: absent)",
             object->is_partition ? "partition" : "key", number, found->state.name, found->state.parent,
             found->state.tag, floor->name, floor->parent, floor->tag, object->count - 1 - object->floor, WORLD_ABSENT);
}

static void match_group(struct check *check, const struct world_group *group)
{
    int changed = -1, unchanged = -1;
    for (size_t i = 0; i < group->count; i++) {
        const struct found *found = &check->found[group->object[i]];
        if (found->low >= group->state[i]) changed = group->object[i];
        if (found->high < group->state[i]) unchanged = group->object[i];
    }
    if (changed >= 0 && unchanged >= 0)
        complain(check, "half of one call: it changed object %d, but not %d", changed, unchanged);
}

/* Names and inodes agree, and no extent is kept that no inode maps. */
static void check_inodes(struct check *check)
{
    struct bitcask *db = check->world->db;
    bitcask_verify_result result = {0};
    const struct bc_verify verify = {.env = &db->env, .path = "(inodes)", .result = &result};
    struct bc_partition *inodes = NULL;
    if (world_inline_max == 0 || db->env.read_only || check->world->faulty) return;
    if (bc_verify_links(db, &verify) != BITCASK_OK || result.damage > 0)
        complain(check, "%llu names or inodes do not agree", (unsigned long long)result.damage);
    if (bc_node_pin(db->inodes, &inodes) != BITCASK_OK) return;
    bc_fair_lock_soon(&inodes->write_lock);
    size_t before = bc_index_count(inodes->index);
    bc_partition_drop_unmapped(inodes);
    size_t after = bc_index_count(inodes->index);
    bc_fair_unlock(&inodes->write_lock);
    bc_node_unpin(db->inodes);
    if (before != after) complain(check, "%zu extents are kept that nothing maps", before - after);
}

static bool check_named(void *context, uint64_t id)
{
    struct check *check = context;
    bool known = id == BC_INODES_ID;
    for (size_t i = 0; i < check->named_count; i++) known |= check->named[i] == id;
    for (const struct bc_dropped *d = check->world->db->dropped; d; d = d->next) known |= d->id == id;
    if (!known) complain(check, "partition %016llx is on disk, and nothing names it", (unsigned long long)id);
    return true;
}

/* Each partition on disk has a name, or is about to go: a crash leaves none behind for good. */
static void check_partitions(struct check *check)
{
    if (!check->good || check->world->db->env.read_only || check->world->had_faults) return;
    if (bc_partitions_on_disk(check->world->db, check_named, check) != BITCASK_OK)
        complain(check, "the partitions on disk cannot be listed");
}

bool world_check(struct world *world, bool rebase)
{
    static struct check check;
    check.world = world;
    check.good = true;
    check.named_count = 0;
    for (size_t i = 0; i < WORLD_OBJECTS; i++) check.found[i].state = (struct world_state){.parent = WORLD_ABSENT};
    check.found[WORLD_ROOT].state.parent = -2;
    bitcask_partition *root = NULL;
    bitcask_status status = bitcask_partition_open(world->db, "", &root);
    if (status == BITCASK_OK) {
        walk(&check, root, WORLD_ROOT);
        check_tidy(&check, world->db->inodes, WORLD_INODES);
        check_inodes(&check);
        check_partitions(&check);
    } else
        complain(&check, "open the root: %s (%s)", bitcask_status_text(status), bitcask_error_detail());
    bitcask_partition_close(&root);
    /* A power cut tears tails, it makes no rot: what is called so would be kept for ever, and stop the sweep. */
    bitcask_stats stats = {0};
    if (bitcask_get_stats(world->db, &stats) != BITCASK_OK || stats.damaged_regions > 0)
        complain(&check, "%llu stretches are taken for rot", (unsigned long long)stats.damaged_regions);
    for (size_t i = 0; check.good && i < world->object_count; i++) match(&check, i);
    for (size_t g = 0; check.good && g < world->group_count; g++) match_group(&check, &world->groups[g]);
    world->failed |= !check.good;
    if (!rebase) return check.good;
    for (size_t i = 0; i < world->object_count; i++) {
        world->objects[i].count = 1;
        world->objects[i].floor = 0;
        world->objects[i].states[0] = check.found[i].state;
    }
    world->group_count = 0;
    return check.good;
}
