/* propose_parts.h -- what the files that propose a configuration share. Inside formats/propose* only. */
#ifndef RNND_PROPOSE_PARTS_H
#define RNND_PROPOSE_PARTS_H

#include "core/formats/propose.h"
#include "core/formats/torch.h"

#define PROPOSE_MAX_ITEMS 96
#define PROPOSE_MAX_ASSUMPTIONS 128
/* begin and end of every refusal; the end wants p->name */
#define PROPOSE_NONE "there is no configuration, and none can be proposed: "
#define PROPOSE_WAY_OUT "; put one beside the file in %.60s.rnnd.json, or write the model with models/rnnd_export.py"

enum item_kind {
    ITEM_RECURRENT,
    ITEM_EMBEDDING,
    ITEM_DENSE,
    ITEM_LAYER_NORM,
    ITEM_BATCH_NORM,
    ITEM_ACTIVATION,
    ITEM_SOFTMAX,
    ITEM_LOG_SOFTMAX,
    ITEM_DROPOUT
};

struct item { /* one layer of the proposal */
    enum item_kind kind;
    const char *path;                     /* of its module, "" for the root */
    const struct torch_module *module;    /* its class and attributes, or NULL */
    size_t inputs, outputs;               /* 0: whatever comes */
    size_t gates, hidden, projection, layers; /* RECURRENT; gates 4 LSTM, 3 GRU, 1 RNN */
    bool both, cell;                      /* two directions; tensors without a layer number */
    bool bias, affine;
    bool guessed;                         /* EMBEDDING: by its place alone */
    const char *activation;               /* of ACTIVATION, and of an RNN whose file says it */
    double number;                        /* ACTIVATION: alpha; norms: epsilon; DROPOUT: rate */
    bool has_number;
};

struct proposing {
    const struct checkpoint *ck;
    const char *name;               /* of the model, for messages */
    const struct torch_file *torch; /* or NULL */
    struct arena *arena;
    const struct checkpoint_tensor **tensors; /* in the file's order */
    struct item items[PROPOSE_MAX_ITEMS];
    size_t item_count;
    bool classes;                   /* the file has the classes of its modules */
    bool ambiguous;                 /* the widths allow other orders than the one taken */
    bool last;                      /* the last step alone is answered */
    const char **assumptions;
    size_t assumption_count;
    rnnd_error *err;
};

/* propose_find.c: items from tensors' names and shapes, and from modules' classes */
rnnd_code propose_find(struct proposing *p);
/* propose_class.c: what a module of torch.nn without tensors is, as an item. *known false: no class we know of;
 * *known true and *some false: one that does nothing. */
void propose_class(const struct torch_module *m, struct item *out, bool *known, bool *some);
double propose_number(const struct torch_module *m, const char *key, double absent, bool *found);
/* propose_order.c: into an order in which widths fit */
rnnd_code propose_order(struct proposing *p);
/* propose_assume.c: decides what the file does not say, a sentence each */
rnnd_code propose_assume(struct proposing *p);
/* propose_write.c: the JSON text */
rnnd_code propose_write(struct proposing *p, struct proposal *out);

const char *propose_type(const struct item *i); /* "lstm", "dense", ... */
const char *propose_name(const struct item *i); /* what its layer is called */
rnnd_code propose_say(struct proposing *p, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
