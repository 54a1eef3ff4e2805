/* avx512_rows.h: ChaCha20's rounds on rows, the same word of sixteen states in one register (floor 1).
 *
 * Rows are GNU vectors and not __m512i, for the sums and rotations of sixteen or thirty-two rows have to stay where
 * they are: with intrinsics gcc 12 finds no place for two states in its thirty-two registers, and a tenth is lost.
 */
#ifndef ZS_AVX512_ROWS_H
#define ZS_AVX512_ROWS_H

#include "avx512.h"

#include <immintrin.h>

ZS_AVX512_BEGIN

typedef uint32_t row __attribute__((vector_size(64)));

enum { SIGMA0 = 0x61707865, SIGMA1 = 0x3320646e, SIGMA2 = 0x79622d32, SIGMA3 = 0x6b206574 };

INLINE row all(uint32_t word) {
    return (row)_mm512_set1_epi32((int)word);
}

INLINE row load_row(const uint32_t words[ZS_LANES16]) {
    return (row)_mm512_load_si512(words);
}

INLINE void store_row(uint32_t words[ZS_LANES16], row x) {
    _mm512_store_si512(words, (__m512i)x);
}

/* RFC 8439 section 2.1, a quarter of a quarter round. */
INLINE void step(row x[16], int a, int b, int d, int n) {
    x[a] += x[b];
    x[d] ^= x[a];
    x[d] = x[d] << n | x[d] >> (32 - n);
}

/* On four columns or diagonals one after the other, so that their chains overlap. */
#define STEP4(x, a0, b0, d0, a1, b1, d1, a2, b2, d2, a3, b3, d3, n) \
    step(x, a0, b0, d0, n), step(x, a1, b1, d1, n), step(x, a2, b2, d2, n), step(x, a3, b3, d3, n)

/* Ten times this makes the twenty rounds of every state that DO is for. */
#define DOUBLE_ROUND(DO)                                         \
    do {                                                         \
        DO(0, 4, 12, 1, 5, 13, 2, 6, 14, 3, 7, 15, 16);          \
        DO(8, 12, 4, 9, 13, 5, 10, 14, 6, 11, 15, 7, 12);        \
        DO(0, 4, 12, 1, 5, 13, 2, 6, 14, 3, 7, 15, 8);           \
        DO(8, 12, 4, 9, 13, 5, 10, 14, 6, 11, 15, 7, 7);         \
        DO(0, 5, 15, 1, 6, 12, 2, 7, 13, 3, 4, 14, 16);          \
        DO(10, 15, 5, 11, 12, 6, 8, 13, 7, 9, 14, 4, 12);        \
        DO(0, 5, 15, 1, 6, 12, 2, 7, 13, 3, 4, 14, 8);           \
        DO(10, 15, 5, 11, 12, 6, 8, 13, 7, 9, 14, 4, 7);         \
    } while (0)

INLINE void rounds(row x[16]) {
#define X(...) STEP4(x, __VA_ARGS__)
#pragma GCC unroll 1
    for (int i = 0; i < 10; i++) DOUBLE_ROUND(X);
}

/* Two states at once fill the waits of one another: on Zen 4 a sixth less than one after the other. */
INLINE void rounds2(row x[16], row y[16]) {
#define XY(...) STEP4(x, __VA_ARGS__), STEP4(y, __VA_ARGS__)
#pragma GCC unroll 1
    for (int i = 0; i < 10; i++) DOUBLE_ROUND(XY);
#undef XY
#undef X
}

/* The state that a pass begins with; it is added again behind the rounds. `counter` may differ by lane. */
INLINE void start(row x[16], const zs_chacha16 *s, row counter) {
    x[0] = all(SIGMA0), x[1] = all(SIGMA1), x[2] = all(SIGMA2), x[3] = all(SIGMA3);
    x[4] = load_row(s->key[0]), x[5] = load_row(s->key[1]), x[6] = load_row(s->key[2]), x[7] = load_row(s->key[3]);
    x[8] = load_row(s->key[4]), x[9] = load_row(s->key[5]), x[10] = load_row(s->key[6]), x[11] = load_row(s->key[7]);
    x[12] = counter, x[13] = all(ZS_NONCE_WORD);
    x[14] = load_row(s->sequence[0]), x[15] = load_row(s->sequence[1]);
}

