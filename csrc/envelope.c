/* envelope.c: envelopes by routing id and by number, in a list by the time they were used (floor 3). */
#include "envelope.h"

#include "impl.h"

#include <stdlib.h>

enum {
    AT_LENGTH = 4,
    AT_RELAY = 5,
    AT_IDENTITY = AT_RELAY + ZS_PUBLIC_KEY_BYTES,
    AT_NUMBER = AT_IDENTITY + ZS_PUBLIC_KEY_BYTES,
    NUMBER_BYTES = 8
};

static const uint8_t MAGIC[4] = {0x5A, 0x53, 0x49, ZS_VERSION};
static const uint8_t LABEL[12] = {'z', 'm', 'q', 's', 'e', 'c', ' ', 'r', 'o', 'u', 't', 'e'};

static size_t buckets_for(size_t max) {
    size_t count = 64;
    while (count < max && count < ((size_t)1 << 20)) count *= 2;
    return count;
}

const uint8_t *zs_envelope_routing_id(const zs_envelope *envelope) {
    return envelope->frame + ZS_ENVELOPE_FIXED_BYTES;
}

static const uint8_t NOBODY[ZS_PUBLIC_KEY_BYTES] = {0};

static const uint8_t *identity_field(const zs_envelope *envelope) {
    return envelope->frame + AT_IDENTITY;
}

const uint8_t *zs_envelope_identity(const zs_envelope *envelope) {
    const uint8_t *field = identity_field(envelope);
    return memcmp(field, NOBODY, ZS_PUBLIC_KEY_BYTES) != 0 ? field : NULL;
}

/* -- places -------------------------------------------------------------------------------------------------------- */

static uint64_t hash(const zs_envelopes *envelopes, const uint8_t *data, size_t len) {
    uint8_t out[8];
    envelopes->sodium->shorthash(out, data, len, envelopes->hash_key);
    return zs_load64(out);
}

static zs_connection **connection_bucket(const zs_envelopes *envelopes, const uint8_t *routing_id, size_t len) {
    return &envelopes->connections[hash(envelopes, routing_id, len) & envelopes->bucket_mask];
}

/* Identity and routing id stand apart in the frame; they are hashed together. */
static zs_envelope **named_bucket(const zs_envelopes *envelopes, const uint8_t *identity, const uint8_t *routing_id,
                                  size_t len) {
    uint8_t both[ZS_PUBLIC_KEY_BYTES + ZS_MAX_ROUTING_ID_BYTES];
    memcpy(both, identity, ZS_PUBLIC_KEY_BYTES);
    if (len != 0) memcpy(both + ZS_PUBLIC_KEY_BYTES, routing_id, len);
    return &envelopes->named[hash(envelopes, both, ZS_PUBLIC_KEY_BYTES + len) & envelopes->bucket_mask];
}

static zs_envelope **numbered_bucket(const zs_envelopes *envelopes, const uint8_t *frame) {
    return &envelopes->numbered[zs_load64(frame + AT_NUMBER) & envelopes->bucket_mask];
}

static void unlink_from_time(zs_envelopes *envelopes, zs_envelope *one) {
    if (one->newer != NULL) one->newer->older = one->older;
    else envelopes->newest = one->older;
    if (one->older != NULL) one->older->newer = one->newer;
    else envelopes->oldest = one->newer;
}

static void link_as_newest(zs_envelopes *envelopes, zs_envelope *one, int64_t now) {
    one->used = now;
    one->newer = NULL;
    one->older = envelopes->newest;
    if (envelopes->newest != NULL) envelopes->newest->newer = one;
    else envelopes->oldest = one;
    envelopes->newest = one;
}

static void forget_connection(zs_envelopes *envelopes, zs_connection *connection) {
    zs_connection **at = connection_bucket(envelopes, connection->routing_id, connection->routing_id_len);
    while (*at != connection) at = &(*at)->next;
    *at = connection->next;
    envelopes->zmq->msg_close(&connection->kept);
    free(connection);
}

static void unlink_from_connection(zs_envelopes *envelopes, const zs_envelope *one) {
    if (one->before_beside != NULL) one->before_beside->next_beside = one->next_beside;
    else one->connection->first = one->next_beside;
    if (one->next_beside != NULL) one->next_beside->before_beside = one->before_beside;
    if (one->connection->first == NULL) forget_connection(envelopes, one->connection);
}

