/* test_control.c - the commands of a control file, and the text that it shows: parser and renderer alone. */
#include "unit.h"

#include "command.h"
#include "control_text.h"

static const struct bcfs_command untouched = {.kind = BCFS_VERIFY, .full = true, .rate_bytes_per_s = 99};

/* Parses text; it must be a command of that kind. */
static struct bcfs_command good(const char *text, enum bcfs_command_kind kind)
{
    struct bcfs_command command = untouched;
    const char *wrong = bcfs_command_parse(text, strlen(text), &command);

    if (wrong != NULL) fprintf(stderr, "\"%s\": %s\n", text, wrong);
    CU_ASSERT_PTR_NULL(wrong);
    CU_ASSERT_EQUAL(command.kind, kind);
    return command;
}

/* Parses size bytes; they must be refused, and the command left alone. */
static void bad_bytes(const char *bytes, size_t size)
{
    struct bcfs_command command = untouched;
    const char *wrong = bcfs_command_parse(bytes, size, &command);

    if (wrong == NULL) fprintf(stderr, "not refused: \"%.*s\"\n", (int)size, bytes);
    CU_ASSERT_PTR_NOT_NULL(wrong);
    CU_ASSERT_EQUAL(memcmp(&command, &untouched, sizeof(command)), 0);
}

static void bad(const char *text)
{
    bad_bytes(text, strlen(text));
}

static void every_command_is_understood(void)
{
    CU_ASSERT_FALSE(good("merge", BCFS_MERGE).full);
    CU_ASSERT_TRUE(good("merge full", BCFS_MERGE).full);
    (void)good("sync", BCFS_SYNC);
    (void)good("rotate", BCFS_ROTATE);
    (void)good("verify", BCFS_VERIFY);
    CU_ASSERT_TRUE(good("scheduler on", BCFS_SCHEDULER).on);
    CU_ASSERT_FALSE(good("scheduler off", BCFS_SCHEDULER).on);
    CU_ASSERT_EQUAL(good("throttle off", BCFS_THROTTLE).rate_bytes_per_s, 0);
    CU_ASSERT_EQUAL(good("throttle 4096", BCFS_THROTTLE).rate_bytes_per_s, 4096);
    CU_ASSERT_EQUAL(good("throttle 500K", BCFS_THROTTLE).rate_bytes_per_s, 512000);
    CU_ASSERT_EQUAL(good("throttle 20M", BCFS_THROTTLE).rate_bytes_per_s, 20971520);
    CU_ASSERT_EQUAL(good("throttle 3g", BCFS_THROTTLE).rate_bytes_per_s, 3221225472u);
}

static void blanks_around_and_between_do_not_count(void)
{
    (void)good("sync\n", BCFS_SYNC);
    (void)good("  sync \t \n\n", BCFS_SYNC);
    CU_ASSERT_TRUE(good("\tmerge \t  full \n", BCFS_MERGE).full);
}

static void anything_else_is_refused(void)
{
    static const char *const words[] = {
        "",           "\n",         " \t\n",      "mergee",    "MERGE",     "merge half",    "merge full full",
        "sync\nsync", "sync now",   "rotate all", "verify -",  "scheduler", "scheduler ON",  "scheduler on off",
        "full merge", "merge,full", "\"merge\"",  "me\x01rge", "merge\r",   "v\xc3\xa9rify", "quit",
    };

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) bad(words[i]);
    bad_bytes("sync\0", 5);
    bad_bytes("\0sync", 5);
    bad_bytes("me\0rge", 6);
}

static void rates_out_of_range_are_refused(void)
{
    static const char *const rates[] = {
        "0",
        "-1",
        "+5M",
        "10E",
        "20MB",
        "1.5M",
        "4095",
        "3K",
        "M",
        "0M",
        "",
        "off off",
        "20 M",
        "1e9",
        "0x10000",
        "99999999999999999999",
        "18446744073709551615",
        "17179869184G",
        "9999999G",
    };

    for (size_t i = 0; i < sizeof(rates) / sizeof(rates[0]); i++) {
        char text[64];

        (void)snprintf(text, sizeof(text), "throttle %s", rates[i]);
        bad(text);
    }
}

