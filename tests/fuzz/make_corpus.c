/* make_corpus.c - writes the first inputs of the fuzz targets: make_corpus DIRECTORY, which is tests/fuzz/corpus.
 *
 * They come out the same each time. What was found since stands beside them under other names, and is left alone.
 */
#include <sys/stat.h>

#include "base/crc.h"
#include "fuzz.h"
#include "io_sim.h"
#include "log/inode_body.h"
#include "log/intent.h"
#include "small_store.h"

static const char *top;

static void save_with(const char *target, const char *name, int first, const void *data, size_t size)
{
    char path[1024];
    snprintf(path, sizeof path, "%.600s/%s", top, target);
    (void)mkdir(path, 0777);
    snprintf(path, sizeof path, "%.600s/%s/%s", top, target, name);
    FILE *out = fopen(path, "wb");
    if (!out) {
        perror(path);
        exit(1);
    }
    if (first >= 0) fputc(first, out);
    if (size > 0) fwrite(data, 1, size, out);
    if (fclose(out) != 0) exit(1);
}

static void save_text(const char *target, const char *name, const char *text)
{
    save_with(target, name, -1, text, strlen(text));
}

static bool ends_in(const char *path, const char *end)
{
    size_t size = strlen(path), end_size = strlen(end);
    return size >= end_size && strcmp(path + size - end_size, end) == 0;
}

/* Segments, hints and a checkpoint: those of the small store. Of its zeros behind the log a few are enough. */
static void files(void)
{
    struct bc_sim *sim = bc_sim_open(7);
    struct bc_io *io = bc_sim_io(sim);
    char list[SMALL_FILES_MAX][128], name[64];
    small_store_make(io);
    size_t count = small_store_files(io, list);
    for (size_t i = 0; i < count; i++) {
        size_t size;
        uint8_t *data = small_store_read(io, list[i], &size);
        if (ends_in(list[i], ".data")) {
            while (size > 100 && data[size - 1] == 0 && data[size - 100] == 0) size--;
            snprintf(name, sizeof name, "segment-%zu", i);
            save_with("segment", name, (int)(i & 1), data, size);
        }
        snprintf(name, sizeof name, "hint-%zu", i);
        if (ends_in(list[i], ".hint")) save_with("hint", name, (int)(i & 1), data, size);
        snprintf(name, sizeof name, "checkpoint-%zu", i);
        if (ends_in(list[i], "/index") && strstr(list[i], "/00/")) save_with("checkpoint", name, 1, data, size);
        free(data);
    }
    bc_sim_close(&sim);
}

static void inodes(void)
{
    uint8_t bytes[256];
    struct bc_inode_body small = {.links = 2, .size = 5};
    bc_inode_encode_head(&small, bytes);
    memcpy(bytes + BC_INODE_HEAD_SIZE, "hello", 5);
    save_with("inode", "content", 0, bytes, BC_INODE_HEAD_SIZE + 5);
    struct bc_inode_body runs = {.extent_shift = 12, .links = 1, .size = 40000};
    const struct bc_run list[] = {{0, 3, 77}, {5, 1, 78}, {6, 4, 79}};
    bc_inode_encode_head(&runs, bytes);
    for (size_t i = 0; i < 3; i++) bc_inode_put_run(&list[i], bytes + BC_INODE_HEAD_SIZE + i * BC_INODE_RUN_SIZE);
    save_with("inode", "runs", 0, bytes, BC_INODE_HEAD_SIZE + 3 * BC_INODE_RUN_SIZE);
    bc_inode_key(BC_INODE_BIT | 5, bytes);
    save_with("inode", "inode-key", 1, bytes, BC_INODE_KEY_SIZE);
    bc_extent_key(77, 2, bytes);
    save_with("inode", "extent-key", 1, bytes, BC_EXTENT_KEY_SIZE);
    bitcask_attrs attrs = {.present = BITCASK_ATTR_ALL, .mode = 0100644, .uid = 1000, .gid = 70000, .mtime_ns = -1};
    attrs.ino = 99, attrs.rdev = 259, attrs.expiry_ns = INT64_MAX, attrs.xattrs = "xattrs", attrs.xattrs_size = 6;
    bc_attrs_encode(&attrs, bytes);
    save_with("inode", "attributes", 2, bytes, bc_attrs_size(&attrs));
}

