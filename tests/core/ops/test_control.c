/* test_control.c -- If, Loop, Scan: graphs with bodies built by hand, against the same loops written in C. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/ops/op.h"
#include "tests/lib/one_op.h"

struct built { /* a graph whose values are found by name; building stops at the first lack of memory */
    struct graph g;
    bool full;
};

static int value(struct built *b, const char *name, size_t bytes)
{
    char copy[32];
    snprintf(copy, sizeof copy, "%.*s", (int)bytes, name);
    if (strcmp(copy, "-") == 0) return -1;
    for (size_t i = 0; i < b->g.value_count; i++)
        if (strcmp(b->g.values[i].name, copy) == 0) return (int)i;
    int v = graph_value(&b->g, copy);
    b->full |= v < 0;
    return v;
}

/* Names with blanks between, "-" where one is absent. */
static int values(struct built *b, const char *names, int *out)
{
    int n = 0;
    while (*names) {
        size_t bytes = strcspn(names, " ");
        out[n++] = value(b, names, bytes);
        names += bytes + (names[bytes] == ' ');
    }
    return n;
}

static struct graph_node *node(struct built *b, struct graph_body *body, const char *op, const char *in,
                               const char *out)
{
    int inputs[8], outputs[8], ins = values(b, in, inputs), outs = values(b, out, outputs);
    struct graph_node *n = b->full ? NULL : graph_node_in(&b->g, body, op_find(op), op, ins, outs);
    b->full |= !n;
    if (!n) return NULL;
    memcpy(n->inputs, inputs, (size_t)ins * sizeof *inputs);
    memcpy(n->outputs, outputs, (size_t)outs * sizeof *outputs);
    return n;
}

static int *copy_list(struct built *b, const int *list, int count)
{
    int *to = arena_alloc(&b->g.arena, (size_t)count + 1, sizeof *to);
    b->full |= !to;
    if (to) memcpy(to, list, (size_t)count * sizeof *list);
    return to;
}

static struct graph_body *body(struct built *b, struct graph_node *n, const char *in, const char *out)
{
    int inputs[8], outputs[8], ins = values(b, in, inputs), outs = values(b, out, outputs);
    struct graph_body *made = b->full ? NULL : graph_add_body(&b->g, n);
    b->full |= !made;
    if (!made) return NULL;
    made->inputs = copy_list(b, inputs, ins);
    made->outputs = copy_list(b, outputs, outs);
    made->input_count = ins;
    made->output_count = outs;
    return made;
}

static void constant(struct built *b, const char *name, enum dtype dtype, int rank, const size_t *dim, const void *data)
{
    b->full |= graph_constant(&b->g, name, dtype, rank, dim, data) < 0;
}

static void number(struct built *b, const char *name, int64_t v)
{
    constant(b, name, DTYPE_I64, 0, NULL, &v);
}

static void truth(struct built *b, const char *name, bool v)
{
    constant(b, name, DTYPE_BOOL, 0, NULL, &v);
}

static void ends(struct built *b, const char *in, const char *out)
{
    int list[8], n = values(b, in, list);
    for (int i = 0; i < n && !b->full; i++)
        b->full |= graph_add_input(&b->g, list[i]) != RNND_OK;
    n = values(b, out, list);
    for (int i = 0; i < n && !b->full; i++)
        b->full |= graph_add_output(&b->g, list[i]) != RNND_OK;
}

static void begin(struct built *b)
{
    *b = (struct built){.full = false};
    graph_init(&b->g, kernels_pick(NULL));
    b->g.tensors = true;
}

/* Compiles and runs twice; what `look` sees must be right each time. */
static rnnd_code run(struct built *b, const struct tensor *inputs, void (*look)(const struct graph_run *, const int *),
                     rnnd_error *err)
{
    struct graph_run *r = NULL;
    rnnd_code code = b->full ? RNND_NO_MEMORY : graph_compile(&b->g, err);
    if (!code) code = graph_run_open(&b->g, 1, 1, &r, err);
    for (int pass = 0; pass < 2 && !code; pass++) {
        code = graph_run_tensors(r, inputs, err);
        if (!code && look) look(r, b->g.outputs);
    }
    graph_run_close(r);
    graph_free(&b->g);
    return code;
}