static void long_commands_are_refused_to_the_byte(void)
{
    char text[1024];

    memset(text, ' ', sizeof(text));
    memcpy(text, "merge", 5);
    memcpy(text + BCFS_COMMAND_MAX - 4, "full", 4);
    CU_ASSERT_PTR_NULL(bcfs_command_parse(text, BCFS_COMMAND_MAX, &(struct bcfs_command){0}));
    /* Blanks behind it do not count. */
    CU_ASSERT_PTR_NULL(bcfs_command_parse(text, sizeof(text), &(struct bcfs_command){0}));
    memset(text, ' ', sizeof(text));
    memcpy(text, "merge", 5);
    memcpy(text + BCFS_COMMAND_MAX - 3, "full", 4);
    bad_bytes(text, BCFS_COMMAND_MAX + 1);
    memset(text, 'x', sizeof(text));
    bad_bytes(text, sizeof(text));
}

static void random_bytes_are_no_command(void)
{
    uint64_t random = unit_seed("random_bytes_are_no_command");
    uint8_t bytes[300];

    for (int i = 0; i < 20000; i++) {
        size_t size = (size_t)(unit_random(&random) % sizeof(bytes));
        struct bcfs_command command;

        unit_random_bytes(&random, bytes, size);
        (void)bcfs_command_parse((const char *)bytes, size, &command);
    }
}

static void a_trimmed_command_is_a_part_of_what_was_written(void)
{
    const char *bytes = " \n a b\t\n";
    size_t size = strlen(bytes);

    bcfs_command_trim(&bytes, &size);
    CU_ASSERT_EQUAL(size, 3);
    CU_ASSERT_EQUAL(memcmp(bytes, "a b", 3), 0);
    bytes = "\n \t";
    size = 3;
    bcfs_command_trim(&bytes, &size);
    CU_ASSERT_EQUAL(size, 0);
}

/* ---- the text ---- */

static bitcask_activity activity;
static struct bcfs_history history;

static void forget_all(void)
{
    activity = (bitcask_activity){.scheduler = false};
    bcfs_findings_release(&history.findings);
    history = (struct bcfs_history){.refusal = {.when_ns = 0}};
}

static char *render(const char *path)
{
    struct bcfs_report report = {.path = path, .activity = &activity, .history = &history};
    size_t size = 0;
    char *text = bcfs_report_render(&report, &size);

    CU_ASSERT_PTR_NOT_NULL_FATAL(text);
    CU_ASSERT_EQUAL(size, strlen(text));
    for (size_t i = 0; i < size; i++) {
        if (text[i] != '\n' && (text[i] < ' ' || text[i] > '~')) CU_FAIL("a byte that is not printable");
    }
    CU_ASSERT_EQUAL(text[size - 1], '\n');
    return text;
}

/* Whether text has the line, as a whole. */
static bool has(const char *text, const char *line)
{
    size_t size = strlen(line);

    for (const char *at = text; at != NULL; at = strchr(at, '\n'), at += at != NULL) {
        if (strncmp(at, line, size) == 0 && at[size] == '\n') return true;
    }
    fprintf(stderr, "no line \"%s\" in:\n%s\n", line, text);
    return false;
}

/* Renders, and looks for one line. */
static void shows(const char *line)
{
    char *text = render("");

    CU_ASSERT_TRUE(has(text, line));
    free(text);
}

static void an_idle_store_says_so(void)
{
    char *text = NULL;

    forget_all();
    text = render("orders/2026");
    CU_ASSERT_TRUE(has(text, "directory: orders/2026"));
    CU_ASSERT_TRUE(has(text, "scheduler: off"));
    CU_ASSERT_TRUE(has(text, "throttle: off"));
    CU_ASSERT_TRUE(has(text, "merge: idle"));
    CU_ASSERT_TRUE(has(text, "verify: idle"));
    CU_ASSERT_TRUE(has(text, "last merge: none"));
    CU_ASSERT_TRUE(has(text, "last verify: none"));
    CU_ASSERT_TRUE(has(text, "last sync: none"));
    CU_ASSERT_TRUE(has(text, "last rotate: none"));
    CU_ASSERT_TRUE(has(text, "last error: none"));
    for (const struct bcfs_command_help *help = bcfs_command_help; help->words != NULL; help++) {
        CU_ASSERT_PTR_NOT_NULL(strstr(text, help->words));
    }
    free(text);
    shows("directory: /");
}

