/* config_tasks.c -- the "text" and "series" parts of a configuration. */
#include "core/model/config_tasks.h"

#include <stdio.h>
#include <string.h>

#include "core/base/error.h"
#include "core/formats/options.h"
#include "core/model/vocabulary.h"

#define MAX_SYMBOLS (1 << 20)
#define MAX_STEPS (1 << 24)
#define MAX_CHANNELS 4096

/* A list of strings; absent is empty. */
static rnnd_code read_strings(const struct options *o, const char *key, size_t max, struct arena *arena,
                              const char ***out, size_t *count, rnnd_error *err)
{
    const struct json *list = json_get(o->object, key);
    size_t n = json_is_null(list) ? 0 : json_count(list);
    *count = 0;
    if (!list || json_is_null(list)) return RNND_OK;
    if (!json_is_array(list) || n > max)
        return fail_at(err, RNND_MISMATCH, key, "%s: \"%s\" must be a list of at most %zu strings, found %s", o->where,
                       key, max, json_is_array(list) ? "more" : json_type_name(list));
    *out = arena_alloc(arena, n + 1, sizeof **out);
    if (!*out) return fail_memory(err, n * sizeof **out);
    for (const struct json *e = json_first(list); e; e = json_next(e)) {
        const char *s = json_string(e);
        if (!s)
            return fail_at(err, RNND_MISMATCH, key, "%s: \"%s\" must hold strings only, number %zu is %s", o->where,
                           key, *count, json_type_name(e));
        (*out)[*count] = arena_string(arena, s, strlen(s));
        if (!(*out)[(*count)++]) return fail_memory(err, strlen(s));
    }
    return RNND_OK;
}

/* ---- text ---- */

static rnnd_code read_turn(const struct json *chat, const char *key, struct arena *arena, const char **prefix,
                           const char **suffix, rnnd_error *err)
{
    static const char *const known[] = {"prefix", "suffix", NULL};
    char where[48];
    snprintf(where, sizeof where, "text, chat, %.20s", key);
    struct options o = {json_get(chat, key), where};
    rnnd_code code = json_is_null(o.object) ? RNND_OK : options_check(&o, known, err);
    if (!code) code = option_string(&o, "prefix", "", arena, prefix, err);
    return code ? code : option_string(&o, "suffix", "", arena, suffix, err);
}

static rnnd_code read_chat(const struct json *j, struct arena *arena, struct text_config *out, rnnd_error *err)
{
    static const char *const known[] = {"user", "assistant", "system", "opening", "stop", "min_bytes", NULL};
    struct options o = {j, "text, chat"};
    const char *none;
    out->chat = true;
    rnnd_code code = options_check(&o, known, err);
    if (!code) code = read_turn(j, "user", arena, &out->user_prefix, &out->user_suffix, err);
    if (!code) code = read_turn(j, "assistant", arena, &out->assistant_prefix, &out->assistant_suffix, err);
    if (!code) code = read_turn(j, "system", arena, &none, &out->system_suffix, err);
    if (!code && *none)
        code = fail_at(err, RNND_MISMATCH, "prefix", "text, chat, system: a system text has a \"suffix\" only");
    if (!code) code = option_string(&o, "opening", "", arena, &out->opening, err);
    if (!code) code = read_strings(&o, "stop", 64, arena, &out->turn_stops, &out->turn_stop_count, err);
    if (!code) code = option_size(&o, "min_bytes", 0, 1 << 20, 0, &out->turn_min_bytes, err);
    return code;
}

#define FILTERS "!\"#$%&()*+,-./:;<=>?@[\\]^_`{|}~\t\n" /* Keras' */

static rnnd_code read_vocabulary(const struct options *o, struct arena *arena, struct text_config *out, rnnd_error *err)
{
    const struct json *j = json_get(o->object, "vocabulary");
    rnnd_code code = read_strings(o, "symbols", MAX_SYMBOLS, arena, &out->symbols, &out->symbol_count, err);
    if (code || !j || json_is_null(j)) return code;
    if (out->symbol_count || strcmp(out->tokenizer, "bytes") == 0)
        return fail_at(err, RNND_MISMATCH, "vocabulary", "text: %s has no \"vocabulary\"",
                       out->symbol_count ? "what has \"symbols\"" : "the tokenizer bytes");
    if (json_is_string(j)) return option_string(o, "vocabulary", NULL, arena, &out->vocabulary_file, err);
    return vocabulary_read(j, arena, out, err);
}

