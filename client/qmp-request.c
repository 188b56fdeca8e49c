/*
 * QMP client: requests in two lanes, their deadlines, and their answers.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qmp-internal.h"

static int64_t client_next_id(YcQmpClient *client)
{
    return __atomic_add_fetch(&client->last_id, 1, __ATOMIC_RELAXED);
}

void yc_qmp_sent_free(gpointer opaque)
{
    YcQmpSent *sent = opaque;

    g_assert(!sent->req);
    g_free(sent->command);
    g_free(sent);
}

static bool client_may_send_in_band(YcQmpClient *client)
{
    return client->yankd || client->n_in_band < YC_QMP_MAX_IN_BAND;
}

static YcRequest *client_next_request(YcQmpClient *client)
{
    YcRequest *req = g_queue_pop_head(&client->oob_queue);

    if (!req && client_may_send_in_band(client)) {
        req = g_queue_pop_head(&client->in_band_queue);
    }
    return req;
}

static void client_send_request(YcQmpClient *client, YcRequest *req)
{
    YcQmpSent *sent = g_new(YcQmpSent, 1);

    *sent = (YcQmpSent){
        .req = req,
        .command = g_strdup(req->command),
        .oob = req->oob,
        .time = g_get_monotonic_time(),
    };
    g_hash_table_insert(client->sent, g_memdup2(&req->id, sizeof(req->id)),
                        sent);
    client->n_in_band += !req->oob;
    client->sending_id = req->id;
    yc_stream_send(client->stream, g_steal_pointer(&req->text));
}

void yc_qmp_send(void *opaque)
{
    YcQmpClient *client = opaque;
    YcRequest *req;

    while (client->state == YC_QMP_READY && !yc_stream_busy(client->stream) &&
           (req = client_next_request(client)) != NULL) {
        client_send_request(client, req);
    }
}

void yc_qmp_negotiate(YcQmpClient *client, bool oob)
{
    g_autoptr(json_object) arguments = NULL;
    GString *text = g_string_new(NULL);

    if (oob) {
        arguments = json_parse("{\"enable\": [\"oob\"]}", &error_abort);
    }
    client->negotiation_id = client_next_id(client);
    yc_message_append(text, "execute", "qmp_capabilities", arguments,
                      client->negotiation_id);
    yc_stream_send(client->stream, text);
}

/* Takes @id off the wire's books; its request, or NULL. */
static YcRequest *client_take_sent(YcQmpClient *client, int64_t id, bool *known)
{
    YcQmpSent *sent = g_hash_table_lookup(client->sent, &id);
    YcRequest *req;

    *known = sent != NULL;
    if (!sent) {
        return NULL;
    }
    req = g_steal_pointer(&sent->req);
    client->n_in_band -= !sent->oob;
    g_hash_table_remove(client->sent, &id);
    return req;
}

void yc_qmp_answered(YcQmpClient *client, int64_t id, json_object *result,
                     GError *err)
{
    bool known;
    YcRequest *req = client_take_sent(client, id, &known);

    if (req) {
        yc_request_finish(req, result, err);
    } else {
        yc_qmp_count_dropped(client, known ? YC_QMP_DROPPED_LATE
                                           : YC_QMP_DROPPED_UNKNOWN_ID);
        json_object_put(result);
        g_clear_error(&err);
    }
    yc_qmp_send(client);
}

static void queue_fail(GQueue *queue, const GError *why)
{
    YcRequest *req;

    while ((req = g_queue_pop_head(queue)) != NULL) {
        yc_request_lost(req, why);
    }
}

void yc_qmp_fail_requests(YcQmpClient *client, const GError *why)
{
    GHashTableIter iter;
    gpointer value;

    g_hash_table_iter_init(&iter, client->sent);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        YcQmpSent *sent = value;

        if (sent->req) {
            yc_request_lost(g_steal_pointer(&sent->req), why);
        }
        g_hash_table_iter_remove(&iter);
    }
    client->n_in_band = 0;
    queue_fail(&client->oob_queue, why);
    queue_fail(&client->in_band_queue, why);
}

/*
 * Whether the server may owe us this answer for ever.  In-band ones count
 * where they starve others, and are few there.
 */
static bool client_may_forget(YcQmpClient *client, const YcQmpSent *sent)
{
    return (sent->oob || client->yankd) &&
           g_hash_table_size(client->sent) > YC_QMP_MAX_REMEMBERED;
}

/* The in-band request that has been on the wire the longest, or NULL. */
static YcQmpSent *client_oldest_in_band(YcQmpClient *client)
{
    YcQmpSent *oldest = NULL;
    GHashTableIter iter;
    gpointer value;

    g_hash_table_iter_init(&iter, client->sent);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        YcQmpSent *sent = value;

        if (!sent->oob && (!oldest || sent->time < oldest->time)) {
            oldest = sent;
        }
    }
    return oldest;
}

/* Why a request was not sent at all. */
static char *client_backlog(YcQmpClient *client, bool oob)
{
    YcQmpSent *oldest = client_oldest_in_band(client);
    int64_t now = g_get_monotonic_time();

    if (oob || !oldest || client_may_send_in_band(client)) {
        return g_strdup("the server does not read");
    }
    return g_strdup_printf("%u in-band commands are unanswered, '%s' for "
                           "%" PRId64 ".%" PRId64 " s",
                           client->n_in_band, oldest->command,
                           (now - oldest->time) / 1000000,
                           (now - oldest->time) / 100000 % 10);
}

