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
    _mm512_store_si512(p->h[0] + set, h.l0);
    _mm512_store_si512(p->h[1] + set, h.l1);
    _mm512_store_si512(p->h[2] + set, h.l2);
}

INLINE void store_power(zs_poly16_power *p, size_t set, limbs r) {
    multiplier m = multiplier_of(r);
    _mm512_store_si512(p->r0 + set, m.r0);
    _mm512_store_si512(p->r1 + set, m.r1);
    _mm512_store_si512(p->r2 + set, m.r2);
    _mm512_store_si512(p->s1 + set, m.s1);
    _mm512_store_si512(p->s2 + set, m.s2);
}

/* Two rows of 32-bit words become one row of 64-bit words. */
INLINE v8 join(const uint32_t low[ZS_LANES16], const uint32_t high[ZS_LANES16], size_t set) {
    v8 a = _mm512_cvtepu32_epi64(_mm256_load_si256((const __m256i *)(low + set)));
    v8 b = _mm512_cvtepu32_epi64(_mm256_load_si256((const __m256i *)(high + set)));
    return _mm512_or_si512(a, SHL(b, 32));
}

/* r is clamped as in RFC 8439 section 2.5. */
void zs_poly16_init(zs_poly16 *p, uint32_t rows[8][ZS_LANES16]) {
    v8 zero = _mm512_setzero_si512();
    for (size_t set = 0; set < ZS_LANES16; set += 8) {
        v8 low = AND(join(rows[0], rows[1], set), _mm512_set1_epi64(INT64_C(0x0FFFFFFC0FFFFFFF)));
        v8 high = AND(join(rows[2], rows[3], set), _mm512_set1_epi64(INT64_C(0x0FFFFFFC0FFFFFFC)));
        store_power(&p->power[0], set, cut(low, high));
        store_h(p, set, (limbs){zero, zero, zero});
        _mm512_store_si512(p->pad[0] + set, join(rows[4], rows[5], set));
        _mm512_store_si512(p->pad[1] + set, join(rows[6], rows[7], set));
    }
}

void zs_poly16_raise(zs_poly16 *p) {
    for (size_t set = 0; set < ZS_LANES16; set += 8) {
        const zs_poly16_power *r = p->power;
        limbs x = {lanes(r->r0 + set), lanes(r->r1 + set), lanes(r->r2 + set)};
        for (size_t i = 1; i < 4; i++) store_power(&p->power[i], set, x = carry(multiply_add(no_sums(), x, power_of(r, set))));
    }
}

/* Rows of 64 bytes of eight messages to halves of blocks: an 8 by 8 transposition of 64-bit words. */
INLINE blocks columns(v8 a, v8 b, v8 c, v8 d, v8 e, v8 f, v8 g, v8 h) {
    blocks m;
#define SIDE(side, unpack)                                                                                      \
    do {                                                                                                        \
        v8 ab = unpack(a, b), cd = unpack(c, d), ef = unpack(e, f), gh = unpack(g, h);                          \
        v8 even0 = _mm512_shuffle_i64x2(ab, cd, 0x88), odd0 = _mm512_shuffle_i64x2(ab, cd, 0xDD);               \
        v8 even1 = _mm512_shuffle_i64x2(ef, gh, 0x88), odd1 = _mm512_shuffle_i64x2(ef, gh, 0xDD);               \
        m.side[0] = _mm512_shuffle_i64x2(even0, even1, 0x88), m.side[2] = _mm512_shuffle_i64x2(even0, even1, 0xDD); \
        m.side[1] = _mm512_shuffle_i64x2(odd0, odd1, 0x88), m.side[3] = _mm512_shuffle_i64x2(odd0, odd1, 0xDD); \
    } while (0)
    SIDE(low, _mm512_unpacklo_epi64);
    SIDE(high, _mm512_unpackhi_epi64);
#undef SIDE
    return m;
}

/* `columns` puts messages in the order 0 1, 4 5, 2 3, 6 7 unless they are given so that it comes out 0 to 7:
 * a quarter of `unpack` holds two neighbours, and both shuffles keep a, b before c, d. */
INLINE blocks load_chunk(const uint8_t *const *in, size_t at) {
#define ROW(i) _mm512_loadu_si512(in[i] + at)
    return columns(ROW(0), ROW(1), ROW(2), ROW(3), ROW(4), ROW(5), ROW(6), ROW(7));
#undef ROW
}

