/* precision.c -- what fewer bits cost: a reduced model held against the exact one when it is opened. */
#include "core/model/precision.h"

#include <math.h>
#include <string.h>

#include "core/base/error.h"
#include "core/base/rng.h"

#define LIMIT 0.1
#define SEQUENCES ((size_t)4)
#define STEPS ((size_t)64)
#define MOST_STEPS ((size_t)256)

/* Numbers about as large as scaled ones are, ids where a port has ids. */
static void draw(const struct rnnd_model *m, size_t rows, float *x)
{
    struct rng rng;
    rng_seed(&rng, 1, 1);
    for (size_t r = 0; r < rows; r++)
        for (size_t i = 0; i < m->network.input_count; i++) {
            const rnnd_port *p = &m->network.inputs[i];
            for (size_t k = 0; k < p->width; k++, x++)
                *x = p->is_ids ? (float)(rng_u32(&rng) % p->limit) : (float)((rng_unit(&rng) - 0.5) * 3.4641);
        }
}

/* The golden inputs, if they are what the model takes. */
static const float *golden(const struct rnnd_model *m, struct checkpoint *ck, size_t *batch, size_t *steps)
{
    struct checkpoint_tensor *t = m->config.golden_inputs ? checkpoint_find(ck, m->config.golden_inputs) : NULL;
    const float *data;
    if (!t || t->rank != 3 || t->dim[2] != m->network_inputs || checkpoint_floats(t, &data, NULL)) return NULL;
    *batch = t->dim[0];
    *steps = t->dim[1];
    return data;
}

static rnnd_code run(const struct rnnd_model *m, const rnnd_window *w, float *outputs, rnnd_error *err)
{
    rnnd_workspace *ws;
    rnnd_window own = *w;
    own.outputs = outputs;
    rnnd_code code = rnnd_workspace_open(m, 1, &ws, err);
    if (code) return code;
    code = rnnd_run_window(ws, &own, err);
    rnnd_workspace_close(ws);
    return code;
}

static double relative_error(const float *found, const float *wanted, size_t n)
{
    double off = 0, all = 0;
    for (size_t i = 0; i < n; i++) {
        double d = (double)found[i] - (double)wanted[i];
        off += d * d;
        all += (double)wanted[i] * (double)wanted[i];
    }
    return off == 0 ? 0 : sqrt(off / all); /* infinite where all wanted is 0 */
}

rnnd_code precision_measure(struct rnnd_model *m, const struct rnnd_model *exact, struct checkpoint *ck, bool force,
                            rnnd_error *err)
{
    size_t batch = SEQUENCES, steps = m->network.window ? m->network.window : STEPS;
    size_t rows, numbers, outputs;
    if (steps > MOST_STEPS) steps = MOST_STEPS; /* a sequence network runs on any number */
    const float *inputs = golden(exact, ck, &batch, &steps);
    if (!size_mul(batch, steps, &rows) || !size_mul(rows, m->network_inputs, &numbers) ||
        !size_mul(m->config.output_last ? batch : rows, m->network_outputs, &outputs))
        return fail_memory(err, (size_t)-1);
    float *drawn = inputs ? NULL : mem_alloc(numbers, sizeof *drawn);
    float *wanted = mem_alloc(outputs, sizeof *wanted), *found = mem_alloc(outputs, sizeof *found);
    rnnd_code code = (inputs || drawn) && wanted && found ? RNND_OK : fail_memory(err, outputs * sizeof *found);
    if (!code && drawn) draw(m, rows, drawn);
    const rnnd_window w = {.batch = batch, .steps = steps, .inputs = inputs ? inputs : drawn};
    if (!code) code = run(exact, &w, wanted, err);
    if (!code) code = run(m, &w, found, err);
    if (!code) m->info.precision_error = relative_error(found, wanted, outputs);
    mem_free(drawn);
    mem_free(wanted);
    mem_free(found);
    return code ? code : precision_check(m, force, err);
}

rnnd_code precision_check(const struct rnnd_model *m, bool force, rnnd_error *err)
{
    if (force || m->info.precision_error <= LIMIT) return RNND_OK;
    return fail_at(err, RNND_MISMATCH, "precision",
                   "in %s the model's outputs differ from those in fp32 by %.2g %%, taken unforced is at most %g %%",
                   m->info.precision, 100 * m->info.precision_error, 100 * LIMIT);
}
