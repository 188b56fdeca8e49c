/*
 * A domain of the client library before a fake process, for tests: its main
 * loop and its guest agent hang on demand, and a yank brings the main loop
 * back.
 *
 * The fake process knows, in either lane: "die" (closes the connection) and
 * "emit" (sends its argument "text" as it is); "yank", "query-yank" and, as
 * yankd, "query-yank-status"; anything else is answered by its arguments.
 * The guest agent knows "guest-outlive": it answers once the process is dead.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef CLIENT_FAKE_DOMAIN_H
#define CLIENT_FAKE_DOMAIN_H

#include "client-fake-peer.h"
#include "client/job.h"
#include "qemu/thread.h"

typedef enum FakeDomainFlags {
    FAKE_DOMAIN_AGENT = 1 << 0,
    FAKE_DOMAIN_YANKD = 1 << 1,
    FAKE_DOMAIN_NO_YANK = 1 << 2,
    FAKE_DOMAIN_RECONNECT = 1 << 3,
} FakeDomainFlags;

typedef struct FakeDomain {
    YcDomain *dom;
    FakePeer *process;
    FakePeer *guest;
    unsigned flags;
    int hangs;       /* atomic: in-band requests are kept */
    int guest_hangs; /* atomic: so are the agent's, unread */
    int n_in_band;   /* atomic: how many came */
    GQueue kept;     /* the process's thread */
    int blocks;      /* atomic: 1: the event thread is to stand, 2: it stands,
                      * 3: it is to go on, 0: it goes on */
    char *yanked;    /* the arguments of the latest yank, or NULL */
    QemuMutex lock;  /* guards yanked */
} FakeDomain;

/* Connected. */
FakeDomain *fake_domain_new(const char *name, unsigned flags);
/* Fails when somebody still uses the domain. */
void fake_domain_free(FakeDomain *fake);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(FakeDomain, fake_domain_free)

void fake_domain_set_hangs(FakeDomain *fake, bool hangs);
void fake_domain_set_guest_hangs(FakeDomain *fake, bool hangs);
/* The arguments of the latest yank; g_free() it. */
char *fake_domain_yanked(FakeDomain *fake);
/* The process ends its connection; returns when the domain knows. */
void fake_domain_die(FakeDomain *fake);
/* The process sends @text. */
void fake_domain_emit(FakeDomain *fake, const char *text);

/* Takes the lock and begins a normal job called "test"; and back. */
void fake_domain_begin(FakeDomain *fake, YcJob kind);
void fake_domain_end(FakeDomain *fake);

/*
 * From here to there the event thread, which serves all domains, stands still
 * in a handler of @fake.
 */
void fake_domain_block_events(FakeDomain *fake);
void fake_domain_unblock_events(FakeDomain *fake);

/* Waits, with the domain not locked, until @n wait for jobs. */
void fake_domain_wait_waiters(FakeDomain *fake, unsigned n);
/* Waits until @n in-band requests have come. */
void fake_domain_wait_in_band(FakeDomain *fake, int n);

/* Fails the test unless @err is this one, word for word; frees it. */
void expect_domain_error(GError *err, YcDomainError code, const char *text);

/*
 * A mistake of the caller, made by @fn: a debug build aborts with @text on
 * stderr, in a process of its own; in a release build the call fails with
 * it.  @fn gets a domain that is its alone, and returns what became of it.
 */
typedef GError *MisuseFn(FakeDomain *fake);
void test_add_misuse(const char *path, MisuseFn *fn, const char *text);

/*
 * A thread that does as it is told, one thing after the other.
 */
typedef struct Actor Actor;
typedef void ActorFn(void *arg);

Actor *actor_new(void);
void actor_free(Actor *actor);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Actor, actor_free)
/* Starts @fn(@arg) there; the latest must have ended. */
void actor_start(Actor *actor, ActorFn *fn, void *arg);
void actor_wait(Actor *actor);
/* Both. */
void actor_do(Actor *actor, ActorFn *fn, void *arg);
/* As messages name it. */
pid_t actor_id(Actor *actor);

#endif