rnnd_code config_read_text(const struct json *j, struct arena *arena, struct text_config *out, rnnd_error *err)
{
    static const char *const known[] = {"tokenizer", "symbols",   "unknown", "chat",    "vocabulary", "outputs",
                                        "padding",   "num_words", "lower",   "filters", "split",      "begin",
                                        "end",       NULL};
    static const char *const tokenizers[] = {"bytes", "chars", "words", "bpe", NULL};
    static const char *const outputs[] = {"logits", "probabilities", NULL};
    struct options o = {j, "text"};
    int tokenizer, output;
    if (!j) return fail_at(err, RNND_MISMATCH, "text", "configuration: the task text needs \"text\"");
    rnnd_code code = options_check(&o, known, err);
    if (!code) code = option_choice(&o, "tokenizer", tokenizers, -1, &tokenizer, err);
    if (!code) code = option_choice(&o, "outputs", outputs, 0, &output, err);
    if (code) return code;
    out->tokenizer = tokenizers[tokenizer];
    out->probabilities = output == 1;
    out->lower = tokenizer == 2;
    out->filters = FILTERS;
    out->split = " ";
    out->unknown = -1;
    code = read_vocabulary(&o, arena, out, err);
    if (!code && !out->vocabulary_file) code = config_end_text(j, arena, out, err);
    const struct json *chat = json_get(j, "chat");
    return code || !chat || json_is_null(chat) ? code : read_chat(chat, arena, out, err);
}

/* A symbol, or its id below `ids`; *out stays where the key is absent. */
static rnnd_code read_symbol(const struct options *o, const char *key, size_t ids, struct arena *arena,
                             const struct text_config *c, int32_t *out, rnnd_error *err)
{
    const char *symbol;
    int64_t id;
    if (json_whole(json_get(o->object, key), 0, (int64_t)ids - 1, &id)) {
        *out = (int32_t)id;
        return RNND_OK;
    }
    rnnd_code code = option_string(o, key, NULL, arena, &symbol, err);
    if (code || !symbol) return code;
    for (size_t i = 0; i < c->symbol_count; i++)
        if (c->symbols[i] && strcmp(c->symbols[i], symbol) == 0) {
            *out = (int32_t)i;
            return RNND_OK;
        }
    return fail_at(err, RNND_MISMATCH, key, "text: \"%s\" must be one of the symbols, found \"%.40s\"", key, symbol);
}

static rnnd_code check_kind(const struct text_config *c, rnnd_error *err)
{
    bool bytes = strcmp(c->tokenizer, "bytes") == 0, bpe = strcmp(c->tokenizer, "bpe") == 0;
    if (bytes != (c->symbol_count == 0))
        return fail_at(err, RNND_MISMATCH, "symbols", "text: the tokenizer %s %s \"symbols\"", c->tokenizer,
                       bytes ? "has no" : "needs a \"vocabulary\" or");
    if (bpe != (c->bpe != NULL))
        return fail_at(err, RNND_MISMATCH, "vocabulary", "text: the tokenizer %s needs another vocabulary than %s",
                       c->tokenizer, bpe ? "one without merges" : "that of a BPE tokenizer");
    if (c->char_level && strcmp(c->tokenizer, "words") == 0)
        return fail_at(err, RNND_MISMATCH, "tokenizer",
                       "text: the vocabulary is one of characters: wanted the tokenizer chars, found words");
    return RNND_OK;
}

