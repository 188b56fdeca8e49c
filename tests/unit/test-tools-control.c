/*
 * The client's side of the control socket, before a service that reads late.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <glib/gstdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include "tools/control-client.h"
#include "tools/exit-code.h"
#include "tools/json.h"

/* More than the kernel keeps for the reader of a unix socket. */
#define BIG (4 * 1024 * 1024)
#define LONG_MS 60000
#define GREETING "{\"yankctl\": {\"protocol\": 1}}\n"

/* A service with one connection, and its client. */
typedef struct Service {
    char *dir;
    char *path;
    int listener;
    int fd;
    FILE *lines; /* reads @fd */
    ControlClient *client;
} Service;

static void *greet(void *opaque)
{
    Service *service = opaque;

    service->fd = accept(service->listener, NULL, NULL);
    g_assert_cmpint(service->fd, >=, 0);
    g_assert_cmpint(write(service->fd, GREETING, strlen(GREETING)), ==,
                    strlen(GREETING));
    service->lines = fdopen(service->fd, "r");
    return NULL;
}

static void start(Service *service)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    g_autoptr(GError) err = NULL;
    Options options = {.timeout_ms = LONG_MS};
    GThread *thread;

    service->dir = g_dir_make_tmp("test-control-XXXXXX", &err);
    g_assert_no_error(err);
    service->path = g_build_filename(service->dir, "control", NULL);
    options.control = service->path;
    g_strlcpy(address.sun_path, service->path, sizeof(address.sun_path));
    service->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    g_assert_cmpint(
        bind(service->listener, (struct sockaddr *)&address, sizeof(address)),
        ==, 0);
    g_assert_cmpint(listen(service->listener, 1), ==, 0);
    thread = g_thread_new("service", greet, service);
    service->client = control_client_new(&options, &err);
    g_assert_no_error(err);
    g_thread_join(thread);
}

static void stop(Service *service)
{
    control_client_free(service->client);
    fclose(service->lines);
    close(service->listener);
    g_unlink(service->path);
    g_rmdir(service->dir);
    g_free(service->path);
    g_free(service->dir);
}

/* A call on a thread of its own. */
typedef struct Call {
    Service *service;
    size_t len; /* of the text that goes with it */
    int timeout_ms;
    GThread *thread;
    json_object *result;
    GError *err;
} Call;

static void *run(void *opaque)
{
    Call *call = opaque;
    g_autoptr(json_object) request = json_object_new_object();
    g_autofree char *text = g_strnfill(call->len, 'x');

    json_set_string(request, "text", text);
    json_set_int(request, "timeout-ms", call->timeout_ms);
    call->result =
        control_client_call(call->service->client, request, &call->err);
    return NULL;
}

static void begin(Call *call)
{
    call->thread = g_thread_new("call", run, call);
}

/* The next request, which must be a whole line; returns its id. */
static gint64 read_request(Service *service)
{
    g_autofree char *line = NULL;
    g_autoptr(json_object) request = NULL;
    size_t size = 0;
    ssize_t len = getline(&line, &size, service->lines);

    g_assert_cmpint(len, >, 0);
    g_assert_cmpint(line[len - 1], ==, '\n');
    request = json_parse(line, "request", NULL);
    g_assert_nonnull(request);
    return json_get_int(request, "id", -1);
}

static void answer(Service *service, gint64 id)
{
    g_autofree char *line =
        g_strdup_printf("{\"id\": %" G_GINT64_FORMAT ", \"return\": {}}\n", id);

    g_assert_cmpint(write(service->fd, line, strlen(line)), ==, strlen(line));
}

static void answered(Call *call)
{
    g_thread_join(call->thread);
    g_assert_no_error(call->err);
    g_assert_nonnull(call->result);
    json_object_put(call->result);
}

static void timed_out(Call *call)
{
    g_thread_join(call->thread);
    g_assert_error(call->err, EXIT_ERROR, EXIT_TIMEOUT);
    g_clear_error(&call->err);
}

/* Until bytes wait at the service that it has not read. */
static void wait_arrived(Service *service)
{
    char byte;

    g_assert_cmpint(recv(service->fd, &byte, 1, MSG_PEEK), ==, 1);
}

/* A request that does not fit into the socket delays no answers. */
static void test_answer_meanwhile(void)
{
    Service service = {0};
    Call small = {.service = &service, .len = 1, .timeout_ms = LONG_MS};
    Call big = {.service = &service, .len = BIG, .timeout_ms = LONG_MS};
    gint64 id;

    start(&service);
    begin(&small);
    id = read_request(&service);
    begin(&big);
    wait_arrived(&service);
    answer(&service, id);
    answered(&small);
    answer(&service, read_request(&service));
    answered(&big);
    stop(&service);
}

/*
 * After its deadline, a request whose first bytes were sent is still sent
 * completely, so that the next line is valid.  Any other request is not sent.
 */
static void test_late(void)
{
    Service service = {0};
    Call big = {.service = &service, .len = BIG, .timeout_ms = 1};
    Call behind = {.service = &service, .len = 1, .timeout_ms = 1};
    Call last = {.service = &service, .len = 1, .timeout_ms = LONG_MS};
    gint64 id;

    start(&service);
    begin(&big);
    wait_arrived(&service);
    begin(&behind);
    timed_out(&behind);
    timed_out(&big);
    begin(&last);
    id = read_request(&service);
    answer(&service, id);
    g_assert_cmpint(read_request(&service), ==, id + 2);
    answer(&service, id + 2);
    answered(&last);
    stop(&service);
}

/* When the service ends, all waiting requests fail, also unsent ones. */
static void test_gone(void)
{
    Service service = {0};
    Call big = {.service = &service, .len = BIG, .timeout_ms = LONG_MS};

    start(&service);
    begin(&big);
    wait_arrived(&service);
    shutdown(service.fd, SHUT_RDWR);
    g_thread_join(big.thread);
    g_assert_error(big.err, EXIT_ERROR, EXIT_UNREACHABLE);
    g_clear_error(&big.err);
    stop(&service);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/tools/control/answer-meanwhile", test_answer_meanwhile);
    g_test_add_func("/tools/control/late", test_late);
    g_test_add_func("/tools/control/gone", test_gone);
    return g_test_run();
}
