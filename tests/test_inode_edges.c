/* test_inode_edges.c - files at the edges of what they may be: holes as a reader finds them, inodes that are gone or
 * say what is not so, room that was promised, names that look like numbers.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "db/inodes.h"
#include "fixture.h"

#define EXTENT 4096u

static bitcask *db;
static bitcask_partition *root, *dir, *files;

static void begin(const char *name)
{
    db = fixture_open(fixture_path("%s", name), BITCASK_SYNC_OS);
    db->extent_shift = 12;
    db->inline_max = 1000;
    EXPECT(BITCASK_OK, bitcask_partition_open(db, "", &root));
    EXPECT(BITCASK_OK, bitcask_partition_create(root, "dir", 3, NULL, 0, &dir));
    EXPECT(BITCASK_OK, bitcask_partition_open_files(db, &files));
}

static void end(void)
{
    bitcask_partition_close(&files);
    bitcask_partition_close(&dir);
    bitcask_partition_close(&root);
    EXPECT(BITCASK_OK, bitcask_close(&db));
}

/* Puts a record into partition 1, as no call of the library would. */
static void meddle(const struct bc_write *write)
{
    struct bc_partition *inodes;
    struct bc_write copy = *write;

    EXPECT(BITCASK_OK, bc_node_pin(db->inodes, &inodes));
    bc_fair_lock_soon(&inodes->write_lock);
    EXPECT(BITCASK_OK, bc_partition_append(inodes, &copy, 1, false, 0));
    bc_fair_unlock(&inodes->write_lock);
    bc_node_unpin(db->inodes);
}

static uint64_t number_of(bitcask_partition *partition, const char *key)
{
    bitcask_entry entry = {0};
    EXPECT(BITCASK_OK, bitcask_stat(partition, key, strlen(key), &entry));
    CU_ASSERT_NOT_EQUAL(entry.file_id, 0);
    return entry.file_id;
}

static void lose_inode(uint64_t ino)
{
    uint8_t key[BC_INODE_KEY_SIZE];
    bc_inode_key(ino, key);
    meddle(&(struct bc_write){.key = key, .key_size = sizeof key, .flags = BC_RECORD_TOMBSTONE});
}

static void put_inode(uint64_t ino, const void *body, uint32_t size)
{
    uint8_t key[BC_INODE_KEY_SIZE];
    bc_inode_key(ino, key);
    meddle(&(struct bc_write){
        .key = key, .key_size = sizeof key, .flags = BC_RECORD_INODE, .value = body, .value_size = size});
}

/* Extents 0 and 3 hold something, the others are holes, up to 20,000 bytes. */
static void holes_are_found_in_a_pinned_value(void)
{
    static const struct {
        uint64_t from;
        bool hole;
        uint64_t found; /* UINT64_MAX: nothing */
    } seeks[] = {
        {0, false, 0},
        {0, true, EXTENT},
        {EXTENT - 1, false, EXTENT - 1},
        {EXTENT, true, EXTENT},
        {EXTENT, false, 3 * EXTENT},
        {5000, true, 5000},
        {5000, false, 12288},
        {12290, false, 12290},
        {12290, true, 4 * EXTENT},
        {16384, true, 16384},
        {16384, false, UINT64_MAX},
        {19999, true, 19999},
        {20000, true, UINT64_MAX},
        {20000, false, UINT64_MAX},
        {1ull << 50, true, UINT64_MAX},
    };
    bitcask_writer *writer = NULL;
    bitcask_value *value = NULL;
    uint8_t bytes[EXTENT], part[EXTENT];
    size_t got;

    begin("holes");
    memset(bytes, 'b', sizeof bytes);
    EXPECT(BITCASK_OK, bitcask_writer_open(root, NULL, &writer));
    EXPECT(BITCASK_OK, bitcask_writer_write(writer, 0, bytes, EXTENT));
    EXPECT(BITCASK_OK, bitcask_writer_write(writer, 3 * EXTENT, bytes, EXTENT));
    EXPECT(BITCASK_OK, bitcask_writer_truncate(writer, 20000));
    EXPECT(BITCASK_OK, bitcask_writer_commit(writer, root, "f", 1, NULL, NULL));
    EXPECT(BITCASK_OK, bitcask_pin(root, "f", 1, &value));
    for (size_t i = 0; i < sizeof seeks / sizeof *seeks; i++) {
        uint64_t found = 77, written = 77;
        bitcask_status wanted = seeks[i].found == UINT64_MAX ? BITCASK_NOT_FOUND : BITCASK_OK;
        EXPECT(wanted, bitcask_value_seek(value, seeks[i].from, seeks[i].hole, &found));
        EXPECT(wanted, bitcask_writer_seek(writer, seeks[i].from, seeks[i].hole, &written));
        if (wanted == BITCASK_OK) CU_ASSERT(found == seeks[i].found && written == seeks[i].found);
    }
    EXPECT(BITCASK_OK, bitcask_value_read(value, 2 * EXTENT + 10, part, sizeof part, &got));
    CU_ASSERT(got == EXTENT && part[0] == 0 && part[EXTENT - 11] == 0 && part[EXTENT - 10] == 'b');
    CU_ASSERT_PTR_NULL(bitcask_value_data(value)); /* not loaded */
    EXPECT(BITCASK_OK, bitcask_value_load(value));
    CU_ASSERT(((const uint8_t *)bitcask_value_data(value))[19999] == 0);
    bitcask_value_unload(value);
    EXPECT(BITCASK_OK, bitcask_value_read(value, 20000, part, sizeof part, &got));
    CU_ASSERT_EQUAL(got, 0);
    bitcask_value_unpin(&value);
    bitcask_writer_close(&writer);
    end();
}

