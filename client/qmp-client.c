/*
 * QMP client: its life, its settings, and what is known of the server.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qapi/qapi-types-sockets.h"
#include "qmp-internal.h"

YcQmpClient *yc_qmp_client_new(const char *address, GError **errp)
{
    SocketAddress *addr = yc_address_parse(address, errp);
    YcQmpClient *client;

    if (!addr || !yc_threads_hold(errp)) {
        qapi_free_SocketAddress(addr);
        return NULL;
    }
    client = g_new0(YcQmpClient, 1);
    client->users = 1;
    client->addr = addr;
    client->addr_text = socket_address_to_string(addr);
    client->max_message = JSON_MAX_MESSAGE;
    qemu_mutex_init(&client->lock);
    g_queue_init(&client->oob_queue);
    g_queue_init(&client->in_band_queue);
    client->sent = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free,
                                         yc_qmp_sent_free);
    return client;
}

YcQmpClient *yc_qmp_client_ref(YcQmpClient *client)
{
    __atomic_fetch_add(&client->users, 1, __ATOMIC_RELAXED);
    return client;
}

static void client_end(void *opaque)
{
    yc_qmp_end(opaque);
    yc_qmp_deliver_end(opaque);
}

void yc_qmp_client_unref(YcQmpClient *client)
{
    if (client &&
        __atomic_sub_fetch(&client->users, 1, __ATOMIC_ACQ_REL) == 0) {
        iothread_post(yc_io_thread(), client_end, client);
    }
}

bool yc_qmp_has_users(YcQmpClient *client)
{
    return __atomic_load_n(&client->users, __ATOMIC_ACQUIRE) > 0;
}

void yc_qmp_free(YcQmpClient *client)
{
    g_hash_table_unref(client->sent);
    g_clear_error(&client->why);
    g_free(client->known.package);
    g_free(client->greeting.package);
    qemu_mutex_destroy(&client->lock);
    tls_creds_unref(client->tls.creds);
    g_free(client->tls.hostname);
    qapi_free_SocketAddress(client->addr);
    g_free(client->addr_text);
    g_free(client);
}

const char *yc_qmp_client_address(const YcQmpClient *client)
{
    return client->addr_text;
}

void yc_qmp_client_set_event_fn(YcQmpClient *client, YcQmpEventFn *fn,
                                void *data, GDestroyNotify free_data)
{
    client->event = (YcCallback){(void (*)(void))fn, data, free_data};
}

void yc_qmp_client_set_state_fn(YcQmpClient *client, YcQmpStateFn *fn,
                                void *data, GDestroyNotify free_data)
{
    client->state_changed = (YcCallback){(void (*)(void))fn, data, free_data};
}

void yc_qmp_client_set_reconnect(YcQmpClient *client, int first_ms, int max_ms)
{
    client->first_pause_ms = MAX(first_ms, 1);
    client->max_pause_ms = MAX(max_ms, client->first_pause_ms);
}

void yc_qmp_client_set_max_message(YcQmpClient *client, size_t bytes)
{
    client->max_message = CLAMP(bytes, YC_STREAM_PIECE, JSON_MAX_MESSAGE);
}

static YcQmpKnown client_known(YcQmpClient *client)
{
    QEMU_LOCK_GUARD(&client->lock);
    return client->known;
}

YcQmpState yc_qmp_client_state(YcQmpClient *client)
{
    return client_known(client).state;
}

unsigned yc_qmp_client_connection(YcQmpClient *client)
{
    YcQmpKnown known = client_known(client);

    return known.state == YC_QMP_READY ? known.n_ready : 0;
}

bool yc_qmp_client_has_oob(YcQmpClient *client)
{
    return client_known(client).oob;
}

bool yc_qmp_client_is_yankd(YcQmpClient *client)
{
    return client_known(client).yankd;
}

void yc_qmp_client_version(YcQmpClient *client, int *major, int *minor,
                           int *micro)
{
    YcQmpKnown known = client_known(client);

    if (major) {
        *major = known.major;
    }
    if (minor) {
        *minor = known.minor;
    }
    if (micro) {
        *micro = known.micro;
    }
}

char *yc_qmp_client_package(YcQmpClient *client)
{
    QEMU_LOCK_GUARD(&client->lock);
    return g_strdup(client->known.package);
}

pid_t yc_qmp_client_peer_pid(YcQmpClient *client)
{
    return client_known(client).peer_pid;
}

guint64 yc_qmp_client_dropped(YcQmpClient *client, YcQmpDropped what)
{
    return __atomic_load_n(&client->dropped[what], __ATOMIC_RELAXED);
}

const char *yc_qmp_state_name(YcQmpState state)
{
    static const char *const names[] = {
        [YC_QMP_DISCONNECTED] = "disconnected",
        [YC_QMP_CONNECTING] = "connecting",
        [YC_QMP_GREETING] = "greeting",
        [YC_QMP_NEGOTIATING] = "negotiating",
        [YC_QMP_READY] = "ready",
        [YC_QMP_WAITING] = "waiting",
    };

    return (size_t)state < G_N_ELEMENTS(names) ? names[state] : "unknown";
}
