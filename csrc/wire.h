/* wire.h: the 32-byte header of a sealed part (floor 2); spec, "The sealed part". */
#ifndef ZS_WIRE_H
#define ZS_WIRE_H

#include "impl.h"

typedef struct zs_header {
    uint8_t suite;
    uint8_t kind;
    uint8_t flags;
    uint16_t header_parts; /* H, bytes */
    uint32_t spi;
    uint32_t start;        /* unix seconds, the first 4 bytes of the session */
    uint64_t sequence;
} zs_header;

static const uint8_t ZS_MAGIC[3] = {0x00, 0x5A, 0x53};

/* Does `frame` look like a sealed part? Only its length and its magic are looked at. */
static inline bool zs_wire_is_sealed(const uint8_t *frame, size_t len) {
    return len >= ZS_MIN_SEALED_BYTES && memcmp(frame, ZS_MAGIC, sizeof ZS_MAGIC) == 0;
}

/* Does it carry a handshake, and is no longer than one may be? */
bool zs_wire_is_handshake(const uint8_t *frame, size_t len);

/* Read and check the header of a sealed part of `len` bytes, of which at most `max_message` are allowed. */
zs_status zs_wire_read(zs_header *header, const uint8_t *frame, size_t len, size_t max_message);

/* The part of zs_wire_read that looks at `len`, at H and at the sequence number. */
static inline zs_status zs_wire_check_sizes(const zs_header *header, size_t len, size_t max_message) {
    if (len > max_message) return ZS_TOO_LARGE;
    if ((size_t)header->header_parts + ZS_HEADER_BYTES + ZS_TAG_BYTES > len) return ZS_MALFORMED;
    return header->sequence < ZS_MAX_SEQUENCE ? ZS_OK : ZS_MALFORMED;
}

/* Write the header; `session` is the 12 bytes of start time and random. */
void zs_wire_write(uint8_t out[ZS_HEADER_BYTES], const zs_header *header, const uint8_t session[ZS_SESSION_BYTES]);

/* The fields in which messages of one session differ. */
static inline void zs_wire_finish(uint8_t out[ZS_HEADER_BYTES], unsigned kind_and_flags, uint16_t header_parts,
                                  uint64_t sequence) {
    out[5] = (uint8_t)kind_and_flags;
    zs_store16(out + 6, header_parts);
    zs_store64(out + ZS_SEQUENCE_OFFSET, sequence);
}

#endif
