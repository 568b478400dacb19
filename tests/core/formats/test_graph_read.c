/* test_graph_read.c -- tensor graphs written by hand: what they compute, and what is refused in them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "core/base/mem.h"
#include "tests/lib/build_model.h"

static struct model_builder
    builder; /* w [3][2], flag (a bool), pick [2], one [1] (whole numbers), half (f16), an LSTM's W, R, B */

static void add_stored(const char *name, enum stored stored, int rank, size_t dim, const void *data, size_t bytes)
{
    struct safetensors_item *item = &builder.items[builder.count++];
    void *copy = malloc(bytes);
    assert_non_null(copy);
    memcpy(copy, data, bytes);
    *item = (struct safetensors_item){.name = strdup(name), .stored = stored, .rank = rank, .dim = {dim}, .data = copy};
}

/* ---- what they compute ---- */

/* A branch by the sign of the sum; both name what they make "made". Steps of a state that counts by an attribute. */
static const char branches[] =
    "{\"format\":1,\"graph\":{\"inputs\":[{\"name\":\"x\",\"shape\":[null,3]}],\"nodes\":["
    "{\"op\":\"ReduceSum\",\"inputs\":[\"x\"],\"outputs\":[\"sum\"],\"attributes\":{\"keepdims\":false}},"
    "{\"op\":\"Greater\",\"inputs\":[\"sum\",\"half\"],\"outputs\":[\"large\"]},"
    "{\"op\":\"If\",\"name\":\"if\",\"inputs\":[\"large\"],\"outputs\":[\"y\"],\"bodies\":["
    "{\"inputs\":[],\"nodes\":[{\"op\":\"MatMul\",\"inputs\":[\"x\",\"w\"],\"outputs\":[\"made\"]}],"
    "\"outputs\":[\"made\"]},"
    "{\"nodes\":[{\"op\":\"Gather\",\"inputs\":[\"x\",\"pick\"],\"outputs\":[\"made\"],"
    "\"attributes\":{\"axis\":1}}],\"outputs\":[\"made\"]}]},"
    "{\"op\":\"LeakyRelu\",\"inputs\":[\"y\"],\"outputs\":[\"z\"],\"attributes\":{\"alpha\":0.25}}],"
    "\"outputs\":[\"z\"],\"names\":[\"sum\",{\"name\":\"branch\",\"value\":\"y\"}],"
    "\"layers\":[{\"type\":\"If\",\"name\":\"if\",\"inputs\":3,\"outputs\":2}]}}";

static void computed(void **unused)
{
    (void)unused;
    static const struct {
        float x[3], want[2];
    } cases[] = {{{1, 2, 3}, {1 * 1 + 2 * 3 + 3 * 5, 1 * 2 + 2 * 4 + 3 * 6}}, {{-4, 2, 1}, {1, -1}}};
    rnnd_model *m = builder_open(&builder, branches, NULL);
    const rnnd_info *info = rnnd_model_info(m);
    rnnd_call *call;
    rnnd_error err;
    assert_string_equal(info->format, "rnnd-1");
    assert_string_equal(info->inputs[0].name, "x");
    assert_string_equal(info->outputs[0].name, "z");
    assert_int_equal(info->layer_count, 1);
    assert_int_equal(rnnd_call_open(m, &call, &err), RNND_OK);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        rnnd_tensor in = {.rank = 2, .dim = {1, 3}, .data = (void *)(uintptr_t)cases[i].x}, out;
        if (rnnd_call_run(call, &in, 1, &err)) fail_msg("%s", err.message);
        assert_int_equal(rnnd_call_output(call, NULL, &out, &err), RNND_OK);
        assert_memory_equal(out.data, cases[i].want, sizeof cases[i].want);
        assert_int_equal(rnnd_call_output(call, "branch", &out, &err), RNND_OK);
        assert_int_equal(rnnd_call_output(call, "sum", &out, &err), RNND_OK);
        assert_true(*(float *)out.data == cases[i].x[0] + cases[i].x[1] + cases[i].x[2]);
    }
    rnnd_call_close(call);
    rnnd_model_close(m);
}

