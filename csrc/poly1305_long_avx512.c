/* poly1305_long_avx512.c: Poly1305 of one message: scalar blocks, and eight at a time with IFMA (floor 1).
 *
 * Scalar: h = h0 + 2^64 h1 + 2^128 h2, h2 any word between blocks and below 5 between calls. As r1 is a multiple of 4,
 * a product that wraps round 2^130 uses s1 = 5 * r1 / 4 at 2^-2 its weight.
 * Vector: radix 2^44; bounds as in poly1305_avx512.c.
 */
#include "avx512.h"

#ifdef ZS_HAVE_X86_KERNELS

#include "avx512_limbs.h"
#include "impl.h"

ZS_AVX512_BEGIN

__extension__ typedef unsigned __int128 u128;

enum { GROUP = 128, RAISE_FROM = 16 * GROUP };

void zs_poly1_init(zs_poly1 *p, const uint8_t key[32], zs_poly1_wide *wide) {
    p->wide = wide;
    p->h[0] = p->h[1] = p->h[2] = 0;
    p->r[0] = zs_load64(key) & UINT64_C(0x0FFFFFFC0FFFFFFF);
    p->r[1] = zs_load64(key + 8) & UINT64_C(0x0FFFFFFC0FFFFFFC);
    p->pad[0] = zs_load64(key + 16);
    p->pad[1] = zs_load64(key + 24);
    p->powers = 0;
    p->is_wide = false;
}

typedef struct words {
    uint64_t w0, w1, w2;
} words;

/* What is above 2^130 comes down five times; the carry out of that is the next step's, or settle's. */
INLINE words step(words h, uint64_t m0, uint64_t m1, uint64_t r0, uint64_t r1, uint64_t s1) {
    uint64_t a0 = h.w0 + m0, c0 = a0 < m0, a1 = h.w1 + m1, c1 = a1 < m1, over = (h.w2 >> 2) * 5;
    a1 += c0, c1 += a1 < c0;
    uint64_t h0 = a0 + over, c = h0 < over, h1 = a1 + c, h2 = (h.w2 & 3) + 1 + c1 + (h1 < c); /* at most 6 */
    u128 d0 = (u128)h0 * r0 + (u128)h1 * s1, d1 = (u128)h0 * r1 + (u128)h1 * r0 + h2 * s1 + (uint64_t)(d0 >> 64);
    return (words){(uint64_t)d0, (uint64_t)d1, h2 * r0 + (uint64_t)(d1 >> 64)}; /* the last below 2^64 as r0 < 2^60 */
}

INLINE words settle(words h) {
    uint64_t over = (h.w2 >> 2) * 5;
    h.w0 += over;
    uint64_t c = h.w0 < over;
    h.w1 += c;
    h.w2 = (h.w2 & 3) + (h.w1 < c);
    return h;
}

static void narrow_blocks(zs_poly1 *p, const uint8_t *in, size_t len) {
    uint64_t r0 = p->r[0], r1 = p->r[1], s1 = r1 + (r1 >> 2);
    words h = {p->h[0], p->h[1], p->h[2]};
    for (; len >= 16; in += 16, len -= 16) h = step(h, zs_load64(in), zs_load64(in + 8), r0, r1, s1);
    if (len > 0) {
        __m128i last = _mm_maskz_loadu_epi8((__mmask16)_bzhi_u32(0xFFFF, (uint32_t)len), in);
        h = step(h, (uint64_t)_mm_cvtsi128_si64(last), (uint64_t)_mm_extract_epi64(last, 1), r0, r1, s1);
    }
    h = settle(h);
    p->h[0] = h.w0, p->h[1] = h.w1, p->h[2] = h.w2;
}

/* Blocks 0 to 7 of a group come out in the order 0 4 1 5 2 6 3 7. */
INLINE limbs group(const uint8_t *in) {
    __m512i a = _mm512_loadu_si512(in), b = _mm512_loadu_si512(in + 64);
    return block((v8)_mm512_unpacklo_epi64(a, b), (v8)_mm512_unpackhi_epi64(a, b));
}

INLINE limbs permute(__m512i order, limbs x) {
#define ORDERED(l) ((v8)_mm512_permutexvar_epi64(order, RAW(l)))
    return (limbs){ORDERED(x.l0), ORDERED(x.l1), ORDERED(x.l2)};
#undef ORDERED
}

INLINE limbs spread(limbs x) {
    return permute(_mm512_setzero_si512(), x);
}

INLINE limbs times(limbs a, limbs b) {
    return carry(multiply_add(no_sums(), a, multiplier_of(b)));
}

/* r^8 ... r by doubling: (r^2 r), (r^4 ... r), (r^8 ... r). */
static __attribute__((noinline)) void raise_to_8(zs_poly1 *p) {
    limbs r = cut((v8)_mm512_set1_epi64((int64_t)p->r[0]), (v8)_mm512_set1_epi64((int64_t)p->r[1]));
    limbs r2 = times(r, r);
    limbs two = choose(0x55, r, r2);
    limbs four = choose(0x33, two, times(two, r2));
    limbs eight = choose(0x0F, four, times(four, spread(four)));
    store_multiplier(p->wide->bulk[0], multiplier_of(spread(eight)));
    store_multiplier(p->wide->last, multiplier_of(permute(_mm512_set_epi64(7, 3, 6, 2, 5, 1, 4, 0), eight)));
    p->powers = 1;
}

