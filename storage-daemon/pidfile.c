/*
 * The file that holds our process id, locked as long as we live.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <sys/stat.h>
#include "daemon.h"

/* Absolute, since the daemon changes its folder; NULL when there is none. */
static char *pidfile_path;

/* Whether @path still names what @fd opened. */
static bool is_same_file(int fd, const char *path)
{
    struct stat by_fd;
    struct stat by_path;

    return fstat(fd, &by_fd) == 0 && stat(path, &by_path) == 0 &&
           by_fd.st_dev == by_path.st_dev && by_fd.st_ino == by_path.st_ino;
}

/*
 * The file, open and locked.  Its last owner may have removed it between our
 * open and our lock; the lock is worth nothing then, and we try again.
 */
static int open_locked(const char *path, Error **errp)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

    for (;;) {
        int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

        if (fd < 0) {
            error_setg_errno(errp, errno, "Could not create '%s'", path);
            return -1;
        }
        if (fcntl(fd, F_SETLK, &lock) < 0) {
            error_setg_errno(errp, errno, "Cannot lock pid file");
            close(fd);
            return -1;
        }
        if (is_same_file(fd, path)) {
            return fd;
        }
        close(fd);
    }
}

bool pidfile_create(const char *path, Error **errp)
{
    g_autofree char *absolute = g_canonicalize_filename(path, NULL);
    g_autofree char *text =
        g_strdup_printf("%" PRIdMAX "\n", (intmax_t)getpid());
    ssize_t len = strlen(text);
    int fd = open_locked(absolute, errp);

    if (fd < 0) {
        error_prepend(errp, "cannot create PID file: ");
        return false;
    }
    if (ftruncate(fd, 0) < 0 || write(fd, text, len) != len) {
        error_setg_errno(errp, errno,
                         "cannot create PID file: Could not write '%s'", path);
        unlink(absolute);
        close(fd);
        return false;
    }
    /* The descriptor stays open: it holds the lock. */
    g_atomic_pointer_set(&pidfile_path, g_steal_pointer(&absolute));
    return true;
}

void pidfile_remove(void)
{
    g_autofree char *path = NULL;

    do {
        path = g_atomic_pointer_get(&pidfile_path);
    } while (!g_atomic_pointer_compare_and_exchange(&pidfile_path, path, NULL));
    if (path) {
        unlink(path);
    }
}
