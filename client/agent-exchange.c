/*
 * Guest agent client: one command after the other, each behind a
 * guest-sync-delimited.
 *
 *   IDLE -- next command --> SYNCING -- its id --> RUNNING -- answer --> IDLE
 *                            |     ^
 *             CommandNotFound|     |guest-sync, with another id
 *                            REFUSED
 *
 * The answer to guest-sync-delimited follows a byte 0xFF, which stands in no
 * JSON text: all before it is of the past.  What comes in IDLE is dropped.
 *
 * An agent that does not know guest-sync-delimited says so without a 0xFF, and
 * is asked by guest-sync.  The error may also be a late answer to an earlier
 * command.  In that case the id of the guest-sync comes after the answer to
 * guest-sync-delimited, so the client and the agent are in step just as well.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "agent-internal.h"

#define DELIMITER '\xff'
/* The answer to a synchronisation is some tens of bytes. */
#define MAX_SYNC_ANSWER (64 * KiB)

/* Any positive number that a double holds exactly. */
static int64_t random_id(void)
{
    return ((int64_t)g_random_int_range(1, 1 << 20) << 32) | g_random_int();
}

/* Answers the current command; the next one is not begun yet. */
static void agent_finish(YcAgentClient *agent, json_object *result, GError *err)
{
    agent->phase = YC_AGENT_IDLE;
    yc_request_finish(g_steal_pointer(&agent->current), result, err);
}

static bool is_sync_answer(YcAgentClient *agent, json_object *value)
{
    json_object *id = yc_message_member(value, "return", json_type_int);

    return id && json_object_get_int64(id) == agent->sync_id;
}

/* The agent lacks the command, or lacked that of an earlier request. */
static bool is_refusal(json_object *value)
{
    json_object *error = yc_message_member(value, "error", json_type_object);
    json_object *cls = yc_message_member(error, "class", json_type_string);

    return cls && g_str_equal(json_object_get_string(cls), "CommandNotFound");
}

/* What arrives while synchronising. */
static void agent_sync_message(YcAgentClient *agent, json_object *value)
{
    if (agent->delimited && is_sync_answer(agent, value)) {
        agent->phase = YC_AGENT_RUNNING;
    } else if (!agent->plain && is_refusal(value)) {
        agent->phase = YC_AGENT_REFUSED;
    }
}

static GError *no_answer(YcAgentClient *agent, const char *what)
{
    return g_error_new(YC_ERROR, YC_ERROR_PROTOCOL,
                       "%s: the guest agent answered '%s' with %s",
                       agent->addr_text, agent->current->command, what);
}

/* The answer to the command: takes @value. */
static void agent_answered(YcAgentClient *agent, json_object *value)
{
    json_object *member, *result = NULL;
    GError *err = NULL;

    if (!json_object_is_type(value, json_type_object)) {
        g_autofree char *text = yc_message_excerpt(value);

        err = no_answer(agent, text);
    } else if (json_object_object_get_ex(value, "error", &member)) {
        err = yc_error_from_answer(agent->addr_text, member);
    } else if (json_object_object_get_ex(value, "return", &member)) {
        result = json_object_get(member);
    } else {
        g_autofree char *text = yc_message_excerpt(value);

        err = no_answer(agent, text);
    }
    /* Before another thread sees what was in it: the counts are not atomic. */
    json_object_put(value);
    agent_finish(agent, result, err);
}

static void agent_message(json_object *value, Error *err, void *opaque)
{
    YcAgentClient *agent = opaque;

    if (agent->phase == YC_AGENT_RUNNING && err) {
        g_autofree char *what = yc_printable(error_get_pretty(err));

        agent_finish(agent, NULL, no_answer(agent, what));
    } else if (agent->phase == YC_AGENT_RUNNING) {
        agent_answered(agent, value);
        return;
    } else if (agent->phase == YC_AGENT_SYNCING && !err) {
        agent_sync_message(agent, value);
    }
    json_object_put(value);
    error_free(err);
}

static void agent_new_framer(YcAgentClient *agent, bool delimited)
{
    json_framer_free(agent->framer);
    agent->framer = json_framer_new(agent_message, agent);
    agent->delimited = delimited;
    agent->n_since = 0;
}

/* Bytes without a delimiter, while synchronising. */
static void agent_feed_sync(YcAgentClient *agent, const char *buf, size_t len)
{
    json_framer_feed(agent->framer, buf, len);
    agent->n_since += len;
    if (agent->phase == YC_AGENT_SYNCING && agent->n_since > MAX_SYNC_ANSWER) {
        agent_new_framer(agent, agent->plain);
    }
}

