/* stream_avx512.c: messages one after the other, the key stream of all of them made in common lanes (floor 1).
 *
 * For a few short messages up to 32 of their blocks share a pass; of a long one 32 blocks in a row are enciphered in
 * their place. Block 0 of every message is its one-time Poly1305 key, the text begins with block 1.
 */
#include "avx512.h"

#ifdef ZS_HAVE_X86_KERNELS

#include "impl.h"

#include <immintrin.h>

ZS_AVX512_BEGIN

enum {
    MAC_GROUP = 128,
    FEW = 8,                     /* blocks that zs_chacha_few makes */
    MOST = 2 * ZS_LANES16,       /* blocks that one pass makes */
    MOST_OF_ONE = ZS_LANES16 + 4 /* up to so many, sixteen and then the rest are sooner made than MOST */
};

typedef struct machine {
    zs_poly1 mac;
    zs_poly1_wide *wide;
    uint8_t (*stream)[64]; /* MOST blocks, or FEW where no more are to come */
    zs_chacha16 *cipher;   /* two of them, or none */
    size_t authenticated;  /* bytes of the current message's text */
    size_t run;            /* the message whose key all lanes of cipher[0] hold, SIZE_MAX if they do not */
} machine;

static const uint8_t *in_at(const zs_aead_job *job, size_t at) {
    return job->far_in != NULL && at >= ZS_NEAR_BYTES ? job->far_in + (at - ZS_NEAR_BYTES) : job->in + at;
}

static uint8_t *out_at(const zs_aead_job *job, size_t at) {
    return job->far_out != NULL && at >= ZS_NEAR_BYTES ? job->far_out + (at - ZS_NEAR_BYTES) : job->out + at;
}

static __attribute__((noinline)) void make_few(machine *m, zs_aead_job *const *jobs, size_t count, zs_cursor c,
                                               size_t blocks) {
    const uint8_t *key[FEW];
    uint64_t sequence[FEW];
    uint32_t counter[FEW];
    zs_fill_lanes(key, sequence, counter, FEW, jobs, count, c);
    zs_chacha_few(key, sequence, counter, blocks, m->stream);
}

static __attribute__((noinline)) void make_many(machine *m, zs_aead_job *const *jobs, size_t count, zs_cursor c,
                                                size_t lanes) {
    const uint8_t *key[MOST];
    uint64_t sequence[MOST];
    uint32_t counter[MOST];
    zs_fill_lanes(key, sequence, counter, lanes, jobs, count, c);
    m->run = SIZE_MAX;
    zs_chacha16_load(&m->cipher[0], key, sequence);
    if (lanes == ZS_LANES16) {
        zs_chacha16_stream(&m->cipher[0], counter, m->stream);
        return;
    }
    zs_chacha16_load(&m->cipher[1], key + ZS_LANES16, sequence + ZS_LANES16);
    zs_chacha16_stream2(&m->cipher[0], &m->cipher[1], counter, m->stream);
}

