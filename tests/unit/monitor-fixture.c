/*
 * A monitor with a tiny command table, for unit tests.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <poll.h>
#include <sys/socket.h>
#include "io/channel-socket.h"
#include "monitor-fixture.h"
#include "qapi/qapi-commands-control.h"
#include "qapi/qmp-event.h"
#include "qapi/qmp-reply.h"
#include "qemu/shutdown.h"

#define DEADLINE_MS 30000
#define QUIET_MS 100

static int announced, quits; /* atomic */

static bool tell_quit; /* atomic */

/* The main thread in "block". */
static QemuMutex block_lock;
static QemuCond block_cond;
static bool blocked;

/* The deferred reply to "later", or NULL. */
static QemuMutex late_lock;
static QemuCond late_cond;
static QmpReply *late_reply;

static void __attribute__((constructor)) fixture_init(void)
{
    qemu_mutex_init_slow(&block_lock);
    qemu_cond_init(&block_cond);
    qemu_mutex_init(&late_lock);
    qemu_cond_init(&late_cond);
}

/* In the place of util/shutdown.c: tests go on. */
void shutdown_announce(void)
{
    __atomic_fetch_add(&announced, 1, __ATOMIC_SEQ_CST);
}

void shutdown_request(ShutdownCause cause)
{
    g_assert_cmpint(cause, ==, SHUTDOWN_CAUSE_HOST_QMP_QUIT);
    __atomic_fetch_add(&quits, 1, __ATOMIC_SEQ_CST);
    if (iothread_current() && __atomic_load_n(&tell_quit, __ATOMIC_SEQ_CST)) {
        qmp_event_emit("SHUTDOWN", NULL);
    }
}

void fixture_tell_quit(void)
{
    __atomic_store_n(&tell_quit, true, __ATOMIC_SEQ_CST);
}

ShutdownCause shutdown_requested(void)
{
    return fixture_quits() ? SHUTDOWN_CAUSE_HOST_QMP_QUIT : SHUTDOWN_CAUSE_NONE;
}

int fixture_announced(void)
{
    return __atomic_load_n(&announced, __ATOMIC_SEQ_CST);
}

int fixture_quits(void)
{
    return __atomic_load_n(&quits, __ATOMIC_SEQ_CST);
}

/* The command table. */

static void cmd_block(json_object *args, GString *ret, Error **errp)
{
    QEMU_LOCK_GUARD(&block_lock);

    blocked = true;
    qemu_cond_broadcast(&block_cond);
    while (blocked) {
        qemu_cond_wait(&block_cond, &block_lock);
    }
    g_string_append(ret, "{}");
}

/* Gives back its arguments. */
static void cmd_echo(json_object *args, GString *ret, Error **errp)
{
    if (args) {
        json_write(ret, args, false);
    } else {
        g_string_append(ret, "{}");
    }
}

/* A reply of a MiB and a bit. */
static void cmd_big(json_object *args, GString *ret, Error **errp)
{
    g_autofree char *text = g_strnfill(MiB, 'x');

    json_write_string(ret, text, strlen(text));
}

static void cmd_event(json_object *args, GString *ret, Error **errp)
{
    g_autofree char *data = args ? json_to_string(args, false) : NULL;

    qmp_event_emit("TEST", data);
    g_string_append(ret, "{}");
}

static void cmd_fail(json_object *args, GString *ret, Error **errp)
{
    error_set(errp, ERROR_CLASS_DEVICE_NOT_FOUND, "no \"such\" thing");
}

/* Out-of-band, fixture_reply() sends the reply; in-band, it is sent at once. */
static void cmd_later(json_object *args, GString *ret, Error **errp)
{
    QmpReply *reply = qmp_reply_take();

    if (reply) {
        QEMU_LOCK_GUARD(&late_lock);
        g_assert_null(late_reply);
        late_reply = reply;
        qemu_cond_broadcast(&late_cond);
    }
    g_string_append(ret, "{}");
}

void fixture_reply(const char *error)
{
    Error *err = NULL;
    QmpReply *reply;

    if (error) {
        error_setg(&err, "%s", error);
    }
    WITH_QEMU_LOCK_GUARD(&late_lock) {
        while (!late_reply) {
            qemu_cond_wait(&late_cond, &late_lock);
        }
        reply = g_steal_pointer(&late_reply);
    }
    qmp_reply_send(reply, err);
}

