/*
 * The input visitor: what QMP may send, and what it is told otherwise.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qapi/qapi-visit-block-core.h"
#include "qapi/qapi-visit-char.h"
#include "qapi/qapi-visit-yank.h"
#include "qobject/json.h"

typedef bool VisitFn(Visitor *v, const char *name, void **obj, Error **errp);

/* @text as what @visit reads; NULL where it is refused. */
static void *read_json(const char *text, VisitFn *visit, Error **errp)
{
    g_autoptr(json_object) json = json_tokener_parse(text);
    g_autoptr(Visitor) v = qobject_input_visitor_new(json);
    void *obj = (void *)1;

    if (visit(v, NULL, &obj, errp)) {
        return obj;
    }
    g_assert_null(obj);
    return NULL;
}

#define READ(type, text, errp)                                                 \
    ((type *)read_json(text, (VisitFn *)visit_type_##type, errp))

#define ASSERT_REFUSED(type, text, message)                                    \
    do {                                                                       \
        g_autoptr(Error) err_ = NULL;                                          \
        g_assert_null(READ(type, text, &err_));                                \
        g_assert_nonnull(err_);                                                \
        g_assert_cmpstr(error_get_pretty(err_), ==, message);                  \
    } while (0)

static void test_union(void)
{
    g_autoptr(YankInstance) instance =
        READ(YankInstance, "{'type': 'block-node', 'node-name': 'n0'}", NULL);

    g_assert_cmpint(instance->type, ==, YANK_INSTANCE_TYPE_BLOCK_NODE);
    g_assert_cmpstr(instance->u.block_node.node_name, ==, "n0");
}

static void test_union_without_branch(void)
{
    g_autoptr(YankInstance) instance =
        READ(YankInstance, "{'type': 'migration'}", NULL);

    g_assert_cmpint(instance->type, ==, YANK_INSTANCE_TYPE_MIGRATION);
    ASSERT_REFUSED(YankInstance, "{'type': 'migration', 'id': 'x'}",
                   "Parameter 'id' is unexpected");
}

static void test_alternate(void)
{
    g_autoptr(YankInstanceRefList) refs =
        READ(YankInstanceRefList,
             "['chardev:c0', {'type': 'chardev', 'id': 'c1'}]", NULL);

    g_assert_cmpint(refs->value->type, ==, QTYPE_QSTRING);
    g_assert_cmpstr(refs->value->u.name, ==, "chardev:c0");
    g_assert_cmpint(refs->next->value->type, ==, QTYPE_QDICT);
    g_assert_cmpstr(refs->next->value->u.instance.u.chardev.id, ==, "c1");
    g_assert_null(refs->next->next);
}

static void test_base_and_optional(void)
{
    g_autoptr(ChardevFile) file = READ(ChardevFile, "{'out': 'o'}", NULL);
    g_autoptr(InetSocketAddress) inet =
        READ(InetSocketAddress,
             "{'host': 'h', 'port': '1', 'to': 65535, 'ipv4': false}", NULL);

    g_assert_null(file->in);
    g_assert_false(file->has_append);
    g_assert_cmpstr(qapi_InetSocketAddress_base(inet)->host, ==, "h");
    g_assert_true(inet->has_to && inet->to == 65535);
    g_assert_true(inet->has_ipv4 && !inet->ipv4 && !inet->has_ipv6);
}

static void test_wrong_type(void)
{
    ASSERT_REFUSED(YankInstance, "[]",
                   "Invalid parameter type for 'value', expected: object");
    ASSERT_REFUSED(YankInstance, "{'type': 1}",
                   "Invalid parameter type for 'type', expected: string");
    ASSERT_REFUSED(YankInstanceRefList, "['a', 3]",
                   "Invalid parameter type for '[1]', expected: "
                   "YankInstanceRef");
    ASSERT_REFUSED(YankResult, "{'yanked': {}}",
                   "Invalid parameter type for 'yanked', expected: array");
    ASSERT_REFUSED(ChardevFile, "{'out': null}",
                   "Invalid parameter type for 'out', expected: string");
    ASSERT_REFUSED(ChardevFile, "{'out': 'o', 'append': 'on'}",
                   "Invalid parameter type for 'append', expected: boolean");
    ASSERT_REFUSED(numberList, "['1']",
                   "Invalid parameter type for '[0]', expected: number");
    ASSERT_REFUSED(nullList, "[0]",
                   "Invalid parameter type for '[0]', expected: null");
}

static void test_path(void)
{
    ASSERT_REFUSED(YankResult,
                   "{'yanked': [{'instance': {'type': 'chardev', 'id': 'c'},"
                   " 'name': 'x', 'functions': 1, 'cut': ['a', [] ]}]}",
                   "Invalid parameter type for 'yanked[0].cut[1]', "
                   "expected: string");
    ASSERT_REFUSED(YankedInstance, "{'instance': {'type': 'nope'}}",
                   "Parameter 'instance.type' does not accept value 'nope'");
    ASSERT_REFUSED(YankInstanceRefList, "[{'type': 'chardev'}]",
                   "Parameter '[0].id' is missing");
    ASSERT_REFUSED(ChardevBackend,
                   "{'type': 'socket', 'data': {'addr': {'type': 'unix',"
                   " 'data': {'path': 'p', 'x': 1}}}}",
                   "Parameter 'data.addr.data.x' is unexpected");
}

static void test_missing_and_unknown(void)
{
    ASSERT_REFUSED(YankInstance, "{}", "Parameter 'type' is missing");
    ASSERT_REFUSED(YankInstance,
                   "{'type': 'chardev', 'id': 'c', 'b': 1,"
                   " 'a': 2}",
                   "Parameter 'b' is unexpected");
}

static void test_integers(void)
{
    g_autoptr(intList) ints =
        READ(intList, "[-9223372036854775808, 9223372036854775807]", NULL);
    g_autoptr(uint64List) sizes =
        READ(uint64List, "[0, 18446744073709551615]", NULL);

    g_assert_cmpint(ints->value, ==, INT64_MIN);
    g_assert_cmpint(ints->next->value, ==, INT64_MAX);
    g_assert_cmpuint(sizes->value, ==, 0);
    g_assert_cmpuint(sizes->next->value, ==, UINT64_MAX);
    ASSERT_REFUSED(intList, "[9223372036854775808]",
                   "Invalid parameter type for '[0]', expected: integer");
    ASSERT_REFUSED(intList, "[1.0]",
                   "Invalid parameter type for '[0]', expected: integer");
    ASSERT_REFUSED(uint64List, "[-1]", "Parameter '[0]' expects uint64");
    ASSERT_REFUSED(sizeList, "['64M']", "Parameter '[0]' expects uint64");
}

static void test_narrow_integers(void)
{
    g_autoptr(int8List) good = READ(int8List, "[-128, 127]", NULL);

    g_assert_cmpint(good->value, ==, -128);
    g_assert_cmpint(good->next->value, ==, 127);
    ASSERT_REFUSED(int8List, "[128]", "Parameter '[0]' expects int8_t");
    ASSERT_REFUSED(int16List, "[-32769]", "Parameter '[0]' expects int16_t");
    ASSERT_REFUSED(int32List, "[2147483648]",
                   "Parameter '[0]' expects int32_t");
    ASSERT_REFUSED(uint8List, "[256]", "Parameter '[0]' expects uint8_t");
    ASSERT_REFUSED(uint16List, "[-1]", "Parameter '[0]' expects uint16_t");
    ASSERT_REFUSED(uint32List, "[4294967296]",
                   "Parameter '[0]' expects uint32_t");
}

static void test_other_scalars(void)
{
    g_autoptr(numberList) numbers = READ(numberList, "[1, -2.5]", NULL);
    g_autoptr(nullList) nulls = READ(nullList, "[null]", NULL);
    g_autoptr(anyList) any = READ(anyList, "[{'a': [1]}, null]", NULL);
    g_autoptr(QTypeList) types = READ(QTypeList, "['qlist']", NULL);

    g_assert_cmpfloat(numbers->value, ==, 1);
    g_assert_cmpfloat(numbers->next->value, ==, -2.5);
    g_assert_true(nulls->value == qnull());
    g_assert_true(json_object_is_type(any->value, json_type_object));
    g_assert_null(any->next->value);
    g_assert_cmpint(types->value, ==, QTYPE_QLIST);
    ASSERT_REFUSED(numberList, "[1e999]",
                   "Parameter '[0]' expects a finite number");
    ASSERT_REFUSED(strList, "['a\\u0000b']",
                   "Parameter '[0]' expects a string without \\u0000");
}

/* A list is walked and freed in a loop: its length costs no stack. */
static void test_long_list(void)
{
    g_autoptr(json_object) json = json_object_new_array();
    g_autoptr(Visitor) v = NULL;
    g_autoptr(YankInstanceRefList) refs = NULL;
    YankInstanceRefList *ref;
    const int length = 1000000;
    int i;

    for (i = 0; i < length; i++) {
        json_object_array_add(json, json_object_new_string("migration"));
    }
    v = qobject_input_visitor_new(json);
    g_assert_true(visit_type_YankInstanceRefList(v, NULL, &refs, NULL));
    for (i = 0, ref = refs; ref; ref = ref->next) {
        i++;
    }
    g_assert_cmpint(i, ==, length);
}

/* An error never sends megabytes back, nor half a character. */
static void test_long_names(void)
{
    g_autofree char *name = g_strnfill(100000, 'x');
    g_autofree char *umlauts = g_strdup_printf("%.255s\xc3\xa4%s", name, name);
    g_autofree char *unknown =
        g_strdup_printf("{'type': 'migration', '%s': 1}", name);
    g_autofree char *value = g_strdup_printf("{'type': '%s'}", umlauts);
    g_autofree char *unknown_error =
        g_strdup_printf("Parameter '%.256s...' is unexpected", name);
    g_autofree char *value_error = g_strdup_printf(
        "Parameter 'type' does not accept value '%.255s...'", name);

    ASSERT_REFUSED(YankInstance, unknown, unknown_error);
    ASSERT_REFUSED(YankInstance, value, value_error);
}

/* However late the error, nothing is left (the sanitizer tells). */
static void test_nothing_left(void)
{
    static const char text[] =
        "{'type': 'socket', 'data': {'addr': {'type': 'inet', 'data':"
        " {'host': 'h', 'port': '1', 'to': 3}}, 'reconnect': 1, 'x': 1}}";

    ASSERT_REFUSED(ChardevBackend, text, "Parameter 'data.x' is unexpected");
    ASSERT_REFUSED(BlockdevOptions,
                   "{'driver': 'blkdebug', 'node-name': 'b', 'image':"
                   " {'driver': 'file', 'filename': 'f'}, 'inject-error':"
                   " [{'event': 'none'}, {'event': 'read_aio',"
                   " 'errno': '5'}]}",
                   "Invalid parameter type for 'inject-error[1].errno', "
                   "expected: integer");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/qapi/input/union", test_union);
    g_test_add_func("/qapi/input/no-branch", test_union_without_branch);
    g_test_add_func("/qapi/input/alternate", test_alternate);
    g_test_add_func("/qapi/input/base-optional", test_base_and_optional);
    g_test_add_func("/qapi/input/wrong-type", test_wrong_type);
    g_test_add_func("/qapi/input/path", test_path);
    g_test_add_func("/qapi/input/missing-unknown", test_missing_and_unknown);
    g_test_add_func("/qapi/input/integers", test_integers);
    g_test_add_func("/qapi/input/narrow", test_narrow_integers);
    g_test_add_func("/qapi/input/other-scalars", test_other_scalars);
    g_test_add_func("/qapi/input/long-list", test_long_list);
    g_test_add_func("/qapi/input/long-names", test_long_names);
    g_test_add_func("/qapi/input/nothing-left", test_nothing_left);
    return g_test_run();
}
