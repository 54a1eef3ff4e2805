/* ct.h: marks memory as secret or public for valgrind's memcheck, or for clang's MemorySanitizer where it instruments.
 *
 * A secret is "undefined" to these tools; they report every branch and every address that depends on it.
 */
#ifndef ZS_TEST_CT_H
#define ZS_TEST_CT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if defined(__has_feature)
#if __has_feature(memory_sanitizer)
#define CT_MEMORY_SANITIZER 1
#endif
#endif

#ifdef CT_MEMORY_SANITIZER
#include <sanitizer/msan_interface.h>

static inline void ct_secret(const void *p, size_t len) {
    __msan_poison(p, len);
}

static inline void ct_public(const void *p, size_t len) {
    __msan_unpoison(p, len);
}

/* Whether every byte is secret; not whether one is. */
static inline bool ct_is_secret(const void *p, size_t len) {
    for (size_t i = 0; i < len; i++) {
        if (__msan_test_shadow((const uint8_t *)p + i, 1) < 0) return false;
    }
    return true;
}

static inline bool ct_is_watched(void) {
    return true;
}
#else
#include <valgrind/memcheck.h>

static inline void ct_secret(const void *p, size_t len) {
    (void)VALGRIND_MAKE_MEM_UNDEFINED(p, len);
}

static inline void ct_public(const void *p, size_t len) {
    (void)VALGRIND_MAKE_MEM_DEFINED(p, len);
}

/* Whether every bit is secret. */
static inline bool ct_is_secret(const void *p, size_t len) {
    for (size_t i = 0; i < len; i++) {
        uint8_t bits = 0;
        if (VALGRIND_GET_VBITS((const uint8_t *)p + i, &bits, 1) != 1 || bits != 0xFF) return false;
    }
    return true;
}

static inline bool ct_is_watched(void) {
    return RUNNING_ON_VALGRIND != 0;
}
#endif

#endif
