/* keras_recurrent.c -- Keras layers LSTM, GRU, SimpleRNN, RNN over cells, and Bidirectional. */
#include <stdio.h>
#include <string.h>

#include "core/formats/keras_lower.h"

#define MAX_STACKED 16

struct sequence {          /* what a recurrent layer makes */
    struct keras_tensor y; /* [B][T][H], in the order of time */
    struct keras_states last;
};

/* The states that a call hands over: tensors by position behind the first, or "initial_state". */
static size_t initial_states(const struct keras_call *in, struct keras_tensor states[KERAS_MAX_OUTPUTS])
{
    size_t n = 0, position = 0;
    for (size_t i = 0; i < in->count; i++) {
        const struct keras_argument *a = &in->args[i];
        bool given = a->key ? strcmp(a->key, "initial_state") == 0 : position++ > 0;
        if (given && a->is_tensor && n < KERAS_MAX_OUTPUTS) states[n++] = a->tensor;
    }
    return n;
}

static void refuse(struct lowering *L, const struct keras_layer *l)
{
    if (keras_flag(L, l, "time_major", false)) keras_fail(L, l, RNND_UNSUPPORTED, "time_major; " KERAS_CUSTOM_ADVICE);
    if (json_number(json_get(l->config, "num_constants")) > 0)
        keras_fail(L, l, RNND_UNSUPPORTED, "constants beside its input; " KERAS_CUSTOM_ADVICE);
    if (keras_flag(L, l, "stateful", false)) L->net->stateful = true;
}

/* RNN(cell): the one cell, or those of StackedRNNCells, with their weights; 0: failed. */
static size_t cells_of(struct lowering *L, const struct keras_layer *l, struct keras_layer cells[MAX_STACKED])
{
    struct keras_layer outer;
    size_t n = 0, first = 0, same = 0;
    if (!keras_inner(L, l, json_get(l->config, "cell"), &outer)) return 0;
    outer.weights = keras_part(L, l, "cell", NULL, 0, l->weights.count);
    if (strcmp(outer.kind, "StackedRNNCells") != 0) return cells[0] = outer, 1;
    const struct json *list = json_get(outer.config, "cells");
    if (json_count(list) > MAX_STACKED || !json_is_array(list) || json_count(list) == 0)
        return keras_fail(L, l, RNND_UNSUPPORTED, "wanted 1 to %d stacked cells, found %zu", MAX_STACKED,
                          json_count(list)),
               0;
    for (const struct json *e = json_first(list); e && !L->b.code; e = json_next(e), n++) {
        char snake[KERAS_MAX_NAME], folder[KERAS_MAX_NAME + 32];
        if (!keras_inner(L, &outer, e, &cells[n])) return 0;
        same = 0;
        for (size_t i = 0; i < n; i++)
            same += strcmp(cells[i].kind, cells[n].kind) == 0;
        keras_snake(cells[n].kind, snake);
        snprintf(folder, sizeof folder, same ? "cells/%s_%zu" : "cells/%s", snake, same);
        size_t count = keras_cell_weights(L, &cells[n]);
        cells[n].weights = keras_part(L, &outer, folder, NULL, first, count);
        first += count;
    }
    return L->b.code ? 0 : n;
}

/* A layer of any recurrent kind over x. */
static void run(struct lowering *L, const struct keras_layer *l, const struct keras_tensor *x, bool backwards,
                const struct keras_tensor *states, size_t state_count, struct sequence *out)
{
    struct keras_layer cells[MAX_STACKED] = {*l};
    size_t n = 1, at = 0;
    *out = (struct sequence){.y = *x};
    refuse(L, l);
    if (strcmp(l->kind, "RNN") == 0) {
        n = cells_of(L, l, cells);
    } else if (keras_cell_states(l->kind) && !strstr(l->kind, "Cell")) {
        cells[0].weights = keras_part(L, l, "cell", NULL, 0, l->weights.count);
    } else {
        return keras_fail(L, l, RNND_UNSUPPORTED, "wanted LSTM, GRU, SimpleRNN or RNN here; " KERAS_CUSTOM_ADVICE);
    }
    for (size_t i = 0; i < n && !L->b.code; i++) {
        size_t wanted = keras_cell_states(cells[i].kind);
        if (state_count && at + wanted > state_count)
            return keras_fail(L, l, RNND_MISMATCH, "wanted %zu initial states and more, found %zu", at + wanted,
                              state_count);
        struct keras_tensor in = out->y;
        keras_run_cell(L, &cells[i], &in, backwards, state_count ? states + at : NULL, &out->y, &out->last);
        at += wanted;
    }
    if (state_count && at != state_count && !L->b.code)
        keras_fail(L, l, RNND_MISMATCH, "wanted %zu initial states, found %zu", at, state_count);
}

