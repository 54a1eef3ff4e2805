/* test_credential.c: credentials against the vectors of the specification, each bit and each length of one, patterns. */
#include "../credential.h"
#include "common.h"

enum { ROOM = ZS_MAX_CREDENTIAL_BYTES + 8, LEAST_VALID = 10, LEAST_REFUSED = 25 };

typedef struct check {
    uint8_t role;
    uint64_t now;
    const char *topic, *routing_id;
    bool permitted;
} check;

typedef struct vector {
    const char *name, *raw, *subject;
    zs_status expect;
    uint8_t roles;
    uint64_t numbers[3]; /* serial, not before, not after */
    size_t counts[4];
    size_t first_check, checks;
} vector;

#include "credentials.inc"

static zs_sodium sodium;

static void ask(const vector *v, const zs_credential *found, const check *c) {
    uint8_t topic[ROOM], routing_id[ROOM];
    zs_deed deed = {.role = c->role, .now = c->now, .routing_id = routing_id};
    deed.routing_id_len = test_hex(routing_id, sizeof routing_id, c->routing_id);
    if (c->topic != NULL) {
        deed.topic = topic;
        deed.topic_len = test_hex(topic, sizeof topic, c->topic);
    }
    CHECK(zs_credential_permits(found, &deed) == c->permitted, "%s: check %td", v->name, c - &CHECKS[v->first_check]);
}

static void test_vectors(void) {
    uint8_t raw[ROOM], subject[ZS_PUBLIC_KEY_BYTES];
    size_t valid = 0, refused = 0;
    test_begin("vectors are read as they say, or refused for their reason");
    for (size_t i = 0; i < sizeof VECTORS / sizeof VECTORS[0]; i++) {
        const vector *v = &VECTORS[i];
        zs_credential found;
        size_t len = test_hex(raw, sizeof raw, v->raw);
        zs_status status = zs_credential_read(&found, &sodium, raw, len);
        CHECK(status == v->expect, "%s: status %d, not %d", v->name, status, v->expect);
        if (status != ZS_OK) {
            refused++;
            continue;
        }
        const uint64_t numbers[3] = {found.serial, found.not_before, found.not_after};
        const size_t counts[4] = {found.names.count, found.routing_ids.count, found.publish.count, found.read.count};
        test_hex(subject, sizeof subject, v->subject);
        CHECK(memcmp(found.subject, subject, sizeof subject) == 0 && found.roles == v->roles, "%s", v->name);
        CHECK(memcmp(numbers, v->numbers, sizeof numbers) == 0, "%s: numbers", v->name);
        CHECK(memcmp(counts, v->counts, sizeof counts) == 0, "%s: lists", v->name);
        for (size_t j = 0; j < v->checks; j++) ask(v, &found, &CHECKS[v->first_check + j]);
        valid++;
    }
    CHECK(valid >= LEAST_VALID && refused >= LEAST_REFUSED, "%zu valid and %zu refused", valid, refused);
    test_end(valid + refused);
}

static void test_every_bit_and_every_length(void) {
    uint8_t raw[ROOM], *exact;
    zs_credential found;
    size_t len = test_hex(raw, sizeof raw, VECTORS[0].raw);
    test_begin("a credential with any bit flipped is refused, and so is one cut anywhere");
    for (size_t bit = 0; bit < 8 * len; bit++) {
        raw[bit / 8] ^= (uint8_t)(1u << bit % 8);
        CHECK(zs_credential_read(&found, &sodium, raw, len) != ZS_OK, "bit %zu", bit);
        raw[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    for (size_t size = 0; size < len; size++) {
        exact = malloc(size + 1); /* of this size, so that a sanitizer sees a read behind it */
        CHECK(exact != NULL, "memory");
        memcpy(exact + 1, raw, size);
        CHECK(zs_credential_read(&found, &sodium, exact + 1, size) != ZS_OK, "length %zu", size);
        free(exact);
    }
    test_end(9 * len);
}

static zs_entries entries_of(uint8_t *room, size_t count, const char *const *texts) {
    uint8_t *p = room;
    for (size_t i = 0; i < count; i++) {
        *p = (uint8_t)strlen(texts[i]);
        memcpy(p + 1, texts[i], p[0]);
        p += 1 + p[0];
    }
    return (zs_entries){room, count};
}

static void test_subscriptions(void) {
    static const char *const TEXTS[] = {"", "a", "b*", "c*d"};
    static const struct {
        const char *prefix;
        bool covered, matched;
    } CASES[] = {
        {"", false, true}, {"a", false, true}, {"b", true, true},    {"bc", true, true},
        {"c", false, false}, {"c*d", false, true}, {"ab", false, false},
    };
    uint8_t room[64];
    zs_entries list = entries_of(room, 4, TEXTS), none = {room, 0};
    test_begin("patterns cover a subscription only where one with a star does");
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        const uint8_t *prefix = (const uint8_t *)CASES[i].prefix;
        size_t len = strlen(CASES[i].prefix);
        CHECK(zs_entries_cover(&list, prefix, len) == CASES[i].covered, "'%s'", CASES[i].prefix);
        CHECK(zs_entries_match(&list, prefix, len) == CASES[i].matched, "'%s'", CASES[i].prefix);
        CHECK(!zs_entries_cover(&none, prefix, len) && !zs_entries_match(&none, prefix, len), "no pattern");
    }
    test_end(sizeof CASES / sizeof CASES[0]);
}

int main(void) {
    test_seed_all();
    test_load_sodium(&sodium);
    test_vectors();
    test_every_bit_and_every_length();
    test_subscriptions();
    return 0;
}
