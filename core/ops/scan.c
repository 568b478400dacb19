/* scan.c -- tensor operator Scan (opset 9 on): a body for each slice of its scan inputs, states handed on.
 *
 * Inputs: states..., scan inputs...; the body takes states and slices and gives states and slices. */
#include <string.h>

#include "core/base/error.h"
#include "core/ops/control.h"
#include "core/ops/tensor_util.h"

#define MAX_SCANS 64

struct scan {
    int states, inputs, outputs; /* outputs: scan outputs of the body */
    size_t steps;
    int axis[MAX_SCANS];         /* of each scan input */
    bool backward[MAX_SCANS];
    struct tensor *next;         /* [states] */
    struct collected *collected; /* [outputs] */
};

static rnnd_code check(struct graph *g, struct graph_node *n, rnnd_error *err)
{
    (void)g;
    int64_t scanned = op_int(n, "num_scan_inputs", 0);
    const struct graph_body *body = n->body_count == 1 ? n->bodies[0] : NULL;
    if (scanned < 1 || scanned > n->input_count || scanned > MAX_SCANS)
        return fail_at(err, RNND_MISMATCH, "num_scan_inputs",
                       "node \"%.80s\" (Scan): wanted 1 to %d scan inputs, found %lld", n->name, n->input_count,
                       (long long)scanned);
    int states = n->input_count - (int)scanned;
    if (!body || body->input_count != n->input_count || body->output_count < states ||
        body->output_count != n->output_count || body->output_count - states > MAX_SCANS)
        return fail_at(err, RNND_MISMATCH, n->name,
                       "node \"%.80s\" (Scan): wanted one body with %d inputs and %d outputs, found %d and %d", n->name,
                       n->input_count, n->output_count, body ? body->input_count : 0, body ? body->output_count : 0);
    for (int i = 0; i < n->input_count; i++)
        if (n->inputs[i] < 0)
            return fail_at(err, RNND_MISMATCH, n->name, "node \"%.80s\" (Scan): its input %d is absent", n->name, i);
    return RNND_OK;
}

/* Element k of a list with one for each scan input or output, 0 where the list is absent. */
static rnnd_code listed(const struct graph_node *n, const char *name, int count, int k, int64_t *out, rnnd_error *err)
{
    size_t found;
    const int64_t *list = op_attr_ints(n, name, &found);
    *out = found == (size_t)count ? list[k] : 0;
    if (found == 0 || found == (size_t)count) return RNND_OK;
    return fail_at(err, RNND_MISMATCH, name, "node \"%.80s\" (Scan): wanted %d numbers in %s, found %zu", n->name,
                   count, name, found);
}

static rnnd_code start(struct run_context *rc, const struct graph_node *n, struct scan *s, rnnd_error *err)
{
    s->inputs = (int)op_int(n, "num_scan_inputs", 0);
    s->states = n->input_count - s->inputs;
    s->outputs = n->bodies[0]->output_count - s->states;
    for (int k = 0; k < s->inputs; k++) {
        const struct tensor *x = op_input(rc, n, s->states + k);
        int64_t axis, backward;
        rnnd_code code = listed(n, "scan_input_axes", s->inputs, k, &axis, err);
        if (!code) code = listed(n, "scan_input_directions", s->inputs, k, &backward, err);
        if (!code) code = op_axis(n, axis, x->rank, &s->axis[k], err);
        if (code) return code;
        s->backward[k] = backward != 0;
        if (k == 0) s->steps = x->dim[s->axis[0]];
        if (x->dim[s->axis[k]] != s->steps)
            return fail_at(err, RNND_MISMATCH, n->name,
                           "node \"%.80s\" (Scan): its scan inputs have %zu and %zu steps", n->name, s->steps,
                           x->dim[s->axis[k]]);
    }
    if (s->steps > (size_t)MAX_ITERATIONS)
        return fail_at(err, RNND_TOO_LARGE, n->name, "node \"%.80s\" (Scan): %zu iterations, more than %lld", n->name,
                       s->steps, (long long)MAX_ITERATIONS);
    size_t bytes = (size_t)s->outputs * sizeof *s->collected;
    s->next = rc->scratch(rc, (size_t)s->states * sizeof *s->next);
    s->collected = rc->scratch(rc, bytes);
    if (!s->next || !s->collected) return fail_memory(err, bytes);
    memset(s->collected, 0, bytes);
    for (int i = 0; i < s->states; i++)
        s->next[i] = *op_input(rc, n, i);
    return RNND_OK;
}