/* Graphs that fuzzing starts from: they open, one as a recurrent network, one with a state. */
static void kept(void **unused)
{
    (void)unused;
    static const struct {
        const char *file;
        rnnd_mode mode;
        size_t window, inputs, h;
    } cases[] = {{"branches", RNND_CARRY, 0, 1, 0}, {"cell", RNND_SLIDING, 4, 1, 2}, {"steps", RNND_CARRY, 0, 1, 0}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char path[100], text[TEXT] = "";
        snprintf(path, sizeof path, "tests/vectors/graph/%s.graph.json", cases[i].file);
        FILE *f = fopen(path, "rb");
        assert_non_null(f);
        assert_true(fread(text, 1, sizeof text - 1, f) > 100);
        fclose(f);
        rnnd_model *m = builder_open(&builder, text, NULL);
        const rnnd_info *info = rnnd_model_info(m);
        assert_int_equal(info->mode, cases[i].mode);
        assert_int_equal(info->window, cases[i].window);
        assert_int_equal(info->input_count, cases[i].inputs);
        assert_int_equal(info->h_width, cases[i].h);
        assert_int_equal(info->streamable, i > 0);
        rnnd_model_close(m);
    }
}

/* ---- what is refused ---- */

#define INPUT "{\"name\":\"x\",\"shape\":[null,3]}"
#define NODE "{\"op\":\"Abs\",\"inputs\":[\"x\"],\"outputs\":[\"y\"]}"
#define OUTPUT "\"y\""
/* A graph whose parts are as they should be, but for one. */
#define GRAPH(inputs, nodes, outputs, more)                                                                            \
    "{\"format\":1,\"graph\":{\"inputs\":[" inputs "],\"nodes\":[" nodes "],\"outputs\":[" outputs "]" more "}}"
#define INPUTS(inputs) GRAPH(inputs, NODE, OUTPUT, "")
#define NODES(nodes) GRAPH(INPUT, nodes, OUTPUT, "")
#define OUTPUTS(outputs) GRAPH(INPUT, NODE, outputs, "")
#define MORE(more) GRAPH(INPUT, NODE, OUTPUT, "," more)
#define ATTRIBUTES(op, list) NODES("{\"op\":\"" op "\",\"inputs\":[\"x\"],\"outputs\":[\"y\"],\"attributes\":" list "}")
#define IF(then, other) "{\"op\":\"If\",\"inputs\":[\"flag\"],\"outputs\":[\"y\"],\"bodies\":[" then "," other "]}"
#define BRANCH(nodes, outputs) "{\"nodes\":[" nodes "],\"outputs\":[" outputs "]}"
#define MADE "{\"op\":\"Abs\",\"inputs\":[\"x\"],\"outputs\":[\"made\"]}"

