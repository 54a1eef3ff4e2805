/* grants.c: credentials by their subject (floor 4). */
#include "grants.h"

#include "impl.h"

#include <stdlib.h>

enum { BUCKETS = 4096 };

bool zs_grants_init(zs_grants *grants, const zs_sodium *sodium, size_t max_learned) {
    memset(grants, 0, sizeof *grants);
    grants->sodium = sodium;
    grants->max_learned = max_learned;
    grants->bucket_mask = BUCKETS - 1;
    sodium->random(&grants->hash_seed, sizeof grants->hash_seed);
    grants->buckets = calloc(BUCKETS, sizeof *grants->buckets);
    return grants->buckets != NULL;
}

static void free_authority(zs_authority *authority) {
    free((void *)(uintptr_t)authority->serials);
    free((void *)(uintptr_t)authority->keys);
}

void zs_grants_free(zs_grants *grants) {
    for (size_t i = 0; grants->buckets != NULL && i <= grants->bucket_mask; i++) {
        while (grants->buckets[i] != NULL) {
            zs_grant *grant = grants->buckets[i];
            grants->buckets[i] = grant->next;
            free(grant);
        }
    }
    for (size_t i = 0; i < grants->authority_count; i++) free_authority(&grants->authorities[i]);
    free(grants->authorities);
    free(grants->buckets);
    memset(grants, 0, sizeof *grants);
}

/* -- authorities --------------------------------------------------------------------------------------------------- */

static void *copy_of(const void *data, size_t size) {
    void *copy = malloc(size + 1);
    if (copy != NULL && size != 0) memcpy(copy, data, size);
    return copy;
}

bool zs_grants_trust(zs_grants *grants, const zs_authority *authority) {
    zs_authority own = *authority;
    own.serials = copy_of(authority->serials, authority->serial_count * sizeof *own.serials);
    own.keys = copy_of(authority->keys, authority->key_count * ZS_PUBLIC_KEY_BYTES);
    zs_authority *grown = realloc(grants->authorities, (grants->authority_count + 1) * sizeof *grown);
    if (grown != NULL) grants->authorities = grown;
    if (grown == NULL || own.serials == NULL || own.keys == NULL) {
        free_authority(&own);
        return false;
    }
    grants->authorities[grants->authority_count++] = own;
    return true;
}

static const zs_authority *authority_of(const zs_grants *grants, const uint8_t key[ZS_PUBLIC_KEY_BYTES]) {
    for (size_t i = 0; i < grants->authority_count; i++) {
        if (memcmp(grants->authorities[i].key, key, ZS_PUBLIC_KEY_BYTES) == 0) return &grants->authorities[i];
    }
    return NULL;
}

static int compare_serials(const void *first, const void *second) {
    uint64_t a = *(const uint64_t *)first, b = *(const uint64_t *)second;
    return a < b ? -1 : a > b;
}

static int compare_keys(const void *first, const void *second) {
    return memcmp(first, second, ZS_PUBLIC_KEY_BYTES);
}

/* Is the authority trusted, its list current if it has to be, and the credential not on it? */
static bool counts(const zs_grants *grants, const zs_credential *credential, uint64_t now) {
    const zs_authority *authority = authority_of(grants, credential->authority);
    if (authority == NULL) return false;
    if (grants->require_current_lists && (!authority->has_list || now > authority->next_update)) return false;
    return bsearch(&credential->serial, authority->serials, authority->serial_count, sizeof(uint64_t), compare_serials) == NULL &&
           bsearch(credential->subject, authority->keys, authority->key_count, ZS_PUBLIC_KEY_BYTES, compare_keys) == NULL;
}

/* -- credentials --------------------------------------------------------------------------------------------------- */

static zs_grant **bucket_of(const zs_grants *grants, const uint8_t subject[ZS_PUBLIC_KEY_BYTES]) {
    uint64_t h = (zs_load64(subject) ^ grants->hash_seed) * UINT64_C(0x9E3779B97F4A7C15);
    return &grants->buckets[(h >> 32) & grants->bucket_mask];
}

static zs_grant *new_grant(const uint8_t *raw, size_t len) {
    zs_grant *grant = malloc(sizeof *grant + len);
    if (grant == NULL) return NULL;
    memset(grant, 0, sizeof *grant);
    grant->len = len;
    memcpy(grant->raw, raw, len);
    if (zs_credential_parse(&grant->credential, grant->raw, len) == ZS_OK) return grant;
    free(grant);
    return NULL;
}

