/* rows.h -- the tables that kernels_base.c, _avx2.c, _avx512.c and _vnni.c define; for kernels.c alone. */
#ifndef RNND_KERNELS_ROWS_H
#define RNND_KERNELS_ROWS_H

#include "core/kernels/kernels.h"

extern const struct kernels kernels_base, kernels_avx2, kernels_avx512, kernels_vnni;
/* The best of them with OpenBLAS inside (kernels_blas.c), or NULL where the library is not installed. */
const struct kernels *kernels_blas(void);

#endif
