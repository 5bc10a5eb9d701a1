/* crash_world.c - calls on the store and what they may leave after a crash. See crash_world.h; crash_check.c compares.
 */
#include "crash_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "accounts.h"
#include "partition/checkpoint.h"

char world_context[256];
uint32_t world_inline_max;
bool world_in_pieces;

void world_init(struct world *world, struct bc_sim *sim, const bitcask_options *options, size_t value_size)
{
    memset(world, 0, sizeof *world);
    world->sim = sim;
    world->options = *options;
    world->value_size = value_size;
    world->object_count = 1;
    world->objects[WORLD_ROOT] = (struct world_object){.is_partition = true, .count = 1};
    world->objects[WORLD_ROOT].states[0] = (struct world_state){.parent = -2};
}

/* The power gone is an end, anything else a failure. */
static bool went_well(struct world *world, bitcask_status status, const char *what)
{
    if (status == BITCASK_OK) return true;
    world->stopped = true;
    if (bc_sim_crashed(world->sim) || world->faulty) return false;
    world->failed = true;
    fprintf(stderr, "%s: %s: %s (%s)\n", world_context, what, bitcask_status_text(status), bitcask_error_detail());
    return false;
}

bool world_open(struct world *world, bool read_only)
{
    bitcask_options options = world->options;
    options.read_only = read_only;
    options.create = !read_only;
    if (world->faulty && world->stopped) return false; /* the script ends with the call that failed */
    world->stopped = false;
    if (!went_well(world, bc_db_open(bc_sim_io(world->sim), "store", &options, &world->db), "open")) return false;
    if (world_inline_max > 0) {
        world->db->inline_max = world_inline_max;
        world->db->extent_shift = 12;
    }
    return world->opened = true;
}

void world_close(struct world *world)
{
    if (world->faulty && world->stopped) return; /* the script has ended: the driver looks at what is open */
    for (size_t i = 0; i < world->object_count; i++) bitcask_partition_close(&world->objects[i].handle);
    if (!world->db || !went_well(world, bitcask_close(&world->db), "close")) return;
    if (bc_sim_crashed(world->sim) || (world->faulty && world->stopped)) return;
    for (size_t i = 0; i < world->object_count; i++) world->objects[i].floor = world->objects[i].count - 1;
}

static struct world_state *latest(struct world *world, int object)
{
    return &world->objects[object].states[world->objects[object].count - 1];
}

int world_at(const struct world *world, int partition, int name)
{
    for (size_t i = 1; i < world->object_count; i++) {
        const struct world_state *state = &world->objects[i].states[world->objects[i].count - 1];
        if (state->parent == partition && state->name == name) return (int)i;
    }
    return WORLD_ABSENT;
}

static int new_object(struct world *world, bool is_partition)
{
    if (world->object_count == WORLD_OBJECTS) abort();
    struct world_object *object = &world->objects[world->object_count];
    *object = (struct world_object){.is_partition = is_partition, .count = 1};
    object->states[0] = (struct world_state){.parent = WORLD_ABSENT};
    return (int)world->object_count++;
}

static void begin_group(struct world *world)
{
    if (world->group_count == WORLD_GROUPS) abort();
    world->groups[world->group_count++].count = 0;
}

/* Adds a state that may be there from now on, to the group begun last. */
static void add_state(struct world *world, int number, struct world_state state)
{
    struct world_object *object = &world->objects[number];
    struct world_group *group = &world->groups[world->group_count - 1];
    if (object->count == WORLD_STATES || group->count == WORLD_GROUP_MAX) abort();
    group->object[group->count] = number;
    group->state[group->count++] = object->count;
    object->states[object->count++] = state;
}

/* An acknowledged durable call: its objects and the partitions on the way to them are safe as they are now. */
static void raise_floor(struct world *world, int number)
{
    while (number > WORLD_ROOT) {
        world->objects[number].floor = world->objects[number].count - 1;
        number = latest(world, number)->parent;
    }
}

