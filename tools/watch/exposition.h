/*
 * How the fleet is, as OpenMetrics text.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TOOLS_WATCH_EXPOSITION_H
#define TOOLS_WATCH_EXPOSITION_H

#include "fleet.h"

#define EXPOSITION_TYPE                                                        \
    "application/openmetrics-text; version=1.0.0; charset=utf-8"

/* Any thread; g_free() it. */
char *exposition_of(Fleet *fleet);

#endif
