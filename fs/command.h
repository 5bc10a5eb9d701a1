/* command.h - the commands that can be written into a control file, and how they are read.
 *
 * Holds the words and nothing that acts: what a command does is jobs.h's business.
 */
#ifndef BCFS_COMMAND_H
#define BCFS_COMMAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BCFS_COMMAND_MAX 256u             /* bytes of a command */
#define BCFS_RATE_MIN 4096u               /* bytes a second that a throttle must let pass */
#define BCFS_RATE_MAX ((uint64_t)1 << 50) /* more means nothing: it is `off` */

enum bcfs_command_kind { BCFS_MERGE, BCFS_SYNC, BCFS_ROTATE, BCFS_VERIFY, BCFS_SCHEDULER, BCFS_THROTTLE };

struct bcfs_command {
    enum bcfs_command_kind kind;
    bool full;                 /* merge */
    bool on;                   /* scheduler */
    uint64_t rate_bytes_per_s; /* throttle; 0: off */
};

/* What a person can write, one line of help each: `words` and what they do. The last one has words NULL. */
struct bcfs_command_help {
    const char *words;
    const char *text;
};
extern const struct bcfs_command_help bcfs_command_help[];

/* Takes the blanks and newlines at both ends off. */
void bcfs_command_trim(const char **bytes, size_t *size);

/* Reads one command of size bytes: words with blanks between, blanks and newlines around them. NULL: it was understood.
 * Else *command is unchanged and the result is one line that says what is wrong. Bytes may be anything. */
const char *bcfs_command_parse(const char *bytes, size_t size, struct bcfs_command *command);

#endif
