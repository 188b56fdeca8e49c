/*
 * Writes to an NBD export at a steady rate, follows it to another one, and
 * tells the longest time that passed between two completed requests.
 *
 *   paced-writer MB/S BLOCK SOURCE-URI DESTINATION-URI FILE
 *   paced-writer --verify URI FILE
 *
 * FILE has what the export holds at the beginning.  Blocks are written in
 * random order.  When the server ends the connection, the requests without a
 * reply are sent again to the destination.  Lines on stdin say how to go on:
 * "begin" forgets the gaps seen so far, "end" ends the writing.  Then the
 * destination is read and compared, and a JSON object written to stdout.
 *
 * An error in a reply, as another content, makes it fail: of a server that
 * moves, a client sees a pause and the end of a connection, nothing else.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <poll.h>
#include <time.h>
#include "content.h"

#define DEPTH 16
#define NS INT64_C(1000000000)
/* How long the destination may refuse connections. */
#define CONNECT_SECONDS 10

typedef struct Writer Writer;

/* A request, until it is replied to. */
typedef struct Slot {
    Writer *writer;
    uint64_t block;
    bool used;
} Slot;

struct Writer {
    const char *destination;
    struct nbd_handle *nbd;
    Content *content;
    GRand *rand;
    size_t block;
    Slot slots[DEPTH];

    int64_t interval; /* ns between two requests */
    int64_t due;      /* when the next one is */
    bool ending;
    bool failed;

    int64_t last;     /* when the last reply came; 0: none yet */
    int64_t gap;      /* the longest, ns */
    int64_t move_gap; /* from the source's last to the destination's first */
    int64_t idle_gap; /* the longest before "begin" */
    int64_t begun;    /* "begin" */
    int64_t moved;    /* the last reply of the source; 0: still there */
    uint64_t replies; /* of the source, since "begin" */
};

static int64_t now(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * NS + ts.tv_nsec;
}

static struct nbd_handle *connect_to(const char *uri)
{
    struct nbd_handle *nbd = nbd_create();

    if (nbd && nbd_connect_uri(nbd, uri) < 0) {
        nbd_close(nbd);
        nbd = NULL;
    }
    return nbd;
}

static int write_done(void *opaque, int *error)
{
    Slot *slot = opaque;
    Writer *w = slot->writer;
    int64_t t = now();

    if (*error == ENOTCONN) {
        return 1; /* still used: sent again to the destination */
    }
    if (*error) {
        fprintf(stderr, "write of block %" PRIu64 ": %s\n", slot->block,
                g_strerror(*error));
        w->failed = true;
    }
    slot->used = false;
    if (w->last) {
        w->gap = MAX(w->gap, t - w->last);
    }
    if (w->moved && !w->move_gap) {
        w->move_gap = t - w->last;
    }
    w->last = t;
    w->replies += !w->moved;
    return 1;
}

static bool connection_ended(Writer *w)
{
    return nbd_aio_is_closed(w->nbd) > 0 || nbd_aio_is_dead(w->nbd) > 0;
}

static void send_slot(Writer *w, Slot *slot, const void *data)
{
    nbd_completion_callback done = {.callback = write_done, .user_data = slot};

    if (nbd_aio_pwrite(w->nbd, data, w->block, slot->block * w->block, done,
                       0) < 0) {
        /* When the connection has ended, it is sent again later. */
        if (!connection_ended(w)) {
            fprintf(stderr, "%s\n", nbd_get_error());
            w->failed = true;
        }
    }
}

static bool block_in_use(const Writer *w, uint64_t block)
{
    for (int i = 0; i < DEPTH; i++) {
        if (w->slots[i].used && w->slots[i].block == block) {
            return true;
        }
    }
    return false;
}

static void new_request(Writer *w, Slot *slot)
{
    uint64_t block;

    do {
        block = g_rand_int(w->rand) % content_blocks(w->content);
    } while (block_in_use(w, block));
    slot->block = block;
    slot->used = true;
    send_slot(w, slot, content_next(w->content, block));
}

static void send_due(Writer *w)
{
    int64_t t = now();

    /* What a pause kept back is not made up for by a burst. */
    w->due = MAX(w->due, t - DEPTH * w->interval);
    for (int i = 0; i < DEPTH && w->due <= t; i++) {
        if (!w->slots[i].used) {
            new_request(w, &w->slots[i]);
            w->due += w->interval;
        }
    }
}

static bool follow(Writer *w)
{
    int64_t deadline = now() + CONNECT_SECONDS * NS;

    if (w->moved) {
        fprintf(stderr, "the destination ended the connection\n");
        return false;
    }
    w->moved = MAX(w->last, 1);
    nbd_close(w->nbd);
    while (!(w->nbd = connect_to(w->destination))) {
        if (now() > deadline) {
            fprintf(stderr, "destination: %s\n", nbd_get_error());
            return false;
        }
        g_usleep(500);
    }
    for (int i = 0; i < DEPTH; i++) {
        if (w->slots[i].used) {
            send_slot(w, &w->slots[i],
                      content_expected(w->content, w->slots[i].block));
        }
    }
    return true;
}