rnnd_code config_end_text(const struct json *j, struct arena *arena, struct text_config *out, rnnd_error *err)
{
    struct options o = {j, "text"};
    int64_t padding = -1;
    int32_t begin = -1, end = -1;
    size_t words;
    rnnd_code code = check_kind(out, err);
    if (!code && out->bpe && json_get(j, "num_words"))
        code = fail_at(err, RNND_MISMATCH, "num_words", "text: a BPE vocabulary cannot be cut by \"num_words\"");
    if (!code) code = option_size(&o, "num_words", 1, MAX_SYMBOLS, (int64_t)out->symbol_count, &words, err);
    if (!code) code = option_bool(&o, "lower", out->lower, &out->lower, err);
    if (!code) code = option_string(&o, "filters", out->filters, arena, &out->filters, err);
    if (!code) code = option_string(&o, "split", out->split, arena, &out->split, err);
    if (code) return code;
    if (words < out->symbol_count) out->symbol_count = words;
    size_t most = out->symbol_count ? out->symbol_count : 256;
    code = read_symbol(&o, "unknown", out->symbol_count, arena, out, &out->unknown, err);
    if (!code) code = read_symbol(&o, "begin", most, arena, out, &begin, err);
    if (!code) code = read_symbol(&o, "end", most, arena, out, &end, err);
    if (!code) code = option_whole(&o, "padding", 0, (int64_t)most - 1, -1, &padding, err);
    out->has_padding = padding >= 0;
    out->padding = (int32_t)padding;
    out->has_begin = begin >= 0;
    out->begin = begin;
    out->has_end = end >= 0;
    out->end = end;
    return code;
}

/* ---- series ---- */

static rnnd_code read_scaler(const struct json *j, const char *where, struct channel_config *out, rnnd_error *err)
{
    static const char *const types[] = {"none", "standard", "minmax", "log1p", "asinh", NULL};
    static const char *const none[] = {"type", NULL};
    static const char *const standard[] = {"type", "mean", "std", NULL};
    static const char *const minmax[] = {"type", "min", "max", NULL};
    static const char *const curved[] = {"type", "shift", "scale", "unit", NULL};
    static const char *const *const known[] = {none, standard, minmax, curved, curved};
    static const enum scaler_kind kinds[] = {SCALER_NONE, SCALER_STANDARD, SCALER_MINMAX, SCALER_LOG1P, SCALER_ASINH};
    struct options o = {j, where};
    int type;
    out->a = 0;
    out->b = out->unit = 1;
    if (!j || json_is_null(j)) return RNND_OK;
    if (!json_is_object(j))
        return fail_at(err, RNND_MISMATCH, "scaler", "%s: \"scaler\" must be an object, found %s", where,
                       json_type_name(j));
    rnnd_code code = option_choice(&o, "type", types, -1, &type, err);
    if (!code) code = options_check(&o, known[type], err);
    if (code || type == 0) return code;
    out->scaler = kinds[type];
    code = option_float(&o, known[type][1], 0, &out->a, err);
    if (!code) code = option_float(&o, known[type][2], 1, &out->b, err);
    return code || type < 3 ? code : option_float(&o, "unit", 1, &out->unit, err);
}

static rnnd_code read_channel(const struct json *j, size_t number, struct arena *arena, struct channel_config *out,
                              rnnd_error *err)
{
    static const char *const known[] = {"name", "scaler", "min", "max", NULL};
    char where[48], name[24];
    snprintf(where, sizeof where, "series, channel %zu", number);
    snprintf(name, sizeof name, "%zu", number);
    struct options o = {j, where};
    rnnd_code code = options_check(&o, known, err);
    if (!code) code = option_string(&o, "name", "", arena, &out->name, err);
    if (!code && !*out->name && !(out->name = arena_string(arena, name, strlen(name))))
        code = fail_memory(err, sizeof name);
    if (!code) code = read_scaler(json_get(j, "scaler"), where, out, err);
    if (!code) code = option_float(&o, "min", 0, &out->min, err);
    if (!code) code = option_float(&o, "max", 0, &out->max, err);
    out->clamp_min = json_is_number(json_get(j, "min"));
    out->clamp_max = json_is_number(json_get(j, "max"));
    return code;
}

static rnnd_code read_channels(const struct json *list, struct arena *arena, struct series_config *out, rnnd_error *err)
{
    size_t n = json_count(list);
    if (!json_is_array(list) || n < 1 || n > MAX_CHANNELS)
        return fail_at(err, RNND_MISMATCH, "channels", "series: \"channels\" must be a list of 1 to %d, found %s",
                       MAX_CHANNELS, json_is_array(list) ? "another number" : json_type_name(list));
    out->channels = arena_alloc(arena, n, sizeof *out->channels);
    if (!out->channels) return fail_memory(err, n * sizeof *out->channels);
    for (const struct json *e = json_first(list); e; e = json_next(e)) {
        struct channel_config *c = &out->channels[out->channel_count];
        rnnd_code code = read_channel(e, out->channel_count, arena, c, err);
        if (code) return code;
        for (size_t i = 0; i < out->channel_count; i++)
            if (strcmp(out->channels[i].name, c->name) == 0)
                return fail_at(err, RNND_MISMATCH, "channels", "series: two channels are named \"%.60s\"", c->name);
        out->channel_count++;
    }
    return RNND_OK;
}