INLINE limbs horner4(limbs h, const blocks *m, const zs_poly16_power *r, size_t set) {
    h = carry(multiply_add(no_sums(), add(h, block(m->low[0], m->high[0])), power_of(r, set)));
    h = carry(multiply_add(no_sums(), add(h, block(m->low[1], m->high[1])), power_of(r, set)));
    h = carry(multiply_add(no_sums(), add(h, block(m->low[2], m->high[2])), power_of(r, set)));
    return carry(multiply_add(no_sums(), add(h, block(m->low[3], m->high[3])), power_of(r, set)));
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
    for (size_t at = from * 64; at < to * 64; at += 64) {
        blocks m = load_chunk(in, at), n = load_chunk(in + 8, at);
        if (raised) {
            h = raised4(h, &m, p->power, 0);
            g = raised4(g, &n, p->power, 8);
        } else {
            h = horner4(h, &m, p->power, 0);
            g = horner4(g, &n, p->power, 8);
        }
    }
    store_h(p, 0, h);
    store_h(p, 8, g);
}

static void tail8(zs_poly16 *p, const uint8_t *const *in, size_t chunk, const size_t *len, size_t set) {
    uint64_t mask[8], left[8];
    size_t start = chunk * 64, at[8];
    limbs h = load_h(p, set);
    for (size_t i = 0; i < 8; i++) {
        left[i] = len[i] > start ? len[i] - start : 0;
        mask[i] = _bzhi_u64(UINT64_MAX, (uint32_t)(left[i] < 64 ? left[i] : 64));
        at[i] = left[i] == 0 ? 0 : start;
    }
#define ROW(i) _mm512_maskz_loadu_epi8(mask[i], in[i] + at[i])
    blocks m = columns(ROW(0), ROW(1), ROW(2), ROW(3), ROW(4), ROW(5), ROW(6), ROW(7));
#undef ROW
    v8 rest = _mm512_loadu_si512(left);
#define BLOCK(i)                                                                                        \
    do {                                                                                                \
        __mmask8 live = _mm512_cmpgt_epu64_mask(rest, _mm512_set1_epi64(16 * i));                       \
        if (live == 0) break;                                                                           \
        limbs x = add(h, block(m.low[i], m.high[i]));                                                   \
        h = choose(live, h, carry(multiply_add(no_sums(), x, power_of(&p->power[0], set))));                      \
    } while (0)
    BLOCK(0);
    BLOCK(1);
    BLOCK(2);
    BLOCK(3);
#undef BLOCK
    store_h(p, set, h);
}

void zs_poly16_tail(zs_poly16 *p, const uint8_t *const in[ZS_LANES16], size_t chunk, const size_t len[ZS_LANES16]) {
    tail8(p, in, chunk, len, 0);
    tail8(p, in + 8, chunk, len + 8, 8);
}

/* h mod 2^130 - 5, plus the pad, mod 2^128. */
INLINE void freeze(limbs h, const uint64_t *pad0, const uint64_t *pad1, uint64_t *tag0, uint64_t *tag1) {
    h.l2 = ADD(h.l2, SHR(h.l1, 44)), h.l1 = AND(h.l1, MASK44);
    v8 over = SHR(h.l2, 42);
    h.l2 = AND(h.l2, MASK42);
    h.l0 = ADD(h.l0, ADD(over, SHL(over, 2)));
    h.l1 = ADD(h.l1, SHR(h.l0, 44)), h.l0 = AND(h.l0, MASK44);
    h.l2 = ADD(h.l2, SHR(h.l1, 44)), h.l1 = AND(h.l1, MASK44);
    /* g = h + 5 reaches 2^130 exactly when h is not below the prime; then g, cut to 130 bits, is the residue. */
    limbs g = {ADD(h.l0, _mm512_set1_epi64(5)), h.l1, h.l2};
    g.l1 = ADD(g.l1, SHR(g.l0, 44)), g.l0 = AND(g.l0, MASK44);
    g.l2 = ADD(g.l2, SHR(g.l1, 44)), g.l1 = AND(g.l1, MASK44);
    h = choose(_mm512_cmpgt_epu64_mask(g.l2, MASK42), h, g);
    v8 low = _mm512_or_si512(h.l0, SHL(h.l1, 44)), high = _mm512_or_si512(SHR(h.l1, 20), SHL(h.l2, 24));
    v8 sum = ADD(low, lanes(pad0));
    high = ADD(high, lanes(pad1));
    high = _mm512_mask_add_epi64(high, _mm512_cmplt_epu64_mask(sum, low), high, _mm512_set1_epi64(1));
    _mm512_store_si512(tag0, sum);
    _mm512_store_si512(tag1, high);
}

void zs_poly16_finish(zs_poly16 *p, const size_t ad_len[ZS_LANES16], const size_t len[ZS_LANES16],
                      uint64_t tag[2][ZS_LANES16]) {
    for (size_t set = 0; set < ZS_LANES16; set += 8) {
        limbs m = block(_mm512_loadu_si512(ad_len + set), _mm512_loadu_si512(len + set));
        limbs h = carry(multiply_add(no_sums(), add(load_h(p, set), m), power_of(&p->power[0], set)));
        freeze(h, p->pad[0] + set, p->pad[1] + set, tag[0] + set, tag[1] + set);
    }
}

ZS_AVX512_END

#endif
