/* avx512.h: what the AVX-512 kernel files share (floor 1): sixteen messages side by side, one in each lane.
 *
 * chacha20_avx512.c and poly1305_avx512.c hold the arithmetic, chachapoly_avx512.c walks the messages.
 * Lane i of every row belongs to message i of the group; lanes without a message repeat lane 0 and store nothing.
 */
#ifndef ZS_AVX512_H
#define ZS_AVX512_H

#include "kernels.h"

#ifdef ZS_HAVE_X86_KERNELS

/* Functions between these two may use the instructions that dispatch.c has looked for. */
#define ZS_AVX512_BEGIN ZS_TARGET_BEGIN("avx512f,avx512bw,avx512vl,avx512dq,avx512ifma,avx512vbmi2,bmi2")
#define ZS_AVX512_END ZS_TARGET_END

enum { ZS_LANES16 = 16 };

/* Rows of ChaCha20's state: key, then the two words of the sequence number. */
typedef struct zs_chacha16 {
    _Alignas(64) uint32_t key[8][ZS_LANES16];
    uint32_t sequence[2][ZS_LANES16];
} zs_chacha16;

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

/* The first 32 bytes of block 0, as eight rows of words: the one-time Poly1305 keys (RFC 8439 section 2.6). */
void zs_chacha16_first(const zs_chacha16 *s, uint32_t rows[8][ZS_LANES16]);

/* The whole key stream of one block in each lane, `counter` differing by lane, as sixteen blocks. */
void zs_chacha16_stream(const zs_chacha16 *s, const uint32_t counter[ZS_LANES16], uint8_t stream[ZS_LANES16][64]);

/* The same of eight blocks, sooner than sixteen. */
void zs_chacha8_stream(const uint8_t *const key[8], const uint64_t sequence[8], const uint32_t counter[8],
                       uint8_t stream[8][64]);

/* out = in xor block `block` (0 is the first after the one-time key), at 64 * block bytes into every message. */
void zs_chacha16_block(const zs_chacha16 *s, size_t block, const uint8_t *const in[ZS_LANES16],
                       uint8_t *const out[ZS_LANES16], size_t count);

/* The same where some messages end within or before this block. */
void zs_chacha16_tail(const zs_chacha16 *s, size_t block, const uint8_t *const in[ZS_LANES16],
                      uint8_t *const out[ZS_LANES16], const size_t len[ZS_LANES16], size_t count);

void zs_poly16_init(zs_poly16 *p, uint32_t rows[8][ZS_LANES16]);
void zs_poly16_raise(zs_poly16 *p);

/* Absorb whole 64-byte chunks `from` to `to` of every message; `raised` after zs_poly16_raise only. */
void zs_poly16_chunks(zs_poly16 *p, const uint8_t *const in[ZS_LANES16], size_t from, size_t to, bool raised);

/* Absorb chunk `chunk` where some messages end within or before it, the last block of each filled up with zeros. */
void zs_poly16_tail(zs_poly16 *p, const uint8_t *const in[ZS_LANES16], size_t chunk, const size_t len[ZS_LANES16]);

/* Absorb the block of lengths; tag[0] and tag[1] are the halves of the tags. */
void zs_poly16_finish(zs_poly16 *p, const size_t ad_len[ZS_LANES16], const size_t len[ZS_LANES16],
                      uint64_t tag[2][ZS_LANES16]);

/* Poly1305 of one message: scalar in radix 2^64 while it is short, then eight blocks at a time in radix 2^44.
 * The powers of r stand in the lane order of a loaded group of eight blocks; see poly1305_long_avx512.c. */
typedef struct zs_poly1 {
    _Alignas(64) uint64_t last[5][8]; /* r^8 to r, lane by lane, as r0, r1, r2, s1, s2 */
    uint64_t bulk[4][5][8];           /* r^8, r^16, r^24, r^32 in every lane */
    uint64_t wide[3][8];              /* the vector accumulator, while `is_wide` */
    uint64_t h[3], r[2], pad[2];
    size_t powers; /* of r^8 that are ready */
    bool is_wide;
} zs_poly1;

void zs_poly1_init(zs_poly1 *p, const uint8_t key[32]);

/* Absorb `len` bytes; the last block is filled up with zeros. `total` is how much more of the message will follow
 * in all, this call included: it decides which powers pay. */
void zs_poly1_blocks(zs_poly1 *p, const uint8_t *in, size_t len, size_t total);
void zs_poly1_finish(zs_poly1 *p, uint64_t ad_len, uint64_t len, uint64_t tag[2]);

/* Wipe what was used of it: the powers of r are long, and short messages have none. */
void zs_poly1_wipe(zs_poly1 *p);

/* Up to any number of messages one after the other, their blocks in common lanes (stream_avx512.c). */
void zs_stream_seal_avx512(zs_aead_job *const *jobs, size_t count);
void zs_stream_open_avx512(zs_aead_job *const *jobs, size_t count);

#endif
#endif
