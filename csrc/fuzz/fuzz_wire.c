/* fuzz_wire.c: the header of a sealed part; what was read writes the same bytes again. */
#include "../wire.h"
#include "fuzz.h"

enum { MAX_MESSAGE = 4096 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    uint8_t again[ZS_HEADER_BYTES];
    zs_header header;
    zs_status status = zs_wire_read(&header, data, size, MAX_MESSAGE);
    if (size > MAX_MESSAGE) MUST(status == ZS_TOO_LARGE);
    else if (!zs_wire_is_sealed(data, size)) MUST(status == ZS_MALFORMED);
    else if (data[3] != ZS_VERSION) MUST(status == ZS_BAD_VERSION);
    if (status != ZS_OK) return 0;
    MUST(size >= ZS_MIN_SEALED_BYTES && (size_t)ZS_HEADER_BYTES + header.header_parts + ZS_TAG_BYTES <= size);
    MUST(header.kind <= ZS_KIND_CONTROL && header.sequence < ZS_MAX_SEQUENCE && header.suite != 0);
    zs_wire_write(again, &header, data + ZS_SESSION_OFFSET);
    MUST(memcmp(again, data, sizeof again) == 0);
    return 0;
}
