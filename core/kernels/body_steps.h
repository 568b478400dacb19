/* body_steps.h -- one step of a cell, fused: the gates of a few units and rows are summed, and spent while they are
 * still in the first cache; part of kernels_body.h.
 *
 * Work goes panel by panel, and through each in tiles of rows of equal heights. One row alone takes several panels at a
 * time: it has no weights to share, and longer runs of them come faster. */

#define SOLO_PANELS 8
#define SUMS_ROWS (MOST_ROWS > SOLO_PANELS ? MOST_ROWS : SOLO_PANELS)

/* The sums of `count` panels from p on, for `height` rows from r on: what the gates start from, and the x part where
 * that is not in it. Returns where they are: the sums, or the projected rows themselves. */
INLINE const float *const *start_sums(const struct cell_sums *s, size_t p, size_t count, const struct product_rows *x,
                                      const float *const *projected, size_t r, size_t height, size_t gates,
                                      const float **from, float *const *sums)
{
    const size_t at = p * gates * LANES;

    for (size_t i = 0; i < height; i++) from[i] = (x->x ? s->bias : projected[r + i]) + at;
    if (!x->x) return from;
    strips[s->w_ih->precision][height - 1][gates - 1](s->w_ih, p, count, x, r, from, sums, 0);
    return (const float *const *)sums;
}

INLINE void add_h(const struct cell_sums *s, size_t p, size_t count, const struct product_rows *h, size_t r,
                  size_t height, size_t gates, const float *const *from, float *const *sums)
{
    strips[s->w_hh->precision][height - 1][gates - 1](s->w_hh, p, count, h, r, from, sums, 0);
}

static void step_inputs(const struct cell_sums *s, size_t rows, const struct cell_rows *r, float *scratch)
{
    reduce_rows(s->w_ih, rows, r->x, scratch);
    reduce_rows(s->w_hh, rows, r->h, scratch + packed_scratch(s->w_ih, rows));
}

INLINE struct product_rows step_rows(const struct packed *w, size_t rows, const float *const *x, bool backwards,
                                     const float *scratch)
{
    struct product_rows in = product_inputs(w, rows, x, scratch);
    in.backwards = backwards;
    return in;
}

/* One matrix may be too wide for 8 bits and the other not: a tile suits both. */
INLINE size_t step_tiles(const struct cell_sums *s, size_t rows)
{
    size_t x = tiles_of(s->w_ih->precision, s->w_ih->nv, rows), h = tiles_of(s->w_hh->precision, s->w_hh->nv, rows);
    return x > h ? x : h;
}

/* Rows from `first` on of panel p, or, where there is one row alone, panels from p on of it. */
INLINE void lstm_blocks(const struct lstm_epilogue *e, bool usual, const float *sums, size_t blocks, bool solo,
                        size_t p, size_t first, const struct cell_rows *r)
{
    struct lstm_block b[BLOCKS];

    for (size_t i = 0, count; i < blocks; i += count) {
        count = usual && blocks - i >= BLOCKS ? BLOCKS : 1;
        for (size_t k = 0; k < count; k++) {
            size_t row = solo ? first : first + i + k, at = (solo ? p + i + k : p) * LANES;
            b[k] = (struct lstm_block){sums + (i + k) * 4 * LANES, r->c[row] + at, r->c_next[row] + at,
                                       r->h_next[row] + at, at, part_of(e->hidden, at)};
        }
        if (!usual)
            lstm_any(e, b);
        else if (count == BLOCKS)
            lstm_usual(e, BLOCKS, b);
        else
            lstm_usual(e, 1, b);
    }
}

INLINE void lstm_tiles(const struct lstm_epilogue *e, bool usual, const struct cell_sums *s, size_t rows,
                       const struct cell_rows *r, size_t first, size_t end, const float *scratch)
{
    float memory[SUMS_ROWS * 4 * LANES] __attribute__((aligned(64))), *sums[MOST_ROWS];
    const float *from[MOST_ROWS];
    const struct product_rows x = step_rows(s->w_ih, rows, r->x, r->backwards, scratch);
    const struct product_rows h = step_rows(s->w_hh, rows, r->h, r->backwards, scratch + packed_scratch(s->w_ih, rows));
    const size_t tiles = step_tiles(s, rows);

    for (size_t i = 0; i < MOST_ROWS; i++) sums[i] = memory + i * 4 * LANES;
    for (size_t done = first, count; done < end; done += count) {
        count = rows > 1 ? 1 : end - done < SOLO_PANELS ? end - done : SOLO_PANELS;
        const size_t p = r->backwards ? first + end - done - count : done;
        for (size_t t = 0, row = 0, height; t < tiles; t++, row += height) {
            height = (rows - row) / (tiles - t);
            add_h(s, p, count, &h, row, height, 4,
                  start_sums(s, p, count, &x, r->projected, row, height, 4, from, sums), sums);
            lstm_blocks(e, usual, memory, height * count, count > 1, p, row, r);
        }
    }
}

