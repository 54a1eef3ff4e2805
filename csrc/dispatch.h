/* dispatch.h: the kernels of suite 1 that this CPU can run (floor 2). */
#ifndef ZS_DISPATCH_H
#define ZS_DISPATCH_H

#include "impl.h"
#include "libs.h"
#include "zs.h"

/* Every tier keeps the contracts of zs_aead_job and zs_subkey_job; jobs of a batch must not overlap one another. */
typedef void zs_aead_kernel(const zs_sodium *sodium, zs_aead_job *jobs, size_t count);
typedef void zs_subkey_kernel(const zs_sodium *sodium, zs_subkey_job *jobs, size_t count);

/* One job of at most ZS_AHEAD_BLOCKS - 1 blocks of text, with the key stream of one lane. */
typedef void zs_ahead_kernel(zs_aead_job *job, const zs_ahead_stream *stream, size_t lane);

typedef struct zs_kernels {
    const char *name;
    size_t far_from; /* jobs of at least so many bytes may have far_in or far_out; SIZE_MAX: none may */
    zs_aead_kernel *seal_many;
    zs_aead_kernel *open_many;
    zs_subkey_kernel *hchacha20_many;
    /* Blocks 0 to `blocks` - 1 of the numbers from `first` on; NULL, all three, in tiers that gain nothing by it. */
    void (*ahead_make)(zs_ahead_stream stream, const uint8_t key[ZS_KEY_BYTES], uint64_t first, size_t blocks);
    zs_ahead_kernel *ahead_seal;
    zs_ahead_kernel *ahead_open;
} zs_kernels;

/* `tier` is "avx512", "avx2" or "portable"; NULL and "auto" mean the best that this CPU has.
 * NULL if the name is unknown or this CPU cannot run the tier. */
const zs_kernels *zs_kernels_choose(const char *tier);

#endif
