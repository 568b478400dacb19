/* table_window.c -- a case of a table, whole tensors at once. */
#include <string.h>

#include "tests/conformance/table.h"

/* How the arrays' axes become the model's: in the order batch, time, feature; the same with axes of 1 put in where a
 * name is missing; or as they stand. Only one of them gives the expected values. */
enum way { ORDERED, FILLED, PLAIN, WAYS };
static const char *const axis_names[] = {"batch", "time", "feature"};

/* Where each of the three axes stands; false if there are others. */
static bool find_axes(const char *axes, int place[3])
{
    int at = 0;
    place[0] = place[1] = place[2] = -1;
    for (const char *p = axes; *p; at++) {
        size_t n = strcspn(p, ",");
        int k = 0;
        while (k < 3 && !(strlen(axis_names[k]) == n && strncmp(p, axis_names[k], n) == 0))
            k++;
        if (k == 3 || place[k] >= 0)
            return false;
        place[k] = at;
        p += n + (p[n] == ',');
    }
    return at > 0;
}

/* *out is new. */
static bool arrange(const struct named *n, const char *all_axes, enum way way, struct array *out, struct verdict *v)
{
    size_t order[ARRAY_MAX_RANK] = {0, 1, 2, 3, 4, 5, 6, 7}, rank = 0;
    char axes[128];
    int place[3];
    rnnd_error err;
    bool known = table_axes(all_axes, n->name, axes) && find_axes(axes, place);
    for (int k = 0; k < 3 && known && way != PLAIN; k++)
        if (place[k] >= 0)
            order[rank++] = (size_t)place[k];
    if (rank != 0 && rank != n->array.rank) {
        verdict_fail(v, "%s has %zu axes; cases.tsv names %zu", n->name, n->array.rank, rank);
        return false;
    }
    if (array_permute(&n->array, order, out, &err) != RNND_OK) {
        verdict_fail(v, "%s", err.message);
        return false;
    }
    if (known && way == FILLED) {
        for (size_t k = 0, from = 0; k < 3; k++)
            out->dim[k] = place[k] >= 0 ? n->array.dim[order[from++]] : 1;
        out->rank = 3;
    }
    return true;
}

static void compare(struct table_case *c, struct subject *m, enum way way, struct verdict *v)
{
    for (size_t i = 0; i < c->out.count; i++) {
        struct array want, got;
        if (!arrange(&c->out.items[i], c->axes_out, way, &want, v))
            return;
        if (subject_output(m, c->out.items[i].name, i, &want, &got, v))
            verdict_compare(v, &got, &want, c->out.items[i].name);
        array_free(&want);
    }
}

static void run(struct table_case *c, struct subject *m, enum way way, struct verdict *v, struct stream_result *r)
{
    struct array arrays[MOST_ARRAYS] = {{0}};
    rnnd_tensor inputs[MOST_ARRAYS];
    rnnd_error err;
    bool good = true;
    for (size_t i = 0; i < c->in.count && good; i++) {
        good = arrange(&c->in.items[i], c->axes_in, way, &arrays[i], v);
        if (good)
            inputs[i] = tensor_of(subject_input(m, c->in.items[i].name, i), &arrays[i]);
    }
    if (good && rnnd_call_run(m->call, inputs, c->in.count, &err) != RNND_OK)
        verdict_fail(v, "%s", err.message);
    else if (good)
        compare(c, m, way, v);
    if (v->seen && !v->bad)
        stream_run(m, inputs, c->in.count, true, r);
    for (size_t i = 0; i < c->in.count; i++)
        array_free(&arrays[i]);
}

void table_window(struct table_case *c, struct subject *m, struct verdict *v, struct stream_result *r)
{
    for (int way = ORDERED; way < WAYS; way++) {
        struct verdict this = {.guessed = v->guessed};
        run(c, m, (enum way)way, &this, r);
        if (way == ORDERED || (this.seen && !this.bad) || (this.allowed > 0 && v->allowed <= 0))
            *v = this;
        if (this.seen && !this.bad)
            return;
    }
}
