/* test_base.c - statuses and their texts, the detail line, byte order, the growing buffer, the CRC. */
#include "unit.h"

#include <errno.h>
#include <pthread.h>
#include <sys/mman.h>

#include "base/bytes.h"
#include "base/crc.h"
#include "base/fair_lock.h"
#include "base/status.h"

static void every_status_has_a_text_of_its_own(void)
{
    for (int a = BITCASK_OK; a <= BITCASK_UNSUPPORTED; a++) {
        const char *text = bc_status_text((bc_status)a);
        CU_ASSERT_PTR_NOT_NULL_FATAL(text);
        CU_ASSERT(strlen(text) > 0);
        for (int b = BITCASK_OK; b < a; b++) CU_ASSERT(strcmp(text, bc_status_text((bc_status)b)) != 0);
    }
    CU_ASSERT_STRING_EQUAL(bc_status_text((bc_status)1000), "unknown status");
}

static void every_failure_has_an_errno(void)
{
    CU_ASSERT_EQUAL(bc_status_errno(BITCASK_OK), 0);
    for (int s = BITCASK_OK + 1; s <= BITCASK_UNSUPPORTED; s++) CU_ASSERT(bc_status_errno((bc_status)s) > 0);
    CU_ASSERT_EQUAL(bc_status_errno(BITCASK_CORRUPT), EIO);
    CU_ASSERT_EQUAL(bc_status_errno(BITCASK_POISONED), EIO);
    CU_ASSERT_EQUAL(bc_status_errno((bc_status)1000), EIO);
}

static void errno_survives_the_way_there_and_back(void)
{
    static const int kept[] = {0,     ENOENT, EEXIST, ENOTEMPTY, EISDIR, ENOTDIR, ENAMETOOLONG, EFBIG,     EROFS,
                               EBUSY, EACCES, ENOSPC, EDQUOT,    ENFILE, EIO,     ENOMEM,       EOPNOTSUPP};
    for (size_t i = 0; i < sizeof kept / sizeof kept[0]; i++)
        CU_ASSERT_EQUAL(bc_status_errno(bc_status_from_errno(kept[i])), kept[i]);
    CU_ASSERT_EQUAL(bc_status_from_errno(EPERM), BITCASK_DENIED);
    CU_ASSERT_EQUAL(bc_status_from_errno(EMFILE), BITCASK_TOO_MANY_FILES);
    CU_ASSERT_EQUAL(bc_status_from_errno(ELOOP), BITCASK_UNSAFE);
    CU_ASSERT_EQUAL(bc_status_from_errno(EINVAL), BITCASK_IO);
    CU_ASSERT_EQUAL(bc_status_from_errno(99999), BITCASK_IO);
}

static void detail_keeps_to_printable_ascii(void)
{
    CU_ASSERT_EQUAL(bc_fail(BITCASK_CORRUPT, "%s: %d", "a\nb\x1b[31m\x7f\xc3\xa9~ ", 7), BITCASK_CORRUPT);
    CU_ASSERT_STRING_EQUAL(bc_detail(), "a\\x0Ab\\x1B[31m\\x7F\\xC3\\xA9~ : 7");
    /* As an argument of itself. */
    bc_fail(BITCASK_IO, "open");
    bc_fail(BITCASK_IO, "cannot %s", bc_detail());
    CU_ASSERT_STRING_EQUAL(bc_detail(), "cannot open");
    bc_detail_clear();
    CU_ASSERT_STRING_EQUAL(bc_detail(), "");
}

static void long_detail_is_cut_at_511_bytes(void)
{
    char text[2000];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    bc_fail(BITCASK_IO, "%s", text);
    CU_ASSERT_EQUAL(strlen(bc_detail()), 511);
    memset(text, '\n', sizeof text - 1);
    bc_fail(BITCASK_IO, "%s", text);
    /* 127 whole escapes of 4 bytes: none is cut in two. */
    CU_ASSERT_EQUAL(strlen(bc_detail()), 508);
    CU_ASSERT_STRING_EQUAL(bc_detail() + 504, "\\x0A");
}

static void *fail_elsewhere(void *result)
{
    *(bool *)result = bc_detail()[0] == '\0';
    bc_fail(BITCASK_IO, "theirs");
    return NULL;
}

