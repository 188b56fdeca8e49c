/*
 * Visitors that read C objects: output to JSON, cloning, freeing.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qapi/clone-visitor.h"
#include "qapi/qapi-visit-block-core.h"
#include "qapi/qapi-visit-char.h"
#include "qapi/qapi-visit-dispatch.h"
#include "qapi/qapi-visit-yank.h"
#include "qobject/json.h"

typedef bool VisitFn(Visitor *v, const char *name, void **obj, Error **errp);

static void *read_json(const char *text, VisitFn *visit)
{
    g_autoptr(json_object) json = json_tokener_parse(text);
    g_autoptr(Visitor) v = qobject_input_visitor_new(json);
    void *obj = NULL;

    g_assert_true(visit(v, NULL, &obj, &error_abort));
    return obj;
}

static char *write_json(void *obj, VisitFn *visit)
{
    GString *text = g_string_new(NULL);
    g_autoptr(Visitor) v = json_output_visitor_new(text);

    g_assert_true(visit(v, NULL, &obj, &error_abort));
    return g_string_free(text, FALSE);
}

/* Reads, clones, frees the original, and writes the clone. */
#define ASSERT_ROUND_TRIP(type, text)                                          \
    do {                                                                       \
        type *first_ = read_json(text, (VisitFn *)visit_type_##type);          \
        g_autoptr(type) second_ = QAPI_CLONE(type, first_);                    \
        g_autofree char *out_ = NULL;                                          \
        qapi_free_##type(first_);                                              \
        out_ = write_json(second_, (VisitFn *)visit_type_##type);              \
        g_assert_cmpstr(out_, ==, text);                                       \
    } while (0)

static void test_round_trip(void)
{
    ASSERT_ROUND_TRIP(YankInstance, "{\"type\": \"migration\"}");
    ASSERT_ROUND_TRIP(
        YankInstanceRefList,
        "[\"chardev:c0\", {\"type\": \"chardev\", \"id\": \"c1\"}]");
    ASSERT_ROUND_TRIP(
        YankResult,
        "{\"yanked\": [{\"instance\": {\"type\": \"block-node\", "
        "\"node-name\": \"n\"}, \"name\": \"blockdev:n\", \"functions\": 2, "
        "\"cut\": [\"a\", \"b\"]}, {\"instance\": {\"type\": \"migration\"}, "
        "\"name\": \"migration\", \"functions\": 0, \"cut\": []}]}");
    ASSERT_ROUND_TRIP(
        ChardevBackend,
        "{\"type\": \"socket\", \"data\": {\"addr\": {\"type\": \"inet\", "
        "\"data\": {\"host\": \"h\", \"port\": \"1\", \"to\": 3, "
        "\"ipv6\": true}}, \"wait\": false}}");
    ASSERT_ROUND_TRIP(
        BlockdevOptions,
        "{\"driver\": \"blkdebug\", \"node-name\": \"b\", \"image\": "
        "{\"driver\": \"ram\", \"size\": 18446744073709551615}, "
        "\"delay\": [{\"event\": \"read_aio\", \"latency-ns\": 5}]}");
}

static void test_builtin_lists(void)
{
    ASSERT_ROUND_TRIP(anyList, "[{\"a\": [1, null]}, null, \"x\"]");
    ASSERT_ROUND_TRIP(nullList, "[null, null]");
    ASSERT_ROUND_TRIP(numberList, "[1.5, -2.25]");
    ASSERT_ROUND_TRIP(boolList, "[true, false]");
    ASSERT_ROUND_TRIP(int8List, "[-128, 127]");
    ASSERT_ROUND_TRIP(QTypeList, "[\"qnull\", \"none\"]");
    ASSERT_ROUND_TRIP(strList, "[]");
}

static void test_null_pointers(void)
{
    g_autofree char *text = NULL;
    YankInstanceBlockNode node = {0};

    g_assert_null(QAPI_CLONE(YankInstance, NULL));
    qapi_free_YankInstance(NULL);
    qapi_free_strList(NULL);
    text = write_json(&node, (VisitFn *)visit_type_YankInstanceBlockNode);
    g_assert_cmpstr(text, ==, "{\"node-name\": \"\"}");
}

static void test_bad_enum(void)
{
    YankInstance instance = {.type = YANK_INSTANCE_TYPE__MAX};
    YankInstance *obj = &instance;
    g_autoptr(Error) err = NULL;
    g_autoptr(GString) text = g_string_new(NULL);
    g_autoptr(Visitor) v = json_output_visitor_new(text);

    g_assert_false(visit_type_YankInstance(v, NULL, &obj, &err));
    g_assert_cmpstr(error_get_pretty(err), ==,
                    "'type' holds 3, which is no value of its enum");
}

/* What was never filled can be freed, alternates included. */
static void test_free_partial(void)
{
    YankInstanceRefList *refs = NULL;

    QAPI_LIST_PREPEND(refs, g_new0(YankInstanceRef, 1));
    QAPI_LIST_PREPEND(refs, NULL);
    qapi_free_YankInstanceRefList(refs);
    qapi_free_YankedInstance(g_new0(YankedInstance, 1));
    qapi_free_BlockdevOptions(g_new0(BlockdevOptions, 1));
}

/* A clone shares nothing, so another thread may have it. */
static void test_clone_any(void)
{
    g_autoptr(anyList) list =
        read_json("[{'a': 1}]", (VisitFn *)visit_type_anyList);
    g_autoptr(anyList) copy = QAPI_CLONE(anyList, list);

    json_object_object_add(list->value, "b", json_object_new_int(2));
    g_assert_cmpint(json_object_object_length(copy->value), ==, 1);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/qapi/output/round-trip", test_round_trip);
    g_test_add_func("/qapi/output/builtin-lists", test_builtin_lists);
    g_test_add_func("/qapi/output/null", test_null_pointers);
    g_test_add_func("/qapi/output/bad-enum", test_bad_enum);
    g_test_add_func("/qapi/dealloc/partial", test_free_partial);
    g_test_add_func("/qapi/clone/any", test_clone_any);
    return g_test_run();
}
