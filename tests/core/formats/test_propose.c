/* test_propose.c -- configurations proposed for tensors without one: what they are, what they assume, what they do. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "core/base/mem.h"
#include "core/formats/format.h"
#include "core/formats/json.h"
#include "core/formats/propose.h"
#include "tests/lib/arrays.h"
#include "tests/lib/build_model.h"

#define FOLDER "tests/vectors/torch_files/"
#define REAL "../shared/real/"

struct proposed {
    struct checkpoint ck;
    struct arena arena;
    struct proposal p;
    struct json *json;
    rnnd_error err;
    void *data;
    rnnd_code code;
};

static void propose_bytes(struct proposed *x, void *data, size_t bytes)
{
    memset(x, 0, sizeof *x);
    x->data = data;
    checkpoint_init(&x->ck);
    arena_init(&x->arena, (size_t)16 << 20);
    if (format_read(data, bytes, NULL, &x->ck, &x->err)) fail_msg("%s", x->err.message);
    x->code = propose_config(&x->ck, "net", &x->arena, &x->p, &x->err);
    if (!x->code && json_parse(x->p.config, strlen(x->p.config), "proposal", &x->json, &x->err))
        fail_msg("%s: %s", x->err.message, x->p.config);
}

static void propose_file(struct proposed *x, const char *path)
{
    size_t bytes;
    uint8_t *data = arrays_file(path, &bytes);
    if (!data) fail_msg("%s is not there", path);
    propose_bytes(x, data, bytes);
}

static void proposed_free(struct proposed *x)
{
    json_free(x->json);
    checkpoint_free(&x->ck);
    arena_free(&x->arena);
    free(x->data);
}

/* "type name" of the layers, the output and the input, as one line. */
static void outline(const struct proposed *x, char *text, size_t room)
{
    const struct json *in = json_first(json_get(x->json, "inputs"));
    int at = snprintf(text, room, "%s:", json_string(json_get(in, "name")));
    for (const struct json *l = json_first(json_get(x->json, "layers")); l; l = json_next(l))
        at += snprintf(text + at, room - (size_t)at, " %s %s,", json_string(json_get(l, "type")),
                       json_string(json_get(l, "name")));
    snprintf(text + at, room - (size_t)at, " %s", json_string(json_get(x->json, "output")));
}

static bool assumes(const struct proposed *x, const char *what)
{
    bool found = false;
    for (size_t i = 0; i < x->p.assumption_count; i++)
        found |= strstr(x->p.assumptions[i], what) != NULL;
    return found;
}

static void outlines(void **unused)
{
    (void)unused;
    static const struct {
        const char *file, *outline, *assumed[8];
        size_t count; /* of assumptions */
    } cases[] = {
        {"lstm", "x: lstm lstm, all", {NULL}, 0},
        {"lstm_legacy", "x: lstm lstm, all", {NULL}, 0},
        {"lstm_module", "x: lstm lstm, all", {NULL}, 0},
        {"lstm_module_legacy", "x: lstm lstm, all", {NULL}, 0},
        {"lstm_script", "x: lstm lstm, all", {NULL}, 0},
        {"lstm_proj", "x: lstm lstm, all", {NULL}, 0},
        {"gru", "x: gru gru, all", {NULL}, 0},
        {"rnn_relu", "x: rnn rnn, all", {"tanh"}, 1},
        {"rnn_relu_module", "x: rnn rnn, all", {NULL}, 0},
        {"rnn_relu_module_legacy", "x: rnn rnn, all", {NULL}, 0},
        {"net", "x: gru gru, dense fc, last",
         {"between \"gru\" and \"fc\"", "behind \"fc\"", "\"relu\"", "last step alone"}, 4},
        {"net_checkpoint", "x: gru gru, dense fc, last", {"between \"gru\" and \"fc\""}, 4},
        {"net_module", "x: gru gru, activation relu, dense fc, last",
         {"as they are registered", "forward()", "last step alone"}, 3},
        {"net_parallel_module", "x: gru gru, activation relu, dense fc, last", {"forward() of Net"}, 3},
        {"net_script", "x: gru gru, activation relu, dense fc, last", {"the program of Net"}, 3},
        {"tagger", "ids: embedding embedding, lstm lstm, layer_norm norm, dense head.0, dense head.3, all",
         {"epsilon", "\"norm\" and \"head.0\"", "\"head.1\", \"head.2\"", "every step"}, 7},
        {"tagger_module",
         "ids: embedding embedding, lstm lstm, layer_norm norm, dense head.0, activation head.1, dropout head.2, "
         "dense head.3, all", {"as they are registered", "every step"}, 3},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct proposed x;
        char path[200], text[400];
        snprintf(path, sizeof path, FOLDER "%s.pt", cases[i].file);
        propose_file(&x, path);
        if (x.code) fail_msg("%s: %s", path, x.err.message);
        outline(&x, text, sizeof text);
        if (strcmp(text, cases[i].outline) != 0) fail_msg("%s: %s", path, text);
        if (x.p.assumption_count != cases[i].count) fail_msg("%s: %s", path, x.p.config);
        for (size_t k = 0; k < 8 && cases[i].assumed[k]; k++)
            if (!assumes(&x, cases[i].assumed[k])) fail_msg("%s: %s", path, x.p.config);
        assert_int_equal(json_count(json_get(x.json, "x_assumed")), x.p.assumption_count);
        proposed_free(&x);
    }
}

