/* avx2.h: what the AVX2 kernel files share (floor 1): eight messages side by side, one in each lane of 32 bits.
 *
 * The cipher fills the vector units and leaves the integer units idle, so Poly1305 is scalar and rides along: every
 * pass of the cipher takes a list of visits, blocks that wait for their MAC, and absorbs them between its rounds. The
 * walkers (lanes_avx2.c: side by side, stream_avx2.c: one message after the other) only say what is to be absorbed
 * next.
 */
#ifndef ZS_AVX2_H
#define ZS_AVX2_H

#include "jobs.h"
#include "kernels.h"

#ifdef ZS_HAVE_X86_KERNELS

/* Functions between these two may use the instructions that dispatch.c has looked for. */
#define ZS_AVX2_BEGIN ZS_TARGET_BEGIN("avx2,bmi2")
#define ZS_AVX2_END ZS_TARGET_END

enum { ZS_LANES8 = 8, ZS_BLOCK_BYTES = 64, ZS_MAC_BYTES = 16, ZS_VISIT_BYTES = 2 * ZS_MAC_BYTES, ZS_VISITS = 32 };

/* Rows of ChaCha20's state: key, then the two words of the sequence number. */
typedef struct zs_cipher8 {
    _Alignas(32) uint32_t key[8][ZS_LANES8];
    uint32_t sequence[2][ZS_LANES8];
} zs_cipher8;

/* Poly1305 of one message, radix 2^64: the accumulator is h[0] + 2^64 h[1] + 2^128 h[2]. poly1305_avx2.h knows the
 * offsets. */
typedef struct zs_strand {
    _Alignas(64) uint64_t r[2];
    uint64_t pad[2];
    uint64_t h[3];
    uint64_t s1; /* r[1] * 5 / 4: what wraps round 2^130 */
} zs_strand;

/* Blocks that a message's MAC absorbs, two at a time between a cipher's rounds; none once that is done. */
typedef struct zs_visit {
    zs_strand *strand;
    const uint8_t *in;
    size_t blocks;
} zs_visit;

typedef struct zs_visits {
    zs_visit list[ZS_VISITS + 1]; /* one more, for a last one without blocks */
    size_t count;
} zs_visits;

/* A message's last blocks, filled up with zeros, and its lengths: they are absorbed after the message is left. */
typedef struct zs_ends {
    uint8_t ad[ZS_MAC_BYTES], text[ZS_MAC_BYTES], lengths[ZS_MAC_BYTES];
} zs_ends;

void zs_cipher8_load(zs_cipher8 *s, const uint8_t *const key[ZS_LANES8], const uint64_t sequence[ZS_LANES8]);

/* All functions of the cipher that take a list of visits, or NULL, do them all, and write their own results only
 * thereafter. */

/* Block 0 of every lane makes a new strand of its one-time Poly1305 key (RFC 8439 section 2.6). */
void zs_cipher8_strands(const zs_cipher8 *s, zs_strand strand[ZS_LANES8], zs_visits *visits);

/* 64 bytes at `at` in every lane: out = in xor block `counter` of the key stream. Lanes from `count` on are only
 * read. */
void zs_cipher8_block(const zs_cipher8 *s, uint32_t counter, const uint8_t *const in[ZS_LANES8],
                      uint8_t *const out[ZS_LANES8], size_t at, size_t count, zs_visits *visits);

/* The key stream of one block in each lane, `counter` differing by lane. */
void zs_cipher8_stream(const zs_cipher8 *s, const uint32_t counter[ZS_LANES8],
                       uint8_t stream[ZS_LANES8][ZS_BLOCK_BYTES], zs_visits *visits);

/* The same of four blocks, sooner than eight. */
void zs_cipher4_stream(const uint8_t *const key[4], const uint64_t sequence[4], const uint32_t counter[4],
                       uint8_t stream[4][ZS_BLOCK_BYTES], zs_visits *visits);

/* out = in xor stream, `len` bytes. */
void zs_xor_avx2(uint8_t *out, const uint8_t *in, const uint8_t *stream, size_t len);

void zs_strand_begin(zs_strand *strand, const uint8_t key[ZS_KEY_BYTES]);

void zs_visits_do(zs_visits *visits);

