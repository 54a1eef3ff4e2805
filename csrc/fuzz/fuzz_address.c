/* fuzz_address.c: routing metadata in header parts that were scanned; found again by a walk of its own. */
#include "../address.h"
#include "fuzz.h"

static const char *const NAMES[ZS_ADDRESS_NAMES] = {"from", "to", "reply-to", "cred"};

/* How often a name stands directly in the list as ignorable metadata, and where its content is at the last time. */
static size_t find(const uint8_t *data, size_t size, const char *name, size_t *at, size_t *len) {
    size_t found = 0;
    for (size_t i = 0; i < size;) {
        uint32_t head = zs_load32(data + i);
        size_t value = i + 4, value_len = head >> 2, name_len = strlen(name);
        if ((head & 3) == ZS_PART_IGNORABLE && data[value] == name_len && memcmp(data + value + 1, name, name_len) == 0) {
            *at = value + 1 + name_len;
            *len = value_len - 1 - name_len;
            found++;
        }
        i = value + value_len;
    }
    return found;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const zs_parts_limits limits = {.max_parts = ZS_MAX_PARTS, .max_depth = ZS_MAX_DEPTH, .understand_all = true};
    zs_parts_found scanned = {0};
    zs_address address;
    if (size > ZS_MAX_HEADER_PARTS_BYTES) return 0;
    if (zs_parts_scan(&scanned, data, size, ZS_IN_HEADER, &limits) != ZS_OK) return 0;
    zs_status status = zs_address_read(&address, data, size);
    bool good = true;
    for (size_t i = 0; i < ZS_ADDRESS_NAMES; i++) {
        static const size_t LEAST[] = {32, 32, 20, ZS_MIN_CREDENTIAL_BYTES}, MOST[] = {287, 32, 20, ZS_MAX_CREDENTIAL_BYTES};
        size_t at = 0, len = 0, times = find(data, size, NAMES[i], &at, &len);
        if (times > 1 || (times == 1 && (len < LEAST[i] || len > MOST[i]))) good = false;
        if (status == ZS_OK) MUST(address.len[i] == len && (len == 0 || address.at[i] == at));
    }
    MUST((status == ZS_OK) == good && (good || status == ZS_MALFORMED));
    return 0;
}
