/* graph_builder.c -- adding nodes and constants to a tensor graph, with one error that sticks. */
#include "core/formats/graph_builder.h"

#include "core/base/error.h"
#include "core/ops/op.h"

void build_start(struct graph_builder *b, struct graph *g, size_t constant_limit, rnnd_error *err)
{
    *b = (struct graph_builder){.g = g, .err = err, .layer = "", .constant_limit = constant_limit};
}

void build_keep(struct graph_builder *b, rnnd_code code)
{
    if (!b->code) b->code = code;
}

static void no_memory(struct graph_builder *b)
{
    build_keep(b, b->code ? b->code : fail_memory(b->err, 0));
}

/* ---- constants ---- */

/* Counts what a constant takes; false: more than there may be. */
static bool room(struct graph_builder *b, enum dtype dtype, int rank, const size_t *dim)
{
    size_t count = 1, bytes = 0;
    if (b->code) return false;
    for (int i = 0; i < rank; i++)
        if (!size_mul(count, dim[i], &count)) count = SIZE_MAX;
    if (size_mul(count, dtype == DTYPE_F32 ? sizeof(float) : sizeof(int64_t), &bytes) &&
        size_add(b->constant_bytes, bytes, &b->constant_bytes) && b->constant_bytes <= b->constant_limit)
        return true;
    build_keep(b, fail_at(b->err, RNND_TOO_LARGE, b->layer,
                          "layer \"%.80s\": the network's constants take more than %zu bytes", b->layer,
                          b->constant_limit));
    return false;
}

static int constant(struct graph_builder *b, enum dtype dtype, int rank, const size_t *dim, const void *data)
{
    if (!room(b, dtype, rank, dim)) return -1;
    int v = graph_constant(b->g, b->layer, dtype, rank, dim, data);
    if (v < 0) no_memory(b);
    return v;
}

int build_take(struct graph_builder *b, int rank, const size_t *dim, float *data)
{
    int v =
        data && room(b, DTYPE_F32, rank, dim) ? graph_constant_take(b->g, b->layer, DTYPE_F32, rank, dim, data) : -1;
    if (v >= 0) return v;
    mem_free(data);
    if (!b->code) no_memory(b);
    return v;
}

int build_floats(struct graph_builder *b, int rank, const size_t *dim, const float *data)
{
    return constant(b, DTYPE_F32, rank, dim, data);
}

int build_float(struct graph_builder *b, float v)
{
    return constant(b, DTYPE_F32, 0, NULL, &v);
}

int build_ints(struct graph_builder *b, size_t count, const int64_t *v)
{
    return constant(b, DTYPE_I64, 1, &count, v);
}

int build_int(struct graph_builder *b, int64_t v)
{
    return constant(b, DTYPE_I64, 0, NULL, &v);
}

int build_axis(struct graph_builder *b, int64_t v)
{
    return build_ints(b, 1, &v);
}

/* ---- nodes ---- */

bool build_node(struct graph_builder *b, const char *op, size_t input_count, const int *inputs, size_t output_count,
                int *outputs)
{
    if (b->code) return false;
    const struct op *known = op_find(op);
    if (!known) {
        build_keep(b, fail_at(b->err, RNND_UNSUPPORTED, b->layer,
                              "layer \"%.80s\" needs the operator %.40s, which is "
                              "not there",
                              b->layer, op));
        return false;
    }
    if (b->g->node_count >= BUILDER_MAX_NODES) {
        build_keep(b, fail_at(b->err, RNND_TOO_LARGE, b->layer, "layer \"%.80s\": the network has more than %zu nodes",
                              b->layer, BUILDER_MAX_NODES));
        return false;
    }
    int made[8];
    for (size_t i = 0; i < output_count && i < 8; i++) {
        made[i] = output_count > 1 && outputs[i] < 0 ? -1 : graph_value(b->g, b->layer);
        if (made[i] < 0 && (output_count == 1 || outputs[i] >= 0)) {
            no_memory(b);
            return false;
        }
    }
    struct graph_node *n = graph_node(b->g, known, b->layer, (int)input_count, (int)output_count);
    if (!n) {
        no_memory(b);
        return false;
    }
    for (size_t i = 0; i < input_count; i++)
        n->inputs[i] = inputs[i];
    for (size_t i = 0; i < output_count && i < 8; i++)
        n->outputs[i] = outputs[i] = made[i];
    return true;
}

