/* foreign_ends.c -- the axes of a tensor graph's ends, found by running it on zeros. */
#include <stdio.h>
#include <string.h>

#include "core/base/error.h"
#include "core/model/foreign.h"
#include "core/ops/op.h"

struct trial { /* shapes of the outputs after a run with so many steps */
    size_t steps;
    int rank[MAX_INPUTS];
    size_t dim[MAX_INPUTS][MAX_RANK];
};

static rnnd_code no_rows(struct rnnd_model *m, const char *why, rnnd_error *err)
{
    m->no_rows = arena_string(&m->arena, why, strlen(why));
    return m->no_rows ? RNND_OK : fail_memory(err, strlen(why));
}

/* Batch and time of an input that says neither: [batch][time][..] or [time][batch][..] from rank 3 on and for ids,
 * [batch][features] for other rows. */
static void guess_axes(struct graph_port *p, bool batch_first, bool stepwise)
{
    if (p->batch_axis >= 0 || p->time_axis >= 0 || p->rank < 1) return;
    bool rows = p->rank == 2 && p->dtype == DTYPE_F32 && p->dim[1] > 0;
    if (p->rank == 1) {
        if (stepwise || p->dim[0] > 1)
            p->batch_axis = -1; /* a vector as it is */
        else
            p->time_axis = 0;
    } else if (rows || (p->rank == 2 && stepwise)) {
        p->batch_axis = 0;
    } else {
        p->batch_axis = batch_first ? 0 : 1;
        p->time_axis = batch_first ? 1 : 0;
    }
}

/* A window's length where inputs fix it; why not, where an input's features are of no told number. */
static const char *check_inputs(const struct graph *g, size_t *steps)
{
    *steps = 0;
    for (size_t i = 0; i < g->input_count; i++) {
        const struct graph_port *p = &g->input_ports[i];
        if (p->rank < 0) return "the shape of an input is not told";
        for (int k = 0; k < p->rank; k++)
            if (k != p->batch_axis && k != p->time_axis && p->dim[k] <= 0)
                return "an input has an axis besides batch and time whose size is not told; \"axes\" and \"width\" in "
                       "\"inputs\" of a side file say it";
        size_t fixed = p->time_axis >= 0 && p->dim[p->time_axis] > 0 ? (size_t)p->dim[p->time_axis] : 0;
        if (fixed && *steps && fixed != *steps) return "its inputs are fixed to different lengths";
        if (fixed) *steps = fixed;
    }
    return NULL;
}

static rnnd_code zero_input(const struct graph_port *p, size_t steps, struct tensor *t, rnnd_error *err)
{
    size_t bytes = dtype_bytes(p->dtype);
    *t = (struct tensor){.dtype = p->dtype, .rank = p->rank};
    for (int k = 0; k < p->rank; k++) {
        t->dim[k] = k == p->time_axis ? steps : p->dim[k] < 0 || k == p->batch_axis ? 1 : (size_t)p->dim[k];
        if (!size_mul(bytes, t->dim[k], &bytes)) return fail_memory(err, (size_t)-1);
    }
    t->data = bytes > (size_t)64 << 20 ? NULL : mem_alloc(bytes ? bytes : 1, 1);
    return t->data ? RNND_OK : fail_memory(err, bytes);
}

static rnnd_code run_trial(const struct graph *g, size_t steps, size_t limit, struct trial *out, rnnd_error *err)
{
    struct tensor in[2 * MAX_INPUTS] = {{0}};
    struct graph_run *run = NULL;
    rnnd_code code = graph_run_open(g, 1, 1, &run, err);
    for (size_t i = 0; i < g->input_count && !code; i++)
        code = zero_input(&g->input_ports[i], steps, &in[i], err);
    for (size_t i = 0; i < g->state_count && !code; i++) {
        struct graph_port p = {.rank = g->values[g->states[i].in].rank, .batch_axis = -1, .time_axis = -1};
        memcpy(p.dim, g->values[g->states[i].in].dim, sizeof p.dim);
        code = zero_input(&p, steps, &in[g->input_count + i], err);
    }
    if (!code) {
        graph_run_limit(run, limit);
        code = graph_run_tensors(run, in, err);
    }
    out->steps = steps;
    for (size_t i = 0; i < g->output_count && !code; i++) {
        const struct tensor *t = graph_run_value(run, g->outputs[i]);
        out->rank[i] = t->rank;
        memcpy(out->dim[i], t->dim, sizeof out->dim[i]);
    }
    for (size_t i = 0; i < g->input_count + g->state_count; i++)
        mem_free(in[i].data);
    graph_run_close(run);
    return code;
}

