/* chacha20_few_avx512.c: up to eight blocks of ChaCha20, where sixteen lanes would stand empty (floor 1).
 *
 * A register holds a row of two states, so the chain is short: in 256 bits, for Zen 4 needs twice as long for a
 * rotation of 512, and nothing is gained by their width where there are so few blocks.
 */
#include "avx512.h"

#ifdef ZS_HAVE_X86_KERNELS

#include "impl.h"

#include <immintrin.h>

ZS_AVX512_BEGIN

typedef uint32_t half_row __attribute__((vector_size(32)));

/* Two states: a, b, c, d are their rows of four words. */
typedef struct two {
    half_row a, b, c, d;
} two;

INLINE two load_two(const uint8_t *const key[2], const uint64_t sequence[2], const uint32_t counter[2]) {
    __m256i k = _mm256_loadu_si256((const __m256i *)key[0]), l = _mm256_loadu_si256((const __m256i *)key[1]);
    two r;
    r.a = (half_row){0x61707865, 0x3320646e, 0x79622d32, 0x6b206574, 0x61707865, 0x3320646e, 0x79622d32, 0x6b206574};
    r.b = (half_row)_mm256_permute2x128_si256(k, l, 0x20);
    r.c = (half_row)_mm256_permute2x128_si256(k, l, 0x31);
#define NONCE(i) (int64_t)sequence[i], (int64_t)((uint64_t)ZS_NONCE_WORD << 32 | counter[i])
    r.d = (half_row)_mm256_set_epi64x(NONCE(1), NONCE(0));
#undef NONCE
    return r;
}

INLINE void half_round(two *r, int n, int m) {
    r->a += r->b, r->d ^= r->a, r->d = r->d << n | r->d >> (32 - n);
    r->c += r->d, r->b ^= r->c, r->b = r->b << m | r->b >> (32 - m);
}

/* Diagonals become columns, or back. */
#define TURN(r, b_turn, d_turn)                                           \
    do {                                                                  \
        (r)->b = (half_row)_mm256_shuffle_epi32((__m256i)(r)->b, b_turn); \
        (r)->c = (half_row)_mm256_shuffle_epi32((__m256i)(r)->c, 0x4E);   \
        (r)->d = (half_row)_mm256_shuffle_epi32((__m256i)(r)->d, d_turn); \
    } while (0)

INLINE void store_two(uint8_t stream[2][64], two r, two start) {
    __m256i a = (__m256i)(r.a + start.a), b = (__m256i)(r.b + start.b);
    __m256i c = (__m256i)(r.c + start.c), d = (__m256i)(r.d + start.d);
    _mm256_storeu_si256((__m256i *)stream[0], _mm256_permute2x128_si256(a, b, 0x20));
    _mm256_storeu_si256((__m256i *)(stream[0] + 32), _mm256_permute2x128_si256(c, d, 0x20));
    _mm256_storeu_si256((__m256i *)stream[1], _mm256_permute2x128_si256(a, b, 0x31));
    _mm256_storeu_si256((__m256i *)(stream[1] + 32), _mm256_permute2x128_si256(c, d, 0x31));
}

/* `pairs` is a constant where this is inlined. */
INLINE void stream_pairs(const uint8_t *const *key, const uint64_t *sequence, const uint32_t *counter,
                         uint8_t (*stream)[64], const size_t pairs) {
    two r[4];
#define EACH_PAIR _Pragma("GCC unroll 4") for (size_t i = 0; i < pairs; i++)
    EACH_PAIR r[i] = load_two(key + 2 * i, sequence + 2 * i, counter + 2 * i);
#pragma GCC unroll 1
    for (int round = 0; round < 10; round++) {
        EACH_PAIR half_round(&r[i], 16, 12);
        EACH_PAIR half_round(&r[i], 8, 7);
        EACH_PAIR TURN(&r[i], 0x39, 0x93);
        EACH_PAIR half_round(&r[i], 16, 12);
        EACH_PAIR half_round(&r[i], 8, 7);
        EACH_PAIR TURN(&r[i], 0x93, 0x39);
    }
    EACH_PAIR store_two(stream + 2 * i, r[i], load_two(key + 2 * i, sequence + 2 * i, counter + 2 * i));
#undef EACH_PAIR
}

void zs_chacha_few(const uint8_t *const key[8], const uint64_t sequence[8], const uint32_t counter[8], size_t blocks,
                   uint8_t stream[8][64]) {
    if (blocks <= 2) stream_pairs(key, sequence, counter, stream, 1);
    else if (blocks <= 4) stream_pairs(key, sequence, counter, stream, 2);
    else stream_pairs(key, sequence, counter, stream, 4);
}

ZS_AVX512_END

#endif
