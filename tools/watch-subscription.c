/*
 * A subscription: a handler of the domain's events.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "json.h"
#include "watch-subscription.h"

/* What the handler needs; freed by whoever is last. */
typedef struct Stream {
    WatchOutput *output;
    /* Held over the answer: no event comes before it.  Before the output's. */
    GMutex lock;
} Stream;

struct Subscription {
    YcDomain *dom;
    guint handler;
};

static void stream_free(void *opaque)
{
    Stream *stream = opaque;

    watch_output_unref(stream->output);
    g_mutex_clear(&stream->lock);
    g_free(stream);
}

/* On the event thread, which keeps @event to itself. */
static void send_event(YcDomain *dom, const char *name, json_object *event,
                       void *opaque)
{
    Stream *stream = opaque;
    g_autoptr(json_object) line = json_object_new_object();
    json_object *copy = NULL;

    if (json_object_deep_copy(event, &copy, NULL) < 0) {
        return;
    }
    json_set_string(line, "domain", yc_domain_name(dom));
    json_set(line, "event", copy);
    g_mutex_lock(&stream->lock);
    watch_output_send(stream->output, line);
    g_mutex_unlock(&stream->lock);
}

Subscription *subscription_new(YcDomain *dom, WatchOutput *output,
                               json_object *answer)
{
    Subscription *subscription = g_new0(Subscription, 1);
    Stream *stream = g_new0(Stream, 1);

    stream->output = watch_output_ref(output);
    g_mutex_init(&stream->lock);
    subscription->dom = yc_domain_ref(dom);
    g_mutex_lock(&stream->lock);
    subscription->handler =
        yc_domain_add_handler(dom, send_event, NULL, stream, stream_free);
    watch_output_send(output, answer);
    g_mutex_unlock(&stream->lock);
    return subscription;
}

void subscription_free(void *opaque)
{
    Subscription *subscription = opaque;

    yc_domain_remove_handler(subscription->dom, subscription->handler);
    yc_domain_unref(subscription->dom);
    g_free(subscription);
}

YcDomain *subscription_domain(const Subscription *subscription)
{
    return subscription->dom;
}
