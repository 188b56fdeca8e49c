/*
 * The destination reads the hello of each connection, which tells which
 * connections belong together.
 *
 * The loop reads from all connections without waiting for any of them.  A
 * stranger costs a descriptor and some memory, and delays no other connection.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "destination.h"
#include "main-call.h"
#include "migration-internal.h"
#include "options.h"
#include "qemu/fd-watch.h"
#include "state.h"
#include "stats.h"

/*
 * Connections whose hello is awaited, and for how long.  When there are more,
 * the oldest has to go: a source says hello at once.
 */
#define MAX_GREETERS (STREAM_MAX_CHANNELS + 16)
#define HELLO_TIMEOUT_MS 10000

/* A connection from its beginning to its hello.  Belongs to the loop. */
typedef struct Greeter {
    Destination *destination;
    Link *link; /* the hello_link of its time */
    QIOChannel *ioc;
    QIOChannel *spoken; /* TLS over ioc, or ioc; NULL until creds are known */
    QCryptoTLSCreds *creds; /* NULL: no TLS */
    bool secured;           /* the TLS handshake is done, or there is no TLS */
    FdWatch *watch;
    /* limits the time of the peer; NULL while it need not act */
    GSource *deadline;
    uint8_t hello[STREAM_HELLO_SIZE];
    size_t got; /* bytes of hello received */
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

/* ---- One connection. ---- */

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

static void clear_deadline(Greeter *g)
{
    if (g->deadline) {
        g_source_destroy(g->deadline);
        g_clear_pointer(&g->deadline, g_source_unref);
    }
}

/* Ends @g.  @err says why there is no hello, or is NULL; consumed. */
static void greeter_end(Greeter *g, Error *err)
{
    g_queue_remove(&g->destination->greeters, g);
    if (err) {
        note_stranger(g, err);
        error_free(err);
    }
    clear_deadline(g);
    fd_watch_free(g->watch);
    link_remove_channel(g->link, g->ioc);
    link_unref(g->link);
    tls_creds_unref(g->creds);
    qio_channel_unref(g->spoken);
    qio_channel_unref(g->ioc);
    g_free(g);
}

static gboolean greeter_timed_out(gpointer opaque)
{
    Error *err = NULL;

    error_setg(&err, "The peer has not sent its hello within %d ms",
               HELLO_TIMEOUT_MS);
    greeter_end(opaque, err);
    return G_SOURCE_REMOVE;
}

static void set_deadline(Greeter *g)
{
    g->deadline = g_timeout_source_new(HELLO_TIMEOUT_MS);
    g_source_set_callback(g->deadline, greeter_timed_out, g, NULL);
    g_source_attach(g->deadline,
                    iothread_get_g_main_context(g->destination->loop));
}

/*
 * Makes the channel blocking, as the threads of a session need it, and hands it
 * over.
 */
static void greet_back(Greeter *g, const StreamHello *hello)
{
    g_autoptr(Link) old = NULL;
    const char *why;
    Error *err = NULL;

    fd_watch_set_events(g->watch, 0);
    if (!qio_channel_set_blocking(g->ioc, true, &err)) {
        greeter_end(g, err);
        return;
    }
    why = take(g, hello, g->spoken, &old);
    if (why && hello->channel == 0 &&
        qio_channel_set_blocking(g->ioc, false, NULL)) {
        say_no(g->spoken, why);
    }
    if (old) {
        link_cut(old, "The source has connected anew");
    }
    greeter_end(g, NULL);
}

static void hello_complete(Greeter *g)
{
    StreamHello hello;
    Error *err = NULL;

    if (stream_hello_unpack(g->hello, &hello, &err)) {
        greet_back(g, &hello);
    } else {
        say_no(g->spoken, error_get_pretty(err));
        greeter_end(g, err);
    }
}

/*
 * Returns true if the hello is complete or errp is set; false if more must
 * come.
 */
static bool read_hello(Greeter *g, Error **errp)
{
    while (g->got < sizeof(g->hello)) {
        ssize_t n = qio_channel_read(g->spoken, g->hello + g->got,
                                     sizeof(g->hello) - g->got, errp);

        if (n == QIO_CHANNEL_ERR_BLOCK) {
            fd_watch_set_events(g->watch, G_IO_IN);
            return false;
        }
        if (n == 0) {
            error_setg(errp, g->got ? "The peer closed it within its hello"
                                    : "The peer closed it before its hello");
        }
        if (n <= 0) {
            return true;
        }
        g->got += n;
    }
    return true;
}

/* Returns true if the handshake is done or errp is set. */
static bool shake_hands(Greeter *g, Error **errp)
{
    if (g->secured) {
        return true;
    }
    switch (qio_channel_tls_handshake_step(g->spoken, errp)) {
    case QIO_CHANNEL_TLS_WANT_READ:
        fd_watch_set_events(g->watch, G_IO_IN);
        return false;
    case QIO_CHANNEL_TLS_WANT_WRITE:
        fd_watch_set_events(g->watch, G_IO_OUT);
        return false;
    case QIO_CHANNEL_TLS_DONE:
        g->secured = true;
        return true;
    case QIO_CHANNEL_TLS_FAILED:
    default:
        return true;
    }
}

/* Continues as far as possible without waiting.  May free @g. */
static void greeter_go_on(Greeter *g)
{
    Error *err = NULL;

    if (!shake_hands(g, &err) || (!err && !read_hello(g, &err))) {
        return;
    }
    if (err) {
        greeter_end(g, err);
    } else {
        hello_complete(g);
    }
}

static void greeter_ready(GIOCondition condition, void *opaque)
{
    Greeter *g = opaque;
    Error *err = NULL;

    if (g->spoken) {
        greeter_go_on(g);
        return;
    }
    error_setg(&err, "The peer closed it before the server was ready");
    greeter_end(g, err);
}

/* ---- TLS. ---- */

/* Starts to talk to the peer, with TLS if @creds is not NULL. */
static void start_talking(Greeter *g, QCryptoTLSCreds *creds)
{
    Error *err = NULL;

    if (creds) {
        g->creds = tls_creds_ref(creds);
        g->spoken = qio_channel_tls_new_server(g->ioc, creds, &err);
    } else {
        g->spoken = qio_channel_ref(g->ioc);
        g->secured = true;
    }
    if (!g->spoken) {
        greeter_end(g, err);
        return;
    }
    set_deadline(g);
    greeter_go_on(g);
}

/* Result of find_creds(). */
typedef struct FoundCreds {
    Destination *destination;
    QCryptoTLSCreds *creds;
    Error *err;
} FoundCreds;

/* Runs on the loop. */
static void creds_found(void *opaque)
{
    FoundCreds *found = opaque;
    GQueue *greeters = g_queue_copy(&found->destination->greeters);
    Greeter *g;

    found->destination->finding_creds = false;
    while ((g = g_queue_pop_head(greeters))) {
        if (g->spoken) {
            continue; /* it has got credentials already */
        }
        if (found->creds) {
            start_talking(g, found->creds);
        } else {
            greeter_end(g, error_copy(found->err));
        }
    }
    g_queue_free(greeters);
    tls_creds_unref(found->creds);
    error_free(found->err);
    g_free(found);
}

/* Looks up the credentials.  Main thread. */
static void find_creds(void)
{
    Destination *d = destination_get();
    g_autoptr(MigrationParameters) params = migration_parameters();
    FoundCreds *found;

    if (!d || !d->loop) {
        return;
    }
    found = g_new0(FoundCreds, 1);
    found->destination = d;
    found->creds = tls_creds_find(
        params->tls_creds, QCRYPTO_TLS_CREDS_ENDPOINT_SERVER, &found->err);
    iothread_post(d->loop, creds_found, found);
}

/*
 * Returns the credentials of the session, or NULL.  When only a resume is
 * possible, the main thread must not be needed, since it may be waiting for
 * that resume.
 */
static QCryptoTLSCreds *session_creds(Destination *d)
{
    QEMU_LOCK_GUARD(&migration_lock);

    return d->ready_said && d->creds ? tls_creds_ref(d->creds) : NULL;
}

static void begin_tls(Greeter *g)
{
    Destination *d = g->destination;
    g_autoptr(QCryptoTLSCreds) creds = session_creds(d);

    if (creds) {
        start_talking(g, creds);
    } else if (!d->finding_creds) {
        /* One request to the main thread for all: it may take long. */
        d->finding_creds = true;
        migration_post_main(find_creds);
    }
}

/* ---- Arrival and departure. ---- */

static bool is_welcome(Destination *d)
{
    QEMU_LOCK_GUARD(&migration_lock);

    return !d->shutting_down && !d->closed;
}

static void make_room(Destination *d)
{
    Error *err = NULL;

    if (g_queue_get_length(&d->greeters) >= MAX_GREETERS) {
        error_setg(&err, "%d newer connections had sent no hello",
                   MAX_GREETERS - 1);
        greeter_end(g_queue_peek_head(&d->greeters), err);
    }
}

void destination_greet(Destination *d, QIOChannel *ioc)
{
    g_autoptr(MigrationParameters) params = migration_parameters();
    Greeter *g;

    if (!is_welcome(d)) {
        qio_channel_unref(ioc);
        return;
    }
    make_room(d);
    g = g_new0(Greeter, 1);
    g->destination = d;
    g->ioc = ioc;
    WITH_QEMU_LOCK_GUARD(&migration_lock) {
        g->link = link_ref(d->hello_link);
    }
    /* A link that was cut shuts the new channel down. */
    link_add_channel(g->link, ioc, NULL);
    g->watch = fd_watch_new(iothread_get_g_main_context(d->loop),
                            qio_channel_get_read_fd(ioc), greeter_ready, g);
    g_queue_push_tail(&d->greeters, g);
    if (params->tls_creds[0]) {
        begin_tls(g);
    } else {
        start_talking(g, NULL);
    }
}

void destination_end_greeters(Destination *d)
{
    while (!g_queue_is_empty(&d->greeters)) {
        greeter_end(g_queue_peek_head(&d->greeters), NULL);
    }
}
