/* test_dialect.c -- every framework's recurrent layers against their published equations, written down naively in
 * double over the file's own tensors. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

#include "core/base/mem.h"
#include "tests/lib/build_model.h"

enum { I = 5, H = 7, P = 3, T = 9 };
static uint64_t seed;

static double sigmoid(double x)
{
    return 1 / (1 + exp(-x));
}
static double clip(double x, double limit)
{
    return limit > 0 ? fmin(fmax(x, -limit), limit) : x;
}

/* y[n] = sum over k of w[n * ns + k * ks] x[k] */
static void product(const float *w, size_t n, size_t ns, size_t k, size_t ks, const double *x, double *y)
{
    for (size_t i = 0; i < n; i++) {
        y[i] = 0;
        for (size_t j = 0; j < k; j++)
            y[i] += (double)w[i * ns + j * ks] * x[j];
    }
}

/* Runs the model over a random window and compares with naive rows [T][width]. */
typedef void (*naive_fn)(const struct model_builder *b, const double x[T][I], double *y);

static void check(struct model_builder *b, const char *layer, naive_fn naive, size_t width)
{
    char config[TEXT] = "";
    text_add(config, "{\"format\":1,\"inputs\":[{\"width\":%d}],\"layers\":[%s]}", I, layer);
    rnnd_model *m = builder_open(b, config, NULL);
    float x[T][I], y[T * 64];
    double xd[T][I], wanted[T * 64] = {0};
    assert_int_equal(rnnd_window_output_width(m), width);
    for (int t = 0; t < T; t++)
        for (int k = 0; k < I; k++)
            xd[t][k] = x[t][k] = rng_between(&b->rng, -1.5f, 1.5f);
    rnnd_workspace *ws;
    rnnd_error err = {0};
    assert_int_equal(rnnd_workspace_open(m, 1, &ws, &err), RNND_OK);
    rnnd_window w = {.batch = 1, .steps = T, .inputs = x[0], .outputs = y};
    if (rnnd_run_window(ws, &w, &err)) fail_msg("%s", err.message);
    naive(b, (const double(*)[I])xd, wanted);
    for (size_t i = 0; i < T * width; i++)
        if (!(fabs(wanted[i] - y[i]) <= 1e-5 * fmax(1, fabs(wanted[i]))))
            fail_msg("step %zu, unit %zu: wanted %.9g, found %.9g\n%s", i / width, i % width, wanted[i], (double)y[i],
                     layer);
    rnnd_workspace_close(ws);
    rnnd_model_close(m);
    builder_free(b);
}

/* ---- the textbook forms on the concatenation [h, x] ---- */

static void concat_gate(const struct model_builder *b, const char *w, const char *bias, const double *h,
                        const double *x, double *y)
{
    double hx[H + I];
    memcpy(hx, h, H * sizeof *hx);
    memcpy(hx + H, x, I * sizeof *hx);
    product(builder_find(b, w), H, H + I, H + I, 1, hx, y);
    for (int u = 0; bias && u < H; u++)
        y[u] += builder_find(b, bias)[u];
}

/* f = s(W_f [h,x] + b_f), i, o likewise, g = tanh(W_c [h,x] + b_c), c = f c + i g, h = o tanh(c) */
static void naive_concat_lstm(const struct model_builder *b, const double x[T][I], double *y)
{
    double h[H] = {0}, c[H] = {0}, f[H], i[H], g[H], o[H];
    for (int t = 0; t < T; t++) {
        concat_gate(b, "n.W_f", "n.b_f", h, x[t], f);
        concat_gate(b, "n.W_i", "n.b_i", h, x[t], i);
        concat_gate(b, "n.W_c", "n.b_c", h, x[t], g);
        concat_gate(b, "n.W_o", "n.b_o", h, x[t], o);
        for (int u = 0; u < H; u++) {
            c[u] = sigmoid(f[u]) * c[u] + sigmoid(i[u]) * tanh(g[u]);
            y[t * H + u] = h[u] = sigmoid(o[u]) * tanh(c[u]);
        }
    }
}

