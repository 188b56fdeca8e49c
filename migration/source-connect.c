/*
 * The source opens its channels.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "process-id.h"
#include "source.h"

/* The name that the certificate of the destination must have. */
static const char *tls_hostname(Source *s)
{
    if (s->params->tls_hostname[0]) {
        return s->params->tls_hostname;
    }
    return s->address->type == SOCKET_ADDRESS_TYPE_INET
               ? s->address->u.inet.host
               : "localhost";
}

/* Takes @ioc over and returns the encrypted channel, or NULL. */
static QIOChannel *start_tls(Source *s, QIOChannel *ioc, Error **errp)
{
    g_autoptr(QIOChannel) plain = ioc;
    g_autoptr(QIOChannel) tls =
        qio_channel_tls_new_client(plain, s->creds, tls_hostname(s), errp);

    activity_set_phase(s->activity, "tls-handshake");
    if (!tls || qio_channel_tls_handshake(tls, errp) < 0) {
        return NULL;
    }
    return g_steal_pointer(&tls);
}

static QIOChannel *open_channel(Source *s, Error **errp)
{
    g_autoptr(QIOChannel) ioc = NULL;

    activity_set_phase(s->activity, "connect");
    ioc = qio_connect_sync(s->address, link_set_task, s->link, errp);
    if (!ioc || !link_add_channel(s->link, ioc, errp) ||
        !qio_channel_set_blocking(ioc, true, errp)) {
        return NULL;
    }
    activity_set_peer(s->activity, qio_channel_peer(ioc));
    return s->creds ? start_tls(s, g_steal_pointer(&ioc), errp)
                    : g_steal_pointer(&ioc);
}

static bool say_hello(Source *s, QIOChannel *ioc, uint16_t index, bool resume,
                      Error **errp)
{
    StreamHello hello = {
        .flags = resume ? STREAM_HELLO_RESUME : 0,
        .channel = index,
        .channels = s->multifd ? s->n_senders : 0,
        .attempt = s->attempt,
    };
    uint8_t buf[STREAM_HELLO_SIZE];
    struct iovec iov = {.iov_base = buf, .iov_len = sizeof(buf)};

    migration_process_id(hello.process);
    memcpy(hello.session, s->session, STREAM_ID_SIZE);
    stream_hello_pack(&hello, buf);
    return qio_channel_writev_all(ioc, &iov, 1, errp) == 0;
}

static MigrationChannel *connect_channel(Source *s, uint16_t index, bool resume,
                                         Error **errp)
{
    g_autoptr(QIOChannel) ioc = open_channel(s, errp);

    if (!ioc || !say_hello(s, ioc, index, resume, errp)) {
        return NULL;
    }
    return migration_channel_new(g_steal_pointer(&ioc), STREAM_FROM_DESTINATION,
                                 index);
}

bool source_connect(Source *s, bool resume, Error **errp)
{
    s->attempt = migration_next_attempt();
    s->main = connect_channel(s, 0, resume, errp);
    if (!s->main) {
        return false;
    }
    for (unsigned i = 0; i < s->n_senders; i++) {
        SourceSender *sender = &s->senders[i];

        sender->channel =
            s->multifd ? connect_channel(s, i + 1, resume, errp) : s->main;
        if (!sender->channel) {
            return false;
        }
    }
    return true;
}

void source_disconnect(Source *s)
{
    for (unsigned i = 0; i < s->n_senders; i++) {
        if (s->multifd) {
            migration_channel_free(s->senders[i].channel);
        }
        s->senders[i].channel = NULL;
    }
    g_clear_pointer(&s->main, migration_channel_free);
}
