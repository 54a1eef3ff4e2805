/* batch.c: seals and opens many messages (floor 4); spec, "The checks of a receiver", in that order. */
#include "batch.h"

#include "admit.h"
#include "impl.h"

#include <stdlib.h>

/* -- seal ---------------------------------------------------------------------------------------------------------- */

/* H of the message. */
static size_t header_parts(const zs_seal_item *item) {
    return item->header.len + (item->admits ? ZS_ADMIT_BYTES : 0);
}

zs_status zs_seal_measure(zs_seal_item *item, size_t max_message) {
    size_t body = 0;
    if (header_parts(item) > ZS_MAX_HEADER_PARTS_BYTES) return ZS_TOO_LARGE;
    for (size_t i = 0; i < item->body_count; i++) {
        const zs_span *span = &item->body[i];
        if (span->len > ZS_MAX_PART_BYTES - ZS_PART_HEAD_BYTES) return ZS_TOO_LARGE;
        body += span->len + (size_t)span->form * ZS_PART_HEAD_BYTES; /* no head, one, or two */
        if (body > max_message) return ZS_TOO_LARGE;
    }
    item->size = ZS_HEADER_BYTES + header_parts(item) + body + ZS_TAG_BYTES;
    if (item->size < ZS_MIN_SEALED_BYTES) return ZS_MALFORMED;
    return item->size > max_message ? ZS_TOO_LARGE : ZS_OK;
}

static uint8_t *write_spans(uint8_t *out, const zs_span *spans, size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (spans[i].form == ZS_LIST_OF_LEAF) {
            zs_store32(out, (uint32_t)(spans[i].len + ZS_PART_HEAD_BYTES) << 2 | ZS_PART_LIST);
            out += ZS_PART_HEAD_BYTES;
        }
        if (spans[i].form != ZS_RAW) {
            zs_store32(out, (uint32_t)spans[i].len << 2 | ZS_PART_LEAF);
            out += ZS_PART_HEAD_BYTES;
        }
        if (spans[i].len != 0) memcpy(out, spans[i].data, spans[i].len);
        out += spans[i].len;
    }
    return out;
}

/* A long body of one leaf: its head and the first bytes, the rest being read where it stands. */
static uint8_t *write_near(uint8_t *out, const zs_span *leaf, zs_aead_job *job) {
    enum { FIRST = ZS_NEAR_BYTES - ZS_PART_HEAD_BYTES };
    zs_store32(out, (uint32_t)leaf->len << 2 | ZS_PART_LEAF);
    memcpy(out + ZS_PART_HEAD_BYTES, leaf->data, FIRST);
    job->far_in = leaf->data + FIRST;
    return out + ZS_PART_HEAD_BYTES + leaf->len;
}

/* Written field by field: a literal would be put together elsewhere and copied in pieces that the CPU cannot forward. */
static void seal_job(zs_aead_job *job, const zs_sender *sender, const zs_seal_item *item, uint64_t sequence, uint8_t *body,
                     uint8_t *tag) {
    uint8_t *text = (item->flags & ZS_FLAG_CLEAR_BODY) != 0 ? tag : body;
    job->key = sender->subkey;
    job->sequence = sequence;
    job->ad = item->out;
    job->ad_len = (size_t)(text - item->out);
    job->in = text;
    job->out = text;
    job->len = (size_t)(tag - text);
    job->tag = tag;
    job->status = ZS_OK;
    job->far_out = NULL;
}

/* The last header part of each, once all before it stands. */
static void admit(const zs_sender *sender, const zs_seal_item *items, size_t count) {
    uint8_t *fronts[ZS_BATCH];
    size_t lens[ZS_BATCH];
    for (size_t i = 0; i < count; i++) {
        fronts[i] = items[i].out;
        lens[i] = ZS_HEADER_BYTES + items[i].header.len;
    }
    zs_admit_seal(sender->libs, sender->admission_subkey, fronts, lens, count);
}

