/* kernels_avx2.c -- the kernels for AVX2 with FMA. */
#define INLINE static inline __attribute__((always_inline, unused))
#include "core/kernels/kernels.h"
#include "core/kernels/vec_avx2.h"
#define ROW kernels_avx2
#define ROW_NAME "avx2"
#include "core/kernels/kernels_body.h"
