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
    size_t *targets; size_t target_count; /* channels that the network answers, in its order; absent: all of them */
    float *quantiles; size_t quantile_count; /* ascending; head output: [horizon][quantile][target] */
    bool residual_output;        /* head is added to the baseline at that step ahead */
    const char *frequency;
};

enum pre_split { /* how a BPE tokenizer cuts a text into words before it merges */
    SPLIT_NONE, SPLIT_GPT2, SPLIT_WORDS /* \w+|[^\w\s]+ */, SPLIT_SPACES, SPLIT_METASPACE };
struct bpe_config {
    const char **merges;         /* [2 merge_count] left and right, in order of rank */
    size_t merge_count;
    enum pre_split split;
    bool byte_level;             /* texts are bytes written as characters: a space is U+0120 */
    bool prefix_space;           /* one is put before a text that begins without, */
    bool prefix_once;            /* but not behind added tokens */
    bool byte_fallback;          /* what has no token is put as its bytes <0xNN> */
    bool fuse_unknown;           /* unknown characters in a row are one token */
    bool whole_words;            /* a word that is a token is not cut and merged */
    bool lower;
    const char *word_end;        /* put behind the last character of a word: "</w>"; or "" */
    const char *continuing;      /* put before every character but a word's first: "##"; or "" */
    const int32_t *added;        /* tokens that are found as they are, before all else; longest first at one place */
    size_t added_count;
};

struct text_config {
    const char *tokenizer;       /* "bytes" | "chars" | "words" | "bpe" */
    const char **symbols; size_t symbol_count; /* but bytes: UTF-8 text of id i; */
    bool holes;                  /* NULL where an id has none */
    const char *vocabulary_file; /* they come from this file beside the model; NULL: the configuration has them */
    int32_t unknown;             /* id for a symbol outside, or -1 = refuse (words: leave it out) */
    bool probabilities;          /* the network's outputs are these, not logits */
    bool has_padding; int32_t padding; /* this id is never drawn */
    bool has_begin; int32_t begin; /* fed before a text in a state that has heard nothing */
    bool has_end; int32_t end;   /* a text is over where this is drawn */
    bool lower;                  /* words, chars: texts are put in lower case first */
    const char *filters, *split; /* words: characters that separate words as `split` does, one character */
    bool char_level;             /* the vocabulary says that it is of characters */
    const struct bpe_config *bpe;
    bool chat;
    const char *user_prefix, *user_suffix, *assistant_prefix, *assistant_suffix, *system_suffix, *opening;
    const char **turn_stops; size_t turn_stop_count; size_t turn_min_bytes;
};

struct config {
    rnnd_task task;
    rnnd_mode mode; size_t window;
    bool pad_zeros;              /* sliding: rows before the first are zeros; else there are none */
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
