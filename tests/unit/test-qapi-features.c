/*
 * Runs what the generator makes of tests/qapi-schema/features.json, which has
 * everything that the language has.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qapi/clone-visitor.h"
#include "qapi/qapi-commands-features.h"
#include "qapi/qapi-events-features.h"
#include "qapi/qapi-visit-features.h"
#include "qapi/qmp-event.h"
#include "qobject/json.h"

/* What the handlers below were given, in words. */
static GString *seen;

void qmp_nothing(Error **errp)
{
    g_string_append(seen, "nothing");
}

intList *qmp_take_in_place(Base *base, Choice *choice, bool has_flag, bool flag,
                           const char *args, Error **errp)
{
    intList *list = NULL;

    g_string_append_printf(seen, "%s %s %d%d %s", base->id,
                           base->note ? base->note : "-", has_flag, flag, args);
    if (choice) {
        g_string_append_printf(seen, " %s", QType_str(choice->type));
    }
    QAPI_LIST_PREPEND(list, 7);
    return list;
}

int64_t qmp_take_struct(const char *id, const char *note, ColorList *colors,
                        sizeList *sizes, DerivedList *children, Derived *parent,
                        uint16_t depth, Error **errp)
{
    g_string_append_printf(seen, "%s %s %s", id, Color_str(colors->value),
                           parent->parent->id);
    return sizes->value + depth;
}

NamedUnion *qmp_take_boxed(NamedUnion *arg, Error **errp)
{
    return QAPI_CLONE(NamedUnion, arg);
}

Color qmp_x_return_enum(Error **errp)
{
    return COLOUR_3D;
}

json_object *qmp_return_any(Error **errp)
{
    return json_object_new_string("any");
}

void qmp___org_example_vendor(Error **errp)
{
    error_setg(errp, "no vendor");
}

/* Runs @fn; its reply, or its error's text, is @expected. */
static void assert_run(void (*fn)(json_object *, GString *, Error **),
                       const char *text, const char *expected)
{
    g_autoptr(json_object) args = json_tokener_parse(text);
    g_autoptr(GString) ret = g_string_new(NULL);
    g_autoptr(Error) err = NULL;

    g_string_truncate(seen, 0);
    fn(args, ret, &err);
    g_assert_cmpstr(err ? error_get_pretty(err) : ret->str, ==, expected);
}

static void test_commands(void)
{
    assert_run(qmp_marshal_nothing, "{}", "{}");
    g_assert_cmpstr(seen->str, ==, "nothing");
    assert_run(qmp_marshal_take_in_place, "{'base': {'id': 'x'}, 'args': 'a'}",
               "[7]");
    g_assert_cmpstr(seen->str, ==, "x - 00 a");
    assert_run(qmp_marshal_take_in_place,
               "{'base': {'id': 'x', 'note': 'n'}, 'args': 'a',"
               " 'flag': true, 'choice': [1, 2]}",
               "[7]");
    g_assert_cmpstr(seen->str, ==, "x n 11 a qlist");
    assert_run(qmp_marshal_take_struct,
               "{'id': 'i', 'colors': ['green-ish'], 'sizes': [40],"
               " 'parent': {'id': 'p', 'parent': {'id': 'g'}}, 'depth': 2}",
               "42");
    g_assert_cmpstr(seen->str, ==, "i green-ish g");
    assert_run(qmp_marshal_take_boxed,
               "{'id': 'i', 'color': '3d', 'int': 1, 'unix': 'red'}",
               "{\"id\": \"i\", \"color\": \"3d\", \"int\": 1, "
               "\"unix\": \"red\"}");
    assert_run(qmp_marshal_x_return_enum, "{}", "\"3d\"");
    assert_run(qmp_marshal_return_any, "{}", "\"any\"");
    assert_run(qmp_marshal___org_example_vendor, "{}", "no vendor");
}

static void test_refused(void)
{
    assert_run(qmp_marshal_nothing, "{'x': null}",
               "Parameter 'x' is unexpected");
    assert_run(qmp_marshal_take_in_place,
               "{'base': {'id': 'x'}, 'args': 'a', 'choice': 1}",
               "Invalid parameter type for 'choice', expected: Choice");
    assert_run(qmp_marshal_take_in_place,
               "{'base': {'id': 'x'}, 'args': 'a', 'choice':"
               " {'kind': 'red', 'id': 'i', 'children': [{'id': 'c'},"
               " {'id': 'd', 'sizes': [1, -1]}]}}",
               "Parameter 'choice.children[1].sizes[1]' expects uint64");
    assert_run(qmp_marshal_take_boxed, "{'id': 'i', 'color': 'blue'}",
               "Parameter 'color' does not accept value 'blue'");
    assert_run(qmp_marshal_take_boxed,
               "{'id': 'i', 'color': 'green-ish', 'int': 1}",
               "Parameter 'int' is unexpected");
    g_assert_cmpstr(seen->str, ==, "");
}

