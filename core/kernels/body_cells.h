/* body_cells.h -- what LSTM and GRU do with their summed gates; part of kernels_body.h.
 *
 * One function per equation, always inlined twice: with activations chosen at run time, and with sigmoid and tanh as
 * constants, the case that is worth it. Both are the same source and therefore the same bits. */

INLINE vec clipped(float clip, vec x)
{
    return clip > 0 ? vec_clamp(-clip, clip, x) : x;
}

static __attribute__((noinline)) vec any_activation(struct act act, vec x)
{
    return vec_activation(act, x);
}

INLINE vec gate_of(bool usual, struct act act, vec x)
{
    return usual ? vec_sigmoid(x) : any_activation(act, x);
}

INLINE vec cell_of(bool usual, struct act act, vec x)
{
    return usual ? vec_tanh(x) : any_activation(act, x);
}

/* One block of n <= 16 units from unit `at` on; a is the block's four gates.
 *   i = act(a_i + p_i c)   f = act(a_f + p_f c)   g = act_c(a_g)
 *   c' = f c + i g         o = act(a_o + p_o c')  h = o act_h(c')    (Gers 2000; peepholes: Gers 2002) */
INLINE void lstm_block(const struct lstm_epilogue *e, bool usual, const float *a, const float *c_prev, float *c,
                       float *h, size_t at, size_t n)
{
    const vec one = vec_all(1.0f);
    vec old = load_part(c_prev + at, n);
    vec i = vec_load(a), f = vec_load(a + LANES), g = vec_load(a + 2 * LANES), o = vec_load(a + 3 * LANES);

    if (e->peephole) {
        i = vec_fma(load_part(e->peephole + at, n), old, i);
        f = vec_fma(load_part(e->peephole + e->hidden + at, n), old, f);
    }
    i = gate_of(usual, e->gate, clipped(e->clip, i));
    f = gate_of(usual, e->gate, clipped(e->clip, f));
    g = cell_of(usual, e->cell, clipped(e->clip, g));
    if (e->coupled_forget) f = vec_sub(one, i);
    if (e->coupled_input) i = vec_sub(one, f);
    vec next = clipped(e->cell_clip, vec_fma(f, old, vec_mul(i, g)));
    if (e->peephole) o = vec_fma(load_part(e->peephole + 2 * e->hidden + at, n), next, o);
    o = gate_of(usual, e->gate, clipped(e->clip, o));
    store_part(c + at, n, next);
    store_part(h + at, n, vec_mul(o, cell_of(usual, e->out, next)));
}

INLINE size_t part_of(size_t hidden, size_t at)
{
    return hidden - at < LANES ? hidden - at : LANES;
}

/* (1 - z) n + z h, with the products rounded so that z = 1 keeps h exactly and z = 0 takes n exactly */
INLINE vec gru_update(const struct gru_epilogue *e, vec z, vec n, vec h)
{
    vec rest = vec_sub(vec_all(1.0f), z);
    return e->z_takes_new ? vec_fma(z, n, vec_mul(rest, h)) : vec_fma(z, h, vec_mul(rest, n));
}

/* a is the block's r, z and h part of n */
INLINE void gru_after_block(const struct gru_epilogue *e, bool usual, const float *a, vec x_part, const float *h_prev,
                            float *h, size_t at, size_t n)
{
    vec r = gate_of(usual, e->gate, clipped(e->clip, vec_load(a)));
    vec z = gate_of(usual, e->gate, clipped(e->clip, vec_load(a + LANES)));
    vec sum = vec_fma(r, vec_load(a + 2 * LANES), x_part);
    vec new = cell_of(usual, e->cell, clipped(e->clip, sum));
    store_part(h + at, n, gru_update(e, z, new, load_part(h_prev + at, n)));
}

INLINE bool gru_usual(const struct gru_epilogue *e)
{
    return e->gate.kind == ACT_SIGMOID && e->cell.kind == ACT_TANH;
}

static void gru_reset(const struct gru_epilogue *e, size_t rows, float *const *acc, const float *const *h_prev,
                      float *const *rh)
{
    for (size_t i = 0; i < rows; i++)
        for (size_t at = 0; at < e->hidden; at += LANES) {
            size_t part = part_of(e->hidden, at);
            vec r = any_activation(e->gate, clipped(e->clip, vec_load(acc[i] + 3 * at)));
            store_part(rh[i] + at, part, vec_mul(r, load_part(h_prev[i] + at, part)));
        }
}

INLINE void gru_before_rows(const struct gru_epilogue *e, bool usual, size_t rows, float *const *acc,
                            float *const *nacc, const float *const *h_prev, float *const *h)
{
    for (size_t i = 0; i < rows; i++)
        for (size_t at = 0; at < e->hidden; at += LANES) {
            const float *a = acc[i] + 3 * at;
            size_t part = part_of(e->hidden, at);
            vec z = gate_of(usual, e->gate, clipped(e->clip, vec_load(a + LANES)));
            vec sum = vec_add(vec_load(a + 2 * LANES), vec_load(nacc[i] + at));
            vec n = cell_of(usual, e->cell, clipped(e->clip, sum));
            store_part(h[i] + at, part, gru_update(e, z, n, load_part(h_prev[i] + at, part)));
        }
}

static void gru_before(const struct gru_epilogue *e, size_t rows, float *const *acc, float *const *nacc,
                       const float *const *h_prev, float *const *h)
{
    if (gru_usual(e))
        gru_before_rows(e, true, rows, acc, nacc, h_prev, h);
    else
        gru_before_rows(e, false, rows, acc, nacc, h_prev, h);
}
