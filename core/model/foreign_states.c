/* foreign_states.c -- which inputs and outputs of a tensor graph are a state and its successor. */
#include <string.h>

#include "core/base/error.h"
#include "core/formats/options.h"
#include "core/model/foreign.h"
#include "core/ops/op.h"
#include "core/ops/sequence_weights.h"

struct ends { /* those not paired yet, by index in g->inputs and g->outputs */
    struct graph *g;
    int successor[MAX_INPUTS]; /* output index of the state at this input, -1 = none */
    bool taken[MAX_INPUTS];    /* output */
    int budget;                /* nodes still looked at: files can share them over and over */
};

static int find_end(const struct graph *g, const int *ends, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (name && strcmp(g->values[ends[i]].name, name) == 0) return (int)i;
    return -1;
}

/* Of one shape as far as it is told: a free dimension goes with any. */
static bool same_shape(const struct graph_port *a, const struct graph_port *b)
{
    if (a->rank < 1 || a->rank != b->rank || a->dtype != DTYPE_F32 || b->dtype != DTYPE_F32) return false;
    for (int i = 0; i < a->rank; i++)
        if (a->dim[i] > 0 && b->dim[i] > 0 && a->dim[i] != b->dim[i]) return false;
    return true;
}

/* "h0" and "hn", "state" and "stateN", "h_in" and "h_out", "lstm_h" and "lstm_h.1": alike but for what stands behind.
 */
static bool related(const char *in, const char *out)
{
    static const char *const tails[] = {"_out",     "_in", "_next", "_prev", "_new", "_old", "_init",
                                        "_initial", "out", "in",    "next",  "prev", "new",  "n",
                                        "N",        "0",   "1",     "t",     "_",    "."};
    char stem[2][64];
    const char *names[2] = {in, out};
    for (int k = 0; k < 2; k++) {
        size_t length = strlen(names[k]);
        if (length == 0 || length >= sizeof stem[0]) return false;
        memcpy(stem[k], names[k], length + 1);
        for (bool again = true; again && length > 1;) {
            again = false;
            for (size_t i = 0; i < sizeof tails / sizeof *tails && !again; i++) {
                size_t tail = strlen(tails[i]);
                if (length <= tail || strcmp(stem[k] + length - tail, tails[i]) != 0) continue;
                stem[k][length -= tail] = 0;
                again = true;
            }
        }
    }
    return strcmp(stem[0], stem[1]) == 0;
}

static size_t candidates(const struct ends *e, size_t input, bool by_name, int *only)
{
    const struct graph *g = e->g;
    size_t count = 0;
    for (size_t o = 0; o < g->output_count; o++) {
        if (e->taken[o] || !same_shape(&g->input_ports[input], &g->output_ports[o])) continue;
        if (by_name && !related(g->values[g->inputs[input]].name, g->values[g->outputs[o]].name)) continue;
        *only = (int)o;
        count++;
    }
    return count;
}

/* Wiring and names first, then shapes that leave no choice. The first input is what the network is for and the first
 * output its answer: without a relation of names these are no state. */
static void pair_by_look(struct ends *e)
{
    const struct graph *g = e->g;
    int only;
    for (size_t i = 0; i < g->input_count; i++)
        if (e->successor[i] < 0 && g->output_count > 1 && g->input_count > 1 && candidates(e, i, true, &only) == 1 &&
            (i || only)) {
            e->successor[i] = only;
            e->taken[only] = true;
        }
    e->taken[0] = true;
    for (size_t i = 1; i < g->input_count; i++) {
        if (e->successor[i] >= 0 || candidates(e, i, false, &only) != 1) continue;
        size_t rivals = 0;
        for (size_t k = 1; k < g->input_count; k++)
            rivals += k != i && e->successor[k] < 0 && same_shape(&g->input_ports[k], &g->output_ports[only]);
        if (rivals) continue;
        e->successor[i] = only;
        e->taken[only] = true;
    }
}

/* ---- by wiring: what a cell begins from, and what it ends with ---- */

static const struct graph_node *maker(const struct graph *g, int value, int *output)
{
    for (size_t i = g->node_count; i-- > 0 && value >= 0;)
        for (int k = 0; k < g->nodes[i].output_count; k++)
            if (g->nodes[i].outputs[k] == value) return *output = k, &g->nodes[i];
    return NULL;
}

/* Its first input, with other axes or a part of it. */
static bool moves(const struct graph_node *n)
{
    static const char *const list[] = {"Identity", "Squeeze", "Unsqueeze", "Transpose", "Reshape",
                                       "Slice",    "Split",   "Gather",    "Expand",    "Cast"};
    for (size_t i = 0; i < sizeof list / sizeof *list; i++)
        if (strcmp(n->op->name, list[i]) == 0) return n->input_count > 0;
    return false;
}

/* The graph's input that a value is, or is a part of; -1: it is something else. */
static int input_behind(const struct graph *g, int value)
{
    int output;
    for (int depth = 0; depth < 16 && value >= 0; depth++) {
        for (size_t i = 0; i < g->input_count; i++)
            if (g->inputs[i] == value) return (int)i;
        const struct graph_node *n = maker(g, value, &output);
        if (!n || !moves(n)) return -1;
        value = n->inputs[0];
    }
    return -1;
}

