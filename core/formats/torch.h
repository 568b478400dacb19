/* torch.h -- reads what torch.save() and torch.jit.save() write: tensors by their state_dict names, and what the file
 * shows of its modules. Nothing of it is run.
 *
 *   zip (torch >= 1.6): <root>/data.pkl, <root>/data/<key> per storage, perhaps <root>/byteorder
 *   legacy: pickles of magic, version, system, object and storage keys; per key i64 count and elements
 * The object is a state_dict, a dict that has one inside (a checkpoint: parts named optim.. are left out), a whole
 * nn.Module, or a TorchScript module, whose program is not read. A prefix "module." or "_orig_mod." that all names
 * share is taken off. */
#ifndef RNND_TORCH_H
#define RNND_TORCH_H

#include "core/formats/checkpoint.h"

enum torch_fact_kind { TORCH_BOOL, TORCH_INT, TORCH_FLOAT, TORCH_TEXT };
struct torch_fact { /* a plain attribute of a module: hidden_size, batch_first, negative_slope, ... */
    const char *key;
    enum torch_fact_kind kind;
    int64_t whole;    /* BOOL, INT; a tuple of one number is that number */
    double number;    /* INT, FLOAT */
    const char *text; /* TEXT */
};

struct torch_module {
    const char *path;       /* "", "encoder.lstm" */
    const char *class_name; /* "LSTM"; NULL: the file has the path alone (a state_dict's metadata) */
    bool torch_nn;          /* the class is one of torch.nn, so it does what torch.nn says */
    const struct torch_fact *facts;
    size_t fact_count;
    size_t children;        /* modules directly below */
};

enum torch_form { TORCH_STATE, TORCH_MODULE, TORCH_SCRIPT };
struct torch_file { /* ck->own */
    enum torch_form form;
    struct torch_module *modules; /* a module before its children, children in the order of registration */
    size_t module_count;
    const char **order; /* tensor names in the order of the file */
    size_t order_count;
};

bool torch_probe(const uint8_t *data, size_t bytes);
rnnd_code torch_read(const uint8_t *data, size_t bytes, const char *path, struct checkpoint *out, rnnd_error *err);
/* What torch_read found besides, or NULL where another format has read the checkpoint. */
const struct torch_file *torch_of(const struct checkpoint *ck);
const struct torch_fact *torch_fact(const struct torch_module *m, const char *key); /* NULL: none */

#endif
