/* parts.h: recursive parts (floor 2); spec, "Recursive parts". Exact lengths, one encoding, a fixed stack. */
#ifndef ZS_PARTS_H
#define ZS_PARTS_H

#include "zs.h"

/* How a span is written into a message to seal: as it is, behind a leaf's head, or as a list of that one leaf. */
typedef enum zs_form { ZS_RAW, ZS_LEAF, ZS_LIST_OF_LEAF } zs_form;

typedef struct zs_span {
    const uint8_t *data;
    size_t len;
    zs_form form;
} zs_span;

/* What a receiver allows. `understood` holds the names of critical metadata that it knows besides `topic`. */
typedef struct zs_parts_limits {
    size_t max_parts;
    size_t max_depth; /* at most ZS_DEPTH_LIMIT */
    const zs_span *understood;
    size_t understood_count;
    bool understand_all; /* for tools that show messages and do not act on them */
} zs_parts_limits;

/* What a scan of a message's header and body finds. */
typedef struct zs_parts_found {
    size_t parts;   /* heads so far, of every type */
    size_t leaves;
    zs_span topic;  /* data is NULL where the header has none */
    zs_span name;   /* of the metadata that was not understood */
} zs_parts_found;

/* Which list is scanned: `topic` is understood in the header only, a bundle's body holds lists only. */
typedef enum zs_parts_place { ZS_IN_HEADER, ZS_IN_BODY, ZS_IN_BUNDLE } zs_parts_place;

/* UTF-8 of RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF. */
bool zs_is_utf8(const uint8_t *s, size_t len);

/* Scan one implicit list, adding to `found`; ZS_MALFORMED, ZS_TOO_LARGE, ZS_UNKNOWN_CRITICAL or ZS_OK. */
zs_status zs_parts_scan(zs_parts_found *found, const uint8_t *data, size_t len, zs_parts_place place,
                        const zs_parts_limits *limits);

#endif
