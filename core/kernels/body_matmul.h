/* body_matmul.h -- acc += W x for packed weights; part of kernels_body.h.
 *
 * A tile is R rows times S vectors of 16 outputs, whose sums stay in registers over all of k. Vectors side by side come
 * from one panel or, where panels are narrow, from several. Every output is one chain of FMAs in ascending k whatever
 * the tile it falls into, so that tiles are a matter of speed alone. */

#define PREFETCH_FLOATS 512 /* how far ahead of the product weights are asked for: 2 KiB */

/* rows x (panels of `vecs` vectors); `nv` is the distance between steps of k in vectors. */
INLINE void tile(const float *w, size_t k, const float *const *x, float *const *acc, size_t at, const int nv,
                 const int rows, const int panels, const int vecs)
{
    const size_t step = (size_t)nv * LANES, panel = k * step;
    vec sum[TILE_ROWS][TILE_VECS(1)];

#pragma GCC unroll 8
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 8
        for (int v = 0; v < panels * vecs; v++)
            sum[r][v] = vec_load(acc[r] + at + (size_t)(v / vecs) * step + (size_t)(v % vecs) * LANES);
    for (size_t i = 0; i < k; i++, w += step) {
        vec weight[TILE_VECS(1)];
#pragma GCC unroll 8
        for (int v = 0; v < panels * vecs; v++) {
            const float *from = w + (size_t)(v / vecs) * panel + (size_t)(v % vecs) * LANES;
            weight[v] = vec_load(from);
            __builtin_prefetch(from + PREFETCH_FLOATS);
        }
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
        for (int v = 0; v < panels * vecs; v++)
            vec_store(acc[r] + at + (size_t)(v / vecs) * step + (size_t)(v % vecs) * LANES, sum[r][v]);
}

/* `count` panels of nv vectors for `rows` rows, in the tiles that this row of kernels can hold. */
INLINE void strip(const float *w, size_t k, size_t count, const float *const *x, float *const *acc, size_t at,
                  const int nv, const int rows)
{
    const int side = TILE_VECS(rows), panels = side > nv ? side / nv : 1, vecs = side < nv ? side : nv;
    const size_t step = (size_t)nv * LANES, panel = k * step;
    size_t p = 0;

    if (panels > 1)
        for (; p + (size_t)panels <= count; p += (size_t)panels)
            tile(w + p * panel, k, x, acc, at + p * step, nv, rows, panels, vecs);
    for (; p < count; p++) {
        const float *from = w + p * panel;
        size_t to = at + p * step;
        int v = 0;
        for (; v + vecs <= nv; v += vecs, from += vecs * LANES, to += (size_t)vecs * LANES)
            tile(from, k, x, acc, to, nv, rows, 1, vecs);
        if (nv % vecs != 0) tile(from, k, x, acc, to, nv, rows, 1, nv % vecs);
    }
}

typedef void strip_function(const float *w, size_t k, size_t count, const float *const *x, float *const *acc,
                            size_t at);

#define STRIP(nv, rows)                                                                                               \
    static void strip_##nv##_##rows(const float *w, size_t k, size_t count, const float *const *x, float *const *acc, \
                                    size_t at)                                                                        \
    {                                                                                                                 \
        strip(w, k, count, x, acc, at, nv, rows);                                                                     \
    }
#define STRIPS(rows) STRIP(1, rows) STRIP(2, rows) STRIP(3, rows) STRIP(4, rows)
#define STRIP_NAMES(rows) {strip_1_##rows, strip_2_##rows, strip_3_##rows, strip_4_##rows}

STRIPS(1)
#if TILE_ROWS > 1
STRIPS(2) STRIPS(3) STRIPS(4) STRIPS(5) STRIPS(6)
#endif

static strip_function *const strips[TILE_ROWS][4] = {
    STRIP_NAMES(1),
#if TILE_ROWS > 1
    STRIP_NAMES(2), STRIP_NAMES(3), STRIP_NAMES(4), STRIP_NAMES(5), STRIP_NAMES(6),
#endif
};

/* Few panels at a time, so that their weights are still near when the next rows come; rows in tiles of equal height
 * (8 = 4 + 4, not 6 + 2). A single row wants all panels in one go. */
static void matmul(const struct packed *w, size_t rows, const float *const *x, float *const *acc)
{
    size_t tiles = rows / TILE_ROWS + (rows % TILE_ROWS != 0);
    size_t chunk = rows == 1 ? w->panels : w->nv >= 3 ? 1 : 4 / w->nv;

    for (size_t p = 0; p < w->panels; p += chunk) {
        size_t count = w->panels - p < chunk ? w->panels - p : chunk;
        for (size_t t = 0, r = 0; t < tiles; t++) {
            size_t height = (rows - r) / (tiles - t);
            strips[height - 1][w->nv - 1](w->w + p * w->k * w->nv * LANES, w->k, count, x + r, acc + r,
                                          p * w->nv * LANES);
            r += height;
        }
    }
}
