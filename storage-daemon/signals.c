/*
 * Signals that ask the process to end.
 *
 * They are read from a descriptor on a thread that never blocks, so that they
 * count while the main thread hangs.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <signal.h>
#include <sys/signalfd.h>
#include "daemon.h"
#include "qemu/fd-watch.h"
#include "qemu/shutdown.h"

static int signals_fd = -1;
static FdWatch *signals_fd_watch;
static IOThread *signals_iothread;
static bool asked_before; /* a signal came; accessed on signals_iothread only */

static sigset_t ending_signals(void)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    return set;
}

void signals_block(void)
{
    sigset_t set = ending_signals();

    pthread_sigmask(SIG_BLOCK, &set, NULL);
    /* Peers go away; writes to them say so. */
    signal(SIGPIPE, SIG_IGN);
}

/*
 * Hurries on a second signal by a user or service manager.  Ignores SIGHUP as a
 * second signal: a manager may send it together with the first SIGTERM.
 */
static void ask_to_end(uint32_t signo)
{
    if (asked_before && signo != SIGHUP) {
        shutdown_hurry();
    }
    asked_before = true;
    shutdown_request(SHUTDOWN_CAUSE_HOST_SIGNAL);
}

static void signal_came(GIOCondition condition, void *opaque)
{
    struct signalfd_siginfo info;

    while (read(signals_fd, &info, sizeof(info)) == sizeof(info)) {
        ask_to_end(info.ssi_signo);
    }
}

static void watch_on_iothread(void *opaque)
{
    signals_fd_watch =
        fd_watch_new(iothread_get_g_main_context(signals_iothread), signals_fd,
                     signal_came, NULL);
    fd_watch_set_events(signals_fd_watch, G_IO_IN);
}

bool signals_watch(IOThread *iothread, Error **errp)
{
    sigset_t set = ending_signals();

    signals_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (signals_fd < 0) {
        error_setg_errno(errp, errno, "Cannot watch signals");
        return false;
    }
    signals_iothread = iothread;
    iothread_run(iothread, watch_on_iothread, NULL);
    return true;
}

static void unwatch_on_iothread(void *opaque)
{
    g_clear_pointer(&signals_fd_watch, fd_watch_free);
}

void signals_unwatch(void)
{
    if (signals_fd < 0) {
        return;
    }
    iothread_run(signals_iothread, unwatch_on_iothread, NULL);
    close(signals_fd);
    signals_fd = -1;
}