static void settings_are_shown(void)
{
    forget_all();
    activity.scheduler = true;
    activity.merge_bytes_per_s = 20971520;
    shows("scheduler: on");
    shows("throttle: 20971520 bytes/s");
}

static void work_in_progress_is_shown(void)
{
    forget_all();
    activity.merge = (bitcask_job){.running = true,
                                   .path = "orders/2026",
                                   .bytes_done = 12300000,
                                   .bytes_total = 27000000,
                                   .elapsed_ns = 600000000};
    activity.merges_waiting = 2;
    shows("merge: 45% of orders/2026, 12.3 MB of 27.0 MB, 20.5 MB/s, for 0.6 s, 2 waiting");
    shows("verify: idle");
    activity.verify = (bitcask_job){.running = true};
    shows("verify: 0% of /, 0.0 MB of 0.0 MB, 0.0 MB/s, for 0.0 s");
    /* A total that was known too small. */
    activity.verify =
        (bitcask_job){.running = true, .bytes_done = 5000000, .bytes_total = 4000000, .elapsed_ns = 1000000000};
    shows("verify: 100% of /, 5.0 MB of 5.0 MB, 5.0 MB/s, for 1.0 s");
}

static void the_last_merge_is_shown(void)
{
    forget_all();
    activity.merge = (bitcask_job){.path = "a", .elapsed_ns = 812000000, .ended_ns = UINT64_C(1795368671313320513)};
    activity.merge.result.merge =
        (bitcask_merge_result){.merges = 1, .segments_in = 5, .segments_out = 2, .bytes_in = 900, .bytes_out = 400};
    shows("last merge: done 2026-11-22 17:31:11 UTC in 0.812 s, of a: 1 merges, 5 segments to 2, 900 bytes to 400, "
          "500 bytes reclaimed");
    activity.merge.status = BITCASK_NO_SPACE;
    activity.merge.result.merge.damaged = 1;
    shows("last merge: failed 2026-11-22 17:31:11 UTC in 0.812 s, of a: 1 merges, 5 segments to 2, 900 bytes to 400, "
          "500 bytes reclaimed, 1 damaged segments left alone: no space left on the disk");
    activity.merge.status = BITCASK_CANCELLED;
    activity.merge.result.merge = (bitcask_merge_result){.merges = 0};
    strcpy(activity.merge.detail, "enough");
    shows("last merge: cancelled 2026-11-22 17:31:11 UTC in 0.812 s, of a: 0 merges, 0 segments to 0, 0 bytes to 0, "
          "0 bytes reclaimed: enough");
}

static void the_last_of_the_others_is_shown(void)
{
    forget_all();
    history.sync = (struct bcfs_outcome){.ended_ns = INT64_C(1795368671313320513), .elapsed_ns = 1000000};
    history.rotate = (struct bcfs_outcome){
        .ended_ns = INT64_C(1795368671313320513), .elapsed_ns = 1000000, .path = "x\ny", .failure = "no\nroom"};
    shows("last sync: done 2026-11-22 17:31:11 UTC in 0.001 s, of /");
    shows("last rotate: failed 2026-11-22 17:31:11 UTC in 0.001 s, of x\\x0ay: no?room");
    history.verify = history.sync;
    history.verified = (bitcask_verify_result){.partitions = 1, .segments = 2, .records = 3, .bytes = 4};
    shows("last verify: sound 2026-11-22 17:31:11 UTC in 0.001 s, of /: 1 partitions, 2 segments, 3 records, 4 bytes; "
          "0 damaged, 0 bad hints, 0 notes");
    history.verify.cancelled = true;
    strcpy(history.verify.failure, "cancelled");
    shows("last verify: cancelled 2026-11-22 17:31:11 UTC in 0.001 s, of /: cancelled");
}

