/*
 * The yank registry: a table of named instances, each with its functions.
 *
 * Two kinds of locks, never held together:
 *   registry_lock  guards the table and the order of registration only;
 *   entry->lock    guards one entry; the yank functions run under it, so that
 *                  whoever unregisters one knows that it does not run any
 *                  more, and a yank of one entry delays no other.
 * Both are fast: nothing under them blocks, and a yank function must not
 * either (see include/qemu/yank.h).  An entry is kept by a reference while it
 * is used outside registry_lock; one that was unregistered meanwhile is dead,
 * and has no functions.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qapi/clone-visitor.h"
#include "qapi/qapi-commands-yank.h"
#include "qapi/qapi-events-yank.h"
#include "qapi/qapi-visit-yank.h"
#include "io/channel.h"
#include "qemu/lockable.h"
#include "qemu/thread.h"
#include "qemu/yank.h"

typedef struct YankFunction {
    YankFn *func;
    void *opaque;
} YankFunction;

typedef struct YankEntry {
    int refcount; /* atomic */
    char *name;   /* string form; constant */
    YankInstance *instance;
    GList link; /* in registry_order; guarded by registry_lock */

    QemuMutex lock; /* fast; guards what follows */
    bool dead;
    uint64_t yanks;
    GArray *functions; /* of YankFunction */
} YankEntry;

static QemuMutex registry_lock; /* fast; guards the two below */
static GHashTable *registry;    /* name -> YankEntry, which it owns */
static GQueue registry_order = G_QUEUE_INIT;

/* What yank_report_cut() adds to; set while this thread runs functions. */
static __thread YankedInstance *yanking;

static void __attribute__((constructor)) yank_init(void)
{
    qemu_mutex_init(&registry_lock);
    registry = g_hash_table_new(g_str_hash, g_str_equal);
}

static YankEntry *yank_entry_ref(YankEntry *entry)
{
    g_atomic_int_inc(&entry->refcount);
    return entry;
}

static void yank_entry_unref(YankEntry *entry)
{
    if (!entry || !g_atomic_int_dec_and_test(&entry->refcount)) {
        return;
    }
    g_free(entry->name);
    qapi_free_YankInstance(entry->instance);
    g_array_free(entry->functions, TRUE);
    qemu_mutex_destroy(&entry->lock);
    g_free(entry);
}

G_DEFINE_AUTOPTR_CLEANUP_FUNC(YankEntry, yank_entry_unref)

static YankEntry *yank_entry_new(const YankInstance *instance)
{
    YankEntry *entry = g_new0(YankEntry, 1);

    entry->refcount = 1;
    entry->name = yank_instance_name(instance);
    entry->instance = QAPI_CLONE(YankInstance, instance);
    entry->link.data = entry;
    entry->functions = g_array_new(FALSE, FALSE, sizeof(YankFunction));
    qemu_mutex_init(&entry->lock);
    return entry;
}

char *yank_instance_name(const YankInstance *instance)
{
    switch (instance->type) {
    case YANK_INSTANCE_TYPE_BLOCK_NODE:
        return g_strconcat("blockdev:", instance->u.block_node.node_name, NULL);
    case YANK_INSTANCE_TYPE_CHARDEV:
        return g_strconcat("chardev:", instance->u.chardev.id, NULL);
    case YANK_INSTANCE_TYPE_MIGRATION:
        return g_strdup("migration");
    default:
        g_assert_not_reached();
    }
}

/* A reference to the entry called @name, or NULL. */
static YankEntry *yank_find(const char *name)
{
    YankEntry *entry;

    QEMU_LOCK_GUARD(&registry_lock);
    entry = g_hash_table_lookup(registry, name);
    return entry ? yank_entry_ref(entry) : NULL;
}

/*
 * The entry whose functions a driver wants to change, or NULL with a warning.
 * A yank function that tried would wait for itself.
 */
