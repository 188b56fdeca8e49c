/*
 * Pings: who answers, and how fast.
 *
 *   out-of-band  the process runs, and can be rescued
 *   in-band      its main loop comes round
 *   agent        the guest does
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef YANKCLIENT_PING_H
#define YANKCLIENT_PING_H

#include "domain.h"

G_BEGIN_DECLS

typedef enum YcPing {
    YC_PING_OOB,
    YC_PING_IN_BAND,
    YC_PING_AGENT,
} YcPing;

/* "out-of-band", "in-band", "agent"; a static string. */
const char *yc_ping_name(YcPing ping);

/*
 * Asks, and waits up to @timeout_ms (YC_DEFAULT_TIMEOUT_MS: 30 s) for the
 * answer.  Blocks; any thread, not locked, not in a callback.
 * @us: set in both cases, to the time in microseconds from the question to
 * the answer, or for which there has been none
 *
 * Out-of-band takes no job.  In-band takes a query job and the agent an agent
 * job, so a command that hangs in this program answers BUSY, which names it.
 *
 * An in-band ping that was not answered in time stays on its way.  The next
 * one does not send another but waits for that: a server that hangs for an
 * hour gets one ping, and @us says that it has been an hour.
 */
bool yc_domain_ping(YcDomain *dom, YcPing ping, int timeout_ms, gint64 *us,
                    GError **errp);

G_END_DECLS

#endif
