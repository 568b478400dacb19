/* aside.h -- running nodes by themselves, outside a planned pass, in memory of their own. */
#ifndef RNND_GRAPH_ASIDE_H
#define RNND_GRAPH_ASIDE_H

#include "core/ops/op.h"

struct aside {
    struct run_context rc;      /* first: ops hand it back */
    struct aside_block *blocks; /* what nodes took */
    size_t bytes, limit;        /* taken, and at most */
    bool over;                  /* more than the limit was asked for: that is no lack of memory */
    bool no_memory;
};

/* Nodes of the graph take memory up to `limit` bytes; bodies are not run (UNSUPPORTED): they may take for ever.
 * rc.values is the caller's to make and to free. */
void aside_open(struct aside *a, const struct graph *g, size_t limit);
/* Frees what was taken; values that lie in it are gone. */
void aside_free(struct aside *a);

#endif
