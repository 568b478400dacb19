/* generate.c -- one text being generated, as the partner of whoever steps.
 *
 * The loop is: input, step, output, text and tokens; until input has nothing more. A step is one token fed, prompt and
 * generated alike. Every token that is given out is fed too, the last one included, so that the state holds all that
 * was said and a next request goes on behind it; only a token that completes a stop string is fed on request
 * (feed_stop). Hence the finish shows when nothing is left to feed, and the text is complete one step before that.
 *
 * The first row of logits comes from the state, where it has one: so a generation needs no prompt, and the first token
 * of a prompt has a log-probability. A model with a token that begins every text has it fed first where the state has
 * heard nothing; with one that ends every text, that is no part of it. */
#include <string.h>

#include "core/base/error.h"
#include "core/base/mem.h"
#include "core/model/assume.h"
#include "core/tasks/sampler.h"
#include "core/tasks/spool.h"
#include "core/tasks/text.h"

#define TOKENS_KEPT 4096 /* that nobody read, where no log-probabilities were asked for */

struct rnnd_generation {
    const struct rnnd_model *model;
    const struct tokenizer *tokenizer;
    struct text_state *state; /* borrowed */
    rnnd_generate_params params; /* its prompt is an own copy; stops live in the spool */
    int32_t *prompt;
    struct sampler sampler;
    struct spool spool;
    float *logprobs;                /* [vocabulary] scratch, or NULL if nobody asked */
    rnnd_alternative *alternatives; /* scratch */
    size_t arrived;                 /* prompt tokens put out or scored */
    size_t sampled;
    bool started, has_next;
    int32_t next;                   /* the token to feed */
    rnnd_finish outcome;            /* how it will have ended; RUNNING while tokens are to be found */
};

/* ---- life ------------------------------------------------------------------------------------------------------ */

static rnnd_code check_params(const struct rnnd_model *m, const rnnd_generate_params *p, const struct text_state *state,
                              rnnd_error *err)
{
    if (p->prompt_count == 0 && !state->has_last && !m->config.texts.has_begin)
        return fail_at(err, RNND_INVALID, "prompt", "the prompt is empty and the state has heard nothing yet; "
                                                    "wanted at least one token");
    for (size_t i = 0; i < p->prompt_count; i++)
        if (p->prompt[i] < 0 || (size_t)p->prompt[i] >= m->info.vocabulary)
            return fail_at(err, RNND_MISMATCH, "prompt", "token %zu of the prompt is %d; the vocabulary has %zu", i,
                           (int)p->prompt[i], m->info.vocabulary);
    if (p->max_tokens < -1)
        return fail_at(err, RNND_INVALID, "max_tokens", "max_tokens is %lld; wanted -1 (no limit) or more",
                       (long long)p->max_tokens);
    if (p->min_bytes < 0)
        return fail_at(err, RNND_INVALID, "min_bytes", "min_bytes is %lld; wanted 0 or more", (long long)p->min_bytes);
    return RNND_OK;
}

static rnnd_code open_parts(struct rnnd_generation *g, rnnd_error *err)
{
    const rnnd_generate_params *p = &g->params;
    size_t v = g->model->info.vocabulary;
    size_t width = p->sampling.logprobs > 0 ? (size_t)p->sampling.logprobs : 0;
    if (width > v)
        width = v;
    rnnd_code code = sampler_init(&g->sampler, &p->sampling, v, g->model->kernels, err);
    if (code != RNND_OK)
        return code;
    g->sampler.never = g->tokenizer->never;
    code = spool_init(&g->spool, p->stop, p->stop_count, g->tokenizer->longest, width,
                      p->sampling.logprobs < 0 && !p->score_prompt ? TOKENS_KEPT : 0, err);
    if (code != RNND_OK)
        return code;
    if (p->prompt_count > 0) {
        g->prompt = mem_alloc(p->prompt_count, sizeof *g->prompt);
        if (!g->prompt)
            return fail_memory(err, p->prompt_count * sizeof *g->prompt);
        memcpy(g->prompt, p->prompt, p->prompt_count * sizeof *g->prompt);
    }
    if (p->sampling.logprobs >= 0 || p->score_prompt) {
        g->logprobs = mem_alloc(v, sizeof *g->logprobs);
        g->alternatives = mem_alloc(width + 1, sizeof *g->alternatives);
        if (!g->logprobs || !g->alternatives)
            return fail_memory(err, v * sizeof *g->logprobs);
    }
    return RNND_OK;
}

rnnd_code rnnd_generation_open(const rnnd_model *model, const rnnd_generate_params *params, void *state,
                               rnnd_generation **out, rnnd_error *err)
{
    *out = NULL;
    rnnd_code confirmed = model_check_confirmed(model, err);
    if (confirmed)
        return confirmed;
    const struct tokenizer *t = text_tokenizer(model, err);
    if (!t)
        return RNND_UNSUPPORTED;
    struct text_state *s = model_task_state(model, state);
    rnnd_code code = check_params(model, params, s, err);
    if (code != RNND_OK)
        return code;
    struct rnnd_generation *g = mem_alloc(1, sizeof *g);
    if (!g)
        return fail_memory(err, sizeof *g);
    *g = (struct rnnd_generation){.model = model, .tokenizer = t, .state = s, .params = *params};
    code = open_parts(g, err);
    if (code != RNND_OK) {
        rnnd_generation_close(g);
        return code;
    }
    g->params.prompt = g->prompt;
    g->params.stop = NULL;
    g->params.sampling.bias = NULL;
    *out = g;
    return RNND_OK;
}

