/* lane.c -- a model's place in the engine: the memory that stepping it takes. */
#include <stdlib.h>

#include "server/engine/batch_private.h"
#include "server/engine/fail.h"

/* The first guess of a model's speed, before it was measured: float operations a second at one row. */
#define GUESSED_FLOPS 2e10

void lane_close(struct lane *lane)
{
    if (lane->ws) rnnd_workspace_close(lane->ws);
    for (size_t i = 0; i < WORKERS_MOST; i++)
        if (lane->work_ws[i]) rnnd_workspace_close(lane->work_ws[i]);
    free(lane->inputs);
    free(lane->outputs);
    free(lane);
}

struct lane *lane_open(struct model *model, rnnd_error *err)
{
    const rnnd_info *info = model->info;
    size_t inputs = info->input_width ? info->input_width : 1, outputs = info->output_width ? info->output_width : 1;
    struct lane *lane = calloc(1, sizeof *lane);

    if (!lane) {
        engine_fail_memory(err, sizeof *lane);
        return NULL;
    }
    lane->model = model;
    lane->input_width = inputs;
    lane->output_width = outputs;
    lane->row_seconds = 1e-6 + 2.0 * (double)info->parameters / GUESSED_FLOPS;
    lane->inputs = calloc(inputs, LANE_ROWS * sizeof(float));
    lane->outputs = calloc(outputs, LANE_ROWS * sizeof(float));
    if (!lane->inputs || !lane->outputs) engine_fail_memory(err, LANE_ROWS * (inputs + outputs) * sizeof(float));
    else if (rnnd_workspace_open(model->handle, LANE_ROWS, &lane->ws, err) == RNND_OK) {
        rnnd_workspace_limit(lane->ws, RUN_MEMORY_LIMIT);
        return lane;
    }
    lane_close(lane);
    return NULL;
}

rnnd_workspace *lane_work_workspace(struct lane *lane, size_t worker, rnnd_error *err)
{
    rnnd_workspace **ws = &lane->work_ws[worker];
    if (!*ws && rnnd_workspace_open(lane->model->handle, LANE_ROWS, ws, err) == RNND_OK)
        rnnd_workspace_limit(*ws, RUN_MEMORY_LIMIT);
    return *ws;
}