static __attribute__((noinline)) void raise_to_32(zs_poly1 *p) {
    multiplier r8 = load_multiplier(p->wide->bulk[0]);
    limbs x = {r8.r0, r8.r1, r8.r2};
    for (size_t i = 1; i < 4; i++) {
        x = carry(multiply_add(no_sums(), x, r8));
        store_multiplier(p->wide->bulk[i], multiplier_of(x));
    }
    p->powers = 4;
}

/* The scalar accumulator enters lane 0, where block 0 stands. */
INLINE limbs widen(zs_poly1 *p) {
    if (p->is_wide) return (limbs){lanes(p->wide->h[0]), lanes(p->wide->h[1]), lanes(p->wide->h[2])};
#define FIRST(word) ((v8)_mm512_zextsi128_si512(_mm_cvtsi64_si128((int64_t)(word))))
    limbs h = cut(FIRST(p->h[0]), FIRST(p->h[1]));
    h.l2 += FIRST(p->h[2]) << 40;
#undef FIRST
    return h;
}

/* The accumulator is kept as the sum before its multiplication by the next power, so that the last can differ. */
static __attribute__((noinline)) void wide_groups(zs_poly1 *p, const uint8_t *in, size_t groups) {
    multiplier r8 = load_multiplier(p->wide->bulk[0]);
    limbs h = widen(p);
    bool started = p->is_wide;
    if (p->powers == 4 && started) {
        for (; groups >= 4; groups -= 4, in += 4 * GROUP) {
            sums s = multiply_add(no_sums(), group(in), load_multiplier(p->wide->bulk[2]));
            s = multiply_add(s, group(in + GROUP), load_multiplier(p->wide->bulk[1]));
            s = multiply_add(s, group(in + 2 * GROUP), r8);
            s = multiply_add(s, h, load_multiplier(p->wide->bulk[3]));
            h = add(carry(s), group(in + 3 * GROUP));
        }
    }
    for (; groups > 0; groups--, in += GROUP, started = true) {
        if (started) h = carry(multiply_add(no_sums(), h, r8));
        h = add(h, group(in));
    }
    _mm512_store_si512(p->wide->h[0], RAW(h.l0));
    _mm512_store_si512(p->wide->h[1], RAW(h.l1));
    _mm512_store_si512(p->wide->h[2], RAW(h.l2));
    p->is_wide = true;
}

/* Lane i times its power of r, summed, back to 64-bit words. */
static __attribute__((noinline)) void narrow(zs_poly1 *p) {
    limbs h = {lanes(p->wide->h[0]), lanes(p->wide->h[1]), lanes(p->wide->h[2])};
    h = carry(multiply_add(no_sums(), h, load_multiplier(p->wide->last)));
    uint64_t l0 = (uint64_t)_mm512_reduce_add_epi64(RAW(h.l0)), l1 = (uint64_t)_mm512_reduce_add_epi64(RAW(h.l1));
    uint64_t l2 = (uint64_t)_mm512_reduce_add_epi64(RAW(h.l2));
    u128 t = (u128)l0 + ((u128)l1 << 44); /* each below 2^48 */
    p->h[0] = (uint64_t)t;
    t = (t >> 64) + ((u128)l2 << 24);
    p->h[1] = (uint64_t)t;
    uint64_t top = (uint64_t)(t >> 64); /* below 2^8 */
    t = (u128)p->h[0] + (top >> 2) * 5;
    p->h[0] = (uint64_t)t;
    t = (u128)p->h[1] + (uint64_t)(t >> 64);
    p->h[1] = (uint64_t)t;
    p->h[2] = (top & 3) + (uint64_t)(t >> 64);
    p->is_wide = false;
}

void zs_poly1_blocks(zs_poly1 *p, const uint8_t *in, size_t len, size_t total) {
    size_t groups = len / GROUP;
    if (groups > 0 && p->wide != NULL && (p->is_wide || total >= ZS_POLY1_WIDE_FROM)) {
        if (p->powers == 0) raise_to_8(p);
        if (p->powers == 1 && total >= RAISE_FROM) raise_to_32(p);
        wide_groups(p, in, groups);
        in += groups * GROUP, len -= groups * GROUP;
    }
    if (len == 0) return;
    if (p->is_wide) narrow(p);
    narrow_blocks(p, in, len);
}

void zs_poly1_finish(zs_poly1 *p, uint64_t ad_len, uint64_t len, uint64_t tag[2]) {
    if (p->is_wide) narrow(p);
    if (p->powers == 4) zs_wipe_lines(p->wide->bulk[1], 3 * sizeof p->wide->bulk[1]);
    uint64_t r0 = p->r[0], r1 = p->r[1];
    words h = settle(step((words){p->h[0], p->h[1], p->h[2]}, ad_len, len, r0, r1, r1 + (r1 >> 2)));
    /* h is below 2 * (2^130 - 5): g = h + 5 passes 2^130 exactly when h is not below the prime. */
    u128 t = (u128)h.w0 + 5;
    uint64_t g0 = (uint64_t)t;
    t = (u128)h.w1 + (uint64_t)(t >> 64);
    uint64_t g1 = (uint64_t)t, g2 = h.w2 + (uint64_t)(t >> 64);
    uint64_t over = (uint64_t)0 - (g2 >> 2 != 0);
    h.w0 ^= (h.w0 ^ g0) & over, h.w1 ^= (h.w1 ^ g1) & over;
    t = (u128)h.w0 + p->pad[0];
    tag[0] = (uint64_t)t;
    tag[1] = h.w1 + p->pad[1] + (uint64_t)(t >> 64);
}

ZS_AVX512_END

#endif
