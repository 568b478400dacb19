/* subject.c -- a model that a case opens, its inputs and outputs by name or place. */
#include <string.h>

#include "tests/conformance/runner.h"

bool subject_open(struct subject *m, const char *path, const char *config, struct verdict *v)
{
    rnnd_options options = {.config = config, .accept_guesses = true}; /* the expected values tell */
    rnnd_error err;
    memset(m, 0, sizeof *m);
    if (rnnd_model_open(path, &options, &m->model, &err) == RNND_OK &&
        rnnd_call_open(m->model, &m->call, &err) == RNND_OK) {
        v->guessed = rnnd_model_info(m->model)->assumption_count != 0;
        return true;
    }
    verdict_fail(v, "%s", err.message);
    return false;
}

void subject_close(struct subject *m)
{
    rnnd_call_close(m->call);
    rnnd_model_close(m->model);
    memset(m, 0, sizeof *m);
}

static const char *pick(const char *const *names, size_t count, const char *name, size_t i)
{
    for (size_t k = 0; k < count; k++)
        if (name && strcmp(names[k], name) == 0)
            return names[k];
    return i < count ? names[i] : NULL;
}

const char *subject_input(const struct subject *m, const char *name, size_t i)
{
    const char *const *names;
    size_t count = rnnd_call_inputs(m->call, &names);
    return pick(names, count, name, i);
}

rnnd_tensor tensor_of(const char *name, const struct array *a)
{
    rnnd_tensor t = {.name = name, .dtype = a->dtype, .rank = (int)a->rank, .data = a->raw};
    memcpy(t.dim, a->dim, sizeof t.dim);
    return t;
}

bool subject_output(struct subject *m, const char *name, size_t i, const struct array *want, struct array *out,
                    struct verdict *v)
{
    const char *const *names;
    size_t count = rnnd_call_outputs(m->call, &names);
    rnnd_tensor t;
    rnnd_error err, other;
    rnnd_code code = rnnd_call_output(m->call, name, &t, &err);
    if (code == RNND_NOT_FOUND && i < count)
        code = rnnd_call_output(m->call, names[i], &t, &err);
    else if (code == RNND_NOT_FOUND && rnnd_call_output(m->call, NULL, &t, &other) == RNND_OK) {
        struct array first = {.rank = (size_t)t.rank};
        memcpy(first.dim, t.dim, sizeof first.dim);
        if (array_count(&first) == array_count(want)) /* another oracle of the same output */
            code = RNND_OK;
    }
    if (code != RNND_OK) {
        verdict_fail(v, "%s", err.message);
        return false;
    }
    *out = (struct array){.dtype = t.dtype, .rank = (size_t)t.rank, .raw = t.data};
    memcpy(out->dim, t.dim, sizeof out->dim);
    return true;
}
