/*
 * An NBD server that misbehaves on demand, for tests of the client.
 *
 * It serves one connection at a time on a thread of its own, from a memory of
 * 1 MiB, and does as its mode says at that moment.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TESTS_UNIT_NBD_FAKE_SERVER_H
#define TESTS_UNIT_NBD_FAKE_SERVER_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#define FAKE_SIZE (1024 * 1024)

typedef enum FakeMode {
    FAKE_OK,
    /* The handshake. */
    FAKE_SILENT,     /* no greeting */
    FAKE_CLOSE,      /* no greeting, but the end */
    FAKE_BAD_MAGIC,  /* a greeting of something else */
    FAKE_SILENT_GO,  /* a greeting, and then no answer */
    FAKE_NO_EXPORT,  /* the export is unknown */
    FAKE_POLICY,     /* the export is forbidden */
    FAKE_BAD_OPTION, /* an answer to no question */
    FAKE_NO_FLAGS,   /* an export without flags */
    FAKE_HUGE,       /* an export of 2^64 - 1 bytes */
    FAKE_SMALLER,    /* an export of half the size */
    FAKE_LARGER,     /* an export of twice the size */
    FAKE_ODD,        /* an export that is 100 bytes smaller */
    FAKE_READ_ONLY,  /* an export without writes */
    FAKE_BARE,       /* an export with reads and writes only */
    FAKE_NO_FUA,     /* an export that can flush, and no more */
    FAKE_LIMITS,     /* blocks of 4 KiB, requests of up to 64 KiB */
    /* Transmission. */
    FAKE_FROZEN,      /* takes requests and answers none */
    FAKE_DEAF,        /* does not even read requests */
    FAKE_ASLEEP,      /* sleeps until the mode changes, then answers */
    FAKE_FLUSHLESS,   /* answers all but flushes; FAKE_NO_FUA, and limits */
    FAKE_DIE,         /* closes at the first request */
    FAKE_EIO,         /* fails all requests */
    FAKE_WEIRD_ERROR, /* with an error that there is not */
    FAKE_BAD_REPLY,   /* a wrong magic number */
    FAKE_BAD_COOKIE,  /* an answer to no request */
    FAKE_HALF_REPLY,  /* stops in the middle of the payload */
    FAKE_STRUCTURED,  /* a kind of reply that was not asked for */
} FakeMode;

typedef struct FakeServer FakeServer;

/* Listens at @path. */
FakeServer *fake_server_new(const char *path, FakeMode mode);
void fake_server_free(FakeServer *server);

void fake_server_set(FakeServer *server, FakeMode mode);
/* Ends the connection, and refuses new ones until fake_server_listen(). */
void fake_server_stop(FakeServer *server);
void fake_server_listen(FakeServer *server);

/* What it saw so far. */
typedef enum FakeCount {
    FAKE_CONNECTIONS,
    FAKE_ENDS, /* of connections */
    FAKE_REQUESTS,
    FAKE_WRITES,
    FAKE_FLUSHES,
    FAKE_TRIMS,
    FAKE_ZEROES,
    FAKE_FUAS,
    FAKE_GOODBYES,
    FAKE_LARGEST, /* bytes of the largest request */
    FAKE__MAX,
} FakeCount;

unsigned fake_server_count(FakeServer *server, FakeCount what);
/* Waits until it is at least @n. */
void fake_server_wait(FakeServer *server, FakeCount what, unsigned n);

/* The memory; ask anew after each request, and while none is in flight. */
char *fake_server_data(FakeServer *server);

#endif