/* The one input that the cells begin from whose last states a value is, or puts together; -1: there is none. */
static int begins_from(struct ends *e, int value, int depth)
{
    const struct graph *g = e->g;
    int output, found = -1;
    const struct graph_node *n = maker(g, value, &output);
    if (!n || depth == 16 || e->budget-- <= 0) return -1;
    bool lstm = strcmp(n->op->name, "LSTM") == 0;
    if (lstm || strcmp(n->op->name, "GRU") == 0 || strcmp(n->op->name, "RNN") == 0) {
        int initial = output == 2 ? SEQ_C : SEQ_H;
        return output > 0 && initial < n->input_count ? input_behind(g, n->inputs[initial]) : -1;
    }
    if (moves(n)) return begins_from(e, n->inputs[0], depth + 1);
    for (int i = 0; i < n->input_count && strcmp(n->op->name, "Concat") == 0; i++) {
        int one = begins_from(e, n->inputs[i], depth + 1);
        if (one < 0 || (i > 0 && one != found)) return -1;
        found = one;
    }
    return found;
}

/* The first output stays the answer, whatever it is. */
static void pair_by_wiring(struct ends *e)
{
    const struct graph *g = e->g;
    for (size_t o = 1; o < g->output_count && g->input_count > 1; o++) {
        int i = begins_from(e, g->outputs[o], 0);
        if (i < 0 || e->successor[i] >= 0 || !same_shape(&g->input_ports[i], &g->output_ports[o])) continue;
        e->successor[i] = (int)o;
        e->taken[o] = true;
    }
}

static rnnd_code pair_by_config(struct ends *e, const struct json *list, rnnd_error *err)
{
    static const char *const known[] = {"in", "out", "kind", NULL};
    const struct graph *g = e->g;
    if (!json_is_array(list))
        return fail_at(err, RNND_MISMATCH, "states", "configuration: \"states\" must be a list of {\"in\", \"out\"}");
    for (const struct json *j = json_first(list); j; j = json_next(j)) {
        struct options o = {j, "a state"};
        rnnd_code code = options_check(&o, known, err);
        if (code) return code;
        const char *in = json_string(json_get(j, "in")), *out = json_string(json_get(j, "out"));
        int i = find_end(g, g->inputs, g->input_count, in), k = find_end(g, g->outputs, g->output_count, out);
        if (i < 0 || k < 0)
            return fail_at(err, RNND_MISMATCH, "states",
                           "configuration: a state's \"in\" must name an input and its \"out\" an output of the graph, "
                           "found \"%.60s\" and \"%.60s\"",
                           in ? in : "", out ? out : "");
        if (e->successor[i] >= 0 || e->taken[k])
            return fail_at(err, RNND_MISMATCH, "states", "configuration: \"%.60s\" stands in two states",
                           e->taken[k] ? out : in);
        e->successor[i] = k;
        e->taken[k] = true;
    }
    return RNND_OK;
}

/* Floats of one sequence's state: free dimensions are the batch, of which there is one at most. */
static bool state_width(const struct graph_port *in, const struct graph_port *out, int64_t *dim, size_t *width)
{
    *width = 1;
    for (int i = 0; i < in->rank; i++) {
        dim[i] = in->dim[i] > 0 ? in->dim[i] : out->dim[i] > 0 ? out->dim[i] : -1;
        if (dim[i] > 0 && !size_mul(*width, (size_t)dim[i], width)) return false;
    }
    int open = 0;
    for (int i = 0; i < in->rank; i++)
        open += dim[i] < 0;
    return open <= 1 && *width <= MAX_WIDTH;
}

static rnnd_code make_states(struct ends *e, rnnd_error *err)
{
    struct graph *g = e->g;
    size_t kept = 0;
    for (size_t i = 0; i < g->input_count; i++) {
        int64_t dim[MAX_RANK];
        size_t width;
        int in = g->inputs[i];
        if (e->successor[i] < 0) {
            g->input_ports[kept] = g->input_ports[i];
            g->inputs[kept++] = in;
            continue;
        }
        const struct graph_port *p = &g->input_ports[i];
        if (!state_width(p, &g->output_ports[e->successor[i]], dim, &width))
            return fail_at(err, RNND_MISMATCH, "states", "state \"%.80s\": its shape is not told but for the batch",
                           g->values[in].name);
        if (graph_add_state(g, g->values[in].name, 'x', in, g->outputs[e->successor[i]], width, NULL))
            return fail_memory(err, sizeof(struct graph_state));
        graph_shape(g, in, p->rank, dim);
    }
    g->input_count = kept;
    kept = 0;
    for (size_t o = 0; o < g->output_count; o++) {
        bool state = false;
        for (size_t i = 0; i < MAX_INPUTS; i++)
            state = state || e->successor[i] == (int)o;
        if (state) continue;
        g->output_ports[kept] = g->output_ports[o];
        g->outputs[kept++] = g->outputs[o];
    }
    g->output_count = kept;
    return RNND_OK;
}

rnnd_code foreign_pair_states(struct rnnd_model *m, struct graph *g, rnnd_error *err)
{
    struct ends e = {.g = g, .budget = 1024};
    const struct json *list = json_get(m->config.json, "states");
    for (size_t i = 0; i < MAX_INPUTS; i++)
        e.successor[i] = -1;
    rnnd_code code = RNND_OK;
    if (list)
        code = pair_by_config(&e, list, err);
    else
        pair_by_wiring(&e), pair_by_look(&e);
    if (!code) code = make_states(&e, err);
    if (!code && (g->input_count == 0 || g->output_count == 0))
        code = fail_at(err, RNND_MISMATCH, "states",
                       "the graph has states and nothing else: wanted an input and an output");
    return code;
}
