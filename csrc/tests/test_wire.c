/* test_wire.c: the header of a sealed part: every field in its place, one encoding, every limit and its reason. */
#include "../wire.h"
#include "common.h"

static const uint8_t SESSION[ZS_SESSION_BYTES] = {0xA0, 0xA1, 0xA2, 0xA3, 0xA4, 0xA5, 0xA6, 0xA7, 0xA8, 0xA9, 0xAA, 0xAB};
static const zs_header HEADER = {.suite = 2, .kind = ZS_KIND_BUNDLE, .flags = ZS_FLAG_CLEAR_BODY, .header_parts = 0x0102,
                                 .spi = 0x03040506, .start = 0xA3A2A1A0, .sequence = 0x0708090A};

enum { LEN = 600, MAX = 1000 };

static uint8_t frame[ZS_MAX_HEADER_PARTS_BYTES + 100];

static void write(const zs_header *header) {
    memset(frame, 0, sizeof frame);
    zs_wire_write(frame, header, SESSION);
}

static bool same(const zs_header *a, const zs_header *b) {
    return a->suite == b->suite && a->kind == b->kind && a->flags == b->flags && a->header_parts == b->header_parts &&
           a->spi == b->spi && a->start == b->start && a->sequence == b->sequence;
}

static void check_bytes(void) {
    static const uint8_t EXPECTED[ZS_HEADER_BYTES] = {
        0x00, 0x5A, 0x53, 0x01, 0x02, 0x11, 0x02, 0x01, 0x06, 0x05, 0x04, 0x03, 0xA0, 0xA1, 0xA2, 0xA3,
        0xA4, 0xA5, 0xA6, 0xA7, 0xA8, 0xA9, 0xAA, 0xAB, 0x0A, 0x09, 0x08, 0x07, 0x00, 0x00, 0x00, 0x00};
    zs_header read;
    test_begin("wire: every field stands in its place");
    write(&HEADER);
    CHECK(memcmp(frame, EXPECTED, sizeof EXPECTED) == 0, "bytes");
    CHECK(zs_wire_read(&read, frame, LEN, MAX) == ZS_OK && same(&read, &HEADER), "read again");
    test_end(1);
}

static void check_round_trips(void) {
    size_t rounds = 20000;
    test_begin("wire: what is written is read");
    for (size_t i = 0; i < rounds; i++) {
        zs_header read, header = {.suite = (uint8_t)(1 + test_below(3)), .kind = (uint8_t)test_below(4),
                                  .flags = (uint8_t)(test_below(4) << 4), .header_parts = (uint16_t)test_random(),
                                  .spi = (uint32_t)test_random(), .start = HEADER.start,
                                  .sequence = test_random() >> 32 >> test_below(32)};
        if (test_below(4) == 0) header.suite = (uint8_t)(128 + test_below(128));
        write(&header);
        CHECK(zs_wire_read(&read, frame, sizeof frame, sizeof frame) == ZS_OK, "refused");
        CHECK(same(&read, &header), "another header");
    }
    test_end(rounds);
}

/* Whatever is accepted is what would be written: there is no second way to say the same. */
static void check_one_encoding(void) {
    size_t cases = 0, accepted = 0;
    test_begin("wire: any value of any byte is refused or means itself");
    for (size_t at = 0; at < ZS_HEADER_BYTES; at++) {
        for (unsigned value = 0; value < 256; value++, cases++) {
            uint8_t again[ZS_HEADER_BYTES];
            zs_header read;
            write(&HEADER);
            frame[at] = (uint8_t)value;
            if (zs_wire_read(&read, frame, sizeof frame, sizeof frame) != ZS_OK) continue;
            zs_wire_write(again, &read, frame + ZS_SESSION_OFFSET);
            CHECK(memcmp(again, frame, sizeof again) == 0, "byte %zu, value %u", at, value);
            CHECK(read.start == zs_load32(frame + ZS_SESSION_OFFSET), "start");
            accepted++;
        }
    }
    CHECK(accepted > 4000, "%zu", accepted);
    test_end(cases);
}

static size_t limits_looked_at;

/* With one byte of the header set anew, in a part of `len` bytes of at most MAX. */
static void expect(zs_status status, size_t at, unsigned value, size_t len) {
    zs_header read;
    write(&HEADER);
    if (at < ZS_HEADER_BYTES) frame[at] = (uint8_t)value;
    zs_status got = zs_wire_read(&read, frame, len, MAX);
    CHECK(got == status, "byte %zu = %u, length %zu: %d, not %d", at, value, len, (int)got, (int)status);
    limits_looked_at++;
}

static void check_limits(void) {
    enum { NOWHERE = ZS_HEADER_BYTES, LEAST = ZS_HEADER_BYTES + 0x0102 + ZS_TAG_BYTES };
    test_begin("wire: each limit and its reason");
    expect(ZS_OK, NOWHERE, 0, MAX);
    expect(ZS_TOO_LARGE, NOWHERE, 0, MAX + 1);
    expect(ZS_TOO_LARGE, 0, 1, MAX + 1); /* before anything is looked at */
    for (size_t at = 0; at < 3; at++) expect(ZS_MALFORMED, at, 0x80, LEN);
    for (unsigned value = 0; value < 256; value++) {
        bool suite = (value >= 1 && value <= 3) || value >= 128, kind = (value & 0x0F) <= 3 && (value & 0xC0) == 0;
        expect(value == 1 ? ZS_OK : ZS_BAD_VERSION, 3, value, LEN);
        expect(suite ? ZS_OK : ZS_BAD_SUITE, 4, value, LEN);
        expect(kind ? ZS_OK : ZS_MALFORMED, 5, value, LEN);
    }
    expect(ZS_OK, NOWHERE, 0, LEAST);
    expect(ZS_MALFORMED, NOWHERE, 0, LEAST - 1);
    for (size_t at = 28; at < 32; at++) expect(ZS_MALFORMED, at, 1, LEN); /* numbers from 2^32 on */
    test_end(limits_looked_at);
}

static void check_shortest(void) {
    zs_header read, header = HEADER;
    test_begin("wire: nothing shorter than 52 bytes");
    header.header_parts = 0;
    write(&header);
    for (size_t len = 0; len < ZS_MIN_SEALED_BYTES; len++) {
        CHECK(!zs_wire_is_sealed(frame, len) && zs_wire_read(&read, frame, len, MAX) == ZS_MALFORMED, "%zu bytes", len);
    }
    CHECK(zs_wire_is_sealed(frame, 52) && zs_wire_read(&read, frame, 52, MAX) == ZS_OK, "52 bytes");
    header.sequence = UINT32_MAX;
    write(&header);
    CHECK(zs_wire_read(&read, frame, 52, MAX) == ZS_OK && read.sequence == UINT32_MAX, "the last number");
    header.sequence = ZS_MAX_SEQUENCE;
    write(&header);
    CHECK(zs_wire_read(&read, frame, 52, MAX) == ZS_MALFORMED, "the number after it");
    test_end(ZS_MIN_SEALED_BYTES + 3);
}

int main(void) {
    test_seed_all();
    check_bytes();
    check_round_trips();
    check_one_encoding();
    check_limits();
    check_shortest();
    return 0;
}
