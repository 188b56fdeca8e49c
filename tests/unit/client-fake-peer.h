/*
 * A peer of the client library that does what a test tells it: a QMP server
 * or a guest agent, good or bad.
 *
 * It listens on a unix socket and plays its part on a thread of its own, once
 * for each connection, one after the other.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef CLIENT_FAKE_PEER_H
#define CLIENT_FAKE_PEER_H

#include "client/qmp-client.h"
#include "qobject/json.h"

/* How long anything in a test may take, in milliseconds. */
#define FAKE_DEADLINE_MS 30000

typedef struct FakePeer FakePeer;

/* The part: returns to close the connection. */
typedef void FakePeerFn(FakePeer *peer, void *opaque);

FakePeer *fake_peer_new(FakePeerFn *fn, void *opaque);
/* Ends the part, whatever it waits for, and cleans up. */
void fake_peer_free(FakePeer *peer);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(FakePeer, fake_peer_free)

/* "unix:PATH" */
const char *fake_peer_address(FakePeer *peer);
/* How many connections there have been.  Any thread. */
int fake_peer_connections(FakePeer *peer);

/*
 * The test's side: lets the part go on past one fake_wait(), and waits for
 * the part to come to one fake_told().
 */
void fake_peer_go(FakePeer *peer);
void fake_peer_hear(FakePeer *peer);

/*
 * For the part.  All end quietly once the connection or the test is over;
 * then whatever gives something gives NULL.
 */
void fake_wait(FakePeer *peer);
/* The connection, which stays the peer's. */
int fake_fd(FakePeer *peer);
void fake_tell(FakePeer *peer);
void fake_send(FakePeer *peer, const char *text);
void fake_send_len(FakePeer *peer, const char *text, size_t len);
/* False when the client does not read or is gone; waits for nobody. */
bool fake_try_send(FakePeer *peer, const char *text, size_t len);
/* The next line, without its end. */
char *fake_line(FakePeer *peer);
/* The same as JSON, which it must be. */
json_object *fake_request(FakePeer *peer);
/* Reads until the client closes. */
void fake_until_closed(FakePeer *peer);
/* True when nothing has come and nothing comes for a little while. */
bool fake_is_quiet(FakePeer *peer);

#define FAKE_GREETING                                                          \
    "{\"QMP\": {\"version\": {\"qemu\": {\"micro\": 3, \"minor\": 2, "         \
    "\"major\": 7}, \"package\": \"fake\"}, \"capabilities\": [\"oob\"]}}\r\n"
#define FAKE_GREETING_NO_OOB                                                   \
    "{\"QMP\": {\"version\": {}, \"capabilities\": []}}\r\n"
#define FAKE_GREETING_YANKD                                                    \
    "{\"QMP\": {\"version\": {\"package\": \"yankd-0.1.0\"}, "                 \
    "\"capabilities\": [\"oob\"]}}\r\n"

/* Sends @greeting and answers the negotiation. */
void fake_negotiate(FakePeer *peer, const char *greeting);
/* Answers @req with {"return": @result, "id": ...}; and so for an error. */
void fake_answer(FakePeer *peer, json_object *req, const char *result);
void fake_answer_error(FakePeer *peer, json_object *req, const char *cls,
                       const char *desc);
/* A string or number member of @req as text, "" without; belongs to @req. */
const char *fake_member(json_object *req, const char *name);
/* Answers each request with its arguments, until the client closes. */
void fake_echo(FakePeer *peer);

/*
 * The outcome of a call, checked: each fails the test when @err is not this
 * one, and frees it.
 */
void expect_error(GError *err, YcError code, const char *words);
/* Ends the library's threads, and so checks that no client is left. */
void expect_nothing_left(void);

#endif
