/* jobs.h: what the kernels of every instruction set do with jobs: their order, their blocks, their tags (floor 1). */
#ifndef ZS_JOBS_H
#define ZS_JOBS_H

#include "impl.h"

enum {
    ZS_WINDOW = 256,       /* messages that are sorted together */
    ZS_SORTED_BLOCKS = 256 /* messages of more blocks than that are not told apart */
};

/* Blocks of the text, `most` at most. */
static inline size_t zs_text_blocks(const zs_aead_job *job, size_t most) {
    return job->len > most * 64 ? most : (job->len + 63) / 64;
}

/* Up to ZS_WINDOW jobs, those of fewer blocks first, so that messages that go side by side end together. `most`, up to
 * ZS_SORTED_BLOCKS, as above. */
void zs_sort_jobs(zs_aead_job **sorted, zs_aead_job *jobs, size_t count, size_t most);

/* A place in the blocks of several messages, one message after the other. Block 0 of each is its one-time Poly1305 key
 * (RFC 8439 section 2.6), the text begins with block 1. */
typedef struct zs_cursor {
    size_t job;
    size_t block;
} zs_cursor;

static inline size_t zs_stream_blocks(const zs_aead_job *job) {
    return 1 + (job->len + 63) / 64;
}

/* The blocks from `c` on, `most` at most. */
static inline size_t zs_count_blocks(zs_aead_job *const *jobs, size_t count, zs_cursor c, size_t most) {
    size_t blocks = zs_stream_blocks(jobs[c.job]) - c.block;
    while (blocks < most && ++c.job < count) blocks += zs_stream_blocks(jobs[c.job]);
    return blocks < most ? blocks : most;
}

/* Keys, numbers and counters of the blocks from `c` on; the last one's again in lanes that are too many. */
void zs_fill_lanes(const uint8_t **key, uint64_t *sequence, uint32_t *counter, size_t lanes, zs_aead_job *const *jobs,
                   size_t count, zs_cursor c);

/* What was computed becomes the job's tag; or is compared with it, and the output of what is forged wiped. True if the
 * job is well. */
static inline bool zs_hand_tag(zs_aead_job *job, uint64_t tag0, uint64_t tag1, bool opening) {
    if (!opening) {
        zs_store64(job->tag, tag0);
        zs_store64(job->tag + 8, tag1);
        job->status = ZS_OK;
        return true;
    }
    uint64_t differ = (zs_load64(job->tag) ^ tag0) | (zs_load64(job->tag + 8) ^ tag1);
    job->status = differ == 0 ? ZS_OK : ZS_FORGED;
    if (differ == 0) return true;
    zs_wipe(job->out, job->far_out == NULL ? job->len : ZS_NEAR_BYTES);
    if (job->far_out != NULL) zs_wipe(job->far_out, job->len - ZS_NEAR_BYTES);
    return false;
}

#endif
