/* chacha20_avx2.c: ChaCha20, HChaCha20, eight blocks at a time in AVX2, with Poly1305 between the rounds (floor 1). */
#include "avx2.h"

#ifdef ZS_HAVE_X86_KERNELS

#include "poly1305_avx2.h"

#include <immintrin.h>

ZS_AVX2_BEGIN

typedef __m256i v8;

enum { SIGMA0 = 0x61707865, SIGMA1 = 0x3320646e, SIGMA2 = 0x79622d32, SIGMA3 = 0x6b206574 };
enum { DOUBLE_ROUNDS = 10 };

#define ADD(a, b) _mm256_add_epi32(a, b)
#define XOR(a, b) _mm256_xor_si256(a, b)
#define BYTES4(a, b, c, d, n) a + n, b + n, c + n, d + n
#define BYTES16(a, b, c, d) \
    BYTES4(a, b, c, d, 0), BYTES4(a, b, c, d, 4), BYTES4(a, b, c, d, 8), BYTES4(a, b, c, d, 12)
static const _Alignas(32) uint8_t ROL16_BYTES[32] = {BYTES16(2, 3, 0, 1), BYTES16(2, 3, 0, 1)};
static const _Alignas(32) uint8_t ROL8_BYTES[32] = {BYTES16(3, 0, 1, 2), BYTES16(3, 0, 1, 2)};
/* The rounds are in assembly: compilers keep more of the state on the stack than must be, and cannot be told to leave a
 * block of Poly1305 where it stands. The rows of the state are ymm0 to ymm3, ymm4 to ymm7, for half of the third row at
 * a time ymm12 and ymm13, ymm8 to ymm11. RFC 8439 section 2.1, on two columns or diagonals at once. */
#define Y(n) "%%ymm" #n
#define PAIR_OF(op, a, b, c, d) op " " Y(b) ", " Y(a) ", " Y(a) "\n\t" op " " Y(d) ", " Y(c) ", " Y(c) "\n\t"
#define PAIR_ROL(a, b, how) "vpshufb %[" how "], " Y(a) ", " Y(a) "\n\tvpshufb %[" how "], " Y(b) ", " Y(b) "\n\t"
#define PAIR_SHIFT(a, b, left, right)                                                            \
    "vpslld $" left ", " Y(a) ", %%ymm14\n\tvpslld $" left ", " Y(b) ", %%ymm15\n\t"             \
    "vpsrld $" right ", " Y(a) ", " Y(a) "\n\tvpsrld $" right ", " Y(b) ", " Y(b) "\n\t"         \
    PAIR_OF("vpor", a, 14, b, 15)
#define QUARTERS(a, b, c, d, e, f, g, h)                                                         \
    PAIR_OF("vpaddd", a, b, e, f) PAIR_OF("vpxor", d, a, h, e) PAIR_ROL(d, h, "rol16")           \
    PAIR_OF("vpaddd", c, d, g, h) PAIR_OF("vpxor", b, c, f, g) PAIR_SHIFT(b, f, "12", "20")      \
    PAIR_OF("vpaddd", a, b, e, f) PAIR_OF("vpxor", d, a, h, e) PAIR_ROL(d, h, "rol8")            \
    PAIR_OF("vpaddd", c, d, g, h) PAIR_OF("vpxor", b, c, f, g) PAIR_SHIFT(b, f, "7", "25")
#define SWAP(out0, out1, in0, in1)                                                               \
    "vmovdqa %%ymm12, " out0 "(%[x])\n\tvmovdqa %%ymm13, " out1 "(%[x])\n\t"                      \
    "vmovdqa " in0 "(%[x]), %%ymm12\n\tvmovdqa " in1 "(%[x]), %%ymm13\n\t"

#define TAKE(register, at) "vmovdqa " at "(%[x]), " Y(register) "\n\t"
#define PUT(register, at) "vmovdqa " Y(register) ", " at "(%[x])\n\t"
#define EIGHT(how)                                    \
    how(0, "0") how(1, "32") how(2, "64") how(3, "96") \
    how(4, "128") how(5, "160") how(6, "192") how(7, "224")
#define SIX(how) how(12, "256") how(13, "288") how(8, "384") how(9, "416") how(10, "448") how(11, "480")

