/*
 * Ending the process although some of its files are on a hung file system.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <sched.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include "qemu/process-end.h"

#define HELPER_STACK_SIZE 16384
/* How often the child checks whether the process has ended. */
#define HELPER_WAIT_ROUNDS 1000
#define HELPER_WAIT_NS 1000000
/* Bound on the number of descriptors, for the limit "infinity". */
#define HELPER_MAX_FDS (1 << 20)

/*
 * The child shares the memory of the process, whose calling thread has ended.
 */
#if defined(__has_feature)
#define NO_SANITIZE __attribute__((no_sanitize("address", "thread")))
#else
#define NO_SANITIZE                                                            \
    __attribute__((no_sanitize_address, no_sanitize_thread,                    \
                   no_sanitize_undefined))
#endif

static G_GNUC_UNUSED char helper_stack[HELPER_STACK_SIZE]
    __attribute__((aligned(64)));
static long helper_parent;
static long helper_n_fds;

/*
 * Waits until the process has ended before it closes the sockets: its threads
 * could otherwise open other files under the same numbers.
 */
static NO_SANITIZE G_GNUC_UNUSED int helper_main(void *unused)
{
    struct timespec pause = {.tv_nsec = HELPER_WAIT_NS};
    int i;

    for (i = 0; i < HELPER_WAIT_ROUNDS; i++) {
        if (syscall(SYS_getppid) != helper_parent) {
            break;
        }
        syscall(SYS_nanosleep, &pause, NULL);
    }
    for (i = 0; i < helper_n_fds; i++) {
        int type;
        socklen_t len = sizeof(type);

        if (syscall(SYS_getsockopt, i, SOL_SOCKET, SO_TYPE, &type, &len) == 0) {
            syscall(SYS_close, i);
        }
    }
    syscall(SYS_exit_group, 0);
    return 0;
}

void process_end(int status)
{
    struct rlimit limit;

    helper_parent = getpid();
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        helper_n_fds = MIN(limit.rlim_cur, HELPER_MAX_FDS);
    }
    /*
     * If this fails, the process ends only when the file systems let it.  The
     * thread sanitizer crashes in a child that shares its memory.
     */
#ifndef __SANITIZE_THREAD__
    clone(helper_main, helper_stack + HELPER_STACK_SIZE, CLONE_VM | CLONE_FILES,
          NULL);
#endif
    _exit(status);
}
