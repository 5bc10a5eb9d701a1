/* hello.c - the smallest program with a store: opens it, puts a value, gets it back, deletes it.
 *
 *     cc hello.c $(pkg-config --cflags --libs libbitcask) -o hello && ./hello shop
 */
#include <bitcask.h>
#include <stdio.h>

/* Says what failed. The detail has the file, the offset, what to do; it is that of this thread's last failure. */
static int complain(const char *what, bitcask_status status)
{
    const char *detail = bitcask_error_detail();

    fprintf(stderr, "hello: %s: %s\n", what, detail[0] != '\0' ? detail : bitcask_status_text(status));
    return 1;
}

static int say_hello(bitcask_partition *root)
{
    bitcask_value *value = NULL;
    bitcask_status status = bitcask_put(root, "hello", 5, "world", 5, NULL, NULL);

    if (status != BITCASK_OK) return complain("put", status);
    status = bitcask_get(root, "hello", 5, &value);
    if (status != BITCASK_OK) return complain("get", status);
    /* The bytes stand where the library has them; they are there until the value is unpinned. */
    printf("hello %.*s\n", (int)bitcask_value_size(value), (const char *)bitcask_value_data(value));
    bitcask_value_unpin(&value);

    status = bitcask_delete(root, "hello", 5, NULL);
    if (status != BITCASK_OK) return complain("delete", status);
    /* A miss is a status, and no error. */
    status = bitcask_get(root, "hello", 5, &value);
    if (status != BITCASK_NOT_FOUND) return complain("get after delete", status);
    return 0;
}

int main(int argc, char **argv)
{
    bitcask *db = NULL;
    bitcask_partition *root = NULL;
    bitcask_options options;
    int result;

    if (argc != 2) return fprintf(stderr, "usage: hello STORE\n"), 2;
    bitcask_options_init(&options);
    options.create = true;
    bitcask_status status = bitcask_open(argv[1], &options, &db);
    if (status != BITCASK_OK) return complain(argv[1], status);

    status = bitcask_partition_open(db, "", &root);
    result = status == BITCASK_OK ? say_hello(root) : complain("the root partition", status);

    /* Handles first, the store last. Its status counts: it says whether everything is on disk. */
    bitcask_partition_close(&root);
    status = bitcask_close(&db);
    return status == BITCASK_OK ? result : complain("close", status);
}
