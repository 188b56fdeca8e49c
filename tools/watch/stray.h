/*
 * Strays: sockets in the folder of a source that are no monitors.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TOOLS_WATCH_STRAY_H
#define TOOLS_WATCH_STRAY_H

#include "tools/domains.h"

/*
 * Whether an attempt of @client to connect to the socket of @spec, which ended
 * with @why, shows that it is a stray.  Reads files of /proc.  Any thread.
 */
bool is_stray(const DomainSpec *spec, YcQmpClient *client, const GError *why);

#endif
