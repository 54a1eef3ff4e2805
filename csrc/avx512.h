/* avx512.h: what the AVX-512 kernel files share (floor 1): sixteen messages side by side, one in each lane.
 *
 * chacha20_avx512.c and poly1305_avx512.c hold the arithmetic, chachapoly_avx512.c walks the messages.
 * Lane i of every row belongs to message i of the group; lanes without a message repeat lane 0 and store nothing.
 */
#ifndef ZS_AVX512_H
#define ZS_AVX512_H

#include "jobs.h"
#include "kernels.h"

#ifdef ZS_HAVE_X86_KERNELS

/* Functions between these two may use the instructions that dispatch.c has looked for. */
#define ZS_AVX512_BEGIN ZS_TARGET_BEGIN("avx512f,avx512bw,avx512vl,avx512dq,avx512ifma,avx512vbmi2,bmi2")
#define ZS_AVX512_END ZS_TARGET_END

enum { ZS_LANES16 = 16 };

/* Sixteen messages side by side; where there are fewer, the first stands in the other lanes too. */
typedef struct zs_group16 {
    const uint8_t *key[ZS_LANES16], *ad[ZS_LANES16], *in[ZS_LANES16];
    uint8_t *out[ZS_LANES16];
    size_t ad_len[ZS_LANES16], len[ZS_LANES16];
    uint64_t sequence[ZS_LANES16];
    size_t count;
    size_t whole, blocks, ad_blocks; /* of 64 bytes: that all texts fill, of the longest text, of the longest ad */
} zs_group16;

/* Rows of ChaCha20's state: key, then the two words of the sequence number. */
typedef struct zs_chacha16 {
    _Alignas(64) uint32_t key[8][ZS_LANES16];
    uint32_t sequence[2][ZS_LANES16];
    uint32_t first[8][ZS_LANES16]; /* half of block 0, once made: the one-time Poly1305 keys (RFC 8439, 2.6) */
} zs_chacha16;

/* What is to be done in one pass: block 0 makes the one-time keys, block n enciphers the text's block n - 1. */
typedef struct zs_turn16 {
    zs_chacha16 *cipher;
    const zs_group16 *group;
    size_t block;
} zs_turn16;

/* A multiplier in radix 2^44, with the limbs that wrap round 2^130 also times 20 (2^132 = 4 * 2^130). */
typedef struct zs_poly16_power {
    _Alignas(64) uint64_t r0[ZS_LANES16], r1[ZS_LANES16], r2[ZS_LANES16], s1[ZS_LANES16], s2[ZS_LANES16];
} zs_poly16_power;

typedef struct zs_poly16 {
    _Alignas(64) uint64_t h[3][ZS_LANES16];
    uint64_t pad[2][ZS_LANES16];
    zs_poly16_power power[4]; /* r, r^2, r^3, r^4; the last three only after zs_poly16_raise */
} zs_poly16;

void zs_chacha16_load(zs_chacha16 *s, const uint8_t *const key[ZS_LANES16], const uint64_t sequence[ZS_LANES16]);

/* One turn takes three fifths of the time of two. */
void zs_chacha16_turn(const zs_turn16 *one);
void zs_chacha16_turn2(const zs_turn16 *one, const zs_turn16 *other);

/* The key stream of one block in each lane, `counter` differing by lane, as sixteen blocks. */
void zs_chacha16_stream(const zs_chacha16 *s, const uint32_t counter[ZS_LANES16], uint8_t stream[ZS_LANES16][64]);
void zs_chacha16_stream2(const zs_chacha16 *s, const zs_chacha16 *t, const uint32_t counter[2 * ZS_LANES16],
                         uint8_t stream[2 * ZS_LANES16][64]);

/* out = in xor the 32 blocks from `block` on, all lanes having one message's key. */
void zs_chacha16_run(const zs_chacha16 *s, uint32_t block, const uint8_t *in, uint8_t *out);

/* The key stream of up to eight blocks, sooner than sixteen (chacha20_few_avx512.c). All eight lanes are read. */
void zs_chacha_few(const uint8_t *const key[8], const uint64_t sequence[8], const uint32_t counter[8], size_t blocks,
                   uint8_t stream[8][64]);

void zs_poly16_init(zs_poly16 *p, uint32_t rows[8][ZS_LANES16]);
void zs_poly16_raise(zs_poly16 *p);

/* Absorb whole 64-byte chunks `from` to `to` of every message; `raised` after zs_poly16_raise only. */
void zs_poly16_chunks(zs_poly16 *p, const uint8_t *const in[ZS_LANES16], size_t from, size_t to, bool raised);

/* Absorb chunk `chunk` where some messages end within or before it, each one's last block filled up with zeros. */
void zs_poly16_tail(zs_poly16 *p, const uint8_t *const in[ZS_LANES16], size_t chunk, const size_t len[ZS_LANES16]);

/* Absorb the block of lengths; tag[0] and tag[1] are the halves of the tags. */
void zs_poly16_finish(zs_poly16 *p, const size_t ad_len[ZS_LANES16], const size_t len[ZS_LANES16],
                      uint64_t tag[2][ZS_LANES16]);

/* One or two groups that go through together, for two passes of the cipher cost less so than one after the other. */
typedef struct zs_pair16 {
    zs_chacha16 cipher[2];
    zs_poly16 mac[2];
    zs_group16 group[2];
    size_t groups;
    bool raised; /* ever; for zs_lanes_wipe */
} zs_pair16;

/* Up to 32 messages, in two groups, the first of sixteen if there are two (lanes_avx512.c). `raised` begins false. */
void zs_lanes_avx512(zs_pair16 *p, zs_aead_job *const *jobs, size_t count, bool opening);
void zs_lanes_wipe(zs_pair16 *p);

/* Powers of r for one message, eight blocks at a time; see poly1305_long_avx512.c for their order. */
typedef struct zs_poly1_wide {
    _Alignas(64) uint64_t h[3][8];
    uint64_t last[5][8];    /* r^8 to r, lane by lane, as r0, r1, r2, s1, s2 */
    uint64_t bulk[4][5][8]; /* r^8, r^16, r^24, r^32 in every lane */
} zs_poly1_wide;

/* Poly1305 of one message: scalar in radix 2^64 while it is short, then eight blocks at a time in radix 2^44. */
typedef struct zs_poly1 {
    uint64_t h[3], r[2], pad[2];
    zs_poly1_wide *wide; /* NULL: scalar throughout */
    size_t powers;       /* of r^8 that are ready */
    bool is_wide;        /* the accumulator is wide->h */
} zs_poly1;

enum { ZS_POLY1_WIDE_FROM = 384 }; /* bytes; less is done sooner without */

void zs_poly1_init(zs_poly1 *p, const uint8_t key[32], zs_poly1_wide *wide);

/* Absorb `len` bytes; the last block is filled up with zeros. `total` is how much more of the message will follow
 * in all, this call included: it decides which powers pay. */
void zs_poly1_blocks(zs_poly1 *p, const uint8_t *in, size_t len, size_t total);
/* Wipes the powers that long messages alone have. */
void zs_poly1_finish(zs_poly1 *p, uint64_t ad_len, uint64_t len, uint64_t tag[2]);

/* Any number of messages one after the other, their blocks in common lanes (stream_avx512.c). Wipes what it leaves. */
void zs_stream_avx512(zs_aead_job *const *jobs, size_t count, bool opening);

#endif
#endif