/* Ten double rounds on the rows at x, a visit before every round, and what visits are left. */
#define ROUNDS(x, take, column_round, diagonal_round, put)                                                             \
    do {                                                                                                               \
        zs_visit none = {.blocks = 0}, *v = visits == NULL ? &none : visits->list;                                     \
        uint64_t left = DOUBLE_ROUNDS;                                                                                 \
        ZS_VISIT_VARIABLES;                                                                                            \
        if (visits != NULL) visits->list[visits->count].blocks = 0;                                                    \
        __asm__ volatile(take ".p2align 4\n\t1:\n\t" ZS_VISIT column_round ZS_VISIT diagonal_round                     \
                         "decq %[left]\n\tjnz 1b\n\t" ZS_VISIT_REST put                                                \
                         : ZS_VISIT_OPERANDS(v), [left] "+m"(left)                                                     \
                         : [x] "r"(x), [rol16] "m"(ROL16_BYTES), [rol8] "m"(ROL8_BYTES)                                \
                         : "rdx", "cc", "memory", "ymm0", "ymm1", "ymm2", "ymm3", "ymm4", "ymm5", "ymm6", "ymm7",      \
                           "ymm8", "ymm9", "ymm10", "ymm11", "ymm12", "ymm13", "ymm14", "ymm15");                      \
        if (visits == NULL) break;                                                                                     \
        while (v < visits->list + visits->count) ZS_VISIT_DO(v);                                                       \
        visits->count = 0;                                                                                             \
    } while (0)

INLINE void rounds(v8 x[16], zs_visits *visits) {
    ROUNDS(x, EIGHT(TAKE) SIX(TAKE),
           QUARTERS(0, 4, 12, 8, 1, 5, 13, 9) SWAP("256", "288", "320", "352") QUARTERS(2, 6, 12, 10, 3, 7, 13, 11),
           QUARTERS(0, 5, 12, 11, 1, 6, 13, 8) SWAP("320", "352", "256", "288") QUARTERS(2, 7, 12, 9, 3, 4, 13, 10),
           EIGHT(PUT) SIX(PUT));
}

/* Four blocks as rows, two blocks in each register: a short chain where eight lanes would stand empty. */
#define TURN(a, b, c, how_a, how_c)                                                              \
    "vpshufd $" how_a ", " Y(a) ", " Y(a) "\n\tvpshufd $0x4E, " Y(b) ", " Y(b) "\n\t"            \
    "vpshufd $" how_c ", " Y(c) ", " Y(c) "\n\t"
#define TURN_BOTH(how_b, how_d) TURN(1, 2, 3, how_b, how_d) TURN(5, 6, 7, how_b, how_d)

INLINE void rounds_of_rows(v8 x[8], zs_visits *visits) {
    ROUNDS(x, EIGHT(TAKE), QUARTERS(0, 1, 2, 3, 4, 5, 6, 7) TURN_BOTH("0x39", "0x93"),
           QUARTERS(0, 1, 2, 3, 4, 5, 6, 7) TURN_BOTH("0x93", "0x39"), EIGHT(PUT));
}
#undef TAKE
#undef PUT

INLINE v8 load(const void *p) {
    return _mm256_loadu_si256((const __m256i *)p);
}

INLINE void store(void *p, v8 x) {
    _mm256_storeu_si256((__m256i *)p, x);
}

INLINE v8 row(const uint32_t words[ZS_LANES8]) {
    return _mm256_load_si256((const __m256i *)words);
}

INLINE v8 all(uint32_t word) {
    return _mm256_set1_epi32((int)word);
}

/* The state of one block in each lane after the rounds; `counter` may differ by lane. */
INLINE void run(v8 x[16], const zs_cipher8 *s, v8 counter, zs_visits *visits) {
    x[0] = all(SIGMA0), x[1] = all(SIGMA1), x[2] = all(SIGMA2), x[3] = all(SIGMA3);
    x[4] = row(s->key[0]), x[5] = row(s->key[1]), x[6] = row(s->key[2]), x[7] = row(s->key[3]);
    x[8] = row(s->key[4]), x[9] = row(s->key[5]), x[10] = row(s->key[6]), x[11] = row(s->key[7]);
    x[12] = counter, x[13] = all(ZS_NONCE_WORD), x[14] = row(s->sequence[0]), x[15] = row(s->sequence[1]);
    rounds(x, visits);
}

