/* crash_check.c - compares an opened store with what a world allows. See crash_world.h.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "crash_world.h"

struct found {
    struct world_state state;
    size_t low, high; /* the states of the history that it may be */
};

struct check {
    struct world *world;
    struct found found[WORLD_OBJECTS];
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

static void note_key(struct check *check, bitcask_partition *partition, int parent, int name,
                     const bitcask_entry *entry)
{
    bitcask_value *value = NULL;
    char key[BITCASK_NAME_MAX];
    int object = 0, tag = 0, size = 0;
    memcpy(key, entry->key, entry->key_size);
    bitcask_status status = bitcask_get(partition, key, entry->key_size, &value);
    if (status != BITCASK_OK) {
        complain(check, "get n%d in %d: %s (%s)", name, parent, bitcask_status_text(status), bitcask_error_detail());
        return;
    }
    char head[32] = "";
    const char *data = bitcask_value_data(value);
    size_t got = (size_t)bitcask_value_size(value);
    if (got) memcpy(head, data, got < 31 ? got : 31);
    bool whole = sscanf(head, "o%d t%d %n", &object, &tag, &size) == 2 && got == check->world->value_size;
    for (size_t i = (size_t)size; whole && i < got; i++) whole = data[i] == 'a' + tag % 26;
    bitcask_value_unpin(&value);
    if (!whole)
        complain(check, "n%d in %d has a value that was never put", name, parent);
    else
        note(check, object, false, (struct world_state){.parent = parent, .name = name, .tag = tag});
}

static void walk(struct check *check, bitcask_partition *partition, int number)
{
    bitcask_query_options options = {0};
    bitcask_query *query = NULL;
    bitcask_entry entry;
    bitcask_status status = bitcask_query_open(partition, &options, &query);
    while (status == BITCASK_OK && (status = bitcask_query_next(query, &entry)) == BITCASK_OK) {
        char text[16] = "";
        int name = -1;
        memcpy(text, entry.key, entry.key_size < 15 ? entry.key_size : 15);
        if (sscanf(text, "n%d", &name) != 1) complain(check, "a name that was never written: %s", text);
        if (entry.kind == BITCASK_KEY) {
            note_key(check, partition, number, name, &entry);
            continue;
        }
        bitcask_partition *child = NULL;
        int object = entry.attrs.present & BITCASK_ATTR_UID ? (int)entry.attrs.uid : 0;
        note(check, object, true, (struct world_state){.parent = number, .name = name});
        status = bitcask_partition_open_at(partition, text, strlen(text), &child);
        if (status == BITCASK_OK) walk(check, child, object);
        bitcask_partition_close(&child);
    }
    if (status != BITCASK_NOT_FOUND)
        complain(check, "listing partition %d: %s (%s)", number, bitcask_status_text(status), bitcask_error_detail());
    bitcask_query_close(&query);
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

bool world_check(struct world *world, bool rebase)
{
    static struct check check;
    check.world = world;
    check.good = true;
    for (size_t i = 0; i < WORLD_OBJECTS; i++) check.found[i].state = (struct world_state){.parent = WORLD_ABSENT};
    check.found[WORLD_ROOT].state.parent = -2;
    bitcask_partition *root = NULL;
    bitcask_status status = bitcask_partition_open(world->db, "", &root);
    if (status == BITCASK_OK)
        walk(&check, root, WORLD_ROOT);
    else
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