/* ---- tensors in safetensors: a line of names and shapes ---- */

static void add(struct model_builder *b, const char *name, size_t rows, size_t columns)
{
    builder_tensor(b, name, NULL, 0.5f, columns ? 2 : 1, rows, columns, 0);
}

static void dense(struct model_builder *b, const char *name, size_t out, size_t in)
{
    char text[80];
    snprintf(text, sizeof text, "%s.weight", name);
    add(b, text, out, in);
    snprintf(text, sizeof text, "%s.bias", name);
    add(b, text, out, 0);
}

static void propose_built(struct proposed *x, const struct model_builder *b)
{
    size_t bytes;
    void *image = builder_image(b, NULL, &bytes), *copy = malloc(bytes);
    assert_non_null(copy);
    memcpy(copy, image, bytes);
    mem_free(image);
    propose_bytes(x, copy, bytes);
}

static void expect(struct model_builder *b, const char *wanted, const char *assumed)
{
    struct proposed x;
    char text[400];
    propose_built(&x, b);
    if (x.code) fail_msg("%s", x.err.message);
    outline(&x, text, sizeof text);
    assert_string_equal(text, wanted);
    if (assumed && !assumes(&x, assumed)) fail_msg("%s", x.p.config);
    proposed_free(&x);
    rnnd_options guess = {.accept_guesses = true}; /* and it is a configuration that opens */
    rnnd_error err;
    rnnd_model *m;
    size_t bytes;
    void *image = builder_image(b, NULL, &bytes);
    if (rnnd_model_open_memory(image, bytes, "net", &guess, &m, &err)) fail_msg("%s", err.message);
    rnnd_model_close(m);
    mem_free(image);
    builder_free(b);
    builder_init(b, 1);
}

static void from_names(void **unused)
{
    (void)unused;
    struct model_builder b;
    builder_init(&b, 1);
    builder_torch(&b, "rnn", 4, 3, 5, 2, true, 0);
    dense(&b, "fc", 2, 10);
    expect(&b, "x: lstm rnn, dense fc, last", "out[:, -1]");
    dense(&b, "fc", 3, 5); /* registered before the layer that it follows */
    builder_torch(&b, "rnn", 3, 4, 5, 1, false, 0);
    expect(&b, "x: gru rnn, dense fc, last", NULL);
    dense(&b, "a", 5, 5); /* two that could be swapped */
    dense(&b, "b", 5, 5);
    builder_torch(&b, "rnn", 1, 5, 5, 1, false, 0);
    expect(&b, "x: dense a, dense b, rnn rnn, all", "order");
    add(&b, "encoder.weight", 9, 4); /* the usual language model: no name says embedding */
    builder_torch(&b, "rnn", 4, 4, 6, 1, false, 0);
    dense(&b, "decoder", 9, 6);
    expect(&b, "ids: embedding encoder, lstm rnn, dense decoder, all", "Embedding");
    add(&b, "word_emb.weight", 9, 4);
    builder_torch(&b, "rnn", 4, 4, 6, 1, false, 0);
    dense(&b, "out", 2, 6);
    expect(&b, "ids: embedding word_emb, lstm rnn, dense out, last", "last step alone");
    builder_torch(&b, "one", 4, 3, 6, 1, false, 0); /* two that follow one another */
    builder_torch(&b, "two", 3, 6, 4, 1, false, 0);
    expect(&b, "x: lstm one, gru two, all", "between \"one\" and \"two\"");
    add(&b, "cell.weight_ih", 12, 2);
    add(&b, "cell.weight_hh", 12, 4);
    add(&b, "cell.bias_ih", 12, 0);
    add(&b, "cell.bias_hh", 12, 0);
    expect(&b, "x: gru cell, all", "cell \"cell\"");
    builder_torch(&b, "lstm", 4, 3, 5, 1, false, 2);
    dense(&b, "norm", 2, 0);
    add(&b, "norm.running_mean", 2, 0);
    *builder_tensor(&b, "norm.running_var", NULL, 0.1f, 1, 2, 0, 0) = 1;
    dense(&b, "fc", 2, 2);
    expect(&b, "x: lstm lstm, batch_norm norm, dense fc, last", "epsilon of \"norm\"");
    builder_free(&b);
}

