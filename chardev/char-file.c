/*
 * File devices: what is written goes to a file.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "char-session.h"

typedef struct FileChardev {
    Chardev parent;
    CharFd in; /* read only by a monitor */
    CharFd out;
    CharSession session;
} FileChardev;

static void file_close(Chardev *chr)
{
    FileChardev *file = (FileChardev *)chr;

    char_session_end(&file->session);
    char_fd_close(&file->out);
    char_fd_close(&file->in);
}

static bool file_open(Chardev *chr, const ChardevBackend *backend, Error **errp)
{
    FileChardev *file = (FileChardev *)chr;
    const ChardevFile *options = backend->u.file.data;
    bool append = options->has_append && options->append;

    file->in.fd = file->out.fd = -1;
    if (!char_fd_open(chr, &file->out, options->out,
                      O_WRONLY | O_CREAT | (append ? O_APPEND : O_TRUNC),
                      errp)) {
        return false;
    }
    if (options->in &&
        !char_fd_open(chr, &file->in, options->in, O_RDONLY, errp)) {
        file_close(chr);
        return false;
    }
    return true;
}

static bool file_write_all(Chardev *chr, const void *buf, size_t len,
                           Error **errp)
{
    FileChardev *file = (FileChardev *)chr;

    return char_fd_write_all(chr, &file->out, buf, len, errp);
}

static bool file_attach_monitor(Chardev *chr, IOThread *iothread,
                                ChardevSessionFn *fn, void *opaque,
                                Error **errp)
{
    FileChardev *file = (FileChardev *)chr;

    return char_session_begin(&file->session, chr,
                              file->in.fd >= 0 ? &file->in : NULL, &file->out,
                              iothread, fn, opaque, errp);
}

static char *file_filename(Chardev *chr)
{
    return g_strdup("file");
}

const ChardevClass chardev_file = {
    .kind = CHARDEV_BACKEND_KIND_FILE,
    .instance_size = sizeof(FileChardev),
    .open = file_open,
    .close = file_close,
    .write_all = file_write_all,
    .filename = file_filename,
    .attach_monitor = file_attach_monitor,
};