/* z = s(W_z [h,x]), r = s(W_r [h,x]), n = tanh(W [r h, x]), h = (1 - z) h + z n */
static void naive_concat_gru(const struct model_builder *b, const double x[T][I], double *y)
{
    double h[H] = {0}, rh[H], z[H], r[H], n[H];
    for (int t = 0; t < T; t++) {
        concat_gate(b, "n.W_z", NULL, h, x[t], z);
        concat_gate(b, "n.W_r", NULL, h, x[t], r);
        for (int u = 0; u < H; u++)
            rh[u] = sigmoid(r[u]) * h[u];
        concat_gate(b, "n.W", NULL, rh, x[t], n);
        for (int u = 0; u < H; u++)
            y[t * H + u] = h[u] = (1 - sigmoid(z[u])) * h[u] + sigmoid(z[u]) * tanh(n[u]);
    }
}

/* h = tanh(Wxh x + Whh h + bh), y = Why h + by */
static void naive_concat_rnn(const struct model_builder *b, const double x[T][I], double *y)
{
    double h[H] = {0}, xw[H], hw[H];
    for (int t = 0; t < T; t++) {
        product(builder_find(b, "n.Wxh"), H, I, I, 1, x[t], xw);
        product(builder_find(b, "n.Whh"), H, H, H, 1, h, hw);
        for (int u = 0; u < H; u++)
            h[u] = tanh(xw[u] + hw[u] + builder_find(b, "n.bh")[u]);
        product(builder_find(b, "Why"), 4, H, H, 1, h, y + t * 4);
        for (int u = 0; u < 4; u++)
            y[t * 4 + u] += builder_find(b, "by")[u];
    }
}

static void textbook_forms(void **unused)
{
    (void)unused;
    static const char *const gates[] = {"W_f", "W_i", "W_c", "W_o", "W_z", "W_r", "W"};
    static const char *const biases[] = {"n.b_f", "n.b_i", "n.b_c", "n.b_o"};
    struct model_builder b;
    char name[32];
    builder_init(&b, seed + 1);
    for (int k = 0; k < 4; k++) {
        snprintf(name, sizeof name, "n.%s", gates[k]);
        builder_tensor(&b, name, NULL, 0.7f, 2, H, H + I, 0);
        builder_tensor(&b, biases[k], NULL, 0.7f, 1, H, 0, 0);
    }
    check(&b, "{\"type\":\"lstm\",\"name\":\"n\",\"hidden\":7,\"layout\":\"concat\"}", naive_concat_lstm, H);
    builder_init(&b, seed + 2);
    for (int k = 4; k < 7; k++) {
        snprintf(name, sizeof name, "n.%s", gates[k]);
        builder_tensor(&b, name, NULL, 0.7f, 2, H, H + I, 0);
    }
    check(&b, "{\"type\":\"gru\",\"name\":\"n\",\"hidden\":7,\"layout\":\"concat\"}", naive_concat_gru, H);
    builder_init(&b, seed + 3);
    builder_tensor(&b, "n.Wxh", NULL, 0.7f, 2, H, I, 0);
    builder_tensor(&b, "n.Whh", NULL, 0.7f, 2, H, H, 0);
    builder_tensor(&b, "n.bh", NULL, 0.7f, 1, H, 0, 0);
    builder_tensor(&b, "Why", NULL, 0.7f, 2, 4, H, 0);
    builder_tensor(&b, "by", NULL, 0.7f, 2, 4, 1, 0); /* a column, as min-char-rnn keeps it */
    check(&b,
          "{\"type\":\"rnn\",\"name\":\"n\",\"hidden\":7,\"layout\":\"concat\"},"
          "{\"type\":\"dense\",\"tensors\":{\"weight\":\"Why\",\"bias\":\"by\"}}",
          naive_concat_rnn, 4);
}

/* ---- PyTorch: torch.nn.LSTM with proj_size, torch.nn.GRU ---- */