/* A small file of two names has an inode too, with its content in it, or none. */
static void small_files_of_two_names_have_no_holes(void)
{
    bitcask_value *value = NULL;
    uint64_t found = 0;
    uint8_t part[8];
    size_t got;

    begin("small");
    EXPECT(BITCASK_OK, put_text(root, "small", "0123456789", 0));
    EXPECT(BITCASK_OK, put_text(root, "empty", "", 0));
    EXPECT(BITCASK_OK, bitcask_link(root, "small", 5, dir, "s", 1, 0));
    EXPECT(BITCASK_OK, bitcask_link(root, "empty", 5, dir, "e", 1, 0));
    EXPECT(BITCASK_OK, bitcask_pin(dir, "s", 1, &value));
    EXPECT(BITCASK_OK, bitcask_value_seek(value, 4, false, &found));
    CU_ASSERT_EQUAL(found, 4);
    EXPECT(BITCASK_OK, bitcask_value_seek(value, 4, true, &found));
    CU_ASSERT_EQUAL(found, 10);
    EXPECT(BITCASK_NOT_FOUND, bitcask_value_seek(value, 10, false, &found));
    EXPECT(BITCASK_OK, bitcask_value_read(value, 7, part, sizeof part, &got));
    CU_ASSERT(got == 3 && memcmp(part, "789", 3) == 0);
    bitcask_value_unpin(&value);
    EXPECT(BITCASK_OK, bitcask_get(dir, "e", 1, &value));
    CU_ASSERT(bitcask_value_size(value) == 0 && bitcask_value_data(value) == NULL);
    EXPECT(BITCASK_NOT_FOUND, bitcask_value_seek(value, 0, true, &found));
    bitcask_value_unpin(&value);
    end();
}

/* Nothing of the file can be had, and each call says so; the names can be taken away, moved, and put anew. */
static void names_whose_inode_is_gone_can_be_got_rid_of(void)
{
    const bitcask_attrs attrs = {.present = BITCASK_ATTR_MODE | BITCASK_ATTR_CTIME, .mode = 0100600, .ctime_ns = 5};
    const char *const names[] = {"a", "b", "c", "d", "e"};
    bitcask_value *value = NULL;
    bitcask_writer *writer = NULL;
    bitcask_location location;
    bitcask_entry entry;

    begin("gone");
    EXPECT(BITCASK_OK, put_text(root, "a", "content", 0));
    for (size_t i = 1; i < 5; i++) EXPECT(BITCASK_OK, bitcask_link(root, "a", 1, dir, names[i], 1, 0));
    EXPECT(BITCASK_OK, put_text(root, "plain", "another", 0));
    lose_inode(number_of(root, "a"));
    EXPECT_DETAIL(BITCASK_CORRUPT, "", bitcask_get(root, "a", 1, &value));
    EXPECT(BITCASK_CORRUPT, bitcask_stat(dir, "b", 1, &entry));
    EXPECT(BITCASK_CORRUPT, bitcask_set_attrs(dir, "b", 1, &attrs, 0, NULL));
    EXPECT(BITCASK_CORRUPT, bitcask_link(dir, "b", 1, root, "z", 1, 0));
    CU_ASSERT(bitcask_locate(dir, "b", 1, &location) != BITCASK_NOT_FOUND);
    CU_ASSERT_EQUAL(bitcask_error_detail()[0] == '\0', false);
    const bitcask_move_item items[] = {{dir, "b", 1, NULL, NULL, 0, BITCASK_REMOVE, &attrs, NULL},
                                       {dir, "c", 1, root, "moved", 5, 0, &attrs, NULL},
                                       {root, "plain", 5, dir, "d", 1, 0, NULL, NULL}};
    EXPECT(BITCASK_OK, bitcask_move(db, items, 3, NULL));
    CU_ASSERT_STRING_EQUAL(get_text(dir, "b"), "-");
    CU_ASSERT_STRING_EQUAL(get_text(dir, "d"), "another");
    EXPECT(BITCASK_CORRUPT, bitcask_get(root, "moved", 5, &value));
    EXPECT(BITCASK_OK, delete_text(root, "moved", 0));
    EXPECT(BITCASK_OK, put_text(dir, "e", "anew", 0));
    CU_ASSERT_STRING_EQUAL(get_text(dir, "e"), "anew");
    EXPECT(BITCASK_OK, bitcask_writer_open(root, NULL, &writer));
    EXPECT(BITCASK_OK, bitcask_writer_write(writer, 0, "written", 7));
    EXPECT(BITCASK_OK, bitcask_writer_commit(writer, root, "a", 1, NULL, NULL));
    CU_ASSERT_STRING_EQUAL(get_text(root, "a"), "written");
    bitcask_writer_close(&writer);
    EXPECT(BITCASK_OK, bitcask_verify(root, &(bitcask_verify_options){.flags = BITCASK_BELOW}, NULL));
    end();
}