/* What is wanted of the output: all steps or the last. With stacked cells the last one's h stands before its c. */
static struct keras_tensor answer(struct lowering *L, const struct keras_layer *l, const struct sequence *s,
                                  bool reversed, bool zero_masked)
{
    struct keras_tensor y = s->y;
    if (!keras_flag(L, l, "return_sequences", false)) {
        size_t last = s->last.count;
        const struct json *cell = json_get(l->config, "cell");
        const char *kind = cell ? json_string(json_get(cell, "class_name")) : l->kind;
        if (kind && strcmp(keras_class(kind), "StackedRNNCells") == 0) {
            const struct json *cells = json_get(json_get(cell, "config"), "cells"), *e = json_first(cells);
            for (; e && json_next(e); e = json_next(e)) {
            }
            kind = json_string(json_get(e, "class_name"));
        }
        size_t states = kind ? keras_cell_states(keras_class(kind)) : 1;
        if (last < states || states == 0)
            return keras_fail(L, l, RNND_UNSUPPORTED, "it has more states than are supported"), y;
        y = s->last.t[last - states];
        return y;
    }
    if (y.mask >= 0 && (zero_masked || keras_flag(L, l, "zero_output_for_mask", false)))
        y.value = build2(&L->b, "Mul", y.value, build_unsqueeze(&L->b, build_cast(&L->b, y.mask, DTYPE_F32), -1));
    if (reversed) y.value = build_reverse(&L->b, y.value, 1);
    return y;
}

static void add_states(struct lowering *L, const struct keras_layer *l, const struct sequence *s,
                       struct keras_outputs *out)
{
    if (!keras_flag(L, l, "return_state", false)) return;
    for (size_t i = 0; i < s->last.count; i++) {
        if (out->count == KERAS_MAX_OUTPUTS)
            return keras_fail(L, l, RNND_UNSUPPORTED, "more than %d outputs", KERAS_MAX_OUTPUTS);
        out->t[out->count++] = s->last.t[i];
    }
}

void keras_lower_recurrent(struct lowering *L, const struct keras_layer *l, const struct keras_call *in,
                           struct keras_outputs *out)
{
    struct keras_tensor states[KERAS_MAX_OUTPUTS];
    size_t count = initial_states(in, states);
    bool backwards = keras_flag(L, l, "go_backwards", false);
    struct sequence s;
    run(L, l, keras_input(in, 0, NULL), backwards, states, count, &s);
    if (L->b.code) return;
    out->t[0] = answer(L, l, &s, backwards, false);
    add_states(L, l, &s, out);
}

void keras_lower_rnn(struct lowering *L, const struct keras_layer *l, const struct keras_call *in,
                     struct keras_outputs *out)
{
    keras_lower_recurrent(L, l, in, out);
}

/* ---- both ways ---- */

static struct keras_tensor merge(struct lowering *L, const struct keras_layer *l, const char *mode,
                                 struct keras_tensor f, struct keras_tensor r)
{
    struct graph_builder *b = &L->b;
    int last = f.rank - 1;
    if (strcmp(mode, "concat") == 0) {
        f.value = build_concat(b, (const int[]){f.value, r.value}, 2, -1);
        f.dim[last] += r.dim[last];
    } else if (f.dim[last] != r.dim[last]) {
        keras_fail(L, l, RNND_MISMATCH, "its directions have %lld and %lld units, which merge_mode %.20s wants equal",
                   (long long)f.dim[last], (long long)r.dim[last], mode);
    } else if (strcmp(mode, "mul") == 0) {
        f.value = build2(b, "Mul", f.value, r.value);
    } else if (strcmp(mode, "sum") == 0 || strcmp(mode, "ave") == 0) {
        f.value = build2(b, "Add", f.value, r.value);
        if (mode[0] == 'a') f.value = build2(b, "Mul", f.value, build_float(b, 0.5f));
    } else {
        keras_fail(L, l, RNND_CORRUPT, "merge_mode: wanted concat, sum, mul, ave or null, found \"%.40s\"", mode);
    }
    return f;
}

void keras_lower_bidirectional(struct lowering *L, const struct keras_layer *l, const struct keras_call *in,
                               struct keras_outputs *out)
{
    struct keras_tensor states[KERAS_MAX_OUTPUTS];
    const struct keras_tensor *x = keras_input(in, 0, NULL);
    const struct json *other = json_get(l->config, "backward_layer"), *mode = json_get(l->config, "merge_mode");
    size_t count = initial_states(in, states), half = count / 2;
    struct keras_layer forward, back;
    struct sequence f, r;
    bool own = other && !json_is_null(other);
    if (!keras_inner(L, l, json_get(l->config, "layer"), &forward)) return;
    back = forward;
    if (own && !keras_inner(L, l, other, &back)) return;
    forward.weights = keras_part(L, l, "forward_layer", "layer", 0, l->weights.count / 2);
    back.weights = keras_part(L, l, "backward_layer", NULL, l->weights.count / 2, l->weights.count / 2);
    bool away = keras_flag(L, &forward, "go_backwards", false);
    bool back_away = own ? keras_flag(L, &back, "go_backwards", false) : !away;
    run(L, &forward, x, away, states, half, &f);
    run(L, &back, x, back_away, states + half, count - half, &r);
    if (L->b.code) return;
    bool zero = L->doc->zero_masked;
    out->t[0] = answer(L, &forward, &f, away, zero);
    struct keras_tensor second = answer(L, &back, &r, !back_away, zero);
    if (L->b.code) return;
    if (out->t[0].rank != second.rank)
        return keras_fail(L, l, RNND_MISMATCH, "one direction returns sequences, the other does not");
    if (mode && json_is_null(mode))
        out->t[out->count++] = second;
    else
        out->t[0] = merge(L, l, mode ? keras_text(L, l, "merge_mode", "concat") : "concat", out->t[0], second);
    add_states(L, &forward, &f, out);
    add_states(L, &back, &r, out);
    size_t used = strlen(L->detail);
    snprintf(L->detail + used, sizeof L->detail - used, "%sbidirectional %.10s", used ? ", " : "",
             json_is_string(mode) ? json_string(mode)
             : mode               ? "apart"
                                  : "concat");
}
