/* admit.h: admission, by which a relay without the body's key tells members from strangers (floor 3); spec, "Admission".
 *
 * The last header part is a tag over all before it, under a key that relays may hold. It runs through the kernels of
 * suite 1 with no text, many messages at once.
 */
#ifndef ZS_ADMIT_H
#define ZS_ADMIT_H

#include "dispatch.h"
#include "libs.h"
#include "wire.h"

enum { ZS_ADMISSION_SLOTS = 256 /* sessions whose subkeys are kept */ };

typedef struct zs_admission {
    uint32_t spi;
    uint8_t key[ZS_KEY_BYTES];
} zs_admission;

/* A session's subkey; `prefix` is SPI and session, bytes 8..24. */
typedef struct zs_admitted {
    uint8_t prefix[ZS_HCHACHA_INPUT_BYTES];
    uint8_t subkey[ZS_KEY_BYTES];
    bool used;
} zs_admitted;

/* The keys that a relay holds, sorted by SPI, none twice. */
typedef struct zs_admissions {
    zs_admission *keys;
    size_t count;
    zs_admitted slots[ZS_ADMISSION_SLOTS];
} zs_admissions;

/* One message to check; those whose status is not ZS_OK on entry are left out. */
typedef struct zs_admit_item {
    const uint8_t *sealed;
    zs_header header; /* as zs_wire_read gave it */
    zs_status status; /* ZS_OK, ZS_UNKNOWN_SPI, ZS_UNATTESTED where there is no admission, or ZS_FORGED */
} zs_admit_item;

/* The admission key of an association's secret. */
void zs_admission_key(const zs_sodium *sodium, uint8_t key[ZS_KEY_BYTES], const uint8_t secret[ZS_KEY_BYTES], uint32_t spi);

/* Copy the keys; false: out of memory, or an SPI stands there twice. Free wipes them. */
bool zs_admissions_make(zs_admissions *admissions, const zs_admission *given, size_t count);
void zs_admissions_free(zs_admissions *admissions);

/* At most ZS_ADMIT_BATCH items. */
enum { ZS_ADMIT_BATCH = 64 };
void zs_admit_check(zs_admissions *admissions, const zs_libs *libs, zs_admit_item *items, size_t count);

/* Write the admission, ZS_ADMIT_BYTES, behind `front` of that many bytes: header and header parts before it, H included. */
void zs_admit_head(uint8_t *out);
void zs_admit_seal(const zs_libs *libs, const uint8_t subkey[ZS_KEY_BYTES], uint8_t *const *fronts,
                   const size_t *front_lens, size_t count);

#endif