void zs_seal_prepare(const zs_sender *sender, uint64_t first_sequence, const zs_seal_item *items, size_t count,
                     zs_aead_job *jobs, size_t far_from) {
    uint8_t start[ZS_HEADER_BYTES];
    zs_wire_write(start, &(zs_header){.suite = sender->suite, .spi = sender->spi}, sender->session);
    for (size_t i = 0; i < count; i++) {
        const zs_seal_item *item = &items[i];
        uint8_t *body = item->out + ZS_HEADER_BYTES + header_parts(item), *tag;
        bool clear = (item->flags & ZS_FLAG_CLEAR_BODY) != 0;
        bool leaf = item->body_count == 1 && item->body->form == ZS_LEAF;
        memcpy(item->out, start, ZS_SEQUENCE_OFFSET);
        zs_wire_finish(item->out, item->kind | item->flags, (uint16_t)header_parts(item), first_sequence + i);
        if (item->header.len != 0) memcpy(item->out + ZS_HEADER_BYTES, item->header.data, item->header.len);
        jobs[i].far_in = NULL;
        if (leaf && !clear && item->body->len >= far_from) tag = write_near(body, item->body, &jobs[i]);
        else tag = write_spans(body, item->body, item->body_count);
        seal_job(&jobs[i], sender, item, first_sequence + i, body, tag);
    }
    if (sender->admits) admit(sender, items, count);
}

/* -- open ---------------------------------------------------------------------------------------------------------- */

/* Messages come mostly in one session, whose headers are equal up to the sequence number: what they say was found out
 * for the message before. Its length and its number are its own. */
static bool continues(const zs_receiver *receiver, const zs_open_item *item) {
    const zs_known *known = &receiver->known;
    bool same = known->association != NULL && known->changes == receiver->table.changes &&
                item->len >= ZS_MIN_SEALED_BYTES && memcmp(item->frame, known->start, sizeof known->start) == 0;
    if (!same || (known->header.flags & ZS_FLAG_ORIGIN_ATTESTED) == 0) return same;
    return item->route.origin != NULL && memcmp(item->route.origin, known->origin, sizeof known->origin) == 0;
}

static zs_status continue_session(const zs_receiver *receiver, zs_open_item *item) {
    item->header = receiver->known.header;
    item->header.sequence = zs_load64(item->frame + ZS_SEQUENCE_OFFSET);
    zs_status status = zs_wire_check_sizes(&item->header, item->len, receiver->max_message);
    if (status != ZS_OK) return status;
    item->association = receiver->known.association;
    item->session = receiver->known.session;
    return ZS_OK;
}

static zs_status begin_session(zs_receiver *receiver, zs_open_item *item) {
    zs_header *header = &item->header;
    zs_status status = zs_wire_read(header, item->frame, item->len, receiver->max_message);
    if (status != ZS_OK) return status;
    zs_association *association = zs_table_association(&receiver->table, header->spi);
    if (association == NULL) return ZS_UNKNOWN_SPI;
    if (association->suite != header->suite) return ZS_BAD_SUITE;
    if ((receiver->kinds >> header->kind & 1) == 0) return ZS_NOT_PERMITTED;
    if ((header->flags & ZS_FLAG_CLEAR_BODY) != 0 && !association->allow_clear) return ZS_NOT_PERMITTED;
    item->association = association;
    const uint8_t *origin = item->route.origin;
    item->session = zs_table_session(&receiver->table, header->spi, item->frame + ZS_SESSION_OFFSET, origin);
    zs_known *known = &receiver->known;
    memcpy(known->start, item->frame, sizeof known->start);
    if (origin != NULL) memcpy(known->origin, origin, sizeof known->origin);
    else zs_wipe(known->origin, sizeof known->origin); /* no key is zero */
    known->header = *header;
    known->association = association;
    known->session = item->session;
    known->changes = receiver->table.changes;
    return ZS_OK;
}

