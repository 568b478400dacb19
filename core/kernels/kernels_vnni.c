/* kernels_vnni.c -- the kernels for AVX-512 with VNNI, whose one instruction makes four products of 8 bits. */
#define INLINE static inline __attribute__((always_inline, unused))
#include "core/kernels/kernels.h"
#include "core/kernels/vec_avx512.h"
#define ROW kernels_vnni
#define ROW_NAME "avx512_vnni"
#include "core/kernels/kernels_body.h"
