/*
 * A client of the control socket: lines in, operations, answers out.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <glib-unix.h>
#include "tools/exit-code.h"
#include "tools/json.h"
#include "tools/ops.h"
#include "client.h"
#include "output.h"
#include "subscription.h"
#include "tools/wire-error.h"

#define PROTOCOL 1
/* A request names an operation and a command; nobody needs more. */
#define MAX_REQUEST (1024 * 1024)
#define MAX_DEPTH 64
/* Operations of a client that run at the same time; then reading waits. */
#define MAX_RUNNING 32
#define CHUNK 65536

struct WatchClient {
    int refs; /* atomic: the owner's, and each operation's */
    WatchOutput *output;

    unsigned uid; /* of whoever connected */

    /* The main thread's. */
    int fd; /* the output's */
    Fleet *fleet;
    GThreadPool *pool;
    WatchClientEndFn *end_fn;
    void *data;
    guint source; /* 0: not reading */
    bool closed;
    unsigned running;
    gint64 last_line; /* when it came; or when the client did */
    GByteArray *input;
    GHashTable *subscriptions; /* name of a domain -> Subscription */
};

/* An operation under way.  Belongs to the thread that runs it. */
typedef struct Task {
    WatchClient *client;
    Keeper *keeper;
    /* Handed over: json-c's reference counts are not atomic. */
    json_object *request;
    UserYank *yank; /* under way, or NULL */
} Task;

static void start_reading(WatchClient *client);

static void client_unref(void *opaque)
{
    WatchClient *client = opaque;

    if (g_atomic_int_dec_and_test(&client->refs)) {
        watch_output_unref(client->output);
        g_byte_array_unref(client->input);
        g_hash_table_unref(client->subscriptions);
        g_free(client);
    }
}

/* Takes @result, or else @err, as the answer to @request. */
static json_object *make_answer(json_object *request, json_object *result,
                                const GError *err)
{
    json_object *answer = json_object_new_object();
    json_object *id = json_get(request, "id");

    json_set(answer, "id", json_object_get(id));
    if (err) {
        json_set(answer, "error", wire_error_to_json(err));
    } else {
        json_object_object_add(answer, "return", result);
    }
    return answer;
}

static void reply(WatchClient *client, json_object *request,
                  json_object *result, const GError *err)
{
    g_autoptr(json_object) answer = make_answer(request, result, err);

    watch_output_send(client->output, answer);
}

static gboolean task_done(void *opaque)
{
    WatchClient *client = opaque;

    client->running--;
    if (!client->closed && !client->source) {
        start_reading(client);
    }
    return G_SOURCE_REMOVE;
}

static void begin_yank(void *opaque, const char *const *names)
{
    Task *task = opaque;

    task->yank = incidents_user_yank(keeper_incidents(task->keeper), names,
                                     task->client->uid);
}

static void end_yank(void *opaque, const GError *err)
{
    Task *task = opaque;

    incidents_user_yank_ended(keeper_incidents(task->keeper),
                              g_steal_pointer(&task->yank), err);
}

void watch_client_work(void *opaque, void *data)
{
    Task *task = opaque;
    g_autoptr(GError) down = keeper_down(task->keeper);
    gint64 record_us;
    g_autofree char *record = keeper_record(task->keeper, &record_us);
    const OpYankWatcher watcher = {begin_yank, end_yank, task};
    const OpTarget target = {.dom = keeper_domain(task->keeper),
                             .down = down,
                             .watched = true,
                             .yank_watcher = &watcher,
                             .recorded = record,
                             .recorded_us = record_us};
    g_autoptr(GError) err = NULL;
    json_object *result = ops_run(&target, task->request, &err);

    reply(task->client, task->request, result, err);
    keeper_unref(task->keeper);
    json_object_put(task->request);
    g_idle_add_full(G_PRIORITY_DEFAULT, task_done, task->client, client_unref);
    g_free(task);
}