/* The one axis that grew by the step that the second trial had more; -1 if none did, -2 if something else did. */
static int grown_axis(const struct trial *a, const struct trial *b, size_t output)
{
    int axis = -1;
    if (a->rank[output] != b->rank[output]) return -2;
    for (int k = 0; k < a->rank[output]; k++) {
        size_t x = a->dim[output][k], y = b->dim[output][k];
        if (x == y) continue;
        if (axis >= 0 || x != a->steps || y != b->steps) return -2;
        axis = k;
    }
    return axis;
}

static const char *set_output(struct graph_port *p, const struct trial *a, const struct trial *b, size_t i, int batch)
{
    p->time_axis = b ? grown_axis(a, b, i) : -1;
    p->rank = a->rank[i];
    p->dtype = DTYPE_F32;
    p->batch_axis = -1;
    if (p->time_axis == -2) return "an output's length is neither that of the input nor fixed";
    for (int k = 0; k < p->rank; k++)
        p->dim[k] = k == p->time_axis ? -1 : (int64_t)a->dim[i][k];
    if (batch >= 0 && batch < p->rank && batch != p->time_axis && p->dim[batch] == 1) p->batch_axis = batch;
    for (int k = 0; k < p->rank && p->batch_axis < 0 && batch >= 0; k++)
        if (k != p->time_axis && p->dim[k] == 1) p->batch_axis = k;
    return NULL;
}

/* Outputs of all steps, or outputs of one answer: the first one decides, the others are read by name. */
static const char *set_outputs(struct graph *g, const struct trial *a, const struct trial *b)
{
    size_t kept = 0;
    int batch = g->input_ports[0].batch_axis;
    for (size_t i = 0; i < g->output_count; i++) {
        struct graph_port p = {.rank = 0};
        const char *why = set_output(&p, a, b, i, batch);
        if (why && i == 0) return why;
        if (i == 0) g->output_last = !g->stepwise && p.time_axis < 0;
        if (why || (!g->stepwise && (p.time_axis < 0) != g->output_last)) continue;
        g->output_ports[kept] = p;
        g->outputs[kept++] = g->outputs[i];
    }
    g->output_count = kept;
    return NULL;
}

rnnd_code foreign_find_ends(struct rnnd_model *m, struct graph *g, bool batch_first, size_t *steps, rnnd_error *err)
{
    static const size_t lengths[] = {16, 64, 256};
    struct trial *a = mem_alloc(2, sizeof *a), *b = a + 1;
    size_t limit = ((size_t)24 << 20) + (size_t)g->parameters * sizeof(float);
    rnnd_error why;
    if (!a) return fail_memory(err, 2 * sizeof *a);
    for (size_t i = 0; i < g->input_count; i++)
        guess_axes(&g->input_ports[i], batch_first, g->stepwise);
    const char *reason = check_inputs(g, steps);
    bool timed = false;
    for (size_t i = 0; i < g->input_count; i++)
        timed = timed || g->input_ports[i].time_axis >= 0;
    rnnd_code code = RNND_OK;
    if (!reason) {
        size_t first = g->stepwise || !timed ? 1 : *steps ? *steps : lengths[0];
        bool once = g->stepwise || !timed || *steps;
        code = run_trial(g, first, limit, a, &why);
        for (size_t i = 1; code && code != RNND_NO_MEMORY && !once && i < 3; i++)
            code = run_trial(g, lengths[i], limit, a, &why);
        if (!code && !once) code = run_trial(g, a->steps + 1, limit, b, &why);
        if (!code) reason = set_outputs(g, a, once ? NULL : b);
        if (code == RNND_NO_MEMORY) {
            if (err) *err = why;
        } else if (code) {
            reason = why.message;
            code = RNND_OK;
        }
    }
    if (!code && reason) code = no_rows(m, reason, err);
    mem_free(a);
    return code;
}