static const struct {
    const char *config, *says;
} refusals[] = {
    {INPUTS(""), "inputs: wanted a list of 1 to 16"},
    {GRAPH("{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{}", NODE, OUTPUT, ""), "found an array of 17"},
    {"{\"format\":1,\"graph\":{\"inputs\":3,\"nodes\":[" NODE "],\"outputs\":[\"y\"]}}", "inputs: wanted a list"},
    {"{\"format\":1,\"graph\":{\"inputs\":[" INPUT "],\"outputs\":[\"y\"]}}", "\"y\""},
    {"{\"format\":1,\"graph\":{\"inputs\":[" INPUT "],\"nodes\":[" NODE "]}}", "outputs: wanted a list of 1 to 16"},
    {INPUTS("3"), "an input of the graph: wanted an object"},
    {INPUTS("{\"shape\":[3]}"), "inputs: wanted a new name, found nothing"},
    {INPUTS("{\"name\":\"\"}"), "wanted a new name, found \"\""},
    {INPUTS("{\"name\":\"w\"}"), "wanted a new name, found \"w\""},
    {INPUTS(INPUT "," INPUT), "wanted a new name, found \"x\""},
    {INPUTS("{\"name\":\"x\",\"width\":3}"), "unknown key \"width\""},
    {INPUTS("{\"name\":\"x\",\"dtype\":\"F16\"}"), "F16"},
    {INPUTS("{\"name\":\"x\",\"shape\":3}"), "\"x\", shape: wanted a list"},
    {INPUTS("{\"name\":\"x\",\"shape\":[1,2,3,4,5,6,7,8,9]}"), "shape: wanted a list of 0 to 8"},
    {INPUTS("{\"name\":\"x\",\"shape\":[0]}"), "shape: wanted whole numbers from 1 on"},
    {INPUTS("{\"name\":\"x\",\"shape\":[1e18]}"), "shape: wanted whole numbers from 1 on"},
    {INPUTS("{\"name\":\"x\",\"shape\":[3],\"axes\":[\"batch\",\"feature\"]}"), "wanted as many axes as its shape has"},
    {INPUTS("{\"name\":\"x\",\"axes\":[\"batch\"]}"), "wanted as many axes as its shape has"},
    {INPUTS("{\"name\":\"x\",\"shape\":[3,3],\"axes\":[\"time\",\"time\"]}"), "once each at most"},
    {INPUTS("{\"name\":\"x\",\"shape\":[3],\"axes\":[\"space\"]}"), "\"axes\" are"},
    {INPUTS("{\"name\":\"x\",\"shape\":[3],\"ids\":7}"), "\"ids\" are of dtype I64"},
    {NODES("[]"), "a node: wanted an object"},
    {NODES("{\"op\":\"Abs\",\"input\":[\"x\"],\"outputs\":[\"y\"]}"), "unknown key \"input\""},
    {NODES("{\"name\":\"n\",\"inputs\":[\"x\"],\"outputs\":[\"y\"]}"), "there is no tensor operator \"\""},
    {NODES("{\"op\":\"Hyper\",\"inputs\":[\"x\"],\"outputs\":[\"y\"]}"), "there is no tensor operator \"Hyper\""},
    {NODES("{\"op\":\"lstm\",\"inputs\":[\"x\"],\"outputs\":[\"y\"]}"), "there is no tensor operator \"lstm\""},
    {NODES("{\"op\":\"Abs\",\"inputs\":\"x\",\"outputs\":[\"y\"]}"), "node \"Abs\", inputs: wanted a list"},
    {NODES("{\"op\":\"Abs\",\"inputs\":[\"x\"]}"), "node \"Abs\", outputs: wanted a list of 1 to"},
    {NODES("{\"op\":\"Abs\",\"inputs\":[3],\"outputs\":[\"y\"]}"), "found a number"},
    {NODES("{\"op\":\"Abs\",\"inputs\":[\"q\"],\"outputs\":[\"y\"]}"), "node \"Abs\", inputs: wanted the name of an"},
    {NODES("{\"op\":\"Abs\",\"inputs\":[\"y\"],\"outputs\":[\"y\"]}"), "found \"y\""},
    {NODES("{\"op\":\"Abs\",\"inputs\":[\"z\"],\"outputs\":[\"y\"]},{\"op\":\"Abs\",\"inputs\":[\"y\"],\"outputs\":["
           "\"z\"]}"),
     "found \"z\""}, /* in a circle */
    {NODES("{\"op\":\"Abs\",\"inputs\":[\"x\"],\"outputs\":[\"x\"]}"), "outputs: wanted a new name, found \"x\""},
    {NODES("{\"op\":\"Abs\",\"inputs\":[\"x\"],\"outputs\":[\"w\"]}"), "outputs: wanted a new name, found \"w\""},
    {NODES(NODE "," NODE), "outputs: wanted a new name, found \"y\""},
    {NODES(NODE ",{\"op\":\"Abs\",\"inputs\":[\"x\"],\"outputs\":[\"\"]}"), "has one output, it is not named"},
    {NODES("{\"op\":\"Abs\",\"inputs\":[],\"outputs\":[\"y\"]}"), "takes 1 to 1 inputs, it has 0"},
    {ATTRIBUTES("Abs", "3"), "wanted an object, found a number"},
    {ATTRIBUTES("Abs", "{\"alpha\":1}"), "Abs has no attribute \"alpha\""},
    {ATTRIBUTES("Elu", "{\"alpha\":null}"), "node \"Elu\", attribute \"alpha\": wanted a number"},
    {ATTRIBUTES("Elu", "{\"alpha\":[1,\"a\"]}"), "attribute \"alpha\": wanted a number, a string or a list"},
    {ATTRIBUTES("Elu", "{\"alpha\":[[1]]}"), "attribute \"alpha\": wanted a number"},
    {ATTRIBUTES("Elu", "{\"alpha\":1e40}"), "attribute \"alpha\": wanted a number"},
    {ATTRIBUTES("Elu", "{\"alpha\":{\"double\":1}}"), "attribute \"alpha\": wanted what"},
    {ATTRIBUTES("Elu", "{\"alpha\":{\"float\":[1]}}"), "attribute \"alpha\": wanted what"},
    {ATTRIBUTES("Elu", "{\"alpha\":{\"float\":1,\"floats\":[]}}"), "attribute \"alpha\": wanted a number"},
    {NODES("{\"op\":\"LSTM\",\"inputs\":[\"x\",\"W\",\"R\"],\"outputs\":[\"y\"],\"attributes\":{\"hidden_size\":2,"
           "\"activation_alpha\":[1,2]}}"),
     "\"activation_alpha\" must be a list of floats"},
    {NODES("{\"op\":\"Abs\",\"inputs\":[\"x\"],\"outputs\":[\"y\"],\"bodies\":[]}"), "Abs has no bodies"},
    {NODES(IF("3", "3")), "a body: wanted an object"},
    {NODES("{\"op\":\"If\",\"inputs\":[\"flag\"],\"outputs\":[\"y\"],\"bodies\":[{},{},{}]}"), "bodies: wanted a list"},
    {NODES("{\"op\":\"If\",\"inputs\":[\"flag\"],\"outputs\":[\"y\"]}"), "wanted two branches, found 0"},
    {NODES(IF(BRANCH(MADE, "\"made\""), "{\"nodes\":[],\"outputs\":[]}")), "a body of node \"If\", outputs: wanted a"},
    {NODES(IF(BRANCH(MADE, "\"made\""), BRANCH("", "\"made\""))), "found \"made\""}, /* of its sister */
    {NODES(IF(BRANCH(MADE, "\"made\""), BRANCH("", "\"\""))), "outputs: wanted a name"},
    {NODES(IF(BRANCH(MADE, "\"made\""), BRANCH("", "\"y\""))), "found \"y\""}, /* of its owner */
    {NODES(IF(BRANCH(MADE, "\"made\""), "{\"inputs\":[\"x\"],\"outputs\":[\"x\"]}")), "inputs: wanted a new name"},
    {NODES(IF(BRANCH(MADE, "\"made\""), "{\"inputs\":[\"a\"],\"outputs\":[\"a\"]}")), "wanted branches with no input"},
    {GRAPH(INPUT, IF(BRANCH(MADE, "\"made\""), BRANCH(MADE, "\"made\"")), "\"made\"", ""), "found \"made\""},
    {OUTPUTS("\"z\""), "graph, outputs: wanted the name of an input, an earlier output or a tensor, found \"z\""},
    {OUTPUTS("\"\""), "outputs: wanted a name"},
    {OUTPUTS("7"), "an output of the graph: wanted an object, found 7"},
    {OUTPUTS("{\"value\":\"y\"}"), "outputs: wanted a name, found nothing"},
    {OUTPUTS("{\"name\":\"z\",\"value\":\"x\"}"), "outputs: wanted another \"value\" than an input"},
    {OUTPUTS("\"y\",{\"name\":\"z\",\"value\":\"y\"}"), "outputs: wanted one name for each value, found \"z\""},
    {OUTPUTS("\"y\",{\"name\":\"y\",\"value\":\"w\"}"), "outputs: wanted one name for each value, found \"y\""},
    {OUTPUTS("{\"name\":\"y\",\"ids\":3}"), "unknown key \"ids\""},
    {MORE("\"edges\":[]"), "graph: unknown key \"edges\""},
    {MORE("\"names\":[\"z\"]"), "names: wanted the name of an input"},
    {MORE("\"names\":[{\"name\":\"z\"}]"), "names: wanted the name of an input"},
    {MORE("\"names\":[{\"value\":\"y\"}]"), "names: wanted a name"},
    {MORE("\"names\":{}"), "names: wanted a list"},
    {MORE("\"layers\":[3]"), "a layer of the graph: wanted an object"},
    {MORE("\"layers\":[{\"parameters\":-1}]"), "\"parameters\" must be a whole number"},
    {MORE("\"window\":0.5"), "\"window\" must be a whole number"},
    {MORE("\"stateful\":1"), "\"stateful\" must be true or false"},
    {MORE("\"framework\":1"), "framework"},
    {"{\"format\":1,\"layers\":[],\"graph\":{\"inputs\":[" INPUT "],\"nodes\":[" NODE "],\"outputs\":[\"y\"]}}",
     "wanted either \"layers\" or \"graph\""},
    {"{\"format\":1,\"inputs\":[{\"name\":\"x\",\"ids\":3}],\"graph\":{\"inputs\":[" INPUT "],\"nodes\":[" NODE
     "],\"outputs\":[\"y\"]}}",
     "unknown key \"ids\""}, /* above, inputs are bound and turned as those of a file are */
    {"{\"format\":1,\"inputs\":[{\"name\":\"x\",\"value\":3,\"width\":3}],\"graph\":{\"inputs\":["
     "{\"name\":\"x\",\"shape\":[null]}],\"nodes\":[" NODE "],\"outputs\":[\"y\"]}}",
     ""},
    {"{\"format\":1,\"inputs\":[{\"name\":\"n\",\"value\":7e109}],\"graph\":{\"inputs\":[" INPUT
     ",{\"name\":\"n\",\"dtype\":\"I64\",\"shape\":[]}],\"nodes\":[" NODE "],\"outputs\":[\"y\"]}}",
     "input \"n\": \"value\" must be a whole number, found 7e+109"},
    {"{\"format\":1,\"states\":[{\"in\":\"x\",\"out\":\"z\"}],\"graph\":{\"inputs\":[" INPUT "],\"nodes\":[" NODE
     "],\"outputs\":[\"y\"]}}",
     "found \"x\" and \"z\""},
};

