/* test_parts.c: recursive parts: the scanner beside a recursive model, each rule and its reason, every UTF-8 name. */
#include "../parts.h"
#include "common.h"
#include "parts_model.h"

enum { ROOM = 4096 };

static const zs_parts_limits LIMITS = {ZS_MAX_PARTS, ZS_MAX_DEPTH, KNOWN, 1, false};

/* -- messages ------------------------------------------------------------------------------------------------------ */

static uint8_t *put_head(uint8_t *p, size_t size, unsigned type) {
    zs_store32(p, (uint32_t)size << 2 | type);
    return p + 4;
}

static uint8_t *put_metadata(uint8_t *p, unsigned type, const char *name, const char *content) {
    size_t named = strlen(name), more = strlen(content);
    p = put_head(p, 1 + named + more, type);
    *p++ = (uint8_t)named;
    for (size_t i = 0; i < named; i++) *p++ = (uint8_t)name[i];
    for (size_t i = 0; i < more; i++) *p++ = (uint8_t)content[i];
    return p;
}

/* A random list of at most `room` bytes, seldom deeper than the limit. */
static uint8_t *put_random(uint8_t *p, size_t room, size_t depth) {
    static const char *const NAMES[] = {"topic", "known", "x", "from", "t\xC3\xB6pic", "bad\xC3", "topi"};
    size_t parts = test_below(6);
    for (size_t i = 0; i < parts && room >= 40; i++) {
        uint8_t *begin = p;
        size_t what = test_below(depth < 3 ? 5 : 8);
        if (what < 2) {
            size_t len = test_below(20);
            p = put_head(p, len, ZS_PART_LEAF);
            test_fill(p, len);
            p += len;
        } else if (what == 2) {
            p = put_metadata(p, test_below(6) == 0 ? 3 : 2, NAMES[test_below(test_below(4) == 0 ? 7 : 5)], "content");
        } else {
            uint8_t *end = put_random(p + 4, room / 2 - 4, depth + 1);
            put_head(p, (size_t)(end - p) - 4, ZS_PART_LIST);
            p = end;
        }
        room -= (size_t)(p - begin);
    }
    return p;
}

static zs_status compare(const uint8_t *data, size_t len, zs_parts_place place, const zs_parts_limits *limits) {
    zs_parts_found found;
    model m = {.limits = limits, .place = place};
    memset(&found, 0, sizeof found);
    zs_status right = model_list(&m, data, len, 1), got = zs_parts_scan(&found, data, len, place, limits);
    CHECK(got == right, "%zu bytes: %d, the model says %d", len, (int)got, (int)right);
    if (got == ZS_UNKNOWN_CRITICAL) CHECK(found.name.data != NULL && found.name.len > 0, "no name");
    CHECK(found.topic.data == m.found.topic.data && found.topic.len == m.found.topic.len, "topic");
    CHECK(got != ZS_OK || (found.parts == m.found.parts && found.leaves == m.found.leaves), "%zu parts, %zu leaves",
          found.parts, found.leaves);
    return got;
}

static void check_random(void) {
    static uint8_t data[ROOM];
    size_t rounds = test_scaled(200000), seen[ZS_STATUS_COUNT] = {0};
    test_begin("parts: random lists, whole and spoilt, as the model");
    for (size_t i = 0; i < rounds; i++) {
        zs_parts_limits limits = LIMITS;
        uint8_t *end = put_random(data, 600, 1);
        size_t len = (size_t)(end - data);
        if (i % 4 == 0 && len > 0) data[test_below(len)] ^= (uint8_t)(1u << test_below(8));
        if (i % 8 == 1 && len > 0) len = test_below(len);
        if (i % 16 == 3) limits.max_parts = test_below(8);
        if (i % 16 == 7) limits.max_depth = test_below(4);
        if (i % 16 == 11) limits.understand_all = true;
        uint8_t *tight = malloc(len + 1); /* so that ASan sees a byte too many */
        CHECK(tight != NULL, "memory");
        memcpy(tight, data, len);
        seen[compare(tight, len, (zs_parts_place)test_below(3), &limits)]++;
        free(tight);
    }
    CHECK(seen[ZS_OK] > rounds / 10 && seen[ZS_MALFORMED] > rounds / 10 && seen[ZS_TOO_LARGE] > rounds / 100 &&
              seen[ZS_UNKNOWN_CRITICAL] > rounds / 100,
          "%zu right, %zu malformed, %zu too large, %zu critical", seen[ZS_OK], seen[ZS_MALFORMED], seen[ZS_TOO_LARGE],
          seen[ZS_UNKNOWN_CRITICAL]);
    test_end(rounds);
}

/* -- rules --------------------------------------------------------------------------------------------------------- */

