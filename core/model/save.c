/* save.c -- writes what a file of any format was read into as a native file. */
#include "core/model/save.h"

#include <string.h>

#include "core/base/error.h"
#include "core/formats/graph_read.h"
#include "core/formats/graph_write.h"
#include "core/formats/reduced.h"
#include "core/model/config_merge.h"
#include "core/model/foreign.h"
#include "core/model/vocabulary.h"

/* ---- the configuration ---- */

/* "text" with the vocabulary itself where the name of its file stood. */
static rnnd_code embed_vocabulary(const struct json *text, const char *in, char **out, rnnd_error *err)
{
    struct json_text over = {0};
    char *vocabulary = NULL, *base = json_print((struct json *)(uintptr_t)text, false);
    rnnd_code code = base ? vocabulary_text(in, json_string(json_get(text, "vocabulary")), &vocabulary, err)
                          : fail_memory(err, JSON_MAX_BYTES);
    if (!code) {
        json_text_add(&over, "{\"vocabulary\":");
        json_text_bytes(&over, vocabulary, strlen(vocabulary));
        json_text_bytes(&over, "}", 1);
        code = over.failed ? fail_memory(err, over.size)
                           : config_merge(base, strlen(base), over.data, over.size, out, err);
    }
    mem_free(over.data);
    mem_free(vocabulary);
    mem_free(base);
    return code;
}

/* What the configuration says besides the network. own: the graph that will be written has taken in "inputs". */
static rnnd_code rewrite_config(const char *config, const char *in, bool own, char **out, rnnd_error *err)
{
    struct json *j = NULL;
    struct json_text over = {0};
    char *text = NULL;
    rnnd_code code = json_parse(config, strlen(config), "configuration", &j, err);
    const struct json *task = json_get(j, "text");
    if (!code && json_is_string(json_get(task, "vocabulary"))) code = embed_vocabulary(task, in, &text, err);
    if (!code) {
        json_text_add(&over, own ? "{\"format\":1,\"inputs\":null" : "{\"format\":1");
        if (text) {
            json_text_add(&over, ",\"text\":");
            json_text_bytes(&over, text, strlen(text));
        }
        json_text_bytes(&over, "}", 1);
        code = over.failed ? fail_memory(err, over.size)
                           : config_merge(config, strlen(config), over.data, over.size, out, err);
    }
    json_free(j);
    mem_free(text);
    mem_free(over.data);
    return code;
}

/* ---- the network ---- */

static struct safetensors_item item_of(const struct checkpoint_tensor *t)
{
    struct safetensors_item item = {.name = t->name, .stored = t->stored, .rank = t->rank, .data = t->raw};
    memcpy(item.dim, t->dim, sizeof item.dim);
    return item;
}

static rnnd_code write_items(const char *out, const struct safetensors_item *items, size_t count, const char *config,
                             const struct save_how *how, rnnd_error *err)
{
    const struct safetensors_meta meta = {"rnnd", config};
    enum precision precision;
    rnnd_code code = precision_parse(how->options ? how->options->precision : NULL, &precision, err);
    if (code) return code;
    return precision ? save_reduced(out, items, count, config, how, err)
                     : safetensors_write(out, items, count, &meta, 1, err);
}

/* The tensors that the network is made of, as they are stored; its golden ones with them. */
static rnnd_code save_tensors(const char *out, struct checkpoint *ck, struct rnnd_model *m, const char *config,
                              const struct save_how *how, rnnd_error *err)
{
    struct safetensors_item *items = mem_alloc(ck->count + 1, sizeof *items);
    size_t count = 0;
    if (!items) return fail_memory(err, ck->count * sizeof *items);
    for (size_t i = 0; i < ck->count; i++)
        ck->tensors[i].found = false;
    rnnd_code code = graph_in_config(m->config.json)
                         ? foreign_lower(m, ck, 0, &m->graph, err)
                         : stack_build(m->config.json, ck, &m->graph, &m->arena, &m->network, err);
    if (m->config.golden_inputs) checkpoint_find(ck, m->config.golden_inputs);
    if (m->config.golden_outputs) checkpoint_find(ck, m->config.golden_outputs);
    graph_free(&m->graph); /* the file is written from the tensors */
    for (size_t i = 0; i < ck->count; i++)
        if (ck->tensors[i].found) items[count++] = item_of(&ck->tensors[i]);
    if (!code) code = write_items(out, items, count, config, how, err);
    mem_free(items);
    return code;
}

/* The graph's constants, then golden tensors of the file, if it has some. */
static rnnd_code write_graph(const char *out, const struct checkpoint *ck, const char *const *golden, const char *rest,
                             struct graph_text *t, const struct save_how *how, rnnd_error *err)
{
    struct json_text config = {0};
    struct safetensors_item *items = mem_alloc(t->item_count + 2, sizeof *items);
    size_t count = t->item_count;
    json_text_bytes(&config, rest, strlen(rest) - 1); /* without its last brace */
    json_text_add(&config, ",\"graph\":");
    json_text_bytes(&config, t->json.data, t->json.size);
    json_text_bytes(&config, "}", 1);
    rnnd_code code = items && !config.failed ? RNND_OK : fail_memory(err, config.size);
    if (!code) {
        memcpy(items, t->items, count * sizeof *items);
        for (; *golden; golden++) {
            const struct checkpoint_tensor *g = checkpoint_find(ck, *golden);
            if (g) items[count++] = item_of(g);
        }
        code = write_items(out, items, count, config.data, how, err);
    }
    mem_free(config.data);
    mem_free(items);
    return code;
}

static rnnd_code save_graph(const char *out, struct checkpoint *ck, size_t file_bytes, struct rnnd_model *m,
                            const char *config, const struct save_how *how, rnnd_error *err)
{
    const char *const golden[] = {m->config.golden_inputs, m->config.golden_outputs, NULL};
    struct graph_text text = {0};
    rnnd_code code = foreign_lower(m, ck, file_bytes, &m->graph, err);
    checkpoint_rest(ck); /* the graph has copies */
    if (!code) code = graph_write(&m->graph, &m->network, golden, &text, err);
    if (!code) code = write_graph(out, ck, golden, config, &text, how, err);
    graph_text_free(&text);
    return code;
}

rnnd_code save_native(const char *out, const char *in, struct checkpoint *ck, size_t file_bytes, const char *config,
                      const struct save_how *how, rnnd_error *err)
{
    bool own = ck->own && ck->format->lower;
    char *rest = NULL;
    struct rnnd_model *m = mem_alloc(1, sizeof *m); /* its network, never run */
    if (!m) return fail_memory(err, sizeof *m);
    arena_init(&m->arena, (size_t)256 << 20);
    m->kernels = kernels_pick(NULL);
    m->info.side_file = "";
    graph_init(&m->graph, m->kernels);
    rnnd_code code = config_parse(config, strlen(config), own, &m->arena, &m->config, err);
    if (!code && json_get(m->config.json, "reduced"))
        code = fail_at(err, RNND_UNSUPPORTED, "precision",
                       "the file holds reduced weights already; convert the one it was made of");
    if (!code) code = rewrite_config(config, in, own, &rest, err);
    if (!code)
        code = own ? save_graph(out, ck, file_bytes, m, rest, how, err) : save_tensors(out, ck, m, rest, how, err);
    mem_free(rest);
    graph_free(&m->graph);
    config_free(&m->config);
    arena_free(&m->arena);
    mem_free(m);
    return code;
}
