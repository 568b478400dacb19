/* text_prompt.c -- a long prompt before its text: fed in windows of many tokens, as work beside the ticks.
 *
 * A tick steps one token of each text; a window reads the network's weights once for many tokens of one prompt, which
 * is quicker for that one, and not for many prompts at once, whose steps share the weights too. So one at a time goes
 * this way. */
#include <stdlib.h>

#include "server/api/text.h"
#include "server/engine/fail.h"
#include "server/engine/stats.h"

#define LEAST_TOKENS 64 /* a prompt that is worth it */
#define SLICE_TOKENS 32

static rnnd_code prompt_work(struct job *j, rnnd_workspace *ws, bool *done, rnnd_error *err)
{
    struct text_choice *c = (struct text_choice *)j;
    float rows[SLICE_TOKENS];
    bool something;
    size_t n = rnnd_generation_prompt(c->generation, rows, SLICE_TOKENS);
    uint64_t begin = rnnd_state_step(j->model->handle, c->state);
    rnnd_code code = rnnd_feed(ws, c->state, rows, n, c->logits, err);
    if (code == RNND_NOT_FINITE) /* in the words of a tick */
        return engine_fail(
            err, code, "", "the model %s computed a value that is not finite at step %llu of the request",
            j->model->name,
            (unsigned long long)(j->steps_done + rnnd_state_step(j->model->handle, c->state) - begin - 1));
    if (code != RNND_OK) return code;
    if (n) rnnd_generation_output(c->generation, c->logits);
    j->tokens += n;
    j->steps_done += n;
    stats_add(STAT_STEPS, n);
    *done = rnnd_generation_count(c->generation) || rnnd_generation_finish(c->generation) != RNND_RUNNING;
    if (!text_piece_take(c, &c->ready, &something) || rnnd_generation_finish(c->generation) == RNND_FAILED)
        return engine_fail(err, RNND_NO_MEMORY, "", "no memory for the generated text");
    if (c->request->settings.stream && something) batch_notify(j);
    return RNND_OK;
}

static void prompt_progress(struct job *j)
{
    struct text_choice *c = (struct text_choice *)j;
    if (c->request->streaming && c->request->http) text_write_piece(c);
}

void text_prompt_dropped(struct text_choice *c)
{
    if (!c->logits) return;
    c->request->app->prompts_fed--;
    free(c->logits);
    c->logits = NULL;
}

static void prompt_done(struct job *j)
{
    struct text_choice *c = (struct text_choice *)j;
    text_prompt_dropped(c);
    c->then(j);
}

static const struct job_type prompt_job = {
    .name = "text", .work = prompt_work, .progress = prompt_progress, .done = prompt_done};

bool text_prompt_fed(struct text_choice *c, void (*then)(struct job *j))
{
    struct text_request *q = c->request;
    const rnnd_info *info = q->model->info;
    if (q->prompts[c->prompt].count < LEAST_TOKENS || !info->feeds_together || q->app->prompts_fed ||
        (q->settings.echo && q->settings.logprobs))
        return false;
    c->logits = malloc(info->output_width * sizeof *c->logits);
    if (!c->logits) return false; /* steps need none */
    q->app->prompts_fed++;
    c->then = then;
    c->job.type = &prompt_job;
    return true;
}