static void torch_gates(const struct model_builder *b, size_t G, size_t R, const double *x, const double *h, double *xw,
                        double *hw)
{
    product(builder_find(b, "n.weight_ih_l0"), G * H, I, I, 1, x, xw);
    product(builder_find(b, "n.weight_hh_l0"), G * H, R, R, 1, h, hw);
    for (size_t u = 0; u < G * H; u++) {
        xw[u] += builder_find(b, "n.bias_ih_l0")[u];
        hw[u] += builder_find(b, "n.bias_hh_l0")[u];
    }
}

/* i, f, g, o = gates; c = f c + i g; h = W_hr (o tanh c) */
static void naive_torch_lstm(const struct model_builder *b, const double x[T][I], double *y)
{
    double h[P] = {0}, c[H] = {0}, a[4 * H], r[4 * H], m[H];
    for (int t = 0; t < T; t++) {
        torch_gates(b, 4, P, x[t], h, a, r);
        for (int u = 0; u < 4 * H; u++)
            a[u] += r[u];
        for (int u = 0; u < H; u++) {
            c[u] = sigmoid(a[H + u]) * c[u] + sigmoid(a[u]) * tanh(a[2 * H + u]);
            m[u] = sigmoid(a[3 * H + u]) * tanh(c[u]);
        }
        product(builder_find(b, "n.weight_hr_l0"), P, H, H, 1, m, h);
        memcpy(y + t * P, h, sizeof h);
    }
}

/* r, z; n = tanh(W_in x + b_in + r (W_hn h + b_hn)); h = (1 - z) n + z h */
static void naive_torch_gru(const struct model_builder *b, const double x[T][I], double *y)
{
    double h[H] = {0}, a[3 * H], r[3 * H];
    for (int t = 0; t < T; t++) {
        torch_gates(b, 3, H, x[t], h, a, r);
        for (int u = 0; u < H; u++) {
            double z = sigmoid(a[H + u] + r[H + u]), n = tanh(a[2 * H + u] + sigmoid(a[u] + r[u]) * r[2 * H + u]);
            y[t * H + u] = h[u] = (1 - z) * n + z * h[u];
        }
    }
}

static void pytorch(void **unused)
{
    (void)unused;
    struct model_builder b;
    builder_init(&b, seed + 4);
    builder_torch(&b, "n", 4, I, H, 1, false, P);
    check(&b, "{\"type\":\"lstm\",\"name\":\"n\",\"hidden\":7,\"projection\":3}", naive_torch_lstm, P);
    builder_init(&b, seed + 5);
    builder_torch(&b, "n", 3, I, H, 1, false, 0);
    check(&b, "{\"type\":\"gru\",\"name\":\"n\",\"hidden\":7}", naive_torch_gru, H);
}

/* ---- Keras: x @ kernel, gates i f c o and z r h ---- */

static double hard2(double x)
{
    return fmin(fmax(0.2 * x + 0.5, 0), 1);
}

static void naive_keras_lstm(const struct model_builder *b, const double x[T][I], double *y)
{
    double h[H] = {0}, c[H] = {0}, a[4 * H], r[4 * H];
    for (int t = 0; t < T; t++) {
        product(builder_find(b, "n.kernel"), 4 * H, 1, I, 4 * H, x[t], a);
        product(builder_find(b, "n.recurrent_kernel"), 4 * H, 1, H, 4 * H, h, r);
        for (int u = 0; u < 4 * H; u++)
            a[u] += r[u] + builder_find(b, "n.bias")[u];
        for (int u = 0; u < H; u++) {
            c[u] = hard2(a[H + u]) * c[u] + hard2(a[u]) * tanh(a[2 * H + u]);
            y[t * H + u] = h[u] = hard2(a[3 * H + u]) * tanh(c[u]);
        }
    }
}

/* reset_after: bias [2][3H]; hh = tanh(x_h + r (h_h)); else bias [3H], hh = tanh(x_h + (r h) U_h); h = z h + (1 - z) hh
 */
