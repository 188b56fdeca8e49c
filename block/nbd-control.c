/*
 * NBD client: what other threads want of the connection.
 *
 * The main thread posts its wishes to the I/O thread and waits on a
 * condition; that is where it hangs with a server that hangs.  A yank, on any
 * thread, ends it.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "nbd-internal.h"
#include "qemu/lockable.h"
#include "qemu/oob.h"
#include "qemu/yank.h"

static void report_cut(NbdState *s, NbdPhase phase, const char *task_phase)
{
    g_autofree char *what = NULL;

    switch (phase) {
    case NBD_PHASE_CONNECT:
        what = g_strdup_printf("%s to %s",
                               g_str_equal(task_phase, "resolve")
                                   ? "name resolution for a connection"
                                   : "connection attempt",
                               s->address_str);
        break;
    case NBD_PHASE_HANDSHAKE:
        what = g_strdup_printf("handshake with %s", s->address_str);
        break;
    case NBD_PHASE_RECONNECT_WAIT:
        what = g_strdup_printf("wait to reconnect to %s", s->address_str);
        break;
    case NBD_PHASE_CLOSE_WAIT:
        what = g_strdup_printf("wait for the end of the connection to %s",
                               s->address_str);
        break;
    case NBD_PHASE_TRANSMISSION:
    case NBD_PHASE_DISCONNECT:
        what = g_strdup_printf("connection to %s", s->address_str);
        break;
    default:
        return;
    }
    yank_report_cut(what);
}

/*
 * Sets the mark, cuts what there is, and has the I/O thread do the rest.  It
 * never calls libnbd, whose lock the I/O thread may hold.
 */
void nbd_connection_yank(void *opaque)
{
    NbdState *s = opaque;
    const char *task_phase = "";
    NbdPhase phase;

    WITH_QEMU_LOCK_GUARD(&s->lock) {
        /* What was cut already is not cut again. */
        phase = s->yanked ? NBD_PHASE_YANKED : s->phase;
        s->yanked = true;
        s->n_yanks++;
        if (s->task) {
            task_phase = qio_connect_task_phase(s->task);
            qio_connect_task_cancel(s->task);
        }
        if (s->ioc) {
            /*
             * In transmission, shut only our sending direction: the server can
             * still send, and its close of the connection is noticed; see
             * nbd_socket_keep_old().
             */
            qio_channel_shutdown(s->ioc,
                                 s->phase == NBD_PHASE_TRANSMISSION
                                     ? QIO_CHANNEL_SHUTDOWN_WRITE
                                     : QIO_CHANNEL_SHUTDOWN_BOTH,
                                 NULL);
        }
        if (s->iothread) {
            iothread_post(s->iothread, nbd_on_yank, s);
        }
    }
    report_cut(s, phase, task_phase);
}

/*
 * Has the I/O thread run @fn, and waits for the outcome: a request like any
 * other for those who ask which peer is stuck.
 */
static bool ask_and_wait(NbdState *s, IOThreadFn *fn, Error **errp)
{
    ActivityRequest wait;
    bool ok;

    oob_assert_may_block("nbd connect");
    OOB_WAIT_YANK("blockdev", s->node->name);
    activity_begin(s->activity, &wait);
    iothread_post(s->node->iothread, fn, s);
    QEMU_LOCK_GUARD(&s->lock);
    while (s->outcome == NBD_OUTCOME_NONE ||
           s->outcome == NBD_OUTCOME_PENDING) {
        qemu_cond_wait(&s->cond, &s->lock);
    }
    activity_end(s->activity, &wait);
    ok = s->outcome == NBD_OUTCOME_CONNECTED;
    s->outcome = NBD_OUTCOME_NONE;
    error_propagate(errp, g_steal_pointer(&s->outcome_error));
    return ok;
}

bool nbd_connection_open(NbdState *s, Error **errp)
{
    return ask_and_wait(s, nbd_on_open, errp);
}

bool nbd_connection_reconnect(NbdState *s, uint32_t close_timeout, bool force,
                              Error **errp)
{
    s->close_timeout = close_timeout;
    s->force = force;
    WITH_QEMU_LOCK_GUARD(&s->lock) {
        s->n_forgiven = s->n_yanks;
    }
    return ask_and_wait(s, nbd_on_reconnect, errp);
}

void nbd_connection_close(NbdState *s)
{
    ActivityRequest wait;

    oob_assert_may_block("nbd close");
    OOB_WAIT_YANK("blockdev", s->node->name);
    activity_begin(s->activity, &wait);
    iothread_post(s->node->iothread, nbd_on_close, s);
    QEMU_LOCK_GUARD(&s->lock);
    while (!s->closed) {
        qemu_cond_wait(&s->cond, &s->lock);
    }
    activity_end(s->activity, &wait);
}

/*
 * Nothing of it is left on the I/O thread after this.  What a yank posted
 * before it found no I/O thread any more has run by then, too.
 */
void nbd_connection_detach(NbdState *s)
{
    IOThread *iothread = s->node->iothread;

    WITH_QEMU_LOCK_GUARD(&s->lock) {
        s->iothread = NULL;
    }
    iothread_run(iothread, nbd_on_detach, s);
}

void nbd_connection_attach(NbdState *s)
{
    WITH_QEMU_LOCK_GUARD(&s->lock) {
        s->iothread = s->node->iothread;
    }
    iothread_run(s->node->iothread, nbd_on_attach, s);
}
