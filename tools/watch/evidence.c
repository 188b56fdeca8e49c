/*
 * Evidence: which peer owes an answer, from samples of the sockets.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <arpa/inet.h>
#include "client/yank.h"
#include "tools/exit-code.h"
#include "tools/json.h"
#include "tools/ops-internal.h"
#include "tools/repair-internal.h"
#include "evidence.h"
#include "log.h"

#define ANSWER_MS 500
/* One look at the main thread may find it between two waits. */
#define MIN_WAITS 2
/* The kernel counts the times of TCP in steps of up to ten milliseconds. */
#define STEP_US 20000

/* Where an instance is connected to. */
typedef struct End {
    char *peer;   /* as of SockState; NULL: whoever connects to @local */
    char *local;  /* NULL: any */
    bool named;   /* @peer has the name of a host: only its port counts */
    bool answers; /* each request is answered, so TCP's times tell */
} End;

/* What the samples tell of a socket. */
typedef struct Owed {
    guint64 unread;      /* in the latest sample */
    gint64 unread_since; /* never fewer since then; 0: all is read */
    gint64 silent_since; /* was sent then, and nothing came after; 0 */
} Owed;

struct Evidence {
    YcDomain *dom;
    char *recorded;   /* the names of instances by then, or NULL */
    bool no_yank;     /* the server has none: nothing to record */
    GHashTable *ends; /* name of an instance -> End */

    /* The samples. */
    GHashTable *owed;   /* inode -> Owed */
    GPtrArray *sockets; /* the latest, or NULL */
    GError *error;      /* why there are none; NULL: no sample yet */
    unsigned n_waits;   /* samples in a row in which the main thread waits */
    char *what;         /* what it does */
};

static void end_free(void *opaque)
{
    End *end = opaque;

    g_free(end->peer);
    g_free(end->local);
    g_free(end);
}

static GHashTable *new_owed(void)
{
    return g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, g_free);
}

Evidence *evidence_new(YcDomain *dom)
{
    Evidence *evidence = g_new0(Evidence, 1);

    evidence->dom = dom;
    evidence->ends =
        g_hash_table_new_full(g_str_hash, g_str_equal, g_free, end_free);
    evidence->owed = new_owed();
    return evidence;
}

void evidence_restart(Evidence *evidence)
{
    g_hash_table_remove_all(evidence->owed);
    g_clear_pointer(&evidence->sockets, g_ptr_array_unref);
    g_clear_error(&evidence->error);
    g_clear_pointer(&evidence->what, g_free);
    evidence->n_waits = 0;
}

void evidence_forget(Evidence *evidence)
{
    evidence_restart(evidence);
    g_hash_table_remove_all(evidence->ends);
    g_clear_pointer(&evidence->recorded, g_free);
    evidence->no_yank = false;
}

void evidence_free(Evidence *evidence)
{
    evidence_forget(evidence);
    g_hash_table_unref(evidence->owed);
    g_hash_table_unref(evidence->ends);
    g_free(evidence);
}

static void add_end(Evidence *evidence, const char *prefix, const char *name,
                    End end)
{
    g_hash_table_replace(evidence->ends, g_strconcat(prefix, name, NULL),
                         g_memdup2(&end, sizeof(end)));
}

/* Where @host is connected to at @port, in the words of SockState. */
static End inet_end(const char *host, const char *port)
{
    unsigned char address[sizeof(struct in6_addr)];
    char text[INET6_ADDRSTRLEN];
    End end = {.answers = true};

    if (inet_pton(AF_INET, host, address) == 1) {
        end.peer = g_strdup_printf("%s:%s", host, port);
    } else if (inet_pton(AF_INET6, host, address) == 1) {
        inet_ntop(AF_INET6, address, text, sizeof(text));
        end.peer = g_strdup_printf("[%s]:%s", text, port);
    } else {
        end.peer = g_strdup_printf("%s:%s", host, port);
        end.named = true;
    }
    return end;
}

/*
 * Where an NBD node of these options is connected to; without a peer when they
 * do not tell.  @cwd: what its path is relative to, or NULL
 */
