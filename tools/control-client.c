/*
 * The client's side of the control socket: requests by id, on any thread.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "control-client.h"
#include "control-socket.h"
#include "exit-code.h"
#include "json.h"
#include "wire-error.h"

#define PROTOCOL 1
/* How much longer than the operation itself its answer may take. */
#define GRACE_MS 1000

struct ControlClient {
    ControlSocket *socket;
    GThread *thread; /* reads */
    ControlEventFn *event_fn;
    void *event_data;

    /*
     * Guards the rest; @changed says that it did.  Before the lock of the
     * socket.  Nothing blocks under it: the reader needs it for each answer.
     */
    GMutex lock;
    GCond changed;
    GHashTable *answers; /* id -> answer, or NULL while there is none */
    gint64 last_id;
    GError *lost; /* why nothing is read any more */
};

/* An answer to what somebody still waits for; takes @message. */
static void take_answer(ControlClient *client, json_object *message)
{
    gint64 id = json_get_int(message, "id", 0);

    g_mutex_lock(&client->lock);
    if (g_hash_table_contains(client->answers, &id)) {
        g_hash_table_replace(client->answers, g_memdup2(&id, sizeof(id)),
                             message);
        g_cond_broadcast(&client->changed);
    } else {
        json_object_put(message);
    }
    g_mutex_unlock(&client->lock);
}

/*
 * A notice: an event, or that a domain is lost.  Takes @message, out of which
 * the event is handed over whole: references are not counted across threads.
 */
static void take_notice(ControlClient *client, json_object *message)
{
    json_object *event = json_object_get(json_get_object(message, "event"));
    g_autofree char *domain = g_strdup(json_get_string(message, "domain"));
    bool lost = !json_get_bool(message, "connected", true);

    json_object_put(message);
    if (client->event_fn && (event || lost)) {
        client->event_fn(domain, event, client->event_data);
    } else {
        json_object_put(event);
    }
}

static void take_message(ControlClient *client, json_object *message)
{
    if (json_get_string(message, "domain")) {
        take_notice(client, message);
    } else {
        take_answer(client, message);
    }
}

static void *read_all(void *opaque)
{
    ControlClient *client = opaque;
    GError *err = NULL;
    json_object *message;

    while ((message = control_socket_read(client->socket, -1, &err))) {
        take_message(client, message);
    }
    g_mutex_lock(&client->lock);
    client->lost = err;
    g_cond_broadcast(&client->changed);
    g_mutex_unlock(&client->lock);
    if (client->event_fn) {
        client->event_fn(NULL, NULL, client->event_data);
    }
    return NULL;
}

static bool check_greeting(ControlSocket *sock, int timeout_ms, GError **errp)
{
    g_autoptr(json_object) greeting =
        control_socket_read(sock, timeout_ms, errp);
    json_object *service = json_get_object(greeting, "yankctl");
    json_object *error = json_get_object(greeting, "error");

    if (!greeting) {
        return false;
    }
    if (error) {
        g_propagate_error(errp, wire_error_from_json(error));
        g_prefix_error(errp, "%s: ", control_socket_path(sock));
        return false;
    }
    if (json_get_int(service, "protocol", 0) != PROTOCOL) {
        g_set_error(errp, EXIT_ERROR, EXIT_UNREACHABLE,
                    "%s: no yankctl service of protocol %d there",
                    control_socket_path(sock), PROTOCOL);
        return false;
    }
    return true;
}

/* Takes @sock. */
static ControlClient *start(ControlSocket *sock, GError **errp)
{
    ControlClient *client = g_new0(ControlClient, 1);

    client->socket = sock;
    g_mutex_init(&client->lock);
    g_cond_init(&client->changed);
    client->answers =
        g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, json_unref);
    client->thread = g_thread_try_new("control", read_all, client, errp);
    if (!client->thread) {
        control_client_free(client);
        return NULL;
    }
    return client;
}

ControlClient *control_client_new(const Options *options, GError **errp)
{
    g_autoptr(ControlSocket) sock = control_socket_find(options, errp);

    if (!sock || !check_greeting(sock, options->timeout_ms, errp)) {
        return NULL;
    }
    return start(g_steal_pointer(&sock), errp);
}

void control_client_free(ControlClient *client)
{
    if (!client) {
        return;
    }
    control_socket_shutdown(client->socket);
    if (client->thread) {
        g_thread_join(client->thread);
    }
    control_socket_free(client->socket);
    g_hash_table_unref(client->answers);
    g_clear_error(&client->lost);
    g_mutex_clear(&client->lock);
    g_cond_clear(&client->changed);
    g_free(client);
}

void control_client_hang_up(ControlClient *client)
{
    control_socket_shutdown(client->socket);
}

void control_client_set_event_fn(ControlClient *client, ControlEventFn *fn,
                                 void *data)
{
    client->event_data = data;
    client->event_fn = fn;
}

const char *control_client_path(const ControlClient *client)
{
    return control_socket_path(client->socket);
}

/* Locked.  The answer to @id, taken out; NULL with an error by @deadline. */
static json_object *wait_answer(ControlClient *client, gint64 id,
                                gint64 deadline, GError **errp)
{
    json_object *answer = NULL;
    bool in_time = true;

    while (!(answer = g_hash_table_lookup(client->answers, &id)) &&
           !client->lost && in_time) {
        in_time = g_cond_wait_until(&client->changed, &client->lock, deadline);
    }
    if (!answer && client->lost) {
        g_propagate_error(errp, g_error_copy(client->lost));
    } else if (!answer) {
        control_socket_withdraw(client->socket, id);
        g_set_error(errp, EXIT_ERROR, EXIT_TIMEOUT,
                    "%s: the service does not answer",
                    control_client_path(client));
    }
    json_object_get(answer);
    g_hash_table_remove(client->answers, &id);
    return answer;
}

/* What @answer returns; takes it. */
static json_object *unwrap(json_object *answer, GError **errp)
{
    json_object *error = json_get_object(answer, "error");
    json_object *result = NULL;

    if (error) {
        g_propagate_error(errp, wire_error_from_json(error));
    } else {
        result = json_object_get(json_get(answer, "return"));
        if (!result) {
            g_set_error(errp, EXIT_ERROR, EXIT_FAILED,
                        "the service sent an answer that is none");
        }
    }
    json_object_put(answer);
    return result;
}

json_object *control_client_call(ControlClient *client, json_object *request,
                                 GError **errp)
{
    gint64 timeout = json_get_int(request, "timeout-ms", 0) + GRACE_MS;
    gint64 deadline = g_get_monotonic_time() + timeout * 1000;
    json_object *answer = NULL;
    gint64 id;

    g_mutex_lock(&client->lock);
    id = ++client->last_id;
    json_set_int(request, "id", id);
    g_hash_table_insert(client->answers, g_memdup2(&id, sizeof(id)), NULL);
    control_socket_send(client->socket, id, request);
    answer = wait_answer(client, id, deadline, errp);
    g_mutex_unlock(&client->lock);
    return answer ? unwrap(answer, errp) : NULL;
}
