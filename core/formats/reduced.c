/* reduced.c -- weights in fewer bits as tensors of a file: read back to floats, and made. */
#include "core/formats/reduced.h"

#include <stdio.h>
#include <string.h>

#include "core/base/error.h"
#include "core/formats/json.h"
#include "core/formats/options.h"

static const char *const names[] = {[PRECISION_FP32] = "fp32", [PRECISION_BF16] = "bf16", [PRECISION_INT8] = "int8"};
static const enum stored stored[] = {[PRECISION_FP32] = STORED_F32, STORED_BF16, STORED_I8};

rnnd_code precision_parse(const char *name, enum precision *out, rnnd_error *err)
{
    *out = PRECISION_FP32;
    if (!name) return RNND_OK;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(name, names[i]) == 0) {
            *out = (enum precision)i;
            return RNND_OK;
        }
    return fail_at(err, RNND_UNSUPPORTED, "precision", "wanted a precision of fp32, bf16 or int8, found \"%.40s\"",
                   name);
}

const char *precision_name(enum precision precision)
{
    return names[precision];
}

/* A tensor's rows of weights: row (o, i) begins at o*k*inner + i, and its elements are `inner` apart. */
struct rows {
    size_t outer, k, inner;
};

static struct rows rows_of(const size_t *dim, int rank, int axis)
{
    struct rows r = {1, dim[axis], 1};
    for (int i = 0; i < rank; i++) {
        if (i < axis) r.outer *= dim[i];
        if (i > axis) r.inner *= dim[i];
    }
    return r;
}

/* ---- reading ---- */

static rnnd_code read_tensor(struct checkpoint *ck, const struct json *axis, rnnd_error *err)
{
    char name[256], found[96] = "none";
    struct checkpoint_tensor *t = checkpoint_find(ck, json_key(axis)), *largest = NULL;
    int64_t along;
    if (!t || t->stored != stored[ck->precision] || !json_whole(axis, 0, t->rank - 1, &along))
        return fail_at(err, RNND_MISMATCH, json_key(axis),
                       "reduced tensor \"%.80s\": wanted one of %s and an axis of it, found %s", json_key(axis),
                       stored_types[stored[ck->precision]].name, t ? stored_types[t->stored].name : "no such tensor");
    struct rows r = rows_of(t->dim, t->rank, (int)along);
    t->reduced = 1 + (int)along;
    if (ck->precision != PRECISION_INT8) return RNND_OK;
    if (snprintf(name, sizeof name, "%s" REDUCED_LARGEST, t->name) < (int)sizeof name)
        largest = checkpoint_find(ck, name);
    if (largest && largest->stored == STORED_F32 && largest->count == r.outer * r.inner) {
        t->largest = largest->raw;
        return RNND_OK;
    }
    if (largest) shape_text(found, largest->rank, largest->dim);
    return fail_at(err, RNND_MISMATCH, t->name, "reduced tensor \"%.80s\": wanted %zu F32 in \"%.80s\", found %s",
                   t->name, r.outer * r.inner, name, found);
}

rnnd_code reduced_read(struct checkpoint *ck, rnnd_error *err)
{
    static const char *const known[] = {"precision", "error", "along", NULL};
    struct json *config;
    const char *name;
    if (!ck->config || ck->config_made || !strstr(ck->config, "\"reduced\"")) return RNND_OK;
    rnnd_code code = json_parse(ck->config, ck->config_bytes, "configuration", &config, err);
    if (code) return code;
    struct options o = {json_get(config, "reduced"), "configuration, reduced"};
    const struct json *along = json_get(o.object, "along"), *error = json_get(o.object, "error");
    if (o.object && !json_is_null(o.object)) {
        code = options_check(&o, known, err);
        if (!code) code = option_string(&o, "precision", "", &ck->arena, &name, err);
        if (!code) code = precision_parse(name, &ck->precision, err);
        if (!code && (ck->precision == PRECISION_FP32 || !json_is_object(along) || !json_is_number(error)))
            code = fail_at(err, RNND_MISMATCH, "reduced",
                           "configuration: \"reduced\" needs a \"precision\" of bf16 or int8, an \"error\" and an "
                           "object \"along\"");
        ck->precision_error = json_number(error);
        for (const struct json *j = json_first(along); j && !code; j = json_next(j))
            code = read_tensor(ck, j, err);
    }
    json_free(config);
    return code;
}

void reduced_floats(const struct checkpoint_tensor *t, float *to)
{
    struct rows r = rows_of(t->dim, t->rank, t->reduced - 1);
    size_t each = stored_types[t->stored].bytes;
    enum precision precision = t->largest ? PRECISION_INT8 : PRECISION_BF16;
    for (size_t i = 0; i < r.outer * r.inner && r.k; i++) {
        size_t at = i / r.inner * r.k * r.inner + i % r.inner;
        float largest = 0;
        if (t->largest) memcpy(&largest, t->largest + i * sizeof largest, sizeof largest);
        weights_restore(precision, t->raw + at * each, largest, r.inner, r.k, to + at);
    }
}

/* ---- making ---- */

rnnd_code reduced_make(const struct safetensors_item *from, int axis, enum precision precision,
                       const char *largest_name, struct reduced *out, rnnd_error *err)
{
    struct rows r = rows_of(from->dim, from->rank, axis);
    size_t rows = r.outer * r.inner, count = rows * r.k, each = stored_types[stored[precision]].bytes;
    uint8_t *reduced = mem_alloc(count ? count : 1, each);
    float *largest = mem_alloc(rows ? rows : 1, sizeof *largest), *row = mem_alloc(r.k ? r.k : 1, sizeof *row);
    *out = (struct reduced){.items = {*from, *from}, .count = precision == PRECISION_INT8 ? 2 : 1};
    out->items[0].stored = stored[precision];
    out->items[0].data = reduced;
    out->items[1].name = largest_name;
    out->items[1].dim[axis] = 1;
    out->items[1].data = largest;
    rnnd_code code = reduced && largest && row ? RNND_OK : fail_memory(err, count);
    for (size_t i = 0; i < rows && r.k && !code; i++) {
        size_t at = i / r.inner * r.k * r.inner + i % r.inner;
        for (size_t k = 0; k < r.k; k++) /* of any alignment */
            memcpy(row + k, (const uint8_t *)from->data + (at + k * r.inner) * sizeof *row, sizeof *row);
        weights_reduce(precision, row, 1, r.k, reduced + at * each, r.inner, largest + i);
    }
    mem_free(row);
    if (code) reduced_free(out);
    return code;
}

void reduced_free(struct reduced *r)
{
    mem_free((void *)(uintptr_t)r->items[0].data);
    mem_free((void *)(uintptr_t)r->items[1].data);
    *r = (struct reduced){.count = 0};
}
