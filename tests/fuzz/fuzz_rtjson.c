/* fuzz_rtjson.c -- any bytes as a model written as JSON (RTNeural, NAM, a state dict, ..), opened and run.
 *
 * seeds: *.json *.nam
 * options: -max_len=16384 -malloc_limit_mb=128 -rss_limit_mb=1024
 */
#include <float.h>
#include <stdlib.h>

#include "core/formats/rtjson.h"
#include "core/rnnd.h"
#include "tests/fuzz/bound.h"

void fuzz_one(const uint8_t *data, size_t bytes)
{
    rnnd_options options = {.kernel_row = "baseline"};
    rnnd_workspace *ws = NULL;
    rnnd_model *m;
    rnnd_error err;
    struct json_arrays arrays;
    if (json_arrays_read((const char *)data, bytes, "the text", &arrays, &err) == RNND_OK) {
        for (size_t i = 0; i < arrays.count; i++)
            if (arrays.list[i].count == 0 || !(arrays.floats[arrays.list[i].at] <= FLT_MAX)) abort();
        json_arrays_free(&arrays);
    }
    if (rnnd_model_open_memory(data, bytes, "m", &options, &m, &err)) return;
    const rnnd_info *info = rnnd_model_info(m);
    if (!info->unconfirmed && info->input_width < 64 && info->weight_bytes < 1 << 20 && info->state_bytes < 1 << 20 &&
        rnnd_workspace_open(m, 1, &ws, &err) == RNND_OK) {
        float *in = calloc(64, sizeof *in), *out = malloc((info->output_width + 1) * sizeof *out);
        void *state = malloc(rnnd_state_bytes(m));
        rnnd_state_reset(m, state);
        for (int t = 0; t < 3; t++)
            rnnd_step(ws, &(rnnd_step_row){.state = state, .input = in, .output = out}, 1, &err);
        free(state);
        free(out);
        free(in);
    }
    rnnd_workspace_close(ws);
    rnnd_model_close(m);
}
