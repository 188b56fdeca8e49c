/*
 * Which peer owes an answer, by samples of sockets.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "tools/json.h"
#include "tools/watch/evidence.h"

#define SECOND ((gint64)G_USEC_PER_SEC)

#define NODE(name, file)                                                       \
    "{\"node-name\": \"" name "\", \"drv\": \"nbd\", \"file\": \"" file "\"}"
#define CHARDEV(name, file)                                                    \
    "{\"label\": \"" name "\", \"filename\": \"" file "\"}"

static void free_state(void *state)
{
    sock_state_free(state);
}

typedef struct Test {
    Evidence *evidence;
    GPtrArray *sockets; /* of the next sample */
    gint64 start;
} Test;

static Test test_new(const char *nodes, const char *chardevs)
{
    g_autoptr(json_object) node_list = json_tokener_parse(nodes);
    g_autoptr(json_object) chardev_list = json_tokener_parse(chardevs);
    Test test = {
        .evidence = evidence_new(NULL),
        .sockets = g_ptr_array_new_with_free_func(free_state),
        /* Samples are in the past, one second apart. */
        .start = g_get_monotonic_time() - 100 * SECOND,
    };

    evidence_set_ends(test.evidence, node_list, chardev_list, "/srv");
    return test;
}

static void test_free(Test *test)
{
    evidence_free(test->evidence);
    g_ptr_array_unref(test->sockets);
}

static SockState *add_socket(Test *test, guint64 inode, const char *local,
                             const char *peer)
{
    SockState *state = g_new0(SockState, 1);

    state->inode = inode;
    state->local = g_strdup(local);
    state->peer = g_strdup(peer);
    state->listens = peer == NULL;
    state->sent_ms = state->received_ms = -1;
    g_ptr_array_add(test->sockets, state);
    return state;
}

static void sample_when(Test *test, int second, bool waits)
{
    evidence_add(test->evidence, test->sockets, waits, "does something", NULL,
                 test->start + second * SECOND);
}

static void sample(Test *test, int second)
{
    sample_when(test, second, true);
}

/* Since second @second the peer of @name owes an answer. */
static void owed_since(Test *test, const char *name, int second)
{
    g_autofree char *why = NULL;
    gint64 us = evidence_owed_us(test->evidence, name, &why);
    gint64 since = g_get_monotonic_time() - us - test->start;

    g_assert_cmpstr(why, ==, NULL);
    g_assert_cmpint(us, >=, 0);
    g_assert_cmpint(since, >=, second * SECOND);
    g_assert_cmpint(since, <, (second + 1) * SECOND);
}

static void not_owed(Test *test, const char *name, const char *words)
{
    g_autofree char *why = NULL;

    g_assert_cmpint(evidence_owed_us(test->evidence, name, &why), ==, -1);
    g_assert_nonnull(strstr(why, words));
}

static void test_unread(void)
{
    Test test = test_new("[" NODE("a", "nbd+unix:///?socket=/a") "]", "[]");
    SockState *state = add_socket(&test, 1, "unix:", "unix:/a");

    not_owed(&test, "blockdev:a", "have not been looked at");
    state->unread = 28;
    sample(&test, 1);
    not_owed(&test, "blockdev:a",
             "does something"); /* one sample is not enough */
    sample(&test, 2);
    owed_since(&test, "blockdev:a", 1);
    /* More is sent, and nothing read. */
    state->unread = 56;
    sample(&test, 3);
    owed_since(&test, "blockdev:a", 1);
    /* Something was read: it works. */
    state->unread = 28;
    sample(&test, 4);
    owed_since(&test, "blockdev:a", 4);
    state->unread = 0;
    sample(&test, 5);
    not_owed(&test, "blockdev:a", "nothing shows that unix:/a owes an answer");
    not_owed(&test, "blockdev:b", "its peer is not known");
    test_free(&test);
}

static void test_main_thread(void)
{
    Test test = test_new("[" NODE("a", "nbd+unix:///?socket=a") "]", "[]");

    /* The path is relative to the folder of the process. */
    add_socket(&test, 1, "unix:", "unix:/srv/a")->unread = 28;
    sample(&test, 1);
    sample(&test, 2);
    owed_since(&test, "blockdev:a", 1);
    sample_when(&test, 3, false);
    not_owed(&test, "blockdev:a", "the main thread does something");
    sample(&test, 4);
    not_owed(&test, "blockdev:a", "the main thread does something");
    sample(&test, 5);
    owed_since(&test, "blockdev:a", 1);
    test_free(&test);
}

