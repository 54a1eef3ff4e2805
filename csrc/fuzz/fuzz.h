/* fuzz.h: what the fuzz targets share. Each is given bytes, feeds one parser, and holds what it says to a second opinion. */
#ifndef ZS_FUZZ_H
#define ZS_FUZZ_H

#include "../impl.h"

#include <stdio.h>
#include <stdlib.h>

#define MUST(condition)                                                               \
    do {                                                                              \
        if (!(condition)) {                                                           \
            fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #condition); \
            abort();                                                                  \
        }                                                                             \
    } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
