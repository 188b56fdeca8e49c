/*
 * Requests: answered exactly once, to a callback or to a thread that waits.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "client-internal.h"
#include "qemu/lockable.h"
#include "qemu/oob.h"

struct YcWaiter {
    int refcount; /* atomic: who waits, and who answers */
    /* Guards what follows.  Fast; taken alone. */
    QemuMutex lock;
    QemuCond cond;
    bool done;
    json_object *result;
    GError *err;
};

/* An answer on its way to the event thread. */
typedef struct Answer {
    YcCallback reply;
    json_object *result;
    GError *err;
} Answer;

void yc_callback_clear(YcCallback *callback)
{
    if (callback->free_data) {
        callback->free_data(callback->data);
    }
    *callback = (YcCallback){0};
}

YcRequest *yc_request_new(const char *command, int timeout_ms)
{
    YcRequest *req = g_new0(YcRequest, 1);

    req->command = g_strdup(command);
    req->timeout_ms = timeout_ms;
    req->deadline = yc_deadline(&req->timeout_ms);
    return req;
}

void yc_request_set_reply(YcRequest *req, YcQmpReplyFn *fn, void *data,
                          GDestroyNotify free_data)
{
    req->reply = (YcCallback){(void (*)(void))fn, data, free_data};
}

static void request_free(YcRequest *req)
{
    g_free(req->command);
    if (req->text) {
        g_string_free(req->text, TRUE);
    }
    g_free(req);
}

static void waiter_unref(YcWaiter *waiter)
{
    if (__atomic_sub_fetch(&waiter->refcount, 1, __ATOMIC_ACQ_REL) > 0) {
        return;
    }
    qemu_cond_destroy(&waiter->cond);
    qemu_mutex_destroy(&waiter->lock);
    g_free(waiter);
}

static void waiter_answer(YcWaiter *waiter, json_object *result, GError *err)
{
    WITH_QEMU_LOCK_GUARD(&waiter->lock) {
        waiter->done = true;
        waiter->result = result;
        waiter->err = err;
        qemu_cond_signal(&waiter->cond);
    }
    waiter_unref(waiter);
}

/* Event thread. */
static void answer_deliver(void *opaque)
{
    Answer *answer = opaque;
    YcQmpReplyFn *fn = (YcQmpReplyFn *)answer->reply.fn;

    if (fn) {
        fn(answer->result, answer->err, answer->reply.data);
    } else {
        json_object_put(answer->result);
    }
    yc_callback_clear(&answer->reply);
    g_clear_error(&answer->err);
    g_free(answer);
}

void yc_request_finish(YcRequest *req, json_object *result, GError *err)
{
    if (req->waiter) {
        waiter_answer(req->waiter, result, err);
    } else {
        Answer *answer = g_new0(Answer, 1);

        *answer = (Answer){req->reply, result, err};
        iothread_post(yc_event_thread(), answer_deliver, answer);
    }
    request_free(req);
}

void yc_request_lost(YcRequest *req, const GError *why)
{
    yc_request_finish(req, NULL,
                      g_error_new(YC_ERROR, YC_ERROR_CLOSED,
                                  "'%s' has no answer: %s", req->command,
                                  why->message));
}

YcWaiter *yc_request_expect(YcRequest *req)
{
    YcWaiter *waiter = g_new0(YcWaiter, 1);

    waiter->refcount = 2;
    qemu_mutex_init(&waiter->lock);
    qemu_cond_init(&waiter->cond);
    req->waiter = waiter;
    return waiter;
}

bool yc_waiter_wait(YcWaiter *waiter, json_object **result, GError **errp)
{
    json_object *value;
    GError *err;

    /* Also where the answer is there already and no wait would tell. */
    oob_assert_may_block("a synchronous call of the client");
    WITH_QEMU_LOCK_GUARD(&waiter->lock) {
        while (!waiter->done) {
            qemu_cond_wait(&waiter->cond, &waiter->lock);
        }
        value = waiter->result;
        err = waiter->err;
    }
    waiter_unref(waiter);
    if (err) {
        g_propagate_error(errp, err);
        return false;
    }
    if (result) {
        *result = value;
    } else {
        json_object_put(value);
    }
    return true;
}
