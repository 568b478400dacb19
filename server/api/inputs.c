/* inputs.c -- input rows from JSON, float32 bytes and text, and the checks that all readers share. */
#include "server/api/inputs.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/engine/fail.h"

struct inputs_want inputs_want_steps(const rnnd_info *info, const char *field, size_t steps_limit)
{
    return (struct inputs_want){.info = info, .field = field, .width = info->input_width,
                                .missing = info->task == RNND_SERIES, .steps_limit = steps_limit};
}

bool inputs_product(size_t a, size_t b, size_t *product)
{
    return !__builtin_mul_overflow(a, b, product);
}

void inputs_free(struct inputs *in)
{
    free(in->data);
    memset(in, 0, sizeof *in);
}

/* "inputs[3][1]": where the flat index lies. */
static void place(const struct inputs_want *want, const struct inputs *in, size_t i, char *out, size_t cap)
{
    size_t row = i / in->width, column = i % in->width;
    if (want->windows)
        snprintf(out, cap, "%.40s[%zu][%zu][%zu]", want->field, row / in->steps, row % in->steps, column);
    else
        snprintf(out, cap, "%.40s[%zu][%zu]", want->field, row, column);
}

/* ids are whole numbers within their port's limit; other ports take any finite number */
static rnnd_code check_ids(const struct inputs_want *want, const struct inputs *in, rnnd_error *err)
{
    char where[128];
    const rnnd_info *info = want->info;
    size_t rows = in->batch * in->steps, offset = 0;
    for (size_t p = 0; p < info->input_count; offset += info->inputs[p++].width) {
        const rnnd_port *port = &info->inputs[p];
        if (!port->is_ids) continue;
        for (size_t k = 0; k < rows * port->width && offset + port->width <= in->width; k++) {
            size_t i = k / port->width * in->width + offset + k % port->width;
            float v = in->data[i];
            if (v >= 0 && (double)v < (double)port->limit && v == floorf(v)) continue;
            place(want, in, i, where, sizeof where);
            return engine_fail(err, RNND_MISMATCH, want->field,
                               "%s must be an id, a whole number from 0 to %zu; it is %g", where, port->limit - 1,
                               (double)v);
        }
    }
    return RNND_OK;
}

rnnd_code inputs_check(const struct inputs_want *want, struct inputs *in, rnnd_error *err)
{
    char where[128];
    rnnd_code code = RNND_OK;
    size_t count = in->batch * in->steps * in->width;
    for (size_t i = 0; i < count && code == RNND_OK; i++) {
        if (isfinite(in->data[i]) || (want->missing && isnan(in->data[i]))) continue;
        place(want, in, i, where, sizeof where);
        code = engine_fail(err, RNND_INVALID, want->field, "%s is %s: only series models take missing values, and "
                           "nothing takes infinite ones", where, isnan(in->data[i]) ? "NaN or null" : "infinite");
    }
    if (code == RNND_OK && in->width == want->info->input_width && want->info->task != RNND_SERIES)
        code = check_ids(want, in, err);
    if (code != RNND_OK) inputs_free(in);
    return code;
}

/* The shape dim[rank] as batch, steps, width; allocates the data. */
rnnd_code inputs_take(const struct inputs_want *want, const size_t *dim, int rank, struct inputs *out, rnnd_error *err)
{
    int full = want->windows ? 3 : 2;
    size_t count, bytes;
    memset(out, 0, sizeof *out);
    if (rank != full && !(rank == full - 1 && want->width == 1))
        return engine_fail(err, RNND_MISMATCH, want->field, "%s must be %s with %zu number%s a step; found an array of "
                           "rank %d", want->field, want->windows ? "[window][step][input]" : "[step][input]",
                           want->width, want->width == 1 ? "" : "s", rank);
    size_t width = rank == full ? dim[rank - 1] : 1;
    out->batch = want->windows ? dim[0] : 1;
    out->steps = want->windows ? dim[1] : dim[0];
    if (out->batch == 0 || out->steps == 0)
        return engine_fail(err, RNND_MISMATCH, want->field, "%s holds no step; wanted one at least", want->field);
    if (width != want->width)
        return engine_fail(err, RNND_MISMATCH, want->field, "%s: the model wants %zu number%s a step, found %zu",
                           want->field, want->width, want->width == 1 ? "" : "s", width);
    if (out->steps > want->steps_limit)
        return engine_fail(err, RNND_TOO_LARGE, want->field,
                           "%s: at most %zu steps are taken in one request, found %zu", want->field, want->steps_limit,
                           out->steps);
    out->width = width;
    if (!inputs_product(out->batch, out->steps, &count) || !inputs_product(count, width, &count) ||
        !inputs_product(count, sizeof(float), &bytes))
        return engine_fail(err, RNND_TOO_LARGE, want->field, "%s is larger than memory can be", want->field);
    out->data = malloc(bytes);
    return out->data ? RNND_OK : engine_fail_memory(err, bytes);
}

/* ---- JSON ------------------------------------------------------------------------------------------------------- */

