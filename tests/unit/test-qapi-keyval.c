/*
 * The input visitor where all scalars are strings; enum names and sizes.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qapi/qapi-visit-block-core.h"
#include "qobject/json.h"

typedef bool VisitFn(Visitor *v, const char *name, void **obj, Error **errp);

static void *read_keyval(const char *text, VisitFn *visit, Error **errp)
{
    g_autoptr(json_object) json = json_tokener_parse(text);
    g_autoptr(Visitor) v = qobject_input_visitor_new_keyval(json);
    void *obj = NULL;

    return visit(v, NULL, &obj, errp) ? obj : NULL;
}

#define READ(type, text, errp)                                                 \
    ((type *)read_keyval(text, (VisitFn *)visit_type_##type, errp))

#define ASSERT_REFUSED(type, text, message)                                    \
    do {                                                                       \
        g_autoptr(Error) err_ = NULL;                                          \
        g_assert_null(READ(type, text, &err_));                                \
        g_assert_nonnull(err_);                                                \
        g_assert_cmpstr(error_get_pretty(err_), ==, message);                  \
    } while (0)

#define SIZE_HELP                                                              \
    "a size: a non-negative number below 2^64 with an optional suffix k, M, "  \
    "G, T, P or E"

static void test_integers(void)
{
    g_autoptr(intList) ints = READ(intList, "['-5', '0x10', '010']", NULL);
    g_autoptr(uint64List) uints =
        READ(uint64List, "['18446744073709551615']", NULL);

    g_assert_cmpint(ints->value, ==, -5);
    g_assert_cmpint(ints->next->value, ==, 16);
    g_assert_cmpint(ints->next->next->value, ==, 8);
    g_assert_cmpuint(uints->value, ==, UINT64_MAX);
    ASSERT_REFUSED(intList, "['']", "Parameter '[0]' expects integer");
    ASSERT_REFUSED(intList, "['1x']", "Parameter '[0]' expects integer");
    ASSERT_REFUSED(intList, "[' 1']", "Parameter '[0]' expects integer");
    ASSERT_REFUSED(intList, "['9223372036854775808']",
                   "Parameter '[0]' expects integer");
    ASSERT_REFUSED(uint64List, "['-1']",
                   "Parameter '[0]' expects a non-negative integer below "
                   "2^64");
    ASSERT_REFUSED(uint16List, "['65536']", "Parameter '[0]' expects uint16_t");
    ASSERT_REFUSED(intList, "[{}]",
                   "Invalid parameter type for '[0]', expected: integer");
}

static void test_bool(void)
{
    g_autoptr(boolList) list =
        READ(boolList, "['on', 'yes', 'true', 'y', 'off', 'no', 'false', 'n']",
             NULL);
    boolList *one;
    int number = 0;

    for (one = list; one; one = one->next) {
        g_assert_cmpint(one->value, ==, number < 4);
        number++;
    }
    ASSERT_REFUSED(boolList, "['On']", "Parameter '[0]' expects 'on' or 'off'");
    ASSERT_REFUSED(boolList, "['']", "Parameter '[0]' expects 'on' or 'off'");
}

static void test_number_and_null(void)
{
    g_autoptr(numberList) numbers = READ(numberList, "['1.5', '-2']", NULL);
    g_autoptr(nullList) nulls = READ(nullList, "['']", NULL);

    g_assert_cmpfloat(numbers->value, ==, 1.5);
    g_assert_cmpfloat(numbers->next->value, ==, -2);
    g_assert_true(nulls->value == qnull());
    ASSERT_REFUSED(numberList, "['inf']",
                   "Parameter '[0]' expects a finite number");
    ASSERT_REFUSED(nullList, "['x']",
                   "Invalid parameter type for '[0]', expected: null");
}

static void test_size(void)
{
    static const struct {
        const char *text;
        uint64_t size;
    } good[] = {
        {"0", 0},
        {"512", 512},
        {"010", 10},
        {"1B", 1},
        {"2k", 2048},
        {"1.5K", 1536},
        {"64M", 64 * MiB},
        {"0.25G", 256 * MiB},
        {"1T", UINT64_C(1) << 40},
        {"1P", UINT64_C(1) << 50},
        {"15E", UINT64_C(15) << 60},
        {"0x1f", 31},
        {"18446744073709551615", UINT64_MAX},
    };
    static const char *const bad[] = {
        "",
        "-1",
        "x",
        "1x",
        "1MB",
        "16E",
        "18446744073709551616",
        "1.5",
        "1..5",
        " 1",
        "0x",
        "0x1M",
        "k",
        "+1",
        ".5k",
        "1 k",
        "1e3",
        "15.99999999999999999999E",
    };
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(good); i++) {
        uint64_t size = 99;
        g_assert_true(qapi_size_parse("s", good[i].text, &size, NULL));
        g_assert_cmpuint(size, ==, good[i].size);
    }
    for (i = 0; i < G_N_ELEMENTS(bad); i++) {
        uint64_t size = 99;
        g_test_message("'%s'", bad[i]);
        g_assert_false(qapi_size_parse("s", bad[i], &size, NULL));
        g_assert_cmpuint(size, ==, 99);
    }
    ASSERT_REFUSED(sizeList, "['1x']", "Parameter '[0]' expects " SIZE_HELP);
}

static void test_nested(void)
{
    g_autoptr(BlockdevOptions) options =
        READ(BlockdevOptions,
             "{'driver': 'nbd', 'read-only': 'on', 'reconnect-delay': '3',"
             " 'server': {'type': 'unix', 'path': 'p'}}",
             NULL);

    g_assert_cmpint(options->driver, ==, BLOCKDEV_DRIVER_NBD);
    g_assert_true(options->has_read_only && options->read_only);
    g_assert_cmpuint(options->u.nbd.reconnect_delay, ==, 3);
    g_assert_cmpstr(options->u.nbd.server->u.q_unix.path, ==, "p");
    ASSERT_REFUSED(BlockdevOptions,
                   "{'driver': 'nbd', 'server': {'type': 'unix', 'path':"
                   " 'p', 'tight': '1'}}",
                   "Parameter 'server.tight' expects 'on' or 'off'");
    ASSERT_REFUSED(BlockdevOptions,
                   "{'driver': 'ram', 'size': '1M',"
                   " 'foo': '1'}",
                   "Parameter 'foo' is unexpected");
}

static void test_enum(void)
{
    g_autoptr(Error) err = NULL;

    g_assert_cmpstr(BlockdevDriver_str(BLOCKDEV_DRIVER_NULL_CO), ==, "null-co");
    g_assert_cmpstr(BlockdevDriver_str(BLOCKDEV_DRIVER__MAX), ==, "");
    g_assert_cmpint(qapi_enum_parse(&BlockdevDriver_lookup, "ram", -1, NULL),
                    ==, BLOCKDEV_DRIVER_RAM);
    g_assert_cmpint(qapi_enum_parse(&BlockdevDriver_lookup, NULL, 7, &err), ==,
                    7);
    g_assert_null(err);
    g_assert_cmpint(qapi_enum_parse(&BlockdevDriver_lookup, "x", -1, &err), ==,
                    -1);
    g_assert_cmpstr(error_get_pretty(err), ==, "invalid parameter value: x");
}

static void test_list_macros(void)
{
    g_autoptr(intList) list = NULL;
    intList **tail = &list;

    QAPI_LIST_APPEND(tail, 2);
    QAPI_LIST_APPEND(tail, 3);
    QAPI_LIST_PREPEND(list, 1);
    g_assert_cmpint(list->value, ==, 1);
    g_assert_cmpint(list->next->value, ==, 2);
    g_assert_cmpint(list->next->next->value, ==, 3);
    g_assert_null(list->next->next->next);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/qapi/keyval/integers", test_integers);
    g_test_add_func("/qapi/keyval/bool", test_bool);
    g_test_add_func("/qapi/keyval/number-null", test_number_and_null);
    g_test_add_func("/qapi/keyval/size", test_size);
    g_test_add_func("/qapi/keyval/nested", test_nested);
    g_test_add_func("/qapi/util/enum", test_enum);
    g_test_add_func("/qapi/util/list", test_list_macros);
    return g_test_run();
}
