/*
 * Wrappers of calls that use a path, for debug builds.  The path may lead to a
 * dead file system or to a FIFO, where the call waits for ever.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <dirent.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include "oob-wrap.h"

/* An abstract address is not looked up in a file system. */
static bool has_path(const struct sockaddr *addr, socklen_t len)
{
    return addr && addr->sa_family == AF_UNIX &&
           len > offsetof(struct sockaddr_un, sun_path) &&
           ((const struct sockaddr_un *)addr)->sun_path[0];
}

static bool is_socket(int fd)
{
    int saved_errno = errno;
    int type;
    socklen_t len = sizeof(type);
    bool found = getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0;

    errno = saved_errno;
    return found;
}

static bool is_non_blocking(int fd)
{
    int saved_errno = errno;
    int flags = fcntl(fd, F_GETFL);

    errno = saved_errno;
    return flags < 0 || (flags & O_NONBLOCK);
}

/*
 * Checks a call even on a non-blocking socket: O_NONBLOCK does not apply to the
 * look-up of the path.
 */
static void check_address(const char *call, int fd, int flags,
                          const struct sockaddr *addr, socklen_t len)
{
    if (has_path(addr, len)) {
        oob_assert_may_use_paths(call);
        oob_assert_wait_ends(call);
    } else if (!(flags & MSG_DONTWAIT) && !is_non_blocking(fd)) {
        oob_assert_may_block(call);
        oob_assert_wait_ends(call);
    }
}

int __real_connect(int fd, const struct sockaddr *addr, socklen_t len);
int __wrap_connect(int fd, const struct sockaddr *addr, socklen_t len);
int __wrap_connect(int fd, const struct sockaddr *addr, socklen_t len)
{
    check_address("connect", fd, 0, addr, len);
    return __real_connect(fd, addr, len);
}

ssize_t __real_sendto(int fd, const void *buf, size_t n, int flags,
                      const struct sockaddr *addr, socklen_t len);
ssize_t __wrap_sendto(int fd, const void *buf, size_t n, int flags,
                      const struct sockaddr *addr, socklen_t len);
ssize_t __wrap_sendto(int fd, const void *buf, size_t n, int flags,
                      const struct sockaddr *addr, socklen_t len)
{
    check_address("sendto", fd, flags, addr, len);
    return __real_sendto(fd, buf, n, flags, addr, len);
}

OOB_WRAP_PATH(int, bind, (int fd, const struct sockaddr *addr, socklen_t len),
              (fd, addr, len), !has_path(addr, len))

/*
 * Passes the mode on even if the caller gave none: a variable argument is in
 * the same register as a fixed one, and is ignored without O_CREAT.
 */
OOB_WRAP_PATH_64(int, open, (const char *path, int flags, mode_t mode),
                 (path, flags, mode))
OOB_WRAP_PATH_64(int, openat,
                 (int dir, const char *path, int flags, mode_t mode),
                 (dir, path, flags, mode))
OOB_WRAP_PATH_64(int, creat, (const char *path, mode_t mode), (path, mode))
OOB_WRAP_PATH_64(FILE *, fopen, (const char *path, const char *mode),
                 (path, mode))
OOB_WRAP_PATH_64(int, mkstemp, (char *path), (path))
OOB_WRAP_PATH(DIR *, opendir, (const char *path), (path), false)

OOB_WRAP_PATH_64(int, stat, (const char *path, struct stat *st), (path, st))
OOB_WRAP_PATH_64(int, lstat, (const char *path, struct stat *st), (path, st))
OOB_WRAP_PATH_64(int, fstatat,
                 (int dir, const char *path, struct stat *st, int flags),
                 (dir, path, st, flags))
OOB_WRAP_PATH(int, fstat, (int fd, struct stat *st), (fd, st), is_socket(fd))
OOB_WRAP_PATH(int, fstat64, (int fd, struct stat *st), (fd, st), is_socket(fd))
OOB_WRAP_PATH(int, statx,
              (int dir, const char *path, int flags, unsigned mask,
               struct statx *st),
              (dir, path, flags, mask, st), false)
OOB_WRAP_PATH(int, access, (const char *path, int mode), (path, mode), false)
OOB_WRAP_PATH(int, faccessat, (int dir, const char *path, int mode, int flags),
              (dir, path, mode, flags), false)
OOB_WRAP_PATH(ssize_t, readlink, (const char *path, char *buf, size_t n),
              (path, buf, n), false)
OOB_WRAP_PATH(ssize_t, readlinkat,
              (int dir, const char *path, char *buf, size_t n),
              (dir, path, buf, n), false)
OOB_WRAP_PATH(char *, realpath, (const char *path, char *result),
              (path, result), false)

OOB_WRAP_PATH(int, unlink, (const char *path), (path), false)
OOB_WRAP_PATH(int, unlinkat, (int dir, const char *path, int flags),
              (dir, path, flags), false)
OOB_WRAP_PATH(int, remove, (const char *path), (path), false)
OOB_WRAP_PATH(int, rmdir, (const char *path), (path), false)
OOB_WRAP_PATH(int, mkdir, (const char *path, mode_t mode), (path, mode), false)
OOB_WRAP_PATH(int, mkfifo, (const char *path, mode_t mode), (path, mode), false)
OOB_WRAP_PATH(int, rename, (const char *from, const char *to), (from, to),
              false)
OOB_WRAP_PATH(int, renameat,
              (int from_dir, const char *from, int to_dir, const char *to),
              (from_dir, from, to_dir, to), false)
OOB_WRAP_PATH(int, link, (const char *from, const char *to), (from, to), false)
OOB_WRAP_PATH(int, symlink, (const char *from, const char *to), (from, to),
              false)
OOB_WRAP_PATH(int, chmod, (const char *path, mode_t mode), (path, mode), false)
OOB_WRAP_PATH(int, chown, (const char *path, uid_t uid, gid_t gid),
              (path, uid, gid), false)
OOB_WRAP_PATH_64(int, truncate, (const char *path, off_t len), (path, len))
OOB_WRAP_PATH(int, chdir, (const char *path), (path), false)

OOB_WRAP_PATH(gboolean, g_file_test, (const gchar *path, GFileTest test),
              (path, test), false)
OOB_WRAP_PATH(int, g_unlink, (const gchar *path), (path), false)
OOB_WRAP_PATH(gboolean, g_file_get_contents,
              (const gchar *path, gchar **text, gsize *len, GError **error),
              (path, text, len, error), false)
OOB_WRAP_PATH(gboolean, g_file_set_contents,
              (const gchar *path, const gchar *text, gssize len,
               GError **error),
              (path, text, len, error), false)
