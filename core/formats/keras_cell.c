/* keras_cell.c -- one Keras cell over a sequence as an ONNX operator: gates reordered, kernels transposed.
 *
 *   Keras   kernel [I][G*H], recurrent_kernel [H][G*H]; LSTM i f c o, GRU z r h; bias [G*H], with reset_after [2][3H]
 *   ONNX    W [1][G*H][I], R [1][G*H][H]; LSTM i o f c, GRU z r h; B [1][2*G*H], W's then R's
 *   CuDNN   (weights saved by CuDNNLSTM and CuDNNGRU) each gate's block of kernel holds [H][I] in its [I][H] place,
 *           each block of recurrent_kernel is transposed; bias [2*G*H]: input's, then recurrent's */
#include <stdio.h>
#include <string.h>

#include "core/base/error.h"
#include "core/formats/keras_lower.h"

struct cell {
    enum keras_cell_kind kind;
    size_t gates, inputs, units;
    bool cudnn, reset_after, bias;
    const int *order; /* ONNX's gates in the places of Keras */
};

static const struct {
    const char *name;
    enum keras_cell_kind kind;
    bool cudnn;
} classes[] = {
    {"LSTM", KERAS_LSTM, false},     {"GRU", KERAS_GRU, false},           {"SimpleRNN", KERAS_RNN, false},
    {"CuDNNLSTM", KERAS_LSTM, true}, {"CuDNNGRU", KERAS_GRU, true},       {"LSTMCell", KERAS_LSTM, false},
    {"GRUCell", KERAS_GRU, false},   {"SimpleRNNCell", KERAS_RNN, false},
};

static int class_of(const char *kind)
{
    for (size_t i = 0; i < sizeof classes / sizeof *classes; i++)
        if (strcmp(classes[i].name, kind) == 0) return (int)i;
    return -1;
}

size_t keras_cell_states(const char *kind)
{
    int i = class_of(kind);
    return i < 0 ? 0 : classes[i].kind == KERAS_LSTM ? 2 : 1;
}

size_t keras_cell_weights(struct lowering *L, const struct keras_layer *cell)
{
    return keras_flag(L, cell, "use_bias", true) ? 3 : 2;
}

/* ---- weights ---- */

static int constant(struct lowering *L, struct checkpoint_tensor *t, const char *role, int rank, const size_t *dim,
                    float *data)
{
    int value = build_take(&L->b, rank, dim, data);
    keras_cache(L, t, role, value);
    return value;
}

/* [K][G*H] -> [1][G*H][K], gates in ONNX's order */
static int matrix(struct lowering *L, const struct keras_layer *l, const struct cell *c, size_t i, const char *role,
                  size_t K)
{
    size_t H = c->units, row = c->gates * H;
    const float *k = keras_floats(L, l, i, role, 2, (const int64_t[]){(int64_t)K, (int64_t)row});
    struct checkpoint_tensor *t = k ? keras_weight(L, l, i, role) : NULL;
    if (!t) return -1;
    L->parameters -= t->count;
    int value = keras_cached(L, t, role);
    float *w = value < 0 ? mem_aligned(t->count * sizeof *w) : NULL; /* the file holds as many bytes */
    if (value < 0 && !w) build_keep(&L->b, fail_memory(L->b.err, t->count * sizeof *w));
    for (size_t g = 0; w && g < c->gates; g++) {
        const float *block = k + (size_t)c->order[g] * H;
        float *to = w + g * H * K;
        for (size_t u = 0; u < H; u++)
            for (size_t n = 0; n < K; n++) {
                size_t flat = u * K + n;
                to[flat] = c->cudnn ? block[flat / H * row + flat % H] : block[n * row + u];
            }
    }
    if (w) value = constant(L, t, role, 3, (const size_t[]){1, row, K}, w);
    keras_weight_done(t);
    return value;
}