static void refused(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
        rnnd_error err = {0};
        rnnd_code code = builder_refused(&builder, refusals[i].config, &err);
        if (code != RNND_MISMATCH && code != RNND_UNSUPPORTED) fail_msg("%s: %d", refusals[i].config, code);
        if (!strstr(err.message, refusals[i].says)) fail_msg("%s\n%s", refusals[i].config, err.message);
    }
}

/* Bodies within bodies; n of them are fine. */
static rnnd_code nest(int n, rnnd_error *err)
{
    char *text = calloc(1, TEXT * 4);
    strcpy(text, "{\"format\":1,\"graph\":{\"inputs\":[" INPUT "],\"nodes\":[");
    for (int i = 0; i < n; i++)
        sprintf(text + strlen(text),
                "{\"op\":\"If\",\"inputs\":[\"flag\"],\"outputs\":[\"y%d\"],\"bodies\":[" BRANCH(
                    MADE, "\"made\"") ",{\"nodes\":[",
                i);
    strcat(text, "{\"op\":\"Abs\",\"inputs\":[\"x\"],\"outputs\":[\"in\"]}");
    for (int i = n - 1; i >= 0; i--)
        sprintf(text + strlen(text), i == n - 1 ? "],\"outputs\":[\"in\"]}]}" : "],\"outputs\":[\"y%d\"]}]}", i + 1);
    strcat(text, "],\"outputs\":[\"y0\"]}}");
    rnnd_model *m = NULL;
    size_t bytes;
    void *image = builder_image(&builder, text, &bytes);
    rnnd_code code = rnnd_model_open_memory(image, bytes, "nest", NULL, &m, err);
    mem_free(image);
    rnnd_model_close(m);
    free(text);
    return code;
}

