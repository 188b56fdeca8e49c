/*
 * Finds commands in the generated table.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qapi/qmp-command.h"

static int compare_name(const void *name, const void *command)
{
    return strcmp(name, ((const QmpCommand *)command)->name);
}

const QmpCommand *qmp_find_command(const char *name)
{
    return bsearch(name, qmp_commands, qmp_n_commands, sizeof(QmpCommand),
                   compare_name);
}
