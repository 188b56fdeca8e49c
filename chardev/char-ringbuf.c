/*
 * Ring buffer devices: the newest bytes that were written, kept in memory.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "char-session.h"
#include "qemu/fd-watch.h"

#define RINGBUF_DEFAULT_SIZE 65536
#define RINGBUF_MAX_SIZE (1 * GiB)

typedef struct RingbufChardev {
    Chardev parent;
    uint8_t *data;
    size_t size; /* a power of two */
    size_t prod; /* bytes ever written and read; they wrap together */
    size_t cons;
    CharSession session; /* of a monitor, whose output goes into the buffer */
    FdWatch *watch;
} RingbufChardev;

static bool ringbuf_open(Chardev *chr, const ChardevBackend *backend,
                         Error **errp)
{
    RingbufChardev *ring = (RingbufChardev *)chr;
    const ChardevRingbuf *options = backend->u.ringbuf.data;
    int64_t size = options->has_size ? options->size : RINGBUF_DEFAULT_SIZE;

    if (size <= 0 || (size & (size - 1))) {
        error_setg(errp, "size of ringbuf chardev must be power of two");
        return false;
    }
    if (size > RINGBUF_MAX_SIZE) {
        error_setg(errp,
                   "size of ringbuf chardev must not exceed %" PRId64 " bytes",
                   RINGBUF_MAX_SIZE);
        return false;
    }
    ring->data = g_try_malloc0(size);
    if (!ring->data) {
        error_setg(errp, "no memory for a ringbuf of %" PRId64 " bytes", size);
        return false;
    }
    ring->size = size;
    return true;
}

static void ringbuf_close(Chardev *chr)
{
    RingbufChardev *ring = (RingbufChardev *)chr;

    fd_watch_free(ring->watch);
    char_session_end(&ring->session);
    g_free(ring->data);
}

static bool ringbuf_write_all(Chardev *chr, const void *buf, size_t len,
                              Error **errp)
{
    RingbufChardev *ring = (RingbufChardev *)chr;
    const uint8_t *p = buf;

    for (size_t i = 0; i < len; i++) {
        ring->data[ring->prod++ & (ring->size - 1)] = p[i];
    }
    /* What was not read in time is overwritten. */
    if (ring->prod - ring->cons > ring->size) {
        ring->cons = ring->prod - ring->size;
    }
    return true;
}

/* Moves data that the monitor has written into the buffer. */
static void ringbuf_pull(RingbufChardev *ring)
{
    char buf[4096];
    ssize_t n;

    if (!ring->watch) {
        return;
    }
    while ((n = read(ring->session.far_fd, buf, sizeof(buf))) > 0) {
        ringbuf_write_all(&ring->parent, buf, n, NULL);
    }
    if (n == 0) {
        g_clear_pointer(&ring->watch, fd_watch_free);
    }
}

static void ringbuf_readable(GIOCondition condition, void *opaque)
{
    ringbuf_pull(opaque);
}

static bool ringbuf_attach_monitor(Chardev *chr, IOThread *iothread,
                                   ChardevSessionFn *fn, void *opaque,
                                   Error **errp)
{
    RingbufChardev *ring = (RingbufChardev *)chr;

    if (!char_session_begin(&ring->session, chr, NULL, NULL, iothread, fn,
                            opaque, errp)) {
        return false;
    }
    ring->watch = fd_watch_new(g_main_context_default(), ring->session.far_fd,
                               ringbuf_readable, ring);
    fd_watch_set_events(ring->watch, G_IO_IN);
    return true;
}

size_t chardev_ringbuf_count(Chardev *chr)
{
    RingbufChardev *ring = (RingbufChardev *)chr;

    ringbuf_pull(ring);
    return ring->prod - ring->cons;
}

size_t chardev_ringbuf_read(Chardev *chr, void *buf, size_t len)
{
    RingbufChardev *ring = (RingbufChardev *)chr;
    uint8_t *p = buf;

    len = MIN(len, chardev_ringbuf_count(chr));
    for (size_t i = 0; i < len; i++) {
        p[i] = ring->data[ring->cons++ & (ring->size - 1)];
    }
    return len;
}

static char *ringbuf_filename(Chardev *chr)
{
    return g_strdup("ringbuf");
}

const ChardevClass chardev_ringbuf = {
    .kind = CHARDEV_BACKEND_KIND_RINGBUF,
    .instance_size = sizeof(RingbufChardev),
    .open = ringbuf_open,
    .close = ringbuf_close,
    .write_all = ringbuf_write_all,
    .filename = ringbuf_filename,
    .attach_monitor = ringbuf_attach_monitor,
};
