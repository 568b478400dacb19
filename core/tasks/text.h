/* text.h -- the text task inside: what a text model carries, and its part of a state. */
#ifndef RNND_TEXT_H
#define RNND_TEXT_H

#include "core/base/rng.h"
#include "core/model/model.h"
#include "core/tasks/tokenizer.h"

extern const struct task task_text;

/* The task's part of a state. The last logits are kept so that a session can go on speaking without being fed. */
struct text_state {
    struct rng rng;
    uint64_t has_last;
    float last[]; /* [vocabulary], zeros before the first step */
};

/* Starts the state's generator anew. */
void text_seed(struct text_state *s, uint64_t seed);
/* The model's tokenizer, or NULL and UNSUPPORTED if it is no text model. */
const struct tokenizer *text_tokenizer(const struct rnnd_model *m, rnnd_error *err);

#endif