static End nbd_end(json_object *options, const char *cwd)
{
    json_object *server = json_get_object(options, "server");
    json_object *from = server ? server : options;
    const char *path = json_get_string(from, "path");
    const char *host = json_get_string(from, "host");
    const char *port = json_get_string(from, "port");
    g_autofree char *whole = NULL;

    if (path) {
        whole = cwd ? g_canonicalize_filename(path, cwd) : g_strdup(path);
        return (End){.peer = g_strconcat("unix:", whole, NULL),
                     .answers = true};
    }
    return host ? inet_end(host, port ? port : "10809") : (End){0};
}

static void add_node(Evidence *evidence, json_object *node, const char *cwd)
{
    const char *driver = json_get_string(node, "drv");
    const char *name = json_get_string(node, "node-name");
    const char *file = json_get_string(node, "file");
    g_autoptr(json_object) options = NULL;
    End end = {0};

    if (!name || !file || g_strcmp0(driver, "nbd") != 0) {
        return;
    }
    options = repair_nbd_options(file, NULL);
    if (options) {
        end = nbd_end(options, cwd);
    }
    if (end.peer) {
        add_end(evidence, "blockdev:", name, end);
    }
}

/*
 * "unix:PATH[,server=on]" or "tcp:LOCAL[,server=on] <-> PEER", by which it is
 * the server's own address that a unix socket has.
 */
static void add_chardev(Evidence *evidence, json_object *chardev)
{
    const char *label = json_get_string(chardev, "label");
    const char *file = json_get_string(chardev, "filename");
    const char *comma = file ? strchr(file, ',') : NULL;
    const char *arrow = file ? strstr(file, " <-> ") : NULL;
    const char *end = comma ? comma : arrow;
    bool serves = comma && g_str_has_prefix(comma, ",server");
    End found = {0};
    g_autofree char *own = NULL;

    if (!label || !file) {
        return;
    }
    own = end ? g_strndup(file, end - file) : g_strdup(file);
    if (g_str_has_prefix(own, "unix:")) {
        *(serves ? &found.local : &found.peer) = g_strdup(own);
    } else if (g_str_has_prefix(own, "tcp:") && serves) {
        found.local = g_strdup(own + strlen("tcp:"));
    } else if (g_str_has_prefix(own, "tcp:") && arrow) {
        found.peer = g_strdup(arrow + strlen(" <-> "));
    } else {
        return;
    }
    add_end(evidence, "chardev:", label, found);
}

void evidence_set_ends(Evidence *evidence, json_object *nodes,
                       json_object *chardevs, const char *cwd)
{
    g_hash_table_remove_all(evidence->ends);
    for (size_t i = 0, n = json_length(nodes); i < n; i++) {
        add_node(evidence, json_object_array_get_idx(nodes, i), cwd);
    }
    for (size_t i = 0, n = json_length(chardevs); i < n; i++) {
        add_chardev(evidence, json_object_array_get_idx(chardevs, i));
    }
}

/* The process of the domain; 0 or less: not known. */
static int process(const Evidence *evidence)
{
    return yc_qmp_client_peer_pid(yc_domain_lane(evidence->dom));
}

/* The names of @instances that tell nothing of themselves, in one string. */
static char *silent_names(GPtrArray *instances)
{
    GString *names = g_string_new(NULL);

    for (guint i = 0; i < instances->len; i++) {
        const YcInstance *instance = instances->pdata[i];

        if (!instance->has_status) {
            g_string_append_printf(names, "%s\n", instance->name);
        }
    }
    return g_string_free(names, false);
}

static void tell_known(const Evidence *evidence, GPtrArray *instances)
{
    unsigned n = 0, n_known = 0;

    for (guint i = 0; i < instances->len; i++) {
        const YcInstance *instance = instances->pdata[i];

        if (!instance->has_status && !instance->monitor) {
            n++;
            n_known += g_hash_table_contains(evidence->ends, instance->name);
        }
    }
    watch_log("domain '%s': the peers of %u of %u instances are known",
              yc_domain_name(evidence->dom), n_known, n);
}

