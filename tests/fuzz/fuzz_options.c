/* fuzz_options.c - the command line of bitcaskfs: arguments of any bytes, separated by NULs.
 *
 * Linked with argp_parse() wrapped, so that --help ends no process, and bcfs_log(), so that a fuzzer can be read.
 * Checked: what is accepted lies in its ranges, and whatever is refused leaves nothing to be freed twice or not at all.
 * The first one is the list of -o.
 */
#include <argp.h>

#include "command.h"
#include "fuzz.h"
#include "log.h"
#include "options.h"

#define ARGUMENTS_MAX 24u

error_t __real_argp_parse(const struct argp *argp, int argc, char **argv, unsigned flags, int *index, void *input);
error_t __wrap_argp_parse(const struct argp *argp, int argc, char **argv, unsigned flags, int *index, void *input);

error_t __wrap_argp_parse(const struct argp *argp, int argc, char **argv, unsigned flags, int *index, void *input)
{
    return __real_argp_parse(argp, argc, argv, flags | ARGP_SILENT, index, input);
}

void __wrap_bcfs_log(enum bcfs_log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

void __wrap_bcfs_log(enum bcfs_log_level level, const char *format, ...)
{
    FUZZ_CHECK(level == BCFS_LOG_ERROR && format[0] != '\0');
}

static void check_accepted(const struct bcfs_options *options)
{
    FUZZ_CHECK(options->store != NULL && options->store[0] != '\0');
    FUZZ_CHECK(options->mountpoint != NULL && options->mountpoint[0] != '\0');
    FUZZ_CHECK(options->umask <= 0777);
    FUZZ_CHECK(options->uid >= -1 && options->uid < UINT32_MAX && options->gid >= -1 && options->gid < UINT32_MAX);
    FUZZ_CHECK(options->sync != BITCASK_SYNC_INTERVAL || options->sync_interval_ms > 0);
    FUZZ_CHECK(options->segment_size == 0 || (options->segment_size >= 65536 && options->segment_size < 1ull << 32));
    FUZZ_CHECK(options->merge_bytes_per_s == 0 || options->merge_bytes_per_s >= BCFS_RATE_MIN);
    FUZZ_CHECK(options->merge_bytes_per_s <= BCFS_RATE_MAX);
    FUZZ_CHECK(!options->debug || options->foreground);
    if (options->kernel_flags)
        FUZZ_CHECK(options->kernel_flags[strspn(options->kernel_flags, "abcdefghijklmnopqrstuvwxyz,")] == '\0');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char program[] = "bitcaskfs", flag[] = "-o", *arguments[ARGUMENTS_MAX + 3] = {program, flag};
    struct bcfs_options options;
    int count = 2;
    char *bytes = malloc(size + 1);
    FUZZ_CHECK(bytes != NULL);
    memcpy(bytes, data, size);
    bytes[size] = '\0';
    for (size_t at = 0; at <= size && count < (int)ARGUMENTS_MAX + 2; at += strlen(bytes + at) + 1)
        arguments[count++] = bytes + at;
    if (bcfs_options_parse(&options, count, arguments)) check_accepted(&options);
    bcfs_options_release(&options);
    FUZZ_CHECK(options.store == NULL && options.kernel_flags == NULL);
    free(bytes);
    return 0;
}
