/*
 * A channel of a migration: sections out and in, over a blocking QIOChannel.
 *
 * One thread receives; any thread sends, a section at a time.  A cut of the
 * link ends both at once.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef MIGRATION_CHANNEL_H
#define MIGRATION_CHANNEL_H

#include "compress.h"
#include "io/channel.h"
#include "qemu/thread.h"
#include "stream.h"

typedef struct MigrationChannel {
    QIOChannel *ioc;
    StreamSide from;        /* who sends what comes in */
    uint16_t index;         /* 0: the main one */
    QemuMutex send_lock;    /* slow: held while a section goes out; goes last */
    Compressor *compressor; /* its user's, NULL until it is needed */
} MigrationChannel;

/* Takes @ioc over.  Any thread. */
MigrationChannel *migration_channel_new(QIOChannel *ioc, StreamSide from,
                                        uint16_t index);
/* Closes it; NULL is fine.  Nobody may use it any more. */
void migration_channel_free(MigrationChannel *c);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(MigrationChannel, migration_channel_free)

/*
 * Sends @section with the payload_size bytes of @payload; fills in the
 * checksum.  Blocks.
 */
bool migration_channel_send(MigrationChannel *c, Section *section,
                            const void *payload, Error **errp);
/* A section without payload. */
bool migration_channel_send_type(MigrationChannel *c, SectionType type,
                                 uint64_t offset, Error **errp);
/* The text of an ABORT or ERROR. */
bool migration_channel_send_message(MigrationChannel *c, SectionType type,
                                    const char *text, Error **errp);

/* 1, 0 when the peer has closed the channel, or -1 with errp set.  Blocks. */
int migration_channel_receive(MigrationChannel *c, Section *section,
                              Error **errp);
/* The payload of @section into @buf; its checksum is compared.  Blocks. */
bool migration_channel_receive_payload(MigrationChannel *c,
                                       const Section *section, void *buf,
                                       Error **errp);
/*
 * The same for content that may have changed while it was sent: *@intact says
 * whether the checksum fits.
 */
bool migration_channel_receive_content(MigrationChannel *c,
                                       const Section *section, void *buf,
                                       bool *intact, Error **errp);
/* The text of a section that has one; g_free() it.  NULL on errors. */
char *migration_channel_receive_message(MigrationChannel *c,
                                        const Section *section, Error **errp);

#endif
