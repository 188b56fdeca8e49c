/*
 * Nodes in a file or on a block device of the host.
 *
 * File I/O blocks, so requests run on worker threads of the node.  With
 * cache.direct a node has two descriptors: the one that bypasses the host's
 * cache takes only aligned requests, the other one takes the rest.  The kernel
 * keeps the two coherent.
 *
 * The file system may be dead, and then no call on the file returns.  Therefore
 * all calls for the main thread run on side threads, which share the
 * descriptors with the node by reference.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <linux/falloc.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include "block/block_int.h"
#include "qapi/error.h"
#include "qemu/activity.h"
#include "qemu/aside.h"
#include "qemu/lockable.h"
#include "qemu/thread-pool.h"
#include "qemu/yank.h"

/* What any device and file system is content with. */
#define DIRECT_ALIGN 4096
#define ZERO_CHUNK (1 * MiB)

/*
 * The locks of QEMU on an image.  A user of a permission holds a read lock on
 * the byte of that permission; a user that denies the permission to others
 * holds a read lock on a second byte.
 */
#define LOCK_HELD 100
#define LOCK_DENIED 200

typedef enum ImagePerm {
    PERM_READ = 0,
    PERM_WRITE = 1,
    PERM_RESIZE = 3,
} ImagePerm;
#define PERM_BIT(perm) (1u << (perm))

static const struct {
    ImagePerm perm;
    const char *name;
} lock_perms[] = {
    {PERM_READ, "consistent read"},
    {PERM_WRITE, "write"},
    {PERM_RESIZE, "resize"},
};

/*
 * The open file.  The node, and each call on a side thread, holds a reference.
 */
typedef struct FileHandle {
    int refcount; /* atomic */
    char *filename;
    int fd;        /* through the host's cache */
    int direct_fd; /* around it, or -1 */
    bool is_device;
    bool fast_zeroes; /* the file system zeroes ranges without writing them */
} FileHandle;

typedef struct FileState {
    FileHandle *f;
    ThreadPool *pool;
    Activity *activity;

    /* Main thread. */
    int64_t actual_size;          /* last known value */
    AsideCall *stat;              /* runs to update it, or NULL */
    struct FileStat *stat_result; /* result of @stat */
    AsideCall *resize;            /* a resize that was abandoned, or NULL */

    bool cached; /* atomic: data was written through the host's cache */
    /* Guards the members below.  Fast; no lock is taken under it. */
    QemuMutex flush_lock;
    QemuCond flush_cond; /* signalled when a round has ended */
    /* A round is one fdatasync().  These count rounds. */
    uint64_t flush_started;
    uint64_t flush_ended;
    uint64_t flush_failed; /* number of the last failed round */
    int flush_error;       /* errno of that round */
    int lost_error;        /* errno if data was lost and no flush can succeed */
} FileState;

/* One request on its way through a worker. */
typedef struct FileRequest {
    ThreadPoolItem item;
    ActivityRequest activity;
    BlockRequest *req;
} FileRequest;

static FileHandle *handle_new(const char *filename)
{
    FileHandle *f = g_new0(FileHandle, 1);

    f->refcount = 1;
    f->filename = g_strdup(filename);
    f->fd = f->direct_fd = -1;
    return f;
}

static FileHandle *handle_ref(FileHandle *f)
{
    __atomic_fetch_add(&f->refcount, 1, __ATOMIC_RELAXED);
    return f;
}

/* The last reference closes the file; that blocks on dead storage. */
static void handle_unref(FileHandle *f)
{
    if (!f || __atomic_sub_fetch(&f->refcount, 1, __ATOMIC_ACQ_REL) > 0) {
        return;
    }
    if (f->direct_fd >= 0) {
        close(f->direct_fd);
    }
    if (f->fd >= 0) {
        close(f->fd);
    }
    g_free(f->filename);
    g_free(f);
}

static void handle_close_aside(void *opaque)
{
    handle_unref(opaque);
}

/*
 * Drops the node's reference and waits, with a time limit, until the file is
 * closed and its locks are released.  Main thread.
 */
