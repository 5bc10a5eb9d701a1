/* metrics.c - see metrics.h.
 *
 * Invariant: no counter of the store's whole, or of its rest, is ever told to be less than before. While partitions
 * come and go, one is now and then counted nowhere for a moment, or moves from the rest to those told apart; and a
 * counter that falls is taken for a restart, and its whole value for what happened since. So what was told last is the
 * least that is told next.
 */
#include "db/metrics.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "db/maintain.h"

struct figure {
    const char *name, *of_partition; /* the latter NULL: told of the whole alone */
    const char *help;
    size_t member; /* of bitcask_stats */
    bitcask_metric_type type;
    bool nanoseconds;
    bool of_store; /* known of the store alone */
};

#define EACH(suffix, counted) "bitcask_" suffix, "bitcask_partition_" suffix, .member = offsetof(bitcask_stats, counted)
#define WHOLE(suffix, counted) "bitcask_" suffix, NULL, .member = offsetof(bitcask_stats, counted)

/* clang-format off */
static const struct figure figures[] = {
    {"bitcask_partitions_open", "bitcask_partition_open", .member = offsetof(bitcask_stats, partitions_open), .help = "Partitions that are open.", .type = BITCASK_GAUGE},
    {WHOLE("partitions_known", partitions_known), .help = "Partitions that are or were open since the store was opened; the sizes below are theirs.", .type = BITCASK_GAUGE},
    {EACH("live_keys", live_keys), .help = "Keys and partitions with a name.", .type = BITCASK_GAUGE},
    {EACH("live_bytes", live_bytes), .help = "Bytes of records in use.", .type = BITCASK_GAUGE},
    {EACH("dead_bytes", dead_bytes), .help = "Bytes of data files that are not in use.", .type = BITCASK_GAUGE},
    {WHOLE("tombstone_bytes", tombstone_bytes), .help = "Of the dead bytes, deletions that older data may still need.", .type = BITCASK_GAUGE},
    {EACH("data_bytes", data_bytes), .help = "Bytes of data files.", .type = BITCASK_GAUGE},
    {WHOLE("hint_bytes", hint_bytes), .help = "Bytes of hint files.", .type = BITCASK_GAUGE},
    {WHOLE("checkpoint_bytes", checkpoint_bytes), .help = "Bytes of checkpoints of indexes.", .type = BITCASK_GAUGE},
    {EACH("segments", segments), .help = "Data files.", .type = BITCASK_GAUGE},
    {EACH("index_bytes", index_bytes), .help = "Bytes of memory that indexes take, keys included.", .type = BITCASK_GAUGE},
    {WHOLE("key_bytes", key_bytes), .help = "Of the bytes of indexes, the keys.", .type = BITCASK_GAUGE},
    {WHOLE("index_limit_bytes", index_limit_bytes), .help = "Bytes of memory that indexes may take at once.", .type = BITCASK_GAUGE, .of_store = true},
    {EACH("damaged_regions", damaged_regions), .help = "Stretches of data files that failed their check when they were opened.", .type = BITCASK_GAUGE},
    {"bitcask_poisoned_partitions", "bitcask_partition_poisoned", .member = offsetof(bitcask_stats, poisoned), .help = "Partitions that take no writes until reopened, because an fsync failed.", .type = BITCASK_GAUGE},
    {EACH("gets_total", gets), .help = "Keys looked up and found, to be read."},
    {EACH("puts_total", puts), .help = "Records put."},
    {EACH("deletes_total", deletes), .help = "Tombstones put."},
    {WHOLE("bytes_written_total", bytes_written), .help = "Bytes written by this process to the files of stores.", .of_store = true},
    {WHOLE("bytes_read_total", bytes_read), .help = "Bytes read from them, those of mapped files left aside.", .of_store = true},
    {EACH("log_bytes_written_total", log_bytes_written), .help = "Bytes written to the logs, outputs of merges included."},
    {WHOLE("syncs_total", syncs), .help = "Calls of fsync and fdatasync.", .of_store = true},
    {EACH("compactions_total", merges), .help = "Merges that replaced segments."},
    {EACH("compaction_seconds_total", merge_ns), .help = "Time spent in merges.", .nanoseconds = true},
    {EACH("compaction_reclaimed_bytes_total", merge_reclaimed_bytes), .help = "Bytes of disk given back by merges."},
    {WHOLE("last_compaction_timestamp_seconds", last_merge_ns), .help = "When the last merge ended, since 1970; 0: none so far.", .type = BITCASK_GAUGE, .nanoseconds = true},
    {WHOLE("bloom_hits_total", bloom_hits), .help = "Times that a Bloom filter said a segment may hold a key."},
    {WHOLE("bloom_misses_total", bloom_misses), .help = "Times that one spared a segment."},
    {WHOLE("partition_opens_total", partition_opens), .help = "Partitions opened.", .of_store = true},
    {WHOLE("partition_closes_total", partition_closes), .help = "Partitions closed to make room for others.", .of_store = true},
    {WHOLE("memory_closes_total", memory_closes), .help = "Of these, to stay within the memory for indexes.", .of_store = true},
    {WHOLE("open_seconds_total", open_ns), .help = "Time spent in opening partitions.", .nanoseconds = true, .of_store = true},
};
/* clang-format on */

