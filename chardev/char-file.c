/*
 * File devices: what is written goes to a file.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "chardev-internal.h"

typedef struct FileChardev {
    Chardev parent;
    int in_fd; /* -1: none */
    int out_fd;
} FileChardev;

static int file_open_one(const char *path, int flags, Error **errp)
{
    int fd = open(path, flags | O_CLOEXEC, 0666);

    if (fd < 0) {
        error_setg_errno(errp, errno, "Could not open '%s'", path);
    }
    return fd;
}

static bool file_open(Chardev *chr, const ChardevBackend *backend, Error **errp)
{
    FileChardev *file = (FileChardev *)chr;
    const ChardevFile *options = backend->u.file.data;
    bool append = options->has_append && options->append;

    file->in_fd = -1;
    file->out_fd = file_open_one(
        options->out, O_WRONLY | O_CREAT | (append ? O_APPEND : O_TRUNC), errp);
    if (file->out_fd < 0) {
        return false;
    }
    if (options->in) {
        file->in_fd = file_open_one(options->in, O_RDONLY, errp);
        if (file->in_fd < 0) {
            close(file->out_fd);
            return false;
        }
    }
    return true;
}

static void file_close(Chardev *chr)
{
    FileChardev *file = (FileChardev *)chr;

    close(file->out_fd);
    if (file->in_fd >= 0) {
        close(file->in_fd);
    }
}

static bool file_write_all(Chardev *chr, const void *buf, size_t len,
                           Error **errp)
{
    FileChardev *file = (FileChardev *)chr;
    const char *p = buf;

    while (len) {
        ssize_t n = write(file->out_fd, p, len);

        if (n < 0 && errno != EINTR) {
            error_setg_errno(errp, errno, "Unable to write to chardev '%s'",
                             chr->id);
            return false;
        }
        p += MAX(n, 0);
        len -= MAX(n, 0);
    }
    return true;
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
};