static void handle_close(FileHandle *f)
{
    g_autofree char *what = g_strdup_printf("closing '%s'", f->filename);
    g_autoptr(Error) err = NULL;
    AsideCall *call = aside_start(what, handle_close_aside, f, NULL, &err);

    if (!call) {
        /* Leaking descriptors is better than waiting for dead storage. */
        warn_report("Cannot close '%s', which stays open: %s", f->filename,
                    error_get_pretty(err));
        return;
    }
    if (!aside_wait(call, ASIDE_TIMEOUT_MS, &err)) {
        warn_report("%s", error_get_pretty(err));
    }
    aside_unref(call);
}

/* ---- Locks; side threads. ---- */

static int lock_byte(int fd, int cmd, short *type, off_t byte)
{
    struct flock lock = {
        .l_type = *type,
        .l_whence = SEEK_SET,
        .l_start = byte,
        .l_len = 1,
    };
    int ret = fcntl(fd, cmd, &lock);

    *type = lock.l_type;
    return ret;
}

/* Succeeds on a file system that has no locks. */
static bool set_lock(int fd, short type, off_t byte)
{
    return lock_byte(fd, F_OFD_SETLK, &type, byte) == 0 ||
           (errno != EAGAIN && errno != EACCES);
}

/* Whether somebody else has @byte locked. */
static bool is_locked(int fd, off_t byte)
{
    short type = F_WRLCK;

    return lock_byte(fd, F_OFD_GETLK, &type, byte) == 0 && type != F_UNLCK;
}

static bool wants(unsigned perms, size_t i)
{
    return perms & PERM_BIT(lock_perms[i].perm);
}

/*
 * Takes locks for the permissions in @hold, and locks that deny @deny to
 * others.  All locks are taken before those of others are checked, so that two
 * processes that start at the same time cannot both succeed.
 */
static bool handle_lock(FileHandle *f, unsigned hold, unsigned deny,
                        Error **errp)
{
    const char *kind = NULL;

    for (size_t i = 0; i < G_N_ELEMENTS(lock_perms); i++) {
        ImagePerm perm = lock_perms[i].perm;

        if ((wants(hold, i) && !set_lock(f->fd, F_RDLCK, LOCK_HELD + perm)) ||
            (wants(deny, i) && !set_lock(f->fd, F_RDLCK, LOCK_DENIED + perm))) {
            error_setg(errp, "Failed to lock \"%s\" of the image [%s]",
                       lock_perms[i].name, f->filename);
            return false;
        }
    }
    for (size_t i = 0; i < G_N_ELEMENTS(lock_perms); i++) {
        ImagePerm perm = lock_perms[i].perm;

        if (wants(hold, i) && is_locked(f->fd, LOCK_DENIED + perm)) {
            kind = "";
        } else if (wants(deny, i) && is_locked(f->fd, LOCK_HELD + perm)) {
            kind = "shared ";
        }
        if (kind) {
            error_setg(errp,
                       "Failed to get %s\"%s\" lock: is another node or "
                       "process using the image [%s]?",
                       kind, lock_perms[i].name, f->filename);
            return false;
        }
    }
    return true;
}

/* ---- Opening; a side thread. ---- */

typedef struct FileOpen {
    FileHandle *f;  /* NULL on failure, or after it was taken */
    bool read_only; /* as requested; then as opened */
    bool auto_read_only;
    bool direct;
    int64_t size;
    int64_t actual_size;
    Error *err;
} FileOpen;

static int open_fd(FileOpen *o)
{
    /* Do not wait for the peer of a FIFO, which check_type() refuses. */
    int flags = O_CLOEXEC | O_NONBLOCK;
    int fd;

    if (o->read_only) {
        return open(o->f->filename, O_RDONLY | flags);
    }
    fd = open(o->f->filename, O_RDWR | flags);
    if (fd < 0 && o->auto_read_only &&
        (errno == EACCES || errno == EPERM || errno == EROFS)) {
        o->read_only = true;
        fd = open(o->f->filename, O_RDONLY | flags);
    }
    return fd;
}

/*
 * Returns true if zeroes can certainly be made without writing them.  For a
 * block device the kernel may write them, or the disk itself may; for a network
 * file system the server may.
 */