static void too_much(void **unused)
{
    (void)unused;
    rnnd_error err = {0};
    if (nest(8, &err)) fail_msg("%s", err.message);
    assert_int_equal(nest(9, &err), RNND_TOO_LARGE);
    assert_non_null(strstr(err.message, "more than 8 deep"));
    size_t nodes = 65537, at = 0;
    char *text = malloc(3 * nodes + 300);
    at += (size_t)sprintf(text, "{\"format\":1,\"graph\":{\"inputs\":[" INPUT "],\"nodes\":[{}");
    for (size_t i = 1; i < nodes; i++)
        at += (size_t)sprintf(text + at, ",{}");
    sprintf(text + at, "],\"outputs\":[\"y\"]}}");
    assert_int_equal(builder_refused(&builder, text, &err), RNND_MISMATCH);
    assert_non_null(strstr(err.message, "nodes: wanted a list of 0 to 65536, found an array of 65537"));
    free(text);
}

int main(void)
{
    static const float w[] = {1, 2, 3, 4, 5, 6}, W[24] = {0.5f, -0.25f, 1}, R[16] = {0.25f, -1}, B[16] = {1, 0.5f};
    static const int64_t pick[] = {2, 0}, one = 1;
    static const uint8_t flag = 1;
    static const uint16_t half = 0x3800; /* 0.5 */
    builder_init(&builder, 1);
    builder_tensor(&builder, "w", w, 0, 2, 3, 2, 0);
    builder_tensor(&builder, "W", W, 0, 3, 1, 8, 3);
    builder_tensor(&builder, "R", R, 0, 3, 1, 8, 2);
    builder_tensor(&builder, "B", B, 0, 2, 1, 16, 0);
    add_stored("one", STORED_I64, 1, 1, &one, sizeof one);
    add_stored("flag", STORED_BOOL, 0, 0, &flag, 1);
    add_stored("pick", STORED_I64, 1, 2, pick, sizeof pick);
    add_stored("half", STORED_F16, 0, 0, &half, 2);
    const struct CMUnitTest tests[] = {cmocka_unit_test(computed), cmocka_unit_test(kept), cmocka_unit_test(refused),
                                       cmocka_unit_test(too_much)};
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    builder_free(&builder);
    return failed;
}