static void acknowledge(struct world *world, int partition, unsigned flags)
{
    const struct world_group *group = &world->groups[world->group_count - 1];
    if (!(flags & BITCASK_DURABLE) && world->options.sync != BITCASK_SYNC_ALWAYS) return;
    for (size_t i = 0; i < group->count; i++) raise_floor(world, group->object[i]);
    raise_floor(world, partition);
}

/* The world's own memory, which is never short. */
static char *room_for(size_t size)
{
    fixture_own++;
    char *room = malloc(size);
    fixture_own--;
    return room;
}

static size_t name_text(int name, char text[16])
{
    return (size_t)snprintf(text, 16, "n%d", name);
}

static bitcask_partition *handle_of(struct world *world, int number)
{
    struct world_object *object = &world->objects[number];
    if (object->handle || world->stopped) return object->handle;
    if (number == WORLD_ROOT) {
        went_well(world, bitcask_partition_open(world->db, "", &object->handle), "open the root");
        return object->handle;
    }
    char name[16];
    const struct world_state *state = latest(world, number);
    size_t size = name_text(state->name, name);
    bitcask_partition *parent = handle_of(world, state->parent);
    if (parent) went_well(world, bitcask_partition_open_at(parent, name, size, &object->handle), "open a partition");
    return object->handle;
}

static void value_text(const struct world *world, int object, int tag, char *text)
{
    size_t size = (size_t)snprintf(text, 32, "o%d t%d ", object, tag);
    memset(text + size, 'a' + tag % 26, world->value_size - size);
}

/* A put by a writer: on top of what is there, with bytes that are in the log before the commit and not part of the
 * value, and from the end to the front. */
static bitcask_status put_in_pieces(struct world *world, bitcask_partition *handle, const char *key, size_t key_size,
                                    const char *value, const bitcask_write_options *options)
{
    char garbage[4000];
    bitcask_value *base = NULL;
    bitcask_writer *writer = NULL;
    bitcask_status status = bitcask_pin(handle, key, key_size, &base);
    size_t half = world->value_size / 2;

    memset(garbage, '!', sizeof garbage);
    if (status == BITCASK_OK || status == BITCASK_NOT_FOUND) status = bitcask_writer_open(handle, &base, &writer);
    bitcask_value_unpin(&base);
    for (uint64_t at = 0; at < 17 && status == BITCASK_OK; at++)
        status = bitcask_writer_write(writer, at * 4096, garbage, sizeof garbage);
    if (status == BITCASK_OK) status = bitcask_writer_truncate(writer, world->value_size);
    if (status == BITCASK_OK) status = bitcask_writer_write(writer, half, value + half, world->value_size - half);
    if (status == BITCASK_OK) status = bitcask_writer_write(writer, 0, value, half);
    if (status == BITCASK_OK) status = bitcask_writer_commit(writer, handle, key, key_size, options, NULL);
    bitcask_writer_close(&writer);
    return status;
}

void world_put(struct world *world, int partition, int name, unsigned flags)
{
    bitcask_partition *handle = handle_of(world, partition);
    bitcask_write_options options = {.flags = flags};
    char key[16], *value = room_for(world->value_size);
    size_t key_size = name_text(name, key);
    if (handle && value && !world->stopped) {
        int object = world_at(world, partition, name);
        if (object == WORLD_ABSENT) object = new_object(world, false);
        begin_group(world);
        add_state(world, object, (struct world_state){.parent = partition, .name = name, .tag = ++world->next_tag});
        value_text(world, object, world->next_tag, value);
        bitcask_status status = world_in_pieces
                                    ? put_in_pieces(world, handle, key, key_size, value, &options)
                                    : bitcask_put(handle, key, key_size, value, world->value_size, &options, NULL);
        if (went_well(world, status, "put")) acknowledge(world, partition, flags);
    }
    free(value);
}

