/* tensor_util.h -- what the tensor operators share: small integer inputs, axes, lists of attributes, sizes, strides.
 *
 * All of these are for the run; what fails names the node. An operator that has made its output reads no input whose
 * tensor_count() is 0: its data may be NULL. */
#ifndef RNND_TENSOR_UTIL_H
#define RNND_TENSOR_UTIL_H

#include "core/ops/op.h"

/* A list attribute: its elements (count of them), or NULL and *count 0 where absent or of another kind. */
const int64_t *op_attr_ints(const struct graph_node *n, const char *name, size_t *count);
const float *op_attr_floats(const struct graph_node *n, const char *name, size_t *count);
const char *const *op_attr_strings(const struct graph_node *n, const char *name, size_t *count);
const char *op_string(const struct graph_node *n, const char *name, const char *absent);

/* Is output i asked for? An optional one may be absent; never give memory to one that is. */
bool op_wants(const struct graph_node *n, int i);
/* Input i, which must be there and of this dtype: MISMATCH. */
rnnd_code op_typed(const struct run_context *rc, const struct graph_node *n, int i, enum dtype dtype,
                   const struct tensor **out, rnnd_error *err);
/* Reads a small int64 input of rank 0 or 1 (axes, pads, a shape) of at most cap elements; *count 0 where absent. */
rnnd_code op_ints(const struct run_context *rc, const struct graph_node *n, int input, int64_t *out, size_t cap,
                  size_t *count, rnnd_error *err);
/* The same for exactly one int64 element, `absent` where the input is not there. */
rnnd_code op_one_int(const struct run_context *rc, const struct graph_node *n, int input, int64_t absent, int64_t *out,
                     rnnd_error *err);
/* The same for exactly one float. */
rnnd_code op_one_float(const struct run_context *rc, const struct graph_node *n, int input, float absent, float *out,
                       rnnd_error *err);

/* An axis of a tensor of this rank, negative ones counted from the end; outside, MISMATCH. */
rnnd_code op_axis(const struct graph_node *n, int64_t axis, int rank, int *out, rnnd_error *err);
/* Several, each at most once: mask[i] tells whether i is among them. mask is [MAX_RANK], cleared first. */
rnnd_code op_axes(const struct graph_node *n, const int64_t *axes, size_t count, int rank, bool *mask, rnnd_error *err);
/* A dimension that a file or a request has computed: negative is MISMATCH. */
rnnd_code op_dim(const struct graph_node *n, int64_t v, size_t *out, rnnd_error *err);
/* Ranks beyond MAX_RANK: UNSUPPORTED. */
rnnd_code op_rank(const struct graph_node *n, size_t rank, rnnd_error *err);
/* An index into an axis of this size, negative ones counted from the end; outside, MISMATCH. */
rnnd_code op_index(const struct graph_node *n, int64_t index, size_t size, size_t *out, rnnd_error *err);

/* Product of dim[from..to) of a tensor that exists, so it cannot overflow. */
size_t dims_product(const size_t *dim, int from, int to);
/* Elements from one index of each axis to the next, row-major; stride is [MAX_RANK]. */
void dims_strides(int rank, const size_t *dim, size_t *stride);
/* The next index in row-major order of [rank] dims; false once all have been (index is then all zeros again). */
bool dims_next(int rank, const size_t *dim, size_t *index);
/* A tensor of these dims (rank at most 2 * MAX_RANK) written row-major to `to`: the element at an index comes from
 * `from` + the sum of index * step elements; steps may be 0 or negative. */
void dims_copy(size_t element_bytes, int rank, const size_t *dim, const void *from, const ptrdiff_t *step, void *to);
/* "[2, 3]" for sentences; returns buf. */
const char *dims_text(int rank, const size_t *dim, char *buf, size_t cap);

/* Output i as a view of x's data with other dims of the same product; nothing is copied. */
void op_view(struct run_context *rc, const struct graph_node *n, int i, const struct tensor *x, int rank,
             const size_t *dim);
/* The check of an operator that has nothing to say before the run. */
rnnd_code check_nothing(struct graph *g, struct graph_node *n, rnnd_error *err);
/* To a whole number towards 0; beyond its range the nearest, NaN gives 0. */
int64_t whole_number(double v, int64_t least, int64_t most);
const char *dtype_name(enum dtype dtype); /* "float", "int64", "bool" */

#endif
