/* kernels_avx512.c -- the kernels for AVX-512 (F, DQ, BW, VL). */
#define INLINE static inline __attribute__((always_inline, unused))
#include "core/kernels/kernels.h"
#include "core/kernels/vec_avx512.h"
#define ROW kernels_avx512
#define ROW_NAME "avx512"
#include "core/kernels/kernels_body.h"
