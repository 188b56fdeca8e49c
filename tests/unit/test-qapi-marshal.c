/*
 * Commands and events between JSON and C, against handlers of this file.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qapi/clone-visitor.h"
#include "qapi/qapi-commands-char.h"
#include "qapi/qapi-commands-qom.h"
#include "qapi/qapi-events-dispatch.h"
#include "qapi/qapi-events-yank.h"
#include "qapi/qmp-command.h"
#include "qapi/qmp-event.h"
#include "qobject/json.h"

/* The generated table names every handler there is; this one stands in. */
const QmpCommand qmp_commands[] = {
    {"chardev-remove", qmp_marshal_chardev_remove, QCO_NO_OPTIONS},
    {"query-chardev", qmp_marshal_query_chardev, QCO_ALLOW_OOB},
    {"ringbuf-read", qmp_marshal_ringbuf_read, QCO_NO_OPTIONS},
};
const size_t qmp_n_commands = G_N_ELEMENTS(qmp_commands);

static int calls;

ChardevInfoList *qmp_query_chardev(Error **errp)
{
    ChardevInfoList *list = NULL;
    ChardevInfo *info = g_new0(ChardevInfo, 1);

    calls++;
    info->label = g_strdup("c0");
    info->filename = g_strdup("null");
    QAPI_LIST_PREPEND(list, info);
    return list;
}

char *qmp_ringbuf_read(const char *device, int64_t size, bool has_format,
                       DataFormat format, Error **errp)
{
    calls++;
    if (size < 0) {
        error_set(errp, ERROR_CLASS_DEVICE_NOT_FOUND, "no %s", device);
        return NULL;
    }
    return g_strdup_printf("%s %" PRId64 " %d %s", device, size, has_format,
                           has_format ? DataFormat_str(format) : "-");
}

void qmp_chardev_remove(const char *id, Error **errp)
{
    calls++;
}

ChardevReturn *qmp_chardev_add(const char *id, ChardevBackend *backend,
                               Error **errp)
{
    calls++;
    g_assert_cmpint(backend->type, ==, CHARDEV_BACKEND_KIND_NULL);
    return g_new0(ChardevReturn, 1);
}

void qmp_object_add(ObjectOptions *options, Error **errp)
{
    calls++;
    g_assert_cmpstr(options->id, ==, "t");
    g_assert_cmpint(options->qom_type, ==, OBJECT_TYPE_IOTHREAD);
}

/* Handlers of these modules that no test here calls. */
ChardevBackendInfoList *qmp_query_chardev_backends(Error **errp)
{
    g_assert_not_reached();
}

void qmp_ringbuf_write(const char *device, const char *data, bool has_format,
                       DataFormat format, Error **errp)
{
    g_assert_not_reached();
}

void qmp_chardev_write(const char *device, const char *data, bool has_format,
                       DataFormat format, Error **errp)
{
    g_assert_not_reached();
}

ChardevReturn *qmp_chardev_change(const char *id, ChardevBackend *backend,
                                  Error **errp)
{
    g_assert_not_reached();
}

void qmp_object_del(const char *id, Error **errp)
{
    g_assert_not_reached();
}

/* Runs @fn with arguments @text; its reply as text, NULL on error. */
static char *run(QmpCommandFn *fn, const char *text, Error **errp)
{
    json_object *args = text ? json_tokener_parse(text) : NULL;
    GString *reply = g_string_new(NULL);
    Error *err = NULL;

    fn(args, reply, &err);
    json_object_put(args);
    error_propagate(errp, err);
    return g_string_free(reply, err != NULL);
}

static void assert_reply(QmpCommandFn *fn, const char *text,
                         const char *expected)
{
    g_autoptr(Error) err = NULL;
    g_autofree char *reply = run(fn, text, &err);

    g_assert_null(err);
    g_assert_cmpstr(reply, ==, expected);
}

static void assert_refused(QmpCommandFn *fn, const char *text,
                           const char *message)
{
    g_autoptr(Error) err = NULL;
    g_autofree char *reply = NULL;
    int before = calls;

    reply = run(fn, text, &err);
    g_assert_null(reply);
    g_assert_nonnull(err);
    g_assert_cmpstr(error_get_pretty(err), ==, message);
    g_assert_cmpint(calls, ==, before);
}

static void test_arguments(void)
{
    assert_reply(qmp_marshal_ringbuf_read, "{'device': 'd', 'size': 3}",
                 "\"d 3 0 -\"");
    assert_reply(qmp_marshal_ringbuf_read,
                 "{'size': 3, 'format': 'base64', 'device': 'd'}",
                 "\"d 3 1 base64\"");
    assert_reply(qmp_marshal_chardev_remove, "{'id': 'c'}", "{}");
    assert_reply(qmp_marshal_chardev_add,
                 "{'id': 'c', 'backend': {'type': 'null', 'data': {}}}", "{}");
    assert_reply(qmp_marshal_object_add, "{'qom-type': 'iothread', 'id': 't'}",
                 "{}");
}

