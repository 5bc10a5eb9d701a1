/* fixture.c - what the store's test programs share. See fixture.h.
 */
#include "fixture.h"

#include <dirent.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

_Thread_local volatile unsigned fixture_own;

static char directory[256];
static char **paths; /* handed out, freed at the end */
static size_t path_count;

static void die(const char *what, const char *path)
{
    fprintf(stderr, "%s %s: %s\n", what, path, strerror(errno));
    exit(99);
}

const char *fixture_dir(void)
{
    if (directory[0]) return directory;
    const char *tmp = getenv("TMPDIR");
    snprintf(directory, sizeof directory, "%s/bitcask-test-XXXXXX", tmp && *tmp ? tmp : "/tmp");
    if (!mkdtemp(directory)) die("cannot make", directory);
    return directory;
}

/* Keeps a copy for the program's life, one of each. */
static const char *keep_path(const char *path)
{
    size_t i = 0;
    while (i < path_count && strcmp(paths[i], path) != 0) i++;
    if (i < path_count) return paths[i];
    char **grown = realloc(paths, (path_count + 1) * sizeof *paths);
    if (!grown || !(grown[path_count] = strdup(path))) die("cannot keep", path);
    paths = grown;
    return paths[path_count++];
}

const char *fixture_path(const char *format, ...)
{
    char path[1024];
    int size = snprintf(path, sizeof path, "%s/", fixture_dir());
    va_list args;
    va_start(args, format);
    vsnprintf(path + size, sizeof path - (size_t)size, format, args);
    va_end(args);
    return keep_path(path);
}

/* Calls visit for each name of a directory, in sorted order. */
static void each_name(const char *path, void (*visit)(const char *path, void *context), void *context)
{
    struct dirent **names;
    int count = scandir(path, &names, NULL, alphasort);
    if (count < 0) die("cannot list", path);
    for (int i = 0; i < count; i++) {
        char child[2048];
        if (strcmp(names[i]->d_name, ".") != 0 && strcmp(names[i]->d_name, "..") != 0) {
            snprintf(child, sizeof child, "%s/%s", path, names[i]->d_name);
            visit(child, context);
        }
        free(names[i]);
    }
    free(names);
}

static void remove_visit(const char *path, void *context)
{
    (void)context;
    fixture_remove(path);
}

void fixture_remove(const char *path)
{
    struct stat info;
    if (lstat(path, &info) != 0) return;
    if (S_ISDIR(info.st_mode)) each_name(path, remove_visit, NULL);
    if (remove(path) != 0) die("cannot remove", path);
}

static void copy_visit(const char *path, void *context)
{
    char to[2048];
    snprintf(to, sizeof to, "%s%s", (const char *)context, strrchr(path, '/'));
    fixture_copy(path, to);
}

void fixture_copy(const char *from, const char *to)
{
    struct stat info;
    if (lstat(from, &info) != 0) die("cannot stat", from);
    if (S_ISDIR(info.st_mode)) {
        if (mkdir(to, info.st_mode & 07777) != 0) die("cannot make", to);
        each_name(from, copy_visit, (void *)(uintptr_t)to);
        return;
    }
    size_t size;
    uint8_t *data = fixture_read(from, &size);
    fixture_write(to, data, size);
    free(data);
    if (chmod(to, info.st_mode & 07777) != 0) die("cannot chmod", to);
}

uint8_t *fixture_read(const char *path, size_t *size)
{
    FILE *file = fopen(path, "rb");
    if (!file || fseek(file, 0, SEEK_END) != 0) die("cannot read", path);
    long end = ftell(file);
    uint8_t *data = malloc((size_t)end + 1);
    if (!data || end < 0) die("cannot read", path);
    rewind(file);
    *size = fread(data, 1, (size_t)end, file);
    data[*size] = 0;
    fclose(file);
    return data;
}

void fixture_write(const char *path, const void *data, size_t size)
{
    FILE *file = fopen(path, "wb");
    if (!file || fwrite(data, 1, size, file) != size || fclose(file) != 0) die("cannot write", path);
}

uint64_t fixture_size(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 ? (uint64_t)info.st_size : UINT64_MAX;
}

const char *fixture_partition_file(const char *store, uint64_t partition_id, const char *name)
{
    char path[1024];
    snprintf(path, sizeof path, "%s/partitions/%02x/%016llx/%s", store, (unsigned)(partition_id & 0xff),
             (unsigned long long)partition_id, name);
    return keep_path(path);
}