/* One pass of the cipher for the blocks from `c` on; how many. */
static size_t make_stream(machine *m, zs_aead_job *const *jobs, size_t count, zs_cursor c) {
    size_t blocks = zs_count_blocks(jobs, count, c, MOST);
    if (blocks <= FEW) {
        make_few(m, jobs, count, c, blocks);
        return blocks;
    }
    size_t lanes = blocks <= MOST_OF_ONE ? ZS_LANES16 : MOST;
    make_many(m, jobs, count, c, lanes);
    return blocks < lanes ? blocks : lanes;
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

/* The blocks from `lane` to `lanes` that belong to the message at `block`: its key if it begins here, then text. */
static size_t segment(machine *m, zs_aead_job *job, size_t block, size_t lane, size_t lanes, bool opening) {
    size_t blocks = zs_stream_blocks(job) - block, room = lanes - lane;
    size_t used = blocks < room ? blocks : room, skip = 0;
    if (block == 0) {
        zs_poly1_init(&m->mac, m->stream[lane], m->wide);
        zs_poly1_blocks(&m->mac, job->ad, job->ad_len, job->ad_len);
        m->authenticated = 0;
        skip = 1;
    }
    size_t from = (block + skip - 1) * 64, to = from + (used - skip) * 64;
    if (to > job->len) to = job->len;
    if (from > to) from = to;
    if (opening) authenticate(m, job, job->in, to, true);
    apply(job, m->stream[lane + skip], from, to);
    if (!opening) authenticate(m, job, job->out, to, false);
    return used;
}

static void finish(machine *m, zs_aead_job *job, bool opening) {
    uint64_t tag[2];
    zs_poly1_finish(&m->mac, job->ad_len, job->len, tag);
    zs_hand_tag(job, tag[0], tag[1], opening);
}

/* MOST whole blocks of one message from `block` on, behind its first ZS_NEAR_BYTES. */
static void long_run(machine *m, const zs_aead_job *job, size_t number, size_t block, bool opening) {
    size_t from = (block - 1) * 64, to = from + MOST * 64;
    if (m->run != number) {
        const uint8_t *key[ZS_LANES16];
        uint64_t sequence[ZS_LANES16];
        for (size_t i = 0; i < ZS_LANES16; i++) key[i] = job->key, sequence[i] = job->sequence;
        zs_chacha16_load(&m->cipher[0], key, sequence);
        m->run = number;
    }
    if (opening) authenticate(m, job, job->in, to, true);
    zs_chacha16_run(&m->cipher[0], (uint32_t)block, in_at(job, from), out_at(job, from));
    if (!opening) authenticate(m, job, job->out, to, false);
}

static __attribute__((noinline)) void stream(machine *m, zs_aead_job *const *jobs, size_t count, bool opening) {
    zs_cursor c = {0, 0};
    m->run = SIZE_MAX;
    while (c.job < count) {
        if (c.block > ZS_NEAR_BYTES / 64 && jobs[c.job]->len - (c.block - 1) * 64 >= MOST * 64) {
            long_run(m, jobs[c.job], c.job, c.block, opening);
            c.block += MOST;
        } else {
            for (size_t lane = 0, lanes = make_stream(m, jobs, count, c); lane < lanes;) {
                size_t used = segment(m, jobs[c.job], c.block, lane, lanes, opening);
                lane += used, c.block += used;
                if (lane < lanes) finish(m, jobs[c.job], opening), c.job++, c.block = 0;
            }
        }
        if (c.job < count && c.block == zs_stream_blocks(jobs[c.job]))
            finish(m, jobs[c.job], opening), c.job++, c.block = 0;
    }
}

ZS_STACK_WIPER(wipe_stack_short, 1024)
ZS_STACK_WIPER(wipe_stack_medium, 1536)
ZS_STACK_WIPER(wipe_stack_long, 3 * 1024)

/* Three sizes of the same, for to wipe takes its time too. */
static void stream_short(zs_aead_job *const *jobs, size_t count, bool opening) {
    _Alignas(64) uint8_t blocks[FEW][64];
    machine m = {.wide = NULL, .stream = blocks, .cipher = NULL};
    stream(&m, jobs, count, opening);
    wipe_stack_short();
    zs_wipe_lines(blocks, sizeof blocks);
    zs_wipe(&m.mac, sizeof m.mac);
}

static void stream_medium(zs_aead_job *const *jobs, size_t count, bool opening) {
    _Alignas(64) uint8_t blocks[ZS_LANES16][64];
    zs_chacha16 cipher;
    zs_poly1_wide wide;
    machine m = {.wide = &wide, .stream = blocks, .cipher = &cipher};
    stream(&m, jobs, count, opening);
    wipe_stack_medium();
    zs_wipe_lines(blocks, sizeof blocks);
    zs_wipe_lines(&cipher, offsetof(zs_chacha16, first));
    zs_wipe_lines(&wide, offsetof(zs_poly1_wide, bulk) + sizeof wide.bulk[0]);
    zs_wipe(&m.mac, sizeof m.mac);
}

static void stream_long(zs_aead_job *const *jobs, size_t count, bool opening) {
    _Alignas(64) uint8_t blocks[MOST][64];
    zs_chacha16 cipher[2];
    zs_poly1_wide wide;
    machine m = {.wide = &wide, .stream = blocks, .cipher = cipher};
    stream(&m, jobs, count, opening);
    wipe_stack_long();
    zs_wipe_lines(blocks, sizeof blocks);
    zs_wipe_lines(cipher, sizeof cipher);
    zs_wipe_lines(&wide, offsetof(zs_poly1_wide, bulk) + sizeof wide.bulk[0]);
    zs_wipe(&m.mac, sizeof m.mac);
}

void zs_stream_avx512(zs_aead_job *const *jobs, size_t count, bool opening) {
    size_t blocks = 0, longest_ad = 0;
    for (size_t i = 0; i < count && blocks <= MOST_OF_ONE; i++) {
        blocks += zs_stream_blocks(jobs[i]);
        if (jobs[i]->ad_len > longest_ad) longest_ad = jobs[i]->ad_len;
    }
    if (blocks <= FEW && longest_ad < ZS_POLY1_WIDE_FROM) stream_short(jobs, count, opening);
    else if (blocks <= MOST_OF_ONE) stream_medium(jobs, count, opening);
    else stream_long(jobs, count, opening);
}

ZS_AVX512_END

#endif
