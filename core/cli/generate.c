/* generate.c -- `rnnd generate`: text from a text model, as it comes. */
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "core/cli/cli.h"

struct request {
    const char *prompt, *prompt_file, *stop;
    int64_t tokens, top_k, seed;
    double temperature, top_p, min_p, repetition;
    bool echo;
};

static rnnd_code read_prompt(const struct request *q, const rnnd_model *model, int32_t **ids, size_t *count,
                             rnnd_error *err)
{
    const char *text = q->prompt ? q->prompt : "\n";
    size_t bytes = strlen(text);
    char *file = NULL;
    rnnd_code code;
    if (q->prompt_file) {
        if ((code = cli_read_file(q->prompt_file, 16 << 20, &file, &bytes, err)) != RNND_OK)
            return code;
        text = file;
    }
    size_t cap = 2 * bytes + 1; /* as rnnd_tokenize() promises */
    *ids = malloc(cap * sizeof **ids);
    code = *ids ? rnnd_tokenize(model, text, bytes, *ids, cap, count, err)
                : cli_error(err, RNND_NO_MEMORY, "no memory for a prompt of %zu bytes", bytes);
    free(file);
    return code;
}

static rnnd_code speak(rnnd_workspace *ws, void *state, rnnd_generation *g, float *logits, rnnd_error *err)
{
    float input;
    size_t bytes;
    rnnd_code code = RNND_OK;
    rnnd_step_row row = {.state = state, .input = &input, .output = logits};
    do {
        const char *text = rnnd_generation_text(g, &bytes);
        if (text && (fwrite(text, 1, bytes, stdout) != bytes || fflush(stdout) != 0))
            return cli_error(err, RNND_IO, "cannot write the text");
        if (!rnnd_generation_input(g, &input))
            break;
        code = rnnd_step(ws, &row, 1, err);
        if (code == RNND_OK)
            rnnd_generation_output(g, logits);
    } while (code == RNND_OK);
    const char *rest = rnnd_generation_text(g, &bytes);
    if (rest)
        fwrite(rest, 1, bytes, stdout);
    return code;
}

static rnnd_code run_request(const struct request *q, const rnnd_model *model, rnnd_error *err)
{
    const rnnd_info *info = rnnd_model_info(model);
    rnnd_generation *g = NULL;
    rnnd_workspace *ws = NULL;
    int32_t *ids = NULL;
    size_t count = 0;
    rnnd_sampling sampling = RNND_SAMPLING_DEFAULTS;
    rnnd_code code = RNND_OK;
    void *state = calloc(1, rnnd_state_bytes(model));
    float *logits = calloc(info->output_width, sizeof *logits);
    if (!state || !logits) {
        code = cli_error(err, RNND_NO_MEMORY, "no memory for a state of %zu bytes", rnnd_state_bytes(model));
        goto out;
    }
    if (info->task != RNND_TEXT) {
        code = cli_error(err, RNND_UNSUPPORTED, "model %s is not a text model", info->name);
        goto out;
    }
    if ((code = read_prompt(q, model, &ids, &count, err)) != RNND_OK)
        goto out;
    sampling.temperature = (float)q->temperature;
    sampling.top_k = (int)(q->top_k > INT32_MAX ? INT32_MAX : q->top_k);
    sampling.top_p = (float)q->top_p;
    sampling.min_p = (float)q->min_p;
    sampling.repetition_penalty = (float)q->repetition;
    sampling.seeded = true;
    sampling.seed = (uint64_t)q->seed;
    if (q->seed < 0 && getrandom(&sampling.seed, sizeof sampling.seed, 0) != sizeof sampling.seed)
        sampling.seed = (uint64_t)(uintptr_t)state;
    rnnd_generate_params params = {.prompt = ids, .prompt_count = count, .max_tokens = q->tokens, .stop = &q->stop,
                                   .stop_count = q->stop ? 1 : 0, .echo = q->echo, .sampling = sampling};
    rnnd_state_reset(model, state);
    if ((code = rnnd_workspace_open(model, 1, &ws, err)) != RNND_OK ||
        (code = rnnd_generation_open(model, &params, state, &g, err)) != RNND_OK)
        goto out;
    code = speak(ws, state, g, logits, err);
    printf("\n");
out:
    rnnd_generation_close(g);
    rnnd_workspace_close(ws);
    free(ids);
    free(logits);
    free(state);
    return code;
}

static int generate(int argc, char **argv)
{
    struct request q = {.tokens = 400, .seed = -1, .temperature = 0.8, .top_p = 1, .repetition = 1};
    const struct cli_option options[] = {
        {"prompt", 'p', CLI_TEXT, &q.prompt, "TEXT", "what goes before; a line break if none is given"},
        {"prompt-file", 'f', CLI_TEXT, &q.prompt_file, "FILE", "the same from a file, - for standard input"},
        {"echo", 'e', CLI_FLAG, &q.echo, NULL, "print the prompt too"},
        {"tokens", 'n', CLI_INTEGER, &q.tokens, "N", "at most so many; -1 without end (default 400)"},
        {"stop", 0, CLI_TEXT, &q.stop, "TEXT", "end where this text would come"},
        {"temperature", 't', CLI_NUMBER, &q.temperature, "T", "0 = always the likeliest token (default 0.8)"},
        {"top-k", 0, CLI_INTEGER, &q.top_k, "K", "only the K likeliest (default 0 = all)"},
        {"top-p", 0, CLI_NUMBER, &q.top_p, "P", "only the likeliest of this share (default 1)"},
        {"min-p", 0, CLI_NUMBER, &q.min_p, "P", "only those so likely beside the first (default 0)"},
        {"repetition-penalty", 0, CLI_NUMBER, &q.repetition, "R", "above 1: say less again (default 1)"},
        {"seed", 's', CLI_INTEGER, &q.seed, "S", "same seed, same text (default: by chance)"},
        {0}};
    const struct cli_usage usage = {
        "generate", "MODEL [--prompt TEXT] [--tokens N] [--temperature T] [--seed S]",
        "Writes text with a text model, character by character as it comes. MODEL is a path, or the name\n"
        "of a model, in ./models or installed.",
        "example: one speech, the same every time\n\n"
        "  rnnd generate shakespeare --prompt 'ROMEO:' --echo --stop $'\\n\\n' --temperature 0.6 --seed 7",
        options, 1, 1};
    const char *name;
    int code;
    rnnd_error err;
    rnnd_model *model;
    if (!cli_parse(&usage, argc, argv, &name, &code))
        return code;
    if (q.prompt && q.prompt_file) {
        fprintf(stderr, "rnnd generate: --prompt and --prompt-file are one too many; give one of them\n");
        return CLI_USAGE;
    }
    if (cli_open_model(name, &model, &err) != RNND_OK)
        return cli_fail("generate", &err);
    rnnd_code done = run_request(&q, model, &err);
    rnnd_model_close(model);
    return done == RNND_OK ? CLI_OK : cli_fail("generate", &err);
}

const struct command command_generate = {"generate", "write text with a text model", generate};