/* Four rows of words become, in each half, four words of lanes 0 to 3 and of lanes 4 to 7. */
#define TURN4(a, b, c, d)                                                                       \
    do {                                                                                        \
        v8 ab_ = _mm256_unpacklo_epi32(a, b), AB_ = _mm256_unpackhi_epi32(a, b);                \
        v8 cd_ = _mm256_unpacklo_epi32(c, d), CD_ = _mm256_unpackhi_epi32(c, d);                \
        a = _mm256_unpacklo_epi64(ab_, cd_), b = _mm256_unpackhi_epi64(ab_, cd_);               \
        c = _mm256_unpacklo_epi64(AB_, CD_), d = _mm256_unpackhi_epi64(AB_, CD_);               \
    } while (0)

/* The low halves of a and b come together in a, the high ones in b. */
#define PAIR(a, b)                                                                              \
    do {                                                                                        \
        v8 low_ = _mm256_permute2x128_si256(a, b, 0x20);                                        \
        b = _mm256_permute2x128_si256(a, b, 0x31), a = low_;                                    \
    } while (0)

/* Words 0 to 7 of lane i come to stand in x[i], if x[i] was row i of them. */
#define TURN8(x, at)                                                                            \
    do {                                                                                        \
        TURN4(x[at], x[at + 1], x[at + 2], x[at + 3]);                                          \
        TURN4(x[at + 4], x[at + 5], x[at + 6], x[at + 7]);                                      \
        PAIR(x[at], x[at + 4]);                                                                 \
        PAIR(x[at + 1], x[at + 5]);                                                             \
        PAIR(x[at + 2], x[at + 6]);                                                             \
        PAIR(x[at + 3], x[at + 7]);                                                             \
    } while (0)

/* The first and the second 32 bytes of every lane's key stream. */
INLINE void first_half(v8 y[8], const v8 x[16], const zs_cipher8 *s) {
    y[0] = ADD(x[0], all(SIGMA0)), y[1] = ADD(x[1], all(SIGMA1));
    y[2] = ADD(x[2], all(SIGMA2)), y[3] = ADD(x[3], all(SIGMA3));
    y[4] = ADD(x[4], row(s->key[0])), y[5] = ADD(x[5], row(s->key[1]));
    y[6] = ADD(x[6], row(s->key[2])), y[7] = ADD(x[7], row(s->key[3]));
    TURN8(y, 0);
}

INLINE void second_half(v8 y[8], const v8 x[16], const zs_cipher8 *s, v8 counter) {
    y[0] = ADD(x[8], row(s->key[4])), y[1] = ADD(x[9], row(s->key[5]));
    y[2] = ADD(x[10], row(s->key[6])), y[3] = ADD(x[11], row(s->key[7]));
    y[4] = ADD(x[12], counter), y[5] = ADD(x[13], all(ZS_NONCE_WORD));
    y[6] = ADD(x[14], row(s->sequence[0])), y[7] = ADD(x[15], row(s->sequence[1]));
    TURN8(y, 0);
}

#define EACH8(DO) DO(0) DO(1) DO(2) DO(3) DO(4) DO(5) DO(6) DO(7)

/* Lane i of row w is word w of key i: the same transposition. */
INLINE void load_keys(v8 x[8], const uint8_t *const key[ZS_LANES8]) {
#define TAKE(i) x[i] = load(key[i]);
    EACH8(TAKE)
#undef TAKE
    TURN8(x, 0);
}

void zs_cipher8_load(zs_cipher8 *s, const uint8_t *const key[ZS_LANES8], const uint64_t sequence[ZS_LANES8]) {
    v8 x[8];
    load_keys(x, key);
#define PUT(i) store(s->key[i], x[i]);
    EACH8(PUT)
#undef PUT
    __m256 low = _mm256_castsi256_ps(load(sequence)), high = _mm256_castsi256_ps(load(sequence + 4));
    v8 even = _mm256_castps_si256(_mm256_shuffle_ps(low, high, 0x88));
    v8 odd = _mm256_castps_si256(_mm256_shuffle_ps(low, high, 0xDD));
    store(s->sequence[0], _mm256_permute4x64_epi64(even, 0xD8));
    store(s->sequence[1], _mm256_permute4x64_epi64(odd, 0xD8));
}

