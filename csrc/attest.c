/* attest.c: reads, hashes and writes attestations (floor 2); spec, "Attestations". */
#include "attest.h"

#include "impl.h"

static const uint8_t MAGIC[3] = {0x00, 0x5A, 0x41};
static const uint8_t NO_SALT[16] = {0};
static const uint8_t ROOT_LABEL[11] = {'z', 'm', 'q', 's', 'e', 'c', ' ', 'r', 'o', 'o', 't'};

enum {
    AT_VERSION = 3,
    AT_ROLE = 4,
    AT_HEIGHT = 5,
    AT_ROUTING_ID_LEN = 6,
    AT_POSITION = 7,
    FIXED_BYTES = ZS_ATTESTATION_HEAD_BYTES + ZS_PUBLIC_KEY_BYTES,
    ROOT_MESSAGE_BYTES = sizeof ROOT_LABEL + ZS_HASH_BYTES
};

static void hash(const zs_sodium *sodium, uint8_t out[ZS_HASH_BYTES], const char personal[16], const uint8_t *data,
                 size_t len) {
    sodium->blake2b(out, ZS_HASH_BYTES, data, len, NULL, 0, NO_SALT, (const uint8_t *)personal);
}

bool zs_attestation_is(const uint8_t *frame, size_t len) {
    return len >= sizeof MAGIC && memcmp(frame, MAGIC, sizeof MAGIC) == 0;
}

bool zs_attestation_read(zs_attestation *out, const uint8_t *frame, size_t len) {
    if (len < FIXED_BYTES || !zs_attestation_is(frame, len) || frame[AT_VERSION] != ZS_VERSION) return false;
    uint8_t role = frame[AT_ROLE], height = frame[AT_HEIGHT], routing_id_len = frame[AT_ROUTING_ID_LEN];
    if (role != ZS_BY_ORIGIN && role != ZS_BY_HOP) return false;
    if (height > ZS_MAX_TREE_HEIGHT || frame[AT_POSITION] >> height != 0) return false;
    size_t committed = role == ZS_BY_ORIGIN ? ZS_HASH_BYTES : 0;
    size_t to_signature = FIXED_BYTES + committed + routing_id_len;
    if (len != to_signature + ZS_SIGNATURE_BYTES + (size_t)height * ZS_HASH_BYTES) return false;
    *out = (zs_attestation){.frame = frame, .len = len, .role = role, .height = height, .position = frame[AT_POSITION],
                            .routing_id_len = routing_id_len, .key = frame + ZS_ATTESTATION_HEAD_BYTES,
                            .commitment = committed != 0 ? frame + FIXED_BYTES : NULL,
                            .routing_id = frame + FIXED_BYTES + committed, .signature = frame + to_signature,
                            .path = frame + to_signature + ZS_SIGNATURE_BYTES};
    return true;
}

/* -- hashes -------------------------------------------------------------------------------------------------------- */

void zs_part_digest(const zs_sodium *sodium, uint8_t out[ZS_HASH_BYTES], const uint8_t *sealed, size_t len) {
    hash(sodium, out, "zmqsec part\0\0\0\0", sealed, len);
}

void zs_commitment(const zs_sodium *sodium, uint8_t out[ZS_HASH_BYTES], const uint8_t suite_key[ZS_KEY_BYTES]) {
    sodium->blake2b(out, ZS_HASH_BYTES, NULL, 0, suite_key, ZS_KEY_BYTES, NO_SALT,
                    (const uint8_t *)"zmqsec.commit\0\0");
}

void zs_fingerprint(const zs_sodium *sodium, uint8_t out[ZS_FINGERPRINT_BYTES],
                    const uint8_t key[ZS_PUBLIC_KEY_BYTES]) {
    hash(sodium, out, "zmqsec.identity\0", key, ZS_PUBLIC_KEY_BYTES);
}

void zs_attestation_node(const zs_sodium *sodium, uint8_t out[ZS_HASH_BYTES], const uint8_t pair[2 * ZS_HASH_BYTES]) {
    hash(sodium, out, "zmqsec node\0\0\0\0", pair, 2 * ZS_HASH_BYTES);
}

/* `own` is the frame up to and with the routing id, height and position being 0. */
static void leaf_of(const zs_sodium *sodium, uint8_t out[ZS_HASH_BYTES], const uint8_t *own, size_t own_len,
                    const uint8_t *previous, size_t previous_len, const uint8_t digest[ZS_HASH_BYTES]) {
    uint8_t data[2 * ZS_MAX_ATTESTATION_BYTES + ZS_HASH_BYTES];
    memcpy(data, own, own_len);
    data[AT_HEIGHT] = data[AT_POSITION] = 0;
    if (previous_len != 0) memcpy(data + own_len, previous, previous_len);
    memcpy(data + own_len + previous_len, digest, ZS_HASH_BYTES);
    hash(sodium, out, "zmqsec leaf\0\0\0\0", data, own_len + previous_len + ZS_HASH_BYTES);
}

