/*
 * Sections over a channel.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "channel.h"
#include "qemu/lockable.h"

MigrationChannel *migration_channel_new(QIOChannel *ioc, StreamSide from,
                                        uint16_t index)
{
    MigrationChannel *c = g_new0(MigrationChannel, 1);

    c->ioc = ioc;
    c->from = from;
    c->index = index;
    qemu_mutex_init_slow(&c->send_lock);
    return c;
}

void migration_channel_free(MigrationChannel *c)
{
    if (!c) {
        return;
    }
    compressor_free(c->compressor);
    qio_channel_unref(c->ioc);
    qemu_mutex_destroy(&c->send_lock);
    g_free(c);
}

bool migration_channel_send(MigrationChannel *c, Section *section,
                            const void *payload, Error **errp)
{
    uint8_t header[STREAM_HEADER_SIZE];
    struct iovec iov[] = {
        {.iov_base = header, .iov_len = sizeof(header)},
        {.iov_base = (void *)payload, .iov_len = section->payload_size},
    };

    section->payload_checksum = stream_checksum(payload, section->payload_size);
    section_pack(section, header);
    QEMU_LOCK_GUARD(&c->send_lock);
    return qio_channel_writev_all(c->ioc, iov, section->payload_size ? 2 : 1,
                                  errp) == 0;
}

bool migration_channel_send_type(MigrationChannel *c, SectionType type,
                                 uint64_t offset, Error **errp)
{
    Section section = {.type = type, .offset = offset};

    return migration_channel_send(c, &section, NULL, errp);
}

bool migration_channel_send_message(MigrationChannel *c, SectionType type,
                                    const char *text, Error **errp)
{
    Section section = {
        .type = type,
        .payload_size = MIN(strlen(text), (size_t)STREAM_MAX_MESSAGE),
    };

    return migration_channel_send(c, &section, text, errp);
}

int migration_channel_receive(MigrationChannel *c, Section *section,
                              Error **errp)
{
    uint8_t header[STREAM_HEADER_SIZE];
    int ret = qio_channel_read_all(c->ioc, header, sizeof(header), errp);

    if (ret == 1 && !section_unpack(header, c->from, section, errp)) {
        return -1;
    }
    return ret;
}

static bool receive_bytes(MigrationChannel *c, const Section *section,
                          void *buf, Error **errp)
{
    int ret = 1;

    if (section->payload_size) {
        ret = qio_channel_read_all(c->ioc, buf, section->payload_size, errp);
    }
    if (ret == 0) {
        error_setg(errp, "%s closed the channel within a %s section",
                   qio_channel_peer(c->ioc), section_type_name(section->type));
    }
    return ret == 1;
}

bool migration_channel_receive_payload(MigrationChannel *c,
                                       const Section *section, void *buf,
                                       Error **errp)
{
    return receive_bytes(c, section, buf, errp) &&
           section_check_payload(section, buf, errp);
}

bool migration_channel_receive_content(MigrationChannel *c,
                                       const Section *section, void *buf,
                                       bool *intact, Error **errp)
{
    if (!receive_bytes(c, section, buf, errp)) {
        return false;
    }
    *intact = section_check_payload(section, buf, NULL);
    return true;
}

char *migration_channel_receive_message(MigrationChannel *c,
                                        const Section *section, Error **errp)
{
    uint8_t buf[STREAM_MAX_MESSAGE];

    if (!migration_channel_receive_payload(c, section, buf, errp)) {
        return NULL;
    }
    return stream_message_unpack(buf, section->payload_size);
}
