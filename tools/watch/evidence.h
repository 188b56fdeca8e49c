/*
 * Evidence: for which instance of a domain whose server tells nothing of them
 * a peer owes an answer, by what the kernel knows of the sockets.
 *
 * While the domain is well it is recorded where each instance is connected to;
 * while its main loop is silent, samples are taken of the sockets and of the
 * main thread.  What cannot be seen is no evidence.
 *
 * Belongs to the thread of its domain.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TOOLS_WATCH_EVIDENCE_H
#define TOOLS_WATCH_EVIDENCE_H

#include "client/domain.h"
#include "tools/sock-evidence.h"

typedef struct Evidence Evidence;

Evidence *evidence_new(YcDomain *dom);
void evidence_free(Evidence *evidence);

/*
 * The main loop has just answered: forgets the samples, and records again when
 * there are other instances than before.  Blocks for a second or two at most.
 */
void evidence_record(Evidence *evidence);
/* The main loop is silent: takes a sample.  Does not block. */
void evidence_sample(Evidence *evidence);
/* Forgets the samples: what comes next is another silence. */
void evidence_restart(Evidence *evidence);
/* Forgets all: the connection is lost, and another process may come. */
void evidence_forget(Evidence *evidence);

/*
 * For how long, in microseconds, the peer of the instance @name has been known
 * to owe an answer while the main thread waits; -1: it is not known to, or the
 * main thread does something else.
 * @why: set to the reason when -1 is returned; g_free() it
 */
gint64 evidence_owed_us(const Evidence *evidence, const char *name, char **why);

/*
 * The parts of the above, which take what is asked for as it was answered.
 * For unit tests.
 */
/*
 * @nodes: of query-named-block-nodes; @chardevs: of query-chardev
 * @cwd: the folder of the process, or NULL
 */
void evidence_set_ends(Evidence *evidence, json_object *nodes,
                       json_object *chardevs, const char *cwd);
/* @sockets: of SockState; NULL with @error: they could not be seen */
void evidence_add(Evidence *evidence, GPtrArray *sockets, bool waits,
                  const char *what, const GError *error, gint64 now);

#endif
