/* io_sim_disk.c - nodes, names and un-synced changes of the simulated disk, and what a power cut leaves of them.
 *
 * Invariant: applying all changes of a node, in order, to its durable state gives its state now, unless a sync
 * failed or the power went. Nodes are freed with the disk only, so that a handle and a change never dangle.
 */
#include "io_sim_disk.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fixture.h"

void *sim_realloc(void *memory, size_t size)
{
    void *grown;
    fixture_own++;
    grown = realloc(memory, size ? size : 1);
    fixture_own--;
    if (!grown) {
        fprintf(stderr, "simulated disk: out of memory\n");
        abort();
    }
    return grown;
}

uint64_t sim_random(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static char *copy_name(const char *name)
{
    size_t size = strlen(name) + 1;
    return memcpy(sim_realloc(NULL, size), name, size);
}

/* ---- contents ---- */

static void content_resize(struct sim_content *content, uint64_t size)
{
    if (size > content->room) {
        content->room = size + size / 2 + 64;
        content->data = sim_realloc(content->data, content->room);
    }
    if (size > content->size) memset(content->data + content->size, 0, size - content->size);
    content->size = size;
}

static void content_write(struct sim_content *content, const uint8_t *data, size_t size, uint64_t offset)
{
    if (size == 0) return;
    if (offset + size > content->size) content_resize(content, offset + size);
    memcpy(content->data + offset, data, size);
}

static void content_copy(struct sim_content *to, const struct sim_content *from)
{
    content_resize(to, 0);
    content_write(to, from->data, from->size, 0);
}

/* ---- names ---- */

static size_t entries_find(const struct sim_entries *entries, const char *name, size_t size)
{
    size_t i = 0;
    while (i < entries->count && (strlen(entries->list[i].name) != size || memcmp(entries->list[i].name, name, size)))
        i++;
    return i;
}

static void entries_remove(struct sim_entries *entries, size_t i)
{
    if (i >= entries->count) return;
    free(entries->list[i].name);
    entries->list[i] = entries->list[--entries->count];
}

static void entries_set(struct sim_entries *entries, const char *name, struct sim_node *node)
{
    size_t i = entries_find(entries, name, strlen(name));
    if (i == entries->count) {
        if (entries->count == entries->room) {
            entries->room = entries->room * 2 + 4;
            entries->list = sim_realloc(entries->list, entries->room * sizeof *entries->list);
        }
        entries->list[entries->count++].name = copy_name(name);
    }
    entries->list[i].node = node;
}

static void entries_release(struct sim_entries *entries)
{
    while (entries->count) entries_remove(entries, entries->count - 1);
    free(entries->list);
}

/* Only what the change names is touched, so that it means the same when changes before it were dropped. */
static void entries_apply(struct sim_entries *entries, const struct sim_change *change)
{
    size_t i;
    if (change->kind == SIM_LINK) {
        entries_set(entries, change->name, change->node);
    } else if (change->kind == SIM_UNLINK) {
        i = entries_find(entries, change->name, strlen(change->name));
        if (i < entries->count && entries->list[i].node == change->node) entries_remove(entries, i);
    } else {
        /* Another name than the one renamed only where that one never came to be: a file may have two. */
        i = entries_find(entries, change->name, strlen(change->name));
        if (i == entries->count || entries->list[i].node != change->node)
            for (i = 0; i < entries->count && entries->list[i].node != change->node;) i++;
        entries_remove(entries, i);
        entries_set(entries, change->to, change->node);
    }
}

static void content_apply(struct sim_content *content, const struct sim_change *change)
{
    if (change->kind == SIM_WRITE)
        content_write(content, change->data, change->size, change->offset);
    else
        content_resize(content, change->offset);
}

/* ---- nodes ---- */

struct sim_node *sim_node_new(struct sim_disk *disk, bool is_directory)
{
    struct sim_node *node = sim_realloc(NULL, sizeof *node);
    *node = (struct sim_node){.number = disk->count, .is_directory = is_directory};
    if (disk->count == disk->room) {
        disk->room = disk->room * 2 + 16;
        disk->nodes = sim_realloc(disk->nodes, disk->room * sizeof(struct sim_node *));
    }
    disk->nodes[disk->count++] = node;
    return node;
}

struct sim_disk *sim_disk_open(void)
{
    struct sim_disk *disk = sim_realloc(NULL, sizeof *disk);
    *disk = (struct sim_disk){0};
    sim_node_new(disk, true);
    return disk;
}

static void change_release(struct sim_change *change)
{
    free(change->data);
    free(change->name);
    free(change->to);
}

void sim_disk_close(struct sim_disk **disk)
{
    if (!*disk) return;
    for (size_t n = 0; n < (*disk)->count; n++) {
        struct sim_node *node = (*disk)->nodes[n];
        for (size_t i = 0; i < node->change_count; i++) change_release(&node->changes[i]);
        free(node->changes);
        free(node->now.data);
        free(node->durable.data);
        entries_release(&node->names);
        entries_release(&node->safe_names);
        free(node);
    }
    free((*disk)->nodes);
    free(*disk);
    *disk = NULL;
}

struct sim_node *sim_find(const struct sim_node *directory, const char *name, size_t size)
{
    size_t i = entries_find(&directory->names, name, size);
    return i < directory->names.count ? directory->names.list[i].node : NULL;
}

int sim_walk(struct sim_node *start, const char *path, struct sim_node **directory, const char **leaf,
             struct sim_node **node)
{
    for (*node = start;;) {
        while (*path == '/' || (*path == '.' && (path[1] == '/' || path[1] == 0))) path++;
        if (!*node) return -ENOENT;
        if (!(*node)->is_directory) return -ENOTDIR;
        *directory = *node;
        *leaf = path;
        size_t size = strcspn(path, "/");
        if (size == 0) return 0;
        if (size > 255) return -ENAMETOOLONG;
        *node = sim_find(*directory, path, size);
        path += size;
        if (*path == 0) return 0;
        /* A slash at the end, of a directory that is to be opened; the store has no other use for it. */
        if (strspn(path, "/") == strlen(path)) return *node && (*node)->is_directory ? 0 : -EINVAL;
    }
}

/* Remembers change, and applies it to what the running system sees unless the power is gone. */
static void record(struct sim_node *node, struct sim_change change)
{
    if (node->change_count == node->change_room) {
        node->change_room = node->change_room * 2 + 8;
        node->changes = sim_realloc(node->changes, node->change_room * sizeof *node->changes);
    }
    node->changes[node->change_count++] = change;
    if (change.in_flight) return;
    if (node->is_directory)
        entries_apply(&node->names, &change);
    else
        content_apply(&node->now, &change);
}

void sim_write(struct sim_node *file, const void *data, size_t size, uint64_t offset, bool in_flight)
{
    uint8_t *copy = sim_realloc(NULL, size);
    memcpy(copy, data, size);
    record(file, (struct sim_change){
                     .kind = SIM_WRITE, .in_flight = in_flight, .offset = offset, .size = size, .data = copy});
}

void sim_truncate(struct sim_node *file, uint64_t size, bool in_flight)
{
    record(file, (struct sim_change){.kind = SIM_TRUNCATE, .in_flight = in_flight, .offset = size});
}

void sim_link(struct sim_node *directory, const char *name, struct sim_node *node, bool in_flight)
{
    record(directory,
           (struct sim_change){.kind = SIM_LINK, .in_flight = in_flight, .name = copy_name(name), .node = node});
}

void sim_unlink(struct sim_node *directory, const char *name, bool in_flight)
{
    struct sim_node *node = sim_find(directory, name, strlen(name));
    record(directory,
           (struct sim_change){.kind = SIM_UNLINK, .in_flight = in_flight, .name = copy_name(name), .node = node});
}

void sim_rename(struct sim_node *directory, const char *from, const char *to, bool in_flight)
{
    record(directory, (struct sim_change){.kind = SIM_RENAME,
                                          .in_flight = in_flight,
                                          .name = copy_name(from),
                                          .to = copy_name(to),
                                          .node = sim_find(directory, from, strlen(from))});
}

void sim_sync(struct sim_node *node)
{
    size_t kept = 0;
    for (size_t i = 0; i < node->change_count; i++) {
        struct sim_change *change = &node->changes[i];
        if (change->lost || change->in_flight) {
            node->changes[kept++] = *change;
            continue;
        }
        if (node->is_directory)
            entries_apply(&node->safe_names, change);
        else
            content_apply(&node->durable, change);
        change_release(change);
    }
    node->change_count = kept;
}

void sim_sync_lose(struct sim_node *node)
{
    for (size_t i = 0; i < node->change_count; i++) node->changes[i].lost = true;
}

void sim_disk_drop_flights(struct sim_disk *disk)
{
    for (size_t n = 0; n < disk->count; n++) {
        struct sim_node *node = disk->nodes[n];
        size_t kept = 0;
        for (size_t i = 0; i < node->change_count; i++) {
            if (node->changes[i].in_flight)
                change_release(&node->changes[i]);
            else
                node->changes[kept++] = node->changes[i];
        }
        node->change_count = kept;
    }
}

/* ---- power cut ---- */

/* Of every hundred sectors, `percent` reach the disk; one of eight of these is torn inside. */
static void write_some(struct sim_content *content, const struct sim_change *change, unsigned percent, uint64_t *rng)
{
    size_t done = 0;
    while (done < change->size) {
        uint64_t offset = change->offset + done;
        size_t piece = (size_t)(SIM_SECTOR - offset % SIM_SECTOR);
        if (piece > change->size - done) piece = change->size - done;
        if (sim_random(rng) % 100 < percent) {
            size_t part = sim_random(rng) % 8 ? piece : (size_t)(sim_random(rng) % (piece + 1));
            content_write(content, change->data + done, part, offset);
        }
        done += piece;
    }
}

/* Whether a change is kept, where that is told by its number: *number counts the changes of the whole disk. */
static bool is_kept(enum sim_keep keep, const struct sim_change *change, uint64_t *number, uint64_t one)
{
    uint64_t mine = (*number)++;
    if (keep == SIM_KEEP_SYNCED_AND_ONE) return mine == one;
    return mine != one && !change->in_flight;
}

static void cut_file_by_number(const struct sim_node *from, struct sim_node *to, enum sim_keep keep, uint64_t *number,
                               uint64_t one)
{
    content_copy(&to->now, &from->durable);
    for (size_t i = 0; i < from->change_count; i++)
        if (is_kept(keep, &from->changes[i], number, one)) content_apply(&to->now, &from->changes[i]);
    content_copy(&to->durable, &to->now);
}

static void cut_file(const struct sim_node *from, struct sim_node *to, enum sim_keep keep, uint64_t *rng, bool flight)
{
    content_copy(&to->now, keep == SIM_KEEP_ALL ? &from->now : &from->durable);
    /* Nearly nothing, about half, and nearly everything each leave other gaps behind. */
    static const unsigned shares[] = {8, 50, 92};
    unsigned percent = shares[sim_random(rng) % 3];
    for (size_t i = 0; i < from->change_count; i++) {
        const struct sim_change *change = &from->changes[i];
        if (keep == SIM_KEEP_ALL && change->in_flight && flight) content_apply(&to->now, change);
        if (keep != SIM_KEEP_RANDOM) continue;
        if (change->kind == SIM_WRITE)
            write_some(&to->now, change, percent, rng);
        else if (sim_random(rng) % 100 < percent)
            content_apply(&to->now, change);
    }
    if (keep == SIM_KEEP_RANDOM && from->now.size > to->now.size && sim_random(rng) % 2) {
        uint64_t growth = from->now.size - to->now.size;
        content_resize(&to->now, to->now.size + (sim_random(rng) % 2 ? growth : sim_random(rng) % (growth + 1)));
    }
    content_copy(&to->durable, &to->now);
}

static void cut_directory(const struct sim_node *from, struct sim_disk *disk, enum sim_keep keep, uint64_t *rng,
                          bool flight, uint64_t *number, uint64_t one)
{
    bool by_number = keep == SIM_KEEP_SYNCED_AND_ONE || keep == SIM_KEEP_ALL_BUT_ONE;
    struct sim_node *to = disk->nodes[from->number];
    struct sim_entries kept = {0};
    const struct sim_entries *base = keep == SIM_KEEP_ALL ? &from->names : &from->safe_names;
    for (size_t i = 0; i < base->count; i++) entries_set(&kept, base->list[i].name, base->list[i].node);
    for (size_t i = 0; i < from->change_count; i++) {
        const struct sim_change *change = &from->changes[i];
        bool keep_it =
            keep == SIM_KEEP_ALL ? change->in_flight && flight : keep == SIM_KEEP_RANDOM && sim_random(rng) % 2;
        if (by_number) keep_it = is_kept(keep, change, number, one);
        if (keep_it) entries_apply(&kept, change);
    }
    for (size_t i = 0; i < kept.count; i++) {
        entries_set(&to->names, kept.list[i].name, disk->nodes[kept.list[i].node->number]);
        entries_set(&to->safe_names, kept.list[i].name, disk->nodes[kept.list[i].node->number]);
    }
    entries_release(&kept);
}

struct sim_disk *sim_disk_cut(const struct sim_disk *disk, enum sim_keep keep, uint64_t seed)
{
    bool by_number = keep == SIM_KEEP_SYNCED_AND_ONE || keep == SIM_KEEP_ALL_BUT_ONE;
    enum sim_keep names = keep == SIM_KEEP_NAMES ? SIM_KEEP_ALL : keep == SIM_KEEP_CONTENT ? SIM_KEEP_SYNCED : keep;
    enum sim_keep content = keep == SIM_KEEP_NAMES ? SIM_KEEP_SYNCED : keep == SIM_KEEP_CONTENT ? SIM_KEEP_ALL : keep;
    uint64_t rng = seed, number = 0, count = sim_disk_unsynced(disk), one = count > 0 ? seed % count : 0;
    struct sim_disk *after = sim_disk_open();
    for (size_t n = 1; n < disk->count; n++) sim_node_new(after, disk->nodes[n]->is_directory);
    for (size_t n = 0; n < disk->count; n++) {
        if (disk->nodes[n]->is_directory)
            cut_directory(disk->nodes[n], after, names, &rng, seed & 1, &number, one);
        else if (by_number)
            cut_file_by_number(disk->nodes[n], after->nodes[n], keep, &number, one);
        else
            cut_file(disk->nodes[n], after->nodes[n], content, &rng, seed & 1);
    }
    return after;
}

size_t sim_disk_unsynced(const struct sim_disk *disk)
{
    size_t count = 0;
    for (size_t n = 0; n < disk->count; n++) count += disk->nodes[n]->change_count;
    return count;
}

static uint64_t hash_bytes(uint64_t hash, const void *bytes, size_t size)
{
    const uint8_t *at = bytes;
    for (size_t i = 0; i < size; i++) hash = (hash ^ at[i]) * 0x100000001b3u;
    return hash ^ hash >> 29;
}

/* Names come in any order: what they lead to is added up. */
static uint64_t digest_of(const struct sim_node *node)
{
    uint64_t sum = node->is_directory ? 1 : 2;
    if (!node->is_directory)
        return hash_bytes(0xcbf29ce484222325u + node->now.size, node->now.data, (size_t)node->now.size);
    for (size_t i = 0; i < node->names.count; i++) {
        uint64_t below = digest_of(node->names.list[i].node);
        sum +=
            hash_bytes(hash_bytes(7, node->names.list[i].name, strlen(node->names.list[i].name)), &below, sizeof below);
    }
    return sum;
}

uint64_t sim_disk_digest(const struct sim_disk *disk)
{
    return digest_of(disk->nodes[0]);
}

uint64_t sim_node_used(const struct sim_node *node, uint64_t end)
{
    if (end < node->now.size) end = node->now.size;
    if (end < node->allocated) end = node->allocated;
    return (end + SIM_BLOCK - 1) / SIM_BLOCK * SIM_BLOCK;
}

static uint64_t used_below(const struct sim_node *node)
{
    uint64_t sum = 0;

    if (!node->is_directory) return sim_node_used(node, 0);
    for (size_t i = 0; i < node->names.count; i++) sum += used_below(node->names.list[i].node);
    return sum + SIM_BLOCK;
}

uint64_t sim_disk_used(const struct sim_disk *disk)
{
    return used_below(disk->nodes[0]);
}