static void check_one(zs_receiver *receiver, zs_open_item *item, uint64_t now) {
    item->association = NULL;
    item->session = NULL;
    item->body = NULL;
    item->route.origin = NULL;
    if (item->status != ZS_OK) return;
    if (item->route.count > 0 && item->len >= ZS_MIN_SEALED_BYTES) zs_route_claim(&item->route, item->frame[5]);
    item->status = continues(receiver, item) ? continue_session(receiver, item) : begin_session(receiver, item);
    if (item->status != ZS_OK) return;
    item->changes = receiver->table.changes;
    item->status = zs_table_check(&receiver->table, item->association, item->session, &item->header, now);
}

void zs_open_check(zs_receiver *receiver, zs_open_item *items, size_t count, uint64_t now) {
    for (size_t i = 0; i < count; i++) {
        zs_open_item *item = &items[i];
        check_one(receiver, item, now);
        item->strange = item->status == ZS_OK && item->session == NULL;
        if (item->status != ZS_OK) continue;
        size_t before = (size_t)ZS_HEADER_BYTES + item->header.header_parts;
        item->body = item->out != NULL ? item->out : item->frame + before;
        item->body_len = item->len - before - ZS_TAG_BYTES;
        if (item->route.count > 0) zs_route_digest(&item->route, &receiver->libs->sodium, item->frame, item->len);
        if (item->strange) {
            zs_subkey(&receiver->libs->sodium, item->subkey, item->association->suite, item->association->key,
                      item->frame + ZS_NONCE_OFFSET);
        }
    }
}

size_t zs_open_far(const zs_receiver *receiver, const zs_open_item *item) {
    bool fits = item->status == ZS_OK && item->out == NULL && (item->header.flags & ZS_FLAG_CLEAR_BODY) == 0;
    if (!fits || item->body_len < zs_aead_far_from(receiver->libs, item->header.suite)) return 0;
    return item->body_len - ZS_NEAR_BYTES;
}

static void open_job(zs_aead_job *job, zs_open_item *item) {
    uint8_t *tag = item->frame + item->len - ZS_TAG_BYTES;
    bool clear = (item->header.flags & ZS_FLAG_CLEAR_BODY) != 0;
    uint8_t *text = clear ? tag : tag - item->body_len;
    job->key = item->session != NULL ? item->session->subkey : item->subkey;
    job->sequence = item->header.sequence;
    job->ad = item->frame;
    job->ad_len = (size_t)(text - item->frame);
    job->in = text;
    job->out = clear ? text : item->body;
    job->len = (size_t)(tag - text);
    job->tag = tag;
    job->status = ZS_OK;
    job->far_in = NULL;
    job->far_out = clear ? NULL : item->far;
}

/* Jobs of one suite at a time, in the order in which they stand. */
static void open_suite(zs_receiver *receiver, uint8_t suite, zs_open_item *items, size_t count) {
    zs_aead_job jobs[ZS_BATCH];
    zs_open_item *owners[ZS_BATCH];
    size_t waiting = 0;
    for (size_t i = 0; i <= count; i++) {
        if (waiting == ZS_BATCH || (i == count && waiting > 0)) {
            if (waiting == 1 && suite == ZS_SUITE_XCHACHA20POLY1305) zs_ahead_open(receiver->libs, &receiver->ahead, jobs);
            else zs_aead_open_many(receiver->libs, suite, jobs, waiting);
            for (size_t j = 0; j < waiting; j++) owners[j]->status = jobs[j].status;
            waiting = 0;
        }
        if (i < count && items[i].status == ZS_OK && items[i].header.suite == suite) {
            owners[waiting] = &items[i];
            open_job(&jobs[waiting++], &items[i]);
        }
    }
}

