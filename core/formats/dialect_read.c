/* dialect_read.c -- a cell's weights by a row of the table of frameworks: found, checked, brought into one form. */
#include <stdio.h>
#include <string.h>

#include "core/base/error.h"
#include "core/formats/dialect.h"

static const char *const canonical_order[] = {[CELL_RNN] = "h", [CELL_LSTM] = "ifgo", [CELL_GRU] = "rzn"};

/* role + suffixes: the names a tensor of this layer and direction may have. */
static struct checkpoint_tensor *find(const struct cell_source *s, const char *role, char name[200], const char **shown)
{
    char key[96];
    const char *reverse = s->reverse && s->both && !s->dialect->stacked ? "_reverse" : "";
    struct checkpoint_tensor *t;
    if (s->dialect->suffixed) {
        snprintf(name, 200, "%.120s.%s_l%zu%s", s->layer, role, s->index, s->reverse ? "_reverse" : "");
        if (s->count == 1 && !s->both &&
            !checkpoint_find(s->checkpoint, name)) { /* torch.nn.LSTMCell and a lone layer */
            char plain[200];
            snprintf(plain, sizeof plain, "%.120s.%s", s->layer, role);
            if (checkpoint_find(s->checkpoint, plain)) memcpy(name, plain, sizeof plain);
        }
    } else {
        char number[32] = "";
        if (s->count > 1) snprintf(number, sizeof number, "_l%zu", s->index);
        snprintf(name, 200, "%.120s%s%s.%s", s->layer, number,
                 s->both && !s->dialect->stacked ? (s->reverse ? ".backward" : ".forward") : "", role);
    }
    snprintf(key, sizeof key, "%s_l%zu%s", role, s->index, reverse);
    if (!json_is_string(json_get(s->names->object, key)) && s->index == 0)
        snprintf(key, sizeof key, "%s%s", role, reverse);
    t = tensor_named(s->names, s->checkpoint, key, name, shown);
    if (*shown != name) snprintf(name, 200, "%s", *shown);
    *shown = name;
    return t;
}

static rnnd_code fetch(const struct cell_source *s, const char *role, int rank, size_t d0, size_t d1, size_t d2,
                       const float **out, rnnd_error *err)
{
    char name[200];
    const char *shown;
    struct checkpoint_tensor *t = find(s, role, name, &shown);
    return tensor_floats(t, s->layer, shown, rank, (const size_t[]){d0, d1, d2}, out, err);
}

/* ---- weights ---- */

struct view { /* element [unit][k] = data[unit * unit_stride + k * k_stride] */
    const float *data;
    size_t unit_stride, k_stride;
    size_t wrap, row; /* wrap > 0: that many of them stand in a row, and rows are this far apart */
};

static float element(const struct view *v, size_t unit, size_t k)
{
    size_t at = unit * v->unit_stride + k * v->k_stride;
    return v->data[v->wrap ? at / v->wrap * v->row + at % v->wrap : at];
}

/* K elements of a unit, one after the other. */
static void copy_unit(const struct view *v, size_t unit, size_t K, float *to)
{
    if (v->k_stride == 1 && !v->wrap)
        memcpy(to, v->data + unit * v->unit_stride, K * sizeof *to);
    else
        for (size_t k = 0; k < K; k++)
            to[k] = element(v, unit, k);
}

static size_t place(const char *order, char gate)
{
    return (size_t)(strchr(order, gate) - order);
}