static void refuse(struct model_builder *b, const char *says)
{
    struct proposed x;
    propose_built(&x, b);
    assert_int_equal(x.code, RNND_UNSUPPORTED);
    if (!strstr(x.err.message, says) || !strstr(x.err.message, "net.rnnd.json")) fail_msg("%s", x.err.message);
    proposed_free(&x);
    builder_free(b);
    builder_init(b, 1);
}

static void refusals(void **unused)
{
    (void)unused;
    struct model_builder b;
    builder_init(&b, 1);
    dense(&b, "fc1", 3, 4);
    refuse(&b, "\"fc1.weight\"");
    builder_torch(&b, "a", 4, 3, 5, 1, false, 0); /* two encoders */
    builder_torch(&b, "b", 4, 3, 5, 1, false, 0);
    dense(&b, "fc", 1, 10);
    refuse(&b, "\"a\" lstm 3 to 5, \"b\" lstm 3 to 5");
    builder_torch(&b, "a", 4, 3, 5, 1, false, 0);
    dense(&b, "fc", 1, 7);
    refuse(&b, "chain");
    builder_torch(&b, "a", 4, 3, 5, 1, false, 0);
    builder_tensor(&b, "conv.weight", NULL, 1, 3, 2, 3, 4);
    refuse(&b, "\"conv.weight\" [2, 3, 4]");
    builder_torch(&b, "a", 4, 3, 5, 1, false, 0);
    add(&b, "attention", 4, 0);
    refuse(&b, "\"attention\"");
    add(&b, "a.weight_ih_l0", 10, 3); /* neither 4 nor 3 nor 1 times */
    add(&b, "a.weight_hh_l0", 10, 5);
    refuse(&b, "4 (LSTM), 3 (GRU) nor 1 (RNN)");
    add(&b, "a.weight_ih_l0", 20, 3); /* a layer is missing */
    add(&b, "a.weight_hh_l0", 20, 5);
    add(&b, "a.weight_hh_l2", 20, 5);
    refuse(&b, "missing");
    add(&b, "a.weight_ih_l0", 20, 3);
    add(&b, "a.weight_hh_l0", 20, 5);
    add(&b, "a.h0", 5, 0);
    refuse(&b, "\"a.h0\"");
    builder_free(&b);
}

/* ---- models ---- */

static double worst(const float *found, const float *wanted, size_t n)
{
    double error = 0, largest = 1;
    for (size_t i = 0; i < n; i++) {
        if (!(fabs((double)found[i] - (double)wanted[i]) <= error)) error = fabs((double)found[i] - (double)wanted[i]);
        if (fabs((double)wanted[i]) > largest) largest = fabs((double)wanted[i]);
    }
    return error / largest;
}

/* Runs a file on vector.x of NAME.safetensors; how far from vector.y it is, over max(1, largest). */
static double distance(const char *file, const char *vectors, const rnnd_options *options)
{
    char path[200];
    size_t bytes;
    struct checkpoint ck;
    rnnd_error err;
    rnnd_model *m;
    rnnd_workspace *ws;
    const float *in, *wanted;
    snprintf(path, sizeof path, FOLDER "%s.safetensors", vectors);
    uint8_t *data = arrays_file(path, &bytes);
    assert_non_null(data);
    checkpoint_init(&ck);
    if (format_read(data, bytes, NULL, &ck, &err)) fail_msg("%s", err.message);
    struct checkpoint_tensor *x = checkpoint_find(&ck, "vector.x"), *y = checkpoint_find(&ck, "vector.y");
    assert_false(checkpoint_floats(x, &in, &err) || checkpoint_floats(y, &wanted, &err));
    snprintf(path, sizeof path, FOLDER "%s.pt", file);
    if (rnnd_model_open(path, options, &m, &err)) fail_msg("%s", err.message);
    assert_string_equal(rnnd_model_info(m)->framework, "PyTorch");
    assert_false(rnnd_model_info(m)->unconfirmed);
    float *found = calloc(y->count, sizeof *found);
    struct rnnd_window w = {.batch = x->dim[0], .steps = x->dim[1], .inputs = in, .outputs = found};
    size_t rows = w.batch * (rnnd_model_info(m)->output_last ? 1 : w.steps);
    assert_int_equal(rows * rnnd_window_output_width(m), y->count);
    assert_int_equal(rnnd_workspace_open(m, 2, &ws, &err), RNND_OK);
    if (rnnd_run_window(ws, &w, &err)) fail_msg("%s", err.message);
    double d = worst(found, wanted, y->count);
    free(found);
    rnnd_workspace_close(ws);
    rnnd_model_close(m);
    checkpoint_free(&ck);
    free(data);
    return d;
}

