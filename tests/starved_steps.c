/* starved_steps.c - the calls that the scripts of starved.h are made of: each is done, and noted in the model if it was
 * acknowledged. What the header says is still to be had behind a failure, a batch or a writer, is asked for again.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "starve.h"
#include "starved.h"
#include "starved_parts.h"

char starved_context[256];

static bool fed; /* nothing is short now, whatever failed before */

/* ---- what is allowed to fail ---- */

/* Compares with memory for everything. */
static void compare_fed(struct starved *store)
{
    bool was = fed;
    fed = true;
    fixture_own++;
    starved_compare(store);
    fixture_own--;
    fed = was;
}

bool starved_expect(struct starved *store, bitcask_status wanted, bitcask_status status, const char *what)
{
    if (status == wanted) return true;
    if (status == BITCASK_NO_MEMORY && starve_failed() && !fed) {
        if (store->looks && !store->has_looked && store->db) {
            store->has_looked = true;
            compare_fed(store);
        }
        return false;
    }
    fprintf(stderr, "%s: %s: %s (%s), not %s\n", starved_context, what, bitcask_status_text(status),
            bitcask_error_detail(), bitcask_status_text(wanted));
    store->failed = true;
    return false;
}

bool starved_ok(struct starved *store, bitcask_status status, const char *what)
{
    return starved_expect(store, BITCASK_OK, status, what);
}

/* ---- the store ---- */

bool starved_open(struct starved *store)
{
    if (!starved_ok(store, bc_db_open(store->io, store->path, &store->options, &store->db), "open")) return false;
    store->db->inline_max = STARVED_INLINE_MAX;
    store->db->extent_shift = 12;
    return true;
}

void starved_close(struct starved *store)
{
    if (store->db) (void)starved_ok(store, bitcask_close(&store->db), "close");
}

bitcask_partition *starved_enter(struct starved *store, int partition)
{
    bitcask_partition *at = NULL;
    char path[256];
    starved_path(store, partition, path);
    if (!store->db || !starved_ok(store, bitcask_partition_open(store->db, path, &at), "partition_open")) return NULL;
    return at;
}

void starved_sync(struct starved *store)
{
    static struct starved after;
    if (!store->db || !starved_ok(store, bitcask_sync(store->db), "sync") || !store->sim) return;
    fixture_own++;
    after = *store;
    after.sim = bc_sim_power_cut(store->sim, BC_SIM_CUT_SYNCED, 0);
    after.io = bc_sim_io(after.sim);
    after.db = NULL;
    bool was = fed;
    fed = true;
    if (starved_open(&after)) starved_compare(&after);
    starved_close(&after);
    fed = was;
    bc_sim_close(&after.sim);
    store->failed |= after.failed;
    fixture_own--;
}

/* While memory is short a hint may be that of another file: it is to be made anew. One of this file is right. */
static bool tell(void *context, const bitcask_finding *finding)
{
    struct starved *store = context;
    bool old = finding->kind == BITCASK_FOUND_HINT && starve_failed() && !strstr(finding->text, "no such record");
    if (finding->kind == BITCASK_FOUND_NOTE || old) return true;
    store->failed = true;
    fprintf(stderr, "%s: %s/%s: %s\n", starved_context, finding->path, finding->file, finding->text);
    return true;
}

void starved_verify(struct starved *store)
{
    const bitcask_verify_options options = {.flags = BITCASK_BELOW, .found = tell, .context = store};
    bitcask_verify_result result = {0};
    bitcask_partition *root = starved_enter(store, STARVED_ROOT);
    if (!root) return;
    (void)starved_ok(store, bitcask_verify(root, &options, &result), "verify");
    bitcask_partition_close(&root);
}

/* ---- partitions ---- */

int starved_create(struct starved *store, int partition, const char *name)
{
    const bitcask_attrs attrs = {.present = BITCASK_ATTR_MODE, .mode = 040700 | (++store->seed & 077)};
    bitcask_partition *at = starved_enter(store, partition), *made = NULL;
    int i = STARVED_NONE;
    if (!at) return i;
    if (starved_ok(store, bitcask_partition_create(at, name, strlen(name), &attrs, 0, store->seed % 2 ? &made : NULL),
                   "partition_create")) {
        i = starved_add_item(store, partition, name);
        store->items[i].is_partition = true;
        store->items[i].mode = attrs.mode;
    }
    bitcask_partition_close(&made);
    bitcask_partition_close(&at);
    return i;
}

