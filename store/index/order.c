/* order.c - the keys of a shard in order: sorted when somebody asks for it.
 *
 * New keys are put into the order as they come, since to keep them sorted would cost a put more than all the rest of
 * it. Whoever wants to see them in order, a reader as well, sorts what has come since the last time, merges that with
 * what was in order, and publishes the result as the shard's view, unless somebody else published a better one
 * meanwhile. So each key is sorted about once.
 */
#include "index/shard.h"

#include <stdlib.h>
#include <string.h>

int bc_key_compare(const void *a, size_t a_size, const void *b, size_t b_size)
{
    int order = memcmp(a, b, a_size < b_size ? a_size : b_size);

    if (order != 0) return order;
    return (a_size > b_size) - (a_size < b_size);
}

/* A key to be sorted: 8 bytes of it, behind those that all have in common, mostly decide. */
struct item {
    uint64_t front;
    const uint8_t *packed;
    uint32_t place;
};

static int compare_items(const void *left, const void *right)
{
    const struct item *a = left, *b = right;

    if (a->front != b->front) return a->front < b->front ? -1 : 1;
    return bc_key_compare(a->packed + 2, a->packed[0], b->packed + 2, b->packed[0]);
}

uint64_t bc_key_front(const uint8_t *key, size_t key_size, uint32_t skip)
{
    uint8_t bytes[8] = {0};
    uint64_t front = 0;

    if (key_size >= skip + 8u)
        memcpy(bytes, key + skip, 8);
    else if (key_size > skip)
        memcpy(bytes, key + skip, key_size - skip);
    for (int i = 0; i < 8; i++) front = front << 8 | bytes[i];
    return front;
}

static uint32_t common_size(const uint8_t *a, const uint8_t *b, uint32_t most)
{
    uint32_t i = 0;

    if (a[0] < most) most = a[0];
    if (b[0] < most) most = b[0];
    while (i < most && a[2 + i] == b[2 + i]) i++;
    return i;
}

/* The live ones of `places`, into items. Returns how many. */
static uint32_t gather(const struct bc_shard *shard, const uint16_t *places, uint32_t count, struct item *items)
{
    uint32_t live = 0;

    for (uint32_t i = 0; i < count; i++) {
        const uint8_t *packed = bc_shard_at(shard, places[i]);
        if (packed != NULL) items[live++] = (struct item){.packed = packed, .place = places[i]};
    }
    return live;
}

/* Merges two lists, each in order, into out. */
static void merge(const struct item *a, uint32_t a_count, const struct item *b, uint32_t b_count, uint16_t *out)
{
    uint32_t i = 0, j = 0;

    while (i < a_count || j < b_count) {
        bool first = j == b_count || (i < a_count && compare_items(&a[i], &b[j]) < 0);
        *out++ = (uint16_t)(first ? a[i++] : b[j++]).place;
    }
}

/* Sorts the second part of items, and merges both into the view. */
static void fill_view(struct item *items, uint32_t in_order, uint32_t count, struct bc_view *view)
{
    uint32_t skip = 255;

    view->count = count;
    if (count == 0) return;
    /* What the first and the last of a sorted list have in common, all between them have. */
    for (uint32_t i = in_order > 0 ? in_order - 1 : 0; i < count; i++)
        skip = common_size(items[0].packed, items[i].packed, skip);
    for (uint32_t i = 0; i < count; i++) items[i].front = bc_key_front(items[i].packed + 2, items[i].packed[0], skip);
    qsort(items + in_order, count - in_order, sizeof(*items), compare_items);
    merge(items, in_order, items + in_order, count - in_order, view->places);
}

/* A view of the first `used` places. NULL: out of memory. */
static struct bc_view *make_view(const struct bc_shard *shard, const struct bc_view *base, uint32_t used)
{
    uint32_t sorted = atomic_load_explicit(&shard->sorted, memory_order_acquire), covers, in_order, count;
    struct item *items = bc_index_realloc(NULL, (used + 1) * sizeof(*items));
    struct bc_view *view = bc_index_realloc(NULL, sizeof(*view) + used * sizeof(view->places[0]));

    if (items == NULL || view == NULL) {
        free(items);
        free(view);
        return NULL;
    }
    if (base != NULL && base->covers > sorted) {
        covers = base->covers;
        in_order = gather(shard, base->places, base->count, items);
    } else {
        covers = sorted;
        in_order = gather(shard, shard->order, sorted, items);
    }
    count = in_order + gather(shard, shard->order + covers, used - covers, items + in_order);
    view->covers = used;
    fill_view(items, in_order, count, view);
    free(items);
    return view;
}

static void release_view(struct bc_retired *retired)
{
    free(retired);
}

/* Leaves the view in the shard, for all. False: another one there is as good. */
static bool publish_view(const struct bc_shard *shard, struct bc_view *view)
{
    /* The one thing that readers change: what they see stays the same. */
    _Atomic(struct bc_view *) *at = (_Atomic(struct bc_view *) *)(uintptr_t)&shard->view;
    struct bc_view *old = atomic_load_explicit(at, memory_order_acquire);

    do {
        if (old != NULL && old->covers >= view->covers) return false;
    } while (!atomic_compare_exchange_weak_explicit(at, &old, view, memory_order_acq_rel, memory_order_acquire));
    if (old != NULL) bc_rcu_retire(&old->retired, release_view);
    return true;
}

bc_status bc_shard_sort(const struct bc_shard *shard, bool publish, struct bc_sorted *sorted)
{
    uint32_t used = atomic_load_explicit(&shard->used, memory_order_acquire);
    struct bc_view *view;

    *sorted = (struct bc_sorted){.places = shard->order, .count = used};
    if (atomic_load_explicit(&shard->sorted, memory_order_acquire) >= used) return BITCASK_OK;
    view = atomic_load_explicit(&shard->view, memory_order_acquire);
    if (view == NULL || view->covers < used) {
        view = make_view(shard, view, used);
        if (view == NULL) return bc_fail(BITCASK_NO_MEMORY, "no memory to sort keys");
        if (!publish || !publish_view(shard, view)) sorted->own = view;
    }
    sorted->places = view->places;
    sorted->count = view->count;
    return BITCASK_OK;
}

void bc_sorted_release(struct bc_sorted *sorted)
{
    free(sorted->own);
    *sorted = (struct bc_sorted){0};
}

uint32_t bc_sorted_seek(const struct bc_shard *shard, const struct bc_sorted *sorted, const void *key, size_t key_size,
                        bool above)
{
    uint32_t low = 0, high = sorted->count;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2, i = middle;
        const uint8_t *packed = NULL;
        int order;

        /* A dead place has no key any more; the next live one stands for it. */
        while (i < high && (packed = bc_shard_at(shard, sorted->places[i])) == NULL) i++;
        if (packed == NULL) {
            high = middle;
            continue;
        }
        order = bc_key_compare(packed + 2, packed[0], key, key_size);
        if (order < 0 || (order == 0 && above))
            low = i + 1;
        else
            high = middle;
    }
    return low;
}

size_t bc_shard_view_memory(const struct bc_shard *shard)
{
    const struct bc_view *view = atomic_load_explicit(&shard->view, memory_order_acquire);

    return view == NULL ? 0 : sizeof(*view) + view->covers * sizeof(view->places[0]);
}