static void keras_gru(const struct model_builder *b, const double x[T][I], double *y, bool after)
{
    const float *bias = builder_find(b, "n.bias"), *U = builder_find(b, "n.recurrent_kernel");
    double h[H] = {0}, a[3 * H], r[3 * H], rh[H], n[H];
    for (int t = 0; t < T; t++) {
        product(builder_find(b, "n.kernel"), 3 * H, 1, I, 3 * H, x[t], a);
        product(U, 3 * H, 1, H, 3 * H, h, r);
        for (int u = 0; u < 3 * H; u++) {
            a[u] += bias[u];
            if (after) r[u] += bias[3 * H + u];
        }
        for (int u = 0; u < H; u++)
            rh[u] = sigmoid(a[H + u] + r[H + u]) * h[u];
        product(U + 2 * H, H, 1, H, 3 * H, rh, n);
        for (int u = 0; u < H; u++) {
            double z = sigmoid(a[u] + r[u]), inner = after ? sigmoid(a[H + u] + r[H + u]) * r[2 * H + u] : n[u];
            y[t * H + u] = h[u] = z * h[u] + (1 - z) * tanh(a[2 * H + u] + inner);
        }
    }
}
static void naive_keras_after(const struct model_builder *b, const double x[T][I], double *y)
{
    keras_gru(b, x, y, true);
}
static void naive_keras_before(const struct model_builder *b, const double x[T][I], double *y)
{
    keras_gru(b, x, y, false);
}

static void keras(void **unused)
{
    (void)unused;
    struct model_builder b;
    builder_init(&b, seed + 6);
    builder_tensor(&b, "n.kernel", NULL, 0.7f, 2, I, 4 * H, 0);
    builder_tensor(&b, "n.recurrent_kernel", NULL, 0.7f, 2, H, 4 * H, 0);
    builder_tensor(&b, "n.bias", NULL, 0.7f, 1, 4 * H, 0, 0);
    check(&b,
          "{\"type\":\"lstm\",\"name\":\"n\",\"hidden\":7,\"layout\":\"keras\",\"activations\":{\"gate\":\"hard_"
          "sigmoid_keras2\"}}",
          naive_keras_lstm, H);
    for (int after = 0; after < 2; after++) {
        builder_init(&b, seed + 7);
        builder_tensor(&b, "n.kernel", NULL, 0.7f, 2, I, 3 * H, 0);
        builder_tensor(&b, "n.recurrent_kernel", NULL, 0.7f, 2, H, 3 * H, 0);
        builder_tensor(&b, "n.bias", NULL, 0.7f, after ? 2 : 1, after ? 2 : 3 * H, 3 * H, 0);
        check(&b,
              after ? "{\"type\":\"gru\",\"name\":\"n\",\"hidden\":7,\"layout\":\"keras\"}"
                    : "{\"type\":\"gru\",\"name\":\"n\",\"hidden\":7,\"layout\":\"keras\",\"reset\":\"before\"}",
              after ? naive_keras_after : naive_keras_before, H);
    }
}

/* ---- TensorFlow 1: one kernel on [x, h], i j f o, forget_bias 1, peepholes, cell_clip, projection ---- */

static void naive_tf1_lstm(const struct model_builder *b, const double x[T][I], double *y)
{
    const float *K = builder_find(b, "n.kernel"), *bias = builder_find(b, "n.bias"),
                *wi = builder_find(b, "n.w_i_diag"), *wf = builder_find(b, "n.w_f_diag"),
                *wo = builder_find(b, "n.w_o_diag");
    double h[P] = {0}, c[H] = {0}, xh[I + P], a[4 * H], m[H];
    for (int t = 0; t < T; t++) {
        memcpy(xh, x[t], I * sizeof *xh);
        memcpy(xh + I, h, sizeof h);
        product(K, 4 * H, 1, I + P, 4 * H, xh, a);
        for (int u = 0; u < 4 * H; u++)
            a[u] += bias[u];
        for (int u = 0; u < H; u++) {
            double old = c[u];
            c[u] = sigmoid(a[2 * H + u] + 1.0 + wf[u] * old) * old + sigmoid(a[u] + wi[u] * old) * tanh(a[H + u]);
            c[u] = clip(c[u], 0.5);
            m[u] = sigmoid(a[3 * H + u] + wo[u] * c[u]) * tanh(c[u]);
        }
        product(builder_find(b, "n.projection.kernel"), P, 1, H, P, m, h);
        for (int u = 0; u < P; u++)
            y[t * P + u] = h[u] = clip(h[u], 0.3);
    }
}

