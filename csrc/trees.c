/* trees.c: climbs from a leaf to a node that is known, or to the root and its signature (floor 3). */
#include "trees.h"

#include "impl.h"

/* The nodes met on the way from one leaf upwards, and their siblings. */
typedef struct climb {
    uint8_t pair[ZS_MAX_TREE_HEIGHT][2 * ZS_HASH_BYTES]; /* by level, left and right */
    uint8_t top[ZS_HASH_BYTES];
    size_t levels;   /* that were climbed by hashing */
    size_t position; /* of the top, as in a heap */
} climb;

static uint8_t *node_at(zs_trees *trees, const zs_tree *tree, size_t position) {
    return trees->nodes[(tree->begin + position) % ZS_TREE_NODES];
}

static bool is_known(const zs_tree *tree, size_t position) {
    return (tree->known[position / 64] >> position % 64 & 1) != 0;
}

static void learn(zs_trees *trees, zs_tree *tree, size_t position, const uint8_t hash[ZS_HASH_BYTES]) {
    memcpy(node_at(trees, tree, position), hash, ZS_HASH_BYTES);
    tree->known[position / 64] |= UINT64_C(1) << position % 64;
}

static zs_tree *slot_of(zs_trees *trees, const zs_attestation *attestation) {
    return &trees->slots[attestation->signature[0] % ZS_TREE_SLOTS];
}

/* The tree as it is remembered, or NULL: it never was, or the ring has come round to its nodes. */
static zs_tree *find(zs_trees *trees, const zs_attestation *attestation) {
    zs_tree *tree = slot_of(trees, attestation);
    bool same = tree->used && tree->height == attestation->height && trees->end - tree->begin <= ZS_TREE_NODES &&
                memcmp(tree->signature, attestation->signature, ZS_SIGNATURE_BYTES) == 0 &&
                memcmp(tree->key, attestation->key, ZS_PUBLIC_KEY_BYTES) == 0;
    return same ? tree : NULL;
}

/* Its nodes are a power of two, and so is the ring: beginning at a multiple of their number they never straddle it. */
static zs_tree *remember(zs_trees *trees, const zs_attestation *attestation, const uint8_t fingerprint[ZS_FINGERPRINT_BYTES]) {
    zs_tree *tree = slot_of(trees, attestation);
    uint64_t count = UINT64_C(2) << attestation->height;
    memset(tree, 0, sizeof *tree);
    memcpy(tree->key, attestation->key, ZS_PUBLIC_KEY_BYTES);
    memcpy(tree->signature, attestation->signature, ZS_SIGNATURE_BYTES);
    memcpy(tree->fingerprint, fingerprint, ZS_FINGERPRINT_BYTES);
    tree->height = attestation->height;
    tree->used = true;
    tree->begin = (trees->end + count - 1) & ~(count - 1);
    trees->end = tree->begin + count;
    return tree;
}

/* From the leaf in `way->top` up to the first node that `tree` knows, or to the root. */
static void go_up(climb *way, const zs_sodium *sodium, const zs_attestation *attestation, const zs_tree *tree) {
    way->levels = 0;
    way->position = ((size_t)1 << attestation->height) + attestation->position;
    while (way->position > 1 && (tree == NULL || !is_known(tree, way->position))) {
        uint8_t *pair = way->pair[way->levels];
        size_t right = way->position & 1;
        memcpy(pair + right * ZS_HASH_BYTES, way->top, ZS_HASH_BYTES);
        memcpy(pair + (1 - right) * ZS_HASH_BYTES, attestation->path + way->levels * ZS_HASH_BYTES, ZS_HASH_BYTES);
        zs_attestation_node(sodium, way->top, pair);
        way->position /= 2;
        way->levels++;
    }
}

/* Is the node that was reached the known one, and is the path above it? */
static bool agrees(zs_trees *trees, const zs_tree *tree, const zs_attestation *attestation, const climb *way) {
    size_t level = way->levels;
    if (memcmp(node_at(trees, tree, way->position), way->top, ZS_HASH_BYTES) != 0) return false;
    for (size_t k = way->position; k > 1; k /= 2, level++) {
        const uint8_t *beside = attestation->path + level * ZS_HASH_BYTES;
        if (memcmp(node_at(trees, tree, k ^ 1), beside, ZS_HASH_BYTES) != 0) return false;
    }
    return true;
}

static void learn_all(zs_trees *trees, zs_tree *tree, const zs_attestation *attestation, const climb *way) {
    size_t position = ((size_t)1 << attestation->height) + attestation->position;
    for (size_t level = 0; level < way->levels; level++, position /= 2) {
        size_t left = position & ~(size_t)1;
        learn(trees, tree, left, way->pair[level]);
        learn(trees, tree, left + 1, way->pair[level] + ZS_HASH_BYTES);
    }
    learn(trees, tree, position, way->top);
}

bool zs_trees_hold(zs_trees *trees, const zs_sodium *sodium, const zs_attestation *attestation,
                   const uint8_t *previous, size_t previous_len, const uint8_t digest[ZS_HASH_BYTES],
                   uint8_t fingerprint[ZS_FINGERPRINT_BYTES]) {
    climb way;
    zs_tree *tree = find(trees, attestation);
    zs_attestation_leaf(sodium, way.top, attestation, previous, previous_len, digest);
    go_up(&way, sodium, attestation, tree);
    if (tree != NULL) {
        if (!agrees(trees, tree, attestation, &way)) return false;
        memcpy(fingerprint, tree->fingerprint, ZS_FINGERPRINT_BYTES);
    } else {
        if (!zs_attestation_root_holds(sodium, attestation, way.top)) return false;
        zs_fingerprint(sodium, fingerprint, attestation->key);
        tree = remember(trees, attestation, fingerprint);
    }
    learn_all(trees, tree, attestation, &way);
    return true;
}
