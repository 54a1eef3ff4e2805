/* ed25519.h: signatures by the one rule of the protocol (floor 2); spec, "Signatures". */
#ifndef ZS_ED25519_H
#define ZS_ED25519_H

#include "libs.h"

/* Does the signature of 64 bytes hold for the message under the public key of 32 bytes, by the strict rule? */
bool zs_ed25519_verify(const zs_sodium *sodium, const uint8_t signature[ZS_SIGNATURE_BYTES], const uint8_t *message,
                       size_t len, const uint8_t key[ZS_PUBLIC_KEY_BYTES]);

/* May these bytes be a public key, or the first half of a signature: a canonical y, and not that of a small order? */
bool zs_ed25519_is_strict_point(const uint8_t point[ZS_PUBLIC_KEY_BYTES]);

#endif
