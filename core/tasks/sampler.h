/* sampler.h -- from a row of logits to a token.
 *
 * The order in which things are applied:
 *   1. repetition, frequency and presence penalties, of the tokens sampled so far in this generation
 *        z > 0: z / repetition, else z * repetition;  then  z - frequency * count - presence
 *   2. logit bias, added; then what is never drawn becomes minus infinity
 *   3. temperature: z / temperature; at 0 the largest z wins, the lowest id on ties, and no random number is drawn
 *   4. top_k: the k largest, the lower id first on ties
 *   5. top_p: of these, the fewest largest whose share reaches top_p
 *   6. min_p: of these, those at least min_p times as likely as the first
 *   7. one uniform number picks among the rest, walked from the most likely on
 * Log-probabilities reported are those of the model: before all of this.
 *
 * The same logits, settings and generator give the same token on every machine: softmax is the kernels', sums are
 * doubles in a fixed order. A NaN counts as minus infinity. */
#ifndef RNND_SAMPLER_H
#define RNND_SAMPLER_H

#include "core/base/rng.h"
#include "core/kernels/kernels.h"
#include "core/rnnd.h"

struct sampler {
    rnnd_sampling settings; /* its .bias is not used */
    size_t vocabulary;
    const struct kernels *kernels;
    uint32_t *counts; /* [vocabulary] how often each was sampled */
    float *scores;    /* [vocabulary] scratch: logits as changed */
    float *chances;   /* [vocabulary] scratch: their softmax */
    uint32_t *order;  /* [vocabulary] scratch: a heap of ids */
    rnnd_logit_bias *bias;
    const bool *never; /* [vocabulary] borrowed: ids that are never drawn; NULL = none. Set after sampler_init() */
};

/* INVALID or MISMATCH names the setting out of range. sampler_free() is fine after a failure, and on zeros. */
rnnd_code sampler_init(struct sampler *s, const rnnd_sampling *settings, size_t vocabulary,
                       const struct kernels *kernels, rnnd_error *err);
void sampler_free(struct sampler *s);
/* A token; counts it for the penalties. Never allocates. */
int32_t sampler_pick(struct sampler *s, const float *logits, struct rng *rng);
/* The n most likely of a row of log-probabilities, most likely first, the lower id first on ties; returns how many. */
size_t sampler_top(struct sampler *s, const float *logprobs, size_t n, rnnd_alternative *out);

#endif
