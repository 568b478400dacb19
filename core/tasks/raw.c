/* raw.c -- the task of no task: rows in are the network's inputs, rows out its outputs. */
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
    (void)network_row;
    if (!m->kernels->finite(m->network_inputs, input))
        return fail_at(err, RNND_MISMATCH, "input", "the input row holds NaN or infinity");
    return RNND_OK;
}

const struct task task_raw = {
    .name = "raw", .id = RNND_RAW, .last_after = true, .plain = true, .attach = attach, .before = before};