static void lstm_step(const struct lstm_epilogue *e, const struct cell_sums *s, size_t rows, const struct cell_rows *r,
                      size_t first, size_t end, const float *scratch)
{
    if (e->gate.kind == ACT_SIGMOID && e->cell.kind == ACT_TANH && e->out.kind == ACT_TANH && !e->coupled_forget &&
        !e->coupled_input)
        lstm_tiles(e, true, s, rows, r, first, end, scratch);
    else
        lstm_tiles(e, false, s, rows, r, first, end, scratch);
}

INLINE void gru_blocks(const struct gru_epilogue *e, bool usual, const float *sums, const vec *x_part, size_t blocks,
                       bool solo, size_t p, size_t first, const struct cell_rows *r)
{
    struct gru_block b[BLOCKS];

    for (size_t i = 0, count; i < blocks; i += count) {
        count = usual && blocks - i >= BLOCKS ? BLOCKS : 1;
        for (size_t k = 0; k < count; k++) {
            size_t row = solo ? first : first + i + k, at = (solo ? p + i + k : p) * LANES;
            b[k] = (struct gru_block){sums + (i + k) * 3 * LANES, r->h[row] + at, x_part[i + k], r->h_next[row] + at,
                                      part_of(e->hidden, at)};
        }
        if (!usual)
            gru_any(e, b);
        else if (count == BLOCKS)
            gru_usual(e, BLOCKS, b);
        else
            gru_usual(e, 1, b);
    }
}

INLINE void gru_tiles(const struct gru_epilogue *e, bool usual, const struct cell_sums *s, size_t rows,
                      const struct cell_rows *r, size_t first, size_t end, const float *scratch)
{
    float memory[SUMS_ROWS * 3 * LANES] __attribute__((aligned(64))), *sums[MOST_ROWS];
    const float *from[MOST_ROWS];
    vec x_part[SUMS_ROWS]; /* of n: its h part is summed by itself, because r multiplies it */
    const struct product_rows x = step_rows(s->w_ih, rows, r->x, r->backwards, scratch);
    const struct product_rows h = step_rows(s->w_hh, rows, r->h, r->backwards, scratch + packed_scratch(s->w_ih, rows));
    const size_t tiles = step_tiles(s, rows);

    for (size_t i = 0; i < MOST_ROWS; i++) sums[i] = memory + i * 3 * LANES;
    for (size_t done = first, count; done < end; done += count) {
        count = rows > 1 ? 1 : end - done < SOLO_PANELS ? end - done : SOLO_PANELS;
        const size_t p = r->backwards ? first + end - done - count : done;
        for (size_t t = 0, row = 0, height; t < tiles; t++, row += height) {
            height = (rows - row) / (tiles - t);
            const float *const *x_sums = start_sums(s, p, count, &x, r->projected, row, height, 3, from, sums);
            for (size_t i = 0; i < height * count; i++) {
                const float *x_sum = count > 1 ? x_sums[0] + 3 * i * LANES : x_sums[i];
                float *to = memory + 3 * i * LANES;
                x_part[i] = vec_load(x_sum + 2 * LANES);
                if (!r->x) {
                    vec_store(to, vec_load(x_sum));
                    vec_store(to + LANES, vec_load(x_sum + LANES));
                }
                vec_store(to + 2 * LANES, vec_load(s->b_hn + (count > 1 ? p + i : p) * LANES));
            }
            add_h(s, p, count, &h, row, height, 3, (const float *const *)sums, sums);
            gru_blocks(e, usual, memory, x_part, height * count, count > 1, p, row, r);
        }
    }
}

static void gru_step(const struct gru_epilogue *e, const struct cell_sums *s, size_t rows, const struct cell_rows *r,
                     size_t first, size_t end, const float *scratch)
{
    if (gru_is_usual(e))
        gru_tiles(e, true, s, rows, r, first, end, scratch);
    else
        gru_tiles(e, false, s, rows, r, first, end, scratch);
}
