/*
 * Timers and deadlines of the client library.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "client-internal.h"

#define DEFAULT_TIMEOUT_MS 30000

struct YcTimer {
    GSource source; /* first, since GLib allocates it */
    IOThreadFn *fn;
    void *opaque;
};

/* GLib also comes here when what it dispatched just before stopped the timer. */
static bool timer_is_due(GSource *source)
{
    int64_t time = g_source_get_ready_time(source);

    return time >= 0 && time <= g_get_monotonic_time();
}

static gboolean timer_dispatch(GSource *source, GSourceFunc fn, gpointer opaque)
{
    YcTimer *timer = (YcTimer *)source;

    if (timer_is_due(source)) {
        g_source_set_ready_time(source, -1);
        timer->fn(timer->opaque);
    }
    return G_SOURCE_CONTINUE;
}

static GSourceFuncs timer_funcs = {.dispatch = timer_dispatch};

YcTimer *yc_timer_new(IOThreadFn *fn, void *opaque)
{
    YcTimer *timer = (YcTimer *)g_source_new(&timer_funcs, sizeof(YcTimer));

    timer->fn = fn;
    timer->opaque = opaque;
    g_source_attach(&timer->source,
                    iothread_get_g_main_context(yc_io_thread()));
    return timer;
}

void yc_timer_free(YcTimer *timer)
{
    if (timer) {
        g_source_destroy(&timer->source);
        g_source_unref(&timer->source);
    }
}

void yc_timer_set(YcTimer *timer, int64_t time)
{
    g_source_set_ready_time(&timer->source, time);
}

void yc_timer_set_earlier(YcTimer *timer, int64_t time)
{
    int64_t set = g_source_get_ready_time(&timer->source);

    if (set < 0 || time < set) {
        yc_timer_set(timer, time);
    }
}

int64_t yc_deadline(int *timeout_ms)
{
    if (*timeout_ms <= 0) {
        *timeout_ms = DEFAULT_TIMEOUT_MS;
    }
    return g_get_monotonic_time() + *timeout_ms * INT64_C(1000);
}
