/*
 * The out-of-band contract: what blocks under a mark aborts by name, what
 * does not block goes through.  In a release build all goes through.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <netinet/in.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <netdb.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include "qapi/error.h"
#include "qemu/iothread.h"
#include "qemu/lockable.h"
#include "qemu/oob.h"

static void test_unmarked(void)
{
    QemuMutex lock;
    char c;
    int fds[2];

    g_assert_cmpint(pipe(fds), ==, 0);
    g_assert_cmpint(write(fds[1], "x", 1), ==, 1);
    g_assert_cmpint(read(fds[0], &c, 1), ==, 1);
    qemu_mutex_init_slow(&lock);
    WITH_QEMU_LOCK_GUARD(&lock) {
        g_assert_cmpint(write(fds[1], "x", 1), ==, 1);
        g_usleep(1);
    }
    qemu_mutex_destroy(&lock);
    close(fds[0]);
    close(fds[1]);
}

/* None of these may abort. */
static void test_fine_under_mark(void)
{
    int event = eventfd(0, 0);
    uint64_t one = 1;
    int pair[2];
    char c;

    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), ==, 0);
    oob_section_enter("test");
    g_assert_cmpint(write(event, &one, sizeof(one)), ==, sizeof(one));
    g_assert_cmpint(recv(pair[0], &c, 1, MSG_DONTWAIT), ==, -1);
    g_assert_cmpint(errno, ==, EAGAIN);
    g_assert_cmpint(send(pair[0], "x", 1, MSG_DONTWAIT), ==, 1);
    g_assert_cmpint(fcntl(pair[1], F_SETFL, O_NONBLOCK), ==, 0);
    g_assert_cmpint(read(pair[1], &c, 1), ==, 1);
    g_assert_cmpint(write(pair[1], "x", 1), ==, 1);
    g_assert_cmpint(poll(&(struct pollfd){pair[0], POLLIN, 0}, 1, 0), ==, 1);
    g_assert_cmpint(waitpid(-1, NULL, WNOHANG), ==, -1);
    g_assert_false(g_main_context_iteration(NULL, FALSE));
    g_assert_cmpint(shutdown(pair[0], SHUT_RDWR), ==, 0);
    errno = 0;
    g_assert_cmpint(read(-1, &c, 1), ==, -1);
    g_assert_cmpint(errno, ==, EBADF);
    close(pair[0]);
    close(pair[1]);
    close(event);
    oob_section_leave();
}

/* Addresses that are in no file system, of sockets that do not block. */
static void connect_without_path(void *unused)
{
    struct sockaddr_in inet = {.sin_family = AF_INET};
    struct sockaddr_un abstract = {.sun_family = AF_UNIX};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

    inet.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    inet.sin_port = htons(1);
    connect(fd, (struct sockaddr *)&inet, sizeof(inet));
    close(fd);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
    memcpy(abstract.sun_path, "\0nobody", 7);
    g_assert_cmpint(connect(fd, (struct sockaddr *)&abstract,
                            offsetof(struct sockaddr_un, sun_path) + 7),
                    <, 0);
    g_assert_cmpint(bind(fd, (struct sockaddr *)&abstract, sizeof(sa_family_t)),
                    ==, 0);
    close(fd);
}

/* Numeric addresses need no name server. */
static void resolve_number(void)
{
    struct addrinfo hints = {
        .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV,
        .ai_socktype = SOCK_STREAM,
    };
    struct addrinfo *list;

    g_assert_cmpint(getaddrinfo("127.0.0.1", "1", &hints, &list), ==, 0);
    freeaddrinfo(list);
}

static void test_connect_under_mark(void)
{
    resolve_number();
    oob_section_enter("test");
    resolve_number();
    connect_without_path(NULL);
    oob_section_leave();
}

static void ask_for_nothing(void *unused)
{
}

/* Event loops go on polling, also under their mark. */
static void test_event_loop(void)
{
    g_autoptr(IOThread) iothread = iothread_new("loop");

    iothread_run(iothread, connect_without_path, NULL);
    iothread_mark_oob(iothread);
    iothread_run(iothread, connect_without_path, NULL);
    iothread_run(iothread, ask_for_nothing, NULL);
    iothread_run(iothread, ask_for_nothing, NULL);
}

static void test_nested(void)
{
    oob_section_enter("outer");
    oob_section_enter("inner");
    oob_section_leave();
    oob_section_leave();
    g_usleep(1);
}

#ifdef CONFIG_DEBUG_CHECKS
static void block_read(void)
{
    int fds[2];
    char c;

    g_assert_cmpint(pipe(fds), ==, 0);
    g_assert_cmpint(read(fds[0], &c, 1), ==, 1);
}

static void block_write(void)
{
    int fds[2];

    g_assert_cmpint(pipe(fds), ==, 0);
    g_assert_cmpint(write(fds[1], "x", 1), ==, 1);
}