/* Where the kernel has confirmed all bytes, times tell. */
static void test_times(void)
{
    Test test = test_new("[" NODE("a", "nbd://10.0.0.1:10809/x") "]",
                         "[" CHARDEV("c", "tcp:10.0.0.9:1 <-> 10.0.0.2:2") "]");
    SockState *nbd = add_socket(&test, 1, "10.0.0.9:5", "10.0.0.1:10809");
    SockState *console = add_socket(&test, 2, "10.0.0.9:1", "10.0.0.2:2");

    console->sent_ms = nbd->sent_ms = 2000;
    console->received_ms = nbd->received_ms = 9000;
    sample(&test, 10);
    /* A second request goes out, and no answer comes. */
    nbd->sent_ms = 500;
    nbd->received_ms = 10000;
    sample(&test, 11);
    owed_since(&test, "blockdev:a", 8);
    /* The peer of a console may only read, and never answer. */
    not_owed(&test, "chardev:c", "nothing shows");
    /* An answer to the first, or to both. */
    nbd->sent_ms = 1500;
    nbd->received_ms = 100;
    sample(&test, 12);
    not_owed(&test, "blockdev:a", "nothing shows");
    test_free(&test);
}

static void test_shared(void)
{
    Test test = test_new("[" NODE("a", "nbd+unix:///a?socket=/s") "," NODE(
                             "b", "nbd+unix:///b?socket=/s") "]",
                         "[]");
    SockState *one = add_socket(&test, 1, "unix:", "unix:/s");
    SockState *other = add_socket(&test, 2, "unix:", "unix:/s");

    one->unread = 28;
    sample(&test, 1);
    sample(&test, 2);
    not_owed(&test, "blockdev:a", "others are connected to unix:/s");
    not_owed(&test, "blockdev:b", "others are connected to unix:/s");
    other->unread = 28;
    sample(&test, 3);
    owed_since(&test, "blockdev:a", 3);
    owed_since(&test, "blockdev:b", 3);
    test_free(&test);
}

/* By the name of a host only the port is known. */
static void test_names(void)
{
    Test test = test_new(
        "[" NODE("a", "nbd://one.test:10/") "," NODE(
            "b", "nbd://two.test:10/") "," NODE("c",
                                                "nbd://[fd00:0::1]:11/") "]",
        "[]");

    add_socket(&test, 1, "10.0.0.9:1", "10.0.0.1:10")->unread = 28;
    add_socket(&test, 2, "10.0.0.9:2", "10.0.0.2:10");
    add_socket(&test, 3, "[fd00::9]:2", "[fd00::1]:11")->unread = 28;
    sample(&test, 1);
    sample(&test, 2);
    not_owed(&test, "blockdev:a", "others are connected to one.test:10");
    owed_since(&test, "blockdev:c", 1);
    test_free(&test);
}

static void test_chardevs(void)
{
    Test test = test_new(
        "[]", "[" CHARDEV("s", "unix:/s,server=on") "," CHARDEV(
                  "c", "unix:/c") "," CHARDEV("d", "disconnected:unix:/d") "]");

    add_socket(&test, 1, "unix:/s", NULL);
    add_socket(&test, 2, "unix:/s", "unix:")->unread = 1;
    add_socket(&test, 3, "unix:", "unix:/c")->unread = 1;
    sample(&test, 1);
    sample(&test, 2);
    owed_since(&test, "chardev:s", 1);
    owed_since(&test, "chardev:c", 1);
    not_owed(&test, "chardev:d", "its peer is not known");
    test_free(&test);
}

/* Sockets that match no other instance belong to the migration. */
static void test_migration(void)
{
    Test test = test_new("[" NODE("a", "nbd://10.0.0.1:10/") "]", "[]");

    add_socket(&test, 1, "10.0.0.9:1", "10.0.0.1:10")->unread = 28;
    add_socket(&test, 2, "0.0.0.0:5900", NULL);
    add_socket(&test, 3, "10.0.0.9:5900", "10.0.0.7:1234")->unread = 1;
    sample(&test, 1);
    sample(&test, 2);
    not_owed(&test, "migration", "nothing shows");
    add_socket(&test, 4, "10.0.0.9:7", "10.0.0.3:49152")->unread = 1;
    sample(&test, 3);
    owed_since(&test, "migration", 3);
    test_free(&test);
}

static void test_unseen(void)
{
    Test test = test_new("[" NODE("a", "nbd+unix:///?socket=/a") "]", "[]");
    g_autoptr(GError) err =
        g_error_new(G_FILE_ERROR, G_FILE_ERROR_PERM, "cannot be seen");

    evidence_add(test.evidence, NULL, false, NULL, err, test.start);
    not_owed(&test, "blockdev:a", "cannot be seen");
    add_socket(&test, 1, "unix:", "unix:/b");
    sample(&test, 1);
    sample(&test, 2);
    not_owed(&test, "blockdev:a", "it has no connection to unix:/a");
    test_free(&test);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/watch/evidence/unread", test_unread);
    g_test_add_func("/watch/evidence/main-thread", test_main_thread);
    g_test_add_func("/watch/evidence/times", test_times);
    g_test_add_func("/watch/evidence/shared", test_shared);
    g_test_add_func("/watch/evidence/names", test_names);
    g_test_add_func("/watch/evidence/chardevs", test_chardevs);
    g_test_add_func("/watch/evidence/migration", test_migration);
    g_test_add_func("/watch/evidence/unseen", test_unseen);
    return g_test_run();
}
