/*
 * The shell's requests: on threads of their own, so that one that hangs keeps
 * nobody from the next, least of all from an out-of-band one.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TOOLS_SHELL_SESSION_H
#define TOOLS_SHELL_SESSION_H

#include "lane.h"
#include "qmp-text.h"

typedef enum ShellKind {
    SHELL_ANSWER, /* @result, or @error */
    SHELL_SCHEMA, /* @result: what query-qmp-schema returned */
    SHELL_EVENT,  /* @result: the whole message */
    SHELL_LOST,   /* the connection is gone */
} ShellKind;

/* Something to be shown. */
typedef struct ShellItem {
    ShellKind kind;
    char *command; /* of an answer */
    json_object *result;
    GError *error;
    gint64 us; /* for how long the answer was waited */
} ShellItem;

void shell_item_free(ShellItem *item);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ShellItem, shell_item_free)

typedef struct ShellSession ShellSession;

/*
 * Subscribes to the events of @lane, which must outlive the session.
 * @force: in-band commands are sent also while the main loop does not answer
 */
ShellSession *shell_session_new(Lane *lane, bool force, GError **errp);
/*
 * Requests under way get half a second more.  Returns how many of them have
 * not been answered by then.
 */
unsigned shell_session_leave(ShellSession *session);
/* Ends the connection. */
void shell_session_free(ShellSession *session);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ShellSession, shell_session_free)

/* Takes @request.  In-band ones run one after the other. */
void shell_session_submit(ShellSession *session, QmpText *request);
/* Asks for the schema, which comes as an item, or never. */
void shell_session_ask_schema(ShellSession *session);

/* A descriptor that is readable while there are items. */
int shell_session_fd(ShellSession *session);
/* The next item, the caller's; NULL: none at present. */
ShellItem *shell_session_take(ShellSession *session);
/* The same; waits for one while requests are under way. */
ShellItem *shell_session_wait(ShellSession *session);

#endif
