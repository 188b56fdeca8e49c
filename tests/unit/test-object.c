/*
 * Tests of objects: I/O threads and secrets by id.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <fcntl.h>
#include <glib/gstdio.h>
#include <sys/stat.h>
#include "qom/object.h"

static ObjectOptions iothread_options(const char *id)
{
    return (ObjectOptions){
        .qom_type = OBJECT_TYPE_IOTHREAD,
        .id = (char *)id,
    };
}

static ObjectOptions secret_options(const char *id, const char *data)
{
    ObjectOptions options = {
        .qom_type = OBJECT_TYPE_SECRET,
        .id = (char *)id,
    };

    options.u.secret.data = (char *)data;
    return options;
}

static void check_add_fails(const ObjectOptions *options, const char *message)
{
    g_autoptr(Error) err = NULL;

    g_assert_false(object_add(options, &err));
    g_assert_cmpstr(error_get_pretty(err), ==, message);
}

static void check_del_fails(const char *id, const char *message)
{
    g_autoptr(Error) err = NULL;

    g_assert_false(object_del(id, &err));
    g_assert_cmpstr(error_get_pretty(err), ==, message);
}

static void test_iothread(void)
{
    ObjectOptions options = iothread_options("io0");
    IOThread *iothread;

    options.u.iothread.has_poll_max_ns = true;
    options.u.iothread.poll_max_ns = 4000;
    object_add(&options, &error_abort);
    iothread = qom_find_iothread("io0", &error_abort);
    g_assert_cmpstr(iothread_name(iothread), ==, "IO io0");
    g_assert_cmpint(iothread_get_poll_max_ns(iothread), ==, 4000);
    object_del("io0", &error_abort);
    g_assert_null(qom_find_iothread("io0", NULL));
}

static void test_bad_iothread(void)
{
    ObjectOptions options = iothread_options("io0");

    options.u.iothread.has_poll_max_ns = true;
    options.u.iothread.poll_max_ns = -1;
    check_add_fails(&options, "poll-max-ns value must be in range "
                              "[0, 9223372036854775807]");
    check_del_fails("io0", "object 'io0' not found");
}

static void test_ids(void)
{
    ObjectOptions options = iothread_options("a");
    ObjectOptions bad = iothread_options("1a");
    ObjectOptions same = secret_options("a", "x");

    object_add(&options, &error_abort);
    check_add_fails(&options, "attempt to add duplicate property 'a' to "
                              "object (type 'container')");
    check_add_fails(&same, "attempt to add duplicate property 'a' to "
                           "object (type 'container')");
    check_add_fails(&bad, "Parameter 'id' expects an identifier");
    object_del("a", &error_abort);
    check_del_fails("a", "object 'a' not found");
}

static void test_in_use(void)
{
    ObjectOptions options = iothread_options("io0");
    IOThread *iothread;

    object_add(&options, &error_abort);
    iothread = qom_find_iothread("io0", &error_abort);
    qom_iothread_use(iothread);
    qom_iothread_use(iothread);
    qom_iothread_unuse(iothread);
    check_del_fails("io0", "object 'io0' is in use, can not be deleted");
    qom_iothread_unuse(iothread);
    object_del("io0", &error_abort);

    /* What no object made is nobody's business. */
    qom_iothread_use(iothread_default());
    qom_iothread_unuse(iothread_default());
    iothread_default_cleanup();
}

static void test_kinds(void)
{
    ObjectOptions thread = iothread_options("t");
    ObjectOptions secret = secret_options("s", "x");
    g_autoptr(Error) no_thread = NULL;
    g_autoptr(Error) no_secret = NULL;

    object_add(&thread, &error_abort);
    object_add(&secret, &error_abort);
    g_assert_null(qom_find_iothread("s", &no_thread));
    g_assert_cmpstr(error_get_pretty(no_thread), ==,
                    "iothread \"s\" not found");
    g_assert_null(qom_find_secret("t", &no_secret));
    g_assert_cmpstr(error_get_pretty(no_secret), ==, "secret \"t\" not found");
    object_cleanup();
    g_assert_null(qom_find_iothread("t", NULL));
}

static void check_secret(ObjectOptions *options, const char *expected)
{
    g_autoptr(GBytes) bytes = NULL;

    object_add(options, &error_abort);
    bytes = qom_find_secret(options->id, &error_abort);
    /* Whoever uses it keeps it beyond the object. */
    object_del(options->id, &error_abort);
    g_assert_cmpmem(g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes),
                    expected, strlen(expected));
}

