/* test_session.c: the tables of associations and sessions beside a naive model: growth, eviction, floors, freshness,
 * and what stays when memory runs out. The linker puts this file's allocator under the core (--wrap).
 */
#include "../session.h"
#include "common.h"

enum { MODEL_SESSIONS = 4096, MODEL_SPIS = 12 };

/* -- an allocator that can fail ------------------------------------------------------------------------------------ */

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);

static size_t allocations_left = SIZE_MAX;

static bool may_allocate(void) {
    if (allocations_left == SIZE_MAX) return true;
    if (allocations_left == 0) return false;
    allocations_left--;
    return true;
}

void *__wrap_malloc(size_t size) {
    return may_allocate() ? __real_malloc(size) : NULL;
}

void *__wrap_calloc(size_t count, size_t size) {
    return may_allocate() ? __real_calloc(count, size) : NULL;
}

void *__wrap_realloc(void *old, size_t size) {
    return may_allocate() ? __real_realloc(old, size) : NULL;
}

/* -- a model: an array of sessions, an array of floors ------------------------------------------------------------- */

typedef struct known {
    uint8_t id[ZS_SESSION_BYTES], origin[ZS_PUBLIC_KEY_BYTES], subkey[ZS_KEY_BYTES];
    uint32_t spi;
    uint64_t top;
} known;

typedef struct floors {
    bool present, has_floor;
    uint32_t floor;
} floors;

static zs_sodium sodium;
static known sessions[MODEL_SESSIONS];
static size_t session_count;
static floors associations[MODEL_SPIS];

static zs_association association_of(uint32_t spi) {
    zs_association a = {.spi = spi, .suite = 1, .lifetime = 1000000, .skew = 100, .late_join = 1000000};
    test_fill(a.key, sizeof a.key);
    return a;
}

/* As the table is asked: no origin is NULL, and in the model zeros. */
static const uint8_t *origin_of(const known *k) {
    return test_is_all(k->origin, sizeof k->origin, 0) ? NULL : k->origin;
}

static bool is_before(const known *a, const known *b) {
    uint32_t start_a = zs_load32(a->id), start_b = zs_load32(b->id);
    if (start_a != start_b) return start_a < start_b;
    int order = memcmp(a->id, b->id, sizeof a->id);
    return order != 0 ? order < 0 : memcmp(a->origin, b->origin, sizeof a->origin) < 0;
}

static size_t model_oldest(void) {
    size_t oldest = 0;
    for (size_t i = 1; i < session_count; i++) {
        if (is_before(&sessions[i], &sessions[oldest])) oldest = i;
    }
    return oldest;
}

static void model_evict(void) {
    size_t oldest = model_oldest();
    floors *f = &associations[sessions[oldest].spi];
    uint32_t start = zs_load32(sessions[oldest].id);
    if (!f->has_floor || f->floor < start) f->floor = start;
    f->has_floor = true;
    sessions[oldest] = sessions[--session_count];
}

/* Everything that the model knows, the table knows, and nothing else. */
static void compare(const zs_table *table) {
    size_t present = 0;
    CHECK(table->session_count == session_count, "%u sessions, not %zu", table->session_count, session_count);
    for (size_t i = 0; i < session_count; i++) {
        const known *k = &sessions[i];
        const zs_session *s = zs_table_session(table, k->spi, k->id, origin_of(k));
        CHECK(s != NULL, "session %zu of %zu is lost", i, session_count);
        CHECK(memcmp(s->subkey, k->subkey, ZS_KEY_BYTES) == 0 && s->window.top == k->top, "session %zu", i);
    }
    for (uint32_t spi = 0; spi < MODEL_SPIS; spi++) {
        const zs_association *a = zs_table_association(table, spi);
        CHECK((a != NULL) == associations[spi].present, "association %u", spi);
        if (a == NULL) continue;
        present++;
        CHECK(a->has_floor == associations[spi].has_floor, "association %u: has a floor", spi);
        CHECK(!a->has_floor || a->floor == associations[spi].floor, "association %u: floor", spi);
    }
    CHECK(table->association_count == present, "associations");
}

