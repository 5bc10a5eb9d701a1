/* large_value.c - stores a file as one value, and reads it back in pieces.
 *
 *     large_value put STORE KEY FILE
 *     large_value get STORE KEY [OFFSET [SIZE]] >out
 *
 * Up to BITCASK_VALUE_MAX (256 MiB), a value is put as a whole: a reader, and a crash, sees all of it or what was there
 * before. It is read by ranges, and only what a range touches is read from disk and checked.
 */
#include <bitcask.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PIECE = 1 << 20 };

static int complain(const char *what, bitcask_status status)
{
    const char *detail = bitcask_error_detail();

    fprintf(stderr, "large_value: %s: %s\n", what, detail[0] != '\0' ? detail : bitcask_status_text(status));
    return 1;
}

static int complain_file(const char *file)
{
    fprintf(stderr, "large_value: %s: %s\n", file, strerror(errno));
    return 1;
}

/* Reads all of a file into memory that the caller frees; NULL if that cannot be, or it is too large. */
static char *read_file(const char *path, size_t *size)
{
    FILE *file = fopen(path, "rb");
    char *data = NULL;

    *size = 0;
    while (file != NULL) {
        char *more = *size > BITCASK_VALUE_MAX ? NULL : realloc(data, *size + PIECE);
        if (more == NULL) {
            errno = *size > BITCASK_VALUE_MAX ? EFBIG : ENOMEM;
            break;
        }
        data = more;
        size_t got = fread(data + *size, 1, PIECE, file);
        *size += got;
        if (got < PIECE && !ferror(file)) {
            fclose(file);
            return data;
        }
        if (got < PIECE) break;
    }
    int error = errno;
    if (file != NULL) fclose(file);
    free(data);
    errno = error;
    return NULL;
}

static int put_file(bitcask_partition *root, const char *key, const char *path)
{
    const bitcask_write_options durable = {.flags = BITCASK_DURABLE};
    size_t size = 0;
    char *data = read_file(path, &size);

    if (data == NULL) return complain_file(path);
    bitcask_status status = bitcask_put(root, key, strlen(key), data, size, &durable, NULL);
    free(data);
    return status == BITCASK_OK ? 0 : complain(key, status);
}

/* Copies size bytes from offset to standard output. */
static int copy_range(bitcask_value *value, unsigned long long offset, unsigned long long size)
{
    static char piece[PIECE];

    while (size > 0) {
        size_t got = 0;
        bitcask_status status = bitcask_value_read(value, offset, piece, size < PIECE ? (size_t)size : PIECE, &got);

        if (status != BITCASK_OK) return complain("read", status);
        if (got == 0) break; /* the end of the value */
        if (fwrite(piece, 1, got, stdout) != got) return complain_file("standard output");
        offset += got;
        size -= got;
    }
    return fflush(stdout) == 0 ? 0 : complain_file("standard output");
}

static int get_range(bitcask_partition *root, const char *key, unsigned long long offset, unsigned long long size)
{
    bitcask_value *value = NULL;
    /* Nothing is read yet. From now on the value stays as it is, whoever replaces or deletes the key. */
    bitcask_status status = bitcask_pin(root, key, strlen(key), &value);

    if (status != BITCASK_OK) return complain(key, status);
    int result = copy_range(value, offset, size);
    bitcask_value_unpin(&value);
    return result;
}

int main(int argc, char **argv)
{
    bitcask *db = NULL;
    bitcask_partition *root = NULL;
    bitcask_options options;
    bool put = argc == 5 && strcmp(argv[1], "put") == 0;
    bool get = argc >= 4 && argc <= 6 && strcmp(argv[1], "get") == 0;
    int result;

    if (!put && !get)
        return fprintf(stderr, "usage: large_value put STORE KEY FILE | get STORE KEY [OFFSET [SIZE]]\n"), 2;
    bitcask_options_init(&options);
    options.create = put;
    options.read_only = get;
    bitcask_status status = bitcask_open(argv[2], &options, &db);
    if (status != BITCASK_OK) return complain(argv[2], status);
    status = bitcask_partition_open(db, "", &root);
    if (status != BITCASK_OK) {
        result = complain("the root partition", status);
    } else if (put) {
        result = put_file(root, argv[3], argv[4]);
    } else {
        result = get_range(root, argv[3], argc > 4 ? strtoull(argv[4], NULL, 10) : 0,
                           argc > 5 ? strtoull(argv[5], NULL, 10) : BITCASK_SIZE_MAX);
    }
    bitcask_partition_close(&root);
    status = bitcask_close(&db);
    return status == BITCASK_OK ? result : complain("close", status);
}
