/* poly1305_avx512.c: Poly1305 of sixteen messages, two sets of eight lanes, radix 2^44 with IFMA (floor 1).
 * Bounds and the arithmetic itself stand in avx512_limbs.h.
 */
#include "avx512.h"

#ifdef ZS_HAVE_X86_KERNELS

#include "avx512_limbs.h"
#include "impl.h"

ZS_AVX512_BEGIN

/* 64 bytes of eight messages as four blocks, each a low and a high half in lane order. */
typedef struct blocks {
    v8 low[4], high[4];
} blocks;

/* `set` is 0 or 8. */
INLINE multiplier power_of(const zs_poly16_power *p, size_t set) {
    return (multiplier){lanes(p->r0 + set), lanes(p->r1 + set), lanes(p->r2 + set), lanes(p->s1 + set),
                        lanes(p->s2 + set)};
}

INLINE limbs load_h(const zs_poly16 *p, size_t set) {
    return (limbs){lanes(p->h[0] + set), lanes(p->h[1] + set), lanes(p->h[2] + set)};
}

INLINE void store_h(zs_poly16 *p, size_t set, limbs h) {
    _mm512_store_si512(p->h[0] + set, RAW(h.l0));
    _mm512_store_si512(p->h[1] + set, RAW(h.l1));
    _mm512_store_si512(p->h[2] + set, RAW(h.l2));
}

INLINE void store_power(zs_poly16_power *p, size_t set, limbs r) {
    multiplier m = multiplier_of(r);
    _mm512_store_si512(p->r0 + set, RAW(m.r0));
    _mm512_store_si512(p->r1 + set, RAW(m.r1));
    _mm512_store_si512(p->r2 + set, RAW(m.r2));
    _mm512_store_si512(p->s1 + set, RAW(m.s1));
    _mm512_store_si512(p->s2 + set, RAW(m.s2));
}

/* Two rows of 32-bit words become one row of 64-bit words. */
INLINE v8 join(const uint32_t low[ZS_LANES16], const uint32_t high[ZS_LANES16], size_t set) {
    v8 a = (v8)_mm512_cvtepu32_epi64(_mm256_load_si256((const __m256i *)(low + set)));
    v8 b = (v8)_mm512_cvtepu32_epi64(_mm256_load_si256((const __m256i *)(high + set)));
    return a | b << 32;
}

/* r is clamped as in RFC 8439 section 2.5. */
void zs_poly16_init(zs_poly16 *p, uint32_t rows[8][ZS_LANES16]) {
    v8 zero = {0};
    for (size_t set = 0; set < ZS_LANES16; set += 8) {
        v8 low = join(rows[0], rows[1], set) & UINT64_C(0x0FFFFFFC0FFFFFFF);
        v8 high = join(rows[2], rows[3], set) & UINT64_C(0x0FFFFFFC0FFFFFFC);
        store_power(&p->power[0], set, cut(low, high));
        store_h(p, set, (limbs){zero, zero, zero});
        _mm512_store_si512(p->pad[0] + set, RAW(join(rows[4], rows[5], set)));
        _mm512_store_si512(p->pad[1] + set, RAW(join(rows[6], rows[7], set)));
    }
}

/* Two sets go side by side everywhere, for the chain of one multiplication waits longer than it works. */
void zs_poly16_raise(zs_poly16 *p) {
    multiplier r = power_of(&p->power[0], 0), q = power_of(&p->power[0], 8);
    limbs r2 = carry(multiply_add(no_sums(), (limbs){r.r0, r.r1, r.r2}, r));
    limbs q2 = carry(multiply_add(no_sums(), (limbs){q.r0, q.r1, q.r2}, q));
    store_power(&p->power[1], 0, r2), store_power(&p->power[1], 8, q2);
    limbs r3 = carry(multiply_add(no_sums(), r2, r)), q3 = carry(multiply_add(no_sums(), q2, q));
    store_power(&p->power[2], 0, r3), store_power(&p->power[2], 8, q3);
    limbs r4 = carry(multiply_add(no_sums(), r2, multiplier_of(r2)));
    limbs q4 = carry(multiply_add(no_sums(), q2, multiplier_of(q2)));
    store_power(&p->power[3], 0, r4), store_power(&p->power[3], 8, q4);
}

