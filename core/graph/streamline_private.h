/* streamline_private.h -- how values are followed. Inside core/graph/streamline* only. */
#ifndef RNND_STREAMLINE_PRIVATE_H
#define RNND_STREAMLINE_PRIVATE_H

#include "core/base/error.h"
#include "core/graph/streamline.h"
#include "core/ops/op.h"

/* An axis of a tensor is a product of atoms, slowest first; none: an axis of size 1. */
enum atom_kind { ATOM_TIME, ATOM_BATCH, ATOM_FEATURE };
struct atom {
    enum atom_kind kind;
    size_t size;   /* of a feature; time and batch: what the file fixes them to, 0 = free */
    size_t stride; /* of a feature: floats between neighbours in a row of the sequence graph */
};
#define MAX_ATOMS 4
struct axis {
    struct atom atom[MAX_ATOMS];
    int count;
};

/* A whole number that shape arithmetic handles. */
enum extent_kind { EXTENT_NUMBER, EXTENT_TIME, EXTENT_BATCH };
struct extent {
    enum extent_kind kind;
    int64_t number;
};
#define MAX_EXTENTS 16

enum view_kind {
    VIEW_UNKNOWN,  /* nothing is known of it: whoever reads it is no part of a sequence network */
    VIEW_ROWS,     /* rows of the sequence graph, with these axes */
    VIEW_CONSTANT, /* a constant of the tensor graph */
    VIEW_FILLED,   /* one number everywhere, whatever the shape */
    VIEW_EQUAL,    /* where these rows are the number `fill`, or (differs) where they are not */
    VIEW_SHAPE     /* shape arithmetic: a list of extents, or one where `scalar` */
};
struct view {
    enum view_kind kind;
    int value; /* ROWS, EQUAL: in the sequence graph; CONSTANT: in the tensor graph */
    int rank;
    struct axis axis[MAX_RANK];
    float fill;
    bool differs;
    bool scalar;
    int count;
    struct extent extent[MAX_EXTENTS];
};

struct streamline {
    const struct graph *from;
    struct graph *to;
    struct view *views; /* by value of from */
    struct streamlined *out;
    size_t window;
    bool refused; /* the node is no part of a sequence network: out says why; no error */
    int cells;
    rnnd_error *err;
};

/* A node is understood (RNND_OK), or not (RNND_OK with refused set through this), or memory is short. */
rnnd_code streamline_refuse(struct streamline *s, const struct graph_node *n, const char *why);

/* ---- axes (streamline_axes.c) ---- */
struct axis axis_one(void);
struct axis axis_of(enum atom_kind kind, size_t size, size_t stride);
bool axis_is(const struct axis *a, enum atom_kind kind); /* of this atom alone */
bool axis_has(const struct axis *a, enum atom_kind kind);
int view_find(const struct view *v, enum atom_kind kind); /* the axis that is that atom alone, -1 */
bool view_has(const struct view *v, enum atom_kind kind); /* anywhere */
size_t view_width(const struct view *v);                  /* product of the features */
bool view_in_order(const struct view *v);                 /* features lie as in the rows */
/* Features as they lie: strides set anew, row-major, for rows just made. */
void view_restride(struct view *v);
bool views_same_axes(const struct view *a, const struct view *b);
/* Regroups the atoms of v into axes of these extents (numbers, TIME, BATCH; -1: the rest; 0: copy); false if that
 * needs time or batch cut up. */
bool view_reshape(struct view *v, const struct extent *shape, int rank);
/* The extent of an axis; false if it is a product of several kinds. */
bool axis_extent(const struct axis *a, struct extent *out);

/* ---- values ---- */
/* NULL: absent, unread */
const struct view *streamline_view(const struct streamline *s, const struct graph_node *n, int input);
struct view *streamline_output(struct streamline *s, const struct graph_node *n, int output);
/* The integers of an input: a constant or shape arithmetic; false if they are neither. */
bool streamline_extents(const struct streamline *s, const struct graph_node *n, int input, struct extent *out,
                        int *count);
bool streamline_ints(const struct streamline *s, const struct graph_node *n, int input, int64_t *out, int *count);
/* A node of the sequence graph; NULL: no memory. After attributes are set: streamline_check(). */
struct graph_node *streamline_node(struct streamline *s, const char *op, const char *name, const int *inputs,
                                   int input_count, int output_count);
rnnd_code streamline_check(struct streamline *s, struct graph_node *n);
/* One node with one output, checked. */
rnnd_code streamline_op(struct streamline *s, const char *op, const char *name, const int *inputs, int input_count,
                        int *value);
rnnd_code streamline_floats(struct streamline *s, const char *name, int rank, size_t d0, size_t d1, const float *data,
                            int *value);

/* ---- operators: each takes the nodes it knows; *known false leaves the node to the next ---- */
rnnd_code streamline_mask(struct streamline *s, const struct graph_node *n, bool *known); /* which steps count */
rnnd_code streamline_cell(struct streamline *s, const struct graph_node *n, bool *known);
rnnd_code streamline_shape(struct streamline *s, const struct graph_node *n, bool *known);  /* axes, shape arithmetic */
rnnd_code streamline_pick(struct streamline *s, const struct graph_node *n, bool *known);   /* parts: Gather, Concat */
rnnd_code streamline_rows(struct streamline *s, const struct graph_node *n, bool *known);   /* products, functions */

#endif
