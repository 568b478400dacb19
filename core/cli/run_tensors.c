/* run_tensors.c -- `rnnd run` on whole tensors, by the names of the network. */
#include <stdlib.h>
#include <string.h>

#include "core/cli/run.h"

static rnnd_code call(rnnd_call *c, const struct run_job *j, bool batch_of_one, rnnd_error *err)
{
    rnnd_tensor inputs[CLI_MOST_ITEMS];
    for (size_t i = 0; i < j->in_count; i++) {
        const struct array *a = &j->in[i].array;
        size_t at = batch_of_one && a->rank < RNND_MAX_RANK;
        inputs[i] = (rnnd_tensor){.name = j->in[i].name, .dtype = a->dtype, .rank = (int)(a->rank + at), .dim = {1},
                                  .data = a->raw};
        memcpy(inputs[i].dim + at, a->dim, a->rank * sizeof *a->dim);
    }
    return rnnd_call_run(c, inputs, j->in_count, err);
}

/* As the arrays are, else as a batch of one; *squeeze: so. */
static rnnd_code call_somehow(rnnd_call *c, const struct run_job *j, bool *squeeze, rnnd_error *err)
{
    rnnd_error other;
    *squeeze = false;
    rnnd_code code = call(c, j, false, err);
    if (code != RNND_MISMATCH)
        return code;
    rnnd_code again = call(c, j, true, &other);
    if (again == RNND_MISMATCH)
        return code;
    *squeeze = true;
    if (again != RNND_OK && err)
        *err = other;
    return again;
}

static rnnd_code take_output(rnnd_call *c, struct run_end *e, bool squeeze, rnnd_error *err)
{
    rnnd_tensor y;
    rnnd_code code = rnnd_call_output(c, e->name, &y, err);
    if (code != RNND_OK)
        return code;
    size_t from = squeeze && y.rank > 0 && y.dim[0] == 1;
    e->array = (struct array){.dtype = y.dtype, .rank = (size_t)y.rank - from};
    memcpy(e->array.dim, y.dim + from, e->array.rank * sizeof *y.dim);
    size_t bytes = array_count(&e->array) * array_width(y.dtype);
    if (!(e->array.raw = malloc(bytes ? bytes : 1)))
        return cli_error(err, RNND_NO_MEMORY, "no memory for an output of %zu bytes", bytes);
    memcpy(e->array.raw, y.data, bytes);
    return RNND_OK;
}

rnnd_code run_tensors(struct run_job *j, rnnd_error *err)
{
    rnnd_call *c = NULL;
    bool squeeze;
    rnnd_code code = rnnd_call_open(j->model, &c, err);
    if (code == RNND_OK)
        code = call_somehow(c, j, &squeeze, err);
    for (size_t i = 0; i < j->out_count && code == RNND_OK; i++)
        code = take_output(c, &j->out[i], squeeze, err);
    rnnd_call_close(c);
    return code;
}
