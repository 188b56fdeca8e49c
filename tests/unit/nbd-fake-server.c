/*
 * An NBD server that misbehaves on demand.
 *
 * Plain blocking I/O on one thread; stopping it shuts its sockets down.
 *
 * Longer than most files, as every way to misbehave is a few lines here.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <endian.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include "nbd-fake-server.h"
#include "qemu/lockable.h"
#include "qemu/thread.h"

#define DEADLINE_MS 30000

#define OPTION_MAGIC UINT64_C(0x49484156454f5054)
#define OPTION_REPLY_MAGIC UINT64_C(0x3e889045565a9)
#define REQUEST_MAGIC 0x25609513
#define REPLY_MAGIC 0x67446698
#define STRUCTURED_MAGIC 0x668e33ef

enum {
    OPT_EXPORT_NAME = 1,
    OPT_ABORT = 2,
    OPT_GO = 7
};
enum {
    REP_ACK = 1,
    REP_INFO = 3
};
#define REP_ERR_UNSUP ((1u << 31) + 1)
#define REP_ERR_POLICY ((1u << 31) + 2)
#define REP_ERR_UNKNOWN ((1u << 31) + 6)

enum {
    CMD_READ,
    CMD_WRITE,
    CMD_DISC,
    CMD_FLUSH,
    CMD_TRIM,
    CMD_ZEROES = 6
};
enum {
    FLAG_FUA = 1
};

#define EXPORT_FLAGS_BARE 0x1
/* Flush, FUA, trim, write zeroes, fast zeroes. */
#define EXPORT_FLAGS_FULL (0x1 | 0x4 | 0x8 | 0x20 | 0x40 | 0x800)
#define EXPORT_FLAG_READ_ONLY 0x2
#define EXPORT_FLAG_FLUSH 0x4

struct FakeServer {
    char *path;
    char *data;
    QemuThread thread;

    /* Guards the rest.  Fast; innermost. */
    QemuMutex lock;
    QemuCond cond;
    FakeMode mode;
    bool stopped;
    bool quit;
    int listen_fd; /* -1 while stopped */
    int conn_fd;   /* -1 while there is none */
    unsigned count[FAKE__MAX];
};

/* ---- What it is to do, and what it saw. ---- */

static FakeMode get_mode(FakeServer *s)
{
    QEMU_LOCK_GUARD(&s->lock);
    return s->mode;
}

static void count(FakeServer *s, FakeCount what)
{
    QEMU_LOCK_GUARD(&s->lock);
    s->count[what]++;
    qemu_cond_broadcast(&s->cond);
}

static void count_max(FakeServer *s, FakeCount what, unsigned n)
{
    QEMU_LOCK_GUARD(&s->lock);
    s->count[what] = MAX(s->count[what], n);
}

unsigned fake_server_count(FakeServer *s, FakeCount what)
{
    QEMU_LOCK_GUARD(&s->lock);
    return s->count[what];
}

void fake_server_wait(FakeServer *s, FakeCount what, unsigned n)
{
    QEMU_LOCK_GUARD(&s->lock);
    while (s->count[what] < n) {
        if (!qemu_cond_timedwait(&s->cond, &s->lock, DEADLINE_MS)) {
            g_error("the fake server waits for %u of count %d in vain", n,
                    what);
        }
    }
}

char *fake_server_data(FakeServer *s)
{
    /* What it did before it counted the last request is seen from here on. */
    QEMU_LOCK_GUARD(&s->lock);
    return s->data;
}

/* ---- Bytes. ---- */

static bool get(int fd, void *buf, size_t len)
{
    return recv(fd, buf, len, MSG_WAITALL) == (ssize_t)len;
}

static bool put(int fd, const void *buf, size_t len)
{
    const char *p = buf;

    while (len) {
        ssize_t n = send(fd, p, len, MSG_NOSIGNAL);

        if (n <= 0) {
            return false;
        }
        p += n;
        len -= n;
    }
    return true;
}

static bool put32(int fd, uint32_t value)
{
    value = htobe32(value);
    return put(fd, &value, sizeof(value));
}

static bool put64(int fd, uint64_t value)
{
    value = htobe64(value);
    return put(fd, &value, sizeof(value));
}

/* Takes what comes until the client goes. */
static bool wait_for_end(int fd)
{
    char buf[4096];

    while (recv(fd, buf, sizeof(buf), 0) > 0) {
    }
    return false;
}