/* False when it is to be tried again. */
static bool ask_ends(Evidence *evidence)
{
    g_autoptr(json_object) flat = json_object_new_object();
    g_autoptr(json_object) nodes = NULL;
    g_autoptr(json_object) chardevs = NULL;
    g_autofree char *path = NULL;
    g_autofree char *cwd = NULL;

    path = g_strdup_printf("/proc/%d/cwd", process(evidence));
    cwd = g_file_read_link(path, NULL);
    json_set_bool(flat, "flat", true);
    nodes = ops_in_band(evidence->dom, "query-named-block-nodes", flat,
                        ANSWER_MS, NULL);
    if (nodes) {
        chardevs =
            ops_in_band(evidence->dom, "query-chardev", NULL, ANSWER_MS, NULL);
    }
    if (!nodes || !chardevs) {
        return false;
    }
    evidence_set_ends(evidence, nodes, chardevs, cwd);
    return true;
}

void evidence_record(Evidence *evidence)
{
    g_autoptr(GPtrArray) instances = NULL;
    g_autoptr(GError) err = NULL;
    g_autofree char *names = NULL;

    evidence_restart(evidence);
    if (evidence->no_yank) {
        return;
    }
    instances = yc_domain_query_yank(evidence->dom, ANSWER_MS, &err);
    if (!instances) {
        evidence->no_yank =
            g_error_matches(err, YC_DOMAIN_ERROR, YC_DOMAIN_ERROR_UNSUPPORTED);
        return;
    }
    names = silent_names(instances);
    if (g_strcmp0(names, evidence->recorded) != 0 &&
        (!names[0] || ask_ends(evidence))) {
        if (names[0]) {
            tell_known(evidence, instances);
        }
        g_free(evidence->recorded);
        evidence->recorded = g_steal_pointer(&names);
    }
}

/* What is owed at @state, of which @old (or NULL) was known before. */
static Owed *look(const SockState *state, const Owed *old, gint64 now)
{
    Owed *owed = g_new0(Owed, 1);

    owed->unread = state->unread;
    if (state->unread > 0) {
        owed->unread_since =
            old && old->unread_since && state->unread >= old->unread
                ? old->unread_since
                : now;
    }
    if (state->sent_ms >= 0 && state->received_ms > state->sent_ms) {
        gint64 received = now - state->received_ms * 1000;

        owed->silent_since =
            old && old->silent_since && received < old->silent_since + STEP_US
                ? old->silent_since
                : now - state->sent_ms * 1000;
    }
    return owed;
}

void evidence_add(Evidence *evidence, GPtrArray *sockets, bool waits,
                  const char *what, const GError *error, gint64 now)
{
    GHashTable *owed = new_owed();

    for (guint i = 0; sockets && i < sockets->len; i++) {
        const SockState *state = sockets->pdata[i];

        if (!state->listens) {
            g_hash_table_replace(
                owed, g_memdup2(&state->inode, sizeof(state->inode)),
                look(state, g_hash_table_lookup(evidence->owed, &state->inode),
                     now));
        }
    }
    g_hash_table_unref(evidence->owed);
    evidence->owed = owed;
    g_clear_pointer(&evidence->sockets, g_ptr_array_unref);
    evidence->sockets = sockets ? g_ptr_array_ref(sockets) : NULL;
    g_clear_error(&evidence->error);
    evidence->error = error ? g_error_copy(error) : NULL;
    evidence->n_waits = waits ? evidence->n_waits + 1 : 0;
    g_free(evidence->what);
    evidence->what = g_strdup(what);
}

void evidence_sample(Evidence *evidence)
{
    int pid = process(evidence);
    g_autoptr(GPtrArray) sockets = NULL;
    g_autoptr(GError) err = NULL;
    g_autofree char *what = NULL;
    bool waits = false;

    if (pid <= 0) {
        g_set_error(&err, EXIT_ERROR, EXIT_FAILED,
                    "its process is not known: the monitor is no unix socket "
                    "of a process that can be seen here");
    } else if (sock_evidence_main_thread(pid, &waits, &what, &err)) {
        sockets = sock_evidence_sockets(pid, &err);
    }
    evidence_add(evidence, sockets, waits, what, err, g_get_monotonic_time());
}

static bool is_at(const End *end, const SockState *state)
{
    if (state->listens || !state->peer ||
        (end->local && !g_str_equal(end->local, state->local))) {
        return false;
    }
    if (end->named) {
        return !g_str_has_prefix(state->peer, "unix:") &&
               g_str_has_suffix(state->peer, strrchr(end->peer, ':'));
    }
    return !end->peer || g_str_equal(end->peer, state->peer);
}