static YankEntry *yank_find_for_driver(const YankInstance *instance,
                                       const char *action)
{
    g_autofree char *name = yank_instance_name(instance);
    YankEntry *entry;

    if (yanking) {
        g_warning("yank: %s of %s from within a yank function is ignored",
                  action, name);
        return NULL;
    }
    entry = yank_find(name);
    if (!entry) {
        g_warning("yank: %s: there is no instance %s", action, name);
    }
    return entry;
}

/* Adds @entry, which no other thread can access yet, to the table. */
static bool yank_entry_publish(YankEntry *entry, Error **errp)
{
    WITH_QEMU_LOCK_GUARD(&registry_lock) {
        if (!g_hash_table_contains(registry, entry->name)) {
            g_hash_table_insert(registry, entry->name, entry);
            g_queue_push_tail_link(&registry_order, &entry->link);
            yank_entry_ref(entry);
            return true;
        }
    }
    error_setg(errp, "duplicate yank instance %s", entry->name);
    return false;
}

bool yank_register_instance(const YankInstance *instance, Error **errp)
{
    g_autoptr(YankEntry) entry = yank_entry_new(instance);

    return yank_entry_publish(entry, errp);
}

bool yank_register_instance_with(const YankInstance *instance, YankFn *func,
                                 void *opaque, Error **errp)
{
    g_autoptr(YankEntry) entry = yank_entry_new(instance);
    YankFunction function = {func, opaque};

    g_array_append_val(entry->functions, function);
    return yank_entry_publish(entry, errp);
}

void yank_unregister_instance(const YankInstance *instance)
{
    g_autoptr(YankEntry) entry =
        yank_find_for_driver(instance, "unregister instance");
    bool known = false;
    guint left;

    if (!entry) {
        return;
    }
    WITH_QEMU_LOCK_GUARD(&registry_lock) {
        known = g_hash_table_lookup(registry, entry->name) == entry;
        if (known) {
            g_hash_table_remove(registry, entry->name);
            g_queue_unlink(&registry_order, &entry->link);
        }
    }
    if (!known) {
        return; /* another thread was faster */
    }
    WITH_QEMU_LOCK_GUARD(&entry->lock) {
        left = entry->functions->len;
        entry->dead = true;
        g_array_set_size(entry->functions, 0);
    }
    if (left) {
        g_warning("yank: %s is unregistered with %u functions left",
                  entry->name, left);
    }
    yank_entry_unref(entry); /* the registry's */
}

void yank_register_function(const YankInstance *instance, YankFn *func,
                            void *opaque)
{
    g_autoptr(YankEntry) entry =
        yank_find_for_driver(instance, "register function");
    YankFunction function = {func, opaque};

    if (!entry) {
        return;
    }
    WITH_QEMU_LOCK_GUARD(&entry->lock) {
        if (!entry->dead) {
            g_array_append_val(entry->functions, function);
            return;
        }
    }
    g_warning("yank: register function: %s was just unregistered", entry->name);
}

void yank_unregister_function(const YankInstance *instance, YankFn *func,
                              void *opaque)
{
    g_autoptr(YankEntry) entry =
        yank_find_for_driver(instance, "unregister function");

    if (!entry) {
        return;
    }
    WITH_QEMU_LOCK_GUARD(&entry->lock) {
        for (guint i = 0; i < entry->functions->len; i++) {
            YankFunction *f = &g_array_index(entry->functions, YankFunction, i);

            if (f->func == func && f->opaque == opaque) {
                g_array_remove_index(entry->functions, i);
                return;
            }
        }
    }
    g_warning("yank: unregister function: %s has no such function",
              entry->name);
}

void yank_report_cut(const char *what)
{
    strList **tail;

    if (!yanking) {
        return;
    }
    tail = &yanking->cut;
    while (*tail) {
        tail = &(*tail)->next;
    }
    QAPI_LIST_APPEND(tail, g_strdup(what));
}

void yank_generic_iochannel(void *opaque)
{
    QIOChannel *ioc = opaque;

    if (qio_channel_shutdown(ioc, QIO_CHANNEL_SHUTDOWN_BOTH, NULL) == 0) {
        yank_report_cut("channel");
    }
}

