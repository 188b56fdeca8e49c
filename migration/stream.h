/*
 * The migration stream: what goes over the channels, byte by byte.
 *
 * Each channel begins with a hello, which the source sends.  After it come
 * sections in both directions: a header of fixed size and a payload.  All
 * numbers are in network byte order.  docs/interop/migration-stream.rst has
 * the layout and the order of sections.
 *
 * Everything here works on buffers and is free of side effects; any thread.
 * What comes in is hostile: the unpack functions check it all, so that what
 * they let pass is within its limits.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef MIGRATION_STREAM_H
#define MIGRATION_STREAM_H

#include "qapi/error.h"

#define STREAM_VERSION 1
#define STREAM_ID_SIZE 16

/* Volumes in one migration, and channels beside the main one, at most. */
#define STREAM_MAX_VOLUMES 4096
#define STREAM_MAX_CHANNELS 255
/* Content of one section; a volume is cut into stripes of this size. */
#define STREAM_STRIPE (1 * MiB)
/* Ranges are whole blocks of this size, but for the end of a volume. */
#define STREAM_BLOCK (16 * KiB)
/* Texts in payloads: names and messages, in bytes. */
#define STREAM_MAX_NAME 255
#define STREAM_MAX_MESSAGE 1024

/* ---- The hello. ---- */

#define STREAM_HELLO_SIZE 64

enum {
    STREAM_HELLO_RESUME = 1 << 0, /* goes on with a migration */
    STREAM_HELLO__ALL = (1 << 1) - 1,
};

typedef struct StreamHello {
    uint32_t flags;
    uint16_t channel;  /* 0: the main one */
    uint16_t channels; /* how many there are beside the main one */
    uint32_t attempt;  /* counts the times that the process has connected */
    uint8_t process[STREAM_ID_SIZE]; /* which process this comes from */
    uint8_t session[STREAM_ID_SIZE]; /* which of its migrations it is */
} StreamHello;

/* Layout: magic "YANKDMIG", version, flags, channel, channels, process,
 * session, attempt, checksum of all before it. */
void stream_hello_pack(const StreamHello *hello,
                       uint8_t out[STREAM_HELLO_SIZE]);
bool stream_hello_unpack(const uint8_t in[STREAM_HELLO_SIZE],
                         StreamHello *hello, Error **errp);

/* ---- Sections. ---- */

#define STREAM_HEADER_SIZE 48

typedef enum SectionType {
    /* Source to destination. */
    SECTION_VOLUME = 1, /* payload: StreamVolume; volume: its index */
    SECTION_SETUP_END,  /* that were all volumes; length: how many */
    SECTION_DATA,       /* content of [offset, offset + length) of volume */
    SECTION_ZERO,       /* zeroes there */
    SECTION_PASS_END,   /* on every channel; offset: number of the pass */
    SECTION_MISSING,    /* that range of volume is not at the destination */
    SECTION_HAND_OVER,  /* pass offset was the last; are you ready to serve? */
    SECTION_GO,         /* serve */
    SECTION_PUSH_END,   /* nothing is missing any more */
    SECTION_ABORT,      /* payload: why the source ends this */
    SECTION_BYE,        /* the source knows that all has gone well */
    /* Destination to source. */
    SECTION_ACCEPT = 32, /* the volumes fit */
    SECTION_PASS_ACK,    /* offset: the number of the pass that is stored */
    SECTION_READY,       /* all is stored; serves when told to go */
    SECTION_STARTED,     /* serves */
    SECTION_FETCH,       /* send that range of volume first */
    SECTION_LACKS,       /* on resume: that range of volume is not here */
    SECTION_LACKS_END,   /* on resume: that was all */
    SECTION_COMPLETE,    /* everything is here */
    SECTION_ERROR,       /* payload: why the destination ends this */
    SECTION_AGAIN,       /* what came for that range did not fit its checksum */
} SectionType;

/* Bits of flags; each only where it makes sense. */
enum {
    SECTION_FLAG_ZSTD = 1 << 0,     /* DATA: the payload is compressed */
    SECTION_FLAG_POSTCOPY = 1 << 1, /* HAND_OVER: not all is there */
};

typedef struct Section {
    SectionType type;
    uint16_t flags;
    uint32_t volume;
    uint64_t offset;
    uint64_t length;
    uint32_t payload_size;
    uint64_t payload_checksum;
} Section;

/* "data", "hand-over", ...; "unknown" for others. */
const char *section_type_name(unsigned type);

/* Layout: magic, type, flags, volume, payload size, offset, length, checksum
 * of the payload, checksum of all before it. */
void section_pack(const Section *section, uint8_t out[STREAM_HEADER_SIZE]);

typedef enum StreamSide {
    STREAM_FROM_SOURCE,
    STREAM_FROM_DESTINATION,
} StreamSide;

/*
 * Checks the header by itself: magic, checksum, a known type that @side may
 * send (an unknown one is named by its number), flags, members that the type
 * does not use are zero, the payload within the limit of the type (DATA:
 * exactly length when it is not compressed, less than length when it is;
 * length at most STREAM_STRIPE and within one stripe).
 */
bool section_unpack(const uint8_t in[STREAM_HEADER_SIZE], StreamSide side,
                    Section *section, Error **errp);

/*
 * Checks the range of a DATA, ZERO, MISSING, FETCH or LACKS section against
 * the volumes: the index is below @n_volumes, length is not 0, the range fits
 * sizes[volume] and is made of whole blocks.
 */
bool section_check_range(const Section *section, const uint64_t *sizes,
                         uint32_t n_volumes, Error **errp);

/* The checksum of payloads and headers: XXH3, 64 bits; of nothing, 0. */
uint64_t stream_checksum(const void *buf, size_t len);
/* Errors name the section's type and place. */
bool section_check_payload(const Section *section, const void *payload,
                           Error **errp);

/* ---- Payloads. ---- */

/* What is said of a volume. */
typedef struct StreamVolume {
    char name[STREAM_MAX_NAME + 1];
    uint64_t size;
    bool remote; /* reached over the network; its content does not move */
} StreamVolume;

/* Size, flags and length of the name; and the name. */
#define STREAM_VOLUME_MIN_SIZE (16 + 1)
#define STREAM_VOLUME_MAX_SIZE (16 + STREAM_MAX_NAME)

/* Returns how many bytes of @out it took. */
size_t stream_volume_pack(const StreamVolume *volume,
                          uint8_t out[STREAM_VOLUME_MAX_SIZE]);
/* The name is valid UTF-8 without control characters and not empty. */
bool stream_volume_unpack(const uint8_t *in, size_t len, StreamVolume *volume,
                          Error **errp);

/*
 * The text of an ABORT or ERROR, made fit to be shown (control characters and
 * invalid UTF-8 replaced); g_free() it.
 */
char *stream_message_unpack(const uint8_t *in, size_t len);

#endif