/* r || s, r clamped as in RFC 8439 section 2.5. */
INLINE void begin_strand(zs_strand *strand, v8 key) {
    v8 r = _mm256_and_si256(key, _mm256_setr_epi64x(INT64_C(0x0FFFFFFC0FFFFFFF), INT64_C(0x0FFFFFFC0FFFFFFC), -1, -1));
    v8 s1 = _mm256_permute4x64_epi64(_mm256_add_epi64(r, _mm256_srli_epi64(r, 2)), 0x40);
    _mm256_store_si256((__m256i *)strand->r, r);
    _mm256_store_si256((__m256i *)strand->h, _mm256_blend_epi32(_mm256_setzero_si256(), s1, 0xC0));
}

void zs_strand_begin(zs_strand *strand, const uint8_t key[ZS_KEY_BYTES]) {
    begin_strand(strand, load(key));
}

void zs_cipher8_strands(const zs_cipher8 *s, zs_strand strand[ZS_LANES8], zs_visits *visits) {
    v8 x[16], y[8];
    run(x, s, all(0), visits);
    first_half(y, x, s);
#define BEGIN(i) begin_strand(&strand[i], y[i]);
    EACH8(BEGIN)
#undef BEGIN
}

/* Every input is read before any output is written: at strides of a power of two they would alias in the cache. */
INLINE void mix(v8 y[8], size_t at, const uint8_t *const in[ZS_LANES8], uint8_t *const out[ZS_LANES8], size_t count) {
#define MIX(i) y[i] = XOR(y[i], load(in[i] + at));
    EACH8(MIX)
#undef MIX
    if (count == ZS_LANES8) {
#define PUT(i) store(out[i] + at, y[i]);
        EACH8(PUT)
#undef PUT
    } else {
        for (size_t i = 0; i < count; i++) store(out[i] + at, y[i]);
    }
}

void zs_cipher8_block(const zs_cipher8 *s, uint32_t counter, const uint8_t *const in[ZS_LANES8],
                      uint8_t *const out[ZS_LANES8], size_t at, size_t count, zs_visits *visits) {
    v8 x[16], y[8];
    run(x, s, all(counter), visits);
    first_half(y, x, s);
    mix(y, at, in, out, count);
    second_half(y, x, s, all(counter));
    mix(y, at + ZS_BLOCK_BYTES / 2, in, out, count);
}

void zs_cipher8_stream(const zs_cipher8 *s, const uint32_t counter[ZS_LANES8],
                       uint8_t stream[ZS_LANES8][ZS_BLOCK_BYTES], zs_visits *visits) {
    v8 x[16], y[8];
    run(x, s, load(counter), visits);
    first_half(y, x, s);
#define PUT(i) store(stream[i], y[i]);
    EACH8(PUT)
#undef PUT
    second_half(y, x, s, load(counter));
#define PUT(i) store(stream[i] + 32, y[i]);
    EACH8(PUT)
#undef PUT
}

INLINE v8 two(const uint8_t *low, const uint8_t *high) {
    return _mm256_set_m128i(_mm_loadu_si128((const __m128i *)high), _mm_loadu_si128((const __m128i *)low));
}

INLINE void load_rows(v8 x[4], const uint8_t *const key[2], const uint64_t sequence[2], const uint32_t counter[2]) {
    x[0] = _mm256_setr_epi32(SIGMA0, SIGMA1, SIGMA2, SIGMA3, SIGMA0, SIGMA1, SIGMA2, SIGMA3);
    x[1] = two(key[0], key[1]);
    x[2] = two(key[0] + 16, key[1] + 16);
#define NONCE(i) (int64_t)((uint64_t)ZS_NONCE_WORD << 32 | counter[i]), (int64_t)sequence[i]
    x[3] = _mm256_setr_epi64x(NONCE(0), NONCE(1));
#undef NONCE
}

