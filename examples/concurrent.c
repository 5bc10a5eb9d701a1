/* concurrent.c - one thread writes, four read, on the same handles; nobody waits for anybody.
 *
 *     concurrent STORE [ROUNDS]
 *
 * The writer replaces the numbers under 16 keys by larger ones, round after round. Each reader holds two promises
 * against what it sees: a key that is there is found always, also while it is replaced or its segment merged; and a
 * number once seen never gets smaller again.
 */
#include <bitcask.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { KEYS = 16, READERS = 4 };

struct shared {
    bitcask_partition *root;
    unsigned long rounds;
    atomic_bool done;
    atomic_bool failed;
    atomic_ulong reads;
};

/* bitcask_error_detail() is of the thread that calls it, so each thread says its own. */
static void complain(struct shared *shared, const char *what, bitcask_status status)
{
    const char *detail = bitcask_error_detail();

    fprintf(stderr, "concurrent: %s: %s\n", what, detail[0] != '\0' ? detail : bitcask_status_text(status));
    atomic_store(&shared->failed, true);
}

static bitcask_status put_number(bitcask_partition *root, unsigned key, unsigned long number)
{
    char name[16], text[32];
    int name_size = snprintf(name, sizeof name, "key%02u", key);
    int text_size = snprintf(text, sizeof text, "%lu", number);

    return bitcask_put(root, name, (size_t)name_size, text, (size_t)text_size, NULL, NULL);
}

static bitcask_status get_number(bitcask_partition *root, unsigned key, unsigned long *number)
{
    char name[16], text[32] = "";
    int name_size = snprintf(name, sizeof name, "key%02u", key);
    bitcask_value *value = NULL;
    bitcask_status status = bitcask_get(root, name, (size_t)name_size, &value);

    if (status != BITCASK_OK) return status;
    size_t size = bitcask_value_size(value) < sizeof text ? (size_t)bitcask_value_size(value) : sizeof text - 1;
    memcpy(text, bitcask_value_data(value), size);
    *number = strtoul(text, NULL, 10);
    bitcask_value_unpin(&value);
    return BITCASK_OK;
}

static void *write_numbers(void *argument)
{
    struct shared *shared = argument;
    const bitcask_merge_options full = {.flags = BITCASK_MERGE_FULL};

    for (unsigned long round = 1; round <= shared->rounds && !atomic_load(&shared->failed); round++) {
        bitcask_status status = BITCASK_OK;
        for (unsigned key = 0; key < KEYS && status == BITCASK_OK; key++) {
            status = put_number(shared->root, key, round);
        }
        /* Now and then the log is rewritten under the readers' feet. */
        if (status == BITCASK_OK && round % 500 == 0) status = bitcask_merge(shared->root, &full, NULL);
        if (status != BITCASK_OK) complain(shared, "writer", status);
    }
    atomic_store(&shared->done, true);
    return NULL;
}

static void *read_numbers(void *argument)
{
    struct shared *shared = argument;
    unsigned long seen[KEYS] = {0};
    unsigned long reads = 0;

    while (!atomic_load(&shared->done) && !atomic_load(&shared->failed)) {
        for (unsigned key = 0; key < KEYS; key++, reads++) {
            unsigned long number = 0;
            bitcask_status status = get_number(shared->root, key, &number);

            if (status != BITCASK_OK) complain(shared, "reader", status);
            if (status == BITCASK_OK && number < seen[key]) {
                fprintf(stderr, "concurrent: key %u went back from %lu to %lu\n", key, seen[key], number);
                atomic_store(&shared->failed, true);
            }
            seen[key] = number;
        }
    }
    atomic_fetch_add(&shared->reads, reads);
    return NULL;
}

static void run(struct shared *shared)
{
    pthread_t writer, readers[READERS];
    unsigned started = 0;

    for (unsigned key = 0; key < KEYS; key++) {
        bitcask_status status = put_number(shared->root, key, 0);
        if (status != BITCASK_OK) {
            complain(shared, "put", status);
            return;
        }
    }
    while (started < READERS && pthread_create(&readers[started], NULL, read_numbers, shared) == 0) started++;
    if (started == READERS && pthread_create(&writer, NULL, write_numbers, shared) == 0) {
        pthread_join(writer, NULL);
    } else {
        fprintf(stderr, "concurrent: cannot start a thread\n");
        atomic_store(&shared->failed, true);
    }
    for (unsigned i = 0; i < started; i++) pthread_join(readers[i], NULL);
}

int main(int argc, char **argv)
{
    static struct shared shared;
    bitcask *db = NULL;
    bitcask_options options;

    if (argc != 2 && argc != 3) return fprintf(stderr, "usage: concurrent STORE [ROUNDS]\n"), 2;
    shared.rounds = argc == 3 ? strtoul(argv[2], NULL, 10) : 2000;
    bitcask_options_init(&options);
    options.create = true;
    bitcask_status status = bitcask_open(argv[1], &options, &db);
    if (status == BITCASK_OK) status = bitcask_partition_open(db, "", &shared.root);
    if (status == BITCASK_OK)
        run(&shared);
    else
        complain(&shared, argv[1], status);

    bitcask_partition_close(&shared.root);
    status = bitcask_close(&db);
    if (status != BITCASK_OK) complain(&shared, "close", status);
    if (atomic_load(&shared.failed)) return 1;
    printf("%lu rounds of %d puts, beside them reads by %d threads; no key was missed, no number went back\n",
           shared.rounds, KEYS, READERS);
    fprintf(stderr, "%lu reads\n", atomic_load(&shared.reads));
    return 0;
}
