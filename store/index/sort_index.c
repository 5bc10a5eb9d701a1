/* sort_index.c - see sort_index.h.
 *
 * Invariants: no node is empty; refs[i] of an inner node is the first reference of the subtree children[i]; nodes of
 * each kind are numbered without gaps, so a freed one is taken over by the last. Two neighbours under one parent, of
 * which one has fallen below a quarter, are joined where the result is at most three quarters full.
 */
#include "index/sort_index.h"

#include <assert.h>
#include <string.h>

enum {
    NODE_MAX = 64,
    HALF = NODE_MAX / 2,
    JOIN_BELOW = NODE_MAX / 4,
    JOINED_MAX = NODE_MAX * 3 / 4,
    HEIGHT_MAX = 24 /* a level below another has at least four times its nodes, but for a few: 32 bits end earlier */
};

struct node {
    uint32_t prev; /* leaves only: neighbours in key order, or BC_NONE */
    uint32_t next;
    uint16_t count;
    uint16_t level; /* 0 is a leaf */
    uint32_t refs[NODE_MAX];
};

struct inner {
    struct node node;
    uint32_t children[NODE_MAX];
};

/* The way from the root to a key: at each level, the node and the child (in a leaf: the reference) within it. */
struct path {
    uint32_t node[HEIGHT_MAX];
    uint32_t at[HEIGHT_MAX];
};

struct key {
    const void *bytes;
    size_t size;
};

static struct node *node_at(const struct bc_sort_index *index, uint32_t level, uint32_t number)
{
    return bc_chunk_array_at(level == 0 ? &index->leaves : &index->inners, number);
}

static uint32_t *children_of(struct node *node)
{
    return ((struct inner *)(void *)node)->children;
}

int bc_key_compare(const void *a, size_t a_size, const void *b, size_t b_size)
{
    int order = memcmp(a, b, a_size < b_size ? a_size : b_size);

    return order != 0 ? order : (a_size > b_size) - (a_size < b_size);
}

static struct key key_of(const struct bc_sort_index *index, uint32_t ref)
{
    struct key key;

    key.bytes = index->key_of(index->context, ref, &key.size);
    return key;
}

/* The number of references in node, from `from` on counted in, whose key is before key, or equal to it if
 * `or_equal`; all before `from` are known to be. */
