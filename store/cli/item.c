/* item.c - one key or partition as a line of JSON, on the way out. See item.h.
 */
#include "item.h"

#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>

#include "output.h"

#define NS_PER_S 1000000000

uint32_t cli_item_mode(const struct cli_item *item)
{
    if (item->kind == BITCASK_PARTITION) {
        uint32_t mode = item->attrs.present & BITCASK_ATTR_MODE ? item->attrs.mode : 0755;
        return S_IFDIR | (mode & 07777);
    }
    uint32_t mode = item->attrs.present & BITCASK_ATTR_MODE ? item->attrs.mode : S_IFREG | 0644;
    return mode & S_IFMT ? mode : mode | S_IFREG;
}

static const char *type_of(const struct cli_item *item)
{
    if (item->target) return "link";
    switch (cli_item_mode(item) & S_IFMT) {
    case S_IFDIR: return "dir";
    case S_IFLNK: return "symlink";
    case S_IFIFO: return "fifo";
    case S_IFSOCK: return "socket";
    case S_IFCHR: return "char";
    case S_IFBLK: return "block";
    default: return "file";
    }
}

static void print_time(const char *name, int64_t time_ns)
{
    int64_t ns = time_ns % NS_PER_S;
    time_t seconds = (time_t)(time_ns / NS_PER_S);
    struct tm tm;
    char text[32];

    if (ns < 0) {
        ns += NS_PER_S;
        seconds--;
    }
    if (!gmtime_r(&seconds, &tm) || strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm) == 0) return;
    printf(", \"%s\": \"%s.%09" PRId64 "Z\"", name, text, ns);
}

static void print_xattrs(const bitcask_attrs *attrs)
{
    const char *before = ", \"xattrs\": [";
    struct cli_xattr xattr;
    size_t place = 0;

    if (!(attrs->present & BITCASK_ATTR_XATTRS) || attrs->xattrs_size == 0) return;
    if (!cli_xattrs_check(attrs->xattrs, attrs->xattrs_size)) {
        fputs(", \"xattrs_base64\": \"", stdout);
        cli_print_base64(stdout, attrs->xattrs, attrs->xattrs_size);
        putchar('"');
        return;
    }
    while (cli_xattrs_next(attrs->xattrs, attrs->xattrs_size, &place, &xattr)) {
        printf("%s{", before);
        cli_print_json_member(stdout, "name", xattr.name, xattr.name_size);
        fputs(", ", stdout);
        cli_print_json_value(stdout, "value", xattr.value, xattr.value_size);
        putchar('}');
        before = ", ";
    }
    if (*before == ',' && before[2] != '"') putchar(']');
}

bitcask_status cli_item_print_json(const struct cli_item *item, bitcask_value *value, bool with_size)
{
    const bitcask_attrs *attrs = &item->attrs;
    uint32_t mode = cli_item_mode(item);
    bool device = !item->target && (S_ISCHR(mode) || S_ISBLK(mode));

    if (value) {
        bitcask_status status = bitcask_value_load(value);
        if (status != BITCASK_OK) return status;
    }
    putchar('{');
    cli_print_json_member(stdout, "path", item->path, strlen(item->path));
    printf(", \"type\": \"%s\"", type_of(item));
    if (item->target) {
        fputs(", ", stdout);
        cli_print_json_member(stdout, "target", item->target, strlen(item->target));
        puts("}");
        return BITCASK_OK;
    }
    if (attrs->present & BITCASK_ATTR_MODE) printf(", \"mode\": \"%04o\"", (unsigned)(attrs->mode & 07777));
    if (attrs->present & BITCASK_ATTR_UID) printf(", \"uid\": %" PRIu32, attrs->uid);
    if (attrs->present & BITCASK_ATTR_GID) printf(", \"gid\": %" PRIu32, attrs->gid);
    if (attrs->present & BITCASK_ATTR_MTIME) print_time("mtime", attrs->mtime_ns);
    if (attrs->present & BITCASK_ATTR_ATIME) print_time("atime", attrs->atime_ns);
    if (attrs->present & BITCASK_ATTR_EXPIRY) print_time("expires", attrs->expiry_ns);
    if (device && (attrs->present & BITCASK_ATTR_RDEV))
        printf(", \"device\": [%u, %u]", major(attrs->rdev), minor(attrs->rdev));
    print_xattrs(attrs);
    if (with_size) printf(", \"size\": %" PRIu64, item->value_size);
    if (value && (S_ISREG(mode) || S_ISLNK(mode) || bitcask_value_size(value) > 0)) {
        fputs(", ", stdout);
        cli_print_json_value(stdout, "value", bitcask_value_data(value), (size_t)bitcask_value_size(value));
    }
    puts("}");
    return BITCASK_OK;
}
