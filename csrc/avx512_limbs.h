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

typedef uint64_t v8 __attribute__((vector_size(64))); /* no __m512i: see avx512_rows.h */

/* Without this at the head of a loop the compiler takes all powers of r into registers that it does not have. */
#define KEEP_IN_MEMORY __asm__ volatile("" : : : "memory")

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

#define MASK44 ((UINT64_C(1) << 44) - 1)
#define MASK42 ((UINT64_C(1) << 42) - 1)
#define BIT128 (UINT64_C(1) << 40)
#define RAW(x) ((__m512i)(x))
#define LOW(s, a, b) ((v8)_mm512_madd52lo_epu64(RAW(s), RAW(a), RAW(b)))
#define HIGH(s, a, b) ((v8)_mm512_madd52hi_epu64(RAW(s), RAW(a), RAW(b)))

INLINE v8 lanes(const uint64_t *row) {
    return (v8)_mm512_load_si512(row);
}

INLINE sums no_sums(void) {
    v8 zero = {0};
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
    h.l0 = s.low0 & MASK44;
    s.low1 += (s.high0 << 8) + (s.low0 >> 44);
    h.l1 = s.low1 & MASK44;
    s.low2 += (s.high1 << 8) + (s.low1 >> 44);
    h.l2 = s.low2 & MASK42;
    v8 over = (s.high2 << 10) + (s.low2 >> 42);
    h.l0 += over + (over << 2);
    h.l1 += h.l0 >> 44;
    h.l0 &= MASK44;
    return h;
}

INLINE limbs cut(v8 low, v8 high) {
    return (limbs){low & MASK44, (v8)_mm512_shrdi_epi64(RAW(low), RAW(high), 44) & MASK44, high >> 24};
}

INLINE limbs block(v8 low, v8 high) {
    limbs m = cut(low, high);
    m.l2 |= BIT128;
    return m;
}

INLINE limbs add(limbs a, limbs b) {
    return (limbs){a.l0 + b.l0, a.l1 + b.l1, a.l2 + b.l2};
}

#define CHOOSE(mask, old, new) ((v8)_mm512_mask_mov_epi64(RAW(old), mask, RAW(new)))

INLINE limbs choose(__mmask8 mask, limbs old, limbs new) {
    return (limbs){CHOOSE(mask, old.l0, new.l0), CHOOSE(mask, old.l1, new.l1), CHOOSE(mask, old.l2, new.l2)};
}

INLINE multiplier multiplier_of(limbs r) {
    return (multiplier){r.l0, r.l1, r.l2, (r.l1 << 4) + (r.l1 << 2), (r.l2 << 4) + (r.l2 << 2)};
}

INLINE multiplier load_multiplier(uint64_t row[5][8]) {
    return (multiplier){lanes(row[0]), lanes(row[1]), lanes(row[2]), lanes(row[3]), lanes(row[4])};
}

INLINE void store_multiplier(uint64_t row[5][8], multiplier m) {
    _mm512_store_si512(row[0], RAW(m.r0)), _mm512_store_si512(row[1], RAW(m.r1)), _mm512_store_si512(row[2], RAW(m.r2));
    _mm512_store_si512(row[3], RAW(m.s1)), _mm512_store_si512(row[4], RAW(m.s2));
}

ZS_AVX512_END

#endif
