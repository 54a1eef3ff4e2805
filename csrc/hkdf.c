/* hkdf.c: HKDF as Noise defines it, over HMAC-BLAKE2b (floor 2); RFC 2104, and Noise, section 4.3. */
#include "hkdf.h"

#include "impl.h"

enum { BLOCK_BYTES = 128 };

/* The states of HMAC after its padded key, inner and outer: a key is padded once for all that it authenticates. */
typedef struct hmac_key {
    zs_hash_state inner, outer;
} hmac_key;

static void begin(const zs_sodium *sodium, zs_hash_state *state, const uint8_t key[ZS_HKDF_HASH_BYTES], uint8_t pad) {
    uint8_t block[BLOCK_BYTES];
    memset(block, pad, sizeof block);
    for (size_t i = 0; i < ZS_HKDF_HASH_BYTES; i++) block[i] = (uint8_t)(key[i] ^ pad);
    sodium->blake2b_init(state, NULL, 0, ZS_HKDF_HASH_BYTES, NULL, NULL);
    sodium->blake2b_update(state, block, sizeof block);
    zs_wipe(block, sizeof block);
}

static void make_key(const zs_sodium *sodium, hmac_key *made, const uint8_t key[ZS_HKDF_HASH_BYTES]) {
    begin(sodium, &made->inner, key, 0x36);
    begin(sodium, &made->outer, key, 0x5C);
}

/* HMAC of first || second. */
static void hmac(const zs_sodium *sodium, uint8_t out[ZS_HKDF_HASH_BYTES], const hmac_key *key, const uint8_t *first,
                 size_t first_len, const uint8_t *second, size_t second_len) {
    zs_hash_state state = key->inner;
    sodium->blake2b_update(&state, first, first_len);
    sodium->blake2b_update(&state, second, second_len);
    sodium->blake2b_final(&state, out, ZS_HKDF_HASH_BYTES);
    state = key->outer;
    sodium->blake2b_update(&state, out, ZS_HKDF_HASH_BYTES);
    sodium->blake2b_final(&state, out, ZS_HKDF_HASH_BYTES);
    zs_wipe(&state, sizeof state);
}

void zs_hkdf(const zs_sodium *sodium, uint8_t out[ZS_HKDF_MAX_BYTES], size_t count,
             const uint8_t chaining_key[ZS_HKDF_HASH_BYTES], const uint8_t *material, size_t len) {
    hmac_key key;
    uint8_t temp_key[ZS_HKDF_HASH_BYTES];
    make_key(sodium, &key, chaining_key);
    hmac(sodium, temp_key, &key, material, len, NULL, 0);
    make_key(sodium, &key, temp_key);
    for (size_t i = 0; i < count; i++) {
        uint8_t number = (uint8_t)(i + 1);
        const uint8_t *before = i == 0 ? NULL : out + (i - 1) * ZS_HKDF_HASH_BYTES;
        hmac(sodium, out + i * ZS_HKDF_HASH_BYTES, &key, before, before == NULL ? 0 : ZS_HKDF_HASH_BYTES, &number, 1);
    }
    zs_wipe(temp_key, sizeof temp_key);
    zs_wipe(&key, sizeof key);
}
