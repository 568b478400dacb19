/* config.c -- the configuration's top level: keys, task, mode, golden vectors; config_tasks.c has the tasks' parts. */
#include "core/model/config.h"

#include <string.h>

#include "core/base/error.h"
#include "core/formats/graph_read.h"
#include "core/formats/json.h"
#include "core/formats/options.h"
#include "core/model/config_tasks.h"

#define MAX_WINDOW (1 << 20)

static const char *const keys[] = {"format", "name",    "description", "task",   "inputs",  "layers", "graph",
                                   "states", "output",  "mode",        "window", "text",    "series", "license",
                                   "data",   "metrics", "golden",      "pad",    "reduced", NULL};
static const char *const tasks[] = {"raw", "text", "series", NULL};
static const rnnd_task task_ids[] = {RNND_RAW, RNND_TEXT, RNND_SERIES};
static const char *const modes[] = {"carry", "sliding", NULL};
static const char *const pads[] = {"none", "zeros", NULL};
static const char *const outputs[] = {"all", "last", NULL};

static rnnd_code read_form(const struct options *o, bool own_network, struct config *c, rnnd_error *err)
{
    int64_t format;
    int task, mode, output, pad;
    rnnd_code code = option_whole(o, "format", 1, INT32_MAX, OPTION_REQUIRED, &format, err);
    if (code) return code;
    if (format != 1)
        return fail_at(err, RNND_UNSUPPORTED, "format", "configuration: this build reads format 1, found %lld",
                       (long long)format);
    code = options_check(o, keys, err);
    if (!code) code = option_choice(o, "task", tasks, 0, &task, err);
    if (!code) code = option_choice(o, "mode", modes, 0, &mode, err);
    if (!code) code = option_choice(o, "output", outputs, 0, &output, err);
    if (!code) code = option_choice(o, "pad", pads, own_network, &pad, err);
    if (!code && pad && !mode && !own_network)
        code = fail_at(err, RNND_MISMATCH, "pad", "configuration: \"pad\" belongs to the mode sliding");
    if (code) return code;
    c->task = task_ids[task];
    c->mode = mode ? RNND_SLIDING : RNND_CARRY;
    c->output_last = output == 1;
    c->pad_zeros = pad == 1;
    if (own_network) return option_size(o, "window", 0, MAX_WINDOW, 0, &c->window, err); /* the file may fix it */
    if (mode) return option_size(o, "window", 1, MAX_WINDOW, OPTION_REQUIRED, &c->window, err);
    return option_size(o, "window", 0, 0, 0, &c->window, err); /* a carried state has no window */
}

static rnnd_code read_words(const struct options *o, struct arena *arena, struct config *c, rnnd_error *err)
{
    rnnd_code code = option_string(o, "name", NULL, arena, &c->name, err);
    if (!code) code = option_string(o, "description", "", arena, &c->description, err);
    if (!code) code = option_string(o, "license", "", arena, &c->license, err);
    if (!code) code = option_string(o, "data", "", arena, &c->data, err);
    return code;
}

static rnnd_code read_metrics(struct options *o, struct arena *arena, struct config *c, rnnd_error *err)
{
    const struct json *metrics = json_get(o->object, "metrics");
    c->metrics = "{}";
    if (!metrics || json_is_null(metrics)) return RNND_OK;
    if (!json_is_object(metrics))
        return fail_at(err, RNND_MISMATCH, "metrics", "configuration: \"metrics\" must be an object, found %s",
                       json_type_name(metrics));
    char *text = json_print((struct json *)(uintptr_t)metrics, false);
    c->metrics = text ? arena_string(arena, text, strlen(text)) : NULL;
    mem_free(text);
    return c->metrics ? RNND_OK : fail_memory(err, JSON_MAX_BYTES);
}

static rnnd_code read_golden(const struct options *o, struct arena *arena, struct config *c, rnnd_error *err)
{
    static const char *const known[] = {"inputs", "outputs", NULL};
    struct options golden = {json_get(o->object, "golden"), "configuration, golden"};
    if (!golden.object || json_is_null(golden.object)) return RNND_OK;
    rnnd_code code = options_check(&golden, known, err);
    if (!code) code = option_string(&golden, "inputs", NULL, arena, &c->golden_inputs, err);
    if (!code) code = option_string(&golden, "outputs", NULL, arena, &c->golden_outputs, err);
    if (!code && (!c->golden_inputs || !c->golden_outputs))
        code = fail_at(err, RNND_MISMATCH, "golden", "configuration: \"golden\" needs \"inputs\" and \"outputs\"");
    return code;
}

static rnnd_code read_task(const struct options *o, struct arena *arena, struct config *c, rnnd_error *err)
{
    const struct json *text = json_get(o->object, "text"), *series = json_get(o->object, "series");
    if (text && c->task != RNND_TEXT)
        return fail_at(err, RNND_MISMATCH, "text", "configuration: \"text\" belongs to the task text only");
    if (series && c->task != RNND_SERIES)
        return fail_at(err, RNND_MISMATCH, "series", "configuration: \"series\" belongs to the task series only");
    if (c->task == RNND_TEXT) return config_read_text(text, arena, &c->texts, err);
    if (c->task == RNND_SERIES) return config_read_series(series, arena, &c->series, err);
    return RNND_OK;
}

static rnnd_code check_network(const struct json *json, bool own_network, rnnd_error *err)
{
    bool layers = json_get(json, "layers") != NULL, graph = json_get(json, "graph") != NULL;
    if (own_network && (layers || graph))
        return fail_at(err, RNND_MISMATCH, layers ? "layers" : "graph",
                       "configuration: the file says itself what its network is, so there is no \"%s\" beside it",
                       layers ? "layers" : "graph");
    if (!own_network && layers == graph)
        return fail_at(err, RNND_MISMATCH, "layers", "configuration: wanted either \"layers\" or \"graph\"");
    if (json_get(json, "states") && !graph && !own_network)
        return fail_at(err, RNND_MISMATCH, "states",
                       "configuration: \"states\" belongs to \"graph\"; layers have their own");
    return RNND_OK;
}

rnnd_code config_parse(const char *text, size_t bytes, bool own_network, struct arena *arena, struct config *out,
                       rnnd_error *err)
{
    struct json *json;
    memset(out, 0, sizeof *out);
    rnnd_code code = json_parse(text, bytes, "configuration", &json, err);
    if (code) return code;
    out->json = json;
    struct options o = {json, "configuration"};
    if (!json_is_object(json))
        code = fail(err, RNND_MISMATCH, "configuration: wanted an object, found %s", json_type_name(json));
    if (!code && !(out->text = arena_string(arena, text, bytes))) code = fail_memory(err, bytes);
    if (!code) code = read_form(&o, own_network || graph_in_config(json), out, err);
    if (!code) code = read_words(&o, arena, out, err);
    if (!code) code = read_metrics(&o, arena, out, err);
    if (!code) code = read_golden(&o, arena, out, err);
    if (!code) code = check_network(json, own_network, err);
    if (!code) code = read_task(&o, arena, out, err);
    if (code) config_free(out);
    return code;
}

void config_free(struct config *c)
{
    json_free(c->json);
    c->json = NULL;
}
