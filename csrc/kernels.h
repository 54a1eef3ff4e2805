/* kernels.h: what the kernels of one instruction set export to the dispatcher (floor 1). */
#ifndef ZS_KERNELS_H
#define ZS_KERNELS_H

#include "impl.h"
#include "libs.h"
#include "zs.h"

/* The first word of every nonce. The tests that run foreign vectors build the kernels with a variable here. */
#ifdef ZS_TEST_NONCE_WORD
extern uint32_t zs_test_nonce_word;
#define ZS_NONCE_WORD zs_test_nonce_word
#else
#define ZS_NONCE_WORD UINT32_C(0)
#endif

void zs_seal_many_portable(const zs_sodium *sodium, zs_aead_job *jobs, size_t count);
void zs_open_many_portable(const zs_sodium *sodium, zs_aead_job *jobs, size_t count);
void zs_hchacha20_many_portable(const zs_sodium *sodium, zs_subkey_job *jobs, size_t count);

#if defined(__x86_64__)
#define ZS_HAVE_X86_KERNELS 1

#define ZS_PRAGMA(text) _Pragma(#text)
#if defined(__clang__)
#define ZS_TARGET_BEGIN(isa) ZS_PRAGMA(clang attribute push(__attribute__((target(isa))), apply_to = function))
#define ZS_TARGET_END ZS_PRAGMA(clang attribute pop)
#else
#define ZS_TARGET_BEGIN(isa) ZS_PRAGMA(GCC push_options) ZS_PRAGMA(GCC target(isa))
#define ZS_TARGET_END ZS_PRAGMA(GCC pop_options)
#endif

/* From here on one message at a time, which memory likes better. */
enum { ZS_AVX512_FAR_FROM = 16 * 1024 };

void zs_seal_many_avx512(const zs_sodium *sodium, zs_aead_job *jobs, size_t count);
void zs_open_many_avx512(const zs_sodium *sodium, zs_aead_job *jobs, size_t count);
void zs_hchacha20_many_avx512(const zs_sodium *sodium, zs_subkey_job *jobs, size_t count);

void zs_ahead_make_avx512(zs_ahead_stream stream, const uint8_t key[ZS_KEY_BYTES], uint64_t first, size_t blocks);
void zs_ahead_seal_avx512(zs_aead_job *job, const zs_ahead_stream *stream, size_t lane);
void zs_ahead_open_avx512(zs_aead_job *job, const zs_ahead_stream *stream, size_t lane);

void zs_seal_many_avx2(const zs_sodium *sodium, zs_aead_job *jobs, size_t count);
void zs_open_many_avx2(const zs_sodium *sodium, zs_aead_job *jobs, size_t count);
void zs_hchacha20_many_avx2(const zs_sodium *sodium, zs_subkey_job *jobs, size_t count);
#endif

#endif
