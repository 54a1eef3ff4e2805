/* address.h: who a message is from, whom it is for, what it answers (floor 3); spec, "Routing metadata". */
#ifndef ZS_ADDRESS_H
#define ZS_ADDRESS_H

#include "parts.h"

typedef enum zs_address_name { ZS_FROM, ZS_TO, ZS_REPLY_TO, ZS_CRED, ZS_ADDRESS_NAMES } zs_address_name;

/* Where the values of these names stand in the header parts: fingerprint and routing id, fingerprint, session and sequence
 * number, credential. A length of 0: the header has none. */
typedef struct zs_address {
    uint16_t at[ZS_ADDRESS_NAMES], len[ZS_ADDRESS_NAMES];
} zs_address;

/* Find them in header parts that were scanned before; ZS_MALFORMED for a length or a second one of a name. */
zs_status zs_address_read(zs_address *out, const uint8_t *header, size_t len);

#endif