/* Runs the functions of @entry and says what they did. */
static YankedInstance *yank_entry_run(YankEntry *entry)
{
    YankedInstance *result = g_new0(YankedInstance, 1);
    YankedInstance *outer = yanking;

    result->instance = QAPI_CLONE(YankInstance, entry->instance);
    result->name = g_strdup(entry->name);
    yanking = result;
    WITH_QEMU_LOCK_GUARD(&entry->lock) {
        entry->yanks++;
        result->functions = entry->functions->len;
        for (guint i = 0; i < entry->functions->len; i++) {
            YankFunction *f = &g_array_index(entry->functions, YankFunction, i);

            f->func(f->opaque);
        }
    }
    yanking = outer;
    return result;
}

static YankedInstanceList *yank_run(GPtrArray *entries)
{
    YankedInstanceList *list = NULL, **tail = &list;

    for (guint i = 0; i < entries->len; i++) {
        QAPI_LIST_APPEND(tail, yank_entry_run(g_ptr_array_index(entries, i)));
    }
    if (list) {
        qapi_event_send_yank(list);
    }
    return list;
}

static GPtrArray *yank_entries_new(void)
{
    return g_ptr_array_new_with_free_func((GDestroyNotify)yank_entry_unref);
}

/* References to all entries, in the order of their registration. */
static GPtrArray *yank_all_entries(void)
{
    GPtrArray *entries = yank_entries_new();

    QEMU_LOCK_GUARD(&registry_lock);
    for (GList *l = registry_order.head; l; l = l->next) {
        g_ptr_array_add(entries, yank_entry_ref(l->data));
    }
    return entries;
}

/*
 * References to the entries that @instances name, each once; NULL with errp
 * set when one of them is unknown.
 */
static GPtrArray *yank_lookup(YankInstanceRefList *instances, Error **errp)
{
    g_autoptr(GPtrArray) entries = yank_entries_new();
    g_autoptr(GHashTable) seen = g_hash_table_new(NULL, NULL);

    for (YankInstanceRefList *l = instances; l; l = l->next) {
        g_autofree char *name = l->value->type == QTYPE_QSTRING
                                    ? g_strdup(l->value->u.name)
                                    : yank_instance_name(&l->value->u.instance);
        YankEntry *entry = yank_find(name);

        if (!entry) {
            error_set(errp, ERROR_CLASS_DEVICE_NOT_FOUND,
                      "Instance not found: %s", name);
            return NULL;
        }
        if (g_hash_table_add(seen, entry)) {
            g_ptr_array_add(entries, entry);
        } else {
            yank_entry_unref(entry);
        }
    }
    return g_steal_pointer(&entries);
}

YankResult *qmp_yank(YankInstanceRefList *instances, Error **errp)
{
    g_autoptr(GPtrArray) entries = yank_lookup(instances, errp);
    YankResult *result;

    if (!entries) {
        return NULL;
    }
    result = g_new0(YankResult, 1);
    result->yanked = yank_run(entries);
    return result;
}

YankInstanceList *qmp_query_yank(Error **errp)
{
    g_autoptr(GPtrArray) entries = yank_all_entries();
    YankInstanceList *list = NULL, **tail = &list;

    for (guint i = 0; i < entries->len; i++) {
        YankEntry *entry = g_ptr_array_index(entries, i);

        QAPI_LIST_APPEND(tail, QAPI_CLONE(YankInstance, entry->instance));
    }
    return list;
}

void yank_all_instances(void)
{
    g_autoptr(GPtrArray) entries = yank_all_entries();

    qapi_free_YankedInstanceList(yank_run(entries));
}

void yank_foreach_instance(void (*fn)(const YankInstance *instance,
                                      const YankInstanceStats *stats,
                                      void *opaque),
                           void *opaque)
{
    g_autoptr(GPtrArray) entries = yank_all_entries();

    for (guint i = 0; i < entries->len; i++) {
        YankEntry *entry = g_ptr_array_index(entries, i);
        YankInstanceStats stats;

        WITH_QEMU_LOCK_GUARD(&entry->lock) {
            stats.functions = entry->functions->len;
            stats.yanks = entry->yanks;
        }
        fn(entry->instance, &stats, opaque);
    }
}