static json_object *list(Fleet *fleet)
{
    g_autoptr(GPtrArray) keepers = fleet_list(fleet);
    json_object *domains = json_object_new_array();
    json_object *result = json_object_new_object();

    for (guint i = 0; i < keepers->len; i++) {
        const DomainSpec *spec = keeper_spec(keepers->pdata[i]);
        json_object *domain = json_object_new_object();
        KeeperStats stats;

        keeper_get_stats(keepers->pdata[i], &stats);
        json_set_string(domain, "name", spec->name);
        json_set_string(domain, "monitor", spec->monitor);
        json_set_bool(domain, "connected", stats.up);
        json_object_array_add(domains, domain);
    }
    json_set(result, "domains", domains);
    return result;
}

/* The keeper that @request is about, referenced; NULL on error. */
static Keeper *find_keeper(WatchClient *client, json_object *request,
                           GError **errp)
{
    const char *name = json_get_string(request, "domain");
    Keeper *keeper;

    if (!name) {
        g_set_error(errp, EXIT_ERROR, EXIT_USAGE,
                    "'domain', a string, is missing");
        return NULL;
    }
    keeper = fleet_lookup(client->fleet, name);
    if (!keeper) {
        g_set_error(errp, YC_DOMAIN_ERROR, YC_DOMAIN_ERROR_NOT_FOUND,
                    "the service has no domain '%s'", name);
    }
    return keeper;
}

/* Again, too: then the answer is all that comes of it. */
static void subscribe(WatchClient *client, json_object *request, Keeper *keeper)
{
    const char *name = keeper_spec(keeper)->name;
    YcDomain *dom = keeper_domain(keeper);
    g_autoptr(json_object) answer =
        make_answer(request, json_object_new_object(), NULL);
    Subscription *old = g_hash_table_lookup(client->subscriptions, name);
    g_autoptr(GError) err = NULL;
    Subscription *subscription;

    if (old && subscription_serves(old, dom)) {
        watch_output_send(client->output, answer);
        return;
    }
    subscription = subscription_new(dom, client->output, answer, &err);
    if (subscription) {
        g_hash_table_replace(client->subscriptions, g_strdup(name),
                             subscription);
    } else {
        g_autoptr(GError) down = keeper_down(keeper);

        /* Of the two the keeper knows more, if it knows already. */
        reply(client, request, NULL, down ? down : err);
    }
}

/* Takes @request. */
static void run_operation(WatchClient *client, json_object *request,
                          Keeper *keeper)
{
    Task *task = g_new0(Task, 1);

    g_atomic_int_inc(&client->refs);
    client->running++;
    task->client = client;
    task->keeper = keeper_ref(keeper);
    task->request = request;
    g_thread_pool_push(client->pool, task, NULL);
}

/* @owned holds the request; NULL afterwards when a thread has taken it. */
static void run_on_domain(WatchClient *client, const char *op,
                          json_object **owned)
{
    json_object *request = *owned;
    g_autoptr(GError) err = NULL;
    g_autoptr(Keeper) keeper = find_keeper(client, request, &err);

    if (!keeper) {
        reply(client, request, NULL, err);
    } else if (g_str_equal(op, "subscribe")) {
        subscribe(client, request, keeper);
    } else {
        run_operation(client, g_steal_pointer(owned), keeper);
    }
}

/* @owned: as of run_on_domain() */
static void run_request(WatchClient *client, json_object **owned)
{
    json_object *request = *owned;
    const char *op = json_get_string(request, "op");
    const char *name = json_get_string(request, "domain");
    g_autoptr(GError) err = NULL;

    if (op && g_str_equal(op, "list")) {
        reply(client, request, list(client->fleet), NULL);
    } else if (op && name && g_str_equal(op, "unsubscribe")) {
        g_hash_table_remove(client->subscriptions, name);
        reply(client, request, json_object_new_object(), NULL);
    } else if (op && (g_str_equal(op, "subscribe") || ops_has(op))) {
        run_on_domain(client, op, owned);
    } else {
        err = g_error_new(EXIT_ERROR, EXIT_USAGE, "there is no operation '%s'",
                          op ? op : "");
        reply(client, request, NULL, err);
    }
}

