/*
 * Telling the service manager how we are.
 *
 * Built into yankd and into yankctl: needs nothing but libc.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <sys/socket.h>
#include <sys/un.h>
#include "qemu/service-notify.h"

static bool make_address(const char *path, struct sockaddr_un *address,
                         socklen_t *len)
{
    size_t n = strlen(path);

    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    if ((path[0] != '/' && path[0] != '@') || n >= sizeof(address->sun_path)) {
        errno = EINVAL;
        return false;
    }
    memcpy(address->sun_path, path, n);
    if (path[0] == '@') {
        address->sun_path[0] = '\0';
    }
    *len = offsetof(struct sockaddr_un, sun_path) + n;
    return true;
}

bool service_notify(const char *state)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un address;
    socklen_t len;
    int fd;
    int error = 0;

    if (!path) {
        return true;
    }
    if (!make_address(path, &address, &len)) {
        return false;
    }
    fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return false;
    }
    if (sendto(fd, state, strlen(state), MSG_NOSIGNAL | MSG_DONTWAIT,
               (struct sockaddr *)&address, len) < 0) {
        error = errno;
    }
    close(fd);
    errno = error;
    return !error;
}
