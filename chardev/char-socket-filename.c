/*
 * What query-chardev says of socket devices, in the words of the stock
 * programs.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "char-socket-internal.h"
#include "qemu/lockable.h"

static char *unix_name(const UnixSocketAddress *addr)
{
    bool abstract = addr->has_abstract && addr->abstract;
    bool tight = abstract && (!addr->has_tight || addr->tight);

    return g_strdup_printf("unix:%s%s%s", addr->path,
                           abstract ? ",abstract=on" : "",
                           tight ? ",tight=on" : "");
}

static char *address_name(const SocketAddress *addr)
{
    g_autofree char *text = socket_address_to_string(addr);

    switch (addr->type) {
    case SOCKET_ADDRESS_TYPE_INET:
        return g_strconcat("tcp:", text, NULL);
    case SOCKET_ADDRESS_TYPE_UNIX:
        return unix_name(&addr->u.q_unix);
    default:
        return g_steal_pointer(&text);
    }
}

/* "tcp:LOCAL,server=on <-> REMOTE", or NULL when it is not over TCP. */
static char *connection_name(QIOChannel *ioc, const char *server)
{
    int fd = qio_channel_get_read_fd(ioc);
    g_autoptr(SocketAddress) local = socket_local_address(fd, NULL);
    g_autoptr(SocketAddress) remote = socket_remote_address(fd, NULL);
    g_autofree char *name = NULL;
    g_autofree char *remote_text = NULL;

    if (!local || !remote || remote->type != SOCKET_ADDRESS_TYPE_INET) {
        return NULL;
    }
    name = address_name(local);
    remote_text = socket_address_to_string(remote);
    return g_strconcat(name, server, " <-> ", remote_text, NULL);
}

char *char_socket_filename(Chardev *chr)
{
    SocketChardev *s = (SocketChardev *)chr;
    const char *server = s->server ? ",server=on" : "";
    /* A port that was 0 is only known to the listener. */
    bool ask_listener =
        s->listener && s->addr->type != SOCKET_ADDRESS_TYPE_UNIX;
    g_autoptr(QIOChannel) ioc = NULL;
    g_autofree char *name = NULL;
    bool connected;

    WITH_QEMU_LOCK_GUARD(&s->lock) {
        ioc = s->ioc ? qio_channel_ref(s->ioc) : NULL;
        connected = ioc || s->sessions;
    }
    name = ioc ? connection_name(ioc, server) : NULL;
    if (name) {
        return g_steal_pointer(&name);
    }
    name = address_name(ask_listener ? qio_net_listener_address(s->listener)
                                     : s->addr);
    return g_strconcat(connected ? "" : "disconnected:", name, server, NULL);
}
