/* product.c -- rows times a matrix: packing of either orientation, rows in blocks. */
#include "core/ops/product.h"

#include <string.h>

#include "core/base/error.h"

#define BLOCK ((size_t)96)              /* rows whose accumulators are held at a time; no sum depends on it */
#define BLOCK_FLOATS ((size_t)1 << 20)  /* fewer rows where they are wider than this together */

static void pack(struct packed *p, float *memory, struct matrix w, size_t k, size_t outputs)
{
    if (w.col == 1)
        pack_dense(p, memory, w.data, w.row, k, outputs);
    else
        pack_dense_columns(p, memory, w.data, w.col, k, outputs);
}

static bool pack_bytes(size_t k, size_t outputs, size_t *bytes)
{
    size_t floats = pack_dense_floats(k, outputs);
    return floats != 0 && size_mul(floats, sizeof(float), bytes);
}

rnnd_code product_set_pack(struct graph *g, struct matrix first, size_t count, size_t k, size_t outputs,
                           struct product_set **out, rnnd_error *err)
{
    size_t bytes = 0, all = 0;
    struct product_set *set = arena_alloc(&g->arena, 1, sizeof *set);
    if (!set) return fail_memory(err, sizeof *set);
    *out = set;
    if (count == 0 || k == 0 || outputs == 0) return RNND_OK;
    if (!pack_bytes(k, outputs, &bytes) || !size_mul(bytes, count, &all)) return fail_memory(err, (size_t)-1);
    set->w = arena_alloc(&g->arena, count, sizeof *set->w);
    set->memory = mem_aligned(all);
    if (!set->w || !set->memory) return fail_memory(err, all);
    set->count = count;
    for (size_t i = 0; i < count; i++, first.data += k * outputs)
        pack(&set->w[i], set->memory + i * (bytes / sizeof(float)), first, k, outputs);
    g->weight_bytes += all;
    return RNND_OK;
}

void product_set_free(struct product_set *set)
{
    if (set) mem_free(set->memory);
}

static size_t block_of(size_t rows, size_t widest)
{
    size_t block = rows < BLOCK ? rows : BLOCK, most = widest ? BLOCK_FLOATS / widest : BLOCK;
    return block <= most ? block : most ? most : 1;
}

rnnd_code product_start(struct product *p, struct run_context *rc, size_t rows, size_t k, size_t outputs, bool pack_w,
                        bool gather, rnnd_error *err)
{
    size_t bytes = 0, acc = 0, x = 0;
    *p = (struct product){.kernels = rc->kernels, .k = k, .outputs = outputs};
    if (rows == 0 || outputs == 0) return RNND_OK;
    if (k == 0) { /* empty sums */
        p->block = rows;
        return RNND_OK;
    }
    if (!pack_bytes(k, outputs, &bytes)) return fail_memory(err, (size_t)-1);
    p->width = bytes / sizeof(float) / k;
    p->block = block_of(rows, p->width > k ? p->width : k);
    if (!size_mul(p->block * sizeof(float), p->width, &acc) || !size_mul(p->block * sizeof(float), k, &x))
        return fail_memory(err, (size_t)-1);
    p->acc_rows = rc->scratch(rc, p->block * sizeof *p->acc_rows);
    p->x_rows = rc->scratch(rc, p->block * sizeof *p->x_rows);
    p->acc = rc->scratch(rc, acc);
    if (gather) p->x = rc->scratch(rc, x);
    if (pack_w) p->packed = rc->scratch(rc, bytes);
    if (!p->acc_rows || !p->x_rows || !p->acc || (gather && !p->x) || (pack_w && !p->packed))
        return fail_memory(err, bytes);
    for (size_t r = 0; r < p->block; r++)
        p->acc_rows[r] = p->acc + r * p->width;
    return RNND_OK;
}

struct packed product_pack(const struct product *p, struct matrix w)
{
    struct packed packed = {0};
    if (p->packed) pack(&packed, p->packed, w, p->k, p->outputs);
    return packed;
}

static const float *row_of(const struct product *p, struct matrix x, size_t row, size_t at)
{
    const float *from = x.data + row * x.row;
    if (x.col == 1 || p->k == 1) return from;
    float *to = p->x + at * p->k;
    for (size_t i = 0; i < p->k; i++)
        to[i] = from[i * x.col];
    return to;
}

static void write_rows(const struct product *p, size_t count, float *y, size_t y_row, size_t y_col)
{
    for (size_t r = 0; r < count; r++, y += y_row)
        if (y_col == 1)
            memcpy(y, p->acc_rows[r], p->outputs * sizeof *y);
        else
            for (size_t o = 0; o < p->outputs; o++)
                y[o * y_col] = p->acc_rows[r][o];
}

void product_run(const struct product *p, const struct packed *w, size_t rows, struct matrix x, const float *start,
                 float *y, size_t y_row, size_t y_col)
{
    if (p->k == 0)
        for (size_t r = 0; r < rows; r++)
            for (size_t o = 0; o < p->outputs; o++)
                y[r * y_row + o * y_col] = start ? start[o] : 0;
    if (p->k == 0 || p->outputs == 0) return;
    for (size_t at = 0; at < rows; at += p->block) {
        size_t count = rows - at < p->block ? rows - at : p->block;
        for (size_t r = 0; r < count; r++) {
            p->x_rows[r] = row_of(p, x, at + r, r);
            if (start)
                memcpy(p->acc_rows[r], start, p->width * sizeof(float));
            else
                memset(p->acc_rows[r], 0, p->width * sizeof(float));
        }
        p->kernels->matmul(w, count, p->x_rows, p->acc_rows, NULL);
        write_rows(p, count, y + at * y_row, y_row, y_col);
    }
}
