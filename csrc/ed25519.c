/* ed25519.c: the strict rule in front of libsodium, whose versions check more or less of it (floor 2).
 *
 * All that is compared here is public, so nothing needs to run in constant time.
 */
#include "ed25519.h"

#include "impl.h"

/* A number of 256 bits, its low limb first. */
typedef struct number {
    uint64_t limb[4];
} number;

enum { LIMBS = 4 };

/* 2^255 - 19, the order of the field, and L, the order of the base point. */
static const number FIELD_ORDER = {
    {UINT64_C(0xFFFFFFFFFFFFFFED), UINT64_MAX, UINT64_MAX, UINT64_C(0x7FFFFFFFFFFFFFFF)},
};
static const number GROUP_ORDER = {
    {UINT64_C(0x5812631A5CF5D3ED), UINT64_C(0x14DEF9DEA2F79CD6), 0, UINT64_C(0x1000000000000000)},
};

/* y of the points whose order divides 8, which have either sign of x: of order 4, 1, 2, and of order 8. */
static const number SMALL_ORDER_Y[] = {
    {{0, 0, 0, 0}},
    {{1, 0, 0, 0}},
    {{UINT64_C(0xFFFFFFFFFFFFFFEC), UINT64_MAX, UINT64_MAX, UINT64_C(0x7FFFFFFFFFFFFFFF)}},
    {{UINT64_C(0xB027B2C28F95E826), UINT64_C(0xF098EFF289F4C345), UINT64_C(0x3933C6D305ACDFD5),
      UINT64_C(0x05FC536D880238B1)}},
    {{UINT64_C(0x4FD84D3D706A17C7), UINT64_C(0x0F67100D760B3CBA), UINT64_C(0xC6CC392CFA53202A),
      UINT64_C(0x7A03AC9277FDC74E)}},
};

static number load(const uint8_t bytes[32]) {
    number n;
    for (size_t i = 0; i < LIMBS; i++) n.limb[i] = zs_load64(bytes + 8 * i);
    return n;
}

static bool is_below(const number *a, const number *b) {
    for (size_t i = LIMBS; i-- > 0;) {
        if (a->limb[i] != b->limb[i]) return a->limb[i] < b->limb[i];
    }
    return false;
}

bool zs_ed25519_is_strict_point(const uint8_t point[ZS_PUBLIC_KEY_BYTES]) {
    number y = load(point);
    y.limb[LIMBS - 1] &= UINT64_MAX >> 1; /* the sign of x */
    if (!is_below(&y, &FIELD_ORDER)) return false;
    for (size_t i = 0; i < sizeof SMALL_ORDER_Y / sizeof SMALL_ORDER_Y[0]; i++) {
        if (memcmp(&y, &SMALL_ORDER_Y[i], sizeof y) == 0) return false;
    }
    return true;
}

bool zs_ed25519_verify(const zs_sodium *sodium, const uint8_t signature[ZS_SIGNATURE_BYTES], const uint8_t *message,
                       size_t len, const uint8_t key[ZS_PUBLIC_KEY_BYTES]) {
    const number s = load(signature + ZS_PUBLIC_KEY_BYTES);
    return is_below(&s, &GROUP_ORDER) && zs_ed25519_is_strict_point(signature) && zs_ed25519_is_strict_point(key) &&
           sodium->verify(signature, message, len, key) == 0;
}
