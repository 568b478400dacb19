/* body_matmul.h -- acc += W x for packed weights; part of kernels_body.h.
 *
 * A tile is R rows times S vectors of 16 outputs, whose sums stay in registers over all of k. Vectors side by side come
 * from one panel or, where panels are narrow, from several. Every output is one chain of FMAs in ascending k, or a sum
 * of whole numbers, whatever the tile it falls into, so that tiles are a matter of speed alone. */

#define PREFETCH_FLOATS 512 /* how far ahead of the product weights are asked for: 2 KiB */
/* Matrices from so many bytes on may not stay in the second cache from step to step: 1 MiB. */
#define LARGE_MATRIX ((size_t)1 << 20)

struct product_rows { /* the inputs of a product */
    const float *const *x;
    const uint8_t *q;   /* INT8: x in 8 bits, 128 for 0, rows `stride` bytes apart */
    size_t stride;
    const float *scale; /* INT8: of each row */
    bool backwards;     /* the panel before this one comes next */
};

struct tile { /* where its weights begin and its sums lie, in vectors */
    const float *w; /* or groups of four bytes */
    size_t groups;  /* of k */
    size_t column;  /* floats from the start of W's outputs */
    size_t at;      /* floats from the start of an accumulator row */
    size_t row;     /* of the inputs */
    const float *ahead; /* weights of the next panel, which the second cache fetches meanwhile: one line a group */
};

INLINE void fetch_ahead(const struct tile *t, size_t group, const int rows)
{
    if (rows == 1) return; /* goes through the weights from end to end: those next are PREFETCH_FLOATS away */
    __builtin_prefetch(t->ahead + group * LANES, 0, 2);
}

/* Vector v of a tile: `step` floats from panel to panel of accumulators, `panel` of weights. */
#define ACC_AT(v) ((size_t)((v) / vecs) * step + (size_t)((v) % vecs) * LANES)
#define W_AT(v) ((size_t)((v) / vecs) * panel + (size_t)((v) % vecs) * LANES)

/* rows x (panels of `vecs` vectors); `nv` is the distance between steps of k in vectors. */
#define MOST_ROWS (TALL_ROWS > TILE_ROWS ? TALL_ROWS : TILE_ROWS) /* of any tile */

INLINE void tile_fp32(const struct tile *t, const float *const *x, const float *const *from, float *const *acc,
                      const int nv, const int rows, const int panels, const int vecs)
{
    const size_t step = (size_t)nv * LANES, panel = t->groups * step;
    const float *w = t->w;
    vec sum[MOST_ROWS][TILE_VECS(1)];

#pragma GCC unroll 8
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 8
        for (int v = 0; v < panels * vecs; v++) sum[r][v] = vec_load(from[r] + t->at + ACC_AT(v));
    for (size_t i = 0; i < t->groups; i++, w += step) {
        vec weight[TILE_VECS(1)];
#pragma GCC unroll 8
        for (int v = 0; v < panels * vecs; v++) {
            weight[v] = vec_load(w + W_AT(v));
            __builtin_prefetch(w + W_AT(v) + PREFETCH_FLOATS);
        }
        fetch_ahead(t, i, rows);
#pragma GCC unroll 8
        for (int r = 0; r < rows; r++) {
            vec input = vec_all(x[r][i]);
#pragma GCC unroll 8
            for (int v = 0; v < panels * vecs; v++) sum[r][v] = vec_fma(weight[v], input, sum[r][v]);
        }
    }
#pragma GCC unroll 8
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 8
        for (int v = 0; v < panels * vecs; v++) vec_store(acc[r] + t->at + ACC_AT(v), sum[r][v]);
}

/* sums += w x at step i of k */
INLINE void add_bf16(vec sum[MOST_ROWS][TILE_VECS(1)], const vec *weight, const float *const *x, size_t i,
                     const int rows, const int vecs)
{
#pragma GCC unroll 8
    for (int r = 0; r < rows; r++) {
        vec input = vec_all(x[r][i]);
#pragma GCC unroll 8
        for (int v = 0; v < vecs; v++) sum[r][v] = vec_fma(weight[v], input, sum[r][v]);
    }
}

