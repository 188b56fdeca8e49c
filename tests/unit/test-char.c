/*
 * Character devices but for sockets, their table and its commands.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include "char-fixture.h"
#include "qapi/qapi-commands-char.h"
#include "qemu/activity.h"
#include "qemu/aside.h"

static void expect_error(bool ok, Error **err, const char *text)
{
    g_assert_false(ok);
    g_assert_cmpstr(error_get_pretty(*err), ==, text);
    g_clear_pointer(err, error_free);
}

/* Runs the command that adds @backend, with its kind of error. */
static void expect_add_error(const char *id, ChardevBackend *backend,
                             const char *text)
{
    Error *err = NULL;

    g_assert_null(qmp_chardev_add(id, backend, &err));
    expect_error(false, &err, text);
}

static ChardevBackend *null_backend(void)
{
    static ChardevCommon common;
    static ChardevBackend backend = {.type = CHARDEV_BACKEND_KIND_NULL,
                                     .u.null.data = &common};

    return &backend;
}

static ChardevBackend *ringbuf_backend(int64_t size)
{
    static ChardevRingbuf ringbuf;
    static ChardevBackend backend = {.type = CHARDEV_BACKEND_KIND_RINGBUF,
                                     .u.ringbuf.data = &ringbuf};

    ringbuf.has_size = true;
    ringbuf.size = size;
    return &backend;
}

static void test_table(void)
{
    Error *err = NULL;

    io_fixture_start();
    g_assert_null(qmp_query_chardev(&error_abort));
    qapi_free_ChardevReturn(
        qmp_chardev_add("n0", null_backend(), &error_abort));
    expect_add_error("n0", null_backend(),
                     "Chardev with id 'n0' already exists");
    g_assert_nonnull(chardev_find("n0", &error_abort));
    g_assert_true(
        chardev_write_all(chardev_find("n0", NULL), "x", 1, &error_abort));
    qmp_chardev_remove("n0", &error_abort);
    expect_error(chardev_remove("n0", &err), &err, "Chardev 'n0' not found");
    expect_error(chardev_find("n0", &err), &err, "Chardev 'n0' not found");
    char_fixture_finish();
}

static void test_bad_id(void)
{
    static const char *const ids[] = {"", "1a", "a b", "a/b", "-a"};

    io_fixture_start();
    for (size_t i = 0; i < G_N_ELEMENTS(ids); i++) {
        g_autoptr(Error) err = NULL;

        g_assert_false(chardev_add(ids[i], null_backend(), &err));
        g_assert_nonnull(strstr(error_get_pretty(err),
                                "Parameter 'id' expects an identifier"));
    }
    char_fixture_finish();
}

static void test_change(void)
{
    Error *err = NULL;
    g_autofree char *filename = NULL;

    io_fixture_start();
    g_assert_null(qmp_chardev_change("c0", null_backend(), &err));
    expect_error(false, &err, "Chardev 'c0' does not exist");
    chardev_add("c0", ringbuf_backend(16), &error_abort);
    g_assert_null(qmp_chardev_change("c0", ringbuf_backend(3), &err));
    expect_error(false, &err,
                 "Failed to add chardev 'c0': "
                 "size of ringbuf chardev must be power of two");
    qmp_ringbuf_write("c0", "still there", false, 0, &error_abort);
    qapi_free_ChardevReturn(
        qmp_chardev_change("c0", null_backend(), &error_abort));
    filename = char_fixture_filename("c0");
    g_assert_cmpstr(filename, ==, "null");
    char_fixture_finish();
}

static void test_backends(void)
{
    g_autoptr(ChardevBackendInfoList) list =
        qmp_query_chardev_backends(&error_abort);
    int n = 0;

    for (ChardevBackendInfoList *l = list; l; l = l->next) {
        n++;
    }
    g_assert_cmpint(n, ==, CHARDEV_BACKEND_KIND__MAX);
}

static void expect_read(int64_t size, DataFormat format, const char *text)
{
    g_autofree char *data =
        qmp_ringbuf_read("r0", size, true, format, &error_abort);

    g_assert_cmpstr(data, ==, text);
}

static void test_ringbuf(void)
{
    io_fixture_start();
    chardev_add("r0", ringbuf_backend(16), &error_abort);
    expect_read(10, DATA_FORMAT_UTF8, "");
    qmp_ringbuf_write("r0", "0123456789abcdefXYZ", false, 0, &error_abort);
    expect_read(4, DATA_FORMAT_UTF8, "3456");
    expect_read(3, DATA_FORMAT_BASE64, "Nzg5");
    expect_read(INT64_MAX, DATA_FORMAT_UTF8, "abcdefXYZ");
    qmp_ringbuf_write("r0", "AAEC/w==", true, DATA_FORMAT_BASE64, &error_abort);
    expect_read(100, DATA_FORMAT_BASE64, "AAEC/w==");
    qmp_ringbuf_write("r0", "/w==", true, DATA_FORMAT_BASE64, &error_abort);
    expect_read(100, DATA_FORMAT_UTF8, "\xef\xbf\xbd");
    qmp_ringbuf_write("r0", "", false, 0, &error_abort);
    expect_read(100, DATA_FORMAT_UTF8, "");
    char_fixture_finish();
}

