/*
 * The users' functions for events and changes of state.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "domain-internal.h"
#include "qemu/lockable.h"

typedef struct Handler {
    int refs;    /* atomic; the list's, and each call's */
    int removed; /* atomic */
    guint id;
    YcDomainEventFn *event_fn;
    YcDomainStateFn *state_fn;
    void *data;
    GDestroyNotify free_data;
} Handler;

static void handler_unref(void *opaque)
{
    Handler *handler = opaque;

    if (g_atomic_int_dec_and_test(&handler->refs)) {
        if (handler->free_data) {
            handler->free_data(handler->data);
        }
        g_free(handler);
    }
}

guint yc_domain_add_handler(YcDomain *dom, YcDomainEventFn *event_fn,
                            YcDomainStateFn *state_fn, void *data,
                            GDestroyNotify free_data)
{
    Handler *handler = g_new0(Handler, 1);

    handler->refs = 1;
    handler->event_fn = event_fn;
    handler->state_fn = state_fn;
    handler->data = data;
    handler->free_data = free_data;

    QEMU_LOCK_GUARD(&dom->handlers_lock);
    handler->id = ++dom->last_handler;
    g_ptr_array_add(dom->handlers, handler);
    return handler->id;
}

static Handler *handlers_take(YcDomain *dom, guint id)
{
    QEMU_LOCK_GUARD(&dom->handlers_lock);
    for (guint i = 0; i < dom->handlers->len; i++) {
        Handler *handler = g_ptr_array_index(dom->handlers, i);

        if (handler->id == id) {
            g_ptr_array_remove_index(dom->handlers, i);
            return handler;
        }
    }
    return NULL;
}

void yc_domain_remove_handler(YcDomain *dom, guint id)
{
    Handler *handler = handlers_take(dom, id);

    if (handler) {
        g_atomic_int_set(&handler->removed, 1);
        handler_unref(handler);
    }
}

static void *handler_ref(const void *opaque, void *unused)
{
    Handler *handler = (Handler *)opaque;

    g_atomic_int_inc(&handler->refs);
    return handler;
}

/* Those of now: a function may add and remove others. */
static GPtrArray *handlers_now(YcDomain *dom)
{
    GPtrArray *now;

    yc_rank_assert_none("calling the user's functions");
    QEMU_LOCK_GUARD(&dom->handlers_lock);
    now = g_ptr_array_copy(dom->handlers, handler_ref, NULL);
    g_ptr_array_set_free_func(now, handler_unref);
    return now;
}

void yc_handlers_run_event(YcDomain *dom, const char *name, json_object *event)
{
    g_autoptr(GPtrArray) now = handlers_now(dom);

    for (guint i = 0; i < now->len; i++) {
        Handler *handler = g_ptr_array_index(now, i);

        if (handler->event_fn && !g_atomic_int_get(&handler->removed)) {
            handler->event_fn(dom, name, event, handler->data);
        }
    }
}

void yc_handlers_run_state(YcDomain *dom, bool alive, const GError *why)
{
    g_autoptr(GPtrArray) now = handlers_now(dom);

    for (guint i = 0; i < now->len; i++) {
        Handler *handler = g_ptr_array_index(now, i);

        if (handler->state_fn && !g_atomic_int_get(&handler->removed)) {
            handler->state_fn(dom, alive, why, handler->data);
        }
    }
}

static Handler *handlers_take_first(YcDomain *dom)
{
    QEMU_LOCK_GUARD(&dom->handlers_lock);
    return dom->handlers->len ? g_ptr_array_steal_index(dom->handlers, 0)
                              : NULL;
}

void yc_handlers_remove_all(YcDomain *dom)
{
    Handler *handler;

    while ((handler = handlers_take_first(dom))) {
        g_atomic_int_set(&handler->removed, 1);
        handler_unref(handler);
    }
}