/* Reads, clones, frees the original, writes: @text must come out again. */
static void assert_choice(const char *text, QType type)
{
    g_autoptr(json_object) json = json_tokener_parse(text);
    g_autoptr(Visitor) in = qobject_input_visitor_new(json);
    g_autoptr(GString) written = g_string_new(NULL);
    g_autoptr(Visitor) out = json_output_visitor_new(written);
    g_autoptr(Choice) clone = NULL;
    Choice *choice = NULL;

    g_assert_true(visit_type_Choice(in, NULL, &choice, &error_abort));
    g_assert_cmpint(choice->type, ==, type);
    clone = QAPI_CLONE(Choice, choice);
    qapi_free_Choice(choice);
    g_assert_true(visit_type_Choice(out, NULL, &clone, &error_abort));
    g_assert_cmpstr(written->str, ==, text);
}

static void test_alternate(void)
{
    assert_choice("[1, 2, 3]", QTYPE_QLIST);
    assert_choice("[]", QTYPE_QLIST);
    assert_choice("{\"kind\": \"3d\", \"comment\": \"c\"}", QTYPE_QDICT);
    assert_choice("{\"kind\": \"red\", \"id\": \"i\", \"colors\": "
                  "[\"red\", \"3d\"]}",
                  QTYPE_QDICT);
    assert_choice("\"blue\"", QTYPE_QSTRING);
    assert_choice("true", QTYPE_QBOOL);
    assert_choice("null", QTYPE_QNULL);
}

static void test_optional(void)
{
    static const char text[] =
        "{\"int\": 0, \"i8\": -1, \"u64\": 18446744073709551615, \"size\": "
        "1, \"number\": 0.5, \"bool\": false, \"null\": null, \"any\": [], "
        "\"unix\": \"3d\"}";
    g_autoptr(json_object) json = json_tokener_parse(text);
    g_autoptr(Visitor) in = qobject_input_visitor_new(json);
    g_autoptr(GString) written = g_string_new(NULL);
    g_autoptr(Visitor) out = json_output_visitor_new(written);
    g_autoptr(Scalars) scalars = NULL;

    g_assert_true(visit_type_Scalars(in, NULL, &scalars, &error_abort));
    g_assert_true(scalars->has_i8 && scalars->has_u64 && scalars->has_size);
    g_assert_true(scalars->has_number && scalars->has_q_bool);
    g_assert_true(scalars->has_q_unix && scalars->null && scalars->any);
    g_assert_true(visit_type_Scalars(out, NULL, &scalars, &error_abort));
    g_assert_cmpstr(written->str, ==, text);
}

static void remember_event(const char *name, const char *data, void *opaque)
{
    g_string_append_printf(opaque, "%s %s\n", name, data ? data : "-");
}

static void test_events(void)
{
    PlainUnion plain = {.kind = COLOUR_GREEN_ISH};

    g_string_truncate(seen, 0);
    qmp_event_set_emitter(remember_event, seen);
    qapi_event_send_happened();
    qapi_event_send_happened_to("me", false, 0);
    qapi_event_send_happened_to("you", true, 255);
    qapi_event_send_happened_boxed(&plain);
    qmp_event_set_emitter(NULL, NULL);
    g_assert_cmpstr(seen->str, ==,
                    "HAPPENED -\n"
                    "HAPPENED_TO {\"who\": \"me\"}\n"
                    "HAPPENED_TO {\"who\": \"you\", \"times\": 255}\n"
                    "HAPPENED_BOXED {\"kind\": \"green-ish\"}\n");
}

int main(int argc, char **argv)
{
    int status;

    g_test_init(&argc, &argv, NULL);
    seen = g_string_new(NULL);
    g_test_add_func("/qapi/features/commands", test_commands);
    g_test_add_func("/qapi/features/refused", test_refused);
    g_test_add_func("/qapi/features/alternate", test_alternate);
    g_test_add_func("/qapi/features/optional", test_optional);
    g_test_add_func("/qapi/features/events", test_events);
    status = g_test_run();
    g_string_free(seen, TRUE);
    return status;
}
