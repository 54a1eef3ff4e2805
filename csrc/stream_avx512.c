/* stream_avx512.c: messages one after the other, the key stream of all of them made sixteen blocks at a time (floor 1).
 *
 * For one long message the lanes are sixteen consecutive counters; for a few short ones the blocks of several
 * messages share a pass. Block 0 of every message is its one-time Poly1305 key, the text begins with block 1.
 */
#include "avx512.h"

#ifdef ZS_HAVE_X86_KERNELS

#include "impl.h"

#include <immintrin.h>

ZS_AVX512_BEGIN

enum { MAC_GROUP = 128 };

typedef struct cursor {
    size_t job;    /* which message the next lane belongs to */
    size_t block;  /* and which of its blocks */
} cursor;

typedef struct machine {
    zs_chacha16 cipher;
    zs_poly1 mac;
    _Alignas(64) uint8_t stream[ZS_LANES16][64];
    uint32_t counter[ZS_LANES16];
    size_t authenticated; /* bytes of the current message's text */
    size_t whole_run;     /* the lanes all hold this message's key; SIZE_MAX if they do not */
} machine;

static size_t blocks_of(const zs_aead_job *job) {
    return 1 + (job->len + 63) / 64;
}

static const uint8_t *in_at(const zs_aead_job *job, size_t at) {
    return job->far_in != NULL && at >= ZS_NEAR_BYTES ? job->far_in + (at - ZS_NEAR_BYTES) : job->in + at;
}

static uint8_t *out_at(const zs_aead_job *job, size_t at) {
    return job->far_out != NULL && at >= ZS_NEAR_BYTES ? job->far_out + (at - ZS_NEAR_BYTES) : job->out + at;
}

/* One pass of the cipher for the sixteen blocks from `c` on; lanes after the last message repeat its last block. */
static void fill_lanes(machine *m, zs_aead_job *const *jobs, size_t count, cursor c) {
    const uint8_t *key[ZS_LANES16];
    uint64_t sequence[ZS_LANES16];
    size_t first = c.job, used = ZS_LANES16;
    for (size_t i = 0; i < ZS_LANES16; i++) {
        key[i] = jobs[c.job]->key;
        sequence[i] = jobs[c.job]->sequence;
        m->counter[i] = (uint32_t)c.block;
        if (c.block > 0) {
            _mm_prefetch(in_at(jobs[c.job], 64 * (c.block - 1)), _MM_HINT_T0);
            _mm_prefetch(out_at(jobs[c.job], 64 * (c.block - 1)), _MM_HINT_T0);
        }
        if (c.block + 1 < blocks_of(jobs[c.job])) c.block++;
        else if (c.job + 1 < count) c.job++, c.block = 0;
        else if (used == ZS_LANES16) used = i + 1;
    }
    if (used <= ZS_LANES16 / 2) {
        zs_chacha8_stream(key, sequence, m->counter, m->stream);
        return;
    }
    bool whole = c.job == first;
    if (!whole || m->whole_run != first) zs_chacha16_load(&m->cipher, key, sequence);
    m->whole_run = whole ? first : SIZE_MAX;
    zs_chacha16_stream(&m->cipher, m->counter, m->stream);
}

static void apply_run(const uint8_t *stream, const uint8_t *in, uint8_t *out, size_t len) {
    for (; len >= 64; stream += 64, in += 64, out += 64, len -= 64)
        _mm512_storeu_si512(out, _mm512_xor_si512(_mm512_loadu_si512(in), _mm512_load_si512(stream)));
    if (len == 0) return;
    __mmask64 mask = _bzhi_u64(UINT64_MAX, (uint32_t)len);
    __m512i x = _mm512_xor_si512(_mm512_maskz_loadu_epi8(mask, in), _mm512_load_si512(stream));
    _mm512_mask_storeu_epi8(out, mask, x);
}