static rnnd_code put_target(const char *name, struct series_config *out, rnnd_error *err)
{
    size_t c = 0;
    while (name && c < out->channel_count && strcmp(out->channels[c].name, name) != 0) c++;
    if (!name || c == out->channel_count)
        return fail_at(err, RNND_MISMATCH, "target",
                       "series: \"target\" must be a channel's name or a list of them, found %s%.60s%s",
                       name ? "\"" : "something else", name ? name : "", name ? "\", which is none" : "");
    for (size_t k = 0; k < out->target_count; k++)
        if (out->targets[k] == c)
            return fail_at(err, RNND_MISMATCH, "target", "series: \"target\" names \"%.60s\" twice", name);
    out->targets[out->target_count++] = c;
    return RNND_OK;
}

static rnnd_code read_target(const struct json *j, struct arena *arena, struct series_config *out, rnnd_error *err)
{
    rnnd_code code = RNND_OK;
    if (!j || json_is_null(j)) return RNND_OK;
    out->targets = arena_alloc(arena, out->channel_count, sizeof *out->targets);
    if (!out->targets) return fail_memory(err, out->channel_count * sizeof *out->targets);
    if (!json_is_array(j) || json_count(j) == 0) return put_target(json_string(j), out, err);
    for (const struct json *e = json_first(j); e && !code; e = json_next(e))
        code = put_target(json_string(e), out, err);
    return code;
}

static rnnd_code read_features(const struct json *list, struct arena *arena, struct series_config *out, rnnd_error *err)
{
    static const char *const known[] = {"type", "lag", NULL};
    static const char *const types[] = {"value",         "baseline", "residual", "level", "spread",
                                        "next_baseline", "lag",      "missing",  NULL};
    static const enum feature_kind kinds[] = {FEATURE_VALUE,  FEATURE_BASELINE,      FEATURE_RESIDUAL, FEATURE_LEVEL,
                                              FEATURE_SPREAD, FEATURE_NEXT_BASELINE, FEATURE_LAG,      FEATURE_MISSING};
    size_t n = list && !json_is_null(list) ? json_count(list) : 0;
    if (list && !json_is_null(list) && (!json_is_array(list) || n < 1 || n > MAX_CHANNELS))
        return fail_at(err, RNND_MISMATCH, "features", "series: \"features\" must be a list of 1 to %d, found %s",
                       MAX_CHANNELS, json_is_array(list) ? "another number" : json_type_name(list));
    out->features = arena_alloc(arena, n + 1, sizeof *out->features);
    if (!out->features) return fail_memory(err, n * sizeof *out->features);
    out->feature_count = n ? n : 1; /* absent: the value alone */
    struct feature_config *f = out->features;
    for (const struct json *e = n ? json_first(list) : NULL; e; e = json_next(e), f++) {
        char where[48];
        snprintf(where, sizeof where, "series, feature %zu", (size_t)(f - out->features));
        struct options o = {e, where};
        int type;
        rnnd_code code = options_check(&o, known, err);
        if (!code) code = option_choice(&o, "type", types, -1, &type, err);
        if (!code) f->kind = kinds[type];
        if (!code)
            code = option_size(&o, "lag", 0, MAX_STEPS, f->kind == FEATURE_NEXT_BASELINE || f->kind == FEATURE_LAG,
                               &f->lag, err);
        if (code) return code;
    }
    return RNND_OK;
}

