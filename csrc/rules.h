/* rules.h: who is turned away, by whose word: a table that is made once and asked for every peer (floor 2).
 *
 * zmqsec/relay/blocks.py holds the list that it is made from, and the same ruling in Python.
 */
#ifndef ZS_RULES_H
#define ZS_RULES_H

#include "zs.h"

enum { ZS_ADDRESS_BYTES = 16 };

/* Of whom a rule speaks. */
typedef enum zs_subject {
    ZS_SUBJECT_IDENTITY,   /* a fingerprint, 32 bytes */
    ZS_SUBJECT_CONNECTION, /* an address, 16 bytes, and a routing id behind it */
    ZS_SUBJECT_ROUTING_ID,
    ZS_SUBJECT_NETWORK     /* the first `bits` bits of an address */
} zs_subject;

typedef enum zs_ruling { ZS_NO_RULING = 0, ZS_ALLOWED, ZS_TURNED_AWAY } zs_ruling;

typedef struct zs_rule {
    const uint8_t *value;
    size_t len;
    zs_subject subject;
    uint8_t bits; /* of a network; the others of its value are 0 */
    zs_ruling by_operator, by_relay;
} zs_rule;

typedef struct zs_rules {
    zs_rule *rules; /* sorted */
    size_t count;
    uint8_t *values; /* that they point to */
    bool has_bits[8 * ZS_ADDRESS_BYTES + 1];
} zs_rules;

/* Copy the rules; false: out of memory. */
bool zs_rules_make(zs_rules *rules, const zs_rule *given, size_t count);
void zs_rules_free(zs_rules *rules);

/* The address in a text, IPv4 as IPv6's ::ffff:a.b.c.d; false: it is none. */
bool zs_address_parse(uint8_t out[ZS_ADDRESS_BYTES], const char *text);

/* A peer, as far as it is known: what is not is NULL. */
typedef struct zs_suspect {
    const uint8_t *fingerprint;
    const uint8_t *address;
    const uint8_t *routing_id;
    size_t routing_id_len;
} zs_suspect;

/* An operator's word counts before a relay's, and then the narrower before the wider, in the order of zs_subject. */
zs_ruling zs_rules_ruling(const zs_rules *rules, const zs_suspect *suspect);

#endif
