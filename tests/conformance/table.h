/* table.h -- one line of a cases.tsv and what its npz holds. */
#ifndef TABLE_H
#define TABLE_H

#include "tests/conformance/runner.h"

struct table_case {
    char name[128], model[512], mode[16], axes_in[256], axes_out[256], config[16], notes[512];
    struct bundle in, out; /* without in_ and out_ */
};

/* The axes of one array, "batch,time,feature", in the text "x=batch,time; y=..."; false: it says none. */
bool table_axes(const char *text, const char *name, char out[128]);
/* The number of NAME=NUMBER in the notes, for inputs that no array gives. */
bool table_number(const struct table_case *c, const char *name, long *out);

/* Whole tensors at once, and sessions on the same. */
void table_window(struct table_case *c, struct subject *m, struct verdict *v, struct stream_result *r);
/* One row a step: the network called with its state outputs fed back into its state inputs. */
void table_stream(struct table_case *c, struct subject *m, struct verdict *v, struct stream_result *r);
/* The same by sessions; false with a reason where the model has none or its rows are others. */
bool table_session(struct table_case *c, struct subject *m, struct verdict *v, char reason[512]);

#endif
