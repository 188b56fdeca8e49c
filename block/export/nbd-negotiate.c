/*
 * NBD handshake: the states that a client goes through.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "nbd-options.h"
#include "qemu/bswap.h"

/* With so much to send, the next option has to wait. */
#define ENOUGH_OUT (64 * 1024)

/* Each step gets as many bytes as its state takes, and tells the next one. */
typedef NbdNegotiationState NbdStepFn(NbdNegotiation *n, const uint8_t *data,
                                      size_t len);

static NbdNegotiationState step_client_flags(NbdNegotiation *n,
                                             const uint8_t *data, size_t len)
{
    n->client_flags = ldl_be_p(data);
    if (n->client_flags & ~(NBD_FLAG_FIXED_NEWSTYLE | NBD_FLAG_NO_ZEROES)) {
        return NBD_NEGOTIATION_CLOSE;
    }
    return NBD_NEGOTIATION_OPTION;
}

static const char *refusal_text(uint32_t refusal)
{
    return refusal == NBD_REP_ERR_TOO_BIG ? "option data is too long"
                                          : "unsupported option";
}

static NbdNegotiationState skip(NbdNegotiation *n, uint32_t refusal)
{
    n->refusal = refusal;
    if (n->option_left > 0) {
        return NBD_NEGOTIATION_SKIP;
    }
    return nbd_option_refuse(n, refusal, refusal_text(refusal));
}

static NbdNegotiationState step_option(NbdNegotiation *n, const uint8_t *data,
                                       size_t len)
{
    if (ldq_be_p(data) != NBD_OPTION_MAGIC) {
        return NBD_NEGOTIATION_CLOSE;
    }
    n->option = ldl_be_p(data + 8);
    n->option_left = ldl_be_p(data + 12);
    if (n->option_left > NBD_MAX_OPTION_SKIP) {
        return NBD_NEGOTIATION_CLOSE;
    }
    /* Only fixed newstyle has replies, which all others need. */
    if (n->option != NBD_OPT_EXPORT_NAME &&
        !(n->client_flags & NBD_FLAG_FIXED_NEWSTYLE)) {
        return NBD_NEGOTIATION_CLOSE;
    }
    if (!nbd_option_find(n->option)) {
        return skip(n, NBD_REP_ERR_UNSUP);
    }
    if (n->option_left <= NBD_MAX_OPTION_DATA) {
        return NBD_NEGOTIATION_PAYLOAD;
    }
    return n->option == NBD_OPT_EXPORT_NAME ? NBD_NEGOTIATION_CLOSE
                                            : skip(n, NBD_REP_ERR_TOO_BIG);
}

static NbdNegotiationState step_payload(NbdNegotiation *n, const uint8_t *data,
                                        size_t len)
{
    return nbd_option_find(n->option)(n, data, len);
}

static NbdNegotiationState step_skip(NbdNegotiation *n, const uint8_t *data,
                                     size_t len)
{
    n->option_left -= len;
    if (n->option_left > 0) {
        return NBD_NEGOTIATION_SKIP;
    }
    return nbd_option_refuse(n, n->refusal, refusal_text(n->refusal));
}

static NbdStepFn *const steps[NBD_NEGOTIATION__MAX] = {
    [NBD_NEGOTIATION_CLIENT_FLAGS] = step_client_flags,
    [NBD_NEGOTIATION_OPTION] = step_option,
    [NBD_NEGOTIATION_PAYLOAD] = step_payload,
    [NBD_NEGOTIATION_SKIP] = step_skip,
};

/*
 * Stores how many bytes the present state takes next; false when @len are not
 * enough or it takes none.
 */
static bool bytes_for_step(const NbdNegotiation *n, size_t len, size_t *take)
{
    switch (n->state) {
    case NBD_NEGOTIATION_CLIENT_FLAGS:
        *take = NBD_CLIENT_FLAGS_SIZE;
        break;
    case NBD_NEGOTIATION_OPTION:
        *take = NBD_OPTION_HEADER_SIZE;
        break;
    case NBD_NEGOTIATION_PAYLOAD:
        *take = n->option_left;
        break;
    case NBD_NEGOTIATION_SKIP:
        *take = CLAMP(len, 1, n->option_left);
        break;
    default:
        return false;
    }
    return *take <= len;
}

size_t nbd_negotiation_feed(NbdNegotiation *n, const uint8_t *data, size_t len)
{
    size_t done = 0;
    size_t take;

    while (n->out->len < ENOUGH_OUT && bytes_for_step(n, len - done, &take)) {
        n->state = steps[n->state](n, data + done, take);
        done += take;
    }
    return done;
}

void nbd_negotiation_init(NbdNegotiation *n)
{
    *n = (NbdNegotiation){
        .state = NBD_NEGOTIATION_CLIENT_FLAGS,
        .out = g_byte_array_new(),
    };
    nbd_out_be64(n->out, NBD_INIT_MAGIC);
    nbd_out_be64(n->out, NBD_OPTION_MAGIC);
    nbd_out_be16(n->out, NBD_FLAG_FIXED_NEWSTYLE | NBD_FLAG_NO_ZEROES);
}

void nbd_negotiation_destroy(NbdNegotiation *n)
{
    nbd_export_info_clear(&n->info);
    if (n->exp) {
        nbd_export_detach(n->exp);
    }
    g_byte_array_unref(n->out);
}
