/* vocabulary_bpe.c -- reads tokenizer.json of HuggingFace tokenizers, where its model is BPE.
 *
 * What it does beside BPE is either done here too or refused by its name: nothing is left out quietly. */
#include <string.h>

#include "core/base/error.h"
#include "core/model/vocabulary.h"

static rnnd_code refuse(const char *part, const struct json *j, rnnd_error *err)
{
    const char *type = json_string(json_get(j, "type"));
    return fail_at(err, RNND_UNSUPPORTED, part, "the vocabulary: the %s \"%.60s\" is not supported", part,
                   type ? type : json_type_name(j));
}

static bool is_type(const struct json *j, const char *type)
{
    const char *s = json_string(json_get(j, "type"));
    return s && strcmp(s, type) == 0;
}

static bool nothing(const struct json *j)
{
    return !j || json_is_null(j);
}

/* ---- the model: vocabulary and merges ---- */

static rnnd_code read_merge(const struct json *j, struct arena *arena, const char **pair, rnnd_error *err)
{
    const char *left = json_string(j), *right = NULL;
    size_t n = left ? strlen(left) : 0;
    if (left) {
        const char *space = strchr(left, ' ');
        if (space) {
            right = space + 1;
            n = (size_t)(space - left);
        }
    } else if (json_is_array(j) && json_count(j) == 2) {
        left = json_string(json_first(j));
        right = json_string(json_next(json_first(j)));
        n = left ? strlen(left) : 0;
    }
    if (!left || !right || n == 0 || !*right)
        return fail_at(err, RNND_CORRUPT, "merges", "the vocabulary: wanted merges of two tokens, found %s",
                       json_type_name(j));
    pair[0] = arena_string(arena, left, n);
    pair[1] = arena_string(arena, right, strlen(right));
    return pair[0] && pair[1] ? RNND_OK : fail_memory(err, n);
}

static rnnd_code read_merges(const struct json *list, struct arena *arena, struct bpe_config *bpe, rnnd_error *err)
{
    size_t n = json_count(list);
    if (!json_is_array(list) || n > VOCABULARY_MAX)
        return fail_at(err, RNND_CORRUPT, "merges", "the vocabulary: wanted a list of at most %d merges, found %s",
                       VOCABULARY_MAX, json_type_name(list));
    bpe->merges = arena_alloc(arena, n + 1, 2 * sizeof *bpe->merges);
    if (!bpe->merges) return fail_memory(err, n * 2 * sizeof *bpe->merges);
    rnnd_code code = RNND_OK;
    for (const struct json *e = json_first(list); e && !code; e = json_next(e))
        code = read_merge(e, arena, bpe->merges + 2 * bpe->merge_count++, err);
    return code;
}

static rnnd_code text_of(const struct json *j, const char *key, struct arena *arena, const char **out, rnnd_error *err)
{
    const struct json *s = json_get(j, key);
    *out = "";
    if (nothing(s)) return RNND_OK;
    if (!json_is_string(s))
        return fail_at(err, RNND_CORRUPT, key, "the vocabulary: wanted \"%s\" to be a string, found %s", key,
                       json_type_name(s));
    if (strlen(json_string(s)) > 64)
        return fail_at(err, RNND_UNSUPPORTED, key, "the vocabulary: \"%s\" has more than 64 bytes", key);
    return (*out = arena_string(arena, json_string(s), strlen(json_string(s)))) ? RNND_OK : fail_memory(err, 1);
}

