/* address.c: finds routing metadata directly in the header list (floor 3). */
#include "address.h"

#include "impl.h"

static const struct {
    const char *name;
    size_t name_len;
    size_t least, most; /* bytes of the value */
} FORMS[ZS_ADDRESS_NAMES] = {
    [ZS_FROM] = {"from", 4, ZS_FINGERPRINT_BYTES, ZS_FINGERPRINT_BYTES + ZS_MAX_ROUTING_ID_BYTES},
    [ZS_TO] = {"to", 2, ZS_FINGERPRINT_BYTES, ZS_FINGERPRINT_BYTES},
    [ZS_REPLY_TO] = {"reply-to", 8, ZS_MESSAGE_ID_BYTES, ZS_MESSAGE_ID_BYTES},
    [ZS_CRED] = {"cred", 4, ZS_MIN_CREDENTIAL_BYTES, ZS_MAX_CREDENTIAL_BYTES},
};

/* The value of one ignorable metadata, from `at` on: the name's length, the name, the content. */
static zs_status take(zs_address *out, const uint8_t *header, size_t at, size_t len) {
    size_t name_len = header[at];
    for (size_t i = 0; i < ZS_ADDRESS_NAMES; i++) {
        if (name_len != FORMS[i].name_len || memcmp(header + at + 1, FORMS[i].name, name_len) != 0) continue;
        size_t content = len - 1 - name_len;
        if (out->len[i] != 0 || content < FORMS[i].least || content > FORMS[i].most) return ZS_MALFORMED;
        out->at[i] = (uint16_t)(at + 1 + name_len);
        out->len[i] = (uint16_t)content;
    }
    return ZS_OK;
}

zs_status zs_address_read(zs_address *out, const uint8_t *header, size_t len) {
    memset(out, 0, sizeof *out);
    for (size_t at = 0; at < len;) {
        uint32_t head = zs_load32(header + at);
        size_t value_len = head >> 2;
        at += ZS_PART_HEAD_BYTES;
        if ((head & 3) == ZS_PART_IGNORABLE) {
            zs_status status = take(out, header, at, value_len);
            if (status != ZS_OK) return status;
        }
        at += value_len;
    }
    return ZS_OK;
}
