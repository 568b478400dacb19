/* resize.c -- tensor operators Resize and Upsample, to the nearest element. */
#include <math.h>
#include <string.h>

#include "core/base/error.h"
#include "core/ops/tensor_util.h"
#include "core/ops/window.h"

enum place { PLACE_HALF, PLACE_TORCH_HALF, PLACE_ASYMMETRIC, PLACE_CORNERS, PLACE_TF_HALF };
enum nearest { NEAREST_PREFER_FLOOR, NEAREST_PREFER_CEIL, NEAREST_FLOOR, NEAREST_CEIL };

static bool is_upsample(const struct graph_node *n)
{
    return strcmp(n->op->name, "Upsample") == 0;
}

static rnnd_code choose(const struct graph_node *n, const char *name, const char *absent, const char *const *known,
                        int *out, rnnd_error *err)
{
    const char *said = op_string(n, name, absent);
    for (int i = 0; known[i]; i++)
        if (strcmp(known[i], said) == 0) {
            *out = i;
            return RNND_OK;
        }
    return fail_at(err, RNND_UNSUPPORTED, name, "node \"%.80s\" (%s): the %s \"%.80s\" is not supported", n->name,
                   n->op->name, name, said);
}

static rnnd_code read_modes(const struct graph_node *n, int *place, int *nearest, rnnd_error *err)
{
    static const char *const modes[] = {"nearest", NULL}, *const policies[] = {"stretch", NULL};
    static const char *const places[] = {"half_pixel",    "pytorch_half_pixel",  "asymmetric",
                                         "align_corners", "tf_half_pixel_for_nn", NULL};
    static const char *const roundings[] = {"round_prefer_floor", "round_prefer_ceil", "floor", "ceil", NULL};
    int ignored;
    *place = PLACE_ASYMMETRIC;
    *nearest = NEAREST_FLOOR;
    rnnd_code code = choose(n, "mode", "nearest", modes, &ignored, err);
    if (code || is_upsample(n)) return code;
    code = choose(n, "coordinate_transformation_mode", "half_pixel", places, place, err);
    if (!code) code = choose(n, "nearest_mode", "round_prefer_floor", roundings, nearest, err);
    if (!code) code = choose(n, "keep_aspect_ratio_policy", "stretch", policies, &ignored, err);
    return code;
}

static rnnd_code check(struct graph *g, struct graph_node *n, rnnd_error *err)
{
    (void)g;
    int place, nearest;
    return read_modes(n, &place, &nearest, err);
}

struct scale { double in, out; }; /* so many elements become so many: exact where sizes are given */
struct resize {
    int place, nearest;
    size_t out[MAX_RANK];
    struct scale scale[MAX_RANK];
};

/* Which element of an axis of size `in` the output's element o is nearest to. */
static size_t source(const struct resize *r, size_t in, size_t out, struct scale scale, size_t o)
{
    double at = (double)o;
    switch ((enum place)r->place) {
    case PLACE_HALF: at = (at + 0.5) * scale.in / scale.out - 0.5; break;
    case PLACE_TORCH_HALF: at = out > 1 ? (at + 0.5) * scale.in / scale.out - 0.5 : 0; break;
    case PLACE_ASYMMETRIC: at = at * scale.in / scale.out; break;
    case PLACE_CORNERS: at = out > 1 ? at * (double)(in - 1) / (double)(out - 1) : 0; break;
    case PLACE_TF_HALF: at = (at + 0.5) * scale.in / scale.out; break;
    }
    switch ((enum nearest)r->nearest) {
    case NEAREST_PREFER_FLOOR: at = ceil(at - 0.5); break;
    case NEAREST_PREFER_CEIL: at = floor(at + 0.5); break;
    case NEAREST_FLOOR: at = floor(at); break;
    case NEAREST_CEIL: at = ceil(at); break;
    }
    if (!(at > 0)) return 0;
    return at >= (double)(in - 1) ? in - 1 : (size_t)at;
}

static rnnd_code wrong_count(const struct graph_node *n, size_t wanted, size_t found, rnnd_error *err)
{
    return fail_at(err, RNND_MISMATCH, n->name, "node \"%.80s\" (%s): wanted %zu sizes or scales, found %zu", n->name,
                   n->op->name, wanted, found);
}

