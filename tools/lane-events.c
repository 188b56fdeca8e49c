/*
 * Lanes: the events of domains, whichever way they come.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "json.h"
#include "lane-internal.h"

/* Takes @event; NULL: the connection is lost, which is told once. */
static void deliver(Lane *lane, json_object *event)
{
    g_mutex_lock(&lane->lock);
    if (lane->event_fn) {
        lane->event_fn(lane, event, lane->event_data);
    } else {
        json_object_put(event);
    }
    if (!event) {
        lane->event_fn = NULL;
    }
    g_mutex_unlock(&lane->lock);
}

static void lose_all(Lanes *lanes)
{
    GHashTableIter iter;
    void *lane;

    g_hash_table_iter_init(&iter, lanes->subscribed);
    while (g_hash_table_iter_next(&iter, NULL, &lane)) {
        deliver(lane, NULL);
    }
}

/* @domain NULL: the service is gone, and all are lost. */
void lanes_note_event(const char *domain, json_object *event, void *opaque)
{
    Lanes *lanes = opaque;
    Lane *lane;

    g_mutex_lock(&lanes->lock);
    lane = domain ? g_hash_table_lookup(lanes->subscribed, domain) : NULL;
    if (!domain) {
        lose_all(lanes);
    } else if (lane) {
        deliver(lane, event);
    } else {
        json_object_put(event);
    }
    g_mutex_unlock(&lanes->lock);
}

static void own_event(YcDomain *dom, const char *name, json_object *event,
                      void *opaque)
{
    json_object *copy = NULL;

    /* The library keeps its own to itself. */
    if (json_object_deep_copy(event, &copy, NULL) == 0) {
        deliver(opaque, copy);
    }
}

static void own_state(YcDomain *dom, bool alive, const GError *why,
                      void *opaque)
{
    if (!alive) {
        deliver(opaque, NULL);
    }
}

static void subscribe_own(Lane *lane)
{
    g_auto(YcDomainStatus) status = {0};

    g_atomic_int_inc(&lane->refs);
    lane->handler = yc_domain_add_handler(lane->dom, own_event, own_state, lane,
                                          lane_unref);
    /* It may have been lost before anybody was there to be told. */
    yc_domain_get_status(lane->dom, &status);
    if (!status.alive) {
        deliver(lane, NULL);
    }
}

static bool subscribe_remote(Lane *lane, GError **errp)
{
    g_autoptr(json_object) request = json_object_new_object();
    g_autoptr(json_object) reply = NULL;

    g_mutex_lock(&lane->lanes->lock);
    g_hash_table_replace(lane->lanes->subscribed, (char *)lane->remote, lane);
    g_mutex_unlock(&lane->lanes->lock);
    json_set_string(request, "op", "subscribe");
    reply = lane_call(lane, request, errp);
    return reply != NULL;
}

bool lane_subscribe(Lane *lane, LaneEventFn *fn, void *data, GError **errp)
{
    if (lane->down) {
        g_propagate_error(errp, g_error_copy(lane->down));
        return false;
    }
    g_mutex_lock(&lane->lock);
    lane->event_fn = fn;
    lane->event_data = data;
    g_mutex_unlock(&lane->lock);
    if (lane->remote) {
        return subscribe_remote(lane, errp);
    }
    subscribe_own(lane);
    return true;
}

void lane_unsubscribe(Lane *lane)
{
    if (lane->remote) {
        g_mutex_lock(&lane->lanes->lock);
        g_hash_table_remove(lane->lanes->subscribed, lane->remote);
        g_mutex_unlock(&lane->lanes->lock);
    }
    g_mutex_lock(&lane->lock);
    lane->event_fn = NULL;
    g_mutex_unlock(&lane->lock);
}