static uint32_t count_before(const struct bc_sort_index *index, const struct node *node, uint32_t from,
                             const struct key *key, bool or_equal)
{
    uint32_t low = from, high = node->count;

    while (low < high) {
        uint32_t middle = (low + high) / 2;
        struct key other = key_of(index, node->refs[middle]);
        int order = bc_key_compare(other.bytes, other.size, key->bytes, key->size);

        if (order < 0 || (order == 0 && or_equal)) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

/* Follows key down to `level`. path->at[level] is left to the caller; above it is the child taken. */
static void descend(const struct bc_sort_index *index, const struct key *key, uint32_t level, struct path *path)
{
    uint32_t number = index->root;

    for (uint32_t i = index->height - 1; i > level; i--) {
        struct node *node = node_at(index, i, number);
        path->node[i] = number;
        path->at[i] = count_before(index, node, 1, key, true) - 1;
        number = children_of(node)[path->at[i]];
    }
    path->node[level] = number;
}

/* The smallest key below a node has changed to ref: tells the nodes above `level`, as far as they name it. */
static void set_first(struct bc_sort_index *index, const struct path *path, uint32_t level, uint32_t ref)
{
    for (uint32_t i = level + 1; i < index->height; i++) {
        node_at(index, i, path->node[i])->refs[path->at[i]] = ref;
        if (path->at[i] > 0) return;
    }
}

void bc_sort_init(struct bc_sort_index *index, bc_key_of key_of_ref, const void *context)
{
    *index = (struct bc_sort_index){.root = BC_NONE, .key_of = key_of_ref, .context = context};
    bc_chunk_array_init(&index->leaves, sizeof(struct node));
    bc_chunk_array_init(&index->inners, sizeof(struct inner));
}

void bc_sort_release(struct bc_sort_index *index)
{
    bc_chunk_array_release(&index->leaves);
    bc_chunk_array_release(&index->inners);
    bc_sort_init(index, index->key_of, index->context);
}

/* ---- room ---- */

/* The nodes that `count` inserts can need, whatever is removed between them.
 *
 * Each insert splits a level at most once. Beyond that: a node that was split in its middle needs 16 more before it
 * can be full again, also when it was joined with another; the last node of a level, which is split at its end,
 * needs 31. So the splits are at most one for each node there is, and one in 12 inserts; each is an insert into the
 * level above. */
static void nodes_needed(const struct bc_sort_index *index, size_t count, size_t *leaves, size_t *inners)
{
    size_t splits = count, nodes = index->leaves.count;

    *leaves = *inners = 0;
    if (count == 0) return;
    if (index->height <= 1) {
        size_t held = index->height == 1 ? node_at(index, 0, index->root)->count : 0;
        if (held + count <= NODE_MAX) {
            *leaves = 1 - index->height;
            return;
        }
    }
    for (uint32_t level = 0; level < HEIGHT_MAX; level++) {
        size_t bound = nodes + splits / 12 + 2;
        if (bound < splits) splits = bound;
        /* A new level begins with a node that no split made. */
        if (level >= index->height) splits++;
        *(level == 0 ? leaves : inners) += splits;
        if (level >= index->height && splits <= 3) return;
        nodes = level + 1 < index->height ? index->inners.count : 0;
    }
}

bc_status bc_sort_reserve(struct bc_sort_index *index, size_t count)
{
    size_t leaves, inners;
    bc_status status;

    if (count > UINT32_MAX) return BITCASK_NO_MEMORY;
    nodes_needed(index, count, &leaves, &inners);
    status = bc_chunk_array_reserve(&index->leaves, leaves);
    if (status == BITCASK_OK) status = bc_chunk_array_reserve(&index->inners, inners);
    return status;
}

/* Room for just this insert: one node for each full one that path leads through, and a new root. */
static bc_status reserve_path(struct bc_sort_index *index, const struct path *path)
{
    size_t full = 0;
    bc_status status;

    while (full < index->height && node_at(index, (uint32_t)full, path->node[full])->count == NODE_MAX) full++;
    if (full == 0) return BITCASK_OK;
    if (full == HEIGHT_MAX) return BITCASK_NO_MEMORY;
    status = bc_chunk_array_reserve(&index->leaves, 1);
    if (status == BITCASK_OK) status = bc_chunk_array_reserve(&index->inners, full - 1 + (full == index->height));
    return status;
}

void bc_sort_trim(struct bc_sort_index *index, size_t count)
{
    size_t leaves, inners;

    nodes_needed(index, count, &leaves, &inners);
    bc_chunk_array_trim(&index->leaves, leaves);
    bc_chunk_array_trim(&index->inners, inners);
}

size_t bc_sort_memory(const struct bc_sort_index *index)
{
    return bc_chunk_array_memory(&index->leaves) + bc_chunk_array_memory(&index->inners);
}

/* ---- insert ---- */

/* A new, empty node, in room that is there. */
static uint32_t node_new(struct bc_sort_index *index, uint32_t level)
{
    struct bc_chunk_array *array = level == 0 ? &index->leaves : &index->inners;
    uint32_t number = array->count;
    struct node *node;

    assert(number < bc_chunk_array_room(array));
    array->count++;
    node = bc_chunk_array_at(array, number);
    node->prev = node->next = BC_NONE;
    node->count = 0;
    node->level = (uint16_t)level;
    return number;
}

/* Puts ref (and child, in an inner node) at `at` of a node with room for it. */
static void node_put(struct node *node, uint32_t at, uint32_t ref, uint32_t child)
{
    memmove(node->refs + at + 1, node->refs + at, (node->count - at) * sizeof(node->refs[0]));
    node->refs[at] = ref;
    if (node->level > 0) {
        uint32_t *children = children_of(node);
        memmove(children + at + 1, children + at, (node->count - at) * sizeof(children[0]));
        children[at] = child;
    }
    node->count++;
}

/* Moves what stands at `from` and behind in left to the end of right. */
static void node_move(struct node *left, uint32_t from, struct node *right)
{
    uint32_t count = left->count - from;

    memcpy(right->refs + right->count, left->refs + from, count * sizeof(left->refs[0]));
    if (left->level > 0)
        memcpy(children_of(right) + right->count, children_of(left) + from, count * sizeof(left->refs[0]));
    right->count = (uint16_t)(right->count + count);
    left->count = (uint16_t)from;
}

/* Is what path leads to at this level the last node of the level? */
static bool is_last(const struct bc_sort_index *index, const struct path *path, uint32_t level)
{
    for (uint32_t i = level + 1; i < index->height; i++)
        if (path->at[i] + 1u != node_at(index, i, path->node[i])->count) return false;
    return true;
}

/* Splits a full node behind which ref is about to be put at `at`; returns the new right one. The last node of a
 * level keeps all it has where ref goes to its end: ascending keys leave full nodes. */
static uint32_t split(struct bc_sort_index *index, const struct path *path, uint32_t level, uint32_t at)
{
    uint32_t number = path->node[level], right_number = node_new(index, level);
    struct node *node = node_at(index, level, number), *right = node_at(index, level, right_number);

    if (at < NODE_MAX || !is_last(index, path, level)) node_move(node, HALF, right);
    if (level == 0) {
        right->prev = number;
        right->next = node->next;
        if (node->next != BC_NONE) node_at(index, 0, node->next)->prev = right_number;
        node->next = right_number;
    }
    return right_number;
}

/* The root was split: a new one above both halves. */
static void grow(struct bc_sort_index *index, uint32_t right_number)
{
    uint32_t level = index->height, root_number = node_new(index, level);
    struct node *root = node_at(index, level, root_number);

    node_put(root, 0, node_at(index, level - 1, index->root)->refs[0], index->root);
    node_put(root, 1, node_at(index, level - 1, right_number)->refs[0], right_number);
    index->root = root_number;
    index->height++;
}

bc_status bc_sort_insert(struct bc_sort_index *index, uint32_t ref)
{
    struct key key = key_of(index, ref);
    struct path path = {0};
    uint32_t child = BC_NONE, height = index->height;
    bc_status status;

    if (height == 0) {
        status = bc_chunk_array_reserve(&index->leaves, 1);
        if (status != BITCASK_OK) return status;
        index->root = node_new(index, 0);
        index->height = 1;
        node_put(node_at(index, 0, index->root), 0, ref, child);
        return BITCASK_OK;
    }
    descend(index, &key, 0, &path);
    path.at[0] = count_before(index, node_at(index, 0, path.node[0]), 0, &key, false);
    status = reserve_path(index, &path);
    if (status != BITCASK_OK) return status;
    if (path.at[0] == 0) set_first(index, &path, 0, ref);
    for (uint32_t level = 0; level < height; level++) {
        struct node *node = node_at(index, level, path.node[level]), *right;
        uint32_t at = level == 0 ? path.at[0] : path.at[level] + 1, right_number;

        if (node->count < NODE_MAX) {
            node_put(node, at, ref, child);
            return BITCASK_OK;
        }
        right_number = split(index, &path, level, at);
        right = node_at(index, level, right_number);
        if (at <= node->count && right->count > 0) {
            node_put(node, at, ref, child);
        } else {
            node_put(right, at - node->count, ref, child);
        }
        ref = right->refs[0];
        child = right_number;
    }
    grow(index, child);
    return BITCASK_OK;
}

/* ---- remove ---- */

/* Frees a leaf (level 0) or an inner node (any other) that nothing names any more; the last of its kind takes its
 * number. */
static void node_free(struct bc_sort_index *index, uint32_t level, uint32_t number)
{
    struct bc_chunk_array *array = level == 0 ? &index->leaves : &index->inners;
    uint32_t last = --array->count;
    struct node *node = bc_chunk_array_at(array, number);
    struct path path;
    struct key key;

    if (number == last) return;
    memcpy(node, bc_chunk_array_at(array, last), array->item_size);
    if (level == 0) {
        if (node->prev != BC_NONE) node_at(index, 0, node->prev)->next = number;
        if (node->next != BC_NONE) node_at(index, 0, node->next)->prev = number;
    }
    if (node->level + 1u == index->height) {
        index->root = number;
        return;
    }
    key = key_of(index, node->refs[0]);
    descend(index, &key, node->level + 1u, &path);
    node = node_at(index, node->level + 1u, path.node[node->level + 1]);
    children_of(node)[count_before(index, node, 1, &key, true) - 1] = number;
}

static void node_take(struct node *node, uint32_t at)
{
    node->count--;
    memmove(node->refs + at, node->refs + at + 1, (node->count - at) * sizeof(node->refs[0]));
    if (node->level > 0)
        memmove(children_of(node) + at, children_of(node) + at + 1, (node->count - at) * sizeof(node->refs[0]));
}

static void unlink_leaf(struct bc_sort_index *index, const struct node *leaf)
{
    if (leaf->prev != BC_NONE) node_at(index, 0, leaf->prev)->next = leaf->next;
    if (leaf->next != BC_NONE) node_at(index, 0, leaf->next)->prev = leaf->prev;
}

/* Which child of parent to drop once the one at `at` has become small: itself if it is empty; else the right one of
 * a pair that it is joined into; NODE_MAX if none. */
static uint32_t join(struct bc_sort_index *index, struct node *parent, uint32_t at)
{
    uint32_t level = parent->level - 1u;
    struct node *node = node_at(index, level, children_of(parent)[at]), *other;

    if (node->count == 0) return at;
    if (node->count >= JOIN_BELOW) return NODE_MAX;
    if (at + 1u < parent->count) {
        other = node_at(index, level, children_of(parent)[at + 1]);
        if (node->count + other->count <= JOINED_MAX) {
            node_move(other, 0, node);
            return at + 1;
        }
    }
    if (at > 0) {
        other = node_at(index, level, children_of(parent)[at - 1]);
        if (node->count + other->count <= JOINED_MAX) {
            node_move(node, 0, other);
            return at;
        }
    }
    return NODE_MAX;
}

/* The nodes that a removal has set free. Each level may lose a node to a join, and another as its root. */
struct freed {
    uint32_t leaf; /* or BC_NONE */
    uint32_t inner[2 * HEIGHT_MAX];
    uint32_t count;
};

/* Lowers the tree while its root has one child. */
static void shrink(struct bc_sort_index *index, struct freed *freed)
{
    while (index->height > 1 && node_at(index, index->height - 1, index->root)->count == 1) {
        uint32_t old = index->root;
        index->root = children_of(node_at(index, index->height - 1, old))[0];
        index->height--;
        freed->inner[freed->count++] = old;
    }
}

/* Frees inner nodes with the highest number first: so the last, which fills the gap, is never itself a free one. */
static void free_nodes(struct bc_sort_index *index, struct freed *freed)
{
    if (freed->leaf != BC_NONE) node_free(index, 0, freed->leaf);
    while (freed->count > 0) {
        uint32_t highest = 0, number;
        for (uint32_t i = 1; i < freed->count; i++)
            if (freed->inner[i] > freed->inner[highest]) highest = i;
        number = freed->inner[highest];
        freed->inner[highest] = freed->inner[--freed->count];
        node_free(index, 1, number);
    }
}

void bc_sort_remove(struct bc_sort_index *index, uint32_t ref)
{
    struct key key = key_of(index, ref);
    struct path path;
    struct freed freed = {.leaf = BC_NONE};
    struct node *node;

    descend(index, &key, 0, &path);
    node = node_at(index, 0, path.node[0]);
    path.at[0] = count_before(index, node, 0, &key, false);
    assert(path.at[0] < node->count && node->refs[path.at[0]] == ref);
    node_take(node, path.at[0]);
    if (path.at[0] == 0 && node->count > 0) set_first(index, &path, 0, node->refs[0]);
    for (uint32_t level = 0; level + 1 < index->height; level++) {
        struct node *parent = node_at(index, level + 1, path.node[level + 1]);
        uint32_t drop = join(index, parent, path.at[level + 1]);
        if (drop == NODE_MAX) break;
        if (level == 0) {
            freed.leaf = children_of(parent)[drop];
            unlink_leaf(index, node_at(index, 0, freed.leaf));
        } else {
            freed.inner[freed.count++] = children_of(parent)[drop];
        }
        node_take(parent, drop);
        if (drop == 0 && parent->count > 0) set_first(index, &path, level + 1, parent->refs[0]);
    }
    if (node_at(index, index->height - 1, index->root)->count == 0) {
        /* No node is empty but the way down to the last key: all are free. */
        index->leaves.count = index->inners.count = index->height = 0;
        index->root = BC_NONE;
        return;
    }
    shrink(index, &freed);
    free_nodes(index, &freed);
}

void bc_sort_rename(struct bc_sort_index *index, uint32_t ref, uint32_t new_ref)
{
    struct key key = key_of(index, ref);
    struct path path;
    struct node *node;

    descend(index, &key, 0, &path);
    node = node_at(index, 0, path.node[0]);
    path.at[0] = count_before(index, node, 0, &key, false);
    assert(path.at[0] < node->count && node->refs[path.at[0]] == ref);
    node->refs[path.at[0]] = new_ref;
    if (path.at[0] == 0) set_first(index, &path, 0, new_ref);
}

/* ---- seek ---- */

bool bc_sort_seek(const struct bc_sort_index *index, enum bc_seek seek, const void *key, size_t key_size,
                  struct bc_sort_place *place)
{
    bool descending = seek == BC_SEEK_LE || seek == BC_SEEK_LT;
    struct key wanted = {key, key_size};
    struct path path;
    struct node *leaf;
    uint32_t before;

    if (index->height == 0) return false;
    if (key_size == 0) {
        uint32_t number = index->root;
        for (uint32_t level = index->height - 1; level > 0; level--) {
            struct node *node = node_at(index, level, number);
            number = children_of(node)[descending ? node->count - 1 : 0];
        }
        *place = (struct bc_sort_place){number, descending ? node_at(index, 0, number)->count - 1u : 0};
        return true;
    }
    descend(index, &wanted, 0, &path);
    leaf = node_at(index, 0, path.node[0]);
    before = count_before(index, leaf, 0, &wanted, seek == BC_SEEK_GT || seek == BC_SEEK_LE);
    *place = (struct bc_sort_place){path.node[0], before};
    if (descending) return bc_sort_step(index, true, place);
    if (before < leaf->count) return true;
    place->at = leaf->count - 1u;
    return bc_sort_step(index, false, place);
}

bool bc_sort_step(const struct bc_sort_index *index, bool back, struct bc_sort_place *place)
{
    const struct node *leaf = node_at(index, 0, place->leaf);

    if (back ? place->at > 0 : place->at + 1u < leaf->count) {
        place->at = back ? place->at - 1 : place->at + 1;
        return true;
    }
    if ((back ? leaf->prev : leaf->next) == BC_NONE) return false;
    place->leaf = back ? leaf->prev : leaf->next;
    place->at = back ? node_at(index, 0, place->leaf)->count - 1u : 0;
    return true;
}

uint32_t bc_sort_ref(const struct bc_sort_index *index, const struct bc_sort_place *place)
{
    return node_at(index, 0, place->leaf)->refs[place->at];
}
