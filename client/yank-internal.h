/*
 * Between the files that deal with yank instances.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef CLIENT_YANK_INTERNAL_H
#define CLIENT_YANK_INTERNAL_H

#include "client/yank.h"

/*
 * Whether @name is a chardev that carries a monitor: one of @monitors, or one
 * that is called so; any chardev when @monitors is NULL.
 */
bool yc_instance_is_monitor(const char *name, char *const *monitors);

/*
 * @err, from @command: UNSUPPORTED when the server does not know it, else as
 * it is.  Takes @err.
 */
void yc_yank_propagate_error(YcDomain *dom, const char *command, GError *err,
                             GError **errp);

#endif
