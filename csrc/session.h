/* session.h: the sender's session and the receiver's tables of associations and sessions (floor 4).
 *
 * The receiver's state moves only in zs_table_commit, after a tag has held: strangers leave nothing behind.
 */
#ifndef ZS_SESSION_H
#define ZS_SESSION_H

#include "libs.h"
#include "route.h"
#include "window.h"
#include "wire.h"

/* One association's key and policy; times are in seconds. */
typedef struct zs_association {
    uint8_t key[ZS_KEY_BYTES]; /* the key of its suite, not the association's secret */
    uint32_t spi;
    uint8_t suite;
    bool allow_clear;
    bool asks; /* its route policy is not met by a message without attestations; zs_table_add fills it in */
    uint64_t lifetime;
    uint64_t skew;
    uint64_t late_join;
    bool has_floor;
    uint32_t floor; /* unknown sessions that began then or before are stale */
    zs_route_policy route;
} zs_association;

/* The sending side: one session of one association. */
typedef struct zs_sender {
    uint8_t key[ZS_KEY_BYTES];
    uint8_t subkey[ZS_KEY_BYTES];
    uint8_t session[ZS_SESSION_BYTES];
    uint32_t spi;
    uint8_t suite;
    bool admits; /* and then these; spec, "Admission" */
    uint8_t admission_key[ZS_KEY_BYTES];
    uint8_t admission_subkey[ZS_KEY_BYTES];
    const zs_libs *libs;
} zs_sender;

/* One session that a receiver has authenticated. Its name is its id and its origin's key: nobody moves the window of
 * another's messages. */
typedef struct zs_session {
    uint8_t subkey[ZS_KEY_BYTES];
    uint8_t origin[ZS_PUBLIC_KEY_BYTES]; /* zeros where no origin is attested */
    uint8_t id[ZS_SESSION_BYTES];
    uint32_t spi;
    uint32_t next; /* in its bucket */
    zs_window window;
} zs_session;

typedef struct zs_table {
    const zs_sodium *sodium;
    uint64_t began;     /* when this receiver did */
    uint64_t hash_seed;
    uint64_t changes;   /* grows whenever a session or an association is entered or leaves */
    zs_association *associations; /* sorted by SPI */
    size_t association_count;
    zs_session **slabs;
    uint32_t *buckets;
    uint32_t *heap;     /* session numbers, the oldest session on top */
    uint32_t *free_list;
    uint32_t session_count, max_sessions, slab_count, bucket_mask, free_count;
} zs_table;

/* Suite 1: HChaCha20 over bytes 8..24. Suite 2: keyed BLAKE2b over them. Other suites derive inside themselves. */
void zs_subkey(const zs_sodium *sodium, uint8_t subkey[ZS_KEY_BYTES], uint8_t suite, const uint8_t key[ZS_KEY_BYTES],
               const uint8_t bytes_8_to_24[ZS_HCHACHA_INPUT_BYTES]);

/* Begin a session; `session` is 4 bytes start time and 8 random bytes. */
void zs_sender_begin(zs_sender *sender, const zs_sodium *sodium, const uint8_t session[ZS_SESSION_BYTES]);

bool zs_table_init(zs_table *table, const zs_sodium *sodium, uint64_t now, uint32_t max_sessions);
void zs_table_free(zs_table *table);

/* Add an association (false: out of memory, or its SPI stands already); remove one with all of its sessions. */
bool zs_table_add(zs_table *table, const zs_association *association);
bool zs_table_remove(zs_table *table, uint32_t spi);
zs_association *zs_table_association(const zs_table *table, uint32_t spi);

/* Unknown sessions of the association that began at `floor` or before are stale from now on. */
void zs_table_raise_floor(zs_association *association, uint32_t floor);

/* Enter a session that is known to go on, although it began before the floor: numbers below `next` are used up. Nothing
 * moves for one that has a window, or is not below the floor. False: out of memory, then nothing has moved. */
bool zs_table_expect(zs_table *table, zs_association *association, const uint8_t id[ZS_SESSION_BYTES],
                     const uint8_t *origin, uint64_t next);

/* `origin` is a public key, or NULL for messages whose origin is not attested. */
zs_session *zs_table_session(const zs_table *table, uint32_t spi, const uint8_t id[ZS_SESSION_BYTES],
                             const uint8_t *origin);

/* Spec, "The checks of a receiver", the freshness of a session that the table does not know. */
zs_status zs_table_check_new(const zs_table *table, const zs_association *association, const zs_header *header,
                             uint64_t now);

/* The session's freshness and the window; `session` is NULL for one that is unknown. Moves nothing. */
static inline zs_status zs_table_check(const zs_table *table, const zs_association *association,
                                       const zs_session *session, const zs_header *header, uint64_t now) {
    if (header->start + association->lifetime < now) return ZS_STALE_SESSION;
    if (session != NULL) return zs_window_check(&session->window, header->sequence) ? ZS_OK : ZS_REPLAYED;
    return zs_table_check_new(table, association, header, now);
}

/* Enter the first authenticated message of a session with its subkey. False: out of memory, then nothing has moved. */
bool zs_table_enter(zs_table *table, zs_association *association, const zs_header *header,
                    const uint8_t id[ZS_SESSION_BYTES], const uint8_t *origin, const uint8_t subkey[ZS_KEY_BYTES]);

/* Enter any authenticated message: as zs_table_enter, or as the next bit of a known session's window. */
static inline bool zs_table_commit(zs_table *table, zs_association *association, zs_session *session,
                                   const zs_header *header, const uint8_t id[ZS_SESSION_BYTES],
                                   const uint8_t *origin, const uint8_t subkey[ZS_KEY_BYTES]) {
    if (session == NULL) return zs_table_enter(table, association, header, id, origin, subkey);
    zs_window_commit(&session->window, header->sequence);
    return true;
}

#endif
