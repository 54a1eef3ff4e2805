/* chacha20_avx512.c: ChaCha20 and HChaCha20, sixteen blocks at a time in AVX-512 (floor 1). */
#include "avx512.h"

#ifdef ZS_HAVE_X86_KERNELS

#include "impl.h"

#include <immintrin.h>

ZS_AVX512_BEGIN

#define INLINE static inline __attribute__((always_inline))

typedef __m512i v16;

enum { SIGMA0 = 0x61707865, SIGMA1 = 0x3320646e, SIGMA2 = 0x79622d32, SIGMA3 = 0x6b206574 };

#define ADD(a, b) _mm512_add_epi32(a, b)
#define XROL(a, b, n) _mm512_rol_epi32(_mm512_xor_si512(a, b), n)

/* RFC 8439 section 2.1, on four columns or diagonals at once so that the chains overlap. */
#define STEP(x, a0, b0, d0, a1, b1, d1, a2, b2, d2, a3, b3, d3, n) \
    x[a0] = ADD(x[a0], x[b0]), x[a1] = ADD(x[a1], x[b1]);          \
    x[a2] = ADD(x[a2], x[b2]), x[a3] = ADD(x[a3], x[b3]);          \
    x[d0] = XROL(x[d0], x[a0], n), x[d1] = XROL(x[d1], x[a1], n);  \
    x[d2] = XROL(x[d2], x[a2], n), x[d3] = XROL(x[d3], x[a3], n)

INLINE void rounds(v16 x[16]) {
#pragma GCC unroll 1
    for (int i = 0; i < 10; i++) {
        STEP(x, 0, 4, 12, 1, 5, 13, 2, 6, 14, 3, 7, 15, 16);
        STEP(x, 8, 12, 4, 9, 13, 5, 10, 14, 6, 11, 15, 7, 12);
        STEP(x, 0, 4, 12, 1, 5, 13, 2, 6, 14, 3, 7, 15, 8);
        STEP(x, 8, 12, 4, 9, 13, 5, 10, 14, 6, 11, 15, 7, 7);
        STEP(x, 0, 5, 15, 1, 6, 12, 2, 7, 13, 3, 4, 14, 16);
        STEP(x, 10, 15, 5, 11, 12, 6, 8, 13, 7, 9, 14, 4, 12);
        STEP(x, 0, 5, 15, 1, 6, 12, 2, 7, 13, 3, 4, 14, 8);
        STEP(x, 10, 15, 5, 11, 12, 6, 8, 13, 7, 9, 14, 4, 7);
    }
}

INLINE v16 row(const uint32_t words[ZS_LANES16]) {
    return _mm512_load_si512(words);
}

INLINE v16 all(uint32_t word) {
    return _mm512_set1_epi32((int)word);
}

/* The key stream of one block in each lane; `counter` may differ by lane. */
INLINE void keystream(v16 x[16], const zs_chacha16 *s, v16 counter) {
    x[0] = all(SIGMA0), x[1] = all(SIGMA1), x[2] = all(SIGMA2), x[3] = all(SIGMA3);
    x[4] = row(s->key[0]), x[5] = row(s->key[1]), x[6] = row(s->key[2]), x[7] = row(s->key[3]);
    x[8] = row(s->key[4]), x[9] = row(s->key[5]), x[10] = row(s->key[6]), x[11] = row(s->key[7]);
    x[12] = counter, x[13] = all(ZS_NONCE_WORD), x[14] = row(s->sequence[0]), x[15] = row(s->sequence[1]);
    rounds(x);
    x[0] = ADD(x[0], all(SIGMA0)), x[1] = ADD(x[1], all(SIGMA1));
    x[2] = ADD(x[2], all(SIGMA2)), x[3] = ADD(x[3], all(SIGMA3));
    x[4] = ADD(x[4], row(s->key[0])), x[5] = ADD(x[5], row(s->key[1]));
    x[6] = ADD(x[6], row(s->key[2])), x[7] = ADD(x[7], row(s->key[3]));
    x[8] = ADD(x[8], row(s->key[4])), x[9] = ADD(x[9], row(s->key[5]));
    x[10] = ADD(x[10], row(s->key[6])), x[11] = ADD(x[11], row(s->key[7]));
    x[12] = ADD(x[12], counter), x[13] = ADD(x[13], all(ZS_NONCE_WORD));
    x[14] = ADD(x[14], row(s->sequence[0])), x[15] = ADD(x[15], row(s->sequence[1]));
}

