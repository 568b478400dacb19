/* build_model.c -- small models made in memory, for tests. */
#include "tests/lib/build_model.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

float rng_between(struct rng *r, float low, float high)
{
    return low + (high - low) * (float)rng_unit(r);
}

void text_add(char *text, const char *format, ...)
{
    size_t at = strlen(text);
    va_list args;
    va_start(args, format);
    int n = vsnprintf(text + at, TEXT - at, format, args);
    va_end(args);
    assert_true(n >= 0 && (size_t)n < TEXT - at);
}

void builder_init(struct model_builder *b, uint64_t seed)
{
    memset(b, 0, sizeof *b);
    rng_seed(&b->rng, seed, 1);
}

void builder_free(struct model_builder *b)
{
    for (size_t i = 0; i < b->count; i++) {
        free((void *)(uintptr_t)b->items[i].name);
        free((void *)(uintptr_t)b->items[i].data);
    }
    b->count = 0;
}

float *builder_tensor(struct model_builder *b, const char *name, const float *data, float scale, int rank, size_t d0,
                      size_t d1, size_t d2)
{
    size_t dim[3] = {d0, d1, d2}, count = 1;
    for (int i = 0; i < rank; i++)
        count *= dim[i];
    float *copy = malloc((count ? count : 1) * sizeof *copy);
    struct safetensors_item *item = &b->items[b->count++];
    assert_non_null(copy);
    for (size_t i = 0; i < count; i++)
        copy[i] = data ? data[i] : rng_between(&b->rng, -scale, scale);
    *item = (struct safetensors_item){.name = strdup(name), .stored = STORED_F32, .rank = rank, .data = copy};
    memcpy(item->dim, dim, sizeof dim);
    return copy;
}

const float *builder_find(const struct model_builder *b, const char *name)
{
    for (size_t i = 0; i < b->count; i++)
        if (strcmp(b->items[i].name, name) == 0) return b->items[i].data;
    fail_msg("no tensor %s", name);
    return NULL;
}

void *builder_image(const struct model_builder *b, const char *config, size_t *bytes)
{
    struct safetensors_meta meta = {"rnnd", config};
    void *image = NULL;
    rnnd_error err = {0};
    if (safetensors_image(b->items, b->count, &meta, config != NULL, &image, bytes, &err)) fail_msg("%s", err.message);
    return image;
}

static rnnd_code open_image(const struct model_builder *b, const char *config, const char *kernel_row, rnnd_model **m,
                            rnnd_error *err)
{
    const char *drawn = getenv("RNND_ISA");
    if (!kernel_row && drawn && strcmp(drawn, "auto") != 0) kernel_row = drawn;
    rnnd_options options = {.kernel_row = kernel_row};
    size_t bytes;
    void *image = builder_image(b, config, &bytes);
    rnnd_code code = rnnd_model_open_memory(image, bytes, "test", &options, m, err);
    mem_free(image);
    return code;
}

rnnd_model *builder_open(const struct model_builder *b, const char *config, const char *kernel_row)
{
    rnnd_model *m;
    rnnd_error err = {0};
    if (open_image(b, config, kernel_row, &m, &err)) fail_msg("%s\n%s", err.message, config);
    return m;
}

rnnd_code builder_refused(const struct model_builder *b, const char *config, rnnd_error *err)
{
    rnnd_model *m;
    memset(err, 0, sizeof *err);
    rnnd_code code = open_image(b, config, NULL, &m, err);
    if (!code) fail_msg("was opened: %s", config);
    assert_null(m);
    assert_int_equal(code, err->code);
    return code;
}

void builder_torch(struct model_builder *b, const char *name, size_t gates, size_t inputs, size_t hidden, size_t layers,
                   bool bidirectional, size_t projection)
{
    size_t out = projection ? projection : hidden;
    for (size_t k = 0; k < layers; k++)
        for (int d = 0; d <= bidirectional; d++) {
            char full[128];
            const char *back = d ? "_reverse" : "";
            snprintf(full, sizeof full, "%s.weight_ih_l%zu%s", name, k, back);
            builder_tensor(b, full, NULL, 0.5f, 2, gates * hidden, k ? out * (bidirectional ? 2 : 1) : inputs, 0);
            snprintf(full, sizeof full, "%s.weight_hh_l%zu%s", name, k, back);
            builder_tensor(b, full, NULL, 0.5f, 2, gates * hidden, out, 0);
            snprintf(full, sizeof full, "%s.bias_ih_l%zu%s", name, k, back);
            builder_tensor(b, full, NULL, 0.5f, 1, gates * hidden, 0, 0);
            snprintf(full, sizeof full, "%s.bias_hh_l%zu%s", name, k, back);
            builder_tensor(b, full, NULL, 0.5f, 1, gates * hidden, 0, 0);
            if (!projection) continue;
            snprintf(full, sizeof full, "%s.weight_hr_l%zu%s", name, k, back);
            builder_tensor(b, full, NULL, 0.5f, 2, projection, hidden, 0);
        }
}