/* As tile_fp32; k has two steps a group, the last maybe one. */
INLINE void tile_bf16(const struct tile *t, size_t k, const float *const *x, const float *const *from,
                      float *const *acc, const int nv, const int rows, const int panels, const int vecs)
{
    const size_t step = (size_t)nv * LANES, panel = t->groups * step;
    const float *w = t->w;
    vec sum[MOST_ROWS][TILE_VECS(1)], weight[TILE_VECS(1)];

#pragma GCC unroll 8
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 8
        for (int v = 0; v < panels * vecs; v++) sum[r][v] = vec_load(from[r] + t->at + ACC_AT(v));
    for (size_t i = 0; i < k; i += 2, w += step) {
#pragma GCC unroll 8
        for (int v = 0; v < panels * vecs; v++) {
            weight[v] = vec_load_lower(w + W_AT(v));
            __builtin_prefetch(w + W_AT(v) + PREFETCH_FLOATS);
        }
        fetch_ahead(t, i / 2, rows);
        add_bf16(sum, weight, x, i, rows, panels * vecs);
        if (i + 1 == k) break;
#pragma GCC unroll 8
        for (int v = 0; v < panels * vecs; v++) weight[v] = vec_load(w + W_AT(v));
        add_bf16(sum, weight, x, i + 1, rows, panels * vecs);
    }
#pragma GCC unroll 8
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 8
        for (int v = 0; v < panels * vecs; v++) vec_store(acc[r] + t->at + ACC_AT(v), sum[r][v]);
}

/* As tile_fp32; whole numbers are summed, scaled and added to acc at the end. */
INLINE void tile_int8(const struct tile *t, const struct packed *p, const struct product_rows *in,
                      const float *const *from, float *const *acc, const int nv, const int rows, const int panels,
                      const int vecs)
{
    const size_t step = (size_t)nv * LANES, panel = t->groups * step;
    const float *w = t->w;
    const uint8_t *q = in->q + t->row * in->stride;
    ivec sum[MOST_ROWS][TILE_VECS(1)];

#pragma GCC unroll 8
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 8
        for (int v = 0; v < panels * vecs; v++) sum[r][v] = ivec_load(p->offset + t->column + ACC_AT(v));
    for (size_t i = 0; i < t->groups; i++, w += step) {
        ivec weight[TILE_VECS(1)];
#pragma GCC unroll 8
        for (int v = 0; v < panels * vecs; v++) {
            weight[v] = ivec_load(w + W_AT(v));
            __builtin_prefetch(w + W_AT(v) + PREFETCH_FLOATS);
        }
        fetch_ahead(t, i, rows);
#pragma GCC unroll 8
        for (int r = 0; r < rows; r++) {
            ivec input = ivec_all(q + (size_t)r * in->stride + 4 * i);
#pragma GCC unroll 8
            for (int v = 0; v < panels * vecs; v++) sum[r][v] = ivec_dot(sum[r][v], weight[v], input);
        }
    }
#pragma GCC unroll 8
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 8
        for (int v = 0; v < panels * vecs; v++) {
            float *to = acc[r] + t->at + ACC_AT(v);
            vec scale = vec_mul(vec_load(p->scale + t->column + ACC_AT(v)), vec_all(in->scale[t->row + (size_t)r]));
            vec_store(to, vec_fma(ivec_float(sum[r][v]), scale, vec_load(from[r] + t->at + ACC_AT(v))));
        }
}

INLINE void tile_of(enum precision precision, const struct tile *t, const struct packed *p,
                    const struct product_rows *in, const float *const *from, float *const *acc, const int nv,
                    const int rows, const int panels, const int vecs)
{
    if (precision == PRECISION_FP32) tile_fp32(t, in->x + t->row, from, acc, nv, rows, panels, vecs);
    if (precision == PRECISION_BF16) tile_bf16(t, p->k, in->x + t->row, from, acc, nv, rows, panels, vecs);
    if (precision == PRECISION_INT8) tile_int8(t, p, in, from, acc, nv, rows, panels, vecs);
}

/* Panels first .. first+count-1 for `rows` rows from `row` on, on top of `from`, into acc, both from `at` on, in tiles
 * that registers hold. */
