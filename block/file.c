/*
 * Nodes in a file or on a block device of the host.
 *
 * Requests run on worker threads, as file I/O blocks.  With cache.direct
 * there are two descriptors: the one that goes around the host's cache takes
 * only aligned requests, the other one the rest; the kernel keeps them
 * coherent.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <linux/falloc.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include "block/block_int.h"
#include "qapi/error.h"
#include "qemu/oob.h"
#include "qemu/thread-pool.h"

/* What any device and file system is content with. */
#define DIRECT_ALIGN 4096
#define ZERO_CHUNK (1 * MiB)

/*
 * QEMU's locks on an image: whoever holds a permission has a read lock on a
 * byte for it, whoever denies it to others one on another byte.
 */
#define LOCK_WRITE_HELD 101
#define LOCK_WRITE_DENIED 201

typedef struct FileState {
    char *filename;
    int fd;        /* through the host's cache */
    int direct_fd; /* around it, or -1 */
    bool is_device;
} FileState;

/* ---- Opening; main thread. ---- */

static int file_open_fd(BlockNode *node, const char *filename)
{
    /* Not to wait for the other end of a FIFO, which is refused below. */
    int flags = O_CLOEXEC | O_NONBLOCK;
    int fd;

    oob_assert_may_block("open");
    if (node->read_only) {
        return open(filename, O_RDONLY | flags);
    }
    fd = open(filename, O_RDWR | flags);
    if (fd < 0 && node->auto_read_only &&
        (errno == EACCES || errno == EPERM || errno == EROFS)) {
        node->read_only = true;
        fd = open(filename, O_RDONLY | flags);
    }
    return fd;
}

static bool lock_byte(int fd, short type, off_t byte)
{
    struct flock lock = {
        .l_type = type,
        .l_whence = SEEK_SET,
        .l_start = byte,
        .l_len = 1,
    };

    return fcntl(fd, F_OFD_SETLK, &lock) == 0 ||
           (errno != EAGAIN && errno != EACCES);
}

