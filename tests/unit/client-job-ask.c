/*
 * Jobs that the threads of a test ask for.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "client-job-ask.h"

void ask_locked(Ask *ask)
{
    switch (ask->sort) {
    case YC_SORT_NORMAL:
        ask->ok = yc_domain_begin_job(ask->dom, ask->kind, ask->what,
                                      ask->wait_ms, &ask->err);
        break;
    case YC_SORT_AGENT:
        ask->ok = yc_domain_begin_agent_job(ask->dom, ask->what, ask->wait_ms,
                                            &ask->err);
        break;
    case YC_SORT_ASYNC:
        ask->ok = yc_domain_begin_async_job(ask->dom, ask->what, ask->mask,
                                            ask->wait_ms, &ask->err);
        break;
    case YC_SORT_NESTED:
        ask->ok = yc_domain_begin_nested_job(ask->dom, ask->what, ask->wait_ms,
                                             &ask->err);
        break;
    }
}

void ask(void *opaque)
{
    Ask *a = opaque;

    yc_domain_lock(a->dom);
    ask_locked(a);
    yc_domain_unlock(a->dom);
    g_assert_true(a->ok == (a->err == NULL));
}

bool end_locked(YcDomain *dom, YcJobSort sort, GError **errp)
{
    switch (sort) {
    case YC_SORT_NORMAL:
        return yc_domain_end_job(dom, errp);
    case YC_SORT_AGENT:
        return yc_domain_end_agent_job(dom, errp);
    case YC_SORT_ASYNC:
        return yc_domain_end_async_job(dom, errp);
    default:
        return yc_domain_end_nested_job(dom, errp);
    }
}

void end(void *opaque)
{
    Ask *a = opaque;

    if (a->ok) {
        GError *err = NULL;

        yc_domain_lock(a->dom);
        end_locked(a->dom, a->sort, &err);
        yc_domain_unlock(a->dom);
        g_assert_no_error(err);
        a->ok = false;
    }
    g_clear_error(&a->err);
}