/* Bodies that are none, or count no names: damage, and no more than that. */
static void inodes_that_make_no_sense_are_damage(void)
{
    uint8_t body[BC_INODE_HEAD_SIZE + 2 * BC_INODE_RUN_SIZE];
    const struct bc_run runs[2] = {{.first = 0, .count = 1ull << 40, .value_id = 5},
                                   {.first = 1ull << 41, .count = 1, .value_id = 6}};
    struct bc_inode_body said = {.links = 0};
    bitcask_verify_result result;
    bitcask_value *value = NULL;
    bitcask_entry entry;
    char key[3] = "a0";

    begin("senseless");
    for (int i = 0; i < 5; i++) {
        key[1] = (char)('0' + i);
        EXPECT(BITCASK_OK, put_text(root, key, "content", 0));
        EXPECT(BITCASK_OK, bitcask_link(root, key, 2, dir, key, 2, 0));
    }
    bc_inode_encode_head(&said, body);
    put_inode(number_of(root, "a0"), body, BC_INODE_HEAD_SIZE); /* no names, no content */
    put_inode(number_of(root, "a1"), body, 3);                  /* cut short */
    memset(body + BC_INODE_HEAD_SIZE - 8, 0xff, 8);             /* of a size that nothing has */
    put_inode(number_of(root, "a2"), body, BC_INODE_HEAD_SIZE);
    said = (struct bc_inode_body){.extent_shift = 12, .links = 2, .size = BITCASK_SIZE_MAX, .run_count = 2};
    bc_inode_encode_head(&said, body);
    for (size_t i = 0; i < 2; i++) bc_inode_put_run(&runs[i], body + BC_INODE_HEAD_SIZE + i * BC_INODE_RUN_SIZE);
    put_inode(number_of(root, "a3"), body, sizeof body); /* a map that lies, or reaches too far */
    EXPECT(BITCASK_OK, bitcask_verify(root, &(bitcask_verify_options){.flags = BITCASK_BELOW}, &result));
    CU_ASSERT(result.damage >= 4);
    for (int i = 1; i < 4; i++) {
        key[1] = (char)('0' + i);
        bitcask_status status = bitcask_get(root, key, 2, &value);
        CU_ASSERT(status == BITCASK_CORRUPT || status == BITCASK_TOO_LARGE || status == BITCASK_NO_MEMORY);
        bitcask_value_unpin(&value);
        (void)bitcask_stat(root, key, 2, &entry);
    }
    CU_ASSERT_STRING_EQUAL(get_text(root, "a4"), "content");
    /* All of them can be deleted, by either way. */
    for (int i = 0; i < 5; i++) {
        key[1] = (char)('0' + i);
        const bitcask_move_item item = {.from = dir, .from_key = key, .from_key_size = 2, .flags = BITCASK_REMOVE};
        bitcask_status status = bitcask_move(db, &item, 1, NULL);
        CU_ASSERT(status == BITCASK_OK || status == BITCASK_CORRUPT);
        status = delete_text(root, key, 0);
        CU_ASSERT(status == BITCASK_OK || status == BITCASK_CORRUPT);
    }
    CU_ASSERT_STRING_EQUAL(get_text(root, "a4"), "-");
    end();
}

