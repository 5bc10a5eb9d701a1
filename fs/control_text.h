/* control_text.h - what a control file says when it is read: the commands, what runs, how the last of each kind ended.
 *
 * Holds the facts that the text is made of, and makes it; nothing here asks anybody. Each line is "WORDS: FACTS", so
 * that a person can read and a script can grep it. Names and commands are escaped: neither can forge a line.
 */
#ifndef BCFS_CONTROL_TEXT_H
#define BCFS_CONTROL_TEXT_H

#include "bitcask.h"
#include "command.h"
#include "sandbox.h"

#include <stdio.h>

#define BCFS_FINDINGS_MAX 20u /* lines kept of a verify */
#define BCFS_PATH_SIZE 256u   /* of a directory, NUL included; of a longer path the end is kept */

/* How the last command of a kind ended. */
struct bcfs_outcome {
    int64_t ended_ns; /* since 1970; 0: there was none */
    uint64_t elapsed_ns;
    char path[BCFS_PATH_SIZE];
    char failure[256]; /* "": it worked */
    bool cancelled;    /* and so it failed */
};

/* A verify's lines, ready to be shown: what is wrong first, notes behind. */
struct bcfs_findings {
    char *lines[BCFS_FINDINGS_MAX]; /* owned */
    size_t count;
    size_t serious; /* of these, no notes */
};

/* The last command that was refused, or failed. */
struct bcfs_refusal {
    int64_t when_ns; /* since 1970; 0: there was none */
    char command[BCFS_COMMAND_MAX];
    size_t command_size;
    char reason[256];
};

/* What the mount remembers of its commands. */
struct bcfs_history {
    struct bcfs_outcome sync;
    struct bcfs_outcome rotate;
    struct bcfs_outcome verify;
    bitcask_verify_result verified; /* what the last verify found, if it worked */
    struct bcfs_findings findings;
    struct bcfs_refusal refusal;
};

/* All that the text of one directory's control file needs. Nothing is owned. */
struct bcfs_report {
    const char *path; /* of the directory; "" for the root */
    bool read_only;
    const bitcask_activity *activity;
    const struct bcfs_history *history;
    const struct bcfs_sandbox *sandbox; /* NULL: nothing is said of it */
};

/* The whole text, malloc'ed, *size bytes; NULL: no memory. */
char *bcfs_report_render(const struct bcfs_report *report, size_t *size);

/* Puts a line for a finding where it belongs. No memory: it is left out. */
void bcfs_findings_add(struct bcfs_findings *findings, const bitcask_finding *finding);
void bcfs_findings_release(struct bcfs_findings *findings);

/* Writes bytes with \, " and all that is not printable ASCII as \xNN. */
void bcfs_print_escaped(FILE *out, const void *bytes, size_t size);

#endif