static void runs(struct built *b, const struct tensor *inputs, void (*look)(const struct graph_run *, const int *))
{
    rnnd_error err = {0};
    if (run(b, inputs, look, &err)) fail_msg("%s", err.message);
}

static void refused(struct built *b, const struct tensor *inputs, rnnd_code want)
{
    rnnd_error err = {0};
    rnnd_code code = run(b, inputs, NULL, &err);
    if (code != want) fail_msg("code %d, wanted %d: %s", (int)code, (int)want, err.message);
    assert_true(strlen(err.message) > 10);
}

static void is_ints(const struct tensor *t, int rank, const size_t *dim, const int64_t *want)
{
    assert_int_equal(t->dtype, DTYPE_I64);
    assert_int_equal(t->rank, rank);
    for (int i = 0; i < rank; i++)
        assert_int_equal(t->dim[i], dim[i]);
    for (size_t i = 0; i < tensor_count(t); i++)
        assert_int_equal(((const int64_t *)t->data)[i], want[i]);
}

static void is_int(const struct tensor *t, int64_t want)
{
    is_ints(t, 0, NULL, &want);
}

/* ---- Loop ---- */

/* a' = a + i k, b' = a (the old one); i k and a' are collected; k is the graph's */
static void build_sums(struct built *b, int64_t trips, bool going)
{
    begin(b);
    number(b, "M", trips);
    truth(b, "go", going);
    number(b, "k", 3);
    number(b, "a0", 100);
    number(b, "b0", -1);
    struct graph_node *n = node(b, NULL, "Loop", "M go a0 b0", "a b products sums");
    struct graph_body *d = body(b, n, "i c a_in b_in", "c a_out a_in p a_out");
    if (d) {
        node(b, d, "Mul", "i k", "p");
        node(b, d, "Add", "a_in p", "a_out");
    }
    ends(b, "", "a b products sums");
}

static void look_sums(const struct graph_run *r, const int *out)
{
    const size_t five = 5;
    is_int(graph_run_value(r, out[0]), 130);
    is_int(graph_run_value(r, out[1]), 118);
    is_ints(graph_run_value(r, out[2]), 1, &five, (const int64_t[]){0, 3, 6, 9, 12});
    is_ints(graph_run_value(r, out[3]), 1, &five, (const int64_t[]){100, 103, 109, 118, 130});
}

static void look_none(const struct graph_run *r, const int *out)
{
    const size_t none = 0;
    is_int(graph_run_value(r, out[0]), 100);
    is_int(graph_run_value(r, out[1]), -1);
    assert_int_equal(graph_run_value(r, out[2])->rank, 1);
    assert_int_equal(graph_run_value(r, out[2])->dim[0], none);
    assert_int_equal(graph_run_value(r, out[3])->dim[0], none);
}

static void loops(void **unused)
{
    (void)unused;
    struct built b;
    build_sums(&b, 5, true);
    runs(&b, NULL, look_sums);
    build_sums(&b, 0, true);
    runs(&b, NULL, look_none);
    build_sums(&b, -7, true);
    runs(&b, NULL, look_none);
    build_sums(&b, 5, false);
    runs(&b, NULL, look_none);
}

/* while a < 50: a = 2 a; neither count nor first condition given, and no scan output asked for */
static void build_doubling(struct built *b, const char *wanted)
{
    begin(b);
    number(b, "a0", 3);
    number(b, "limit", 50);
    struct graph_node *n = node(b, NULL, "Loop", "- - a0", wanted);
    struct graph_body *d = body(b, n, "i c a", "more a2 i");
    if (d) {
        node(b, d, "Add", "a a", "a2");
        node(b, d, "Less", "a2 limit", "more");
    }
}

static void look_doubling(const struct graph_run *r, const int *out)
{
    is_int(graph_run_value(r, out[0]), 96);
}

static void look_numbers(const struct graph_run *r, const int *out)
{
    const size_t five = 5;
    is_ints(graph_run_value(r, out[0]), 1, &five, (const int64_t[]){0, 1, 2, 3, 4});
}