static int biases(struct lowering *L, const struct keras_layer *l, const struct cell *c)
{
    size_t H = c->units, row = c->gates * H;
    if (!c->bias) return -1;
    struct checkpoint_tensor *t = keras_weight(L, l, 2, "bias");
    if (!t) return -1;
    L->parameters -= t->count;
    bool two = c->cudnn || (c->kind == KERAS_GRU && c->reset_after);
    bool flat = t->rank == 1;
    int64_t dim[2] = {flat ? (int64_t)(two ? 2 * row : row) : two ? 2 : 1, (int64_t)row};
    const float *b = keras_floats(L, l, 2, "bias", flat ? 1 : 2, dim);
    int value = b ? keras_cached(L, t, "bias") : -1;
    float *both = b && value < 0 ? mem_aligned(2 * row * sizeof *both) : NULL;
    if (b && value < 0 && !both) build_keep(&L->b, fail_memory(L->b.err, 2 * row * sizeof *both));
    for (size_t g = 0; both && g < c->gates; g++) {
        size_t from = (size_t)c->order[g] * H;
        memcpy(both + g * H, b + from, H * sizeof *b);
        if (two) memcpy(both + row + g * H, b + row + from, H * sizeof *b);
    }
    if (both) value = constant(L, t, "bias", 2, (const size_t[]){1, 2 * row}, both);
    keras_weight_done(t);
    return value;
}

/* ---- activations ---- */

struct acts {
    const char *names[3];
    float alpha[3], beta[3];
    size_t count, alphas, betas;
    bool usual;
};

static void add_act(struct lowering *L, const struct keras_layer *l, const char *key, const char *absent,
                    struct acts *a)
{
    static const struct {
        const char *keras, *onnx;
        int values; /* how many of alpha, beta it takes */
        float alpha, beta;
    } known[] = {{"tanh", "Tanh", 0, 0, 0},
                 {"sigmoid", "Sigmoid", 0, 0, 0},
                 {"relu", "Relu", 0, 0, 0},
                 {"linear", "Affine", 2, 1, 0},
                 {"hard_sigmoid", "HardSigmoid", 2, 0.2f, 0.5f},
                 {"elu", "Elu", 1, 1, 0},
                 {"leaky_relu", "LeakyRelu", 1, 0.2f, 0},
                 {"softsign", "Softsign", 0, 0, 0},
                 {"softplus", "Softplus", 0, 0, 0},
                 {"selu", "selu", 0, 0, 0},
                 {"swish", "swish", 0, 0, 0},
                 {"silu", "swish", 0, 0, 0},
                 {"gelu", "gelu", 0, 0, 0},
                 {"relu6", "relu6", 0, 0, 0},
                 {"mish", "mish", 0, 0, 0},
                 {"exponential", "exp", 0, 0, 0}};
    const struct json *j = json_get(l->config, key);
    const char *name = absent;
    if (json_is_null(j))
        name = "linear";
    else if (json_is_string(j))
        name = keras_class(json_string(j));
    else if (json_is_object(j))
        name = json_string(json_get(j, "config"));
    for (size_t i = 0; name && i < sizeof known / sizeof *known; i++) {
        if (strcmp(known[i].keras, name) != 0) continue;
        bool keras3 = strcmp(name, "hard_sigmoid") == 0 && L->doc->major >= 3;
        if (known[i].values > 0) a->alpha[a->alphas++] = keras3 ? 1.0f / 6.0f : known[i].alpha;
        if (known[i].values > 1) a->beta[a->betas++] = known[i].beta;
        a->names[a->count++] = known[i].onnx;
        return;
    }
    keras_fail(L, l, RNND_UNSUPPORTED, "the %s \"%.40s\" inside a recurrent layer; " KERAS_CUSTOM_ADVICE, key,
               name ? name : json_type_name(j));
}

static void set_acts(struct lowering *L, const struct keras_layer *l, const struct cell *c)
{
    struct acts a = {0};
    if (c->kind != KERAS_RNN) add_act(L, l, "recurrent_activation", "sigmoid", &a);
    add_act(L, l, "activation", "tanh", &a);
    if (c->kind == KERAS_LSTM) add_act(L, l, "activation", "tanh", &a);
    if (L->b.code) return;
    const char *recurrent = c->kind == KERAS_RNN ? "Sigmoid" : a.names[0];
    const char *plain = a.names[a.count - 1];
    size_t used = strlen(L->detail);
    if (strcmp(plain, "Tanh") != 0)
        snprintf(L->detail + used, sizeof L->detail - used, "%s%s", used ? ", " : "", plain);
    used = strlen(L->detail);
    if (strcmp(recurrent, "Sigmoid") != 0)
        snprintf(L->detail + used, sizeof L->detail - used, "%sgates %s", used ? ", " : "", recurrent);
    if (strcmp(recurrent, "Sigmoid") == 0 && strcmp(plain, "Tanh") == 0) return; /* what ONNX takes for granted */
    build_attr_strings(&L->b, "activations", a.names, a.count);
    if (a.alphas) build_attr_floats(&L->b, "activation_alpha", a.alpha, a.alphas);
    if (a.betas) build_attr_floats(&L->b, "activation_beta", a.beta, a.betas);
}

