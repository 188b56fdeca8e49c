/*
 * Links, and how they are cut.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "link.h"
#include "qemu/yank.h"

/* What a yank reports for a connection that does not exist yet. */
#define PENDING "pending connection of the migration"

struct Link {
    unsigned refcount; /* atomic */
    /* The rest: migration_lock. */
    GPtrArray *channels; /* of QIOChannel, each a reference */
    QIOConnectTask *task;
    char *reason; /* not NULL: cut */
};

QemuMutex migration_lock;
QemuCond migration_cond;

static void __attribute__((constructor)) link_init(void)
{
    qemu_mutex_init(&migration_lock);
    qemu_cond_init(&migration_cond);
}

Link *link_new(void)
{
    Link *link = g_new0(Link, 1);

    link->refcount = 1;
    link->channels =
        g_ptr_array_new_with_free_func((GDestroyNotify)qio_channel_unref);
    return link;
}

Link *link_ref(Link *link)
{
    __atomic_fetch_add(&link->refcount, 1, __ATOMIC_RELAXED);
    return link;
}

void link_unref(Link *link)
{
    if (!link || __atomic_sub_fetch(&link->refcount, 1, __ATOMIC_ACQ_REL) > 0) {
        return;
    }
    g_ptr_array_unref(link->channels);
    qio_connect_task_unref(link->task);
    g_free(link->reason);
    g_free(link);
}

bool link_add_channel_locked(Link *link, QIOChannel *ioc)
{
    if (link->reason) {
        qio_channel_shutdown(ioc, QIO_CHANNEL_SHUTDOWN_BOTH, NULL);
        return false;
    }
    g_ptr_array_add(link->channels, qio_channel_ref(ioc));
    return true;
}

bool link_add_channel(Link *link, QIOChannel *ioc, Error **errp)
{
    QEMU_LOCK_GUARD(&migration_lock);

    if (!link_add_channel_locked(link, ioc)) {
        error_setg(errp, "%s", link->reason);
        return false;
    }
    return true;
}

void link_remove_channel(Link *link, QIOChannel *ioc)
{
    QEMU_LOCK_GUARD(&migration_lock);

    g_ptr_array_remove_fast(link->channels, ioc);
}

void link_set_task(QIOConnectTask *task, void *opaque)
{
    Link *link = opaque;
    QIOConnectTask *old;
    bool cut;

    qio_connect_task_ref(task);
    WITH_QEMU_LOCK_GUARD(&migration_lock) {
        old = link->task;
        link->task = task;
        cut = link->reason != NULL;
    }
    if (cut) {
        qio_connect_task_cancel(task);
    }
    qio_connect_task_unref(old);
}

/*
 * Cuts all connections and returns their number.  @report: reports each of them
 * to the current yank.
 */
static unsigned cut_all(Link *link, bool report)
{
    unsigned n = 0;

    if (link->task && qio_connect_task_cancel(link->task)) {
        n++;
        if (report) {
            yank_report_cut(PENDING);
        }
    }
    for (guint i = 0; i < link->channels->len; i++) {
        QIOChannel *ioc = g_ptr_array_index(link->channels, i);

        if (qio_channel_shutdown(ioc, QIO_CHANNEL_SHUTDOWN_BOTH, NULL) < 0) {
            continue;
        }
        n++;
        if (report) {
            g_autofree char *what =
                g_strdup_printf("connection to %s", qio_channel_peer(ioc));

            yank_report_cut(what);
        }
    }
    return n;
}

/* Returns false if the link was cut before.  *@n: number of connections cut. */
static bool cut(Link *link, const char *reason, bool report, unsigned *n)
{
    if (link->reason) {
        return false;
    }
    link->reason = g_strdup(reason);
    *n = cut_all(link, report);
    qemu_cond_broadcast(&migration_cond);
    return true;
}

bool link_cut_locked(Link *link, const char *reason, bool report)
{
    unsigned n;

    return cut(link, reason, report, &n);
}

bool link_cut(Link *link, const char *fmt, ...)
{
    g_autofree char *reason = NULL;
    va_list ap;

    va_start(ap, fmt);
    reason = g_strdup_vprintf(fmt, ap);
    va_end(ap);
    QEMU_LOCK_GUARD(&migration_lock);
    return link_cut_locked(link, reason, false);
}

bool link_cut_error(Link *link, const Error *err)
{
    return link_cut(link, "%s", error_get_pretty(err));
}

void link_yank(Link *link)
{
    unsigned n;

    QEMU_LOCK_GUARD(&migration_lock);

    /* A link without a connection is about to make one, which now fails. */
    if (cut(link, LINK_YANKED, true, &n) && n == 0) {
        yank_report_cut(PENDING);
    }
}

bool link_is_cut_locked(const Link *link)
{
    return link->reason != NULL;
}

bool link_is_cut(Link *link)
{
    QEMU_LOCK_GUARD(&migration_lock);

    return link_is_cut_locked(link);
}

void link_wait_cut(Link *link, int ms)
{
    int64_t end = g_get_monotonic_time() + ms * INT64_C(1000);
    int64_t left;

    QEMU_LOCK_GUARD(&migration_lock);
    while (!link->reason && (left = end - g_get_monotonic_time()) > 0) {
        qemu_cond_timedwait(&migration_cond, &migration_lock,
                            (left + 999) / 1000);
    }
}

char *link_reason(Link *link)
{
    QEMU_LOCK_GUARD(&migration_lock);

    return g_strdup(link->reason);
}

void link_error(Link *link, Error **errp)
{
    g_autofree char *reason = link_reason(link);

    error_setg(errp, "%s", reason ? reason : "The migration was ended");
}
