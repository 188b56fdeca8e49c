/*
 * The service's side of the control socket.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <glib-unix.h>
#include <sys/socket.h>
#include "tools/exit-code.h"
#include "tools/json.h"
#include "client.h"
#include "control.h"
#include "log.h"
#include "output.h"
#include "tools/wire-error.h"

#define MAX_CLIENTS 32
/* Until the next attempt when a client could not be accepted. */
#define PAUSE_MS 500

struct WatchControl {
    Fleet *fleet;
    GThreadPool *pool;
    int fd;       /* listens; not ours */
    guint source; /* accepts, or waits before it does again */
    GPtrArray *clients;
};

static void client_ended(WatchClient *client, void *opaque)
{
    WatchControl *control = opaque;

    g_ptr_array_remove_fast(control->clients, client);
    watch_client_close(client);
}

/* Tells instead of a greeting why there is none. */
static void refuse(int fd, const char *why)
{
    g_autoptr(GError) err =
        g_error_new(EXIT_ERROR, EXIT_UNREACHABLE, "%s", why);
    g_autoptr(json_object) message = json_object_new_object();
    WatchOutput *output = watch_output_new(fd);

    watch_log("a client was refused: %s", why);
    json_set(message, "error", wire_error_to_json(err));
    watch_output_send(output, message);
    watch_output_end(output);
    watch_output_unref(output);
}

/* Makes room by ending the client that has asked for nothing for longest. */
static bool dismiss_idle(WatchControl *control)
{
    WatchClient *idlest = NULL;

    for (guint i = 0; i < control->clients->len; i++) {
        WatchClient *client = control->clients->pdata[i];
        gint64 since = watch_client_idle_since(client);

        if (since > 0 && (!idlest || since < watch_client_idle_since(idlest))) {
            idlest = client;
        }
    }
    if (idlest) {
        watch_log("an idle client was disconnected, to make room for another");
        watch_client_dismiss(idlest, "the service needs the place of this "
                                     "client, which is idle, for another");
    }
    return idlest != NULL;
}

static void take_in(WatchControl *control, int fd)
{
    unsigned uid;

    if (!watch_socket_check_peer(fd, &uid)) {
        watch_log("a client of user %u was refused: only root and the user of "
                  "the service are served",
                  uid);
        close(fd);
    } else if (control->clients->len >= MAX_CLIENTS && !dismiss_idle(control)) {
        refuse(fd,
               "the service has " G_STRINGIFY(MAX_CLIENTS) " clients, "
                                                           "and takes no more");
    } else {
        WatchClient *client = watch_client_new(
            fd, uid, control->fleet, control->pool, client_ended, control);

        g_ptr_array_add(control->clients, client);
    }
}

static gboolean acceptable(int listener, GIOCondition condition, void *opaque);

static gboolean accept_again(void *opaque)
{
    WatchControl *control = opaque;

    control->source = g_unix_fd_add(control->fd, G_IO_IN, acceptable, control);
    return G_SOURCE_REMOVE;
}

static gboolean acceptable(int listener, GIOCondition condition, void *opaque)
{
    WatchControl *control = opaque;
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

    if (fd >= 0) {
        take_in(control, fd);
    } else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS ||
               errno == ENOMEM) {
        /* It stays acceptable: without a pause we would run in circles. */
        watch_log("a client has to wait: %s", g_strerror(errno));
        control->source = g_timeout_add(PAUSE_MS, accept_again, control);
        return G_SOURCE_REMOVE;
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
    control->fd = watch_socket_fd(sock);
    accept_again(control);
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