static rnnd_code read_model(const struct json *model, struct arena *arena, struct text_config *out,
                            struct bpe_config *bpe, rnnd_error *err)
{
    const struct json *type = json_get(model, "type"), *vocab = json_get(model, "vocab");
    const char *unknown = json_string(json_get(model, "unk_token"));
    int64_t id;
    if (!nothing(type) && !is_type(model, "BPE")) return refuse("model", model, err);
    if (!json_is_object(vocab))
        return fail_at(err, RNND_CORRUPT, "vocab", "the vocabulary: wanted \"vocab\" in its model");
    rnnd_code code = vocabulary_map(vocab, arena, out, err);
    if (!code) code = read_merges(json_get(model, "merges"), arena, bpe, err);
    if (!code) code = text_of(model, "continuing_subword_prefix", arena, &bpe->continuing, err);
    if (!code) code = text_of(model, "end_of_word_suffix", arena, &bpe->word_end, err);
    if (code) return code;
    bpe->byte_fallback = json_true(json_get(model, "byte_fallback"));
    bpe->fuse_unknown = json_true(json_get(model, "fuse_unk"));
    bpe->whole_words = json_true(json_get(model, "ignore_merges"));
    if (!unknown) return RNND_OK;
    if (!json_whole(json_get(vocab, unknown), 0, VOCABULARY_MAX - 1, &id))
        return fail_at(err, RNND_CORRUPT, "unk_token", "the vocabulary: its unk_token \"%.40s\" has no id", unknown);
    out->unknown = (int32_t)id;
    return RNND_OK;
}

/* ---- what stands around it ---- */

static rnnd_code read_normalizer(const struct json *j, struct bpe_config *bpe, rnnd_error *err)
{
    if (nothing(j)) return RNND_OK;
    if (is_type(j, "Lowercase")) {
        bpe->lower = true;
        return RNND_OK;
    }
    const struct json *list = json_get(j, "normalizers");
    if (!is_type(j, "Sequence") || !json_is_array(list)) return refuse("normalizer", j, err);
    for (const struct json *e = json_first(list); e; e = json_next(e)) {
        if (!is_type(e, "Lowercase")) return refuse("normalizer", e, err);
        bpe->lower = true;
    }
    return RNND_OK;
}

/* Metaspace: spaces become U+2581, and with "always" or "first" one stands before the text. */
static rnnd_code read_metaspace(const struct json *j, struct bpe_config *bpe, rnnd_error *err)
{
    const char *sign = json_string(json_get(j, "replacement")), *scheme = json_string(json_get(j, "prepend_scheme"));
    const struct json *prefix = json_get(j, "add_prefix_space"), *cut = json_get(j, "split");
    if (sign && strcmp(sign, "\xE2\x96\x81") != 0) return refuse("pre_tokenizer", j, err);
    if (json_is_bool(cut) && !json_true(cut)) return refuse("pre_tokenizer", j, err);
    bpe->split = SPLIT_METASPACE;
    bpe->prefix_space = scheme ? strcmp(scheme, "never") != 0 : nothing(prefix) || json_true(prefix);
    bpe->prefix_once = scheme && strcmp(scheme, "first") == 0;
    return RNND_OK;
}

static rnnd_code read_splitter(const struct json *j, struct bpe_config *bpe, rnnd_error *err)
{
    const struct json *list = json_get(j, "pretokenizers"), *regex = json_get(j, "use_regex");
    if (nothing(j)) return RNND_OK;
    if (is_type(j, "Sequence") && json_is_array(list) && json_count(list) == 1) j = json_first(list);
    if (is_type(j, "ByteLevel")) {
        regex = json_get(j, "use_regex");
        bpe->byte_level = true;
        bpe->prefix_space = nothing(json_get(j, "add_prefix_space")) || json_true(json_get(j, "add_prefix_space"));
        bpe->split = nothing(regex) || json_true(regex) ? SPLIT_GPT2 : SPLIT_NONE;
        return RNND_OK;
    }
    if (is_type(j, "Metaspace")) return read_metaspace(j, bpe, err);
    if (is_type(j, "Whitespace"))
        bpe->split = SPLIT_WORDS;
    else if (is_type(j, "WhitespaceSplit"))
        bpe->split = SPLIT_SPACES;
    else
        return refuse("pre_tokenizer", j, err);
    return RNND_OK;
}

