/* test_racing_opens.c - many processes open one store at once: one of those who want to write gets it, all others are
 * told so, and nobody is locked out by one that was killed.
 *
 * A round: processes are forked and wait for one start; each opens the store. Who gets it holds it until all have
 * reported, then writes and either closes it or is killed (-9) with the store open. Readers race among them and always
 * get in. The first round makes the store. LONG: as many rounds again, ten times.
 */
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fixture.h"

enum { WRITERS = 10, READERS = 2, RACERS = WRITERS + READERS, ROUNDS = 100 };

enum report { WON = 'w', REFUSED = 'r', READ = 'o', FAILED = 'f' };

static void report(int fd, char what, const char *detail)
{
    if (what == FAILED) fprintf(stderr, "    %s\n", detail);
    if (write(fd, &what, 1) != 1) _exit(3);
}

/* Waits until the pipe's other end is closed, or for a byte. */
static void wait_for(int fd)
{
    char byte;
    while (read(fd, &byte, 1) < 0 && errno == EINTR) {
    }
}

/* One process's life. start and finish are closed when it may go on. */
static void race(const char *path, bool reads, bool first, int start, int reports, int finish, unsigned round)
{
    bitcask_options options;
    bitcask *db = NULL;
    bitcask_options_init(&options);
    options.create = !reads;
    options.read_only = reads;
    wait_for(start);
    bitcask_status status = bitcask_open(path, &options, &db);
    if (reads) {
        /* Before the first writer has made it there is no store. */
        bool fine = status == BITCASK_OK || (first && (status == BITCASK_NOT_A_STORE || status == BITCASK_NOT_FOUND));
        report(reports, fine ? READ : FAILED, bitcask_error_detail());
    } else {
        report(reports,
               status == BITCASK_OK       ? WON
               : status == BITCASK_IN_USE ? REFUSED
                                          : FAILED,
               bitcask_error_detail());
    }
    if (status != BITCASK_OK) _exit(0);
    wait_for(finish);
    if (!reads) {
        bitcask_partition *root = NULL;
        char key[32];
        snprintf(key, sizeof key, "round%u", round);
        if (bitcask_partition_open(db, "", &root) != BITCASK_OK) _exit(1);
        if (put_text(root, key, key, 0) != BITCASK_OK) _exit(1);
        bitcask_partition_close(&root);
    }
    if (round % 2 == 1) kill(getpid(), SIGKILL);
    _exit(bitcask_close(&db) == BITCASK_OK ? 0 : 1);
}

/* Returns how many violations there were. */
static unsigned run_round(const char *path, unsigned round)
{
    int start[2], reports[2], finish[2];
    unsigned counts[256] = {0};
    unsigned bad = 0;
    if (pipe(start) != 0 || pipe(reports) != 0 || pipe(finish) != 0) return 1;
    for (int i = 0; i < RACERS; i++) {
        pid_t child = fork();
        if (child < 0) return 1;
        if (child > 0) continue;
        close(start[1]);
        close(reports[0]);
        close(finish[1]);
        race(path, i >= WRITERS, round == 0, start[0], reports[1], finish[0], round);
    }
    close(start[0]);
    close(finish[0]);
    close(reports[1]);
    close(start[1]); /* go */
    for (int i = 0; i < RACERS; i++) {
        char what = FAILED;
        if (read(reports[0], &what, 1) != 1) what = FAILED;
        counts[(unsigned char)what]++;
    }
    close(finish[1]);
    for (int i = 0; i < RACERS; i++) {
        int status = 0;
        if (wait(&status) < 0 || (WIFEXITED(status) && WEXITSTATUS(status) != 0)) bad++;
        if (WIFSIGNALED(status) && WTERMSIG(status) != SIGKILL) bad++;
    }
    close(reports[0]);
    if (counts[WON] != 1 || counts[REFUSED] != WRITERS - 1 || counts[READ] != READERS) bad++;
    if (bad > 0) {
        printf("\n    round %u: %u winners, %u refused, %u readers, %u failed", round, counts[WON], counts[REFUSED],
               counts[READ], counts[FAILED]);
    }
    return bad;
}

static void one_winner_and_nobody_locked_out(void)
{
    const char *path = fixture_path("raced");
    const char *given = getenv("LONG");
    unsigned rounds = given != NULL && given[0] != '\0' && strcmp(given, "0") != 0 ? 10 * ROUNDS : ROUNDS;
    unsigned bad = 0;
    for (unsigned round = 0; round < rounds; round++) bad += run_round(path, round);
    CU_ASSERT_EQUAL(bad, 0);

    /* Who won wrote; a kill loses nothing of a process, only of a machine. */
    bitcask *db = fixture_open(path, BITCASK_SYNC_OS);
    bitcask_partition *root = NULL;
    unsigned missing = 0;
    EXPECT(BITCASK_OK, bitcask_partition_open(db, "", &root));
    for (unsigned round = 0; round < rounds; round++) {
        char key[32];
        snprintf(key, sizeof key, "round%u", round);
        if (strcmp(get_text(root, key), key) != 0) missing++;
    }
    CU_ASSERT_EQUAL(missing, 0);
    bitcask_partition_close(&root);
    EXPECT(BITCASK_OK, bitcask_close(&db));
    printf("\n    OPENS raced: %u, rounds: %u, violations: %u ", rounds * RACERS, rounds, bad + missing);
}

int main(void)
{
    static CU_TestInfo tests[] = {
        {"one_winner_and_nobody_locked_out", one_winner_and_nobody_locked_out},
        CU_TEST_INFO_NULL,
    };
    return fixture_run("racing opens", tests);
}
