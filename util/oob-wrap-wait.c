/*
 * Wrappers of libc's and GLib's calls that wait, for debug builds.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/wait.h>
#include <time.h>
#include "oob-wrap.h"

OOB_WRAP(int, poll, (struct pollfd * fds, nfds_t n, int timeout),
         (fds, n, timeout), timeout == 0)
OOB_WRAP(int, ppoll,
         (struct pollfd * fds, nfds_t n, const struct timespec *timeout,
          const sigset_t *mask),
         (fds, n, timeout, mask),
         timeout && !timeout->tv_sec && !timeout->tv_nsec)
OOB_WRAP(int, select,
         (int n, fd_set *in, fd_set *out, fd_set *except,
          struct timeval *timeout),
         (n, in, out, except, timeout),
         timeout && !timeout->tv_sec && !timeout->tv_usec)
OOB_WRAP(int, epoll_wait, (int fd, struct epoll_event *ev, int n, int timeout),
         (fd, ev, n, timeout), timeout == 0)

OOB_WRAP(unsigned, sleep, (unsigned seconds), (seconds), false)
OOB_WRAP(int, usleep, (useconds_t us), (us), false)
OOB_WRAP(int, nanosleep, (const struct timespec *ts, struct timespec *left),
         (ts, left), false)
OOB_WRAP(int, clock_nanosleep,
         (clockid_t clock, int flags, const struct timespec *ts,
          struct timespec *left),
         (clock, flags, ts, left), false)

OOB_WRAP(int, pthread_join, (pthread_t thread, void **result), (thread, result),
         false)
OOB_WRAP(int, pthread_cond_wait,
         (pthread_cond_t * cond, pthread_mutex_t *mutex), (cond, mutex), false)
OOB_WRAP(int, pthread_cond_timedwait,
         (pthread_cond_t * cond, pthread_mutex_t *mutex,
          const struct timespec *until),
         (cond, mutex, until), false)
OOB_WRAP(int, sem_wait, (sem_t * sem), (sem), false)

OOB_WRAP(pid_t, waitpid, (pid_t pid, int *status, int options),
         (pid, status, options), options &WNOHANG)
OOB_WRAP(int, system, (const char *command), (command), false)

OOB_WRAP(int, getaddrinfo,
         (const char *node, const char *service, const struct addrinfo *hints,
          struct addrinfo **result),
         (node, service, hints, result), false)
OOB_WRAP(int, getnameinfo,
         (const struct sockaddr *addr, socklen_t addr_len, char *host,
          socklen_t host_len, char *service, socklen_t service_len, int flags),
         (addr, addr_len, host, host_len, service, service_len, flags),
         (flags & NI_NUMERICHOST) && (flags & NI_NUMERICSERV))

OOB_WRAP(void, g_usleep, (gulong us), (us), false)
OOB_WRAP(void, g_cond_wait, (GCond * cond, GMutex *mutex), (cond, mutex), false)
OOB_WRAP(gboolean, g_cond_wait_until,
         (GCond * cond, GMutex *mutex, gint64 until), (cond, mutex, until),
         false)
OOB_WRAP(gpointer, g_thread_join, (GThread * thread), (thread), false)
OOB_WRAP(gpointer, g_async_queue_pop, (GAsyncQueue * queue), (queue), false)
OOB_WRAP(gboolean, g_main_context_iteration,
         (GMainContext * context, gboolean may_block), (context, may_block),
         !may_block)
OOB_WRAP(void, g_main_loop_run, (GMainLoop * loop), (loop), false)
OOB_WRAP(gboolean, g_file_get_contents,
         (const gchar *path, gchar **text, gsize *len, GError **error),
         (path, text, len, error), false)
OOB_WRAP(gboolean, g_file_set_contents,
         (const gchar *path, const gchar *text, gssize len, GError **error),
         (path, text, len, error), false)