void starved_drop(struct starved *store, int partition, const char *name)
{
    bitcask_partition *at = starved_enter(store, partition);
    if (!at) return;
    int dropped = starved_at(store, partition, name);
    bitcask_status wanted = dropped == STARVED_NONE ? BITCASK_NOT_FOUND : BITCASK_OK;
    for (size_t i = 0; i < STARVED_ITEMS; i++) /* a deletion may have failed before */
        if (dropped >= 0 && store->items[i].used && store->items[i].parent == dropped) wanted = BITCASK_NOT_EMPTY;
    if (starved_expect(store, wanted, bitcask_partition_drop(at, name, strlen(name), 0), "partition_drop") &&
        wanted == BITCASK_OK)
        starved_remove_item(store, starved_at(store, partition, name));
    bitcask_partition_close(&at);
}

/* ---- keys ---- */

void starved_put(struct starved *store, int partition, const char *name, size_t size, unsigned flags)
{
    static uint8_t bytes[STARVED_VALUE_MAX];
    unsigned seed = ++store->seed;
    const bitcask_attrs attrs = {.present = BITCASK_ATTR_MODE | (seed % 3 ? 0u : (unsigned)BITCASK_ATTR_XATTRS),
                                 .mode = 0100600 | (seed & 077),
                                 .xattrs = "\1\6\3user.xval",
                                 .xattrs_size = 12};
    const bitcask_write_options options = {.flags = flags, .attrs = &attrs};
    bool taken = flags & BITCASK_IF_ABSENT && starved_at(store, partition, name) != STARVED_NONE;
    bitcask_partition *at = starved_enter(store, partition);
    uint64_t version;
    if (!at) return;
    starved_pattern(bytes, size, seed);
    bitcask_status status = bitcask_put(at, name, strlen(name), bytes, size, &options, &version);
    if (starved_expect(store, taken ? BITCASK_EXISTS : BITCASK_OK, status, "put") && !taken) {
        struct starved_content *content = starved_content_of(store, partition, name);
        content->size = size;
        content->mode = attrs.mode;
        memcpy(content->bytes, bytes, size);
        content->version = version;
    }
    bitcask_partition_close(&at);
}

void starved_delete(struct starved *store, int partition, const char *name, unsigned flags)
{
    const bitcask_write_options options = {.flags = flags};
    bitcask_partition *at = starved_enter(store, partition);
    if (!at) return;
    bitcask_status wanted = starved_at(store, partition, name) == STARVED_NONE ? BITCASK_NOT_FOUND : BITCASK_OK;
    if (starved_expect(store, wanted, bitcask_delete(at, name, strlen(name), &options), "delete"))
        starved_remove_item(store, starved_at(store, partition, name));
    bitcask_partition_close(&at);
}

void starved_set_mode(struct starved *store, int partition, const char *name, uint32_t mode, unsigned flags)
{
    const bitcask_attrs attrs = {.present = BITCASK_ATTR_MODE, .mode = mode};
    bitcask_partition *at = starved_enter(store, partition);
    int i = starved_at(store, partition, name);
    uint64_t version;
    if (!at) return;
    bitcask_status status = bitcask_set_attrs(at, name, strlen(name), &attrs, flags, &version);
    if (starved_expect(store, i == STARVED_NONE ? BITCASK_NOT_FOUND : BITCASK_OK, status, "set_attrs") && i >= 0) {
        struct starved_item *item = &store->items[i];
        *(item->is_partition ? &item->mode : &store->contents[item->content].mode) = mode;
        *(item->is_partition ? &item->version : &store->contents[item->content].version) = version;
    }
    bitcask_partition_close(&at);
}

/* ---- batches ---- */

#define OPS_MAX 6u

static uint8_t op_bytes[OPS_MAX][STARVED_VALUE_MAX];

static bool add_op(struct starved *store, bitcask_partition *at, bitcask_batch *batch, const struct starved_op *op,
                   uint8_t *bytes, const bitcask_attrs *attrs, bitcask_writer **writer)
{
    size_t name_size = strlen(op->name);
    if (op->size < 0) return starved_ok(store, bitcask_batch_delete(batch, op->name, name_size), "batch_delete");
    if (!op->written)
        return starved_ok(store, bitcask_batch_put(batch, op->name, name_size, bytes, (size_t)op->size, attrs),
                          "batch_put");
    return starved_ok(store, bitcask_writer_open(at, NULL, writer), "writer_open") &&
           starved_ok(store, bitcask_writer_write(*writer, 0, bytes, (size_t)op->size), "writer_write") &&
           starved_ok(store, bitcask_batch_put_writer(batch, op->name, name_size, *writer, attrs), "batch_put_writer");
}

static void note_ops(struct starved *store, int partition, const struct starved_op *ops, size_t count,
                     const bitcask_attrs *attrs, const uint64_t *versions)
{
    for (size_t i = 0; i < count; i++) {
        if (ops[i].size < 0) {
            starved_remove_item(store, starved_at(store, partition, ops[i].name));
            continue;
        }
        struct starved_content *content = starved_content_of(store, partition, ops[i].name);
        content->size = (size_t)ops[i].size;
        content->mode = attrs->mode;
        memcpy(content->bytes, op_bytes[i], content->size);
        content->version = versions[i];
    }
}