static void cmd_quit(json_object *args, GString *ret, Error **errp)
{
    qmp_quit(errp);
    g_string_append(ret, "{}");
}

static void cmd_capabilities(json_object *args, GString *ret, Error **errp)
{
    QMPCapabilityList oob = {.value = QMP_CAPABILITY_OOB};
    Error *err = NULL;

    qmp_qmp_capabilities(args && json_object_object_length(args) ? &oob : NULL,
                         &err);
    if (err) {
        error_propagate(errp, err);
    } else {
        g_string_append(ret, "{}");
    }
}

/* Returns the name of the thread that runs the command. */
static void cmd_where(json_object *args, GString *ret, Error **errp)
{
    const IOThread *iothread = iothread_current();
    const char *name = iothread ? iothread_name(iothread) : "main";

    json_write_string(ret, name, strlen(name));
}

const QmpCommand qmp_commands[] = {
    {"big", cmd_big, QCO_ALLOW_OOB},
    {"block", cmd_block, QCO_NO_OPTIONS},
    {"echo", cmd_echo, QCO_ALLOW_OOB},
    {"event", cmd_event, QCO_ALLOW_OOB},
    {"fail", cmd_fail, QCO_ALLOW_OOB},
    {"later", cmd_later, QCO_ALLOW_OOB},
    {"qmp_capabilities", cmd_capabilities, QCO_NO_OPTIONS},
    {"quit", cmd_quit, QCO_ALLOW_OOB},
    {"where", cmd_where, QCO_ALLOW_OOB},
};
const size_t qmp_n_commands = G_N_ELEMENTS(qmp_commands);

/* The client's side. */

typedef struct NewSession {
    int fd;
    bool pretty;
} NewSession;

static void new_session(void *opaque)
{
    NewSession *s = opaque;

    mon_session_new(qio_channel_socket_new_fd(s->fd, &error_abort), "mon0",
                    s->pretty, NULL, NULL);
}

static Client *client_connect(bool pretty)
{
    Client *client = g_new0(Client, 1);
    NewSession s = {.pretty = pretty};
    int fds[2];

    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), ==,
                    0);
    client->fd = fds[0];
    client->in = g_string_new(NULL);
    s.fd = fds[1];
    iothread_run(monitor_iothread(), new_session, &s);
    return client;
}

Client *client_new_pretty(void)
{
    return client_connect(true);
}

Client *client_new(const char *negotiate)
{
    Client *client = client_connect(false);
    g_autofree char *greeting = client_line(client);

    g_assert_true(g_str_has_prefix(greeting, "{\"QMP\": {\"version\": "));
    if (negotiate) {
        client_send(client, *negotiate
                                ? "{'execute': 'qmp_capabilities', 'arguments':"
                                  " {'enable': ['oob']}}"
                                : "{'execute': 'qmp_capabilities'}");
        client_expect(client, "{\"return\": {}}");
    }
    return client;
}

void client_free(Client *client)
{
    close(client->fd);
    g_string_free(client->in, TRUE);
    g_free(client);
}

void client_send_len(Client *client, const char *text, size_t len)
{
    while (len > 0) {
        struct pollfd p = {.fd = client->fd, .events = POLLOUT};
        ssize_t n;

        g_assert_cmpint(poll(&p, 1, DEADLINE_MS), ==, 1);
        n = send(client->fd, text, len, MSG_NOSIGNAL | MSG_DONTWAIT);
        g_assert_cmpint(n, >, 0);
        text += n;
        len -= n;
    }
}

void client_send(Client *client, const char *text)
{
    client_send_len(client, text, strlen(text));
}

bool client_can_send(Client *client)
{
    struct pollfd p = {.fd = client->fd, .events = POLLOUT};

    return poll(&p, 1, QUIET_MS) == 1;
}

/* False at the end of the stream. */
static bool client_fill(Client *client)
{
    struct pollfd p = {.fd = client->fd, .events = POLLIN};
    char buf[16 * KiB];
    ssize_t n;

    g_assert_cmpint(poll(&p, 1, DEADLINE_MS), ==, 1);
    n = recv(client->fd, buf, sizeof(buf), 0);
    if (n <= 0) {
        return false;
    }
    g_string_append_len(client->in, buf, n);
    return true;
}

