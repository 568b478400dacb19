/* body_steps.h -- one step of a cell, fused: the gates of a few units and rows are summed, and spent while they are
 * still in the first cache; part of kernels_body.h.
 *
 * Work goes panel by panel, and through each in tiles of rows of equal heights. One row alone takes several panels at a
 * time: it has no weights to share, and longer runs of them come faster. */

#define SOLO_PANELS 8
#define SUMS_ROWS (TILE_ROWS > SOLO_PANELS ? TILE_ROWS : SOLO_PANELS)

/* `count` panels from p on, of `height` rows from r on */
INLINE void add_product(const struct packed *w, size_t p, size_t count, const struct product_rows *in, size_t r,
                        size_t height, size_t gates, float *const *sums)
{
    strips[w->precision][height - 1][gates - 1](w, p, count, in, r, sums, 0);
}

/* What the gates start from, and the x part. */
INLINE void start_sums(const struct cell_sums *s, size_t p, size_t count, const struct product_rows *x,
                       const float *const *projected, size_t r, size_t height, size_t gates, float *const *sums)
{
    const size_t step = gates * LANES;

    for (size_t i = 0; i < height; i++)
        for (size_t at = 0; at < count * step; at += LANES)
            vec_store(sums[i] + at, vec_load((x->x ? s->bias : projected[r + i]) + p * step + at));
    if (x->x) add_product(s->w_ih, p, count, x, r, height, gates, sums);
}

/* One matrix may be too wide for 8 bits and the other not: a tile suits both. */
INLINE size_t step_tiles(const struct cell_sums *s, size_t rows)
{
    size_t x = tiles_of(s->w_ih->precision, rows), h = tiles_of(s->w_hh->precision, rows);
    return x > h ? x : h;
}

INLINE void lstm_tiles(const struct lstm_epilogue *e, bool usual, const struct cell_sums *s, size_t rows,
                       const float *const *x, const float *const *projected, const float *const *h,
                       const float *const *c_prev, float *const *c, float *const *h_next, float *scratch)
{
    float memory[SUMS_ROWS * 4 * LANES] __attribute__((aligned(64))), *sums[TILE_ROWS];
    const struct product_rows in_x = product_inputs(s->w_ih, rows, x, scratch);
    const struct product_rows in_h = product_inputs(s->w_hh, rows, h, scratch + packed_scratch(s->w_ih, rows));
    const size_t panels = s->w_hh->panels, tiles = step_tiles(s, rows);

    for (size_t r = 0; r < TILE_ROWS; r++) sums[r] = memory + r * 4 * LANES;
    for (size_t p = 0, count; p < panels; p += count) {
        count = rows > 1 ? 1 : panels - p < SOLO_PANELS ? panels - p : SOLO_PANELS;
        for (size_t t = 0, r = 0, height; t < tiles; t++, r += height) {
            height = (rows - r) / (tiles - t);
            start_sums(s, p, count, &in_x, projected, r, height, 4, sums);
            add_product(s->w_hh, p, count, &in_h, r, height, 4, sums);
            for (size_t i = 0; i < height * count; i++) { /* rows of one panel, or panels of one row */
                size_t row = count > 1 ? 0 : r + i, at = (count > 1 ? p + i : p) * LANES;
                lstm_block(e, usual, memory + i * 4 * LANES, c_prev[row], c[row], h_next[row], at,
                           part_of(e->hidden, at));
            }
        }
    }
}

static void lstm_step(const struct lstm_epilogue *e, const struct cell_sums *s, size_t rows, const float *const *x,
                      const float *const *projected, const float *const *h, const float *const *c_prev,
                      float *const *c, float *const *h_next, float *scratch)
{
    if (e->gate.kind == ACT_SIGMOID && e->cell.kind == ACT_TANH && e->out.kind == ACT_TANH)
        lstm_tiles(e, true, s, rows, x, projected, h, c_prev, c, h_next, scratch);
    else
        lstm_tiles(e, false, s, rows, x, projected, h, c_prev, c, h_next, scratch);
}

INLINE void gru_tiles(const struct gru_epilogue *e, bool usual, const struct cell_sums *s, size_t rows,
                      const float *const *x, const float *const *projected, const float *const *h,
                      float *const *h_next, float *scratch)
{
    float memory[SUMS_ROWS * 3 * LANES] __attribute__((aligned(64))), *sums[TILE_ROWS];
    vec x_part[SUMS_ROWS]; /* of n: its h part is summed by itself, because r multiplies it */
    const struct product_rows in_x = product_inputs(s->w_ih, rows, x, scratch);
    const struct product_rows in_h = product_inputs(s->w_hh, rows, h, scratch + packed_scratch(s->w_ih, rows));
    const size_t panels = s->w_hh->panels, tiles = step_tiles(s, rows);

    for (size_t r = 0; r < TILE_ROWS; r++) sums[r] = memory + r * 3 * LANES;
    for (size_t p = 0, count; p < panels; p += count) {
        count = rows > 1 ? 1 : panels - p < SOLO_PANELS ? panels - p : SOLO_PANELS;
        for (size_t t = 0, r = 0, height; t < tiles; t++, r += height) {
            height = (rows - r) / (tiles - t);
            start_sums(s, p, count, &in_x, projected, r, height, 3, sums);
            for (size_t i = 0; i < height * count; i++) {
                float *n = memory + (3 * i + 2) * LANES;
                x_part[i] = vec_load(n);
                vec_store(n, vec_load(s->b_hn + (count > 1 ? p + i : p) * LANES));
            }
            add_product(s->w_hh, p, count, &in_h, r, height, 3, sums);
            for (size_t i = 0; i < height * count; i++) {
                size_t row = count > 1 ? 0 : r + i, at = (count > 1 ? p + i : p) * LANES;
                gru_after_block(e, usual, memory + 3 * i * LANES, x_part[i], h[row], h_next[row], at,
                                part_of(e->hidden, at));
            }
        }
    }
}

static void gru_step(const struct gru_epilogue *e, const struct cell_sums *s, size_t rows, const float *const *x,
                     const float *const *projected, const float *const *h, float *const *h_next, float *scratch)
{
    if (gru_usual(e))
        gru_tiles(e, true, s, rows, x, projected, h, h_next, scratch);
    else
        gru_tiles(e, false, s, rows, x, projected, h, h_next, scratch);
}
