/*
 * The null device: takes all, gives nothing.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "chardev-internal.h"

static char *null_filename(Chardev *chr)
{
    return g_strdup("null");
}

const ChardevClass chardev_null = {
    .kind = CHARDEV_BACKEND_KIND_NULL,
    .instance_size = sizeof(Chardev),
    .filename = null_filename,
};
