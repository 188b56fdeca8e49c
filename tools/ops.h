/*
 * Operations on a domain: what yankctl does to one, be it by a connection of
 * its own or by the service that holds one.
 *
 * A request and its answer are JSON objects, the same on the control socket
 * (docs/interop/yankctl-control.rst, which describes each operation) and
 * within one process.  So the service and the verbs run the same code.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TOOLS_OPS_H
#define TOOLS_OPS_H

#include <json-c/json.h>
#include "client/domain.h"

/*
 * Told of each yank that is sent: right before it, with what it yanks, and with
 * what came of it.
 */
typedef struct OpYankWatcher {
    void (*begin)(void *opaque, const char *const *names);
    void (*end)(void *opaque, const GError *err);
    void *opaque;
} OpYankWatcher;

typedef struct OpTarget {
    YcDomain *dom;
    /* Why there is no connection, or NULL; stays the caller's. */
    const GError *down;
    /* A service holds the connection. */
    bool watched;
    const OpYankWatcher *yank_watcher; /* or NULL */
    /* ops_ask_facts() while it was healthy, as text, and when; or NULL. */
    const char *recorded;
    gint64 recorded_us;
} OpTarget;

/*
 * Runs @request, whose member "op" says what is wanted, and returns what is to
 * be answered.  Without a connection only "status" is answered, and what goes
 * out-of-band if there is a lane of its own; the rest fails with @target's
 * reason.
 * Blocks up to "timeout-ms" (3,000 when left out, at most an hour) and a
 * little; any thread, several at the same time; the domain is not locked.
 * Errors: EXIT_USAGE for a request that is wrong, else those of the library.
 */
json_object *ops_run(const OpTarget *target, json_object *request,
                     GError **errp);

/*
 * What a repair has to know of the block nodes of a stock QEMU, asked in-band
 * within @timeout_ms; NULL on error.  Blocks; any thread.
 */
json_object *ops_ask_facts(YcDomain *dom, int timeout_ms, GError **errp);

/* Whether @op is one of those. */
bool ops_has(const char *op);

#endif