/* Four rows of words become, in each quarter, four words of lanes 4q, 4q+1, 4q+2, 4q+3. */
#define TURN4(a, b, c, d)                                                                       \
    do {                                                                                        \
        v16 ab_ = _mm512_unpacklo_epi32(a, b), AB_ = _mm512_unpackhi_epi32(a, b);               \
        v16 cd_ = _mm512_unpacklo_epi32(c, d), CD_ = _mm512_unpackhi_epi32(c, d);               \
        a = _mm512_unpacklo_epi64(ab_, cd_), b = _mm512_unpackhi_epi64(ab_, cd_);               \
        c = _mm512_unpacklo_epi64(AB_, CD_), d = _mm512_unpackhi_epi64(AB_, CD_);               \
    } while (0)

/* Quarter q of a, b, c, d are words 0-3, 4-7, 8-11, 12-15 of lane 4q + n; afterwards a is lane n, b lane 4 + n, ... */
#define GATHER4(a, b, c, d)                                                                     \
    do {                                                                                        \
        v16 ab_ = _mm512_shuffle_i32x4(a, b, 0x44), AB_ = _mm512_shuffle_i32x4(a, b, 0xEE);     \
        v16 cd_ = _mm512_shuffle_i32x4(c, d, 0x44), CD_ = _mm512_shuffle_i32x4(c, d, 0xEE);     \
        a = _mm512_shuffle_i32x4(ab_, cd_, 0x88), b = _mm512_shuffle_i32x4(ab_, cd_, 0xDD);     \
        c = _mm512_shuffle_i32x4(AB_, CD_, 0x88), d = _mm512_shuffle_i32x4(AB_, CD_, 0xDD);     \
    } while (0)

/* Rows of words become blocks; block i is then x[4 * (i % 4) + i / 4], which PLACE names. */
INLINE void transpose(v16 x[16]) {
    TURN4(x[0], x[1], x[2], x[3]);
    TURN4(x[4], x[5], x[6], x[7]);
    TURN4(x[8], x[9], x[10], x[11]);
    TURN4(x[12], x[13], x[14], x[15]);
    GATHER4(x[0], x[4], x[8], x[12]);
    GATHER4(x[1], x[5], x[9], x[13]);
    GATHER4(x[2], x[6], x[10], x[14]);
    GATHER4(x[3], x[7], x[11], x[15]);
}

/* After `transpose`, lane i stands in x[PLACE(i)]. */
#define PLACE(i) (4 * ((i) / 4) + (i) % 4)

#define EACH16(DO) DO(0) DO(1) DO(2) DO(3) DO(4) DO(5) DO(6) DO(7) DO(8) DO(9) DO(10) DO(11) DO(12) DO(13) DO(14) DO(15)

/* Halves of z are two lanes' 32 bytes; see zs_chacha16_load for which. */
INLINE v16 pair(const uint8_t *low, const uint8_t *high) {
    v16 z = _mm512_castsi256_si512(_mm256_loadu_si256((const __m256i *)low));
    return _mm512_inserti64x4(z, _mm256_loadu_si256((const __m256i *)high), 1);
}

INLINE void store_row(uint32_t words[ZS_LANES16], v16 x) {
    _mm512_store_si512(words, x);
}

/* After TURN4, quarters 0 and 2 hold word w of lanes 0-3 and 4-7 (8-11 and 12-15), quarters 1 and 3 word w + 4. */
#define SPLIT_ROWS(w, a, b)                                      \
    store_row(rows[w], _mm512_shuffle_i32x4(a, b, 0x88));        \
    store_row(rows[w + 4], _mm512_shuffle_i32x4(a, b, 0xDD))

INLINE void load_keys(uint32_t rows[8][ZS_LANES16], const uint8_t *const k[ZS_LANES16]) {
    v16 a = pair(k[0], k[4]), b = pair(k[1], k[5]), c = pair(k[2], k[6]), d = pair(k[3], k[7]);
    v16 e = pair(k[8], k[12]), f = pair(k[9], k[13]), g = pair(k[10], k[14]), h = pair(k[11], k[15]);
    TURN4(a, b, c, d);
    TURN4(e, f, g, h);
    SPLIT_ROWS(0, a, e);
    SPLIT_ROWS(1, b, f);
    SPLIT_ROWS(2, c, g);
    SPLIT_ROWS(3, d, h);
}

void zs_chacha16_load(zs_chacha16 *s, const uint8_t *const key[ZS_LANES16], const uint64_t sequence[ZS_LANES16]) {
    v16 low = _mm512_loadu_si512(sequence), high = _mm512_loadu_si512(sequence + 8);
    load_keys(s->key, key);
    v16 even = _mm512_set_epi32(30, 28, 26, 24, 22, 20, 18, 16, 14, 12, 10, 8, 6, 4, 2, 0);
    store_row(s->sequence[0], _mm512_permutex2var_epi32(low, even, high));
    store_row(s->sequence[1], _mm512_permutex2var_epi32(low, ADD(even, all(1)), high));
}

