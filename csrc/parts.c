/* parts.c: checks recursive parts from left to right (floor 2); spec, "Recursive parts". */
#include "parts.h"

#include "impl.h"

static const uint8_t TOPIC[5] = {'t', 'o', 'p', 'i', 'c'};

bool zs_is_utf8(const uint8_t *s, size_t len) {
    size_t i = 0;
    while (i < len) {
        uint8_t lead = s[i++];
        uint8_t low = 0x80, high = 0xBF;
        size_t more;
        if (lead < 0x80) continue;
        if (lead >= 0xC2 && lead <= 0xDF) more = 1;
        else if (lead >= 0xE0 && lead <= 0xEF) more = 2;
        else if (lead >= 0xF0 && lead <= 0xF4) more = 3;
        else return false;
        if (lead == 0xE0) low = 0xA0;
        if (lead == 0xED) high = 0x9F;
        if (lead == 0xF0) low = 0x90;
        if (lead == 0xF4) high = 0x8F;
        for (; more > 0; more--, low = 0x80, high = 0xBF) {
            if (i >= len || s[i] < low || s[i] > high) return false;
            i++;
        }
    }
    return true;
}

static bool span_is(zs_span span, const uint8_t *data, size_t len) {
    return span.len == len && memcmp(span.data, data, len) == 0;
}

static bool is_understood(const zs_parts_limits *limits, zs_span name) {
    for (size_t i = 0; i < limits->understood_count; i++) {
        if (span_is(name, limits->understood[i].data, limits->understood[i].len)) return true;
    }
    return false;
}

/* metadata value := u8 name length, name (UTF-8), bytes */
static zs_status scan_metadata(zs_parts_found *found, const uint8_t *value, size_t len, bool critical,
                               bool directly_in_header, const zs_parts_limits *limits) {
    if (len < 1 || value[0] == 0 || (size_t)value[0] + 1 > len) return ZS_MALFORMED;
    zs_span name = {value + 1, value[0], ZS_RAW};
    if (!zs_is_utf8(name.data, name.len)) return ZS_MALFORMED;
    if (span_is(name, TOPIC, sizeof TOPIC)) {
        if (directly_in_header) {
            if (!critical || found->topic.data != NULL) return ZS_MALFORMED;
            found->topic = (zs_span){value + 1 + name.len, len - 1 - name.len, ZS_RAW};
            return ZS_OK;
        }
    } else if (is_understood(limits, name)) {
        return ZS_OK;
    }
    if (!critical || limits->understand_all) return ZS_OK;
    found->name = name;
    return ZS_UNKNOWN_CRITICAL;
}

zs_status zs_parts_scan(zs_parts_found *found, const uint8_t *data, size_t len, zs_parts_place place,
                        const zs_parts_limits *limits) {
    const uint8_t *end_of[ZS_DEPTH_LIMIT + 1]; /* where the list at each depth ends */
    size_t depth = 0;                          /* of the list that is being read; its parts have depth + 1 */
    const uint8_t *p = data;
    end_of[0] = data + len;
    for (;;) {
        while (p == end_of[depth]) {
            if (depth == 0) return ZS_OK;
            depth--;
        }
        size_t room = (size_t)(end_of[depth] - p);
        if (room < ZS_PART_HEAD_BYTES) return ZS_MALFORMED;
        uint32_t head = zs_load32(p), type = head & 3;
        size_t size = head >> 2;
        if (size > room - ZS_PART_HEAD_BYTES) return ZS_MALFORMED;
        if (++found->parts > limits->max_parts) return ZS_TOO_LARGE;
        if (depth + 1 > limits->max_depth) return ZS_TOO_LARGE;
        p += ZS_PART_HEAD_BYTES;
        if (type == ZS_PART_LIST) {
            end_of[++depth] = p + size;
            continue;
        }
        if (type == ZS_PART_LEAF) {
            if (place == ZS_IN_BUNDLE && depth == 0) return ZS_MALFORMED;
            found->leaves++;
        } else {
            zs_status status = scan_metadata(found, p, size, type == ZS_PART_CRITICAL,
                                             place == ZS_IN_HEADER && depth == 0, limits);
            if (status != ZS_OK) return status;
        }
        p += size;
    }
}
