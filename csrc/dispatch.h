/* dispatch.h: the kernels of suite 1 that this CPU can run (floor 2). */
#ifndef ZS_DISPATCH_H
#define ZS_DISPATCH_H

#include "libs.h"
#include "zs.h"

/* Every tier keeps the contracts of zs_aead_job and zs_subkey_job; jobs of a batch must not overlap one another. */
typedef void zs_aead_kernel(const zs_sodium *sodium, zs_aead_job *jobs, size_t count);
typedef void zs_subkey_kernel(const zs_sodium *sodium, zs_subkey_job *jobs, size_t count);

typedef struct zs_kernels {
    const char *name;
    zs_aead_kernel *seal_many;
    zs_aead_kernel *open_many;
    zs_subkey_kernel *hchacha20_many;
} zs_kernels;

/* `tier` is "avx512", "avx2" or "portable"; NULL and "auto" mean the best that this CPU has.
 * NULL if the name is unknown or this CPU cannot run the tier. */
const zs_kernels *zs_kernels_choose(const char *tier);

#endif
