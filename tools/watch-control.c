/*
 * The service's side of the control socket.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <glib-unix.h>
#include <sys/socket.h>
#include "watch-client.h"
#include "watch-control.h"
#include "watch-log.h"

#define MAX_CLIENTS 32

struct WatchControl {
    Fleet *fleet;
    GThreadPool *pool;
    guint source;
    GPtrArray *clients;
};

static void client_ended(WatchClient *client, void *opaque)
{
    WatchControl *control = opaque;

    g_ptr_array_remove_fast(control->clients, client);
    watch_client_close(client);
}

static void take_in(WatchControl *control, int fd)
{
    unsigned uid;

    if (!watch_socket_check_peer(fd, &uid)) {
        watch_log("a client of user %u was refused: only root and the user of "
                  "the service are served",
                  uid);
        close(fd);
    } else if (control->clients->len >= MAX_CLIENTS) {
        watch_log("a client was refused: there are %d already", MAX_CLIENTS);
        close(fd);
    } else {
        WatchClient *client = watch_client_new(
            fd, control->fleet, control->pool, client_ended, control);

        g_ptr_array_add(control->clients, client);
    }
}

static gboolean acceptable(int listener, GIOCondition condition, void *opaque)
{
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

    if (fd >= 0) {
        take_in(opaque, fd);
    }
    return G_SOURCE_CONTINUE;
}

WatchControl *watch_control_new(const WatchSocket *sock, Fleet *fleet)
{
    WatchControl *control = g_new0(WatchControl, 1);

    control->fleet = fleet;
    control->clients = g_ptr_array_new();
    /* No limit here: clients, and the operations of each, have theirs. */
    control->pool = g_thread_pool_new(watch_client_work, NULL, -1, false, NULL);
    control->source =
        g_unix_fd_add(watch_socket_fd(sock), G_IO_IN, acceptable, control);
    return control;
}

void watch_control_close(WatchControl *control)
{
    g_source_remove(control->source);
    while (control->clients->len) {
        watch_client_close(g_ptr_array_remove_index_fast(control->clients, 0));
    }
}

void watch_control_free(WatchControl *control)
{
    g_thread_pool_free(control->pool, false, true);
    g_ptr_array_unref(control->clients);
    g_free(control);
}
