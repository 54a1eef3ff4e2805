/* test_chacha20_avx512.c: every way in which the AVX-512 tier makes key stream, by the block.
 *
 * RFC 8439's vectors stand in every lane, random keys, numbers and counters in the others; all of it has to be as
 * ChaCha20 in the plainest way makes it.
 */
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

static void every_way(void) {
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

static void check_lanes(void) {
    size_t cases = 0;
    test_begin("avx512: key stream of a few lanes, of 16 and of 32: RFC 8439, appendix A.1, in every lane");
    for (size_t v = 0; v < sizeof CHACHA20 / sizeof CHACHA20[0]; v++) {
        for (size_t lane = 0; lane < LANES; lane++, cases++) fill(v, lane), every_way();
    }
    test_end(cases);
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

#endif

int main(void) {
    test_seed_all();
    if (test_tier("avx512") == NULL) return 0;
#ifdef ZS_HAVE_X86_KERNELS
    check_reference();
    check_lanes();
    check_turns();
    check_run();
#endif
    return 0;
}
