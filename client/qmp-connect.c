/*
 * QMP client: the way to a connection that takes requests, its end, and the
 * next attempt.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qmp-internal.h"

void yc_qmp_set_state(YcQmpClient *client, YcQmpState state, const GError *why)
{
    if (client->state == state) {
        return;
    }
    client->state = state;
    WITH_QEMU_LOCK_GUARD(&client->lock) {
        client->known.state = state;
    }
    yc_qmp_deliver_state(client, state, why);
}

static bool client_attempting(YcQmpClient *client)
{
    return client->state == YC_QMP_CONNECTING ||
           client->state == YC_QMP_GREETING ||
           client->state == YC_QMP_NEGOTIATING;
}

static void client_connected(void *opaque)
{
    YcQmpClient *client = opaque;
    pid_t pid = yc_stream_peer_pid(client->stream);

    WITH_QEMU_LOCK_GUARD(&client->lock) {
        client->known.peer_pid = pid;
    }
    yc_qmp_set_state(client, YC_QMP_GREETING, NULL);
}

static void client_failed(GError *err, void *opaque)
{
    YcQmpClient *client = opaque;

    if (err->code == YC_ERROR_CLOSED && client_attempting(client)) {
        GError *more = g_error_new(
            YC_ERROR, YC_ERROR_CLOSED, "%s %s", err->message,
            client->state == YC_QMP_NEGOTIATING ? "during negotiation"
                                                : "before its greeting");

        g_error_free(err);
        err = more;
    }
    yc_qmp_fail(client, err);
}

static const YcStreamOps stream_ops = {
    .connected = client_connected,
    .received = yc_qmp_received,
    .sent = yc_qmp_send,
    .failed = client_failed,
};

static void client_attempt(void *opaque)
{
    YcQmpClient *client = opaque;
    int ms = client->attempt_ms;

    client->attempt_deadline = yc_deadline(&ms);
    yc_timer_set_earlier(client->deadlines, client->attempt_deadline);
    client->n_partial = 0;
    client->framer = json_framer_new(yc_qmp_message, client);
    client->stream = yc_stream_new(client->addr, client->addr_text,
                                   &client->tls, &stream_ops, client);
    yc_qmp_set_state(client, YC_QMP_CONNECTING, NULL);
}

/* Tells who waits for the first attempt. */
static void client_attempt_ended(YcQmpClient *client, const GError *why)
{
    YcRequest *req = g_steal_pointer(&client->connecting);

    if (req) {
        yc_request_finish(req, NULL, why ? g_error_copy(why) : NULL);
    }
}

void yc_qmp_ready(YcQmpClient *client)
{
    client->ready_since = g_get_monotonic_time();
    client->attempt_deadline = 0;
    g_clear_error(&client->why);
    client->oob = client->greeting.oob;
    client->yankd = client->greeting.yankd;
    WITH_QEMU_LOCK_GUARD(&client->lock) {
        g_free(client->known.package);
        client->greeting.state = client->known.state;
        client->greeting.n_ready = client->known.n_ready + 1;
        client->known = client->greeting;
    }
    client->greeting.package = NULL;
    yc_qmp_set_state(client, YC_QMP_READY, NULL);
    client_attempt_ended(client, NULL);
}

static void client_drop_connection(YcQmpClient *client)
{
    g_clear_pointer(&client->stream, yc_stream_free);
    g_clear_pointer(&client->framer, json_framer_free);
    g_clear_error(&client->broken);
    client->attempt_deadline = 0;
    client->sending_id = 0;
    client->negotiation_id = 0;
}

/* Everybody who waits hears @why. */
static void client_down(YcQmpClient *client, YcQmpState state, GError *why)
{
    client_drop_connection(client);
    g_clear_error(&client->why);
    client->why = why;
    yc_qmp_set_state(client, state, why);
    yc_qmp_fail_requests(client, why);
    client_attempt_ended(client, why);
}

/* How long to wait before the next attempt. */
static int client_next_pause(YcQmpClient *client)
{
    int64_t lasted = g_get_monotonic_time() - client->ready_since;
    int pause_ms;

    if (client->state == YC_QMP_READY &&
        lasted >= client->max_pause_ms * INT64_C(1000)) {
        client->pause_ms = client->first_pause_ms;
    }
    pause_ms = client->pause_ms;
    client->pause_ms = pause_ms > client->max_pause_ms / 2
                           ? client->max_pause_ms
                           : pause_ms * 2;
    return pause_ms;
}