void yc_agent_received(const char *buf, size_t len, void *opaque)
{
    YcAgentClient *agent = opaque;

    while (len && agent->phase == YC_AGENT_SYNCING) {
        const char *end = memchr(buf, DELIMITER, len);
        size_t n = end ? (size_t)(end - buf) : len;

        agent_feed_sync(agent, buf, n);
        if (end && agent->phase == YC_AGENT_SYNCING) {
            agent_new_framer(agent, true);
            n++;
        }
        buf += n;
        len -= n;
    }
    if (agent->phase == YC_AGENT_RUNNING) {
        json_framer_feed(agent->framer, buf, len);
    }
    yc_agent_go_on(agent);
}

/* @plain: by guest-sync */
static void agent_send_sync(YcAgentClient *agent, bool plain)
{
    GString *text = g_string_new(NULL);

    agent->plain = plain;
    agent->sync_id = random_id();
    agent_new_framer(agent, plain);
    if (!plain) {
        /* The agent, too, may have half of something in mind. */
        g_string_append_c(text, DELIMITER);
    }
    g_string_append_printf(
        text, "{\"execute\": \"%s\", \"arguments\": {\"id\": %" PRId64 "}}\n",
        plain ? "guest-sync" : "guest-sync-delimited", agent->sync_id);
    agent->phase = YC_AGENT_SYNCING;
    yc_stream_send(agent->stream, text);
}

void yc_agent_go_on(void *opaque)
{
    YcAgentClient *agent = opaque;

    if (!agent->stream || yc_stream_busy(agent->stream)) {
        return;
    }
    if (agent->phase == YC_AGENT_IDLE && !g_queue_is_empty(&agent->queue)) {
        agent->current = g_queue_pop_head(&agent->queue);
        agent_send_sync(agent, false);
    } else if (agent->phase == YC_AGENT_REFUSED) {
        agent_send_sync(agent, true);
    } else if (agent->phase == YC_AGENT_RUNNING && agent->current->text) {
        yc_stream_send(agent->stream, g_steal_pointer(&agent->current->text));
    }
}

void yc_agent_fail_requests(YcAgentClient *agent, const GError *why)
{
    YcRequest *req;

    if (agent->current) {
        g_queue_push_head(&agent->queue, g_steal_pointer(&agent->current));
    }
    while ((req = g_queue_pop_head(&agent->queue)) != NULL) {
        yc_request_lost(req, why);
    }
    g_clear_pointer(&agent->framer, json_framer_free);
}

/* The deadline of the current command has passed. */
static void current_expired(YcAgentClient *agent)
{
    YcRequest *req = agent->current;
    bool recalled = yc_stream_recall(agent->stream);
    const char *fmt;
    GError *err;

    if (agent->phase != YC_AGENT_RUNNING) {
        fmt = "%s: the guest agent did not synchronise within %d ms: '%s' was "
              "not sent";
    } else if (req->text || recalled) {
        fmt = "%s: the guest agent does not read, since %d ms: '%s' was not "
              "sent";
    } else {
        fmt = "%s: the guest agent did not answer within %d ms: '%s'";
    }
    err = g_error_new(YC_ERROR, YC_ERROR_TIMEOUT, fmt, agent->addr_text,
                      req->timeout_ms, req->command);
    agent_finish(agent, NULL, err);
}

static void queued_expired(YcAgentClient *agent, YcRequest *req)
{
    const char *before = agent->current ? agent->current->command : "another";

    yc_request_finish(req, NULL,
                      g_error_new(YC_ERROR, YC_ERROR_TIMEOUT,
                                  "%s: '%s' was not sent within %d ms: the "
                                  "guest agent is busy with '%s'",
                                  agent->addr_text, req->command,
                                  req->timeout_ms, before));
}

int64_t yc_agent_expire(YcAgentClient *agent, int64_t now)
{
    GList *link = agent->queue.head;
    int64_t next = G_MAXINT64;

    while (link) {
        GList *following = link->next;
        YcRequest *req = link->data;

        if (req->deadline <= now) {
            g_queue_delete_link(&agent->queue, link);
            queued_expired(agent, req);
        } else {
            next = MIN(next, req->deadline);
        }
        link = following;
    }
    if (agent->current && agent->current->deadline <= now) {
        current_expired(agent);
    } else if (agent->current) {
        next = MIN(next, agent->current->deadline);
    }
    return next == G_MAXINT64 ? -1 : next;
}
