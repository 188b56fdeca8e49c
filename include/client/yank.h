/*
 * Yank: the instances of a domain, and the cut.
 *
 * All of it goes out-of-band or not at all, and takes no job.  An instance is
 * given by its string name ("blockdev:NODE", "chardev:ID", "migration"), which
 * is sent in the typed form that every server knows.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef YANKCLIENT_YANK_H
#define YANKCLIENT_YANK_H

#include "domain.h"

G_BEGIN_DECLS

typedef struct YcInstance {
    char *name;
    bool monitor; /* a chardev that carries, or may carry, a monitor */
    /* The rest is known on yankd only. */
    bool has_status;
    guint64 functions;
    guint64 yanks;
    guint64 in_flight;
    gint64 idle_ms; /* -1: not known */
    char *phase;    /* or NULL */
    char *peer;     /* or NULL */
    bool stalled;
    /* age of the oldest request; -1: no request, or unknown */
    gint64 oldest_ms;
    char *reason; /* why it is in this phase, in words; or NULL */
} YcInstance;

void yc_instance_free(YcInstance *instance);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(YcInstance, yc_instance_free)

/*
 * The instances of @dom, as an array of YcInstance which frees them; NULL on
 * error, UNSUPPORTED when the server has no yank.  With status where the
 * server tells.  Blocks up to @timeout_ms; not locked, not in a callback.
 */
GPtrArray *yc_domain_query_yank(YcDomain *dom, int timeout_ms, GError **errp);

/* What a yank did to one instance. */
typedef struct YcYanked {
    char *name;
    /* Only yankd tells the rest; stock says nothing of what it cut. */
    bool told;
    guint64 functions;
    char **cut; /* in words, or an empty array; NULL unless @told */
} YcYanked;

void yc_yanked_free(YcYanked *yanked);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(YcYanked, yc_yanked_free)

typedef enum YcYankFlags {
    /* Yank what carries a monitor, too. */
    YC_YANK_FORCE = 1 << 0,
} YcYankFlags;

/*
 * Whether @dom answers out-of-band.  A process that is stopped as a whole would
 * read a yank only once it goes on, and cut what is well: so one is sent right
 * after an answer, and else not at all.  Blocks up to @timeout_ms; not locked,
 * not in a callback.
 */
bool yc_domain_may_yank(YcDomain *dom, int timeout_ms, GError **errp);

/*
 * Yanks the instances @names (NULL-terminated).  All or nothing: REFUSED,
 * with nothing sent, when one of them carries a monitor, unless forced;
 * YC_ERROR_QMP_DEVICE_NOT_FOUND when the server does not know one of them.
 * @yanked: an array of YcYanked which frees them, in the order of @names; may
 * be NULL, set on success only
 *
 * It is sent when yc_domain_may_yank(), or else not at all.  After
 * YC_ERROR_TIMEOUT the server may still have read the request: that a yank went
 * unanswered is no proof that nothing was cut.
 * Blocks up to @timeout_ms; not locked, not in a callback.
 */
bool yc_domain_yank(YcDomain *dom, const char *const *names, unsigned flags,
                    int timeout_ms, GPtrArray **yanked, GError **errp);

/*
 * The string name of a typed instance as the wire has it ({"type": ...}), and
 * the reverse; NULL with YC_ERROR_PROTOCOL, or YC_ERROR_INVALID.
 */
char *yc_instance_name(json_object *typed, GError **errp);
json_object *yc_instance_typed(const char *name, GError **errp);

/*
 * The ids of the chardevs of @dom that carry a monitor, for the refusal above:
 * those that the command line of the process names, and those that the caller
 * has added.  Chardevs with the names that QEMU and libvirt give to a monitor's
 * chardev always count as monitors.
 *
 * Returns NULL when the monitors are unknown: the command line cannot be read
 * (TCP, another PID namespace), was not understood completely, or has no
 * monitor at the lane's address.  In that case every chardev counts as a
 * monitor.  The caller frees the list with g_strfreev().  Not locked.
 */
char **yc_domain_monitor_chardevs(YcDomain *dom);
void yc_domain_add_monitor_chardev(YcDomain *dom, const char *id);

G_END_DECLS

#endif
