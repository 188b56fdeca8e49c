/*
 * QMP client: what it tells its user, on the event thread.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qmp-internal.h"

typedef struct EventNews {
    YcQmpClient *client;
    json_object *event;
    size_t bytes;
} EventNews;

typedef struct StateNews {
    YcQmpClient *client;
    YcQmpState state;
    GError *why;
} StateNews;

void yc_qmp_count_dropped(YcQmpClient *client, YcQmpDropped what)
{
    __atomic_fetch_add(&client->dropped[what], 1, __ATOMIC_RELAXED);
}

static void event_deliver(void *opaque)
{
    EventNews *news = opaque;
    YcQmpClient *client = news->client;
    YcQmpEventFn *fn = (YcQmpEventFn *)client->event.fn;

    if (fn && yc_qmp_has_users(client)) {
        json_object *name = json_object_object_get(news->event, "event");

        fn(json_object_get_string(name), news->event, client->event.data);
    } else {
        json_object_put(news->event);
    }
    __atomic_fetch_sub(&client->undelivered_bytes, news->bytes,
                       __ATOMIC_RELAXED);
    __atomic_fetch_sub(&client->n_undelivered, 1, __ATOMIC_RELAXED);
    g_free(news);
}

/* One event is always taken, of whatever size. */
static bool client_has_room(YcQmpClient *client, size_t bytes)
{
    int n = __atomic_load_n(&client->n_undelivered, __ATOMIC_RELAXED);
    size_t waiting =
        __atomic_load_n(&client->undelivered_bytes, __ATOMIC_RELAXED);

    return n == 0 ||
           (n < YC_QMP_MAX_EVENTS && waiting + bytes <= YC_QMP_MAX_EVENT_BYTES);
}

void yc_qmp_deliver_event(YcQmpClient *client, json_object *event, size_t bytes)
{
    EventNews *news;

    if (!client_has_room(client, bytes)) {
        yc_qmp_count_dropped(client, YC_QMP_DROPPED_EVENT);
        json_object_put(event);
        return;
    }
    __atomic_fetch_add(&client->n_undelivered, 1, __ATOMIC_RELAXED);
    __atomic_fetch_add(&client->undelivered_bytes, bytes, __ATOMIC_RELAXED);
    news = g_new(EventNews, 1);
    *news = (EventNews){client, event, bytes};
    iothread_post(yc_event_thread(), event_deliver, news);
}

static void state_deliver(void *opaque)
{
    StateNews *news = opaque;
    YcQmpClient *client = news->client;
    YcQmpStateFn *fn = (YcQmpStateFn *)client->state_changed.fn;

    if (fn && yc_qmp_has_users(client)) {
        fn(news->state, news->why, client->state_changed.data);
    }
    g_clear_error(&news->why);
    g_free(news);
}

void yc_qmp_deliver_state(YcQmpClient *client, YcQmpState state,
                          const GError *why)
{
    StateNews *news = g_new(StateNews, 1);

    *news = (StateNews){client, state, why ? g_error_copy(why) : NULL};
    iothread_post(yc_event_thread(), state_deliver, news);
}

static void end_deliver(void *opaque)
{
    YcQmpClient *client = opaque;

    yc_callback_clear(&client->event);
    yc_callback_clear(&client->state_changed);
    yc_qmp_free(client);
    yc_threads_release();
}

void yc_qmp_deliver_end(YcQmpClient *client)
{
    iothread_post(yc_event_thread(), end_deliver, client);
}
