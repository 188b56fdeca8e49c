/*
 * A subscription: the events of a domain, on their way to a client of the
 * control socket.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TOOLS_WATCH_SUBSCRIPTION_H
#define TOOLS_WATCH_SUBSCRIPTION_H

#include <stdbool.h>
#include "client/domain.h"
#include "output.h"

typedef struct Subscription Subscription;

/*
 * Sends @answer, which stays the caller's, and after it every event, until the
 * connection is lost: that is told, and then the subscription has ended.
 * NULL with nothing sent when there is no connection; @errp says so.
 */
Subscription *subscription_new(YcDomain *dom, WatchOutput *output,
                               json_object *answer, GError **errp);
/* An event that is on its way may still be sent. */
void subscription_free(void *subscription);
/* Whether events of @dom come by it, or would if there were any. */
bool subscription_serves(const Subscription *subscription, const YcDomain *dom);

#endif
