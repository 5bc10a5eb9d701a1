/* json.h - taking a text of JSON apart, in place and value by value.
 *
 * Strings are decoded where they stand: the text is spoilt by being read, and outlives what is taken from it. After the
 * first failure every further call fails; `wrong` says why.
 */
#ifndef CLI_JSON_H
#define CLI_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cli_json {
    char *at;
    char *end;
    const char *wrong; /* NULL: nothing so far */
};

/* Sets `wrong`, unless it is set. Returns false. */
bool cli_json_fail(struct cli_json *json, const char *wrong);

/* Goes into an object, '{', or an array, '['. */
bool cli_json_enter(struct cli_json *json, char bracket);

/* Goes on to the next member, or element. False at the end, which is passed, and on failure. first: true before the
 * first call; it is changed. */
bool cli_json_next(struct cli_json *json, char closing, bool *first);

/* The name of a member, with the colon; a string; a whole number that is not negative. */
bool cli_json_name(struct cli_json *json, char **name, size_t *size);
bool cli_json_string(struct cli_json *json, char **text, size_t *size);
bool cli_json_number(struct cli_json *json, uint64_t *number);

/* Passes over a value of any kind. */
bool cli_json_skip(struct cli_json *json);

/* Nothing but space is left. */
bool cli_json_ended(struct cli_json *json);

/* Decodes text in place. False: it is none. */
bool cli_base64_decode(char *text, size_t *size);
bool cli_hex_decode(char *text, size_t *size);

#endif