void world_delete(struct world *world, int partition, int name, unsigned flags)
{
    bitcask_partition *handle = handle_of(world, partition);
    bitcask_write_options options = {.flags = flags};
    char key[16];
    size_t key_size = name_text(name, key);
    int object = world_at(world, partition, name);
    if (!handle || world->stopped || object == WORLD_ABSENT) return;
    begin_group(world);
    add_state(world, object, (struct world_state){.parent = WORLD_ABSENT});
    if (went_well(world, bitcask_delete(handle, key, key_size, &options), "delete"))
        acknowledge(world, partition, flags);
}

void world_batch(struct world *world, int partition, const int *names, size_t puts, size_t count, unsigned flags)
{
    bitcask_partition *handle = handle_of(world, partition);
    bitcask_batch *batch = NULL;
    char key[16], *values = room_for(world->value_size * (puts + 1));
    if (!handle || !values || world->stopped) goto out;
    if (!went_well(world, bitcask_batch_open(handle, &batch), "batch_open")) goto out;
    begin_group(world);
    for (size_t i = 0; i < count && !world->stopped; i++) {
        size_t key_size = name_text(names[i], key);
        int object = world_at(world, partition, names[i]);
        char *value = values + world->value_size * i;
        if (i >= puts) {
            went_well(world, bitcask_batch_delete(batch, key, key_size), "batch_delete");
            if (object != WORLD_ABSENT) add_state(world, object, (struct world_state){.parent = WORLD_ABSENT});
            continue;
        }
        if (object == WORLD_ABSENT) object = new_object(world, false);
        add_state(world, object, (struct world_state){.parent = partition, .name = names[i], .tag = ++world->next_tag});
        value_text(world, object, world->next_tag, value);
        went_well(world, bitcask_batch_put(batch, key, key_size, value, world->value_size, NULL), "batch_put");
    }
    if (!world->stopped && went_well(world, bitcask_batch_commit(batch, flags, 0, NULL), "batch_commit"))
        acknowledge(world, partition, flags);
out:
    bitcask_batch_close(&batch);
    free(values);
}

int world_create(struct world *world, int partition, int name, unsigned flags)
{
    bitcask_partition *handle = handle_of(world, partition);
    char key[16];
    size_t key_size = name_text(name, key);
    int object = new_object(world, true);
    bitcask_attrs attrs = {.present = BITCASK_ATTR_UID, .uid = (uint32_t)object};
    if (!handle || world->stopped) return object;
    begin_group(world);
    add_state(world, object, (struct world_state){.parent = partition, .name = name});
    if (went_well(world, bitcask_partition_create(handle, key, key_size, &attrs, flags, &world->objects[object].handle),
                  "partition_create"))
        acknowledge(world, partition, flags);
    return object;
}

void world_drop(struct world *world, int partition, int name, unsigned flags)
{
    bitcask_partition *handle = handle_of(world, partition);
    char key[16];
    size_t key_size = name_text(name, key);
    int object = world_at(world, partition, name);
    if (!handle || world->stopped || object == WORLD_ABSENT) return;
    bitcask_partition_close(&world->objects[object].handle);
    begin_group(world);
    add_state(world, object, (struct world_state){.parent = WORLD_ABSENT});
    if (went_well(world, bitcask_partition_drop(handle, key, key_size, flags), "partition_drop"))
        acknowledge(world, partition, flags);
}

/* Notes what one item of a move leaves; false if it has nothing to move. */
static bool note_move(struct world *world, const struct world_move *move)
{
    int object = world_at(world, move->from, move->from_name), other = world_at(world, move->to, move->to_name);
    begin_group(world);
    if (object == WORLD_ABSENT) return false;
    struct world_state state = *latest(world, object);
    if (other != WORLD_ABSENT) {
        struct world_state gone = {.parent = WORLD_ABSENT};
        struct world_state swapped = *latest(world, other);
        swapped.parent = move->from;
        swapped.name = move->from_name;
        if (move->flags != BITCASK_EXCHANGE) bitcask_partition_close(&world->objects[other].handle);
        add_state(world, other, move->flags == BITCASK_EXCHANGE ? swapped : gone);
    }
    state.parent = move->to;
    state.name = move->to_name;
    add_state(world, object, state);
    return true;
}