void zs_open_aead(zs_receiver *receiver, zs_open_item *items, size_t count) {
    bool present[ZS_SUITE_AES256GCM + 1] = {false};
    for (size_t i = 0; i < count; i++) {
        if (items[i].status == ZS_OK && items[i].header.suite <= ZS_SUITE_AES256GCM) {
            present[items[i].header.suite] = true;
        }
    }
    for (uint8_t suite = ZS_SUITE_XCHACHA20POLY1305; suite <= ZS_SUITE_AES256GCM; suite++) {
        if (present[suite]) open_suite(receiver, suite, items, count);
    }
}

/* Is the body one leaf, and no more? */
static bool is_leaf(const zs_open_item *item) {
    uint32_t head = (uint32_t)(item->body_len - ZS_PART_HEAD_BYTES) << 2 | ZS_PART_LEAF;
    return item->header.kind == ZS_KIND_DATA && item->body_len >= ZS_PART_HEAD_BYTES && zs_load32(item->body) == head;
}

static zs_status scan_parts(const zs_receiver *receiver, zs_open_item *item) {
    zs_parts_place place = item->header.kind == ZS_KIND_BUNDLE ? ZS_IN_BUNDLE : ZS_IN_BODY;
    zs_parts_found *found = &item->found;
    zs_status status = zs_parts_scan(found, item->frame + ZS_HEADER_BYTES, item->header.header_parts, ZS_IN_HEADER,
                                     &receiver->limits);
    if (status != ZS_OK) return status;
    found->leaves = 0;
    return zs_parts_scan(found, item->body, item->body_len, place, &receiver->limits);
}

/* Is `from` the origin's fingerprint and routing id? */
static bool is_from_origin(const zs_open_item *item, const uint8_t *from) {
    const zs_route *route = &item->route;
    zs_attestation origin;
    if (!zs_attestation_read(&origin, route->frames[0].data, route->frames[0].len)) return false;
    return item->address.len[ZS_FROM] == (size_t)ZS_FINGERPRINT_BYTES + origin.routing_id_len &&
           memcmp(from, route->fingerprint, ZS_FINGERPRINT_BYTES) == 0 &&
           memcmp(from + ZS_FINGERPRINT_BYTES, origin.routing_id, origin.routing_id_len) == 0;
}

/* Whom the message is from, where that was proven, and whom it is for. */
static zs_status check_address(const zs_receiver *receiver, zs_open_item *item) {
    const uint8_t *header = item->frame + ZS_HEADER_BYTES;
    zs_status status = zs_address_read(&item->address, header, item->header.header_parts);
    if (status != ZS_OK) return status;
    if (item->route.origin != NULL && !is_from_origin(item, header + item->address.at[ZS_FROM])) return ZS_BAD_ATTESTATION;
    if (item->address.len[ZS_TO] == 0) return ZS_OK;
    bool for_me = receiver->has_me && memcmp(header + item->address.at[ZS_TO], receiver->me, ZS_FINGERPRINT_BYTES) == 0;
    return for_me ? ZS_OK : ZS_NOT_PERMITTED;
}

static zs_status scan(const zs_receiver *receiver, zs_open_item *item) {
    zs_parts_found *found = &item->found;
    memset(found, 0, sizeof *found);
    if (item->header.header_parts == 0 && is_leaf(item)) {
        found->parts = found->leaves = 1; /* within every limit that there can be */
    } else {
        zs_status status = scan_parts(receiver, item);
        if (status != ZS_OK) return status;
    }
    bool bound = found->topic.data != NULL, shown = item->topic.data != NULL;
    if (bound != shown) return ZS_TOPIC_MISMATCH;
    if (bound && (found->topic.len != item->topic.len ||
                  memcmp(found->topic.data, item->topic.data, item->topic.len) != 0)) {
        return ZS_TOPIC_MISMATCH;
    }
    if (item->header.header_parts != 0) return check_address(receiver, item);
    return item->route.origin != NULL ? ZS_BAD_ATTESTATION : ZS_OK; /* it has no `from` */
}

