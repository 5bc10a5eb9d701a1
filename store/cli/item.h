/* item.h - one key or partition with its attributes, on its way out of a store or into it, and its form in JSON.
 *
 * In JSON an item is an object on a line of its own:
 *
 *     {"path": "orders/0001", "type": "file", "mode": "0644", "uid": 1000, "gid": 1000,
 *      "mtime": "2026-11-30T07:31:01.123456789Z", "value": "3 pencils\n"}
 *
 * type: file, dir, symlink (its value is where it leads), fifo, socket, char or block (with "device": [major, minor]),
 * or link: another name of the file at "target". Also, where there are such: "atime", "expires", and "xattrs", an array
 * of {"name", "value"}, or "xattrs_base64" where they are not in the mount's form. JSON is UTF-8 and names and values
 * are not: a path that is none has a second member "path_hex", which counts; a value that is none stands in
 * "value_base64" instead.
 */
#ifndef CLI_ITEM_H
#define CLI_ITEM_H

#include "cli.h"
#include "value.h"
#include "xattrs.h"

struct cli_item {
    const char *path; /* names joined by '/'; "" for where the export began. Not owned, nor are the others */
    bitcask_kind kind;
    bitcask_attrs attrs;
    uint64_t value_size;
    const char *target; /* it is another name of the file at this path; NULL: it is not */
};

/* The type and permissions, of which those that it does not state are the defaults. */
uint32_t cli_item_mode(const struct cli_item *item);

/* Prints item as a line of JSON. value: its value, pinned; NULL: it has none, or it is not wanted. with_size: print its
 * size. The xattrs are those in item->attrs. Errors of stdout stay on it. */
bitcask_status cli_item_print_json(const struct cli_item *item, bitcask_value *value, bool with_size);

/* Takes a line of JSON apart, in place: item points into line and into xattrs; the value goes to value. whose: the
 * line's name, for messages. Returns an exit status. */
int cli_item_parse_json(char *line, size_t size, const char *whose, struct cli_item *item, struct cli_xattrs *xattrs,
                        struct cli_gather *value);

#endif
