/* replay.c - calls a fuzz target without a fuzzer: with each file of its corpus, then with these changed at random.
 *
 * fuzz_NAME [FILE...]: without files those of tests/fuzz/corpus/NAME. ROUNDS: how many changed inputs there are for
 * each file (200, or of a large corpus 4,000 in all; with LONG=1 10,000, or 10,000 in all); SEED: of the changes. An
 * input that ends the process is left as crash-NAME in the directory of the build, to be looked at, and to be added to
 * the corpus.
 */
#include <dirent.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fixture.h"
#include "fuzz.h"

#define FILES_MAX 400u
#define INPUT_MAX 65536u

struct input {
    char *path;
    uint8_t *data;
    size_t size;
};

static struct input inputs[FILES_MAX];
static size_t input_count;
static const char *name;
static const uint8_t *running; /* what the target was called with last */
static size_t running_size;

/* Keeps the input that the process ends at. What a signal handler may do is little; write() is among it. */
static void keep(int signal_number)
{
    char path[64];
    ssize_t written = 0;
    snprintf(path, sizeof path, "crash-%.40s", name);
    FILE *out = fopen(path, "wb");
    if (out) {
        written = write(fileno(out), running, running_size);
        fprintf(stderr, "%s: %zd bytes, the input that failed\n", path, written);
    }
    signal(signal_number, SIG_DFL);
    raise(signal_number);
}

static void run(const uint8_t *data, size_t size)
{
    uint8_t *exact = fuzz_copy(data, size);
    running = exact;
    running_size = size;
    (void)LLVMFuzzerTestOneInput(exact, size);
    free(exact);
}

static void add_file(const char *path)
{
    if (input_count == FILES_MAX) {
        fprintf(stderr, "%s: more than %u inputs\n", path, FILES_MAX);
        exit(1);
    }
    struct input *input = &inputs[input_count++];
    input->path = strdup(path);
    input->data = fixture_read(path, &input->size);
}

static int by_path(const void *a, const void *b)
{
    return strcmp(((const struct input *)a)->path, ((const struct input *)b)->path);
}

static void add_corpus(void)
{
    const char *top = getenv("abs_srcdir");
    char directory[1024], path[1400];
    snprintf(directory, sizeof directory, "%.800s/tests/fuzz/corpus/%s", top ? top : ".", name);
    DIR *listing = opendir(directory);
    for (struct dirent *entry; listing && (entry = readdir(listing)) != NULL;) {
        if (entry->d_name[0] == '.') continue;
        snprintf(path, sizeof path, "%s/%s", directory, entry->d_name);
        add_file(path);
    }
    if (listing) closedir(listing);
    if (input_count == 0) {
        fprintf(stderr, "%s: no inputs; from another directory, set abs_srcdir to the top of the source\n", directory);
        exit(1);
    }
    qsort(inputs, input_count, sizeof *inputs, by_path);
}

/* One change of those that a fuzzer makes: bits, bytes, numbers, a piece out, a piece twice, one from another input. */
static size_t change(uint8_t *data, size_t size, uint64_t *rng)
{
    static const uint8_t telling[] = {0, 1, 0x7f, 0x80, 0xff, '\n', ' ', '/', '=', ','};
    size_t at = size ? (size_t)fixture_below(rng, size) : 0;
    size_t length = 1 + (size_t)fixture_below(rng, fixture_below(rng, 2) ? 8 : 200);
    const struct input *other = &inputs[fixture_below(rng, input_count)];
    switch (fixture_below(rng, 8)) {
    case 0:
    case 1:
        if (size) data[at] ^= (uint8_t)(1u << fixture_below(rng, 8));
        break;
    case 2:
        if (size) data[at] = telling[fixture_below(rng, sizeof telling)];
        break;
    case 3:
        for (size_t i = at; i < size && i < at + 4; i++) data[i] = (uint8_t)fixture_random(rng);
        break;
    case 4:
        if (size) data[at] = (uint8_t)(data[at] + fixture_below(rng, 9) - 4);
        break;
    case 5: /* out */
        if (length > size - at) length = size - at;
        memmove(data + at, data + at + length, size - at - length);
        return size - length;
    case 6: /* twice */
        if (length > size - at) length = size - at;
        if (size + length > INPUT_MAX) break;
        memmove(data + at + length, data + at, size - at);
        return size + length;
    default:
        if (other->size == 0 || size == 0) break;
        size_t from = (size_t)fixture_below(rng, other->size);
        for (size_t i = 0; i < length && at + i < size && from + i < other->size; i++)
            data[at + i] = other->data[from + i];
    }
    return size;
}

int main(int argc, char **argv)
{
    static uint8_t changed[INPUT_MAX];
    bool is_long = fixture_number("LONG", 0) > 0;
    uint64_t rng = fixture_number("SEED", 1), rounds = fixture_number("ROUNDS", 0);
    bool given = rounds > 0;
    const char *slash = strrchr(argv[0], '/');
    name = slash ? slash + 1 : argv[0];
    if (strncmp(name, "lt-", 3) == 0) name += 3;
    if (strncmp(name, "fuzz_", 5) == 0) name += 5;
    signal(SIGABRT, keep);
    signal(SIGSEGV, keep);
    for (int i = 1; i < argc; i++) add_file(argv[i]);
    if (argc == 1) add_corpus();
    /* A large corpus of inputs that take long, each a whole store, must not take minutes. */
    if (!given) rounds = input_count > 20 ? (is_long ? 10000 : 4000) / input_count : is_long ? 10000 : 200;
    for (size_t i = 0; i < input_count; i++) run(inputs[i].data, inputs[i].size);
    for (size_t i = 0; i < input_count && argc == 1; i++) {
        for (uint64_t round = 0; round < rounds; round++) {
            size_t size = inputs[i].size < INPUT_MAX ? inputs[i].size : INPUT_MAX;
            memcpy(changed, inputs[i].data, size);
            for (uint64_t n = 1 + fixture_below(&rng, 4); n > 0; n--) size = change(changed, size, &rng);
            run(changed, size);
        }
    }
    printf("fuzz_%s: %zu inputs, and %llu changed ones\n", name, input_count,
           (unsigned long long)(argc == 1 ? input_count * rounds : 0));
    for (size_t i = 0; i < input_count; i++) {
        free(inputs[i].path);
        free(inputs[i].data);
    }
    return 0;
}
