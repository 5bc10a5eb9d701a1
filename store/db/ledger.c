/* ledger.c - what is known of a partition while it is not open: what was counted in its instances so far, and how large
 * it was when the last one was closed.
 *
 * Without it the figures of a store would be those of what happens to be open: its keys would seem to go whenever a
 * partition is closed to make room, and its counters to begin anew.
 *
 * A ledger belongs to a node, and keeps it: the node stands in a list, oldest first, until it is opened again. Of the
 * BC_LEDGERS_MAX that were closed last it is kept, so memory stays bounded; what was counted in the others counts for
 * the store as a whole.
 * Invariant: each operation is counted in one place: in an instance, a ledger, or db->closed and db->closed_timings.
 * Threads: all under nodes_lock, but for bc_ledger_measure().
 */
#include "db/db.h"

#include <stdlib.h>

void bc_ledger_measure(struct bc_partition *instance, bitcask_stats *stats)
{
    bc_partition_stats(instance, stats);
    pthread_rwlock_rdlock(&instance->cold_lock);
    if (atomic_load_explicit(&instance->cold, memory_order_relaxed)) {
        stats->live_keys = instance->cold_keys;
        stats->live_bytes = stats->data_bytes;
        stats->dead_bytes = 0;
    }
    pthread_rwlock_unlock(&instance->cold_lock);
}

void bc_ledger_add_counters(bitcask_stats *to, const bitcask_stats *from)
{
    to->puts += from->puts;
    to->deletes += from->deletes;
    to->gets += from->gets;
    to->merges += from->merges;
    to->merge_ns += from->merge_ns;
    to->merge_reclaimed_bytes += from->merge_reclaimed_bytes;
    if (to->last_merge_ns < from->last_merge_ns) to->last_merge_ns = from->last_merge_ns;
    to->log_bytes_written += from->log_bytes_written;
    to->bloom_hits += from->bloom_hits;
    to->bloom_misses += from->bloom_misses;
}

void bc_ledger_add_sizes(bitcask_stats *to, const bitcask_stats *from)
{
    to->live_keys += from->live_keys;
    to->live_bytes += from->live_bytes;
    to->dead_bytes += from->dead_bytes;
    to->tombstone_bytes += from->tombstone_bytes;
    to->data_bytes += from->data_bytes;
    to->hint_bytes += from->hint_bytes;
    to->checkpoint_bytes += from->checkpoint_bytes;
    to->segments += from->segments;
    to->damaged_regions += from->damaged_regions;
}

static struct bc_ledger *ledger_of(struct bitcask_partition *node)
{
    if (!node->ledger) node->ledger = calloc(1, sizeof *node->ledger);
    return node->ledger;
}

void bc_ledger_set_sizes(struct bitcask_partition *node, const bitcask_stats *stats)
{
    struct bc_ledger *ledger = ledger_of(node);
    bitcask_stats now = {0};

    if (!ledger) return;
    bc_ledger_add_counters(&now, &ledger->stats);
    bc_ledger_add_sizes(&now, stats);
    ledger->stats = now;
}

static bool any_timed(const struct bc_timings *timings)
{
    bitcask_histogram sums[BC_TIMED] = {0};
    bool any = false;

    for (unsigned kind = 0; kind < BC_TIMED; kind++) {
        bc_histogram_sum(&timings->of[kind], &sums[kind]);
        any = any || sums[kind].count > 0;
    }
    return any;
}

void bc_ledger_take_counters(struct bitcask_partition *node, struct bc_partition *instance)
{
    struct bitcask *db = node->db;
    struct bc_ledger *ledger = ledger_of(node);
    const bitcask_stats counted = {
        .puts = instance->puts,
        .deletes = instance->deletes,
        .gets = bc_stripes_sum(&instance->gets),
        .merges = instance->merges,
        .merge_ns = instance->merge_ns,
        .merge_reclaimed_bytes = instance->merge_reclaimed_bytes,
        .last_merge_ns = instance->last_merge_ns,
        .log_bytes_written = instance->log_bytes + instance->merged_bytes,
        .bloom_hits = instance->bloom_hits,
        .bloom_misses = instance->bloom_misses,
    };

    if (ledger && !ledger->timings && any_timed(&instance->timings))
        ledger->timings = calloc(1, sizeof *ledger->timings);
    bc_ledger_add_counters(ledger ? &ledger->stats : &db->closed, &counted);
    bc_timings_merge(ledger && ledger->timings ? ledger->timings : &db->closed_timings, &instance->timings);
}

void bc_ledger_forget(struct bitcask_partition *node)
{
    struct bitcask *db = node->db;
    struct bc_ledger *ledger = node->ledger;

    if (!ledger) return;
    bc_ledger_add_counters(&db->closed, &ledger->stats);
    if (ledger->timings) bc_timings_merge(&db->closed_timings, ledger->timings);
    db->forgotten++;
    node->ledger = NULL;
    free(ledger->timings);
    free(ledger);
}

/* ---- which are kept ---- */

void bc_ledger_unlist(struct bitcask_partition *node)
{
    struct bitcask *db = node->db;
    struct bc_ledger *ledger = node->ledger;

    if (!ledger || !ledger->listed) return;
    *(ledger->previous ? &ledger->previous->ledger->next : &db->oldest_closed) = ledger->next;
    *(ledger->next ? &ledger->next->ledger->previous : &db->newest_closed) = ledger->previous;
    ledger->previous = ledger->next = NULL;
    ledger->listed = false;
    db->closed_count--;
    bc_node_unref_locked(node);
}

void bc_ledger_keep(struct bitcask_partition *node)
{
    struct bitcask *db = node->db;
    struct bc_ledger *ledger = node->ledger;

    if (!ledger) {
        bc_node_unref_locked(node);
        return;
    }
    ledger->listed = true;
    ledger->previous = db->newest_closed;
    *(db->newest_closed ? &db->newest_closed->ledger->next : &db->oldest_closed) = node;
    db->newest_closed = node;
    db->closed_count++;
    if (db->closed_count > db->ledgers_max) bc_ledger_unlist(db->oldest_closed);
}

void bc_ledgers_release(struct bitcask *db)
{
    while (db->oldest_closed) bc_ledger_unlist(db->oldest_closed);
}

/* ---- looking at them ---- */

bool bc_ledger_figures(const struct bitcask_partition *node, struct bc_figures *figures)
{
    const struct bc_ledger *ledger = node->ledger;

    *figures = (struct bc_figures){0};
    if (!ledger) return false;
    figures->stats = ledger->stats;
    for (unsigned kind = 0; ledger->timings && kind < BC_TIMED; kind++)
        bc_histogram_sum(&ledger->timings->of[kind], &figures->timings[kind]);
    return true;
}
