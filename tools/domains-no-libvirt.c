/*
 * Domains of libvirt, where yankctl was built without it.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "domains.h"
#include "exit-code.h"

bool domains_from_libvirt(GPtrArray *domains, const char *uri, GError **errp)
{
    g_set_error(errp, EXIT_ERROR, EXIT_USAGE,
                "--libvirt %s: this yankctl was built without libvirt", uri);
    return false;
}