void zs_chacha16_first(const zs_chacha16 *s, uint32_t rows[8][ZS_LANES16]) {
    v16 x[16];
    keystream(x, s, all(0));
    store_row(rows[0], x[0]), store_row(rows[1], x[1]), store_row(rows[2], x[2]), store_row(rows[3], x[3]);
    store_row(rows[4], x[4]), store_row(rows[5], x[5]), store_row(rows[6], x[6]), store_row(rows[7], x[7]);
}

/* Four blocks as rows, a quarter of a register each: a short chain where sixteen lanes would stand empty. */
typedef struct rows4 {
    v16 a, b, c, d;
} rows4;

#define ROW_STEP(r, shift) \
    r.a = ADD(r.a, r.b), r.d = XROL(r.d, r.a, shift)
#define ROW_STEP2(r, shift) \
    r.c = ADD(r.c, r.d), r.b = XROL(r.b, r.c, shift)
/* Turn b, c, d so that diagonals become columns, or back. */
#define ROW_TURN(r, b_turn, d_turn) \
    r.b = _mm512_shuffle_epi32(r.b, b_turn), r.c = _mm512_shuffle_epi32(r.c, 0x4E), r.d = _mm512_shuffle_epi32(r.d, d_turn)
#define BOTH(DO, ...) DO(x, __VA_ARGS__); DO(y, __VA_ARGS__)
#define ROW_ROUND               \
    BOTH(ROW_STEP, 16);         \
    BOTH(ROW_STEP2, 12);        \
    BOTH(ROW_STEP, 8);          \
    BOTH(ROW_STEP2, 7)

INLINE v16 four(const uint8_t *p, const uint8_t *q, const uint8_t *r, const uint8_t *s) {
    __m256i low = _mm256_set_m128i(_mm_loadu_si128((const __m128i *)q), _mm_loadu_si128((const __m128i *)p));
    __m256i high = _mm256_set_m128i(_mm_loadu_si128((const __m128i *)s), _mm_loadu_si128((const __m128i *)r));
    return _mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1);
}

INLINE rows4 load_rows(const uint8_t *const key[4], const uint64_t sequence[4], const uint32_t counter[4]) {
    rows4 r;
    r.a = _mm512_broadcast_i32x4(_mm_set_epi32(SIGMA3, SIGMA2, SIGMA1, SIGMA0));
    r.b = four(key[0], key[1], key[2], key[3]);
    r.c = four(key[0] + 16, key[1] + 16, key[2] + 16, key[3] + 16);
#define NONCE(i) (int64_t)sequence[i], (int64_t)((uint64_t)ZS_NONCE_WORD << 32 | counter[i])
    r.d = _mm512_set_epi64(NONCE(3), NONCE(2), NONCE(1), NONCE(0));
#undef NONCE
    return r;
}

INLINE void store_rows(uint8_t stream[4][64], rows4 r, const rows4 *start) {
    v16 a = ADD(r.a, start->a), b = ADD(r.b, start->b), c = ADD(r.c, start->c), d = ADD(r.d, start->d);
    GATHER4(a, b, c, d);
    _mm512_storeu_si512(stream[0], a), _mm512_storeu_si512(stream[1], b);
    _mm512_storeu_si512(stream[2], c), _mm512_storeu_si512(stream[3], d);
}

void zs_chacha8_stream(const uint8_t *const key[8], const uint64_t sequence[8], const uint32_t counter[8],
                       uint8_t stream[8][64]) {
    rows4 x = load_rows(key, sequence, counter), y = load_rows(key + 4, sequence + 4, counter + 4);
    const rows4 x0 = x, y0 = y;
#pragma GCC unroll 1
    for (int i = 0; i < 10; i++) {
        ROW_ROUND;
        BOTH(ROW_TURN, 0x39, 0x93);
        ROW_ROUND;
        BOTH(ROW_TURN, 0x93, 0x39);
    }
    store_rows(stream, x, &x0);
    store_rows(stream + 4, y, &y0);
}

void zs_chacha16_stream(const zs_chacha16 *s, const uint32_t counter[ZS_LANES16], uint8_t stream[ZS_LANES16][64]) {
    v16 x[16];
    keystream(x, s, _mm512_loadu_si512(counter));
    transpose(x);
#define PUT(i) _mm512_storeu_si512(stream[i], x[PLACE(i)]);
    EACH16(PUT)
#undef PUT
}

