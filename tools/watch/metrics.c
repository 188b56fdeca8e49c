/*
 * Metrics over HTTP, by libmicrohttpd.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <microhttpd.h>
#include <sys/socket.h>
#include "tools/exit-code.h"
#include "exposition.h"
#include "metrics.h"

#define MAX_CONNECTIONS 16u
#define IDLE_SECONDS 10u

struct Metrics {
    Fleet *fleet;
    WatchSocket *sock;
    struct MHD_Daemon *daemon;
    GQueue connections; /* the daemon's thread's; the oldest first */
};

static enum MHD_Result answer(struct MHD_Connection *connection,
                              unsigned status, const char *type, char *text)
{
    struct MHD_Response *response = MHD_create_response_from_buffer(
        strlen(text), text, MHD_RESPMEM_MUST_FREE);
    enum MHD_Result result;

    if (!response) {
        g_free(text);
        return MHD_NO;
    }
    MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
    MHD_add_response_header(response, MHD_HTTP_HEADER_VARY,
                            MHD_HTTP_HEADER_ACCEPT);
    if (status == MHD_HTTP_METHOD_NOT_ALLOWED) {
        MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
    }
    result = MHD_queue_response(connection, status, response);
    MHD_destroy_response(response);
    return result;
}

static enum MHD_Result serve(void *opaque, struct MHD_Connection *connection,
                             const char *url, const char *method,
                             const char *version, const char *upload,
                             size_t *upload_size, void **state)
{
    Metrics *metrics = opaque;
    ExpositionFormat format = exposition_choose(MHD_lookup_connection_value(
        connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_ACCEPT));

    if (!g_str_equal(method, MHD_HTTP_METHOD_GET) &&
        !g_str_equal(method, MHD_HTTP_METHOD_HEAD)) {
        /* Of an upload nothing is wanted, but it has to be let pass. */
        *upload_size = 0;
        return answer(connection, MHD_HTTP_METHOD_NOT_ALLOWED, "text/plain",
                      g_strdup("allowed are GET and HEAD\n"));
    }
    if (!g_str_equal(url, "/metrics")) {
        return answer(connection, MHD_HTTP_NOT_FOUND, "text/plain",
                      g_strdup("there is only /metrics\n"));
    }
    return answer(connection, MHD_HTTP_OK, exposition_type(format),
                  exposition_of(metrics->fleet, format));
}

/*
 * The oldest connection makes room for the last that may come: requests that
 * are never finished keep no other from being served.
 */
static void note_connection(void *opaque, struct MHD_Connection *connection,
                            void **socket_context,
                            enum MHD_ConnectionNotificationCode code)
{
    Metrics *metrics = opaque;
    const union MHD_ConnectionInfo *oldest;

    if (code == MHD_CONNECTION_NOTIFY_CLOSED) {
        g_queue_remove(&metrics->connections, connection);
        return;
    }
    if (metrics->connections.length >= MAX_CONNECTIONS - 1) {
        oldest = MHD_get_connection_info(metrics->connections.head->data,
                                         MHD_CONNECTION_INFO_CONNECTION_FD);
        shutdown(oldest->connect_fd, SHUT_RDWR);
    }
    g_queue_push_tail(&metrics->connections, connection);
}

Metrics *metrics_new(WatchSocket *sock, Fleet *fleet, GError **errp)
{
    Metrics *metrics = g_new0(Metrics, 1);

    metrics->fleet = fleet;
    metrics->sock = sock;
    metrics->daemon = MHD_start_daemon(
        MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_AUTO, 0, NULL, NULL, serve,
        metrics, MHD_OPTION_LISTEN_SOCKET, watch_socket_fd(sock),
        MHD_OPTION_NOTIFY_CONNECTION, note_connection, metrics,
        MHD_OPTION_CONNECTION_LIMIT, MAX_CONNECTIONS,
        MHD_OPTION_CONNECTION_TIMEOUT, IDLE_SECONDS, MHD_OPTION_END);
    if (!metrics->daemon) {
        g_set_error(errp, EXIT_ERROR, EXIT_FAILED,
                    "metrics cannot be served: %s", g_strerror(errno));
        metrics_free(metrics);
        return NULL;
    }
    return metrics;
}

void metrics_free(Metrics *metrics)
{
    if (!metrics) {
        return;
    }
    if (metrics->daemon) {
        /* The listening socket is closed by the library. */
        MHD_stop_daemon(metrics->daemon);
        watch_socket_disown_fd(metrics->sock);
    }
    watch_socket_free(metrics->sock);
    g_free(metrics);
}
