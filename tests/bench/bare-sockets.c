/*
 * Moves memory over loopback connections into fresh memory of another process,
 * with nothing around it, and tells how fast that was: what the kernel lets
 * through, where all who move a disk in that way end.
 *
 *   bare-sockets FILE CONNECTIONS
 *
 * FILE is mapped and sent, a piece to each connection in turn.  The rate in
 * MB/s is written to stdout.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <netinet/in.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include "qemu/thread.h"

#define PIECE (512 * KiB)
#define MAX_CONNECTIONS 16

typedef ssize_t TransferFn(int fd, void *buf, size_t len, int flags);

static char *memory;
static size_t memory_size;
static unsigned n_connections;
static int sockets[MAX_CONNECTIONS];
static TransferFn *transfer;

G_NORETURN static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static ssize_t transfer_out(int fd, void *buf, size_t len, int flags)
{
    return send(fd, buf, len, flags | MSG_NOSIGNAL);
}

static void transfer_all(int fd, char *buf, size_t len)
{
    while (len) {
        ssize_t n = transfer(fd, buf, len, MSG_WAITALL);

        if (n <= 0) {
            fail("transfer");
        }
        buf += n;
        len -= n;
    }
}

static void *connection_thread(void *opaque)
{
    size_t i = (int *)opaque - sockets;

    for (size_t at = i * PIECE; at < memory_size; at += n_connections * PIECE) {
        transfer_all(sockets[i], memory + at, MIN(PIECE, memory_size - at));
    }
    return NULL;
}

static void transfer_memory(TransferFn *fn)
{
    QemuThread threads[MAX_CONNECTIONS];

    transfer = fn;
    for (unsigned i = 0; i < n_connections; i++) {
        qemu_thread_create(&threads[i], "transfer", connection_thread,
                           &sockets[i], true);
    }
    for (unsigned i = 0; i < n_connections; i++) {
        qemu_thread_join(&threads[i]);
    }
}

G_NORETURN static void receive(int listener)
{
    memory = mmap(NULL, memory_size, PROT_READ | PROT_WRITE,
                  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) {
        fail("mmap");
    }
    madvise(memory, memory_size, MADV_HUGEPAGE);
    for (unsigned i = 0; i < n_connections; i++) {
        sockets[i] = accept(listener, NULL, NULL);
        if (sockets[i] < 0) {
            fail("accept");
        }
    }
    transfer_memory(recv);
    for (unsigned i = 0; i < n_connections; i++) {
        shutdown(sockets[i], SHUT_WR);
    }
    _exit(0);
}

/* The receiver ends a stream when it has all. */
static void wait_for_ends(void)
{
    for (unsigned i = 0; i < n_connections; i++) {
        char byte;

        if (recv(sockets[i], &byte, 1, 0) != 0) {
            fail("receiver");
        }
    }
}

static int listen_on_loopback(struct sockaddr_in *addr)
{
    socklen_t len = sizeof(*addr);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    *addr = (struct sockaddr_in){
        .sin_family = AF_INET,
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    if (fd < 0 || bind(fd, (struct sockaddr *)addr, len) < 0 ||
        listen(fd, MAX_CONNECTIONS) < 0 ||
        getsockname(fd, (struct sockaddr *)addr, &len) < 0) {
        fail("listen");
    }
    return fd;
}

static void map_file(const char *path)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0 || fstat(fd, &st) < 0) {
        fail(path);
    }
    memory_size = st.st_size;
    memory =
        mmap(NULL, memory_size, PROT_READ, MAP_SHARED | MAP_POPULATE, fd, 0);
    if (memory == MAP_FAILED) {
        fail(path);
    }
    close(fd);
}

int main(int argc, char **argv)
{
    struct sockaddr_in addr;
    int64_t begin, spent;
    int listener, status;
    pid_t child;

    n_connections = argc == 3 ? g_ascii_strtoull(argv[2], NULL, 10) : 0;
    if (!n_connections || n_connections > MAX_CONNECTIONS) {
        fprintf(stderr, "usage: %s FILE CONNECTIONS (1 to %d)\n", argv[0],
                MAX_CONNECTIONS);
        return 2;
    }
    map_file(argv[1]);
    listener = listen_on_loopback(&addr);
    child = fork();
    if (child < 0) {
        fail("fork");
    }
    if (child == 0) {
        receive(listener);
    }
    for (unsigned i = 0; i < n_connections; i++) {
        sockets[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (connect(sockets[i], (struct sockaddr *)&addr, sizeof(addr)) < 0) {
            fail("connect");
        }
    }
    begin = g_get_monotonic_time();
    transfer_memory(transfer_out);
    wait_for_ends();
    spent = g_get_monotonic_time() - begin;
    printf("%.1f\n", (double)memory_size / spent);
    return waitpid(child, &status, 0) != child || status != 0;
}
