/* fake_text.h -- a text model without a network: real tokenizer and task, logits from a function of what was fed. */
#ifndef TESTS_FAKE_TEXT_H
#define TESTS_FAKE_TEXT_H

#include "core/model/model.h"

struct fake_text {
    struct rnnd_model model;
    uint64_t *state;     /* [0] a hash of all ids fed, then the task's part */
    const char *script;  /* the most likely tokens, one after another, NULL = logits from the hash */
    size_t fed;          /* tokens stepped */
    int32_t last_fed[64];
};

/* NULL symbols: the byte tokenizer. `chat` fields of texts may be set before. */
void fake_text_open(struct fake_text *f, const struct text_config *texts);
void fake_text_close(struct fake_text *f);
void fake_text_reset(struct fake_text *f);
/* One step: advances the hash, writes the logits [vocabulary] and keeps them in the state. With a script, the i-th
 * step after `skip` makes script[i] the likeliest. */
void fake_text_step(struct fake_text *f, float id, size_t skip, float *logits);

#endif