static bool has_fast_zeroes(FileHandle *f)
{
    struct statfs fs;

    if (f->is_device || fstatfs(f->fd, &fs) < 0) {
        return false;
    }
    return fs.f_type == EXT4_SUPER_MAGIC || fs.f_type == XFS_SUPER_MAGIC ||
           fs.f_type == BTRFS_SUPER_MAGIC || fs.f_type == F2FS_SUPER_MAGIC ||
           fs.f_type == TMPFS_MAGIC;
}

/* Refuses everything but regular files and block devices before any I/O. */
static bool check_type(FileOpen *o, Error **errp)
{
    FileHandle *f = o->f;
    struct stat st;
    uint64_t bytes;

    if (fstat(f->fd, &st) < 0) {
        error_setg_errno(errp, errno, "Could not stat '%s'", f->filename);
        return false;
    }
    f->is_device = S_ISBLK(st.st_mode);
    if (!f->is_device && !S_ISREG(st.st_mode)) {
        error_setg(errp, "'file' driver requires '%s' to be a regular file",
                   f->filename);
        return false;
    }
    o->size = st.st_size;
    o->actual_size = st.st_blocks * 512;
    if (f->is_device) {
        if (ioctl(f->fd, BLKGETSIZE64, &bytes) < 0) {
            error_setg_errno(errp, errno, "Could not get the size of '%s'",
                             f->filename);
            return false;
        }
        o->size = bytes;
    }
    f->fast_zeroes = has_fast_zeroes(f);
    return true;
}

/*
 * A reader relies on the size of the file.  A writer shares the file with no
 * other writer; stock does share it.  force-share changes neither, as in stock.
 */
static bool open_lock(FileOpen *o, Error **errp)
{
    return o->read_only
               ? handle_lock(o->f, PERM_BIT(PERM_READ), PERM_BIT(PERM_RESIZE),
                             errp)
               : handle_lock(o->f, PERM_BIT(PERM_READ) | PERM_BIT(PERM_WRITE),
                             PERM_BIT(PERM_WRITE) | PERM_BIT(PERM_RESIZE),
                             errp);
}

static bool open_direct(FileOpen *o, Error **errp)
{
    FileHandle *f = o->f;
    g_autofree char *path = g_strdup_printf("/proc/self/fd/%d", f->fd);

    if (!o->direct) {
        return true;
    }
    f->direct_fd =
        open(path, (o->read_only ? O_RDONLY : O_RDWR) | O_DIRECT | O_CLOEXEC);
    if (f->direct_fd < 0) {
        error_setg_errno(errp, errno,
                         "Could not open '%s' with cache.direct=on",
                         f->filename);
        return false;
    }
    return true;
}

static bool open_all(FileOpen *o, Error **errp)
{
    o->f->fd = open_fd(o);
    if (o->f->fd < 0) {
        error_setg_errno(errp, errno, "Could not open '%s'", o->f->filename);
        return false;
    }
    return check_type(o, errp) && open_lock(o, errp) && open_direct(o, errp);
}

static void open_aside(void *opaque)
{
    FileOpen *o = opaque;

    if (!open_all(o, &o->err)) {
        handle_unref(g_steal_pointer(&o->f));
    }
}

static void open_free(void *opaque)
{
    FileOpen *o = opaque;

    handle_unref(o->f);
    error_free(o->err);
    g_free(o);
}

/* ---- Opening and closing; main thread. ---- */

static FileHandle *take_handle(BlockNode *node, FileOpen *o, Error **errp)
{
    FileState *s = node->opaque;

    if (!o->f) {
        error_propagate(errp, g_steal_pointer(&o->err));
        return NULL;
    }
    node->read_only = o->read_only;
    node->size = o->size;
    s->actual_size = o->actual_size;
    return g_steal_pointer(&o->f);
}

static FileHandle *open_handle(BlockNode *node, const char *filename,
                               Error **errp)
{
    g_autofree char *what = g_strdup_printf("opening '%s'", filename);
    FileOpen *o = g_new0(FileOpen, 1);
    FileHandle *f = NULL;
    AsideCall *call;

    o->f = handle_new(filename);
    o->read_only = node->read_only;
    o->auto_read_only = node->auto_read_only;
    o->direct = node->direct;
    call = aside_start(what, open_aside, o, open_free, errp);
    if (!call) {
        error_prepend(errp, "Could not open '%s': ", filename);
        return NULL;
    }
    if (aside_wait(call, ASIDE_TIMEOUT_MS, errp)) {
        f = take_handle(node, o, errp);
    }
    aside_unref(call);
    return f;
}