static void conditions(void **unused)
{
    (void)unused;
    struct built b;
    build_doubling(&b, "end -");
    ends(&b, "", "end");
    runs(&b, NULL, look_doubling);
    build_doubling(&b, "end");
    ends(&b, "", "end");
    runs(&b, NULL, look_doubling);
    build_doubling(&b, "- numbers");
    ends(&b, "", "numbers");
    runs(&b, NULL, look_numbers);
}

/* for i < 4: for j <= i (outer i): total += j k */
static void look_triangle(const struct graph_run *r, const int *out)
{
    const size_t four = 4;
    int64_t total = 0, want[4];
    for (int64_t i = 0; i < 4; i++) {
        for (int64_t j = 0; j <= i; j++)
            total += j * 5;
        want[i] = total;
    }
    is_int(graph_run_value(r, out[0]), total);
    is_ints(graph_run_value(r, out[1]), 1, &four, want);
}

static void build_triangle(struct built *b)
{
    begin(b);
    number(b, "four", 4);
    number(b, "one", 1);
    number(b, "zero", 0);
    number(b, "k", 5);
    struct graph_node *n = node(b, NULL, "Loop", "four - zero", "total each");
    struct graph_body *outer = body(b, n, "i c t", "c t2 t2");
    if (outer) {
        node(b, outer, "Add", "i one", "count");
        n = node(b, outer, "Loop", "count - t", "t2");
        struct graph_body *inner = body(b, n, "j d u", "d u2");
        if (inner) {
            node(b, inner, "Mul", "j k", "jk");
            node(b, inner, "Add", "u jk", "u2");
        }
    }
    ends(b, "", "total each");
}

/* for i < 6: x = i < m ? x + v : x * v, with v and m of the graph; the branches' shapes agree only by broadcasting */
static void build_branches(struct built *b)
{
    begin(b);
    number(b, "six", 6);
    ends(b, "x v m", "");
    struct graph_node *n = node(b, NULL, "Loop", "six - x", "y all");
    struct graph_body *d = body(b, n, "i c s", "c s2 s2");
    if (d) {
        node(b, d, "Less", "i m", "early");
        n = node(b, d, "If", "early", "s2");
        struct graph_body *then = body(b, n, "", "added"), *other = body(b, n, "", "multiplied");
        if (then) node(b, then, "Add", "s v", "added");
        if (other) node(b, other, "Mul", "s v", "multiplied");
    }
    ends(b, "", "y all");
}

static float branch_x[3] = {1, -2, 0.5f}, branch_v[1] = {1.5f};
static int64_t branch_m[1] = {2};

static void look_branches(const struct graph_run *r, const int *out)
{
    const struct tensor *y = graph_run_value(r, out[0]), *all = graph_run_value(r, out[1]);
    float x[3];
    memcpy(x, branch_x, sizeof x);
    assert_int_equal(all->rank, 2);
    assert_int_equal(all->dim[0], 6);
    assert_int_equal(all->dim[1], 3);
    for (size_t i = 0; i < 6; i++)
        for (size_t k = 0; k < 3; k++) {
            x[k] = i < 2 ? x[k] + 1.5f : x[k] * 1.5f;
            assert_true(((const float *)all->data)[i * 3 + k] == x[k]);
        }
    assert_memory_equal(y->data, x, sizeof x);
}

static const struct tensor branch_inputs[3] = {
    {.dtype = DTYPE_F32, .rank = 1, .dim = {3}, .data = branch_x},
    {.dtype = DTYPE_F32, .rank = 1, .dim = {1}, .data = branch_v},
    {.dtype = DTYPE_I64, .rank = 0, .data = branch_m},
};

static void nested(void **unused)
{
    (void)unused;
    struct built b;
    build_triangle(&b);
    runs(&b, NULL, look_triangle);
    build_branches(&b);
    runs(&b, branch_inputs, look_branches);
}

/* The two branches may answer other shapes; the condition may be [1]. */
static void look_shape(const struct graph_run *r, const int *out)
{
    const size_t two = 2;
    is_ints(graph_run_value(r, out[0]), 1, &two, (const int64_t[]){7, 8});
}

