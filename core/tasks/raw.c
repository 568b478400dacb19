/* raw.c -- the task of no task: rows in are the network's inputs, rows out its outputs. */
#include <string.h>

#include "core/base/error.h"
#include "core/tasks/tasks.h"

static rnnd_code attach(struct rnnd_model *m, rnnd_error *err)
{
    (void)m; /* info describes the network already */
    (void)err;
    return RNND_OK;
}

static rnnd_code before(const struct rnnd_model *m, void *task_state, const float *input, float *network_row,
                        rnnd_error *err)
{
    (void)task_state;
    if (!m->kernels->finite(m->network_inputs, input))
        return fail_at(err, RNND_MISMATCH, "input", "the input row holds NaN or infinity");
    memcpy(network_row, input, m->network_inputs * sizeof *network_row);
    return RNND_OK;
}

static void after(const struct rnnd_model *m, void *task_state, const float *network_row, float *output)
{
    (void)task_state;
    if (output) memmove(output, network_row, m->network_outputs * sizeof *output);
}

const struct task task_raw = {.name = "raw", .id = RNND_RAW, .attach = attach, .before = before, .after = after};
