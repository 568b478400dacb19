/* inputs.h -- the numbers of a request as a model's input rows: from JSON, float32 bytes, .npy, CSV and text. */
#ifndef SERVER_INPUTS_H
#define SERVER_INPUTS_H

#include "core/rnnd.h"
#include "server/http/json.h"

struct inputs { /* zero, or from before, when it is read into: its memory is used again */
    const float *data;          /* [batch][steps][width]: in memory, or borrowed where that was allowed */
    float *memory;              /* owned */
    size_t memory_floats;
    size_t batch, steps, width;
    bool nested;                /* steps were given in their port's own shape, so errors name places in it */
};

struct inputs_want {
    const rnnd_info *info;
    const rnnd_port *port;      /* the one input that a step is, or NULL where a row is several side by side */
    const char *field;          /* what errors call it: "inputs", "instances", "body" */
    size_t width;               /* floats of one step */
    bool windows;               /* [batch][steps][width] is wanted, else [steps][width] with batch 1 */
    bool missing;               /* NaN is a missing value and no mistake */
    bool borrow;                /* data may stay where it is read from, a document or bytes: it lasts */
    size_t steps_limit;         /* of one sequence */
};

/* The port that rows of that width are of: the model's only one, or NULL. */
const rnnd_port *inputs_port(const rnnd_info *info, size_t width);
/* The wants of a model's session steps: rows of info->input_width, NaN allowed for series models. */
struct inputs_want inputs_want_steps(const rnnd_info *info, const char *field, size_t steps_limit);

/* All of these: INVALID (malformed; NaN or infinity, with its index), MISMATCH (widths, ranks, ids out of range: wanted
 * and found), TOO_LARGE (more steps than the limit), NO_MEMORY. Nothing is left in `out` on failure. */

/* [[..]..], with one dimension more for windows and one less for models of width 1; a step whose port has an own shape
 * may be nested so instead of flat; {"port":[..]} by input name, put side by side. */
rnnd_code inputs_json(const struct inputs_want *want, const struct json *v, struct inputs *out, rnnd_error *err);
/* float32, little-endian, one sequence. */
rnnd_code inputs_floats(const struct inputs_want *want, const void *data, size_t bytes, struct inputs *out,
                        rnnd_error *err);
/* A NumPy array file of any whole or floating type in C order, shaped as JSON would be. */
rnnd_code inputs_npy(const struct inputs_want *want, const void *data, size_t bytes, struct inputs *out,
                     rnnd_error *err);
/* The same of any shape: the numbers are owned by the caller. */
struct inputs_tensor { float *data; int rank; size_t dim[8]; };
rnnd_code inputs_npy_tensor(const char *field, const void *data, size_t bytes, struct inputs_tensor *out,
                            rnnd_error *err);
/* One sequence: a row a step, a column an input; a first row that is not numbers is a header; empty = missing. */
rnnd_code inputs_csv(const struct inputs_want *want, const char *text, size_t bytes, struct inputs *out,
                     rnnd_error *err);
/* A text model's tokens, one id a step. */
rnnd_code inputs_text(const struct inputs_want *want, const rnnd_model *model, const char *text, size_t bytes,
                      struct inputs *out, rnnd_error *err);
void inputs_free(struct inputs *in);

/* For the readers: shape and values of out->data, already filled, are what is wanted. Frees it otherwise. */
rnnd_code inputs_check(const struct inputs_want *want, struct inputs *out, rnnd_error *err);
/* The shape; data from `given`, borrowed or copied, or (NULL) room in memory for as much. */
rnnd_code inputs_take(const struct inputs_want *want, const size_t *dim, int rank, const float *given,
                      struct inputs *out, rnnd_error *err);
/* true, *product = a * b; false if that does not fit. */
bool inputs_product(size_t a, size_t b, size_t *product);

#endif