static void begin_table(zs_table *table, uint32_t max_sessions) {
    memset(associations, 0, sizeof associations);
    session_count = 0;
    CHECK(zs_table_init(table, &sodium, 5000, max_sessions), "memory");
    for (uint32_t i = 0; i < MODEL_SPIS; i++) {
        uint32_t spi = (i * 7 + 3) % MODEL_SPIS;
        zs_association a = association_of(spi);
        CHECK(zs_table_add(table, &a) && !zs_table_add(table, &a), "association %u enters once", spi);
        associations[spi].present = true;
    }
}

static void enter(zs_table *table, uint32_t spi, uint32_t start, uint32_t max_sessions) {
    known k = {.spi = spi, .top = test_below(100000)};
    uint64_t before = table->changes;
    test_fill(k.id, sizeof k.id), test_fill(k.subkey, sizeof k.subkey);
    zs_store32(k.id, start);
    if (test_below(2) == 0) test_fill(k.origin, sizeof k.origin);
    if (session_count > 0 && test_below(4) == 0) { /* another origin under an id that is there */
        const known *other = &sessions[test_below(session_count)];
        k.spi = other->spi;
        memcpy(k.id, other->id, sizeof k.id);
        test_fill(k.origin, sizeof k.origin);
    }
    zs_association *association = zs_table_association(table, k.spi);
    zs_header header = {.spi = k.spi, .start = zs_load32(k.id), .sequence = k.top};
    CHECK(zs_table_session(table, k.spi, k.id, origin_of(&k)) == NULL, "a stranger is known");
    CHECK(zs_table_commit(table, association, NULL, &header, k.id, origin_of(&k), k.subkey), "memory");
    CHECK(table->changes > before, "a session entered, and `changes` has not grown");
    if (session_count == max_sessions) model_evict();
    sessions[session_count++] = k;
}

static void again(zs_table *table) {
    known *k = &sessions[test_below(session_count)];
    zs_header header = {.spi = k->spi, .start = zs_load32(k->id), .sequence = k->top + test_below(3000)};
    zs_session *s = zs_table_session(table, k->spi, k->id, origin_of(k));
    uint64_t before = table->changes;
    CHECK(s != NULL, "lost");
    zs_status status = zs_table_check(table, zs_table_association(table, k->spi), s, &header, header.start);
    CHECK(status == (header.sequence == k->top ? ZS_REPLAYED : ZS_OK), "status %d", (int)status);
    if (status != ZS_OK) return;
    zs_association *association = zs_table_association(table, k->spi);
    CHECK(zs_table_commit(table, association, s, &header, k->id, origin_of(k), NULL), "memory");
    CHECK(table->changes == before, "no session entered, and `changes` has grown");
    k->top = header.sequence;
}

static void drop(zs_table *table, uint32_t spi) {
    bool present = associations[spi].present;
    CHECK(zs_table_remove(table, spi) == present, "association %u", spi);
    size_t kept = 0;
    for (size_t i = 0; i < session_count; i++) {
        if (sessions[i].spi != spi) sessions[kept++] = sessions[i];
    }
    session_count = kept;
    associations[spi] = (floors){0};
    if (present && test_below(4) == 0) return;
    zs_association a = association_of(spi);
    CHECK(zs_table_add(table, &a), "memory");
    associations[spi].present = true;
}

static void check_table(uint32_t max_sessions, size_t rounds, uint32_t starts) {
    zs_table table;
    test_begin("table of at most %u sessions, %u start times, as the model", max_sessions, starts);
    begin_table(&table, max_sessions);
    for (size_t i = 0; i < rounds; i++) {
        uint32_t spi = (uint32_t)test_below(MODEL_SPIS);
        if (test_below(rounds / 4) == 0) drop(&table, spi);
        else if (session_count > 0 && test_below(3) == 0) again(&table);
        else if (associations[spi].present) enter(&table, spi, 5000 + (uint32_t)test_below(starts), max_sessions);
        if (i % (1 + rounds / 200) == 0) compare(&table);
    }
    compare(&table);
    zs_table_free(&table);
    test_end(rounds);
}

/* -- freshness ----------------------------------------------------------------------------------------------------- */