/* The client goes, and nothing is read meanwhile. */
static void wait_deaf(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLRDHUP};

    poll(&p, 1, DEADLINE_MS);
}

/* ---- The handshake. ---- */

static bool greet(FakeServer *s, int fd)
{
    uint32_t client_flags;

    switch (get_mode(s)) {
    case FAKE_SILENT:
        return wait_for_end(fd);
    case FAKE_CLOSE:
        return false;
    case FAKE_BAD_MAGIC:
        put(fd, "SSH-2.0-OpenSSH_9.2p1 Debian\r\n", 30);
        return wait_for_end(fd);
    default:
        return put(fd, "NBDMAGIC", 8) && put64(fd, OPTION_MAGIC) &&
               put(fd, "\0\3", 2) && get(fd, &client_flags, 4);
    }
}

static bool put_option_reply(int fd, uint32_t opt, uint32_t type, uint32_t len)
{
    return put64(fd, OPTION_REPLY_MAGIC) && put32(fd, opt) && put32(fd, type) &&
           put32(fd, len);
}

static bool put_export(int fd, uint64_t size, uint16_t flags)
{
    flags = htobe16(flags);
    return put_option_reply(fd, OPT_GO, REP_INFO, 12) && put(fd, "\0\0", 2) &&
           put64(fd, size) && put(fd, &flags, 2);
}

static bool put_limits(int fd, uint32_t min, uint32_t preferred, uint32_t max)
{
    return put_option_reply(fd, OPT_GO, REP_INFO, 14) && put(fd, "\0\3", 2) &&
           put32(fd, min) && put32(fd, preferred) && put32(fd, max);
}

static bool describe(FakeServer *s, int fd)
{
    switch (get_mode(s)) {
    case FAKE_NO_FLAGS:
        return put_export(fd, FAKE_SIZE, 0);
    case FAKE_HUGE:
        return put_export(fd, UINT64_MAX, EXPORT_FLAGS_FULL);
    case FAKE_SMALLER:
        return put_export(fd, FAKE_SIZE / 2, EXPORT_FLAGS_FULL);
    case FAKE_LARGER:
        return put_export(fd, FAKE_SIZE * 2, EXPORT_FLAGS_FULL);
    case FAKE_ODD:
        return put_export(fd, FAKE_SIZE - 100, EXPORT_FLAGS_FULL);
    case FAKE_READ_ONLY:
        return put_export(fd, FAKE_SIZE,
                          EXPORT_FLAGS_BARE | EXPORT_FLAG_READ_ONLY);
    case FAKE_BARE:
        return put_export(fd, FAKE_SIZE, EXPORT_FLAGS_BARE);
    case FAKE_NO_FUA:
        return put_export(fd, FAKE_SIZE, EXPORT_FLAGS_BARE | EXPORT_FLAG_FLUSH);
    case FAKE_FLUSHLESS:
        return put_export(fd, FAKE_SIZE,
                          EXPORT_FLAGS_BARE | EXPORT_FLAG_FLUSH) &&
               put_limits(fd, 512, 4096, 65536);
    case FAKE_LIMITS:
        return put_export(fd, FAKE_SIZE, EXPORT_FLAGS_FULL) &&
               put_limits(fd, 4096, 4096, 65536);
    default:
        return put_export(fd, FAKE_SIZE, EXPORT_FLAGS_FULL);
    }
}

static bool answer_go(FakeServer *s, int fd)
{
    switch (get_mode(s)) {
    case FAKE_SILENT_GO:
        return wait_for_end(fd);
    case FAKE_NO_EXPORT:
        put_option_reply(fd, OPT_GO, REP_ERR_UNKNOWN, 0);
        return wait_for_end(fd);
    case FAKE_POLICY:
        put_option_reply(fd, OPT_GO, REP_ERR_POLICY, 0);
        return wait_for_end(fd);
    case FAKE_BAD_OPTION:
        put_option_reply(fd, 77, REP_ACK, 0);
        return wait_for_end(fd);
    default:
        return describe(s, fd) && put_option_reply(fd, OPT_GO, REP_ACK, 0);
    }
}