static void withdraw(zs_envelopes *envelopes, zs_envelope *one) {
    zs_envelope **at = named_bucket(envelopes, identity_field(one), zs_envelope_routing_id(one), one->routing_id_len);
    while (*at != one) at = &(*at)->next_named;
    *at = one->next_named;
    at = numbered_bucket(envelopes, one->frame);
    while (*at != one) at = &(*at)->next_numbered;
    *at = one->next_numbered;
    unlink_from_time(envelopes, one);
    unlink_from_connection(envelopes, one);
    envelopes->count--;
    free(one);
}

bool zs_envelopes_init(zs_envelopes *envelopes, const zs_libs *libs, size_t max) {
    memset(envelopes, 0, sizeof *envelopes);
    envelopes->sodium = &libs->sodium;
    envelopes->zmq = &libs->zmq;
    envelopes->max = max;
    envelopes->bucket_mask = buckets_for(max) - 1;
    libs->sodium.random(envelopes->hash_key, sizeof envelopes->hash_key);
    envelopes->connections = calloc(envelopes->bucket_mask + 1, sizeof *envelopes->connections);
    envelopes->named = calloc(envelopes->bucket_mask + 1, sizeof *envelopes->named);
    envelopes->numbered = calloc(envelopes->bucket_mask + 1, sizeof *envelopes->numbered);
    if (envelopes->connections != NULL && envelopes->named != NULL && envelopes->numbered != NULL) return true;
    zs_envelopes_free(envelopes);
    return false;
}

void zs_envelopes_free(zs_envelopes *envelopes) {
    while (envelopes->oldest != NULL) withdraw(envelopes, envelopes->oldest);
    free(envelopes->connections);
    free(envelopes->named);
    free(envelopes->numbered);
    zs_wipe(envelopes, sizeof *envelopes);
}

static void withdraw_expired(zs_envelopes *envelopes, int64_t now) {
    while (envelopes->oldest != NULL && now - envelopes->oldest->used > envelopes->lifetime) {
        withdraw(envelopes, envelopes->oldest);
    }
}

void zs_envelopes_rule(zs_envelopes *envelopes, const zs_rules *rules) {
    for (zs_envelope *one = envelopes->oldest, *newer; one != NULL; one = newer) {
        uint8_t fingerprint[ZS_FINGERPRINT_BYTES];
        const uint8_t *identity = zs_envelope_identity(one);
        zs_suspect suspect = {.routing_id = zs_envelope_routing_id(one), .routing_id_len = one->routing_id_len};
        newer = one->newer;
        if (one->connection->has_address) suspect.address = one->connection->address;
        if (identity != NULL) {
            zs_fingerprint(envelopes->sodium, fingerprint, identity);
            suspect.fingerprint = fingerprint;
        }
        if (zs_rules_ruling(rules, &suspect) == ZS_TURNED_AWAY) withdraw(envelopes, one);
    }
}

/* -- making -------------------------------------------------------------------------------------------------------- */

/* A sender, and the routing id that its frame holds. */
typedef struct named {
    const zs_sender_name *sender;
    const uint8_t *routing_id;
    size_t len;
} named;

static zs_connection *new_connection(zs_envelopes *envelopes, const named *who) {
    zs_connection *made = malloc(sizeof *made + who->len);
    if (made == NULL) return NULL;
    zs_connection **bucket = connection_bucket(envelopes, who->routing_id, who->len);
    envelopes->zmq->msg_init(&made->kept);
    envelopes->zmq->msg_copy(&made->kept, who->sender->frame);
    made->told = who->sender->address;
    made->has_address = made->told != NULL && zs_address_parse(made->address, made->told);
    made->first = NULL;
    made->routing_id_len = (uint8_t)who->len;
    if (who->len != 0) memcpy(made->routing_id, who->routing_id, who->len);
    made->next = *bucket;
    *bucket = made;
    return made;
}

/* The connection that holds the sender's routing id now; what was made for another one is withdrawn. */
static zs_connection *connection_of(zs_envelopes *envelopes, const named *who) {
    for (zs_connection *one = *connection_bucket(envelopes, who->routing_id, who->len); one != NULL; one = one->next) {
        if (one->routing_id_len != who->len || memcmp(one->routing_id, who->routing_id, who->len) != 0) continue;
        if (one->told == who->sender->address) return one;
        while (one->first->next_beside != NULL) withdraw(envelopes, one->first->next_beside);
        withdraw(envelopes, one->first); /* and the connection with its last */
        break;
    }
    return new_connection(envelopes, who);
}

