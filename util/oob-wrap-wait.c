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

OOB_WRAP_TIMED(int, poll, (struct pollfd * fds, nfds_t n, int timeout),
               (fds, n, timeout), timeout == 0, timeout > 0)
OOB_WRAP_TIMED(int, ppoll,
               (struct pollfd * fds, nfds_t n, const struct timespec *timeout,
                const sigset_t *mask),
               (fds, n, timeout, mask),
               timeout && !timeout->tv_sec && !timeout->tv_nsec, timeout)
OOB_WRAP_TIMED(int, select,
               (int n, fd_set *in, fd_set *out, fd_set *except,
                struct timeval *timeout),
               (n, in, out, except, timeout),
               timeout && !timeout->tv_sec && !timeout->tv_usec, timeout)
OOB_WRAP_TIMED(int, epoll_wait,
               (int fd, struct epoll_event *ev, int n, int timeout),
               (fd, ev, n, timeout), timeout == 0, timeout > 0)

OOB_WRAP_TIMED(unsigned, sleep, (unsigned seconds), (seconds), false, true)
OOB_WRAP_TIMED(int, usleep, (useconds_t us), (us), false, true)
OOB_WRAP_TIMED(int, nanosleep,
               (const struct timespec *ts, struct timespec *left), (ts, left),
               false, true)
OOB_WRAP_TIMED(int, clock_nanosleep,
               (clockid_t clock, int flags, const struct timespec *ts,
                struct timespec *left),
               (clock, flags, ts, left), false, true)

OOB_WRAP(int, pthread_join, (pthread_t thread, void **result), (thread, result),
         false)
OOB_WRAP(int, pthread_cond_wait,
         (pthread_cond_t * cond, pthread_mutex_t *mutex), (cond, mutex), false)
OOB_WRAP_TIMED(int, pthread_cond_timedwait,
               (pthread_cond_t * cond, pthread_mutex_t *mutex,
                const struct timespec *until),
               (cond, mutex, until), false, true)
OOB_WRAP(int, sem_wait, (sem_t * sem), (sem), false)

OOB_WRAP(pid_t, waitpid, (pid_t pid, int *status, int options),
         (pid, status, options), options &WNOHANG)
OOB_WRAP(int, system, (const char *command), (command), false)

OOB_WRAP(int, getaddrinfo,
         (const char *node, const char *service, const struct addrinfo *hints,
          struct addrinfo **result),
         (node, service, hints, result),
         hints && (hints->ai_flags & AI_NUMERICHOST) &&
             (hints->ai_flags & AI_NUMERICSERV))
OOB_WRAP(int, getnameinfo,
         (const struct sockaddr *addr, socklen_t addr_len, char *host,
          socklen_t host_len, char *service, socklen_t service_len, int flags),
         (addr, addr_len, host, host_len, service, service_len, flags),
         (flags & NI_NUMERICHOST) && (flags & NI_NUMERICSERV))

OOB_WRAP_TIMED(void, g_usleep, (gulong us), (us), false, true)
OOB_WRAP(void, g_cond_wait, (GCond * cond, GMutex *mutex), (cond, mutex), false)
OOB_WRAP_TIMED(gboolean, g_cond_wait_until,
               (GCond * cond, GMutex *mutex, gint64 until),
               (cond, mutex, until), false, true)
OOB_WRAP(gpointer, g_thread_join, (GThread * thread), (thread), false)
OOB_WRAP(gpointer, g_async_queue_pop, (GAsyncQueue * queue), (queue), false)
/*
 * NULL is the default context, which is the main loop; it may have nothing to
 * dispatch.
 */
OOB_WRAP_TIMED(gboolean, g_main_context_iteration,
               (GMainContext * context, gboolean may_block),
               (context, may_block), !may_block || oob_is_own_loop(context),
               !context)
OOB_WRAP(void, g_main_loop_run, (GMainLoop * loop), (loop), false)
