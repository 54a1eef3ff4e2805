/* test_chacha20.c: every way in which the tiers with kernels make key stream, by the block.
 *
 * RFC 8439's vectors stand in every lane, random keys, numbers and counters in the others; all of it has to be as
 * ChaCha20 in the plainest way makes it.
 */
#include "../avx2.h"
#include "../avx512.h"
#include "common.h"

#include "vectors.h"

#ifdef ZS_HAVE_X86_KERNELS

enum { LANES = 2 * ZS_LANES16, ROUNDS = 40 };

static uint8_t keys[LANES][ZS_KEY_BYTES], expected[LANES][64], found[LANES][64];
static const uint8_t *key[LANES];
static uint64_t sequence[LANES];
static uint32_t counter[LANES];

static void check_reference(void) {
    size_t count = sizeof CHACHA20 / sizeof CHACHA20[0];
    test_begin("ChaCha20 in the plainest way: RFC 8439, appendix A.1");
    for (size_t v = 0; v < count; v++) {
        test_hex(keys[0], ZS_KEY_BYTES, CHACHA20[v].key), test_hex(expected[0], 64, CHACHA20[v].stream);
        test_key_stream(found[0], keys[0], CHACHA20[v].sequence, CHACHA20[v].block);
        CHECK(memcmp(found[0], expected[0], 64) == 0, "vector %zu", v + 1);
    }
    test_end(count);
}

/* Vector v in one lane. */
static void fill(size_t v, size_t lane) {
    for (size_t i = 0; i < LANES; i++) {
        key[i] = keys[i], sequence[i] = test_random(), counter[i] = (uint32_t)test_random();
        test_fill(keys[i], ZS_KEY_BYTES);
        if (i == lane) test_hex(keys[i], ZS_KEY_BYTES, CHACHA20[v].key);
        if (i == lane) sequence[i] = CHACHA20[v].sequence, counter[i] = CHACHA20[v].block;
        test_key_stream(expected[i], keys[i], sequence[i], counter[i]);
    }
    memset(found, 0xA5, sizeof found);
}

static void check(size_t blocks, const char *way, size_t lane) {
    for (size_t i = 0; i < blocks; i++) {
        CHECK(memcmp(found[i], expected[i], 64) == 0, "%s: lane %zu, the vector being in %zu", way, i, lane);
    }
}

/* -- AVX-512 ------------------------------------------------------------------------------------------------------- */

static void every_avx512_way(void) {
    static zs_chacha16 s[2];
    for (size_t blocks = 1; blocks <= 8; blocks++) {
        memset(found, 0xA5, sizeof found);
        zs_chacha_few(key, sequence, counter, blocks, found);
        check(blocks, "few", blocks);
    }
    zs_chacha16_load(&s[0], key, sequence), zs_chacha16_load(&s[1], key + ZS_LANES16, sequence + ZS_LANES16);
    zs_chacha16_stream(&s[0], counter, found);
    check(ZS_LANES16, "sixteen", 0);
    memset(found, 0xA5, sizeof found);
    zs_chacha16_stream2(&s[0], &s[1], counter, found);
    check(LANES, "twice sixteen", 0);
}

static zs_chacha16 ciphers[2];
static zs_group16 groups[2];
static uint8_t text[LANES][64], out[LANES][64];

/* Texts of one block, filled or not, in place or not; `expected` is what `out` has to be. */
static void lay_out(size_t round) {
    fill(0, LANES);
    for (size_t i = 0; i < LANES; i++) {
        zs_group16 *g = &groups[i / ZS_LANES16];
        size_t lane = i % ZS_LANES16, len = round % 4 < 2 ? 64 : test_below(65);
        test_fill(text[i], 64);
        memcpy(out[i], text[i], 64);
        test_key_stream(expected[i], keys[i], sequence[i], 1);
        for (size_t b = 0; b < 64; b++) expected[i][b] = b < len ? expected[i][b] ^ text[i][b] : text[i][b];
        g->in[lane] = text[i], g->out[lane] = round % 2 == 0 ? text[i] : out[i], g->len[lane] = len;
        g->count = ZS_LANES16, g->whole = round % 4 < 2, g->blocks = 1;
    }
    for (size_t g = 0; g < 2; g++) zs_chacha16_load(&ciphers[g], key + g * ZS_LANES16, sequence + g * ZS_LANES16);
}