void world_move(struct world *world, const struct world_move *moves, size_t count)
{
    bitcask_move_item items[8];
    char names[8][2][16];
    if (count > 8) abort();
    for (size_t i = 0; i < count; i++) {
        items[i] = (bitcask_move_item){.from = handle_of(world, moves[i].from),
                                       .from_key = names[i][0],
                                       .from_key_size = name_text(moves[i].from_name, names[i][0]),
                                       .to = handle_of(world, moves[i].to),
                                       .to_key = names[i][1],
                                       .to_key_size = name_text(moves[i].to_name, names[i][1]),
                                       .flags = moves[i].flags};
    }
    if (world->stopped) return;
    size_t first = world->group_count;
    for (size_t i = 0; i < count; i++)
        if (!note_move(world, &moves[i])) abort();
    if (!went_well(world, bitcask_move(world->db, items, count, NULL), "move")) return;
    if (world->options.sync != BITCASK_SYNC_ALWAYS) return;
    for (size_t g = first; g < world->group_count; g++)
        for (size_t i = 0; i < world->groups[g].count; i++) raise_floor(world, world->groups[g].object[i]);
}

void world_sync_partition(struct world *world, int partition)
{
    bitcask_partition *handle = handle_of(world, partition);
    if (!handle || world->stopped) return;
    if (!went_well(world, bitcask_partition_sync(handle), "partition_sync")) return;
    raise_floor(world, partition);
    for (size_t i = 1; i < world->object_count; i++) {
        struct world_object *object = &world->objects[i];
        bool is_here = object->states[object->count - 1].parent == partition;
        bool was_here = object->count > 1 && object->states[object->count - 2].parent == partition;
        if (is_here || was_here) object->floor = object->count - 1;
    }
}

void world_sync(struct world *world)
{
    if (world->stopped || !went_well(world, bitcask_sync(world->db), "sync")) return;
    for (size_t i = 0; i < world->object_count; i++) world->objects[i].floor = world->objects[i].count - 1;
}

/* ---- rotations and merges ---- */

static bitcask_partition *node_of(struct world *world, int partition)
{
    if (world->stopped || !world->db) return NULL;
    return partition == WORLD_INODES ? world->db->inodes : handle_of(world, partition);
}

/* After a rotation or a merge, whatever became of it: the numbers are right, and a failure is one of the disk's. */
static void end_maintenance(struct world *world, struct bc_partition *instance, bc_status status, const char *what)
{
    bool disk_failed = status == BITCASK_IO || status == BITCASK_NO_SPACE || status == BITCASK_QUOTA ||
                       status == BITCASK_TOO_MANY_FILES || (status == BITCASK_NO_MEMORY && world->faulty);
    fixture_own++;
    bool agree = accounts_agree(instance);
    fixture_own--;
    if (!agree) {
        fprintf(stderr, "%s: after a %s\n", world_context, what);
        world->failed = true;
    }
    if (status != BITCASK_OK && !disk_failed && status != BITCASK_POISONED) {
        fprintf(stderr, "%s: %s: %s (%s)\n", world_context, what, bitcask_status_text(status), bitcask_error_detail());
        world->failed = world->stopped = true;
    } else if (!world->faulty || bc_sim_crashed(world->sim) || atomic_load(&instance->poisoned)) {
        went_well(world, status, what);
    }
}

static bc_status rotate(struct bc_partition *instance)
{
    bc_fair_lock_soon(&instance->write_lock);
    bc_status status = instance->active ? bc_partition_rotate(instance) : BITCASK_OK;
    bc_fair_unlock(&instance->write_lock);
    return status;
}

