/* grants.h: who is trusted with what, as a relay asks it for every message (floor 4); zmqsec/trust.py says it in Python.
 *
 * The operator's word is entered once; credentials that messages bring are verified and kept, in a bounded queue.
 */
#ifndef ZS_GRANTS_H
#define ZS_GRANTS_H

#include "credential.h"

enum { ZS_MAX_CREDENTIALS_OF_ONE = 8 /* that messages have brought */ };

/* A trusted authority, and what its newest revocation list takes back. */
typedef struct zs_authority {
    uint8_t key[ZS_PUBLIC_KEY_BYTES];
    bool has_list;
    uint64_t next_update;
    const uint64_t *serials; /* sorted */
    size_t serial_count;
    const uint8_t *keys; /* sorted, one after the other */
    size_t key_count;
} zs_authority;

typedef struct zs_grant zs_grant;
struct zs_grant {
    zs_grant *next;         /* in its bucket */
    zs_grant *next_learned; /* the one learned after it */
    zs_credential credential;
    bool pinned, learned;
    size_t len;
    uint8_t raw[];
};

typedef struct zs_grants {
    const zs_sodium *sodium;
    uint64_t hash_seed;
    bool require_current_lists;
    zs_authority *authorities;
    size_t authority_count;
    zs_grant **buckets;
    size_t bucket_mask;
    zs_grant *first_learned, *last_learned;
    size_t learned, max_learned;
} zs_grants;

bool zs_grants_init(zs_grants *grants, const zs_sodium *sodium, size_t max_learned);
void zs_grants_free(zs_grants *grants);

/* Copy an authority with its list; false: out of memory. */
bool zs_grants_trust(zs_grants *grants, const zs_authority *authority);

/* Keep a credential that was verified before; `pinned`: it is the operator's own word, and no authority's. False: out of
 * memory, or it is none. */
bool zs_grants_add(zs_grants *grants, const uint8_t *raw, size_t len, bool pinned);

/* Keep a credential of this subject that a message brought, if a trusted authority has signed it: ZS_OK, or why not. */
zs_status zs_grants_learn(zs_grants *grants, const uint8_t subject[ZS_PUBLIC_KEY_BYTES], const uint8_t *raw, size_t len);

/* Take over what another table has learned of authorities that are trusted here. */
void zs_grants_inherit(zs_grants *grants, zs_grants *before);

/* May the owner of this key do it? Rights of several credentials are not added up. */
bool zs_grants_permit(const zs_grants *grants, const uint8_t key[ZS_PUBLIC_KEY_BYTES], const zs_deed *deed);

#endif