static void check_depth_and_count(void) {
    static uint8_t data[4 * (ZS_DEPTH_LIMIT + 2) + 4 * (ZS_MAX_PARTS + 1)];
    zs_parts_limits limits = LIMITS;
    test_begin("parts: 1,024 parts and depth 64 pass, one more does not");
    for (size_t depth = 1; depth <= ZS_DEPTH_LIMIT + 1; depth++) {
        uint8_t *p = data;
        for (size_t d = 0; d < depth; d++) p = put_head(p, 4 * (depth - d - 1), ZS_PART_LIST);
        for (limits.max_depth = 1; limits.max_depth <= ZS_DEPTH_LIMIT; limits.max_depth++) {
            CHECK(compare(data, 4 * depth, ZS_IN_BODY, &limits) == (depth <= limits.max_depth ? ZS_OK : ZS_TOO_LARGE),
                  "depth %zu of %zu", depth, limits.max_depth);
        }
    }
    memset(data, 0, sizeof data); /* empty leaves */
    CHECK(compare(data, 4 * ZS_MAX_PARTS, ZS_IN_BODY, &LIMITS) == ZS_OK, "1,024 parts");
    CHECK(compare(data, 4 * ZS_MAX_PARTS + 4, ZS_IN_BODY, &LIMITS) == ZS_TOO_LARGE, "1,025 parts");
    test_end(ZS_DEPTH_LIMIT * (ZS_DEPTH_LIMIT + 1) + 2);
}

/* The count goes on from header to body, the topic is found once and only directly in the header. */
static void check_header_and_topic(void) {
    uint8_t data[200], *end = put_metadata(data, ZS_PART_CRITICAL, "topic", "prices");
    zs_parts_found found;
    size_t len = (size_t)(end - data);
    test_begin("parts: the topic, and counting on from header to body");
    memset(&found, 0, sizeof found);
    CHECK(zs_parts_scan(&found, data, len, ZS_IN_HEADER, &LIMITS) == ZS_OK, "topic");
    CHECK(found.topic.len == 6 && memcmp(found.topic.data, "prices", 6) == 0, "its content");
    CHECK(zs_parts_scan(&found, data, len, ZS_IN_BODY, &LIMITS) == ZS_UNKNOWN_CRITICAL, "in the body");
    CHECK(found.parts == 2 && found.name.len == 5 && memcmp(found.name.data, "topic", 5) == 0, "counted and named");
    end = put_metadata(end, ZS_PART_CRITICAL, "topic", "");
    CHECK(compare(data, (size_t)(end - data), ZS_IN_HEADER, &LIMITS) == ZS_MALFORMED, "a second topic");
    end = put_metadata(data, ZS_PART_IGNORABLE, "topic", "prices");
    CHECK(compare(data, len, ZS_IN_HEADER, &LIMITS) == ZS_MALFORMED, "an ignorable topic");
    CHECK(compare(data, len, ZS_IN_BODY, &LIMITS) == ZS_OK, "an ignorable topic in the body");
    put_metadata(put_head(data, len, ZS_PART_LIST), ZS_PART_CRITICAL, "topic", "prices");
    CHECK(compare(data, len + 4, ZS_IN_HEADER, &LIMITS) == ZS_UNKNOWN_CRITICAL, "a topic in a list of the header");
    CHECK(compare(data, 0, ZS_IN_BUNDLE, &LIMITS) == ZS_OK, "nothing at all");
    put_head(data, 0, ZS_PART_LEAF);
    CHECK(compare(data, 4, ZS_IN_BUNDLE, &LIMITS) == ZS_MALFORMED, "a leaf directly in a bundle");
    test_end(10);
}

/* Every name of up to three bytes, and of four bytes every lead and second byte with a few of the others. */
static void check_names(void) {
    static const uint8_t REST[] = {0x00, 0x7F, 0x80, 0x81, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0xFF};
    uint8_t data[16];
    zs_parts_found found;
    size_t cases = 0, right = 0;
    test_begin("parts: names of up to four bytes, as UTF-8 by code points");
    for (size_t len = 1; len <= 4; len++) {
        uint32_t names = len < 4 ? UINT32_C(1) << 8 * len : UINT32_C(1) << 24;
        put_head(data, 1 + len, ZS_PART_IGNORABLE);
        data[4] = (uint8_t)len;
        for (uint32_t name = 0; name < names; name++) {
            zs_store32(data + 5, name);
            if (len == 4) {
                uint32_t more = name >> 16;
                if (more >= sizeof REST * sizeof REST) break;
                data[7] = REST[more / sizeof REST], data[8] = REST[more % sizeof REST];
            }
            memset(&found, 0, sizeof found);
            bool valid = zs_parts_scan(&found, data, 5 + len, ZS_IN_BODY, &LIMITS) == ZS_OK;
            CHECK(valid == model_utf8(data + 5, len), "%02x %02x %02x %02x", data[5], data[6], data[7], data[8]);
            right += valid, cases++;
        }
    }
    CHECK(right > 2000000, "%zu valid", right);
    test_end(cases);
}

int main(void) {
    test_seed_all();
    check_random();
    check_depth_and_count();
    check_header_and_topic();
    check_names();
    return 0;
}
