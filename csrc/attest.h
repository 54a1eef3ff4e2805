/* attest.h: attestations, the frames behind a sealed part that sign it (floor 2); spec, "Attestations".
 *
 * A leaf hashes what one attestation says of one sealed part, a tree joins the leaves of a batch, and its root is
 * signed: one signature for the batch. Nodes of a tree are numbered as in a heap: 1 is the root, 2k and 2k + 1 stand
 * below k, leaf i of a tree of height n is 2^n + i.
 */
#ifndef ZS_ATTEST_H
#define ZS_ATTEST_H

#include "ed25519.h"

enum {
    ZS_MAX_ATTESTATION_BYTES = ZS_ATTESTATION_HEAD_BYTES + ZS_PUBLIC_KEY_BYTES + ZS_HASH_BYTES + ZS_MAX_ROUTING_ID_BYTES +
                               ZS_SIGNATURE_BYTES + ZS_MAX_TREE_HEIGHT * ZS_HASH_BYTES,
    ZS_MAX_LEAVES = 1 << ZS_MAX_TREE_HEIGHT /* sealed parts under one signature */
};

/* An attestation as it stands in its frame. */
typedef struct zs_attestation {
    const uint8_t *frame;
    size_t len;
    uint8_t role, height, position, routing_id_len;
    const uint8_t *key;
    const uint8_t *commitment; /* NULL in a hop's */
    const uint8_t *routing_id;
    const uint8_t *signature;
    const uint8_t *path;
} zs_attestation;

/* Does `frame` look like an attestation? Only its magic is looked at. */
bool zs_attestation_is(const uint8_t *frame, size_t len);

/* Read a frame; false if it is no attestation, to the byte. */
bool zs_attestation_read(zs_attestation *out, const uint8_t *frame, size_t len);

/* The hash of a sealed part, taken once however many attest it. */
void zs_part_digest(const zs_sodium *sodium, uint8_t out[ZS_HASH_BYTES], const uint8_t *sealed, size_t len);

/* The commitment to a suite key that an origin's attestation carries. */
void zs_commitment(const zs_sodium *sodium, uint8_t out[ZS_HASH_BYTES], const uint8_t suite_key[ZS_KEY_BYTES]);

/* The fingerprint of a public key; spec, "Identities". */
void zs_fingerprint(const zs_sodium *sodium, uint8_t out[ZS_FINGERPRINT_BYTES], const uint8_t key[ZS_PUBLIC_KEY_BYTES]);

/* The leaf of an attestation that was read, behind the frame `previous` (of length 0: behind none). */
void zs_attestation_leaf(const zs_sodium *sodium, uint8_t out[ZS_HASH_BYTES], const zs_attestation *attestation,
                         const uint8_t *previous, size_t previous_len, const uint8_t digest[ZS_HASH_BYTES]);

/* The node over two hashes that stand side by side. */
void zs_attestation_node(const zs_sodium *sodium, uint8_t out[ZS_HASH_BYTES], const uint8_t pair[2 * ZS_HASH_BYTES]);

/* Does the signature hold over a tree's root? */
bool zs_attestation_root_holds(const zs_sodium *sodium, const zs_attestation *attestation,
                               const uint8_t root[ZS_HASH_BYTES]);

/* Who signs, and as what. */
typedef struct zs_attester {
    uint8_t role;
    uint8_t key[ZS_PUBLIC_KEY_BYTES];
    uint8_t secret[ZS_SECRET_KEY_BYTES]; /* libsodium's form: seed and public key */
    uint8_t commitment[ZS_HASH_BYTES];       /* the origin's only */
    uint8_t routing_id[ZS_MAX_ROUTING_ID_BYTES];
    uint8_t routing_id_len;
} zs_attester;

/* One sealed part to attest. */
typedef struct zs_attest_job {
    uint8_t digest[ZS_HASH_BYTES];
    const uint8_t *previous; /* the attestation before, NULL: none */
    size_t previous_len;
    uint8_t *out; /* zs_attestation_size bytes */
} zs_attest_job;

/* The size of each frame where `count` sealed parts share a signature. */
size_t zs_attestation_size(const zs_attester *attester, size_t count);

/* Write the frames of 1 to ZS_MAX_LEAVES sealed parts, under one signature. */
void zs_attest_many(const zs_sodium *sodium, const zs_attester *attester, const zs_attest_job *jobs, size_t count);

#endif