void yc_qmp_fail(YcQmpClient *client, GError *why)
{
    if (client->first_pause_ms) {
        int64_t pause_ms = client_next_pause(client);

        yc_timer_set(client->retry, g_get_monotonic_time() + pause_ms * 1000);
        client_down(client, YC_QMP_WAITING, why);
    } else {
        client_down(client, YC_QMP_DISCONNECTED, why);
    }
}

void yc_qmp_attempt_expired(YcQmpClient *client)
{
    const char *addr = client->addr_text;
    int ms = client->attempt_ms;
    GError *why = NULL;

    if (client->state == YC_QMP_CONNECTING) {
        /* A unix socket refuses at once unless its queue is full. */
        g_set_error(&why, YC_ERROR, YC_ERROR_CONNECT,
                    "%s: no connection within %d ms%s", addr, ms,
                    client->addr->type == SOCKET_ADDRESS_TYPE_UNIX
                        ? ": its process accepts no client, perhaps because "
                          "it serves another client"
                        : "");
    } else if (client->state == YC_QMP_NEGOTIATING) {
        g_set_error(&why, YC_ERROR, YC_ERROR_NO_NEGOTIATION,
                    "%s: greeted, but did not answer qmp_capabilities within "
                    "%d ms: its main loop hangs",
                    addr, ms);
    } else if (client->n_partial) {
        g_set_error(&why, YC_ERROR, YC_ERROR_NO_GREETING,
                    "%s: sent %zu bytes, but no whole greeting within %d ms",
                    addr, client->n_partial, ms);
    } else {
        g_set_error(&why, YC_ERROR, YC_ERROR_NO_GREETING,
                    "%s: no greeting within %d ms: it is no QMP server, or it "
                    "serves another client",
                    addr, ms);
    }
    yc_qmp_fail(client, why);
}

static void client_stop(YcQmpClient *client, const char *what)
{
    if (client->retry) {
        yc_timer_set(client->retry, -1);
    }
    if (client->state != YC_QMP_DISCONNECTED) {
        client_down(client, YC_QMP_DISCONNECTED,
                    g_error_new(YC_ERROR, YC_ERROR_CLOSED, "%s: %s",
                                client->addr_text, what));
    }
}

void yc_qmp_end(YcQmpClient *client)
{
    client_stop(client, "the client was freed");
    g_clear_pointer(&client->retry, yc_timer_free);
    g_clear_pointer(&client->deadlines, yc_timer_free);
}

static void client_disconnect(void *opaque)
{
    client_stop(opaque, "disconnected on request");
}

void yc_qmp_client_disconnect(YcQmpClient *client)
{
    iothread_post(yc_io_thread(), client_disconnect, client);
}

/* What a call of connect brings to the I/O thread. */
typedef struct ConnectCall {
    YcQmpClient *client;
    YcRequest *req;
} ConnectCall;

static void client_connect(YcQmpClient *client, YcRequest *req)
{
    if (!client->deadlines) {
        client->deadlines = yc_timer_new(yc_qmp_deadlines_passed, client);
        client->retry = yc_timer_new(client_attempt, client);
    }
    yc_timer_set(client->retry, -1);
    client->pause_ms = client->first_pause_ms;
    client->attempt_ms = req->timeout_ms;
    client->connecting = req;
    client_attempt(client);
}

static void connect_call(void *opaque)
{
    g_autofree ConnectCall *call = opaque;
    YcQmpClient *client = call->client;

    if (client->state == YC_QMP_READY || client_attempting(client)) {
        yc_request_finish(call->req, NULL,
                          g_error_new(YC_ERROR, YC_ERROR_INVALID,
                                      "%s: connect while it is %s",
                                      client->addr_text,
                                      yc_qmp_state_name(client->state)));
        return;
    }
    client_connect(client, call->req);
}

static void connect_post(YcQmpClient *client, YcRequest *req)
{
    ConnectCall *call = g_new(ConnectCall, 1);

    *call = (ConnectCall){client, req};
    iothread_post(yc_io_thread(), connect_call, call);
}

void yc_qmp_client_connect_async(YcQmpClient *client, int timeout_ms,
                                 YcQmpReplyFn *fn, void *data,
                                 GDestroyNotify free_data)
{
    YcRequest *req = yc_request_new(NULL, timeout_ms);

    yc_request_set_reply(req, fn, data, free_data);
    connect_post(client, req);
}

bool yc_qmp_client_connect(YcQmpClient *client, int timeout_ms, GError **errp)
{
    YcRequest *req = yc_request_new(NULL, timeout_ms);
    YcWaiter *waiter = yc_request_expect(req);

    connect_post(client, req);
    return yc_waiter_wait(waiter, NULL, errp);
}