static void look_scalar(const struct graph_run *r, const int *out)
{
    is_int(graph_run_value(r, out[0]), 9);
}

static void ifs(void **unused)
{
    (void)unused;
    for (int yes = 0; yes < 2; yes++) {
        struct built b;
        uint8_t condition = (uint8_t)yes;
        begin(&b);
        constant(&b, "two", DTYPE_I64, 1, (const size_t[]){2}, (const int64_t[]){7, 8});
        number(&b, "one", 9);
        ends(&b, "c", "");
        struct graph_node *n = node(&b, NULL, "If", "c", "y -");
        body(&b, n, "", "two one");
        body(&b, n, "", "one two");
        ends(&b, "", "y");
        struct tensor c = {.dtype = DTYPE_BOOL, .rank = 1, .dim = {1}, .data = &condition};
        runs(&b, &c, yes ? look_shape : look_scalar);
    }
}

/* ---- Scan: s' = s + a b over two inputs; s' is collected twice ---- */

enum { T = 4, W = 3 };
static float scan_a[T * W], scan_b[W * T]; /* b has its time last */
static bool back_a, back_b, back_y;

static void build_scan(struct built *b)
{
    float zeros[W] = {0};
    begin(b);
    constant(b, "s0", DTYPE_F32, 1, (const size_t[]){W}, zeros);
    ends(b, "a b", "");
    struct graph_node *n = node(b, NULL, "Scan", "s0 a b", "s sums columns");
    struct graph_body *d = body(b, n, "s_in at bt", "s_out s_out s_out");
    if (d) {
        node(b, d, "Mul", "at bt", "p");
        node(b, d, "Add", "s_in p", "s_out");
    }
    n = b->full ? NULL : &b->g.nodes[0];
    if (n) {
        b->full |= graph_attr_int(&b->g, n, "num_scan_inputs", 2) || /* */
                   graph_attr_ints(&b->g, n, "scan_input_axes", (const int64_t[]){0, -1}, 2) ||
                   graph_attr_ints(&b->g, n, "scan_input_directions", (const int64_t[]){back_a, back_b}, 2) ||
                   graph_attr_ints(&b->g, n, "scan_output_axes", (const int64_t[]){0, 1}, 2) ||
                   graph_attr_ints(&b->g, n, "scan_output_directions", (const int64_t[]){back_y, 0}, 2);
    }
    ends(b, "", "s sums columns");
}

static void look_scan(const struct graph_run *r, const int *out)
{
    const struct tensor *s = graph_run_value(r, out[0]), *sums = graph_run_value(r, out[1]);
    const struct tensor *columns = graph_run_value(r, out[2]);
    float want[W] = {0};
    assert_int_equal(sums->rank, 2);
    assert_int_equal(sums->dim[0], T);
    assert_int_equal(sums->dim[1], W);
    assert_int_equal(columns->dim[0], W);
    assert_int_equal(columns->dim[1], T);
    for (size_t t = 0; t < T; t++)
        for (size_t k = 0; k < W; k++) {
            size_t ta = back_a ? T - 1 - t : t, tb = back_b ? T - 1 - t : t, ty = back_y ? T - 1 - t : t;
            want[k] += scan_a[ta * W + k] * scan_b[k * T + tb];
            assert_true(((const float *)sums->data)[ty * W + k] == want[k]);
            assert_true(((const float *)columns->data)[k * T + t] == want[k]);
        }
    assert_memory_equal(s->data, want, sizeof want);
}

static void scans(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < T * W; i++) {
        scan_a[i] = (float)(i % 5) - 1.5f;
        scan_b[i] = (float)(i % 7) * 0.25f;
    }
    const struct tensor inputs[2] = {float_tensor(scan_a, 2, (const size_t[]){T, W}),
                                     float_tensor(scan_b, 2, (const size_t[]){W, T})};
    for (int which = 0; which < 8; which++) {
        struct built b;
        back_a = which & 1, back_b = which & 2, back_y = which & 4;
        build_scan(&b);
        runs(&b, inputs, look_scan);
    }
}

/* ---- refusals ---- */

