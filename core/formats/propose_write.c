/* propose_write.c -- a proposal as the text of a side file. */
#include <stdio.h>
#include <string.h>

#include "core/base/error.h"
#include "core/formats/json_text.h"
#include "core/formats/propose_parts.h"

static void put(struct json_text *t, const char *s)
{
    json_text_bytes(t, s, strlen(s));
}

static void put_key(struct json_text *t, const char *key, const char *value)
{
    json_text_add(t, ", \"%s\": ", key);
    json_text_string(t, value);
}

/* Layers find their tensors as NAME.role; where the file has them at its root, each is named. */
static void put_tensors(struct json_text *t, const struct item *i)
{
    static const char *const roles[] = {"weight_ih", "weight_hh", "bias_ih", "bias_hh", "weight_hr"};
    bool first = true;
    put(t, ",\n     \"tensors\": {");
    for (size_t k = 0; k < i->layers * (i->both ? 2 : 1); k++)
        for (int r = 0; r < 5; r++) {
            if ((r == 2 || r == 3) && !i->bias) continue;
            if (r == 4 && !i->projection) continue;
            char end[32], role[48];
            snprintf(end, sizeof end, "_l%zu%s", i->both ? k / 2 : k, i->both && k % 2 ? "_reverse" : "");
            snprintf(role, sizeof role, "%s%s", roles[r], end);
            json_text_add(t, "%s\"%s\": \"%s%s\"", first ? "" : ", ", role, roles[r], i->cell ? "" : end);
            first = false;
        }
    put(t, "}");
}

static void put_recurrent(struct json_text *t, const struct item *i)
{
    json_text_add(t, ", \"hidden\": %zu", i->hidden);
    if (i->layers > 1) json_text_add(t, ", \"layers\": %zu", i->layers);
    if (i->both) put_key(t, "direction", "bidirectional");
    if (i->projection) json_text_add(t, ", \"projection\": %zu", i->projection);
    if (!i->bias) put(t, ", \"bias\": false");
    if (i->gates == 1) put_key(t, "nonlinearity", i->activation ? i->activation : "tanh");
    if (!i->path[0]) put_tensors(t, i);
}

static void put_activation(struct json_text *t, const struct item *i)
{
    bool alpha = strcmp(i->activation, "leaky_relu") == 0 || strcmp(i->activation, "elu") == 0;
    if (!alpha)
        put_key(t, "activation", i->activation);
    else
        json_text_add(t, ", \"activation\": {\"type\": \"%s\", \"alpha\": %.9g}", i->activation, i->number);
}

static void put_layer(struct json_text *t, const struct item *i)
{
    put(t, "    {\"type\": ");
    json_text_string(t, propose_type(i));
    put_key(t, "name", propose_name(i));
    if (i->kind == ITEM_RECURRENT) put_recurrent(t, i);
    if (i->kind == ITEM_DENSE && !i->bias) put(t, ", \"bias\": false");
    if (i->kind == ITEM_ACTIVATION) put_activation(t, i);
    if (i->kind == ITEM_DROPOUT && i->number > 0) json_text_add(t, ", \"rate\": %.9g", i->number);
    if (i->kind == ITEM_LAYER_NORM || i->kind == ITEM_BATCH_NORM) {
        json_text_add(t, ", \"epsilon\": %.9g", i->number);
        if (!i->affine) put(t, ", \"affine\": false");
        if (i->affine && !i->bias) put(t, ", \"bias\": false");
    }
    put(t, "}");
}

rnnd_code propose_write(struct proposing *p, struct proposal *out)
{
    const struct item *first = &p->items[0];
    bool ids = first->kind == ITEM_EMBEDDING, taken = false;
    struct json_text t = {0};
    for (size_t i = 0; i < p->item_count; i++)
        taken |= strcmp(propose_name(&p->items[i]), ids ? "ids" : "x") == 0;
    json_text_add(&t, "{\n  \"format\": 1,\n  \"inputs\": [{\"name\": \"%s\", \"%s\": %zu}],\n  \"layers\": [\n",
                  taken ? "input" : ids ? "ids" : "x", ids ? "ids" : "width", first->inputs);
    for (size_t i = 0; i < p->item_count; i++) {
        put_layer(&t, &p->items[i]);
        put(&t, i + 1 < p->item_count ? ",\n" : "\n");
    }
    json_text_add(&t, "  ],\n  \"output\": \"%s\"", p->last ? "last" : "all");
    for (size_t i = 0; i < p->assumption_count; i++) {
        put(&t, i ? ",\n    " : ",\n  \"x_assumed\": [\n    ");
        json_text_string(&t, p->assumptions[i]);
    }
    put(&t, p->assumption_count ? "\n  ]\n}\n" : "\n}\n");
    out->config = t.failed ? NULL : arena_string(p->arena, t.data, t.size);
    mem_free(t.data);
    out->assumptions = p->assumptions;
    out->assumption_count = p->assumption_count;
    return out->config ? RNND_OK : fail_memory(p->err, t.size);
}
