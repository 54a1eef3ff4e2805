/* chachapoly_avx2.c: walks a batch, short messages first, and sends each the way that costs less (floor 1). */
#include "avx2.h"

#ifdef ZS_HAVE_X86_KERNELS

/* Which way costs less: measured in cycles of Zen 4, without what both cost. */
enum {
    LANES_FIXED = 220,
    LANES_BLOCK = 610,    /* for all lanes together, as many blocks as the longest message has */
    STREAM_MESSAGE = 100,
    STREAM_BLOCK = 83,    /* for each message */
    STREAM_ALWAYS = 2,    /* messages or fewer */
    LONG_BLOCKS = 128     /* from here on one message at a time, which memory likes better */
};

/* Up to eight messages, the longest last. */
static bool is_stream(zs_aead_job *const *jobs, size_t count) {
    size_t longest = zs_text_blocks(jobs[count - 1], LONG_BLOCKS), cost = 0;
    if (longest >= LONG_BLOCKS) return true;
    for (size_t i = 0; i < count; i++) cost += STREAM_MESSAGE + STREAM_BLOCK * zs_text_blocks(jobs[i], LONG_BLOCKS);
    return cost < LANES_FIXED + LANES_BLOCK * longest;
}

static void walk_window(zs_lanes8 *l, zs_aead_job *jobs, size_t count, bool opening) {
    zs_aead_job *order[ZS_WINDOW];
    zs_sort_jobs(order, jobs, count, LONG_BLOCKS);
    for (size_t from = 0; from < count; from += ZS_LANES8) {
        size_t n = count - from < ZS_LANES8 ? count - from : ZS_LANES8;
        if (is_stream(order + from, n)) zs_stream_avx2(order + from, n, opening);
        else zs_lanes8_group(l, order + from, n, opening);
    }
}

ZS_AVX2_BEGIN
ZS_STACK_WIPER(wipe_stack, 2 * 1024)
ZS_AVX2_END

static void walk(zs_aead_job *jobs, size_t count, bool opening) {
    if (count == 0) return;
    if (count <= STREAM_ALWAYS) {
        zs_aead_job *few[STREAM_ALWAYS];
        for (size_t i = 0; i < count; i++) few[i] = &jobs[i];
        zs_stream_avx2(few, count, opening);
        return;
    }
    zs_lanes8 l;
    zs_lanes8_begin(&l);
    for (size_t from = 0; from < count; from += ZS_WINDOW) {
        walk_window(&l, jobs + from, count - from < ZS_WINDOW ? count - from : ZS_WINDOW, opening);
    }
    zs_lanes8_finish(&l, opening);
    wipe_stack();
    zs_lanes8_wipe(&l);
}

void zs_seal_many_avx2(const zs_sodium *sodium, zs_aead_job *jobs, size_t count) {
    (void)sodium;
    walk(jobs, count, false);
}

void zs_open_many_avx2(const zs_sodium *sodium, zs_aead_job *jobs, size_t count) {
    (void)sodium;
    walk(jobs, count, true);
}

#endif
