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
struct lstm_block {
    const float *a, *c_prev; /* c_prev, c, h: at the block's first unit */
    float *c, *h;
    size_t at, n;
};

static __attribute__((noinline)) void lstm_any(const struct lstm_epilogue *e, const struct lstm_block *b)
{
    const vec one = vec_all(1.0f);
    vec old = load_part(b->c_prev, b->n);
    vec i = vec_load(b->a), f = vec_load(b->a + LANES), g = vec_load(b->a + 2 * LANES), o = vec_load(b->a + 3 * LANES);

    if (e->peephole) {
        i = vec_fma(load_part(e->peephole + b->at, b->n), old, i);
        f = vec_fma(load_part(e->peephole + e->hidden + b->at, b->n), old, f);
    }
    i = vec_activation(e->gate, clipped(e->clip, i));
    f = vec_activation(e->gate, clipped(e->clip, f));
    g = vec_activation(e->cell, clipped(e->clip, g));
    if (e->coupled_forget) f = vec_sub(one, i);
    if (e->coupled_input) i = vec_sub(one, f);
    vec next = clipped(e->cell_clip, vec_fma(f, old, vec_mul(i, g)));
    if (e->peephole) o = vec_fma(load_part(e->peephole + 2 * e->hidden + b->at, b->n), next, o);
    o = vec_activation(e->gate, clipped(e->clip, o));
    store_part(b->c, b->n, next);
    store_part(b->h, b->n, vec_mul(o, vec_activation(e->out, next)));
}

/* In: pre-activations [2][count] of a sigmoid and a tanh. Out: top [count], the tanh's numerator with its sign, and
 * under [2][count], the denominators: sigmoid(x) = 1 / (1 + exp(-x)), tanh |x| = (1 - exp(-2 |x|)) / (1 + exp(-2 |x|)).
 * A product of the two is one division. */
INLINE void gate_fractions(const int count, const vec *x, vec *top, vec *under)
{
    vec t[4];

    ABREAST(k, count) under[k] = vec_clamp(-87.0f, 89.0f, vec_negate(x[k]));
    ABREAST(k, count) under[count + k] = vec_mul(vec_all(-2.0f), vec_min(vec_all(10.0f), vec_abs(x[count + k])));
    exp_reduced_each(2 * count, under, t);
    ABREAST(k, count)
    {
        vec power = vec_pow2(t[count + k]), e = under[count + k];
        top[k] = vec_with_sign(vec_fma(e, power, vec_sub(power, vec_all(1.0f))), x[count + k]);
        under[count + k] = vec_fma(e, power, vec_add(power, vec_all(1.0f)));
        under[k] = vec_add(exp_whole(under[k], t[k]), vec_all(1.0f));
    }
}

/* The case that is worth it, sigmoid and tanh, `count` blocks at a time (1 or 2). */
INLINE void lstm_usual(const struct lstm_epilogue *e, const int count, const struct lstm_block *b)
{
    vec old[2], in[4], top[2], under[4], forget[2], next[2];

    ABREAST(k, count) old[k] = load_part(b[k].c_prev, b[k].n);
    ABREAST(k, count)
    {
        in[k] = vec_load(b[k].a);
        in[count + k] = clipped(e->clip, vec_load(b[k].a + 2 * LANES));
        forget[k] = vec_load(b[k].a + LANES);
        if (e->peephole) {
            in[k] = vec_fma(load_part(e->peephole + b[k].at, b[k].n), old[k], in[k]);
            forget[k] = vec_fma(load_part(e->peephole + e->hidden + b[k].at, b[k].n), old[k], forget[k]);
        }
        in[k] = clipped(e->clip, in[k]);
        forget[k] = clipped(e->clip, forget[k]);
    }
    gate_fractions(count, in, top, under);
    vec_sigmoid_each(count, forget);
    ABREAST(k, count) top[k] = vec_div(top[k], vec_mul(under[k], under[count + k]));
    ABREAST(k, count) next[k] = clipped(e->cell_clip, vec_fma(forget[k], old[k], top[k]));
    ABREAST(k, count)
    {
        in[k] = vec_load(b[k].a + 3 * LANES);
        if (e->peephole)
            in[k] = vec_fma(load_part(e->peephole + 2 * e->hidden + b[k].at, b[k].n), next[k], in[k]);
        in[k] = clipped(e->clip, in[k]);
        in[count + k] = next[k];
        store_part(b[k].c, b[k].n, next[k]);
    }
    gate_fractions(count, in, top, under);
    ABREAST(k, count) store_part(b[k].h, b[k].n, vec_div(top[k], vec_mul(under[k], under[count + k])));
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

struct gru_block {
    const float *a, *h_prev; /* a: the block's r, z and h part of n; h_prev, h: at its first unit */
    vec x_part;              /* of n */
    float *h;
    size_t n;
};

static __attribute__((noinline)) void gru_any(const struct gru_epilogue *e, const struct gru_block *b)
{
    vec r = vec_activation(e->gate, clipped(e->clip, vec_load(b->a)));
    vec z = vec_activation(e->gate, clipped(e->clip, vec_load(b->a + LANES)));
    vec sum = vec_fma(r, vec_load(b->a + 2 * LANES), b->x_part);
    vec new = vec_activation(e->cell, clipped(e->clip, sum));
    store_part(b->h, b->n, gru_update(e, z, new, load_part(b->h_prev, b->n)));
}

INLINE void gru_usual(const struct gru_epilogue *e, const int count, const struct gru_block *b)
{
    vec gates[4], new[2];

    ABREAST(k, count)
    {
        gates[k] = clipped(e->clip, vec_load(b[k].a));
        gates[count + k] = clipped(e->clip, vec_load(b[k].a + LANES));
    }
    vec_sigmoid_each(2 * count, gates);
    ABREAST(k, count) new[k] = clipped(e->clip, vec_fma(gates[k], vec_load(b[k].a + 2 * LANES), b[k].x_part));
    vec_tanh_each(count, new);
    ABREAST(k, count)
    store_part(b[k].h, b[k].n, gru_update(e, gates[count + k], new[k], load_part(b[k].h_prev, b[k].n)));
}

INLINE bool gru_is_usual(const struct gru_epilogue *e)
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
    if (gru_is_usual(e))
        gru_before_rows(e, true, rows, acc, nacc, h_prev, h);
    else
        gru_before_rows(e, false, rows, acc, nacc, h_prev, h);
}
