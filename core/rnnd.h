/* rnnd.h -- the whole public interface of librnnd: open recurrent models, step and keep their states.
 *
 * The three things there are:
 *   rnnd_model      what a file became: immutable, shared by any number of threads.
 *   state           one sequence's memory: rnnd_state_bytes() flat, pointer-free bytes that the caller owns.
 *                   Copying them is a fork, writing them down a snapshot, memcmp() a comparison.
 *   rnnd_workspace  scratch of one thread for one model, so that stepping never allocates.
 *
 * One answer: a model, a state and an input give the same bits whatever the batch, its neighbours, the thread, the
 * path (step or window) and the instruction set.
 *
 * Every call that can fail returns an rnnd_code and, if `err` is not NULL, one sentence there. The library never
 * exits, prints or reads the environment. A failed call leaves states as they were, where not said otherwise. */
#ifndef RNND_H
#define RNND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define RNND_VERSION "0.1.0"

#if defined(__GNUC__)
#define RNND_API __attribute__((visibility("default")))
#else
#define RNND_API
#endif

/* ---- errors --------------------------------------------------------------------------------------------------- */

/* code, name on the wire, HTTP status a server answers with */
#define RNND_CODES(X)                                                                                                 \
    X(OK, "ok", 200)                                                                                                  \
    X(INVALID, "invalid_request", 400)       /* malformed argument or text */                                         \
    X(NOT_FOUND, "not_found", 404)           /* no such file, session, model */                                       \
    X(CONFLICT, "conflict", 409)             /* state of things forbids it: wrong step, wrong model */                \
    X(GONE, "gone", 410)                     /* was there, is no more */                                              \
    X(TOO_LARGE, "too_large", 413)           /* over a stated limit */                                                \
    X(UNSUPPORTED, "unsupported", 422)       /* understood, but not something this model or build can do */           \
    X(MISMATCH, "mismatch", 422)             /* shape, width or range does not fit the model */                       \
    X(CORRUPT, "corrupt", 422)               /* damaged or hostile bytes */                                           \
    X(NOT_FINITE, "not_finite", 500)         /* the model computed NaN or infinity */                                 \
    X(IO, "io_error", 500)                   /* reading or writing failed */                                          \
    X(INTERNAL, "internal", 500)             /* a bug of ours */                                                      \
    X(NO_MEMORY, "no_memory", 503)                                                                                    \
    X(BUSY, "busy", 503)                     /* loading, draining, full: try again */

typedef enum rnnd_code {
#define RNND_X(code, text, status) RNND_##code,
    RNND_CODES(RNND_X)
#undef RNND_X
} rnnd_code;

typedef struct rnnd_error {
    rnnd_code code;
    char message[504]; /* one sentence: the thing, what was wanted, what was found */
    char param[64];    /* the field, tensor or argument it is about, or "" */
} rnnd_error;

RNND_API const char *rnnd_code_name(rnnd_code code); /* "not_found" */
RNND_API int rnnd_code_http_status(rnnd_code code);  /* 404 */
RNND_API const char *rnnd_version(void);
/* "avx512_vnni", "avx512", "avx2" or "baseline": the kernel row this processor gets */
RNND_API const char *rnnd_kernel_row(void);
/* All that it can run, best first: "avx512_vnni, avx512, avx2, baseline". */
RNND_API const char *rnnd_kernel_rows(void);
/* UNSUPPORTED, naming those, where `name` is none of them (nor NULL, the best). */
RNND_API rnnd_code rnnd_kernel_row_check(const char *name, rnnd_error *err);

/* ---- models --------------------------------------------------------------------------------------------------- */

typedef struct rnnd_model rnnd_model;

typedef enum rnnd_task { RNND_RAW, RNND_TEXT, RNND_SERIES } rnnd_task;
/* carry: a step advances (h, c). sliding: the state is a ring of the last `window` inputs, and every step answers what
 * the whole network says of that window from its initial state. */
typedef enum rnnd_mode { RNND_CARRY, RNND_SLIDING } rnnd_mode;

#define RNND_MAX_RANK 8

typedef struct rnnd_port { /* one named input or output of the network */
    const char *name;
    size_t width; /* floats per time step */
    bool is_ids;  /* inputs: whole numbers 0 .. limit-1, one float each */
    size_t limit;
    int rank;     /* shape of such a step (or, where a window answers once, of that answer): its product is width */
    size_t dim[RNND_MAX_RANK];
    /* of a model without rows: the whole tensor's shape as the file tells it, 0 any size; rank -1: not told */
} rnnd_port;

