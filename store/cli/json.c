/* json.c - taking a text of JSON apart, in place and value by value. See json.h.
 */
#include "json.h"

#include <string.h>

enum { DEPTH_MOST = 64 /* of what is passed over */ };

bool cli_json_fail(struct cli_json *json, const char *wrong)
{
    if (!json->wrong) json->wrong = wrong;
    return false;
}

static void skip_space(struct cli_json *json)
{
    while (json->at < json->end && (*json->at == ' ' || *json->at == '\t' || *json->at == '\r' || *json->at == '\n'))
        json->at++;
}

/* The next byte that is no space; 0 at the end. */
static char peek(struct cli_json *json)
{
    skip_space(json);
    return json->at < json->end ? *json->at : 0;
}

bool cli_json_enter(struct cli_json *json, char bracket)
{
    if (json->wrong) return false;
    if (peek(json) != bracket) return cli_json_fail(json, bracket == '{' ? "an object is missing" : "no array");
    json->at++;
    return true;
}

bool cli_json_next(struct cli_json *json, char closing, bool *first)
{
    if (json->wrong) return false;
    char c = peek(json);
    if (c == closing) {
        json->at++;
        return false;
    }
    if (!*first) {
        if (c != ',') return cli_json_fail(json, "a comma or a closing bracket is missing");
        json->at++;
        if (peek(json) == closing) return cli_json_fail(json, "nothing follows a comma");
    }
    *first = false;
    return peek(json) != 0 || cli_json_fail(json, "it ends too early");
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* The four digits behind \u. -1: they are not there. */
static long hex4(const struct cli_json *json, const char *at)
{
    long value = 0;
    if (json->end - at < 4) return -1;
    for (int i = 0; i < 4; i++) {
        int digit = hex_digit(at[i]);
        if (digit < 0) return -1;
        value = value * 16 + digit;
    }
    return value;
}

/* Writes a character in UTF-8; it takes no more bytes than its escape. */
static char *put_utf8(char *to, unsigned long c)
{
    if (c < 0x80) {
        *to++ = (char)c;
    } else if (c < 0x800) {
        *to++ = (char)(0xc0 | c >> 6);
        *to++ = (char)(0x80 | (c & 0x3f));
    } else if (c < 0x10000) {
        *to++ = (char)(0xe0 | c >> 12);
        *to++ = (char)(0x80 | (c >> 6 & 0x3f));
        *to++ = (char)(0x80 | (c & 0x3f));
    } else {
        *to++ = (char)(0xf0 | c >> 18);
        *to++ = (char)(0x80 | (c >> 12 & 0x3f));
        *to++ = (char)(0x80 | (c >> 6 & 0x3f));
        *to++ = (char)(0x80 | (c & 0x3f));
    }
    return to;
}

/* A \u escape at json->at, behind the u. NULL: it is none. */
static char *decode_unicode(struct cli_json *json, char *to)
{
    long c = hex4(json, json->at);
    if (c < 0) return NULL;
    json->at += 4;
    if (c >= 0xd800 && c < 0xdc00) {
        long low =
            json->end - json->at >= 6 && json->at[0] == '\\' && json->at[1] == 'u' ? hex4(json, json->at + 2) : -1;
        if (low < 0xdc00 || low > 0xdfff) return NULL;
        json->at += 6;
        c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
    } else if (c >= 0xdc00 && c < 0xe000) {
        return NULL;
    }
    return put_utf8(to, (unsigned long)c);
}

bool cli_json_string(struct cli_json *json, char **text, size_t *size)
{
    static const char from[] = "\"\\/bfnrt", into[] = "\"\\/\b\f\n\r\t";

    if (json->wrong) return false;
    if (peek(json) != '"') return cli_json_fail(json, "a string is missing");
    char *to = ++json->at;
    *text = to;
    while (json->at < json->end && *json->at != '"') {
        char c = *json->at++;
        if ((unsigned char)c < 0x20) return cli_json_fail(json, "a control character stands in a string");
        if (c != '\\') {
            *to++ = c;
            continue;
        }
        c = json->at < json->end ? *json->at++ : 0;
        const char *known = c ? strchr(from, c) : NULL;
        if (known)
            *to++ = into[known - from];
        else if (c != 'u' || !(to = decode_unicode(json, to)))
            return cli_json_fail(json, "a backslash in a string is followed by something unknown");
    }
    if (json->at == json->end) return cli_json_fail(json, "a string does not end");
    json->at++;
    *size = (size_t)(to - *text);
    return true;
}

bool cli_json_name(struct cli_json *json, char **name, size_t *size)
{
    if (!cli_json_string(json, name, size)) return false;
    if (peek(json) != ':') return cli_json_fail(json, "a colon is missing");
    json->at++;
    return true;
}

bool cli_json_number(struct cli_json *json, uint64_t *number)
{
    uint64_t value = 0;

    if (json->wrong) return false;
    skip_space(json);
    const char *begin = json->at;
    for (; json->at < json->end && *json->at >= '0' && *json->at <= '9'; json->at++) {
        unsigned digit = (unsigned)(*json->at - '0');
        if (value > (UINT64_MAX - digit) / 10) return cli_json_fail(json, "a number is too large");
        value = value * 10 + digit;
    }
    if (json->at == begin || (json->at < json->end && strchr(".eE", *json->at)))
        return cli_json_fail(json, "a whole number is missing");
    *number = value;
    return true;
}

static bool skip_value(struct cli_json *json, int depth)
{
    char *text, c = peek(json);
    size_t size;
    bool first = true;

    if (depth > DEPTH_MOST) return cli_json_fail(json, "it is nested too deeply");
    if (c == '"') return cli_json_string(json, &text, &size);
    if (c == '{' || c == '[') {
        json->at++;
        while (cli_json_next(json, c == '{' ? '}' : ']', &first)) {
            if (c == '{' && !cli_json_name(json, &text, &size)) return false;
            if (!skip_value(json, depth + 1)) return false;
        }
        return !json->wrong;
    }
    /* A number, true, false or null: it matters to nobody which. */
    text = json->at;
    while (json->at < json->end && *json->at && strchr("+-.0123456789abcdefghijklmnopqrstuvwxyzE", *json->at))
        json->at++;
    return json->at > text || cli_json_fail(json, "a value is missing");
}

bool cli_json_skip(struct cli_json *json)
{
    return !json->wrong && skip_value(json, 0);
}

bool cli_json_ended(struct cli_json *json)
{
    if (json->wrong) return false;
    skip_space(json);
    return json->at == json->end || cli_json_fail(json, "something follows the object");
}

static int base64_digit(char c)
{
    if (c >= 'A' && c <= 'Z') return c - 'A';
    if (c >= 'a' && c <= 'z') return c - 'a' + 26;
    if (c >= '0' && c <= '9') return c - '0' + 52;
    if (c == '+' || c == '-') return 62;
    return c == '/' || c == '_' ? 63 : -1;
}

bool cli_base64_decode(char *text, size_t *size)
{
    size_t digits = *size, out = 0;
    unsigned long bits = 0;

    while (digits > 0 && *size - digits < 2 && text[digits - 1] == '=') digits--;
    if (digits % 4 == 1) return false;
    for (size_t i = 0; i < digits; i++) {
        int digit = base64_digit(text[i]);
        if (digit < 0) return false;
        bits = (bits << 6 | (unsigned)digit) & 0xffffff;
        if (i % 4 > 0) text[out++] = (char)(bits >> (6 - 2 * (i % 4)) & 0xff);
    }
    *size = out;
    return true;
}

bool cli_hex_decode(char *text, size_t *size)
{
    if (*size % 2 != 0) return false;
    for (size_t i = 0; i < *size; i += 2) {
        int high = hex_digit(text[i]), low = hex_digit(text[i + 1]);
        if (high < 0 || low < 0) return false;
        text[i / 2] = (char)(high * 16 + low);
    }
    *size /= 2;
    return true;
}