/* Bytes `from` to `to` of the text; `from` is a multiple of 64. */
static void apply(const zs_aead_job *job, const uint8_t *stream, size_t from, size_t to) {
    if (from < ZS_NEAR_BYTES && to > ZS_NEAR_BYTES) {
        apply_run(stream, job->in, job->out, ZS_NEAR_BYTES);
        stream += ZS_NEAR_BYTES, from = ZS_NEAR_BYTES;
    }
    apply_run(stream, in_at(job, from), out_at(job, from), to - from);
}

/* Bring the MAC to byte `to` of `text`: up to there in whole groups, or past it if it may run `ahead`. */
static void authenticate(machine *m, const zs_aead_job *job, const uint8_t *text, size_t to, bool ahead) {
    size_t from = m->authenticated;
    if (to <= from) return;
    size_t groups = (to - from + (ahead ? MAC_GROUP - 1 : 0)) / MAC_GROUP, end = from + groups * MAC_GROUP;
    if (to == job->len || end > job->len) end = job->len;
    if (end == from) return;
    zs_poly1_blocks(&m->mac, text + from, end - from, job->len - from);
    m->authenticated = end;
}

/* The lanes from `lane` on that belong to the message at `c`: its key if it begins here, then text. */
static size_t segment(machine *m, zs_aead_job *job, size_t block, size_t lane, bool opening) {
    size_t blocks = blocks_of(job) - block, room = ZS_LANES16 - lane;
    size_t used = blocks < room ? blocks : room, skip = 0;
    if (block == 0) {
        zs_poly1_init(&m->mac, m->stream[lane]);
        zs_poly1_blocks(&m->mac, job->ad, job->ad_len, job->ad_len);
        m->authenticated = 0;
        skip = 1;
    }
    size_t from = (block + skip - 1) * 64, to = from + (used - skip) * 64;
    if (to > job->len) to = job->len;
    if (from > to) from = to;
    if (opening) authenticate(m, job, job->in, to, true);
    apply(job, m->stream[0] + (lane + skip) * 64, from, to);
    if (!opening) authenticate(m, job, job->out, to, false);
    return used;
}

static void finish(machine *m, zs_aead_job *job, bool opening) {
    uint64_t tag[2];
    zs_poly1_finish(&m->mac, job->ad_len, job->len, tag);
    if (!opening) {
        zs_store64(job->tag, tag[0]);
        zs_store64(job->tag + 8, tag[1]);
        job->status = ZS_OK;
        return;
    }
    uint64_t differ = (zs_load64(job->tag) ^ tag[0]) | (zs_load64(job->tag + 8) ^ tag[1]);
    job->status = differ == 0 ? ZS_OK : ZS_FORGED;
    if (differ == 0) return;
    zs_wipe(job->out, job->far_out == NULL ? job->len : ZS_NEAR_BYTES);
    if (job->far_out != NULL) zs_wipe(job->far_out, job->len - ZS_NEAR_BYTES);
}

static inline __attribute__((always_inline)) void run(zs_aead_job *const *jobs, size_t count, bool opening) {
    machine m;
    m.whole_run = SIZE_MAX;
    cursor c = {0, 0};
    while (c.job < count) {
        fill_lanes(&m, jobs, count, c);
        for (size_t lane = 0; lane < ZS_LANES16 && c.job < count;) {
            size_t used = segment(&m, jobs[c.job], c.block, lane, opening);
            lane += used, c.block += used;
            if (c.block == blocks_of(jobs[c.job])) {
                finish(&m, jobs[c.job], opening);
                c.job++, c.block = 0;
            }
        }
    }
    zs_wipe(&m, sizeof m);
}

void zs_stream_seal_avx512(zs_aead_job *const *jobs, size_t count) {
    run(jobs, count, false);
}

void zs_stream_open_avx512(zs_aead_job *const *jobs, size_t count) {
    run(jobs, count, true);
}

ZS_AVX512_END

#endif
