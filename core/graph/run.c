/* run.c -- runs a compiled graph: one pass over T steps of B sequences in a scratch block that was sized before. */
#include <string.h>

#include "core/base/error.h"
#include "core/graph/run_private.h"

#define ALIGN 64
#define RUN_LIMIT ((size_t)4 << 30)

static void *take_extra(struct graph_run *run, size_t bytes)
{
    size_t total;
    if (!size_add(run->used, run->extra_bytes, &total) || !size_add(total, bytes, &total) || total > run->limit) {
        run->overflow = true;
        return NULL;
    }
    struct extra *e = mem_alloc(1, sizeof *e);
    if (!e || !(e->memory = mem_aligned(bytes ? bytes : 1))) {
        mem_free(e);
        return NULL;
    }
    e->next = run->extra;
    run->extra = e;
    run->extra_bytes += bytes;
    return e->memory;
}

void run_free_extra(struct graph_run *run)
{
    for (struct extra *e = run->extra, *next; e; e = next) {
        next = e->next;
        mem_free(e->memory);
        mem_free(e);
    }
    run->extra = NULL;
    run->extra_bytes = 0;
}

/* Bump allocation: nothing is freed before the pass ends. While planning, only the size is counted. */
static void *take(struct run_context *rc, size_t bytes)
{
    static unsigned char nothing[ALIGN] __attribute__((aligned(ALIGN)));
    struct graph_run *run = (struct graph_run *)rc;
    size_t rounded, used;
    if (!size_add(bytes, ALIGN - 1, &rounded) || !size_add(run->used, rounded & ~(size_t)(ALIGN - 1), &used)) {
        run->overflow = true;
        return NULL;
    }
    if (bytes == 0) return nothing; /* a tensor without elements is no lack of memory */
    if (rc->planning) {
        run->used = used;
        return nothing;
    }
    if (used > run->size || !run->memory) return rc->graph->tensors ? take_extra(run, used - run->used) : NULL;
    void *p = run->memory + run->used;
    run->used = used;
    return p;
}

rnnd_code run_give_tensor(struct run_context *rc, struct tensor *t, enum dtype dtype, int rank, const size_t *dim,
                          rnnd_error *err)
{
    size_t bytes = dtype_bytes(dtype);
    *t = (struct tensor){.dtype = dtype, .rank = rank};
    for (int i = 0; i < rank; i++) {
        t->dim[i] = dim[i];
        if (!size_mul(bytes, dim[i], &bytes)) {
            ((struct graph_run *)rc)->overflow = true;
            return fail_memory(err, (size_t)-1);
        }
    }
    t->data = take(rc, bytes);
    return t->data ? RNND_OK : fail_memory(err, bytes);
}

static rnnd_code give_output(struct run_context *rc, const struct graph_node *n, int i, enum dtype dtype, int rank,
                             const size_t *dim, rnnd_error *err)
{
    if (n->outputs[i] == rc->place.value && rank == 3 && dtype == DTYPE_F32 && rc->place.by_b == dim[2] &&
        rc->place.by_t == dim[1] * dim[2]) {
        struct tensor *t = &rc->values[n->outputs[i]];
        *t = (struct tensor){.dtype = dtype, .rank = rank, .dim = {dim[0], dim[1], dim[2]}, .data = rc->place.data};
        return RNND_OK;
    }
    rnnd_code code = run_give_tensor(rc, &rc->values[n->outputs[i]], dtype, rank, dim, err);
    if (code && ((struct graph_run *)rc)->overflow && !rc->planning)
        return fail_at(err, RNND_TOO_LARGE, n->name, "node \"%.80s\": its output would be beyond the memory of a run",
                       n->name);
    return code;
}

static rnnd_code run_body(struct run_context *rc, const struct graph_body *body, rnnd_error *err)
{
    rnnd_code code = RNND_OK;
    for (size_t i = 0; i < body->node_count && !code; i++)
        code = body->nodes[i].op->run(rc, &body->nodes[i], err);
    return code;
}