static void a_refused_command_is_shown_escaped(void)
{
    static const char command[] = "x\"\\\n\x80y";

    forget_all();
    history.refusal.when_ns = INT64_C(1795368671313320513);
    memcpy(history.refusal.command, command, sizeof(command));
    history.refusal.command_size = sizeof(command);
    strcpy(history.refusal.reason, "not a command");
    shows("last error: 2026-11-22 17:31:11 UTC, \"x\\x22\\x5c\\x0a\\x80y\\x00\": not a command");
}

static void add_finding(bitcask_finding_kind kind, const char *text)
{
    bitcask_finding finding = {.kind = kind, .path = "p", .file = "000007.data", .offset = 10, .text = text};

    bcfs_findings_add(&history.findings, &finding);
}

static void findings_show_what_is_wrong_first(void)
{
    bitcask_finding whole = {
        .kind = BITCASK_FOUND_DAMAGE, .path = "", .file = "", .size = 5, .key = "k\n", .key_size = 2, .text = "gone"};
    char text[16];

    forget_all();
    history.verify.ended_ns = 1;
    for (int i = 0; i < 30; i++) {
        (void)snprintf(text, sizeof(text), "note %d", i);
        add_finding(BITCASK_FOUND_NOTE, text);
    }
    CU_ASSERT_EQUAL(history.findings.count, BCFS_FINDINGS_MAX);
    bcfs_findings_add(&history.findings, &whole);
    add_finding(BITCASK_FOUND_HINT, "old");
    CU_ASSERT_EQUAL(history.findings.count, BCFS_FINDINGS_MAX);
    CU_ASSERT_EQUAL(history.findings.serious, 2);
    CU_ASSERT_STRING_EQUAL(history.findings.lines[0], "damage: /, 5 bytes, key \"k\\x0a\": gone");
    CU_ASSERT_STRING_EQUAL(history.findings.lines[1], "bad hint: p, 000007.data at 10: old");
    CU_ASSERT_STRING_EQUAL(history.findings.lines[2], "note: p, 000007.data at 10: note 0");
    CU_ASSERT_STRING_EQUAL(history.findings.lines[19], "note: p, 000007.data at 10: note 17");
    history.verified = (bitcask_verify_result){.damage = 1, .hints = 1, .notes = 30};
    shows("last verify: damage 1970-01-01 00:00:00 UTC in 0.000 s, of /: 0 partitions, 0 segments, 0 records, 0 bytes; "
          "1 damaged, 1 bad hints, 30 notes");
    shows("  damage: /, 5 bytes, key \"k\\x0a\": gone");
    shows("  ... and 12 more");
    for (int i = 0; i < 30; i++) add_finding(BITCASK_FOUND_DAMAGE, "more");
    CU_ASSERT_EQUAL(history.findings.count, BCFS_FINDINGS_MAX);
    CU_ASSERT_EQUAL(history.findings.serious, BCFS_FINDINGS_MAX);
    CU_ASSERT_STRING_EQUAL(history.findings.lines[19], "damage: p, 000007.data at 10: more");
    forget_all();
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"every_command_is_understood", every_command_is_understood},
        {"blanks_around_and_between_do_not_count", blanks_around_and_between_do_not_count},
        {"anything_else_is_refused", anything_else_is_refused},
        {"rates_out_of_range_are_refused", rates_out_of_range_are_refused},
        {"long_commands_are_refused_to_the_byte", long_commands_are_refused_to_the_byte},
        {"random_bytes_are_no_command", random_bytes_are_no_command},
        {"a_trimmed_command_is_a_part_of_what_was_written", a_trimmed_command_is_a_part_of_what_was_written},
        {"an_idle_store_says_so", an_idle_store_says_so},
        {"settings_are_shown", settings_are_shown},
        {"work_in_progress_is_shown", work_in_progress_is_shown},
        {"the_last_merge_is_shown", the_last_merge_is_shown},
        {"the_last_of_the_others_is_shown", the_last_of_the_others_is_shown},
        {"a_refused_command_is_shown_escaped", a_refused_command_is_shown_escaped},
        {"findings_show_what_is_wrong_first", findings_show_what_is_wrong_first},
        CU_TEST_INFO_NULL,
    };

    return unit_run("control", tests);
}
