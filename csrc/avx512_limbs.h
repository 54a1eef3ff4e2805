/* avx512_limbs.h: arithmetic mod 2^130 - 5 in eight lanes, radix 2^44 with IFMA (floor 1); for the Poly1305 files.
 *
 * Bounds: limbs of h and of powers of r are below 2^44 + 2^11 (the top one below 2^43), a limb of h plus a limb of
 * the message below 2^45.1, r times 20 below 2^48.4. Up to four products a limb are summed before a carry:
 * the low halves stay below 12 * 2^52, the high ones below 12 * 2^41.5, so nothing wraps in 64 bits.
 */
#ifndef ZS_AVX512_LIMBS_H
#define ZS_AVX512_LIMBS_H

#include "avx512.h"

#include <immintrin.h>

ZS_AVX512_BEGIN

#define INLINE static inline __attribute__((always_inline))

typedef __m512i v8;

typedef struct limbs {
    v8 l0, l1, l2;
} limbs;

/* A multiplier with the limbs that wrap round 2^130 also times 20 (2^132 = 4 * 2^130). */
typedef struct multiplier {
    v8 r0, r1, r2, s1, s2;
} multiplier;

typedef struct sums {
    v8 low0, low1, low2, high0, high1, high2;
} sums;

#define MASK44 _mm512_set1_epi64((INT64_C(1) << 44) - 1)
#define MASK42 _mm512_set1_epi64((INT64_C(1) << 42) - 1)
#define BIT128 _mm512_set1_epi64(INT64_C(1) << 40)
#define ADD(a, b) _mm512_add_epi64(a, b)
#define AND(a, b) _mm512_and_si512(a, b)
#define SHR(a, n) _mm512_srli_epi64(a, n)
#define SHL(a, n) _mm512_slli_epi64(a, n)
#define LOW(s, a, b) _mm512_madd52lo_epu64(s, a, b)
#define HIGH(s, a, b) _mm512_madd52hi_epu64(s, a, b)

INLINE v8 lanes(const uint64_t *row) {
    return _mm512_load_si512(row);
}

INLINE sums no_sums(void) {
    v8 zero = _mm512_setzero_si512();
    return (sums){zero, zero, zero, zero, zero, zero};
}

INLINE sums multiply_add(sums s, limbs x, multiplier m) {
    s.low0 = LOW(s.low0, x.l0, m.r0), s.high0 = HIGH(s.high0, x.l0, m.r0);
    s.low1 = LOW(s.low1, x.l0, m.r1), s.high1 = HIGH(s.high1, x.l0, m.r1);
    s.low2 = LOW(s.low2, x.l0, m.r2), s.high2 = HIGH(s.high2, x.l0, m.r2);
    s.low0 = LOW(s.low0, x.l1, m.s2), s.high0 = HIGH(s.high0, x.l1, m.s2);
    s.low1 = LOW(s.low1, x.l1, m.r0), s.high1 = HIGH(s.high1, x.l1, m.r0);
    s.low2 = LOW(s.low2, x.l1, m.r1), s.high2 = HIGH(s.high2, x.l1, m.r1);
    s.low0 = LOW(s.low0, x.l2, m.s1), s.high0 = HIGH(s.high0, x.l2, m.s1);
    s.low1 = LOW(s.low1, x.l2, m.s2), s.high1 = HIGH(s.high1, x.l2, m.s2);
    s.low2 = LOW(s.low2, x.l2, m.r0), s.high2 = HIGH(s.high2, x.l2, m.r0);
    return s;
}

/* A high half weighs 2^52 more than its low half: 2^8 in the next limb; 2^10 over 2^130 in the last. */
INLINE limbs carry(sums s) {
    limbs h;
    h.l0 = AND(s.low0, MASK44);
    s.low1 = ADD(s.low1, ADD(SHL(s.high0, 8), SHR(s.low0, 44)));
    h.l1 = AND(s.low1, MASK44);
    s.low2 = ADD(s.low2, ADD(SHL(s.high1, 8), SHR(s.low1, 44)));
    h.l2 = AND(s.low2, MASK42);
    v8 over = ADD(SHL(s.high2, 10), SHR(s.low2, 42));
    h.l0 = ADD(h.l0, ADD(over, SHL(over, 2)));
    h.l1 = ADD(h.l1, SHR(h.l0, 44));
    h.l0 = AND(h.l0, MASK44);
    return h;
}

INLINE limbs cut(v8 low, v8 high) {
    return (limbs){AND(low, MASK44), AND(_mm512_shrdi_epi64(low, high, 44), MASK44), SHR(high, 24)};
}

INLINE limbs block(v8 low, v8 high) {
    limbs m = cut(low, high);
    m.l2 = _mm512_or_si512(m.l2, BIT128);
    return m;
}

INLINE limbs add(limbs a, limbs b) {
    return (limbs){ADD(a.l0, b.l0), ADD(a.l1, b.l1), ADD(a.l2, b.l2)};
}

INLINE limbs choose(__mmask8 mask, limbs old, limbs new) {
    return (limbs){_mm512_mask_mov_epi64(old.l0, mask, new.l0), _mm512_mask_mov_epi64(old.l1, mask, new.l1),
                   _mm512_mask_mov_epi64(old.l2, mask, new.l2)};
}

INLINE multiplier multiplier_of(limbs r) {
    return (multiplier){r.l0, r.l1, r.l2, ADD(SHL(r.l1, 4), SHL(r.l1, 2)), ADD(SHL(r.l2, 4), SHL(r.l2, 2))};
}

INLINE multiplier load_multiplier(uint64_t row[5][8]) {
    return (multiplier){lanes(row[0]), lanes(row[1]), lanes(row[2]), lanes(row[3]), lanes(row[4])};
}

INLINE void store_multiplier(uint64_t row[5][8], multiplier m) {
    _mm512_store_si512(row[0], m.r0), _mm512_store_si512(row[1], m.r1), _mm512_store_si512(row[2], m.r2);
    _mm512_store_si512(row[3], m.s1), _mm512_store_si512(row[4], m.s2);
}

ZS_AVX512_END

#endif
