/*
 * Where the control socket of the service is.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TOOLS_CONTROL_PATH_H
#define TOOLS_CONTROL_PATH_H

#include "options.h"

/*
 * The places to look for it, NULL-terminated; the first is where a service
 * makes its own: --control, or else $XDG_RUNTIME_DIR/yankctl/control when that
 * is set, or else /run/yankctl/control.  g_strfreev() it.
 */
char **control_paths(const Options *options);

#endif
