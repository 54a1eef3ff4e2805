/* messages.c: see messages.h. */
#include "messages.h"

enum { GUARD = 64 };

typedef struct message {
    uint8_t key[ZS_KEY_BYTES + OFFSETS], tag[ZS_TAG_BYTES + OFFSETS + GUARD], expected_tag[ZS_TAG_BYTES];
    uint8_t *ad, *plain, *sealed, *work; /* `work` is guarded */
    size_t room, ad_room, ad_at, tag_at, in_at, out_at;
} message;

zs_sodium messages_sodium;
static message messages[MAX_BATCH];

void messages_free(void) {
    for (size_t i = 0; i < MAX_BATCH; i++) {
        message *m = &messages[i];
        free(m->ad), free(m->plain), free(m->sealed), free(m->work);
    }
    memset(messages, 0, sizeof messages);
}

static uint8_t *room_for(uint8_t *old, size_t size) {
    free(old);
    uint8_t *p = malloc(size);
    CHECK(p != NULL, "%zu bytes of memory", size);
    return p;
}

static void make_room(message *m, size_t len, size_t ad_len) {
    if (m->plain == NULL || m->room < len) {
        m->room = len + len / 4 + 64;
        m->plain = room_for(m->plain, m->room + OFFSETS);
        m->sealed = room_for(m->sealed, m->room + OFFSETS);
        m->work = room_for(m->work, m->room + OFFSETS + 2 * GUARD);
    }
    if (m->ad == NULL || m->ad_room < ad_len) {
        m->ad_room = ad_len + ad_len / 4 + 64;
        m->ad = room_for(m->ad, m->ad_room + OFFSETS);
    }
}

static size_t place(size_t offset) {
    return offset == ANY_OFFSET ? test_below(OFFSETS) : offset;
}

/* The reference: libsodium itself, not the portable tier. */
static void expect(message *m, const zs_aead_job *job) {
    uint8_t nonce[TEST_NONCE_BYTES];
    test_nonce(nonce, job->sequence);
    int result = messages_sodium.chacha_seal(m->sealed + m->in_at, m->expected_tag, NULL, m->plain + m->in_at,
                                             job->len, job->ad, job->ad_len, NULL, nonce, job->key);
    CHECK(result == 0, "libsodium seals");
}

void message_prepare(zs_aead_job *job, size_t i, size_t len, size_t ad_len, size_t offset) {
    message *m = &messages[i];
    make_room(m, len, ad_len);
    size_t key_at = place(offset);
    m->ad_at = place(offset), m->tag_at = place(offset), m->in_at = place(offset);
    m->out_at = offset == ANY_OFFSET || i % 2 == 0 ? place(offset) : (offset * 7 + i) % OFFSETS;
    test_fill(m->key, sizeof m->key);
    test_fill(m->ad, ad_len + OFFSETS);
    test_fill(m->plain + m->in_at, len);
    if (test_below(8) == 0) memset(m->key, (int)test_below(2) * 255, sizeof m->key);
    if (test_below(8) == 0) memset(m->plain + m->in_at, 255, len);
    *job = (zs_aead_job){.key = m->key + key_at, .sequence = test_random() >> test_below(64), .ad = m->ad + m->ad_at,
                         .ad_len = ad_len, .len = len};
    expect(m, job);
}

void message_share_key(zs_aead_job *jobs, size_t i) {
    jobs[i].key = jobs[0].key;
    expect(&messages[i], &jobs[i]);
}

const uint8_t *message_plain(size_t i) {
    return messages[i].plain + messages[i].in_at;
}

const uint8_t *message_sealed(size_t i) {
    return messages[i].sealed + messages[i].in_at;
}

const uint8_t *message_tag(size_t i) {
    return messages[i].expected_tag;
}

void message_aim(zs_aead_job *job, size_t i, bool in_place, bool sealing) {
    message *m = &messages[i];
    uint8_t *out = m->work + GUARD + m->out_at;
    const uint8_t *source = sealing ? message_plain(i) : message_sealed(i);
    memset(m->work, 0xA5, GUARD + OFFSETS + job->len + GUARD);
    if (in_place) memcpy(out, source, job->len);
    job->in = in_place ? out : source;
    job->out = out;
    memset(m->tag, 0x5A, sizeof m->tag);
    job->tag = m->tag + m->tag_at;
    if (!sealing) memcpy(job->tag, m->expected_tag, ZS_TAG_BYTES);
    job->status = ZS_STATUS_COUNT;
}

