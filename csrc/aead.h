/* aead.h: one call for many messages of one suite (floor 3). */
#ifndef ZS_AEAD_H
#define ZS_AEAD_H

#include "libs.h"

/* Whether the core seals and opens this suite by itself; other suites are the caller's. */
bool zs_aead_is_native(const zs_libs *libs, uint8_t suite);

/* Jobs of this suite of at least so many bytes may have far_in or far_out. */
size_t zs_aead_far_from(const zs_libs *libs, uint8_t suite);

void zs_aead_seal_many(const zs_libs *libs, uint8_t suite, zs_aead_job *jobs, size_t count);

/* Each job's status becomes ZS_OK or ZS_FORGED; the output of a forged one holds zeros. */
void zs_aead_open_many(const zs_libs *libs, uint8_t suite, zs_aead_job *jobs, size_t count);

#endif
