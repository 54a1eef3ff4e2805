/* chacha20_avx512.c: ChaCha20 of sixteen lanes, one block of each at a time or two (floor 1). */
#include "avx512.h"

#ifdef ZS_HAVE_X86_KERNELS

#include "avx512_rows.h"
#include "impl.h"

ZS_AVX512_BEGIN

enum { FETCH_BLOCKS = 32 };

void zs_chacha16_load(zs_chacha16 *s, const uint8_t *const key[ZS_LANES16], const uint64_t sequence[ZS_LANES16]) {
    __m512i low = _mm512_loadu_si512(sequence), high = _mm512_loadu_si512(sequence + 8);
    __m512i even = _mm512_set_epi32(30, 28, 26, 24, 22, 20, 18, 16, 14, 12, 10, 8, 6, 4, 2, 0);
    __m512i odd = _mm512_set_epi32(31, 29, 27, 25, 23, 21, 19, 17, 15, 13, 11, 9, 7, 5, 3, 1);
    load_keys(s->key, key);
    store_row(s->sequence[0], (row)_mm512_permutex2var_epi32(low, even, high));
    store_row(s->sequence[1], (row)_mm512_permutex2var_epi32(low, odd, high));
}

INLINE void keystream(row x[16], const zs_chacha16 *s, row counter) {
    start(x, s, counter);
    rounds(x);
    add_start(x, s, counter);
}

INLINE void keystream2(row x[16], const zs_chacha16 *s, row counter, row y[16], const zs_chacha16 *t, row other) {
    start(x, s, counter), start(y, t, other);
    rounds2(x, y);
    add_start(x, s, counter), add_start(y, t, other);
}

/* -- messages, one in each lane ------------------------------------------------------------------------------------ */

/* Of long messages, sixteen streams are more than the hardware looks after; short ones stand in the cache. */
INLINE void fetch(const zs_group16 *g, size_t block) {
    if (g->whole < FETCH_BLOCKS || block == 0 || block > g->whole) return;
#define FETCH(i) _mm_prefetch(g->in[i] + 64 * (block - 1), _MM_HINT_T0);
    EACH16(FETCH)
#undef FETCH
}

/* Every input is read before any output is written: at strides of a power of two they would alias in the cache. */
INLINE void mix_whole(row x[16], const zs_group16 *g, size_t at) {
#define MIX(i) x[i] ^= (row)_mm512_loadu_si512(g->in[i] + at);
    EACH16(MIX)
#undef MIX
    if (g->count == ZS_LANES16) {
#define PUT(i) _mm512_storeu_si512(g->out[i] + at, (__m512i)x[i]);
        EACH16(PUT)
#undef PUT
    } else {
#define PUT(i) \
    if (i < g->count) _mm512_storeu_si512(g->out[i] + at, (__m512i)x[i]);
        EACH16(PUT)
#undef PUT
    }
}

/* The same where some messages end within or before this block; a masked access stays within the message. */
INLINE void mix_tail(row x[16], const zs_group16 *g, size_t start) {
    uint64_t mask[ZS_LANES16];
    size_t at[ZS_LANES16];
    for (size_t i = 0; i < ZS_LANES16; i++) {
        size_t left = g->len[i] > start ? g->len[i] - start : 0;
        mask[i] = _bzhi_u64(UINT64_MAX, (uint32_t)(left < 64 ? left : 64));
        at[i] = left == 0 ? 0 : start;
    }
#define MIX(i) x[i] ^= (row)_mm512_maskz_loadu_epi8(mask[i], g->in[i] + at[i]);
    EACH16(MIX)
#undef MIX
#define PUT(i) \
    if (i < g->count) _mm512_mask_storeu_epi8(g->out[i] + at[i], mask[i], (__m512i)x[i]);
    EACH16(PUT)
#undef PUT
}

/* The key stream goes where this block belongs. */
INLINE void place(row x[16], const zs_turn16 *turn) {
    if (turn->block == 0) {
        store_row(turn->cipher->first[0], x[0]), store_row(turn->cipher->first[1], x[1]);
        store_row(turn->cipher->first[2], x[2]), store_row(turn->cipher->first[3], x[3]);
        store_row(turn->cipher->first[4], x[4]), store_row(turn->cipher->first[5], x[5]);
        store_row(turn->cipher->first[6], x[6]), store_row(turn->cipher->first[7], x[7]);
        return;
    }
    transpose(x);
    if (turn->block <= turn->group->whole) mix_whole(x, turn->group, (turn->block - 1) * 64);
    else mix_tail(x, turn->group, (turn->block - 1) * 64);
}

void zs_chacha16_turn(const zs_turn16 *one) {
    row x[16];
    fetch(one->group, one->block);
    keystream(x, one->cipher, all((uint32_t)one->block));
    place(x, one);
}

void zs_chacha16_turn2(const zs_turn16 *one, const zs_turn16 *other) {
    row x[16], y[16];
    fetch(one->group, one->block), fetch(other->group, other->block);
    keystream2(x, one->cipher, all((uint32_t)one->block), y, other->cipher, all((uint32_t)other->block));
    place(x, one);
    place(y, other);
}

/* -- one message's blocks, or any, in the lanes -------------------------------------------------------------------- */

INLINE void store_blocks(uint8_t stream[ZS_LANES16][64], row x[16]) {
    transpose(x);
#define PUT(i) _mm512_storeu_si512(stream[i], (__m512i)x[i]);
    EACH16(PUT)
#undef PUT
}

void zs_chacha16_stream(const zs_chacha16 *s, const uint32_t counter[ZS_LANES16], uint8_t stream[ZS_LANES16][64]) {
    row x[16];
    keystream(x, s, (row)_mm512_loadu_si512(counter));
    store_blocks(stream, x);
}

void zs_chacha16_stream2(const zs_chacha16 *s, const zs_chacha16 *t, const uint32_t counter[2 * ZS_LANES16],
                         uint8_t stream[2 * ZS_LANES16][64]) {
    row x[16], y[16];
    keystream2(x, s, (row)_mm512_loadu_si512(counter), y, t, (row)_mm512_loadu_si512(counter + ZS_LANES16));
    store_blocks(stream, x);
    store_blocks(stream + ZS_LANES16, y);
}

INLINE void mix_run(row x[16], const uint8_t *in, uint8_t *out) {
    transpose(x);
#define MIX(i) x[i] ^= (row)_mm512_loadu_si512(in + 64 * i);
    EACH16(MIX)
#undef MIX
#define PUT(i) _mm512_storeu_si512(out + 64 * i, (__m512i)x[i]);
    EACH16(PUT)
#undef PUT
}

void zs_chacha16_run(const zs_chacha16 *s, uint32_t block, const uint8_t *in, uint8_t *out) {
    row x[16], y[16];
    /* What is only written is looked after by no hardware: a sixth of the time where it is not in the cache. */
    for (size_t at = 0; at < 2 * ZS_LANES16 * 64 && out != in; at += 64) _mm_prefetch(out + at, _MM_HINT_T0);
    row counter = all(block) + (row)_mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
    keystream2(x, s, counter, y, s, counter + all(ZS_LANES16));
    mix_run(x, in, out);
    mix_run(y, in + ZS_LANES16 * 64, out + ZS_LANES16 * 64);
}

ZS_AVX512_END

#endif
