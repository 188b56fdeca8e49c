/*
 * Standard input and output, as one device.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <termios.h>
#include "char-fd.h"
#include "io/channel-file.h"

typedef struct StdioChardev {
    Chardev parent;
    CharFd out;
    int in_flags;
    bool is_tty;
    struct termios tty;

    /* What a monitor gets. */
    QIOChannel *session;
    ChardevSessionFn *fn;
    void *opaque;
} StdioChardev;

static bool stdio_taken; /* main thread */

static void stdio_set_signal(StdioChardev *stdio, bool signals)
{
    struct termios tty = stdio->tty;

    tty.c_lflag = signals ? tty.c_lflag | ISIG : tty.c_lflag & ~ISIG;
    tcsetattr(STDIN_FILENO, TCSANOW, &tty);
}

static bool stdio_open(Chardev *chr, const ChardevBackend *backend,
                       Error **errp)
{
    StdioChardev *stdio = (StdioChardev *)chr;
    const ChardevStdio *options = backend->u.stdio.data;

    if (stdio_taken) {
        error_setg(errp, "cannot use stdio by multiple character devices");
        return false;
    }
    if (!char_fd_open_stdout(chr, &stdio->out, errp)) {
        return false;
    }
    stdio_taken = true;
    stdio->in_flags = fcntl(STDIN_FILENO, F_GETFL);
    stdio->is_tty = !tcgetattr(STDIN_FILENO, &stdio->tty);
    if (stdio->is_tty && options->has_signal) {
        stdio_set_signal(stdio, options->signal);
    }
    return true;
}

/* The descriptors are shared with whoever started us: leave them as found. */
static void stdio_close(Chardev *chr)
{
    StdioChardev *stdio = (StdioChardev *)chr;

    fcntl(STDIN_FILENO, F_SETFL, stdio->in_flags);
    char_fd_close(&stdio->out);
    if (stdio->is_tty) {
        tcsetattr(STDIN_FILENO, TCSANOW, &stdio->tty);
    }
    stdio_taken = false;
}

static bool stdio_write_all(Chardev *chr, const void *buf, size_t len,
                            Error **errp)
{
    StdioChardev *stdio = (StdioChardev *)chr;

    return char_fd_write_all(chr, &stdio->out, buf, len, errp);
}

static char *stdio_filename(Chardev *chr)
{
    return g_strdup("stdio");
}

static void stdio_start_session(void *opaque)
{
    StdioChardev *stdio = opaque;

    stdio->fn(g_steal_pointer(&stdio->session), stdio->opaque);
}

/* The session gets duplicates, which it may close. */
static bool stdio_attach_monitor(Chardev *chr, IOThread *iothread,
                                 ChardevSessionFn *fn, void *opaque,
                                 Error **errp)
{
    StdioChardev *stdio = (StdioChardev *)chr;
    int in = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3);
    int out = fcntl(stdio->out.fd, F_DUPFD_CLOEXEC, 3);

    if (in < 0 || out < 0) {
        error_setg_errno(errp, errno,
                         "Unable to duplicate standard %s for chardev '%s'",
                         in < 0 ? "input" : "output", chr->id);
        if (in >= 0) {
            close(in);
        }
        if (out >= 0) {
            close(out);
        }
        return false;
    }
    stdio->session = qio_channel_file_new(in, out, "stdio");
    stdio->fn = fn;
    stdio->opaque = opaque;
    iothread_post(iothread, stdio_start_session, stdio);
    return true;
}

const ChardevClass chardev_stdio = {
    .kind = CHARDEV_BACKEND_KIND_STDIO,
    .instance_size = sizeof(StdioChardev),
    .open = stdio_open,
    .close = stdio_close,
    .write_all = stdio_write_all,
    .filename = stdio_filename,
    .attach_monitor = stdio_attach_monitor,
};