static rnnd_code read_quantiles(const struct options *o, struct arena *arena, struct series_config *out,
                                rnnd_error *err)
{
    const struct json *list = json_get(o->object, "quantiles");
    if (!list || json_is_null(list)) return RNND_OK;
    if (!json_is_array(list) || json_count(list) > 1024)
        return fail_at(err, RNND_MISMATCH, "quantiles", "series: \"quantiles\" must be a list of numbers, found %s",
                       json_is_array(list) ? "too many" : json_type_name(list));
    out->quantiles = arena_alloc(arena, json_count(list) + 1, sizeof *out->quantiles);
    if (!out->quantiles) return fail_memory(err, json_count(list) * sizeof *out->quantiles);
    for (const struct json *e = json_first(list); e; e = json_next(e)) {
        float q = (float)json_number(e), before = out->quantile_count ? out->quantiles[out->quantile_count - 1] : 0;
        if (!json_is_number(e) || !(q > before) || !(q < 1))
            return fail_at(err, RNND_MISMATCH, "quantiles",
                           "series: \"quantiles\" must ascend within (0, 1), number %zu does not", out->quantile_count);
        out->quantiles[out->quantile_count++] = q;
    }
    return RNND_OK;
}

static rnnd_code read_baseline(const struct json *j, struct series_config *out, rnnd_error *err)
{
    static const char *const known[] = {"type", "period", "smoothing", NULL};
    static const char *const types[] = {"none", "last", "seasonal", NULL};
    static const enum baseline_kind kinds[] = {BASELINE_NONE, BASELINE_LAST, BASELINE_SEASONAL};
    struct options o = {json_is_null(j) ? NULL : j, "series, baseline"};
    int type;
    rnnd_code code = options_check(&o, known, err);
    if (!code) code = option_choice(&o, "type", types, 0, &type, err);
    if (code) return code;
    out->baseline = kinds[type];
    code = option_size(&o, "period", type == 2, type == 2 ? MAX_STEPS : 0, type == 2 ? OPTION_REQUIRED : 0,
                       &out->period, err);
    return code ? code : option_float(&o, "smoothing", 1, &out->smoothing, err);
}

rnnd_code config_read_series(const struct json *j, struct arena *arena, struct series_config *out, rnnd_error *err)
{
    static const char *const known[] = {"channels",  "baseline", "running", "missing",   "features", "horizon",
                                        "quantiles", "residual", "warmup",  "frequency", "target",   NULL};
    static const char *const running_keys[] = {"decay", NULL};
    static const char *const missing_keys[] = {"policy", "limit", NULL};
    static const char *const policies[] = {"prediction", "last", "refuse", NULL};
    static const enum missing_policy policy_ids[] = {MISSING_PREDICTION, MISSING_LAST, MISSING_REFUSE};
    struct options o = {j, "series"};
    const struct json *running_json = json_get(j, "running"), *missing_json = json_get(j, "missing");
    struct options running = {json_is_null(running_json) ? NULL : running_json, "series, running"};
    struct options missing = {json_is_null(missing_json) ? NULL : missing_json, "series, missing"};
    int policy = 0;
    if (!j) return fail_at(err, RNND_MISMATCH, "series", "configuration: the task series needs \"series\"");
    rnnd_code code = options_check(&o, known, err);
    if (!code) code = read_channels(json_get(j, "channels"), arena, out, err);
    if (!code) code = read_target(json_get(j, "target"), arena, out, err);
    if (!code) code = read_baseline(json_get(j, "baseline"), out, err);
    if (!code) code = options_check(&running, running_keys, err);
    if (!code) code = option_float(&running, "decay", 0, &out->running_decay, err);
    if (!code) code = options_check(&missing, missing_keys, err);
    if (!code) code = option_choice(&missing, "policy", policies, 0, &policy, err);
    if (!code) code = option_size(&missing, "limit", 0, MAX_STEPS, 0, &out->missing_limit, err);
    if (!code) code = read_features(json_get(j, "features"), arena, out, err);
    if (!code) code = option_size(&o, "horizon", 1, MAX_STEPS, 1, &out->horizon, err);
    if (!code) code = read_quantiles(&o, arena, out, err);
    if (!code) code = option_bool(&o, "residual", false, &out->residual_output, err);
    if (!code) code = option_size(&o, "warmup", 0, MAX_STEPS, 0, &out->warmup, err);
    if (!code) code = option_string(&o, "frequency", "", arena, &out->frequency, err);
    out->missing = policy_ids[policy];
    return code;
}
