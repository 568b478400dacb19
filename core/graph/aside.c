/* aside.c -- running nodes by themselves, outside a planned pass, in memory of their own. */
#include "core/graph/aside.h"

#include "core/base/error.h"

struct aside_block {
    struct aside_block *next;
    unsigned char *memory;
};

static void *take(struct run_context *rc, size_t bytes)
{
    static unsigned char nothing[64] __attribute__((aligned(64)));
    struct aside *a = (struct aside *)rc;
    if (bytes == 0) return nothing;
    a->over = a->over || bytes > a->limit - a->bytes;
    if (a->over) return NULL;
    struct aside_block *b = mem_alloc(1, sizeof *b);
    if (!b || !(b->memory = mem_aligned(bytes))) {
        mem_free(b);
        a->no_memory = true;
        return NULL;
    }
    b->next = a->blocks;
    a->blocks = b;
    a->bytes += bytes;
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
    return fail(err, RNND_UNSUPPORTED, "bodies are not run by themselves");
}

void aside_open(struct aside *a, const struct graph *g, size_t limit)
{
    *a = (struct aside){.limit = limit};
    a->rc = (struct run_context){
        .graph = g, .kernels = g->kernels, .scratch = take, .output = give_output, .run_body = run_body};
}

void aside_free(struct aside *a)
{
    for (struct aside_block *b = a->blocks, *next; b; b = next) {
        next = b->next;
        mem_free(b->memory);
        mem_free(b);
    }
    a->blocks = NULL;
    a->bytes = 0;
    a->over = false;
}
