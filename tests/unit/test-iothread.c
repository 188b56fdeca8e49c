/*
 * IOThread: posts, runs, deferred functions, polling; and FdWatch on it.
 *
 * Longer than most files, as every rule has a case of its own here.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <sys/socket.h>
#include <sys/stat.h>
#include "qemu/fd-watch.h"
#include "qemu/iothread.h"
#include "qemu/lockable.h"
#include "qemu/oob.h"

#define N_THREADS 4
#define N_POSTS 3000

static IOThread *iothread;
/* Touched on the I/O thread only; read elsewhere inside iothread_run(). */
static GString *trace;

static void note(void *opaque)
{
    g_assert_true(iothread_current() == iothread);
    g_string_append(trace, opaque);
}

static void nothing(void *unused)
{
}

static void set_up(void)
{
    trace = g_string_new(NULL);
    iothread = iothread_new("test-io");
}

static void tear_down(void)
{
    iothread_unref(iothread);
    g_string_free(trace, TRUE);
}

/* Goes once through the loop and what was deferred in it. */
static void settle(void)
{
    iothread_run(iothread, nothing, NULL);
    iothread_run(iothread, nothing, NULL);
}

static void test_post_in_order(void)
{
    set_up();
    g_assert_cmpstr(iothread_name(iothread), ==, "test-io");
    g_assert_null(iothread_current());
    oob_section_enter("post");
    iothread_post(iothread, note, "a");
    iothread_post(iothread, note, "b");
    iothread_post(iothread, note, "c");
    oob_section_leave();
    iothread_run(iothread, note, "d");
    g_assert_cmpstr(trace->str, ==, "abcd");
    tear_down();
}

static void post_more(void *unused)
{
    note("[");
    iothread_post(iothread, note, "p");
    iothread_run(iothread, note, "r");
    note("]");
}

static void test_post_from_itself(void)
{
    set_up();
    iothread_run(iothread, post_more, NULL);
    settle();
    g_assert_cmpstr(trace->str, ==, "[r]p");
    tear_down();
}

static void test_posts_before_end(void)
{
    set_up();
    for (int i = 0; i < 100; i++) {
        iothread_post(iothread, note, "x");
    }
    iothread_post(iothread, post_more, NULL);
    iothread_unref(iothread);
    g_assert_cmpuint(trace->len, ==, 104);
    g_string_free(trace, TRUE);
}

static void test_refs(void)
{
    set_up();
    g_assert_true(iothread_ref(iothread) == iothread);
    iothread_unref(iothread);
    iothread_run(iothread, note, "alive");
    g_assert_cmpstr(trace->str, ==, "alive");
    iothread_unref(NULL);
    tear_down();
}

typedef struct Poster {
    QemuThread thread;
    int next; /* on the I/O thread */
} Poster;

typedef struct Post {
    Poster *poster;
    int number;
} Post;

static void count_post(void *opaque)
{
    g_autofree Post *post = opaque;

    g_assert_cmpint(post->number, ==, post->poster->next);
    post->poster->next++;
}

static void *post_many(void *opaque)
{
    for (int i = 0; i < N_POSTS; i++) {
        Post *post = g_new(Post, 1);

        *post = (Post){opaque, i};
        iothread_post(iothread, count_post, post);
        if (i % 100 == 0) {
            iothread_run(iothread, nothing, NULL);
        }
    }
    return NULL;
}

static void test_many_posters(void)
{
    Poster posters[N_THREADS] = {0};

    set_up();
    for (int i = 0; i < N_THREADS; i++) {
        qemu_thread_create(&posters[i].thread, "poster", post_many, &posters[i],
                           true);
    }
    for (int i = 0; i < N_THREADS; i++) {
        qemu_thread_join(&posters[i].thread);
    }
    settle();
    for (int i = 0; i < N_THREADS; i++) {
        g_assert_cmpint(posters[i].next, ==, N_POSTS);
    }
    tear_down();
}