static void intents(void)
{
    struct bc_buffer buffer = {0};
    const char *const keys[] = {"to", "from"};
    for (size_t i = 0; i < 2; i++) {
        struct bc_record record = {.version = 1000 + i,
                                   .flags = i == 0 ? 0 : BC_RECORD_TOMBSTONE,
                                   .key_size = (uint8_t)strlen(keys[i]),
                                   .value_size = i == 0 ? 5 : 0,
                                   .value_crc = bc_crc32c(0, "value", i == 0 ? 5 : 0),
                                   .key = (const uint8_t *)keys[i],
                                   .value = (const uint8_t *)"value"};
        if (bc_intent_add(&buffer, 500 + i, &record) != BITCASK_OK) exit(99);
    }
    save_with("intent", "move", 1, buffer.data, buffer.size);
    save_with("intent", "cut-short", 0, buffer.data, buffer.size - 7);
    bc_buffer_release(&buffer);
}

static void texts(void)
{
    static const char *const commands[] = {"merge\n",      "merge full",      "sync",         " rotate \n",
                                           "verify",       "scheduler off\n", "scheduler on", "throttle 20M",
                                           "throttle off", "throttle 4096"};
    static const char *const paths[] = {"orders/2026/0001",
                                        "/a//b/",
                                        "",
                                        "a/../b",
                                        "x/.bitcask",
                                        "\x1b[31m\xc3\xa4\xff\"\\",
                                        "\xc2\x9b"
                                        "31m"};
    char name[32];
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        snprintf(name, sizeof name, "command-%zu", i);
        save_text("command", name, commands[i]);
    }
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        snprintf(name, sizeof name, "path-%zu", i);
        save_text("path", name, paths[i]);
    }
    static const char all[] =
        "ro,allow_other,uid=0,gid=70000,umask=027,sync=interval=500,commit_ms=0,max_open=10,max_nodes=5000,"
        "segment_size=1M,memory=64M,scheduler=off,merge_rate=20M,nodev,nosuid,noatime,x-any=1\0store\0mnt";
    static const char shown[] =
        "remount,rw,user_id=0,group_id=0,fsname=bitcask,acl,writeback,debug\0store\0mnt\0-f\0-d";
    static const char wrong[] = "sync=never\0store\0mnt\0-o\0umask=9\0--help\0-x\0--foreground\0third";
    save_with("options", "all", -1, all, sizeof all - 1);
    save_with("options", "remount", -1, shown, sizeof shown - 1);
    save_with("options", "wrong", -1, wrong, sizeof wrong - 1);
}

static void xattrs(void)
{
    static const uint8_t list[] = "\1\6\3\0user.aval\6\0\0user.b";
    static const uint8_t acl[] = {2, 0, 0,    0,    1,    0,    6,    0, 0xff, 0xff, 0xff, 0xff, 2,    0,    4,
                                  0, 1, 0,    0,    0,    4,    0,    4, 0,    0xff, 0xff, 0xff, 0xff, 0x10, 0,
                                  7, 0, 0xff, 0xff, 0xff, 0xff, 0x20, 0, 4,    0,    0xff, 0xff, 0xff, 0xff};
    save_with("xattrs", "list", 0, list, sizeof list - 1);
    save_with("xattrs", "acl", 1, acl, sizeof acl);
}

/* Changes to the small store: see fuzz_store.c. */
static void stores(void)
{
    static const uint8_t overwrite[] = {0, 4, 80, 0, 3, 'x', 'y', 'z'},
                         forged[] = {1, 5, 90, 0, 2, 1, 1, 6, 70, 0, 1, 4};
    static const uint8_t cut[] = {2, 64 + 4, 200, 0, 0, 64 + 2, 100, 0, 0},
                         append[] = {0, 128 + 4, 0, 0, 4, 1, 2, 3, 4};
    static const uint8_t removed[] = {2, 192 + 3, 0, 0, 0, 192 + 5, 0, 0, 0};
    save_with("store", "overwrite", -1, overwrite, sizeof overwrite);
    save_with("store", "forged", -1, forged, sizeof forged);
    save_with("store", "cut", -1, cut, sizeof cut);
    save_with("store", "append", -1, append, sizeof append);
    save_with("store", "removed", -1, removed, sizeof removed);
}

static void operations(void)
{
    uint8_t steps[150];
    uint64_t rng = 5;
    char name[32];
    for (size_t i = 0; i < 4; i++) {
        for (size_t k = 0; k < sizeof steps; k++) steps[k] = (uint8_t)fixture_random(&rng);
        snprintf(name, sizeof name, "steps-%zu", i);
        save_with("operations", name, -1, steps, sizeof steps);
    }
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: make_corpus DIRECTORY\n");
        return 2;
    }
    top = argv[1];
    (void)mkdir(top, 0777);
    files();
    inodes();
    intents();
    texts();
    xattrs();
    stores();
    operations();
    return 0;
}
