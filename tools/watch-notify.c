/*
 * Telling the service manager how we are.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <sys/socket.h>
#include <sys/un.h>
#include "watch-log.h"
#include "watch-notify.h"

static bool make_address(const char *path, struct sockaddr_un *address,
                         socklen_t *len)
{
    size_t n = strlen(path);

    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    if ((path[0] != '/' && path[0] != '@') || n >= sizeof(address->sun_path)) {
        return false;
    }
    memcpy(address->sun_path, path, n);
    if (path[0] == '@') {
        address->sun_path[0] = '\0';
    }
    *len = offsetof(struct sockaddr_un, sun_path) + n;
    return true;
}

void notify_send(const char *state)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un address;
    socklen_t len;
    int fd;

    if (!path || !make_address(path, &address, &len)) {
        return;
    }
    fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || sendto(fd, state, strlen(state), MSG_NOSIGNAL | MSG_DONTWAIT,
                         (struct sockaddr *)&address, len) < 0) {
        watch_log("NOTIFY_SOCKET %s: %s", path, g_strerror(errno));
    }
    if (fd >= 0) {
        close(fd);
    }
}

unsigned notify_watchdog_ms(void)
{
    const char *usec = getenv("WATCHDOG_USEC");
    const char *pid = getenv("WATCHDOG_PID");
    guint64 value;

    if (!usec || !getenv("NOTIFY_SOCKET") ||
        !g_ascii_string_to_unsigned(usec, 10, 1, G_MAXINT64, &value, NULL) ||
        (pid && g_ascii_strtoull(pid, NULL, 10) != (guint64)getpid())) {
        return 0;
    }
    return CLAMP(value / 2000, 1, G_MAXINT);
}