static void defer_some(void *unused)
{
    iothread_defer(note, "1");
    iothread_defer(note, "2");
    iothread_defer(note, "1");
    note("(");
    iothread_defer(note, "3");
    iothread_undefer(note, "2");
    note(")");
}

static void test_defer(void)
{
    set_up();
    iothread_run(iothread, defer_some, NULL);
    settle();
    g_assert_cmpstr(trace->str, ==, "()13");
    tear_down();
}

static void test_defer_once_a_round(void)
{
    set_up();
    /* One batch of posts is one round. */
    iothread_post(iothread, defer_some, NULL);
    iothread_run(iothread, defer_some, NULL);
    settle();
    g_assert_true(!strcmp(trace->str, "()()13") ||
                  !strcmp(trace->str, "()13()13"));
    tear_down();
}

/* Guards again. */
static QemuMutex again_lock;
static QemuCond again_cond;
static int again;

static void defer_again(void *unused)
{
    QEMU_LOCK_GUARD(&again_lock);
    if (--again) {
        iothread_defer(defer_again, NULL);
    } else {
        qemu_cond_signal(&again_cond);
    }
}

static void defer_from_deferred(void *unused)
{
    iothread_defer(defer_again, NULL);
}

static void wait_for_again(void)
{
    QEMU_LOCK_GUARD(&again_lock);
    while (again) {
        g_assert_true(qemu_cond_timedwait(&again_cond, &again_lock, 60000));
    }
}

/* However often, without any event to keep the loop going. */
static void test_defer_again(void)
{
    set_up();
    again = 50;
    iothread_post(iothread, defer_from_deferred, NULL);
    wait_for_again();
    tear_down();
}

static gboolean post_in_prepare(GSource *source, gint *timeout)
{
    QEMU_LOCK_GUARD(&again_lock);
    if (again) {
        iothread_post(iothread, defer_again, NULL);
    }
    return FALSE;
}

/* A post that nobody has to be woken up for is not slept over. */
static void test_post_while_preparing(void)
{
    static GSourceFuncs funcs = {.prepare = post_in_prepare};
    g_autoptr(GSource) source = NULL;

    set_up();
    again = 1;
    source = g_source_new(&funcs, sizeof(GSource));
    g_source_set_priority(source, G_PRIORITY_LOW);
    g_source_attach(source, iothread_get_g_main_context(iothread));
    wait_for_again();
    g_source_destroy(source);
    tear_down();
}

static void undefer_next(void *unused)
{
    note("u");
    iothread_undefer(note, "gone");
    /* Taken back, and asked for anew. */
    iothread_undefer(note, "again");
    iothread_defer(note, "again");
}

static void defer_and_undefer(void *unused)
{
    iothread_undefer(note, "never asked for");
    iothread_defer(undefer_next, NULL);
    iothread_defer(note, "gone");
    iothread_defer(note, "again");
}

static void test_undefer_while_running(void)
{
    set_up();
    iothread_run(iothread, defer_and_undefer, NULL);
    settle();
    g_assert_cmpstr(trace->str, ==, "uagain");
    tear_down();
}

/* A socket pair: the test holds one end, the I/O thread watches the other. */
typedef struct Watched {
    int mine;
    int theirs;
    FdWatch *watch;
    GIOCondition seen;
    int n_calls;
    bool free_when_called;
    bool quiet_when_called;
} Watched;

static bool shared; /* the tests use shared watches */

static void watched_ready(GIOCondition condition, void *opaque)
{
    Watched *w = opaque;

    g_assert_true(iothread_current() == iothread);
    w->seen |= condition;
    w->n_calls++;
    if (w->quiet_when_called) {
        fd_watch_set_events(w->watch, 0);
    }
    if (w->free_when_called) {
        g_clear_pointer(&w->watch, fd_watch_free);
    }
}

static void watch_start(void *opaque)
{
    Watched *w = opaque;

    w->watch = (shared ? fd_watch_new_shared : fd_watch_new)(
        iothread_get_g_main_context(iothread), w->theirs, watched_ready, w);
}

