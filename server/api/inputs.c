/* inputs.c -- input rows from JSON, float32 bytes and text, and the checks that all readers share. */
#include "server/api/inputs.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/engine/fail.h"

struct inputs_want inputs_want_steps(const rnnd_info *info, const char *field, size_t steps_limit)
{
    return (struct inputs_want){.info = info, .port = inputs_port(info, info->input_width), .field = field,
                                .width = info->input_width, .missing = info->task == RNND_SERIES,
                                .steps_limit = steps_limit};
}

const rnnd_port *inputs_port(const rnnd_info *info, size_t width)
{
    return info->input_count == 1 && info->inputs[0].width == width ? &info->inputs[0] : NULL;
}

bool inputs_product(size_t a, size_t b, size_t *product)
{
    return !__builtin_mul_overflow(a, b, product);
}

void inputs_free(struct inputs *in)
{
    free(in->memory);
    memset(in, 0, sizeof *in);
}

/* "inputs[3][1]": where the flat index lies. */
static void place(const struct inputs_want *want, const struct inputs *in, size_t i, char *out, size_t cap)
{
    size_t row = i / in->width, column = i % in->width, whole = in->width, used;
    if (want->windows)
        used = (size_t)snprintf(out, cap, "%.80s[%zu][%zu]", want->field, row / in->steps, row % in->steps);
    else
        used = (size_t)snprintf(out, cap, "%.80s[%zu]", want->field, row);
    int rank = in->nested ? want->port->rank : 1;
    for (int k = 0; k < rank && used < cap; k++) {
        if (in->nested) whole /= want->port->dim[k];
        used += (size_t)snprintf(out + used, cap - used, "[%zu]", rank > 1 ? column / whole : column);
        if (rank > 1) column %= whole;
    }
}

