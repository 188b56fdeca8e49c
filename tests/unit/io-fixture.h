/*
 * What the tests of channels and character devices share.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TESTS_IO_FIXTURE_H
#define TESTS_IO_FIXTURE_H

#include "io/channel-socket.h"

/* After that many seconds a test has failed. */
#define FIXTURE_DEADLINE_S 30

/* A folder of the test's own, removed by io_fixture_finish(). */
void io_fixture_start(void);
/* Fails when descriptors were left open, or files in the folder. */
void io_fixture_finish(void);
/* A path in the folder; g_free() it. */
char *io_fixture_path(const char *name);

SocketAddress *io_fixture_unix(const char *path);
SocketAddress *io_fixture_inet(const char *host, const char *port);
/* Makes @fd count as an inherited descriptor. */
SocketAddress *io_fixture_fd(int fd);

/* Runs @context (NULL: the default one) until @done(@opaque). */
void io_fixture_run_until(GMainContext *context, bool (*done)(void *opaque),
                          void *opaque);
/* The same until *@flag, which this thread's callbacks set. */
void io_fixture_run_until_flag(GMainContext *context, const bool *flag);

/* A listening socket at @path with a queue of @backlog. */
int io_fixture_listen_unix(const char *path, int backlog);
/* The same on the loopback; the port is stored in @port (of 6 bytes). */
int io_fixture_listen_inet(char *port, int backlog);
/* A connected client of @path; -1 and errno when there is nobody. */
int io_fixture_connect_unix(const char *path, bool nonblock);
/* Fills the queue of @path; the sockets are in the result. */
GArray *io_fixture_fill_backlog(const char *path);
void io_fixture_close_all(GArray *fds);

#endif
