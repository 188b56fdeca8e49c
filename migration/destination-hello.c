/*
 * The destination finds out who has connected, and which connections belong
 * together.
 *
 * Each connection is read by a thread of its own until its hello is there, so
 * that one that says nothing is in nobody's way.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "destination.h"
#include "main-call.h"
#include "migration-internal.h"
#include "options.h"
#include "state.h"
#include "stats.h"

/*
 * Connections whose hello is awaited, and for how long.  When there are more,
 * the oldest has to go: a source says hello at once.
 */
#define MAX_SILENT (STREAM_MAX_CHANNELS + 16)
#define HELLO_TIMEOUT_MS 10000
/* Threads at most; those that had to go may wait for the main thread still. */
#define MAX_GREETERS (2 * MAX_SILENT)

typedef struct Greeter {
    Destination *destination;
    Link *link; /* the hello_link of its time */
    QIOChannel *ioc;
    QCryptoTLSCreds *creds; /* NULL: no TLS */
} Greeter;

void assembly_free(Assembly *a)
{
    if (!a) {
        return;
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(a->channels); i++) {
        qio_channel_unref(a->channels[i]);
    }
    link_unref(a->link);
    g_free(a);
}

/* ---- TLS. ---- */

typedef struct FindCreds {
    const char *id;
    QCryptoTLSCreds *creds;
    Error *err;
} FindCreds;

static void find_creds(void *opaque)
{
    FindCreds *find = opaque;

    find->creds =
        tls_creds_find(find->id, QCRYPTO_TLS_CREDS_ENDPOINT_SERVER, &find->err);
}

/*
 * The credentials.  Once only a resume can come they are those of the session:
 * it must not need the main thread, which may be waiting for just that.
 */
static QCryptoTLSCreds *get_creds(Greeter *g, const char *id, Error **errp)
{
    Destination *d = g->destination;
    FindCreds find = {.id = id};

    WITH_QEMU_LOCK_GUARD(&migration_lock) {
        if (d->ready_said && d->creds) {
            return tls_creds_ref(d->creds);
        }
    }
    if (!migration_call_main(g->link, find_creds, &find)) {
        link_error(g->link, errp);
        return NULL;
    }
    error_propagate(errp, find.err);
    return find.creds;
}

/* The channel to speak over; g->ioc itself without TLS. */
static QIOChannel *secure(Greeter *g, Error **errp)
{
    g_autoptr(MigrationParameters) params = migration_parameters();
    g_autoptr(QIOChannel) tls = NULL;

    if (!params->tls_creds[0]) {
        return qio_channel_ref(g->ioc);
    }
    g->creds = get_creds(g, params->tls_creds, errp);
    if (!g->creds) {
        return NULL;
    }
    tls = qio_channel_tls_new_server(g->ioc, g->creds, errp);
    if (!tls || qio_channel_tls_handshake(tls, errp) < 0) {
        return NULL;
    }
    return g_steal_pointer(&tls);
}

/* ---- Which connections belong together. ---- */

static bool same_id(const uint8_t *a, const uint8_t *b)
{
    return memcmp(a, b, STREAM_ID_SIZE) == 0;
}

static bool has_session(Destination *d)
{
    return d->link && !link_is_cut_locked(d->link);
}

/*
 * Why @hello is of an attempt to connect that its source has given up, or
 * NULL: it has begun a later one, and hellos overtake each other.
 */
static const char *refuse_late(Destination *d, const StreamHello *hello)
{
    const StreamHello *last = &d->last_hello;
    const Assembly *a = d->assembly;

    if ((same_id(last->process, hello->process) &&
         hello->attempt <= last->attempt) ||
        (a && same_id(a->hello.process, hello->process) &&
         hello->attempt < a->hello.attempt)) {
        return "The source has connected anew since";
    }
    return NULL;
}

/* Why @hello cannot be taken now, or NULL; with the lock held. */
static const char *refuse(Destination *d, const StreamHello *hello)
{
    bool same_session = same_id(d->session, hello->session);
    bool same_process = same_id(d->process, hello->process);

    if (d->closed || d->shutting_down) {
        return "No migration is expected here any more";
    }
    if (hello->flags & STREAM_HELLO_RESUME) {
        return same_session && (d->ready_said || d->served)
                   ? refuse_late(d, hello)
                   : "There is nothing to resume here";
    }
    if (d->served) {
        return "The volumes are served here already";
    }
    if (same_session) {
        return "This session has been seen before";
    }
    /*
     * A source that starts anew still has its role, and its last migration
     * has ended, whether we know or not.  Others have to wait.
     */
    if (!same_process && (d->ready_said || has_session(d))) {
        return "A migration from another process is in progress";
    }
    return refuse_late(d, hello);
}

/* A new attempt to connect takes the place of an old one that is not whole. */
static Assembly *find_assembly(Destination *d, const StreamHello *hello)
{
    Assembly *a = d->assembly;

    if (a && !link_is_cut_locked(a->link) &&
        same_id(a->hello.process, hello->process) &&
        a->hello.attempt == hello->attempt &&
        same_id(a->hello.session, hello->session) &&
        a->hello.flags == hello->flags &&
        a->hello.channels == hello->channels && !a->channels[hello->channel]) {
        return a;
    }
    assembly_free(a);
    a = d->assembly = g_new0(Assembly, 1);
    a->hello = *hello;
    a->link = link_new();
    return a;
}

