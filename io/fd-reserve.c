/*
 * Descriptors kept for monitors.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <sys/eventfd.h>
#include <sys/resource.h>
#include "fd-reserve.h"
#include "qemu/lockable.h"
#include "qemu/thread.h"

/*
 * One descriptor for each of this many clients that may come at the same time.
 * Less if the limit on descriptors is low.
 */
#define RESERVE_MAX 16

/* Guards the variables below.  Fast; no lock is taken under it. */
static QemuMutex reserve_lock;
static int reserve[RESERVE_MAX];
static unsigned n_reserve;
static unsigned n_wanted;
static unsigned n_users; /* calls of enable minus calls of disable */

static void __attribute__((constructor)) fd_reserve_init(void)
{
    qemu_mutex_init(&reserve_lock);
}

void fd_reserve_enable(void)
{
    struct rlimit limit = {.rlim_cur = 1024};

    getrlimit(RLIMIT_NOFILE, &limit);
    WITH_QEMU_LOCK_GUARD(&reserve_lock) {
        n_wanted = MIN(limit.rlim_cur / 8, RESERVE_MAX);
        n_users++;
    }
    fd_reserve_fill();
}

void fd_reserve_disable(void)
{
    QEMU_LOCK_GUARD(&reserve_lock);
    if (--n_users > 0) {
        return;
    }
    n_wanted = 0;
    while (n_reserve > 0) {
        close(reserve[--n_reserve]);
    }
}

bool fd_reserve_fill(void)
{
    QEMU_LOCK_GUARD(&reserve_lock);
    while (n_reserve < n_wanted) {
        int fd = eventfd(0, EFD_CLOEXEC);

        if (fd < 0) {
            return false;
        }
        reserve[n_reserve++] = fd;
    }
    return true;
}

bool fd_reserve_use(void)
{
    QEMU_LOCK_GUARD(&reserve_lock);
    if (n_reserve == 0) {
        return false;
    }
    close(reserve[--n_reserve]);
    return true;
}
