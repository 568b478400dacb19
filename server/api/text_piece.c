/* text_piece.c -- text and tokens as they come out of a generation, gathered until somebody writes them. */
#include <stdlib.h>
#include <string.h>

#include "server/api/text.h"

static bool grow(void **data, size_t *cap, size_t used, size_t more, size_t unit)
{
    size_t wanted = *cap ? *cap : 64;
    if (more > SIZE_MAX / 4 / unit - used) return false;
    while (wanted < used + more) wanted *= 2;
    if (wanted == *cap) return true;
    void *bigger = realloc(*data, wanted * unit);
    if (!bigger) return false;
    *data = bigger;
    *cap = wanted;
    return true;
}

static bool add_text(struct text_piece *p, const char *text, size_t bytes)
{
    void *data = p->text;
    if (!grow(&data, &p->text_cap, p->bytes, bytes, 1)) return false;
    p->text = data;
    memcpy(p->text + p->bytes, text, bytes);
    p->bytes += bytes;
    return true;
}

static bool add_token(struct text_piece *p, const rnnd_token *t)
{
    void *tokens = p->tokens, *alternatives = p->alternatives;
    if (!grow(&tokens, &p->token_cap, p->count, 1, sizeof *p->tokens)) return false;
    p->tokens = tokens;
    if (t->alternative_count) {
        if (!grow(&alternatives, &p->alternative_cap, p->alternative_count, t->alternative_count,
                  sizeof *p->alternatives))
            return false;
        p->alternatives = alternatives;
        memcpy(p->alternatives + p->alternative_count, t->alternatives, t->alternative_count * sizeof *t->alternatives);
    }
    p->tokens[p->count++] =
        (struct text_token){t->id, t->has_logprob, t->logprob, p->alternative_count, t->alternative_count};
    p->alternative_count += t->alternative_count;
    return true;
}

static bool add_cut(struct text_piece *p)
{
    void *cuts = p->cuts;
    if (!grow(&cuts, &p->cut_cap, p->cut_count, 1, sizeof *p->cuts)) return false;
    p->cuts = cuts;
    p->cuts[p->cut_count++] = (struct text_cut){p->bytes, p->count};
    return true;
}

/* Called by whoever ticks; the lock keeps the loop thread from taking half of it. */
bool text_piece_take(struct text_choice *c, struct text_piece *into, bool *something)
{
    const struct text_settings *s = &c->request->settings;
    size_t bytes;
    const char *text;
    rnnd_token t;
    bool ok = true;

    pthread_mutex_lock(&c->lock);
    size_t bytes_before = into->bytes, count_before = into->count;
    while (ok && (text = rnnd_generation_text(c->generation, &bytes)) && bytes) ok = add_text(into, text, bytes);
    while (ok && rnnd_generation_token(c->generation, &t)) {
        if (t.has_logprob && !t.from_prompt) {
            c->logprob_sum += (double)t.logprob;
            c->logprob_count++;
        }
        if (s->logprobs) ok = add_token(into, &t);
    }
    if (ok && s->stream && (into->bytes > bytes_before || into->count > count_before)) ok = add_cut(into);
    *something = into->bytes || into->count;
    pthread_mutex_unlock(&c->lock);
    return ok;
}

void text_piece_free(struct text_piece *p)
{
    free(p->text);
    free(p->tokens);
    free(p->alternatives);
    free(p->cuts);
    memset(p, 0, sizeof *p);
}