rnnd_code graph_run_open(const struct graph *g, size_t max_rows, size_t max_steps, struct graph_run **out,
                         rnnd_error *err)
{
    *out = NULL;
    struct graph_run *run = mem_alloc(1, sizeof *run);
    if (!run) return fail_memory(err, sizeof *run);
    run->rc = (struct run_context){
        .graph = g, .kernels = g->kernels, .scratch = take, .output = give_output, .run_body = run_body};
    run->rc.place.value = -1;
    run->limit = RUN_LIMIT;
    run->rc.values = mem_alloc(g->value_count + 1, sizeof *run->rc.values);
    run->state_offset = mem_alloc(g->state_count + 1, sizeof *run->state_offset);
    if (!run->rc.values || !run->state_offset) {
        graph_run_close(run);
        return fail_memory(err, g->value_count * sizeof *run->rc.values);
    }
    run->rc.state_offset = run->state_offset;
    for (size_t i = 0; i < g->state_count; i++) {
        run->state_offset[i] = run->state_width;
        run->state_width += g->states[i].width;
    }
    for (size_t i = 0; i < g->value_count; i++)
        if (g->values[i].is_constant) run->rc.values[i] = g->values[i].constant;
    rnnd_code code = graph_run_reserve(run, max_rows, max_steps, err);
    if (code)
        graph_run_close(run);
    else
        *out = run;
    return code;
}

void graph_run_close(struct graph_run *run)
{
    if (!run) return;
    mem_free(run->rc.values);
    mem_free(run->state_offset);
    run_free_extra(run);
    mem_free(run->memory);
    mem_free(run);
}

void graph_run_limit(struct graph_run *run, size_t bytes)
{
    run->limit = bytes;
}

void graph_run_team(struct graph_run *run, struct team *team)
{
    run->rc.team = team;
}

/* Where outputs, [T][B] rows of `width` floats, begin and how they are spaced, if evenly and none over another. The
 * inputs may be read where they are, so that no output must be written over them before the last node has run. */
static void find_place(struct graph_run *run, size_t T, size_t B, const float *const *inputs, float *const *outputs)
{
    struct run_context *rc = &run->rc;
    const struct graph *g = rc->graph;
    rc->place.value = -1;
    if (g->output_count != 1 || g->input_count != 1 || g->output_last || !outputs[0]) return;
    size_t width = (size_t)g->values[g->outputs[0]].dim[2], input = (size_t)g->values[g->inputs[0]].dim[2];
    uintptr_t first = (uintptr_t)outputs[0];
    size_t by_b = B > 1 ? ((uintptr_t)outputs[1] - first) / sizeof(float) : width;
    size_t by_t = T > 1 ? ((uintptr_t)outputs[B] - first) / sizeof(float) : B * by_b;
    if (by_b >= SIZE_MAX / 8 / B || by_t >= SIZE_MAX / 8 / T) return; /* backwards */
    if (by_t < (B - 1) * by_b + width && by_b < (T - 1) * by_t + width) return;
    for (size_t t = 0; t < T; t++)
        for (size_t b = 0; b < B; b++)
            if ((uintptr_t)outputs[t * B + b] != first + (t * by_t + b * by_b) * sizeof(float)) return;
    uintptr_t end = first + ((T - 1) * by_t + (B - 1) * by_b + width) * sizeof(float);
    if ((uintptr_t)inputs[0] < end && first < (uintptr_t)(inputs[T * B - 1] + input)) return;
    rc->place.value = g->outputs[0];
    rc->place.data = outputs[0];
    rc->place.by_t = by_t;
    rc->place.by_b = by_b;
}

/* Whether rows of `width` floats lie one behind the other. */
static bool side_by_side(size_t count, const float *const *rows, size_t width)
{
    for (size_t r = 1; r < count; r++)
        if (rows[r] != rows[r - 1] + width) return false;
    return true;
}

/* The callers' rows into one tensor per graph input, and the states that are not direct into one tensor each. A single
 * input whose rows lie side by side is read where it is: no node writes to its inputs. */
static rnnd_code read_ends(struct graph_run *run, size_t T, size_t B, const float *const *inputs, rnnd_error *err)
{
    struct run_context *rc = &run->rc;
    const struct graph *g = rc->graph;
    size_t at = 0;
    for (size_t i = 0; i < g->input_count; i++) {
        size_t width = (size_t)g->values[g->inputs[i]].dim[2];
        struct tensor *t = &rc->values[g->inputs[i]];
        rnnd_code code = run_give_tensor(rc, t, DTYPE_F32, 3, (const size_t[]){T, B, width}, err);
        if (code) return code;
        bool where_it_is = !rc->planning && g->input_count == 1 && side_by_side(T * B, inputs, width);
        if (where_it_is) t->data = (void *)inputs[0];
        for (size_t r = 0; r < T * B && !rc->planning && !where_it_is; r++)
            memcpy((float *)t->data + r * width, inputs[r] + at, width * sizeof(float));
        at += width;
    }
    for (size_t i = 0; i < g->state_count; i++) {
        if (g->states[i].direct) continue;
        size_t width = g->states[i].width;
        struct tensor *t = &rc->values[g->states[i].in];
        rnnd_code code = run_give_tensor(rc, t, DTYPE_F32, 2, (const size_t[]){B, width}, err);
        if (code) return code;
        for (size_t b = 0; b < B && !rc->planning; b++)
            memcpy((float *)t->data + b * width, rc->state_in[b] + run->state_offset[i], width * sizeof(float));
    }
    return RNND_OK;
}

