/*
 * A subscription: the events of a domain, on their way to a client of the
 * control socket.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TOOLS_WATCH_SUBSCRIPTION_H
#define TOOLS_WATCH_SUBSCRIPTION_H

#include "client/domain.h"
#include "watch-output.h"

typedef struct Subscription Subscription;

/* Sends @answer, which stays the caller's, and after it every event. */
Subscription *subscription_new(YcDomain *dom, WatchOutput *output,
                               json_object *answer);
/* An event that is on its way may still be sent. */
void subscription_free(void *subscription);
YcDomain *subscription_domain(const Subscription *subscription);

#endif
