/* save_reduced.c -- a native file in fewer bits: for each tensor the axis is sought over which outputs sum, by trying.
 *
 * A file is made, opened, and held to what the plain one becomes in that precision: where every packed weight and every
 * constant has the same bits, the tensor was a matrix of that orientation, and else it was not. So nothing needs to be
 * known here of layers, layouts and graphs. Most files have all of theirs one way round, which is tried first. */
#include "core/model/save_reduced.h"

#include <stdio.h>
#include <string.h>

#include "core/base/error.h"
#include "core/formats/json_text.h"
#include "core/formats/reduced.h"
#include "core/graph/same.h"
#include "core/model/config_merge.h"

enum { PLAIN = -1 };

struct saving {
    const struct safetensors_item *items;
    size_t count;
    const char *config;
    const struct save_how *how;
    enum precision precision;
    int *along;               /* [count] axis of each, or PLAIN */
    char **largest_name;      /* [count] */
    struct rnnd_model *plain; /* what the file would be in that precision, its weights as they are */
};

/* The file's tensors, as s->along has them: reduced ones in r, the whole list in `list`. */
static rnnd_code make_items(const struct saving *s, struct reduced *r, struct safetensors_item *list, size_t *count,
                            rnnd_error *err)
{
    rnnd_code code = RNND_OK;
    *count = 0;
    for (size_t i = 0; i < s->count && !code; i++) {
        if (s->along[i] != PLAIN)
            code = reduced_make(&s->items[i], s->along[i], s->precision, s->largest_name[i], &r[i], err);
        else
            r[i] = (struct reduced){.items = {s->items[i]}, .count = 1};
    }
    for (int width = 8; width >= 1 && !code; width /= 2) /* all at multiples of their size */
        for (size_t i = 0; i < s->count; i++)
            for (size_t k = 0; k < r[i].count; k++)
                if ((int)stored_types[r[i].items[k].stored].bytes == width) list[(*count)++] = r[i].items[k];
    return code;
}

static rnnd_code make_config(const struct saving *s, char **out, rnnd_error *err)
{
    struct json_text over = {0};
    size_t written = 0;
    json_text_add(&over, "{\"reduced\":{\"precision\":\"%s\",\"error\":%.9g,\"along\":{", precision_name(s->precision),
                  s->plain->info.precision_error);
    for (size_t i = 0; i < s->count; i++) {
        if (s->along[i] == PLAIN) continue;
        json_text_bytes(&over, ",", written++ != 0);
        json_text_string(&over, s->items[i].name);
        json_text_add(&over, ":%d", s->along[i]);
    }
    json_text_add(&over, "}}}");
    rnnd_code code = over.failed ? fail_memory(err, over.size)
                                 : config_merge(s->config, strlen(s->config), over.data, over.size, out, err);
    mem_free(over.data);
    return code;
}

/* The file into memory, or to path where there is one. */
static rnnd_code make_file(const struct saving *s, const char *path, void **image, size_t *bytes, rnnd_error *err)
{
    struct reduced *r = mem_alloc(s->count + 1, sizeof *r);
    struct safetensors_item *list = mem_alloc(2 * s->count + 1, sizeof *list);
    char *config = NULL;
    size_t count = 0;
    rnnd_code code = r && list ? make_config(s, &config, err) : fail_memory(err, s->count * sizeof *list);
    if (!code) code = make_items(s, r, list, &count, err);
    const struct safetensors_meta meta = {"rnnd", config};
    if (!code)
        code = path ? safetensors_write(path, list, count, &meta, 1, err)
                    : safetensors_image(list, count, &meta, 1, image, bytes, err);
    for (size_t i = 0; i < s->count && r; i++)
        if (s->along[i] != PLAIN) reduced_free(&r[i]);
    mem_free(r);
    mem_free(list);
    mem_free(config);
    return code;
}

/* Whether the file as it would be now has the same weights. */
static rnnd_code try(const struct saving *s, bool *same, rnnd_error *err)
{
    const rnnd_options options = {.kernel_row = s->how->options->kernel_row, .force_precision = true};
    struct rnnd_model *m;
    void *image = NULL;
    size_t bytes;
    *same = false;
    rnnd_code code = make_file(s, NULL, &image, &bytes, err);
    if (code) return code;
    code = model_open_memory(image, bytes, NULL, &options, s->how->tasks, &m, err);
    mem_free(image);
    if (code == RNND_NO_MEMORY) return code;
    if (code) return RNND_OK; /* a number that it needs exactly */
    *same = graph_same_weights(&m->graph, &s->plain->graph);
    rnnd_model_close(m);
    return RNND_OK;
}