/* True when transmission begins. */
static bool negotiate(FakeServer *s, int fd)
{
    struct {
        uint64_t magic;
        uint32_t opt;
        uint32_t len;
    } __attribute__((packed)) header;
    char data[8192];

    if (!greet(s, fd)) {
        return false;
    }
    while (get(fd, &header, sizeof(header))) {
        uint32_t opt = be32toh(header.opt), len = be32toh(header.len);

        g_assert_cmpuint(len, <=, sizeof(data));
        if ((len && !get(fd, data, len)) || opt == OPT_ABORT) {
            return false;
        }
        if (opt == OPT_GO) {
            return answer_go(s, fd);
        }
        if (opt == OPT_EXPORT_NAME) {
            return put64(fd, FAKE_SIZE) && put(fd, "\0\0", 2);
        }
        if (!put_option_reply(fd, opt, REP_ERR_UNSUP, 0)) {
            return false;
        }
    }
    return false;
}

/* ---- Transmission. ---- */

typedef struct Request {
    uint32_t magic;
    uint16_t flags;
    uint16_t type;
    uint64_t cookie;
    uint64_t offset;
    uint32_t bytes;
} __attribute__((packed)) Request;

static bool put_reply(int fd, uint32_t magic, uint32_t error, uint64_t cookie)
{
    return put32(fd, magic) && put32(fd, error) &&
           put(fd, &cookie, sizeof(cookie));
}

static void count_request(FakeServer *s, const Request *r)
{
    static const int kinds[] = {
        [CMD_WRITE] = FAKE_WRITES,  [CMD_DISC] = FAKE_GOODBYES,
        [CMD_FLUSH] = FAKE_FLUSHES, [CMD_TRIM] = FAKE_TRIMS,
        [CMD_ZEROES] = FAKE_ZEROES,
    };

    if (r->type != CMD_READ) {
        count(s, kinds[r->type]);
    }
    if (r->flags & FLAG_FUA) {
        count(s, FAKE_FUAS);
    }
    count_max(s, FAKE_LARGEST, r->bytes);
    count(s, FAKE_REQUESTS);
}

static bool answer_well(FakeServer *s, int fd, const Request *r)
{
    char *data = s->data + r->offset;

    if (r->type == CMD_TRIM || r->type == CMD_ZEROES) {
        memset(data, 0, r->bytes);
    }
    return put_reply(fd, REPLY_MAGIC, 0, r->cookie) &&
           (r->type != CMD_READ || put(fd, data, r->bytes));
}

/* Behaves like a server whose storage hangs. */
static void sleep_on(FakeServer *s)
{
    QEMU_LOCK_GUARD(&s->lock);
    while (s->mode == FAKE_ASLEEP && !s->quit) {
        qemu_cond_wait(&s->cond, &s->lock);
    }
}

static bool answer(FakeServer *s, int fd, const Request *r)
{
    sleep_on(s);
    switch (get_mode(s)) {
    case FAKE_FROZEN:
        return true;
    case FAKE_FLUSHLESS:
        return r->type == CMD_FLUSH || answer_well(s, fd, r);
    case FAKE_DIE:
        return false;
    case FAKE_EIO:
        return put_reply(fd, REPLY_MAGIC, 5, r->cookie);
    case FAKE_WEIRD_ERROR:
        return put_reply(fd, REPLY_MAGIC, 0xdeadbeef, r->cookie);
    case FAKE_BAD_REPLY:
        return put_reply(fd, 0x12345678, 0, r->cookie);
    case FAKE_BAD_COOKIE:
        return put_reply(fd, REPLY_MAGIC, 0, ~r->cookie);
    case FAKE_STRUCTURED:
        return put_reply(fd, STRUCTURED_MAGIC, 0, r->cookie) && put32(fd, 0);
    case FAKE_HALF_REPLY:
        put_reply(fd, REPLY_MAGIC, 0, r->cookie);
        put(fd, s->data, r->bytes / 2);
        return wait_for_end(fd);
    default:
        return answer_well(s, fd, r);
    }
}

static void transmit(FakeServer *s, int fd)
{
    Request r;

    for (;;) {
        if (get_mode(s) == FAKE_DEAF) {
            wait_deaf(fd);
            return;
        }
        if (!get(fd, &r, sizeof(r))) {
            return;
        }
        g_assert_cmphex(be32toh(r.magic), ==, REQUEST_MAGIC);
        r.flags = be16toh(r.flags);
        r.type = be16toh(r.type);
        r.offset = be64toh(r.offset);
        r.bytes = be32toh(r.bytes);
        g_assert_cmpuint(r.type, <=, CMD_ZEROES);
        g_assert_cmpuint(r.offset + r.bytes, <=, FAKE_SIZE);
        if (r.type == CMD_WRITE && !get(fd, s->data + r.offset, r.bytes)) {
            return;
        }
        count_request(s, &r);
        if (r.type == CMD_DISC || !answer(s, fd, &r)) {
            return;
        }
    }
}