static void equal_to_torch(void **unused)
{
    (void)unused;
    static const char *const sure[][2] = {
        {"lstm", "lstm"}, {"lstm_legacy", "lstm"}, {"lstm_module", "lstm"}, {"lstm_script", "lstm"},
        {"lstm_proj", "lstm_proj"}, {"lstm_proj_module", "lstm_proj"}, {"lstm_proj_script", "lstm_proj"},
        {"gru", "gru"}, {"gru_module", "gru"}, {"gru_script", "gru"},
        {"rnn_relu_module", "rnn_relu"}, {"rnn_relu_script", "rnn_relu"},
    };
    for (size_t i = 0; i < sizeof sure / sizeof *sure; i++)
        if (distance(sure[i][0], sure[i][1], NULL) > 1e-5) fail_msg("%s", sure[i][0]);
    rnnd_options guess = {.accept_guesses = true};
    assert_true(distance("net_module", "net", &guess) <= 1e-5);
    assert_true(distance("net_script", "net", &guess) <= 1e-5);
    assert_true(distance("tagger_module", "tagger", &guess) <= 1e-5);
    assert_true(distance("net", "net", &guess) > 1e-2); /* the relu that no state_dict shows: hence the question */
    assert_true(distance("rnn_relu", "rnn_relu", &guess) > 1e-2);
    guess.config = "{\"format\":1,\"inputs\":[{\"name\":\"x\",\"width\":3}],\"output\":\"last\",\"layers\":["
                   "{\"type\":\"gru\",\"name\":\"gru\",\"hidden\":4,\"layers\":2},"
                   "{\"type\":\"activation\",\"activation\":\"relu\"},{\"type\":\"dense\",\"name\":\"fc\"}]}";
    guess.accept_guesses = false;
    static const char *const nets[] = {"net", "net_checkpoint", "net_parallel", "net_compiled", "net_big", "net_script",
                                       "net_module", "net_protocol4"};
    for (size_t i = 0; i < sizeof nets / sizeof *nets; i++)
        if (distance(nets[i], "net", &guess) > 1e-5) fail_msg("%s", nets[i]);
}

