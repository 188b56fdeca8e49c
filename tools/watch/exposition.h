/*
 * How the fleet is, as text for Prometheus and others.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TOOLS_WATCH_EXPOSITION_H
#define TOOLS_WATCH_EXPOSITION_H

#include "fleet.h"

typedef enum ExpositionFormat {
    EXPOSITION_TEXT, /* Prometheus's text format 0.0.4 */
    EXPOSITION_OPENMETRICS,
} ExpositionFormat;

/*
 * The format for a client that sent @accept, the value of its header Accept,
 * or NULL: OpenMetrics if it names that, and prefers it to text.
 */
ExpositionFormat exposition_choose(const char *accept);
/* The value of the header Content-Type. */
const char *exposition_type(ExpositionFormat format);
/* Any thread; g_free() it. */
char *exposition_of(Fleet *fleet, ExpositionFormat format);

#endif