/* ids are whole numbers within their port's limit; other ports take any finite number */
static rnnd_code check_ids(const struct inputs_want *want, const struct inputs *in, rnnd_error *err)
{
    char where[256];
    size_t rows = in->batch * in->steps, offset = 0, count = want->port ? 1 : want->info->input_count;
    const rnnd_port *ports = want->port ? want->port : want->info->inputs;
    for (size_t p = 0; p < count; offset += ports[p++].width) {
        const rnnd_port *port = &ports[p];
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
    char where[256];
    rnnd_code code = RNND_OK;
    size_t count = in->batch * in->steps * in->width;
    for (size_t i = 0; i < count && code == RNND_OK; i++) {
        if (isfinite(in->data[i]) || (want->missing && isnan(in->data[i]))) continue;
        place(want, in, i, where, sizeof where);
        code = engine_fail(err, RNND_INVALID, want->field, "%s is %s: only series models take missing values, and "
                           "nothing takes infinite ones", where, isnan(in->data[i]) ? "NaN or null" : "infinite");
    }
    if (code == RNND_OK && (want->port || in->width == want->info->input_width) && want->info->task != RNND_SERIES)
        code = check_ids(want, in, err);
    if (code != RNND_OK) inputs_free(in);
    return code;
}

/* The dimensions behind windows and steps are a step's: its numbers in a row, its port's own shape, or none where a
 * step is one number. */
static bool step_fits(const struct inputs_want *want, const size_t *dim, int rank, bool *nested)
{
    const rnnd_port *port = want->port;
    *nested = false;
    if (rank == 0) return want->width == 1;
    if (rank == 1) return dim[0] == want->width;
    if (!port || port->rank != rank) return false;
    for (int k = 0; k < rank; k++)
        if (dim[k] != port->dim[k]) return false;
    return *nested = true;
}

/* "3 x 4" */
static void put_shape(const size_t *dim, int rank, char *out, size_t cap)
{
    size_t used = 0;
    for (int k = 0; k < rank && used < cap; k++)
        used += (size_t)snprintf(out + used, cap - used, "%s%zu", k ? " x " : "", dim[k]);
}

static rnnd_code fail_step(const struct inputs_want *want, const size_t *dim, int rank, rnnd_error *err)
{
    char own[200] = "", found[200] = "";
    bool shaped = want->port && want->port->rank > 1;
    put_shape(dim, rank, found, sizeof found);
    if (shaped) put_shape(want->port->dim, want->port->rank, own, sizeof own);
    if (shaped && rank > 0)
        return engine_fail(err, RNND_MISMATCH, want->field,
                           "%s: the model wants steps of %s, or their %zu numbers in a row; found %s", want->field, own,
                           want->width, found);
    if (rank == 1)
        return engine_fail(err, RNND_MISMATCH, want->field, "%s: the model wants %zu number%s a step, found %zu",
                           want->field, want->width, want->width == 1 ? "" : "s", dim[0]);
    return engine_fail(err, RNND_MISMATCH, want->field, "%s must be %s with %zu number%s a step; found an array of "
                       "rank %d", want->field, want->windows ? "[window][step][input]" : "[step][input]",
                       want->width, want->width == 1 ? "" : "s", rank + 1 + want->windows);
}

static rnnd_code take_memory(struct inputs *out, size_t floats, rnnd_error *err)
{
    size_t bytes = floats * sizeof(float);
    if (floats <= out->memory_floats) return RNND_OK;
    free(out->memory);
    out->memory = malloc(bytes);
    out->memory_floats = out->memory ? floats : 0;
    return out->memory ? RNND_OK : engine_fail_memory(err, bytes);
}

rnnd_code inputs_take(const struct inputs_want *want, const size_t *dim, int rank, const float *given,
                      struct inputs *out, rnnd_error *err)
{
    int lead = want->windows ? 2 : 1;
    size_t count, bytes;
    bool nested = false;
    bool fits = rank >= lead && step_fits(want, dim + lead, rank - lead, &nested);
    for (int k = 0; k < lead && k < rank; k++)
        if (dim[k] == 0)
            return engine_fail(err, RNND_MISMATCH, want->field, "%s holds no step; wanted one at least", want->field);
    if (!fits) return fail_step(want, dim + lead, rank - lead, err);
    out->batch = want->windows ? dim[0] : 1;
    out->steps = dim[lead - 1];
    out->nested = nested;
    if (out->steps > want->steps_limit)
        return engine_fail(err, RNND_TOO_LARGE, want->field,
                           "%s: at most %zu steps are taken in one request, found %zu", want->field, want->steps_limit,
                           out->steps);
    out->width = want->width;
    if (!inputs_product(out->batch, out->steps, &count) || !inputs_product(count, out->width, &count) ||
        !inputs_product(count, sizeof(float), &bytes))
        return engine_fail(err, RNND_TOO_LARGE, want->field, "%s is larger than memory can be", want->field);
    out->data = given;
    if (given && want->borrow) return RNND_OK;
    rnnd_code code = take_memory(out, count ? count : 1, err);
    if (code != RNND_OK) return code;
    out->data = out->memory;
    if (given && bytes) memcpy(out->memory, given, bytes);
    return RNND_OK;
}

/* ---- JSON ------------------------------------------------------------------------------------------------------- */

/* Rows of unequal length: names the first that is not what is wanted. */
static rnnd_code fail_ragged(const struct inputs_want *want, const struct json_numbers *n, rnnd_error *err)
{
    bool rows = n->rank == 2 && !want->windows; /* a row is a step; else a window, as long as the first */
    size_t wanted = rows ? want->width : n->lengths[0];
    for (size_t i = 0; i < n->dim[0]; i++)
        if (n->lengths[i] != wanted)
            return engine_fail(err, rows ? RNND_MISMATCH : RNND_INVALID, want->field,
                               "%s[%zu] has %zu %s, wanted %zu%s", want->field, i, n->lengths[i],
                               rows ? "numbers" : want->windows ? "steps" : "rows", wanted,
                               rows ? "" : want->windows ? " as the first window has" : " as the first step has");
    return engine_fail(err, RNND_INVALID, want->field, "%s: rows differ in length", want->field);
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
    return inputs_take(want, n->dim, n->rank, n->data, out, err);
}

/* Port `index` of the object, into its columns of out; the first one read makes out. */
static rnnd_code read_port(const struct inputs_want *want, const struct json *v, size_t index, size_t offset,
                           struct inputs *out, rnnd_error *err)
{
    const rnnd_port *port = &want->info->inputs[index];
    const struct json *array = json_get(v, port->name);
    struct inputs_want part_want = *want;
    struct inputs part = {0};
    char field[128];
    if (!array)
        return engine_fail(err, RNND_MISMATCH, want->field, "%s lacks the model's input \"%.100s\"", want->field,
                           port->name);
    snprintf(field, sizeof field, "%s.%.80s", want->field, port->name);
    part_want.width = port->width;
    part_want.port = port;
    part_want.field = field;
    rnnd_code code = read_array(&part_want, array, &part, err);
    if (code == RNND_OK) code = inputs_check(&part_want, &part, err);
    if (code == RNND_OK && index == 0) {
        size_t dim[3] = {part.batch, part.steps, want->width};
        code = inputs_take(want, want->windows ? dim : dim + 1, want->windows ? 3 : 2, NULL, out, err);
    }
    if (code == RNND_OK && (part.batch != out->batch || part.steps != out->steps))
        code = engine_fail(err, RNND_MISMATCH, want->field, "%s has %zu x %zu steps, the first input %zu x %zu", field,
                           part.batch, part.steps, out->batch, out->steps);
    for (size_t row = 0; code == RNND_OK && row < out->batch * out->steps; row++)
        memcpy(out->memory + row * want->width + offset, part.data + row * port->width, port->width * sizeof(float));
    inputs_free(&part);
    return code;
}

/* {"a":[..],"b":[..]}: every input of the model by its name, put side by side. */
static rnnd_code read_ports(const struct inputs_want *want, const struct json *v, struct inputs *out, rnnd_error *err)
{
    const rnnd_info *info = want->info;
    size_t offset = 0, width = 0;
    rnnd_code code = RNND_OK;
    for (size_t p = 0; p < info->input_count; p++)
        width += info->inputs[p].width;
    if (info->task == RNND_SERIES) /* its inputs are its network's, which takes features made of the channels */
        return engine_fail(err, RNND_MISMATCH, want->field,
                           "%s must be an array for a series model, %zu channel%s a step in their order; found an "
                           "object", want->field, want->width, want->width == 1 ? "" : "s");
    if (width != want->width)
        return engine_fail(err, RNND_MISMATCH, want->field,
                           "%s must be an array of %zu number%s a step for this model; found an object", want->field,
                           want->width, want->width == 1 ? "" : "s");
    if (json_count(v) != info->input_count)
        return engine_fail(err, RNND_MISMATCH, want->field, "%s names %zu inputs, the model has %zu", want->field,
                           json_count(v), info->input_count);
    for (size_t p = 0; p < info->input_count && code == RNND_OK; offset += info->inputs[p++].width)
        code = read_port(want, v, p, offset, out, err);
    if (code != RNND_OK) inputs_free(out);
    return code;
}

rnnd_code inputs_json(const struct inputs_want *want, const struct json *v, struct inputs *out, rnnd_error *err)
{
    if (json_type(v) == JSON_OBJECT) return read_ports(want, v, out, err);
    rnnd_code code = read_array(want, v, out, err);
    return code == RNND_OK ? inputs_check(want, out, err) : code;
}

/* ---- bytes and text --------------------------------------------------------------------------------------------- */

rnnd_code inputs_floats(const struct inputs_want *want, const void *data, size_t bytes, struct inputs *out,
                        rnnd_error *err)
{
    size_t row = want->width * sizeof(float);
    if (bytes % row)
        return engine_fail(err, RNND_MISMATCH, want->field, "%s: wanted rows of %zu float32, %zu bytes each; found %zu "
                           "bytes, which is no whole number of them", want->field, want->width, row, bytes);
    size_t dim[2] = {bytes / row, want->width};
    rnnd_code code = inputs_take(want, dim, 2, data, out, err); /* little-endian, as every machine this builds for */
    return code == RNND_OK ? inputs_check(want, out, err) : code;
}

rnnd_code inputs_text(const struct inputs_want *want, const rnnd_model *model, const char *text, size_t bytes,
                      struct inputs *out, rnnd_error *err)
{
    size_t count = 0, cap = 2 * bytes + 1 < want->steps_limit ? 2 * bytes + 1 : want->steps_limit;
    rnnd_code code = take_memory(out, cap ? cap : 1, err);
    if (code != RNND_OK) return code;
    int32_t *ids = (int32_t *)(void *)out->memory; /* each id makes room for its number */
    code = rnnd_tokenize(model, text, bytes, ids, cap, &count, err);
    size_t dim[2] = {count, 1};
    if (code == RNND_OK) code = inputs_take(want, dim, 2, NULL, out, err);
    for (size_t i = 0; code == RNND_OK && i < count; i++) {
        int32_t id;
        memcpy(&id, out->memory + i, sizeof id);
        out->memory[i] = (float)id;
    }
    return code;
}
