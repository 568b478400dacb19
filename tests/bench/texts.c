/* texts.c -- many texts generated together in this process, as fast as the library does it. */
#include <stdlib.h>

#include "tests/bench/bench.h"

struct voice {
    rnnd_generation *generation;
    void *state;
    float input;
};

static void voice_open(struct voice *v, const rnnd_model *m, uint64_t seed, int64_t tokens)
{
    static const int32_t prompt[] = {0};
    rnnd_generate_params params = {
        .prompt = prompt, .prompt_count = 1, .max_tokens = tokens, .sampling = RNND_SAMPLING_DEFAULTS};
    rnnd_error err;
    params.sampling.temperature = 0.8f;
    params.sampling.seeded = true;
    params.sampling.seed = seed;
    v->state = malloc(rnnd_state_bytes(m));
    if (!v->state) die("no memory for a state");
    rnnd_state_reset(m, v->state);
    if (rnnd_generation_open(m, &params, v->state, &v->generation, &err)) die("%s", err.message);
}

double generate_tokens_per_s(const rnnd_model *m, rnnd_workspace *ws, size_t texts, int64_t tokens)
{
    size_t width = rnnd_model_info(m)->output_width, made = 0, live = 1, bytes;
    struct voice voices[MAX_TEXTS];
    rnnd_step_row rows[MAX_TEXTS];
    struct voice *who[MAX_TEXTS];
    float *logits = calloc(texts, width * sizeof *logits);
    rnnd_error err;
    if (!logits) die("no memory for logits");
    for (size_t i = 0; i < texts; i++)
        voice_open(&voices[i], m, i, tokens);
    double start = now_us();
    while (live) {
        live = 0;
        for (size_t i = 0; i < texts; i++)
            if (rnnd_generation_input(voices[i].generation, &voices[i].input)) {
                rows[live] = (rnnd_step_row){
                    .state = voices[i].state, .input = &voices[i].input, .output = logits + live * width};
                who[live++] = &voices[i];
            }
        if (live && rnnd_step(ws, rows, live, &err)) die("%s", err.message);
        for (size_t k = 0; k < live; k++) {
            rnnd_generation_output(who[k]->generation, rows[k].output);
            rnnd_generation_text(who[k]->generation, &bytes);
        }
    }
    double seconds = (now_us() - start) * 1e-6;
    for (size_t i = 0; i < texts; i++) {
        made += rnnd_generation_count(voices[i].generation);
        rnnd_generation_close(voices[i].generation);
        free(voices[i].state);
    }
    free(logits);
    return (double)made / seconds;
}
