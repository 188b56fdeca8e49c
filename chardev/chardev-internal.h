/*
 * What a kind of character device implements, and what kinds share.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef CHARDEV_INTERNAL_H
#define CHARDEV_INTERNAL_H

#include "chardev/char.h"
#include "qemu/yank.h"

/* A NULL operation does nothing; see the functions in chardev/char.h. */
typedef struct ChardevClass {
    ChardevBackendKind kind;
    size_t instance_size;
    /* A yank instance is there while it is open and no monitor uses it. */
    bool yankable;
    /* On failure it leaves nothing behind. */
    bool (*open)(Chardev *chr, const ChardevBackend *backend, Error **errp);
    /* Main thread. */
    void (*close)(Chardev *chr);
    bool (*write_all)(Chardev *chr, const void *buf, size_t len, Error **errp);
    /* In words, as query-chardev tells it; g_free() it. */
    char *(*filename)(Chardev *chr);
    /*
     * Main thread.  NULL: a monitor on this kind of device has no session.  On
     * failure the device is unchanged.
     */
    bool (*attach_monitor)(Chardev *chr, IOThread *iothread,
                           ChardevSessionFn *fn, void *opaque, Error **errp);
    /*
     * Monitor's thread, before close: ends everything that runs on that thread.
     * It must not close files, since that may access a file system.  NULL:
     * nothing runs there.
     */
    void (*detach_monitor)(Chardev *chr);
    void (*session_ended)(Chardev *chr);
} ChardevClass;

struct Chardev {
    const ChardevClass *cls;
    char *id;
    GList link;         /* in the list of all devices */
    bool is_instance;   /* it owns the yank instance of its id */
    IOThread *iothread; /* of the monitor that uses it, a reference; or NULL */
    /* while it opens: the device that had this id, or NULL */
    Chardev *replaces;
};

extern const ChardevClass chardev_file;
extern const ChardevClass chardev_null;
extern const ChardevClass chardev_ringbuf;
extern const ChardevClass chardev_socket;
extern const ChardevClass chardev_stdio;

/* Takes up to @len bytes out of ring buffer @chr. */
size_t chardev_ringbuf_read(Chardev *chr, void *buf, size_t len);
size_t chardev_ringbuf_count(Chardev *chr);

/*
 * Makes @chr a yank instance with the function @fn(@opaque).  A device that
 * opens in the place of another one shares that device's instance until it is
 * open. Returns false with errp set on failure.  Main thread.
 */
bool chardev_register_yank(Chardev *chr, YankFn *fn, void *opaque,
                           Error **errp);
void chardev_unregister_yank(Chardev *chr, YankFn *fn, void *opaque);

/* Calls @fn for each device, in the order in which they came. */
void chardev_foreach(void (*fn)(Chardev *chr, void *opaque), void *opaque);

/*
 * Replaces the device called @id by a new one; the old one stays when that
 * fails.
 */
bool chardev_change(const char *id, ChardevBackend *backend, Error **errp);

#endif