void starved_batch(struct starved *store, int partition, const struct starved_op *ops, size_t count, unsigned flags)
{
    const bitcask_attrs attrs = {.present = BITCASK_ATTR_MODE, .mode = 0100600 | (++store->seed & 077)};
    bitcask_partition *at = starved_enter(store, partition);
    bitcask_batch *batch = NULL;
    bitcask_writer *writers[OPS_MAX] = {NULL};
    uint64_t versions[OPS_MAX];
    bool good = at && starved_ok(store, bitcask_batch_open(at, &batch), "batch_open");
    for (size_t i = 0; i < count && good; i++) {
        if (ops[i].size > 0) starved_pattern(op_bytes[i], (size_t)ops[i].size, ++store->seed);
        good = add_op(store, at, batch, &ops[i], op_bytes[i], &attrs, &writers[i]);
    }
    /* Behind a failure it holds what it held. */
    for (int tries = 0; good && tries < 2; tries++) {
        if (!starved_ok(store, bitcask_batch_commit(batch, flags, 0, versions), "batch_commit")) continue;
        note_ops(store, partition, ops, count, &attrs, versions);
        break;
    }
    bitcask_batch_close(&batch);
    for (size_t i = 0; i < count; i++) bitcask_writer_close(&writers[i]);
    bitcask_partition_close(&at);
}

/* ---- writers ---- */

struct writing {
    struct starved *store;
    bitcask_partition *at;
    int partition;
    const char *name;
    bitcask_writer *writer;
    struct starved_content now; /* what the writer holds */
};

static void resize_content(struct starved_content *content, size_t size)
{
    if (size > content->size) memset(content->bytes + content->size, 0, size - content->size);
    content->size = size;
}

static bitcask_status do_piece(struct writing *writing, const struct starved_piece *piece, const uint8_t *bytes)
{
    const bitcask_attrs attrs = {.present = BITCASK_ATTR_MODE, .mode = writing->now.mode};
    const bitcask_write_options options = {.attrs = &attrs};
    switch (piece->what) {
    case STARVED_WRITE: return bitcask_writer_write(writing->writer, piece->offset, bytes, piece->size);
    case STARVED_CUT: return bitcask_writer_truncate(writing->writer, piece->size);
    case STARVED_PUNCH: return bitcask_writer_punch(writing->writer, piece->offset, piece->size);
    default:
        return bitcask_writer_commit(writing->writer, writing->at, writing->name, strlen(writing->name), &options,
                                     &writing->now.version);
    }
}

/* In the writer's own content; a commit in the model's. */
static void note_piece(struct writing *writing, const struct starved_piece *piece, const uint8_t *bytes)
{
    struct starved_content *now = &writing->now, *content;
    size_t end = piece->offset + piece->size;
    switch (piece->what) {
    case STARVED_WRITE:
        if (end > now->size) resize_content(now, end);
        memcpy(now->bytes + piece->offset, bytes, piece->size);
        break;
    case STARVED_CUT: resize_content(now, piece->size); break;
    case STARVED_PUNCH:
        if (end > now->size) end = now->size;
        if (end > piece->offset) memset(now->bytes + piece->offset, 0, end - piece->offset);
        break;
    default:
        content = starved_content_of(writing->store, writing->partition, writing->name);
        now->names = content->names;
        *content = *now;
    }
}

/* What the writer reads and says of itself. */
static void check_writer(struct writing *writing)
{
    static uint8_t bytes[STARVED_VALUE_MAX];
    struct starved *store = writing->store;
    uint64_t found;
    size_t got = 0;
    bitcask_status status = bitcask_writer_read(writing->writer, 0, bytes, sizeof bytes, &got);
    if (starved_ok(store, status, "writer_read") &&
        (got != writing->now.size || memcmp(bytes, writing->now.bytes, got) != 0 ||
         bitcask_writer_size(writing->writer) != got)) {
        fprintf(stderr, "%s: a writer holds something else\n", starved_context);
        store->failed = true;
    }
    status = bitcask_writer_seek(writing->writer, 0, true, &found);
    if (writing->now.size > 0) (void)starved_ok(store, status, "writer_seek");
}

static bool open_writer(struct writing *writing)
{
    struct starved *store = writing->store;
    bitcask_value *base = NULL;
    int i = starved_at(store, writing->partition, writing->name);
    if (i != STARVED_NONE) {
        if (!starved_ok(store, bitcask_pin(writing->at, writing->name, strlen(writing->name), &base), "pin"))
            return false;
        writing->now = store->contents[store->items[i].content];
    }
    bool good = starved_ok(store, bitcask_writer_open(writing->at, &base, &writing->writer), "writer_open");
    bitcask_value_unpin(&base);
    writing->now.mode = 0100600 | (++store->seed & 077);
    return good;
}