static void request_expired(YcQmpClient *client, YcRequest *req, bool was_sent)
{
    g_autofree char *backlog =
        was_sent ? NULL : client_backlog(client, req->oob);

    yc_request_finish(
        req, NULL,
        g_error_new(
            YC_ERROR, YC_ERROR_TIMEOUT, "%s: '%s' was not %s within %d ms%s%s",
            client->addr_text, req->command, was_sent ? "answered" : "sent",
            req->timeout_ms, backlog ? ": " : "", backlog ? backlog : ""));
}

/* Both return the earliest deadline that is still ahead; -1 for none. */
static int64_t earliest(int64_t a, int64_t b)
{
    return a < 0 ? b : MIN(a, b);
}

static int64_t queue_expire(YcQmpClient *client, GQueue *queue, int64_t now,
                            int64_t next)
{
    GList *link = queue->head;

    while (link) {
        GList *following = link->next;
        YcRequest *req = link->data;

        if (req->deadline <= now) {
            g_queue_delete_link(queue, link);
            request_expired(client, req, false);
        } else {
            next = earliest(next, req->deadline);
        }
        link = following;
    }
    return next;
}

static int64_t sent_expire(YcQmpClient *client, int64_t now, int64_t next)
{
    GHashTableIter iter;
    gpointer value;

    g_hash_table_iter_init(&iter, client->sent);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        YcQmpSent *sent = value;
        bool recalled;

        if (!sent->req) {
            continue;
        }
        if (sent->req->deadline > now) {
            next = earliest(next, sent->req->deadline);
            continue;
        }
        recalled = sent->req->id == client->sending_id &&
                   yc_stream_recall(client->stream);
        request_expired(client, g_steal_pointer(&sent->req), !recalled);
        if (recalled || client_may_forget(client, sent)) {
            client->n_in_band -= !sent->oob;
            g_hash_table_iter_remove(&iter);
        }
    }
    return next;
}

void yc_qmp_deadlines_passed(void *opaque)
{
    YcQmpClient *client = opaque;
    int64_t now = g_get_monotonic_time();
    int64_t next = -1;

    if (client->attempt_deadline && client->attempt_deadline <= now) {
        yc_qmp_attempt_expired(client);
        return;
    }
    if (client->attempt_deadline) {
        next = client->attempt_deadline;
    }
    next = sent_expire(client, now, next);
    next = queue_expire(client, &client->oob_queue, now, next);
    next = queue_expire(client, &client->in_band_queue, now, next);
    yc_timer_set(client->deadlines, next);
    yc_qmp_send(client);
}

static void client_refuse(YcQmpClient *client, YcRequest *req)
{
    GError *err = NULL;

    if (client->state != YC_QMP_READY) {
        err = g_error_new(
            YC_ERROR, YC_ERROR_CLOSED,
            "%s: '%s' was not sent: the client is %s%s%s", client->addr_text,
            req->command, yc_qmp_state_name(client->state),
            client->why ? ": " : "", client->why ? client->why->message : "");
    } else {
        err = g_error_new(YC_ERROR, YC_ERROR_NO_OOB,
                          "%s: '%s' was not sent: the server offers no "
                          "out-of-band, and in-band it might run too late",
                          client->addr_text, req->command);
    }
    yc_request_finish(req, NULL, err);
}

/* What a call brings to the I/O thread. */
typedef struct ExecuteCall {
    YcQmpClient *client;
    YcRequest *req;
} ExecuteCall;

static void execute_call(void *opaque)
{
    g_autofree ExecuteCall *call = opaque;
    YcQmpClient *client = call->client;
    YcRequest *req = call->req;

    if (client->state != YC_QMP_READY || (req->oob && !client->oob)) {
        client_refuse(client, req);
        return;
    }
    g_queue_push_tail(req->oob ? &client->oob_queue : &client->in_band_queue,
                      req);
    yc_timer_set_earlier(client->deadlines, req->deadline);
    yc_qmp_send(client);
}

/* Makes JSON of it here: @arguments stay with the caller. */
static YcRequest *execute_new(YcQmpClient *client, YcQmpLane lane,
                              const char *command, json_object *arguments,
                              int timeout_ms)
{
    YcRequest *req = yc_request_new(command, timeout_ms);

    req->oob = lane == YC_QMP_OOB;
    req->id = client_next_id(client);
    req->text = g_string_new(NULL);
    yc_message_append(req->text, req->oob ? "exec-oob" : "execute", command,
                      arguments, req->id);
    return req;
}

static void execute_post(YcQmpClient *client, YcRequest *req)
{
    ExecuteCall *call = g_new(ExecuteCall, 1);

    *call = (ExecuteCall){client, req};
    iothread_post(yc_io_thread(), execute_call, call);
}

void yc_qmp_client_execute_async(YcQmpClient *client, YcQmpLane lane,
                                 const char *command, json_object *arguments,
                                 int timeout_ms, YcQmpReplyFn *fn, void *data,
                                 GDestroyNotify free_data)
{
    YcRequest *req = execute_new(client, lane, command, arguments, timeout_ms);

    yc_request_set_reply(req, fn, data, free_data);
    execute_post(client, req);
}

bool yc_qmp_client_execute(YcQmpClient *client, YcQmpLane lane,
                           const char *command, json_object *arguments,
                           int timeout_ms, json_object **result, GError **errp)
{
    YcRequest *req = execute_new(client, lane, command, arguments, timeout_ms);
    YcWaiter *waiter = yc_request_expect(req);

    execute_post(client, req);
    return yc_waiter_wait(waiter, result, errp);
}
