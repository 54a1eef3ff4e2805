/* fuzz_parts.c: recursive parts, beside the recursive model of the tests. Four bytes in front choose place and limits. */
#include "../parts.h"
#include "../tests/parts_model.h"
#include "fuzz.h"

enum { CHOICES = 4, PLACES = 3 };

static bool same(zs_span a, zs_span b) {
    return a.data == b.data && (a.data == NULL || a.len == b.len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < CHOICES) return 0;
    const zs_parts_place place = (zs_parts_place)(data[0] % PLACES);
    const zs_parts_limits limits = {
        .max_parts = data[1],
        .max_depth = data[2] % ZS_DEPTH_LIMIT + 1,
        .understood = KNOWN,
        .understood_count = data[3] & 1,
        .understand_all = (data[3] & 2) != 0,
    };
    if (limits.understood_count == 0) return 0; /* the model always understands "known" */
    zs_parts_found found = {0};
    model right = {.limits = &limits, .place = place};
    zs_status expected = model_list(&right, data + CHOICES, size - CHOICES, 1);
    MUST(zs_parts_scan(&found, data + CHOICES, size - CHOICES, place, &limits) == expected);
    if (expected != ZS_OK) return 0;
    MUST(found.parts == right.found.parts && found.leaves == right.found.leaves);
    MUST(same(found.topic, right.found.topic));
    MUST(found.topic.data == NULL || (found.topic.data >= data && found.topic.data + found.topic.len <= data + size));
    return 0;
}