enum { FIGURES = sizeof figures / sizeof figures[0] };

static const char *const operations[BC_TIMED] = {"get", "put", "commit", "fsync", "merge"};

/* What is told together: of one partition, of the rest, or of the whole. */
struct scope {
    char *label; /* owned; NULL: the whole */
    uint64_t id;
    struct bc_figures of;
};

struct survey {
    struct bitcask *db;
    struct bitcask_partition *top;
    bool below;
    struct scope whole, rest;
    struct scope *largest; /* owned; room for BITCASK_METRICS_PARTITIONS and one more */
    size_t count;
    bool has_rest;
    bool failed;     /* no memory */
    bc_status first; /* failure to open one */
    char detail[512];
};

/* ---- gathering ---- */

static void add_histograms(bitcask_histogram *sums, const bitcask_histogram *histograms)
{
    for (unsigned kind = 0; kind < BC_TIMED; kind++) {
        sums[kind].count += histograms[kind].count;
        sums[kind].sum_ns += histograms[kind].sum_ns;
        for (unsigned i = 0; i < BITCASK_HISTOGRAM_BUCKETS; i++) sums[kind].counts[i] += histograms[kind].counts[i];
    }
}

static void add_figures(struct bc_figures *sum, const struct bc_figures *figures_of)
{
    /* All members are counts of 64 bits. */
    const uint64_t *from = (const uint64_t *)&figures_of->stats;
    uint64_t *to = (uint64_t *)&sum->stats;
    uint64_t last = sum->stats.last_merge_ns;

    _Static_assert(sizeof(bitcask_stats) % sizeof(uint64_t) == 0, "has members of one size");
    if (last < figures_of->stats.last_merge_ns) last = figures_of->stats.last_merge_ns;
    for (size_t i = 0; i < sizeof(bitcask_stats) / sizeof(uint64_t); i++) to[i] += from[i];
    sum->stats.last_merge_ns = last;
    add_histograms(sum->timings, figures_of->timings);
}

static void add_timings(bitcask_histogram *sums, const struct bc_timings *timings)
{
    for (unsigned kind = 0; kind < BC_TIMED; kind++) bc_histogram_sum(&timings->of[kind], &sums[kind]);
}

/* What was counted in partitions that nothing is known of any more. */
static void gather_forgotten(struct survey *survey)
{
    struct bitcask *db = survey->db;
    struct bc_figures *rest = &survey->rest.of;

    pthread_mutex_lock(&db->nodes_lock);
    rest->stats = db->closed;
    add_timings(rest->timings, &db->closed_timings);
    survey->has_rest = db->forgotten > 0;
    pthread_mutex_unlock(&db->nodes_lock);
    add_figures(&survey->whole.of, rest);
}

void bc_db_store_stats(struct bitcask *db, bitcask_stats *stats)
{
    pthread_mutex_lock(&db->nodes_lock);
    stats->partition_opens = db->partition_opens;
    stats->partition_closes = db->partition_closes;
    stats->memory_closes = db->memory_closes;
    pthread_mutex_unlock(&db->nodes_lock);
    stats->index_limit_bytes = db->memory.limit;
    stats->open_ns = atomic_load_explicit(&db->memory.open_ns, memory_order_relaxed);
    stats->bytes_written = bc_io_count(&db->env.io->bytes_written) - db->bytes_written;
    stats->bytes_read = bc_io_count(&db->env.io->bytes_read) - db->bytes_read;
    stats->syncs = bc_io_count(&db->env.io->syncs) - db->syncs;
}

/* "/orders/2026"; NULL: no memory. */
static char *label_of(struct bitcask_partition *node)
{
    char *path, *label = NULL;

    if (node->id == BC_INODES_ID) return strdup("inodes");
    path = bc_node_path(node);
    if (path && asprintf(&label, "/%s", path) < 0) label = NULL;
    free(path);
    return label;
}