typedef struct rnnd_layer { /* one row of the architecture table, for people */
    const char *type, *name;
    size_t inputs, outputs;
    uint64_t parameters;
    const char *detail; /* "reset before, hard_sigmoid, bidirectional concat" or "" */
} rnnd_layer;

/* Everything a caller may ask about a model; borrowed from it, valid until rnnd_model_close(). */
typedef struct rnnd_info {
    const char *name;        /* from the configuration, else the file's stem */
    const char *format;      /* "rnnd-1" */
    const char *framework;   /* what made the file: "Keras 2.13.1", "PyTorch", "ONNX opset 13 (tf2onnx 1.17)", or "" */
    const char *const *assumptions; /* what the file does not say and was guessed, a sentence each */
    size_t assumption_count;
    bool unconfirmed;        /* there are assumptions and nobody has accepted them: nothing is computed (CONFLICT) */
    const char *side_file;   /* where there are assumptions: the configuration to put beside the file, or "" */
    const char *description; /* or "" */
    const char *license, *data;
    const char *digest;      /* 32 hex digits over weights and configuration: the fingerprint states carry */
    const char *metrics;     /* JSON object text, or "{}" */
    const char *config;      /* the configuration as JSON text */
    rnnd_task task;
    rnnd_mode mode;
    size_t window;           /* sliding: inputs kept; 0 in carry mode */
    bool pad_zeros;          /* sliding: a window not yet full has zeros before its first input; else it is shorter */
    bool output_last;        /* a window answers its last step only */
    bool streamable;         /* sessions can step it */
    const char *not_streamable; /* why not, or "" */
    bool feeds_together;        /* rnnd_feed() runs many steps as a window: quicker for a long prompt */
    const char *no_rows;     /* why no row of numbers is a step of this network: whole tensors alone run it, by
                                rnnd_call_*, rnnd_run_window does not; or "" */
    const rnnd_port *inputs, *outputs;
    size_t input_count, output_count;
    size_t input_width;      /* floats of one step's input row: all inputs side by side */
    size_t output_width;     /* floats of one step's output row (series: one per target, original units) */
    const rnnd_layer *layers;
    size_t layer_count;
    uint64_t parameters;
    size_t weight_bytes, state_bytes;
    const char *precision;   /* "fp32", "bf16", "int8" */
    double precision_error;  /* root mean square error of the outputs beside fp32, relative, on the file's golden inputs
                                or on drawn ones; 0 in fp32; below 0: not measured while unconfirmed */
    size_t state_layers;     /* hidden states in PyTorch's sense: sum over recurrent layers of directions */
    size_t state_hidden;     /* their common width, or 0 where they differ */
    size_t h_width, c_width; /* floats of all h and of all c of one sequence; c_width 0 without LSTM */
    /* text */
    size_t vocabulary;
    const char *tokenizer;   /* "bytes", "chars", "words", "bpe" or "" */
    bool chat;               /* has a chat template */
    /* series */
    const char *const *channels;
    size_t channel_count;
    const char *const *targets; /* of the channels, those that are answered, in the order of answers; else all */
    size_t target_count;
    size_t horizon;          /* trained horizon */
    size_t warmup;           /* steps before a forecast is honest */
    const float *quantiles;  /* trained quantiles, ascending */
    size_t quantile_count;
    const char *frequency;   /* "30min" or "" */
} rnnd_info;

typedef struct rnnd_options {
    const char *kernel_row; /* NULL: the best for this processor; else one of rnnd_kernel_rows(), or "fast" */
    const char *config;     /* configuration JSON that overrides the file's own and any side file, or NULL */
    bool accept_guesses;    /* serve what the file does not say as it was guessed; info.assumptions names it */
    const char *precision;  /* of weights: "fp32" (NULL: as the file has them), "bf16" or "int8"; the error is measured
                               at load, or by rnnd_convert() when it wrote a file in that precision */
    bool force_precision;   /* take it whatever it costs */
} rnnd_options;

/* Opens a model file: safetensors, Keras .h5 and .keras, PyTorch, ONNX, RTNeural, NAM and the like, told by their
 * bytes, with a configuration inside, in NAME.rnnd.json beside it, or given. `options` may be NULL. Golden vectors of
 * the file are checked. A lower precision is measured beside fp32; an error above a tenth is MISMATCH unless forced;
 * tensor graphs stay fp32. Errors begin with the file's name. The model is owned by the caller. */