/* Files by number: put with conditions, batches of them, and the entries that are no files. */
static void files_by_number_keep_conditions(void)
{
    bitcask_write_options options = {.flags = BITCASK_IF_VERSION, .if_version = 1};
    bitcask_batch *batch = NULL;
    bitcask_entry entry;
    char number[17];

    begin("numbers");
    EXPECT(BITCASK_OK, put_text(root, "a", "content", 0));
    EXPECT(BITCASK_OK, bitcask_link(root, "a", 1, dir, "b", 1, 0));
    snprintf(number, sizeof number, "%016llx", (unsigned long long)number_of(root, "a"));
    EXPECT(BITCASK_VERSION_MISMATCH, bitcask_put(files, number, 16, "new", 3, &options, NULL));
    EXPECT(BITCASK_OK, bitcask_stat(files, number, 16, &entry));
    options.if_version = entry.version;
    EXPECT(BITCASK_OK, bitcask_put(files, number, 16, "new", 3, &options, NULL));
    CU_ASSERT_STRING_EQUAL(get_text(dir, "b"), "new");
    options = (bitcask_write_options){.flags = BITCASK_IF_ABSENT};
    EXPECT(BITCASK_EXISTS, bitcask_put(files, number, 16, "more", 4, &options, NULL));
    EXPECT(BITCASK_NOT_FOUND, bitcask_delete(files, number, 16, NULL)); /* they go with their names */
    EXPECT(BITCASK_OK, bitcask_set_attrs(files, number, 16,
                                         &(bitcask_attrs){.present = BITCASK_ATTR_MODE, .mode = 0100600}, 0, NULL));
    EXPECT(BITCASK_OK, bitcask_stat(dir, "b", 1, &entry));
    CU_ASSERT_EQUAL(entry.attrs.mode, 0100600);
    EXPECT(BITCASK_OK, bitcask_batch_open(files, &batch));
    EXPECT(BITCASK_OK, bitcask_batch_put(batch, number, 16, "batched", 7, NULL));
    EXPECT(BITCASK_OK, bitcask_batch_put(batch, "000000000000000f", 16, "nobody", 6, NULL));
    CU_ASSERT_NOT_EQUAL(bitcask_batch_commit(batch, 0, 0, NULL), BITCASK_OK);
    CU_ASSERT_STRING_EQUAL(get_text(dir, "b"), "new");
    bitcask_batch_clear(batch);
    EXPECT(BITCASK_OK, bitcask_batch_put(batch, number, 16, "batched", 7, NULL));
    EXPECT(BITCASK_OK, bitcask_batch_commit(batch, 0, 0, NULL));
    CU_ASSERT_STRING_EQUAL(get_text(root, "a"), "batched");
    bitcask_batch_close(&batch);
    end();
}

/* Room that was promised is used up by the large value that it was promised for, and there again if that fails. */
static void promised_room_goes_with_a_large_value(void)
{
    bitcask_write_options options = {.reserved = 60000};
    struct bc_partition *instance;
    uint8_t *bytes = calloc(1, 50000);

    CU_ASSERT_PTR_NOT_NULL_FATAL(bytes);
    begin("room");
    EXPECT(BITCASK_OK, bitcask_reserve(root, 100000));
    EXPECT(BITCASK_OK, bc_node_pin(root, &instance));
    CU_ASSERT_EQUAL(instance->reserved, 100000);
    EXPECT(BITCASK_OK, bitcask_put(root, "f", 1, bytes, 50000, &options, NULL));
    CU_ASSERT_EQUAL(instance->reserved, 40000);
    options.flags = BITCASK_IF_ABSENT;
    options.reserved = 40000;
    EXPECT(BITCASK_EXISTS, bitcask_put(root, "f", 1, bytes, 50000, &options, NULL));
    CU_ASSERT_EQUAL(instance->reserved, 40000);
    options = (bitcask_write_options){.reserved = 1ull << 40}; /* more than there is */
    EXPECT(BITCASK_OK, bitcask_put(root, "g", 1, bytes, 50000, &options, NULL));
    CU_ASSERT_EQUAL(instance->reserved, 0);
    bitcask_unreserve(root, 5); /* more than there is, too */
    CU_ASSERT_EQUAL(instance->reserved, 0);
    bc_node_unpin(root);
    free(bytes);
    end();
}

int main(void)
{
    static CU_TestInfo tests[] = {
        {"holes are found in a pinned value", holes_are_found_in_a_pinned_value},
        {"small files of two names have no holes", small_files_of_two_names_have_no_holes},
        {"names whose inode is gone can be got rid of", names_whose_inode_is_gone_can_be_got_rid_of},
        {"inodes that make no sense are damage", inodes_that_make_no_sense_are_damage},
        {"files by number keep conditions", files_by_number_keep_conditions},
        {"promised room goes with a large value", promised_room_goes_with_a_large_value},
        CU_TEST_INFO_NULL,
    };

    return fixture_run("inode edges", tests);
}
