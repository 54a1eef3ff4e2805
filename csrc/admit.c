/* admit.c: tags of admission, checked and written a batch at a time (floor 3); spec, "Admission". */
#include "admit.h"

#include "impl.h"

#include <stdlib.h>

enum { HEAD_BYTES = ZS_ADMIT_BYTES - ZS_TAG_BYTES };

/* The part's head (ignorable, 22 bytes), the length of its name, and the name. */
static const uint8_t HEAD[HEAD_BYTES] = {0x5A, 0, 0, 0, 5, 'a', 'd', 'm', 'i', 't'};
static const uint8_t NO_SALT[16] = {0};

void zs_admission_key(const zs_sodium *sodium, uint8_t key[ZS_KEY_BYTES], const uint8_t secret[ZS_KEY_BYTES],
                      uint32_t spi) {
    uint8_t message[4];
    zs_store32(message, spi);
    sodium->blake2b(key, ZS_KEY_BYTES, message, sizeof message, secret, ZS_KEY_BYTES, NO_SALT,
                    (const uint8_t *)"zmqsec.admission");
}

/* -- keys ---------------------------------------------------------------------------------------------------------- */

static int by_spi(const void *first, const void *second) {
    uint32_t a = ((const zs_admission *)first)->spi, b = ((const zs_admission *)second)->spi;
    return a < b ? -1 : a > b;
}

bool zs_admissions_make(zs_admissions *admissions, const zs_admission *given, size_t count) {
    memset(admissions, 0, sizeof *admissions);
    admissions->keys = calloc(count + 1, sizeof *given);
    if (admissions->keys == NULL) return false;
    if (count != 0) memcpy(admissions->keys, given, count * sizeof *given);
    admissions->count = count;
    qsort(admissions->keys, count, sizeof *given, by_spi);
    for (size_t i = 1; i < count; i++) {
        if (admissions->keys[i - 1].spi != admissions->keys[i].spi) continue;
        zs_admissions_free(admissions);
        return false;
    }
    return true;
}

void zs_admissions_free(zs_admissions *admissions) {
    if (admissions->keys != NULL) zs_wipe(admissions->keys, admissions->count * sizeof *admissions->keys);
    free(admissions->keys);
    zs_wipe(admissions, sizeof *admissions);
}

static zs_admitted *slot_of(zs_admissions *admissions, const uint8_t *prefix) {
    return &admissions->slots[prefix[ZS_HCHACHA_INPUT_BYTES - 1] % ZS_ADMISSION_SLOTS]; /* of the session's random bytes */
}

/* The subkey of the message's session, made where it is not kept; NULL: no such SPI. */
static const uint8_t *subkey_of(zs_admissions *admissions, const zs_libs *libs, const zs_admit_item *item) {
    const uint8_t *prefix = item->sealed + ZS_NONCE_OFFSET;
    zs_admitted *slot = slot_of(admissions, prefix);
    if (slot->used && memcmp(slot->prefix, prefix, sizeof slot->prefix) == 0) return slot->subkey;
    zs_admission wanted = {.spi = item->header.spi};
    const zs_admission *key = bsearch(&wanted, admissions->keys, admissions->count, sizeof wanted, by_spi);
    if (key == NULL) return NULL;
    libs->sodium.hchacha20(slot->subkey, prefix, key->key, NULL);
    memcpy(slot->prefix, prefix, sizeof slot->prefix);
    slot->used = true;
    return slot->subkey;
}

/* -- tags ---------------------------------------------------------------------------------------------------------- */

void zs_admit_head(uint8_t *out) {
    memcpy(out, HEAD, sizeof HEAD);
}

static zs_aead_job job_of(const uint8_t *subkey, uint64_t sequence, const uint8_t *front, size_t front_len, uint8_t *tag) {
    return (zs_aead_job){.key = subkey, .sequence = sequence, .ad = front, .ad_len = front_len, .in = tag, .out = tag,
                         .len = 0, .tag = tag, .status = ZS_OK};
}

/* Jobs whose keys stand in slots are done before a slot is used again. */
static void finish(const zs_libs *libs, zs_aead_job *jobs, zs_admit_item *const *owners, size_t *waiting) {
    if (*waiting != 0) libs->kernels->open_many(&libs->sodium, jobs, *waiting);
    for (size_t i = 0; i < *waiting; i++) owners[i]->status = jobs[i].status;
    *waiting = 0;
}

void zs_admit_check(zs_admissions *admissions, const zs_libs *libs, zs_admit_item *items, size_t count) {
    zs_aead_job jobs[ZS_ADMIT_BATCH];
    zs_admit_item *owners[ZS_ADMIT_BATCH];
    size_t waiting = 0;
    for (size_t i = 0; i < count; i++) {
        zs_admit_item *item = &items[i];
        if (item->status != ZS_OK) continue;
        size_t end = (size_t)ZS_HEADER_BYTES + item->header.header_parts;
        if (item->header.header_parts < ZS_ADMIT_BYTES || memcmp(item->sealed + end - ZS_ADMIT_BYTES, HEAD, HEAD_BYTES) != 0) {
            item->status = ZS_UNATTESTED;
            continue;
        }
        const zs_admitted *slot = slot_of(admissions, item->sealed + ZS_NONCE_OFFSET);
        if (slot->used && memcmp(slot->prefix, item->sealed + ZS_NONCE_OFFSET, sizeof slot->prefix) != 0) {
            finish(libs, jobs, owners, &waiting);
        }
        const uint8_t *subkey = subkey_of(admissions, libs, item);
        if (subkey == NULL) {
            item->status = ZS_UNKNOWN_SPI;
            continue;
        }
        /* The kernel only reads a tag that it checks, and of a text of no bytes it writes none. */
        jobs[waiting] = job_of(subkey, item->header.sequence, item->sealed, end - ZS_ADMIT_BYTES,
                               (uint8_t *)(uintptr_t)(item->sealed + end - ZS_TAG_BYTES));
        owners[waiting++] = item;
    }
    finish(libs, jobs, owners, &waiting);
}

void zs_admit_seal(const zs_libs *libs, const uint8_t subkey[ZS_KEY_BYTES], uint8_t *const *fronts,
                   const size_t *front_lens, size_t count) {
    zs_aead_job jobs[ZS_ADMIT_BATCH];
    for (size_t i = 0; i < count; i++) {
        zs_admit_head(fronts[i] + front_lens[i]);
        jobs[i] = job_of(subkey, zs_load64(fronts[i] + ZS_SEQUENCE_OFFSET), fronts[i], front_lens[i],
                         fronts[i] + front_lens[i] + HEAD_BYTES);
    }
    libs->kernels->seal_many(&libs->sodium, jobs, count);
}