void world_rotate(struct world *world, int partition)
{
    bitcask_partition *node = node_of(world, partition);
    struct bc_partition *instance;
    if (!node || !went_well(world, bc_node_pin(node, &instance), "pin")) return;
    end_maintenance(world, instance, rotate(instance), "rotation");
    bc_node_unpin(node);
}

/* A merge asks whether to go on: all is copied and nothing has its name yet. */
static bool in_the_midst(void *context, uint64_t bytes)
{
    struct world *world = context;
    void (*meanwhile)(struct world *) = world->meanwhile;
    (void)bytes;
    world->meanwhile = NULL;
    if (meanwhile) meanwhile(world);
    return true;
}

void world_merge(struct world *world, int partition, enum bc_merge_kind kind)
{
    const struct bc_merge_hooks hooks = {.pace = in_the_midst, .context = world};
    bitcask_partition *node = node_of(world, partition);
    struct bc_partition *instance;
    struct bc_merge_run run;
    bitcask_merge_result result = {0};
    bc_status status = BITCASK_OK;
    if (!node || !went_well(world, bc_node_pin(node, &instance), "pin")) return;
    if (bc_merge_wants_rotation(instance, kind)) status = rotate(instance);
    for (uint32_t from = 0; status == BITCASK_OK; from = run.last_id + 1) {
        bc_merge_plan(instance, kind, from, &run);
        if (run.segments == 0) break;
        status = bc_partition_merge(instance, &run, &hooks, &result);
    }
    end_maintenance(world, instance, status, "merge");
    bc_node_unpin(node);
}

struct sealed {
    uint32_t ids[64];
    size_t count;
};

static bool note_sealed(void *context, const bitcask_segment_info *segment)
{
    struct sealed *sealed = context;
    if (sealed->count == 64) abort();
    if (!segment->active) sealed->ids[sealed->count++] = segment->segment_id;
    return true;
}

size_t world_sealed(struct world *world, int partition)
{
    bitcask_partition *node = node_of(world, partition);
    struct sealed sealed = {.count = 0};
    if (!node || !went_well(world, bitcask_segments(node, note_sealed, &sealed), "segments")) return 0;
    return sealed.count;
}

void world_merge_run(struct world *world, int partition, size_t first, size_t count)
{
    const struct bc_merge_hooks hooks = {.pace = in_the_midst, .context = world};
    bitcask_partition *node = node_of(world, partition);
    struct bc_partition *instance;
    struct sealed sealed = {.count = 0};
    bitcask_merge_result result = {0};
    if (!node || !went_well(world, bc_node_pin(node, &instance), "pin")) return;
    if (went_well(world, bc_partition_segments(instance, note_sealed, &sealed), "segments") && first < sealed.count) {
        if (count > sealed.count - first) count = sealed.count - first;
        const struct bc_merge_run run = {.first_id = sealed.ids[first], .last_id = sealed.ids[first + count - 1]};
        end_maintenance(world, instance, bc_partition_merge(instance, &run, &hooks, &result), "merge");
    }
    bc_node_unpin(node);
}

static void while_copied(void *context, enum bc_sim_call kind)
{
    struct world *world = context;
    void (*meanwhile)(struct world *) = world->meanwhile;
    if (kind != BC_SIM_PWRITEV || !meanwhile) return;
    world->meanwhile = NULL;
    meanwhile(world);
}

void world_checkpoint(struct world *world, int partition)
{
    bitcask_partition *node = node_of(world, partition);
    struct bc_partition *instance;
    bc_status status;
    if (!node || !went_well(world, bc_node_pin(node, &instance), "pin")) return;
    if (world->meanwhile) bc_sim_set_hook(world->sim, while_copied, world);
    pthread_mutex_lock(&instance->files_lock);
    status = bc_checkpoint_save(instance);
    pthread_mutex_unlock(&instance->files_lock);
    bc_sim_set_hook(world->sim, NULL, NULL);
    end_maintenance(world, instance, status, "checkpoint");
    bc_node_unpin(node);
}