static void test_ringbuf_errors(void)
{
    static const int64_t sizes[] = {0, -4, 3, INT64_MIN};
    Error *err = NULL;

    io_fixture_start();
    for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
        expect_add_error("r0", ringbuf_backend(sizes[i]),
                         "Failed to add chardev 'r0': "
                         "size of ringbuf chardev must be power of two");
    }
    expect_add_error("r0", ringbuf_backend(INT64_C(1) << 62),
                     "Failed to add chardev 'r0': size of ringbuf chardev "
                     "must not exceed 1073741824 bytes");
    chardev_add("r0", ringbuf_backend(16), &error_abort);
    chardev_add("n0", null_backend(), &error_abort);
    qmp_ringbuf_write("x", "", false, 0, &err);
    expect_error(false, &err, "Device 'x' not found");
    qmp_ringbuf_write("n0", "", false, 0, &err);
    expect_error(false, &err, "n0 is not a ringbuf device");
    qmp_ringbuf_write("r0", "!!!", true, DATA_FORMAT_BASE64, &err);
    expect_error(false, &err, "Base64 data contains invalid characters");
    expect_error(qmp_ringbuf_read("r0", 0, false, 0, &err), &err,
                 "size must be greater than zero");
    expect_error(qmp_ringbuf_read("n0", 1, false, 0, &err), &err,
                 "n0 is not a ringbuf device");
    char_fixture_finish();
}

static void test_chardev_write(void)
{
    Error *err = NULL;

    io_fixture_start();
    chardev_add("r0", ringbuf_backend(16), &error_abort);
    qmp_chardev_write("r0", "eHk=", true, DATA_FORMAT_BASE64, &error_abort);
    expect_read(100, DATA_FORMAT_UTF8, "xy");
    qmp_chardev_write("x", "", false, 0, &err);
    expect_error(false, &err, "Device 'x' not found");
    char_fixture_finish();
}

static void expect_file(const char *path, const char *text)
{
    g_autofree char *content = NULL;

    g_assert_true(g_file_get_contents(path, &content, NULL, NULL));
    g_assert_cmpstr(content, ==, text);
}

static void test_file(void)
{
    g_autofree char *path = NULL;

    io_fixture_start();
    path = io_fixture_path("f");
    g_file_set_contents(path, "old", -1, NULL);
    char_fixture_add_path("file,id=f0,path=%s,append=on", path, &error_abort);
    qmp_chardev_write("f0", "new", false, 0, &error_abort);
    expect_file(path, "oldnew");
    chardev_remove("f0", &error_abort);
    char_fixture_add_path("file,id=f0,path=%s", path, &error_abort);
    qmp_chardev_write("f0", "newer", false, 0, &error_abort);
    expect_file(path, "newer");
    unlink(path);
    char_fixture_finish();
}

static void test_file_errors(void)
{
    g_autofree char *path = NULL;
    g_autofree char *option = NULL;
    Error *err = NULL;

    io_fixture_start();
    path = io_fixture_path("f");
    expect_error(char_fixture_add("file,id=f0,path=/nonexistent/f", &err), &err,
                 "Could not open '/nonexistent/f': No such file or directory");
    option =
        g_strdup_printf("file,id=f0,path=%s,input-path=/nonexistent/f", path);
    expect_error(char_fixture_add(option, &err), &err,
                 "Could not open '/nonexistent/f': No such file or directory");
    unlink(path);
    char_fixture_add("file,id=f0,path=/dev/full", &error_abort);
    qmp_chardev_write("f0", "x", false, 0, &err);
    expect_error(false, &err,
                 "Unable to write to chardev 'f0': No space left on device");
    char_fixture_finish();
}

/*
 * Yanks "c0" as soon as it is an instance and, if @path is given, its peer is
 * @path.  The first yank is never lost.
 */
static void *yank_thread(void *path)
{
    ActivitySnapshot now = {};
    int cut;

    while (path && !strstr(now.peer, path)) {
        activity_snapshot("chardev:c0", &now);
        g_thread_yield();
    }
    while ((cut = char_fixture_try_yank("c0")) < 0) {
        g_thread_yield();
    }
    return GINT_TO_POINTER(cut);
}

static void check_yanked(GThread *thread, Error **err, const char *text,
                         const char *path)
{
    g_autofree char *expected = g_strdup_printf(text, path);

    g_assert_cmpint(GPOINTER_TO_INT(g_thread_join(thread)), ==, 1);
    g_assert_cmpstr(error_get_pretty(*err), ==, expected);
    g_clear_pointer(err, error_free);
}

static void append_call(const char *what, int64_t age_us, void *opaque)
{
    (*(int *)opaque)++;
}

/* Releases the side threads that a yank has abandoned in @fifo. */
static void let_go(const char *fifo)
{
    int fd = open(fifo, O_RDWR | O_CLOEXEC), left;

    do {
        left = 0;
        aside_foreach_abandoned(append_call, &left);
        g_thread_yield();
    } while (left);
    close(fd);
}

