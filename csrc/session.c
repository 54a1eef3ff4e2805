/* session.c: associations and sessions of a sender and of a receiver (floor 4); spec, "Sessions".
 *
 * Sessions live in slabs, are found through hash buckets, and stand in a heap by age for eviction.
 */
#include "session.h"

#include "impl.h"

#include <stdlib.h>

enum { SLAB_SESSIONS = 64 };
static const uint32_t NONE = UINT32_MAX;

static const uint8_t NO_SALT[16] = {0};
static const uint8_t NOBODY[ZS_PUBLIC_KEY_BYTES] = {0};
static const uint8_t AES_PERSONAL[16] = {'z', 'm', 'q', 's', 'e', 'c', '.', 'a', 'e', 's', '2', '5', '6', 'g', 'c', 'm'};

void zs_subkey(const zs_sodium *sodium, uint8_t subkey[ZS_KEY_BYTES], uint8_t suite, const uint8_t key[ZS_KEY_BYTES],
               const uint8_t bytes_8_to_24[ZS_HCHACHA_INPUT_BYTES]) {
    if (suite == ZS_SUITE_XCHACHA20POLY1305) {
        sodium->hchacha20(subkey, bytes_8_to_24, key, NULL);
    } else if (suite == ZS_SUITE_AES256GCM) {
        sodium->blake2b(subkey, ZS_KEY_BYTES, bytes_8_to_24, ZS_HCHACHA_INPUT_BYTES, key, ZS_KEY_BYTES, NO_SALT,
                        AES_PERSONAL);
    } else {
        memcpy(subkey, key, ZS_KEY_BYTES);
    }
}

void zs_sender_begin(zs_sender *sender, const zs_sodium *sodium, const uint8_t session[ZS_SESSION_BYTES]) {
    uint8_t input[ZS_HCHACHA_INPUT_BYTES];
    memcpy(sender->session, session, ZS_SESSION_BYTES);
    zs_store32(input, sender->spi);
    memcpy(input + 4, session, ZS_SESSION_BYTES);
    zs_subkey(sodium, sender->subkey, sender->suite, sender->key, input);
    if (sender->admits) sodium->hchacha20(sender->admission_subkey, input, sender->admission_key, NULL);
}

bool zs_table_init(zs_table *table, const zs_sodium *sodium, uint64_t now, uint32_t max_sessions) {
    memset(table, 0, sizeof *table);
    table->sodium = sodium;
    table->began = now;
    table->max_sessions = max_sessions;
    table->bucket_mask = SLAB_SESSIONS - 1;
    sodium->random(&table->hash_seed, sizeof table->hash_seed);
    table->buckets = malloc(sizeof *table->buckets * SLAB_SESSIONS);
    if (table->buckets == NULL) return false;
    for (uint32_t i = 0; i <= table->bucket_mask; i++) table->buckets[i] = NONE;
    return true;
}

void zs_table_free(zs_table *table) {
    for (uint32_t i = 0; i < table->slab_count; i++) {
        zs_wipe(table->slabs[i], sizeof(zs_session) * SLAB_SESSIONS);
        free(table->slabs[i]);
    }
    if (table->associations != NULL) {
        zs_wipe(table->associations, sizeof *table->associations * table->association_count);
    }
    free(table->associations);
    free(table->slabs);
    free(table->buckets);
    free(table->heap);
    free(table->free_list);
    memset(table, 0, sizeof *table);
}

/* -- associations -------------------------------------------------------------------------------------------------- */

static size_t association_place(const zs_table *table, uint32_t spi) {
    size_t low = 0, high = table->association_count;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (table->associations[mid].spi < spi) low = mid + 1;
        else high = mid;
    }
    return low;
}

zs_association *zs_table_association(const zs_table *table, uint32_t spi) {
    size_t at = association_place(table, spi);
    if (at == table->association_count || table->associations[at].spi != spi) return NULL;
    return &table->associations[at];
}

bool zs_table_add(zs_table *table, const zs_association *association) {
    size_t count = table->association_count, at = association_place(table, association->spi);
    if (at < count && table->associations[at].spi == association->spi) return false;
    zs_association *grown = malloc(sizeof *grown * (count + 1));
    if (grown == NULL) return false;
    if (count != 0) {
        memcpy(grown, table->associations, sizeof *grown * at);
        memcpy(grown + at + 1, table->associations + at, sizeof *grown * (count - at));
        zs_wipe(table->associations, sizeof *grown * count);
    }
    grown[at] = *association;
    grown[at].asks = association->route.required || association->route.hops_min > 0;
    free(table->associations);
    table->associations = grown;
    table->association_count = count + 1;
    table->changes++;
    return true;
}

