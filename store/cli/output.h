/* output.h - printing names, and making sure that what was printed has arrived.
 */
#ifndef CLI_OUTPUT_H
#define CLI_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

enum cli_escape {
    CLI_ESCAPE_NOTHING,  /* the bytes as they are: for programs */
    CLI_ESCAPE_CONTROLS, /* what the terminal's character set cannot print as \xNN: a name must not steer it */
    CLI_ESCAPE_QUOTED    /* printable ASCII, the rest as \xNN, backslash and quote as \\ and \": unambiguous */
};

/* Prints a name of a given size, or one that ends in NUL. Errors stay on the stream, see cli_finish_output(). */
void cli_print_bytes(FILE *out, const void *name, size_t size, enum cli_escape escape);
void cli_print_name(FILE *out, const char *name, enum cli_escape escape);

/* Prints value as the JSON member "name", if it is UTF-8, else, in base64, as "name_base64". */
void cli_print_json_value(FILE *out, const char *name, const void *value, size_t size);

/* Prints bytes in base64. */
void cli_print_base64(FILE *out, const void *bytes, size_t size);

/* Whether all of text is UTF-8. */
bool cli_is_utf8(const void *text, size_t size);

/* Prints a partition's path for a line of text, as CLI_ESCAPE_QUOTED; the root's is "/". */
void cli_print_path(FILE *out, const char *path);

/* Prints the members "name": "text" of a JSON object. JSON is UTF-8 and names are not: where text is none, each byte
 * of it that does not belong is shown as U+FFFD, and a second member, "name_hex", has all of the bytes. */
void cli_print_json_member(FILE *out, const char *name, const void *text, size_t size);

/* CLI_ESCAPE_CONTROLS where standard output is a terminal, else CLI_ESCAPE_NOTHING. */
enum cli_escape cli_output_escape(void);

/* Writes size bytes to standard output, past stdio. Tells of a failure, except of a reader that went away, which most
 * often has what it wanted. Returns an exit status. */
int cli_write_output(const void *data, size_t size);

/* Flushes standard output. What did not arrive is told and turns CLI_OK into CLI_FAILED; a reader that went away is
 * not told, and turns it into what a shell gives to SIGPIPE. Returns the exit status. */
int cli_finish_output(int status);

/* Opens the standard descriptors that the caller left closed, so that they fail when used: else the first file of
 * the store would get their number, and a value be written into it. To be called first. */
void cli_guard_descriptors(void);

#endif
