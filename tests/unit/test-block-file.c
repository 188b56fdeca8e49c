/*
 * File nodes: data, holes, direct I/O, locks, and what cannot be opened.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <dlfcn.h>
#include <glib/gstdio.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include "block-test.h"
#include "qemu/aside.h"
#include "qemu/thread-pool.h"

#define SIZE (256 * 1024)

static char *tmpdir, *image;

/* ---- Replacements of libc calls, which fail, wait, or are recorded. ---- */

static struct {
    QemuMutex lock; /* guards the other members */
    QemuCond cond;
    GString *calls;   /* names of the calls that ended, separated by spaces */
    const char *gate; /* calls of that name wait, as on a dead file system */
    unsigned n_waiting;
    int sync_errno; /* the next sync, and only that one, fails with it */
    long fs_magic;  /* type that file systems report; 0: the real one */
} libc;

static void libc_init(void)
{
    qemu_mutex_init(&libc.lock);
    qemu_cond_init(&libc.cond);
    libc.calls = g_string_new(NULL);
}

static void libc_reset(void)
{
    QEMU_LOCK_GUARD(&libc.lock);
    g_string_truncate(libc.calls, 0);
    libc.sync_errno = 0;
    libc.fs_magic = 0;
}

static void libc_set_gate(const char *name)
{
    QEMU_LOCK_GUARD(&libc.lock);
    libc.gate = name;
    qemu_cond_broadcast(&libc.cond);
}

static void libc_wait_for_waiting(unsigned n)
{
    QEMU_LOCK_GUARD(&libc.lock);
    while (libc.n_waiting != n) {
        g_assert_true(qemu_cond_timedwait(&libc.cond, &libc.lock, DEADLINE_MS));
    }
}

static void pass_gate(const char *name)
{
    if (!libc.calls) {
        return; /* before main() */
    }
    QEMU_LOCK_GUARD(&libc.lock);
    libc.n_waiting++;
    qemu_cond_broadcast(&libc.cond);
    while (libc.gate && strcmp(libc.gate, name) == 0) {
        qemu_cond_wait(&libc.cond, &libc.lock);
    }
    libc.n_waiting--;
    qemu_cond_broadcast(&libc.cond);
    g_string_append_printf(libc.calls, "%s ", name);
}

/* The name of the function with 64-bit offsets. */
#define REAL(type, name)                                                       \
    ((type)(dlsym(RTLD_NEXT, name "64") ?: dlsym(RTLD_NEXT, name)))

int fdatasync(int fd)
{
    int error;

    pass_gate("sync");
    WITH_QEMU_LOCK_GUARD(&libc.lock) {
        error = libc.sync_errno;
        libc.sync_errno = 0;
    }
    if (error) {
        errno = error;
        return -1;
    }
    return REAL(int (*)(int), "fdatasync")(fd);
}

int fallocate(int fd, int mode, off_t offset, off_t bytes)
{
    pass_gate("fallocate");
    return REAL(int (*)(int, int, off_t, off_t), "fallocate")(fd, mode, offset,
                                                              bytes);
}

int ftruncate(int fd, off_t size)
{
    pass_gate("truncate");
    return REAL(int (*)(int, off_t), "ftruncate")(fd, size);
}

ssize_t pread(int fd, void *buf, size_t bytes, off_t offset)
{
    pass_gate("read");
    return REAL(ssize_t(*)(int, void *, size_t, off_t), "pread")(fd, buf, bytes,
                                                                 offset);
}

int fstatfs(int fd, struct statfs *fs)
{
    int ret = REAL(int (*)(int, struct statfs *), "fstatfs")(fd, fs);

    QEMU_LOCK_GUARD(&libc.lock);
    if (libc.fs_magic) {
        fs->f_type = libc.fs_magic;
    }
    return ret;
}

static char *file_json(const char *name, const char *path, const char *more)
{
    return g_strdup_printf("{'driver': 'file', 'node-name': '%s',"
                           " 'filename': '%s'%s}",
                           name, path, more);
}

static BlockNode *add_image(const char *name, const char *more)
{
    g_autofree char *json = file_json(name, image, more);

    return test_add(json);
}