/* A proposal that assumes anything computes nothing until somebody has looked at it. */
static void unconfirmed(void **unused)
{
    (void)unused;
    rnnd_model *m, *again;
    rnnd_workspace *ws;
    rnnd_error err;
    float in[3] = {0}, out[2] = {0};
    assert_int_equal(rnnd_model_open(FOLDER "net.pt", NULL, &m, &err), RNND_OK);
    const rnnd_info *info = rnnd_model_info(m);
    assert_true(info->unconfirmed);
    assert_int_equal(info->assumption_count, 4);
    assert_int_equal(rnnd_workspace_open(m, 1, &ws, &err), RNND_OK);
    void *state = calloc(1, rnnd_state_bytes(m));
    rnnd_state_reset(m, state);
    rnnd_step_row row = {.state = state, .input = in, .output = out};
    assert_int_equal(rnnd_step(ws, &row, 1, &err), RNND_CONFLICT);
    assert_int_equal(row.code, RNND_CONFLICT);
    assert_int_equal(rnnd_state_step(m, state), 0);
    assert_non_null(strstr(err.message, info->assumptions[0]));
    assert_non_null(strstr(err.message, ".rnnd.json"));
    rnnd_window w = {.batch = 1, .steps = 1, .inputs = in, .outputs = out};
    assert_int_equal(rnnd_run_window(ws, &w, &err), RNND_CONFLICT);
    rnnd_workspace_close(ws);

    rnnd_options pasted = {.config = info->side_file}; /* what init writes, unchanged */
    assert_int_equal(rnnd_model_open(FOLDER "net.pt", &pasted, &again, &err), RNND_OK);
    assert_false(rnnd_model_info(again)->unconfirmed);
    assert_int_equal(rnnd_model_info(again)->assumption_count, 0);
    assert_string_equal(rnnd_model_info(again)->digest, info->digest);
    rnnd_model_close(again);
    rnnd_options guess = {.accept_guesses = true};
    assert_int_equal(rnnd_model_open(FOLDER "net.pt", &guess, &again, &err), RNND_OK);
    assert_false(rnnd_model_info(again)->unconfirmed);
    assert_int_equal(rnnd_model_info(again)->assumption_count, 4);
    assert_string_equal(rnnd_model_info(again)->side_file, info->side_file);
    assert_int_equal(rnnd_workspace_open(again, 1, &ws, &err), RNND_OK);
    assert_int_equal(rnnd_step(ws, &row, 1, &err), RNND_OK);
    rnnd_workspace_close(ws);
    rnnd_model_close(again);
    /* a task on top of the proposal: the network is still a guess */
    rnnd_options task = {.config = "{\"format\":1,\"name\":\"bytes\"}"};
    assert_int_equal(rnnd_model_open(FOLDER "net.pt", &task, &again, &err), RNND_OK);
    assert_true(rnnd_model_info(again)->unconfirmed);
    assert_string_equal(rnnd_model_info(again)->name, "bytes");
    assert_non_null(strstr(rnnd_model_info(again)->side_file, "\"bytes\""));
    assert_non_null(strstr(rnnd_model_info(again)->side_file, "\"layers\""));
    rnnd_model_close(again);
    rnnd_model_close(m);
    free(state);
}

static void no_memory(void **unused)
{
    (void)unused;
    static const char *const files[] = {"tagger_module", "lstm_proj", "net"};
    for (size_t i = 0; i < 3; i++) {
        char path[200];
        size_t bytes;
        bool done = false;
        snprintf(path, sizeof path, FOLDER "%s.pt", files[i]);
        uint8_t *data = arrays_file(path, &bytes);
        struct checkpoint ck;
        rnnd_error err;
        checkpoint_init(&ck);
        assert_int_equal(format_read(data, bytes, NULL, &ck, &err), RNND_OK);
        for (size_t n = 1; !done; n++) {
            struct arena arena;
            struct proposal p;
            arena_init(&arena, (size_t)1 << 20);
            mem_fail_at(n);
            rnnd_code code = propose_config(&ck, "net", &arena, &p, &err);
            mem_fail_at(0);
            if (code) assert_int_equal(code, RNND_NO_MEMORY);
            done = code == RNND_OK;
            arena_free(&arena);
            if (n > 2000) fail_msg("%s: never enough memory", path);
        }
        checkpoint_free(&ck);
        free(data);
    }
}

static void shared_files(void **unused)
{
    (void)unused;
    static const struct {
        const char *file, *outline;
    } cases[] = {{"bitcoin/lstm_model.pth", "x: lstm lstm, dense fc, last"},
                 {"energy/gru_model.pt", "x: gru gru, dense fc, last"},
                 {"neurobard/gru_model.pth", "ids: embedding embedding, gru gru, dense fc, all"},
                 {"neurobard/lstm_model.pth", "ids: embedding embedding, lstm lstm, dense fc, all"},
                 {"ergo/lstm_mcpas_specific__model.pt", NULL}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct proposed x;
        char path[200], text[400];
        snprintf(path, sizeof path, REAL "%s", cases[i].file);
        if (access(path, R_OK) != 0) {
            print_message("skipped: %s is not here\n", path);
            continue;
        }
        propose_file(&x, path);
        if (cases[i].outline) {
            if (x.code) fail_msg("%s: %s", path, x.err.message);
            outline(&x, text, sizeof text);
            assert_string_equal(text, cases[i].outline);
            assert_true(x.p.assumption_count > 0);
        } else {
            assert_int_equal(x.code, RNND_UNSUPPORTED);
            assert_non_null(strstr(x.err.message, "\"tcr_lstm\""));
            assert_non_null(strstr(x.err.message, "\"pep_lstm\""));
        }
        proposed_free(&x);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(outlines),       cmocka_unit_test(from_names),  cmocka_unit_test(refusals),
        cmocka_unit_test(equal_to_torch), cmocka_unit_test(unconfirmed), cmocka_unit_test(no_memory),
        cmocka_unit_test(shared_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