/* One by one, two of one group, two of both. */
static void take_turns(size_t round) {
    zs_turn16 first = {&ciphers[0], &groups[0], 0}, text_of_first = {&ciphers[0], &groups[0], 1};
    zs_turn16 second = {&ciphers[1], &groups[1], 0}, text_of_second = {&ciphers[1], &groups[1], 1};
    if (round % 3 == 0) {
        zs_chacha16_turn(&first), zs_chacha16_turn(&text_of_first);
        zs_chacha16_turn(&second), zs_chacha16_turn(&text_of_second);
    } else if (round % 3 == 1) {
        zs_chacha16_turn2(&first, &text_of_first), zs_chacha16_turn2(&text_of_second, &second);
    } else {
        zs_chacha16_turn2(&first, &second), zs_chacha16_turn2(&text_of_first, &text_of_second);
    }
}

static void check_turns(void) {
    uint8_t block[64];
    test_begin("avx512: one-time keys and first blocks of one group and of two");
    for (size_t round = 0; round < ROUNDS; round++) {
        lay_out(round);
        take_turns(round);
        for (size_t i = 0; i < LANES; i++) {
            size_t group = i / ZS_LANES16, lane = i % ZS_LANES16;
            test_key_stream(block, keys[i], sequence[i], 0);
            for (size_t w = 0; w < 8; w++) {
                CHECK(ciphers[group].first[w][lane] == zs_load32(block + 4 * w), "word %zu of key %zu", w, i);
            }
            memcpy(found[i], groups[group].out[lane], 64);
        }
        check(LANES, "turns", round);
    }
    test_end(ROUNDS);
}

static void check_run(void) {
    static uint8_t from[LANES * 64 + 64], elsewhere[LANES * 64 + 64];
    test_begin("avx512: 32 blocks of one message enciphered in a row, in place and not");
    for (size_t round = 0; round < ROUNDS; round++) {
        uint32_t block = (uint32_t)test_below(1 << 20);
        uint8_t *in = from + round % 64, *to = round % 2 == 0 ? in : elsewhere + (round * 7) % 64;
        fill(0, LANES);
        for (size_t i = 0; i < LANES; i++) key[i] = keys[0], sequence[i] = sequence[0];
        test_fill(from, sizeof from);
        for (size_t i = 0; i < LANES; i++) {
            test_key_stream(expected[i], keys[0], sequence[0], block + (uint32_t)i);
            for (size_t b = 0; b < 64; b++) expected[i][b] ^= in[64 * i + b];
        }
        zs_chacha16_load(&ciphers[0], key, sequence);
        zs_chacha16_run(&ciphers[0], block, in, to);
        memcpy(found, to, sizeof found);
        check(LANES, "run", round);
    }
    test_end(ROUNDS);
}

/* -- AVX2 ---------------------------------------------------------------------------------------------------------- */

/* Lanes `from` on. */
static void every_avx2_way_of(size_t from) {
    static zs_cipher8 s;
    for (size_t lane = 0; lane + 4 <= ZS_LANES8; lane += 4) {
        size_t first = from + lane;
        memset(found, 0xA5, sizeof found), memcpy(found, expected, first * 64);
        zs_cipher4_stream(key + first, sequence + first, counter + first, found + first, NULL);
        check(first + 4, "four", first);
    }
    memset(found, 0xA5, sizeof found), memcpy(found, expected, from * 64);
    zs_cipher8_load(&s, key + from, sequence + from);
    zs_cipher8_stream(&s, counter + from, found + from, NULL);
    check(from + ZS_LANES8, "eight", from);
}

static void every_avx2_way(void) {
    for (size_t from = 0; from < LANES; from += ZS_LANES8) every_avx2_way_of(from);
}

