/* test_config.c -- what a configuration may say: every refusal names the key, the layer or the tensor. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "core/base/mem.h"
#include "core/model/config.h"
#include "tests/lib/build_model.h"

#define HEAD "\"format\":1,\"inputs\":[{\"name\":\"x\",\"width\":3}]"
#define LSTM "{\"type\":\"lstm\",\"name\":\"n\",\"hidden\":4}"

static void builder(struct model_builder *b)
{
    builder_init(b, 1);
    builder_torch(b, "n", 4, 3, 4, 1, false, 0);
    builder_tensor(b, "d.weight", NULL, 1, 2, 2, 4, 0);
    builder_tensor(b, "d.bias", NULL, 1, 1, 2, 0, 0);
    builder_tensor(b, "e.weight", NULL, 1, 2, 5, 3, 0);
}

static void refusals(void **unused)
{
    (void)unused;
    static const struct {
        const char *config, *says;
    } cases[] = {
        {"[]", "object"},
        {"{\"format\":1", "configuration"},
        {"{}", "format"},
        {"{\"format\":2}", "format"},
        {"{\"format\":1}", "layers"},
        {"{" HEAD ",\"layers\":[" LSTM "],\"leyers\":1}", "leyers"},
        {"{" HEAD ",\"layers\":[" LSTM "],\"task\":\"speech\"}", "task"},
        {"{" HEAD ",\"layers\":[" LSTM "],\"mode\":\"slide\"}", "mode"},
        {"{" HEAD ",\"layers\":[" LSTM "],\"mode\":\"sliding\"}", "window"},
        {"{" HEAD ",\"layers\":[" LSTM "],\"window\":3}", "window"},
        {"{" HEAD ",\"layers\":[" LSTM "],\"output\":\"first\"}", "output"},
        {"{" HEAD ",\"layers\":[" LSTM "],\"name\":5}", "name"},
        {"{" HEAD ",\"layers\":[" LSTM "],\"metrics\":5}", "metrics"},
        {"{" HEAD ",\"layers\":[" LSTM "],\"states\":[]}", "states"},
        {"{" HEAD ",\"layers\":[" LSTM "],\"graph\":{}}", "graph"},
        {"{" HEAD ",\"layers\":[" LSTM "],\"golden\":{\"inputs\":\"gx\"}}", "golden"},
        {"{" HEAD ",\"layers\":[" LSTM "],\"golden\":{\"inputs\":\"gx\",\"outputs\":\"gy\"}}", "gx"},
        {"{" HEAD ",\"layers\":[" LSTM "],\"text\":{}}", "text"},
        {"{" HEAD ",\"layers\":[" LSTM "],\"series\":{}}", "series"},
        {"{" HEAD ",\"layers\":[]}", "layers"},
        {"{" HEAD ",\"layers\":[5]}", "type"},
        {"{" HEAD ",\"layers\":[{\"type\":\"lsmt\"}]}", "lsmt"},
        {"{" HEAD ",\"layers\":[{\"type\":\"lstm\",\"name\":\"n\"}]}", "hidden"},
        {"{" HEAD ",\"layers\":[{\"type\":\"lstm\",\"name\":\"n\",\"hidden\":0}]}", "hidden"},
        {"{" HEAD ",\"layers\":[{\"type\":\"lstm\",\"name\":\"n\",\"hidden\":1e9}]}", "hidden"},
        {"{" HEAD ",\"layers\":[{\"type\":\"lstm\",\"name\":\"n\",\"hidden\":4,\"hiden\":4}]}", "hiden"},
        {"{" HEAD ",\"layers\":[{\"type\":\"lstm\",\"name\":\"n\",\"hidden\":5}]}",
         "wanted shape [20, 3], found [16, 3]"},
        {"{" HEAD ",\"layers\":[{\"type\":\"lstm\",\"name\":\"m\",\"hidden\":4}]}", "m.weight_ih_l0"},
        {"{" HEAD ",\"layers\":[{\"type\":\"lstm\",\"name\":\"n\",\"hidden\":4,\"layers\":2}]}", "n.weight_ih_l1"},
        {"{" HEAD ",\"layers\":[{\"type\":\"lstm\",\"name\":\"n\",\"hidden\":4,\"direction\":\"bidirectional\"}]}",
         "n.weight_ih_l0_reverse"},
        {"{" HEAD ",\"layers\":[{\"type\":\"lstm\",\"name\":\"n\",\"hidden\":4,\"direction\":\"back\"}]}", "direction"},
        {"{" HEAD ",\"layers\":[{\"type\":\"lstm\",\"name\":\"n\",\"hidden\":4,\"layout\":\"jax\"}]}", "layout"},
        {"{" HEAD ",\"layers\":[{\"type\":\"lstm\",\"name\":\"n\",\"hidden\":4,\"peephole\":true}]}", "n.peephole"},
        {"{" HEAD ",\"layers\":[{\"type\":\"lstm\",\"name\":\"n\",\"hidden\":4,\"clip\":-1}]}", "clip"},
        {"{" HEAD ",\"layers\":[{\"type\":\"lstm\",\"name\":\"n\",\"hidden\":4,\"reset\":\"after\"}]}", "reset"},
        {"{" HEAD ",\"layers\":[{\"type\":\"lstm\",\"name\":\"n\",\"hidden\":4,\"activations\":{\"gate\":\"sig\"}}]}",
         "sig"},
        {"{" HEAD ",\"layers\":[{\"type\":\"lstm\",\"name\":\"n\",\"hidden\":4,\"activations\":{\"gates\":\"tanh\"}}]}",
         "gates"},
        {"{" HEAD ",\"layers\":[{\"type\":\"lstm\",\"name\":\"n\",\"hidden\":4,\"activations\":{\"out\":{\"type\":"
                  "\"tanh\",\"alpha\":2}}}]}",
         "tanh takes no other alpha"},
        {"{" HEAD ",\"layers\":[{\"type\":\"gru\",\"name\":\"n\",\"hidden\":4,\"activations\":{\"out\":\"relu\"}}]}",
         "layer \"n\": unknown key \"out\""},
        {"{" HEAD ",\"layers\":[{\"type\":\"rnn\",\"name\":\"n\",\"hidden\":4,\"activations\":{\"cell\":\"relu\"}}]}",
         "layer \"n\": unknown key \"activations\""},
        {"{" HEAD ",\"layers\":[{\"type\":\"lstm\",\"name\":\"n\",\"hidden\":4,\"initial\":{\"h\":\"d.bias\"}}]}",
         "d.bias"},
        {"{" HEAD ",\"layers\":[{\"type\":\"lstm\",\"name\":\"n\",\"hidden\":4,\"initial\":{\"x\":\"d.bias\"}}]}",
         "\"x\""},
        {"{" HEAD ",\"layers\":[{\"type\":\"lstm\",\"name\":\"n\",\"hidden\":4,\"tensors\":{\"weight_ih\":\"w\"}}]}",
         "\"w\""},
        {"{" HEAD
         ",\"layers\":[{\"type\":\"lstm\",\"name\":\"n\",\"hidden\":4,\"tensors\":{\"weight_hi\":\"n.bias_hh_l0\"}}]}",
         "weight_hi"},
        {"{" HEAD ",\"layers\":[{\"type\":\"lstm\",\"name\":\"n\",\"hidden\":4,\"sequences\":false}]}", "sequences"},
        {"{" HEAD ",\"layers\":[" LSTM "," LSTM "]}", "two layers or inputs are named \"n\""},
        {"{" HEAD ",\"layers\":[{\"type\":\"lstm\",\"name\":\"x\",\"hidden\":4}]}", "\"x\""},
        {"{" HEAD ",\"layers\":[" LSTM ",{\"type\":\"dense\",\"name\":\"d\",\"inputs\":[\"m\"]}]}", "\"m\""},
        {"{" HEAD ",\"layers\":[" LSTM ",{\"type\":\"dense\",\"name\":\"d\",\"inputs\":[\"d\"]}]}", "\"d\""},
        {"{" HEAD ",\"layers\":[" LSTM ",{\"type\":\"dense\",\"name\":\"d\",\"inputs\":[\"x\"]}]}",
         "layer \"n\": nothing reads it"},
        {"{" HEAD ",\"layers\":[" LSTM ",{\"type\":\"dense\",\"name\":\"d\",\"inputs\":[\"n\",\"x\"]}]}",
         "1 to 1 inputs, found 2"},
        {"{" HEAD ",\"layers\":[" LSTM ",{\"type\":\"dense\",\"name\":\"d\",\"units\":3}]}", "units"},
        {"{" HEAD ",\"layers\":[" LSTM ",{\"type\":\"add\",\"inputs\":[\"n\",\"x\"]}]}", "widths 4 and 3"},
        {"{" HEAD ",\"layers\":[" LSTM ",{\"type\":\"add\"}]}", "inputs"},
        {"{" HEAD ",\"layers\":[" LSTM ",{\"type\":\"slice\",\"start\":2,\"end\":2}]}", "end"},
        {"{" HEAD ",\"layers\":[" LSTM ",{\"type\":\"layer_norm\",\"name\":\"d\"}]}", "d.weight"},
        {"{" HEAD ",\"layers\":[" LSTM ",{\"type\":\"activation\"}]}", "activation"},
        {"{" HEAD ",\"layers\":[{\"type\":\"embedding\",\"name\":\"e\"}]}", "input of ids"},
        {"{\"format\":1,\"inputs\":[{\"ids\":6}],\"layers\":[{\"type\":\"embedding\",\"name\":\"e\"}]}",
         "6 ids, found 5"},
        {"{\"format\":1,\"inputs\":[{\"ids\":6,\"width\":1}],\"layers\":[{\"type\":\"embedding\",\"name\":\"e\"}]}",
         "either"},
        {"{\"format\":1,\"inputs\":[{\"name\":\"a\"}],\"layers\":[" LSTM "]}", "either"},
        {"{\"format\":1,\"inputs\":[],\"layers\":[" LSTM "]}", "inputs"},
        {"{\"format\":1,\"layers\":[" LSTM "]}", "inputs"},
        {"{\"format\":1,\"inputs\":[{\"name\":\"a\",\"width\":3},{\"name\":\"a\",\"width\":3}],\"layers\":[" LSTM "]}",
         "\"a\""},
        {"{\"format\":1,\"inputs\":[{\"name\":\"a\",\"width\":3},{\"name\":\"b\",\"width\":3}],\"layers\":[" LSTM "]}",
         "first layer must name"},
    };
    struct model_builder b;
    builder(&b);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        rnnd_error err;
        builder_refused(&b, cases[i].config, &err);
        if (!strstr(err.message, cases[i].says))
            fail_msg("%s\n%s\nwanted: %s", cases[i].config, err.message, cases[i].says);
    }
    rnnd_model_close(builder_open(&b, "{" HEAD ",\"layers\":[" LSTM "],\"x_note\":{\"any\":1},\"window\":null}", NULL));
    builder_free(&b);
}

static rnnd_code parse(const char *text, struct arena *a, struct config *c, rnnd_error *err)
{
    memset(err, 0, sizeof *err);
    arena_init(a, 1 << 20);
    return config_parse(text, strlen(text), false, a, c, err);
}

static void text_tasks(void **unused)
{
    (void)unused;
    struct arena a;
    struct config c;
    rnnd_error err;
    static const char good[] =
        "{\"format\":1,\"task\":\"text\",\"layers\":[],\"text\":{\"tokenizer\":\"chars\",\"symbols\":[\"a\","
        "\"\xc3\xa9\",\"?\"],"
        "\"unknown\":\"?\",\"begin\":\"a\",\"end\":1,"
        "\"chat\":{\"user\":{\"prefix\":\"U:\",\"suffix\":\"\\n\"},\"assistant\":{\"prefix\":\"A:\"},"
        "\"system\":{\"suffix\":\"\\n\\n\"},\"opening\":\"O\",\"stop\":[\"U:\",\"\\n\\n\"],\"min_bytes\":24}}}";
    if (parse(good, &a, &c, &err)) fail_msg("%s", err.message);
    assert_int_equal(c.task, RNND_TEXT);
    assert_string_equal(c.texts.tokenizer, "chars");
    assert_int_equal(c.texts.symbol_count, 3);
    assert_string_equal(c.texts.symbols[1], "\xc3\xa9");
    assert_int_equal(c.texts.unknown, 2);
    assert_true(c.texts.has_begin && c.texts.begin == 0 && c.texts.has_end && c.texts.end == 1);
    assert_true(c.texts.chat);
    assert_string_equal(c.texts.user_prefix, "U:");
    assert_string_equal(c.texts.assistant_suffix, "");
    assert_string_equal(c.texts.system_suffix, "\n\n");
    assert_int_equal(c.texts.turn_stop_count, 2);
    assert_int_equal(c.texts.turn_min_bytes, 24);
    config_free(&c);
    arena_free(&a);
    static const char *const bad[][2] = {
        {"{}", "tokenizer"},
        {"{\"tokenizer\":\"bpe\"}", "tokenizer"},
        {"{\"tokenizer\":\"chars\"}", "symbols"},
        {"{\"tokenizer\":\"bytes\",\"symbols\":[\"a\"]}", "symbols"},
        {"{\"tokenizer\":\"chars\",\"symbols\":[\"a\",5]}", "symbols"},
        {"{\"tokenizer\":\"chars\",\"symbols\":[\"a\"],\"unknown\":\"b\"}", "unknown"},
        {"{\"tokenizer\":\"chars\",\"symbols\":[\"a\"],\"begin\":\"b\"}", "begin"},
        {"{\"tokenizer\":\"chars\",\"symbols\":[\"a\"],\"end\":1}", "end"},
        {"{\"tokenizer\":\"bytes\",\"unknown\":3}", "unknown"},
        {"{\"tokenizer\":\"bytes\",\"chat\":{\"users\":{}}}", "users"},
        {"{\"tokenizer\":\"bytes\",\"chat\":{\"user\":{\"pre\":\"x\"}}}", "pre"},
        {"{\"tokenizer\":\"bytes\",\"chat\":{\"system\":{\"prefix\":\"x\"}}}", "system"},
        {"{\"tokenizer\":\"bytes\",\"chat\":{\"stop\":\"x\"}}", "stop"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char text[TEXT] = "";
        text_add(text, "{\"format\":1,\"task\":\"text\",\"layers\":[],\"text\":%s}", bad[i][0]);
        assert_int_equal(parse(text, &a, &c, &err), RNND_MISMATCH);
        if (!strstr(err.message, bad[i][1])) fail_msg("%s: %s", bad[i][0], err.message);
        arena_free(&a);
    }
}

static void series_tasks(void **unused)
{
    (void)unused;
    struct arena a;
    struct config c;
    rnnd_error err;
    static const char good[] =
        "{\"format\":1,\"task\":\"series\",\"layers\":[],\"series\":{\"channels\":[{\"name\":\"t\",\"scaler\":"
        "{\"type\":\"standard\",\"mean\":3,\"std\":2},\"min\":0},{\"scaler\":{\"type\":\"log1p\",\"shift\":1,\"scale\":"
        "4,\"unit\":10}}],"
        "\"baseline\":{\"type\":\"seasonal\",\"period\":336,\"smoothing\":0.25},\"running\":{\"decay\":0.9},"
        "\"missing\":{\"policy\":\"last\",\"limit\":5},\"features\":[{\"type\":\"value\"},{\"type\":\"next_baseline\"},"
        "{\"type\":\"lag\",\"lag\":48},{\"type\":\"level\",\"lag\":12}],\"horizon\":48,\"quantiles\":[0.1,0.5,0.9],"
        "\"residual\":true,"
        "\"warmup\":336,\"frequency\":\"30min\"}}";
    if (parse(good, &a, &c, &err)) fail_msg("%s", err.message);
    const struct series_config *s = &c.series;
    assert_int_equal(s->channel_count, 2);
    assert_true(s->channels[0].a == 3 && s->channels[0].b == 2 && s->channels[0].clamp_min &&
                !s->channels[0].clamp_max);
    assert_true(s->channels[1].scaler == SCALER_LOG1P && s->channels[1].unit == 10 && s->channels[1].b == 4);
    assert_string_equal(s->channels[1].name, "1");
    assert_true(s->baseline == BASELINE_SEASONAL && s->period == 336 && s->smoothing == 0.25f);
    assert_true(s->missing == MISSING_LAST && s->missing_limit == 5 && s->running_decay == 0.9f);
    assert_true(s->feature_count == 4 && s->features[1].lag == 1 && s->features[2].lag == 48 &&
                s->features[3].kind == FEATURE_LEVEL);
    assert_true(s->horizon == 48 && s->quantile_count == 3 && s->residual_output && s->warmup == 336);
    config_free(&c);
    arena_free(&a);
    static const char *const bad[][2] = {
        {"{}", "channels"},
        {"{\"channels\":[]}", "channels"},
        {"{\"channels\":[{\"scaler\":{\"type\":\"robust\"}}]}", "type"},
        {"{\"channels\":[{\"scaler\":{\"type\":\"standard\",\"min\":1}}]}", "min"},
        {"{\"channels\":[{\"name\":\"a\"},{\"name\":\"a\"}]}", "\"a\""},
        {"{\"channels\":[{}],\"baseline\":{\"type\":\"seasonal\"}}", "period"},
        {"{\"channels\":[{}],\"features\":[{\"type\":\"hour\"}]}", "type"},
        {"{\"channels\":[{}],\"features\":[]}", "features"},
        {"{\"channels\":[{}],\"quantiles\":[0.5,0.1]}", "quantiles"},
        {"{\"channels\":[{}],\"quantiles\":[0.5,1]}", "quantiles"},
        {"{\"channels\":[{}],\"horizon\":0}", "horizon"},
        {"{\"channels\":[{}],\"missing\":{\"policy\":\"zero\"}}", "policy"},
        {"{\"channels\":[{}],\"seasonality\":1}", "seasonality"},
        {"{\"channels\":[{}],\"running\":{\"decay\":\"x\"}}", "decay"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char text[TEXT] = "";
        text_add(text, "{\"format\":1,\"task\":\"series\",\"layers\":[],\"series\":%s}", bad[i][0]);
        assert_int_equal(parse(text, &a, &c, &err), RNND_MISMATCH);
        if (!strstr(err.message, bad[i][1])) fail_msg("%s: %s", bad[i][0], err.message);
        arena_free(&a);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(refusals), cmocka_unit_test(text_tasks),
                                       cmocka_unit_test(series_tasks)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
