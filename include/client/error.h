/*
 * Errors of the client library: GError in the domain YC_ERROR.
 *
 * The message is one line for a person.  It names the socket, but for what a
 * server or a guest agent answered: that message is its own, word for word, but
 * with control characters as \xNN.
 *
 * All public names of the library begin with yc_, Yc or YC_.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef YANKCLIENT_ERROR_H
#define YANKCLIENT_ERROR_H

#include <stdbool.h>
#include <glib.h>

G_BEGIN_DECLS

typedef enum YcError {
    /* The caller's mistake: an address, a limit, a call at the wrong time. */
    YC_ERROR_INVALID,
    /* No connection came about: no such socket, refused, no such host, or no
     * file descriptors left here. */
    YC_ERROR_CONNECT,
    /* Connected, but no greeting within the deadline: something else listens
     * there, or another client holds a socket that serves one at a time. */
    YC_ERROR_NO_GREETING,
    /* Greeted, but negotiation was not answered within the deadline: the
     * main loop of a stock server hangs. */
    YC_ERROR_NO_NEGOTIATION,
    /* The peer does not speak the protocol, or broke it. */
    YC_ERROR_PROTOCOL,
    /* There is no connection, or it went away before the answer came. */
    YC_ERROR_CLOSED,
    /* The deadline of a request passed. */
    YC_ERROR_TIMEOUT,
    /* An out-of-band request, and the connection has no out-of-band. */
    YC_ERROR_NO_OOB,
    /* The server answered with an error, by its class. */
    YC_ERROR_QMP_GENERIC = 100, /* GenericError, or a class unknown here */
    YC_ERROR_QMP_COMMAND_NOT_FOUND,
    YC_ERROR_QMP_DEVICE_NOT_ACTIVE,
    YC_ERROR_QMP_DEVICE_NOT_FOUND,
    YC_ERROR_QMP_KVM_MISSING_CAP,
} YcError;

#define YC_ERROR (yc_error_quark())
GQuark yc_error_quark(void);

/* True when @err is an answer of the server (YC_ERROR_QMP_...).  Any thread;
 * NULL is fine. */
bool yc_error_is_answer(const GError *err);

/* The class of such an answer as QMP spells it, "GenericError"; a static
 * string, NULL when @err is none.  Any thread. */
const char *yc_error_class(const GError *err);

G_END_DECLS

#endif
