/* text.c -- the text task: a step takes a token id and gives logits; texts to ids and back. */
#include "core/tasks/text.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "core/base/error.h"

#define TEXT_STREAM 0x74657874u /* the generator's stream, so that texts and forecasts of one seed differ */

void text_seed(struct text_state *s, uint64_t seed)
{
    rng_seed(&s->rng, seed, TEXT_STREAM);
}

const struct tokenizer *text_tokenizer(const struct rnnd_model *m, rnnd_error *err)
{
    if (m->info.task == RNND_TEXT && m->task_data)
        return m->task_data;
    fail(err, RNND_UNSUPPORTED, "model %s is not a text model", m->info.name ? m->info.name : "");
    return NULL;
}

/* Where a network has more outputs than there are words (sizes rounded up, padding), the others have no text. */
static rnnd_code fill_up(const struct rnnd_model *m, struct text_config *c, struct arena *arena, rnnd_error *err)
{
    size_t n = m->network_outputs;
    bool open = strcmp(c->tokenizer, "words") == 0 || strcmp(c->tokenizer, "bpe") == 0;
    if (!open || n <= c->symbol_count || n > (size_t)1 << 20)
        return RNND_OK;
    const char **symbols = arena_alloc(arena, n, sizeof *symbols);
    if (!symbols)
        return fail_memory(err, n * sizeof *symbols);
    memcpy(symbols, c->symbols, c->symbol_count * sizeof *symbols);
    c->symbols = symbols;
    c->symbol_count = n;
    c->holes = true;
    return RNND_OK;
}

/* Networks take the id itself (an embedding) or one input per symbol (one-hot); callers always give the id. */
static rnnd_code attach(struct rnnd_model *m, rnnd_error *err)
{
    struct tokenizer *t;
    rnnd_code code = fill_up(m, &m->config.texts, &m->arena, err);
    if (code == RNND_OK)
        code = tokenizer_open(&m->config.texts, &m->arena, &t, err);
    if (code != RNND_OK)
        return code;
    size_t v = t->vocabulary;
    if (m->network_outputs != v)
        return fail(err, RNND_MISMATCH, "the network has %zu outputs; the %s tokenizer has %zu symbols",
                    m->network_outputs, t->kind->name, v);
    if (m->info.input_count != 1 || (m->network_inputs != 1 && m->network_inputs != v))
        return fail(err, RNND_MISMATCH, "the network has %zu inputs of %zu values in all; wanted one input of 1 or %zu",
                    m->info.input_count, m->network_inputs, v);
    const rnnd_port *given = m->info.inputs;
    if (m->network_inputs == 1 && given->is_ids && given->limit < v)
        return fail(err, RNND_MISMATCH, "the network takes ids below %zu; the %s tokenizer has %zu symbols",
                    given->limit, t->kind->name, v);
    rnnd_port *port = arena_alloc(&m->arena, 1, sizeof *port);
    if (!port)
        return fail_memory(err, sizeof *port);
    *port = (rnnd_port){.name = given->name, .width = 1, .is_ids = true, .limit = v};
    m->info.inputs = port;
    m->info.input_width = 1;
    m->info.output_width = v;
    m->info.vocabulary = v;
    m->info.tokenizer = t->kind->name;
    m->info.chat = m->config.texts.chat;
    m->task_data = t;
    m->task_bytes = (sizeof(struct text_state) + v * sizeof(float) + 7) / 8 * 8;
    return RNND_OK;
}

static void reset(const struct rnnd_model *m, void *task_state)
{
    struct text_state *s = task_state;
    memset(s, 0, m->task_bytes);
    text_seed(s, 0);
}

static rnnd_code before(const struct rnnd_model *m, void *task_state, const float *input, float *network_row,
                        rnnd_error *err)
{
    (void)task_state;
    float id = input[0];
    size_t v = m->info.vocabulary;
    if (!(id >= 0 && id < (float)v) || id != (float)(size_t)id)
        return fail_at(err, RNND_MISMATCH, "ids", "token id %g is not a whole number from 0 to %zu", (double)id, v - 1);
    if (m->network_inputs == 1) {
        network_row[0] = id;
        return RNND_OK;
    }
    memset(network_row, 0, v * sizeof *network_row);
    network_row[(size_t)id] = 1.0f;
    return RNND_OK;
}

/* Probabilities become logits by their logarithm: softmax gives them back. 0 has none; the smallest normal number's is
 * as good as never. */
static void after(const struct rnnd_model *m, void *task_state, const float *network_row, float *output)
{
    struct text_state *s = task_state;
    size_t n = m->info.vocabulary;
    for (size_t i = 0; i < n && m->config.texts.probabilities; i++)
        s->last[i] = (float)fixed_log(network_row[i] > FLT_MIN ? (double)network_row[i] : (double)FLT_MIN);
    if (!m->config.texts.probabilities)
        memcpy(s->last, network_row, n * sizeof(float));
    s->has_last = 1;
    if (output)
        memmove(output, s->last, n * sizeof(float));
}

static rnnd_code verify(const struct rnnd_model *m, uint64_t steps, const void *task_state, rnnd_error *err)
{
    const struct text_state *s = task_state;
    const unsigned char *bytes = task_state;
    (void)steps;
    if (s->rng.increment % 2 == 0)
        return fail(err, RNND_CORRUPT, "the state's random numbers go on by %llu, wanted an odd number",
                    (unsigned long long)s->rng.increment);
    if (s->has_last > 1)
        return fail(err, RNND_CORRUPT, "the state's mark of a last output is %llu, wanted 0 or 1",
                    (unsigned long long)s->has_last);
    for (size_t i = 0; i < m->info.vocabulary; i++)
        if (s->has_last ? !isfinite(s->last[i]) : s->last[i] != 0)
            return fail(err, RNND_CORRUPT, "logit %zu of the state is %g, wanted %s", i, (double)s->last[i],
                        s->has_last ? "a finite number" : "0 before the first step");
    for (size_t i = sizeof *s + m->info.vocabulary * sizeof *s->last; i < m->task_bytes; i++)
        if (bytes[i]) return fail(err, RNND_CORRUPT, "the padding of the state's text part is not zero");
    return RNND_OK;
}

const struct task task_text = {.name = "text",
                               .id = RNND_TEXT,
                               .last_after = true,
                               .attach = attach,
                               .reset = reset,
                               .before = before,
                               .after = after,
                               .verify = verify};

/* ---- public ---------------------------------------------------------------------------------------------------- */

rnnd_code rnnd_tokenize(const rnnd_model *model, const char *text, size_t bytes, int32_t *ids, size_t cap,
                        size_t *count, rnnd_error *err)
{
    *count = 0;
    const struct tokenizer *t = text_tokenizer(model, err);
    return t ? t->kind->encode(t, text, bytes, ids, cap, count, err) : RNND_UNSUPPORTED;
}

const char *rnnd_token_bytes(const rnnd_model *model, int32_t id, size_t *bytes)
{
    *bytes = 0;
    const struct tokenizer *t = text_tokenizer(model, NULL);
    return t && id >= 0 && (size_t)id < t->vocabulary ? t->kind->decode(t, id, bytes) : NULL;
}

void rnnd_log_softmax(const rnnd_model *model, const float *logits, float *logprobs)
{
    model->kernels->log_softmax(model->info.vocabulary, logits, logprobs);
}
