/*
 * Jobs that the threads of a test ask for.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef CLIENT_JOB_ASK_H
#define CLIENT_JOB_ASK_H

#include "client-fake-domain.h"
#include "client/domain-internal.h"

#define ALL_KINDS ((1u << YC_JOB__MAX) - 1)

/* A job that somebody asks for, and what became of it. */
typedef struct Ask {
    YcDomain *dom;
    YcJobSort sort;
    YcJob kind;
    unsigned mask;
    const char *what;
    int wait_ms;
    bool ok;
    GError *err;
} Ask;

/* Begins it; the second is an ActorFn which takes the lock for it. */
void ask_locked(Ask *ask);
void ask(void *opaque);

/* Ends the job of @sort. */
bool end_locked(YcDomain *dom, YcJobSort sort, GError **errp);
/* An ActorFn: ends the job of an Ask, if it was granted; drops its error. */
void end(void *opaque);

#endif
