/* fold_private.h -- what the parts of folding share. Inside core/graph/fold*.c only. */
#ifndef RNND_GRAPH_FOLD_PRIVATE_H
#define RNND_GRAPH_FOLD_PRIVATE_H

#include "core/graph/aside.h"
#include "core/graph/fold.h"

struct fold {
    struct aside aside;        /* runs one node at a time */
    struct graph *g;
    size_t limit, made;        /* bytes of constants */
    size_t work, work_limit;   /* bytes read and made by what was run here */
    signed char *dtype;        /* of each value, -1 = not known */
    bool *end;                 /* outputs of the graph, of Loop and Scan bodies: their numbers stay */
    bool no_memory;
};

struct fold_list { /* the nodes that stay, with room enough */
    struct graph_node *nodes;
    size_t count;
    bool outer; /* the graph's own */
};

/* Makes `value` hold what `from` holds: by renaming where that can be, else by an Identity of this name. */
void fold_link(struct fold *f, struct fold_list *to, const char *name, int from, int value);
/* What a Loop or Scan hands from turn to turn unchanged is read from outside, and its places go. */
void fold_unchanged(struct fold *f, struct graph_node *n, struct fold_list *to);
/* Runs a node whose inputs are all known; true: its outputs are constants now. */
bool fold_evaluate(struct fold *f, const struct graph_node *n);
bool fold_open(struct fold *f, struct graph *g, size_t limit);
void fold_close(struct fold *f);
/* Drops what nobody reads. */
rnnd_code fold_prune(struct graph *g, rnnd_error *err);
/* The nodes of a list that is given up, their bodies' lists with them. */
void fold_free_nodes(struct graph_node *nodes, size_t count);

#endif