/* Where gate `gate` lies for the input part (x) or the recurrent part. */
static rnnd_code view_weights(const struct cell_source *s, char gate, bool x, struct view *v, rnnd_error *err)
{
    const struct dialect *d = s->dialect;
    size_t G = strlen(d->order), H = s->hidden, I = s->inputs, R = s->projection ? s->projection : H;
    size_t K = x ? I : R, p = place(d->order, gate), D = d->stacked && s->both ? 2 : 1;
    const char *role = x || !d->recurrent ? d->weight[0] : d->recurrent;
    rnnd_code code;
    switch (d->weights) {
    case WEIGHTS_ROWS:
        code = fetch(s, role, 3, D, G * H, K, &v->data, err);
        if (!code) *v = (struct view){v->data + ((D == 2 && s->reverse ? G * H : 0) + p * H) * K, K, 1, 0, 0};
        return code;
    case WEIGHTS_COLUMNS:
        code = fetch(s, role, 2, K, G * H, 0, &v->data, err);
        if (!code) *v = (struct view){v->data + p * H, 1, G * H, 0, 0};
        return code;
    case WEIGHTS_CUDNN:
        code = fetch(s, role, 2, K, G * H, 0, &v->data, err);
        if (!code) *v = (struct view){v->data + p * H, K, 1, H, G * H};
        return code;
    case WEIGHTS_JOINED: {
        bool apart = d->weight[1] != NULL, candidate = apart && gate == 'n';
        size_t width = candidate ? H : apart ? 2 * H : G * H;
        code = fetch(s, d->weight[candidate], 2, I + R, width, 0, &v->data, err);
        if (!code) *v = (struct view){v->data + (x ? 0 : I * width) + (candidate ? 0 : p * H), 1, width, 0, 0};
        return code;
    }
    default: {
        char name[200];
        const char *shown;
        const char *gate_role = d->weight[p];
        if (gate == 'g' && !find(s, gate_role, name, &shown) && find(s, "W_g", name, &shown)) gate_role = "W_g";
        code = fetch(s, gate_role, 2, H, R + I, 0, &v->data, err);
        if (!code) *v = (struct view){v->data + (x ? R : 0), R + I, 1, 0, 0};
        return code;
    }
    }
}

/* The biases of a gate, [H] each; *recurrent stays NULL where the file has but one. */
static rnnd_code view_biases(const struct cell_source *s, char gate, const float **input, const float **recurrent,
                             rnnd_error *err)
{
    const struct dialect *d = s->dialect;
    size_t G = strlen(d->order), H = s->hidden, p = place(d->order, gate), D = d->stacked && s->both ? 2 : 1;
    char name[200];
    const char *shown;
    rnnd_code code;
    switch (d->biases) {
    case BIAS_TWO:
        code = fetch(s, d->bias[0], 1, G * H, 0, 0, input, err);
        if (!code) code = fetch(s, d->recurrent_bias, 1, G * H, 0, 0, recurrent, err);
        if (code) return code;
        *input += p * H;
        *recurrent += p * H;
        return RNND_OK;
    case BIAS_PAIR:
        code = fetch(s, d->bias[0], 2, D, 2 * G * H, 0, input, err);
        if (code) return code;
        *input += (D == 2 && s->reverse ? 2 * G * H : 0) + p * H;
        *recurrent = *input + G * H;
        return RNND_OK;
    case BIAS_ONE: {
        bool candidate = d->bias[1] && gate == 'n';
        size_t width = candidate ? H : d->bias[1] ? 2 * H : G * H;
        const struct checkpoint_tensor *t = find(s, d->bias[candidate], name, &shown);
        bool split = s->bias_split && !d->bias[1] && t && t->rank == 2 && t->dim[0] == 2;
        code = fetch(s, d->bias[candidate], 2, split ? 2 : 1, width, 0, input, err);
        if (code) return code;
        if (split) *recurrent = *input + width + p * H;
        *input += candidate ? 0 : p * H;
        return RNND_OK;
    }
    default: {
        const char *role = d->bias[p];
        if (gate == 'g' && !find(s, role, name, &shown) && find(s, "b_g", name, &shown)) role = "b_g";
        return fetch(s, role, 1, H, 0, 0, input, err);
    }
    }
}

static rnnd_code read_gates(const struct cell_source *s, struct cell_weights *w, rnnd_error *err)
{
    const char *gates = canonical_order[s->dialect->kind];
    size_t H = s->hidden, R = s->projection ? s->projection : H;
    for (size_t g = 0; gates[g]; g++) {
        struct view x = {0}, h = {0};
        const float *b = NULL, *bh = NULL;
        rnnd_code code = view_weights(s, gates[g], true, &x, err);
        if (!code) code = view_weights(s, gates[g], false, &h, err);
        if (!code && s->bias) code = view_biases(s, gates[g], &b, &bh, err);
        if (code) return code;
        for (size_t u = 0; u < H; u++) {
            copy_unit(&x, u, s->inputs, w->w_ih + (g * H + u) * s->inputs);
            copy_unit(&h, u, R, w->w_hh + (g * H + u) * R);
            if (b) w->b_ih[g * H + u] = b[u];
            if (bh) w->b_hh[g * H + u] = bh[u];
            if (gates[g] == 'f' && s->forget_bias != 0) w->b_ih[g * H + u] += s->forget_bias;
        }
    }
    return RNND_OK;
}