RNND_API rnnd_code rnnd_model_open(const char *path, const rnnd_options *options, rnnd_model **out, rnnd_error *err);
/* The same from memory; `data` is not needed after the call. `name` is what an unnamed model is called. */
RNND_API rnnd_code rnnd_model_open_memory(const void *data, size_t bytes, const char *name,
                                          const rnnd_options *options, rnnd_model **out, rnnd_error *err);
RNND_API void rnnd_model_close(rnnd_model *model);
/* Writes a model file of any format as a native one that opens as the same network, with the same bits in every run;
 * `options` as for opening it. In a lower precision its weights are kept so, and it opens in that by itself, with the
 * bits that the precision gives of the original; its digest, so its states, are its own. The file is whole or not
 * there. CONFLICT while guesses are unconfirmed; MISMATCH where the precision costs more than a tenth and is not
 * forced; UNSUPPORTED, TOO_LARGE where a graph has numbers that JSON cannot hold, or needs more JSON than is read,
 * stays in fp32 or is reduced already. */
RNND_API rnnd_code rnnd_convert(const char *in, const rnnd_options *options, const char *out, rnnd_error *err);
RNND_API const rnnd_info *rnnd_model_info(const rnnd_model *model);

/* ---- states --------------------------------------------------------------------------------------------------- */

/* Bytes of one state. States must be aligned to 8 bytes. */
RNND_API size_t rnnd_state_bytes(const rnnd_model *model);
/* The model's initial state (zeros, or trained), step 0. */
RNND_API void rnnd_state_reset(const rnnd_model *model, void *state);
RNND_API uint64_t rnnd_state_step(const rnnd_model *model, const void *state);
/* Reads and sets h [h_width] and c [c_width] (layer after layer, forward before reverse); c may be NULL. Carry mode
 * only. */
RNND_API rnnd_code rnnd_state_get_hc(const rnnd_model *model, const void *state, float *h, float *c, rnnd_error *err);
RNND_API rnnd_code rnnd_state_set_hc(const rnnd_model *model, void *state, const float *h, const float *c,
                                     rnnd_error *err);
/* A portable blob: magic, version, model digest, precision, step, layout, the state's bytes, checksum. save needs
 * rnnd_state_blob_bytes(); load refuses other models (CONFLICT) and damage (CORRUPT) and then leaves `state` alone. */
RNND_API size_t rnnd_state_blob_bytes(const rnnd_model *model);
RNND_API void rnnd_state_save(const rnnd_model *model, const void *state, void *blob);
RNND_API rnnd_code rnnd_state_load(const rnnd_model *model, const void *blob, size_t bytes, void *state,
                                   rnnd_error *err);
/* 64-bit digest of the state's content (equal states, equal digests). */
RNND_API uint64_t rnnd_state_digest(const rnnd_model *model, const void *state);

/* ---- stepping ------------------------------------------------------------------------------------------------- */

typedef struct rnnd_workspace rnnd_workspace;
/* Scratch for up to max_rows states a step. One thread uses it at a time. The model must outlive it. */
RNND_API rnnd_code rnnd_workspace_open(const rnnd_model *model, size_t max_rows, rnnd_workspace **out,
                                       rnnd_error *err);
RNND_API void rnnd_workspace_close(rnnd_workspace *ws);
/* Bytes that a window of a network of tensors may take besides its outputs, 4 GiB if never said: more is TOO_LARGE. Its
 * attention may look from every step at every other, so that a stranger's long window takes their square. */
RNND_API void rnnd_workspace_limit(rnnd_workspace *ws, size_t bytes);

/* Threads that share the work of this workspace, 1 if never said, at most 16; the bits are the same. They pay for wide
 * layers, large batches and windows; between calls they look for work for some tens of microseconds, then sleep. The
 * caller's is one of them; the others live as long as the workspace. INVALID for another number, NO_MEMORY where they
 * cannot be started: it then has those it had. */
RNND_API rnnd_code rnnd_workspace_threads(rnnd_workspace *ws, size_t threads, rnnd_error *err);

typedef struct rnnd_step_row {
    void *state;        /* advanced in place; distinct states in distinct rows */
    const float *input; /* [input_width]; series: original units, NaN = missing */
    float *output;      /* [output_width], or NULL; text: logits; series: the next step's prediction */
    rnnd_code code;     /* result: OK, MISMATCH (an id out of range; state untouched) or NOT_FINITE (state advanced:
                           the caller restores its copy) */
} rnnd_step_row;

