/* chat.c -- dialogues as one text, by the model's template:
 *
 *   a fresh state:  [system text  system_suffix]*  opening  turn*  assistant_prefix
 *   a kept state:   turn*  assistant_prefix
 *   turn:           user_prefix text user_suffix  |  assistant_prefix text assistant_suffix
 *
 * A system text between turns is put where it stands; a kept state has heard its system text already, so there they
 * are left out. */
#include <string.h>

#include "core/base/error.h"
#include "core/tasks/text.h"

struct writer { /* counts on past the end of the room */
    char *out;
    size_t cap, bytes;
};

static void put(struct writer *w, const char *text, size_t bytes)
{
    if (w->bytes < w->cap) {
        size_t room = w->cap - w->bytes;
        memcpy(w->out + w->bytes, text, bytes < room ? bytes : room);
    }
    w->bytes += bytes;
}

static void put_string(struct writer *w, const char *text)
{
    if (text)
        put(w, text, strlen(text));
}

static void put_message(struct writer *w, const struct text_config *c, const rnnd_message *m)
{
    if (m->role == RNND_USER)
        put_string(w, c->user_prefix);
    else if (m->role == RNND_ASSISTANT)
        put_string(w, c->assistant_prefix);
    if (m->bytes > 0)
        put(w, m->text, m->bytes);
    put_string(w, m->role == RNND_USER ? c->user_suffix : m->role == RNND_ASSISTANT ? c->assistant_suffix
                                                                                     : c->system_suffix);
}

rnnd_code rnnd_chat_prompt(const rnnd_model *model, const rnnd_message *messages, size_t count, bool continues,
                           char *out, size_t cap, size_t *bytes, rnnd_error *err)
{
    const struct text_config *c = &model->config.texts;
    *bytes = 0;
    if (!text_tokenizer(model, err))
        return RNND_UNSUPPORTED;
    if (!c->chat)
        return fail(err, RNND_UNSUPPORTED, "model %s has no chat template", model->info.name ? model->info.name : "");
    if (count == 0)
        return fail_at(err, RNND_INVALID, "messages", "there are no messages; a chat needs at least one");
    struct writer w = {out, out ? cap : 0, 0};
    size_t i = 0;
    for (; i < count && messages[i].role == RNND_SYSTEM; i++)
        if (!continues)
            put_message(&w, c, &messages[i]);
    if (!continues)
        put_string(&w, c->opening);
    for (; i < count; i++)
        if (messages[i].role != RNND_SYSTEM || !continues)
            put_message(&w, c, &messages[i]);
    put_string(&w, c->assistant_prefix);
    *bytes = w.bytes;
    return RNND_OK;
}

size_t rnnd_chat_stops(const rnnd_model *model, const char *const **stops, size_t *min_bytes)
{
    const struct text_config *c = &model->config.texts;
    bool chat = model->info.task == RNND_TEXT && c->chat;
    *stops = chat ? (const char *const *)c->turn_stops : NULL;
    *min_bytes = chat ? c->turn_min_bytes : 0;
    return chat ? c->turn_stop_count : 0;
}