static void take_command(Writer *w)
{
    char line[16];

    if (!fgets(line, sizeof(line), stdin) || !strcmp(line, "end\n")) {
        w->ending = true;
    } else if (!strcmp(line, "begin\n")) {
        w->idle_gap = w->gap;
        w->gap = 0;
        w->replies = 0;
        w->begun = now();
    }
}

static bool any_in_use(const Writer *w)
{
    for (int i = 0; i < DEPTH; i++) {
        if (w->slots[i].used) {
            return true;
        }
    }
    return false;
}

/* Until something can be read or written, or a request is due. */
static void wait_for_any(Writer *w)
{
    unsigned direction = nbd_aio_get_direction(w->nbd);
    int64_t left = CLAMP(w->due - now(), 0, NS / 1000);
    struct timespec timeout = {.tv_nsec = left};
    struct pollfd fds[2] = {
        {.fd = nbd_aio_get_fd(w->nbd)},
        {.fd = w->ending ? -1 : 0, .events = POLLIN},
    };

    if (direction & LIBNBD_AIO_DIRECTION_READ) {
        fds[0].events |= POLLIN;
    }
    if (direction & LIBNBD_AIO_DIRECTION_WRITE) {
        fds[0].events |= POLLOUT;
    }
    ppoll(fds, 2, &timeout, NULL);
    if (fds[0].revents & fds[0].events & POLLIN ||
        fds[0].revents & (POLLHUP | POLLERR)) {
        nbd_aio_notify_read(w->nbd);
    } else if (fds[0].revents & POLLOUT) {
        nbd_aio_notify_write(w->nbd);
    }
    if (fds[1].revents) {
        take_command(w);
    }
}

static bool run(Writer *w)
{
    w->due = now();
    while (!w->failed && (!w->ending || any_in_use(w))) {
        if (connection_ended(w) && !follow(w)) {
            return false;
        }
        if (!w->ending) {
            send_due(w);
        }
        wait_for_any(w);
    }
    return !w->failed;
}

static void report(const Writer *w)
{
    int64_t spent = (w->moved ? w->moved : w->last) - w->begun;

    printf("{\"gap-ms\": %.3f, \"move-gap-ms\": %.3f, "
           "\"idle-gap-ms\": %.3f, \"rate\": %.1f, \"moved\": %s}\n",
           w->gap / 1e6, w->move_gap / 1e6, w->idle_gap / 1e6,
           w->replies * w->block * 1e3 / MAX(spent, 1),
           w->moved ? "true" : "false");
}

static int usage(const char *name)
{
    fprintf(stderr,
            "usage: %s MB/S BLOCK SOURCE-URI DESTINATION-URI FILE\n"
            "       %s --verify URI FILE\n"
            "BLOCK is a power of two from 512 to %" PRIi64 "\n",
            name, name, CONTENT_BLOCK_MAX);
    return 2;
}

static bool verify(const char *uri, const Content *content)
{
    struct nbd_handle *nbd;

    if (!content) {
        return false;
    }
    nbd = connect_to(uri);
    if (!nbd) {
        fprintf(stderr, "%s: %s\n", uri, nbd_get_error());
        return false;
    }
    return content_verify(content, nbd);
}

static bool write_and_follow(Writer *w, const char *source)
{
    bool good;

    w->nbd = connect_to(source);
    if (!w->nbd) {
        fprintf(stderr, "%s: %s\n", source, nbd_get_error());
        return false;
    }
    for (int i = 0; i < DEPTH; i++) {
        w->slots[i].writer = w;
    }
    w->rand = g_rand_new();
    good = run(w);
    g_rand_free(w->rand);
    nbd_close(w->nbd);
    return good && verify(w->moved ? w->destination : source, w->content);
}

int main(int argc, char **argv)
{
    Writer w = {0};
    double rate;
    bool good;

    if (argc == 4 && !strcmp(argv[1], "--verify")) {
        w.content = content_new(argv[3], 512);
        good = verify(argv[2], w.content);
        content_free(w.content);
        return !good;
    }
    /* What poll() says is then true of the stream. */
    setvbuf(stdin, NULL, _IONBF, 0);
    rate = argc == 6 ? g_ascii_strtod(argv[1], NULL) * 1e6 : 0;
    w.block = argc == 6 ? g_ascii_strtoull(argv[2], NULL, 10) : 0;
    if (rate <= 0 || w.block < 512 || w.block > CONTENT_BLOCK_MAX ||
        CONTENT_BLOCK_MAX % w.block) {
        return usage(argv[0]);
    }
    w.interval = MAX(w.block * NS / rate, 1);
    w.destination = argv[4];
    w.content = content_new(argv[5], w.block);
    good = w.content && write_and_follow(&w, argv[3]);
    if (good) {
        report(&w);
    }
    content_free(w.content);
    return !good;
}
