/* wire.c: reads and writes the header of a sealed part (floor 2); spec, "The sealed part". */
#include "wire.h"

#include "impl.h"

enum { KIND_MASK = 0x0F, FLAGS_MASK = 0xF0, RESERVED_FLAGS = 0xC0 };

bool zs_wire_is_handshake(const uint8_t *frame, size_t len) {
    return len <= ZS_MAX_HANDSHAKE_BYTES && zs_wire_is_sealed(frame, len) && (frame[5] & KIND_MASK) == ZS_KIND_HANDSHAKE;
}

zs_status zs_wire_read(zs_header *header, const uint8_t *frame, size_t len, size_t max_message) {
    if (len > max_message) return ZS_TOO_LARGE;
    if (!zs_wire_is_sealed(frame, len)) return ZS_MALFORMED;
    header->suite = frame[4];
    header->kind = frame[5] & KIND_MASK;
    header->flags = frame[5] & FLAGS_MASK;
    header->header_parts = zs_load16(frame + 6);
    header->spi = zs_load32(frame + ZS_NONCE_OFFSET);
    header->start = zs_load32(frame + ZS_SESSION_OFFSET);
    header->sequence = zs_load64(frame + ZS_SEQUENCE_OFFSET);
    if (frame[3] != ZS_VERSION) return ZS_BAD_VERSION;
    if (header->suite == 0) return ZS_BAD_SUITE;
    if (header->suite > ZS_SUITE_AES256CTR_HMACSHA256 && header->suite < ZS_FIRST_USER_SUITE) return ZS_BAD_SUITE;
    if (header->kind > ZS_KIND_CONTROL || (header->flags & RESERVED_FLAGS) != 0) return ZS_MALFORMED;
    return zs_wire_check_sizes(header, len, max_message);
}

void zs_wire_write(uint8_t out[ZS_HEADER_BYTES], const zs_header *header, const uint8_t session[ZS_SESSION_BYTES]) {
    memcpy(out, ZS_MAGIC, sizeof ZS_MAGIC);
    out[3] = ZS_VERSION;
    out[4] = header->suite;
    zs_store32(out + ZS_NONCE_OFFSET, header->spi);
    memcpy(out + ZS_SESSION_OFFSET, session, ZS_SESSION_BYTES);
    zs_wire_finish(out, header->kind | header->flags, header->header_parts, header->sequence);
}