INLINE void store_rows(uint8_t stream[2][ZS_BLOCK_BYTES], const v8 x[4], const v8 start[4]) {
    v8 a = ADD(x[0], start[0]), b = ADD(x[1], start[1]), c = ADD(x[2], start[2]), d = ADD(x[3], start[3]);
    PAIR(a, b);
    PAIR(c, d);
    store(stream[0], a), store(stream[0] + 32, c);
    store(stream[1], b), store(stream[1] + 32, d);
}

void zs_cipher4_stream(const uint8_t *const key[4], const uint64_t sequence[4], const uint32_t counter[4],
                       uint8_t stream[4][ZS_BLOCK_BYTES], zs_visits *visits) {
    v8 x[8], start[4];
    load_rows(x, key, sequence, counter);
    load_rows(x + 4, key + 2, sequence + 2, counter + 2);
    rounds_of_rows(x, visits);
    load_rows(start, key, sequence, counter);
    store_rows(stream, x, start);
    load_rows(start, key + 2, sequence + 2, counter + 2);
    store_rows(stream + 2, x + 4, start);
}

#define XOR16(p, q) _mm_xor_si128(_mm_loadu_si128((const __m128i *)(p)), _mm_loadu_si128((const __m128i *)(q)))

void zs_xor_avx2(uint8_t *out, const uint8_t *in, const uint8_t *stream, size_t len) {
    for (; len >= 64; stream += 64, in += 64, out += 64, len -= 64) {
        v8 a = XOR(load(in), load(stream)), b = XOR(load(in + 32), load(stream + 32));
        store(out, a), store(out + 32, b);
    }
    if (len >= 32) {
        store(out, XOR(load(in), load(stream)));
        stream += 32, in += 32, out += 32, len -= 32;
    }
    if (len >= 16) {
        _mm_storeu_si128((__m128i *)out, XOR16(in, stream));
        stream += 16, in += 16, out += 16, len -= 16;
    }
    if (len == 0) return;
    uint8_t rest[16] = {0};
    zs_copy_rest(rest, in, len);
    _mm_storeu_si128((__m128i *)rest, XOR16(rest, stream));
    zs_copy_rest(out, rest, len);
}

/* draft-irtf-cfrg-xchacha section 2.2; out, key and input of up to eight jobs. */
static __attribute__((noinline)) void hchacha8(zs_subkey_job *jobs, size_t count) {
    const uint8_t *key[ZS_LANES8], *input[ZS_LANES8];
    v8 x[16];
    for (size_t i = 0; i < ZS_LANES8; i++) {
        key[i] = jobs[i < count ? i : 0].key;
        input[i] = jobs[i < count ? i : 0].input;
    }
    x[0] = all(SIGMA0), x[1] = all(SIGMA1), x[2] = all(SIGMA2), x[3] = all(SIGMA3);
    load_keys(x + 4, key);
    x[12] = two(input[0], input[4]), x[13] = two(input[1], input[5]);
    x[14] = two(input[2], input[6]), x[15] = two(input[3], input[7]);
    TURN4(x[12], x[13], x[14], x[15]);
    rounds(x, NULL);
    TURN4(x[0], x[1], x[2], x[3]);
    TURN4(x[12], x[13], x[14], x[15]);
    /* Halves of x[n] and x[12 + n] are the two halves of lanes n and 4 + n. */
#define PUT(n)                                                                  \
    PAIR(x[n], x[12 + n]);                                                      \
    if (n < count) store(jobs[n].out, x[n]);                                    \
    if (n + 4 < count) store(jobs[n + 4].out, x[12 + n]);
    PUT(0) PUT(1) PUT(2) PUT(3)
#undef PUT
}

ZS_STACK_WIPER(wipe_stack, 1024)

/* One or two jobs are done sooner by libsodium. */
void zs_hchacha20_many_avx2(const zs_sodium *sodium, zs_subkey_job *jobs, size_t count) {
    size_t done = 0;
    for (; count - done > 2; done += done + ZS_LANES8 < count ? ZS_LANES8 : count - done) {
        hchacha8(jobs + done, count - done < ZS_LANES8 ? count - done : ZS_LANES8);
    }
    zs_hchacha20_many_portable(sodium, jobs + done, count - done);
    wipe_stack();
}

ZS_AVX2_END

#endif