/* Whether somebody else has @byte locked. */
static bool byte_is_locked(int fd, off_t byte)
{
    struct flock lock = {
        .l_type = F_WRLCK,
        .l_whence = SEEK_SET,
        .l_start = byte,
        .l_len = 1,
    };

    return fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

/* File systems without locks are taken as they are. */
static bool file_lock(FileState *s, Error **errp)
{
    if (!lock_byte(s->fd, F_RDLCK, LOCK_WRITE_HELD) ||
        !lock_byte(s->fd, F_RDLCK, LOCK_WRITE_DENIED) ||
        byte_is_locked(s->fd, LOCK_WRITE_HELD) ||
        byte_is_locked(s->fd, LOCK_WRITE_DENIED)) {
        error_setg(errp,
                   "Failed to get \"write\" lock: is another node or "
                   "process using the image [%s]?",
                   s->filename);
        return false;
    }
    return true;
}

/* Bytes, or -1. */
static int64_t file_size(FileState *s)
{
    struct stat st;
    uint64_t bytes;

    if (s->is_device) {
        return ioctl(s->fd, BLKGETSIZE64, &bytes) == 0 ? (int64_t)bytes : -1;
    }
    return fstat(s->fd, &st) == 0 ? (int64_t)st.st_size : -1;
}

static bool file_check_type(FileState *s, Error **errp)
{
    struct stat st;

    if (fstat(s->fd, &st) < 0) {
        error_setg_errno(errp, errno, "Could not stat '%s'", s->filename);
        return false;
    }
    s->is_device = S_ISBLK(st.st_mode);
    if (!s->is_device && !S_ISREG(st.st_mode)) {
        error_setg(errp, "'file' driver requires '%s' to be a regular file",
                   s->filename);
        return false;
    }
    return true;
}

static bool file_open_direct(BlockNode *node, Error **errp)
{
    FileState *s = node->opaque;
    g_autofree char *path = g_strdup_printf("/proc/self/fd/%d", s->fd);

    if (!node->direct) {
        return true;
    }
    s->direct_fd = open(path, (node->read_only ? O_RDONLY : O_RDWR) | O_DIRECT |
                                  O_CLOEXEC);
    if (s->direct_fd < 0) {
        error_setg_errno(errp, errno,
                         "Could not open '%s' with cache.direct=on",
                         s->filename);
        return false;
    }
    return true;
}

static void file_destroy(FileState *s)
{
    if (s->direct_fd >= 0) {
        close(s->direct_fd);
    }
    if (s->fd >= 0) {
        close(s->fd);
    }
    g_free(s->filename);
}

static bool file_prepare(BlockNode *node, Error **errp)
{
    FileState *s = node->opaque;
    int64_t size;

    s->fd = file_open_fd(node, s->filename);
    if (s->fd < 0) {
        error_setg_errno(errp, errno, "Could not open '%s'", s->filename);
        return false;
    }
    if (!file_check_type(s, errp) ||
        (!node->read_only && !file_lock(s, errp)) ||
        !file_open_direct(node, errp)) {
        return false;
    }
    size = file_size(s);
    if (size < 0) {
        error_setg_errno(errp, errno, "Could not get the size of '%s'",
                         s->filename);
        return false;
    }
    node->size = size;
    return true;
}

static bool file_open(BlockNode *node, const BlockdevOptions *options,
                      Error **errp)
{
    FileState *s = node->opaque;

    s->fd = s->direct_fd = -1;
    s->filename = g_strdup(options->u.file.filename);
    if (!file_prepare(node, errp)) {
        file_destroy(s);
        return false;
    }
    node->caps.flush = true;
    node->caps.fua = true;
    node->caps.discard = true;
    node->caps.write_zeroes = true;
    return true;
}

static void file_close(BlockNode *node)
{
    file_destroy(node->opaque);
}

/* ---- Requests; worker threads, where they may block. ---- */

/* All of it; reads past the end of a file that shrank give zeroes. */
static int read_all(int fd, char *buf, uint64_t bytes, uint64_t offset)
{
    while (bytes) {
        ssize_t n = pread(fd, buf, bytes, offset);

        if (n < 0 && errno != EINTR) {
            return -errno;
        }
        if (n == 0) {
            memset(buf, 0, bytes);
            return 0;
        }
        if (n > 0) {
            buf += n;
            bytes -= n;
            offset += n;
        }
    }
    return 0;
}

static int write_all(int fd, const char *buf, uint64_t bytes, uint64_t offset)
{
    while (bytes) {
        ssize_t n = pwrite(fd, buf, bytes, offset);

        if (n < 0 && errno != EINTR) {
            return -errno;
        }
        if (n > 0) {
            buf += n;
            bytes -= n;
            offset += n;
        }
    }
    return 0;
}

static int transfer(int fd, BlockRequest *req, char *buf)
{
    return req->op == BLOCK_OP_READ
               ? read_all(fd, buf, req->bytes, req->offset)
               : write_all(fd, buf, req->bytes, req->offset);
}

/* The kernel wants the memory aligned, too. */
static int transfer_bounced(int fd, BlockRequest *req)
{
    void *bounce;
    int ret;

    if (posix_memalign(&bounce, DIRECT_ALIGN, req->bytes) != 0) {
        return -ENOMEM;
    }
    if (req->op == BLOCK_OP_WRITE) {
        memcpy(bounce, req->buf, req->bytes);
    }
    ret = transfer(fd, req, bounce);
    if (req->op == BLOCK_OP_READ && ret == 0) {
        memcpy(req->buf, bounce, req->bytes);
    }
    free(bounce);
    return ret;
}

static int do_transfer(FileState *s, BlockRequest *req)
{
    if (s->direct_fd < 0 || (req->offset | req->bytes) % DIRECT_ALIGN) {
        return transfer(s->fd, req, req->buf);
    }
    if ((uintptr_t)req->buf % DIRECT_ALIGN) {
        return transfer_bounced(s->direct_fd, req);
    }
    return transfer(s->direct_fd, req, req->buf);
}

static int do_fallocate(FileState *s, int mode, BlockRequest *req)
{
    int ret;

    do {
        ret = fallocate(s->fd, mode | FALLOC_FL_KEEP_SIZE, req->offset,
                        req->bytes);
    } while (ret < 0 && errno == EINTR);
    if (ret == 0) {
        return 0;
    }
    return errno == ENOSYS || errno == EOPNOTSUPP || errno == EINVAL ||
                   errno == ENOTTY
               ? -ENOTSUP
               : -errno;
}

static int write_zero_data(FileState *s, BlockRequest *req)
{
    uint64_t chunk = MIN(req->bytes, ZERO_CHUNK);
    g_autofree char *zeroes = g_malloc0(chunk);
    uint64_t done = 0;
    int ret = 0;

    while (done < req->bytes && ret == 0) {
        uint64_t n = MIN(req->bytes - done, chunk);

        ret = write_all(s->fd, zeroes, n, req->offset + done);
        done += n;
    }
    return ret;
}

static int do_zeroes(FileState *s, BlockRequest *req)
{
    int ret = -ENOTSUP;

    if (req->flags & BLOCK_REQ_MAY_UNMAP) {
        ret = do_fallocate(s, FALLOC_FL_PUNCH_HOLE, req);
    }
    if (ret == -ENOTSUP) {
        ret = do_fallocate(s, FALLOC_FL_ZERO_RANGE, req);
    }
    if (ret == -ENOTSUP && !(req->flags & BLOCK_REQ_NO_FALLBACK)) {
        ret = write_zero_data(s, req);
    }
    return ret;
}

/* A hint: it need not be possible. */
static int do_discard(FileState *s, BlockRequest *req)
{
    int ret = do_fallocate(s, FALLOC_FL_PUNCH_HOLE, req);

    return ret == -ENOTSUP ? 0 : ret;
}

/* A file system that knows of no holes has data everywhere. */
static int do_status(FileState *s, BlockRequest *req)
{
    uint64_t end = req->offset + req->bytes;
    int64_t data = lseek(s->fd, req->offset, SEEK_DATA);
    int64_t hole;

    if (data < 0 && errno == ENXIO) {
        data = end; /* nothing but a hole up to the end */
    }
    req->status.zero = data > (int64_t)req->offset;
    if (req->status.zero) {
        req->status.bytes = MIN((uint64_t)data, end) - req->offset;
    } else if (data >= 0) {
        hole = lseek(s->fd, req->offset, SEEK_HOLE);
        if (hole > (int64_t)req->offset) {
            req->status.bytes = MIN((uint64_t)hole, end) - req->offset;
        }
    }
    return 0;
}

static int do_flush(FileState *s)
{
    return fdatasync(s->fd) < 0 ? -errno : 0;
}

static int file_work(void *opaque)
{
    BlockRequest *req = opaque;
    FileState *s = req->node->opaque;
    int ret;

    switch (req->op) {
    case BLOCK_OP_FLUSH:
        return do_flush(s);
    case BLOCK_OP_DISCARD:
        return do_discard(s, req);
    case BLOCK_OP_STATUS:
        return do_status(s, req);
    case BLOCK_OP_WRITE_ZEROES:
        ret = do_zeroes(s, req);
        break;
    default:
        ret = do_transfer(s, req);
        break;
    }
    if (ret == 0 && (req->flags & BLOCK_REQ_FUA) && req->op != BLOCK_OP_READ) {
        ret = do_flush(s);
    }
    return ret;
}

/* ---- I/O thread. ---- */

static void file_done(int ret, void *opaque)
{
    block_request_complete(opaque, ret);
}

static void file_submit(BlockNode *node, BlockRequest *req)
{
    thread_pool_submit(node->iothread, file_work, file_done, req);
}

/* ---- Main thread. ---- */

static bool file_truncate(BlockNode *node, uint64_t size, Error **errp)
{
    FileState *s = node->opaque;

    if (s->is_device) {
        error_setg(errp, "Cannot resize device files");
        return false;
    }
    oob_assert_may_block("ftruncate");
    if (size > INT64_MAX || ftruncate(s->fd, size) < 0) {
        error_setg_errno(errp, size > INT64_MAX ? EFBIG : errno,
                         "Failed to resize file");
        return false;
    }
    __atomic_store_n(&node->size, size, __ATOMIC_RELAXED);
    return true;
}

static char *file_filename(BlockNode *node)
{
    FileState *s = node->opaque;

    return g_strdup(s->filename);
}

static int64_t file_actual_size(BlockNode *node)
{
    FileState *s = node->opaque;
    struct stat st;

    return fstat(s->fd, &st) == 0 ? (int64_t)st.st_blocks * 512 : -1;
}

const BlockDriver block_driver_file = {
    .format_name = "file",
    .instance_size = sizeof(FileState),
    .open = file_open,
    .close = file_close,
    .submit = file_submit,
    .truncate = file_truncate,
    .filename = file_filename,
    .actual_size = file_actual_size,
    .local = true,
    .has_status = true,
};
