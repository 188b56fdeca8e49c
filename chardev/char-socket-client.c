/*
 * Connecting socket devices.
 *
 * Without reconnect the device connects while it is opened, and the opener
 * waits.  With it, connecting goes on in the background, again and again.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "char-socket-internal.h"
#include "qemu/lockable.h"
#include "qemu/yank.h"

/* A task has begun; one that comes after a yank ends at once. */
static void client_set_task(SocketChardev *s, QIOConnectTask *task)
{
    QEMU_LOCK_GUARD(&s->lock);
    s->task = qio_connect_task_ref(task);
    if (s->yanked) {
        qio_connect_task_cancel(task);
    }
}

static void client_drop_task(SocketChardev *s)
{
    QIOConnectTask *task;

    WITH_QEMU_LOCK_GUARD(&s->lock) {
        task = g_steal_pointer(&s->task);
    }
    qio_connect_task_unref(task);
}

void char_socket_client_cut(SocketChardev *s)
{
    g_autofree char *what = NULL;

    if (s->task && qio_connect_task_cancel(s->task)) {
        what = g_strdup_printf("connect to %s", s->addr_text);
        yank_report_cut(what);
    }
}

static void client_sync_started(QIOConnectTask *task, void *opaque)
{
    SocketChardev *s = opaque;

    qio_connect_task_set_activity(task, s->activity);
    client_set_task(s, task);
}

static bool client_connect_sync(SocketChardev *s, Error **errp)
{
    ActivityRequest request;
    QIOChannel *ioc;

    activity_begin(s->activity, &request);
    ioc = qio_connect_sync(s->addr, client_sync_started, s, errp);
    activity_end(s->activity, &request);
    client_drop_task(s);
    return ioc && char_socket_connected(s, ioc, errp);
}

static void client_take(SocketChardev *s, QIOChannel *ioc)
{
    if (s->fn) {
        char_socket_start_session(s, ioc);
    } else if (!char_socket_connected(s, ioc, NULL)) {
        char_socket_disconnected(s);
    }
}

static void client_connect_done(QIOChannel *ioc, const Error *err, void *opaque)
{
    SocketChardev *s = opaque;

    client_drop_task(s);
    if (ioc) {
        client_take(s, ioc);
    } else {
        char_socket_client_reconnect(s);
    }
}

void char_socket_client_connect(SocketChardev *s)
{
    g_autoptr(QIOConnectTask) task = NULL;

    WITH_QEMU_LOCK_GUARD(&s->lock) {
        s->yanked = false; /* it was for the attempt before */
    }
    task = qio_connect_task_new(s->addr, s->context, client_connect_done, s);
    if (s->activity) {
        qio_connect_task_set_activity(task, s->activity);
    }
    client_set_task(s, task);
}

static gboolean client_reconnect_due(gpointer opaque)
{
    SocketChardev *s = opaque;

    g_clear_pointer(&s->reconnect_timer, g_source_unref);
    char_socket_client_connect(s);
    return G_SOURCE_REMOVE;
}

void char_socket_client_reconnect(SocketChardev *s)
{
    if (!s->reconnect_s || s->reconnect_timer) {
        return;
    }
    if (s->activity) {
        activity_set_phase(s->activity, "reconnect-wait");
    }
    s->reconnect_timer = g_timeout_source_new(s->reconnect_s * 1000);
    g_source_set_callback(s->reconnect_timer, client_reconnect_due, s, NULL);
    g_source_attach(s->reconnect_timer, s->context);
}

bool char_socket_client_open(SocketChardev *s, Error **errp)
{
    if (!s->reconnect_s) {
        return client_connect_sync(s, errp);
    }
    char_socket_client_connect(s);
    return true;
}

void char_socket_client_close(SocketChardev *s)
{
    if (s->reconnect_timer) {
        g_source_destroy(s->reconnect_timer);
        g_clear_pointer(&s->reconnect_timer, g_source_unref);
    }
    if (s->task) {
        qio_connect_task_abandon(s->task);
        client_drop_task(s);
    }
}