static zs_table fresh_table = {.began = 10000};
static zs_association fresh = {.lifetime = 500, .skew = 20, .late_join = 300, .has_floor = true, .floor = 9690};

static void expect(zs_status status, uint32_t start, uint64_t now, const zs_session *session) {
    zs_header header = {.start = start, .sequence = 7};
    zs_status got = zs_table_check(&fresh_table, &fresh, session, &header, now);
    CHECK(got == status, "start %u, now %llu: %d, not %d", start, (unsigned long long)now, (int)got, (int)status);
}

static void check_freshness(void) {
    zs_session session = {.spi = 0};
    zs_window_begin(&session.window, 7);
    test_begin("table: lifetime, skew, floor and late joining to the second");
    expect(ZS_OK, 10000, 10500, NULL), expect(ZS_STALE_SESSION, 10000, 10501, NULL); /* lifetime */
    expect(ZS_OK, 10020, 10000, NULL), expect(ZS_STALE_SESSION, 10021, 10000, NULL); /* skew */
    expect(ZS_OK, 9691, 10000, NULL), expect(ZS_STALE_SESSION, 9690, 10000, NULL);   /* floor */
    fresh.has_floor = false;
    expect(ZS_OK, 9690, 10000, NULL), expect(ZS_OK, 9680, 10000, NULL), expect(ZS_STALE_SESSION, 9679, 10000, NULL);
    /* A known session has its window, and ends with its lifetime; the rest is asked of strangers only. */
    expect(ZS_REPLAYED, 10000, 10000, &session), expect(ZS_STALE_SESSION, 10000, 10501, &session);
    zs_window_begin(&session.window, 6);
    expect(ZS_OK, 9679, 10000, &session), expect(ZS_OK, 10021, 10000, &session);
    fresh.lifetime = UINT32_MAX, fresh.skew = UINT32_MAX, fresh.late_join = UINT32_MAX;
    expect(ZS_OK, UINT32_MAX, 0, NULL), expect(ZS_OK, UINT32_MAX, UINT64_C(0x1FFFFFFFE), NULL);
    expect(ZS_STALE_SESSION, UINT32_MAX, UINT64_C(0x1FFFFFFFF), NULL); /* nothing wraps round at 2^32 */
    expect(ZS_OK, 0, 0, NULL);
    test_end(17);
}

/* -- memory that runs out ------------------------------------------------------------------------------------------ */

static void check_expected(void) {
    zs_table table;
    uint8_t id[ZS_SESSION_BYTES] = {0}, later[ZS_SESSION_BYTES] = {0}, origin[ZS_PUBLIC_KEY_BYTES] = {7};
    zs_association a = {.spi = 3, .suite = ZS_SUITE_XCHACHA20POLY1305, .lifetime = 7200};
    test_begin("table: sessions that are expected although they began before the floor");
    zs_store32(id, 5000), zs_store32(later, 5001);
    CHECK(zs_table_init(&table, &sodium, 5000, 4) && zs_table_add(&table, &a), "memory");
    zs_association *known = zs_table_association(&table, 3);
    CHECK(zs_table_expect(&table, known, id, origin, 9) && table.session_count == 0, "no floor, nothing to expect");
    zs_table_raise_floor(known, 5000);
    zs_table_raise_floor(known, 4000);
    CHECK(known->has_floor && known->floor == 5000, "a floor does not fall");
    CHECK(zs_table_expect(&table, known, later, origin, 9) && table.session_count == 0, "above the floor");
    CHECK(zs_table_expect(&table, known, id, origin, 9) && table.session_count == 1, "entered");
    CHECK(zs_table_session(&table, 3, id, NULL) == NULL, "of another origin");
    zs_session *s = zs_table_session(&table, 3, id, origin);
    CHECK(!zs_window_check(&s->window, 8) && zs_window_check(&s->window, 9), "used up below 9");
    zs_window_commit(&s->window, 9);
    CHECK(zs_table_expect(&table, known, id, origin, 100) && zs_window_check(&s->window, 10), "a window stays its own");
    zs_table_free(&table);
    test_end(8);
}

