/* trees.h: verifies attestations, and remembers trees whose signature has held (floor 3); spec, "Attestations".
 *
 * Of a remembered tree each further leaf costs its own hash and those up to the first node that is known. What is
 * accepted does not depend on what is remembered: a path or a node that is not the known one is refused.
 */
#ifndef ZS_TREES_H
#define ZS_TREES_H

#include "attest.h"

enum {
    ZS_TREE_SLOTS = 64,   /* trees remembered, by their signature */
    ZS_TREE_NODES = 8192, /* of all of them together, a ring */
    ZS_MAX_NODES = 2 * ZS_MAX_LEAVES /* of one tree, numbered from 1 */
};

typedef struct zs_tree {
    uint8_t key[ZS_PUBLIC_KEY_BYTES];
    uint8_t signature[ZS_SIGNATURE_BYTES];
    uint8_t fingerprint[ZS_FINGERPRINT_BYTES]; /* of the key */
    uint8_t height;
    bool used;
    uint64_t begin; /* its first place in the ring, which counts on */
    uint64_t known[ZS_MAX_NODES / 64]; /* a bit for each node; with a node its sibling and all above are known */
} zs_tree;

typedef struct zs_trees {
    zs_tree slots[ZS_TREE_SLOTS];
    uint8_t nodes[ZS_TREE_NODES][ZS_HASH_BYTES];
    uint64_t end; /* of the ring */
} zs_trees;

/* Does the signature hold for the part with this digest, behind the attestation frame `previous` (of length 0: none)?
 * Then `fingerprint` is the key's. `trees` is zeros in the beginning. */
bool zs_trees_hold(zs_trees *trees, const zs_sodium *sodium, const zs_attestation *attestation,
                   const uint8_t *previous, size_t previous_len, const uint8_t digest[ZS_HASH_BYTES],
                   uint8_t fingerprint[ZS_FINGERPRINT_BYTES]);

#endif
