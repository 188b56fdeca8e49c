/*
 * The commands object-add and object-del.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qapi/qapi-commands-qom.h"
#include "qom/object.h"

void qmp_object_add(ObjectOptions *options, Error **errp)
{
    object_add(options, errp);
}

void qmp_object_del(const char *id, Error **errp)
{
    object_del(id, errp);
}