/* GRUCell: r, u = s([x, h] W + b); c = tanh([x, r h] W_c + b_c); h = u h + (1 - u) c */
static void naive_tf1_gru(const struct model_builder *b, const double x[T][I], double *y)
{
    double h[H] = {0}, xh[I + H], g[2 * H], n[H];
    for (int t = 0; t < T; t++) {
        memcpy(xh, x[t], I * sizeof *xh);
        memcpy(xh + I, h, sizeof h);
        product(builder_find(b, "n.gates.kernel"), 2 * H, 1, I + H, 2 * H, xh, g);
        for (int u = 0; u < 2 * H; u++)
            g[u] = sigmoid(g[u] + builder_find(b, "n.gates.bias")[u]);
        for (int u = 0; u < H; u++)
            xh[I + u] = g[u] * h[u];
        product(builder_find(b, "n.candidate.kernel"), H, 1, I + H, H, xh, n);
        for (int u = 0; u < H; u++)
            y[t * H + u] = h[u] =
                g[H + u] * h[u] + (1 - g[H + u]) * tanh(n[u] + builder_find(b, "n.candidate.bias")[u]);
    }
}

static void tensorflow1(void **unused)
{
    (void)unused;
    struct model_builder b;
    builder_init(&b, seed + 8);
    builder_tensor(&b, "n.kernel", NULL, 0.7f, 2, I + P, 4 * H, 0);
    builder_tensor(&b, "n.bias", NULL, 0.7f, 1, 4 * H, 0, 0);
    builder_tensor(&b, "n.w_i_diag", NULL, 0.7f, 1, H, 0, 0);
    builder_tensor(&b, "n.w_f_diag", NULL, 0.7f, 1, H, 0, 0);
    builder_tensor(&b, "n.w_o_diag", NULL, 0.7f, 1, H, 0, 0);
    builder_tensor(&b, "n.projection.kernel", NULL, 0.7f, 2, H, P, 0);
    check(&b,
          "{\"type\":\"lstm\",\"name\":\"n\",\"hidden\":7,\"layout\":\"tf1\",\"projection\":3,\"peephole\":true,"
          "\"cell_clip\":0.5,\"projection_clip\":0.3}",
          naive_tf1_lstm, P);
    builder_init(&b, seed + 9);
    builder_tensor(&b, "n.gates.kernel", NULL, 0.7f, 2, I + H, 2 * H, 0);
    builder_tensor(&b, "n.gates.bias", NULL, 0.7f, 1, 2 * H, 0, 0);
    builder_tensor(&b, "n.candidate.kernel", NULL, 0.7f, 2, I + H, H, 0);
    builder_tensor(&b, "n.candidate.bias", NULL, 0.7f, 1, H, 0, 0);
    check(&b, "{\"type\":\"gru\",\"name\":\"n\",\"hidden\":7,\"layout\":\"tf1\"}", naive_tf1_gru, H);
}

/* ---- ONNX: W[iofc], W[zrh] stacked by direction, B = Wb Rb, P[iof], clip on pre-activations, both directions ---- */

