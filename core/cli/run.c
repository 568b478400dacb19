/* run.c -- `rnnd run`: a model over arrays in files. */
#include "core/cli/run.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static rnnd_code split(const char *text, struct run_end *e, bool input, rnnd_error *err)
{
    const char *equals = strchr(text, '=');
    *e = (struct run_end){.path = text};
    if (!equals || equals == text || (input && access(text, F_OK) == 0)) {
        e->path += equals == text;
        return RNND_OK;
    }
    if (!(e->name = strndup(text, (size_t)(equals - text))))
        return cli_error(err, RNND_NO_MEMORY, "no memory for a name");
    e->path = equals + 1;
    return RNND_OK;
}

rnnd_code run_open(struct run_job *j, const struct cli_list *in, const struct cli_list *out, rnnd_error *err)
{
    rnnd_code code = RNND_OK;
    memset(j, 0, sizeof *j);
    for (; j->in_count < in->count && code == RNND_OK; j->in_count++)
        code = split(in->items[j->in_count], &j->in[j->in_count], true, err);
    for (; j->out_count < out->count && code == RNND_OK; j->out_count++)
        code = split(out->items[j->out_count], &j->out[j->out_count], false, err);
    return code;
}

rnnd_code run_load(struct run_job *j, rnnd_error *err)
{
    rnnd_code code = RNND_OK;
    for (size_t i = 0; i < j->in_count && code == RNND_OK; i++)
        code = array_load(j->in[i].path, &j->in[i].array, err);
    return code;
}

void run_close(struct run_job *j)
{
    for (size_t i = 0; i < CLI_MOST_ITEMS; i++) {
        array_free(&j->in[i].array);
        array_free(&j->out[i].array);
        free(j->in[i].name);
        free(j->out[i].name);
    }
}

rnnd_code run_network(struct run_job *j, rnnd_error *err)
{
    const char *framework = rnnd_model_info(j->model)->framework;
    bool ours = !framework || !framework[0];
    if (ours && j->in_count == 1 && j->out_count == 1 && !j->in[0].name && !j->out[0].name)
        return run_windows(j, err);
    return run_tensors(j, err);
}

static rnnd_code run_job(struct run_job *j, bool stream, rnnd_error *err)
{
    rnnd_code code = run_load(j, err);
    if (code == RNND_OK)
        code = stream ? run_steps(j, err) : run_network(j, err);
    for (size_t i = 0; i < j->out_count && code == RNND_OK; i++)
        code = array_save(j->out[i].path, &j->out[i].array, err);
    return code;
}

static int run_ends(const char *model, const char *config, const rnnd_options *how, const struct cli_list *in,
                    const struct cli_list *out, bool stream)
{
    struct run_job j;
    rnnd_model *opened = NULL;
    rnnd_error err;
    int exit_code = CLI_OK;
    rnnd_code code = run_open(&j, in, out, &err);
    if (code != RNND_OK) {
        exit_code = cli_fail("run", &err);
    } else if (cli_open_model_as(model, config, how, &opened, &err) != RNND_OK) {
        exit_code = cli_fail_model("run", &err);
    } else {
        j.model = opened;
        code = run_job(&j, stream, &err);
        if (code != RNND_OK)
            exit_code = code == RNND_UNSUPPORTED || code == RNND_CONFLICT ? cli_fail_model("run", &err)
                                                                          : cli_fail("run", &err);
    }
    run_close(&j);
    rnnd_model_close(opened);
    return exit_code;
}

static int run(int argc, char **argv)
{
    struct cli_list in = {.count = 0}, out = {.count = 0};
    const char *config = NULL, *name;
    bool stream = false;
    rnnd_options how = {NULL};
    const struct cli_option options[] = {
        {"input", 'i', CLI_LIST, &in, "[NAME=]FILE", "an input: .npy, .csv or .json; without NAME the only one"},
        {"output", 'o', CLI_LIST, &out, "[NAME=]FILE", "an output, or what a layer or value NAME held; else the first"},
        {"stream", 's', CLI_FLAG, &stream, NULL, "step by step, as a session does: scaled, state carried along"},
        {"config", 0, CLI_TEXT, &config, "FILE", "the model's configuration, instead of NAME.rnnd.json beside it"},
        {"accept-guesses", 0, CLI_FLAG, &how.accept_guesses, NULL, "run what the file does not say as it was guessed"},
        {"precision", 0, CLI_TEXT, &how.precision, "NAME", "of weights: fp32, bf16, int8; `rnnd inspect` measures it"},
        {"force-precision", 0, CLI_FLAG, &how.force_precision, NULL, "even where outputs differ by more than a tenth"},
        {0}};
    const struct cli_usage usage = {
        "run", "MODEL -i [NAME=]X.npy -o [NAME=|LAYER=]Y.npy [--stream]",
        "Runs a model over arrays: whole windows as predict() of a framework does, or step by step with\n"
        "--stream. MODEL is a path, or the name of a model, in ./models\n"
        "or installed. -i and -o may stand several times. Models of ours take [steps][inputs] or\n"
        "[batch][steps][inputs], others what they took where they were made; --stream takes one step of it\n"
        "for each row of the first axis, or of the second behind a batch.\n\n"
        "Exit codes: 0 done, 1 failed (a file, an input that does not fit), 2 usage, 3 the model cannot be\n"
        "opened or run: damaged, not supported, or its guesses are not accepted.",
        "example: what numpy.save() wrote, through the network and back\n\n"
        "  rnnd run models/tiny/lstm.safetensors -i x.npy -o y.npy",
        options, 1, 1};
    int code;
    if (!cli_parse(&usage, argc, argv, &name, &code))
        return code;
    if (in.count == 0 || out.count == 0) {
        fprintf(stderr, "rnnd run: both -i and -o are needed; `rnnd run --help` tells more\n");
        return CLI_USAGE;
    }
    return run_ends(name, config, &how, &in, &out, stream);
}

const struct command command_run = {"run", "run a model over arrays in files", run};
