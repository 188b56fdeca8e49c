/*
 * Free lists of requests and buffers, one set a thread.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "nbd-request.h"

#define BUFFER_ALIGN 4096

/* With the address sanitizer all that is free has to be free for it, too. */
#ifdef __SANITIZE_ADDRESS__
#define KEEP 0
#else
#define KEEP 1
#endif

/* Buffers above the largest class are rare and left to malloc(). */
static const struct {
    size_t size;
    unsigned keep; /* at most so many free ones are kept */
} classes[] = {
    {4 * KiB, 512 * KEEP},
    {64 * KiB, 128 * KEEP},
    {256 * KiB, 64 * KEEP},
    {1 * MiB, 8 * KEEP},
};

#define KEEP_REQUESTS (512 * KEEP)

typedef struct FreeBuffer {
    struct FreeBuffer *next;
} FreeBuffer;

typedef struct RequestPool {
    NbdRequest *requests;
    unsigned n_requests;
    struct {
        FreeBuffer *buffers;
        unsigned n;
    } classes[G_N_ELEMENTS(classes)];
} RequestPool;

static void request_pool_empty(RequestPool *pool)
{
    while (pool->requests) {
        NbdRequest *r = pool->requests;

        pool->requests = r->next;
        g_free(r);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(classes); i++) {
        while (pool->classes[i].buffers) {
            FreeBuffer *buffer = pool->classes[i].buffers;

            pool->classes[i].buffers = buffer->next;
            free(buffer);
        }
        pool->classes[i].n = 0;
    }
    pool->n_requests = 0;
}

static void request_pool_free(gpointer opaque)
{
    request_pool_empty(opaque);
    g_free(opaque);
}

static GPrivate request_pool_key = G_PRIVATE_INIT(request_pool_free);

static RequestPool *request_pool(void)
{
    RequestPool *pool = g_private_get(&request_pool_key);

    if (G_UNLIKELY(!pool)) {
        pool = g_new0(RequestPool, 1);
        g_private_set(&request_pool_key, pool);
    }
    return pool;
}

void nbd_request_trim(void)
{
    request_pool_empty(request_pool());
}

/* The index of the class for @bytes, or G_N_ELEMENTS(classes) for none. */
static size_t class_of(uint64_t bytes)
{
    size_t i = 0;

    while (i < G_N_ELEMENTS(classes) && bytes > classes[i].size) {
        i++;
    }
    return i;
}

NbdRequest *nbd_request_new(void)
{
    RequestPool *pool = request_pool();
    NbdRequest *r = pool->requests;

    if (r) {
        pool->requests = r->next;
        pool->n_requests--;
    } else {
        r = g_new(NbdRequest, 1);
    }
    r->req.buf = NULL;
    return r;
}

void nbd_request_free(NbdRequest *r)
{
    RequestPool *pool = request_pool();

    nbd_request_free_buffer(r);
    if (pool->n_requests == KEEP_REQUESTS) {
        g_free(r);
        return;
    }
    r->next = pool->requests;
    pool->requests = r;
    pool->n_requests++;
}

static void *alloc_buffer(size_t size)
{
    return aligned_alloc(BUFFER_ALIGN,
                         (size + BUFFER_ALIGN - 1) & -(size_t)BUFFER_ALIGN);
}

bool nbd_request_alloc_buffer(NbdRequest *r, uint64_t bytes)
{
    RequestPool *pool = request_pool();
    size_t cls = class_of(bytes);
    FreeBuffer *buffer;

    r->req.bytes = bytes;
    if (cls == G_N_ELEMENTS(classes)) {
        r->req.buf = alloc_buffer(bytes);
        return r->req.buf;
    }
    buffer = pool->classes[cls].buffers;
    if (!buffer) {
        r->req.buf = alloc_buffer(classes[cls].size);
        return r->req.buf;
    }
    pool->classes[cls].buffers = buffer->next;
    pool->classes[cls].n--;
    r->req.buf = buffer;
    return true;
}

void nbd_request_free_buffer(NbdRequest *r)
{
    RequestPool *pool = request_pool();
    FreeBuffer *buffer = g_steal_pointer(&r->req.buf);
    size_t cls = class_of(r->req.bytes);

    if (!buffer) {
        return;
    }
    if (cls == G_N_ELEMENTS(classes) ||
        pool->classes[cls].n == classes[cls].keep) {
        free(buffer);
        return;
    }
    buffer->next = pool->classes[cls].buffers;
    pool->classes[cls].buffers = buffer;
    pool->classes[cls].n++;
}
