/*
 * The monitor as a whole: its thread, its devices, its end.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "monitor-internal.h"
#include "chardev/char.h"

/* How long clients get to read what is left at the end. */
#define FINISH_US G_USEC_PER_SEC

typedef struct MonDevice {
    Chardev *chr;
    char *id;
    bool pretty;
} MonDevice;

static IOThread *monitor_thread;
static GPtrArray *devices; /* of MonDevice; the main thread's */
static bool closed;        /* no more sessions; the monitor thread's */

IOThread *monitor_iothread(void)
{
    return monitor_thread;
}

static void device_free(void *opaque)
{
    MonDevice *device = opaque;

    g_free(device->id);
    g_free(device);
}

bool monitor_init(Error **errp)
{
    monitor_thread = iothread_try_new("monitor", errp);
    if (!monitor_thread || !mon_bulk_init(errp)) {
        g_clear_pointer(&monitor_thread, iothread_unref);
        return false;
    }
    iothread_mark_oob(monitor_thread);
    devices = g_ptr_array_new_with_free_func(device_free);
    closed = false;
    mon_dispatcher_init(NULL);
    mon_stall_watch_init(monitor_thread);
    mon_events_init();
    mon_session_init_replies();
    mon_sessions_init();
    return true;
}

static void device_session_ended(void *opaque)
{
    MonDevice *device = opaque;

    chardev_session_ended(device->chr);
}

static void device_session_started(QIOChannel *ioc, void *opaque)
{
    MonDevice *device = opaque;

    if (closed) {
        qio_channel_unref(ioc);
        return;
    }
    mon_session_new(ioc, device->id, device->pretty, device_session_ended,
                    device);
}

bool monitor_add(const char *chardev_id, bool pretty, Error **errp)
{
    Chardev *chr = chardev_find(chardev_id, NULL);
    MonDevice *device;

    if (!chr) {
        error_setg(errp, "chardev \"%s\" not found", chardev_id);
        return false;
    }
    device = g_new0(MonDevice, 1);
    device->chr = chr;
    device->id = g_strdup(chardev_id);
    device->pretty = pretty;
    g_ptr_array_add(devices, device);
    if (!chardev_attach_monitor(chr, monitor_thread, device_session_started,
                                device, errp)) {
        g_ptr_array_remove(devices, device);
        return false;
    }
    return true;
}

static void close_monitor(void *opaque)
{
    closed = true;
    mon_stall_watch_cleanup();
}

static void finish_sessions(GPtrArray *sessions)
{
    int64_t deadline_us = g_get_monotonic_time() + FINISH_US;

    for (guint i = 0; i < sessions->len; i++) {
        MonSession *session = g_ptr_array_index(sessions, i);

        mon_output_drain(mon_session_output(session), deadline_us);
        mon_output_close(mon_session_output(session));
        mon_session_unref(session);
    }
    g_ptr_array_unref(sessions);
}

/*
 * The threads of the sessions drop them first; after that the main thread,
 * which may block, writes the remaining output.
 */
void monitor_close_sessions(void)
{
    iothread_run(monitor_thread, close_monitor, NULL);
    finish_sessions(mon_sessions_detach_all());
}

void monitor_cleanup(void)
{
    mon_dispatcher_cleanup();
    /*
     * End the monitor thread first: functions that are still posted to it may
     * post work to the bulk thread, and ask on which thread they run.
     */
    iothread_unref(monitor_thread);
    monitor_thread = NULL;
    mon_bulk_cleanup();
    g_clear_pointer(&devices, g_ptr_array_unref);
}
