/* state.c -- states: flat bytes of header, recurrent part and task part; and the portable blob around them.
 *
 *   blob, little-endian
 *     0  8  "RNNDSTAT"            8  4  version, 1          12  4  precision: "f32\0", "bf16", "int8"
 *    16 16  model digest         32  8  step                40  8  floats of the recurrent part
 *    48  8  bytes of the task's  56  8  bytes of the state  64  n  the state        64+n  8  XXH64 of all before */
#include <math.h>
#include <string.h>
#include <xxhash.h>

#include "core/base/bytes.h"
#include "core/base/error.h"
#include "core/model/model.h"
#include "core/formats/reduced.h"

#define BLOB_HEAD ((size_t)64)
#define BLOB_VERSION 1
#define MAX_STEPS ((uint64_t)1 << 53) /* more than anyone counts to, and far from where counters wrap */
static const char magic[8] = {'R', 'N', 'N', 'D', 'S', 'T', 'A', 'T'};
static const char precisions[][4] = {[PRECISION_FP32] = "f32", [PRECISION_BF16] = "bf16", [PRECISION_INT8] = "int8"};

size_t rnnd_state_bytes(const rnnd_model *model)
{
    return model->state_bytes;
}

void *model_task_state(const rnnd_model *m, void *state)
{
    return (unsigned char *)state + m->task_offset;
}

float *model_recurrent(const rnnd_model *m, void *state)
{
    return (float *)((unsigned char *)state + m->recurrent_offset);
}

static const float *recurrent_of(const rnnd_model *m, const void *state)
{
    return (const float *)((const unsigned char *)state + m->recurrent_offset);
}

void model_initial(const rnnd_model *m, float *states)
{
    for (size_t i = 0; i < m->graph.state_count; i++) {
        const struct graph_state *s = &m->graph.states[i];
        if (s->initial)
            memcpy(states, s->initial, s->width * sizeof *states);
        else
            memset(states, 0, s->width * sizeof *states);
        states += s->width;
    }
}

void rnnd_state_reset(const rnnd_model *model, void *state)
{
    memset(state, 0, model->state_bytes);
    if (model->config.mode == RNND_CARRY) model_initial(model, model_recurrent(model, state));
    if (model->task->reset) model->task->reset(model, model_task_state(model, state));
}

uint64_t rnnd_state_step(const rnnd_model *model, const void *state)
{
    (void)model;
    return ((const struct state_header *)state)->steps;
}

static rnnd_code need_carry(const rnnd_model *m, rnnd_error *err)
{
    if (m->config.mode == RNND_CARRY) return RNND_OK;
    return fail(err, RNND_UNSUPPORTED, "model %.80s keeps a window of inputs, it has no h and c to read or set",
                m->info.name);
}

rnnd_code rnnd_state_get_hc(const rnnd_model *model, const void *state, float *h, float *c, rnnd_error *err)
{
    rnnd_code code = need_carry(model, err);
    const float *from = recurrent_of(model, state);
    for (size_t i = 0; i < model->graph.state_count && !code; i++) {
        const struct graph_state *s = &model->graph.states[i];
        float **to = s->kind == 'h' ? &h : s->kind == 'c' ? &c : NULL;
        if (to && *to) {
            memcpy(*to, from, s->width * sizeof *from);
            *to += s->width;
        }
        from += s->width;
    }
    return code;
}

rnnd_code rnnd_state_set_hc(const rnnd_model *model, void *state, const float *h, const float *c, rnnd_error *err)
{
    rnnd_code code = need_carry(model, err);
    if (code) return code;
    if ((h && !model->kernels->finite(model->info.h_width, h)) ||
        (c && !model->kernels->finite(model->info.c_width, c)))
        return fail_at(err, RNND_MISMATCH, h && !model->kernels->finite(model->info.h_width, h) ? "h" : "c",
                       "a state must be finite numbers, found NaN or infinity");
    float *to = model_recurrent(model, state);
    for (size_t i = 0; i < model->graph.state_count; i++) {
        const struct graph_state *s = &model->graph.states[i];
        const float **from = s->kind == 'h' ? &h : s->kind == 'c' ? &c : NULL;
        if (from && *from) {
            memcpy(to, *from, s->width * sizeof *to);
            *from += s->width;
        }
        to += s->width;
    }
    return RNND_OK;
}

/* ---- blobs ---- */

size_t rnnd_state_blob_bytes(const rnnd_model *model)
{
    return BLOB_HEAD + model->state_bytes + 8;
}

static unsigned char *put(unsigned char *p, uint64_t v, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        p[i] = (unsigned char)(v >> (8 * i));
    return p + bytes;
}

void rnnd_state_save(const rnnd_model *model, const void *state, void *blob)
{
    unsigned char *p = blob;
    memcpy(p, magic, 8);
    put(p + 8, BLOB_VERSION, 4);
    memcpy(p + 12, precisions[model->graph.precision], 4);
    memcpy(p + 16, model->digest, 16);
    put(p + 32, rnnd_state_step(model, state), 8);
    put(p + 40, model->recurrent_floats, 8);
    put(p + 48, model->task_bytes, 8);
    put(p + 56, model->state_bytes, 8);
    memcpy(p + BLOB_HEAD, state, model->state_bytes);
    put(p + BLOB_HEAD + model->state_bytes, XXH64(blob, BLOB_HEAD + model->state_bytes, 0), 8);
}

static const char *precision_named(const uint8_t *format)
{
    for (size_t i = 0; i < sizeof precisions / sizeof *precisions; i++)
        if (memcmp(format, precisions[i], 4) == 0) return precision_name((enum precision)i);
    return "???";
}