/* A list that is full is done at once. */
static inline void zs_visits_add(zs_visits *visits, zs_strand *strand, const uint8_t *in, size_t blocks) {
    if (visits->count == ZS_VISITS) zs_visits_do(visits);
    visits->list[visits->count++] = (zs_visit){strand, in, blocks};
}

/* Two blocks at `at` of each of `count` messages: neighbours in the list need not wait for one another. */
static inline void zs_visits_add_row(zs_visits *visits, zs_strand *strand, const uint8_t *const *in, size_t at,
                                     size_t count) {
    if (visits->count + count > ZS_VISITS) zs_visits_do(visits);
    zs_visit *v = visits->list + visits->count;
    for (size_t i = 0; i < count; i++) v[i] = (zs_visit){&strand[i], in[i] + at, 2};
    visits->count += count;
}

/* Absorb at once; a last block that is not whole is filled up with zeros. */
void zs_strand_absorb(zs_strand *strand, const uint8_t *in, size_t len);

/* Fewer than 16 bytes, by no call of memcpy: see zs_wipe_lines. */
static inline void zs_copy_rest(uint8_t *to, const uint8_t *from, size_t len) {
    if ((len & 8) != 0) memcpy(to, from, 8), to += 8, from += 8;
    if ((len & 4) != 0) memcpy(to, from, 4), to += 4, from += 4;
    if ((len & 2) != 0) memcpy(to, from, 2), to += 2, from += 2;
    if ((len & 1) != 0) *to = *from;
}

/* Of `len` bytes those from `at` on, ZS_VISIT_BYTES at most; a block that is not whole stays behind in `end`. */
static inline void zs_visits_add_at(zs_visits *visits, zs_strand *strand, const uint8_t *in, size_t at, size_t len,
                                    uint8_t end[ZS_MAC_BYTES]) {
    size_t left = at < len ? len - at : 0, rest = left % ZS_MAC_BYTES;
    if (left >= ZS_VISIT_BYTES) {
        zs_visits_add(visits, strand, in + at, 2);
        return;
    }
    if (left >= ZS_MAC_BYTES) zs_visits_add(visits, strand, in + at, 1);
    if (rest == 0) return;
    memset(end, 0, ZS_MAC_BYTES);
    zs_copy_rest(end, in + len - rest, rest);
}

/* What zs_visits_add_at has left behind of the associated data; of the text, and then the lengths. */
void zs_visits_add_ad_end(zs_visits *visits, zs_strand *strand, const zs_aead_job *job, zs_ends *ends);
void zs_visits_add_ends(zs_visits *visits, zs_strand *strand, const zs_aead_job *job, zs_ends *ends);

/* The tag of a strand that has absorbed everything. */
void zs_strand_finish(const zs_strand *strand, uint64_t tag[2]);

/* Messages that stand side by side, one in each lane. */
typedef struct zs_group8 {
    zs_aead_job *job[ZS_LANES8];
    const uint8_t *in[ZS_LANES8];
    uint8_t *out[ZS_LANES8];
    size_t count, shortest, longest, longest_ad;
    zs_ends ends[ZS_LANES8];
} zs_group8;

/* The ends of one group are absorbed while the next begins, so two are under way at once. */
typedef struct zs_lanes8 {
    zs_cipher8 cipher;
    zs_strand strand[2][ZS_LANES8];
    _Alignas(64) uint8_t stream[ZS_LANES8][ZS_BLOCK_BYTES];
    zs_group8 group[2]; /* from here on nothing is secret */
    zs_visits visits;
    size_t turn;
} zs_lanes8;

/* Up to eight messages (lanes_avx2.c). They are sealed or opened only after zs_lanes8_finish. */
void zs_lanes8_begin(zs_lanes8 *l);
void zs_lanes8_group(zs_lanes8 *l, zs_aead_job *const *jobs, size_t count, bool opening);
void zs_lanes8_finish(zs_lanes8 *l, bool opening);
void zs_lanes8_wipe(zs_lanes8 *l);

/* Any number of messages one after the other, their blocks in common lanes (stream_avx2.c). Wipes what it leaves. */
void zs_stream_avx2(zs_aead_job *const *jobs, size_t count, bool opening);

#endif
#endif