/* Slice `at` of x along an axis, which goes: x's own memory along the first, a copy along another. */
static rnnd_code slice(struct run_context *rc, const struct tensor *x, int axis, size_t at, struct tensor *out,
                       rnnd_error *err)
{
    size_t outer = dims_product(x->dim, 0, axis), size = dtype_bytes(x->dtype);
    size_t inner = dims_product(x->dim, axis + 1, x->rank) * size, step = x->dim[axis] * inner;
    *out = (struct tensor){.dtype = x->dtype, .rank = x->rank - 1};
    memcpy(out->dim, x->dim, (size_t)axis * sizeof *x->dim);
    memcpy(out->dim + axis, x->dim + axis + 1, (size_t)(x->rank - 1 - axis) * sizeof *x->dim);
    const unsigned char *from = (const unsigned char *)x->data + at * inner;
    if (outer == 1 || inner == 0) {
        out->data = (void *)(uintptr_t)from;
        return RNND_OK;
    }
    unsigned char *to = out->data = rc->scratch(rc, outer * inner);
    if (!to) return fail_memory(err, outer * inner);
    for (size_t o = 0; o < outer; o++)
        memcpy(to + o * inner, from + o * step, inner);
    return RNND_OK;
}

static rnnd_code step(struct run_context *rc, const struct graph_node *n, struct scan *s, size_t i, rnnd_error *err)
{
    const struct graph_body *body = n->bodies[0];
    rnnd_code code = RNND_OK;
    for (int k = 0; k < s->states; k++)
        rc->values[body->inputs[k]] = s->next[k];
    for (int k = 0; k < s->inputs && !code; k++)
        code = slice(rc, op_input(rc, n, s->states + k), s->axis[k], s->backward[k] ? s->steps - 1 - i : i,
                     &rc->values[body->inputs[s->states + k]], err);
    if (!code) code = rc->run_body(rc, body, err);
    for (int k = 0; k < s->states && !code; k++)
        s->next[k] = rc->values[body->outputs[k]];
    for (int k = 0; k < s->outputs && !code; k++)
        if (op_wants(n, s->states + k))
            code = collect(rc, n, &s->collected[k], &rc->values[body->outputs[s->states + k]], err);
    return code;
}

static rnnd_code run(struct run_context *rc, const struct graph_node *n, rnnd_error *err)
{
    struct scan s = {0};
    rnnd_code code = start(rc, n, &s, err);
    for (size_t i = 0; i < s.steps && !code; i++)
        code = step(rc, n, &s, i, err);
    for (int k = 0; k < n->output_count && !code; k++) {
        int64_t axis = 0, backward = 0;
        if (!op_wants(n, k)) continue;
        if (k < s.states) {
            rc->values[n->outputs[k]] = s.next[k];
            continue;
        }
        code = listed(n, "scan_output_axes", s.outputs, k - s.states, &axis, err);
        if (!code) code = listed(n, "scan_output_directions", s.outputs, k - s.states, &backward, err);
        if (!code)
            code = collected_output(rc, n, k, &s.collected[k - s.states], axis, backward != 0, n->bodies[0]->outputs[k],
                                    err);
    }
    return code;
}

static const char *const attributes[] = {"num_scan_inputs",  "scan_input_axes",        "scan_input_directions",
                                         "scan_output_axes", "scan_output_directions", NULL};
const struct op op_scan = {"Scan", 1, CONTROL_ENDS, CONTROL_ENDS, attributes, false, false, check, NULL, NULL, run};