/* ---- the cell ---- */

static void read_cell(struct lowering *L, const struct keras_layer *l, const struct keras_tensor *x, struct cell *c)
{
    static const int lstm[] = {0, 3, 1, 2}, plain[] = {0, 1, 2};
    int known = class_of(l->kind);
    *c = (struct cell){0};
    if (known < 0)
        return keras_fail(L, l, RNND_UNSUPPORTED, "this cell is custom or not supported; " KERAS_CUSTOM_ADVICE);
    c->kind = classes[known].kind;
    c->cudnn = classes[known].cudnn;
    c->gates = c->kind == KERAS_LSTM ? 4 : c->kind == KERAS_GRU ? 3 : 1;
    c->order = c->kind == KERAS_LSTM ? lstm : plain;
    c->units = (size_t)keras_int(L, l, "units", 1, MAX_HIDDEN, 0);
    c->bias = keras_flag(L, l, "use_bias", true);
    c->reset_after = c->cudnn || keras_flag(L, l, "reset_after", false);
    if (x->rank != 3 || x->dim[2] < 1)
        return keras_fail(L, l, RNND_UNSUPPORTED, "wanted an input [batch][time][features], found one of %d dimensions",
                          x->rank);
    c->inputs = (size_t)x->dim[2];
    if (!c->bias || L->b.code) return;
    const struct checkpoint_tensor *t = keras_weight(L, l, 2, "bias"); /* saved by a CuDNN layer, loaded by its twin */
    if (t) L->parameters -= t->count;
    if (t && t->rank == 1 && c->kind != KERAS_RNN && t->dim[0] == 2 * c->gates * c->units &&
        (c->kind == KERAS_LSTM || c->reset_after))
        c->cudnn = true;
}

static int state_in(struct lowering *L, const struct keras_layer *l, const struct keras_tensor *s, size_t units)
{
    if (s->rank != 2 || s->dim[1] != (int64_t)units)
        keras_fail(L, l, RNND_MISMATCH, "wanted an initial state [batch][%zu]", units);
    return build_unsqueeze(&L->b, s->value, 0);
}

void keras_run_cell(struct lowering *L, const struct keras_layer *l, const struct keras_tensor *x, bool backwards,
                    const struct keras_tensor *initial, struct keras_tensor *y, struct keras_states *last)
{
    static const char *const ops[] = {[KERAS_LSTM] = "LSTM", [KERAS_GRU] = "GRU", [KERAS_RNN] = "RNN"};
    static const int64_t swap[] = {1, 0, 2};
    struct graph_builder *b = &L->b;
    struct cell c;
    read_cell(L, l, x, &c);
    if (b->code) return;
    int in[9], out[3] = {0, 0, c.kind == KERAS_LSTM ? 0 : -1};
    for (size_t i = 0; i < 9; i++)
        in[i] = -1;
    in[0] = build_transpose(b, x->value, 3, swap);
    in[1] = matrix(L, l, &c, 0, "kernel", c.inputs);
    in[2] = matrix(L, l, &c, 1, "recurrent_kernel", c.units);
    in[3] = biases(L, l, &c);
    if (initial) in[5] = state_in(L, l, &initial[0], c.units);
    if (initial && c.kind == KERAS_LSTM) in[6] = state_in(L, l, &initial[1], c.units);
    in[8] = x->mask;
    size_t used = x->mask >= 0 ? 9 : in[6] >= 0 ? 7 : in[5] >= 0 ? 6 : in[3] >= 0 ? 4 : 3;
    build_node(b, ops[c.kind], used, in, c.kind == KERAS_LSTM ? 3 : 2, out);
    build_attr_int(b, "hidden_size", (int64_t)c.units);
    if (backwards) build_attr_string(b, "direction", "reverse");
    if (c.kind == KERAS_GRU) {
        build_attr_int(b, "linear_before_reset", c.reset_after);
        snprintf(L->detail, sizeof L->detail, "reset %s", c.reset_after ? "after" : "before");
    }
    set_acts(L, l, &c);
    *y = *x;
    y->value = build_transpose(b, build_squeeze(b, out[0], 1), 3, swap);
    y->dim[2] = (int64_t)c.units;
    for (int i = 1; i < (c.kind == KERAS_LSTM ? 3 : 2) && last->count < KERAS_MAX_OUTPUTS; i++)
        last->t[last->count++] =
            (struct keras_tensor){build_squeeze(b, out[i], 0), 2, {x->dim[0], (int64_t)c.units}, -1, false};
}