static void detail_belongs_to_its_thread(void)
{
    pthread_t thread;
    bool empty_there = false;
    bc_fail(BITCASK_IO, "ours");
    CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, fail_elsewhere, &empty_there), 0);
    pthread_join(thread, NULL);
    CU_ASSERT(empty_there);
    CU_ASSERT_STRING_EQUAL(bc_detail(), "ours");
}

static void numbers_are_little_endian(void)
{
    uint8_t bytes[8];
    bc_put_u64(bytes, 0x0102030405060708u);
    CU_ASSERT(memcmp(bytes, "\x08\x07\x06\x05\x04\x03\x02\x01", 8) == 0);
    CU_ASSERT_EQUAL(bc_get_u64(bytes), 0x0102030405060708u);
    bc_put_u32(bytes, 0xfffefdfcu);
    CU_ASSERT(memcmp(bytes, "\xfc\xfd\xfe\xff", 4) == 0);
    CU_ASSERT_EQUAL(bc_get_u32(bytes), 0xfffefdfcu);
    bc_put_u16(bytes, 0xfffe);
    CU_ASSERT(memcmp(bytes, "\xfe\xff", 2) == 0);
    CU_ASSERT_EQUAL(bc_get_u16(bytes), 0xfffe);
}

static void buffer_grows_and_keeps_its_bytes(void)
{
    struct bc_buffer buffer = {0};
    for (unsigned i = 0; i < 5000; i++) {
        uint8_t piece[3] = {(uint8_t)i, (uint8_t)(i >> 8), 7};
        CU_ASSERT_EQUAL_FATAL(bc_buffer_append(&buffer, piece, sizeof piece), BITCASK_OK);
    }
    CU_ASSERT_EQUAL(buffer.size, 15000);
    bool same = true;
    for (unsigned i = 0; i < 5000; i++) same = same && bc_get_u16(buffer.data + 3 * (size_t)i) == i;
    CU_ASSERT(same);

    size_t room = buffer.room;
    bc_buffer_reset(&buffer);
    CU_ASSERT_EQUAL(buffer.size, 0);
    CU_ASSERT_EQUAL(buffer.room, room);
    CU_ASSERT_EQUAL(bc_buffer_append(&buffer, NULL, 0), BITCASK_OK);
    CU_ASSERT_EQUAL(buffer.size, 0);
    bc_buffer_release(&buffer);
    CU_ASSERT_PTR_NULL(buffer.data);
    CU_ASSERT_PTR_NOT_NULL(bc_buffer_extend(&buffer, 0));
    bc_buffer_release(&buffer);
}

static void buffer_refuses_a_size_that_overflows(void)
{
    struct bc_buffer buffer = {0};
    CU_ASSERT_EQUAL(bc_buffer_append(&buffer, "abc", 3), BITCASK_OK);
    CU_ASSERT_PTR_NULL(bc_buffer_extend(&buffer, SIZE_MAX - 1));
    CU_ASSERT_EQUAL(bc_buffer_append(&buffer, "abc", SIZE_MAX), BITCASK_NO_MEMORY);
    CU_ASSERT_EQUAL(buffer.size, 3);
    CU_ASSERT(memcmp(buffer.data, "abc", 3) == 0);
    bc_buffer_release(&buffer);
}

/* The vectors of RFC 3720, B.4. */
static void crc_of_known_vectors(void)
{
    uint8_t bytes[32];
    CU_ASSERT_EQUAL(bc_crc32c(0, "123456789", 9), 0xe3069283u);
    CU_ASSERT_EQUAL(bc_crc32c(0, NULL, 0), 0);
    memset(bytes, 0, sizeof bytes);
    CU_ASSERT_EQUAL(bc_crc32c(0, bytes, 32), 0x8a9136aau);
    memset(bytes, 0xff, sizeof bytes);
    CU_ASSERT_EQUAL(bc_crc32c(0, bytes, 32), 0x62a8ab43u);
    for (unsigned i = 0; i < 32; i++) bytes[i] = (uint8_t)i;
    CU_ASSERT_EQUAL(bc_crc32c(0, bytes, 32), 0x46dd794eu);
    for (unsigned i = 0; i < 32; i++) bytes[i] = (uint8_t)(31 - i);
    CU_ASSERT_EQUAL(bc_crc32c(0, bytes, 32), 0x113fdb5cu);
}