static void watch_in(void *opaque)
{
    fd_watch_set_events(((Watched *)opaque)->watch, G_IO_IN);
}

static void watch_out(void *opaque)
{
    fd_watch_set_events(((Watched *)opaque)->watch, G_IO_OUT);
}

static void watch_out_deferred(void *opaque)
{
    iothread_defer(watch_out, opaque);
}

static void watch_nothing(void *opaque)
{
    fd_watch_set_events(((Watched *)opaque)->watch, 0);
}

static void watch_stop(void *opaque)
{
    g_clear_pointer(&((Watched *)opaque)->watch, fd_watch_free);
}

static void watched_init(Watched *w)
{
    int pair[2];

    set_up();
    memset(w, 0, sizeof(*w));
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), ==, 0);
    w->mine = pair[0];
    w->theirs = pair[1];
    iothread_run(iothread, watch_start, w);
}

static void watched_end(Watched *w)
{
    iothread_run(iothread, watch_stop, w);
    if (w->mine >= 0) {
        close(w->mine);
    }
    close(w->theirs);
    tear_down();
}

static void get_calls(void *opaque)
{
    Watched *w = ((void **)opaque)[0];

    *(int *)((void **)opaque)[1] = w->n_calls;
}

static int calls(Watched *w)
{
    int n;

    iothread_run(iothread, get_calls, (void *[]){w, &n});
    return n;
}

static void wait_for_calls(Watched *w, int n)
{
    while (calls(w) < n) {
        g_thread_yield();
    }
}

static void test_watch_in(void)
{
    Watched w;

    watched_init(&w);
    g_assert_cmpint(write(w.mine, "x", 1), ==, 1);
    settle();
    g_assert_cmpint(calls(&w), ==, 0);
    iothread_run(iothread, watch_in, &w);
    wait_for_calls(&w, 3);
    iothread_run(iothread, watch_nothing, &w);
    g_assert_cmpint(w.seen, ==, G_IO_IN);
    /* Nothing asked for, nothing told. */
    w.n_calls = 0;
    settle();
    g_assert_cmpint(calls(&w), ==, 0);
    watched_end(&w);
}

static void test_watch_quiet(void)
{
    Watched w;

    watched_init(&w);
    w.quiet_when_called = true;
    g_assert_cmpint(write(w.mine, "x", 1), ==, 1);
    iothread_run(iothread, watch_in, &w);
    wait_for_calls(&w, 1);
    settle();
    g_assert_cmpint(calls(&w), ==, 1);
    iothread_run(iothread, watch_in, &w);
    wait_for_calls(&w, 2);
    watched_end(&w);
}

/* What a deferred function asks for counts for the poll that follows. */
static void test_watch_from_deferred(void)
{
    Watched w;

    watched_init(&w);
    w.quiet_when_called = true;
    iothread_run(iothread, watch_in, &w);
    settle();
    iothread_run(iothread, watch_out_deferred, &w);
    wait_for_calls(&w, 1);
    g_assert_cmpint(w.seen, ==, G_IO_OUT);
    watched_end(&w);
}

static void test_watch_hang_up(void)
{
    Watched w;

    watched_init(&w);
    /* Polled, but for no events. */
    iothread_run(iothread, watch_in, &w);
    iothread_run(iothread, watch_nothing, &w);
    close(w.mine);
    w.mine = -1;
    wait_for_calls(&w, 1);
    g_assert_cmpint(w.seen & G_IO_HUP, ==, G_IO_HUP);
    settle();
    g_assert_cmpint(calls(&w), ==, 1);
    /* Whoever asks again is told again. */
    iothread_run(iothread, watch_in, &w);
    wait_for_calls(&w, 2);
    watched_end(&w);
}

static void test_watch_free_in_callback(void)
{
    Watched w;

    watched_init(&w);
    w.free_when_called = true;
    g_assert_cmpint(write(w.mine, "x", 1), ==, 1);
    iothread_run(iothread, watch_in, &w);
    wait_for_calls(&w, 1);
    settle();
    g_assert_cmpint(calls(&w), ==, 1);
    watched_end(&w);
}

