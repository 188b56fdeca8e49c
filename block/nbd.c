/*
 * NBD client nodes: options, life, and what users see.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "nbd-internal.h"
#include "qapi/clone-visitor.h"
#include "qapi/qapi-visit-sockets.h"
#include "qobject/json.h"
#include "qemu/lockable.h"
#include "qemu/yank.h"

#define EXPORT_NAME_MAX 4096

static bool nbd_state_init(BlockNode *node, const BlockdevOptionsNbd *opts,
                           Error **errp)
{
    NbdState *s = node->opaque;
    g_autofree char *name = NULL;

    s->timers = block_timers_new(errp);
    if (!s->timers) {
        return false;
    }
    s->node = node;
    s->address = QAPI_CLONE(SocketAddress, opts->server);
    s->address_str = socket_address_to_string(opts->server);
    s->export_name = g_strdup(opts->q_export ? opts->q_export : "");
    s->reconnect_delay = opts->reconnect_delay;
    s->open_timeout = opts->open_timeout;
    name = yank_instance_name(BLOCKDEV_YANK_INSTANCE(node->name));
    s->activity = activity_new(name);
    activity_set_phase(s->activity, "closed");
    activity_set_peer(s->activity, s->address_str);

    qemu_mutex_init(&s->lock);
    qemu_cond_init(&s->cond);
    s->iothread = node->iothread;
    block_queue_init(&s->waiting);
    block_queue_init(&s->done);
    nbd_io_reset_patience(s);
    return true;
}

static void nbd_state_destroy(NbdState *s)
{
    block_timers_free(s->timers);
    qemu_cond_destroy(&s->cond);
    qemu_mutex_destroy(&s->lock);
    activity_free(s->activity);
    error_free(s->last_error);
    error_free(s->outcome_error);
    g_free(s->refused);
    g_free(s->export_name);
    g_free(s->address_str);
    qapi_free_SocketAddress(s->address);
}

/* What the connection showed becomes what the node is. */
static bool nbd_apply_info(BlockNode *node, Error **errp)
{
    NbdState *s = node->opaque;

    if (s->info.read_only && !node->read_only) {
        if (!node->auto_read_only) {
            error_setg(errp,
                       "Could not open image: Permission denied: the server "
                       "at '%s' exports '%s' read-only",
                       s->address_str, s->export_name);
            return false;
        }
        node->read_only = true;
    }
    node->size = s->info.size;
    node->caps = s->info.caps;
    return true;
}

static void nbd_end(BlockNode *node)
{
    NbdState *s = node->opaque;

    nbd_connection_close(s);
    yank_unregister_function(BLOCKDEV_YANK_INSTANCE(node->name),
                             nbd_connection_yank, s);
    yank_unregister_instance(BLOCKDEV_YANK_INSTANCE(node->name));
    nbd_connection_detach(s);
    nbd_state_destroy(s);
}

/*
 * The yank function is there before the first step that may block, and until
 * after the last.
 */
static bool nbd_open(BlockNode *node, const BlockdevOptions *options,
                     Error **errp)
{
    const BlockdevOptionsNbd *opts = &options->u.nbd;

    if (opts->q_export && strlen(opts->q_export) > EXPORT_NAME_MAX) {
        error_setg(errp, "export name too long to send to server");
        return false;
    }
    if (!nbd_state_init(node, opts, errp)) {
        return false;
    }
    if (!yank_register_instance_with(BLOCKDEV_YANK_INSTANCE(node->name),
                                     nbd_connection_yank, node->opaque, errp)) {
        nbd_state_destroy(node->opaque);
        return false;
    }
    if (!nbd_connection_open(node->opaque, errp) ||
        !nbd_apply_info(node, errp)) {
        nbd_end(node);
        return false;
    }
    return true;
}

/* Sets the size; limited to the present size of the server. */
static bool nbd_truncate(BlockNode *node, uint64_t size, Error **errp)
{
    NbdState *s = node->opaque;

    QEMU_LOCK_GUARD(&s->lock);
    if (size < node->size || size > s->server_size) {
        error_setg(errp, "Cannot %s NBD nodes",
                   size > node->size ? "grow" : "shrink");
        return false;
    }
    __atomic_store_n(&node->size, size, __ATOMIC_RELAXED);
    return true;
}

static void nbd_detach(BlockNode *node)
{
    nbd_connection_detach(node->opaque);
}

static void nbd_attach(BlockNode *node)
{
    nbd_connection_attach(node->opaque);
}

static bool nbd_reconnect(BlockNode *node, uint32_t close_timeout, bool force,
                          Error **errp)
{
    return nbd_connection_reconnect(node->opaque, close_timeout, force, errp);
}

static void add_bool(json_object *json, const char *key, bool has, bool value)
{
    if (has) {
        json_object_object_add(json, key, json_object_new_boolean(value));
    }
}

static void add_string(json_object *json, const char *key, const char *value)
{
    json_object_object_add(json, key, json_object_new_string(value));
}

static void add_inet(json_object *json, const InetSocketAddress *inet)
{
    add_string(json, "server.host", inet->host);
    add_string(json, "server.port", inet->port);
    if (inet->has_to) {
        json_object_object_add(json, "server.to",
                               json_object_new_int(inet->to));
    }
    add_bool(json, "server.ipv4", inet->has_ipv4, inet->ipv4);
    add_bool(json, "server.ipv6", inet->has_ipv6, inet->ipv6);
    add_bool(json, "server.keep-alive", inet->has_keep_alive, inet->keep_alive);
}

/* Only the options that determine which data the node has. */
static json_object *nbd_options(BlockNode *node)
{
    NbdState *s = node->opaque;
    json_object *json = json_object_new_object();

    add_string(json, "driver", "nbd");
    add_string(json, "server.type", SocketAddressType_str(s->address->type));
    if (s->address->type == SOCKET_ADDRESS_TYPE_INET) {
        add_inet(json, &s->address->u.inet);
    } else if (s->address->type == SOCKET_ADDRESS_TYPE_UNIX) {
        add_string(json, "server.path", s->address->u.q_unix.path);
    } else {
        add_string(json, "server.str", s->address->u.fd.str);
    }
    if (*s->export_name) {
        add_string(json, "export", s->export_name);
    }
    return json;
}

static bool inet_fits_uri(const InetSocketAddress *inet)
{
    return !inet->has_ipv4 && !inet->has_ipv6 && !inet->has_to;
}

/*
 * A URI as in stock, or NULL if the options contain more than a URI can
 * express.
 */
static char *nbd_filename(BlockNode *node)
{
    NbdState *s = node->opaque;
    SocketAddress *a = s->address;
    const char *slash = *s->export_name ? "/" : "";

    if (a->type == SOCKET_ADDRESS_TYPE_UNIX) {
        return g_strdup_printf("nbd+unix://%s%s?socket=%s", slash,
                               s->export_name, a->u.q_unix.path);
    }
    if (a->type == SOCKET_ADDRESS_TYPE_INET && inet_fits_uri(&a->u.inet)) {
        return g_strdup_printf("nbd://%s:%s%s%s", a->u.inet.host,
                               a->u.inet.port, slash, s->export_name);
    }
    return NULL;
}

const BlockDriver block_driver_nbd = {
    .format_name = "nbd",
    .instance_size = sizeof(NbdState),
    .open = nbd_open,
    .close = nbd_end,
    .submit = nbd_submit,
    .truncate = nbd_truncate,
    .detach = nbd_detach,
    .attach = nbd_attach,
    .reconnect = nbd_reconnect,
    .filename = nbd_filename,
    .options = nbd_options,
    .exact_size = true,
    .yankable = true,
};
