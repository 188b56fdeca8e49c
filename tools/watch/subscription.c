/*
 * A subscription: a handler of the domain's events.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "tools/json.h"
#include "subscription.h"

/* What the handler needs; freed by whoever is last. */
typedef struct Stream {
    int refs; /* atomic: the subscription's and the handler's */
    WatchOutput *output;
    /*
     * Guards @ended.  Held over the answer: no event comes before it.  Before
     * the output's and the domain's.
     */
    GMutex lock;
    bool ended; /* the loss was told: nothing comes after it */
} Stream;

struct Subscription {
    YcDomain *dom;
    guint handler;
    Stream *stream;
};

static void stream_unref(void *opaque)
{
    Stream *stream = opaque;

    if (g_atomic_int_dec_and_test(&stream->refs)) {
        watch_output_unref(stream->output);
        g_mutex_clear(&stream->lock);
        g_free(stream);
    }
}

/* Sends @line, as the last one if @last; takes it. */
static void stream_send(Stream *stream, json_object *line, bool last)
{
    g_mutex_lock(&stream->lock);
    if (!stream->ended) {
        watch_output_send(stream->output, line);
        stream->ended = last;
    }
    g_mutex_unlock(&stream->lock);
    json_object_put(line);
}

/* On the event thread, which keeps @event to itself. */
static void send_event(YcDomain *dom, const char *name, json_object *event,
                       void *stream)
{
    json_object *line;
    json_object *copy = NULL;

    if (json_object_deep_copy(event, &copy, NULL) < 0) {
        return;
    }
    line = json_object_new_object();
    json_set_string(line, "domain", yc_domain_name(dom));
    json_set(line, "event", copy);
    stream_send(stream, line, false);
}

/* On the event thread. */
static void send_loss(YcDomain *dom, bool alive, const GError *why,
                      void *stream)
{
    g_auto(YcDomainStatus) status = {0};
    json_object *line;

    if (alive) {
        return;
    }
    yc_domain_get_status(dom, &status);
    line = json_object_new_object();
    json_set_string(line, "domain", yc_domain_name(dom));
    json_set_bool(line, "connected", false);
    json_set_string(line, "desc", why ? why->message : status.reason);
    stream_send(stream, line, true);
}

static Stream *stream_new(WatchOutput *output)
{
    Stream *stream = g_new0(Stream, 1);

    stream->refs = 2;
    stream->output = watch_output_ref(output);
    g_mutex_init(&stream->lock);
    return stream;
}

/* What is lost from now on is told; false when it is lost already. */
static bool answer_if_alive(Subscription *subscription, json_object *answer,
                            GError **errp)
{
    Stream *stream = subscription->stream;
    g_auto(YcDomainStatus) status = {0};

    g_mutex_lock(&stream->lock);
    subscription->handler = yc_domain_add_handler(
        subscription->dom, send_event, send_loss, stream, stream_unref);
    yc_domain_get_status(subscription->dom, &status);
    if (status.alive) {
        watch_output_send(stream->output, answer);
    } else {
        g_set_error(errp, YC_DOMAIN_ERROR, YC_DOMAIN_ERROR_GONE,
                    "domain '%s': %s", yc_domain_name(subscription->dom),
                    status.reason);
    }
    stream->ended = !status.alive;
    g_mutex_unlock(&stream->lock);
    return status.alive;
}

Subscription *subscription_new(YcDomain *dom, WatchOutput *output,
                               json_object *answer, GError **errp)
{
    Subscription *subscription = g_new0(Subscription, 1);

    subscription->dom = yc_domain_ref(dom);
    subscription->stream = stream_new(output);
    if (!answer_if_alive(subscription, answer, errp)) {
        subscription_free(subscription);
        return NULL;
    }
    return subscription;
}

void subscription_free(void *opaque)
{
    Subscription *subscription = opaque;

    yc_domain_remove_handler(subscription->dom, subscription->handler);
    yc_domain_unref(subscription->dom);
    stream_unref(subscription->stream);
    g_free(subscription);
}

bool subscription_serves(const Subscription *subscription, const YcDomain *dom)
{
    Stream *stream = subscription->stream;
    bool ended;

    g_mutex_lock(&stream->lock);
    ended = stream->ended;
    g_mutex_unlock(&stream->lock);
    return !ended && subscription->dom == dom;
}