/* Puts it among the largest, if it is, or what it displaces into the rest. Takes label over. */
static void keep(struct survey *survey, const struct scope *scope)
{
    size_t least = 0;

    survey->largest[survey->count++] = *scope;
    if (survey->count <= BITCASK_METRICS_PARTITIONS) return;
    for (size_t i = 1; i < survey->count; i++)
        if (survey->largest[i].of.stats.data_bytes < survey->largest[least].of.stats.data_bytes) least = i;
    add_figures(&survey->rest.of, &survey->largest[least].of);
    survey->has_rest = true;
    free(survey->largest[least].label);
    survey->largest[least] = survey->largest[--survey->count];
}

static void gather(void *context, struct bitcask_partition *node, struct bc_partition *instance,
                   const struct bc_figures *known)
{
    struct survey *survey = context;
    struct scope scope = {.id = node->id};

    if (node->id == BC_INODES_ID ? !survey->below || survey->top->id != BC_ROOT_ID
                                 : node != survey->top && (!survey->below || !bc_node_is_below(node, survey->top)))
        return;
    scope.label = label_of(node);
    if (!scope.label) {
        survey->failed = true;
        return;
    }
    if (instance) {
        bc_ledger_measure(instance, &scope.of.stats);
        add_timings(scope.of.timings, &instance->timings);
    } else {
        bc_ledger_add_sizes(&scope.of.stats, &known->stats);
    }
    scope.of.stats.partitions_known = 1;
    bc_ledger_add_counters(&scope.of.stats, &known->stats);
    add_histograms(scope.of.timings, known->timings);
    add_figures(&survey->whole.of, &scope.of);
    keep(survey, &scope);
}

static bc_status gather_opened(void *context, struct bitcask_partition *node)
{
    struct bc_partition *instance;
    struct survey *survey = context;
    struct bc_figures known;
    bc_status status = bc_node_pin(node, &instance);

    if (status == BITCASK_NOT_FOUND) return status;
    if (status != BITCASK_OK) { /* the others are told all the same */
        if (survey->first == BITCASK_OK) {
            survey->first = status;
            snprintf(survey->detail, sizeof survey->detail, "%s", bc_detail());
        }
        return BITCASK_OK;
    }
    pthread_mutex_lock(&survey->db->nodes_lock);
    (void)bc_ledger_figures(node, &known);
    pthread_mutex_unlock(&survey->db->nodes_lock);
    gather(context, node, instance, &known);
    bc_node_unpin(node);
    return BITCASK_OK;
}

/* Two by one name, as a reader may know them, one being deleted by now: all of Prometheus' text would be refused. */
static void join_namesakes(struct survey *survey)
{
    for (size_t i = 0; i < survey->count; i++)
        for (size_t j = i + 1; j < survey->count; j++) {
            if (strcmp(survey->largest[i].label, survey->largest[j].label) != 0) continue;
            add_figures(&survey->largest[i].of, &survey->largest[j].of);
            free(survey->largest[j].label);
            survey->largest[j--] = survey->largest[--survey->count];
        }
}

/* ---- what never falls ---- */

static void raise_to(uint64_t *figure, uint64_t *floor)
{
    if (*figure < *floor) *figure = *floor;
    *floor = *figure;
}

static void raise_counters(struct bc_figures *of, struct bc_figures *floors)
{
    for (size_t i = 0; i < FIGURES; i++)
        if (figures[i].type == BITCASK_COUNTER)
            raise_to((uint64_t *)((char *)&of->stats + figures[i].member),
                     (uint64_t *)((char *)&floors->stats + figures[i].member));
    for (unsigned kind = 0; kind < BC_TIMED; kind++) {
        bitcask_histogram *timings = &of->timings[kind], *floor = &floors->timings[kind];

        timings->count = 0;
        for (unsigned i = 0; i < BITCASK_HISTOGRAM_BUCKETS; i++) {
            raise_to(&timings->counts[i], &floor->counts[i]);
            timings->count += timings->counts[i];
        }
        raise_to(&timings->sum_ns, &floor->sum_ns);
    }
}

/* ---- telling ---- */

typedef bool (*visitor)(void *context, const bitcask_metric *metric);