/* What a blob must hold at each place; the digest tells another model from damage. */
static rnnd_code check_head(const rnnd_model *m, struct bytes *b, uint64_t *step, rnnd_error *err)
{
    const uint8_t *start, *format, *digest;
    uint32_t version;
    uint64_t floats, task_bytes, state_bytes;
    if (!bytes_take(b, 8, &start) || !bytes_u32(b, &version) || !bytes_take(b, 4, &format) ||
        !bytes_take(b, 16, &digest) || !bytes_u64(b, step) || !bytes_u64(b, &floats) || !bytes_u64(b, &task_bytes) ||
        !bytes_u64(b, &state_bytes) || memcmp(start, magic, 8) != 0)
        return fail(err, RNND_CORRUPT, "wanted a state blob that begins with RNNDSTAT and %zu bytes of head",
                    BLOB_HEAD);
    if (version != BLOB_VERSION)
        return fail(err, RNND_UNSUPPORTED, "this build reads state blobs of version %d, found %u", BLOB_VERSION,
                    version);
    if (memcmp(digest, m->digest, 16) != 0)
        return fail(err, RNND_CONFLICT, "the state belongs to another model: wanted digest %s", m->info.digest);
    if (memcmp(format, precisions[m->graph.precision], 4) != 0)
        return fail(err, RNND_CONFLICT, "the state is of precision %.8s; wanted %s, as this model is opened",
                    precision_named(format), m->info.precision);
    if (floats != m->recurrent_floats || task_bytes != m->task_bytes || state_bytes != m->state_bytes)
        return fail(
            err, RNND_CORRUPT,
            "the state has another layout: wanted %zu floats and %zu bytes of task in %zu, found %llu, %llu and %llu",
            m->recurrent_floats, m->task_bytes, m->state_bytes, (unsigned long long)floats,
            (unsigned long long)task_bytes, (unsigned long long)state_bytes);
    return RNND_OK;
}

static rnnd_code check_state(const rnnd_model *m, const uint8_t *bytes, uint64_t step, rnnd_error *err)
{
    uint64_t steps;
    memcpy(&steps, bytes, sizeof steps);
    if (steps != step)
        return fail(err, RNND_CORRUPT, "the state says step %llu, its head says %llu", (unsigned long long)steps,
                    (unsigned long long)step);
    if (steps > MAX_STEPS)
        return fail(err, RNND_CORRUPT, "the state says step %llu, wanted at most %llu", (unsigned long long)steps,
                    (unsigned long long)MAX_STEPS);
    for (size_t i = 0; i < m->recurrent_floats; i++) { /* a blob may lie at any address */
        float f;
        memcpy(&f, bytes + m->recurrent_offset + i * sizeof f, sizeof f);
        if (!isfinite(f)) return fail(err, RNND_CORRUPT, "number %zu of the state is NaN or infinite", i);
    }
    for (size_t i = m->recurrent_offset + m->recurrent_floats * sizeof(float); i < m->task_offset; i++)
        if (bytes[i]) return fail(err, RNND_CORRUPT, "the state's padding is not zero");
    for (size_t i = m->task_offset + m->task_bytes; i < m->state_bytes; i++)
        if (bytes[i]) return fail(err, RNND_CORRUPT, "the state's padding is not zero");
    return RNND_OK;
}

/* A ring is read by its counters and an embedding by its ids: both must be ones that steps could have left. */
static rnnd_code check_ring(const rnnd_model *m, const void *state, rnnd_error *err)
{
    uint64_t steps = rnnd_state_step(m, state);
    if (m->config.mode != RNND_SLIDING) return RNND_OK;
    for (size_t i = 0; i < m->config.window; i++) {
        const float *row = recurrent_of(m, state) + i * m->network_inputs;
        if (i < steps && model_check_ids(m, row, NULL))
            return fail(err, RNND_CORRUPT, "row %zu of the state's window holds an id out of range", i);
        for (size_t k = 0; k < m->network_inputs && i >= steps; k++)
            if (row[k] != 0) return fail(err, RNND_CORRUPT, "row %zu of the state's window was never filled", i);
    }
    return RNND_OK;
}

rnnd_code rnnd_state_load(const rnnd_model *model, const void *blob, size_t bytes, void *state, rnnd_error *err)
{
    struct bytes b = bytes_of(blob, bytes);
    const uint8_t *from;
    uint64_t step, sum;
    rnnd_code code = check_head(model, &b, &step, err);
    if (code) return code;
    if (bytes != rnnd_state_blob_bytes(model) || !bytes_take(&b, model->state_bytes, &from) || !bytes_u64(&b, &sum))
        return fail(err, RNND_CORRUPT, "the state blob has %zu bytes, wanted %zu", bytes, rnnd_state_blob_bytes(model));
    if (XXH64(blob, BLOB_HEAD + model->state_bytes, 0) != sum)
        return fail(err, RNND_CORRUPT, "the state blob's checksum does not fit its bytes");
    code = check_state(model, from, step, err);
    if (code) return code;
    void *copy = mem_alloc(model->state_bytes, 1); /* aligned, and `state` stays as it is until all is good */
    if (!copy) return fail_memory(err, model->state_bytes);
    memcpy(copy, from, model->state_bytes);
    code = check_ring(model, copy, err);
    if (!code && model->task->verify) code = model->task->verify(model, step, model_task_state(model, copy), err);
    if (!code) memcpy(state, copy, model->state_bytes);
    mem_free(copy);
    return code;
}

uint64_t rnnd_state_digest(const rnnd_model *model, const void *state)
{
    return XXH3_64bits(state, model->state_bytes);
}