/* The session that runs ends, since its source has connected anew. */
static void replace_session(Destination *d, Assembly *a)
{
    assembly_free(d->waiting);
    d->waiting = a;
    d->assembly = NULL;
    qemu_cond_broadcast(&migration_cond);
}

/*
 * Puts @ioc, whose socket is g->ioc, where it belongs.  Returns why not, or
 * NULL; *@old is a link to be cut.
 */
static const char *take(Greeter *g, const StreamHello *hello, QIOChannel *ioc,
                        Link **old)
{
    Destination *d = g->destination;
    g_autoptr(QCryptoTLSCreds) old_creds = NULL;
    const char *why;
    Assembly *a;

    QEMU_LOCK_GUARD(&migration_lock);
    why = link_is_cut_locked(g->link) ? "The migration was yanked"
                                      : refuse(d, hello);
    if (why) {
        return why;
    }
    a = find_assembly(d, hello);
    a->channels[hello->channel] = qio_channel_ref(ioc);
    link_add_channel_locked(a->link, g->ioc);
    if (++a->n == hello->channels + 1u) {
        *old = d->link ? link_ref(d->link) : NULL;
        old_creds = d->creds;
        d->creds = g->creds ? tls_creds_ref(g->creds) : NULL;
        d->last_hello = a->hello;
        replace_session(d, a);
    }
    return NULL;
}

static void say_no(QIOChannel *ioc, const char *why)
{
    g_autoptr(MigrationChannel) c =
        migration_channel_new(qio_channel_ref(ioc), STREAM_FROM_SOURCE, 0);

    migration_channel_send_message(c, SECTION_ERROR, why, NULL);
}

/* Nobody but the operator can be told who knocks in vain. */
static void note_stranger(Greeter *g, const Error *err)
{
    g_autofree char *text =
        g_strdup_printf("Connection from %s was refused: %s",
                        qio_channel_peer(g->ioc), error_get_pretty(err));

    if (migration_state() == MIGRATION_STATUS_SETUP && destination_is_idle()) {
        stats_set_error(text);
    }
}

/* With the lock held. */
static void await_hello(Destination *d, Greeter *g)
{
    if (g_queue_get_length(&d->silent) >= MAX_SILENT) {
        Greeter *oldest = g_queue_pop_head(&d->silent);

        qio_channel_shutdown(oldest->ioc, QIO_CHANNEL_SHUTDOWN_BOTH, NULL);
    }
    g_queue_push_tail(&d->silent, g);
}

/* Its hello has come, or will not. */
static void end_silence(Greeter *g)
{
    QEMU_LOCK_GUARD(&migration_lock);
    g_queue_remove(&g->destination->silent, g);
}

static void read_hello(Greeter *g, QIOChannel *ioc, Error **errp)
{
    uint8_t buf[STREAM_HELLO_SIZE];
    g_autoptr(Link) old = NULL;
    StreamHello hello;
    const char *why;
    int ret = qio_channel_read_all(ioc, buf, sizeof(buf), errp);

    end_silence(g);
    if (ret == 0) {
        error_setg(errp, "It said nothing");
    }
    if (ret != 1) {
        return;
    }
    if (!stream_hello_unpack(buf, &hello, errp)) {
        say_no(ioc, error_get_pretty(*errp));
        return;
    }
    if (!qio_channel_set_read_timeout(g->ioc, 0, errp)) {
        return;
    }
    why = take(g, &hello, ioc, &old);
    if (why && hello.channel == 0) {
        say_no(ioc, why);
    }
    if (old) {
        link_cut(old, "The source has connected anew");
    }
}

static void *greeter_thread(void *opaque)
{
    Greeter *g = opaque;
    Destination *d = g->destination;
    g_autoptr(QIOChannel) ioc = NULL;
    Error *err = NULL;

    if (qio_channel_set_blocking(g->ioc, true, &err) &&
        qio_channel_set_read_timeout(g->ioc, HELLO_TIMEOUT_MS, &err)) {
        ioc = secure(g, &err);
    }
    if (ioc) {
        read_hello(g, ioc, &err);
    }
    end_silence(g);
    if (err) {
        note_stranger(g, err);
        error_free(err);
    }
    tls_creds_unref(g->creds);
    link_remove_channel(g->link, g->ioc);
    qio_channel_unref(g->ioc);
    link_unref(g->link);
    g_free(g);
    QEMU_LOCK_GUARD(&migration_lock);
    d->n_greeters--;
    qemu_cond_broadcast(&migration_cond);
    return NULL;
}

void destination_greet(Destination *d, QIOChannel *ioc)
{
    Greeter *g = g_new0(Greeter, 1);
    QemuThread thread;
    bool welcome = false;

    g->destination = d;
    g->ioc = ioc;
    WITH_QEMU_LOCK_GUARD(&migration_lock) {
        g->link = link_ref(d->hello_link);
        welcome =
            d->n_greeters < MAX_GREETERS && !d->shutting_down && !d->closed;
        d->n_greeters += welcome;
    }
    if (!welcome) {
        link_unref(g->link);
        qio_channel_unref(ioc);
        g_free(g);
        return;
    }
    /* After a cut the thread finds its channel shut down. */
    link_add_channel(g->link, ioc, NULL);
    WITH_QEMU_LOCK_GUARD(&migration_lock) {
        await_hello(d, g);
    }
    qemu_thread_create(&thread, "mig-hello", greeter_thread, g,
                       QEMU_THREAD_DETACHED);
}
