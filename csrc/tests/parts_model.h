/* parts_model.h: recursive parts as the specification tells them, by recursion and by code points; the scanner's judge.
 *
 * The one critical name that it understands besides the topic is "known".
 */
#ifndef ZS_PARTS_MODEL_H
#define ZS_PARTS_MODEL_H

#include "../impl.h"
#include "../parts.h"

static const zs_span KNOWN[] = {{(const uint8_t *)"known", 5, ZS_RAW}};

/* Decodes without care, then asks whether this is how the code point is written. */
static bool model_utf8(const uint8_t *s, size_t len) {
    while (len > 0) {
        size_t size = s[0] < 0x80 ? 1 : s[0] >> 5 == 6 ? 2 : s[0] >> 4 == 14 ? 3 : s[0] >> 3 == 30 ? 4 : 0;
        if (size == 0 || size > len) return false;
        uint32_t point = size == 1 ? s[0] : s[0] & (0x7Fu >> size);
        for (size_t i = 1; i < size; i++) {
            if (s[i] >> 6 != 2) return false;
            point = point << 6 | (s[i] & 0x3F);
        }
        size_t right = point < 0x80 ? 1 : point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;
        if (right != size || point > 0x10FFFF || point >> 11 == 0x1B) return false; /* 0xD800 to 0xDFFF */
        s += size, len -= size;
    }
    return true;
}

typedef struct model {
    const zs_parts_limits *limits;
    zs_parts_place place;
    zs_parts_found found;
} model;

static zs_status model_metadata(model *m, const uint8_t *value, size_t len, bool critical, size_t depth) {
    if (len == 0 || value[0] == 0 || value[0] > len - 1 || !model_utf8(value + 1, value[0])) return ZS_MALFORMED;
    zs_span name = {value + 1, value[0], ZS_RAW};
    bool topic = name.len == 5 && memcmp(name.data, "topic", 5) == 0;
    if (topic && m->place == ZS_IN_HEADER && depth == 1) {
        if (!critical || m->found.topic.data != NULL) return ZS_MALFORMED;
        m->found.topic = (zs_span){name.data + 5, len - 6, ZS_RAW};
        return ZS_OK;
    }
    bool known = !topic && name.len == 5 && memcmp(name.data, "known", 5) == 0;
    return critical && !known && !m->limits->understand_all ? ZS_UNKNOWN_CRITICAL : ZS_OK;
}

static zs_status model_list(model *m, const uint8_t *data, size_t len, size_t depth) {
    while (len > 0) {
        if (len < 4) return ZS_MALFORMED;
        size_t size = zs_load32(data) >> 2, type = data[0] & 3;
        if (size > len - 4) return ZS_MALFORMED;
        if (++m->found.parts > m->limits->max_parts || depth > m->limits->max_depth) return ZS_TOO_LARGE;
        data += 4, len -= 4;
        zs_status status = ZS_OK;
        if (type == 1) status = model_list(m, data, size, depth + 1);
        else if (type == 0 && m->place == ZS_IN_BUNDLE && depth == 1) status = ZS_MALFORMED;
        else if (type == 0) m->found.leaves++;
        else status = model_metadata(m, data, size, type == 3, depth);
        if (status != ZS_OK) return status;
        data += size, len -= size;
    }
    return ZS_OK;
}

#endif
