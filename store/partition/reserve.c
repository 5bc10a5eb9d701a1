/* reserve.c - see reserve.h.
 */
#include "partition/reserve.h"

#define BLOCK 4096u
#define STEP (64u * 1024u) /* it grows and shrinks by so much at least */

static void do_without(struct bc_reserve *reserve)
{
    reserve->useless = true;
    atomic_store(&reserve->lacking, false);
    bc_detail_clear();
}

/* Cuts the file to size: the blocks behind it are free then. */
static bool cut(struct bc_reserve *reserve, uint64_t size)
{
    if (bc_io_truncate(reserve->io, reserve->fd, BC_RESERVE_NAME, size) != BITCASK_OK) {
        do_without(reserve);
        return false;
    }
    reserve->size = size;
    reserve->used = true;
    return true;
}

/* What an earlier writer left: the size says how many blocks there are, unless the file was copied, with holes. */
static void find(struct bc_reserve *reserve)
{
    struct bc_file_info info;
    bc_status status = bc_io_open(reserve->io, reserve->dir_fd, BC_RESERVE_NAME, BC_OPEN_WRITE, &reserve->fd);

    if (status == BITCASK_NOT_FOUND) return;
    if (status == BITCASK_OK) status = bc_io_info(reserve->io, reserve->fd, BC_RESERVE_NAME, &info);
    if (status != BITCASK_OK || !info.is_regular) {
        do_without(reserve); /* it is somebody else's, and left alone */
        return;
    }
    reserve->size = info.size;
    if (info.size > BC_RESERVE_MOST && !cut(reserve, BC_RESERVE_MOST)) return;
    status = bc_io_allocate(reserve->io, reserve->fd, BC_RESERVE_NAME, 0, reserve->size);
    if (bc_is_full(status))
        (void)cut(reserve, 0);
    else if (status != BITCASK_OK)
        do_without(reserve);
}

bc_status bc_reserve_open(struct bc_reserve *reserve, struct bc_io *io, int dir_fd)
{
    *reserve = (struct bc_reserve){.io = io, .dir_fd = dir_fd, .fd = -1};
    if (pthread_mutex_init(&reserve->lock, NULL) != 0) return BITCASK_NO_MEMORY;
    find(reserve);
    bc_detail_clear();
    reserve->wanted = reserve->size > BC_RESERVE_LEAST ? reserve->size : BC_RESERVE_LEAST;
    reserve->given[BC_RESERVE_DELETION] = reserve->wanted - reserve->size;
    atomic_store(&reserve->lacking, !reserve->useless && reserve->size < reserve->wanted);
    return BITCASK_OK;
}

/* How large it is to be, by what came to the logs and went. Within a step it stays as it is. */
static void want(struct bc_reserve *reserve)
{
    int64_t grown = atomic_load(&reserve->grown) / BC_RESERVE_SHARE;
    int64_t wanted = (int64_t)reserve->wanted + grown;

    if (grown < STEP && grown > -(int64_t)STEP) return;
    atomic_fetch_sub(&reserve->grown, grown * (int64_t)BC_RESERVE_SHARE);
    if (wanted < (int64_t)BC_RESERVE_LEAST) wanted = BC_RESERVE_LEAST;
    if (wanted > (int64_t)BC_RESERVE_MOST) wanted = BC_RESERVE_MOST;
    reserve->wanted = (uint64_t)wanted / BLOCK * BLOCK;
}

/* Lays out what is missing, as much of it as there is room for. */
static bc_status fill(struct bc_reserve *reserve)
{
    uint64_t left = bc_io_free_bytes(reserve->io, reserve->dir_fd), part = reserve->wanted - reserve->size;
    bc_status status = BITCASK_OK;

    if (reserve->fd < 0)
        status =
            bc_io_open(reserve->io, reserve->dir_fd, BC_RESERVE_NAME, BC_OPEN_WRITE | BC_OPEN_CREATE, &reserve->fd);
    if (part > left / BLOCK * BLOCK) part = left / BLOCK * BLOCK;
    while (status == BITCASK_OK && reserve->size < reserve->wanted) {
        if (part > reserve->wanted - reserve->size) part = reserve->wanted - reserve->size;
        if (part == 0) return bc_fail(BITCASK_NO_SPACE, "the disk is full; free some space on the disk");
        status = bc_io_allocate(reserve->io, reserve->fd, BC_RESERVE_NAME, reserve->size, part);
        if (status == BITCASK_OK) {
            /* As long as it has blocks, so that whoever opens it next knows. */
            if (!cut(reserve, reserve->size + part)) return BITCASK_OK;
        } else if (bc_is_full(status) && part >= 2 * BLOCK) {
            part = part / 2 / BLOCK * BLOCK;
            status = BITCASK_OK;
        }
    }
    if (bc_is_full(status)) {
        /* A failed try may have laid out some of it, behind the end. */
        struct bc_failure failure = {0};
        bc_failure_note(&failure, status);
        if (reserve->fd >= 0 && !cut(reserve, reserve->size)) return BITCASK_OK;
        return bc_failure_end(&failure);
    }
    if (status != BITCASK_OK) do_without(reserve);
    return BITCASK_OK;
}