/* RFC 8439 section 2.5: r is clamped. */
static void check_strands(void) {
    static zs_cipher8 s;
    static zs_strand strands[ZS_LANES8];
    uint8_t block[64];
    test_begin("avx2: one-time keys of eight lanes, clamped");
    for (size_t round = 0; round < ROUNDS; round++) {
        fill(0, LANES);
        memset(strands, 0xA5, sizeof strands);
        zs_cipher8_load(&s, key, sequence);
        zs_cipher8_strands(&s, strands, NULL);
        for (size_t i = 0; i < ZS_LANES8; i++) {
            const zs_strand *one = &strands[i];
            test_key_stream(block, keys[i], sequence[i], 0);
            for (size_t b = 3; b < 16; b += 4) block[b] &= 15, block[b + 1] &= b == 15 ? 0xFF : 0xFC;
            uint64_t r1 = zs_load64(block + 8);
            CHECK(one->r[0] == zs_load64(block) && one->r[1] == r1 && one->s1 == r1 / 4 * 5, "r of lane %zu", i);
            CHECK(one->pad[0] == zs_load64(block + 16) && one->pad[1] == zs_load64(block + 24), "s of lane %zu", i);
            CHECK((one->h[0] | one->h[1] | one->h[2]) == 0, "h of lane %zu", i);
        }
    }
    test_end(ROUNDS * ZS_LANES8);
}

/* One block of each message in its place; lanes without a message write nothing. */
static void check_blocks(void) {
    static zs_cipher8 s;
    const uint8_t *in[ZS_LANES8];
    uint8_t *to[ZS_LANES8];
    test_begin("avx2: blocks of eight messages or fewer, in place and not");
    for (size_t round = 0; round < ROUNDS; round++) {
        size_t count = 1 + round % ZS_LANES8;
        uint32_t block = (uint32_t)test_below(1 << 20);
        fill(0, LANES);
        for (size_t i = 0; i < ZS_LANES8; i++) {
            test_fill(text[i], 64), memset(out[i], 0xA5, 64);
            in[i] = text[i], to[i] = round / ZS_LANES8 % 2 == 0 ? text[i] : out[i];
            test_key_stream(expected[i], keys[i], sequence[i], block);
            for (size_t b = 0; b < 64; b++) expected[i][b] ^= text[i][b];
            if (i >= count) memcpy(expected[i], to[i], 64);
        }
        zs_cipher8_load(&s, key, sequence);
        zs_cipher8_block(&s, block, in, to, 0, count, NULL);
        for (size_t i = 0; i < ZS_LANES8; i++) memcpy(found[i], to[i], 64);
        check(ZS_LANES8, "blocks", round);
    }
    test_end(ROUNDS);
}

/* Every length and offset, in place and not. */
static void check_xor(void) {
    static uint8_t stream[256], from[256 + 64], elsewhere[256 + 64], right[256 + 64];
    size_t cases = 0;
    test_begin("avx2: key stream and text, every length and offset");
    test_fill(stream, sizeof stream);
    for (size_t len = 0; len <= 192; len++) {
        for (size_t offset = 0; offset < 64; offset++, cases++) {
            uint8_t *to = cases % 2 == 0 ? from : elsewhere;
            test_fill(from, sizeof from), test_fill(elsewhere, sizeof elsewhere);
            memcpy(right, to, sizeof right);
            for (size_t b = 0; b < len; b++) right[offset + b] = from[offset + b] ^ stream[b];
            zs_xor_avx2(to + offset, from + offset, stream, len);
            CHECK(memcmp(to, right, sizeof right) == 0, "%zu bytes at offset %zu", len, offset);
        }
    }
    test_end(cases);
}

/* -- both ---------------------------------------------------------------------------------------------------------- */

static bool check_lanes(const char *tier, void (*every_way)(void)) {
    size_t cases = 0;
    if (test_tier(tier) == NULL) return false;
    test_begin("%s: key stream: RFC 8439, appendix A.1, in every lane", tier);
    for (size_t v = 0; v < sizeof CHACHA20 / sizeof CHACHA20[0]; v++) {
        for (size_t lane = 0; lane < LANES; lane++, cases++) fill(v, lane), every_way();
    }
    test_end(cases);
    return true;
}

#endif

int main(void) {
    test_seed_all();
#ifdef ZS_HAVE_X86_KERNELS
    check_reference();
    if (check_lanes("avx2", every_avx2_way)) check_strands(), check_blocks(), check_xor();
    if (check_lanes("avx512", every_avx512_way)) check_turns(), check_run();
#endif
    return 0;
}