static bool tell_figure(const struct survey *survey, const struct figure *figure, const struct scope *scope,
                        visitor visit, void *context)
{
    bitcask_metric metric = {
        .name = scope->label ? figure->of_partition : figure->name,
        .help = figure->help,
        .type = figure->type,
        .nanoseconds = figure->nanoseconds,
        .partition = scope->label,
    };

    if (!metric.name || (figure->of_store && survey->top->id != BC_ROOT_ID)) return true;
    memcpy(&metric.value, (const char *)&scope->of.stats + figure->member, sizeof metric.value);
    return visit(context, &metric);
}

static bool tell_timing(unsigned kind, const struct scope *scope, visitor visit, void *context)
{
    const bitcask_metric metric = {
        .name = scope->label ? "bitcask_partition_operation_seconds" : "bitcask_operation_seconds",
        .help = "How long operations took; get and put are sampled.",
        .type = scope->label ? BITCASK_SUMMARY : BITCASK_HISTOGRAM,
        .nanoseconds = true,
        .partition = scope->label,
        .operation = operations[kind],
        .histogram = &scope->of.timings[kind],
    };

    return visit(context, &metric);
}

static bool tell_activity(const struct survey *survey, visitor visit, void *context)
{
    bitcask_activity activity;

    if (survey->top->id != BC_ROOT_ID) return true;
    bc_db_get_activity(survey->db, &activity);
    const bitcask_metric metrics[] = {
        {.name = "bitcask_scheduler_enabled",
         .help = "Whether merges run in the background.",
         .value = activity.scheduler},
        {.name = "bitcask_merge_limit_bytes_per_second",
         .help = "The most that merges write; 0: no limit.",
         .value = activity.merge_bytes_per_s},
        {.name = "bitcask_merge_running", .help = "Whether a merge runs now.", .value = activity.merge.running},
        {.name = "bitcask_merges_waiting",
         .help = "Merges that wait for the one that runs.",
         .value = activity.merges_waiting},
        {.name = "bitcask_merge_done_bytes",
         .help = "Of the merge that runs, what is done.",
         .value = activity.merge.running ? activity.merge.bytes_done : 0},
        {.name = "bitcask_merge_expected_bytes",
         .help = "Of the merge that runs, what is to be done.",
         .value = activity.merge.running ? activity.merge.bytes_total : 0},
        {.name = "bitcask_verify_running", .help = "Whether a verify runs now.", .value = activity.verify.running},
    };
    for (size_t i = 0; i < sizeof metrics / sizeof metrics[0]; i++) {
        bitcask_metric metric = metrics[i];

        metric.type = BITCASK_GAUGE;
        if (!visit(context, &metric)) return false;
    }
    return true;
}

/* The scopes in the order in which they are told: 0 the whole, then the largest, then the rest. NULL: behind the last.
 */
static const struct scope *scope_at(const struct survey *survey, size_t at)
{
    if (at == 0) return &survey->whole;
    if (at <= survey->count) return &survey->largest[at - 1];
    return at == survey->count + 1 && survey->has_rest ? &survey->rest : NULL;
}

static void tell_by_name(const struct survey *survey, visitor visit, void *context)
{
    const struct scope *scope;

    for (size_t i = 0; i < FIGURES; i++) {
        if (!tell_figure(survey, &figures[i], &survey->whole, visit, context)) return;
        for (size_t at = 1; (scope = scope_at(survey, at)) != NULL; at++)
            if (!tell_figure(survey, &figures[i], scope, visit, context)) return;
    }
    for (unsigned kind = 0; kind < BC_TIMED; kind++)
        if (!tell_timing(kind, &survey->whole, visit, context)) return;
    for (size_t at = 1; (scope = scope_at(survey, at)) != NULL; at++)
        for (unsigned kind = 0; kind < BC_TIMED; kind++)
            if (!tell_timing(kind, scope, visit, context)) return;
    (void)tell_activity(survey, visit, context);
}

static void tell_by_partition(const struct survey *survey, visitor visit, void *context)
{
    const struct scope *scope;

    for (size_t at = 0; (scope = scope_at(survey, at)) != NULL; at++) {
        for (size_t i = 0; i < FIGURES; i++)
            if (!tell_figure(survey, &figures[i], scope, visit, context)) return;
        for (unsigned kind = 0; kind < BC_TIMED; kind++)
            if (!tell_timing(kind, scope, visit, context)) return;
        if (at == 0 && !tell_activity(survey, visit, context)) return;
    }
}

/* Largest first; of the same size, by name: the same order each time. */
static int compare_scopes(const void *one, const void *other)
{
    const struct scope *a = one, *b = other;
    uint64_t a_bytes = a->of.stats.data_bytes, b_bytes = b->of.stats.data_bytes;

    if (a_bytes != b_bytes) return a_bytes > b_bytes ? -1 : 1;
    return strcmp(a->label, b->label);
}

