/*
 * NBD client: servers that send transmission flags of 0.
 *
 * The protocol requires the bit "has flags".  Some small servers do not set it
 * and work with QEMU, but libnbd refuses them.  After such a refusal this file
 * does the next handshake itself, with the oldest option, NBD_OPT_EXPORT_NAME,
 * which every server supports.  Then it sends libnbd a handshake of the old
 * style, with the bit set.
 *
 * The descriptor that libnbd owns refers to the server's socket, except before
 * libnbd gets it and while libnbd reads the handshake that is made for it.
 *
 * All of it runs on the I/O thread.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <sys/socket.h>
#include "nbd-internal.h"

#define OPTION_MAGIC UINT64_C(0x49484156454f5054)
#define OLD_STYLE_MAGIC UINT64_C(0x00420281861253)
#define OPT_EXPORT_NAME 1
#define FLAG_NO_ZEROES 2
#define FLAG_HAS_FLAGS 1

#define ZEROES 124

typedef struct Greeting {
    char magic[8];
    uint64_t option_magic;
    uint16_t flags;
} __attribute__((packed)) Greeting;

typedef struct ExportOption {
    uint32_t client_flags;
    uint64_t magic;
    uint32_t option;
    uint32_t length;
} __attribute__((packed)) ExportOption;

typedef struct ExportReply {
    uint64_t size;
    uint16_t flags;
    char zeroes[ZEROES];
} __attribute__((packed)) ExportReply;

typedef struct OldStyle {
    char magic[8];
    uint64_t old_magic;
    uint64_t size;
    uint16_t global_flags;
    uint16_t flags;
    char zeroes[ZEROES];
} __attribute__((packed)) OldStyle;

G_STATIC_ASSERT(sizeof(Greeting) <= sizeof(((NbdFlagless *)0)->buf));
G_STATIC_ASSERT(sizeof(ExportReply) <= sizeof(((NbdFlagless *)0)->buf));

static bool replace_fd(NbdState *s, int fd, Error **errp)
{
    if (fd < 0 || dup3(fd, nbd_aio_get_fd(s->h), O_CLOEXEC) < 0) {
        error_setg_errno(errp, errno, "Could not set an NBD handle up");
        return false;
    }
    return true;
}

static bool use_server(NbdState *s, Error **errp)
{
    return replace_fd(s, qio_channel_get_read_fd(s->ioc), errp);
}

bool nbd_flagless_start(NbdState *s, Error **errp)
{
    int pair[2];
    bool ok;

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) {
        error_setg_errno(errp, errno, "Could not set an NBD handle up");
        return false;
    }
    s->flagless = (NbdFlagless){.on = true, .want = sizeof(Greeting)};
    ok = nbd_aio_connect_socket(s->h, pair[0]) == 0;
    if (!ok) {
        error_setg(errp, "Could not set an NBD handle up: %s",
                   nbd_error_text());
    }
    ok = ok && use_server(s, errp);
    close(pair[1]);
    return ok;
}

/*
 * Returns 1 if s->flagless.want bytes have been received, 0 if more must come,
 * and -1 with errp set on failure.
 */
static int receive(NbdState *s, Error **errp)
{
    NbdFlagless *f = &s->flagless;
    ssize_t n = recv(nbd_aio_get_fd(s->h), f->buf + f->len, f->want - f->len,
                     MSG_DONTWAIT);

    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
        return 0;
    }
    if (n <= 0) {
        error_setg(errp, "Failed to negotiate with '%s': %s", s->address_str,
                   n ? g_strerror(errno) : "the server closed the connection");
        return -1;
    }
    f->len += n;
    return f->len == f->want;
}

/* Sends the request.  Nothing was sent before, so it fits into the socket. */
static bool ask_for_export(NbdState *s, Error **errp)
{
    NbdFlagless *f = &s->flagless;
    Greeting greeting;
    size_t length = strlen(s->export_name);
    ExportOption option = {
        .magic = GUINT64_TO_BE(OPTION_MAGIC),
        .option = GUINT32_TO_BE(OPT_EXPORT_NAME),
        .length = GUINT32_TO_BE(length),
    };
    g_autoptr(GByteArray) message = g_byte_array_new();

    memcpy(&greeting, f->buf, sizeof(greeting));
    if (memcmp(greeting.magic, "NBDMAGIC", 8) != 0 ||
        GUINT64_FROM_BE(greeting.option_magic) != OPTION_MAGIC) {
        error_setg(errp,
                   "Failed to negotiate with '%s': the server did not send "
                   "the expected NBD magic",
                   s->address_str);
        return false;
    }
    /*
     * "Fixed new style" and "no zeroes" have the same bits in both directions.
     */
    option.client_flags =
        GUINT32_TO_BE(GUINT16_FROM_BE(greeting.flags) & (1 | FLAG_NO_ZEROES));
    f->len = 0;
    f->want = sizeof(ExportReply) -
              (GUINT16_FROM_BE(greeting.flags) & FLAG_NO_ZEROES ? ZEROES : 0);
    f->asked = true;
    g_byte_array_append(message, (const guint8 *)&option, sizeof(option));
    g_byte_array_append(message, (const guint8 *)s->export_name, length);
    if (send(nbd_aio_get_fd(s->h), message->data, message->len,
             MSG_DONTWAIT | MSG_NOSIGNAL) != (ssize_t)message->len) {
        error_setg(errp, "Failed to negotiate with '%s': %s", s->address_str,
                   g_strerror(errno));
        return false;
    }
    return true;
}

/*
 * Sends libnbd a handshake of the old style, with the size and flags of the
 * server.
 */
static bool tell_libnbd(NbdState *s, Error **errp)
{
    ExportReply reply;
    OldStyle old = {
        .magic = "NBDMAGIC",
        .old_magic = GUINT64_TO_BE(OLD_STYLE_MAGIC),
    };
    g_autoptr(Error) err = NULL;
    int pair[2];
    bool ok;

    memcpy(&reply, s->flagless.buf, offsetof(ExportReply, zeroes));
    old.size = reply.size;
    old.flags = reply.flags | GUINT16_TO_BE(FLAG_HAS_FLAGS);
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) {
        error_setg_errno(errp, errno, "Could not set an NBD handle up");
        return false;
    }
    ok = send(pair[1], &old, sizeof(old), MSG_NOSIGNAL) == sizeof(old) &&
         replace_fd(s, pair[0], &err) && nbd_aio_notify_read(s->h) == 0 &&
         nbd_aio_is_ready(s->h) == 1;
    close(pair[0]);
    close(pair[1]);
    if (err) {
        error_propagate(errp, g_steal_pointer(&err));
    } else if (!ok) {
        error_setg(errp, "Failed to negotiate with '%s': %s", s->address_str,
                   nbd_error_text());
    }
    return ok && use_server(s, errp);
}

bool nbd_flagless_step(NbdState *s, bool *ready, Error **errp)
{
    int ret;

    *ready = false;
    while ((ret = receive(s, errp)) > 0) {
        if (s->flagless.asked) {
            *ready = tell_libnbd(s, errp);
            return *ready;
        }
        if (!ask_for_export(s, errp)) {
            return false;
        }
    }
    return ret == 0;
}