INLINE void strip(enum precision precision, const struct packed *w, size_t first, size_t count,
                  const struct product_rows *in, size_t row, const float *const *from, float *const *acc, size_t at,
                  const int nv, const int rows)
{
    const int side = precision == PRECISION_FP32 ? TILE_VECS(rows) : REDUCED_VECS(rows);
    const int vecs = side < nv ? side : nv;
    /* narrow panels of reduced weights are rare, and not worth the code of tiles for them */
    const int panels = side > nv && precision == PRECISION_FP32 ? side / nv : 1;
    const size_t step = (size_t)nv * LANES, groups = packed_groups(precision, w->k), panel = groups * step;
    struct tile t = {(const float *)w->w + first * panel, groups, first * step, at, row, w->w};
    size_t p = 0;

    /* each of the first four tiles of rows asks for a quarter of the next panel: asked for faster, it would stand in
     * the way of the weights at work, which come through the same few buffers */
    if (row < 4 * (size_t)rows && w->panels * panel * sizeof(float) >= LARGE_MATRIX)
        t.ahead = t.w + (in->backwards ? -panel : panel) + row / (size_t)rows * (panel / 4);
    if (panels > 1)
        for (; p + (size_t)panels <= count; p += (size_t)panels) {
            tile_of(precision, &t, w, in, from, acc, nv, rows, panels, vecs);
            t.w += (size_t)panels * panel;
            t.column += (size_t)panels * step;
            t.at += (size_t)panels * step;
        }
    for (; p < count; p++) {
        struct tile part = t;
        for (int v = 0; v < nv; v += vecs) {
            if (v + vecs <= nv)
                tile_of(precision, &part, w, in, from, acc, nv, rows, 1, vecs);
            else
                tile_of(precision, &part, w, in, from, acc, nv, rows, 1, nv % vecs);
            part.w += vecs * LANES;
            part.column += (size_t)vecs * LANES;
            part.at += (size_t)vecs * LANES;
        }
        t.w += panel;
        t.column += step;
        t.at += step;
    }
}

typedef void strip_function(const struct packed *w, size_t first, size_t count, const struct product_rows *in,
                            size_t row, const float *const *from, float *const *acc, size_t at);

