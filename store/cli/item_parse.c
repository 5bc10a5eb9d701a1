/* item_parse.c - one key or partition as a line of JSON, on the way in. See item.h.
 */
#include "item.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>

#include "json.h"

struct text {
    char *bytes;
    size_t size;
};

/* A line being taken apart. */
struct parse {
    struct cli_json json;
    const char *whose;
    struct cli_item *item;
    struct cli_xattrs *xattrs;
    struct cli_gather *value;
    struct text path, target;
    uint32_t type; /* S_IFMT bits */
    uint32_t mode; /* permissions */
    bool has_value, is_link, raw_xattrs;
    int status; /* a failure that was told already */
};

static bool is(const struct text *text, const char *word)
{
    return text->size == strlen(word) && memcmp(text->bytes, word, text->size) == 0;
}

static bool take_text(struct parse *parse, struct text *text)
{
    return cli_json_string(&parse->json, &text->bytes, &text->size);
}

static bool take_hex(struct parse *parse, struct text *text)
{
    if (!take_text(parse, text)) return false;
    return cli_hex_decode(text->bytes, &text->size) || cli_json_fail(&parse->json, "a _hex member is not hexadecimal");
}

static bool take_base64(struct parse *parse, struct text *text)
{
    if (!take_text(parse, text)) return false;
    return cli_base64_decode(text->bytes, &text->size) || cli_json_fail(&parse->json, "a _base64 member is not base64");
}

static bool take_type(struct parse *parse)
{
    static const struct {
        const char *name;
        uint32_t type;
    } types[] = {{"file", S_IFREG},    {"dir", S_IFDIR},  {"symlink", S_IFLNK}, {"fifo", S_IFIFO},
                 {"socket", S_IFSOCK}, {"char", S_IFCHR}, {"block", S_IFBLK},   {"link", 0}};
    struct text text;

    if (!take_text(parse, &text)) return false;
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        if (!is(&text, types[i].name)) continue;
        parse->type = types[i].type;
        parse->is_link = types[i].type == 0;
        return true;
    }
    return cli_json_fail(&parse->json,
                         "the type is not known; it is file, dir, symlink, fifo, socket, char, block or link");
}

static bool take_mode(struct parse *parse)
{
    struct text text;

    if (!take_text(parse, &text)) return false;
    parse->mode = 0;
    for (size_t i = 0; i < text.size; i++) {
        if (text.bytes[i] < '0' || text.bytes[i] > '7' || parse->mode > 0777)
            return cli_json_fail(&parse->json, "mode is not an octal number in quotes, such as \"0644\"");
        parse->mode = parse->mode * 8 + (uint32_t)(text.bytes[i] - '0');
    }
    parse->item->attrs.present |= BITCASK_ATTR_MODE;
    return true;
}

static bool take_id(struct parse *parse, uint32_t *id, uint32_t bit)
{
    uint64_t number;

    if (!cli_json_number(&parse->json, &number)) return false;
    if (number > UINT32_MAX) return cli_json_fail(&parse->json, "uid or gid is too large");
    *id = (uint32_t)number;
    parse->item->attrs.present |= bit;
    return true;
}

/* The number of count digits at *at, which is moved on; -1: they are not there. */
static int digits(const char **at, const char *end, int count)
{
    int value = 0;

    if (end - *at < count) return -1;
    for (; count > 0; count--, ++*at) {
        if (**at < '0' || **at > '9') return -1;
        value = value * 10 + (**at - '0');
    }
    return value;
}

/* Reads 2026-11-30T07:31:01.123456789Z, with 0 to 9 digits of a second, into nanoseconds. */
static bool parse_time(const struct text *text, int64_t *time_ns)
{
    static const char between[] = "--T::";
    const char *at = text->bytes, *end = at + text->size;
    int parts[6];
    int64_t ns = 0;

    for (int i = 0; i < 6; i++) {
        parts[i] = digits(&at, end, i == 0 ? 4 : 2);
        if (parts[i] < 0) return false;
        if (i < 5 && (at == end || *at++ != between[i])) return false;
    }
    if (at < end && *at == '.') {
        int64_t unit = 100000000;
        for (at++; at < end && *at >= '0' && *at <= '9'; at++, unit /= 10) ns += (*at - '0') * unit;
    }
    if (end - at != 1 || *at != 'Z') return false;
    struct tm tm = {.tm_year = parts[0] - 1900,
                    .tm_mon = parts[1] - 1,
                    .tm_mday = parts[2],
                    .tm_hour = parts[3],
                    .tm_min = parts[4],
                    .tm_sec = parts[5]};
    if (parts[1] < 1 || parts[1] > 12 || parts[2] < 1 || parts[2] > 31 || parts[3] > 23 || parts[4] > 59 ||
        parts[5] > 60)
        return false;
    time_t seconds = timegm(&tm);
    if (__builtin_mul_overflow((int64_t)seconds, INT64_C(1000000000), time_ns)) return false;
    return !__builtin_add_overflow(*time_ns, ns, time_ns);
}

