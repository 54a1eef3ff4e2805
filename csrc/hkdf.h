/* hkdf.h: HKDF as Noise defines it, over HMAC-BLAKE2b (floor 2); The Noise Protocol Framework, sections 4.3 and 12.8. */
#ifndef ZS_HKDF_H
#define ZS_HKDF_H

#include "libs.h"

enum { ZS_HKDF_HASH_BYTES = 64, ZS_HKDF_OUTPUTS = 3, ZS_HKDF_MAX_BYTES = 192 };

/* HKDF(chaining_key, material, count): `count` outputs, 1 to ZS_HKDF_OUTPUTS, one behind the other. */
void zs_hkdf(const zs_sodium *sodium, uint8_t out[ZS_HKDF_MAX_BYTES], size_t count,
             const uint8_t chaining_key[ZS_HKDF_HASH_BYTES], const uint8_t *material, size_t len);

#endif
