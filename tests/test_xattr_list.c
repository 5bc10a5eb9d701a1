/* test_xattr_list.c - the form in which a file's extended attributes are stored. */
#include "unit.h"

#include "xattr_list.h"

/* list, which goes, with name set or removed; what is made is a list. */
static struct bcfs_xattr_list *change(struct bcfs_xattr_list *list, const char *name, const char *value)
{
    struct bcfs_xattr_list *made = NULL;
    bitcask_status status = bcfs_xattr_list_change(list != NULL ? list->bytes : NULL, list != NULL ? list->size : 0,
                                                   name, value, value != NULL ? strlen(value) : 0, &made);

    CU_ASSERT_EQUAL(status, BITCASK_OK);
    CU_ASSERT_TRUE(made == NULL || bcfs_xattr_list_check(made->bytes, made->size));
    free(list);
    return made;
}

/* The list as "name=value name=value". */
static const char *show(const struct bcfs_xattr_list *list)
{
    static char text[512];
    struct bcfs_xattr xattr;
    size_t place = 0;
    size_t used = 0;

    text[0] = '\0';
    while (list != NULL && bcfs_xattr_list_next(list->bytes, list->size, &place, &xattr)) {
        used += (size_t)snprintf(text + used, sizeof(text) - used, "%s%.*s=%.*s", used > 0 ? " " : "",
                                 (int)xattr.name_size, xattr.name, (int)xattr.value_size, (const char *)xattr.value);
    }
    return text;
}

static void names_stand_in_order_and_once(void)
{
    struct bcfs_xattr_list *list = change(NULL, "user.b", "2");

    list = change(list, "user.c", "3");
    list = change(list, "user.a", "1");
    list = change(list, "user", "0");
    CU_ASSERT_STRING_EQUAL(show(list), "user=0 user.a=1 user.b=2 user.c=3");
    list = change(list, "user.b", "another");
    list = change(list, "user.c", "");
    CU_ASSERT_STRING_EQUAL(show(list), "user=0 user.a=1 user.b=another user.c=");
    list = change(list, "user.none", NULL);
    list = change(list, "user.a", NULL);
    list = change(list, "user", NULL);
    CU_ASSERT_STRING_EQUAL(show(list), "user.b=another user.c=");
    list = change(list, "user.c", NULL);
    list = change(list, "user.b", NULL);
    CU_ASSERT_PTR_NULL(list);
}

static void an_attribute_is_found_by_its_whole_name(void)
{
    struct bcfs_xattr_list *list = change(change(NULL, "user.long", "x"), "trusted.t", "yy");
    struct bcfs_xattr xattr;

    CU_ASSERT_TRUE(bcfs_xattr_list_find(list->bytes, list->size, "trusted.t", &xattr));
    CU_ASSERT_EQUAL(xattr.value_size, 2);
    CU_ASSERT_FALSE(bcfs_xattr_list_find(list->bytes, list->size, "user.lon", &xattr));
    CU_ASSERT_FALSE(bcfs_xattr_list_find(list->bytes, list->size, "user.longer", &xattr));
    CU_ASSERT_FALSE(bcfs_xattr_list_find(NULL, 0, "user.long", &xattr));
    free(list);
}

static void one_is_taken_out_where_it_stands(void)
{
    struct bcfs_xattr_list *list = change(change(change(NULL, "user.a", "1"), "user.b", ""), "user.c", "333");
    struct bcfs_xattr xattr;

    CU_ASSERT_TRUE_FATAL(bcfs_xattr_list_find(list->bytes, list->size, "user.b", &xattr));
    list->size = bcfs_xattr_list_remove(list->bytes, list->size, &xattr);
    CU_ASSERT_STRING_EQUAL(show(list), "user.a=1 user.c=333");
    CU_ASSERT_TRUE_FATAL(bcfs_xattr_list_find(list->bytes, list->size, "user.c", &xattr));
    list->size = bcfs_xattr_list_remove(list->bytes, list->size, &xattr);
    CU_ASSERT_STRING_EQUAL(show(list), "user.a=1");
    CU_ASSERT_TRUE_FATAL(bcfs_xattr_list_find(list->bytes, list->size, "user.a", &xattr));
    CU_ASSERT_EQUAL(bcfs_xattr_list_remove(list->bytes, list->size, &xattr), 0);
    free(list);
}

