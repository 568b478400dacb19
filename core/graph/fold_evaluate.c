/* fold_evaluate.c -- runs one node on constants, in memory of its own, and keeps what it makes. */
#include <string.h>

#include "core/base/error.h"
#include "core/graph/compile.h"
#include "core/graph/fold_private.h"

bool fold_open(struct fold *f, struct graph *g, size_t limit)
{
    size_t n = g->value_count + 1;
    *f = (struct fold){.g = g, .limit = limit, .work_limit = limit > (size_t)-1 / 4 ? limit : 4 * limit};
    aside_open(&f->aside, g, limit);
    f->aside.rc.values = mem_alloc(n, sizeof *f->aside.rc.values);
    f->dtype = mem_alloc(n, sizeof *f->dtype);
    f->end = mem_alloc(n, sizeof *f->end);
    if (!f->aside.rc.values || !f->dtype || !f->end) return false;
    for (size_t i = 0; i < g->value_count; i++) {
        f->dtype[i] = g->values[i].is_constant ? (signed char)g->values[i].dtype : -1;
        if (g->values[i].is_constant) f->aside.rc.values[i] = g->values[i].constant;
    }
    return true;
}

void fold_close(struct fold *f)
{
    aside_free(&f->aside);
    mem_free(f->aside.rc.values);
    mem_free(f->dtype);
    mem_free(f->end);
}

static size_t bytes_of_tensor(const struct tensor *t)
{
    return tensor_count(t) * dtype_bytes(t->dtype);
}

/* What the node has made becomes constants, all of it or nothing. */
static bool adopt(struct fold *f, const struct graph_node *n)
{
    size_t total = 0;
    for (int i = 0; i < n->output_count; i++) {
        if (n->outputs[i] < 0) continue;
        const struct tensor *t = &f->aside.rc.values[n->outputs[i]];
        size_t bytes = bytes_of_tensor(t);
        if (!t->data || bytes > f->limit - f->made || total > f->limit - f->made - bytes) return false;
        total += bytes;
    }
    for (int i = 0; i < n->output_count; i++) {
        if (n->outputs[i] < 0) continue;
        struct tensor *t = &f->aside.rc.values[n->outputs[i]];
        size_t bytes = bytes_of_tensor(t);
        void *copy = mem_aligned(bytes);
        if (!copy) {
            f->no_memory = true;
            return false;
        }
        if (bytes) memcpy(copy, t->data, bytes);
        t->data = copy;
        struct graph_value *v = &f->g->values[n->outputs[i]];
        v->is_constant = true;
        v->constant = *t;
        v->dtype = t->dtype;
        f->dtype[n->outputs[i]] = (signed char)t->dtype;
        v->rank = t->rank;
        for (int k = 0; k < t->rank; k++)
            v->dim[k] = (int64_t)t->dim[k];
    }
    f->made += total;
    return true;
}

/* Inputs count too: a small answer may be a long computation. */
static bool within_work(struct fold *f, const struct graph_node *n)
{
    size_t total = 0;
    for (int i = 0; i < n->input_count; i++)
        if (n->inputs[i] >= 0) total += bytes_of_tensor(&f->aside.rc.values[n->inputs[i]]);
    for (int i = 0; i < n->output_count; i++)
        if (n->outputs[i] >= 0) f->aside.rc.values[n->outputs[i]] = (struct tensor){0};
    if (total > f->work_limit - f->work) return false;
    f->work += total;
    return true;
}

bool fold_evaluate(struct fold *f, const struct graph_node *n)
{
    struct graph_node copy = *n;
    rnnd_error ignored;
    bool done = within_work(f, n) && !graph_check_node(f->g, &copy, &ignored) &&
                (!copy.op->prepare || !copy.op->prepare(f->g, &copy, &ignored)) &&
                !copy.op->run(&f->aside.rc, &copy, &ignored) && adopt(f, &copy);
    if (copy.prepared && copy.op->release) copy.op->release(&copy);
    f->work = f->aside.bytes > f->work_limit - f->work ? f->work_limit : f->work + f->aside.bytes;
    aside_free(&f->aside);
    if (!done)
        for (int i = 0; i < n->output_count; i++)
            if (n->outputs[i] >= 0 && !f->g->values[n->outputs[i]].is_constant)
                f->g->values[n->outputs[i]].rank = -1; /* as it was */
    return done;
}
