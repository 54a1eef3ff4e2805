/* credential.h: credentials, read and asked what they permit (floor 3); spec, "Credentials". zmqsec/credential.py is its
 * twin, held to the same vectors. */
#ifndef ZS_CREDENTIAL_H
#define ZS_CREDENTIAL_H

#include "libs.h"

/* One of the four lists: `count` entries, each a length and its bytes, that were checked when they were read. */
typedef struct zs_entries {
    const uint8_t *data;
    size_t count;
} zs_entries;

/* Points into the bytes that it was read from, for as long as they stand. */
typedef struct zs_credential {
    const uint8_t *authority; /* public keys, 32 bytes */
    const uint8_t *subject;
    uint64_t serial;
    uint64_t not_before; /* unix seconds, both included */
    uint64_t not_after;
    uint8_t roles;
    zs_entries names;
    zs_entries routing_ids;
    zs_entries publish;
    zs_entries read;
} zs_credential;

/* Read a credential without a look at its signature: ZS_TOO_LARGE, ZS_MALFORMED, ZS_BAD_VERSION or ZS_OK. */
zs_status zs_credential_parse(zs_credential *credential, const uint8_t *data, size_t len);

/* The same, and ZS_FORGED if the authority's signature does not hold. */
zs_status zs_credential_read(zs_credential *credential, const zs_sodium *sodium, const uint8_t *data, size_t len);

/* What somebody wants to do. A topic is looked at for the roles send and receive where there is one (data not NULL), a
 * routing id where it is not empty. */
typedef struct zs_deed {
    uint8_t role; /* one of ZS_ROLE_* */
    uint64_t now;
    const uint8_t *topic;
    size_t topic_len;
    const uint8_t *routing_id;
    size_t routing_id_len;
} zs_deed;

/* Does the credential permit it? Whether its authority is trusted, and has not revoked it, is the caller's to know. */
bool zs_credential_permits(const zs_credential *credential, const zs_deed *deed);

/* Is a value one of the patterns: equal, or beginning with what stands before a final '*'? */
bool zs_entries_match(const zs_entries *patterns, const uint8_t *value, size_t len);

/* Do the patterns match every value that begins so, as a subscription asks for? */
bool zs_entries_cover(const zs_entries *patterns, const uint8_t *prefix, size_t len);

#endif
