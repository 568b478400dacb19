/* kernels_base.c -- the kernels in plain C: right on every processor, slow without FMA hardware. */
#define INLINE static inline __attribute__((unused)) /* not forced: 16 calls of fmaf() each are long enough */
#include "core/kernels/kernels.h"
#include "core/kernels/vec_base.h"
#define ROW kernels_base
#define ROW_NAME "baseline"
#include "core/kernels/kernels_body.h"