/* What no weight is made of would pass every trial. */
static bool may_reduce(const struct saving *s, size_t i)
{
    const struct safetensors_item *item = &s->items[i];
    const char *const golden[] = {s->plain->config.golden_inputs, s->plain->config.golden_outputs};
    for (int k = 0; k < 2; k++)
        if (golden[k] && strcmp(golden[k], item->name) == 0) return false;
    return item->stored == STORED_F32 && item->rank >= 2 && s->largest_name[i];
}

static rnnd_code find_axes(struct saving *s, rnnd_error *err)
{
    bool same;
    for (size_t i = 0; i < s->count; i++)
        s->along[i] = may_reduce(s, i) ? s->items[i].rank - 1 : PLAIN;
    rnnd_code code = try(s, &same, err);
    if (code || same) return code;
    for (size_t i = 0; i < s->count; i++)
        s->along[i] = PLAIN;
    for (size_t i = 0; i < s->count && !code; i++) {
        if (!may_reduce(s, i)) continue;
        same = false;
        for (int axis = s->items[i].rank - 1; axis >= s->items[i].rank - 2 && !same && !code; axis--) {
            s->along[i] = axis;
            code = try(s, &same, err);
        }
        if (!same) s->along[i] = PLAIN;
    }
    return code;
}

/* NULL where the name is another's already. */
static rnnd_code name_largest(struct saving *s, rnnd_error *err)
{
    for (size_t i = 0; i < s->count; i++) {
        size_t room = strlen(s->items[i].name) + sizeof REDUCED_LARGEST;
        char *name = mem_alloc(room, 1);
        if (!name) return fail_memory(err, room);
        snprintf(name, room, "%s" REDUCED_LARGEST, s->items[i].name);
        s->largest_name[i] = name;
        for (size_t k = 0; k < s->count && s->largest_name[i]; k++)
            if (strcmp(s->items[k].name, name) == 0) {
                mem_free(name);
                s->largest_name[i] = NULL;
            }
    }
    return RNND_OK;
}

static rnnd_code open_plain(struct saving *s, rnnd_error *err)
{
    const struct safetensors_meta meta = {"rnnd", s->config};
    const rnnd_options options = {.kernel_row = s->how->options->kernel_row,
                                  .precision = precision_name(s->precision),
                                  .force_precision = s->how->options->force_precision};
    void *image;
    size_t bytes;
    rnnd_code code = safetensors_image(s->items, s->count, &meta, 1, &image, &bytes, err);
    if (code) return code;
    code = model_open_memory(image, bytes, NULL, &options, s->how->tasks, &s->plain, err);
    mem_free(image);
    if (!code && s->plain->graph.precision != s->precision)
        code = fail_at(err, RNND_UNSUPPORTED, "precision",
                       "a tensor graph stays in fp32: its weights are not reduced, so there is nothing to write in %s",
                       precision_name(s->precision));
    return code;
}

rnnd_code save_reduced(const char *out, const struct safetensors_item *items, size_t count, const char *config,
                       const struct save_how *how, rnnd_error *err)
{
    struct saving s = {.items = items, .count = count, .config = config, .how = how};
    rnnd_code code = precision_parse(how->options->precision, &s.precision, err);
    if (code) return code;
    s.along = mem_alloc(count + 1, sizeof *s.along);
    s.largest_name = mem_alloc(count + 1, sizeof *s.largest_name);
    code = s.along && s.largest_name ? open_plain(&s, err) : fail_memory(err, count * sizeof *s.along);
    if (!code) code = name_largest(&s, err);
    if (!code) code = find_axes(&s, err);
    if (!code) code = make_file(&s, out, NULL, NULL, err);
    rnnd_model_close(s.plain);
    for (size_t i = 0; i < count && s.largest_name; i++)
        mem_free(s.largest_name[i]);
    mem_free(s.largest_name);
    mem_free(s.along);
    return code;
}
