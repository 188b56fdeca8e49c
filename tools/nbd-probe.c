/*
 * NBD probe: connects to a server, and reads the first word it says.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <netdb.h>
#include <sys/socket.h>
#include <sys/un.h>
#include "exit-code.h"
#include "json.h"
#include "nbd-probe.h"

#define MAGIC "NBDMAGIC"

/* Shared by who waits and who probes; the last of the two frees it. */
typedef struct Probe {
    int refs;
    struct sockaddr_un path; /* family AF_UNIX, or unset */
    char *host, *port;
    struct timeval limit;

    /* Guards these; taken alone. */
    GMutex lock;
    GCond ended;
    bool done;
    char *failure; /* NULL: it answered */
} Probe;

static void probe_unref(Probe *probe)
{
    if (g_atomic_int_dec_and_test(&probe->refs)) {
        g_free(probe->host);
        g_free(probe->port);
        g_free(probe->failure);
        g_mutex_clear(&probe->lock);
        g_cond_clear(&probe->ended);
        g_free(probe);
    }
}

/* NULL when it greets; else why not. */
static char *greet(Probe *probe, const struct sockaddr *address, socklen_t len)
{
    int fd = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    char magic[sizeof(MAGIC) - 1];
    char *failure = NULL;
    ssize_t n;

    if (fd < 0) {
        return g_strdup(g_strerror(errno));
    }
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &probe->limit,
               sizeof(probe->limit));
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &probe->limit,
               sizeof(probe->limit));
    if (connect(fd, address, len) != 0) {
        failure =
            g_strdup(g_strerror(errno == EINPROGRESS ? ETIMEDOUT : errno));
    } else {
        n = recv(fd, magic, sizeof(magic), MSG_WAITALL);
        if (n != sizeof(magic)) {
            failure = g_strdup(n < 0 ? "it accepts, and then is silent"
                                     : "it hangs up");
        } else if (memcmp(magic, MAGIC, sizeof(magic)) != 0) {
            failure = g_strdup("it is no NBD server");
        }
    }
    close(fd);
    return failure;
}

static char *greet_host(Probe *probe)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *list;
    char *failure = g_strdup("no address");
    int ret = getaddrinfo(probe->host, probe->port, &hints, &list);

    if (ret != 0) {
        g_free(failure);
        return g_strdup(gai_strerror(ret));
    }
    for (struct addrinfo *ai = list; ai && failure; ai = ai->ai_next) {
        g_free(failure);
        failure = greet(probe, ai->ai_addr, ai->ai_addrlen);
    }
    freeaddrinfo(list);
    return failure;
}

static void *run(void *opaque)
{
    Probe *probe = opaque;
    char *failure = probe->host ? greet_host(probe)
                                : greet(probe, (struct sockaddr *)&probe->path,
                                        sizeof(probe->path));

    g_mutex_lock(&probe->lock);
    probe->failure = failure;
    probe->done = true;
    g_cond_signal(&probe->ended);
    g_mutex_unlock(&probe->lock);
    probe_unref(probe);
    return NULL;
}

static const char *server_text(json_object *server)
{
    return json_object_to_json_string_ext(
        server, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE);
}

/* NULL, with an error, for an address that cannot be probed. */
static Probe *probe_new(json_object *server, int timeout_ms, GError **errp)
{
    const char *path = json_get_string(server, "path");
    const char *host = json_get_string(server, "host");
    const char *port = json_get_string(server, "port");
    Probe *probe;

    if (!(path && strlen(path) < sizeof(probe->path.sun_path)) &&
        !(host && port)) {
        g_set_error(errp, EXIT_ERROR, EXIT_FAILED,
                    "cannot tell whether the NBD server %s answers: only unix "
                    "and inet addresses can be probed",
                    server_text(server));
        return NULL;
    }
    probe = g_new0(Probe, 1);
    probe->refs = 2;
    probe->limit.tv_sec = timeout_ms / 1000;
    probe->limit.tv_usec = timeout_ms % 1000 * 1000;
    if (path) {
        probe->path.sun_family = AF_UNIX;
        strcpy(probe->path.sun_path, path);
    } else {
        probe->host = g_strdup(host);
        probe->port = g_strdup(port);
    }
    g_mutex_init(&probe->lock);
    g_cond_init(&probe->ended);
    return probe;
}

bool nbd_probe(json_object *server, int timeout_ms, GError **errp)
{
    gint64 deadline = g_get_monotonic_time() + timeout_ms * 1000LL;
    Probe *probe = probe_new(server, timeout_ms, errp);
    GThread *thread;
    bool ok;

    if (!probe) {
        return false;
    }
    thread = g_thread_try_new("probe", run, probe, errp);
    if (!thread) {
        probe_unref(probe);
        probe_unref(probe);
        return false;
    }
    g_thread_unref(thread);
    g_mutex_lock(&probe->lock);
    while (!probe->done &&
           g_cond_wait_until(&probe->ended, &probe->lock, deadline)) {
    }
    ok = probe->done && !probe->failure;
    if (!ok) {
        g_set_error(errp, EXIT_ERROR, EXIT_UNREACHABLE,
                    "the NBD server at %s does not answer: %s",
                    server_text(server),
                    probe->failure ? probe->failure : "no answer in time");
    }
    g_mutex_unlock(&probe->lock);
    probe_unref(probe);
    return ok;
}