static void test_no_arguments(void)
{
    const char *reply = "[{\"label\": \"c0\", \"filename\": \"null\", "
                        "\"frontend-open\": false}]";

    assert_reply(qmp_marshal_query_chardev, NULL, reply);
    assert_reply(qmp_marshal_query_chardev, "{}", reply);
    assert_refused(qmp_marshal_query_chardev, "{'x': 1}",
                   "Parameter 'x' is unexpected");
}

/* A command is refused before its handler runs. */
static void test_refused(void)
{
    assert_refused(qmp_marshal_ringbuf_read, NULL,
                   "Parameter 'device' is missing");
    assert_refused(qmp_marshal_ringbuf_read, "[]",
                   "QMP input member 'arguments' must be an object");
    assert_refused(qmp_marshal_ringbuf_read,
                   "{'device': 'd', 'size': 1, 'format': 'x'}",
                   "Parameter 'format' does not accept value 'x'");
    assert_refused(qmp_marshal_ringbuf_read,
                   "{'device': 'd', 'size': 1, 'more': true}",
                   "Parameter 'more' is unexpected");
    assert_refused(qmp_marshal_object_add,
                   "{'qom-type': 'iothread', 'id': 't', 'data': ''}",
                   "Parameter 'data' is unexpected");
}

static void test_handler_fails(void)
{
    g_autoptr(Error) err = NULL;
    g_autofree char *reply =
        run(qmp_marshal_ringbuf_read, "{'device': 'd', 'size': -1}", &err);

    g_assert_null(reply);
    g_assert_cmpstr(error_get_pretty(err), ==, "no d");
    g_assert_cmpint(error_get_class(err), ==, ERROR_CLASS_DEVICE_NOT_FOUND);
}

static void test_find(void)
{
    const QmpCommand *command = qmp_find_command("query-chardev");

    g_assert_nonnull(command);
    g_assert_true(command->fn == qmp_marshal_query_chardev);
    g_assert_nonnull(qmp_find_command("chardev-remove"));
    g_assert_nonnull(qmp_find_command("ringbuf-read"));
    g_assert_null(qmp_find_command("ringbuf"));
    g_assert_null(qmp_find_command(""));
    g_assert_null(qmp_find_command("zzz"));
}

static void remember_event(const char *name, const char *data, void *opaque)
{
    g_string_append_printf(opaque, "%s %s\n", name, data ? data : "-");
}

static void test_events(void)
{
    g_autoptr(GString) log = g_string_new(NULL);
    YankInstance instance = {.type = YANK_INSTANCE_TYPE_CHARDEV,
                             .u.chardev.id = (char *)"c0"};
    YankedInstance yanked = {.instance = &instance,
                             .name = (char *)"chardev:c0"};
    YankedInstanceList list = {.value = &yanked};
    json_object *id = json_object_new_int(7);

    qapi_event_send_main_loop_resumed(1);
    qmp_event_set_emitter(remember_event, log);
    qapi_event_send_yank(&list);
    qapi_event_send_main_loop_resumed(5);
    qapi_event_send_command_dropped(id, NULL);
    qapi_event_send_main_loop_stalled(NULL);
    qmp_event_set_emitter(NULL, NULL);
    qapi_event_send_main_loop_resumed(6);
    json_object_put(id);
    g_assert_cmpstr(log->str, ==,
                    "YANK {\"yanked\": [{\"instance\": {\"type\": "
                    "\"chardev\", \"id\": \"c0\"}, \"name\": \"chardev:c0\", "
                    "\"functions\": 0, \"cut\": []}]}\n"
                    "MAIN_LOOP_RESUMED {\"stalled-ms\": 5}\n"
                    "COMMAND_DROPPED {\"id\": 7}\n"
                    "MAIN_LOOP_STALLED {}\n");
}

/* What query-qmp-schema tells is one good JSON list. */
static void test_schema_text(void)
{
    g_autoptr(json_object) schema = json_tokener_parse(qmp_schema_json);

    g_assert_true(json_object_is_type(schema, json_type_array));
    g_assert_cmpuint(json_object_array_length(schema), >, 10);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/qapi/marshal/arguments", test_arguments);
    g_test_add_func("/qapi/marshal/no-arguments", test_no_arguments);
    g_test_add_func("/qapi/marshal/refused", test_refused);
    g_test_add_func("/qapi/marshal/handler-fails", test_handler_fails);
    g_test_add_func("/qapi/find-command", test_find);
    g_test_add_func("/qapi/event", test_events);
    g_test_add_func("/qapi/introspect/text", test_schema_text);
    return g_test_run();
}