/* Every input is read before any output is written: at strides of a power of two they would alias in the cache. */
void zs_chacha16_block(const zs_chacha16 *s, size_t block, const uint8_t *const in[ZS_LANES16],
                       uint8_t *const out[ZS_LANES16], size_t count) {
    v16 x[16];
    size_t at = block * 64;
#define FETCH(i) _mm_prefetch(in[i] + at, _MM_HINT_T0), _mm_prefetch(out[i] + at, _MM_HINT_T0);
    EACH16(FETCH) /* they arrive while the rounds run: 5 to 10% from 4 KiB on */
#undef FETCH
    keystream(x, s, all((uint32_t)block + 1));
    transpose(x);
#define MIX(i) x[PLACE(i)] = _mm512_xor_si512(x[PLACE(i)], _mm512_loadu_si512(in[i] + at));
    EACH16(MIX)
#undef MIX
#define PUT(i) \
    if (i < count) _mm512_storeu_si512(out[i] + at, x[PLACE(i)]);
    if (count == ZS_LANES16) {
#define PUT_ALL(i) _mm512_storeu_si512(out[i] + at, x[PLACE(i)]);
        EACH16(PUT_ALL)
    } else {
        EACH16(PUT)
    }
}

void zs_chacha16_tail(const zs_chacha16 *s, size_t block, const uint8_t *const in[ZS_LANES16],
                      uint8_t *const out[ZS_LANES16], const size_t len[ZS_LANES16], size_t count) {
    v16 x[16];
    uint64_t mask[ZS_LANES16];
    size_t start = block * 64, at[ZS_LANES16];
    for (size_t i = 0; i < ZS_LANES16; i++) {
        size_t left = len[i] > start ? len[i] - start : 0;
        mask[i] = _bzhi_u64(UINT64_MAX, (uint32_t)(left < 64 ? left : 64));
        at[i] = left == 0 ? 0 : start; /* a masked access stays within the message */
    }
    keystream(x, s, all((uint32_t)block + 1));
    transpose(x);
#define MIX(i) x[PLACE(i)] = _mm512_xor_si512(x[PLACE(i)], _mm512_maskz_loadu_epi8(mask[i], in[i] + at[i]));
    EACH16(MIX)
#undef MIX
#undef PUT
#define PUT(i) \
    if (i < count) _mm512_mask_storeu_epi8(out[i] + at[i], mask[i], x[PLACE(i)]);
    EACH16(PUT)
#undef PUT
}

/* draft-irtf-cfrg-xchacha section 2.2; out, key and input of up to sixteen jobs. */
static void hchacha16(zs_subkey_job *jobs, size_t count) {
    _Alignas(64) uint32_t rows[8][ZS_LANES16];
    const uint8_t *key[ZS_LANES16], *input[ZS_LANES16];
    v16 x[16], n[4];
    for (size_t i = 0; i < ZS_LANES16; i++) {
        key[i] = jobs[i < count ? i : 0].key;
        input[i] = jobs[i < count ? i : 0].input;
    }
    load_keys(rows, key);
#define QUARTER(i) _mm_loadu_si128((const __m128i *)input[i])
#define FOUR(i)                                                                                              \
    _mm512_inserti64x4(_mm512_castsi256_si512(_mm256_set_m128i(QUARTER(i + 4), QUARTER(i))),                 \
                       _mm256_set_m128i(QUARTER(i + 12), QUARTER(i + 8)), 1)
    n[0] = FOUR(0), n[1] = FOUR(1), n[2] = FOUR(2), n[3] = FOUR(3);
    TURN4(n[0], n[1], n[2], n[3]);
    x[0] = all(SIGMA0), x[1] = all(SIGMA1), x[2] = all(SIGMA2), x[3] = all(SIGMA3);
    x[4] = row(rows[0]), x[5] = row(rows[1]), x[6] = row(rows[2]), x[7] = row(rows[3]);
    x[8] = row(rows[4]), x[9] = row(rows[5]), x[10] = row(rows[6]), x[11] = row(rows[7]);
    x[12] = n[0], x[13] = n[1], x[14] = n[2], x[15] = n[3];
    rounds(x);
    TURN4(x[0], x[1], x[2], x[3]);
    TURN4(x[12], x[13], x[14], x[15]);
    /* Quarter q of x[n] and x[12 + n] are the two halves of lane 4q + n. */
#define STORE(i)                                                                                              \
    if (i < count) {                                                                                          \
        _mm_storeu_si128((__m128i *)jobs[i].out, _mm512_extracti32x4_epi32(x[i % 4], i / 4));                 \
        _mm_storeu_si128((__m128i *)(jobs[i].out + 16), _mm512_extracti32x4_epi32(x[12 + i % 4], i / 4));     \
    }
    EACH16(STORE)
    zs_wipe(rows, sizeof rows);
}

/* One or two jobs are done sooner by libsodium. */
void zs_hchacha20_many_avx512(const zs_sodium *sodium, zs_subkey_job *jobs, size_t count) {
    for (; count > 2; jobs += ZS_LANES16, count -= ZS_LANES16) {
        hchacha16(jobs, count < ZS_LANES16 ? count : ZS_LANES16);
        if (count <= ZS_LANES16) return;
    }
    zs_hchacha20_many_portable(sodium, jobs, count);
}

ZS_AVX512_END

#endif
