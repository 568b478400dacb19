/* options.c -- reading the keys of a configuration's objects. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/base/error.h"
#include "core/formats/options.h"
#include "core/ops/op.h"

/* What was found, short enough for a sentence. */
static const char *found(const struct json *j, char text[64])
{
    if (json_is_number(j))
        snprintf(text, 64, "%g", json_number(j));
    else if (json_is_string(j))
        snprintf(text, 64, "\"%.40s\"", json_string(j));
    else if (json_is_bool(j))
        snprintf(text, 64, "%s", json_true(j) ? "true" : "false");
    else
        snprintf(text, 64, "%s", json_type_name(j));
    return text;
}

static const struct json *get(const struct options *o, const char *key)
{
    const struct json *j = json_get(o->object, key);
    return json_is_null(j) ? NULL : j;
}

rnnd_code options_check(const struct options *o, const char *const *known, rnnd_error *err)
{
    char text[64];
    if (!o->object) return RNND_OK;
    if (!json_is_object(o->object))
        return fail(err, RNND_MISMATCH, "%s: wanted an object, found %s", o->where, found(o->object, text));
    for (const struct json *e = json_first(o->object); e; e = json_next(e)) {
        const char *const *k = known;
        if (strncmp(json_key(e), "x_", 2) == 0) continue;
        while (*k && strcmp(*k, json_key(e)) != 0)
            k++;
        if (!*k)
            return fail_at(err, RNND_MISMATCH, json_key(e),
                           "%s: unknown key \"%.60s\" (notes of your own begin with x_)", o->where, json_key(e));
    }
    return RNND_OK;
}

rnnd_code option_whole(const struct options *o, const char *key, int64_t min, int64_t max, int64_t absent, int64_t *out,
                       rnnd_error *err)
{
    const struct json *j = get(o, key);
    char text[64];
    if (!j && absent != OPTION_REQUIRED) {
        *out = absent;
        return RNND_OK;
    }
    if (json_whole(j, min, max, out)) return RNND_OK;
    return fail_at(err, RNND_MISMATCH, key, "%s: \"%s\" must be a whole number from %lld to %lld, found %s", o->where,
                   key, (long long)min, (long long)max, found(j, text));
}

rnnd_code option_size(const struct options *o, const char *key, int64_t min, int64_t max, int64_t absent, size_t *out,
                      rnnd_error *err)
{
    int64_t v = 0;
    rnnd_code code = option_whole(o, key, min, max, absent, &v, err);
    if (!code) *out = (size_t)v;
    return code;
}

rnnd_code option_float(const struct options *o, const char *key, float absent, float *out, rnnd_error *err)
{
    const struct json *j = get(o, key);
    char text[64];
    *out = j ? (float)json_number(j) : absent;
    if (!j || (json_is_number(j) && isfinite(*out))) return RNND_OK;
    return fail_at(err, RNND_MISMATCH, key, "%s: \"%s\" must be a number, found %s", o->where, key, found(j, text));
}

rnnd_code option_bool(const struct options *o, const char *key, bool absent, bool *out, rnnd_error *err)
{
    const struct json *j = get(o, key);
    char text[64];
    *out = j ? json_true(j) : absent;
    if (!j || json_is_bool(j)) return RNND_OK;
    return fail_at(err, RNND_MISMATCH, key, "%s: \"%s\" must be true or false, found %s", o->where, key,
                   found(j, text));
}

rnnd_code option_string(const struct options *o, const char *key, const char *absent, struct arena *arena,
                        const char **out, rnnd_error *err)
{
    const struct json *j = get(o, key);
    const char *s = j ? json_string(j) : absent;
    char text[64];
    *out = absent;
    if (j && !s)
        return fail_at(err, RNND_MISMATCH, key, "%s: \"%s\" must be a string, found %s", o->where, key, found(j, text));
    if (j && !(*out = arena_string(arena, s, strlen(s)))) return fail_memory(err, strlen(s));
    return RNND_OK;
}

rnnd_code option_choice(const struct options *o, const char *key, const char *const *choices, int absent, int *out,
                        rnnd_error *err)
{
    const struct json *j = get(o, key);
    const char *s = json_string(j);
    char list[160] = "", text[64];
    size_t at = 0;
    *out = absent;
    if (!j && absent >= 0) return RNND_OK;
    for (int i = 0; choices[i]; i++) {
        if (s && strcmp(s, choices[i]) == 0) {
            *out = i;
            return RNND_OK;
        }
        if (at < sizeof list - 40)
            at += (size_t)snprintf(list + at, sizeof list - at, i ? ", %.30s" : "%.30s", choices[i]);
    }
    return fail_at(err, RNND_MISMATCH, key, "%s: \"%s\" must be one of %s, found %s", o->where, key, list,
                   found(j, text));
}

static bool takes_parameters(enum act_kind kind)
{
    return kind == ACT_HARD_SIGMOID || kind == ACT_LEAKY_RELU || kind == ACT_ELU || kind == ACT_THRESHOLDED_RELU ||
           kind == ACT_SCALED_TANH || kind == ACT_AFFINE;
}

rnnd_code act_of_json(const struct json *j, const char *where, const char *key, struct act *out, rnnd_error *err)
{
    static const char *const known[] = {"type", "alpha", "beta", NULL};
    struct options o = {json_is_object(j) ? j : NULL, where};
    const char *name = o.object ? json_string(json_get(j, "type")) : json_string(j);
    char text[64];
    if (!name || !act_find(*name ? name : "linear", out)) /* "" is how some exporters write linear */
        return fail_at(err, RNND_MISMATCH, key,
                       "%s: \"%s\" must name a function such as tanh, sigmoid or relu, found %s", where, key,
                       found(o.object && name ? json_get(j, "type") : j, text));
    struct act usual = *out;
    rnnd_code code = options_check(&o, known, err);
    if (!code) code = option_float(&o, "alpha", usual.alpha, &out->alpha, err);
    if (!code) code = option_float(&o, "beta", usual.beta, &out->beta, err);
    if (code || takes_parameters(out->kind)) return code;
    bool same = out->alpha == usual.alpha && out->beta == usual.beta;
    if (out->kind == ACT_HARD_TANH)
        same |= out->alpha == -1.0f && out->beta == 1.0f; /* PyTorch writes its limits down */
    *out = usual;
    return same ? RNND_OK
                : fail_at(err, RNND_UNSUPPORTED, key, "%s: \"%s\": %s takes no other alpha or beta", where, key, name);
}

rnnd_code option_act(const struct options *o, const char *key, struct act absent, struct act *out, rnnd_error *err)
{
    const struct json *j = get(o, key);
    *out = absent;
    return j ? act_of_json(j, o->where, key, out, err) : RNND_OK;
}
