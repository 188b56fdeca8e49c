/*
 * The descriptors that the process was started with.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <dirent.h>
#include "io/inherited-fd.h"
#include "qemu/lockable.h"
#include "qemu/thread.h"

/* Highest number that is tried if /proc is missing. */
#define MAX_PROBED 1024

/* Guards free_fds.  Fast; no lock is taken under it. */
static QemuMutex lock;
static GHashTable *free_fds; /* numbers of the descriptors without an owner */

static void __attribute__((constructor)) inherited_fd_construct(void)
{
    qemu_mutex_init(&lock);
    free_fds = g_hash_table_new(NULL, NULL);
}

void inherited_fd_add(int fd)
{
    QEMU_LOCK_GUARD(&lock);
    g_hash_table_add(free_fds, GINT_TO_POINTER(fd));
}

void inherited_fds_init(void)
{
    DIR *dir = opendir("/proc/self/fd");
    struct dirent *entry;

    while (dir && (entry = readdir(dir))) {
        /* 0 for "." and ".."; those are ignored */
        int fd = atoi(entry->d_name);

        if (fd > STDERR_FILENO && fd != dirfd(dir)) {
            inherited_fd_add(fd);
        }
    }
    if (dir) {
        closedir(dir);
        return;
    }
    for (int fd = STDERR_FILENO + 1; fd < MAX_PROBED; fd++) {
        if (fcntl(fd, F_GETFD) >= 0) {
            inherited_fd_add(fd);
        }
    }
}

bool inherited_fd_take(int fd, Error **errp)
{
    bool ok;

    WITH_QEMU_LOCK_GUARD(&lock) {
        ok = g_hash_table_remove(free_fds, GINT_TO_POINTER(fd));
    }
    if (!ok) {
        error_setg(errp,
                   "File descriptor '%d' is not available: expected a socket "
                   "that was open when the process started and that nothing "
                   "has used since",
                   fd);
    }
    return ok;
}