static void sign(const zs_envelopes *envelopes, zs_envelope *one, const named *who) {
    uint8_t message[sizeof LABEL + ZS_MAX_ENVELOPE_BYTES], *frame = one->frame;
    size_t covered = (size_t)ZS_ENVELOPE_FIXED_BYTES + who->len;
    memcpy(frame, MAGIC, sizeof MAGIC);
    frame[AT_LENGTH] = (uint8_t)who->len;
    memcpy(frame + AT_RELAY, envelopes->key, ZS_PUBLIC_KEY_BYTES);
    memcpy(frame + AT_IDENTITY, who->sender->identity != NULL ? who->sender->identity : NOBODY, ZS_PUBLIC_KEY_BYTES);
    envelopes->sodium->random(frame + AT_NUMBER, NUMBER_BYTES);
    memcpy(frame + ZS_ENVELOPE_FIXED_BYTES, who->routing_id, who->len);
    memcpy(message, LABEL, sizeof LABEL);
    memcpy(message + sizeof LABEL, frame, covered);
    envelopes->sodium->sign(frame + covered, NULL, message, sizeof LABEL + covered, envelopes->secret);
}

static void enter(zs_envelopes *envelopes, zs_envelope *one, zs_connection *connection, int64_t now) {
    zs_envelope **named = named_bucket(envelopes, identity_field(one), zs_envelope_routing_id(one), one->routing_id_len);
    zs_envelope **numbered = numbered_bucket(envelopes, one->frame);
    one->next_named = *named;
    *named = one;
    one->next_numbered = *numbered;
    *numbered = one;
    one->connection = connection;
    one->before_beside = NULL;
    one->next_beside = connection->first;
    if (connection->first != NULL) connection->first->before_beside = one;
    connection->first = one;
    link_as_newest(envelopes, one, now);
    envelopes->count++;
}

static zs_envelope *find_named(const zs_envelopes *envelopes, const named *who) {
    const uint8_t *identity = who->sender->identity != NULL ? who->sender->identity : NOBODY;
    for (zs_envelope *one = *named_bucket(envelopes, identity, who->routing_id, who->len); one != NULL; one = one->next_named) {
        if (one->routing_id_len == who->len && memcmp(zs_envelope_routing_id(one), who->routing_id, who->len) == 0 &&
            memcmp(identity_field(one), identity, ZS_PUBLIC_KEY_BYTES) == 0) {
            return one;
        }
    }
    return NULL;
}

const zs_envelope *zs_envelopes_sign(zs_envelopes *envelopes, const zs_sender_name *sender, int64_t now) {
    named who = {sender, envelopes->zmq->msg_data(sender->frame), envelopes->zmq->msg_size(sender->frame)};
    if (who.len > ZS_MAX_ROUTING_ID_BYTES) return NULL;
    withdraw_expired(envelopes, now);
    if (envelopes->count == envelopes->max && find_named(envelopes, &who) == NULL) withdraw(envelopes, envelopes->oldest);
    zs_connection *connection = connection_of(envelopes, &who);
    if (connection == NULL) return NULL;
    zs_envelope *found = find_named(envelopes, &who);
    if (found != NULL) {
        unlink_from_time(envelopes, found);
        link_as_newest(envelopes, found, now);
        return found;
    }
    size_t len = (size_t)ZS_ENVELOPE_FIXED_BYTES + who.len + ZS_SIGNATURE_BYTES;
    zs_envelope *one = malloc(sizeof *one + len);
    if (one == NULL) {
        if (connection->first == NULL) forget_connection(envelopes, connection);
        return NULL;
    }
    one->len = (uint16_t)len;
    one->routing_id_len = (uint8_t)who.len;
    sign(envelopes, one, &who);
    enter(envelopes, one, connection, now);
    return one;
}

const zs_envelope *zs_envelopes_find(zs_envelopes *envelopes, const uint8_t *frame, size_t len, int64_t now) {
    withdraw_expired(envelopes, now);
    if (len < ZS_ENVELOPE_FIXED_BYTES + ZS_SIGNATURE_BYTES || len > ZS_MAX_ENVELOPE_BYTES) return NULL;
    for (zs_envelope *one = *numbered_bucket(envelopes, frame); one != NULL; one = one->next_numbered) {
        if (one->len != len || memcmp(one->frame, frame, len) != 0) continue;
        unlink_from_time(envelopes, one);
        link_as_newest(envelopes, one, now);
        return one;
    }
    return NULL;
}