/* A FIFO without another end, which open() waits for. */
static void test_yank_open(void)
{
    g_autofree char *fifo = NULL;
    g_autofree char *out = NULL;
    ChardevFile options[2];

    io_fixture_start();
    fifo = io_fixture_path("fifo");
    out = io_fixture_path("out");
    g_assert_cmpint(mkfifo(fifo, 0600), ==, 0);
    options[0] = (ChardevFile){.out = fifo};
    options[1] = (ChardevFile){.out = out, .in = fifo};
    for (size_t i = 0; i < G_N_ELEMENTS(options); i++) {
        ChardevBackend file = {.type = CHARDEV_BACKEND_KIND_FILE,
                               .u.file.data = &options[i]};
        GThread *thread = g_thread_new("yank", yank_thread, i ? fifo : NULL);
        Error *err = NULL;

        g_assert_false(chardev_add("c0", &file, &err));
        check_yanked(thread, &err, "Chardev 'c0' was yanked while opening '%s'",
                     fifo);
        g_assert_cmpint(char_fixture_instances(), ==, 0);
        let_go(fifo);
    }
    unlink(fifo);
    unlink(out);
    char_fixture_finish();
}

/* A FIFO that nobody reads; afterwards the device works again. */
static void test_yank_write(void)
{
    g_autofree char *fifo = NULL;
    g_autofree char *much = g_strnfill(1 * MiB, 'x');
    Error *err = NULL;
    GThread *thread;
    char buf[4096];
    int fd;

    io_fixture_start();
    fifo = io_fixture_path("fifo");
    g_assert_cmpint(mkfifo(fifo, 0600), ==, 0);
    fd = open(fifo, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    char_fixture_add_path("file,id=c0,path=%s", fifo, &error_abort);
    g_assert_cmpint(char_fixture_instances(), ==, 0);
    thread = g_thread_new("yank", yank_thread, NULL);
    qmp_chardev_write("c0", much, false, 0, &err);
    check_yanked(thread, &err, "Chardev '%s' was yanked while writing", "c0");
    g_assert_cmpint(char_fixture_instances(), ==, 0);
    while (read(fd, buf, sizeof(buf)) > 0) {
    }
    qmp_chardev_write("c0", "again", false, 0, &error_abort);
    g_assert_cmpint(read(fd, buf, sizeof(buf)), ==, 5);
    close(fd);
    qmp_chardev_write("c0", "x", false, 0, &err);
    expect_error(false, &err, "Unable to write to chardev 'c0': Broken pipe");
    unlink(fifo);
    char_fixture_finish();
}

static void test_stdio(void)
{
    Error *err = NULL;

    io_fixture_start();
    char_fixture_add("stdio,id=s0", &error_abort);
    expect_error(char_fixture_add("stdio,id=s1", &err), &err,
                 "cannot use stdio by multiple character devices");
    chardev_remove("s0", &error_abort);
    char_fixture_add("stdio,id=s1,signal=off", &error_abort);
    char_fixture_finish();
}

static void no_session(QIOChannel *ioc, void *opaque)
{
    g_assert_not_reached();
}

/* A monitor needs descriptors of its own. */
static void test_stdio_no_descriptor(void)
{
    struct rlimit old, few = {.rlim_cur = 32};
    g_autoptr(Error) err = NULL;
    int fds[32], n = 0;
    Chardev *chr;
    bool ok;

    io_fixture_start();
    char_fixture_add("stdio,id=s0", &error_abort);
    chr = chardev_find("s0", &error_abort);
    getrlimit(RLIMIT_NOFILE, &old);
    few.rlim_max = old.rlim_max;
    setrlimit(RLIMIT_NOFILE, &few);
    while ((fds[n] = dup(STDIN_FILENO)) >= 0) {
        n++;
    }
    ok = chardev_attach_monitor(chr, NULL, no_session, NULL, &err);
    setrlimit(RLIMIT_NOFILE, &old);
    while (n > 0) {
        close(fds[--n]);
    }
    g_assert_false(ok);
    g_assert_nonnull(strstr(error_get_pretty(err), "Too many open files"));
    chardev_remove("s0", &error_abort);
    char_fixture_finish();
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    signal(SIGPIPE, SIG_IGN); /* as yankd has it */
    g_test_add_func("/char/table", test_table);
    g_test_add_func("/char/bad-id", test_bad_id);
    g_test_add_func("/char/change", test_change);
    g_test_add_func("/char/backends", test_backends);
    g_test_add_func("/char/ringbuf/data", test_ringbuf);
    g_test_add_func("/char/ringbuf/errors", test_ringbuf_errors);
    g_test_add_func("/char/write", test_chardev_write);
    g_test_add_func("/char/file/data", test_file);
    g_test_add_func("/char/file/errors", test_file_errors);
    g_test_add_func("/char/file/yank-open", test_yank_open);
    g_test_add_func("/char/file/yank-write", test_yank_write);
    g_test_add_func("/char/stdio", test_stdio);
    g_test_add_func("/char/stdio/no-descriptor", test_stdio_no_descriptor);
    return g_test_run();
}
