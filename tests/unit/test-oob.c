/*
 * The out-of-band contract: what blocks under a mark aborts by name, what
 * does not block goes through.  In a release build all goes through.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include "qapi/error.h"
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

static void add_blockers(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(blockers); i++) {
        g_autofree char *section = g_strdup_printf("/oob/in-section/%zu", i);
        g_autofree char *locked = g_strdup_printf("/oob/under-lock/%zu", i);

        g_test_add_data_func(section, &blockers[i], block_in_section);
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
    g_test_add_func("/oob/nested", test_nested);
    add_blockers();
    return g_test_run();
}
