/* fuse_private.h -- how a body is followed. Inside core/graph/fuse*.c only. */
#ifndef RNND_GRAPH_FUSE_PRIVATE_H
#define RNND_GRAPH_FUSE_PRIVATE_H

#include "core/cells/cell.h"
#include "core/graph/fuse.h"
#include "core/ops/op.h"

/* ---- sizes: what is known of a tensor before the run (fuse_sizes.c) ---- */

/* dimension `axis` of a value (value >= 0) + number + turns * i, where i counts the turns of the loop looked at */
struct whole {
    bool known;
    int value, axis;
    int64_t number;
    int turns;
};
#define MAX_WHOLES 8
struct size {
    int rank; /* -1: not known; then dimension k is the symbol {value, k} */
    struct whole dim[MAX_RANK];
    int count; /* -1: not a short list of whole numbers (as integers, or as floats that are whole) */
    struct whole list[MAX_WHOLES];
};

/* ---- forms: a row of numbers as a sum of terms (fuse_form.c) ---- */

enum atom_kind {
    ATOM_X,     /* the step's row */
    ATOM_STATE, /* a carried value as it comes, */
    ATOM_NEXT,  /* as it goes */
    ATOM_ACT    /* a function of a form */
};
struct form;
struct atom { /* features [start, start + width) of a row; the same numbers are the same atom */
    enum atom_kind kind;
    int index; /* STATE, NEXT: which carried value; ACT: the atom that this is a part of */
    size_t start, width;
    struct act act;
    const struct form *form;
    int depth; /* functions of functions */
};
struct matrix { /* [rows][width of the form], borrowed from constants */
    const float *data;
    size_t rows, step_row, step_column;
};
#define MAX_FACTORS 3
/* scale * outer atoms * vector * (product of inner atoms) m; without m, vector, outer that is 1 each */
struct term {
    float scale;
    int outers, outer[MAX_FACTORS], inners, inner[MAX_FACTORS]; /* ascending */
    struct matrix m;                                            /* data NULL: none, and no inner ones */
    const float *vector;                                        /* [width], NULL: none */
};
#define MAX_TERMS 16
struct form {
    size_t width;
    int count;
    struct term term[];
};
#define MAX_PARTS 8
struct row { /* forms side by side */
    int parts;
    const struct form *part[MAX_PARTS];
};

struct fuse {
    struct graph *g;
    struct size *sizes; /* by value */
    size_t limit, made; /* bytes of weights */
    bool no_memory;
    /* of the loop looked at */
    struct arena arena;
    const struct row **rows; /* by value, NULL: not a row of known form */
    bool *inside;            /* by value: the body's own */
    struct atom *atoms;
    int atom_count;
    size_t terms; /* made: a budget */
};

/* Its first input and all that its operator must have are there: nodes are looked at before they are checked. */
bool fuse_well_formed(const struct graph_node *n);
void fuse_sizes_begin(struct fuse *f);
void fuse_sizes_node(struct fuse *f, const struct graph_node *n);
struct whole fuse_dim(const struct fuse *f, int value, int axis);
const struct size *fuse_size(const struct fuse *f, const struct graph_node *n, int input); /* NULL: absent */
void fuse_set_size(struct fuse *f, const struct graph_node *n, int output, struct size s);
struct whole fuse_number(int64_t number);
struct whole fuse_symbol(int value, int axis);
struct whole fuse_sum(struct whole a, struct whole b, int sign); /* a + sign b */
struct whole fuse_product(struct whole a, struct whole b);
struct whole fuse_broadcast(struct whole a, struct whole b); /* one dimension of two */
bool fuse_is_number(struct whole w, int64_t *number);
bool fuse_is(struct whole w, int64_t number);
bool fuse_same(struct whole a, struct whole b); /* known, and the same for every run */
bool fuse_axis(int64_t axis, int rank, int *out);
/* A short list of numbers: false if the input is absent or they are not known. */
bool fuse_numbers(const struct fuse *f, const struct graph_node *n, int input, int64_t *out, int *count);
/* The operators of fuse_shapes.c. */
void fuse_size_shape(struct fuse *f, const struct graph_node *n);
void fuse_size_transpose(struct fuse *f, const struct graph_node *n);
void fuse_size_axes(struct fuse *f, const struct graph_node *n);
void fuse_size_reshape(struct fuse *f, const struct graph_node *n);
void fuse_size_gather(struct fuse *f, const struct graph_node *n);
void fuse_size_slice(struct fuse *f, const struct graph_node *n);
void fuse_size_concat(struct fuse *f, const struct graph_node *n);

