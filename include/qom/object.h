/*
 * Objects: the user makes them with --object or object-add and gives them an
 * id, by which other parts look them up.
 *
 * All functions are for the main thread.  Adding an object that is read from
 * files waits for the files, for a limited time; deleting an I/O thread waits
 * for that thread to end.  No other function blocks.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef QOM_OBJECT_H
#define QOM_OBJECT_H

#include "qapi/error.h"
#include "qapi/qapi-types-qom.h"
#include "qemu/iothread.h"

/* @options stays the caller's. */
bool object_add(const ObjectOptions *options, Error **errp);
/* Fails when @id is unknown or in use. */
bool object_del(const char *id, Error **errp);
/* Deletes all objects, at exit; nothing may be in use any more. */
void object_cleanup(void);

/*
 * The I/O thread that object @id made; it belongs to the object.  NULL with
 * errp set when there is none.
 */
IOThread *qom_find_iothread(const char *id, Error **errp);

/*
 * Says that something runs on @iothread (or does so no more), so that its
 * object cannot be deleted.  An I/O thread that no object made is fine.
 */
void qom_iothread_use(IOThread *iothread);
void qom_iothread_unuse(IOThread *iothread);

/*
 * The bytes of secret @id, NULL with errp set when there is none.  The caller
 * holds a reference.
 */
GBytes *qom_find_secret(const char *id, Error **errp);

#endif
