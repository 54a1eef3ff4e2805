/* test_ed25519.c: the rule of signatures against the CCTV and Wycheproof vectors, and its bounds one by one. */
#include "../ed25519.h"
#include "common.h"

enum { MAX_MESSAGE = 2048, LEAST_VECTORS = 1000, CCTV_HOLD = 43 };

typedef struct vector {
    const char *name;
    bool holds;
    bool strict; /* CCTV only: both points are canonical and of no low order */
    const char *key, *signature, *message;
} vector;

#include "ed25519.inc"

static zs_sodium sodium;

static void test_published_vectors(void) {
    uint8_t key[ZS_PUBLIC_KEY_BYTES], signature[ZS_SIGNATURE_BYTES], message[MAX_MESSAGE];
    size_t count = sizeof VECTORS / sizeof VECTORS[0], cctv_hold = 0;
    test_begin("published vectors hold where the rule says, and nowhere else");
    for (size_t i = 0; i < count; i++) {
        const vector *v = &VECTORS[i];
        CHECK(test_hex(key, sizeof key, v->key) == sizeof key, "%s: key", v->name);
        CHECK(test_hex(signature, sizeof signature, v->signature) == sizeof signature, "%s: signature", v->name);
        size_t len = test_hex(message, sizeof message, v->message);
        CHECK(zs_ed25519_verify(&sodium, signature, message, len, key) == v->holds, "%s", v->name);
        if (strncmp(v->name, "cctv", 4) == 0) {
            bool strict = zs_ed25519_is_strict_point(key) && zs_ed25519_is_strict_point(signature);
            CHECK(strict == v->strict, "%s: the points", v->name);
            cctv_hold += v->holds;
        }
    }
    CHECK(count > LEAST_VECTORS && cctv_hold == CCTV_HOLD, "%zu vectors, of which %zu hold", count, cctv_hold);
    test_end(count);
}

/* 2^255 - 19 + offset, with the sign of x. */
static void near_order(uint8_t out[32], int offset, bool sign) {
    for (size_t i = 0; i < 32; i++) out[i] = 0xFF;
    out[0] = (uint8_t)(0xED + offset);
    out[31] = sign ? 0xFF : 0x7F;
}

static void test_points_at_the_order_of_the_field(void) {
    uint8_t point[32];
    test_begin("a y at the order of the field and beyond it is not canonical");
    for (int offset = -18; offset <= 18; offset++) {
        near_order(point, offset, false);
        bool positive = zs_ed25519_is_strict_point(point);
        near_order(point, offset, true);
        bool strict = offset < 0 && offset != -1; /* -1 is of order 2 */
        CHECK(positive == strict && zs_ed25519_is_strict_point(point) == strict, "offset %d", offset);
    }
    test_end(74);
}

static void test_every_bit_of_a_signature(void) {
    uint8_t key[ZS_PUBLIC_KEY_BYTES], secret[ZS_SECRET_KEY_BYTES], seed[32] = {7}, message[40];
    uint8_t signature[ZS_SIGNATURE_BYTES];
    int (*keypair)(unsigned char *pk, unsigned char *sk, const unsigned char *seed);
    test_begin("a signature of our own holds, and with any bit flipped does not");
    test_sodium_symbol("crypto_sign_ed25519_seed_keypair", &keypair);
    CHECK(keypair(key, secret, seed) == 0, "a key pair");
    test_fill(message, sizeof message);
    CHECK(sodium.sign(signature, NULL, message, sizeof message, secret) == 0, "signing");
    CHECK(zs_ed25519_verify(&sodium, signature, message, sizeof message, key), "as it was signed");
    for (size_t bit = 0; bit < 8 * sizeof signature; bit++) {
        signature[bit / 8] ^= (uint8_t)(1u << bit % 8);
        CHECK(!zs_ed25519_verify(&sodium, signature, message, sizeof message, key), "bit %zu", bit);
        signature[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    message[0] ^= 1;
    CHECK(!zs_ed25519_verify(&sodium, signature, message, sizeof message, key), "another message");
    test_end(8 * sizeof signature + 2);
}

int main(void) {
    test_seed_all();
    test_load_sodium(&sodium);
    test_published_vectors();
    test_points_at_the_order_of_the_field();
    test_every_bit_of_a_signature();
    return 0;
}