void rnnd_generation_close(rnnd_generation *g)
{
    if (!g)
        return;
    sampler_free(&g->sampler);
    spool_free(&g->spool);
    mem_free(g->prompt);
    mem_free(g->logprobs);
    mem_free(g->alternatives);
    mem_free(g);
}

/* ---- tokens arrive --------------------------------------------------------------------------------------------- */

/* Gives a token to the spool, with its log-probability from the row it was drawn from; logits may be NULL. */
static bool put_out(struct rnnd_generation *g, int32_t id, bool from_prompt, const float *logits, bool with_text)
{
    rnnd_token token = {.id = id, .from_prompt = from_prompt};
    bool scored = from_prompt ? g->params.score_prompt : g->params.sampling.logprobs >= 0;
    if (scored && logits) {
        int wanted = g->params.sampling.logprobs;
        rnnd_log_softmax(g->model, logits, g->logprobs);
        token.has_logprob = true;
        token.logprob = g->logprobs[id];
        token.alternative_count = sampler_top(&g->sampler, g->logprobs, wanted > 0 ? (size_t)wanted : 0,
                                              g->alternatives);
    }
    size_t bytes = 0;
    const char *text = with_text ? g->tokenizer->kind->decode(g->tokenizer, id, &bytes) : "";
    return spool_push(&g->spool, &token, g->alternatives, text, bytes);
}

static void sample(struct rnnd_generation *g, const float *logits)
{
    int32_t id = sampler_pick(&g->sampler, logits, &g->state->rng);
    g->sampled++;
    g->next = id;
    g->has_next = true;
    const struct text_config *texts = &g->model->config.texts;
    if (texts->has_end && id == texts->end) {
        g->outcome = RNND_STOP;
        g->has_next = g->params.feed_stop;
        spool_close(&g->spool);
    } else if (put_out(g, id, false, logits, true)) {
        g->outcome = RNND_STOP;
        g->has_next = g->params.feed_stop;
    } else if (g->params.max_tokens >= 0 && g->sampled >= (uint64_t)g->params.max_tokens) {
        g->outcome = RNND_LENGTH;
        spool_close(&g->spool);
    }
}

/* Decides what is fed next, given the last row of logits (NULL: there is none yet). */
static void advance(struct rnnd_generation *g, const float *logits)
{
    g->has_next = false;
    if (g->outcome != RNND_RUNNING)
        return;
    if (g->arrived < g->params.prompt_count) {
        g->next = g->prompt[g->arrived++];
        g->has_next = true;
        if (g->params.echo || g->params.score_prompt)
            put_out(g, g->next, true, logits, g->params.echo);
    } else if (g->params.max_tokens == 0) {
        g->outcome = RNND_LENGTH;
        spool_close(&g->spool);
    } else {
        if (g->sampled == 0)
            spool_watch(&g->spool, (uint64_t)g->params.min_bytes);
        sample(g, logits);
    }
    if (g->spool.failed) {
        g->outcome = RNND_FAILED;
        g->has_next = false;
    }
}

/* Whether the token that begins a text has to come first. */
static bool begins(const struct rnnd_generation *g)
{
    const struct text_config *texts = &g->model->config.texts;
    return texts->has_begin && !g->state->has_last && (g->params.prompt_count == 0 || g->prompt[0] != texts->begin);
}

bool rnnd_generation_input(rnnd_generation *g, float *row)
{
    if (!g->started) {
        g->started = true;
        if (g->params.sampling.seeded)
            text_seed(g->state, g->params.sampling.seed);
        g->has_next = begins(g);
        if (g->has_next)
            g->next = g->model->config.texts.begin;
        else
            advance(g, g->state->has_last ? g->state->last : NULL);
    }
    if (g->has_next)
        row[0] = (float)g->next;
    return g->has_next;
}

size_t rnnd_generation_prompt(rnnd_generation *g, float *rows, size_t most)
{
    size_t n = 0;
    while (n < most && rnnd_generation_input(g, rows + n)) {
        n++;
        if (n == most || g->params.score_prompt || g->arrived == g->params.prompt_count) break;
        advance(g, NULL);
    }
    return n;
}

void rnnd_generation_output(rnnd_generation *g, const float *logits)
{
    if (g->started && g->has_next)
        advance(g, logits);
}

/* ---- reading --------------------------------------------------------------------------------------------------- */

const char *rnnd_generation_text(rnnd_generation *g, size_t *bytes)
{
    return spool_text(&g->spool, bytes);
}

bool rnnd_generation_token(rnnd_generation *g, rnnd_token *token)
{
    return spool_token(&g->spool, token);
}

rnnd_finish rnnd_generation_finish(const rnnd_generation *g)
{
    return g->has_next || !g->started ? RNND_RUNNING : g->outcome;
}

size_t rnnd_generation_count(const rnnd_generation *g)
{
    return g->sampled;
}
