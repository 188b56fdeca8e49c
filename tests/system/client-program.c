/*
 * A user of the installed client library, who knows nothing of this tree:
 * carries out the lines of standard input on one QMP socket.
 *
 *   client-program ADDRESS
 *     tls FOLDER         use its certificates, from here on
 *     psk FOLDER         the same with its shared key
 *     connect            and say what is known of the server
 *     in COMMAND [ARGUMENTS]     in-band, and wait for the answer
 *     oob COMMAND [ARGUMENTS]    the same out-of-band
 *     send COMMAND [ARGUMENTS]   in-band, without waiting
 *     timeout MILLISECONDS       for what follows
 *     agent ADDRESS              connect to a guest agent
 *     ask COMMAND [ARGUMENTS]    of the guest agent
 *
 * Each line is answered by one; answers to "send" and events come as they
 * come, in lines that begin with "answer" and "event".
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yankclient/agent-client.h>
#include <yankclient/qmp-client.h>

static int timeout_ms = 5000;
static YcAgentClient *agent;

static void say_error(const char *what, const GError *err)
{
    const char *cls = yc_error_class(err);

    printf("%s %d %s %s\n", what, err->code, cls ? cls : "-", err->message);
}

static void say_result(const char *what, json_object *result)
{
    printf("%s %s\n", what,
           json_object_to_json_string_ext(result, JSON_C_TO_STRING_PLAIN));
    json_object_put(result);
}

static void take_event(const char *name, json_object *event, void *data)
{
    printf("event %s\n", name);
    json_object_put(event);
}

static void take_answer(json_object *result, const GError *err, void *data)
{
    if (err) {
        say_error("answer error", err);
    } else {
        say_result("answer ok", result);
    }
}

static void connect_client(YcQmpClient *client)
{
    int major, minor, micro;
    GError *err = NULL;
    char *package;

    if (!yc_qmp_client_connect(client, timeout_ms, &err)) {
        say_error("error", err);
        g_error_free(err);
        return;
    }
    yc_qmp_client_version(client, &major, &minor, &micro);
    package = yc_qmp_client_package(client);
    printf("ok oob=%d yankd=%d version=%d.%d.%d package=%s\n",
           yc_qmp_client_has_oob(client), yc_qmp_client_is_yankd(client), major,
           minor, micro, package);
    g_free(package);
}

static void set_tls(YcQmpClient *client, const char *how, const char *folder)
{
    GError *err = NULL;

    if (how[0] == 't' ? yc_qmp_client_set_tls(client, folder, NULL, &err)
                      : yc_qmp_client_set_tls_psk(client, folder, NULL, &err)) {
        printf("ok\n");
    } else {
        say_error("error", err);
        g_error_free(err);
    }
}

static void connect_agent(const char *address)
{
    GError *err = NULL;

    agent = yc_agent_client_new(address, &err);
    if (agent && yc_agent_client_connect(agent, timeout_ms, &err)) {
        printf("ok\n");
    } else {
        say_error("error", err);
        g_error_free(err);
    }
}

/* In the lane that the first letter of @how names. */
static bool execute(YcQmpClient *client, const char *how, const char *command,
                    json_object *arguments, json_object **result, GError **errp)
{
    if (how[0] == 'a') {
        return yc_agent_client_execute(agent, command, arguments, timeout_ms,
                                       result, errp);
    }
    return yc_qmp_client_execute(client,
                                 how[0] == 'o' ? YC_QMP_OOB : YC_QMP_IN_BAND,
                                 command, arguments, timeout_ms, result, errp);
}

static void command(YcQmpClient *client, const char *how, const char *name,
                    json_object *arguments)
{
    json_object *result = NULL;
    GError *err = NULL;

    if (strcmp(how, "send") == 0) {
        yc_qmp_client_execute_async(client, YC_QMP_IN_BAND, name, arguments,
                                    timeout_ms, take_answer, NULL, NULL);
        printf("ok\n");
    } else if (execute(client, how, name, arguments, &result, &err)) {
        say_result("ok", result);
    } else {
        say_error("error", err);
        g_error_free(err);
    }
}

static void carry_out(YcQmpClient *client, char *line)
{
    char **words = g_strsplit(g_strchomp(line), " ", 3);
    json_object *arguments = NULL;

    if (strcmp(words[0], "connect") == 0) {
        connect_client(client);
    } else if (strcmp(words[0], "tls") == 0 || strcmp(words[0], "psk") == 0) {
        set_tls(client, words[0], words[1]);
    } else if (strcmp(words[0], "timeout") == 0) {
        timeout_ms = atoi(words[1]);
        printf("ok\n");
    } else if (strcmp(words[0], "agent") == 0) {
        connect_agent(words[1]);
    } else {
        arguments = words[2] ? json_tokener_parse(words[2]) : NULL;
        command(client, words[0], words[1], arguments);
        json_object_put(arguments);
    }
    g_strfreev(words);
}

int main(int argc, char **argv)
{
    YcQmpClient *client = yc_qmp_client_new(argv[1], NULL);
    char line[4096];

    if (!client) {
        return 1;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    yc_qmp_client_set_event_fn(client, take_event, NULL, NULL);
    while (fgets(line, sizeof(line), stdin)) {
        carry_out(client, line);
    }
    yc_agent_client_unref(agent);
    yc_qmp_client_unref(client);
    return yc_cleanup(timeout_ms) ? 0 : 1;
}
