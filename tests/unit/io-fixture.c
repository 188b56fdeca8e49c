/*
 * What the tests of channels and character devices share.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <dirent.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>
#include "io-fixture.h"
#include "io/inherited-fd.h"

#ifdef __SANITIZE_THREAD__
/*
 * GLib is not instrumented, so the locks of its contexts, which other threads
 * add sources to, are not seen.
 */
const char *__tsan_default_suppressions(void);

const char *__tsan_default_suppressions(void)
{
    return "called_from_lib:libglib-2.0.so\n";
}
#endif

static char *folder;
static int fds_at_start;

static int count_fds(void)
{
    DIR *dir = opendir("/proc/self/fd");
    int n = 0;

    g_assert(dir);
    while (readdir(dir)) {
        n++;
    }
    closedir(dir);
    return n;
}

void io_fixture_start(void)
{
    /* GLib makes what the default context needs on first use. */
    g_main_context_iteration(NULL, FALSE);
    folder = g_dir_make_tmp("yankd-io-XXXXXX", NULL);
    g_assert(folder);
    fds_at_start = count_fds();
}

void io_fixture_finish(void)
{
    gint64 deadline =
        g_get_monotonic_time() + FIXTURE_DEADLINE_S * G_USEC_PER_SEC;

    /* What ends on another thread may still be about to close. */
    while (count_fds() != fds_at_start && g_get_monotonic_time() < deadline) {
        g_thread_yield();
    }
    g_assert_cmpint(count_fds(), ==, fds_at_start);
    g_assert_cmpint(rmdir(folder), ==, 0);
    g_clear_pointer(&folder, g_free);
}

char *io_fixture_path(const char *name)
{
    return g_build_filename(folder, name, NULL);
}

SocketAddress *io_fixture_unix(const char *path)
{
    SocketAddress *addr = g_new0(SocketAddress, 1);

    addr->type = SOCKET_ADDRESS_TYPE_UNIX;
    addr->u.q_unix.path = g_strdup(path);
    return addr;
}

SocketAddress *io_fixture_inet(const char *host, const char *port)
{
    SocketAddress *addr = g_new0(SocketAddress, 1);

    addr->type = SOCKET_ADDRESS_TYPE_INET;
    addr->u.inet.host = g_strdup(host);
    addr->u.inet.port = g_strdup(port);
    return addr;
}

SocketAddress *io_fixture_fd(int fd)
{
    SocketAddress *addr = g_new0(SocketAddress, 1);

    inherited_fd_add(fd);
    addr->type = SOCKET_ADDRESS_TYPE_FD;
    addr->u.fd.str = g_strdup_printf("%d", fd);
    return addr;
}

static gboolean too_late(gpointer opaque)
{
    g_error("the deadline of a test is over");
    return G_SOURCE_REMOVE;
}

void io_fixture_run_until(GMainContext *context, bool (*done)(void *opaque),
                          void *opaque)
{
    g_autoptr(GSource) deadline =
        g_timeout_source_new_seconds(FIXTURE_DEADLINE_S);

    g_source_set_callback(deadline, too_late, NULL, NULL);
    g_source_attach(deadline, context);
    while (!done(opaque)) {
        g_main_context_iteration(context, TRUE);
    }
    g_source_destroy(deadline);
}

static bool flag_is_set(void *opaque)
{
    return *(const bool *)opaque;
}

void io_fixture_run_until_flag(GMainContext *context, const bool *flag)
{
    io_fixture_run_until(context, flag_is_set, (void *)flag);
}

static struct sockaddr_un unix_sockaddr(const char *path)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};

    g_assert_cmpuint(strlen(path), <, sizeof(un.sun_path));
    memcpy(un.sun_path, path, strlen(path));
    return un;
}

int io_fixture_listen_unix(const char *path, int backlog)
{
    struct sockaddr_un un = unix_sockaddr(path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    g_assert_cmpint(bind(fd, (struct sockaddr *)&un, sizeof(un)), ==, 0);
    g_assert_cmpint(listen(fd, backlog), ==, 0);
    return fd;
}

int io_fixture_listen_inet(char *port, int backlog)
{
    struct sockaddr_in in = {.sin_family = AF_INET,
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(in);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    g_assert_cmpint(bind(fd, (struct sockaddr *)&in, len), ==, 0);
    g_assert_cmpint(listen(fd, backlog), ==, 0);
    g_assert_cmpint(getsockname(fd, (struct sockaddr *)&in, &len), ==, 0);
    snprintf(port, 6, "%u", ntohs(in.sin_port));
    return fd;
}

int io_fixture_connect_unix(const char *path, bool nonblock)
{
    struct sockaddr_un un = unix_sockaddr(path);
    int flags = SOCK_CLOEXEC | (nonblock ? SOCK_NONBLOCK : 0);
    int fd = socket(AF_UNIX, SOCK_STREAM | flags, 0);

    if (connect(fd, (struct sockaddr *)&un, sizeof(un)) < 0) {
        int err = errno;

        close(fd);
        errno = err;
        return -1;
    }
    return fd;
}

GArray *io_fixture_fill_backlog(const char *path)
{
    GArray *fds = g_array_new(FALSE, FALSE, sizeof(int));
    int fd;

    while ((fd = io_fixture_connect_unix(path, true)) >= 0) {
        g_array_append_val(fds, fd);
    }
    g_assert_cmpint(errno, ==, EAGAIN);
    return fds;
}

void io_fixture_close_all(GArray *fds)
{
    for (guint i = 0; i < fds->len; i++) {
        close(g_array_index(fds, int, i));
    }
    g_array_unref(fds);
}
