/* foreign_numbers.c -- inputs that are always the same number: said by the configuration, or guessed from the graph. */
#include <stdio.h>
#include <string.h>

#include "core/base/error.h"
#include "core/formats/json_text.h"
#include "core/model/assume.h"
#include "core/model/config_merge.h"
#include "core/model/foreign.h"
#include "core/ops/op.h"

rnnd_code foreign_bind(struct graph *g, size_t i, double number, rnnd_error *err)
{
    struct graph_port *p = &g->input_ports[i];
    struct graph_value *v = &g->values[g->inputs[i]];
    size_t count = 1;
    struct tensor t = {.dtype = p->dtype, .rank = p->rank < 0 ? 0 : p->rank};
    for (int k = 0; k < t.rank; k++) {
        t.dim[k] = p->dim[k] > 0 ? (size_t)p->dim[k] : 1;
        if (!size_mul(count, t.dim[k], &count) || count > MAX_WIDTH)
            return fail_at(err, RNND_TOO_LARGE, v->name, "input \"%.80s\" is too large to be a constant", v->name);
    }
    if (p->dtype == DTYPE_I64 && !(number >= -9e15 && number <= 9e15))
        return fail_at(err, RNND_MISMATCH, "inputs", "input \"%.80s\": \"value\" must be a whole number, found %g",
                       v->name, number);
    if (!(t.data = mem_aligned(count * dtype_bytes(t.dtype) + 1))) return fail_memory(err, count);
    for (size_t k = 0; k < count; k++) {
        if (t.dtype == DTYPE_F32)
            ((float *)t.data)[k] = (float)number;
        else if (t.dtype == DTYPE_I64)
            ((int64_t *)t.data)[k] = (int64_t)number;
        else
            ((bool *)t.data)[k] = number != 0;
    }
    v->is_constant = true;
    v->constant = t;
    v->dtype = t.dtype;
    v->rank = t.rank;
    for (int k = 0; k < t.rank; k++)
        v->dim[k] = (int64_t)t.dim[k];
    memmove(&g->inputs[i], &g->inputs[i + 1], (g->input_count - i - 1) * sizeof *g->inputs);
    memmove(&g->input_ports[i], &g->input_ports[i + 1], (g->input_count - i - 1) * sizeof *g->input_ports);
    g->input_count--;
    return RNND_OK;
}

/* Whether all that reads an input, in bodies too, compares it with a constant. *found, *number: the last of those, not
 * in bodies: which of them run is not known. */
static bool only_compared(const struct graph *g, const struct graph_node *nodes, size_t count, int input, bool *found,
                          int64_t *number)
{
    bool inner;
    int64_t other_number;
    for (size_t i = 0; i < count; i++) {
        const struct graph_node *n = &nodes[i];
        for (int k = 0; k < n->input_count; k++) {
            if (n->inputs[k] != input) continue;
            const struct graph_value *other =
                n->input_count == 2 && n->inputs[1 - k] >= 0 ? &g->values[n->inputs[1 - k]] : NULL;
            if (strcmp(n->op->name, "Equal") != 0 || !other || !other->is_constant || other->dtype != DTYPE_I64 ||
                tensor_count(&other->constant) != 1)
                return false;
            *number = *(const int64_t *)other->constant.data;
            *found = true;
        }
        for (int k = 0; k < n->body_count; k++) {
            const struct graph_body *b = n->bodies[k];
            for (int o = 0; o < b->output_count; o++)
                if (b->outputs[o] == input) return false;
            if (!only_compared(g, b->nodes, b->node_count, input, &inner, &other_number)) return false;
        }
    }
    return true;
}

/* A whole number that the graph only compares with a constant of its own (a sampling rate, say), if there is one. */
static bool compared_with(const struct graph *g, int input, int64_t *number)
{
    bool found = false;
    return only_compared(g, g->nodes, g->node_count, input, &found, number) && found;
}

/* "inputs" of the configuration so far, and one more that says a number. */
static rnnd_code put_number(struct json_text *t, const char *config, const char *name, int64_t number, rnnd_error *err)
{
    struct json *j;
    rnnd_code code = json_parse(config, strlen(config), "configuration", &j, err);
    if (code) return code;
    const struct json *list = json_get(j, "inputs");
    char *there = json_is_array(list) ? json_print((struct json *)(uintptr_t)list, false) : NULL;
    size_t n = there ? strlen(there) - 1 : 0; /* without the closing bracket */
    json_text_add(t, "{\"format\":1,\"inputs\":[");
    if (n > 1) json_text_bytes(t, there + 1, n - 1);
    json_text_bytes(t, ",", n > 1);
    json_text_add(t, "{\"name\":");
    json_text_string(t, name);
    json_text_add(t, ",\"value\":%lld}]}", (long long)number);
    if (t->failed || (json_is_array(list) && !there)) code = fail_memory(err, strlen(config));
    mem_free(there);
    json_free(j);
    return code;
}

/* The side file that would say it: what stands there now, and the number. */
static rnnd_code offer_number(struct rnnd_model *m, const char *name, int64_t number, rnnd_error *err)
{
    const char *so_far = m->info.side_file[0] ? m->info.side_file : m->config.text;
    struct json_text t = {0};
    char *merged = NULL;
    rnnd_code code = put_number(&t, so_far, name, number, err);
    if (!code) code = config_merge(so_far, strlen(so_far), t.data, t.size, &merged, err);
    if (!code) code = model_side_file(m, merged, err);
    mem_free(merged);
    mem_free(t.data);
    return code;
}

rnnd_code foreign_assume_numbers(struct rnnd_model *m, struct graph *g, rnnd_error *err)
{
    for (size_t i = 0; i < g->input_count; i++) {
        const struct graph_port *p = &g->input_ports[i];
        const char *name = g->values[g->inputs[i]].name;
        int64_t number = 0;
        if (g->input_count < 2 || p->dtype != DTYPE_I64 || p->rank > 1 || (p->rank == 1 && p->dim[0] > 1) ||
            !compared_with(g, g->inputs[i], &number))
            continue;
        char text[384];
        snprintf(text, sizeof text, "input \"%.60s\" is always %lld, the number that the graph compares it with", name,
                 (long long)number);
        rnnd_code code = model_assume(m, text, err);
        if (!code) code = offer_number(m, name, number, err);
        if (!code) code = foreign_bind(g, i--, (double)number, err);
        if (code) return code;
    }
    return RNND_OK;
}
