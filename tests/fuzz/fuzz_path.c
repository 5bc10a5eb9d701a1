/* fuzz_path.c - a PATH of the command line of bitcask, and how names are printed: any bytes.
 *
 * Checked: a path that is accepted is its names joined by slashes, each of which the store accepts; what is printed
 * holds no byte that could steer a terminal, is read back to the same bytes, and is a string that JSON allows.
 */
#include <locale.h>
#include <stdarg.h>

#include "bitcask.h"
#include "cli.h"
#include "fuzz.h"
#include "output.h"
#include "path.h"

/* What path.c says goes nowhere: messages are not what is tested. */
int cli_error(const char *format, ...)
{
    (void)format;
    return CLI_FAILED;
}

static void check_path(const char *text)
{
    struct cli_path path;
    int status = cli_path_parse("store", text, &path);
    FUZZ_CHECK(status == CLI_OK || status == CLI_FAILED);
    if (status == CLI_OK) {
        size_t size = strlen(path.full), names = 0;
        FUZZ_CHECK(size <= strlen(text) && strcmp(path.full + size - path.name_size, path.name) == 0);
        FUZZ_CHECK(path.wants_partition == (size == 0 || text[strlen(text) - 1] == '/'));
        for (const char *at = path.full; *at; names++) {
            size_t length = strcspn(at, "/");
            FUZZ_CHECK(length > 0 && bitcask_check_name(at, length) == BITCASK_OK);
            at += length + (at[length] == '/');
            FUZZ_CHECK(*at || path.full[size - 1] != '/');
        }
        if (names > 1)
            FUZZ_CHECK(strlen(path.parent) + 1 + path.name_size == size &&
                       strncmp(path.parent, path.full, strlen(path.parent)) == 0);
        else
            FUZZ_CHECK(path.parent[0] == '\0' && path.name_size == size);
        /* The path as it was tidied is its own tidied form. */
        struct cli_path again;
        FUZZ_CHECK(cli_path_parse("store", path.full, &again) == CLI_OK && strcmp(again.full, path.full) == 0);
        cli_path_release(&again);
        cli_path_release(&path);
    }
    if (cli_path_parse_key("store", text, &path) == CLI_OK) {
        FUZZ_CHECK(path.name_size > 0 && !path.wants_partition);
        cli_path_release(&path);
    }
}

static char *printed(const uint8_t *data, size_t size, enum cli_escape escape, bool json, size_t *length)
{
    char *text = NULL;
    FILE *out = open_memstream(&text, length);
    FUZZ_CHECK(out != NULL);
    if (json)
        cli_print_json_member(out, "n", data, size);
    else
        cli_print_bytes(out, data, size, escape);
    FUZZ_CHECK(fclose(out) == 0);
    return text;
}

/* Reads the quoted form back. */
static void check_quoted(const uint8_t *data, size_t size)
{
    size_t length, at = 0;
    char *text = printed(data, size, CLI_ESCAPE_QUOTED, false, &length);
    for (const char *p = text; p < text + length; at++) {
        unsigned byte = (unsigned char)*p;
        FUZZ_CHECK(at < size && byte >= 0x20 && byte < 0x7f && byte != '"');
        if (byte != '\\') {
            p++;
        } else if (p[1] == 'x') {
            FUZZ_CHECK(sscanf(p + 2, "%2x", &byte) == 1);
            p += 4;
        } else {
            byte = (unsigned char)p[1];
            p += 2;
        }
        FUZZ_CHECK(byte == data[at]);
    }
    FUZZ_CHECK(at == size);
    free(text);
}

static void check_printed(const uint8_t *data, size_t size)
{
    size_t length;
    char *text = printed(data, size, CLI_ESCAPE_CONTROLS, false, &length);
    for (size_t i = 0; i < length; i++) {
        unsigned char byte = (unsigned char)text[i];
        FUZZ_CHECK(byte >= 0x20 && byte != 0x7f);
        /* C1 controls, as UTF-8 has them. */
        FUZZ_CHECK(!(byte == 0xc2 && i + 1 < length && (unsigned char)text[i + 1] < 0xa0));
    }
    free(text);
    text = printed(data, size, CLI_ESCAPE_NOTHING, false, &length);
    FUZZ_CHECK(length == size && memcmp(text, data, size) == 0);
    free(text);
    text = printed(data, size, CLI_ESCAPE_NOTHING, true, &length);
    unsigned quotes = 0;
    for (size_t i = 0; i < length; i++) {
        FUZZ_CHECK((unsigned char)text[i] >= 0x20);
        if (text[i] == '\\')
            i++;
        else
            quotes += text[i] == '"';
    }
    FUZZ_CHECK(quotes == 4 || quotes == 8);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool begun;
    if (!begun) (void)setlocale(LC_ALL, "C.UTF-8");
    begun = true;
    char *text = malloc(size + 1);
    FUZZ_CHECK(text != NULL);
    memcpy(text, data, size);
    text[size] = '\0';
    check_path(text);
    free(text);
    check_quoted(data, size);
    check_printed(data, size);
    return 0;
}