/* What came back is given up no more: merges have it first, which bring back what deletions took. */
static void settle(struct bc_reserve *reserve)
{
    static const enum bc_reserve_use order[BC_RESERVE_USES] = {BC_RESERVE_MERGE, BC_RESERVE_DELETION};
    uint64_t missing = reserve->wanted > reserve->size ? reserve->wanted - reserve->size : 0;
    uint64_t given = reserve->given[BC_RESERVE_DELETION] + reserve->given[BC_RESERVE_MERGE];

    for (size_t i = 0; i < BC_RESERVE_USES && given > missing; i++) {
        uint64_t *share = &reserve->given[order[i]], back = given - missing;

        if (back > *share) back = *share;
        *share -= back;
        given -= back;
    }
}

static bc_status make_whole(struct bc_reserve *reserve)
{
    bc_status status = BITCASK_OK;

    if (reserve->useless) return BITCASK_OK;
    if (reserve->lent) return bc_fail(BITCASK_NO_SPACE, "the disk is full, and being merged; free some space on it");
    want(reserve);
    if (reserve->size < reserve->wanted)
        status = fill(reserve);
    else if (reserve->size > reserve->wanted)
        (void)cut(reserve, reserve->wanted);
    settle(reserve);
    atomic_store(&reserve->lacking, status != BITCASK_OK);
    return status;
}

bc_status bc_reserve_keep(struct bc_reserve *reserve, int64_t grown)
{
    int64_t sum;
    bc_status status;

    if (!reserve) return BITCASK_OK;
    sum = atomic_fetch_add(&reserve->grown, grown) + grown;
    if (!atomic_load(&reserve->lacking) && sum / BC_RESERVE_SHARE < STEP && sum / BC_RESERVE_SHARE > -(int64_t)STEP)
        return BITCASK_OK;
    pthread_mutex_lock(&reserve->lock);
    status = make_whole(reserve);
    pthread_mutex_unlock(&reserve->lock);
    return status;
}

/* Bytes that are left for a use. lock held. */
static uint64_t left_for(const struct bc_reserve *reserve, enum bc_reserve_use use)
{
    uint64_t half = reserve->wanted / 2, left = half > reserve->given[use] ? half - reserve->given[use] : 0;

    if (reserve->useless) return 0;
    return left < reserve->size ? left : reserve->size;
}

bool bc_reserve_suffices(struct bc_reserve *reserve, enum bc_reserve_use use, uint64_t bytes)
{
    uint64_t left, room;

    if (!reserve) return false;
    room = bc_io_free_bytes(reserve->io, reserve->dir_fd);
    pthread_mutex_lock(&reserve->lock);
    left = left_for(reserve, use);
    pthread_mutex_unlock(&reserve->lock);
    return left > 0 && (room >= bytes || left >= bytes - room);
}

bool bc_reserve_give(struct bc_reserve *reserve, enum bc_reserve_use use, uint64_t bytes)
{
    uint64_t left;
    bool given = false;
    struct bc_failure kept = {0};

    if (!reserve) return false;
    bc_failure_note(&kept, BITCASK_NO_SPACE); /* of the caller, if it has one to tell */
    pthread_mutex_lock(&reserve->lock);
    left = left_for(reserve, use);
    bytes = (bytes + BLOCK - 1) / BLOCK * BLOCK;
    if (bytes > left) bytes = left;
    if (bytes > 0) given = cut(reserve, reserve->size - bytes);
    if (given) {
        reserve->given[use] += bytes;
        atomic_store(&reserve->lacking, true);
    }
    pthread_mutex_unlock(&reserve->lock);
    (void)bc_failure_end(&kept);
    return given;
}

bool bc_reserve_lend(struct bc_reserve *reserve)
{
    bool given = bc_reserve_give(reserve, BC_RESERVE_MERGE, BC_RESERVE_MOST);

    if (!given) return false;
    pthread_mutex_lock(&reserve->lock);
    reserve->lent = true;
    pthread_mutex_unlock(&reserve->lock);
    return true;
}

void bc_reserve_note(struct bc_reserve *reserve, int64_t grown)
{
    if (reserve) atomic_fetch_add(&reserve->grown, grown);
}

void bc_reserve_refill(struct bc_reserve *reserve, bool merged)
{
    struct bc_failure kept = {0};

    if (!reserve) return;
    bc_failure_note(&kept, BITCASK_NO_SPACE); /* of the caller, if it has one to tell */
    pthread_mutex_lock(&reserve->lock);
    if (merged) reserve->lent = false;
    if (reserve->fd >= 0) (void)make_whole(reserve);
    pthread_mutex_unlock(&reserve->lock);
    (void)bc_failure_end(&kept);
}

void bc_reserve_close(struct bc_reserve *reserve)
{
    if (!reserve->io) return;
    if (reserve->used) bc_reserve_refill(reserve, false);
    (void)bc_io_close(reserve->io, &reserve->fd);
    pthread_mutex_destroy(&reserve->lock);
    reserve->io = NULL;
}
