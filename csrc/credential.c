/* credential.c: one encoding of each credential, read without a copy (floor 3); spec, "Credentials". */
#include "credential.h"

#include "ed25519.h"
#include "impl.h"
#include "parts.h"

static const uint8_t MAGIC[3] = {0x00, 0x5A, 0x43};
static const uint8_t LABEL[17] = {'z', 'm', 'q', 's', 'e', 'c', ' ', 'c', 'r', 'e', 'd', 'e', 'n', 't', 'i', 'a', 'l'};

enum { ALL_ROLES = ZS_ROLE_SEND | ZS_ROLE_RECEIVE | ZS_ROLE_RELAY | ZS_ROLE_ADMIN };

static bool begins_with(const uint8_t *s, size_t len, const uint8_t *prefix, size_t prefix_len) {
    return len >= prefix_len && (prefix_len == 0 || memcmp(s, prefix, prefix_len) == 0);
}

/* Is a < b, byte by byte, the shorter one first where one begins the other? */
static bool comes_before(const uint8_t *a, size_t a_len, const uint8_t *b, size_t b_len) {
    size_t both = a_len < b_len ? a_len : b_len;
    int order = memcmp(a, b, both);
    return order != 0 ? order < 0 : a_len < b_len;
}

/* Entries in strictly ascending order; NULL, or where the list ends. */
static const uint8_t *read_entries(zs_entries *list, const uint8_t *p, const uint8_t *end, bool may_be_empty) {
    const uint8_t *before = NULL; /* the entry before, with its length */
    if (p == end) return NULL;
    list->count = *p++;
    list->data = p;
    for (size_t i = 0; i < list->count; i++) {
        if (p == end || (size_t)(end - p) - 1 < p[0]) return NULL;
        if (p[0] == 0 && !may_be_empty) return NULL;
        if (before != NULL && !comes_before(before + 1, before[0], p + 1, p[0])) return NULL;
        before = p;
        p += 1 + p[0];
    }
    return p;
}

static bool are_utf8(const zs_entries *list) {
    const uint8_t *p = list->data;
    for (size_t i = 0; i < list->count; i++, p += 1 + p[0]) {
        if (!zs_is_utf8(p + 1, p[0])) return false;
    }
    return true;
}

zs_status zs_credential_parse(zs_credential *credential, const uint8_t *data, size_t len) {
    if (len > ZS_MAX_CREDENTIAL_BYTES) return ZS_TOO_LARGE;
    if (len < ZS_MIN_CREDENTIAL_BYTES || memcmp(data, MAGIC, sizeof MAGIC) != 0) return ZS_MALFORMED;
    if (data[3] != ZS_VERSION) return ZS_BAD_VERSION;
    credential->roles = data[4];
    credential->authority = data + 8;
    credential->subject = data + 40;
    credential->serial = zs_load64(data + 72);
    credential->not_before = zs_load64(data + 80);
    credential->not_after = zs_load64(data + 88);
    if (credential->roles == 0 || (credential->roles & ~ALL_ROLES) != 0) return ZS_MALFORMED;
    if ((data[5] | data[6] | data[7]) != 0 || credential->not_before > credential->not_after) return ZS_MALFORMED;
    if (!zs_ed25519_is_strict_point(credential->authority)) return ZS_MALFORMED;
    if (!zs_ed25519_is_strict_point(credential->subject)) return ZS_MALFORMED;
    const uint8_t *end = data + len - ZS_SIGNATURE_BYTES;
    const uint8_t *p = read_entries(&credential->names, data + ZS_CREDENTIAL_LISTS_OFFSET, end, false);
    if (p != NULL) p = read_entries(&credential->routing_ids, p, end, false);
    if (p != NULL) p = read_entries(&credential->publish, p, end, true);
    if (p != NULL) p = read_entries(&credential->read, p, end, true);
    return p == end && are_utf8(&credential->names) ? ZS_OK : ZS_MALFORMED;
}

zs_status zs_credential_read(zs_credential *credential, const zs_sodium *sodium, const uint8_t *data, size_t len) {
    uint8_t message[sizeof LABEL + ZS_MAX_CREDENTIAL_BYTES]; /* libsodium takes it in one piece only */
    zs_status status = zs_credential_parse(credential, data, len);
    if (status != ZS_OK) return status;
    size_t covered = len - ZS_SIGNATURE_BYTES;
    memcpy(message, LABEL, sizeof LABEL);
    memcpy(message + sizeof LABEL, data, covered);
    return zs_ed25519_verify(sodium, data + covered, message, sizeof LABEL + covered, credential->authority) ? ZS_OK
                                                                                                          : ZS_FORGED;
}

/* What stands before a final '*'; false if there is none. */
static bool is_prefix(const uint8_t *entry, size_t *prefix_len) {
    *prefix_len = entry[0] > 0 ? (size_t)entry[0] - 1 : 0;
    return entry[0] > 0 && entry[entry[0]] == '*';
}

bool zs_entries_match(const zs_entries *patterns, const uint8_t *value, size_t len) {
    const uint8_t *p = patterns->data;
    for (size_t i = 0; i < patterns->count; i++, p += 1 + p[0]) {
        size_t prefix_len;
        if (is_prefix(p, &prefix_len) && begins_with(value, len, p + 1, prefix_len)) return true;
        if (p[0] == len && begins_with(value, len, p + 1, len)) return true;
    }
    return false;
}

bool zs_entries_cover(const zs_entries *patterns, const uint8_t *prefix, size_t len) {
    const uint8_t *p = patterns->data;
    for (size_t i = 0; i < patterns->count; i++, p += 1 + p[0]) {
        size_t prefix_len;
        if (is_prefix(p, &prefix_len) && begins_with(prefix, len, p + 1, prefix_len)) return true;
    }
    return false;
}

bool zs_credential_permits(const zs_credential *credential, const zs_deed *deed) {
    const zs_entries *topics = deed->role == ZS_ROLE_SEND      ? &credential->publish
                               : deed->role == ZS_ROLE_RECEIVE ? &credential->read
                                                               : NULL;
    if (deed->now < credential->not_before || deed->now > credential->not_after) return false;
    if (deed->role == 0 || (credential->roles & deed->role) != deed->role) return false;
    if (deed->routing_id_len > 0 &&
        !zs_entries_match(&credential->routing_ids, deed->routing_id, deed->routing_id_len)) {
        return false;
    }
    return deed->topic == NULL || topics == NULL || zs_entries_match(topics, deed->topic, deed->topic_len);
}
