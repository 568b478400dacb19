/* kernels_body.h -- the kernels, compiled once per instruction set; included by kernels_base.c, kernels_avx2.c and
 * kernels_avx512.c after the vector layer (vec_*.h) of each. ROW and ROW_NAME name the table it defines. */
#include "core/kernels/vec_math.h"

#include "core/kernels/body_parts.h"
#include "core/kernels/body_matmul.h"
#include "core/kernels/body_cells.h"
#include "core/kernels/body_steps.h"
#include "core/kernels/body_rows.h"

#include "core/kernels/rows.h"

const struct kernels ROW = {
    .name = ROW_NAME,
    .matmul = matmul,
    .activate = activate,
    .step_inputs = step_inputs,
    .lstm_step = lstm_step,
    .gru_step = gru_step,
    .gru_reset = gru_reset,
    .gru_before = gru_before,
    .softmax = softmax,
    .log_softmax = log_softmax,
    .layer_norm = layer_norm,
    .add = add,
    .sub = sub,
    .mul = mul,
    .scale_shift = scale_shift,
    .finite = finite_row,
};
