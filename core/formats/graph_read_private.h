/* graph_read_private.h -- what the parts of the reader of graphs share. Inside core/formats/graph_read*.c only. */
#ifndef RNND_GRAPH_READ_PRIVATE_H
#define RNND_GRAPH_READ_PRIVATE_H

#include "core/formats/names.h"
#include "core/formats/options.h"
#include "core/formats/stack.h"

struct reader {
    struct checkpoint *ck;
    struct graph *g;
    struct arena *arena;
    struct network *net;
    struct names names;
    uint32_t scopes; /* numbers given */
    size_t nodes;    /* of all bodies */
    rnnd_error *err;
};

struct scope {
    const struct scope *parent; /* NULL: the graph itself, whose number is 1 */
    uint32_t id;
    struct graph_body *body;
    int depth;
};

/* Who and where, for messages: node "lstm", inputs. */
struct place {
    const char *kind, *name, *field;
};

/* MISMATCH: wanted .., found j. */
rnnd_code graph_wrong_name(struct reader *r, const struct place *p, const struct json *j, const char *wanted);
/* A list of so many elements; NULL counts as an empty one. */
rnnd_code graph_check_list(struct reader *r, const struct place *p, const struct json *j, size_t least, size_t most);
/* A member; null counts as not there. */
const struct json *graph_member(const struct json *object, const char *key);
/* The value of a name: known already, or a tensor that now becomes a constant; -1 for "". */
rnnd_code graph_find_value(struct reader *r, const struct scope *s, const struct place *p, const struct json *j,
                           int *out);
/* A value by a name that nothing in sight has. */
rnnd_code graph_new_value(struct reader *r, const struct scope *s, const struct place *p, const struct json *j,
                          int *out);

/* graph_read_ends.c: inputs, before the nodes, or outputs, behind them; then what people see of it. */
rnnd_code graph_read_ends(struct reader *r, const struct scope *s, const struct json *list, bool inputs);
rnnd_code graph_read_network(struct reader *r, const struct scope *s, const struct options *o);

#endif