/* Rows of unequal length: names the first that is not what is wanted. */
static rnnd_code fail_ragged(const struct inputs_want *want, const struct json_numbers *n, rnnd_error *err)
{
    size_t wanted = n->rank == 2 && !want->windows ? want->width : n->lengths[0];
    for (size_t i = 0; i < n->dim[0]; i++)
        if (n->lengths[i] != wanted)
            return engine_fail(err, RNND_MISMATCH, want->field, "%s[%zu] has %zu %s, wanted %zu%s", want->field, i,
                               n->lengths[i], want->windows ? "steps" : "numbers", wanted,
                               want->windows ? " as the first window has" : "");
    return engine_fail(err, RNND_MISMATCH, want->field, "%s: rows differ in length", want->field);
}

static rnnd_code read_array(const struct inputs_want *want, const struct json *v, struct inputs *out, rnnd_error *err)
{
    const struct json_numbers *n = json_numbers(v);
    if (!n && json_type(v) == JSON_ARRAY && json_count(v) == 0)
        return engine_fail(err, RNND_MISMATCH, want->field, "%s holds no step; wanted one at least", want->field);
    if (!n)
        return engine_fail(err, RNND_INVALID, want->field, "%s must be %s of numbers", want->field,
                           want->windows ? "[[[..], ..], ..]" : want->width == 1 ? "[..] or [[..], ..]" : "[[..], ..]");
    if (n->ragged) return fail_ragged(want, n, err);
    rnnd_code code = inputs_take(want, n->dim, n->rank, out, err);
    if (code == RNND_OK) memcpy(out->data, n->data, n->count * sizeof(float));
    return code;
}

/* {"a":[..],"b":[..]}: every input of the model by its name, put side by side. */
static rnnd_code read_ports(const struct inputs_want *want, const struct json *v, struct inputs *out, rnnd_error *err)
{
    const rnnd_info *info = want->info;
    size_t offset = 0;
    rnnd_code code = RNND_OK;
    memset(out, 0, sizeof *out);
    if (info->input_width != want->width)
        return engine_fail(err, RNND_MISMATCH, want->field, "%s must be an array for this model", want->field);
    if (json_count(v) != info->input_count)
        return engine_fail(err, RNND_MISMATCH, want->field, "%s names %zu inputs, the model has %zu", want->field,
                           json_count(v), info->input_count);
    for (size_t p = 0; p < info->input_count && code == RNND_OK; offset += info->inputs[p++].width) {
        const rnnd_port *port = &info->inputs[p];
        const struct json *array = json_get(v, port->name);
        struct inputs_want part_want = *want;
        struct inputs part = {0};
        part_want.width = port->width;
        if (!array) {
            code = engine_fail(err, RNND_MISMATCH, want->field, "%s lacks the model's input \"%.100s\"", want->field,
                               port->name);
            break;
        }
        code = read_array(&part_want, array, &part, err);
        if (code == RNND_OK && p == 0) {
            size_t dim[3] = {part.batch, part.steps, want->width};
            code = inputs_take(want, want->windows ? dim : dim + 1, want->windows ? 3 : 2, out, err);
        }
        if (code == RNND_OK && (part.batch != out->batch || part.steps != out->steps))
            code =
                engine_fail(err, RNND_MISMATCH, want->field, "%s.%.100s has %zu x %zu steps, the first input %zu x %zu",
                            want->field, port->name, part.batch, part.steps, out->batch, out->steps);
        for (size_t row = 0; code == RNND_OK && row < out->batch * out->steps; row++)
            memcpy(out->data + row * want->width + offset, part.data + row * port->width, port->width * sizeof(float));
        inputs_free(&part);
    }
    if (code != RNND_OK) inputs_free(out);
    return code;
}

rnnd_code inputs_json(const struct inputs_want *want, const struct json *v, struct inputs *out, rnnd_error *err)
{
    rnnd_code code = json_type(v) == JSON_OBJECT ? read_ports(want, v, out, err) : read_array(want, v, out, err);
    return code == RNND_OK ? inputs_check(want, out, err) : code;
}

/* ---- bytes and text --------------------------------------------------------------------------------------------- */

rnnd_code inputs_floats(const struct inputs_want *want, const void *data, size_t bytes, struct inputs *out,
                        rnnd_error *err)
{
    size_t row = want->width * sizeof(float);
    memset(out, 0, sizeof *out);
    if (bytes % row)
        return engine_fail(err, RNND_MISMATCH, want->field, "%s: wanted rows of %zu float32, %zu bytes each; found %zu "
                           "bytes, which is no whole number of them", want->field, want->width, row, bytes);
    size_t dim[2] = {bytes / row, want->width};
    rnnd_code code = inputs_take(want, dim, 2, out, err);
    if (code != RNND_OK) return code;
    memcpy(out->data, data, bytes); /* little-endian, as every machine this builds for */
    return inputs_check(want, out, err);
}

rnnd_code inputs_text(const struct inputs_want *want, const rnnd_model *model, const char *text, size_t bytes,
                      struct inputs *out, rnnd_error *err)
{
    size_t count = 0, cap = bytes < want->steps_limit ? bytes : want->steps_limit;
    memset(out, 0, sizeof *out);
    int32_t *ids = malloc((cap ? cap : 1) * sizeof *ids);
    if (!ids) return engine_fail_memory(err, cap * sizeof *ids);
    rnnd_code code = rnnd_tokenize(model, text, bytes, ids, cap, &count, err);
    size_t dim[2] = {count, 1};
    if (code == RNND_OK) code = inputs_take(want, dim, 2, out, err);
    for (size_t i = 0; code == RNND_OK && i < count && i < cap; i++) out->data[i] = (float)ids[i];
    free(ids);
    return code;
}