static void crc_goes_on_from_any_cut(void)
{
    uint64_t seed = unit_seed("crc");
    uint8_t bytes[700];
    unit_random_bytes(&seed, bytes, sizeof bytes);
    uint32_t whole = bc_crc32c(0, bytes, sizeof bytes);
    for (size_t cut = 0; cut <= sizeof bytes; cut++) {
        uint32_t first = bc_crc32c(0, bytes, cut);
        CU_ASSERT_EQUAL(bc_crc32c(first, bytes + cut, sizeof bytes - cut), whole);
    }
}

/* ISA-L's length is an int: above 2 GiB one call would see a negative one, above 4 GiB a cut one. The zeros are
 * mapped and never written, so that they take address space and next to no memory. */
static void crc_of_more_than_4_gib(void)
{
    size_t size = ((size_t)1 << 32) + 3;
    uint8_t *zeros = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    CU_ASSERT_NOT_EQUAL_FATAL(zeros, MAP_FAILED);
    madvise(zeros, size, MADV_HUGEPAGE); /* for speed only */
    zeros[size - 1] = 'x';
    uint32_t in_pieces = 0;
    for (size_t done = 0; done < size;) {
        size_t step = size - done < 1000000007 ? size - done : 1000000007;
        in_pieces = bc_crc32c(in_pieces, zeros + done, step);
        done += step;
    }
    CU_ASSERT_EQUAL(bc_crc32c(0, zeros, size), in_pieces);
    CU_ASSERT_EQUAL(munmap(zeros, size), 0);
}

static struct bc_fair_lock fair;
static bool guest_had_it; /* guarded by fair */

static void *come_seldom(void *unused)
{
    (void)unused;
    bc_fair_lock_soon(&fair);
    guest_had_it = true;
    bc_fair_unlock(&fair);
    return NULL;
}

/* With a plain mutex the one who unlocks is the first to lock again, nearly always. */
static void who_waits_for_a_fair_lock_has_it_before_the_next_of_who_comes_often(void)
{
    unsigned overtaken = 0;

    CU_ASSERT_EQUAL_FATAL(bc_fair_lock_init(&fair), 0);
    for (unsigned round = 0; round < 200; round++) {
        pthread_t guest;
        bc_fair_lock(&fair);
        guest_had_it = false;
        CU_ASSERT_EQUAL_FATAL(pthread_create(&guest, NULL, come_seldom, NULL), 0);
        while (pthread_mutex_trylock(&fair.door) == 0) pthread_mutex_unlock(&fair.door); /* until it is at the door */
        bc_fair_unlock(&fair);
        bc_fair_lock(&fair);
        overtaken += !guest_had_it;
        bc_fair_unlock(&fair);
        pthread_join(guest, NULL);
    }
    CU_ASSERT_EQUAL(overtaken, 0);
    bc_fair_lock_destroy(&fair);
}

int main(void)
{
    static CU_TestInfo tests[] = {
        {"every status has a text of its own", every_status_has_a_text_of_its_own},
        {"every failure has an errno", every_failure_has_an_errno},
        {"errno survives the way there and back", errno_survives_the_way_there_and_back},
        {"detail keeps to printable ASCII", detail_keeps_to_printable_ascii},
        {"long detail is cut at 511 bytes", long_detail_is_cut_at_511_bytes},
        {"detail belongs to its thread", detail_belongs_to_its_thread},
        {"numbers are little-endian", numbers_are_little_endian},
        {"buffer grows and keeps its bytes", buffer_grows_and_keeps_its_bytes},
        {"buffer refuses a size that overflows", buffer_refuses_a_size_that_overflows},
        {"CRC of known vectors", crc_of_known_vectors},
        {"CRC goes on from any cut", crc_goes_on_from_any_cut},
        {"CRC of more than 4 GiB", crc_of_more_than_4_gib},
        {"who waits for a fair lock has it before the next of who comes often",
         who_waits_for_a_fair_lock_has_it_before_the_next_of_who_comes_often},
        CU_TEST_INFO_NULL,
    };
    return unit_run("base", tests);
}
