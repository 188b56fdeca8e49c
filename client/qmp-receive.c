/*
 * QMP client: what the server sends.  All of it is hostile.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qmp-internal.h"

/* The stream is to end, once the framer has returned. */
static void client_break(YcQmpClient *client, GError *why)
{
    if (client->broken) {
        g_error_free(why);
    } else {
        client->broken = why;
    }
}

static void G_GNUC_PRINTF(2, 3)
    client_break_protocol(YcQmpClient *client, const char *fmt, ...)
{
    g_autofree char *what = NULL;
    va_list ap;

    va_start(ap, fmt);
    what = g_strdup_vprintf(fmt, ap);
    va_end(ap);
    client_break(client, g_error_new(YC_ERROR, YC_ERROR_PROTOCOL, "%s: %s",
                                     client->addr_text, what));
}

static int int_member(json_object *obj, const char *name)
{
    json_object *value = yc_message_member(obj, name, json_type_int);

    return value ? json_object_get_int(value) : 0;
}

static bool greeting_has_oob(json_object *qmp)
{
    json_object *list = yc_message_member(qmp, "capabilities", json_type_array);

    for (size_t i = 0; list && i < json_object_array_length(list); i++) {
        json_object *item = json_object_array_get_idx(list, i);

        if (json_object_is_type(item, json_type_string) &&
            g_str_equal(json_object_get_string(item), "oob")) {
            return true;
        }
    }
    return false;
}

static void client_read_greeting(YcQmpClient *client, json_object *qmp)
{
    json_object *version = yc_message_member(qmp, "version", json_type_object);
    json_object *qemu = yc_message_member(version, "qemu", json_type_object);
    json_object *package =
        yc_message_member(version, "package", json_type_string);
    YcQmpKnown *greeting = &client->greeting;

    g_free(greeting->package);
    *greeting = (YcQmpKnown){
        .oob = greeting_has_oob(qmp),
        .peer_pid = yc_stream_peer_pid(client->stream),
        .major = int_member(qemu, "major"),
        .minor = int_member(qemu, "minor"),
        .micro = int_member(qemu, "micro"),
        .package = g_strdup(package ? json_object_get_string(package) : ""),
    };
    greeting->yankd = g_str_has_prefix(greeting->package, "yankd-");
}

static void client_greeted(YcQmpClient *client, json_object *message)
{
    json_object *qmp = yc_message_member(message, "QMP", json_type_object);

    if (!qmp) {
        g_autofree char *text = yc_message_excerpt(message);

        client_break_protocol(client,
                              "this is no QMP server: it greets with "
                              "%s",
                              text);
        return;
    }
    client_read_greeting(client, qmp);
    yc_qmp_set_state(client, YC_QMP_NEGOTIATING, NULL);
    yc_qmp_negotiate(client, client->greeting.oob);
}

static bool message_is_answer(json_object *message)
{
    return json_object_object_get_ex(message, "return", NULL) ||
           json_object_object_get_ex(message, "error", NULL);
}

/* The error that an answer holds, or NULL. */
static GError *message_error(YcQmpClient *client, json_object *message)
{
    json_object *error;

    if (!json_object_object_get_ex(message, "error", &error)) {
        return NULL;
    }
    return yc_error_from_answer(client->addr_text, error);
}

/* 0 for an id that is not one of ours. */
static int64_t message_id(json_object *message)
{
    json_object *id = yc_message_member(message, "id", json_type_int);

    return id ? json_object_get_int64(id) : 0;
}

/* An error without an id is also about our one request. */
static void client_negotiated(YcQmpClient *client, json_object *message)
{
    g_autoptr(GError) err = message_error(client, message);
    int64_t id = message_id(message);

    if (id != client->negotiation_id && (id || !err)) {
        yc_qmp_count_dropped(client, YC_QMP_DROPPED_UNKNOWN_ID);
    } else if (err) {
        client_break_protocol(client, "refused qmp_capabilities: %s",
                              err->message);
    } else {
        yc_qmp_ready(client);
    }
}

/*
 * The reference counts of JSON values are not atomic: @message is let go
 * before another thread sees what was in it.
 */
static void client_answer(YcQmpClient *client, json_object *message)
{
    int64_t id = message_id(message);
    GError *err = message_error(client, message);
    json_object *result = NULL;

    if (!err) {
        result = json_object_get(json_object_object_get(message, "return"));
    }
    json_object_put(message);
    yc_qmp_answered(client, id, result, err);
}

/* Takes @message, which is handed on as it is or freed. */
static void client_take(YcQmpClient *client, json_object *message)
{
    g_autoptr(json_object) owned = message;

    if (client->state == YC_QMP_GREETING) {
        /* Some servers send events to clients that they have not greeted. */
        if (!yc_message_member(message, "event", json_type_string)) {
            client_greeted(client, message);
        }
    } else if (yc_message_member(message, "event", json_type_string)) {
        yc_qmp_deliver_event(client, g_steal_pointer(&owned),
                             client->n_message);
    } else if (!json_object_is_type(message, json_type_object) ||
               !message_is_answer(message)) {
        g_autofree char *text = yc_message_excerpt(message);

        client_break_protocol(
            client, "sent what is neither answer nor event: %s", text);
    } else if (client->state == YC_QMP_NEGOTIATING) {
        client_negotiated(client, message);
    } else {
        client_answer(client, g_steal_pointer(&owned));
    }
}

static void client_no_json(YcQmpClient *client, const Error *err)
{
    g_autofree char *what = yc_printable(error_get_pretty(err));

    client_break_protocol(
        client, "%s%s",
        client->state == YC_QMP_GREETING ? "this is no QMP server: " : "",
        what);
}

void yc_qmp_message(json_object *value, Error *err, void *opaque)
{
    YcQmpClient *client = opaque;

    client->n_message = client->n_partial;
    client->n_partial = 0;
    if (client->broken) {
        json_object_put(value);
    } else if (err) {
        client_no_json(client, err);
    } else {
        client_take(client, value);
    }
    error_free(err);
}

static void client_check_size(YcQmpClient *client)
{
    size_t max = client->state == YC_QMP_GREETING ? YC_QMP_MAX_GREETING
                                                  : client->max_message;

    if (client->n_partial > max) {
        client_break_protocol(client,
                              "sent more than %zu bytes without the "
                              "end of a message",
                              max);
    }
}

void yc_qmp_received(const char *buf, size_t len, void *opaque)
{
    YcQmpClient *client = opaque;

    client->n_partial += len;
    json_framer_feed(client->framer, buf, len);
    client_check_size(client);
    if (client->broken) {
        yc_qmp_fail(client, g_steal_pointer(&client->broken));
    }
}