static void add_fails(const char *path, const char *more, const char *format)
{
    g_autofree char *json = file_json("x", path, more);
    g_autoptr(GString) message = g_string_new(format);

    g_string_replace(message, "PATH", path, 0);
    test_add_fails(json, message->str);
}

static void make_image(void)
{
    int fd = open(image, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    g_assert_cmpint(ftruncate(fd, SIZE), ==, 0);
    close(fd);
}

static void check_data(BlockNode *node)
{
    g_autofree char *expect = g_malloc0(SIZE);
    g_autofree char *buf = g_malloc0(SIZE + 1);
    /* Aligned or not, in place and in memory. */
    static const struct {
        uint64_t offset, bytes;
        unsigned skew;
    } writes[] = {
        {0, SIZE, 0},     {4096, 8192, 1},  {5, 3, 0},
        {8000, 20000, 1}, {65536, 4096, 0}, {SIZE - 1, 1, 0},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(writes); i++) {
        uint64_t offset = writes[i].offset, bytes = writes[i].bytes;

        memset(buf + writes[i].skew, 'a' + i, bytes);
        memset(expect + offset, 'a' + i, bytes);
        g_assert_cmpint(block_request_sync(node, BLOCK_OP_WRITE, offset, bytes,
                                           buf + writes[i].skew,
                                           i % 2 ? BLOCK_REQ_FUA : 0),
                        ==, 0);
    }
    memset(expect + 10000, 0, 100000);
    g_assert_cmpint(block_request_sync(node, BLOCK_OP_WRITE_ZEROES, 10000,
                                       100000, NULL, BLOCK_REQ_MAY_UNMAP),
                    ==, 0);
    memset(expect + 200000, 0, 5000);
    g_assert_cmpint(block_request_sync(node, BLOCK_OP_WRITE_ZEROES, 200000,
                                       5000, NULL, BLOCK_REQ_FUA),
                    ==, 0);
    g_assert_cmpint(block_request_sync(node, BLOCK_OP_FLUSH, 0, 0, NULL, 0), ==,
                    0);
    g_assert_cmpint(
        block_request_sync(node, BLOCK_OP_READ, 0, SIZE, buf + 1, 0), ==, 0);
    g_assert_cmpmem(buf + 1, SIZE, expect, SIZE);
    g_assert_cmpint(block_request_sync(node, BLOCK_OP_READ, 4095, 4098, buf, 0),
                    ==, 0);
    g_assert_cmpmem(buf, 4098, expect + 4095, 4098);
}

static void test_cached(void)
{
    make_image();
    check_data(add_image("f", ", 'discard': 'unmap'"));
    block_node_del("f", &error_abort);
    test_finish();
}

static void test_direct(void)
{
    make_image();
    check_data(add_image("f", ", 'cache': {'direct': true}"));
    block_node_del("f", &error_abort);
    test_finish();
}

static void test_discard(void)
{
    g_autofree char *buf = g_malloc(SIZE);
    BlockNode *node;
    struct stat st;

    make_image();
    node = add_image("f", ", 'discard': 'unmap'");
    memset(buf, 1, SIZE);
    g_assert_cmpint(
        block_request_sync(node, BLOCK_OP_WRITE, 0, SIZE, buf, BLOCK_REQ_FUA),
        ==, 0);
    g_assert_cmpint(
        block_request_sync(node, BLOCK_OP_DISCARD, 0, SIZE, NULL, 0), ==, 0);
    g_assert_cmpint(stat(image, &st), ==, 0);
    g_assert_cmpint(st.st_size, ==, SIZE);
    g_assert_cmpint(st.st_blocks, ==, 0);
    block_node_del("f", &error_abort);
    test_finish();
}

/* It is a hint that nobody asked for. */
static void test_discard_ignored(void)
{
    char buf[512];
    BlockNode *node;

    make_image();
    node = add_image("f", "");
    memset(buf, 7, sizeof(buf));
    g_assert_cmpint(block_request_sync(node, BLOCK_OP_WRITE, 0, 512, buf, 0),
                    ==, 0);
    g_assert_cmpint(block_request_sync(node, BLOCK_OP_DISCARD, 0, 512, NULL, 0),
                    ==, 0);
    g_assert_cmpint(block_request_sync(node, BLOCK_OP_READ, 0, 512, buf, 0), ==,
                    0);
    g_assert_cmpint(buf[511], ==, 7);
    block_node_del("f", &error_abort);
    test_finish();
}

static void test_many(void)
{
    enum {
        N = 64
    };
    g_autofree char *buf = g_malloc(SIZE);
    g_autofree char *back = g_malloc(SIZE);
    TestReq *reqs[N];
    BlockNode *node;

    make_image();
    node = add_image("f", "");
    for (int i = 0; i < SIZE; i++) {
        buf[i] = g_random_int();
    }
    for (int i = 0; i < N; i++) {
        reqs[i] = test_start(node, BLOCK_OP_WRITE, i * SIZE / N, SIZE / N,
                             buf + i * SIZE / N);
    }
    block_drained_begin(node);
    for (int i = 0; i < N; i++) {
        g_assert_true(test_is_done(reqs[i]));
        g_assert_cmpint(test_wait(reqs[i]), ==, 0);
    }
    block_drained_end(node);
    g_assert_cmpint(block_request_sync(node, BLOCK_OP_READ, 0, SIZE, back, 0),
                    ==, 0);
    g_assert_cmpmem(buf, SIZE, back, SIZE);
    block_node_del("f", &error_abort);
    test_finish();
}

static void test_resize(void)
{
    BlockNode *node;
    struct stat st;
    char buf[512];

    make_image();
    node = add_image("f", "");
    g_assert_true(block_node_resize(node, 2 * SIZE, &error_abort));
    g_assert_cmpint(stat(image, &st), ==, 0);
    g_assert_cmpint(st.st_size, ==, 2 * SIZE);
    /* Somebody else cuts it off. */
    g_assert_cmpint(truncate(image, SIZE), ==, 0);
    memset(buf, 1, sizeof(buf));
    g_assert_cmpint(block_request_sync(node, BLOCK_OP_READ, SIZE, 512, buf, 0),
                    ==, 0);
    g_assert_cmpint(buf[0], ==, 0);
    block_node_del("f", &error_abort);
    test_finish();
}

static void resize_fails(BlockNode *node, const char *message)
{
    g_autoptr(Error) err = NULL;

    g_assert_false(block_node_resize(node, SIZE, &err));
    g_assert_nonnull(strstr(error_get_pretty(err), message));
}

static void test_lock(void)
{
    BlockNode *node;

    make_image();
    node = add_image("f", "");
    add_fails(image, "",
              "Failed to get \"write\" lock: is another node or process using "
              "the image [PATH]?");
    g_assert_true(block_node_resize(node, SIZE, &error_abort));
    /* Readers share with the writer, but rely on the size. */
    add_image("r", ", 'read-only': true");
    resize_fails(node, "Failed to get \"resize\" lock: is another node or "
                       "process using the image");
    block_node_del("r", &error_abort);
    g_assert_true(block_node_resize(node, SIZE, &error_abort));
    add_image("s", ", 'read-only': true, 'force-share': true");
    resize_fails(node, "Failed to get \"resize\" lock");
    add_fails(image, ", 'force-share': true",
              "force-share=on can only be used with read-only images");
    block_close_all();
    add_image("f", "");
    block_close_all();
    test_finish();
}

/* ---- Durability of acknowledged writes. ---- */

static int write_at(BlockNode *node, uint64_t offset, uint64_t bytes,
                    unsigned flags)
{
    g_autofree char *buf = g_malloc0(bytes);

    return block_request_sync(node, BLOCK_OP_WRITE, offset, bytes, buf, flags);
}

static int flush(BlockNode *node)
{
    return block_request_sync(node, BLOCK_OP_FLUSH, 0, 0, NULL, 0);
}

static void test_flush_after_failed_flush(void)
{
    BlockNode *node;

    make_image();
    libc_reset();
    node = add_image("f", ", 'discard': 'unmap'");
    g_assert_cmpint(write_at(node, 0, 4096, 0), ==, 0);
    libc.sync_errno = ENOSPC;
    g_assert_cmpint(flush(node), ==, -ENOSPC);
    g_assert_cmpint(flush(node), ==, -ENOSPC);
    g_assert_cmpint(write_at(node, 0, 512, BLOCK_REQ_FUA), ==, -ENOSPC);
    g_assert_cmpint(block_request_sync(node, BLOCK_OP_WRITE_ZEROES, 0, 512,
                                       NULL, BLOCK_REQ_FUA),
                    ==, -ENOSPC);
    g_assert_cmpint(
        block_request_sync(node, BLOCK_OP_DISCARD, 0, 512, NULL, BLOCK_REQ_FUA),
        ==, -ENOSPC);
    g_assert_cmpint(write_at(node, 0, 512, 0), ==, 0);
    block_node_del("f", &error_abort);
    /* A node opened again can flush. */
    node = add_image("f", "");
    g_assert_cmpint(flush(node), ==, 0);
    g_assert_cmpint(write_at(node, 0, 512, BLOCK_REQ_FUA), ==, 0);
    block_node_del("f", &error_abort);
    test_finish();
}

/* The kernel reports an error to only one of several concurrent flushes. */
static void test_flushes_at_once(void)
{
    TestReq *reqs[4];
    BlockNode *node;

    make_image();
    libc_reset();
    node = add_image("f", "");
    g_assert_cmpint(write_at(node, 0, 4096, 0), ==, 0);
    libc.sync_errno = EIO;
    libc_set_gate("sync");
    for (size_t i = 0; i < G_N_ELEMENTS(reqs); i++) {
        reqs[i] = test_start(node, BLOCK_OP_FLUSH, 0, 0, NULL);
        libc_wait_for_waiting(1);
    }
    libc_set_gate(NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(reqs); i++) {
        g_assert_cmpint(test_wait(reqs[i]), ==, -EIO);
    }
    block_node_del("f", &error_abort);
    test_finish();
}

/* Writes that bypass the cache cannot be lost in it. */
static void test_direct_after_failed_flush(void)
{
    BlockNode *node;

    make_image();
    libc_reset();
    node = add_image("f", ", 'cache': {'direct': true}");
    g_assert_cmpint(write_at(node, 0, 4096, 0), ==, 0);
    libc.sync_errno = EIO;
    g_assert_cmpint(flush(node), ==, -EIO);
    g_assert_cmpint(flush(node), ==, 0);
    /* An unaligned write goes through the cache. */
    g_assert_cmpint(write_at(node, 1, 512, 0), ==, 0);
    libc.sync_errno = EIO;
    g_assert_cmpint(flush(node), ==, -EIO);
    g_assert_cmpint(flush(node), ==, -EIO);
    block_node_del("f", &error_abort);
    test_finish();
}

static void check_calls(BlockNode *node, BlockOp op, unsigned flags,
                        const char *calls)
{
    libc_reset();
    g_assert_cmpint(block_request_sync(node, op, 0, 65536, NULL, flags), ==, 0);
    QEMU_LOCK_GUARD(&libc.lock);
    g_assert_cmpstr(libc.calls->str, ==, calls);
}

static void test_fua_without_data(void)
{
    BlockNode *node;

    make_image();
    node = add_image("f", ", 'discard': 'unmap'");
    check_calls(node, BLOCK_OP_DISCARD, 0, "fallocate ");
    check_calls(node, BLOCK_OP_DISCARD, BLOCK_REQ_FUA, "fallocate sync ");
    check_calls(node, BLOCK_OP_WRITE_ZEROES,
                BLOCK_REQ_FUA | BLOCK_REQ_MAY_UNMAP, "fallocate sync ");
    block_node_del("f", &error_abort);
    test_finish();
}

static int zero_fast(const char *name, long fs_magic)
{
    BlockNode *node;
    int ret;

    libc_reset();
    libc.fs_magic = fs_magic;
    node = add_image(name, "");
    ret = block_request_sync(node, BLOCK_OP_WRITE_ZEROES, 0, 65536, NULL,
                             BLOCK_REQ_MAY_UNMAP | BLOCK_REQ_NO_FALLBACK);
    block_node_del(name, &error_abort);
    return ret;
}

/* On a network file system, the server may write zeroes. */
static void test_fast_zeroes(void)
{
    make_image();
    g_assert_cmpint(zero_fast("nfs", NFS_SUPER_MAGIC), ==, -ENOTSUP);
    g_assert_cmpstr(libc.calls->str, ==, "sync ");
    g_assert_cmpint(zero_fast("fuse", FUSE_SUPER_MAGIC), ==, -ENOTSUP);
    g_assert_cmpint(zero_fast("ext4", EXT4_SUPER_MAGIC), ==, 0);
    g_assert_cmpstr(libc.calls->str, ==, "fallocate sync ");
    test_finish();
}

static void test_flush_at_the_end(void)
{
    BlockNode *node;

    make_image();
    node = add_image("f", "");
    libc_reset();
    block_node_del("f", &error_abort);
    g_assert_cmpstr(libc.calls->str, ==, "");
    node = add_image("f", "");
    g_assert_cmpint(write_at(node, 0, 512, 0), ==, 0);
    libc_reset();
    block_node_del("f", &error_abort);
    g_assert_cmpstr(libc.calls->str, ==, "sync ");
    test_finish();
}

/* ---- A file system that does not answer. ---- */

static void count_abandoned(const char *what, int64_t age_us, void *opaque)
{
    g_assert_cmpint(age_us, >, 0);
    (*(unsigned *)opaque)++;
}

/*
 * Hung requests delay commands on their node up to the time limit, and commands
 * on other nodes not at all.
 */
static void test_hung_requests(void)
{
    g_autofree char *path = g_build_filename(tmpdir, "other", NULL);
    g_autofree char *json = file_json("other", path, "");
    g_autoptr(Error) err = NULL;
    TestReq *reqs[40];
    BlockNode *hung, *other;
    char bufs[G_N_ELEMENTS(reqs)][512];

    make_image();
    g_assert_true(g_file_set_contents(path, "x", 1, NULL));
    libc_reset();
    hung = add_image("f", "");
    other = test_add(json);
    g_assert_cmpint(write_at(other, 0, 1, 0), ==, 0);
    libc_set_gate("read");
    for (size_t i = 0; i < G_N_ELEMENTS(reqs); i++) {
        reqs[i] = test_start(hung, BLOCK_OP_READ, 0, 512, bufs[i]);
    }
    libc_wait_for_waiting(THREAD_POOL_MAX_WORKERS);
    g_assert_cmpint(write_at(other, 0, 1, BLOCK_REQ_FUA), ==, 0);
    g_assert_true(block_node_del("other", &error_abort));

    g_assert_false(block_node_del("f", &err));
    g_assert_cmpstr(error_get_pretty(err), ==,
                    "Node 'f' cannot be deleted: Requests of node 'f' have not "
                    "ended within 10 seconds");
    libc_set_gate(NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(reqs); i++) {
        g_assert_cmpint(test_wait(reqs[i]), ==, 0);
    }
    g_assert_true(block_node_del("f", &error_abort));
    g_unlink(path);
    test_finish();
}

/* An abandoned resize may still take effect. */
static void test_hung_resize(void)
{
    unsigned n_abandoned = 0;
    BlockNode *node;

    make_image();
    node = add_image("f", "");
    libc_set_gate("truncate");
    resize_fails(node, "");
    resize_fails(node, "An earlier resize of '");
    g_assert_cmpuint(block_node_size(node), ==, SIZE);
    libc_set_gate(NULL);
    libc_wait_for_waiting(0);
    while (!block_node_resize(node, 2 * SIZE, NULL)) {
        g_usleep(1000); /* until the side thread has returned */
    }
    g_assert_cmpuint(block_node_size(node), ==, 2 * SIZE);
    block_node_del("f", &error_abort);
    aside_foreach_abandoned(count_abandoned, &n_abandoned);
    g_assert_cmpuint(n_abandoned, ==, 0);
    test_finish();
}

static void test_errors(void)
{
    g_autofree char *none = g_build_filename(tmpdir, "none", NULL);
    g_autofree char *fifo = g_build_filename(tmpdir, "fifo", NULL);

    add_fails(none, "", "Could not open 'PATH': No such file or directory");
    add_fails(tmpdir, "", "Could not open 'PATH': Is a directory");
    add_fails(tmpdir, ", 'read-only': true",
              "'file' driver requires 'PATH' to be a regular file");
    add_fails("/dev/null", "",
              "'file' driver requires 'PATH' to be a regular file");
    g_assert_cmpint(mkfifo(fifo, 0600), ==, 0);
    add_fails(fifo, ", 'read-only': true",
              "'file' driver requires 'PATH' to be a regular file");
    g_unlink(fifo);
    test_finish();
}

/* The size counts in whole sectors; a write to the rest makes the file grow. */
static void test_odd_size(void)
{
    char buf[512], zeroes[512] = {};
    BlockNode *node;
    struct stat st;

    make_image();
    g_assert_cmpint(truncate(image, 1001), ==, 0);
    node = add_image("f", "");
    g_assert_cmpuint(block_node_size(node), ==, 1024);
    memset(buf, 7, sizeof(buf));
    g_assert_cmpint(block_request_sync(node, BLOCK_OP_READ, 512, 512, buf, 0),
                    ==, 0);
    g_assert_cmpmem(buf, 512, zeroes, 512);
    g_assert_cmpint(
        block_request_sync(node, BLOCK_OP_WRITE_ZEROES, 1000, 24, NULL, 0), ==,
        0);
    g_assert_cmpint(block_request_sync(node, BLOCK_OP_WRITE, 1001, 23,
                                       "of 23 characters, and 0",
                                       BLOCK_REQ_FUA),
                    ==, 0);
    g_assert_cmpint(block_request_sync(node, BLOCK_OP_READ, 1000, 24, buf, 0),
                    ==, 0);
    g_assert_cmpmem(buf + 1, 23, "of 23 characters, and 0", 23);
    g_assert_cmpint(block_request_sync(node, BLOCK_OP_WRITE, 1001, 24, buf, 0),
                    ==, -ENOSPC);
    g_assert_cmpint(stat(image, &st), ==, 0);
    g_assert_cmpint(st.st_size, ==, 1024);
    block_node_del("f", &error_abort);
    test_finish();
}

int main(int argc, char **argv)
{
    int ret;

    libc_init();
    g_test_init(&argc, &argv, NULL);
    tmpdir = g_dir_make_tmp("yankd-XXXXXX", NULL);
    image = g_build_filename(tmpdir, "image", NULL);
    test_main_begin();
    g_test_add_func("/block/file/cached", test_cached);
    g_test_add_func("/block/file/direct", test_direct);
    g_test_add_func("/block/file/discard", test_discard);
    g_test_add_func("/block/file/discard-ignored", test_discard_ignored);
    g_test_add_func("/block/file/many", test_many);
    g_test_add_func("/block/file/resize", test_resize);
    g_test_add_func("/block/file/odd-size", test_odd_size);
    g_test_add_func("/block/file/lock", test_lock);
    g_test_add_func("/block/file/flush-after-failed-flush",
                    test_flush_after_failed_flush);
    g_test_add_func("/block/file/flushes-at-once", test_flushes_at_once);
    g_test_add_func("/block/file/direct-after-failed-flush",
                    test_direct_after_failed_flush);
    g_test_add_func("/block/file/fua-without-data", test_fua_without_data);
    g_test_add_func("/block/file/fast-zeroes", test_fast_zeroes);
    g_test_add_func("/block/file/flush-at-the-end", test_flush_at_the_end);
    g_test_add_func("/block/file/hung-requests", test_hung_requests);
    g_test_add_func("/block/file/hung-resize", test_hung_resize);
    g_test_add_func("/block/file/errors", test_errors);
    ret = test_main_end(g_test_run());
    g_unlink(image);
    g_rmdir(tmpdir);
    g_free(image);
    g_free(tmpdir);
    g_string_free(libc.calls, true);
    return ret;
}
