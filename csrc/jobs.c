/* jobs.c: see jobs.h (floor 1). */
#include "jobs.h"

void zs_sort_jobs(zs_aead_job **sorted, zs_aead_job *jobs, size_t count, size_t most) {
    uint16_t start[ZS_SORTED_BLOCKS + 2] = {0};
    bool is_sorted = true;
    for (size_t i = 0; i < count; i++) {
        sorted[i] = &jobs[i];
        if (i > 0 && zs_text_blocks(&jobs[i], most) < zs_text_blocks(&jobs[i - 1], most)) is_sorted = false;
    }
    if (is_sorted) return;
    for (size_t i = 0; i < count; i++) start[zs_text_blocks(&jobs[i], most) + 1]++;
    for (size_t b = 1; b < most + 1; b++) start[b] = (uint16_t)(start[b] + start[b - 1]);
    for (size_t i = 0; i < count; i++) sorted[start[zs_text_blocks(&jobs[i], most)]++] = &jobs[i];
}

void zs_fill_lanes(const uint8_t **key, uint64_t *sequence, uint32_t *counter, size_t lanes, zs_aead_job *const *jobs,
                   size_t count, zs_cursor c) {
    for (size_t i = 0; i < lanes; i++) {
        const zs_aead_job *job = jobs[c.job];
        key[i] = job->key, sequence[i] = job->sequence, counter[i] = (uint32_t)c.block;
        if (c.block + 1 < zs_stream_blocks(job)) c.block++;
        else if (c.job + 1 < count) c.job++, c.block = 0;
    }
}
