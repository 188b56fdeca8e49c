/*
 * Metrics over HTTP.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TOOLS_WATCH_METRICS_H
#define TOOLS_WATCH_METRICS_H

#include "fleet.h"
#include "socket.h"

typedef struct Metrics Metrics;

/* Serves GET /metrics on @sock, which it takes, on a thread of its own. */
Metrics *metrics_new(WatchSocket *sock, Fleet *fleet, GError **errp);
/* NULL is fine. */
void metrics_free(Metrics *metrics);

#endif
