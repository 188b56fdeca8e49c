/*
 * Payloads of the stream that are not content: volumes and messages.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "stream.h"

enum {
    VOLUME_SIZE = 0,
    VOLUME_FLAGS = 8,
    VOLUME_NAME_LEN = 12,
    VOLUME_NAME = 16,
};

/* Bits of the volume's flags. */
enum {
    VOLUME_FLAG_REMOTE = 1 << 0,
    VOLUME_FLAG__ALL = (1 << 1) - 1,
};

size_t stream_volume_pack(const StreamVolume *volume,
                          uint8_t out[STREAM_VOLUME_MAX_SIZE])
{
    size_t name_len = strnlen(volume->name, STREAM_MAX_NAME);

    stq_be_p(out + VOLUME_SIZE, volume->size);
    stl_be_p(out + VOLUME_FLAGS, volume->remote ? VOLUME_FLAG_REMOTE : 0);
    stl_be_p(out + VOLUME_NAME_LEN, name_len);
    memcpy(out + VOLUME_NAME, volume->name, name_len);
    return VOLUME_NAME + name_len;
}

/* Also refuses NUL, which is a control character. */
static bool name_is_fit(const char *name, size_t len)
{
    if (!g_utf8_validate_len(name, len, NULL)) {
        return false;
    }
    for (const char *p = name; p < name + len; p = g_utf8_next_char(p)) {
        if (g_unichar_iscntrl(g_utf8_get_char(p))) {
            return false;
        }
    }
    return true;
}

/* The name begins within @in and ends with it. */
static bool check_name_len(const uint8_t *in, size_t len, Error **errp)
{
    uint32_t name_len;

    if (len < STREAM_VOLUME_MIN_SIZE || len > STREAM_VOLUME_MAX_SIZE) {
        error_setg(errp,
                   "A volume of %zu bytes in the migration stream; allowed "
                   "are %d to %d",
                   len, STREAM_VOLUME_MIN_SIZE, STREAM_VOLUME_MAX_SIZE);
        return false;
    }
    name_len = ldl_be_p(in + VOLUME_NAME_LEN);
    if (name_len != len - VOLUME_NAME) {
        error_setg(errp,
                   "The name of a volume in the migration stream has %" PRIu32
                   " bytes by its length, and %zu in fact",
                   name_len, len - VOLUME_NAME);
        return false;
    }
    return true;
}

static bool check_members(const char *name, uint64_t size, uint32_t flags,
                          Error **errp)
{
    if (size > INT64_MAX) {
        error_setg(errp,
                   "Volume '%s' in the migration stream has %" PRIu64
                   " bytes; allowed are up to %" PRId64,
                   name, size, INT64_MAX);
        return false;
    }
    if (flags & ~VOLUME_FLAG__ALL) {
        error_setg(errp,
                   "Unknown flags 0x%" PRIx32 " of volume '%s' in the "
                   "migration stream; allowed are 0x%x",
                   flags & ~VOLUME_FLAG__ALL, name, VOLUME_FLAG__ALL);
        return false;
    }
    return true;
}

bool stream_volume_unpack(const uint8_t *in, size_t len, StreamVolume *volume,
                          Error **errp)
{
    StreamVolume v = {};
    uint32_t flags;

    if (!check_name_len(in, len, errp)) {
        return false;
    }
    if (!name_is_fit((const char *)in + VOLUME_NAME, len - VOLUME_NAME)) {
        error_setg(errp, "The name of a volume in the migration stream is no "
                         "UTF-8 without control characters");
        return false;
    }
    memcpy(v.name, in + VOLUME_NAME, len - VOLUME_NAME);
    v.size = ldq_be_p(in + VOLUME_SIZE);
    flags = ldl_be_p(in + VOLUME_FLAGS);
    v.remote = flags & VOLUME_FLAG_REMOTE;
    if (!check_members(v.name, v.size, flags, errp)) {
        return false;
    }
    *volume = v;
    return true;
}

char *stream_message_unpack(const uint8_t *in, size_t len)
{
    const char *raw = len ? (const char *)in : "";
    g_autofree char *text =
        g_utf8_make_valid(raw, MIN(len, (size_t)STREAM_MAX_MESSAGE));
    GString *out = g_string_new(NULL);

    for (const char *p = text; *p; p = g_utf8_next_char(p)) {
        gunichar c = g_utf8_get_char(p);

        g_string_append_unichar(out, g_unichar_isprint(c) ? c : '?');
    }
    return g_string_free(out, FALSE);
}