bc_status bc_db_metrics(struct bitcask_partition *node, unsigned flags, visitor visit, void *context)
{
    char rest[] = "rest";
    struct survey survey = {.db = node->db, .top = node, .below = flags & BITCASK_BELOW, .rest = {.label = rest}};
    bool of_store = node->id == BC_ROOT_ID && survey.below;
    bc_status status;

    survey.largest = malloc((BITCASK_METRICS_PARTITIONS + 1) * sizeof *survey.largest);
    if (!survey.largest) return BITCASK_NO_MEMORY;
    /* First those that are forgotten: one that is in between is missed for now rather than counted twice. */
    if (of_store) gather_forgotten(&survey);
    if (flags & BITCASK_UNOPENED || !survey.below) {
        status = bc_nodes_walk(node, survey.below, gather_opened, &survey);
        if (status == BITCASK_OK && of_store) status = gather_opened(&survey, node->db->inodes);
    } else {
        struct bc_partition *instance; /* of this one all is known */

        status = bc_node_pin(node, &instance);
        if (status == BITCASK_OK) {
            bc_node_unpin(node);
            status = bc_nodes_survey(node->db, gather, &survey);
        }
    }
    if (status == BITCASK_OK && survey.failed) status = BITCASK_NO_MEMORY;
    if (status == BITCASK_OK) {
        if (node->id == BC_ROOT_ID) bc_db_store_stats(survey.db, &survey.whole.of.stats);
        if (of_store) {
            pthread_mutex_lock(&node->db->nodes_lock);
            raise_counters(&survey.whole.of, &node->db->told_whole);
            raise_counters(&survey.rest.of, &node->db->told_rest);
            pthread_mutex_unlock(&node->db->nodes_lock);
        }
        join_namesakes(&survey);
        qsort(survey.largest, survey.count, sizeof *survey.largest, compare_scopes);
        if (flags & BITCASK_BY_PARTITION)
            tell_by_partition(&survey, visit, context);
        else
            tell_by_name(&survey, visit, context);
    }
    for (size_t i = 0; i < survey.count; i++) free(survey.largest[i].label);
    free(survey.largest);
    return status == BITCASK_OK && survey.first != BITCASK_OK ? bc_fail(survey.first, "%s", survey.detail) : status;
}

/* ---- health ---- */

struct checkup {
    struct bitcask_partition *top;
    bitcask_health *health;
};

static void note(uint64_t *count, char path[256], struct bitcask_partition *node)
{
    char *label = *count == 0 ? label_of(node) : NULL;
    size_t size = label ? strlen(label) : 0;

    if (label) snprintf(path, 256, "%s", size > 255 ? label + size - 255 : label);
    free(label);
    ++*count;
}

/* One that is closed was not poisoned, or it would have stayed open. */
static void check_up(void *context, struct bitcask_partition *node, struct bc_partition *instance,
                     const struct bc_figures *known)
{
    const struct checkup *checkup = context;
    bool damaged = known->stats.damaged_regions > 0;

    if (node->id == BC_INODES_ID ? checkup->top->id != BC_ROOT_ID
                                 : node != checkup->top && !bc_node_is_below(node, checkup->top))
        return;
    if (!instance) {
        if (damaged) note(&checkup->health->damaged, checkup->health->damaged_path, node);
        return;
    }
    bc_fair_lock_soon(&instance->write_lock);
    damaged = instance->damaged_regions > 0;
    for (uint32_t i = 0; i < instance->slot_count; i++)
        damaged = damaged || (instance->slots[i].segment && instance->slots[i].damaged);
    bc_fair_unlock(&instance->write_lock);
    if (damaged) note(&checkup->health->damaged, checkup->health->damaged_path, node);
    if (atomic_load(&instance->poisoned)) note(&checkup->health->poisoned, checkup->health->poisoned_path, node);
}

bc_status bc_db_get_health(struct bitcask_partition *node, bitcask_health *health)
{
    struct checkup checkup = {.top = node, .health = health};
    bitcask_activity activity;

    *health = (bitcask_health){0};
    bc_db_get_activity(node->db, &activity);
    if (activity.merge.ended_ns > 0 && activity.merge.status != BITCASK_CANCELLED) {
        health->merge = activity.merge.status;
        memcpy(health->merge_detail, activity.merge.detail, sizeof health->merge_detail);
    }
    return bc_nodes_survey(node->db, check_up, &checkup);
}
