/*
 * The hello: what each channel begins with.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "stream.h"

enum {
    HELLO_MAGIC = 0,
    HELLO_VERSION = 8,
    HELLO_FLAGS = 12,
    HELLO_CHANNEL = 16,
    HELLO_CHANNELS = 18,
    HELLO_PROCESS = 20,
    HELLO_SESSION = 36,
    HELLO_ATTEMPT = 52,
    HELLO_CHECKSUM = 56,
};

static const char hello_magic[] = "YANKDMIG";

void stream_hello_pack(const StreamHello *hello, uint8_t out[STREAM_HELLO_SIZE])
{
    memcpy(out + HELLO_MAGIC, hello_magic, strlen(hello_magic));
    stl_be_p(out + HELLO_VERSION, STREAM_VERSION);
    stl_be_p(out + HELLO_FLAGS, hello->flags);
    stw_be_p(out + HELLO_CHANNEL, hello->channel);
    stw_be_p(out + HELLO_CHANNELS, hello->channels);
    memcpy(out + HELLO_PROCESS, hello->process, STREAM_ID_SIZE);
    memcpy(out + HELLO_SESSION, hello->session, STREAM_ID_SIZE);
    stl_be_p(out + HELLO_ATTEMPT, hello->attempt);
    stq_be_p(out + HELLO_CHECKSUM, stream_checksum(out, HELLO_CHECKSUM));
}

/* The version comes before the checksum, which it may change. */
static bool check_frame(const uint8_t *in, Error **errp)
{
    uint32_t version = ldl_be_p(in + HELLO_VERSION);

    if (memcmp(in + HELLO_MAGIC, hello_magic, strlen(hello_magic))) {
        error_setg(errp,
                   "Not a migration stream of yankd: it does not begin "
                   "with %s",
                   hello_magic);
        return false;
    }
    if (version != STREAM_VERSION) {
        error_setg(errp,
                   "Version %" PRIu32 " of the migration stream is not "
                   "supported; allowed is %d",
                   version, STREAM_VERSION);
        return false;
    }
    if (ldq_be_p(in + HELLO_CHECKSUM) != stream_checksum(in, HELLO_CHECKSUM)) {
        error_setg(errp, "Checksum mismatch in the hello of the migration "
                         "stream");
        return false;
    }
    return true;
}

static bool check_hello(const StreamHello *hello, Error **errp)
{
    if (hello->flags & ~STREAM_HELLO__ALL) {
        error_setg(errp,
                   "Unknown flags 0x%" PRIx32 " in the hello of the migration "
                   "stream; allowed are 0x%x",
                   hello->flags & ~STREAM_HELLO__ALL, STREAM_HELLO__ALL);
        return false;
    }
    if (hello->channels > STREAM_MAX_CHANNELS) {
        error_setg(errp,
                   "%u additional channels of migration are too many; allowed "
                   "are %d",
                   hello->channels, STREAM_MAX_CHANNELS);
        return false;
    }
    if (hello->channel > hello->channels) {
        error_setg(errp,
                   "Channel %u of migration is out of range; allowed are 0 to "
                   "%u",
                   hello->channel, hello->channels);
        return false;
    }
    return true;
}

bool stream_hello_unpack(const uint8_t in[STREAM_HELLO_SIZE],
                         StreamHello *hello, Error **errp)
{
    StreamHello h = {
        .flags = ldl_be_p(in + HELLO_FLAGS),
        .channel = lduw_be_p(in + HELLO_CHANNEL),
        .channels = lduw_be_p(in + HELLO_CHANNELS),
        .attempt = ldl_be_p(in + HELLO_ATTEMPT),
    };

    memcpy(h.process, in + HELLO_PROCESS, STREAM_ID_SIZE);
    memcpy(h.session, in + HELLO_SESSION, STREAM_ID_SIZE);
    if (!check_frame(in, errp) || !check_hello(&h, errp)) {
        return false;
    }
    *hello = h;
    return true;
}
