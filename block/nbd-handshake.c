/*
 * NBD client: the handshake, and what the server offers.
 *
 * libnbd is told to stop before it asks for the export, so that a refusal is
 * told from a broken connection.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "nbd-internal.h"

const char *nbd_error_text(void)
{
    const char *text = nbd_get_error();
    const char *colon = text ? strstr(text, ": ") : NULL;

    if (colon && g_str_has_prefix(text, "nbd_")) {
        return colon + 2;
    }
    return text ? text : "unknown error";
}

static struct nbd_handle *handle_new(const NbdState *s, Error **errp)
{
    struct nbd_handle *h = nbd_create();

    if (!h) {
        error_setg(errp, "Could not make an NBD handle: %s", nbd_error_text());
        return NULL;
    }
    /*
     * Structured replies would add a header to each reply.  Requests are
     * checked before they come here, and nobody looks at the data of a read
     * that failed, so libnbd need not clear buffers.
     */
    if (nbd_set_export_name(h, s->export_name) < 0 ||
        nbd_set_opt_mode(h, true) < 0 ||
        nbd_set_request_structured_replies(h, false) < 0 ||
        nbd_set_pread_initialize(h, false) < 0 ||
        nbd_set_strict_mode(h, 0) < 0) {
        error_setg(errp, "Could not set an NBD handle up: %s",
                   nbd_error_text());
        nbd_close(h);
        return NULL;
    }
    return h;
}

/* Selects the handshake of nbd-flagless.c if libnbd refused the flags. */
static void note_flagless(NbdState *s, const char *text)
{
    s->flagless.on = strstr(text, "eflags == 0") != NULL;
}

static void set_handshake_error(NbdState *s, const char *state, Error **errp)
{
    const char *text = nbd_error_text();

    note_flagless(s, text);
    if (g_str_has_prefix(state, "MAGIC") &&
        strstr(text, "disconnected unexpectedly")) {
        error_setg(errp, "Failed to read initial magic: Unexpected "
                         "end-of-file before all data were read");
    } else {
        error_setg(errp, "Failed to negotiate with '%s': %s", s->address_str,
                   text);
    }
}

static bool start_libnbd(NbdState *s, Error **errp)
{
    int fd = qio_channel_socket_dup_fd(s->ioc, errp);

    if (fd < 0) {
        return false;
    }
    /* From here on libnbd owns the fd, in failure too. */
    if (nbd_aio_connect_socket(s->h, fd) < 0) {
        set_handshake_error(s, "MAGIC", errp);
        return false;
    }
    return true;
}

bool nbd_handshake_start(NbdState *s, Error **errp)
{
    g_clear_pointer(&s->go_error, error_free);
    s->go_sent = false;
    s->h = handle_new(s, errp);
    if (!s->h) {
        return false;
    }
    return s->flagless.on ? nbd_flagless_start(s, errp) : start_libnbd(s, errp);
}

/* Within a call of libnbd, which must not be called back. */
static int go_done(void *opaque, int *error)
{
    NbdState *s = opaque;

    if (*error == ENOENT) {
        error_setg(&s->go_error, "Requested export not available");
    } else if (*error && *error != ENOTCONN) {
        note_flagless(s, nbd_error_text());
        error_setg(&s->go_error, "Failed to open export '%s' at '%s': %s",
                   s->export_name, s->address_str, nbd_error_text());
    }
    return 1;
}

static int notify(struct nbd_handle *h, GIOCondition condition)
{
    unsigned direction = nbd_aio_get_direction(h);

    if ((direction & LIBNBD_AIO_DIRECTION_READ) &&
        (condition & ~(unsigned)G_IO_OUT)) {
        return nbd_aio_notify_read(h);
    }
    if ((direction & LIBNBD_AIO_DIRECTION_WRITE) && condition) {
        return nbd_aio_notify_write(h);
    }
    return 0;
}

bool nbd_handshake_step(NbdState *s, GIOCondition condition, bool *ready,
                        Error **errp)
{
    struct nbd_handle *h = s->h;
    const char *state = nbd_connection_state(h);
    int ret;

    if (s->flagless.on) {
        return nbd_flagless_step(s, ready, errp);
    }
    ret = notify(h, condition);
    if (ret == 0 && !s->go_sent && nbd_aio_is_negotiating(h) == 1) {
        s->go_sent = true;
        ret = nbd_aio_opt_go(h, (nbd_completion_callback){
                                    .callback = go_done,
                                    .user_data = s,
                                });
    }
    if (s->go_error) {
        error_propagate(errp, g_steal_pointer(&s->go_error));
        return false;
    }
    if (ret < 0 || nbd_aio_is_dead(h) == 1 || nbd_aio_is_closed(h) == 1) {
        set_handshake_error(s, state, errp);
        return false;
    }
    *ready = nbd_aio_is_ready(h) == 1;
    return true;
}

static uint32_t limit(struct nbd_handle *h, int which, uint32_t otherwise)
{
    int64_t value = nbd_get_block_size(h, which);

    return value > 0 && value <= UINT32_MAX ? value : otherwise;
}

bool nbd_handshake_info(const NbdState *s, NbdInfo *info, Error **errp)
{
    struct nbd_handle *h = s->h;
    int64_t size = nbd_get_size(h);
    uint32_t min = limit(h, LIBNBD_SIZE_MINIMUM, 1);
    uint32_t max = limit(h, LIBNBD_SIZE_MAXIMUM, BLOCK_MAX_TRANSFER);

    if (size < 0) {
        error_setg(errp,
                   "The export '%s' at '%s' is too large, at most %" PRIi64
                   " bytes are possible",
                   s->export_name, s->address_str, INT64_MAX);
        return false;
    }
    *info = (NbdInfo){
        .size = size,
        .read_only = nbd_is_read_only(h) == 1,
        .fast_zero = nbd_can_fast_zero(h) == 1,
        .caps =
            {
                .flush = nbd_can_flush(h) == 1,
                .fua = nbd_can_fua(h) == 1,
                .discard = nbd_can_trim(h) == 1,
                .write_zeroes = nbd_can_zero(h) == 1,
                .min_block = min,
                .preferred_block =
                    MAX(limit(h, LIBNBD_SIZE_PREFERRED, 4096), min),
                .max_transfer =
                    MAX(MIN(max, BLOCK_MAX_TRANSFER) / min * min, min),
            },
    };
    return true;
}

bool nbd_handshake_same(const NbdInfo *before, uint64_t size,
                        const NbdInfo *now, Error **errp)
{
    if (now->size < size) {
        error_setg(errp,
                   "The export has %" PRIu64 " bytes now, and had %" PRIu64
                   " before",
                   now->size, size);
        return false;
    }
    if (now->read_only && !before->read_only) {
        error_setg(errp, "The export is read-only now, and was not before");
        return false;
    }
    if (now->caps.min_block > before->caps.min_block ||
        now->caps.max_transfer < before->caps.max_transfer) {
        error_setg(errp, "The export's limits on the size of requests are "
                         "tighter than before");
        return false;
    }
    if ((before->caps.flush && !now->caps.flush) ||
        (before->caps.fua && !now->caps.fua) ||
        (before->caps.discard && !now->caps.discard) ||
        (before->caps.write_zeroes && !now->caps.write_zeroes) ||
        (before->fast_zero && !now->fast_zero)) {
        error_setg(errp, "The export lacks a command that it had before");
        return false;
    }
    return true;
}