/* -- sessions ------------------------------------------------------------------------------------------------------ */

static zs_session *session_at(const zs_table *table, uint32_t number) {
    return &table->slabs[number / SLAB_SESSIONS][number % SLAB_SESSIONS];
}

static uint32_t *bucket_of(const zs_table *table, uint32_t spi, const uint8_t id[ZS_SESSION_BYTES]) {
    uint64_t h = (zs_load64(id + 4) ^ table->hash_seed) * UINT64_C(0x9E3779B97F4A7C15);
    h = (h ^ (h >> 32) ^ ((uint64_t)zs_load32(id) << 32 | spi)) * UINT64_C(0xD6E8FEB86659FD93);
    return &table->buckets[(uint32_t)(h >> 40) & table->bucket_mask];
}

zs_session *zs_table_session(const zs_table *table, uint32_t spi, const uint8_t id[ZS_SESSION_BYTES],
                             const uint8_t *origin) {
    if (origin == NULL) origin = NOBODY;
    for (uint32_t n = *bucket_of(table, spi, id); n != NONE;) {
        zs_session *s = session_at(table, n);
        bool same = s->spi == spi && memcmp(s->id, id, ZS_SESSION_BYTES) == 0;
        if (same && memcmp(s->origin, origin, ZS_PUBLIC_KEY_BYTES) == 0) return s;
        n = s->next;
    }
    return NULL;
}

static bool is_older(const zs_table *table, uint32_t a, uint32_t b) {
    const zs_session *x = session_at(table, a), *y = session_at(table, b);
    uint32_t start_x = zs_load32(x->id), start_y = zs_load32(y->id);
    if (start_x != start_y) return start_x < start_y;
    int order = memcmp(x->id, y->id, ZS_SESSION_BYTES);
    return order != 0 ? order < 0 : memcmp(x->origin, y->origin, ZS_PUBLIC_KEY_BYTES) < 0;
}

static void heap_sift_down(zs_table *table, uint32_t at) {
    for (;;) {
        uint32_t least = at;
        for (uint32_t child = 2 * at + 1; child <= 2 * at + 2; child++) {
            if (child < table->session_count && is_older(table, table->heap[child], table->heap[least])) least = child;
        }
        if (least == at) return;
        uint32_t number = table->heap[at];
        table->heap[at] = table->heap[least];
        table->heap[least] = number;
        at = least;
    }
}

static void heap_push(zs_table *table, uint32_t number) {
    uint32_t at = table->session_count++;
    table->heap[at] = number;
    while (at > 0 && is_older(table, table->heap[at], table->heap[(at - 1) / 2])) {
        table->heap[at] = table->heap[(at - 1) / 2];
        table->heap[(at - 1) / 2] = number;
        at = (at - 1) / 2;
    }
}

static void unlink_and_wipe(zs_table *table, uint32_t number) {
    zs_session *s = session_at(table, number);
    table->changes++;
    uint32_t *link = bucket_of(table, s->spi, s->id);
    while (*link != number) link = &session_at(table, *link)->next;
    *link = s->next;
    zs_wipe(s, sizeof *s);
    table->free_list[table->free_count++] = number;
}

void zs_table_raise_floor(zs_association *association, uint32_t floor) {
    if (association->has_floor && association->floor >= floor) return;
    association->has_floor = true;
    association->floor = floor;
}

/* The oldest session makes room; its window is lost, so nothing as old as it is ever begun again. */
static void evict_oldest(zs_table *table) {
    uint32_t number = table->heap[0];
    const zs_session *s = session_at(table, number);
    zs_association *association = zs_table_association(table, s->spi);
    uint32_t start = zs_load32(s->id);
    if (association != NULL) zs_table_raise_floor(association, start);
    table->heap[0] = table->heap[--table->session_count];
    heap_sift_down(table, 0);
    unlink_and_wipe(table, number);
}

bool zs_table_remove(zs_table *table, uint32_t spi) {
    size_t at = association_place(table, spi), count = table->association_count;
    if (at == count || table->associations[at].spi != spi) return false;
    uint32_t kept = 0, sessions = table->session_count;
    for (uint32_t i = 0; i < sessions; i++) {
        uint32_t number = table->heap[i];
        if (session_at(table, number)->spi == spi) unlink_and_wipe(table, number);
        else table->heap[kept++] = number;
    }
    table->session_count = kept;
    for (uint32_t i = kept / 2; i-- > 0;) heap_sift_down(table, i);
    memmove(&table->associations[at], &table->associations[at + 1], sizeof *table->associations * (count - at - 1));
    zs_wipe(&table->associations[count - 1], sizeof *table->associations);
    table->association_count = count - 1;
    table->changes++;
    return true;
}