/* Rows of 64 bytes of eight messages to halves of blocks: an 8 by 8 transposition of 64-bit words. */
INLINE blocks columns(__m512i a, __m512i b, __m512i c, __m512i d, __m512i e, __m512i f, __m512i g, __m512i h) {
    blocks m;
#define QUARTERS(x, y, which) ((v8)_mm512_shuffle_i64x2(RAW(x), RAW(y), which))
#define SIDE(side, unpack)                                                                                      \
    do {                                                                                                        \
        v8 ab = (v8)unpack(a, b), cd = (v8)unpack(c, d), ef = (v8)unpack(e, f), gh = (v8)unpack(g, h);          \
        v8 even0 = QUARTERS(ab, cd, 0x88), odd0 = QUARTERS(ab, cd, 0xDD);                                       \
        v8 even1 = QUARTERS(ef, gh, 0x88), odd1 = QUARTERS(ef, gh, 0xDD);                                       \
        m.side[0] = QUARTERS(even0, even1, 0x88), m.side[2] = QUARTERS(even0, even1, 0xDD);                     \
        m.side[1] = QUARTERS(odd0, odd1, 0x88), m.side[3] = QUARTERS(odd0, odd1, 0xDD);                         \
    } while (0)
    SIDE(low, _mm512_unpacklo_epi64);
    SIDE(high, _mm512_unpackhi_epi64);
#undef SIDE
#undef QUARTERS
    return m;
}

/* `columns` puts messages in the order 0 1, 4 5, 2 3, 6 7 unless they are given so that it comes out 0 to 7:
 * a quarter of `unpack` holds two neighbours, and both shuffles keep a, b before c, d. */
INLINE blocks load_chunk(const uint8_t *const *in, size_t at) {
#define ROW(i) _mm512_loadu_si512(in[i] + at)
    return columns(ROW(0), ROW(1), ROW(2), ROW(3), ROW(4), ROW(5), ROW(6), ROW(7));
#undef ROW
}

INLINE limbs horner(limbs h, const blocks *m, size_t i, const zs_poly16_power *r, size_t set) {
    return carry(multiply_add(no_sums(), add(h, block(m->low[i], m->high[i])), power_of(r, set)));
}

/* ((h + m0) r^4 + m1 r^3 + m2 r^2 + m3 r with a single carry. */
INLINE limbs raised4(limbs h, const blocks *m, const zs_poly16_power *power, size_t set) {
    sums s = multiply_add(no_sums(), block(m->low[3], m->high[3]), power_of(&power[0], set));
    s = multiply_add(s, block(m->low[2], m->high[2]), power_of(&power[1], set));
    s = multiply_add(s, block(m->low[1], m->high[1]), power_of(&power[2], set));
    return carry(multiply_add(s, add(h, block(m->low[0], m->high[0])), power_of(&power[3], set)));
}

void zs_poly16_chunks(zs_poly16 *p, const uint8_t *const in[ZS_LANES16], size_t from, size_t to, bool raised) {
    limbs h = load_h(p, 0), g = load_h(p, 8);
    for (size_t at = from * 64; raised && at < to * 64; at += 64) {
        KEEP_IN_MEMORY;
        blocks m = load_chunk(in, at), n = load_chunk(in + 8, at);
        h = raised4(h, &m, p->power, 0);
        g = raised4(g, &n, p->power, 8);
    }
    for (size_t at = from * 64; !raised && at < to * 64; at += 64) {
        KEEP_IN_MEMORY;
        blocks m = load_chunk(in, at), n = load_chunk(in + 8, at);
        h = horner(h, &m, 0, p->power, 0), g = horner(g, &n, 0, p->power, 8);
        h = horner(h, &m, 1, p->power, 0), g = horner(g, &n, 1, p->power, 8);
        h = horner(h, &m, 2, p->power, 0), g = horner(g, &n, 2, p->power, 8);
        h = horner(h, &m, 3, p->power, 0), g = horner(g, &n, 3, p->power, 8);
    }
    store_h(p, 0, h);
    store_h(p, 8, g);
}