/* The axes that sizes or scales speak of: all where none are named. */
static rnnd_code read_axes(const struct graph_node *n, int rank, int *axes, size_t *count, rnnd_error *err)
{
    const int64_t *list = op_attr_ints(n, "axes", count);
    bool mask[MAX_RANK];
    rnnd_code code = op_axes(n, list, *count, rank, mask, err);
    for (size_t i = 0; i < *count && !code; i++)
        code = op_axis(n, list[i], rank, &axes[i], err);
    if (*count) return code;
    for (int i = 0; i < rank; i++)
        axes[i] = i;
    *count = (size_t)rank;
    return code;
}

static rnnd_code find_sizes(const struct run_context *rc, const struct graph_node *n, const struct tensor *x,
                            struct resize *r, rnnd_error *err)
{
    int axes[MAX_RANK];
    size_t count, found;
    int64_t sizes[MAX_RANK];
    rnnd_code code = read_axes(n, x->rank, axes, &count, err);
    if (!code) code = op_ints(rc, n, 3, sizes, MAX_RANK, &found, err);
    if (code) return code;
    for (int i = 0; i < x->rank; i++) {
        r->out[i] = x->dim[i];
        r->scale[i] = (struct scale){1, 1};
    }
    if (found && found != count) return wrong_count(n, count, found, err);
    for (size_t i = 0; i < found; i++) {
        code = op_dim(n, sizes[i], &r->out[axes[i]], err);
        if (code) return code;
        r->scale[axes[i]] = (struct scale){(double)x->dim[axes[i]], (double)sizes[i]};
    }
    if (found) return RNND_OK;
    const struct tensor *scales = NULL;
    code = op_typed(rc, n, is_upsample(n) ? 1 : 2, DTYPE_F32, &scales, err);
    if (code) return code;
    if (tensor_count(scales) != count) return wrong_count(n, count, tensor_count(scales), err);
    for (size_t i = 0; i < count; i++) {
        float scale = ((const float *)scales->data)[i], out = floorf((float)x->dim[axes[i]] * scale);
        if (!(scale > 0) || !(out < 0x1p40f))
            return fail_at(err, RNND_MISMATCH, n->name, "node \"%.80s\" (%s): a scale of %g", n->name, n->op->name,
                           (double)scale);
        r->out[axes[i]] = (size_t)out;
        r->scale[axes[i]] = (struct scale){1, scale};
    }
    return RNND_OK;
}

static rnnd_code run(struct run_context *rc, const struct graph_node *n, rnnd_error *err)
{
    const struct tensor *x;
    struct resize r;
    size_t *from[MAX_RANK], stride[MAX_RANK], index[MAX_RANK] = {0};
    rnnd_code code = read_modes(n, &r.place, &r.nearest, err);
    if (!code) code = op_typed(rc, n, 0, DTYPE_F32, &x, err);
    if (!code) code = find_sizes(rc, n, x, &r, err);
    if (code) return code;
    code = rc->output(rc, n, 0, DTYPE_F32, x->rank, r.out, err);
    if (code || tensor_count(&rc->values[n->outputs[0]]) == 0) return code;
    if (tensor_count(x) == 0)
        return fail_at(err, RNND_MISMATCH, n->name, "node \"%.80s\" (%s): nothing cannot be made larger", n->name,
                       n->op->name);
    dims_strides(x->rank, x->dim, stride);
    for (int i = 0; i < x->rank; i++) {
        from[i] = rc->scratch(rc, r.out[i] * sizeof **from);
        if (!from[i]) return fail_memory(err, r.out[i] * sizeof **from);
        for (size_t o = 0; o < r.out[i]; o++)
            from[i][o] = stride[i] * (r.scale[i].in == r.scale[i].out
                                          ? o : source(&r, x->dim[i], r.out[i], r.scale[i], o));
    }
    float *y = rc->values[n->outputs[0]].data;
    do {
        size_t at = 0;
        for (int i = 0; i < x->rank; i++)
            at += from[i][index[i]];
        *y++ = ((const float *)x->data)[at];
    } while (dims_next(x->rank, r.out, index));
    return RNND_OK;
}

static const char *const resize_attributes[] = {"antialias",      "axes",       "coordinate_transformation_mode",
                                                "cubic_coeff_a",  "mode",       "exclude_outside",
                                                "nearest_mode",   "extrapolation_value",
                                                "keep_aspect_ratio_policy", NULL};
static const char *const upsample_attributes[] = {"mode", NULL};
const struct op op_resize = {"Resize", 1, 4, 1, resize_attributes, false, false, check, NULL, NULL, run};
const struct op op_upsample = {"Upsample", 2, 2, 1, upsample_attributes, false, false, check, NULL, NULL, run};