static void enter(zs_grants *grants, zs_grant *grant) {
    zs_grant **bucket = bucket_of(grants, grant->credential.subject);
    grant->next = *bucket;
    *bucket = grant;
}

bool zs_grants_add(zs_grants *grants, const uint8_t *raw, size_t len, bool pinned) {
    zs_grant *grant = new_grant(raw, len);
    if (grant == NULL) return false;
    grant->pinned = pinned;
    enter(grants, grant);
    return true;
}

static bool is_of(const zs_grant *grant, const uint8_t subject[ZS_PUBLIC_KEY_BYTES]) {
    return memcmp(grant->credential.subject, subject, ZS_PUBLIC_KEY_BYTES) == 0;
}

bool zs_grants_permit(const zs_grants *grants, const uint8_t key[ZS_PUBLIC_KEY_BYTES], const zs_deed *deed) {
    for (const zs_grant *grant = *bucket_of(grants, key); grant != NULL; grant = grant->next) {
        if (is_of(grant, key) && zs_credential_permits(&grant->credential, deed) &&
            (grant->pinned || counts(grants, &grant->credential, deed->now))) {
            return true;
        }
    }
    return false;
}

/* -- what messages bring ------------------------------------------------------------------------------------------- */

static void forget(zs_grants *grants, zs_grant *grant) {
    zs_grant **at = bucket_of(grants, grant->credential.subject), **queued = &grants->first_learned, *before = NULL;
    while (*at != grant) at = &(*at)->next;
    *at = grant->next;
    while (*queued != grant) {
        before = *queued;
        queued = &before->next_learned;
    }
    *queued = grant->next_learned;
    if (grants->last_learned == grant) grants->last_learned = before;
    grants->learned--;
    free(grant);
}

static void enter_learned(zs_grants *grants, zs_grant *grant) {
    grant->learned = true;
    grant->next_learned = NULL;
    if (grants->last_learned != NULL) grants->last_learned->next_learned = grant;
    else grants->first_learned = grant;
    grants->last_learned = grant;
    grants->learned++;
    enter(grants, grant);
}

/* Of one subject so many are kept, and those that hold longest; true: this one is among them. */
static bool make_room(zs_grants *grants, const zs_credential *credential) {
    zs_grant *shortest = NULL;
    size_t count = 0;
    for (zs_grant *grant = *bucket_of(grants, credential->subject); grant != NULL; grant = grant->next) {
        if (!grant->learned || !is_of(grant, credential->subject)) continue;
        count++;
        if (shortest == NULL || grant->credential.not_after < shortest->credential.not_after) shortest = grant;
    }
    if (count >= ZS_MAX_CREDENTIALS_OF_ONE) {
        if (shortest->credential.not_after >= credential->not_after) return false;
        forget(grants, shortest);
    }
    while (grants->learned >= grants->max_learned && grants->first_learned != NULL) forget(grants, grants->first_learned);
    return grants->learned < grants->max_learned;
}

zs_status zs_grants_learn(zs_grants *grants, const uint8_t subject[ZS_PUBLIC_KEY_BYTES], const uint8_t *raw, size_t len) {
    zs_credential credential;
    zs_status status = zs_credential_parse(&credential, raw, len);
    if (status != ZS_OK) return status;
    if (memcmp(credential.subject, subject, ZS_PUBLIC_KEY_BYTES) != 0) return ZS_NOT_PERMITTED;
    for (const zs_grant *grant = *bucket_of(grants, credential.subject); grant != NULL; grant = grant->next) {
        if (!grant->pinned && grant->len == len && memcmp(grant->raw, raw, len) == 0) return ZS_OK;
    }
    if (authority_of(grants, credential.authority) == NULL) return ZS_NOT_PERMITTED;
    status = zs_credential_read(&credential, grants->sodium, raw, len);
    if (status != ZS_OK || !make_room(grants, &credential)) return status;
    zs_grant *grant = new_grant(raw, len);
    if (grant != NULL) enter_learned(grants, grant);
    return ZS_OK;
}

void zs_grants_inherit(zs_grants *grants, zs_grants *before) {
    for (const zs_grant *grant = before->first_learned; grant != NULL; grant = grant->next_learned) {
        if (authority_of(grants, grant->credential.authority) == NULL || !make_room(grants, &grant->credential)) continue;
        zs_grant *copy = new_grant(grant->raw, grant->len);
        if (copy != NULL) enter_learned(grants, copy);
    }
}
