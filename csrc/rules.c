/* rules.c: rules in one sorted array, asked by exact value and by every length of network that there is (floor 2). */
#include "rules.h"

#include "impl.h"

#include <arpa/inet.h>
#include <stdlib.h>

enum { ADDRESS_BITS = 8 * ZS_ADDRESS_BYTES };

static int compare(const void *first, const void *second) {
    const zs_rule *a = first, *b = second;
    if (a->subject != b->subject) return a->subject < b->subject ? -1 : 1;
    if (a->bits != b->bits) return a->bits < b->bits ? -1 : 1;
    if (a->len != b->len) return a->len < b->len ? -1 : 1;
    return a->len == 0 ? 0 : memcmp(a->value, b->value, a->len);
}

bool zs_rules_make(zs_rules *rules, const zs_rule *given, size_t count) {
    size_t size = 0;
    memset(rules, 0, sizeof *rules);
    for (size_t i = 0; i < count; i++) size += given[i].len;
    rules->rules = calloc(count + 1, sizeof *rules->rules);
    rules->values = malloc(size + 1);
    if (rules->rules == NULL || rules->values == NULL) {
        zs_rules_free(rules);
        return false;
    }
    uint8_t *value = rules->values;
    for (size_t i = 0; i < count; i++) {
        rules->rules[i] = given[i];
        rules->rules[i].value = value;
        memcpy(value, given[i].value, given[i].len);
        value += given[i].len;
        if (given[i].subject == ZS_SUBJECT_NETWORK) rules->has_bits[given[i].bits] = true;
    }
    rules->count = count;
    qsort(rules->rules, count, sizeof *rules->rules, compare);
    return true;
}

void zs_rules_free(zs_rules *rules) {
    free(rules->rules);
    free(rules->values);
    memset(rules, 0, sizeof *rules);
}

bool zs_address_parse(uint8_t out[ZS_ADDRESS_BYTES], const char *text) {
    static const uint8_t MAPPED[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF};
    char plain[INET6_ADDRSTRLEN];
    size_t len = strcspn(text, "%"); /* the zone of a link-local address is the relay's own */
    if (len >= sizeof plain) return false;
    memcpy(plain, text, len);
    plain[len] = '\0';
    memcpy(out, MAPPED, sizeof MAPPED);
    return inet_pton(AF_INET, plain, out + sizeof MAPPED) == 1 || inet_pton(AF_INET6, plain, out) == 1;
}

/* -- the ruling ---------------------------------------------------------------------------------------------------- */

/* The best word so far. */
typedef struct verdict {
    zs_ruling by_operator, by_relay;
} verdict;

static void ask(const zs_rules *rules, const zs_rule *key, verdict *best) {
    const zs_rule *found = bsearch(key, rules->rules, rules->count, sizeof *key, compare);
    if (found == NULL) return;
    if (best->by_operator == ZS_NO_RULING) best->by_operator = found->by_operator;
    if (best->by_relay == ZS_NO_RULING) best->by_relay = found->by_relay;
}

static void ask_connection(const zs_rules *rules, const zs_suspect *suspect, verdict *best) {
    uint8_t both[ZS_ADDRESS_BYTES + ZS_MAX_ROUTING_ID_BYTES];
    if (suspect->address == NULL || suspect->routing_id_len > ZS_MAX_ROUTING_ID_BYTES) return;
    memcpy(both, suspect->address, ZS_ADDRESS_BYTES);
    memcpy(both + ZS_ADDRESS_BYTES, suspect->routing_id, suspect->routing_id_len);
    ask(rules, &(zs_rule){.subject = ZS_SUBJECT_CONNECTION, .value = both,
                          .len = ZS_ADDRESS_BYTES + suspect->routing_id_len}, best);
}

static void ask_networks(const zs_rules *rules, const uint8_t *address, verdict *best) {
    uint8_t masked[ZS_ADDRESS_BYTES];
    for (size_t bits = ADDRESS_BITS + 1; bits-- > 0;) {
        if (!rules->has_bits[bits]) continue;
        memset(masked, 0, sizeof masked);
        memcpy(masked, address, bits / 8);
        if (bits % 8 != 0) masked[bits / 8] = (uint8_t)(address[bits / 8] & (0xFF00 >> bits % 8));
        ask(rules, &(zs_rule){.subject = ZS_SUBJECT_NETWORK, .bits = (uint8_t)bits, .value = masked,
                              .len = sizeof masked}, best);
    }
}

zs_ruling zs_rules_ruling(const zs_rules *rules, const zs_suspect *suspect) {
    verdict best = {ZS_NO_RULING, ZS_NO_RULING};
    if (rules->count == 0) return ZS_NO_RULING;
    if (suspect->fingerprint != NULL) {
        ask(rules, &(zs_rule){.subject = ZS_SUBJECT_IDENTITY, .value = suspect->fingerprint,
                              .len = ZS_FINGERPRINT_BYTES}, &best);
    }
    if (suspect->routing_id != NULL) {
        ask_connection(rules, suspect, &best);
        ask(rules, &(zs_rule){.subject = ZS_SUBJECT_ROUTING_ID, .value = suspect->routing_id,
                              .len = suspect->routing_id_len}, &best);
    }
    if (suspect->address != NULL) ask_networks(rules, suspect->address, &best);
    return best.by_operator != ZS_NO_RULING ? best.by_operator : best.by_relay;
}