static rnnd_code read_projection(const struct cell_source *s, struct cell_weights *w, rnnd_error *err)
{
    const struct dialect *d = s->dialect;
    size_t P = s->projection, H = s->hidden;
    const float *from;
    rnnd_code code =
        fetch(s, d->projection, 2, d->projection_columns ? H : P, d->projection_columns ? P : H, 0, &from, err);
    for (size_t p = 0; p < P && !code; p++)
        for (size_t u = 0; u < H; u++)
            w->w_hr[p * H + u] = d->projection_columns ? from[u * P + p] : from[p * H + u];
    return code;
}

static rnnd_code read_peephole(const struct cell_source *s, struct cell_weights *w, rnnd_error *err)
{
    static const char *const apart[] = {"w_i_diag", "w_f_diag", "w_o_diag"};
    const struct dialect *d = s->dialect;
    size_t H = s->hidden, D = d->stacked && s->both ? 2 : 1;
    char name[200];
    const char *shown, *role = d->stacked ? "P" : "peephole";
    for (size_t g = 0; g < 3; g++) {
        const float *from;
        rnnd_code code;
        if (d->weights == WEIGHTS_JOINED && !find(s, role, name, &shown)) {
            code = fetch(s, apart[g], 1, H, 0, 0, &from, err);
        } else {
            const struct checkpoint_tensor *t = find(s, role, name, &shown);
            bool square = D == 1 && t && t->rank == 2 && t->dim[0] == 3; /* [3][H] or [3H] */
            code = square ? fetch(s, role, 2, 3, H, 0, &from, err) : fetch(s, role, 2, D, 3 * H, 0, &from, err);
            if (!code) from += (D == 2 && s->reverse ? 3 * H : 0) + place(d->peephole_order, "ifo"[g]) * H;
        }
        if (code) return code;
        memcpy(w->peephole + g * H, from, H * sizeof(float));
    }
    return RNND_OK;
}

static bool make(float **p, size_t a, size_t b)
{
    size_t n;
    return size_mul(a, b, &n) && size_mul(n, sizeof(float), &n) && (*p = mem_aligned(n)) != NULL;
}

rnnd_code dialect_read(const struct cell_source *s, struct cell_weights *w, rnnd_error *err)
{
    size_t rows = strlen(s->dialect->order) * s->hidden, R = s->projection ? s->projection : s->hidden;
    struct view first;
    memset(w, 0, sizeof *w);
    /* the file must have the first tensor before memory of its claimed size is asked for */
    rnnd_code code = view_weights(s, canonical_order[s->dialect->kind][0], true, &first, err);
    if (!code) code = view_weights(s, canonical_order[s->dialect->kind][0], false, &first, err);
    if (code) return code;
    bool room = make(&w->w_ih, rows, s->inputs) && make(&w->w_hh, rows, R);
    if (room && (s->bias || s->forget_bias != 0)) room = make(&w->b_ih, rows, 1) && make(&w->b_hh, rows, 1);
    if (room && s->projection) room = make(&w->w_hr, s->projection, s->hidden);
    if (room && s->peephole) room = make(&w->peephole, 3, s->hidden);
    if (!room) code = fail_memory(err, rows * s->inputs * sizeof(float));
    if (!code) code = read_gates(s, w, err);
    if (!code && s->projection) code = read_projection(s, w, err);
    if (!code && s->peephole) code = read_peephole(s, w, err);
    if (code) cell_weights_free(w);
    return code;
}

void cell_weights_free(struct cell_weights *w)
{
    mem_free(w->w_ih);
    mem_free(w->w_hh);
    mem_free(w->b_ih);
    mem_free(w->b_hh);
    mem_free(w->w_hr);
    mem_free(w->peephole);
    memset(w, 0, sizeof *w);
}