static void block_read_event(void)
{
    int fd = eventfd(1, 0);
    uint64_t n;

    g_assert_cmpint(read(fd, &n, sizeof(n)), ==, sizeof(n));
}

static void block_recv(void)
{
    int pair[2];
    char c;

    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), ==, 0);
    g_assert_cmpint(recv(pair[0], &c, 1, 0), ==, 1);
}

/* O_NONBLOCK promises nothing about a disk. */
static void block_pread(void)
{
    char c;

    g_assert_cmpint(pread(STDIN_FILENO, &c, 1, 0), ==, 1);
}

static void block_open(void)
{
    close(open("/dev/null", O_RDONLY));
}

static void block_stat(void)
{
    struct stat st;

    stat("/", &st);
}

static void block_unlink(void)
{
    unlink("/nonexistent/file");
}

static void block_rename(void)
{
    rename("/nonexistent/file", "/nonexistent/other");
}

/* The socket is non-blocking. */
static void block_connect(void)
{
    struct sockaddr_un addr = {AF_UNIX, "/nonexistent/socket"};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);

    connect(fd, (struct sockaddr *)&addr, sizeof(addr));
}

static void block_bind(void)
{
    struct sockaddr_un addr = {AF_UNIX, "/nonexistent/socket"};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);

    bind(fd, (struct sockaddr *)&addr, sizeof(addr));
}

static void block_sendto(void)
{
    struct sockaddr_un addr = {AF_UNIX, "/nonexistent/socket"};
    int fd = socket(AF_UNIX, SOCK_DGRAM, 0);

    sendto(fd, "x", 1, MSG_DONTWAIT, (struct sockaddr *)&addr, sizeof(addr));
}

/* On a network file system a close flushes. */
static void block_close(void)
{
    close(STDIN_FILENO);
}

static void block_lock_file(void)
{
    struct flock lock = {.l_type = F_RDLCK, .l_whence = SEEK_SET};

    fcntl(STDIN_FILENO, F_SETLK, &lock);
}

static void block_poll(void)
{
    poll(NULL, 0, 1);
}

static void block_usleep(void)
{
    g_usleep(1);
}

static void block_report(void)
{
    error_report("into a full pipe");
}

static void block_slow_lock(void)
{
    static QemuMutex slow;

    qemu_mutex_init_slow(&slow);
    qemu_mutex_lock(&slow);
}

static void block_cond_wait(void)
{
    static QemuMutex lock;
    static QemuCond cond;

    qemu_mutex_init(&lock);
    qemu_cond_init(&cond);
    qemu_mutex_lock(&lock);
    qemu_cond_timedwait(&cond, &lock, 1);
}

static void *do_nothing(void *unused)
{
    return NULL;
}

static QemuThread thread;

static void block_join(void)
{
    qemu_thread_join(&thread);
}

/* What must be there before the mark is. */
static void prepare(void)
{
    g_assert_nonnull(freopen("/proc/self/exe", "r", stdin));
    g_assert_cmpint(fcntl(STDIN_FILENO, F_SETFL, O_NONBLOCK), ==, 0);
    qemu_thread_create(&thread, "idle", do_nothing, NULL, true);
}

typedef struct Blocker {
    const char *name; /* as the abort says it */
    void (*fn)(void);
} Blocker;

static const Blocker blockers[] = {
    {"read", block_read},
    {"write", block_write},
    {"read", block_read_event},
    {"recv", block_recv},
    {"pread*", block_pread},
    {"open*", block_open},
    {"stat*", block_stat},
    {"unlink", block_unlink},
    {"rename", block_rename},
    {"connect", block_connect},
    {"bind", block_bind},
    {"sendto", block_sendto},
    {"close", block_close},
    {"fcntl*", block_lock_file},
    {"poll", block_poll},
    {"g_usleep", block_usleep},
    {"error_report", block_report},
    {"qemu_mutex_lock of a slow mutex", block_slow_lock},
    {"qemu_cond_timedwait", block_cond_wait},
    {"qemu_thread_join", block_join},
};

static void block_in_section(gconstpointer data)
{
    const Blocker *blocker = data;
    g_autofree char *message =
        g_strdup_printf("*%s() may block*OOB section 'rescue'*", blocker->name);

    if (g_test_subprocess()) {
        prepare();
        oob_section_enter("rescue");
        oob_section_enter("more");
        blocker->fn();
        _exit(0);
    }
    g_test_trap_subprocess(NULL, 0, 0);
    g_test_trap_assert_failed();
    g_test_trap_assert_stderr(message);
}

static void block_under_lock(gconstpointer data)
{
    const Blocker *blocker = data;
    g_autofree char *message =
        g_strdup_printf("*%s() may block*fast lock*", blocker->name);
    QemuMutex lock;

    if (g_test_subprocess()) {
        prepare();
        qemu_mutex_init(&lock);
        qemu_mutex_lock(&lock);
        blocker->fn();
        _exit(0);
    }
    g_test_trap_subprocess(NULL, 0, 0);
    g_test_trap_assert_failed();
    g_test_trap_assert_stderr(message);
}

