/* config.h -- the configuration of a model, schema version 1 (core/README.md), parsed and verified. */
#ifndef RNND_CONFIG_H
#define RNND_CONFIG_H

#include "core/base/mem.h"
#include "core/rnnd.h"

enum scaler_kind { SCALER_NONE, SCALER_STANDARD, SCALER_MINMAX, SCALER_LOG1P, SCALER_ASINH };
struct channel_config {
    const char *name;
    enum scaler_kind scaler;     /* STANDARD: (x - a)/b; MINMAX: (x - a)/(b - a); LOG1P: (log1p(x/unit) - a)/b; ASINH
                                    likewise */
    float a, b;                  /* default 0, 1 */
    float unit;                  /* default 1: LOG1P and ASINH are nearly straight below it, logarithmic above */
    bool clamp_min, clamp_max; float min, max; /* bounds of every answer, original units */
};
enum baseline_kind { BASELINE_NONE, BASELINE_LAST, BASELINE_SEASONAL };
enum missing_policy { MISSING_PREDICTION, MISSING_LAST, MISSING_REFUSE };
/* one float per channel of the network's input row, in this order */
enum feature_kind { FEATURE_VALUE,     /* scaled; less the running mean and over the running scale, if there is one */
                    FEATURE_BASELINE,  /* what the baseline said of this step, same units */
                    FEATURE_RESIDUAL,  /* value - baseline, `lag` steps ago (0 = this step); 0 until it is full */
                    FEATURE_LEVEL,     /* exponential mean of the residual, `lag` steps its time constant */
                    FEATURE_SPREAD,    /* the same of the residual's absolute value; both from a full baseline on */
                    FEATURE_NEXT_BASELINE, /* what the baseline says `lag` steps ahead (1 = the next step) */
                    FEATURE_LAG,       /* value `lag` steps ago; 0 before there was one */
                    FEATURE_MISSING }; /* 1 where the value was filled in, else 0 */
struct feature_config { enum feature_kind kind; size_t lag; };

struct series_config {
    struct channel_config *channels; size_t channel_count;
    enum baseline_kind baseline; size_t period; /* seasonal: ring of `period` scaled values, one per phase */
    float smoothing;             /* seasonal: ring[phase] += smoothing * (value - ring[phase]); default 1: last value */
    float running_decay;         /* running mean and scale with this decay per step; 0 = none */
    enum missing_policy missing; size_t missing_limit; /* longest run filled in; 0 = any */
    struct feature_config *features; size_t feature_count;
    size_t horizon, warmup;
    float *quantiles; size_t quantile_count; /* ascending; head output: [horizon][quantile][channel] */
    bool residual_output;        /* head is added to the baseline at that step ahead */
    const char *frequency;
};

struct text_config {
    const char *tokenizer;       /* "bytes" | "chars" | "words" | "bpe" */
    const char **symbols; size_t symbol_count; /* but bytes: UTF-8 text of id i, NULL where an id has none */
    int32_t unknown;             /* id for a symbol outside, or -1 = refuse (words: leave it out) */
    bool probabilities;          /* the network's outputs are these, not logits */
    int32_t padding;             /* this id is never drawn; -1 = there is none */
    bool chat;
    const char *user_prefix, *user_suffix, *assistant_prefix, *assistant_suffix, *system_suffix, *opening;
    const char **turn_stops; size_t turn_stop_count; size_t turn_min_bytes;
};

struct config {
    rnnd_task task;
    rnnd_mode mode; size_t window;
    bool pad_zeros;              /* sliding: rows before the first are zeros; else windows are as long as there are rows */
    bool output_last;
    const char *name, *description, *license, *data, *metrics;
    const char *text;            /* the whole as JSON text */
    struct series_config series;
    struct text_config texts;
    const char *golden_inputs, *golden_outputs; /* tensor names in the file, or NULL */
    void *json;                  /* the parsed document (formats/json), for the layer list; freed by config_free */
};

/* own_network: the file says what the network is (format->lower makes it), so neither "layers" nor "graph" may. */
rnnd_code config_parse(const char *text, size_t bytes, bool own_network, struct arena *arena, struct config *out,
                       rnnd_error *err);
void config_free(struct config *c);

#endif