static int one(struct graph_builder *b, const char *op, size_t count, const int *inputs)
{
    int out = 0;
    return build_node(b, op, count, inputs, 1, &out) ? out : -1;
}

int build(struct graph_builder *b, const char *op, int a)
{
    return one(b, op, 1, &a);
}

int build2(struct graph_builder *b, const char *op, int a, int c)
{
    return one(b, op, 2, (const int[]){a, c});
}

int build3(struct graph_builder *b, const char *op, int a, int c, int d)
{
    return one(b, op, 3, (const int[]){a, c, d});
}

static struct graph_node *last(struct graph_builder *b)
{
    return b->code ? NULL : &b->g->nodes[b->g->node_count - 1];
}

static void attribute(struct graph_builder *b, rnnd_code code)
{
    if (code) no_memory(b);
}

void build_attr_int(struct graph_builder *b, const char *name, int64_t v)
{
    if (last(b)) attribute(b, graph_attr_int(b->g, last(b), name, v));
}

void build_attr_float(struct graph_builder *b, const char *name, float v)
{
    if (last(b)) attribute(b, graph_attr_float(b->g, last(b), name, v));
}

void build_attr_string(struct graph_builder *b, const char *name, const char *v)
{
    if (last(b)) attribute(b, graph_attr_string(b->g, last(b), name, v));
}

void build_attr_ints(struct graph_builder *b, const char *name, const int64_t *v, size_t count)
{
    if (last(b)) attribute(b, graph_attr_ints(b->g, last(b), name, v, count));
}

void build_attr_floats(struct graph_builder *b, const char *name, const float *v, size_t count)
{
    if (last(b)) attribute(b, graph_attr_floats(b->g, last(b), name, v, count));
}

void build_attr_strings(struct graph_builder *b, const char *name, const char *const *v, size_t count)
{
    if (last(b)) attribute(b, graph_attr_strings(b->g, last(b), name, v, count));
}

/* ---- forms that come often ---- */

int build_transpose(struct graph_builder *b, int value, int rank, const int64_t *order)
{
    int out = build(b, "Transpose", value);
    build_attr_ints(b, "perm", order, (size_t)rank);
    return out;
}

int build_squeeze(struct graph_builder *b, int value, int64_t axis)
{
    return build2(b, "Squeeze", value, build_axis(b, axis));
}

int build_unsqueeze(struct graph_builder *b, int value, int64_t axis)
{
    return build2(b, "Unsqueeze", value, build_axis(b, axis));
}

int build_slice(struct graph_builder *b, int value, int64_t axis, int64_t start, int64_t end, int64_t step)
{
    int starts = build_axis(b, start), ends = build_axis(b, end), axes = build_axis(b, axis);
    if (step == 1) return one(b, "Slice", 4, (const int[]){value, starts, ends, axes});
    return one(b, "Slice", 5, (const int[]){value, starts, ends, axes, build_axis(b, step)});
}

int build_reverse(struct graph_builder *b, int value, int64_t axis)
{
    return build_slice(b, value, axis, -1, INT64_MIN, -1);
}

int build_concat(struct graph_builder *b, const int *values, size_t count, int64_t axis)
{
    int out = one(b, "Concat", count, values);
    build_attr_int(b, "axis", axis);
    return out;
}

int build_reshape(struct graph_builder *b, int value, int rank, const int64_t *dim)
{
    return build2(b, "Reshape", value, build_ints(b, (size_t)rank, dim));
}

int build_cast(struct graph_builder *b, int value, enum dtype to)
{
    int out = build(b, "Cast", value);
    build_attr_int(b, "to", to == DTYPE_F32 ? 1 : to == DTYPE_I64 ? 7 : 9); /* TensorProto.DataType */
    return out;
}

int build_reduce(struct graph_builder *b, const char *op, int value, int64_t axis, bool keep)
{
    int out = build2(b, op, value, build_axis(b, axis));
    build_attr_int(b, "keepdims", keep);
    return out;
}
