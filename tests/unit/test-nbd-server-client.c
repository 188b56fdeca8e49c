/*
 * An NBD client for tests.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <linux/sockios.h>
#include "block/export/nbd-proto.h"
#include "qemu/bswap.h"
#include "test-nbd-server-client.h"

#define DEADLINE_S 30

void wire_be16(GByteArray *out, uint16_t v)
{
    v = GUINT16_TO_BE(v);
    wire_bytes(out, &v, sizeof(v));
}

void wire_be32(GByteArray *out, uint32_t v)
{
    v = GUINT32_TO_BE(v);
    wire_bytes(out, &v, sizeof(v));
}

void wire_be64(GByteArray *out, uint64_t v)
{
    v = GUINT64_TO_BE(v);
    wire_bytes(out, &v, sizeof(v));
}

void wire_bytes(GByteArray *out, const void *data, size_t len)
{
    if (len > 0) {
        g_byte_array_append(out, data, len);
    }
}

void wire_option(GByteArray *out, uint32_t option, const void *data,
                 uint32_t len)
{
    wire_be64(out, NBD_OPTION_MAGIC);
    wire_be32(out, option);
    wire_be32(out, len);
    wire_bytes(out, data, len);
}

void wire_info_option(GByteArray *out, uint32_t option, const char *name,
                      const uint16_t *requests, uint16_t n_requests)
{
    g_autoptr(GByteArray) data = g_byte_array_new();

    wire_be32(data, strlen(name));
    wire_bytes(data, name, strlen(name));
    wire_be16(data, n_requests);
    for (uint16_t i = 0; i < n_requests; i++) {
        wire_be16(data, requests[i]);
    }
    wire_option(out, option, data->data, data->len);
}

void wire_request(GByteArray *out, uint16_t flags, uint16_t type,
                  uint64_t cookie, uint64_t offset, uint32_t len)
{
    wire_be32(out, NBD_REQUEST_MAGIC);
    wire_be16(out, flags);
    wire_be16(out, type);
    wire_be64(out, cookie);
    wire_be64(out, offset);
    wire_be32(out, len);
}

int client_connect(const char *path)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    struct timeval deadline = {.tv_sec = DEADLINE_S};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    g_assert_cmpint(fd, >=, 0);
    g_strlcpy(addr.sun_path, path, sizeof(addr.sun_path));
    g_assert_no_errno(connect(fd, (struct sockaddr *)&addr, sizeof(addr)));
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &deadline, sizeof(deadline));
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &deadline, sizeof(deadline));
    return fd;
}

int client_connect_export(const char *path, const char *name, uint64_t *size,
                          uint16_t *flags)
{
    g_autoptr(GByteArray) out = g_byte_array_new();
    uint8_t greeting[NBD_GREETING_SIZE];
    uint8_t info[NBD_OPTION_REPLY_SIZE + 12];
    uint8_t ack[NBD_OPTION_REPLY_SIZE];
    int fd = client_connect(path);

    client_recv(fd, greeting, sizeof(greeting));
    wire_be32(out, NBD_FLAG_FIXED_NEWSTYLE | NBD_FLAG_NO_ZEROES);
    wire_info_option(out, NBD_OPT_GO, name, NULL, 0);
    client_send_wire(fd, out);

    client_recv(fd, info, sizeof(info));
    g_assert_cmphex(ldl_be_p(info + 12), ==, NBD_REP_INFO);
    if (size) {
        *size = ldq_be_p(info + 22);
    }
    if (flags) {
        *flags = lduw_be_p(info + 30);
    }
    client_recv(fd, ack, sizeof(ack));
    g_assert_cmphex(ldl_be_p(ack + 12), ==, NBD_REP_ACK);
    return fd;
}

void client_send(int fd, const void *data, size_t len)
{
    while (len > 0) {
        ssize_t n = send(fd, data, len, MSG_NOSIGNAL);

        g_assert_cmpint(n, >, 0);
        data = (const char *)data + n;
        len -= n;
    }
}

void client_send_maybe(int fd, const void *data, size_t len)
{
    while (len > 0) {
        ssize_t n = send(fd, data, len, MSG_NOSIGNAL);

        if (n < 0) {
            g_assert_true(errno == EPIPE || errno == ECONNRESET);
            return;
        }
        data = (const char *)data + n;
        len -= n;
    }
}

void client_send_wire(int fd, GByteArray *out)
{
    client_send(fd, out->data, out->len);
    g_byte_array_set_size(out, 0);
}

void client_recv(int fd, void *data, size_t len)
{
    while (len > 0) {
        ssize_t n = recv(fd, data, len, 0);

        g_assert_cmpint(n, >, 0);
        data = (char *)data + n;
        len -= n;
    }
}

void client_expect_eof(int fd)
{
    char buf[4096];
    ssize_t n;

    do {
        n = recv(fd, buf, sizeof(buf), 0);
    } while (n > 0);
    g_assert_true(n == 0 || errno == ECONNRESET);
}

void client_wait_read(int fd)
{
    gint64 deadline = g_get_monotonic_time() + DEADLINE_S * G_USEC_PER_SEC;
    int unread;

    do {
        g_assert_cmpint(g_get_monotonic_time(), <, deadline);
        sched_yield();
        g_assert_no_errno(ioctl(fd, SIOCOUTQ, &unread));
    } while (unread > 0);
}

bool client_has_input(int fd)
{
    struct pollfd pfd = {.fd = fd, .events = POLLIN};

    return poll(&pfd, 1, 0) > 0;
}

void client_request(int fd, uint16_t flags, uint16_t type, uint64_t cookie,
                    uint64_t offset, uint32_t len, const void *payload)
{
    g_autoptr(GByteArray) out = g_byte_array_new();

    wire_request(out, flags, type, cookie, offset, len);
    if (payload) {
        wire_bytes(out, payload, len);
    }
    client_send_wire(fd, out);
}

uint64_t client_reply(int fd, uint32_t *error)
{
    uint8_t reply[NBD_SIMPLE_REPLY_SIZE];

    client_recv(fd, reply, sizeof(reply));
    g_assert_cmphex(ldl_be_p(reply), ==, NBD_SIMPLE_REPLY_MAGIC);
    *error = ldl_be_p(reply + 4);
    return ldq_be_p(reply + 8);
}

void client_expect_reply(int fd, uint64_t cookie, uint32_t error)
{
    uint32_t got;

    g_assert_cmphex(client_reply(fd, &got), ==, cookie);
    g_assert_cmpuint(got, ==, error);
}
