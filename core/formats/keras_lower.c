/* keras_lower.c -- a Keras architecture as a tensor graph: the whole of it. */
#include "core/formats/keras_lower.h"

#include <stdio.h>
#include <string.h>

#include "core/base/error.h"
#include "core/formats/keras.h"
#include "core/formats/keras_ends.h"

/* Each tensor stands in the checkpoint twice: that leaves room for another form of each. */
static size_t constant_limit(const struct checkpoint *ck)
{
    size_t limit = (size_t)16 << 20;
    for (size_t i = 0; i < ck->count; i++) {
        size_t bytes;
        if (!size_mul(ck->tensors[i].count, sizeof(float), &bytes) || !size_add(limit, bytes, &limit)) limit = SIZE_MAX;
    }
    return limit;
}

rnnd_code keras_lower(struct checkpoint *ck, const struct json *config, struct graph *g, struct arena *arena,
                      struct network *net, rnnd_error *err)
{
    struct keras_document *doc = ck->own;
    struct lowering *L = mem_alloc(1, sizeof *L);
    (void)config;
    if (!L) return fail_memory(err, sizeof *L);
    if (!doc) {
        mem_free(L);
        return fail(err, RNND_UNSUPPORTED,
                    "the file has weights and no architecture: it needs a configuration beside it");
    }
    memset(net, 0, sizeof *net);
    L->ck = ck;
    L->doc = doc;
    L->arena = arena;
    L->net = net;
    arena_init(&L->scratch, (size_t)64 << 20);
    build_start(&L->b, g, constant_limit(ck), err);
    g->tensors = true;
    L->cached = mem_alloc(ck->count + 1, sizeof *L->cached);
    if (!L->cached) build_keep(&L->b, fail_memory(err, ck->count));
    char framework[64];
    snprintf(framework, sizeof framework, *doc->version ? "Keras %.32s" : "Keras", doc->version);
    net->framework = arena_string(arena, framework, strlen(framework));
    if (!net->framework) build_keep(&L->b, fail_memory(err, sizeof framework));
    struct keras_layer top = {.kind = keras_class(json_string(json_get(doc->config, "class_name"))),
                              .config = json_get(doc->config, "config")};
    const char *name = json_string(json_get(top.config, "name"));
    top.name = name && strlen(name) < KERAS_MAX_NAME ? name : "model";
    top.weights.folder = doc->by_name ? NULL : "";
    struct keras_outputs out = {0};
    if (!keras_is_model(top.kind))
        keras_fail(L, &top, RNND_UNSUPPORTED, "wanted a Sequential or Functional model; " KERAS_CUSTOM_ADVICE);
    keras_apply(L, &top, &(struct keras_call){NULL, 0}, &out);
    if (!L->b.code) keras_finish(L, &out);
    rnnd_code code = L->b.code;
    arena_free(&L->scratch);
    mem_free(L->cached);
    mem_free(L);
    return code;
}