/* A callback frees watches that have events in the same batch. */
static Watched crowd[8];

static void crowd_ready(GIOCondition condition, void *opaque)
{
    Watched *w = opaque;

    w->n_calls++;
    for (unsigned i = 0; i < G_N_ELEMENTS(crowd); i++) {
        if (&crowd[i] != w) {
            g_clear_pointer(&crowd[i].watch, fd_watch_free);
        }
    }
    fd_watch_set_events(w->watch, 0);
}

static void crowd_watch(void *opaque)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(crowd); i++) {
        Watched *w = &crowd[i];

        w->watch = (shared ? fd_watch_new_shared : fd_watch_new)(
            iothread_get_g_main_context(iothread), w->theirs, crowd_ready, w);
        fd_watch_set_events(w->watch, G_IO_OUT);
    }
}

static void crowd_stop(void *opaque)
{
    int *n_calls = opaque;

    for (unsigned i = 0; i < G_N_ELEMENTS(crowd); i++) {
        g_clear_pointer(&crowd[i].watch, fd_watch_free);
        *n_calls += crowd[i].n_calls;
    }
}

static void test_watch_free_others(void)
{
    int n_calls = 0;

    set_up();
    memset(crowd, 0, sizeof(crowd));
    for (unsigned i = 0; i < G_N_ELEMENTS(crowd); i++) {
        int pair[2];

        g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), ==, 0);
        crowd[i].mine = pair[0];
        crowd[i].theirs = pair[1];
    }
    iothread_run(iothread, crowd_watch, NULL);
    settle();
    iothread_run(iothread, crowd_stop, &n_calls);
    g_assert_cmpint(n_calls, ==, 1);
    for (unsigned i = 0; i < G_N_ELEMENTS(crowd); i++) {
        close(crowd[i].mine);
        close(crowd[i].theirs);
    }
    tear_down();
}

static void start_two_watches(void *opaque)
{
    Watched **w = opaque;

    for (int i = 0; i < 2; i++) {
        w[i]->watch = fd_watch_new_shared(iothread_get_g_main_context(iothread),
                                          w[i]->theirs, watched_ready, w[i]);
        fd_watch_set_events(w[i]->watch, G_IO_IN);
    }
}

static void stop_two_watches(void *opaque)
{
    Watched **w = opaque;

    g_clear_pointer(&w[0]->watch, fd_watch_free);
    g_clear_pointer(&w[1]->watch, fd_watch_free);
}

/* epoll refuses a regular file, and a descriptor that it already watches. */
static void test_watch_refused(const char *path, int n_of_that)
{
    Watched file = {0}, twin = {0}, *w[] = {&file, &twin};

    set_up();
    file.theirs = twin.theirs = open(path, O_RDWR);
    g_assert_cmpint(file.theirs, >=, 0);
    iothread_run(iothread, start_two_watches, w);
    wait_for_calls(&file, n_of_that);
    wait_for_calls(&twin, n_of_that);
    iothread_run(iothread, stop_two_watches, w);
    close(file.theirs);
    tear_down();
}

static void test_watch_file(void)
{
    g_autofree char *path = NULL;
    int fd = g_file_open_tmp("yankd-test-XXXXXX", &path, NULL);

    close(fd);
    test_watch_refused(path, 2);
    unlink(path);
}

static void test_watch_twice(void)
{
    g_autofree char *dir = g_dir_make_tmp("yankd-test-XXXXXX", NULL);
    g_autofree char *path = g_build_filename(dir, "fifo", NULL);
    int fd;

    g_assert_cmpint(mkfifo(path, 0600), ==, 0);
    fd = open(path, O_RDWR);
    g_assert_cmpint(write(fd, "x", 1), ==, 1);
    test_watch_refused(path, 2);
    close(fd);
    unlink(path);
    rmdir(dir);
}