/* Those put around a text are not for texts that go on; a template that adds tokens is told, not dropped. */
static rnnd_code read_template(const struct json *j, rnnd_error *err)
{
    if (nothing(j) || is_type(j, "ByteLevel")) return RNND_OK;
    if (!is_type(j, "TemplateProcessing")) return refuse("post_processor", j, err);
    for (const struct json *e = json_first(json_get(j, "single")); e; e = json_next(e))
        if (json_get(e, "SpecialToken")) return refuse("post_processor", j, err);
    return RNND_OK;
}

static rnnd_code check_added(const struct json *e, int64_t *id, rnnd_error *err)
{
    static const char *const flags[] = {"single_word", "lstrip", "rstrip"};
    const char *content = json_string(json_get(e, "content"));
    if (!content || !*content || !json_whole(json_get(e, "id"), 0, VOCABULARY_MAX - 1, id))
        return fail_at(err, RNND_CORRUPT, "added_tokens",
                       "the vocabulary: wanted added tokens with \"id\" and \"content\"");
    for (size_t i = 0; i < 3; i++)
        if (json_true(json_get(e, flags[i])))
            return fail_at(err, RNND_UNSUPPORTED, flags[i],
                           "the vocabulary: the added token \"%.40s\" has %s, which is not supported", content,
                           flags[i]);
    return RNND_OK;
}

static rnnd_code read_added(const struct json *list, struct arena *arena, struct text_config *out,
                            struct bpe_config *bpe, rnnd_error *err)
{
    size_t n = json_count(list);
    int64_t most = -1, id;
    rnnd_code code = RNND_OK;
    if (nothing(list)) return RNND_OK;
    if (!json_is_array(list) || n > VOCABULARY_MAX)
        return fail_at(err, RNND_CORRUPT, "added_tokens", "the vocabulary: wanted \"added_tokens\" to be a list");
    int32_t *ids = arena_alloc(arena, n + 1, sizeof *ids);
    if (!ids) return fail_memory(err, n * sizeof *ids);
    for (const struct json *e = json_first(list); e && !code; e = json_next(e)) {
        code = check_added(e, &id, err);
        if (code) return code;
        ids[bpe->added_count++] = (int32_t)id;
        if (id > most) most = id;
    }
    bpe->added = ids;
    code = vocabulary_room(arena, out, (size_t)(most + 1), err);
    size_t i = 0;
    for (const struct json *e = json_first(list); e && !code; e = json_next(e))
        code = vocabulary_put(arena, out, json_string(json_get(e, "content")), (size_t)ids[i++], err);
    return code;
}

static rnnd_code read_decoder(const struct json *j, rnnd_error *err)
{
    return nothing(j) || is_type(j, "ByteLevel") || is_type(j, "BPEDecoder") || is_type(j, "Metaspace") ||
                   is_type(j, "ByteFallback")
               ? RNND_OK
               : refuse("decoder", j, err);
}

rnnd_code vocabulary_read_bpe(const struct json *j, struct arena *arena, struct text_config *out, rnnd_error *err)
{
    struct bpe_config *bpe = arena_alloc(arena, 1, sizeof *bpe);
    if (!bpe) return fail_memory(err, sizeof *bpe);
    bpe->word_end = bpe->continuing = "";
    rnnd_code code = read_model(json_get(j, "model"), arena, out, bpe, err);
    if (!code) code = read_normalizer(json_get(j, "normalizer"), bpe, err);
    if (!code) code = read_splitter(json_get(j, "pre_tokenizer"), bpe, err);
    if (!code) code = read_template(json_get(j, "post_processor"), err);
    if (!code) code = read_decoder(json_get(j, "decoder"), err);
    if (!code) code = read_added(json_get(j, "added_tokens"), arena, out, bpe, err);
    out->bpe = bpe;
    return code;
}