static void test_secret(void)
{
    ObjectOptions raw = secret_options("s", "letmein");
    ObjectOptions base64 = secret_options("s", "bGV0\nbWVpbg==\n");
    ObjectOptions nothing = secret_options("s", "");

    check_secret(&raw, "letmein");
    base64.u.secret.has_format = true;
    base64.u.secret.format = QCRYPTO_SECRET_FORMAT_BASE64;
    check_secret(&base64, "letmein");
    check_secret(&nothing, "");
    nothing.u.secret.has_format = true;
    nothing.u.secret.format = QCRYPTO_SECRET_FORMAT_BASE64;
    check_secret(&nothing, "");
}

static void test_secret_file(void)
{
    ObjectOptions options = secret_options("s", NULL);
    g_autofree char *path = NULL;
    int fd = g_file_open_tmp("test-object-XXXXXX", &path, NULL);

    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(write(fd, "from a file", 11), ==, 11);
    close(fd);
    options.u.secret.file = path;
    check_secret(&options, "from a file");
    g_assert_cmpint(g_unlink(path), ==, 0);
}

static void *write_pipe(void *path)
{
    int fd = open(path, O_WRONLY);

    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(write(fd, "by a pi", 7), ==, 7);
    /* A pause, so that the reader finds the pipe empty. */
    g_usleep(20000);
    g_assert_cmpint(write(fd, "pe", 2), ==, 2);
    close(fd);
    return NULL;
}

/* A FIFO, and a pipe by its number as a shell gives it. */
static void test_secret_pipe(void)
{
    g_autofree char *dir = g_dir_make_tmp("test-object-XXXXXX", NULL);
    g_autofree char *fifo = g_build_filename(dir, "fifo", NULL);
    g_autofree char *number = NULL;
    g_autofree char *text = NULL;
    ObjectOptions options = secret_options("s", NULL);
    GThread *thread;
    int fds[2];

    g_assert_cmpint(mkfifo(fifo, 0600), ==, 0);
    options.u.secret.file = fifo;
    text = g_strdup_printf("Unable to read %s: "
                           "nothing has opened the FIFO for writing",
                           fifo);
    check_add_fails(&options, text);
    thread = g_thread_new("writer", write_pipe, fifo);
    check_secret(&options, "by a pipe");
    g_thread_join(thread);
    g_assert_cmpint(g_unlink(fifo), ==, 0);
    g_assert_cmpint(g_rmdir(dir), ==, 0);

    g_assert_cmpint(pipe(fds), ==, 0);
    number = g_strdup_printf("/dev/fd/%d", fds[0]);
    options.u.secret.file = number;
    g_assert_cmpint(write(fds[1], "by a pipe", 9), ==, 9);
    close(fds[1]);
    check_secret(&options, "by a pipe");
    check_secret(&options, "");
    close(fds[0]);
}

static void test_bad_secret(void)
{
    ObjectOptions options = secret_options("s", NULL);

    check_add_fails(&options, "Either 'file' or 'data' must be provided");
    options.u.secret.file = (char *)"/nonexistent/file";
    check_add_fails(&options, "Unable to read /nonexistent/file: "
                              "No such file or directory");
    options.u.secret.file = (char *)"/";
    check_add_fails(&options, "Unable to read /: Is a directory");
    options.u.secret.file = (char *)"/dev/zero";
    check_add_fails(&options, "Unable to read /dev/zero: "
                              "a secret has at most 1 MiB");
    options.u.secret.data = (char *)"x";
    check_add_fails(&options, "'file' and 'data' are mutually exclusive");
    options.u.secret.file = NULL;
    options.u.secret.data = (char *)"b#d";
    options.u.secret.has_format = true;
    options.u.secret.format = QCRYPTO_SECRET_FORMAT_BASE64;
    check_add_fails(&options, "Base64 data contains invalid characters");
    check_del_fails("s", "object 's' not found");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/object/iothread", test_iothread);
    g_test_add_func("/object/bad-iothread", test_bad_iothread);
    g_test_add_func("/object/ids", test_ids);
    g_test_add_func("/object/in-use", test_in_use);
    g_test_add_func("/object/kinds", test_kinds);
    g_test_add_func("/object/secret", test_secret);
    g_test_add_func("/object/secret-file", test_secret_file);
    g_test_add_func("/object/secret-pipe", test_secret_pipe);
    g_test_add_func("/object/bad-secret", test_bad_secret);
    return g_test_run();
}