static void test_busy_polling(void)
{
    Watched w;
    char c;

    watched_init(&w);
    g_assert_cmpint(iothread_get_poll_max_ns(iothread), ==, 0);
    iothread_set_poll_max_ns(iothread, 200000);
    g_assert_cmpint(iothread_get_poll_max_ns(iothread), ==, 200000);
    w.quiet_when_called = true;
    for (int i = 0; i < 300; i++) {
        iothread_run(iothread, watch_in, &w);
        g_assert_cmpint(write(w.mine, "x", 1), ==, 1);
        wait_for_calls(&w, i + 1);
        g_assert_cmpint(read(w.theirs, &c, 1), ==, 1);
        if (i == 200) {
            iothread_set_poll_max_ns(iothread, -1);
        }
    }
    g_assert_cmpint(iothread_get_poll_max_ns(iothread), ==, 0);
    watched_end(&w);
}

static void test_default(void)
{
    IOThread *first = iothread_default();

    g_assert_true(first == iothread_default());
    iothread_run(first, nothing, NULL);
    iothread_default_cleanup();
    iothread_default_cleanup();
    iothread_run(iothread_default(), nothing, NULL);
    iothread_default_cleanup();
}

#ifdef CONFIG_DEBUG_CHECKS
static void test_run_is_not_oob(void)
{
    if (g_test_subprocess()) {
        set_up();
        oob_section_enter("rescue");
        iothread_run(iothread, nothing, NULL);
        return;
    }
    g_test_trap_subprocess(NULL, 0, 0);
    g_test_trap_assert_failed();
    g_test_trap_assert_stderr("*iothread_run() may block*");
}
#endif

typedef struct WatchTest {
    const char *name;
    void (*fn)(void);
} WatchTest;

static const WatchTest watch_tests[] = {
    {"in", test_watch_in},
    {"quiet", test_watch_quiet},
    {"from-deferred", test_watch_from_deferred},
    {"hang-up", test_watch_hang_up},
    {"free-in-callback", test_watch_free_in_callback},
    {"free-others", test_watch_free_others},
};

static void run_own(gconstpointer opaque)
{
    shared = false;
    ((const WatchTest *)opaque)->fn();
}

static void run_shared(gconstpointer opaque)
{
    shared = true;
    ((const WatchTest *)opaque)->fn();
}

static void add_watch_test(const WatchTest *test, bool is_shared)
{
    g_autofree char *path = g_strdup_printf(
        "/fd-watch/%s/%s", is_shared ? "shared" : "own", test->name);

    g_test_add_data_func(path, test, is_shared ? run_shared : run_own);
}

int main(int argc, char **argv)
{
    qemu_mutex_init(&again_lock);
    qemu_cond_init(&again_cond);
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/iothread/post-in-order", test_post_in_order);
    g_test_add_func("/iothread/post-from-itself", test_post_from_itself);
    g_test_add_func("/iothread/posts-before-end", test_posts_before_end);
    g_test_add_func("/iothread/refs", test_refs);
    g_test_add_func("/iothread/many-posters", test_many_posters);
    g_test_add_func("/iothread/defer", test_defer);
    g_test_add_func("/iothread/defer-once-a-round", test_defer_once_a_round);
    g_test_add_func("/iothread/defer-again", test_defer_again);
    g_test_add_func("/iothread/post-while-preparing",
                    test_post_while_preparing);
    g_test_add_func("/iothread/undefer-while-running",
                    test_undefer_while_running);
    g_test_add_func("/iothread/busy-polling", test_busy_polling);
    g_test_add_func("/iothread/default", test_default);
#ifdef CONFIG_DEBUG_CHECKS
    g_test_add_func("/iothread/run-is-not-oob", test_run_is_not_oob);
#endif
    for (gsize i = 0; i < G_N_ELEMENTS(watch_tests); i++) {
        add_watch_test(&watch_tests[i], false);
        add_watch_test(&watch_tests[i], true);
    }
    g_test_add_func("/fd-watch/file", test_watch_file);
    g_test_add_func("/fd-watch/twice", test_watch_twice);
    return g_test_run();
}
