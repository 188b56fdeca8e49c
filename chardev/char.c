/*
 * The table of character devices.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "chardev-internal.h"
#include "qemu/id.h"
#include "qemu/yank.h"

static const ChardevClass *const classes[CHARDEV_BACKEND_KIND__MAX] = {
    [CHARDEV_BACKEND_KIND_FILE] = &chardev_file,
    [CHARDEV_BACKEND_KIND_NULL] = &chardev_null,
    [CHARDEV_BACKEND_KIND_RINGBUF] = &chardev_ringbuf,
    [CHARDEV_BACKEND_KIND_SOCKET] = &chardev_socket,
    [CHARDEV_BACKEND_KIND_STDIO] = &chardev_stdio,
};

/* Main thread only, as everything here. */
static GHashTable *by_id;         /* id -> Chardev */
static GQueue all = G_QUEUE_INIT; /* in the order in which they came */

static Chardev *lookup(const char *id)
{
    return by_id ? g_hash_table_lookup(by_id, id) : NULL;
}

Chardev *chardev_find(const char *id, Error **errp)
{
    Chardev *chr = lookup(id);

    if (!chr) {
        error_setg(errp, "Chardev '%s' not found", id);
    }
    return chr;
}

bool chardev_register_yank(Chardev *chr, YankFn *fn, void *opaque, Error **errp)
{
    YankInstance *instance = CHARDEV_YANK_INSTANCE(chr->id);

    if (chr->replaces && chr->replaces->is_instance) {
        yank_register_function(instance, fn, opaque);
        return true;
    }
    chr->is_instance = yank_register_instance_with(instance, fn, opaque, errp);
    return chr->is_instance;
}

void chardev_unregister_yank(Chardev *chr, YankFn *fn, void *opaque)
{
    YankInstance *instance = CHARDEV_YANK_INSTANCE(chr->id);

    yank_unregister_function(instance, fn, opaque);
    if (chr->is_instance) {
        yank_unregister_instance(instance);
        chr->is_instance = false;
    }
}

/* Runs after everything that the device has posted to that thread. */
static void detach_on_its_thread(void *opaque)
{
    Chardev *chr = opaque;

    if (chr->cls->detach_monitor) {
        chr->cls->detach_monitor(chr);
    }
}

static void chardev_free(Chardev *chr)
{
    if (chr->iothread) {
        iothread_run(chr->iothread, detach_on_its_thread, chr);
    }
    if (chr->cls->close) {
        chr->cls->close(chr);
    }
    g_clear_pointer(&chr->iothread, iothread_unref);
    g_free(chr->id);
    g_free(chr);
}

static Chardev *chardev_open(const char *id, ChardevBackend *backend,
                             Chardev *old, Error **errp)
{
    const ChardevClass *cls = classes[backend->type];
    Chardev *chr = g_malloc0(cls->instance_size);

    chr->cls = cls;
    chr->id = g_strdup(id);
    chr->link.data = chr;
    chr->replaces = old;
    if (cls->open && !cls->open(chr, backend, errp)) {
        g_free(chr->id);
        g_free(chr);
        return NULL;
    }
    chr->replaces = NULL;
    return chr;
}

static void insert(Chardev *chr)
{
    if (!by_id) {
        by_id = g_hash_table_new(g_str_hash, g_str_equal);
    }
    g_hash_table_insert(by_id, chr->id, chr);
    g_queue_push_tail_link(&all, &chr->link);
}

static void take_out(Chardev *chr)
{
    g_hash_table_remove(by_id, chr->id);
    g_queue_unlink(&all, &chr->link);
}

bool chardev_add(const char *id, ChardevBackend *backend, Error **errp)
{
    Chardev *chr;

    if (!id_wellformed(id)) {
        error_setg(errp,
                   "Parameter 'id' expects an identifier: letters, digits, "
                   "'-', '.', '_', starting with a letter");
        return false;
    }
    if (lookup(id)) {
        error_setg(errp, "Chardev with id '%s' already exists", id);
        return false;
    }
    chr = chardev_open(id, backend, NULL, errp);
    if (!chr) {
        return false;
    }
    insert(chr);
    return true;
}

bool chardev_change(const char *id, ChardevBackend *backend, Error **errp)
{
    Chardev *old = lookup(id), *chr;

    if (!old) {
        error_setg(errp, "Chardev '%s' does not exist", id);
        return false;
    }
    if (old->iothread) {
        error_setg(errp, "Chardev user does not support chardev hotswap");
        return false;
    }
    chr = chardev_open(id, backend, old, errp);
    if (!chr) {
        return false;
    }
    if (chr->cls->yankable && old->is_instance) {
        chr->is_instance = true;
        old->is_instance = false;
    }
    take_out(old);
    chardev_free(old);
    insert(chr);
    return true;
}

bool chardev_remove(const char *id, Error **errp)
{
    Chardev *chr = chardev_find(id, errp);

    if (!chr) {
        return false;
    }
    if (chr->iothread) {
        error_setg(errp, "Chardev '%s' is busy", id);
        return false;
    }
    take_out(chr);
    chardev_free(chr);
    return true;
}

void chardev_cleanup(void)
{
    GList *link;

    g_clear_pointer(&by_id, g_hash_table_unref);
    while ((link = g_queue_pop_head_link(&all))) {
        chardev_free(link->data);
    }
}

void chardev_foreach(void (*fn)(Chardev *chr, void *opaque), void *opaque)
{
    for (GList *l = all.head; l; l = l->next) {
        fn(l->data, opaque);
    }
}

bool chardev_write_all(Chardev *chr, const void *buf, size_t len, Error **errp)
{
    return !chr->cls->write_all || chr->cls->write_all(chr, buf, len, errp);
}

bool chardev_attach_monitor(Chardev *chr, IOThread *iothread,
                            ChardevSessionFn *fn, void *opaque, Error **errp)
{
    if (chr->iothread) {
        error_setg(errp, "Chardev '%s' is in use", chr->id);
        return false;
    }
    if (chr->cls->attach_monitor &&
        !chr->cls->attach_monitor(chr, iothread, fn, opaque, errp)) {
        return false;
    }
    chr->iothread = iothread_ref(iothread);
    return true;
}

void chardev_session_ended(Chardev *chr)
{
    if (chr->cls->session_ended) {
        chr->cls->session_ended(chr);
    }
}