static void write_ends(struct graph_run *run, size_t B, float *const *outputs, bool wanted)
{
    struct run_context *rc = &run->rc;
    const struct graph *g = rc->graph;
    size_t at = 0;
    for (size_t i = 0; i < g->output_count && wanted; i++) {
        const struct tensor *t = &rc->values[g->outputs[i]];
        if (g->outputs[i] == rc->place.value && t->data == rc->place.data) break; /* the only one, and there already */
        size_t width = tensor_width(t), rows = tensor_rows(t);
        for (size_t r = 0; r < rows; r++)
            if (outputs[r]) memcpy(outputs[r] + at, (const float *)t->data + r * width, width * sizeof(float));
        at += width;
    }
    for (size_t i = 0; i < g->state_count; i++) {
        if (g->states[i].direct) continue;
        const struct tensor *t = &rc->values[g->states[i].out];
        size_t width = g->states[i].width;
        for (size_t b = 0; b < B; b++)
            memcpy(rc->state_out[b] + run->state_offset[i], (const float *)t->data + b * width, width * sizeof(float));
    }
}

const struct tensor *graph_run_value(const struct graph_run *run, int value)
{
    return &run->rc.values[value];
}

static rnnd_code pass(struct graph_run *run, size_t T, size_t B, const float *const *inputs, rnnd_error *err)
{
    run->used = 0;
    rnnd_code code = read_ends(run, T, B, inputs, err);
    for (size_t i = 0; i < run->rc.graph->node_count && !code; i++) {
        const struct graph_node *n = &run->rc.graph->nodes[i];
        code = n->op->run(&run->rc, n, err);
    }
    run->rc.turn += T;
    return code;
}

rnnd_code graph_run_reserve(struct graph_run *run, size_t rows, size_t steps, rnnd_error *err)
{
    size_t n;
    if (run->rc.graph->tensors) return RNND_OK; /* a pass grows by itself */
    if (run->rc.graph->stepwise) steps = 1;
    for (size_t i = 0; i < 2; i++)
        if (rows <= run->fits[i].rows && steps <= run->fits[i].steps) return RNND_OK;
    if (!size_mul(rows, steps, &n) || n > (size_t)1 << 40) return fail_memory(err, (size_t)-1);
    run->rc.planning = true;
    run->overflow = false;
    rnnd_code code = pass(run, steps, rows, NULL, err);
    run->rc.planning = false;
    if (code || run->overflow) return code ? code : fail_memory(err, (size_t)-1);
    if (run->used > run->size) {
        unsigned char *memory = mem_aligned(run->used);
        if (!memory) return fail_memory(err, run->used);
        mem_free(run->memory);
        run->memory = memory;
        run->size = run->used;
    }
    size_t at = rows < run->fits[0].rows || steps < run->fits[0].steps; /* known only for what was planned */
    run->fits[at].rows = rows;
    run->fits[at].steps = steps;
    return RNND_OK;
}

/* A function of one step, applied T times. */
static rnnd_code run_stepwise(struct graph_run *run, size_t T, size_t B, const float *const *inputs,
                              float *const *outputs, rnnd_error *err)
{
    bool last = run->rc.graph->output_last;
    rnnd_code code = RNND_OK;
    for (size_t t = 0; t < T && !code; t++) {
        if (!last) find_place(run, 1, B, inputs + t * B, outputs + t * B);
        code = pass(run, 1, B, inputs + t * B, err);
        if (!code) write_ends(run, B, last ? outputs : outputs + t * B, !last || t + 1 == T);
        run->rc.state_in = (const float *const *)run->rc.state_out;
    }
    run->rc.place.value = -1;
    return code;
}

rnnd_code graph_run(struct graph_run *run, size_t T, size_t B, const float *const *inputs, float *const *outputs,
                    const float *const *state_in, float *const *state_out, rnnd_error *err)
{
    if (T == 0 || B == 0) return RNND_OK;
    rnnd_code code = graph_run_reserve(run, B, T, err);
    if (code) return code;
    run->rc.state_in = state_in;
    run->rc.state_out = state_out;
    if (run->rc.graph->tensors) return run_tensor_rows(run, T, B, inputs, outputs, err);
    if (run->rc.graph->stepwise) return run_stepwise(run, T, B, inputs, outputs, err);
    find_place(run, T, B, inputs, outputs);
    code = pass(run, T, B, inputs, err);
    if (!code) write_ends(run, B, outputs, true);
    run->rc.place.value = -1;
    return code;
}
