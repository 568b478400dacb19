/* verify.c -- `rnnd verify`: does a model answer what its framework did? */
#include "core/cli/run.h"

static rnnd_code check(struct run_job *j, const char *expect, double tolerance, bool *good, rnnd_error *err)
{
    struct array want = {0}, *got = &j->out[0].array;
    char a[ARRAY_MAX_RANK * 24], b[ARRAY_MAX_RANK * 24];
    rnnd_code code = run_load(j, err);
    if (code == RNND_OK)
        code = array_load(expect, &want, err);
    if (code == RNND_OK)
        code = run_network(j, err);
    if (code == RNND_OK && !array_same_shape(got, &want))
        code = cli_error(err, RNND_MISMATCH, "the output has shape %s, %.200s has %s", array_shape(got, a), expect,
                         array_shape(&want, b));
    if (code == RNND_OK) {
        struct array_difference d = array_compare(got, &want);
        double allowed = tolerance * (d.largest > 1 ? d.largest : 1);
        *good = d.worst <= allowed;
        printf("max error  %.3g\nallowed    %.3g\n", d.worst, allowed);
        if (d.worst > 0)
            printf("worst      %s: %.9g, wanted %.9g\n", array_place(&want, d.at, a), d.got, d.want);
        printf("%s\n", *good ? "ok" : "FAILED");
    }
    array_free(&want);
    return code;
}

static int verify_model(const char *name, const char *config, const rnnd_options *how, struct run_job *j,
                        const char *expect, double tolerance)
{
    rnnd_model *model;
    rnnd_error err;
    bool good = false;
    if (cli_open_model_as(name, config, how, &model, &err) != RNND_OK)
        return cli_fail_model("verify", &err);
    j->model = model;
    rnnd_code code = check(j, expect, tolerance, &good, &err);
    rnnd_model_close(model);
    if (code == RNND_UNSUPPORTED || code == RNND_CONFLICT)
        return cli_fail_model("verify", &err);
    return code != RNND_OK ? cli_fail("verify", &err) : good ? CLI_OK : CLI_FAILED;
}

static int verify(int argc, char **argv)
{
    struct cli_list in = {.count = 0}, out = {.count = 0};
    const char *expect = NULL, *config = NULL, *output = NULL, *name;
    double tolerance = 1e-5;
    rnnd_options how = {NULL};
    const struct cli_option options[] = {
        {"input", 'i', CLI_LIST, &in, "[NAME=]FILE", "an input: .npy, .csv or .json; without NAME the only one"},
        {"expect", 'e', CLI_TEXT, &expect, "FILE", "what the framework answered"},
        {"output", 'o', CLI_TEXT, &output, "NAME", "the output, layer or value meant (default: the first output)"},
        {"tolerance", 't', CLI_NUMBER, &tolerance, "NUMBER", "allowed per 1 of the largest expected (default 1e-5)"},
        {"config", 0, CLI_TEXT, &config, "FILE", "the model's configuration, instead of NAME.rnnd.json beside it"},
        {"accept-guesses", 0, CLI_FLAG, &how.accept_guesses, NULL, "run what the file does not say as it was guessed"},
        {"precision", 0, CLI_TEXT, &how.precision, "NAME", "of weights: fp32, bf16, int8; `rnnd inspect` measures it"},
        {"force-precision", 0, CLI_FLAG, &how.force_precision, NULL, "even where outputs differ by more than a tenth"},
        {0}};
    const struct cli_usage usage = {
        "verify", "MODEL --input X.npy --expect Y.npy [--config C.json] [-o NAME]",
        "Runs a model and compares with what its framework answered: the largest error, where it is, and what\n"
        "is allowed, TOLERANCE x max(1, largest number expected).\n\n"
        "Exit codes: 0 near enough, 1 not so or failed, 2 usage, 3 the model cannot be opened or run.",
        "example: what model.predict(x) said, saved by numpy, against what rnnd says\n\n"
        "  rnnd verify model.keras --input x.npy --expect y.npy",
        options, 1, 1};
    struct run_job j;
    rnnd_error err;
    int code;
    if (!cli_parse(&usage, argc, argv, &name, &code))
        return code;
    if (in.count == 0 || !expect || !(tolerance >= 0)) {
        fprintf(stderr, "rnnd verify: %s; `rnnd verify --help` tells more\n",
                in.count && expect ? "--tolerance must not be negative" : "both --input and --expect are needed");
        return CLI_USAGE;
    }
    if (run_open(&j, &in, &out, &err) != RNND_OK) {
        code = cli_fail("verify", &err);
    } else {
        j.out_count = 1;
        j.out[0].name = (char *)(uintptr_t)output;
        code = verify_model(name, config, &how, &j, expect, tolerance);
        j.out[0].name = NULL; /* borrowed */
    }
    run_close(&j);
    return code;
}

const struct command command_verify = {"verify", "compare a model with what its framework answered", verify};