INLINE void add_start(row x[16], const zs_chacha16 *s, row counter) {
    x[0] += all(SIGMA0), x[1] += all(SIGMA1), x[2] += all(SIGMA2), x[3] += all(SIGMA3);
    x[4] += load_row(s->key[0]), x[5] += load_row(s->key[1]);
    x[6] += load_row(s->key[2]), x[7] += load_row(s->key[3]);
    x[8] += load_row(s->key[4]), x[9] += load_row(s->key[5]);
    x[10] += load_row(s->key[6]), x[11] += load_row(s->key[7]);
    x[12] += counter, x[13] += all(ZS_NONCE_WORD);
    x[14] += load_row(s->sequence[0]), x[15] += load_row(s->sequence[1]);
}

#define PAIRS(name, bits, a, b) ((row)_mm512_unpack##name##_epi##bits((__m512i)(a), (__m512i)(b)))
#define QUARTERS(a, b, which) ((row)_mm512_shuffle_i32x4((__m512i)(a), (__m512i)(b), which))

/* Four rows of words become, in each quarter, four words of lanes 4q, 4q+1, 4q+2, 4q+3. */
INLINE void turn4(row *a, row *b, row *c, row *d) {
    row ab = PAIRS(lo, 32, *a, *b), cd = PAIRS(lo, 32, *c, *d);
    row AB = PAIRS(hi, 32, *a, *b), CD = PAIRS(hi, 32, *c, *d);
    *a = PAIRS(lo, 64, ab, cd), *b = PAIRS(hi, 64, ab, cd);
    *c = PAIRS(lo, 64, AB, CD), *d = PAIRS(hi, 64, AB, CD);
}

/* Quarter q of a, b, c, d are words 0-3, 4-7, 8-11, 12-15 of lane 4q + n; afterwards a is lane n, b lane 4 + n, ... */
INLINE void gather4(row *a, row *b, row *c, row *d) {
    row ab = QUARTERS(*a, *b, 0x44), cd = QUARTERS(*c, *d, 0x44);
    row AB = QUARTERS(*a, *b, 0xEE), CD = QUARTERS(*c, *d, 0xEE);
    *a = QUARTERS(ab, cd, 0x88), *b = QUARTERS(ab, cd, 0xDD);
    *c = QUARTERS(AB, CD, 0x88), *d = QUARTERS(AB, CD, 0xDD);
}

/* Rows of words become blocks, that of lane i in x[i]. */
INLINE void transpose(row x[16]) {
    turn4(&x[0], &x[1], &x[2], &x[3]);
    turn4(&x[4], &x[5], &x[6], &x[7]);
    turn4(&x[8], &x[9], &x[10], &x[11]);
    turn4(&x[12], &x[13], &x[14], &x[15]);
    gather4(&x[0], &x[4], &x[8], &x[12]);
    gather4(&x[1], &x[5], &x[9], &x[13]);
    gather4(&x[2], &x[6], &x[10], &x[14]);
    gather4(&x[3], &x[7], &x[11], &x[15]);
}

#define EACH16(DO) DO(0) DO(1) DO(2) DO(3) DO(4) DO(5) DO(6) DO(7) DO(8) DO(9) DO(10) DO(11) DO(12) DO(13) DO(14) DO(15)

/* Halves of z are two lanes' 32 bytes; see load_keys for which. */
INLINE row halves(const uint8_t *low, const uint8_t *high) {
    __m512i z = _mm512_castsi256_si512(_mm256_loadu_si256((const __m256i *)low));
    return (row)_mm512_inserti64x4(z, _mm256_loadu_si256((const __m256i *)high), 1);
}

/* After turn4, quarters 0 and 2 hold word w of lanes 0-3 and 4-7 (8-11 and 12-15), quarters 1 and 3 word w + 4. */
INLINE void load_keys(uint32_t rows[8][ZS_LANES16], const uint8_t *const k[ZS_LANES16]) {
    row a = halves(k[0], k[4]), b = halves(k[1], k[5]), c = halves(k[2], k[6]), d = halves(k[3], k[7]);
    row e = halves(k[8], k[12]), f = halves(k[9], k[13]), g = halves(k[10], k[14]), h = halves(k[11], k[15]);
    turn4(&a, &b, &c, &d);
    turn4(&e, &f, &g, &h);
    store_row(rows[0], QUARTERS(a, e, 0x88)), store_row(rows[4], QUARTERS(a, e, 0xDD));
    store_row(rows[1], QUARTERS(b, f, 0x88)), store_row(rows[5], QUARTERS(b, f, 0xDD));
    store_row(rows[2], QUARTERS(c, g, 0x88)), store_row(rows[6], QUARTERS(c, g, 0xDD));
    store_row(rows[3], QUARTERS(d, h, 0x88)), store_row(rows[7], QUARTERS(d, h, 0xDD));
}

ZS_AVX512_END

#endif
