/* ahead.c: seals and opens one message with key stream that was made ahead, and makes more of it (floor 3). */
#include "ahead.h"

#include "impl.h"

enum { NO_LANE = ZS_AHEAD_LANES };

static bool is_same_key(const uint8_t a[ZS_KEY_BYTES], const uint8_t b[ZS_KEY_BYTES]) {
    bool low = zs_tag_equal(a, b), high = zs_tag_equal(a + ZS_KEY_BYTES / 2, b + ZS_KEY_BYTES / 2);
    return low & high;
}

/* The lane that holds the job's key stream. It is made when messages follow each other: a stranger's number brings
 * no work, for `next` moves only behind authenticated ones. */
static size_t lane_of(const zs_kernels *kernels, zs_ahead *ahead, const zs_aead_job *job) {
    size_t blocks = 1 + (job->len + 63) / 64;
    if (kernels->ahead_make == NULL || blocks > ZS_AHEAD_BLOCKS || !is_same_key(ahead->key, job->key)) return NO_LANE;
    uint64_t lane = job->sequence - ahead->first;
    if (lane < ZS_AHEAD_LANES && blocks <= ahead->blocks && (ahead->ready >> lane & 1) != 0) return (size_t)lane;
    if (job->sequence != ahead->next) return NO_LANE;
    kernels->ahead_make(ahead->stream, job->key, job->sequence, blocks);
    ahead->first = job->sequence;
    ahead->blocks = blocks;
    ahead->ready = (UINT32_C(1) << ZS_AHEAD_LANES) - 1;
    return 0;
}

static void use_up(zs_ahead *ahead, const zs_aead_job *job, size_t lane) {
    if (lane != NO_LANE) {
        for (size_t block = 0; block < ahead->blocks; block++) zs_wipe(ahead->stream[block][lane], 64);
        ahead->ready &= ~(UINT32_C(1) << lane);
    } else if (!is_same_key(ahead->key, job->key)) {
        memcpy(ahead->key, job->key, ZS_KEY_BYTES);
        ahead->ready = 0;
    }
    ahead->next = job->sequence + 1;
}

void zs_ahead_seal(const zs_libs *libs, zs_ahead *ahead, zs_aead_job *job) {
    size_t lane = lane_of(libs->kernels, ahead, job);
    if (lane == NO_LANE) libs->kernels->seal_many(&libs->sodium, job, 1);
    else libs->kernels->ahead_seal(job, (const zs_ahead_stream *)&ahead->stream, lane);
    use_up(ahead, job, lane);
}

void zs_ahead_open(const zs_libs *libs, zs_ahead *ahead, zs_aead_job *job) {
    size_t lane = lane_of(libs->kernels, ahead, job);
    if (lane == NO_LANE) libs->kernels->open_many(&libs->sodium, job, 1);
    else libs->kernels->ahead_open(job, (const zs_ahead_stream *)&ahead->stream, lane);
    if (job->status == ZS_OK) use_up(ahead, job, lane);
}