static void onnx_lstm_direction(const struct model_builder *b, const double x[T][I], double *y, int d)
{
    const float *W = builder_find(b, "n.W") + d * 4 * H * I, *R = builder_find(b, "n.R") + d * 4 * H * H,
                *B = builder_find(b, "n.B") + d * 8 * H, *p = builder_find(b, "n.P") + d * 3 * H;
    double h[H] = {0}, c[H] = {0}, a[4 * H], r[4 * H];
    for (int s = 0; s < T; s++) {
        int t = d ? T - 1 - s : s;
        product(W, 4 * H, I, I, 1, x[t], a);
        product(R, 4 * H, H, H, 1, h, r);
        for (int u = 0; u < 4 * H; u++)
            a[u] += r[u] + B[u] + B[4 * H + u];
        for (int u = 0; u < H; u++) {
            double i = sigmoid(clip(a[u] + p[u] * c[u], 0.8)),
                   f = sigmoid(clip(a[2 * H + u] + p[2 * H + u] * c[u], 0.8));
            c[u] = f * c[u] + i * tanh(clip(a[3 * H + u], 0.8));
            h[u] = sigmoid(clip(a[H + u] + p[H + u] * c[u], 0.8)) * tanh(c[u]);
            y[t * 2 * H + d * H + u] = h[u];
        }
    }
}

static void naive_onnx_lstm(const struct model_builder *b, const double x[T][I], double *y)
{
    onnx_lstm_direction(b, x, y, 0);
    onnx_lstm_direction(b, x, y, 1);
}

/* linear_before_reset = 0: h' = tanh(X Wh + (r h) Rh + Rbh + Wbh), H = (1 - z) h' + z H */
static void naive_onnx_gru(const struct model_builder *b, const double x[T][I], double *y)
{
    const float *R = builder_find(b, "n.R"), *B = builder_find(b, "n.B");
    double h[H] = {0}, a[3 * H], r[2 * H], rh[H], n[H];
    for (int t = 0; t < T; t++) {
        product(builder_find(b, "n.W"), 3 * H, I, I, 1, x[t], a);
        product(R, 2 * H, H, H, 1, h, r);
        for (int u = 0; u < 3 * H; u++)
            a[u] += B[u] + B[3 * H + u];
        for (int u = 0; u < H; u++)
            rh[u] = sigmoid(a[H + u] + r[H + u]) * h[u];
        product(R + 2 * H * H, H, H, H, 1, rh, n);
        for (int u = 0; u < H; u++) {
            double z = sigmoid(a[u] + r[u]);
            y[t * H + u] = h[u] = (1 - z) * tanh(a[2 * H + u] + n[u]) + z * h[u];
        }
    }
}

static void onnx(void **unused)
{
    (void)unused;
    struct model_builder b;
    builder_init(&b, seed + 10);
    builder_tensor(&b, "n.W", NULL, 0.7f, 3, 2, 4 * H, I);
    builder_tensor(&b, "n.R", NULL, 0.7f, 3, 2, 4 * H, H);
    builder_tensor(&b, "n.B", NULL, 0.7f, 2, 2, 8 * H, 0);
    builder_tensor(&b, "n.P", NULL, 0.7f, 2, 2, 3 * H, 0);
    check(&b,
          "{\"type\":\"lstm\",\"name\":\"n\",\"hidden\":7,\"layout\":\"onnx\",\"direction\":\"bidirectional\","
          "\"peephole\":true,\"clip\":0.8}",
          naive_onnx_lstm, 2 * H);
    builder_init(&b, seed + 11);
    builder_tensor(&b, "n.W", NULL, 0.7f, 3, 1, 3 * H, I);
    builder_tensor(&b, "n.R", NULL, 0.7f, 3, 1, 3 * H, H);
    builder_tensor(&b, "n.B", NULL, 0.7f, 2, 1, 6 * H, 0);
    check(&b, "{\"type\":\"gru\",\"name\":\"n\",\"hidden\":7,\"layout\":\"onnx\"}", naive_onnx_gru, H);
}

/* ---- merges, coupled gates, trained initial states ---- */

static double merged(const char *kind, double f, double r)
{
    return strcmp(kind, "sum") == 0 ? f + r : strcmp(kind, "mul") == 0 ? f * r : (f + r) / 2;
}

