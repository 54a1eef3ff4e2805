/* fuzz_credential.c: credentials; one that was read is written again from its fields, and each entry matches itself. */
#include "../credential.h"
#include "fuzz.h"

static const char LABEL[] = "zmqsec credential";

static const uint8_t *given;
static size_t given_len;
static bool asked;

/* In place of libsodium: sees that all but the signature was to be verified, and says that it holds. */
static int verify(const unsigned char *signature, const unsigned char *message, unsigned long long len,
                  const unsigned char *key) {
    const size_t label = sizeof LABEL - 1;
    asked = true;
    MUST(len == label + given_len - ZS_SIGNATURE_BYTES && signature == given + given_len - ZS_SIGNATURE_BYTES);
    MUST(memcmp(message, LABEL, label) == 0 && memcmp(message + label, given, (size_t)len - label) == 0);
    MUST(key == given + 8);
    return 0;
}

/* Entries as words, where a letter that is not there comes before all letters. */
static bool ascends(const uint8_t *a, const uint8_t *b) {
    for (size_t i = 1; i <= a[0] || i <= b[0]; i++) {
        int left = i <= a[0] ? a[i] : -1, right = i <= b[0] ? b[i] : -1;
        if (left != right) return left < right;
    }
    return false;
}

static uint8_t *write_again(uint8_t *out, const zs_entries *list) {
    const uint8_t *p = list->data, *before = NULL;
    *out++ = (uint8_t)list->count;
    for (size_t i = 0; i < list->count; i++, before = p, p += 1 + p[0]) {
        MUST(before == NULL || ascends(before, p));
        memcpy(out, p, (size_t)p[0] + 1);
        out += 1 + p[0];
        MUST(zs_entries_match(list, p + 1, p[0]));
        if (p[0] > 0 && p[p[0]] == '*') MUST(zs_entries_cover(list, p + 1, (size_t)p[0] - 1));
    }
    return out;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const zs_sodium sodium = {.verify = verify};
    uint8_t again[ZS_MAX_CREDENTIAL_BYTES] = {0x00, 0x5A, 0x43, ZS_VERSION};
    zs_credential found;
    given = data, given_len = size, asked = false;
    zs_status parsed = zs_credential_parse(&found, data, size);
    zs_status status = zs_credential_read(&found, &sodium, data, size);
    if (parsed != ZS_OK) {
        MUST(status == parsed && !asked);
        return 0;
    }
    if (status == ZS_FORGED) { /* the rule of signatures refuses some before libsodium is asked */
        MUST(!asked);
        return 0;
    }
    MUST(status == ZS_OK && asked);
    again[4] = found.roles;
    memcpy(again + 8, found.authority, ZS_PUBLIC_KEY_BYTES);
    memcpy(again + 40, found.subject, ZS_PUBLIC_KEY_BYTES);
    zs_store64(again + 72, found.serial);
    zs_store64(again + 80, found.not_before);
    zs_store64(again + 88, found.not_after);
    uint8_t *end = again + ZS_CREDENTIAL_LISTS_OFFSET;
    end = write_again(end, &found.names);
    end = write_again(end, &found.routing_ids);
    end = write_again(end, &found.publish);
    end = write_again(end, &found.read);
    MUST((size_t)(end - again) == size - ZS_SIGNATURE_BYTES && memcmp(again, data, (size_t)(end - again)) == 0);
    zs_deed deed = {found.roles, found.not_before, NULL, 0, NULL, 0};
    MUST(zs_credential_permits(&found, &deed));
    deed.now = found.not_after;
    MUST(zs_credential_permits(&found, &deed));
    deed.role = (uint8_t)~found.roles;
    MUST(deed.role == 0 || !zs_credential_permits(&found, &deed));
    return 0;
}
