/* golden.c -- golden inputs and outputs, checked whenever a model is opened. */
#include <math.h>

#include "core/base/error.h"
#include "core/model/golden.h"

static rnnd_code find(struct checkpoint *ck, const char *name, size_t width, struct checkpoint_tensor **t,
                      const float **data, rnnd_error *err)
{
    char text[96] = "none";
    *t = checkpoint_find(ck, name);
    if (*t) shape_text(text, (*t)->rank, (*t)->dim);
    if (!*t || (*t)->rank != 3 || (*t)->dim[0] < 1 || (*t)->dim[1] < 1 || (*t)->dim[2] != width)
        return fail_at(err, RNND_MISMATCH, name,
                       "golden vectors, tensor \"%.80s\": wanted shape [batch, steps, %zu], found %s", name, width,
                       text);
    return checkpoint_floats(*t, data, err);
}

static rnnd_code compare(const struct checkpoint_tensor *t, const float *wanted, const float *found, rnnd_error *err)
{
    double largest = 1, worst = 0;
    size_t at = 0;
    for (size_t i = 0; i < t->count; i++) {
        double d = fabs((double)found[i] - wanted[i]);
        if (fabs((double)wanted[i]) > largest) largest = fabs((double)wanted[i]);
        if (!(d <= worst)) { /* a NaN is the worst there is */
            worst = d;
            at = i;
            if (d != d) break;
        }
    }
    if (worst <= 1e-5 * largest) return RNND_OK;
    size_t width = t->dim[2], step = at / width % t->dim[1], sequence = at / width / t->dim[1];
    return fail_at(err, RNND_MISMATCH, "golden",
                   "golden vectors: sequence %zu, step %zu, output %zu: wanted %.7g, computed %.7g, off by %.3g where "
                   "%.3g is allowed",
                   sequence, step, at % width, (double)wanted[at], (double)found[at], worst, 1e-5 * largest);
}

rnnd_code model_check_golden(const struct rnnd_model *m, struct checkpoint *ck, rnnd_error *err)
{
    struct checkpoint_tensor *in, *out;
    const float *inputs, *outputs;
    rnnd_workspace *ws = NULL;
    if (!m->config.golden_inputs) return RNND_OK;
    rnnd_code code = find(ck, m->config.golden_inputs, m->network_inputs, &in, &inputs, err);
    if (!code) code = find(ck, m->config.golden_outputs, m->network_outputs, &out, &outputs, err);
    if (code) return code;
    size_t steps = m->config.output_last ? 1 : in->dim[1];
    if (out->dim[0] != in->dim[0] || out->dim[1] != steps)
        return fail_at(err, RNND_MISMATCH, out->name,
                       "golden vectors, tensor \"%.80s\": wanted %zu sequences of %zu steps, found %zu of %zu",
                       out->name, in->dim[0], steps, out->dim[0], out->dim[1]);
    float *found = mem_alloc(out->count, sizeof *found);
    if (!found) return fail_memory(err, out->count * sizeof *found);
    struct rnnd_window w = {.batch = in->dim[0], .steps = in->dim[1], .inputs = inputs, .outputs = found};
    code = rnnd_workspace_open(m, 1, &ws, err);
    if (!code) code = rnnd_run_window(ws, &w, err);
    if (!code) code = compare(out, outputs, found, err);
    rnnd_workspace_close(ws);
    mem_free(found);
    return code;
}