/* On a slow machine the stall watch may speak up in the middle of a test. */
static bool is_unasked(const Client *client, const char *line)
{
    return !client->wants_stalls && strstr(line, "\"event\": \"MAIN_LOOP_");
}

/* A line that is there, or NULL. */
static char *take_line(Client *client)
{
    const char *end;

    while ((end = memchr(client->in->str, '\n', client->in->len))) {
        gsize len = end - client->in->str;
        g_autofree char *line = g_strndup(client->in->str, len - 1);

        g_assert_cmpint(end[-1], ==, '\r');
        g_string_erase(client->in, 0, len + 1);
        if (!is_unasked(client, line)) {
            return g_steal_pointer(&line);
        }
    }
    return NULL;
}

char *client_line(Client *client)
{
    char *line;

    while (!(line = take_line(client))) {
        if (!client_fill(client)) {
            g_assert_cmpuint(client->in->len, ==, 0);
            return NULL;
        }
    }
    return line;
}

void client_expect(Client *client, const char *line)
{
    g_autofree char *got = client_line(client);

    g_assert_cmpstr(got, ==, line);
}

void client_expect_end(Client *client)
{
    g_assert_null(client_line(client));
}

void client_block(Client *client)
{
    client_send(client, "{'execute': 'block', 'id': 'block'}");
    QEMU_LOCK_GUARD(&block_lock);
    while (!blocked) {
        g_assert_true(
            qemu_cond_timedwait(&block_cond, &block_lock, DEADLINE_MS));
    }
}

void client_unblock(void)
{
    QEMU_LOCK_GUARD(&block_lock);

    blocked = false;
    qemu_cond_broadcast(&block_cond);
}

bool client_is_quiet(Client *client)
{
    struct pollfd p = {.fd = client->fd, .events = POLLIN};
    g_autofree char *line = NULL;

    while (poll(&p, 1, QUIET_MS) == 1) {
        g_assert_true(client_fill(client));
    }
    line = take_line(client);
    return !line && client->in->len == 0;
}

typedef struct Counts {
    size_t sessions;
    size_t queued;
    size_t unread;
} Counts;

static void count_session(MonSession *session, void *opaque)
{
    Counts *counts = opaque;
    size_t requests, bytes;

    mon_dispatcher_queued(session, &requests, &bytes);
    counts->sessions++;
    counts->queued += requests;
    counts->unread += mon_output_unread(mon_session_output(session));
}

static Counts count_sessions(int64_t deadline_us)
{
    Counts counts = {0};

    g_assert_cmpint(g_get_monotonic_time(), <, deadline_us);
    g_thread_yield();
    mon_sessions_foreach(count_session, &counts);
    return counts;
}

static int64_t deadline(void)
{
    return g_get_monotonic_time() + DEADLINE_MS * INT64_C(1000);
}

void fixture_wait_queued(int value)
{
    int64_t until = deadline();

    while (count_sessions(until).queued != (size_t)value) {
        continue;
    }
}

void fixture_wait_sessions(int n)
{
    int64_t until = deadline();

    while (count_sessions(until).sessions != (size_t)n) {
        continue;
    }
}

void fixture_wait_unread(void)
{
    int64_t until = deadline();

    while (count_sessions(until).unread == 0) {
        continue;
    }
}

/* A test. */

static bool client_done; /* atomic */

static void *client_thread(void *opaque)
{
    void (**client)(void) = opaque;

    (*client)();
    __atomic_store_n(&client_done, true, __ATOMIC_SEQ_CST);
    g_main_context_wakeup(NULL);
    return NULL;
}

void fixture_run(void (*client)(void))
{
    GThread *thread;

    announced = 0;
    quits = 0;
    client_done = false;
    tell_quit = false;
    g_assert_true(monitor_init(&error_abort));
    thread = g_thread_new("client", client_thread, &client);
    while (!__atomic_load_n(&client_done, __ATOMIC_SEQ_CST)) {
        g_main_context_iteration(NULL, TRUE);
    }
    g_thread_join(thread);
    monitor_close_sessions();
    monitor_cleanup();
    g_assert_false(g_main_context_pending(NULL));
}