static void digest_add(uint64_t *digest, const void *data, size_t size)
{
    for (size_t i = 0; i < size; i++) *digest = (*digest ^ ((const uint8_t *)data)[i]) * 0x100000001b3u;
}

static void digest_visit(const char *path, void *context)
{
    struct stat info;
    if (lstat(path, &info) != 0) die("cannot stat", path);
    digest_add(context, strrchr(path, '/'), strlen(strrchr(path, '/')));
    digest_add(context, &info.st_mode, sizeof info.st_mode);
    if (S_ISDIR(info.st_mode)) {
        each_name(path, digest_visit, context);
        return;
    }
    size_t size;
    uint8_t *data = fixture_read(path, &size);
    digest_add(context, &size, sizeof size);
    digest_add(context, data, size);
    free(data);
}

uint64_t fixture_digest(const char *path)
{
    uint64_t digest = 0xcbf29ce484222325u;
    digest_visit(path, &digest);
    return digest;
}

uint64_t fixture_number(const char *variable, uint64_t otherwise)
{
    const char *text = getenv(variable);
    return text && *text ? strtoull(text, NULL, 0) : otherwise;
}

uint64_t fixture_random(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

uint64_t fixture_below(uint64_t *state, uint64_t limit)
{
    return fixture_random(state) % limit;
}

int fixture_run(const char *suite, CU_TestInfo *tests)
{
    CU_SuiteInfo suites[] = {{suite, NULL, NULL, NULL, NULL, tests}, CU_SUITE_INFO_NULL};
    if (CU_initialize_registry() != CUE_SUCCESS || CU_register_suites(suites) != CUE_SUCCESS) return 99;
    CU_basic_set_mode(CU_BRM_NORMAL);
    CU_basic_run_tests();
    unsigned failed = CU_get_number_of_failures();
    CU_cleanup_registry();
    if (directory[0]) fixture_remove(directory);
    while (path_count > 0) free(paths[--path_count]);
    free(paths);
    return failed ? 1 : 0;
}

bitcask *fixture_open(const char *path, bitcask_sync_policy sync)
{
    bitcask_options options;
    bitcask *db = NULL;
    bitcask_options_init(&options);
    options.create = true;
    options.sync = sync;
    bitcask_status status = bitcask_open(path, &options, &db);
    fixture_expect(BITCASK_OK, status, "bitcask_open", path, 0);
    CU_ASSERT_FATAL(status == BITCASK_OK);
    return db;
}

bool fixture_expect(bitcask_status wanted, bitcask_status got, const char *what, const char *file, int line)
{
    if (got == wanted) return true;
    fprintf(stderr, "%s:%d: %s: got '%s' (%s), wanted '%s'\n", file, line, what, bitcask_status_text(got),
            bitcask_error_detail(), bitcask_status_text(wanted));
    return false;
}

bool fixture_expect_detail(bitcask_status wanted, const char *part, bitcask_status got, const char *what,
                           const char *file, int line)
{
    const char *detail = bitcask_error_detail();
    if (got == wanted && strstr(detail, part)) return true;
    fprintf(stderr, "%s:%d: %s: got '%s' (%s), wanted '%s' (...%s...)\n", file, line, what, bitcask_status_text(got),
            detail, bitcask_status_text(wanted), part);
    return false;
}

bitcask_status put_text(bitcask_partition *partition, const char *key, const char *value, unsigned flags)
{
    bitcask_write_options options = {.flags = flags};
    return bitcask_put(partition, key, strlen(key), value, strlen(value), &options, NULL);
}

bitcask_status delete_text(bitcask_partition *partition, const char *key, unsigned flags)
{
    bitcask_write_options options = {.flags = flags};
    return bitcask_delete(partition, key, strlen(key), &options);
}

const char *get_text(bitcask_partition *partition, const char *key)
{
    static char text[16384 + 1];
    bitcask_value *value = NULL;
    bitcask_status status = bitcask_get(partition, key, strlen(key), &value);
    if (status == BITCASK_NOT_FOUND) return "-";
    if (status != BITCASK_OK) {
        snprintf(text, sizeof text, "!%s", bitcask_status_text(status));
        return text;
    }
    size_t size = (size_t)bitcask_value_size(value);
    if (size > sizeof text - 1) size = sizeof text - 1;
    if (size) memcpy(text, bitcask_value_data(value), size);
    text[size] = 0;
    bitcask_value_unpin(&value);
    return text;
}
