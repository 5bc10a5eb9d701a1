/* runs.c - looking into a map of extents, and changing it. */
#include "db/runs.h"

#include <stdlib.h>
#include <string.h>

bc_status bc_runs_copy(const struct bc_inode_body *body, struct bc_run **runs, size_t *count)
{
    *count = body->run_count;
    *runs = malloc((body->run_count + 1) * sizeof **runs);
    if (!*runs) return bc_fail(BITCASK_NO_MEMORY, "out of memory for a map of %zu runs", body->run_count);
    for (size_t i = 0; i < body->run_count; i++) (*runs)[i] = bc_inode_run(body, i);
    return BITCASK_OK;
}

bc_status bc_runs_subtract(const struct bc_run *old, size_t old_count, const struct bc_run *new, size_t new_count,
                           struct bc_run **out, size_t *out_count)
{
    size_t at = 0;

    *out_count = 0;
    /* Each run of the new map splits one of the old map in two, at most. */
    *out = malloc((old_count + new_count + 1) * sizeof **out);
    if (!*out) return bc_fail(BITCASK_NO_MEMORY, "out of memory for a map of %zu runs", old_count);
    for (size_t i = 0; i < old_count; i++) {
        uint64_t from = old[i].first, end = old[i].first + old[i].count;

        while (at < new_count && new[at].first + new[at].count <= from) at++;
        for (size_t n = at; n < new_count && new[n].first < end; n++) {
            if (new[n].value_id != old[i].value_id) continue;
            if (new[n].first > from)
                (*out)[(*out_count)++] = (struct bc_run){from, new[n].first - from, old[i].value_id};
            if (new[n].first + new[n].count > from) from = new[n].first + new[n].count;
        }
        if (from < end) (*out)[(*out_count)++] = (struct bc_run){from, end - from, old[i].value_id};
    }
    return BITCASK_OK;
}

/* Place of the first run that ends behind number; count: none does. */
static size_t place_of(const struct bc_run *runs, size_t count, uint64_t number)
{
    size_t low = 0, high = count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (runs[middle].first + runs[middle].count <= number)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

const struct bc_run *bc_runs_find(const struct bc_run *runs, size_t count, uint64_t number)
{
    size_t at = place_of(runs, count, number);

    return at < count && runs[at].first <= number ? &runs[at] : NULL;
}

uint64_t bc_runs_next(const struct bc_run *runs, size_t count, uint64_t number)
{
    size_t at = place_of(runs, count, number);

    if (at == count) return UINT64_MAX;
    return runs[at].first > number ? runs[at].first : number;
}

uint64_t bc_runs_bytes(const struct bc_run *runs, size_t count, uint8_t extent_shift, uint64_t size)
{
    uint64_t bytes = 0;

    for (size_t i = 0; i < count; i++) {
        uint64_t from = runs[i].first << extent_shift, end = (runs[i].first + runs[i].count) << extent_shift;

        if (end > size) end = size;
        if (end > from) bytes += end - from;
    }
    return bytes;
}

bc_status bc_runs_prepare(struct bc_runs *list, size_t changes)
{
    /* Each change splits one run in two at most, and adds one. */
    size_t wanted = list->count + 2 * changes, room = list->room > 0 ? list->room : 8;
    struct bc_run *runs;

    if (wanted <= list->room) return BITCASK_OK;
    while (room < wanted) room *= 2;
    runs = realloc(list->runs, room * sizeof *runs);
    if (!runs) return bc_fail(BITCASK_NO_MEMORY, "out of memory for a map of %zu runs", wanted);
    list->runs = runs;
    list->room = room;
    return BITCASK_OK;
}

static void insert(struct bc_runs *list, size_t at, struct bc_run run)
{
    memmove(&list->runs[at + 1], &list->runs[at], (list->count - at) * sizeof run);
    list->runs[at] = run;
    list->count++;
}

static void take_out(struct bc_runs *list, size_t at, size_t some)
{
    memmove(&list->runs[at], &list->runs[at + some], (list->count - at - some) * sizeof *list->runs);
    list->count -= some;
}

void bc_runs_clear(struct bc_runs *list, uint64_t first, uint64_t count)
{
    uint64_t end = count > UINT64_MAX - first ? UINT64_MAX : first + count;
    size_t at = place_of(list->runs, list->count, first), covered;

    if (at == list->count || list->runs[at].first >= end) return;
    if (list->runs[at].first < first) {
        struct bc_run *run = &list->runs[at];
        const uint64_t run_end = run->first + run->count;

        run->count = first - run->first;
        at++;
        if (run_end > end) {
            insert(list, at, (struct bc_run){end, run_end - end, run->value_id});
            return;
        }
    }
    for (covered = 0; at + covered < list->count; covered++)
        if (list->runs[at + covered].first + list->runs[at + covered].count > end) break;
    if (covered > 0) take_out(list, at, covered);
    if (at < list->count && list->runs[at].first < end) {
        list->runs[at].count -= end - list->runs[at].first;
        list->runs[at].first = end;
    }
}

static bool follows(const struct bc_run *run, const struct bc_run *next)
{
    return run->value_id == next->value_id && run->first + run->count == next->first;
}

void bc_runs_set(struct bc_runs *list, uint64_t first, uint64_t count, uint64_t value_id)
{
    size_t at;

    bc_runs_clear(list, first, count);
    at = place_of(list->runs, list->count, first);
    insert(list, at, (struct bc_run){first, count, value_id});
    if (at + 1 < list->count && follows(&list->runs[at], &list->runs[at + 1])) {
        list->runs[at].count += list->runs[at + 1].count;
        take_out(list, at + 1, 1);
    }
    if (at > 0 && follows(&list->runs[at - 1], &list->runs[at])) {
        list->runs[at - 1].count += list->runs[at].count;
        take_out(list, at, 1);
    }
}