static void check_out_of_memory(void) {
    zs_table table;
    size_t refused = 0, entered = 0;
    test_begin("table: without memory nothing moves, with it again everything goes on");
    for (size_t left = 0; left < 2; left++) {
        allocations_left = left;
        CHECK(zs_table_init(&table, &sodium, 0, 9) == (left > 0), "%zu allocations", left);
    }
    allocations_left = SIZE_MAX;
    zs_table_free(&table);
    begin_table(&table, UINT32_MAX);
    while (entered < 1000) {
        uint32_t spi = (uint32_t)test_below(MODEL_SPIS);
        zs_header header = {.spi = spi};
        uint8_t id[ZS_SESSION_BYTES] = {0}, subkey[ZS_KEY_BYTES] = {0};
        test_fill(id + 4, 8);
        for (size_t left = 0; left < 7; left++) {
            allocations_left = left;
            if (zs_table_commit(&table, zs_table_association(&table, spi), NULL, &header, id, NULL, subkey)) break;
            allocations_left = SIZE_MAX;
            refused++;
            CHECK(zs_table_session(&table, spi, id, NULL) == NULL, "refused and there");
            compare(&table);
            CHECK(left < 5, "refused with five allocations to spare"); /* a slab takes four, buckets one */
        }
        allocations_left = SIZE_MAX;
        CHECK(zs_table_session(&table, spi, id, NULL) != NULL, "entered and not there");
        sessions[session_count] = (known){.spi = spi};
        memcpy(sessions[session_count++].id, id, sizeof id);
        entered++;
    }
    compare(&table);
    zs_association a = association_of(77);
    allocations_left = 0;
    CHECK(!zs_table_add(&table, &a), "an association without memory");
    allocations_left = SIZE_MAX;
    compare(&table);
    zs_table_free(&table);
    CHECK(refused >= 1000 / 64, "memory ran out only %zu times", refused);
    test_end(refused);
}

/* -- keys ---------------------------------------------------------------------------------------------------------- */

static void check_subkeys(void) {
    uint8_t key[ZS_KEY_BYTES], input[ZS_HCHACHA_INPUT_BYTES], subkey[ZS_KEY_BYTES], right[ZS_KEY_BYTES];
    uint8_t personal[16] = "zmqsec.aes256gc", salt[16] = {0};
    zs_sender sender = {.spi = 0x01020304, .suite = ZS_SUITE_XCHACHA20POLY1305};
    personal[15] = 'm';
    test_fill(key, sizeof key), test_fill(input, sizeof input);
    test_begin("subkeys: HChaCha20, keyed BLAKE2b, or the key itself, by suite");
    zs_subkey(&sodium, subkey, ZS_SUITE_XCHACHA20POLY1305, key, input);
    sodium.hchacha20(right, input, key, NULL);
    CHECK(memcmp(subkey, right, sizeof right) == 0, "suite 1");
    zs_subkey(&sodium, subkey, ZS_SUITE_AES256GCM, key, input);
    sodium.blake2b(right, sizeof right, input, sizeof input, key, sizeof key, salt, personal);
    CHECK(memcmp(subkey, right, sizeof right) == 0, "suite 2");
    zs_subkey(&sodium, subkey, ZS_SUITE_AES256CTR_HMACSHA256, key, input);
    CHECK(memcmp(subkey, key, sizeof key) == 0, "suite 3");
    zs_store32(input, sender.spi); /* bytes 8 to 24 of a message: SPI and session */
    memcpy(sender.key, key, sizeof key);
    zs_sender_begin(&sender, &sodium, input + 4);
    sodium.hchacha20(right, input, key, NULL);
    CHECK(memcmp(sender.subkey, right, sizeof right) == 0 && memcmp(sender.session, input + 4, 12) == 0, "sender");
    test_end(4);
}

int main(void) {
    test_load_sodium(&sodium);
    test_seed_all();
    check_table(1, 2000, 50);
    check_table(5, 20000, 10);
    check_table(64, 20000, 1000000);
    check_table(65, 20000, 1);
    check_table(300, 20000, 40);
    check_table(MODEL_SESSIONS, 5000, 1000000);
    check_freshness();
    check_expected();
    check_out_of_memory();
    check_subkeys();
    return 0;
}