/* The object that @line is, all of it; NULL when it is none. */
static json_object *parse(const char *line, size_t len)
{
    json_tokener *tokener = json_tokener_new_ex(MAX_DEPTH);
    json_object *request;

    json_tokener_set_flags(tokener,
                           JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
    /* With the NUL that ends it, so that it knows of the end. */
    request = json_tokener_parse_ex(tokener, line, len + 1);
    if (request && (json_tokener_get_parse_end(tokener) < len ||
                    !json_object_is_type(request, json_type_object))) {
        json_object_put(request);
        request = NULL;
    }
    json_tokener_free(tokener);
    return request;
}

static void end(WatchClient *client)
{
    client->end_fn(client, client->data);
}

/* Breaks off with a word of why. */
static void refuse(WatchClient *client, const char *why)
{
    g_autoptr(GError) err = g_error_new(EXIT_ERROR, EXIT_USAGE, "%s", why);

    reply(client, NULL, NULL, err);
    end(client);
}

gint64 watch_client_idle_since(const WatchClient *client)
{
    return client->running > 0 || g_hash_table_size(client->subscriptions) > 0
               ? 0
               : client->last_line;
}

void watch_client_dismiss(WatchClient *client, const char *why)
{
    g_autoptr(GError) err =
        g_error_new(EXIT_ERROR, EXIT_UNREACHABLE, "%s", why);

    reply(client, NULL, NULL, err);
    end(client);
}

/* False when the client has ended. */
static bool take_line(WatchClient *client, const char *text, size_t len)
{
    g_autofree char *line = g_strndup(text, len);
    g_autoptr(json_object) request = parse(line, len);

    if (!request) {
        refuse(client, "a line that is no JSON object");
        return false;
    }
    client->last_line = g_get_monotonic_time();
    run_request(client, &request);
    return true;
}

/* Runs what is complete, as far as may run; false when the client ended. */
static bool take_lines(WatchClient *client)
{
    GByteArray *input = client->input;
    guint8 *newline;

    while (client->running < MAX_RUNNING && input->len &&
           (newline = memchr(input->data, '\n', input->len))) {
        size_t len = newline - input->data;

        if (len > MAX_REQUEST) {
            break;
        }
        if (!take_line(client, (char *)input->data, len)) {
            return false;
        }
        g_byte_array_remove_range(input, 0, len + 1);
    }
    if (client->running < MAX_RUNNING && input->len > MAX_REQUEST) {
        refuse(client, "a request of more than 1 MiB");
        return false;
    }
    return true;
}

/* True: read on. */
static gboolean readable(int fd, GIOCondition condition, void *opaque)
{
    WatchClient *client = opaque;
    guint8 chunk[CHUNK];
    ssize_t n = read(fd, chunk, sizeof(chunk));

    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
        return G_SOURCE_CONTINUE;
    }
    client->source = 0;
    if (n <= 0) {
        end(client);
        return G_SOURCE_REMOVE;
    }
    g_byte_array_append(client->input, chunk, n);
    start_reading(client);
    return G_SOURCE_REMOVE;
}

/* Goes on with what was read, and then reads, unless enough is running. */
static void start_reading(WatchClient *client)
{
    if (take_lines(client) && client->running < MAX_RUNNING) {
        client->source =
            g_unix_fd_add(client->fd, G_IO_IN | G_IO_HUP, readable, client);
    }
}

WatchClient *watch_client_new(int fd, unsigned uid, Fleet *fleet,
                              GThreadPool *pool, WatchClientEndFn *end_fn,
                              void *data)
{
    g_autoptr(json_object) greeting = json_object_new_object();
    json_object *service = json_object_new_object();
    WatchClient *client = g_new0(WatchClient, 1);

    client->refs = 1;
    client->output = watch_output_new(fd);
    client->fd = fd;
    client->uid = uid;
    client->fleet = fleet;
    client->pool = pool;
    client->end_fn = end_fn;
    client->data = data;
    client->last_line = g_get_monotonic_time();
    client->input = g_byte_array_new();
    client->subscriptions = g_hash_table_new_full(g_str_hash, g_str_equal,
                                                  g_free, subscription_free);
    json_set_int(service, "protocol", PROTOCOL);
    json_set_string(service, "version", YANKD_VERSION);
    json_set(greeting, "yankctl", service);
    watch_output_send(client->output, greeting);
    start_reading(client);
    return client;
}

void watch_client_close(WatchClient *client)
{
    if (client->source) {
        g_source_remove(client->source);
        client->source = 0;
    }
    client->closed = true;
    g_hash_table_remove_all(client->subscriptions);
    watch_output_end(client->output);
    client_unref(client);
}