static bool take_time(struct parse *parse, int64_t *time_ns, uint32_t bit)
{
    struct text text;

    if (!take_text(parse, &text)) return false;
    if (!parse_time(&text, time_ns))
        return cli_json_fail(&parse->json, "a time is not of the form 2026-11-30T07:31:01.123456789Z");
    parse->item->attrs.present |= bit;
    return true;
}

static bool take_device(struct parse *parse)
{
    uint64_t parts[2] = {0, 0};
    bool first = true;
    int count = 0;

    if (!cli_json_enter(&parse->json, '[')) return false;
    while (cli_json_next(&parse->json, ']', &first)) {
        if (count == 2) return cli_json_fail(&parse->json, "device has more than two numbers");
        if (!cli_json_number(&parse->json, &parts[count++])) return false;
    }
    /* What the kernel has room for. */
    if (count != 2 || parts[0] > 0xfff || parts[1] > 0xfffff)
        return cli_json_fail(&parse->json, "device is not [major, minor]");
    parse->item->attrs.rdev = (uint32_t)makedev((unsigned)parts[0], (unsigned)parts[1]);
    parse->item->attrs.present |= BITCASK_ATTR_RDEV;
    return true;
}

static bool take_xattr(struct parse *parse)
{
    struct text key, name = {0}, value = {0};
    bool first = true, hex = false;

    if (!cli_json_enter(&parse->json, '{')) return false;
    while (cli_json_next(&parse->json, '}', &first)) {
        if (!cli_json_name(&parse->json, &key.bytes, &key.size)) return false;
        bool good;
        if (is(&key, "name_hex"))
            good = hex = take_hex(parse, &name);
        else if (is(&key, "name") && !hex)
            good = take_text(parse, &name);
        else if (is(&key, "value"))
            good = take_text(parse, &value);
        else if (is(&key, "value_base64"))
            good = take_base64(parse, &value);
        else
            good = cli_json_skip(&parse->json);
        if (!good) return false;
    }
    struct cli_xattr xattr = {name.bytes, name.size, value.bytes, value.size};
    if (!parse->json.wrong) parse->status = cli_xattrs_add(parse->xattrs, parse->whose, &xattr);
    return !parse->json.wrong && parse->status == CLI_OK;
}

static bool take_xattrs(struct parse *parse)
{
    bool first = true;

    if (!cli_json_enter(&parse->json, '[')) return false;
    while (cli_json_next(&parse->json, ']', &first))
        if (!take_xattr(parse)) return false;
    return !parse->json.wrong;
}

static bool take_value(struct parse *parse, bool base64)
{
    struct text text;

    if (!(base64 ? take_base64(parse, &text) : take_text(parse, &text))) return false;
    cli_gather_reset(parse->value);
    parse->status = cli_gather_write(parse->value, parse->whose, 0, text.bytes, text.size);
    parse->has_value = true;
    return parse->status == CLI_OK;
}

static bool take_raw_xattrs(struct parse *parse)
{
    struct text text;

    if (!take_base64(parse, &text)) return false;
    parse->item->attrs.xattrs = text.bytes;
    parse->item->attrs.xattrs_size = text.size;
    return parse->raw_xattrs = true;
}

/* A path's plain form, which counts unless there is one in hexadecimal. */
static bool take_path(struct parse *parse, struct text *path, bool *hex)
{
    struct text text;

    if (!take_text(parse, &text)) return false;
    if (!*hex) *path = text;
    return true;
}

static bool take_path_hex(struct parse *parse, struct text *path, bool *hex)
{
    return *hex = take_hex(parse, path);
}