static bool file_open(BlockNode *node, const BlockdevOptions *options,
                      Error **errp)
{
    FileState *s = node->opaque;
    g_autofree char *name =
        yank_instance_name(BLOCKDEV_YANK_INSTANCE(node->name));

    s->f = open_handle(node, options->u.file.filename, errp);
    if (!s->f) {
        return false;
    }
    s->pool = thread_pool_new(errp);
    if (!s->pool) {
        error_prepend(errp, "Could not open '%s': ", s->f->filename);
        handle_close(s->f);
        return false;
    }
    s->activity = activity_new_uncuttable(name);
    activity_set_phase(s->activity, "file I/O");
    activity_set_peer(s->activity, s->f->filename);
    qemu_mutex_init(&s->flush_lock);
    qemu_cond_init(&s->flush_cond);
    node->caps.flush = true;
    node->caps.fua = true;
    node->caps.discard = true;
    node->caps.write_zeroes = true;
    return true;
}

static void file_close(BlockNode *node)
{
    FileState *s = node->opaque;

    thread_pool_free(s->pool);
    activity_free(s->activity);
    aside_unref(s->stat);
    aside_unref(s->resize);
    qemu_cond_destroy(&s->flush_cond);
    qemu_mutex_destroy(&s->flush_lock);
    handle_close(s->f);
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

static bool goes_direct(const FileHandle *f, const BlockRequest *req)
{
    return f->direct_fd >= 0 &&
           (req->op == BLOCK_OP_READ || req->op == BLOCK_OP_WRITE) &&
           (req->offset | req->bytes) % DIRECT_ALIGN == 0;
}

static int do_transfer(const FileHandle *f, BlockRequest *req)
{
    if (!goes_direct(f, req)) {
        return transfer(f->fd, req, req->buf);
    }
    if ((uintptr_t)req->buf % DIRECT_ALIGN) {
        return transfer_bounced(f->direct_fd, req);
    }
    return transfer(f->direct_fd, req, req->buf);
}

static int do_fallocate(const FileHandle *f, int mode, BlockRequest *req)
{
    int ret;

    do {
        ret = fallocate(f->fd, mode | FALLOC_FL_KEEP_SIZE, req->offset,
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

static int write_zero_data(const FileHandle *f, BlockRequest *req)
{
    uint64_t chunk = MIN(req->bytes, ZERO_CHUNK);
    g_autofree char *zeroes = g_malloc0(chunk);
    uint64_t done = 0;
    int ret = 0;

    while (done < req->bytes && ret == 0) {
        uint64_t n = MIN(req->bytes - done, chunk);

        ret = write_all(f->fd, zeroes, n, req->offset + done);
        done += n;
    }
    return ret;
}

static int do_zeroes(const FileHandle *f, BlockRequest *req)
{
    bool only_fast = req->flags & BLOCK_REQ_NO_FALLBACK;
    int ret = -ENOTSUP;

    if (only_fast && !f->fast_zeroes) {
        return -ENOTSUP;
    }
    if (req->flags & BLOCK_REQ_MAY_UNMAP) {
        ret = do_fallocate(f, FALLOC_FL_PUNCH_HOLE, req);
    }
    if (ret == -ENOTSUP) {
        ret = do_fallocate(f, FALLOC_FL_ZERO_RANGE, req);
    }
    if (ret == -ENOTSUP && !only_fast) {
        ret = write_zero_data(f, req);
    }
    return ret;
}

/* A hint: it need not be possible. */
static int do_discard(const FileHandle *f, BlockRequest *req)
{
    int ret = do_fallocate(f, FALLOC_FL_PUNCH_HOLE, req);

    return ret == -ENOTSUP ? 0 : ret;
}

/* A file system that knows of no holes has data everywhere. */
static int do_status(const FileHandle *f, BlockRequest *req)
{
    uint64_t end = req->offset + req->bytes;
    int64_t data = lseek(f->fd, req->offset, SEEK_DATA);
    int64_t hole;

    if (data < 0 && errno == ENXIO) {
        data = end; /* nothing but a hole up to the end */
    }
    req->status.zero = data > (int64_t)req->offset;
    if (req->status.zero) {
        req->status.bytes = MIN((uint64_t)data, end) - req->offset;
    } else if (data >= 0) {
        hole = lseek(f->fd, req->offset, SEEK_HOLE);
        if (hole > (int64_t)req->offset) {
            req->status.bytes = MIN((uint64_t)hole, end) - req->offset;
        }
    }
    return 0;
}

/*
 * Flushes.  When several fdatasync() run at the same time, the kernel reports a
 * failed write to only one of them, and then forgets the data.  Therefore one
 * call runs at a time, in rounds, and its result is that of all requests that
 * were submitted before the round began.
 *
 * After a failure the page cache and the disk differ, and a later success of
 * fdatasync() would not write the data.  Therefore no later flush succeeds
 * until the file is opened again.  A write that bypassed the cache has reported
 * its own error.
 */
static void flush_round_locked(FileState *s)
{
    uint64_t round = ++s->flush_started;
    int error;

    qemu_mutex_unlock(&s->flush_lock);
    error = fdatasync(s->f->fd) < 0 ? errno : 0;
    qemu_mutex_lock(&s->flush_lock);
    s->flush_ended = round;
    if (error) {
        s->flush_failed = round;
        s->flush_error = error;
        if (s->f->direct_fd < 0 ||
            __atomic_load_n(&s->cached, __ATOMIC_RELAXED)) {
            s->lost_error = error;
        }
    }
    qemu_cond_broadcast(&s->flush_cond);
}

static int do_flush(FileState *s)
{
    uint64_t wanted;

    QEMU_LOCK_GUARD(&s->flush_lock);
    wanted = s->flush_started + 1;
    while (s->flush_ended < wanted && !s->lost_error) {
        if (s->flush_started > s->flush_ended) {
            qemu_cond_wait(&s->flush_cond, &s->flush_lock);
        } else {
            flush_round_locked(s);
        }
    }
    if (s->lost_error) {
        return -s->lost_error;
    }
    return s->flush_failed >= wanted ? -s->flush_error : 0;
}

static bool modifies(BlockOp op)
{
    return op == BLOCK_OP_WRITE || op == BLOCK_OP_WRITE_ZEROES ||
           op == BLOCK_OP_DISCARD;
}

static int do_request(FileState *s, BlockRequest *req)
{
    switch (req->op) {
    case BLOCK_OP_FLUSH:
        return do_flush(s);
    case BLOCK_OP_STATUS:
        return do_status(s->f, req);
    case BLOCK_OP_DISCARD:
        return do_discard(s->f, req);
    case BLOCK_OP_WRITE_ZEROES:
        return do_zeroes(s->f, req);
    default:
        return do_transfer(s->f, req);
    }
}

static int file_work(ThreadPoolItem *item)
{
    BlockRequest *req = container_of(item, FileRequest, item)->req;
    FileState *s = req->node->opaque;
    int ret;

    if (modifies(req->op) && !goes_direct(s->f, req)) {
        __atomic_store_n(&s->cached, true, __ATOMIC_RELAXED);
    }
    ret = do_request(s, req);
    if (ret == 0 && (req->flags & BLOCK_REQ_FUA) && modifies(req->op)) {
        ret = do_flush(s);
    }
    return ret;
}

/* ---- I/O thread. ---- */

static void file_done(ThreadPoolItem *item, int ret)
{
    FileRequest *r = container_of(item, FileRequest, item);
    BlockRequest *req = r->req;
    FileState *s = req->node->opaque;

    activity_end(s->activity, &r->activity);
    g_free(r);
    block_request_complete(req, ret);
}

static void file_submit(BlockNode *node, BlockRequest *req)
{
    FileState *s = node->opaque;
    FileRequest *r = g_new0(FileRequest, 1);

    r->req = req;
    r->item.work = file_work;
    r->item.done = file_done;
    r->item.iothread = node->iothread;
    activity_begin(s->activity, &r->activity);
    thread_pool_submit(s->pool, &r->item);
}

/* ---- The size; main thread, and side threads. ---- */

typedef struct FileResize {
    FileHandle *f;
    int64_t size;
    bool ok;
    Error *err;
} FileResize;

static void resize_aside(void *opaque)
{
    FileResize *r = opaque;

    if (handle_lock(r->f, PERM_BIT(PERM_RESIZE), 0, &r->err)) {
        r->ok = ftruncate(r->f->fd, r->size) == 0;
        if (!r->ok) {
            error_setg_errno(&r->err, errno, "Failed to resize file");
        }
    }
    set_lock(r->f->fd, F_UNLCK, LOCK_HELD + PERM_RESIZE);
}

static void resize_free(void *opaque)
{
    FileResize *r = opaque;

    handle_unref(r->f);
    error_free(r->err);
    g_free(r);
}

/*
 * Fails while an abandoned resize has not returned: it may take effect at any
 * time, even after a new one.
 */
static bool check_earlier_resize(FileState *s, Error **errp)
{
    if (s->resize && !aside_wait(s->resize, 0, NULL)) {
        error_setg(errp, "An earlier resize of '%s' has not ended yet",
                   s->f->filename);
        return false;
    }
    g_clear_pointer(&s->resize, aside_unref);
    return true;
}

static bool resize_and_wait(FileState *s, uint64_t size, Error **errp)
{
    g_autofree char *what = g_strdup_printf("resizing '%s'", s->f->filename);
    FileResize *r = g_new0(FileResize, 1);
    bool ok;

    r->f = handle_ref(s->f);
    r->size = size;
    s->resize = aside_start(what, resize_aside, r, resize_free, errp);
    if (!s->resize || !aside_wait(s->resize, ASIDE_TIMEOUT_MS, errp)) {
        return false;
    }
    ok = r->ok;
    error_propagate(errp, g_steal_pointer(&r->err));
    g_clear_pointer(&s->resize, aside_unref);
    return ok;
}

static bool file_truncate(BlockNode *node, uint64_t size, Error **errp)
{
    FileState *s = node->opaque;

    if (s->f->is_device) {
        error_setg(errp, "Cannot resize device files");
        return false;
    }
    if (!check_earlier_resize(s, errp) || !resize_and_wait(s, size, errp)) {
        return false;
    }
    __atomic_store_n(&node->size, size, __ATOMIC_RELAXED);
    return true;
}

static char *file_filename(BlockNode *node)
{
    FileState *s = node->opaque;

    return g_strdup(s->f->filename);
}

typedef struct FileStat {
    FileHandle *f;
    int64_t actual_size; /* -1 if unknown */
} FileStat;

static void stat_aside(void *opaque)
{
    FileStat *t = opaque;
    struct stat st;

    t->actual_size =
        fstat(t->f->fd, &st) == 0 ? (int64_t)st.st_blocks * 512 : -1;
}

static void stat_free(void *opaque)
{
    FileStat *t = opaque;

    handle_unref(t->f);
    g_free(t);
}

static void file_refresh(BlockNode *node)
{
    FileState *s = node->opaque;
    g_autofree char *what = g_strdup_printf("looking at '%s'", s->f->filename);
    FileStat *t;

    if (!s->stat) {
        t = g_new0(FileStat, 1);
        t->f = handle_ref(s->f);
        s->stat = aside_start(what, stat_aside, t, stat_free, NULL);
        s->stat_result = t;
    }
}

static int64_t file_actual_size(BlockNode *node, int timeout_ms)
{
    FileState *s = node->opaque;

    if (s->stat && aside_wait(s->stat, timeout_ms, NULL)) {
        s->actual_size = s->stat_result->actual_size;
        g_clear_pointer(&s->stat, aside_unref);
    }
    return s->actual_size;
}

const BlockDriver block_driver_file = {
    .format_name = "file",
    .instance_size = sizeof(FileState),
    .open = file_open,
    .close = file_close,
    .submit = file_submit,
    .truncate = file_truncate,
    .filename = file_filename,
    .refresh = file_refresh,
    .actual_size = file_actual_size,
    .local = true,
    .has_status = true,
    .is_file = true,
};