void starved_write(struct starved *store, int partition, const char *name, const struct starved_piece *pieces,
                   size_t count)
{
    static uint8_t bytes[STARVED_VALUE_MAX];
    static struct writing writing;
    writing =
        (struct writing){.store = store, .at = starved_enter(store, partition), .partition = partition, .name = name};
    bool good = writing.at && open_writer(&writing);
    for (size_t i = 0; i < count && good; i++) {
        if (pieces[i].what == STARVED_WRITE) starved_pattern(bytes, pieces[i].size, ++store->seed);
        good = starved_ok(store, do_piece(&writing, &pieces[i], bytes), "writer");
        /* Behind a failure its content is what it was. */
        if (!good) check_writer(&writing);
        if (!good) good = starved_ok(store, do_piece(&writing, &pieces[i], bytes), "writer, once more");
        if (good) note_piece(&writing, &pieces[i], bytes);
    }
    if (good) check_writer(&writing);
    bitcask_writer_close(&writing.writer);
    bitcask_partition_close(&writing.at);
}

/* ---- several names ---- */

static void forget_version(struct starved *store, int i)
{
    if (store->items[i].is_partition)
        store->items[i].version = 0;
    else
        store->contents[store->items[i].content].version = 0;
}

static void place_item(struct starved *store, int i, int partition, const char *name)
{
    store->items[i].parent = partition;
    snprintf(store->items[i].name, sizeof store->items[i].name, "%s", name);
    forget_version(store, i);
}

static void note_move(struct starved *store, const struct starved_move *move)
{
    int from = starved_at(store, move->from, move->from_name);
    int to = move->flags & BITCASK_REMOVE ? STARVED_NONE : starved_at(store, move->to, move->to_name);
    if (from == STARVED_NONE) exit(99);
    forget_version(store, from);
    if (move->flags & BITCASK_REMOVE) {
        starved_remove_item(store, from);
    } else if (move->flags & BITCASK_LINK) {
        to = starved_add_item(store, move->to, move->to_name);
        store->items[to].content = store->items[from].content;
        store->contents[store->items[to].content].names++;
    } else if (move->flags & BITCASK_EXCHANGE) {
        place_item(store, to, move->from, move->from_name);
        place_item(store, from, move->to, move->to_name);
    } else if (to == STARVED_NONE || store->items[from].is_partition ||
               store->items[to].content != store->items[from].content) {
        starved_remove_item(store, to);
        place_item(store, from, move->to, move->to_name);
    }
}

#define MOVES_MAX 6u

void starved_moves(struct starved *store, const struct starved_move *moves, size_t count)
{
    bitcask_move_item items[MOVES_MAX] = {{.from = NULL}};
    /* What an earlier failure left out cannot be moved. */
    bool good = starved_at(store, moves[0].from, moves[0].from_name) != STARVED_NONE;
    size_t done = 0;
    for (size_t i = 0; i < count && good; i++) {
        items[i].from = starved_enter(store, moves[i].from);
        items[i].from_key = moves[i].from_name;
        items[i].from_key_size = strlen(moves[i].from_name);
        items[i].flags = moves[i].flags;
        good = items[i].from != NULL;
        if (!good || moves[i].flags & BITCASK_REMOVE) continue;
        items[i].to = starved_enter(store, moves[i].to);
        items[i].to_key = moves[i].to_name;
        items[i].to_key_size = strlen(moves[i].to_name);
        good = items[i].to != NULL;
    }
    if (good) {
        bitcask_status status = bitcask_move(store->db, items, count, &done);
        for (size_t i = 0; i < done; i++) note_move(store, &moves[i]);
        if (status == BITCASK_OK && done != count) store->failed = true;
        (void)starved_ok(store, status, "move");
    }
    for (size_t i = 0; i < count; i++) {
        bitcask_partition_close(&items[i].from);
        bitcask_partition_close(&items[i].to);
    }
}

void starved_link(struct starved *store, const struct starved_move *move)
{
    bitcask_partition *from = starved_enter(store, move->from), *to = from ? starved_enter(store, move->to) : NULL;
    if (to && starved_ok(store,
                         bitcask_link(from, move->from_name, strlen(move->from_name), to, move->to_name,
                                      strlen(move->to_name), 0),
                         "link")) {
        struct starved_move made = *move;
        made.flags = BITCASK_LINK;
        note_move(store, &made);
    }
    bitcask_partition_close(&from);
    bitcask_partition_close(&to);
}