static bool take_member(struct parse *parse, const struct text *name, bool *path_hex, bool *target_hex)
{
    bitcask_attrs *attrs = &parse->item->attrs;

    if (is(name, "path")) return take_path(parse, &parse->path, path_hex);
    if (is(name, "path_hex")) return take_path_hex(parse, &parse->path, path_hex);
    if (is(name, "target")) return take_path(parse, &parse->target, target_hex);
    if (is(name, "target_hex")) return take_path_hex(parse, &parse->target, target_hex);
    if (is(name, "type")) return take_type(parse);
    if (is(name, "mode")) return take_mode(parse);
    if (is(name, "uid")) return take_id(parse, &attrs->uid, BITCASK_ATTR_UID);
    if (is(name, "gid")) return take_id(parse, &attrs->gid, BITCASK_ATTR_GID);
    if (is(name, "mtime")) return take_time(parse, &attrs->mtime_ns, BITCASK_ATTR_MTIME);
    if (is(name, "atime")) return take_time(parse, &attrs->atime_ns, BITCASK_ATTR_ATIME);
    if (is(name, "expires")) return take_time(parse, &attrs->expiry_ns, BITCASK_ATTR_EXPIRY);
    if (is(name, "device")) return take_device(parse);
    if (is(name, "xattrs")) return take_xattrs(parse);
    if (is(name, "xattrs_base64")) return take_raw_xattrs(parse);
    if (is(name, "value")) return take_value(parse, false);
    if (is(name, "value_base64")) return take_value(parse, true);
    return cli_json_skip(&parse->json);
}

/* Ends a text in a NUL byte, which its closing quote has room for. */
static bool finish_text(struct parse *parse, struct text *text, const char **out)
{
    if (memchr(text->bytes, 0, text->size)) return cli_json_fail(&parse->json, "a path holds a NUL byte");
    text->bytes[text->size] = 0;
    *out = text->bytes;
    return true;
}

static bool finish(struct parse *parse)
{
    struct cli_item *item = parse->item;
    bitcask_attrs *attrs = &item->attrs;

    if (!parse->path.bytes) return cli_json_fail(&parse->json, "path is missing");
    if (!finish_text(parse, &parse->path, &item->path)) return false;
    if (parse->is_link) {
        if (!parse->target.bytes) return cli_json_fail(&parse->json, "a link has no target");
        return finish_text(parse, &parse->target, &item->target);
    }
    item->kind = S_ISDIR(parse->type) ? BITCASK_PARTITION : BITCASK_KEY;
    if ((S_ISREG(parse->type) || S_ISLNK(parse->type)) && !parse->has_value)
        return cli_json_fail(&parse->json, "value is missing");
    if (!S_ISREG(parse->type) && !S_ISDIR(parse->type) && !(attrs->present & BITCASK_ATTR_MODE)) {
        attrs->present |= BITCASK_ATTR_MODE;
        parse->mode = S_ISLNK(parse->type) ? 0777 : 0644;
    }
    attrs->mode = parse->type | parse->mode;
    item->value_size = parse->value->size;
    if (!parse->raw_xattrs) {
        parse->status = cli_xattrs_encode(parse->xattrs, parse->whose, &attrs->xattrs, &attrs->xattrs_size);
        if (parse->status != CLI_OK) return false;
    }
    if (attrs->xattrs_size > 0) attrs->present |= BITCASK_ATTR_XATTRS;
    return true;
}

int cli_item_parse_json(char *line, size_t size, const char *whose, struct cli_item *item, struct cli_xattrs *xattrs,
                        struct cli_gather *value)
{
    struct parse parse = {.json = {.at = line, .end = line + size},
                          .whose = whose,
                          .item = item,
                          .xattrs = xattrs,
                          .value = value,
                          .type = S_IFREG};
    bool first = true, path_hex = false, target_hex = false;
    struct text name;

    memset(item, 0, sizeof(*item));
    cli_xattrs_reset(xattrs);
    cli_gather_reset(value);
    bool good = cli_json_enter(&parse.json, '{');
    while (good && cli_json_next(&parse.json, '}', &first))
        good =
            cli_json_name(&parse.json, &name.bytes, &name.size) && take_member(&parse, &name, &path_hex, &target_hex);
    good = good && cli_json_ended(&parse.json) && finish(&parse);
    if (good) return CLI_OK;
    if (parse.status != CLI_OK) return parse.status;
    return cli_error("%s: %s", whose, parse.json.wrong ? parse.json.wrong : "not as export --json writes it");
}