/* Advances n states by one step each, as one batch. n > max_rows runs in several. Returns the first row's failure,
 * the other rows are computed all the same. Never allocates (a tensor graph, whose sizes only a run tells, may in its
 * first ones). */
RNND_API rnnd_code rnnd_step(rnnd_workspace *ws, rnnd_step_row *rows, size_t n, rnnd_error *err);

/* Advances one state by `steps` steps, inputs [steps][input_width], with the bits of so many rnnd_step() calls. Where
 * info.feeds_together they run layer by layer, so that weights are read less often. output [output_width], or NULL, is
 * that of the last. After an error the state is somewhere on the way: the caller restores its copy. */
RNND_API rnnd_code rnnd_feed(rnnd_workspace *ws, void *state, const float *inputs, size_t steps, float *output,
                             rnnd_error *err);

/* A batch of whole windows from given or initial states, PyTorch's `out, (hn, cn) = net(x, (h0, c0))`. Works for every
 * model that loads, streamable or not. No task processing: series models are fed network inputs as they are. The
 * workspace grows with the first window and with one larger than those before; else nothing is allocated. */
typedef struct rnnd_window {
    size_t batch, steps;
    const float *inputs;  /* [batch][steps][network input width] */
    const float *h0, *c0; /* [state_layers][batch][state_hidden], or NULL */
    float *outputs;       /* [batch][steps or 1][network output width] */
    float *hn, *cn;       /* as h0, c0, or NULL */
} rnnd_window;
RNND_API size_t rnnd_window_input_width(const rnnd_model *model);
RNND_API size_t rnnd_window_output_width(const rnnd_model *model);
RNND_API rnnd_code rnnd_run_window(rnnd_workspace *ws, const rnnd_window *window, rnnd_error *err);
/* The same windows and bits in pieces, so that they can share a thread with others. The arrays are borrowed until the
 * end. A call does about `rows` steps, those of sequences side by side together, and tells in *done whether all are
 * there; a network that reads whole sequences (backward, attention) does at least one of them, whatever its length.
 * The workspace may be another in each call. After an error nothing more is done. */
typedef struct rnnd_window_run rnnd_window_run;
RNND_API rnnd_code rnnd_window_open(const rnnd_model *model, const rnnd_window *window, rnnd_window_run **out,
                                    rnnd_error *err);
RNND_API rnnd_code rnnd_window_work(rnnd_window_run *run, rnnd_workspace *ws, size_t rows, bool *done,
                                    rnnd_error *err);
RNND_API void rnnd_window_close(rnnd_window_run *run);

/* The network on whole tensors, as the framework it comes from runs it: any batch, any length, inputs and outputs by
 * name and in the file's own axes (layer lists: [batch][time][features], outputs that are one step [batch][features];
 * their states "h0", "c0" as PyTorch's). Works for every model that loads; no task processing. For one thread. */
typedef enum rnnd_dtype { RNND_FLOAT32, RNND_INT64, RNND_BOOL8 } rnnd_dtype;
typedef struct rnnd_tensor {
    const char *name;
    rnnd_dtype dtype;
    int rank;
    size_t dim[RNND_MAX_RANK];
    void *data;              /* row-major */
} rnnd_tensor;
typedef struct rnnd_call rnnd_call;
RNND_API rnnd_code rnnd_call_open(const rnnd_model *model, rnnd_call **out, rnnd_error *err);
/* Bytes that runs may take besides their outputs, 4 GiB if never said: more is TOO_LARGE. A stranger's inputs may say
 * sizes. */
RNND_API void rnnd_call_limit(rnnd_call *call, size_t bytes);
/* Inputs by name; a single one may have name NULL. Optional ones may be left out. Data is borrowed during the call. */
RNND_API rnnd_code rnnd_call_run(rnnd_call *call, const rnnd_tensor *inputs, size_t count, rnnd_error *err);
/* After a run: an output, the value or layer of that name; NULL: the first output. Borrowed until the next run.
 * NOT_FOUND lists what there is. */
