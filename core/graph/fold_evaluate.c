/* fold_evaluate.c -- runs one node on constants, in memory of its own, and keeps what it makes. */
#include <string.h>

#include "core/base/error.h"
#include "core/graph/compile.h"
#include "core/graph/fold_private.h"

static void *take(struct run_context *rc, size_t bytes)
{
    static unsigned char nothing[64] __attribute__((aligned(64)));
    struct fold *f = (struct fold *)rc;
    if (bytes == 0) return nothing;
    if (bytes > f->limit - f->block_bytes) return NULL;
    struct fold_block *b = mem_alloc(1, sizeof *b);
    if (!b || !(b->memory = mem_aligned(bytes))) {
        mem_free(b);
        return NULL;
    }
    b->next = f->blocks;
    f->blocks = b;
    f->block_bytes += bytes;
    return b->memory;
}

static rnnd_code give_output(struct run_context *rc, const struct graph_node *n, int i, enum dtype dtype, int rank,
                             const size_t *dim, rnnd_error *err)
{
    size_t bytes = dtype_bytes(dtype);
    struct tensor t = {.dtype = dtype, .rank = rank};
    for (int k = 0; k < rank; k++) {
        t.dim[k] = dim[k];
        if (!size_mul(bytes, dim[k], &bytes)) return fail_memory(err, (size_t)-1);
    }
    t.data = take(rc, bytes);
    rc->values[n->outputs[i]] = t;
    return t.data ? RNND_OK : fail_memory(err, bytes);
}

static rnnd_code run_body(struct run_context *rc, const struct graph_body *body, rnnd_error *err)
{
    (void)rc;
    (void)body;
    return fail(err, RNND_UNSUPPORTED, "bodies are not run while folding"); /* they may take for ever */
}

bool fold_open(struct fold *f, struct graph *g, size_t limit)
{
    size_t n = g->value_count + 1;
    *f = (struct fold){.g = g, .limit = limit, .work_limit = limit > (size_t)-1 / 4 ? limit : 4 * limit};
    f->rc = (struct run_context){
        .graph = g, .kernels = g->kernels, .scratch = take, .output = give_output, .run_body = run_body};
    f->rc.values = mem_alloc(n, sizeof *f->rc.values);
    f->dtype = mem_alloc(n, sizeof *f->dtype);
    f->end = mem_alloc(n, sizeof *f->end);
    if (!f->rc.values || !f->dtype || !f->end) return false;
    for (size_t i = 0; i < g->value_count; i++) {
        f->dtype[i] = g->values[i].is_constant ? (signed char)g->values[i].dtype : -1;
        if (g->values[i].is_constant) f->rc.values[i] = g->values[i].constant;
    }
    return true;
}

static void free_blocks(struct fold *f)
{
    for (struct fold_block *b = f->blocks, *next; b; b = next) {
        next = b->next;
        mem_free(b->memory);
        mem_free(b);
    }
    f->blocks = NULL;
    f->block_bytes = 0;
}

void fold_close(struct fold *f)
{
    free_blocks(f);
    mem_free(f->rc.values);
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
        const struct tensor *t = &f->rc.values[n->outputs[i]];
        size_t bytes = bytes_of_tensor(t);
        if (!t->data || bytes > f->limit - f->made || total > f->limit - f->made - bytes) return false;
        total += bytes;
    }
    for (int i = 0; i < n->output_count; i++) {
        if (n->outputs[i] < 0) continue;
        struct tensor *t = &f->rc.values[n->outputs[i]];
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
        if (n->inputs[i] >= 0) total += bytes_of_tensor(&f->rc.values[n->inputs[i]]);
    for (int i = 0; i < n->output_count; i++)
        if (n->outputs[i] >= 0) f->rc.values[n->outputs[i]] = (struct tensor){0};
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
                !copy.op->run(&f->rc, &copy, &ignored) && adopt(f, &copy);
    if (copy.prepared && copy.op->release) copy.op->release(&copy);
    f->work = f->block_bytes > f->work_limit - f->work ? f->work_limit : f->work + f->block_bytes;
    free_blocks(f);
    if (!done)
        for (int i = 0; i < n->output_count; i++)
            if (n->outputs[i] >= 0 && !f->g->values[n->outputs[i]].is_constant)
                f->g->values[n->outputs[i]].rank = -1; /* as it was */
    return done;
}
