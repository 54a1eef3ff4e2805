/* lanes_avx2.c: groups of eight messages, one in each lane, through the AVX2 kernels (floor 1).
 *
 * A group's last blocks and its lengths are absorbed while the next group's one-time keys are made.
 */
#include "avx2.h"

#ifdef ZS_HAVE_X86_KERNELS

static void gather(zs_lanes8 *l, zs_group8 *g, zs_aead_job *const *jobs, size_t count) {
    const uint8_t *key[ZS_LANES8];
    uint64_t sequence[ZS_LANES8];
    g->count = count;
    g->longest = g->longest_ad = 0;
    g->shortest = SIZE_MAX;
    for (size_t i = 0; i < ZS_LANES8; i++) {
        zs_aead_job *job = jobs[i < count ? i : 0];
        g->job[i] = job;
        g->in[i] = job->in, g->out[i] = job->out;
        key[i] = job->key, sequence[i] = job->sequence;
        if (job->len > g->longest) g->longest = job->len;
        if (job->len < g->shortest) g->shortest = job->len;
        if (job->ad_len > g->longest_ad) g->longest_ad = job->ad_len;
    }
    zs_cipher8_load(&l->cipher, key, sequence);
}

static void visit_ad(zs_visits *visits, zs_group8 *g, zs_strand *strand) {
    for (size_t at = 0; at < g->longest_ad; at += ZS_VISIT_BYTES) {
        for (size_t i = 0; i < g->count; i++) {
            zs_visits_add_at(visits, &strand[i], g->job[i]->ad, at, g->job[i]->ad_len, g->ends[i].ad);
        }
    }
    for (size_t i = 0; i < g->count; i++) zs_visits_add_ad_end(visits, &strand[i], g->job[i], &g->ends[i]);
}

static void visit_text(zs_visits *visits, zs_group8 *g, zs_strand *strand, const uint8_t *const *text, size_t start) {
    for (size_t at = start; at < start + ZS_BLOCK_BYTES; at += ZS_VISIT_BYTES) {
        if (at + ZS_VISIT_BYTES <= g->shortest) {
            zs_visits_add_row(visits, strand, text, at, g->count);
            continue;
        }
        for (size_t i = 0; i < g->count; i++) {
            zs_visits_add_at(visits, &strand[i], text[i], at, g->job[i]->len, g->ends[i].text);
        }
    }
}

/* The block of text at `at`, of which some messages may have only a part, or nothing. */
static void encipher(zs_lanes8 *l, const zs_group8 *g, size_t at) {
    uint32_t counter[ZS_LANES8], first = (uint32_t)(at / ZS_BLOCK_BYTES) + 1;
    if (at + ZS_BLOCK_BYTES <= g->shortest) {
        zs_cipher8_block(&l->cipher, first, g->in, g->out, at, g->count, &l->visits);
        return;
    }
    for (size_t i = 0; i < ZS_LANES8; i++) counter[i] = first;
    zs_cipher8_stream(&l->cipher, counter, l->stream, &l->visits);
    for (size_t i = 0; i < g->count; i++) {
        size_t len = g->job[i]->len, left = at < len ? len - at : 0;
        if (left > ZS_BLOCK_BYTES) left = ZS_BLOCK_BYTES;
        if (left > 0) zs_xor_avx2(g->out[i] + at, g->in[i] + at, l->stream[i], left);
    }
}

/* The tags of a group that has been absorbed to its end. */
static void settle(zs_lanes8 *l, size_t turn, bool opening) {
    zs_group8 *g = &l->group[turn];
    for (size_t i = 0; i < g->count; i++) {
        uint64_t tag[2];
        zs_strand_finish(&l->strand[turn][i], tag);
        zs_hand_tag(g->job[i], tag[0], tag[1], opening);
    }
    g->count = 0;
}

void zs_lanes8_begin(zs_lanes8 *l) {
    l->visits.count = l->group[0].count = l->group[1].count = 0;
    l->turn = 0;
}

void zs_lanes8_group(zs_lanes8 *l, zs_aead_job *const *jobs, size_t count, bool opening) {
    size_t before = l->turn, turn = 1 - before;
    zs_group8 *g = &l->group[turn];
    zs_strand *strand = l->strand[turn];
    gather(l, g, jobs, count);
    zs_cipher8_strands(&l->cipher, strand, &l->visits);
    settle(l, before, opening);
    l->turn = turn;
    visit_ad(&l->visits, g, strand);
    for (size_t at = 0; at < g->longest; at += ZS_BLOCK_BYTES) {
        if (opening) visit_text(&l->visits, g, strand, g->in, at);
        encipher(l, g, at);
        if (!opening) visit_text(&l->visits, g, strand, (const uint8_t *const *)g->out, at);
    }
    for (size_t i = 0; i < count; i++) zs_visits_add_ends(&l->visits, &strand[i], g->job[i], &g->ends[i]);
}

void zs_lanes8_finish(zs_lanes8 *l, bool opening) {
    zs_visits_do(&l->visits);
    settle(l, l->turn, opening);
}

ZS_AVX2_BEGIN

void zs_lanes8_wipe(zs_lanes8 *l) {
    zs_wipe_lines(l, offsetof(zs_lanes8, group));
}

ZS_AVX2_END

#endif
