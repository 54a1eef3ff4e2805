/* lanes_avx512.c: equal messages side by side, one in each of sixteen lanes, one group or two at a time (floor 1). */
#include "avx512.h"

#ifdef ZS_HAVE_X86_KERNELS

#include "impl.h"

enum {
    STEP_BLOCKS = 8,  /* cipher and MAC take turns at every 512 bytes of each message */
    RAISE_BLOCKS = 2  /* from here on the powers of r pay */
};

static void gather(zs_group16 *g, zs_aead_job *const *jobs, size_t count) {
    size_t longest = 0, longest_ad = 0, shortest = SIZE_MAX;
    for (size_t i = 0; i < ZS_LANES16; i++) {
        const zs_aead_job *job = jobs[i < count ? i : 0];
        g->key[i] = job->key, g->sequence[i] = job->sequence;
        g->ad[i] = job->ad, g->ad_len[i] = job->ad_len;
        g->in[i] = job->in, g->out[i] = job->out, g->len[i] = job->len;
        if (job->len > longest) longest = job->len;
        if (job->len < shortest) shortest = job->len;
        if (job->ad_len > longest_ad) longest_ad = job->ad_len;
    }
    g->count = count;
    g->whole = shortest / 64;
    g->blocks = (longest + 63) / 64;
    g->ad_blocks = (longest_ad + 63) / 64;
}

/* Blocks `from` to `to` of each group, block 0 being the one-time keys; two at a time, of both groups or of one. */
static void encipher(zs_pair16 *p, size_t from, size_t to) {
    zs_turn16 waiting, turn;
    bool waits = false;
    for (size_t block = from; block < to; block++) {
        for (size_t g = 0; g < p->groups; g++) {
            if (block > p->group[g].blocks) continue;
            turn = (zs_turn16){&p->cipher[g], &p->group[g], block};
            if (waits) zs_chacha16_turn2(&waiting, &turn);
            else waiting = turn;
            waits = !waits;
        }
    }
    if (waits) zs_chacha16_turn(&waiting);
}

static bool is_raised(const zs_group16 *g) {
    return g->whole >= RAISE_BLOCKS;
}

/* Once block 0 is made. */
static void begin_macs(zs_pair16 *p) {
    for (size_t i = 0; i < p->groups; i++) {
        const zs_group16 *g = &p->group[i];
        zs_poly16_init(&p->mac[i], p->cipher[i].first);
        if (is_raised(g)) zs_poly16_raise(&p->mac[i]), p->raised = true;
        for (size_t block = 0; block < g->ad_blocks; block++) zs_poly16_tail(&p->mac[i], g->ad, block, g->ad_len);
    }
}

/* Blocks `from` to `to` of the texts, from 0, where `sealing` tells that the ciphertext stands. */
static void authenticate(zs_pair16 *p, size_t from, size_t to, bool sealing) {
    for (size_t i = 0; i < p->groups; i++) {
        const zs_group16 *g = &p->group[i];
        const uint8_t *const *text = sealing ? (const uint8_t *const *)g->out : g->in;
        size_t end = to < g->blocks ? to : g->blocks, block = from;
        if (block < g->whole) {
            size_t whole = end < g->whole ? end : g->whole;
            zs_poly16_chunks(&p->mac[i], text, block, whole, is_raised(g));
            block = whole;
        }
        for (; block < end; block++) zs_poly16_tail(&p->mac[i], text, block, g->len);
    }
}

static void seal(zs_pair16 *p, size_t blocks) {
    encipher(p, 0, STEP_BLOCKS);
    begin_macs(p);
    authenticate(p, 0, STEP_BLOCKS - 1, true);
    for (size_t from = STEP_BLOCKS; from <= blocks; from += STEP_BLOCKS) {
        encipher(p, from, from + STEP_BLOCKS);
        authenticate(p, from - 1, from + STEP_BLOCKS - 1, true);
    }
}

static void open(zs_pair16 *p, size_t blocks) {
    encipher(p, 0, 1);
    begin_macs(p);
    for (size_t from = 0; from < blocks; from += STEP_BLOCKS) {
        authenticate(p, from, from + STEP_BLOCKS, false);
        encipher(p, from + 1, from + 1 + STEP_BLOCKS);
    }
}

void zs_lanes_avx512(zs_pair16 *p, zs_aead_job *const *jobs, size_t count, bool opening) {
    _Alignas(64) uint64_t tag[2][ZS_LANES16];
    size_t blocks = 0;
    p->groups = (count + ZS_LANES16 - 1) / ZS_LANES16;
    for (size_t i = 0; i < p->groups; i++) {
        zs_group16 *g = &p->group[i];
        size_t left = count - i * ZS_LANES16;
        gather(g, jobs + i * ZS_LANES16, left < ZS_LANES16 ? left : ZS_LANES16);
        zs_chacha16_load(&p->cipher[i], g->key, g->sequence);
        if (g->blocks > blocks) blocks = g->blocks;
    }
    if (opening) open(p, blocks);
    else seal(p, blocks);
    for (size_t i = 0; i < p->groups; i++) {
        const zs_group16 *g = &p->group[i];
        zs_poly16_finish(&p->mac[i], g->ad_len, g->len, tag);
        for (size_t j = 0; j < g->count; j++) zs_hand_tag(jobs[i * ZS_LANES16 + j], tag[0][j], tag[1][j], opening);
    }
}

ZS_AVX512_BEGIN

void zs_lanes_wipe(zs_pair16 *p) {
    zs_wipe_lines(p->cipher, sizeof p->cipher);
    for (size_t i = 0; i < 2; i++) {
        zs_wipe_lines(&p->mac[i], offsetof(zs_poly16, power) + sizeof p->mac[i].power[0]);
        if (p->raised) zs_wipe_lines(&p->mac[i].power[1], 3 * sizeof p->mac[i].power[1]);
    }
}

ZS_AVX512_END

#endif
