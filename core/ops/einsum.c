/* einsum.c -- tensor operator Einsum of two operands, where it is a stack of matrix products after moving axes about.
 *
 * Each letter of "bij,bjk->bik" is one of four kinds: b stands in both operands and the result, i and k in one operand
 * and the result, j (summed over) in both operands alone. The operands are copied to [b...][i...][j...] and
 * [b...][k...][j...], multiplied, and the product's axes put where the equation wants them. */
#include <string.h>

#include "core/base/error.h"
#include "core/ops/linear.h"
#include "core/ops/product.h"
#include "core/ops/tensor_util.h"

#define LETTERS 128

struct equation {
    char a[MAX_RANK + 1], b[MAX_RANK + 1], out[MAX_RANK + 1];
    char batch[MAX_RANK + 1], rows[MAX_RANK + 1], summed[MAX_RANK + 1], columns[MAX_RANK + 1];
};

struct einsum {
    struct equation e;
    struct product_set *set; /* the right operand, where it is a constant */
};

static void append(char *term, char letter)
{
    size_t at = strlen(term);
    if (at < MAX_RANK) {
        term[at] = letter;
        term[at + 1] = '\0';
    }
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* One term, up to its end; false if it is too long, repeats a letter or has anything but letters. */
static bool take_term(const char **at, char *term)
{
    for (term[0] = '\0'; **at && **at != ',' && **at != '-'; (*at)++) {
        if (**at == ' ') continue;
        if (!is_letter(**at) || strchr(term, **at) || strlen(term) == MAX_RANK) return false;
        append(term, **at);
    }
    return true;
}

/* Without "->", the result has the letters that stand in one operand alone, in alphabetical order. */
static bool imply_result(struct equation *e)
{
    for (int c = 'A'; c <= 'z'; c++)
        if (is_letter((char)c) && !strchr(e->a, c) != !strchr(e->b, c)) {
            if (strlen(e->out) == MAX_RANK) return false;
            append(e->out, (char)c);
        }
    return true;
}

static bool parse(const char *s, struct equation *e)
{
    memset(e, 0, sizeof *e);
    if (!take_term(&s, e->a) || *s++ != ',' || !take_term(&s, e->b) || *s == ',') return false;
    if (!*s) {
        if (!imply_result(e)) return false;
    } else if (s[0] != '-' || s[1] != '>' || (s += 2, !take_term(&s, e->out)) || *s) {
        return false;
    }
    for (const char *c = e->a; *c; c++) {
        bool other = strchr(e->b, *c) != NULL, result = strchr(e->out, *c) != NULL;
        if (!other && !result) return false;
        append(other && result ? e->batch : result ? e->rows : e->summed, *c);
    }
    for (const char *c = e->b; *c; c++)
        if (!strchr(e->a, *c)) {
            if (!strchr(e->out, *c)) return false;
            append(e->columns, *c);
        }
    for (const char *c = e->out; *c; c++)
        if (!strchr(e->a, *c) && !strchr(e->b, *c)) return false;
    return strlen(e->batch) + strlen(e->rows) + strlen(e->columns) == strlen(e->out);
}

static rnnd_code check(struct graph *g, struct graph_node *n, rnnd_error *err)
{
    const char *equation = op_string(n, "equation", "");
    struct einsum *own = arena_alloc(&g->arena, 1, sizeof *own);
    if (!own) return fail_memory(err, sizeof *own);
    n->prepared = own;
    if (n->input_count == 2 && parse(equation, &own->e)) return RNND_OK;
    return fail_at(err, RNND_UNSUPPORTED, n->name,
                   "node \"%.80s\" (Einsum): the equation \"%.80s\" of %d operands is not supported, only products of "
                   "two such as \"bij,bjk->bik\"", n->name, equation, n->input_count);
}

static void release(struct graph_node *n)
{
    product_set_free(((struct einsum *)n->prepared)->set);
}

/* y, row-major over the letters of `wanted`, from x, row-major over those of `have`; size by letter. */
static void move_axes(const char *have, const char *wanted, const size_t *size, const float *x, float *y)
{
    size_t dim[MAX_RANK] = {0}, from[MAX_RANK], step[MAX_RANK], index[MAX_RANK] = {0};
    int rank = (int)strlen(wanted);
    for (int i = 0; i < rank; i++)
        dim[i] = size[(int)have[i]];
    dims_strides(rank, dim, step);
    for (int i = 0; i < rank; i++) {
        dim[i] = size[(int)wanted[i]];
        from[i] = step[strchr(have, wanted[i]) - have];
    }
    do {
        size_t at = 0;
        for (int i = 0; i < rank; i++)
            at += index[i] * from[i];
        *y++ = x[at];
    } while (dims_next(rank, dim, index));
}

static size_t size_of(const char *letters, const size_t *size)
{
    size_t product = 1;
    for (; *letters; letters++)
        product *= size[(int)*letters];
    return product;
}

static void joined(char *to, const char *a, const char *b, const char *c)
{
    to[0] = '\0';
    for (; *a; a++)
        append(to, *a);
    for (; *b; b++)
        append(to, *b);
    for (; *c; c++)
        append(to, *c);
}

/* The right operand's constant, packed once. */
static rnnd_code prepare(struct graph *g, struct graph_node *n, rnnd_error *err)
{
    struct einsum *own = n->prepared;
    const struct equation *e = &own->e;
    const struct tensor *w = &g->values[n->inputs[1]].constant;
    size_t size[LETTERS] = {0}, count = tensor_count(w);
    char order[MAX_RANK + 1];
    if (!g->values[n->inputs[1]].is_constant || w->dtype != DTYPE_F32 || w->rank != (int)strlen(e->b) || count == 0)
        return RNND_OK;
    for (int i = 0; i < w->rank; i++)
        size[(int)e->b[i]] = w->dim[i];
    float *moved = mem_alloc(count, sizeof *moved);
    if (!moved) return fail_memory(err, count * sizeof *moved);
    joined(order, e->batch, e->columns, e->summed);
    move_axes(e->b, order, size, w->data, moved);
    size_t k = size_of(e->summed, size);
    rnnd_code code = product_set_pack(g, (struct matrix){moved, k, 1}, size_of(e->batch, size), k,
                                      size_of(e->columns, size), &own->set, err);
    mem_free(moved);
    n->packed = 1u << 1;
    return code;
}

static rnnd_code take_sizes(const struct graph_node *n, const char *term, const struct tensor *t, size_t *size,
                            bool *known, rnnd_error *err)
{
    if ((int)strlen(term) != t->rank)
        return fail_at(err, RNND_MISMATCH, n->name, "node \"%.80s\" (Einsum): wanted rank %zu for \"%s\", found %d",
                       n->name, strlen(term), term, t->rank);
    for (int i = 0; i < t->rank; i++) {
        int c = term[i];
        if (known[c] && size[c] != t->dim[i])
            return fail_at(err, RNND_MISMATCH, n->name, "node \"%.80s\" (Einsum): '%c' is %zu in one operand, %zu in "
                           "the other", n->name, c, size[c], t->dim[i]);
        known[c] = true;
        size[c] = t->dim[i];
    }
    return RNND_OK;
}

/* Scratch with x's axes in this order; x itself where they stand so. */
static const float *in_order(struct run_context *rc, const char *have, const char *wanted, const size_t *size,
                             const struct tensor *x)
{
    if (strcmp(have, wanted) == 0) return x->data;
    float *y = rc->scratch(rc, tensor_count(x) * sizeof *y);
    if (y) move_axes(have, wanted, size, x->data, y);
    return y;
}

static rnnd_code multiply(struct run_context *rc, const struct einsum *own, const size_t *size, const struct tensor *a,
                          const struct tensor *b, float *y, rnnd_error *err)
{
    const struct equation *e = &own->e;
    size_t rows = size_of(e->rows, size), k = size_of(e->summed, size), outputs = size_of(e->columns, size);
    size_t batch = size_of(e->batch, size);
    char order[MAX_RANK + 1];
    struct product p;
    rnnd_code code = product_start(&p, rc, rows, k, outputs, !own->set, false, err);
    if (code || k == 0) {
        for (size_t i = 0; i < batch * rows * outputs && !code; i++)
            y[i] = 0;
        return code;
    }
    joined(order, e->batch, e->rows, e->summed);
    const float *x = in_order(rc, e->a, order, size, a);
    joined(order, e->batch, e->columns, e->summed);
    const float *w = own->set ? NULL : in_order(rc, e->b, order, size, b);
    if (!x || (!own->set && !w)) return fail_memory(err, tensor_count(a) * sizeof *x);
    for (size_t i = 0; i < batch; i++) {
        struct packed packed = own->set ? own->set->w[i] : product_pack(&p, (struct matrix){w + i * outputs * k, k, 1});
        product_run(&p, &packed, rows, (struct matrix){x + i * rows * k, k, 1}, NULL, y + i * rows * outputs, outputs,
                    1);
    }
    return RNND_OK;
}

static rnnd_code run(struct run_context *rc, const struct graph_node *n, rnnd_error *err)
{
    const struct einsum *own = n->prepared;
    const struct equation *e = &own->e;
    const struct tensor *a, *b;
    size_t size[LETTERS] = {0}, dim[MAX_RANK];
    bool known[LETTERS] = {false};
    char order[MAX_RANK + 1];
    rnnd_code code = op_typed(rc, n, 0, DTYPE_F32, &a, err);
    if (!code) code = op_typed(rc, n, 1, DTYPE_F32, &b, err);
    if (!code) code = take_sizes(n, e->a, a, size, known, err);
    if (!code) code = take_sizes(n, e->b, b, size, known, err);
    if (code) return code;
    int rank = (int)strlen(e->out);
    for (int i = 0; i < rank; i++)
        dim[i] = size[(int)e->out[i]];
    code = rc->output(rc, n, 0, DTYPE_F32, rank, dim, err);
    size_t count = code ? 0 : tensor_count(&rc->values[n->outputs[0]]);
    if (count == 0) return code;
    float *y = rc->values[n->outputs[0]].data, *product = y;
    joined(order, e->batch, e->rows, e->columns);
    bool moved = strcmp(order, e->out) != 0;
    if (moved && !(product = rc->scratch(rc, count * sizeof *product)))
        return fail_memory(err, count * sizeof *product);
    code = multiply(rc, own, size, a, b, product, err);
    if (!code && moved) move_axes(order, e->out, size, product, y);
    return code;
}

static const char *const attributes[] = {"equation", NULL};
const struct op op_einsum = {"Einsum", 1, 16, 1, attributes, false, false, check, prepare, release, run};
