/*
 * Wrappers of libnbd's calls, for debug builds: they take the handle's lock,
 * which a thread inside libnbd may hold while it waits.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <libnbd.h>
#include "oob-wrap.h"

typedef struct nbd_handle Handle;

#define WRAP_NBD(ret, name) OOB_WRAP(ret, name, (Handle * h), (h), false)

#define WRAP_NBD_SET(name, type)                                               \
    OOB_WRAP(int, name, (Handle * h, type value), (h, value), false)

#define WRAP_NBD_TRANSFER(name, buf_type)                                      \
    OOB_WRAP(int64_t, name,                                                    \
             (Handle * h, buf_type buf, size_t n, uint64_t at,                 \
              nbd_completion_callback cb, uint32_t flags),                     \
             (h, buf, n, at, cb, flags), false)

#define WRAP_NBD_RANGE(name)                                                   \
    OOB_WRAP(int64_t, name,                                                    \
             (Handle * h, uint64_t n, uint64_t at, nbd_completion_callback cb, \
              uint32_t flags),                                                 \
             (h, n, at, cb, flags), false)

WRAP_NBD(void, nbd_close)
WRAP_NBD(int64_t, nbd_get_size)
WRAP_NBD_SET(nbd_get_block_size, int) /* with an argument, like a setter */
WRAP_NBD(const char *, nbd_connection_state)
WRAP_NBD(char *, nbd_get_export_name)
WRAP_NBD(int, nbd_is_read_only)
WRAP_NBD(int, nbd_can_cache)
WRAP_NBD(int, nbd_can_fast_zero)
WRAP_NBD(int, nbd_can_flush)
WRAP_NBD(int, nbd_can_fua)
WRAP_NBD(int, nbd_can_multi_conn)
WRAP_NBD(int, nbd_can_trim)
WRAP_NBD(int, nbd_can_zero)

WRAP_NBD_SET(nbd_set_export_name, const char *)
WRAP_NBD_SET(nbd_set_full_info, bool)
WRAP_NBD_SET(nbd_set_handshake_flags, uint32_t)
WRAP_NBD_SET(nbd_set_opt_mode, bool)
WRAP_NBD_SET(nbd_set_pread_initialize, bool)
WRAP_NBD_SET(nbd_set_request_structured_replies, bool)
WRAP_NBD_SET(nbd_set_strict_mode, uint32_t)

WRAP_NBD_SET(nbd_aio_connect_socket, int)
WRAP_NBD_SET(nbd_aio_opt_go, nbd_completion_callback)
WRAP_NBD(int, nbd_aio_opt_abort)
WRAP_NBD_SET(nbd_aio_disconnect, uint32_t)
WRAP_NBD(int, nbd_aio_get_fd)
WRAP_NBD(unsigned, nbd_aio_get_direction)
WRAP_NBD(int, nbd_aio_notify_read)
WRAP_NBD(int, nbd_aio_notify_write)
WRAP_NBD(int, nbd_aio_is_closed)
WRAP_NBD(int, nbd_aio_is_connecting)
WRAP_NBD(int, nbd_aio_is_created)
WRAP_NBD(int, nbd_aio_is_dead)
WRAP_NBD(int, nbd_aio_is_negotiating)
WRAP_NBD(int, nbd_aio_is_processing)
WRAP_NBD(int, nbd_aio_is_ready)

WRAP_NBD_TRANSFER(nbd_aio_pread, void *)
WRAP_NBD_TRANSFER(nbd_aio_pwrite, const void *)
WRAP_NBD_RANGE(nbd_aio_cache)
WRAP_NBD_RANGE(nbd_aio_trim)
WRAP_NBD_RANGE(nbd_aio_zero)
OOB_WRAP(int64_t, nbd_aio_flush,
         (Handle * h, nbd_completion_callback cb, uint32_t flags),
         (h, cb, flags), false)
