/*
 * Standard input and output, as one device.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <termios.h>
#include "char-session.h"

typedef struct StdioChardev {
    Chardev parent;
    CharFd in, out;
    CharSession session;
    bool is_tty;
    struct termios tty;
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
    if (!char_fd_open_standard(chr, &stdio->in, STDIN_FILENO, errp)) {
        return false;
    }
    if (!char_fd_open_standard(chr, &stdio->out, STDOUT_FILENO, errp)) {
        char_fd_close(&stdio->in);
        return false;
    }
    stdio_taken = true;
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

    char_session_end(&stdio->session);
    char_fd_close(&stdio->in);
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

static bool stdio_attach_monitor(Chardev *chr, IOThread *iothread,
                                 ChardevSessionFn *fn, void *opaque,
                                 Error **errp)
{
    StdioChardev *stdio = (StdioChardev *)chr;

    return char_session_begin(&stdio->session, chr, &stdio->in, &stdio->out,
                              iothread, fn, opaque, errp);
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
