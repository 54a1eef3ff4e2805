/* fuzz_attestation.c: messages with attestations behind them, one after the other: what is accepted does not depend on
 * what is remembered, and a frame that was read is written again from its fields.
 *
 * A message is its flags, the number of its frames, a byte for the sealed part, and the frames, u16 length and bytes each.
 */
#include "../route.h"
#include "fuzz.h"

enum { MOST_FRAMES = 4, MOST_SIGNATURES = 64, PART_BYTES = 60 };

/* In place of a signature scheme: the first message that is shown with a key and a signature is the one that was signed. */
static struct {
    const uint8_t *signature, *key;
    uint8_t message[64];
} signed_messages[MOST_SIGNATURES];
static size_t signed_count;

static int verify(const unsigned char *signature, const unsigned char *message, unsigned long long len,
                  const unsigned char *key) {
    MUST(len <= sizeof signed_messages[0].message);
    for (size_t i = 0; i < signed_count; i++) {
        if (memcmp(signed_messages[i].signature, signature, ZS_SIGNATURE_BYTES) != 0) continue;
        if (memcmp(signed_messages[i].key, key, ZS_PUBLIC_KEY_BYTES) != 0) continue;
        return memcmp(signed_messages[i].message, message, len) == 0 ? 0 : -1;
    }
    if (signed_count == MOST_SIGNATURES) return -1;
    signed_messages[signed_count].signature = signature;
    signed_messages[signed_count].key = key;
    memcpy(signed_messages[signed_count++].message, message, len);
    return 0;
}

/* In place of BLAKE2b: FNV over all inputs, from four beginnings. */
static int hash(unsigned char *out, size_t out_len, const unsigned char *in, unsigned long long in_len,
                const unsigned char *key, size_t key_len, const unsigned char *salt, const unsigned char *personal) {
    (void)salt;
    for (size_t lane = 0; lane < out_len / 8; lane++) {
        uint64_t h = UINT64_C(14695981039346656037) + lane;
        for (size_t i = 0; i < 16; i++) h = (h ^ personal[i]) * UINT64_C(1099511628211);
        for (size_t i = 0; i < key_len; i++) h = (h ^ key[i]) * UINT64_C(1099511628211);
        for (size_t i = 0; i < in_len; i++) h = (h ^ in[i]) * UINT64_C(1099511628211);
        zs_store64(out + 8 * lane, h ^ h >> 29);
    }
    return 0;
}

static const zs_sodium SODIUM = {.blake2b = hash, .verify = verify};

static void write_again(const zs_span *frame) {
    uint8_t again[ZS_MAX_ATTESTATION_BYTES] = {0x00, 0x5A, 0x41, ZS_VERSION}, *p = again + 8;
    zs_attestation one;
    if (!zs_attestation_read(&one, frame->data, frame->len)) return;
    MUST(one.height <= ZS_MAX_TREE_HEIGHT && one.position < 1u << one.height);
    again[4] = one.role, again[5] = one.height, again[6] = one.routing_id_len, again[7] = one.position;
    memcpy(p, one.key, ZS_PUBLIC_KEY_BYTES), p += ZS_PUBLIC_KEY_BYTES;
    MUST((one.commitment != NULL) == (one.role == ZS_BY_ORIGIN));
    if (one.commitment != NULL) memcpy(p, one.commitment, ZS_HASH_BYTES), p += ZS_HASH_BYTES;
    memcpy(p, one.routing_id, one.routing_id_len), p += one.routing_id_len;
    memcpy(p, one.signature, ZS_SIGNATURE_BYTES), p += ZS_SIGNATURE_BYTES;
    memcpy(p, one.path, (size_t)one.height * ZS_HASH_BYTES), p += (size_t)one.height * ZS_HASH_BYTES;
    MUST((size_t)(p - again) == frame->len && memcmp(again, frame->data, frame->len) == 0);
}

static zs_status route_status(zs_trees *trees, const zs_span *frames, size_t count, uint8_t flags, const uint8_t *part,
                              const zs_route_policy *policy, uint8_t fingerprint[ZS_FINGERPRINT_BYTES]) {
    zs_route route = {.frames = frames, .count = count};
    zs_route_claim(&route, flags);
    if (count > 0) zs_route_digest(&route, &SODIUM, part, PART_BYTES);
    zs_status status = zs_route_verify(&route, trees, &SODIUM, flags, policy);
    memset(fingerprint, 0, ZS_FINGERPRINT_BYTES);
    if (status == ZS_OK && route.origin != NULL) memcpy(fingerprint, route.fingerprint, ZS_FINGERPRINT_BYTES);
    MUST(status == ZS_OK || status == ZS_UNATTESTED || status == ZS_BAD_ATTESTATION || status == ZS_NOT_PERMITTED);
    MUST(status != ZS_OK || (route.origin != NULL) == ((flags & ZS_FLAG_ORIGIN_ATTESTED) != 0));
    return status;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static zs_trees warm, cold;
    size_t at = 0;
    signed_count = 0;
    memset(&warm, 0, sizeof warm);
    while (size - at >= 3) {
        uint8_t flags = data[at] & ZS_FLAG_ORIGIN_ATTESTED, part[PART_BYTES], first[32], second[32];
        zs_route_policy policy = {.required = (data[at] & 1) != 0, .hops_min = data[at] >> 1 & 1, .hops_max = 3,
                                  .keyless = (data[at] & 4) == 0};
        size_t count = 0, wanted = data[at + 1] % (MOST_FRAMES + 1);
        zs_span frames[MOST_FRAMES];
        memset(part, data[at + 2], sizeof part);
        for (at += 3; count < wanted && size - at >= 2; count++) {
            size_t len = zs_load16(data + at);
            at += 2;
            if (len > size - at) len = size - at;
            frames[count] = (zs_span){data + at, len, ZS_RAW};
            write_again(&frames[count]);
            at += len;
        }
        zs_status status = route_status(&warm, frames, count, flags, part, &policy, first);
        memset(&cold, 0, sizeof cold);
        MUST(route_status(&cold, frames, count, flags, part, &policy, second) == status);
        MUST(memcmp(first, second, sizeof first) == 0);
    }
    return 0;
}