void zs_attestation_leaf(const zs_sodium *sodium, uint8_t out[ZS_HASH_BYTES], const zs_attestation *attestation,
                         const uint8_t *previous, size_t previous_len, const uint8_t digest[ZS_HASH_BYTES]) {
    leaf_of(sodium, out, attestation->frame, (size_t)(attestation->signature - attestation->frame), previous,
            previous_len, digest);
}

static void root_message(uint8_t out[ROOT_MESSAGE_BYTES], const uint8_t root[ZS_HASH_BYTES]) {
    memcpy(out, ROOT_LABEL, sizeof ROOT_LABEL);
    memcpy(out + sizeof ROOT_LABEL, root, ZS_HASH_BYTES);
}

bool zs_attestation_root_holds(const zs_sodium *sodium, const zs_attestation *attestation,
                               const uint8_t root[ZS_HASH_BYTES]) {
    uint8_t message[ROOT_MESSAGE_BYTES];
    root_message(message, root);
    return zs_ed25519_verify(sodium, attestation->signature, message, sizeof message, attestation->key);
}

/* -- signing ------------------------------------------------------------------------------------------------------- */

static size_t height_of(size_t count) {
    size_t height = 0;
    while ((size_t)1 << height < count) height++;
    return height;
}

static size_t own_size(const zs_attester *attester) {
    return (size_t)FIXED_BYTES + (attester->role == ZS_BY_ORIGIN ? ZS_HASH_BYTES : 0) + attester->routing_id_len;
}

size_t zs_attestation_size(const zs_attester *attester, size_t count) {
    return own_size(attester) + ZS_SIGNATURE_BYTES + height_of(count) * ZS_HASH_BYTES;
}

static void write_own(uint8_t *out, const zs_attester *attester) {
    memcpy(out, MAGIC, sizeof MAGIC);
    out[AT_VERSION] = ZS_VERSION;
    out[AT_ROLE] = attester->role;
    out[AT_HEIGHT] = out[AT_POSITION] = 0;
    out[AT_ROUTING_ID_LEN] = attester->routing_id_len;
    memcpy(out + ZS_ATTESTATION_HEAD_BYTES, attester->key, ZS_PUBLIC_KEY_BYTES);
    out += FIXED_BYTES;
    if (attester->role == ZS_BY_ORIGIN) {
        memcpy(out, attester->commitment, ZS_HASH_BYTES);
        out += ZS_HASH_BYTES;
    }
    memcpy(out, attester->routing_id, attester->routing_id_len);
}

void zs_attest_many(const zs_sodium *sodium, const zs_attester *attester, const zs_attest_job *jobs, size_t count) {
    uint8_t nodes[2 * ZS_MAX_LEAVES][ZS_HASH_BYTES], own[ZS_MAX_ATTESTATION_BYTES];
    uint8_t message[ROOT_MESSAGE_BYTES], signature[ZS_SIGNATURE_BYTES];
    size_t own_len = own_size(attester), height = height_of(count), leaves = (size_t)1 << height;
    write_own(own, attester);
    for (size_t i = 0; i < count; i++) {
        leaf_of(sodium, nodes[leaves + i], own, own_len, jobs[i].previous, jobs[i].previous_len, jobs[i].digest);
    }
    memset(nodes[leaves + count], 0, (leaves - count) * ZS_HASH_BYTES);
    for (size_t k = leaves - 1; k > 0; k--) zs_attestation_node(sodium, nodes[k], nodes[2 * k]);
    root_message(message, nodes[1]);
    sodium->sign(signature, NULL, message, sizeof message, attester->secret);
    for (size_t i = 0; i < count; i++) {
        uint8_t *out = jobs[i].out;
        memcpy(out, own, own_len);
        out[AT_HEIGHT] = (uint8_t)height;
        out[AT_POSITION] = (uint8_t)i;
        memcpy(out + own_len, signature, ZS_SIGNATURE_BYTES);
        out += own_len + ZS_SIGNATURE_BYTES;
        for (size_t k = leaves + i; k > 1; k /= 2, out += ZS_HASH_BYTES) memcpy(out, nodes[k ^ 1], ZS_HASH_BYTES);
    }
}
