/*
 * A monitor with a tiny command table, for unit tests.
 *
 * The test plays the client on a thread of its own, over a socket pair, while
 * the program's main thread runs the main loop.  The command "block" blocks
 * the main thread until the client lets it go.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef MONITOR_FIXTURE_H
#define MONITOR_FIXTURE_H

#include "monitor/monitor-internal.h"

/* Runs @client on its own thread, and the main loop until it returns. */
void fixture_run(void (*client)(void));

/* How often quit was announced, and asked for, in this test. */
int fixture_announced(void);
int fixture_quits(void);

/* Makes a quit on a session's thread send the event SHUTDOWN. */
void fixture_tell_quit(void);

/* What the client has; its functions fail the test after some seconds. */
typedef struct Client {
    int fd;
    GString *in;
    bool wants_stalls; /* MAIN_LOOP_STALLED and _RESUMED; else dropped */
} Client;

/* @negotiate: reads the greeting and negotiates; NULL, "" or "oob". */
Client *client_new(const char *negotiate);
Client *client_new_pretty(void);
void client_free(Client *client);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Client, client_free)

void client_send(Client *client, const char *text);
void client_send_len(Client *client, const char *text, size_t len);
/* False when the monitor has read nothing for a little while. */
bool client_can_send(Client *client);
/* The next line, without its end; NULL at the end of the stream. */
char *client_line(Client *client);
/* Reads the next line and compares. */
void client_expect(Client *client, const char *line);
void client_expect_end(Client *client);
/* Sends "block" and waits until the main thread is in it. */
void client_block(Client *client);
/* Lets the main thread go; "block" then answers. */
void client_unblock(void);
/* Sends the reply to an out-of-band "later"; @err NULL: success. */
void fixture_reply(const char *error);
/* True when nothing has come and nothing comes for a little while. */
bool client_is_quiet(Client *client);
/* Waits until all sessions together have @value requests queued. */
void fixture_wait_queued(int value);

/* Waits until there are @n sessions. */
void fixture_wait_sessions(int n);
/* Waits until some output is left unread. */
void fixture_wait_unread(void);

#endif
