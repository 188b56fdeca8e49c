/*
 * Wrappers of libc's calls on files and sockets, for debug builds.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include "oob-wrap.h"

/* Called by the checks below without a check of its own. */
ssize_t __real_readlink(const char *path, char *buf, size_t n);
int __real_fstat(int fd, struct stat *st);

static bool is_eventfd(int fd)
{
    static const char eventfd[] = "anon_inode:[eventfd]";
    char path[32];
    char target[sizeof(eventfd)];
    ssize_t len;

    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    len = __real_readlink(path, target, sizeof(target));
    return len == sizeof(eventfd) - 1 && !memcmp(target, eventfd, len);
}

/* O_NONBLOCK means nothing to a disk. */
static bool is_disk(int fd)
{
    struct stat st;

    return __real_fstat(fd, &st) == 0 &&
           (S_ISREG(st.st_mode) || S_ISBLK(st.st_mode) || S_ISDIR(st.st_mode));
}

static bool never_blocks(int fd)
{
    int saved_errno = errno;
    int flags = fcntl(fd, F_GETFL);
    bool fine = flags < 0 || ((flags & O_NONBLOCK) && !is_disk(fd));

    errno = saved_errno;
    return fine;
}

static bool write_never_blocks(int fd)
{
    int saved_errno = errno;
    bool fine = never_blocks(fd) || is_eventfd(fd);

    errno = saved_errno;
    return fine;
}

OOB_WRAP(ssize_t, read, (int fd, void *buf, size_t n), (fd, buf, n),
         never_blocks(fd))
OOB_WRAP(ssize_t, readv, (int fd, const struct iovec *iov, int n), (fd, iov, n),
         never_blocks(fd))
OOB_WRAP_64(ssize_t, pread, (int fd, void *buf, size_t n, off_t at),
            (fd, buf, n, at), never_blocks(fd))
OOB_WRAP_64(ssize_t, preadv, (int fd, const struct iovec *iov, int n, off_t at),
            (fd, iov, n, at), never_blocks(fd))

OOB_WRAP(ssize_t, write, (int fd, const void *buf, size_t n), (fd, buf, n),
         write_never_blocks(fd))
OOB_WRAP(ssize_t, writev, (int fd, const struct iovec *iov, int n),
         (fd, iov, n), write_never_blocks(fd))
OOB_WRAP_64(ssize_t, pwrite, (int fd, const void *buf, size_t n, off_t at),
            (fd, buf, n, at), never_blocks(fd))
OOB_WRAP_64(ssize_t, pwritev,
            (int fd, const struct iovec *iov, int n, off_t at),
            (fd, iov, n, at), never_blocks(fd))

OOB_WRAP(int, fsync, (int fd), (fd), false)
OOB_WRAP(int, fdatasync, (int fd), (fd), false)
OOB_WRAP_64(int, fallocate, (int fd, int mode, off_t at, off_t len),
            (fd, mode, at, len), false)
OOB_WRAP_64(int, ftruncate, (int fd, off_t len), (fd, len), false)
OOB_WRAP(int, flock, (int fd, int operation), (fd, operation),
         operation &(LOCK_NB | LOCK_UN))

OOB_WRAP(ssize_t, recv, (int fd, void *buf, size_t n, int flags),
         (fd, buf, n, flags), (flags & MSG_DONTWAIT) || never_blocks(fd))
OOB_WRAP(ssize_t, recvfrom,
         (int fd, void *buf, size_t n, int flags, struct sockaddr *addr,
          socklen_t *len),
         (fd, buf, n, flags, addr, len),
         (flags & MSG_DONTWAIT) || never_blocks(fd))
OOB_WRAP(ssize_t, recvmsg, (int fd, struct msghdr *msg, int flags),
         (fd, msg, flags), (flags & MSG_DONTWAIT) || never_blocks(fd))
OOB_WRAP(ssize_t, send, (int fd, const void *buf, size_t n, int flags),
         (fd, buf, n, flags), (flags & MSG_DONTWAIT) || never_blocks(fd))
OOB_WRAP(ssize_t, sendmsg, (int fd, const struct msghdr *msg, int flags),
         (fd, msg, flags), (flags & MSG_DONTWAIT) || never_blocks(fd))
OOB_WRAP(int, accept, (int fd, struct sockaddr *addr, socklen_t *len),
         (fd, addr, len), never_blocks(fd))
OOB_WRAP(int, accept4,
         (int fd, struct sockaddr *addr, socklen_t *len, int flags),
         (fd, addr, len, flags), never_blocks(fd))
OOB_WRAP(int, close, (int fd), (fd), !is_disk(fd))

/* Locking a file may wait for the server of its file system. */
OOB_WRAP_64(int, fcntl, (int fd, int cmd, void *arg), (fd, cmd, arg),
            cmd != F_SETLK && cmd != F_SETLKW && cmd != F_GETLK &&
                cmd != F_OFD_SETLK && cmd != F_OFD_SETLKW && cmd != F_OFD_GETLK)