/* Up to 64 bytes of eight messages, `left` of each, filled up with zeros. */
INLINE blocks load_tail(const uint8_t *const *in, size_t start, const uint64_t *left) {
#define AT(i) in[i] + (left[i] == 0 ? 0 : start) /* a masked access stays within the message */
#define ROW(i) _mm512_maskz_loadu_epi8(_bzhi_u64(UINT64_MAX, (uint32_t)(left[i] < 64 ? left[i] : 64)), AT(i))
    return columns(ROW(0), ROW(1), ROW(2), ROW(3), ROW(4), ROW(5), ROW(6), ROW(7));
#undef ROW
#undef AT
}

void zs_poly16_tail(zs_poly16 *p, const uint8_t *const in[ZS_LANES16], size_t chunk, const size_t len[ZS_LANES16]) {
    uint64_t left[ZS_LANES16];
    for (size_t i = 0; i < ZS_LANES16; i++) left[i] = len[i] > chunk * 64 ? len[i] - chunk * 64 : 0;
    __m512i rest = _mm512_loadu_si512(left), rest8 = _mm512_loadu_si512(left + 8);
    blocks m = load_tail(in, chunk * 64, left), n = load_tail(in + 8, chunk * 64, left + 8);
    limbs h = load_h(p, 0), g = load_h(p, 8);
#define BLOCK(i)                                                                             \
    do {                                                                                     \
        __mmask8 live = _mm512_cmpgt_epu64_mask(rest, _mm512_set1_epi64(16 * i));            \
        __mmask8 live8 = _mm512_cmpgt_epu64_mask(rest8, _mm512_set1_epi64(16 * i));          \
        if ((live | live8) == 0) break;                                                      \
        h = choose(live, h, horner(h, &m, i, p->power, 0));                                  \
        g = choose(live8, g, horner(g, &n, i, p->power, 8));                                 \
    } while (0)
    BLOCK(0);
    BLOCK(1);
    BLOCK(2);
    BLOCK(3);
#undef BLOCK
    store_h(p, 0, h);
    store_h(p, 8, g);
}

/* h mod 2^130 - 5, plus the pad, mod 2^128. */
INLINE void freeze(limbs h, const uint64_t *pad0, const uint64_t *pad1, uint64_t *tag0, uint64_t *tag1) {
    h.l2 += h.l1 >> 44, h.l1 &= MASK44;
    v8 over = h.l2 >> 42;
    h.l2 &= MASK42;
    h.l0 += over + (over << 2);
    h.l1 += h.l0 >> 44, h.l0 &= MASK44;
    h.l2 += h.l1 >> 44, h.l1 &= MASK44;
    /* g = h + 5 reaches 2^130 exactly when h is not below the prime; then g, cut to 130 bits, is the residue. */
    limbs g = {h.l0 + 5, h.l1, h.l2};
    g.l1 += g.l0 >> 44, g.l0 &= MASK44;
    g.l2 += g.l1 >> 44, g.l1 &= MASK44;
    h = choose(_mm512_cmpgt_epu64_mask(RAW(g.l2), _mm512_set1_epi64(MASK42)), h, g);
    v8 low = h.l0 | h.l1 << 44, high = h.l1 >> 20 | h.l2 << 24;
    v8 sum = low + lanes(pad0);
    high += lanes(pad1);
    high = CHOOSE(_mm512_cmplt_epu64_mask(RAW(sum), RAW(low)), high, high + 1);
    _mm512_store_si512(tag0, RAW(sum));
    _mm512_store_si512(tag1, RAW(high));
}

void zs_poly16_finish(zs_poly16 *p, const size_t ad_len[ZS_LANES16], const size_t len[ZS_LANES16],
                      uint64_t tag[2][ZS_LANES16]) {
    limbs m = block((v8)_mm512_loadu_si512(ad_len), (v8)_mm512_loadu_si512(len));
    limbs n = block((v8)_mm512_loadu_si512(ad_len + 8), (v8)_mm512_loadu_si512(len + 8));
    limbs h = carry(multiply_add(no_sums(), add(load_h(p, 0), m), power_of(&p->power[0], 0)));
    limbs g = carry(multiply_add(no_sums(), add(load_h(p, 8), n), power_of(&p->power[0], 8)));
    freeze(h, p->pad[0], p->pad[1], tag[0], tag[1]);
    freeze(g, p->pad[0] + 8, p->pad[1] + 8, tag[0] + 8, tag[1] + 8);
}

ZS_AVX512_END

#endif
