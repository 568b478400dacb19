/* control.c -- tensor operators that run bodies: If and Loop.
 *
 * Bodies share the graph's one table of values: outer values are in reach, and a body's inputs are set before it runs.
 * What an iteration makes stays where it is until the run ends, so values are handed on without copying. */
#include "core/ops/control.h"

#include <string.h>

#include "core/base/error.h"
#include "core/ops/ops.h"
#include "core/ops/tensor_util.h"


/* Exactly one bool. */
static rnnd_code read_bool(const struct graph_node *n, const struct tensor *t, bool *out, rnnd_error *err)
{
    if (t->dtype != DTYPE_BOOL || tensor_count(t) != 1)
        return fail_at(err, RNND_MISMATCH, n->name, "node \"%.80s\" (%s): wanted one bool as condition, found %zu %s%s",
                       n->name, n->op->name, tensor_count(t), dtype_name(t->dtype), tensor_count(t) == 1 ? "" : "s");
    *out = *(const uint8_t *)t->data != 0;
    return RNND_OK;
}

/* ---- If ---- */

static rnnd_code check_if(struct graph *g, struct graph_node *n, rnnd_error *err)
{
    (void)g;
    if (n->body_count != 2)
        return fail_at(err, RNND_MISMATCH, n->name, "node \"%.80s\" (If): wanted two branches, found %d", n->name,
                       n->body_count);
    for (int k = 0; k < 2; k++)
        if (n->bodies[k]->input_count != 0 || n->bodies[k]->output_count < n->output_count)
            return fail_at(err, RNND_MISMATCH, n->name,
                           "node \"%.80s\" (If): wanted branches with no input and %d outputs, found %d and %d",
                           n->name, n->output_count, n->bodies[k]->input_count, n->bodies[k]->output_count);
    return RNND_OK;
}

static rnnd_code run_if(struct run_context *rc, const struct graph_node *n, rnnd_error *err)
{
    bool condition = false;
    rnnd_code code = read_bool(n, op_input(rc, n, 0), &condition, err);
    if (code) return code;
    const struct graph_body *body = n->bodies[condition ? 0 : 1];
    code = rc->run_body(rc, body, err);
    for (int i = 0; i < n->output_count && !code; i++)
        if (op_wants(n, i)) rc->values[n->outputs[i]] = rc->values[body->outputs[i]];
    return code;
}

/* ---- Loop: inputs M, cond, carried...; body iteration, cond, carried... -> cond, carried..., scan outputs... ---- */

static rnnd_code check_loop(struct graph *g, struct graph_node *n, rnnd_error *err)
{
    (void)g;
    int carried = n->input_count - 2; /* M and cond may be absent, but then their places are there */
    const struct graph_body *body = n->body_count == 1 ? n->bodies[0] : NULL;
    if (!body || carried < 0 || body->input_count != carried + 2 || body->output_count < 1 + carried ||
        n->output_count > body->output_count - 1)
        return fail_at(err, RNND_MISMATCH, n->name,
                       "node \"%.80s\" (Loop): wanted one body with %d inputs and %d or more outputs, found %d and %d",
                       n->name, carried + 2, 1 + (n->output_count > carried ? n->output_count : carried),
                       body ? body->input_count : 0, body ? body->output_count : 0);
    for (int i = 2; i < n->input_count; i++)
        if (n->inputs[i] < 0)
            return fail_at(err, RNND_MISMATCH, n->name, "node \"%.80s\" (Loop): its input %d is absent", n->name, i);
    return RNND_OK;
}

struct loop {
    int64_t most; /* iterations */
    bool going;
    int carried, scans; /* scans: those asked for */
    struct tensor *next; /* [carried] */
    struct collected *collected; /* [scans] */
};

static rnnd_code start_loop(struct run_context *rc, const struct graph_node *n, struct loop *l, rnnd_error *err)
{
    l->carried = n->input_count - 2;
    l->scans = n->output_count > l->carried ? n->output_count - l->carried : 0;
    l->going = true;
    rnnd_code code = op_one_int(rc, n, 0, INT64_MAX, &l->most, err);
    const struct tensor *cond = op_input(rc, n, 1);
    if (!code && cond) code = read_bool(n, cond, &l->going, err);
    if (code) return code;
    size_t bytes = (size_t)(l->carried + 1) * sizeof *l->next;
    size_t scans = (size_t)(l->scans + 1) * sizeof *l->collected;
    l->next = rc->scratch(rc, bytes);
    l->collected = rc->scratch(rc, scans);
    if (!l->next || !l->collected) return fail_memory(err, bytes);
    memset(l->collected, 0, scans);
    for (int i = 0; i < l->carried; i++)
        l->next[i] = *op_input(rc, n, i + 2);
    return RNND_OK;
}

/* The iteration's number and condition, as tensors of one element. */
static rnnd_code set_counters(struct run_context *rc, const struct graph_body *body, int64_t i, rnnd_error *err)
{
    int64_t *number = rc->scratch(rc, 2 * sizeof *number);
    if (!number) return fail_memory(err, 2 * sizeof *number);
    number[0] = i;
    *(uint8_t *)(number + 1) = 1;
    rc->values[body->inputs[0]] = (struct tensor){.dtype = DTYPE_I64, .data = number};
    rc->values[body->inputs[1]] = (struct tensor){.dtype = DTYPE_BOOL, .data = number + 1};
    return RNND_OK;
}

static rnnd_code iterate(struct run_context *rc, const struct graph_node *n, struct loop *l, int64_t i, rnnd_error *err)
{
    const struct graph_body *body = n->bodies[0];
    rnnd_code code = set_counters(rc, body, i, err);
    for (int k = 0; k < l->carried; k++)
        rc->values[body->inputs[2 + k]] = l->next[k];
    if (!code) code = rc->run_body(rc, body, err);
    if (!code) code = read_bool(n, &rc->values[body->outputs[0]], &l->going, err);
    for (int k = 0; k < l->carried && !code; k++)
        l->next[k] = rc->values[body->outputs[1 + k]];
    for (int k = 0; k < l->scans && !code; k++)
        if (op_wants(n, l->carried + k))
            code = collect(rc, n, &l->collected[k], &rc->values[body->outputs[1 + l->carried + k]], err);
    return code;
}

static rnnd_code run_loop(struct run_context *rc, const struct graph_node *n, rnnd_error *err)
{
    struct loop l = {0};
    rnnd_code code = start_loop(rc, n, &l, err);
    for (int64_t i = 0; i < l.most && l.going && !code; i++) {
        if (i == MAX_ITERATIONS)
            return fail_at(err, RNND_TOO_LARGE, n->name, "node \"%.80s\" (Loop): more than %lld iterations", n->name,
                           (long long)MAX_ITERATIONS);
        code = iterate(rc, n, &l, i, err);
    }
    for (int k = 0; k < n->output_count && !code; k++) {
        if (!op_wants(n, k)) continue;
        if (k < l.carried)
            rc->values[n->outputs[k]] = l.next[k];
        else
            code = collected_output(rc, n, k, &l.collected[k - l.carried], 0, false, n->bodies[0]->outputs[1 + k],
                                    err);
    }
    return code;
}

static const struct op op_if = {"If", 1, 1, CONTROL_ENDS, NULL, false, false, check_if, NULL, NULL, run_if};
static const struct op op_loop = {"Loop",     0,    CONTROL_ENDS, CONTROL_ENDS, NULL, false, false,
                                  check_loop, NULL, NULL,         run_loop};
const struct op *const ops_control[] = {&op_if, &op_loop, &op_scan, NULL};
