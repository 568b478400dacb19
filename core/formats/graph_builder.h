/* graph_builder.h -- adding nodes and constants to a tensor graph, with one error that sticks.
 *
 * Every function answers a value number; once something has failed they do nothing and answer -1, and `code` says what
 * it was, so that a reader of a format writes its formulas down and asks once at the end. */
#ifndef RNND_GRAPH_BUILDER_H
#define RNND_GRAPH_BUILDER_H

#include "core/graph/graph.h"

#define BUILDER_MAX_NODES ((size_t)1 << 16)

struct graph_builder {
    struct graph *g;
    rnnd_code code; /* the first failure; its sentence stands in err */
    rnnd_error *err;
    const char *layer; /* borrowed: what nodes and values made now are named by */
    size_t constant_bytes, constant_limit;
};

/* Constants of more than constant_limit bytes in all are TOO_LARGE. */
void build_start(struct graph_builder *b, struct graph *g, size_t constant_limit, rnnd_error *err);
/* Keeps the first failure; `code` is one whose sentence is in b->err already. */
void build_keep(struct graph_builder *b, rnnd_code code);

int build_floats(struct graph_builder *b, int rank, const size_t *dim, const float *data);
/* The same of memory from mem_aligned(), which is the graph's or freed then; NULL: there was none. */
int build_take(struct graph_builder *b, int rank, const size_t *dim, float *data);
int build_float(struct graph_builder *b, float v);                       /* a scalar */
int build_ints(struct graph_builder *b, size_t count, const int64_t *v); /* one dimension */
int build_int(struct graph_builder *b, int64_t v);                       /* a scalar */
int build_axis(struct graph_builder *b, int64_t v);                      /* one dimension with one number */

/* A node of one output. An operator that the library does not have is UNSUPPORTED. */
int build(struct graph_builder *b, const char *op, int a);
int build2(struct graph_builder *b, const char *op, int a, int c);
int build3(struct graph_builder *b, const char *op, int a, int c, int d);
/* Any node; -1 among the inputs is an absent one, and -1 in outputs[i] on entry wants no such output. False: failed. */
bool build_node(struct graph_builder *b, const char *op, size_t input_count, const int *inputs, size_t output_count,
                int *outputs);
/* Attributes of the node made last. */
void build_attr_int(struct graph_builder *b, const char *name, int64_t v);
void build_attr_float(struct graph_builder *b, const char *name, float v);
void build_attr_string(struct graph_builder *b, const char *name, const char *v);
void build_attr_ints(struct graph_builder *b, const char *name, const int64_t *v, size_t count);
void build_attr_floats(struct graph_builder *b, const char *name, const float *v, size_t count);
void build_attr_strings(struct graph_builder *b, const char *name, const char *const *v, size_t count);

/* Forms that come often. */
int build_transpose(struct graph_builder *b, int value, int rank, const int64_t *order);
int build_squeeze(struct graph_builder *b, int value, int64_t axis);
int build_unsqueeze(struct graph_builder *b, int value, int64_t axis);
int build_slice(struct graph_builder *b, int value, int64_t axis, int64_t start, int64_t end, int64_t step);
int build_reverse(struct graph_builder *b, int value, int64_t axis);
int build_concat(struct graph_builder *b, const int *values, size_t count, int64_t axis);
/* 0 keeps the input's dimension, -1 takes what is left */
int build_reshape(struct graph_builder *b, int value, int rank, const int64_t *dim);
int build_cast(struct graph_builder *b, int value, enum dtype to);
int build_reduce(struct graph_builder *b, const char *op, int value, int64_t axis, bool keep);

#endif