static void more_than_fits_is_refused(void)
{
    char name[BCFS_XATTR_NAME_MAX + 1];
    char *value = calloc(1, BITCASK_XATTRS_MAX);
    struct bcfs_xattr_list *list = NULL;
    struct bcfs_xattr_list *made = NULL;
    size_t most = BITCASK_XATTRS_MAX - 1 - 3 - BCFS_XATTR_NAME_MAX;

    memset(name, 'n', BCFS_XATTR_NAME_MAX);
    name[BCFS_XATTR_NAME_MAX] = '\0';
    CU_ASSERT_EQUAL(bcfs_xattr_list_change(NULL, 0, name, value, most + 1, &made), BITCASK_NO_SPACE);
    CU_ASSERT_PTR_NULL(made);
    CU_ASSERT_EQUAL(bcfs_xattr_list_change(NULL, 0, "u", value, BITCASK_XATTRS_MAX, &made), BITCASK_NO_SPACE);
    CU_ASSERT_EQUAL(bcfs_xattr_list_change(NULL, 0, name, value, most, &list), BITCASK_OK);
    CU_ASSERT_PTR_NOT_NULL_FATAL(list);
    CU_ASSERT_EQUAL(list->size, BITCASK_XATTRS_MAX);
    CU_ASSERT_TRUE(bcfs_xattr_list_check(list->bytes, list->size));
    CU_ASSERT_EQUAL(bcfs_xattr_list_change(list->bytes, list->size, "u", "", 0, &made), BITCASK_NO_SPACE);
    /* In place of the long one there is room again. */
    CU_ASSERT_EQUAL(bcfs_xattr_list_change(list->bytes, list->size, name, "", 0, &made), BITCASK_OK);
    CU_ASSERT_PTR_NOT_NULL_FATAL(made);
    CU_ASSERT_EQUAL(made->size, 1 + 3 + BCFS_XATTR_NAME_MAX);
    free(made);
    free(list);
    free(value);
}

static void what_is_no_list_is_refused(void)
{
    static const struct {
        const char *bytes;
        size_t size;
    } bad[] = {
        {"\0", 1},        /* another form */
        {"\2\1\0\0a", 5}, /* likewise */
        {"\1\1", 2},      /* cut off in the sizes */
        {"\1\1\0\0", 4},  /* before the name */
        {"\1\2\0\0a", 5}, /* within the name */
        {"\1\1\1\0a", 5}, /* before the value */
        {"\1\1\xff\xff"
         "a",
         5},                     /* a length far behind the end */
        {"\1\0\0\0", 4},         /* no name */
        {"\1\1\0\0\0", 5},       /* a NUL in a name */
        {"\1\1\0\0b\1\0\0a", 9}, /* out of order */
        {"\1\1\0\0a\1\0\0a", 9}, /* twice */
        {"\1\1\0\0a\1", 6},      /* something behind the last one */
    };

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        if (bcfs_xattr_list_check(bad[i].bytes, bad[i].size)) fprintf(stderr, "taken for a list: number %zu\n", i);
        CU_ASSERT_FALSE(bcfs_xattr_list_check(bad[i].bytes, bad[i].size));
    }
    CU_ASSERT_TRUE(bcfs_xattr_list_check(NULL, 0));
    CU_ASSERT_TRUE(bcfs_xattr_list_check("\1", 1));
    CU_ASSERT_TRUE(bcfs_xattr_list_check("\1\1\0\0a\1\0\0b", 9));
}

/* Lists with bytes changed at random, in memory of their exact size so that the sanitizer sees each step too far. What
 * passes the check comes out again as it went in. */
static void random_bytes_do_no_harm(void)
{
    uint64_t state = unit_seed("xattr_list");

    for (int round = 0; round < 20000; round++) {
        struct bcfs_xattr_list *list = change(change(change(NULL, "user.a", "12"), "user.bb", ""), "security.c", "345");
        size_t size = unit_random(&state) % (list->size + 1);
        uint8_t *bytes = malloc(size > 0 ? size : 1);
        struct bcfs_xattr xattr;
        size_t place = 0;

        memcpy(bytes, list->bytes, size);
        for (uint64_t changes = unit_random(&state) % 3; size > 0 && changes > 0; changes--) {
            bytes[unit_random(&state) % size] = (uint8_t)(unit_random(&state) % 20);
        }
        if (bcfs_xattr_list_check(bytes, size)) {
            size_t end = size > 0 ? 1 : 0;

            while (bcfs_xattr_list_next(bytes, size, &place, &xattr)) end = place;
            CU_ASSERT_EQUAL(end, size);
        }
        free(bytes);
        free(list);
    }
}

int main(void)
{
    static CU_TestInfo tests[] = {
        {"names_stand_in_order_and_once", names_stand_in_order_and_once},
        {"an_attribute_is_found_by_its_whole_name", an_attribute_is_found_by_its_whole_name},
        {"one_is_taken_out_where_it_stands", one_is_taken_out_where_it_stands},
        {"more_than_fits_is_refused", more_than_fits_is_refused},
        {"what_is_no_list_is_refused", what_is_no_list_is_refused},
        {"random_bytes_do_no_harm", random_bytes_do_no_harm},
        CU_TEST_INFO_NULL,
    };
    return unit_run("xattr_list", tests);
}
