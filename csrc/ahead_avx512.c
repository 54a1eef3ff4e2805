/* ahead_avx512.c: key stream for sixteen messages to come, and one message sealed or opened with it (floor 1). */
#include "avx512.h"

#ifdef ZS_HAVE_X86_KERNELS

#include "impl.h"

#include <immintrin.h>

ZS_AVX512_BEGIN

static __attribute__((noinline)) void make(zs_ahead_stream stream, const uint8_t *key, uint64_t first, size_t blocks) {
    zs_chacha16 cipher;
    const uint8_t *keys[ZS_LANES16];
    uint64_t sequence[ZS_LANES16];
    uint32_t counter[2 * ZS_LANES16];
    for (size_t i = 0; i < ZS_LANES16; i++) keys[i] = key, sequence[i] = first + i;
    zs_chacha16_load(&cipher, keys, sequence);
    for (size_t block = 0; block < blocks; block += 2) {
        for (size_t i = 0; i < 2 * ZS_LANES16; i++) counter[i] = (uint32_t)(block + i / ZS_LANES16);
        if (block + 1 < blocks) zs_chacha16_stream2(&cipher, &cipher, counter, stream[block]);
        else zs_chacha16_stream(&cipher, counter, stream[block]);
    }
}

ZS_STACK_WIPER(wipe_stack, 4 * 1024)

void zs_ahead_make_avx512(zs_ahead_stream stream, const uint8_t key[ZS_KEY_BYTES], uint64_t first, size_t blocks) {
    make(stream, key, first, blocks);
    wipe_stack();
}

/* Block 0 is the one-time Poly1305 key, the text begins with block 1. */
static void apply(const zs_aead_job *job, const zs_ahead_stream *stream, size_t lane) {
    for (size_t at = 0; at < job->len; at += 64) {
        size_t left = job->len - at;
        __mmask64 mask = _bzhi_u64(UINT64_MAX, (uint32_t)(left < 64 ? left : 64));
        __m512i x = _mm512_loadu_si512((*stream)[1 + at / 64][lane]);
        x = _mm512_xor_si512(x, _mm512_maskz_loadu_epi8(mask, job->in + at));
        _mm512_mask_storeu_epi8(job->out + at, mask, x);
    }
}

INLINE void authenticate_with(zs_poly1_wide *wide, const zs_aead_job *job, const uint8_t *key, const uint8_t *text,
                              uint64_t tag[2]) {
    zs_poly1 mac;
    zs_poly1_init(&mac, key, wide);
    zs_poly1_blocks(&mac, job->ad, job->ad_len, job->ad_len);
    zs_poly1_blocks(&mac, text, job->len, job->len);
    zs_poly1_finish(&mac, job->ad_len, job->len, tag);
    zs_wipe(&mac, sizeof mac);
}

static __attribute__((noinline)) void authenticate_short(const zs_aead_job *job, const uint8_t *key,
                                                         const uint8_t *text, uint64_t tag[2]) {
    authenticate_with(NULL, job, key, text, tag);
}

/* The text is short, but not all that it is bound to. */
static __attribute__((noinline)) void authenticate_long(const zs_aead_job *job, const uint8_t *key,
                                                        const uint8_t *text, uint64_t tag[2]) {
    zs_poly1_wide wide;
    authenticate_with(&wide, job, key, text, tag);
    zs_wipe_lines(&wide, offsetof(zs_poly1_wide, bulk) + sizeof wide.bulk[0]);
}

ZS_STACK_WIPER(wipe_few, 512)

static void authenticate(const zs_aead_job *job, const uint8_t *key, const uint8_t *text, uint64_t tag[2]) {
    if (job->ad_len < ZS_POLY1_WIDE_FROM) authenticate_short(job, key, text, tag);
    else authenticate_long(job, key, text, tag);
    wipe_few();
}

void zs_ahead_seal_avx512(zs_aead_job *job, const zs_ahead_stream *stream, size_t lane) {
    uint64_t tag[2];
    apply(job, stream, lane);
    authenticate(job, (*stream)[0][lane], job->out, tag);
    zs_hand_tag(job, tag[0], tag[1], false);
}

void zs_ahead_open_avx512(zs_aead_job *job, const zs_ahead_stream *stream, size_t lane) {
    uint64_t tag[2];
    authenticate(job, (*stream)[0][lane], job->in, tag);
    if (zs_hand_tag(job, tag[0], tag[1], true)) apply(job, stream, lane);
}

ZS_AVX512_END

#endif