/* NULL: of no known form, or no memory (f->no_memory) */
const struct form *form_atom(struct fuse *f, enum atom_kind kind, int index, size_t width);
const struct form *form_constant(struct fuse *f, const float *vector, size_t width, float scale);
const struct form *form_add(struct fuse *f, const struct form *a, const struct form *b, float sign);
const struct form *form_scale(struct fuse *f, const struct form *a, float scale);
const struct form *form_multiply(struct fuse *f, const struct form *a, const struct form *b);
const struct form *form_slice(struct fuse *f, const struct form *a, size_t start, size_t width);
const struct form *form_product(struct fuse *f, const struct form *a, const struct matrix *m, size_t width);
const struct form *form_act(struct fuse *f, const struct form *a, struct act act);
/* The only atom that a form is; -1: it is something else. */
int form_only(const struct form *a);

/* ---- bodies (fuse_body.c, fuse_row.c) ---- */

#define MAX_STATES 4
#define MAX_SOURCES 4
struct source { /* a sequence of which turn i reads step i, or the i-th from the end */
    int value;  /* [T][B][I], or [B][T][I] where time_axis is 1 */
    int time_axis;
    bool backward;
    size_t width; /* I */
};
struct carried_row {         /* a state: a carried row of numbers, [B][H] or [1][B][H] */
    int at;                  /* which of the carried values */
    int root;                /* the body's value that is its successor, before its axes are moved */
    size_t width;            /* H */
    const struct form *next; /* that successor's form, NULL: none is known */
};
struct loop { /* a Loop or Scan; its places, and what it carries and reads */
    const struct graph_node *n;
    const struct graph_body *body;
    bool scan;
    int carried, scans;                 /* scans: outputs that gather a value of each turn */
    int input, body_input, body_output; /* where carried values begin: among the node's inputs, the body's ends */
    int states, sources;
    struct carried_row state[MAX_STATES];
    struct source source[MAX_SOURCES];
};
/* Follows all nodes of the body. false: it is none, or holds more than is followed. */
bool fuse_read_loop(struct fuse *f, const struct graph_node *n, struct loop *l);
/* Element k of a list attribute, 0 where it is absent. */
int64_t fuse_listed(const struct graph_node *n, const char *name, int k);
/* It turns exactly as often as this source has steps. */
bool fuse_turns_fit(struct fuse *f, const struct loop *l, int source);
/* The node's outputs as rows, where its operator is one of those that are followed. */
void fuse_row_node(struct fuse *f, const struct graph_node *n);
const struct row *fuse_row_of(struct fuse *f, const struct form *form);
/* The form of a value that is in one part; NULL: it has none. */
const struct form *fuse_form(const struct fuse *f, int value);

/* ---- cells (fuse_cell.c, fuse_weights.c) ---- */

struct found_cell {
    enum cell_kind kind;
    size_t gates, inputs, hidden;
    int h, c;   /* which of the loop's states; c -1: none */
    int source; /* which it reads; -1: not seen yet */
    const struct form
        *gate[4]; /* sums before the function, in the order of ONNX: z r h, i o f c, the one; NULL: coupled */
    int reset;    /* GRU: the atom r */
    struct act gate_act, cell, out;
    bool reset_before, coupled; /* coupled: f = 1 - i */
    bool turned;                /* gate 0 is one minus the gate found: that of the negated sum */
    float *w, *r, *b, *p;       /* [G*H][I], [G*H][H], [2*G*H], [3*H] or NULL; in the loop's arena */
};
bool fuse_find_cell(struct fuse *f, const struct loop *l, struct found_cell *c);
bool fuse_read_weights(struct fuse *f, const struct loop *l, struct found_cell *c);

/* ---- what stands for a loop (fuse_emit.c) ---- */

struct begin {   /* where a state begins */
    int value;   /* -1: zeros */
    int rank;    /* 1: a constant, one row for all sequences; 2: [B][H]; 3: [1][B][H] */
    bool spread; /* may be one row for all */
};
struct plan { /* what is to be made of a loop */
    const struct loop *l;
    const struct found_cell *c;
    const char *name;
    struct begin begin[2]; /* of h and c */
    int node;              /* the recurrent one */
};
/* Adds the cell at the end of the graph's nodes, with what it reads; false: no memory, or no name for a function. */
bool fuse_add_cell(struct fuse *f, struct plan *p);
/* The values of the loop that are read, from the cell's: Y [T][1][B][H], Y_h and Y_c [1][B][H]. */
void fuse_add_outputs(struct fuse *f, const struct plan *p, const bool *read);
/* Runs the body and the node (X, W, R, B, "", initial_h, initial_c, P) side by side on random numbers. */
bool fuse_agree(struct fuse *f, const struct loop *l, const struct found_cell *c, const struct graph_node *node);

#endif