RNND_API rnnd_code rnnd_call_output(rnnd_call *call, const char *name, rnnd_tensor *out, rnnd_error *err);
/* The names: of inputs, of outputs, and of what else can be read after a run. */
RNND_API size_t rnnd_call_inputs(const rnnd_call *call, const char *const **names);
RNND_API size_t rnnd_call_outputs(const rnnd_call *call, const char *const **names);
RNND_API size_t rnnd_call_taps(const rnnd_call *call, const char *const **names);
RNND_API void rnnd_call_close(rnnd_call *call);

/* ---- text ----------------------------------------------------------------------------------------------------- */

/* Ids of a text. Writes at most `cap`, sets *count to all there are: at most one for each byte, with a BPE tokenizer
 * 2 bytes + 1. A symbol outside the vocabulary is MISMATCH, naming it and its place (words are left out, as Keras
 * does). */
RNND_API rnnd_code rnnd_tokenize(const rnnd_model *model, const char *text, size_t bytes, int32_t *ids, size_t cap,
                                 size_t *count, rnnd_error *err);
/* The bytes of one token, borrowed; NULL for an id out of range. A word has the space before it with it. */
RNND_API const char *rnnd_token_bytes(const rnnd_model *model, int32_t id, size_t *bytes);
/* log-probabilities of a logits row, [vocabulary]; the one algorithm behind logprobs and score. */
RNND_API void rnnd_log_softmax(const rnnd_model *model, const float *logits, float *logprobs);

typedef struct rnnd_logit_bias { int32_t id; float bias; } rnnd_logit_bias;

typedef struct rnnd_sampling { /* RNND_SAMPLING_DEFAULTS below */
    float temperature;       /* 0 = the most likely token */
    int top_k;               /* 0 = off */
    float top_p, min_p;      /* 1, 0 = off */
    float frequency_penalty, presence_penalty, repetition_penalty; /* 0, 0, 1 = off; counted over generated tokens */
    const rnnd_logit_bias *bias; /* borrowed during open */
    size_t bias_count;
    bool seeded;             /* false: go on with the generator in the state */
    uint64_t seed;
    int logprobs;            /* how many alternatives to report per token, -1 = none at all */
} rnnd_sampling;
#define RNND_SAMPLING_DEFAULTS { 1.0f, 0, 1.0f, 0.0f, 0.0f, 0.0f, 1.0f, NULL, 0, false, 0, -1 }

typedef struct rnnd_generate_params {
    const int32_t *prompt;   /* ids fed before the first sample, borrowed during open */
    size_t prompt_count;     /* 0 only where the state already holds a last output, or the model has a "begin" */
    int64_t max_tokens;      /* -1 = until stopped */
    int64_t min_bytes;       /* stop strings and turn ends are not honoured before */
    const char *const *stop; /* strings, across token borders; not part of the text */
    size_t stop_count;
    bool feed_stop;          /* feed the token that completed a stop to the state too: the next turn starts clean */
    bool echo;               /* give out the prompt's text first */
    bool score_prompt;       /* log-probabilities of the prompt's tokens too (echo + logprobs, score) */
    rnnd_sampling sampling;
} rnnd_generate_params;

/* RUNNING as long as there is something to step. FAILED: no memory left for text that nobody reads. */
typedef enum rnnd_finish { RNND_RUNNING, RNND_STOP, RNND_LENGTH, RNND_FAILED } rnnd_finish;

typedef struct rnnd_alternative { int32_t id; float logprob; } rnnd_alternative;

typedef struct rnnd_token { /* one token given out */
    int32_t id;
    bool from_prompt;
    bool has_logprob;        /* false for the first prompt token of a fresh state */
    float logprob;           /* before temperature, bias and penalties */
    const rnnd_alternative *alternatives; /* most likely first, borrowed until the next read */
    size_t alternative_count;
} rnnd_token;

/* One text being generated. It is a partner of the stepping loop: whoever steps asks it for the next input row and
 * hands it the output row; text comes out in whole UTF-8 characters, held back while it may begin a stop string. It
 * touches `state` only for the sampler's generator.
 *     while (rnnd_generation_input(g, row)) { step; rnnd_generation_output(g, logits); text and tokens, if wanted; }
 * Every token given out is fed too, the last one included: so the state ends up holding all that was said, and a next
 * generation without a prompt goes on just behind it. Penalties count from here on. A reader that takes text and tokens
 * after every step costs no memory, however long it goes; one that does not makes buffers grow. Where neither
 * log-probabilities nor prompt scores are asked for, only the last 4096 unread tokens are kept. */