/* ---- Life. ---- */

static void open_listener(FakeServer *s)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    g_strlcpy(addr.sun_path, s->path, sizeof(addr.sun_path));
    unlink(s->path);
    g_assert_cmpint(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), ==, 0);
    g_assert_cmpint(listen(fd, 4), ==, 0);
    s->listen_fd = fd;
}

/* A descriptor to accept from; -1 when it is over. */
static int wait_listening(FakeServer *s)
{
    QEMU_LOCK_GUARD(&s->lock);
    while (s->listen_fd < 0 && !s->quit) {
        qemu_cond_wait(&s->cond, &s->lock);
    }
    return s->quit ? -1 : s->listen_fd;
}

/* Only this thread closes descriptors, so that none is taken for another. */
static void close_listener(FakeServer *s)
{
    QEMU_LOCK_GUARD(&s->lock);
    close(s->listen_fd);
    s->listen_fd = -1;
    qemu_cond_broadcast(&s->cond);
}

static void serve(FakeServer *s, int fd)
{
    bool stopped;

    WITH_QEMU_LOCK_GUARD(&s->lock) {
        s->conn_fd = fd;
        stopped = s->stopped || s->quit;
    }
    if (!stopped) {
        count(s, FAKE_CONNECTIONS);
        if (negotiate(s, fd)) {
            transmit(s, fd);
        }
        count(s, FAKE_ENDS);
    }
    QEMU_LOCK_GUARD(&s->lock);
    close(fd);
    s->conn_fd = -1;
}

static void *server_main(void *opaque)
{
    FakeServer *s = opaque;
    int listener;

    while ((listener = wait_listening(s)) >= 0) {
        int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

        if (fd < 0) {
            close_listener(s);
        } else {
            serve(s, fd);
        }
    }
    return NULL;
}

FakeServer *fake_server_new(const char *path, FakeMode mode)
{
    FakeServer *s = g_new0(FakeServer, 1);

    s->path = g_strdup(path);
    s->data = g_malloc0(FAKE_SIZE);
    s->mode = mode;
    s->conn_fd = -1;
    qemu_mutex_init_slow(&s->lock);
    qemu_cond_init(&s->cond);
    open_listener(s);
    qemu_thread_create(&s->thread, "fake-nbd", server_main, s,
                       QEMU_THREAD_JOINABLE);
    return s;
}

void fake_server_set(FakeServer *s, FakeMode mode)
{
    QEMU_LOCK_GUARD(&s->lock);
    s->mode = mode;
    qemu_cond_broadcast(&s->cond);
}

static void cut(FakeServer *s)
{
    unlink(s->path);
    if (s->listen_fd >= 0) {
        shutdown(s->listen_fd, SHUT_RDWR);
    }
    if (s->conn_fd >= 0) {
        shutdown(s->conn_fd, SHUT_RDWR);
    }
    qemu_cond_broadcast(&s->cond);
}

void fake_server_stop(FakeServer *s)
{
    QEMU_LOCK_GUARD(&s->lock);
    s->stopped = true;
    cut(s);
    while (s->listen_fd >= 0) {
        qemu_cond_wait(&s->cond, &s->lock);
    }
}

void fake_server_listen(FakeServer *s)
{
    QEMU_LOCK_GUARD(&s->lock);
    g_assert_true(s->stopped);
    s->stopped = false;
    open_listener(s);
    qemu_cond_broadcast(&s->cond);
}

void fake_server_free(FakeServer *s)
{
    WITH_QEMU_LOCK_GUARD(&s->lock) {
        s->quit = true;
        cut(s);
    }
    qemu_thread_join(&s->thread);
    if (s->listen_fd >= 0) {
        close(s->listen_fd);
    }
    qemu_cond_destroy(&s->cond);
    qemu_mutex_destroy(&s->lock);
    g_free(s->data);
    g_free(s->path);
    g_free(s);
}
