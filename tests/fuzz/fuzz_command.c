/* fuzz_command.c - what is written into a control file, of any bytes: understood, or refused with one line.
 *
 * Each command that is understood comes to the same when it is written in its plain form.
 */
#include "command.h"
#include "fuzz.h"
#include "number.h"

static bool same(const struct bcfs_command *a, const struct bcfs_command *b)
{
    return a->kind == b->kind && a->full == b->full && a->on == b->on && a->rate_bytes_per_s == b->rate_bytes_per_s;
}

static void check_plain(const struct bcfs_command *command)
{
    struct bcfs_command again;
    char text[64] = "";
    switch (command->kind) {
    case BCFS_MERGE: snprintf(text, sizeof text, "merge%s", command->full ? " full" : ""); break;
    case BCFS_SYNC: snprintf(text, sizeof text, "sync"); break;
    case BCFS_ROTATE: snprintf(text, sizeof text, "rotate"); break;
    case BCFS_VERIFY: snprintf(text, sizeof text, "verify"); break;
    case BCFS_SCHEDULER: snprintf(text, sizeof text, "scheduler %s", command->on ? "on" : "off"); break;
    case BCFS_THROTTLE:
        if (command->rate_bytes_per_s == 0) {
            snprintf(text, sizeof text, "throttle off");
        } else {
            FUZZ_CHECK(command->rate_bytes_per_s >= BCFS_RATE_MIN && command->rate_bytes_per_s <= BCFS_RATE_MAX);
            snprintf(text, sizeof text, "throttle %llu", (unsigned long long)command->rate_bytes_per_s);
        }
        break;
    }
    FUZZ_CHECK(text[0] != '\0');
    FUZZ_CHECK(bcfs_command_parse(text, strlen(text), &again) == NULL && same(command, &again));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bcfs_command command = {.kind = BCFS_VERIFY, .rate_bytes_per_s = 77}, before = command;
    uint8_t *bytes = fuzz_copy(data, size);
    const char *trimmed = (const char *)bytes;
    size_t trimmed_size = size;
    const char *wrong = bcfs_command_parse((const char *)bytes, size, &command);
    if (wrong) {
        FUZZ_CHECK(wrong[0] != '\0' && strchr(wrong, '\n') == NULL && same(&command, &before));
    } else {
        check_plain(&command);
    }
    bcfs_command_trim(&trimmed, &trimmed_size);
    FUZZ_CHECK(trimmed_size <= size && memcmp(bytes, data, size) == 0);
    before = command;
    FUZZ_CHECK((bcfs_command_parse(trimmed, trimmed_size, &command) == NULL) == (wrong == NULL));
    FUZZ_CHECK(same(&command, &before));
    free(bytes);
    return 0;
}