static gint64 since(const Evidence *evidence, const End *end,
                    const SockState *state)
{
    const Owed *owed = g_hash_table_lookup(evidence->owed, &state->inode);

    if (end->answers && owed->silent_since &&
        (!owed->unread_since || owed->silent_since < owed->unread_since)) {
        return owed->silent_since;
    }
    return owed->unread_since;
}

/* How many instances may be the one that has the socket @state. */
static unsigned count_users(const Evidence *evidence, const SockState *state)
{
    GHashTableIter iter;
    void *end;
    unsigned n = 0;

    g_hash_table_iter_init(&iter, evidence->ends);
    while (g_hash_table_iter_next(&iter, NULL, &end)) {
        n += is_at(end, state);
    }
    return n;
}

/*
 * Since when the peer at @end owes an answer; 0: it does not, or that is not
 * known.  Where several instances are connected to it, their sockets cannot be
 * told apart: then all of these must be owed one.
 */
static gint64 owed_since(const Evidence *evidence, const End *end, char **why)
{
    const char *where = end->peer ? end->peer : end->local;
    gint64 first = 0, last = 0;
    unsigned n = 0, n_owed = 0;
    bool shared = false;

    for (guint i = 0; i < evidence->sockets->len; i++) {
        const SockState *state = evidence->sockets->pdata[i];

        if (is_at(end, state)) {
            gint64 at = since(evidence, end, state);

            n++;
            n_owed += at != 0;
            shared = shared || count_users(evidence, state) > 1;
            first = at && (!first || at < first) ? at : first;
            last = MAX(last, at);
        }
    }
    if (n == 0) {
        *why = g_strdup_printf("it has no connection to %s", where);
    } else if (n_owed == 0) {
        *why = g_strdup_printf("nothing shows that %s owes an answer", where);
    } else if (shared && n_owed < n) {
        *why = g_strdup_printf("others are connected to %s as well, and "
                               "not all of them are owed an answer",
                               where);
        return 0;
    }
    return shared ? last : first;
}

static bool is_outgoing(const Evidence *evidence, const SockState *state)
{
    const char *port = strrchr(state->local, ':');

    if (state->listens || !state->peer) {
        return false;
    }
    if (g_str_has_prefix(state->local, "unix:")) {
        return g_str_equal(state->local, "unix:");
    }
    for (guint i = 0; i < evidence->sockets->len; i++) {
        const SockState *other = evidence->sockets->pdata[i];

        if (other->listens && g_str_has_suffix(other->local, port)) {
            return false;
        }
    }
    return true;
}

/* The same of a migration: QMP does not tell its sockets, which remain. */
static gint64 migration_owed_since(const Evidence *evidence, char **why)
{
    const End any = {0};
    gint64 first = 0;

    for (guint i = 0; i < evidence->sockets->len; i++) {
        const SockState *state = evidence->sockets->pdata[i];

        if (is_outgoing(evidence, state) && count_users(evidence, state) == 0) {
            gint64 at = since(evidence, &any, state);

            first = at && (!first || at < first) ? at : first;
        }
    }
    if (!first) {
        *why = g_strdup("nothing shows that its destination owes anything");
    }
    return first;
}

gint64 evidence_owed_us(const Evidence *evidence, const char *name, char **why)
{
    const End *end = g_hash_table_lookup(evidence->ends, name);
    bool migration = g_str_equal(name, "migration");
    gint64 at = 0;

    *why = NULL;
    if (evidence->error) {
        *why = g_strdup(evidence->error->message);
    } else if (!evidence->sockets) {
        *why = g_strdup("its sockets have not been looked at yet");
    } else if (evidence->n_waits < MIN_WAITS) {
        *why = g_strdup_printf("the main thread %s", evidence->what);
    } else if (migration) {
        at = migration_owed_since(evidence, why);
    } else if (end) {
        at = owed_since(evidence, end, why);
    } else {
        *why = g_strdup("its peer is not known");
    }
    return at ? g_get_monotonic_time() - at : -1;
}
