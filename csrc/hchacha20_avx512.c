/* hchacha20_avx512.c: HChaCha20, the subkeys of sixteen sessions at a time (floor 1). */
#include "avx512.h"

#ifdef ZS_HAVE_X86_KERNELS

#include "avx512_rows.h"
#include "impl.h"

ZS_AVX512_BEGIN

/* Sixteen bytes of each of four lanes, as turn4 wants them. */
INLINE row four(const uint8_t *const input[ZS_LANES16], size_t i) {
#define QUARTER(i) _mm_loadu_si128((const __m128i *)input[i])
    __m256i low = _mm256_set_m128i(QUARTER(i + 4), QUARTER(i));
    __m256i high = _mm256_set_m128i(QUARTER(i + 12), QUARTER(i + 8));
#undef QUARTER
    return (row)_mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1);
}

/* draft-irtf-cfrg-xchacha section 2.2; out, key and input of up to sixteen jobs. */
static __attribute__((noinline)) void hchacha16(zs_subkey_job *jobs, size_t count) {
    _Alignas(64) uint32_t keys[8][ZS_LANES16];
    const uint8_t *key[ZS_LANES16], *input[ZS_LANES16];
    row x[16];
    for (size_t i = 0; i < ZS_LANES16; i++) {
        key[i] = jobs[i < count ? i : 0].key;
        input[i] = jobs[i < count ? i : 0].input;
    }
    load_keys(keys, key);
    x[0] = all(SIGMA0), x[1] = all(SIGMA1), x[2] = all(SIGMA2), x[3] = all(SIGMA3);
    x[4] = load_row(keys[0]), x[5] = load_row(keys[1]), x[6] = load_row(keys[2]), x[7] = load_row(keys[3]);
    x[8] = load_row(keys[4]), x[9] = load_row(keys[5]), x[10] = load_row(keys[6]), x[11] = load_row(keys[7]);
    x[12] = four(input, 0), x[13] = four(input, 1), x[14] = four(input, 2), x[15] = four(input, 3);
    turn4(&x[12], &x[13], &x[14], &x[15]);
    rounds(x);
    turn4(&x[0], &x[1], &x[2], &x[3]);
    turn4(&x[12], &x[13], &x[14], &x[15]);
    /* Quarter q of x[n] and x[12 + n] are the two halves of lane 4q + n. */
#define STORE(i)                                                                                                   \
    if (i < count) {                                                                                               \
        _mm_storeu_si128((__m128i *)jobs[i].out, _mm512_extracti32x4_epi32((__m512i)x[i % 4], i / 4));             \
        _mm_storeu_si128((__m128i *)(jobs[i].out + 16), _mm512_extracti32x4_epi32((__m512i)x[12 + i % 4], i / 4)); \
    }
    EACH16(STORE)
#undef STORE
}

ZS_STACK_WIPER(wipe_stack, 1024)

/* One or two jobs are done sooner by libsodium. */
void zs_hchacha20_many_avx512(const zs_sodium *sodium, zs_subkey_job *jobs, size_t count) {
    size_t lanes = count > 2 ? count : 0;
    for (size_t done = 0; done < lanes; done += ZS_LANES16) {
        hchacha16(jobs + done, lanes - done < ZS_LANES16 ? lanes - done : ZS_LANES16);
    }
    if (lanes > 0) wipe_stack();
    else zs_hchacha20_many_portable(sodium, jobs, count);
}

ZS_AVX512_END

#endif
