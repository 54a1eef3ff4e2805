/* stream_avx2.c: messages one after the other, the key stream of all of them made eight blocks at a time (floor 1).
 *
 * For one long message the lanes are eight consecutive counters; for a few short ones the blocks of several messages
 * share a pass. Block 0 of every message is its one-time Poly1305 key, the text begins with block 1. What a pass has
 * covered is absorbed during the next one; a text that is opened is deciphered only then.
 */
#include "avx2.h"

#ifdef ZS_HAVE_X86_KERNELS

enum {
    FEW = 4,                /* blocks, of all messages, that need no pass of eight */
    STRANDS = 2 * ZS_LANES8 /* two passes have no more messages than that */
};

/* The lanes of one message in a pass, as bytes of its text. */
typedef struct segment {
    zs_aead_job *job;
    const uint8_t *stream;
    size_t from, to;
    zs_strand *strand;
    bool is_last;
} segment;

typedef struct segments {
    segment list[ZS_LANES8];
    size_t count;
} segments;

typedef struct machine {
    _Alignas(64) uint8_t stream[2][ZS_LANES8][ZS_BLOCK_BYTES];
    zs_cipher8 cipher;
    zs_strand strand[STRANDS]; /* of message j at j % STRANDS */
    segments passes[2];        /* from here on nothing is secret */
    zs_ends ends[STRANDS];
    zs_visits visits;
    size_t whole; /* the lanes all hold this message's key; SIZE_MAX if they do not */
} machine;

/* -- few blocks in all --------------------------------------------------------------------------------------------- */

/* Opened is only what is authentic. */
static void seal_or_open(zs_aead_job *job, const uint8_t *stream, bool opening) {
    zs_strand strand;
    uint8_t lengths[ZS_MAC_BYTES];
    uint64_t tag[2];
    zs_strand_begin(&strand, stream);
    if (!opening) zs_xor_avx2(job->out, job->in, stream + ZS_BLOCK_BYTES, job->len);
    zs_strand_absorb(&strand, job->ad, job->ad_len);
    zs_strand_absorb(&strand, opening ? job->in : job->out, job->len);
    zs_store64(lengths, job->ad_len);
    zs_store64(lengths + 8, job->len);
    zs_strand_absorb(&strand, lengths, sizeof lengths);
    zs_strand_finish(&strand, tag);
    if (zs_hand_tag(job, tag[0], tag[1], opening) && opening)
        zs_xor_avx2(job->out, job->in, stream + ZS_BLOCK_BYTES, job->len);
}

static __attribute__((noinline)) void few_blocks(zs_aead_job *const *jobs, size_t count, bool opening) {
    _Alignas(64) uint8_t stream[FEW][ZS_BLOCK_BYTES];
    const uint8_t *key[FEW];
    uint64_t sequence[FEW];
    uint32_t counter[FEW];
    zs_fill_lanes(key, sequence, counter, FEW, jobs, count, (zs_cursor){0, 0});
    zs_cipher4_stream(key, sequence, counter, stream, NULL);
    for (size_t i = 0, lane = 0; i < count; lane += zs_stream_blocks(jobs[i++])) {
        seal_or_open(jobs[i], stream[lane], opening);
    }
}

/* -- any number ---------------------------------------------------------------------------------------------------- */

/* A pass of the cipher whose lanes are all of one message, from `block` on. */
static void fill_whole(machine *m, uint8_t stream[ZS_LANES8][ZS_BLOCK_BYTES], const zs_aead_job *job, zs_cursor c) {
    uint32_t counter[ZS_LANES8];
    for (size_t i = 0; i < ZS_LANES8; i++) counter[i] = (uint32_t)(c.block + i);
    if (m->whole != c.job) {
        const uint8_t *key[ZS_LANES8];
        uint64_t sequence[ZS_LANES8];
        for (size_t i = 0; i < ZS_LANES8; i++) key[i] = job->key, sequence[i] = job->sequence;
        zs_cipher8_load(&m->cipher, key, sequence);
        m->whole = c.job;
    }
    zs_cipher8_stream(&m->cipher, counter, stream, &m->visits);
}

/* The same for whatever comes next; lanes after the last message repeat its last block. */
static void fill_mixed(machine *m, uint8_t stream[ZS_LANES8][ZS_BLOCK_BYTES], zs_aead_job *const *jobs, size_t count,
                       zs_cursor c) {
    const uint8_t *key[ZS_LANES8];
    uint64_t sequence[ZS_LANES8];
    uint32_t counter[ZS_LANES8];
    zs_fill_lanes(key, sequence, counter, ZS_LANES8, jobs, count, c);
    if (zs_count_blocks(jobs, count, c, FEW + 1) <= FEW) {
        zs_cipher4_stream(key, sequence, counter, stream, &m->visits);
        return;
    }
    m->whole = SIZE_MAX;
    zs_cipher8_load(&m->cipher, key, sequence);
    zs_cipher8_stream(&m->cipher, counter, stream, &m->visits);
}