static void refuse_bodies(void **unused)
{
    (void)unused;
    struct built b;
    static const struct {
        const char *op, *in, *out, *body_in, *body_out;
        int bodies;
    } wrong[] = {
        {"If", "yes", "y", "", "one", 1},          {"If", "yes", "y", "", "one", 3},
        {"If", "yes", "y z", "", "one", 2},        {"If", "yes", "y", "i", "one", 2},
        {"Loop", "one yes", "-", "i c", "c", 0},   {"Loop", "one yes one", "y", "i c", "c one", 1},
        {"Loop", "one yes one", "y", "i c a", "c", 1}, {"Loop", "one yes one", "y z", "i c a", "c a", 1},
        {"Loop", "one yes -", "y", "i c a", "c a", 1}, {"Loop", "one", "y", "i", "c", 1},
        {"Loop", "", "y", "i", "c", 1},            {"Scan", "one list", "y z", "a b", "a", 1},
        {"Scan", "one list", "y", "a", "a", 1},    {"Scan", "list one", "y", "a b", "a", 1},
        {"Scan", "one -", "y", "a b", "a", 1},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        begin(&b);
        truth(&b, "yes", true);
        number(&b, "one", 1);
        constant(&b, "list", DTYPE_I64, 1, (const size_t[]){2}, (const int64_t[]){1, 2});
        struct graph_node *n = node(&b, NULL, wrong[i].op, wrong[i].in, wrong[i].out);
        for (int k = 0; k < wrong[i].bodies; k++)
            body(&b, n, wrong[i].body_in, wrong[i].body_out);
        if (strcmp(wrong[i].op, "Scan") == 0) graph_attr_int(&b.g, n, "num_scan_inputs", 1);
        refused(&b, NULL, RNND_MISMATCH);
    }
}

static void refuse_conditions(void **unused)
{
    (void)unused;
    struct built b;
    struct tensor two = {.dtype = DTYPE_BOOL, .rank = 1, .dim = {2}, .data = "\1\1"};
    int64_t one = 1;
    struct tensor integer = {.dtype = DTYPE_I64, .data = &one};
    for (int i = 0; i < 4; i++) {
        begin(&b);
        number(&b, "one", 1);
        ends(&b, "c", "");
        struct graph_node *n = node(&b, NULL, i < 2 ? "If" : "Loop", i < 2 ? "c" : "one c one", "y");
        body(&b, n, i < 2 ? "" : "i d a", i < 2 ? "one" : "d a");
        if (i < 2) body(&b, n, "", "one");
        ends(&b, "", "y");
        refused(&b, i % 2 ? &two : &integer, RNND_MISMATCH);
    }
    begin(&b); /* the body's condition is no bool */
    number(&b, "one", 1);
    struct graph_node *n = node(&b, NULL, "Loop", "one - one", "y");
    body(&b, n, "i d a", "a a");
    refused(&b, NULL, RNND_MISMATCH);
    begin(&b); /* the count is no integer */
    truth(&b, "yes", true);
    n = node(&b, NULL, "Loop", "yes - yes", "y");
    body(&b, n, "i d a", "d a");
    refused(&b, NULL, RNND_MISMATCH);
}

/* What is collected must keep its shape: a grows by joining itself. */
static void refuse_growth(void **unused)
{
    (void)unused;
    struct built b;
    begin(&b);
    number(&b, "three", 3);
    constant(&b, "list", DTYPE_I64, 1, (const size_t[]){1}, (const int64_t[]){1});
    struct graph_node *n = node(&b, NULL, "Loop", "three - list", "- y");
    struct graph_body *d = body(&b, n, "i c a", "c a2 a2");
    n = node(&b, d, "Concat", "a a", "a2");
    graph_attr_int(&b.g, n, "axis", 0);
    refused(&b, NULL, RNND_MISMATCH);
}