/* What was opened elsewhere in the belief that the body is one leaf comes back if it is not; true if it is. */
static bool is_far_leaf(zs_open_item *item) {
    size_t rest = item->body_len - ZS_NEAR_BYTES;
    if (is_leaf(item)) return true;
    memcpy(item->body + ZS_NEAR_BYTES, item->far, rest);
    zs_wipe(item->far, rest);
    return false;
}

static void wipe_body(zs_open_item *item) {
    zs_wipe(item->body, item->body_len);
    if (item->far != NULL) zs_wipe(item->far, item->body_len - ZS_NEAR_BYTES);
}

/* What the attestations prove, where there are any or should be. */
static zs_status check_route(zs_receiver *receiver, zs_open_item *item) {
    bool promised = (item->header.flags & ZS_FLAG_ORIGIN_ATTESTED) != 0;
    if (!promised && item->route.count == 0 && !item->association->asks) return ZS_OK;
    if (receiver->trees == NULL && item->route.count > 0) {
        receiver->trees = calloc(1, sizeof *receiver->trees);
        if (receiver->trees == NULL) return ZS_TOO_LARGE;
    }
    return zs_route_verify(&item->route, receiver->trees, &receiver->libs->sodium, item->header.flags,
                           &item->association->route);
}

static zs_status commit_one(zs_receiver *receiver, zs_open_item *item, uint64_t now) {
    zs_table *table = &receiver->table;
    const uint8_t *id = item->frame + ZS_SESSION_OFFSET, *origin = item->route.origin;
    if (item->changes != table->changes) item->session = zs_table_session(table, item->header.spi, id, origin);
    zs_status status = zs_table_check(table, item->association, item->session, &item->header, now);
    if (status != ZS_OK) return status;
    if (item->status != ZS_OK) return item->status;
    status = check_route(receiver, item);
    if (status != ZS_OK) return status;
    if (!zs_table_commit(table, item->association, item->session, &item->header, id, origin, item->subkey)) {
        return ZS_TOO_LARGE;
    }
    if (item->out != NULL && (item->header.flags & ZS_FLAG_CLEAR_BODY) != 0) {
        memcpy(item->body, item->frame + item->len - ZS_TAG_BYTES - item->body_len, item->body_len);
    }
    if (item->far != NULL && !is_far_leaf(item)) item->far = NULL;
    return scan(receiver, item);
}

/* The name that was not understood outlives the body that it may stand in. */
static void keep_name(zs_receiver *receiver, zs_open_item *item, size_t i) {
    zs_span *name = &item->found.name;
    memcpy(receiver->names[i], name->data, name->len);
    name->data = receiver->names[i];
}

void zs_open_commit(zs_receiver *receiver, zs_open_item *items, size_t count, uint64_t now) {
    for (size_t i = 0; i < count; i++) {
        zs_open_item *item = &items[i];
        if (item->body != NULL) {
            item->status = commit_one(receiver, item, now);
            if (item->status == ZS_UNKNOWN_CRITICAL) keep_name(receiver, item, i);
            if (item->status != ZS_OK) wipe_body(item);
        } else if (item->status == ZS_REPLAYED && item->changes != receiver->table.changes) {
            /* The batch itself may have evicted the session whose window refused it. */
            const zs_session *known = zs_table_session(&receiver->table, item->header.spi,
                                                       item->frame + ZS_SESSION_OFFSET, item->route.origin);
            item->status = zs_table_check(&receiver->table, item->association, known, &item->header, now);
        }
        if (item->status == ZS_OK) receiver->opened++;
        else receiver->refused[item->status]++;
        if (item->strange) zs_wipe(item->subkey, sizeof item->subkey);
    }
}

void zs_open_refuse(zs_receiver *receiver, zs_open_item *item, zs_status status) {
    wipe_body(item);
    item->status = status;
    receiver->opened--;
    receiver->refused[status]++;
}