void message_check_guards(const zs_aead_job *job, size_t i) {
    const message *m = &messages[i];
    CHECK(test_is_all(m->work, GUARD + m->out_at, 0xA5), "written before job %zu of %zu bytes", i, job->len);
    CHECK(test_is_all(job->out + job->len, GUARD, 0xA5), "written after job %zu of %zu bytes", i, job->len);
    CHECK(test_is_all(m->tag, m->tag_at, 0x5A), "written before tag %zu", i);
    CHECK(test_is_all(job->tag + ZS_TAG_BYTES, GUARD, 0x5A), "written after tag %zu", i);
}

void batch_seal(const zs_kernels *k, zs_aead_job *jobs, size_t count, bool in_place) {
    for (size_t i = 0; i < count; i++) message_aim(&jobs[i], i, in_place, true);
    k->seal_many(&messages_sodium, jobs, count);
    for (size_t i = 0; i < count; i++) {
        const zs_aead_job *job = &jobs[i];
        message_check_guards(job, i);
        CHECK(memcmp(job->out, message_sealed(i), job->len) == 0, "ciphertext of job %zu of %zu: %zu bytes, ad %zu", i,
              count, job->len, job->ad_len);
        CHECK(memcmp(job->tag, message_tag(i), ZS_TAG_BYTES) == 0, "tag of job %zu of %zu: %zu bytes, ad %zu", i, count,
              job->len, job->ad_len);
        CHECK(job->status == ZS_OK, "status of job %zu of %zu: %d", i, count, (int)job->status);
    }
}

/* The byte that holds the forgery's bit. What is not aimed anew for each opening has to be turned back. */
static uint8_t *forged_byte(const zs_aead_job *job, const forgery *bad) {
    message *m = &messages[bad->lane];
    size_t len = bad->part == FORGED_TAG ? ZS_TAG_BYTES : bad->part == FORGED_TEXT ? job->len : job->ad_len;
    CHECK(bad->bit / 8 < len, "the test itself: no bit %zu to turn", bad->bit);
    if (bad->part == FORGED_TAG) return job->tag + bad->bit / 8;
    if (bad->part == FORGED_AD) return m->ad + m->ad_at + bad->bit / 8;
    return (job->in == job->out ? job->out : m->sealed + m->in_at) + bad->bit / 8;
}

static void check_opened(const zs_aead_job *job, size_t i, size_t count, bool is_bad) {
    message_check_guards(job, i);
    CHECK(job->status == (is_bad ? ZS_FORGED : ZS_OK), "job %zu of %zu, %zu bytes, %s: status %d", i, count, job->len,
          is_bad ? "forged" : "right", (int)job->status);
    if (is_bad) CHECK(test_is_all(job->out, job->len, 0), "job %zu of %zu: forged and not wiped", i, count);
    else CHECK(memcmp(job->out, message_plain(i), job->len) == 0, "job %zu of %zu, %zu bytes, ad %zu: text", i, count,
               job->len, job->ad_len);
}

void batch_open(const zs_kernels *k, zs_aead_job *jobs, size_t count, bool in_place, const forgery *bad) {
    uint8_t *turned = NULL, bit = 0, tag[ZS_TAG_BYTES];
    for (size_t i = 0; i < count; i++) message_aim(&jobs[i], i, in_place, false);
    if (bad != NULL) {
        bit = (uint8_t)(1u << bad->bit % 8);
        turned = forged_byte(&jobs[bad->lane], bad);
        *turned ^= bit;
        memcpy(tag, jobs[bad->lane].tag, ZS_TAG_BYTES);
    }
    k->open_many(&messages_sodium, jobs, count);
    for (size_t i = 0; i < count; i++) check_opened(&jobs[i], i, count, bad != NULL && bad->lane == i);
    if (bad == NULL) return;
    CHECK(memcmp(tag, jobs[bad->lane].tag, ZS_TAG_BYTES) == 0, "a tag was written while opening");
    if (bad->part == FORGED_AD || (bad->part == FORGED_TEXT && !in_place)) *turned ^= bit;
}

forgery batch_random_forgery(const zs_aead_job *jobs, size_t count) {
    forgery bad = {.lane = test_below(count), .part = (forged_part)test_below(3)};
    const zs_aead_job *job = &jobs[bad.lane];
    if (bad.part == FORGED_TEXT && job->len == 0) bad.part = FORGED_TAG;
    if (bad.part == FORGED_AD && job->ad_len == 0) bad.part = FORGED_TAG;
    size_t len = bad.part == FORGED_TAG ? ZS_TAG_BYTES : bad.part == FORGED_TEXT ? job->len : job->ad_len;
    bad.bit = test_below(8 * len);
    return bad;
}

void batch_check(const zs_kernels *k, zs_aead_job *jobs, size_t count) {
    bool in_place = test_below(2) != 0;
    forgery bad = batch_random_forgery(jobs, count);
    batch_seal(k, jobs, count, in_place);
    batch_open(k, jobs, count, !in_place, NULL);
    batch_open(k, jobs, count, in_place, &bad);
}
