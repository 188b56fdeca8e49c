/*
 * The only session of a monitor on a device other than a socket.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <glib-unix.h>
#include <sys/socket.h>
#include "char-session.h"
#include "io/channel-file.h"

/* Copies data between a file and the socket pair, on a side thread. */
typedef struct Pump {
    int file_fd; /* -1 when it is closed */
    int sock_fd;
    bool to_file;
} Pump;

static void close_fd(int fd)
{
    if (fd >= 0) {
        close(fd);
    }
}

static void pump_free(void *opaque)
{
    Pump *pump = opaque;

    close_fd(pump->file_fd);
    close(pump->sock_fd);
    g_free(pump);
}

static bool pump_write(int fd, const char *p, ssize_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, p, len);

        if (n < 0 && errno != EINTR) {
            return false;
        }
        p += MAX(n, 0);
        len -= MAX(n, 0);
    }
    return true;
}

static void pump_run(void *opaque)
{
    Pump *pump = opaque;
    int from = pump->to_file ? pump->sock_fd : pump->file_fd;
    int to = pump->to_file ? pump->file_fd : pump->sock_fd;
    char buf[16 * KiB];
    ssize_t n;

    do {
        n = read(from, buf, sizeof(buf));
    } while ((n < 0 && errno == EINTR) || (n > 0 && pump_write(to, buf, n)));
    /* The session sees the end of its input, or an error of its output. */
    shutdown(pump->sock_fd, pump->to_file ? SHUT_RD : SHUT_WR);
    /* The side thread closes the file, since that may block. */
    close(pump->file_fd);
    pump->file_fd = -1;
}

static int dup_fd(int fd, Error **errp)
{
    int copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);

    if (copy < 0) {
        error_setg_errno(errp, errno,
                         "Unable to duplicate a descriptor for a monitor");
    }
    return copy;
}

static AsideCall *pump_start(CharSession *session, int file_fd, bool to_file,
                             Error **errp)
{
    Pump *pump;
    int file_copy, sock_copy = dup_fd(session->far_fd, errp);

    if (sock_copy < 0) {
        return NULL;
    }
    file_copy = dup_fd(file_fd, errp);
    if (file_copy < 0) {
        close(sock_copy);
        return NULL;
    }
    pump = g_new0(Pump, 1);
    pump->file_fd = file_copy;
    pump->sock_fd = sock_copy;
    pump->to_file = to_file;
    return aside_start(to_file ? "writing the file of a monitor"
                               : "reading the file of a monitor",
                       pump_run, pump, pump_free, errp);
}

static bool needs_pump(const CharFd *file)
{
    return file && file->is_file;
}

static bool needs_pair(const CharFd *file)
{
    return !file || file->is_file;
}

/*
 * Returns one end of a socket pair, for the session, and stores the other in
 * @session; -1 with errp set on failure.
 */
static int make_pair(CharSession *session, Error **errp)
{
    int pair[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) {
        error_setg_errno(errp, errno, "Unable to create a socket pair");
        return -1;
    }
    session->far_fd = pair[1];
    return pair[0];
}

/*
 * Returns the session's descriptor for one direction: a duplicate of @file's,
 * or of @pair_fd, which serves both directions.
 */
static int session_fd(const CharFd *file, int pair_fd, Error **errp)
{
    return dup_fd(needs_pair(file) ? pair_fd : file->fd, errp);
}

static bool start_pumps(CharSession *session, const CharFd *in,
                        const CharFd *out, Error **errp)
{
    if (needs_pump(in)) {
        session->reader = pump_start(session, in->fd, false, errp);
        if (!session->reader) {
            return false;
        }
    }
    if (needs_pump(out)) {
        session->writer = pump_start(session, out->fd, true, errp);
        return session->writer;
    }
    return true;
}

static void start_on_its_thread(void *opaque)
{
    CharSession *session = opaque;

    session->fn(g_steal_pointer(&session->ioc), session->opaque);
}

bool char_session_begin(CharSession *session, Chardev *chr, const CharFd *in,
                        const CharFd *out, IOThread *iothread,
                        ChardevSessionFn *fn, void *opaque, Error **errp)
{
    const char *name = ChardevBackendKind_str(chr->cls->kind);
    int pair_fd = -1, read_fd, write_fd;
    bool ok;

    *session = (CharSession){.far_fd = -1, .fn = fn, .opaque = opaque};
    if (needs_pair(in) || needs_pair(out)) {
        pair_fd = make_pair(session, errp);
        if (pair_fd < 0) {
            char_session_end(session);
            return false;
        }
    }
    read_fd = session_fd(in, pair_fd, errp);
    write_fd = read_fd < 0 ? -1 : session_fd(out, pair_fd, errp);
    close_fd(pair_fd);
    ok = write_fd >= 0 && start_pumps(session, in, out, errp);
    if (!ok) {
        close_fd(read_fd);
        close_fd(write_fd);
        char_session_end(session);
        return false;
    }
    if (!out) {
        g_unix_set_fd_nonblocking(session->far_fd, TRUE, NULL);
    }
    session->ioc = qio_channel_file_new(read_fd, write_fd, name);
    iothread_post(iothread, start_on_its_thread, session);
    return true;
}

static void end_pump(AsideCall **call)
{
    if (*call) {
        aside_wait(*call, ASIDE_TIMEOUT_MS, NULL);
        g_clear_pointer(call, aside_unref);
    }
}

void char_session_end(CharSession *session)
{
    if (!session->fn) {
        return;
    }
    if (session->far_fd >= 0) {
        /* The side threads still read what was written before. */
        shutdown(session->far_fd, SHUT_RDWR);
    }
    end_pump(&session->writer);
    end_pump(&session->reader);
    close_fd(session->far_fd);
    *session = (CharSession){};
}