/* Loops that would never end are ended, and what they would make is bounded. */
static void endless(void **unused)
{
    (void)unused;
    struct built b;
    begin(&b);
    number(&b, "one", 1);
    struct graph_node *n = node(&b, NULL, "Loop", "- - one", "y");
    body(&b, n, "i c a", "c a");
    refused(&b, NULL, RNND_TOO_LARGE);
    begin(&b);
    constant(&b, "long", DTYPE_F32, 2, (const size_t[]){2000000, 0}, "");
    n = node(&b, NULL, "Scan", "long", "y");
    body(&b, n, "a", "a");
    graph_attr_int(&b.g, n, "num_scan_inputs", 1);
    refused(&b, NULL, RNND_TOO_LARGE);
    begin(&b); /* 2^40 elements by doubling */
    number(&b, "many", 40);
    constant(&b, "list", DTYPE_I64, 1, (const size_t[]){1}, (const int64_t[]){1});
    n = node(&b, NULL, "Loop", "many - list", "y");
    struct graph_body *d = body(&b, n, "i c a", "c a2");
    n = node(&b, d, "Concat", "a a", "a2");
    graph_attr_int(&b.g, n, "axis", 0);
    struct graph_run *r = NULL;
    rnnd_error err = {0};
    assert_int_equal(graph_compile(&b.g, &err), RNND_OK);
    assert_int_equal(graph_run_open(&b.g, 1, 1, &r, &err), RNND_OK);
    graph_run_limit(r, (size_t)16 << 20);
    assert_int_equal(graph_run_tensors(r, NULL, &err), RNND_TOO_LARGE);
    graph_run_close(r);
    graph_free(&b.g);
}

static void refuse_scans(void **unused)
{
    (void)unused;
    struct built b;
    static const struct {
        int64_t scanned, axis, axes, output_axis;
        size_t steps;
    } wrong[] = {{0, 0, 1, 0, T}, {3, 0, 1, 0, T}, {-1, 0, 1, 0, T}, {1, 2, 1, 0, T},
                 {1, 0, 2, 0, T}, {1, 0, 1, 3, T}, {2, 0, 2, 0, 3}};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        begin(&b);
        ends(&b, "s x", "");
        struct graph_node *n = node(&b, NULL, "Scan", "s x", wrong[i].scanned == 2 ? "z" : "y z");
        body(&b, n, "a b", wrong[i].scanned == 2 ? "b" : "a b");
        graph_attr_int(&b.g, n, "num_scan_inputs", wrong[i].scanned);
        graph_attr_ints(&b.g, n, "scan_input_axes", (const int64_t[]){wrong[i].axis, 0}, (size_t)wrong[i].axes);
        graph_attr_ints(&b.g, n, "scan_output_axes", (const int64_t[]){wrong[i].output_axis}, 1);
        ends(&b, "", "z");
        const struct tensor inputs[2] = {float_tensor(scan_a, 2, (const size_t[]){T, W}),
                                         float_tensor(scan_b, 2, (const size_t[]){wrong[i].steps, W})};
        refused(&b, inputs, RNND_MISMATCH);
    }
}

static void memory(void **unused)
{
    (void)unused;
    for (int which = 0; which < 3; which++)
        for (size_t n = 1;; n++) {
            struct built b;
            rnnd_error err = {0};
            const struct tensor scanned[2] = {float_tensor(scan_a, 2, (const size_t[]){T, W}),
                                              float_tensor(scan_b, 2, (const size_t[]){W, T})};
            mem_fail_at(n);
            (which == 0 ? build_triangle : which == 1 ? build_branches : build_scan)(&b);
            rnnd_code code = run(&b, which == 1 ? branch_inputs : scanned,
                                 which == 0   ? look_triangle
                                 : which == 1 ? look_branches
                                              : look_scan, &err);
            size_t used = mem_fail_at(0);
            if (code != RNND_OK && code != RNND_NO_MEMORY) fail_msg("allocation %zu: %s", n, err.message);
            if (used < n) break;
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(loops),         cmocka_unit_test(conditions),        cmocka_unit_test(nested),
        cmocka_unit_test(ifs),           cmocka_unit_test(scans),             cmocka_unit_test(refuse_bodies),
        cmocka_unit_test(refuse_scans),  cmocka_unit_test(refuse_conditions), cmocka_unit_test(refuse_growth),
        cmocka_unit_test(endless),       cmocka_unit_test(memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