/* A pass's segments are absorbed: decipher them, and look at the tags of messages that end here. */
static void settle(segments *p, bool opening) {
    for (size_t i = 0; i < p->count; i++) {
        segment *s = &p->list[i];
        zs_aead_job *job = s->job;
        if (opening) zs_xor_avx2(job->out + s->from, job->in + s->from, s->stream, s->to - s->from);
        if (!s->is_last) continue;
        uint64_t tag[2];
        zs_strand_finish(s->strand, tag);
        zs_hand_tag(job, tag[0], tag[1], opening);
    }
    p->count = 0;
}

/* From a block's beginning to the end of a block or of the message. */
static void visit(zs_visits *visits, zs_strand *strand, const uint8_t *in, size_t len, uint8_t end[ZS_MAC_BYTES]) {
    size_t rest = len % ZS_MAC_BYTES;
    if (len >= ZS_MAC_BYTES) zs_visits_add(visits, strand, in, len / ZS_MAC_BYTES);
    if (rest == 0) return;
    memset(end, 0, ZS_MAC_BYTES);
    zs_copy_rest(end, in + len - rest, rest);
}

/* Cut the lanes of a pass into segments, from `c` on, and say what is to be absorbed; where the next pass begins. */
static zs_cursor cut_lanes(machine *m, size_t turn, zs_aead_job *const *jobs, size_t count, zs_cursor c, bool opening) {
    segments *p = &m->passes[turn];
    for (size_t lane = 0; lane < ZS_LANES8 && c.job < count;) {
        zs_aead_job *job = jobs[c.job];
        zs_strand *strand = &m->strand[c.job % STRANDS];
        zs_ends *ends = &m->ends[c.job % STRANDS];
        size_t blocks = zs_stream_blocks(job) - c.block, room = ZS_LANES8 - lane, used = blocks < room ? blocks : room;
        size_t skip = c.block == 0 ? 1 : 0;
        if (c.block == 0) {
            zs_strand_begin(strand, m->stream[turn][lane]);
            visit(&m->visits, strand, job->ad, job->ad_len, ends->ad);
            zs_visits_add_ad_end(&m->visits, strand, job, ends);
        }
        segment s = {.job = job, .stream = m->stream[turn][0] + (lane + skip) * ZS_BLOCK_BYTES,
                     .from = (c.block + skip - 1) * ZS_BLOCK_BYTES, .strand = strand, .is_last = used == blocks};
        s.to = s.is_last ? job->len : s.from + (used - skip) * ZS_BLOCK_BYTES;
        if (!opening) zs_xor_avx2(job->out + s.from, job->in + s.from, s.stream, s.to - s.from);
        visit(&m->visits, strand, (opening ? job->in : job->out) + s.from, s.to - s.from, ends->text);
        if (s.is_last) zs_visits_add_ends(&m->visits, strand, job, ends);
        p->list[p->count++] = s;
        lane += used, c.block += used;
        if (s.is_last) c.job++, c.block = 0;
    }
    return c;
}

static __attribute__((noinline)) void any_blocks(machine *m, zs_aead_job *const *jobs, size_t count, bool opening) {
    m->visits.count = m->passes[0].count = m->passes[1].count = 0;
    m->whole = SIZE_MAX;
    zs_cursor c = {0, 0};
    size_t turn = 0;
    for (; c.job < count; turn = 1 - turn) {
        bool whole = zs_stream_blocks(jobs[c.job]) - c.block >= ZS_LANES8;
        if (whole) fill_whole(m, m->stream[turn], jobs[c.job], c);
        else fill_mixed(m, m->stream[turn], jobs, count, c);
        settle(&m->passes[1 - turn], opening);
        c = cut_lanes(m, turn, jobs, count, c, opening);
    }
    zs_visits_do(&m->visits);
    settle(&m->passes[1 - turn], opening);
}

ZS_AVX2_BEGIN

ZS_STACK_WIPER(wipe_stack_few, 1152)
ZS_STACK_WIPER(wipe_stack, 1536)

static __attribute__((noinline)) void stream_any(zs_aead_job *const *jobs, size_t count, bool opening) {
    machine m;
    any_blocks(&m, jobs, count, opening);
    wipe_stack();
    zs_wipe_lines(&m, offsetof(machine, strand));
    for (size_t i = 0; i < count && i < STRANDS; i++) zs_wipe_lines(&m.strand[i], sizeof m.strand[i]);
}

ZS_AVX2_END

/* The machine is no part of this frame, so that few blocks leave little to wipe. */
void zs_stream_avx2(zs_aead_job *const *jobs, size_t count, bool opening) {
    if (zs_count_blocks(jobs, count, (zs_cursor){0, 0}, FEW + 1) > FEW) {
        stream_any(jobs, count, opening);
        return;
    }
    few_blocks(jobs, count, opening);
    wipe_stack_few();
}

#endif