static void call_blocker(void *opaque)
{
    ((const Blocker *)opaque)->fn();
}

/* On an event loop thread; @mark: one that never blocks. */
static void block_on_loop(const Blocker *blocker, bool mark)
{
    g_autofree char *message = g_strdup_printf(
        "*%s() may block*event loop thread 'loop'*", blocker->name);
    IOThread *iothread;

    if (g_test_subprocess()) {
        prepare();
        iothread = iothread_new("loop");
        if (mark) {
            iothread_mark_oob(iothread);
        }
        iothread_run(iothread, call_blocker, (void *)blocker);
        _exit(0);
    }
    g_test_trap_subprocess(NULL, 0, 0);
    g_test_trap_assert_failed();
    g_test_trap_assert_stderr(message);
}

static void block_on_marked_loop(gconstpointer data)
{
    block_on_loop(data, true);
}

static const Blocker path_blocker = {"unlink", block_unlink};

static void block_on_any_loop(void)
{
    block_on_loop(&path_blocker, false);
}

static bool only_n0(const char *type, const char *id)
{
    return g_str_equal(type, "blockdev") && id && g_str_equal(id, "n0");
}

/* Calls for which the main thread of a program may wait. */
static void test_main_thread_waits(void)
{
    if (!g_test_subprocess()) {
        g_test_trap_subprocess(NULL, 0, 0);
        g_test_trap_assert_passed();
        return;
    }
    prepare();
    oob_main_thread_enter(only_n0);
    poll(NULL, 0, 1);
    g_usleep(1);
    g_main_context_iteration(NULL, FALSE);
    {
        OOB_WAIT_BOUND("it ends at once");
        qemu_thread_join(&thread);
        prepare();
    }
    {
        OOB_WAIT_YANK("blockdev", "n0");
        OOB_WAIT_BOUND("nested");
        qemu_thread_join(&thread);
    }
}

/* These have no time limit. */
static const Blocker endless_blockers[] = {
    {"qemu_thread_join", block_join}, {"read", block_read},
    {"write", block_write},           {"stat*", block_stat},
    {"connect", block_connect},       {"open*", block_open},
};

static void wait_without_reason(gconstpointer data)
{
    const Blocker *blocker = data;
    g_autofree char *message = g_strdup_printf(
        "*%s() on the main thread may wait for ever*", blocker->name);

    if (g_test_subprocess()) {
        prepare();
        oob_main_thread_enter(only_n0);
        {
            OOB_WAIT_BOUND("another wait");
        }
        blocker->fn();
        _exit(0);
    }
    g_test_trap_subprocess(NULL, 0, 0);
    g_test_trap_assert_failed();
    g_test_trap_assert_stderr(message);
}

static void test_main_thread_unregistered(void)
{
    if (g_test_subprocess()) {
        oob_main_thread_enter(only_n0);
        OOB_WAIT_YANK("migration", NULL);
        _exit(0);
    }
    g_test_trap_subprocess(NULL, 0, 0);
    g_test_trap_assert_failed();
    g_test_trap_assert_stderr("*waits for the instance migration, which*");
}

static void add_blockers(void)
{
    g_test_add_func("/oob/path-on-loop", block_on_any_loop);
    g_test_add_func("/oob/main-thread/waits", test_main_thread_waits);
    g_test_add_func("/oob/main-thread/unregistered",
                    test_main_thread_unregistered);
    for (size_t i = 0; i < G_N_ELEMENTS(endless_blockers); i++) {
        g_autofree char *name =
            g_strdup_printf("/oob/main-thread/without-reason/%zu", i);

        g_test_add_data_func(name, &endless_blockers[i], wait_without_reason);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(blockers); i++) {
        g_autofree char *section = g_strdup_printf("/oob/in-section/%zu", i);
        g_autofree char *loop = g_strdup_printf("/oob/on-loop/%zu", i);
        g_autofree char *locked = g_strdup_printf("/oob/under-lock/%zu", i);

        g_test_add_data_func(section, &blockers[i], block_in_section);
        g_test_add_data_func(loop, &blockers[i], block_on_marked_loop);
        g_test_add_data_func(locked, &blockers[i], block_under_lock);
    }
}
#else
static void add_blockers(void)
{
}
#endif

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/oob/unmarked", test_unmarked);
    g_test_add_func("/oob/fine-under-mark", test_fine_under_mark);
    g_test_add_func("/oob/connect-under-mark", test_connect_under_mark);
    g_test_add_func("/oob/event-loop", test_event_loop);
    g_test_add_func("/oob/nested", test_nested);
    add_blockers();
    return g_test_run();
}
