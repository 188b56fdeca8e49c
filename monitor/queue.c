/*
 * The in-band queue of a session: bounded in requests and in bytes.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "monitor-internal.h"

bool mon_queue_is_full(const MonQueue *queue, size_t size)
{
    if (queue->requests.length == 0) {
        return false;
    }
    return queue->requests.length >= MON_QUEUE_MAX_REQUESTS ||
           size > MON_QUEUE_MAX_BYTES ||
           queue->bytes > MON_QUEUE_MAX_BYTES - size;
}

void mon_queue_push(MonQueue *queue, MonRequest *req)
{
    g_queue_push_tail_link(&queue->requests, &req->link);
    queue->bytes += req->size;
}

MonRequest *mon_queue_pop(MonQueue *queue)
{
    GList *link = g_queue_pop_head_link(&queue->requests);
    MonRequest *req = link ? link->data : NULL;

    if (req) {
        queue->bytes -= req->size;
    }
    return req;
}

void mon_queue_move(MonQueue *to, MonQueue *from)
{
    MonRequest *req;

    while ((req = mon_queue_pop(from))) {
        mon_queue_push(to, req);
    }
}

bool mon_queue_clear(MonQueue *queue)
{
    bool quit = false;
    MonRequest *req;

    while ((req = mon_queue_pop(queue))) {
        quit = quit || mon_request_is_quit(req);
        mon_request_free(req);
    }
    return quit;
}
