/* test_poly1305.c: Poly1305 with keys that no ChaCha20 key gives: RFC 8439, appendix A.3, and corners.
 *
 * An AEAD's kernel ends with the block of lengths; here that block is the last one of the text, whatever it holds.
 * The portable tier has no such door; Wycheproof's EdgeCasePoly1305 and EdgeCasePolyKey test it (test_vectors.c).
 */
#include "../avx2.h"
#include "../avx512.h"
#include "common.h"

#ifdef ZS_HAVE_X86_KERNELS

#include "vectors.h"

enum { MAX_BLOCKS = 300, KEY = ZS_KEY_BYTES };

typedef int onetimeauth(unsigned char *out, const unsigned char *in, unsigned long long inlen, const unsigned char *k);

typedef struct lane {
    uint8_t key[KEY], text[16 * MAX_BLOCKS], tag[ZS_TAG_BYTES];
} lane;

static lane lanes[ZS_LANES16];
static onetimeauth *reference;

/* -- AVX-512 ------------------------------------------------------------------------------------------------------- */

static void check_tag(const uint64_t low, const uint64_t high, const uint8_t tag[ZS_TAG_BYTES], const char *which, size_t i) {
    uint8_t got[ZS_TAG_BYTES];
    zs_store64(got, low), zs_store64(got + 8, high);
    CHECK(memcmp(got, tag, sizeof got) == 0, "%s, lane or vector %zu", which, i);
}

/* Sixteen messages of `blocks` whole blocks; of those before the last, `whole` chunks of 64 bytes go the fast way. */
static void check_sixteen(size_t blocks, size_t whole, bool raised) {
    static zs_poly16 p;
    _Alignas(64) uint32_t rows[8][ZS_LANES16];
    const uint8_t *in[ZS_LANES16];
    size_t len[ZS_LANES16], low[ZS_LANES16], high[ZS_LANES16];
    _Alignas(64) uint64_t tag[2][ZS_LANES16];
    for (size_t i = 0; i < ZS_LANES16; i++) {
        const uint8_t *last = lanes[i].text + 16 * (blocks - 1);
        for (size_t w = 0; w < 8; w++) rows[w][i] = zs_load32(lanes[i].key + 4 * w);
        in[i] = lanes[i].text, len[i] = 16 * (blocks - 1), low[i] = zs_load64(last), high[i] = zs_load64(last + 8);
    }
    zs_poly16_init(&p, rows);
    if (raised) zs_poly16_raise(&p);
    if (whole > 0) zs_poly16_chunks(&p, in, 0, whole, raised);
    for (size_t chunk = whole; 4 * chunk < blocks - 1; chunk++) zs_poly16_tail(&p, in, chunk, len);
    zs_poly16_finish(&p, low, high, tag);
    for (size_t i = 0; i < ZS_LANES16; i++) check_tag(tag[0][i], tag[1][i], lanes[i].tag, "sixteen lanes", i);
}

/* One message, absorbed in pieces of whole groups up to `piece` bytes. */
static void check_one(const lane *one, size_t blocks, size_t piece, size_t i) {
    static zs_poly1 p;
    static zs_poly1_wide wide;
    const uint8_t *last = one->text + 16 * (blocks - 1);
    size_t len = 16 * (blocks - 1);
    uint64_t tag[2];
    zs_poly1_init(&p, one->key, blocks % 5 == 0 ? NULL : &wide);
    for (size_t at = 0; at < len; at += piece) {
        zs_poly1_blocks(&p, one->text + at, len - at < piece ? len - at : piece, len - at);
    }
    zs_poly1_finish(&p, zs_load64(last), zs_load64(last + 8), tag);
    check_tag(tag[0], tag[1], one->tag, "one message", i);
}

static void avx512(size_t blocks) {
    for (size_t whole = 0; 4 * whole < blocks; whole++) {
        check_sixteen(blocks, whole, false);
        check_sixteen(blocks, whole, true);
        if (whole > 3) whole += test_below(8);
    }
    for (size_t i = 0; i < ZS_LANES16; i++) {
        check_one(&lanes[i], blocks, 16 * MAX_BLOCKS, i);
        check_one(&lanes[i], blocks, 128 * (1 + test_below(6)), i);
    }
}

/* -- AVX2 ---------------------------------------------------------------------------------------------------------- */

static void between_lanes(zs_visits *visits) {
    static zs_cipher8 cipher;
    static uint8_t stream[ZS_LANES8][ZS_BLOCK_BYTES];
    uint32_t counter[ZS_LANES8] = {0};
    zs_cipher8_stream(&cipher, counter, stream, visits);
}

static void between_rows(zs_visits *visits) {
    static const uint8_t key[ZS_KEY_BYTES];
    static uint8_t stream[4][ZS_BLOCK_BYTES];
    const uint8_t *keys[4] = {key, key, key, key};
    const uint64_t sequence[4] = {0};
    const uint32_t counter[4] = {0};
    zs_cipher4_stream(keys, sequence, counter, stream, visits);
}