static const char *merge_kind;
static void naive_merge(const struct model_builder *b, const double x[T][I], double *y)
{
    double both[T][H][2];
    for (int d = 0; d < 2; d++) {
        const char *w = d ? "n.weight_ih_l0_reverse" : "n.weight_ih_l0",
                   *v = d ? "n.weight_hh_l0_reverse" : "n.weight_hh_l0";
        const char *bi = d ? "n.bias_ih_l0_reverse" : "n.bias_ih_l0", *bh = d ? "n.bias_hh_l0_reverse" : "n.bias_hh_l0";
        double h[H], xw[H], hw[H];
        for (int u = 0; u < H; u++)
            h[u] = builder_find(b, "h0")[d * H + u];
        for (int s = 0; s < T; s++) {
            int t = d ? T - 1 - s : s;
            product(builder_find(b, w), H, I, I, 1, x[t], xw);
            product(builder_find(b, v), H, H, H, 1, h, hw);
            for (int u = 0; u < H; u++)
                both[t][u][d] = h[u] = tanh(xw[u] + hw[u] + builder_find(b, bi)[u] + builder_find(b, bh)[u]);
        }
    }
    for (int t = 0; t < T; t++)
        for (int u = 0; u < H; u++)
            y[t * H + u] = merged(merge_kind, both[t][u][0], both[t][u][1]);
}

static void merges(void **unused)
{
    (void)unused;
    static const char *const kinds[] = {"sum", "mul", "ave"};
    for (int k = 0; k < 3; k++) {
        struct model_builder b;
        char layer[TEXT] = "";
        builder_init(&b, seed + 12);
        builder_torch(&b, "n", 1, I, H, 1, true, 0);
        builder_tensor(&b, "h0", NULL, 0.9f, 2, 2, H, 0);
        merge_kind = kinds[k];
        text_add(layer,
                 "{\"type\":\"rnn\",\"name\":\"n\",\"hidden\":7,\"direction\":\"bidirectional\",\"merge\":\"%s\","
                 "\"initial\":{\"h\":\"h0\"}}",
                 kinds[k]);
        check(&b, layer, naive_merge, H);
    }
}

static int coupled; /* 1: i = 1 - f, 2: f = 1 - i */
static void naive_coupled(const struct model_builder *b, const double x[T][I], double *y)
{
    double h[H] = {0}, c[H], a[4 * H], r[4 * H];
    for (int u = 0; u < H; u++)
        c[u] = builder_find(b, "c0")[u];
    for (int t = 0; t < T; t++) {
        torch_gates(b, 4, H, x[t], h, a, r);
        for (int u = 0; u < H; u++) {
            double i = sigmoid(a[u] + r[u]), f = sigmoid(a[H + u] + r[H + u]);
            if (coupled == 1)
                i = 1 - f;
            else
                f = 1 - i;
            c[u] = f * c[u] + i * tanh(a[2 * H + u] + r[2 * H + u]);
            y[t * H + u] = h[u] = sigmoid(a[3 * H + u] + r[3 * H + u]) * tanh(c[u]);
        }
    }
}

static void coupled_gates(void **unused)
{
    (void)unused;
    for (coupled = 1; coupled <= 2; coupled++) {
        struct model_builder b;
        builder_init(&b, seed + 13);
        builder_torch(&b, "n", 4, I, H, 1, false, 0);
        builder_tensor(&b, "c0", NULL, 0.9f, 1, H, 0, 0);
        check(&b,
              coupled == 1
                  ? "{\"type\":\"lstm\",\"name\":\"n\",\"hidden\":7,\"coupled\":\"input\",\"initial\":{\"c\":\"c0\"}}"
                  : "{\"type\":\"lstm\",\"name\":\"n\",\"hidden\":7,\"coupled\":\"forget\",\"initial\":{\"c\":\"c0\"}}",
              naive_coupled, H);
    }
}

int main(void)
{
    const char *given = getenv("SEED");
    seed = given ? strtoull(given, NULL, 10) : (uint64_t)time(NULL);
    printf("seed %llu\n", (unsigned long long)seed);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(textbook_forms), cmocka_unit_test(pytorch), cmocka_unit_test(keras),
        cmocka_unit_test(tensorflow1),    cmocka_unit_test(onnx),    cmocka_unit_test(merges),
        cmocka_unit_test(coupled_gates),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