typedef struct rnnd_generation rnnd_generation;
RNND_API rnnd_code rnnd_generation_open(const rnnd_model *model, const rnnd_generate_params *params, void *state,
                                        rnnd_generation **out, rnnd_error *err);
RNND_API void rnnd_generation_close(rnnd_generation *g);
/* The next token to feed, as an input row; false when nothing more is to be stepped. */
RNND_API bool rnnd_generation_input(rnnd_generation *g, float *row);
/* The next tokens of the prompt that can be fed at once, as rows for rnnd_feed(), whose last logits go to
 * rnnd_generation_output(): at most `most`, one alone where prompt tokens are scored, 0 when nothing more is fed. */
RNND_API size_t rnnd_generation_prompt(rnnd_generation *g, float *rows, size_t most);
/* The logits that step gave. */
RNND_API void rnnd_generation_output(rnnd_generation *g, const float *logits);
/* Text that is ready, borrowed until the next call; NULL and 0 if none. After the end it flushes what is held back;
 * bytes that are no UTF-8 come out as U+FFFD. */
RNND_API const char *rnnd_generation_text(rnnd_generation *g, size_t *bytes);
/* The next token behind the text given out so far; false if none. */
RNND_API bool rnnd_generation_token(rnnd_generation *g, rnnd_token *token);
RNND_API rnnd_finish rnnd_generation_finish(const rnnd_generation *g);
RNND_API size_t rnnd_generation_count(const rnnd_generation *g); /* tokens sampled so far */

/* The prompt text of a chat, by the model's template. continues: the turns follow a kept state, so no system text and
 * no opening is put first. Writes at most cap bytes, sets *bytes to all; ends where the assistant begins to speak. */
typedef enum rnnd_role { RNND_SYSTEM, RNND_USER, RNND_ASSISTANT } rnnd_role;
typedef struct rnnd_message { rnnd_role role; const char *text; size_t bytes; } rnnd_message;
RNND_API rnnd_code rnnd_chat_prompt(const rnnd_model *model, const rnnd_message *messages, size_t count,
                                    bool continues, char *out, size_t cap, size_t *bytes, rnnd_error *err);
/* The template's end of turn: stop strings (borrowed) and the least number of bytes before one counts. */
RNND_API size_t rnnd_chat_stops(const rnnd_model *model, const char *const **stops, size_t *min_bytes);

/* ---- series --------------------------------------------------------------------------------------------------- */

typedef struct rnnd_forecast_params {
    size_t horizon;          /* steps ahead, >= 1 */
    const float *quantiles;  /* ascending, inside (0, 1); [quantile_count] */
    size_t quantile_count;
    size_t samples;          /* sample paths, 0 = none */
    uint64_t seed;
    const float *future;     /* what is known of the steps ahead: [future_steps][channels], original units, NaN = not */
    size_t future_steps;     /* known; borrowed during open */
} rnnd_forecast_params;

typedef struct rnnd_forecast_out { /* caller's buffers, original units; any may be NULL */
    float *mean;             /* [horizon][targets] */
    float *quantiles;        /* [quantile_count][horizon][targets]; never cross */
    float *samples;          /* [samples][horizon][targets] */
} rnnd_forecast_out;

/* A forecast being computed from a copy of `state`, in slices, so that it can share a thread with others. Refused
 * before warm-up (MISMATCH: needed and given). Beyond the trained horizon the model is fed its own medians, and what is
 * known of the future in their place. Where it does not answer all of its channels, the others have to be known:
 * MISMATCH says how many steps of them are needed and given. */
typedef struct rnnd_forecast rnnd_forecast;
RNND_API rnnd_code rnnd_forecast_open(const rnnd_model *model, const void *state, const rnnd_forecast_params *params,
                                      rnnd_forecast **out, rnnd_error *err);
/* Advances by at most `rows` steps of any path; *done tells whether it is complete. */
RNND_API rnnd_code rnnd_forecast_work(rnnd_forecast *f, rnnd_workspace *ws, size_t rows, bool *done, rnnd_error *err);
/* Copies the answer out. NOT_FINITE names the step. */
RNND_API rnnd_code rnnd_forecast_read(const rnnd_forecast *f, const rnnd_forecast_out *out, rnnd_error *err);
RNND_API void rnnd_forecast_close(rnnd_forecast *f);
/* Missing values filled in so far in this state, by the model's policy. */
RNND_API uint64_t rnnd_state_imputed(const rnnd_model *model, const void *state);

#ifdef __cplusplus
}
#endif
#endif