#define STRIP(precision, nv, rows)                                                                                    \
    static void strip_##precision##_##nv##_##rows(const struct packed *w, size_t first, size_t count,                 \
                                                  const struct product_rows *in, size_t row,                          \
                                                  const float *const *from, float *const *acc, size_t at)             \
    {                                                                                                                 \
        strip(PRECISION_##precision, w, first, count, in, row, from, acc, at, nv, rows);                              \
    }
#define STRIPS_OF(precision, rows)                                                                                    \
    STRIP(precision, 1, rows) STRIP(precision, 2, rows) STRIP(precision, 3, rows) STRIP(precision, 4, rows)
#define NAMES(precision, rows)                                                                                        \
    {strip_##precision##_1_##rows, strip_##precision##_2_##rows, strip_##precision##_3_##rows,                        \
     strip_##precision##_4_##rows}

STRIPS_OF(FP32, 1) STRIPS_OF(BF16, 1) STRIPS_OF(INT8, 1)
#if TILE_ROWS > 1
STRIPS_OF(FP32, 2) STRIPS_OF(FP32, 3) STRIPS_OF(FP32, 4) STRIPS_OF(FP32, 5) STRIPS_OF(FP32, 6)
STRIPS_OF(BF16, 2) STRIPS_OF(BF16, 3) STRIPS_OF(BF16, 4) STRIPS_OF(BF16, 5)
STRIPS_OF(INT8, 2) STRIPS_OF(INT8, 3)
#endif
#if TALL_ROWS > TILE_ROWS
STRIP(FP32, 3, 7) STRIP(FP32, 3, 8)
#endif
#if INT8_ROWS > 3
STRIPS_OF(INT8, 4)
#endif
#if INT8_ROWS > 4
STRIPS_OF(INT8, 5) STRIPS_OF(INT8, 6)
#endif

static strip_function *const strips[][MOST_ROWS][4] = {
#if TILE_ROWS == 1
    [PRECISION_FP32] = {NAMES(FP32, 1)}, [PRECISION_BF16] = {NAMES(BF16, 1)}, [PRECISION_INT8] = {NAMES(INT8, 1)},
#else
    [PRECISION_FP32] = {NAMES(FP32, 1), NAMES(FP32, 2), NAMES(FP32, 3), NAMES(FP32, 4), NAMES(FP32, 5), NAMES(FP32, 6),
#if TALL_ROWS > TILE_ROWS
                        {[2] = strip_FP32_3_7}, {[2] = strip_FP32_3_8},
#endif
    },
    [PRECISION_BF16] = {NAMES(BF16, 1), NAMES(BF16, 2), NAMES(BF16, 3), NAMES(BF16, 4), NAMES(BF16, 5)},
    [PRECISION_INT8] = {NAMES(INT8, 1), NAMES(INT8, 2), NAMES(INT8, 3),
#if INT8_ROWS > 3
                        NAMES(INT8, 4),
#endif
#if INT8_ROWS > 4
                        NAMES(INT8, 5), NAMES(INT8, 6),
#endif
    },
#endif
};

/* How many tiles a product of so many rows takes. */
INLINE size_t tiles_of(enum precision precision, size_t nv, size_t rows)
{
    static const size_t most[] = {
        [PRECISION_FP32] = TILE_ROWS, [PRECISION_BF16] = BF16_ROWS, [PRECISION_INT8] = INT8_ROWS};
    size_t height = precision == PRECISION_FP32 && nv == 3 ? TALL_ROWS : most[precision];
    return rows / height + (rows % height != 0);
}

/* One row in 8 bits: x = scale (q - 128). What is not finite makes the scale NaN, and so all that comes of the row. */
static float reduce_row(size_t n, const float *x, uint8_t *q)
{
    float lanes[LANES], most = 0;
    vec top = vec_all(0.0f), sum = vec_all(0.0f), inverse;

    for (size_t i = 0; i < n; i += LANES) {
        vec v = load_part(x + i, n - i);
        top = vec_max(vec_abs(v), top);
        sum = vec_fma(v, vec_all(0.0f), sum);
    }
    vec_store(lanes, top);
    for (int i = 0; i < LANES; i++)
        if (lanes[i] > most) most = lanes[i];
    bool finite = vec_all_zero(sum), usable = finite && most > 1e-30f;
    inverse = vec_all(usable ? 127.0f / most : 0.0f);
    for (size_t i = 0; i < n; i += LANES) {
        vec v = finite ? load_part(x + i, n - i) : vec_all(0.0f);
        vec_store_bytes(q + i, vec_fma(v, inverse, vec_all(ROUNDER + 128)));
    }
    return !finite ? __builtin_nanf("") : usable ? most / 127.0f : 0.0f;
}

/* The inputs as the product reads them, of which INT8 finds its own in scratch, as packed_scratch() says: rows of
 * bytes, then a scale each. */
INLINE struct product_rows product_inputs(const struct packed *w, size_t rows, const float *const *x,
                                          const float *scratch)
{
    struct product_rows in = {.x = x};
    if (w->precision != PRECISION_INT8 || !x) return in;
    size_t line = (packed_groups(PRECISION_INT8, w->k) + LANES - 1) / LANES * LANES;
    in.q = (const uint8_t *)scratch;
    in.stride = 4 * line;
    in.scale = scratch + rows * line;
    return in;
}

/* Puts them there. */
static void reduce_rows(const struct packed *w, size_t rows, const float *const *x, float *scratch)
{
    const struct product_rows in = product_inputs(w, rows, x, scratch);
    if (!in.q) return;
    float *scale = scratch + (in.scale - scratch);
    for (size_t r = 0; r < rows; r++) scale[r] = reduce_row(w->k, x[r], (uint8_t *)scratch + r * in.stride);
}

/* Few panels at a time, so that their weights are still near when the next rows come; rows in tiles of equal height
 * (8 = 4 + 4, not 6 + 2). A single row wants all panels in one go. */
static void matmul(const struct packed *w, size_t rows, const float *const *x, float *const *acc, float *scratch)
{
    const struct product_rows in = product_inputs(w, rows, x, scratch);
    reduce_rows(w, rows, x, scratch);
    size_t tiles = tiles_of(w->precision, w->nv, rows);
    size_t chunk = rows == 1 ? w->panels : w->nv >= 3 ? 1 : 4 / w->nv;

    for (size_t p = 0; p < w->panels; p += chunk) {
        size_t count = w->panels - p < chunk ? w->panels - p : chunk;
        for (size_t t = 0, r = 0, height; t < tiles; t++, r += height) {
            height = (rows - r) / (tiles - t);
            strips[w->precision][height - 1][w->nv - 1](w, p, count, &in, r, (const float *const *)acc + r, acc + r,
                                                        p * w->nv * LANES);
        }
    }
}