zs_status zs_table_check_new(const zs_table *table, const zs_association *association, const zs_header *header,
                             uint64_t now) {
    uint64_t start = header->start;
    if (start > now + association->skew) return ZS_STALE_SESSION;
    if (association->has_floor && start <= association->floor) return ZS_STALE_SESSION;
    if (start + association->late_join + association->skew < table->began) return ZS_STALE_SESSION;
    return ZS_OK;
}

/* Twice the buckets, when there are more sessions than buckets. */
static bool grow_buckets(zs_table *table) {
    uint32_t count = (table->bucket_mask + 1) * 2;
    uint32_t *buckets = malloc(sizeof *buckets * count);
    if (buckets == NULL) return false;
    for (uint32_t i = 0; i < count; i++) buckets[i] = NONE;
    free(table->buckets);
    table->buckets = buckets;
    table->bucket_mask = count - 1;
    for (uint32_t i = 0; i < table->session_count; i++) {
        zs_session *s = session_at(table, table->heap[i]);
        uint32_t *bucket = bucket_of(table, s->spi, s->id);
        s->next = *bucket;
        *bucket = table->heap[i];
    }
    return true;
}

/* Room for one more slab of sessions; what was there stays valid if memory runs out half way. */
static bool grow_slabs(zs_table *table) {
    size_t slabs = (size_t)table->slab_count + 1, sessions = slabs * SLAB_SESSIONS;
    zs_session **slab_list = realloc(table->slabs, sizeof *slab_list * slabs);
    if (slab_list != NULL) table->slabs = slab_list;
    uint32_t *heap = realloc(table->heap, sizeof *heap * sessions);
    if (heap != NULL) table->heap = heap;
    uint32_t *free_list = realloc(table->free_list, sizeof *free_list * sessions);
    if (free_list != NULL) table->free_list = free_list;
    if (slab_list == NULL || heap == NULL || free_list == NULL) return false;
    zs_session *slab = calloc(SLAB_SESSIONS, sizeof *slab);
    if (slab == NULL) return false;
    table->slabs[table->slab_count++] = slab;
    return true;
}

static uint32_t new_number(zs_table *table) {
    if (table->free_count > 0) return table->free_list[--table->free_count];
    uint32_t number = table->session_count;
    if (number / SLAB_SESSIONS == table->slab_count && !grow_slabs(table)) return NONE;
    if (number > table->bucket_mask && !grow_buckets(table)) return NONE;
    return number;
}

bool zs_table_enter(zs_table *table, zs_association *association, const zs_header *header,
                    const uint8_t id[ZS_SESSION_BYTES], const uint8_t *origin, const uint8_t subkey[ZS_KEY_BYTES]) {
    if (table->session_count == table->max_sessions) evict_oldest(table);
    uint32_t number = new_number(table);
    if (number == NONE) return false;
    table->changes++;
    zs_session *s = session_at(table, number);
    uint32_t *bucket = bucket_of(table, association->spi, id);
    memcpy(s->subkey, subkey, ZS_KEY_BYTES);
    memcpy(s->origin, origin != NULL ? origin : NOBODY, ZS_PUBLIC_KEY_BYTES);
    memcpy(s->id, id, ZS_SESSION_BYTES);
    s->spi = association->spi;
    zs_window_begin(&s->window, header->sequence);
    s->next = *bucket;
    *bucket = number;
    heap_push(table, number);
    return true;
}

bool zs_table_expect(zs_table *table, zs_association *association, const uint8_t id[ZS_SESSION_BYTES],
                     const uint8_t *origin, uint64_t next) {
    uint8_t input[ZS_HCHACHA_INPUT_BYTES], subkey[ZS_KEY_BYTES];
    zs_header header = {.spi = association->spi, .start = zs_load32(id)};
    if (!association->has_floor || association->floor < header.start) return true;
    if (zs_table_session(table, association->spi, id, origin) != NULL) return true;
    zs_store32(input, association->spi);
    memcpy(input + 4, id, ZS_SESSION_BYTES);
    zs_subkey(table->sodium, subkey, association->suite, association->key, input);
    bool entered = zs_table_enter(table, association, &header, id, origin, subkey);
    if (entered) zs_window_begin_at(&zs_table_session(table, association->spi, id, origin)->window, next);
    zs_wipe(subkey, sizeof subkey);
    return entered;
}