/* All lanes' messages in visits of up to `most` blocks, absorbed between the rounds of a cipher, or outside of one. */
static void check_visits(size_t blocks, size_t most, void (*absorb)(zs_visits *), const char *way) {
    static zs_strand strands[ZS_LANES16];
    static zs_visits visits;
    uint64_t tag[2];
    visits.count = 0;
    for (size_t i = 0; i < ZS_LANES16; i++) zs_strand_begin(&strands[i], lanes[i].key);
    for (size_t from = 0; from < blocks; from += most) {
        for (size_t i = 0; i < ZS_LANES16; i++) {
            zs_visits_add(&visits, &strands[i], lanes[i].text + 16 * from, blocks - from < most ? blocks - from : most);
        }
        if (from / most % 2 == 1 || from + most >= blocks) absorb(&visits);
        CHECK(visits.count == 0 || from + most < blocks, "%s: visits are left", way);
    }
    for (size_t i = 0; i < ZS_LANES16; i++) {
        zs_strand_finish(&strands[i], tag);
        check_tag(tag[0], tag[1], lanes[i].tag, way, i);
    }
}

static void avx2(size_t blocks) {
    check_visits(blocks, 1 + test_below(40), zs_visits_do, "visits");
    check_visits(blocks, 1 + test_below(4), between_lanes, "visits between the rounds of lanes");
    check_visits(blocks, 1 + test_below(40), between_lanes, "long visits between the rounds of lanes");
    check_visits(blocks, 1 + test_below(40), between_rows, "visits between the rounds of rows");
    for (size_t i = 0; i < ZS_LANES16; i++) {
        zs_strand strand;
        uint64_t tag[2];
        size_t first = 16 * test_below(blocks);
        zs_strand_begin(&strand, lanes[i].key);
        zs_strand_absorb(&strand, lanes[i].text, first);
        zs_strand_absorb(&strand, lanes[i].text + first, 16 * blocks - first);
        zs_strand_finish(&strand, tag);
        check_tag(tag[0], tag[1], lanes[i].tag, "at once", i);
    }
}

/* -- what they are given ------------------------------------------------------------------------------------------- */

/* Keys and blocks that carry far, do not carry at all, or come to rest beside the prime. */
static void fill_corner(uint8_t *p, size_t len) {
    static const uint8_t FIRST[] = {0x00, 0x01, 0x02, 0x04, 0x05, 0xFA, 0xFB, 0xFC, 0xFD, 0xFE, 0xFF};
    static const uint8_t REST[] = {0x00, 0xFF, 0x00, 0xFF, 0x80, 0xFE, 0x01};
    if (test_below(3) == 0) {
        test_fill(p, len);
        return;
    }
    memset(p, REST[test_below(sizeof REST)], len);
    p[0] = FIRST[test_below(sizeof FIRST)];
    if (test_below(4) == 0) p[len / 2] = FIRST[test_below(sizeof FIRST)];
}

static void fill_lane(lane *l, size_t blocks) {
    fill_corner(l->key, 16);
    fill_corner(l->key + 16, 16);
    for (size_t b = 0; b < blocks; b++) fill_corner(l->text + 16 * b, 16);
    if (test_below(4) == 0) memset(l->text, 255, 16 * blocks);
    reference(l->tag, l->text, 16 * blocks, l->key);
}

static void check_corners(const char *tier, void (*check_every_way)(size_t blocks)) {
    size_t cases = 0;
    test_begin("%s: Poly1305 of corner keys and corner blocks, as libsodium", tier);
    for (size_t round = 0; round < test_scaled(60); round++) {
        for (size_t blocks = 1; blocks <= MAX_BLOCKS; blocks += blocks < 70 ? 1 : 1 + test_below(30), cases++) {
            for (size_t i = 0; i < ZS_LANES16; i++) fill_lane(&lanes[i], blocks);
            check_every_way(blocks);
        }
    }
    test_end(cases * ZS_LANES16);
}

static void check_vectors(const char *tier, void (*check_every_way)(size_t blocks)) {
    size_t count = sizeof POLY1305 / sizeof POLY1305[0];
    test_begin("%s: Poly1305 of RFC 8439, appendix A.3, in every lane", tier);
    for (size_t v = 0; v < count; v++) {
        size_t blocks = strlen(POLY1305[v].text) / 32;
        for (size_t at = 0; at < ZS_LANES16; at++) {
            for (size_t i = 0; i < ZS_LANES16; i++) fill_lane(&lanes[i], blocks);
            test_hex(lanes[at].key, KEY, POLY1305[v].key);
            test_hex(lanes[at].text, sizeof lanes[at].text, POLY1305[v].text);
            test_hex(lanes[at].tag, ZS_TAG_BYTES, POLY1305[v].tag);
            check_every_way(blocks);
        }
    }
    test_end(count);
}

static void check_tier(const char *tier, void (*check_every_way)(size_t blocks)) {
    if (test_tier(tier) == NULL) return;
    check_vectors(tier, check_every_way);
    check_corners(tier, check_every_way);
}

#endif

int main(void) {
    zs_sodium sodium;
    test_load_sodium(&sodium);
    test_seed_all();
#ifdef ZS_HAVE_X86_KERNELS
    test_sodium_symbol("crypto_onetimeauth_poly1305", &reference);
    check_tier("avx2", avx2);
    check_tier("avx512", avx512);
#endif
    return 0;
}
