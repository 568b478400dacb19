/* op_vectors.c -- one-node tensor graphs from text: what an operator answers, against what ONNX Runtime answered. */
#include "tests/lib/op_vectors.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/ops/op.h"

#define MAX_ENDS 24
#define MAX_ATTRS 16
#define MAX_WORDS 16384
#define RUN_BYTES ((size_t)64 << 20)

enum use { USE_INPUT, USE_CONSTANT, USE_NONE, USE_OUTPUT, USE_SKIP, USE_ANY };
struct end { /* an input or an output */
    enum use use;
    struct tensor tensor; /* data owned */
};
struct line { /* an attribute, as its words */
    size_t count;
    char **words;
};
struct op_case {
    char name[80], op[48];
    float tolerance;
    struct end inputs[MAX_ENDS], outputs[MAX_ENDS];
    int input_count, output_count;
    struct line attrs[MAX_ATTRS];
    size_t attr_count;
};

/* ---- reading ---- */

static size_t split(char *line, char **words)
{
    size_t n = 0;
    for (char *at = line, *save = NULL, *w; (w = strtok_r(at, " \t\r", &save)); at = NULL) {
        assert_true(n < MAX_WORDS);
        words[n++] = w;
    }
    return n;
}

static void put(struct tensor *t, size_t i, const char *word)
{
    char *end;
    if (t->dtype == DTYPE_F32)
        ((float *)t->data)[i] = strtof(word, &end);
    else if (t->dtype == DTYPE_I64)
        ((int64_t *)t->data)[i] = strtoll(word, &end, 10);
    else
        ((uint8_t *)t->data)[i] = strtol(word, &end, 10) != 0;
    if (end == word || *end) fail_msg("value '%s'", word);
}

static void read_tensor(const struct op_case *c, struct tensor *t, char **words, size_t count)
{
    if (count < 3) fail_msg("%s: a tensor needs a type and dims", c->name);
    *t = (struct tensor){.dtype = *words[1] == 'f' ? DTYPE_F32 : *words[1] == 'i' ? DTYPE_I64 : DTYPE_BOOL};
    for (char *at = words[2]; *at && *at != '.'; at += *at == ',')
        t->dim[t->rank++] = strtoull(at, &at, 10);
    size_t elements = tensor_count(t);
    if (count - 3 != elements && count != 4)
        fail_msg("%s: %zu values for %zu elements", c->name, count - 3, elements);
    t->data = calloc(elements + 1, dtype_bytes(t->dtype));
    for (size_t i = 0; i < elements; i++)
        put(t, i, words[3 + (count == 4 ? 0 : i)]);
}

static void read_attr(struct op_case *c, char **words, size_t count)
{
    assert_true(c->attr_count < MAX_ATTRS && count >= 2);
    struct line *l = &c->attrs[c->attr_count++];
    l->count = count;
    l->words = calloc(count, sizeof *l->words);
    for (size_t i = 0; i < count; i++)
        l->words[i] = strdup(words[i]);
}

static void read_line(struct op_case *c, char **words, size_t count)
{
    static const char *const uses[] = {"in", "const", "none", "out", "skip", "any"};
    if (strcmp(words[0], "tol") == 0) {
        c->tolerance = strtof(words[1], NULL);
        return;
    }
    for (int use = USE_INPUT; use <= USE_ANY; use++) {
        if (strcmp(words[0], uses[use]) != 0) continue;
        int *n = use < USE_OUTPUT ? &c->input_count : &c->output_count;
        assert_true(*n < MAX_ENDS);
        struct end *e = &(use < USE_OUTPUT ? c->inputs : c->outputs)[(*n)++];
        e->use = (enum use)use;
        if (use == USE_INPUT || use == USE_CONSTANT || use == USE_OUTPUT) read_tensor(c, &e->tensor, words, count);
        return;
    }
    read_attr(c, words, count);
}

/* The next case of the text, whose place moves on; false at its end. */
static bool read_case(const char **text, struct op_case *c)
{
    static char *words[MAX_WORDS];
    bool begun = false;
    memset(c, 0, sizeof *c);
    while (**text) {
        size_t n = strcspn(*text, "\n");
        if (begun && strncmp(*text, "case ", 5) == 0) break;
        char *line = strndup(*text, n);
        *text += n + ((*text)[n] == '\n');
        size_t count = line[0] == '#' ? 0 : split(line, words);
        if (count && strcmp(words[0], "case") == 0) {
            assert_true(count == 3);
            snprintf(c->name, sizeof c->name, "%s", words[1]);
            snprintf(c->op, sizeof c->op, "%s", words[2]);
            begun = true;
        } else if (count) {
            if (!begun) fail_msg("'%s' outside a case", words[0]);
            read_line(c, words, count);
        }
        free(line);
    }
    return begun;
}

static void free_case(struct op_case *c)
{
    for (int i = 0; i < MAX_ENDS; i++) {
        free(c->inputs[i].tensor.data);
        free(c->outputs[i].tensor.data);
    }
    for (size_t i = 0; i < c->attr_count; i++) {
        for (size_t k = 0; k < c->attrs[i].count; k++)
            free(c->attrs[i].words[k]);
        free(c->attrs[i].words);
    }
}

/* ---- building ---- */

static rnnd_code add_attr(struct graph *g, struct graph_node *n, const struct line *l)
{
    const char *kind = l->words[0], *name = l->words[1];
    size_t count = l->count - 2;
    char **v = l->words + 2;
    int64_t ints[64];
    float floats[64];
    assert_true(count <= 64);
    for (size_t i = 0; i < count; i++) {
        ints[i] = strtoll(v[i], NULL, 10);
        floats[i] = strtof(v[i], NULL);
    }
    if (strcmp(kind, "int") == 0) return graph_attr_int(g, n, name, ints[0]);
    if (strcmp(kind, "float") == 0) return graph_attr_float(g, n, name, floats[0]);
    if (strcmp(kind, "string") == 0) return graph_attr_string(g, n, name, count ? v[0] : "");
    if (strcmp(kind, "ints") == 0) return graph_attr_ints(g, n, name, ints, count);
    if (strcmp(kind, "floats") == 0) return graph_attr_floats(g, n, name, floats, count);
    if (strcmp(kind, "strings") == 0) return graph_attr_strings(g, n, name, (const char *const *)v, count);
    fail_msg("'%s': no such line", kind);
    return RNND_INTERNAL;
}

static rnnd_code add_inputs(struct graph *g, const struct op_case *c, bool constants, int *values)
{
    for (int i = 0; i < c->input_count; i++) {
        const struct end *e = &c->inputs[i];
        const struct tensor *t = &e->tensor;
        char name[16];
        snprintf(name, sizeof name, "in%d", i);
        values[i] = -1;
        if (e->use == USE_NONE) continue;
        bool constant = constants || e->use == USE_CONSTANT;
        values[i] = constant ? graph_constant(g, name, t->dtype, t->rank, t->dim, t->data) : graph_value(g, name);
        if (values[i] < 0 || (!constant && graph_add_input(g, values[i]))) return RNND_NO_MEMORY;
    }
    return RNND_OK;
}

static rnnd_code build(struct graph *g, const struct op_case *c, bool constants, const struct op *op)
{
    int inputs[MAX_ENDS], outputs = c->output_count ? c->output_count : 1;
    rnnd_code code = add_inputs(g, c, constants, inputs);
    if (code) return code;
    struct graph_node *n = graph_node(g, op, c->name, c->input_count, outputs);
    if (!n) return RNND_NO_MEMORY;
    for (int i = 0; i < c->input_count; i++)
        n->inputs[i] = inputs[i];
    for (int i = 0; i < outputs; i++) {
        char name[16];
        snprintf(name, sizeof name, "out%d", i);
        if (c->output_count && c->outputs[i].use == USE_SKIP) continue;
        if ((n->outputs[i] = graph_value(g, name)) < 0) return RNND_NO_MEMORY;
        if ((code = graph_add_output(g, n->outputs[i]))) return code;
    }
    for (size_t i = 0; i < c->attr_count && !code; i++)
        code = add_attr(g, n, &c->attrs[i]);
    return code;
}

/* ---- comparing ---- */

static bool float_close(float got, float want, float tolerance)
{
    if (isnan(want) || isnan(got)) return isnan(want) && isnan(got);
    if (isinf(want) || isinf(got)) return got == want;
    return fabsf(got - want) <= tolerance * fmaxf(1, fabsf(want));
}

static void compare(const struct op_case *c, const char *how, int output, const struct tensor *got,
                    const struct tensor *want)
{
    bool same = got->dtype == want->dtype && got->rank == want->rank;
    for (int i = 0; same && i < want->rank; i++)
        same = got->dim[i] == want->dim[i];
    if (!same) {
        for (int i = 0; i < got->rank; i++)
            print_message("%s %zu", i ? "," : "found dims", got->dim[i]);
        fail_msg("%s (%s), output %d: another shape (rank %d, wanted %d) or type", c->name, how, output, got->rank,
                 want->rank);
    }
    for (size_t i = 0, n = tensor_count(want); i < n; i++) {
        if (want->dtype == DTYPE_F32) {
            float a = ((const float *)got->data)[i], b = ((const float *)want->data)[i];
            if (!float_close(a, b, c->tolerance))
                fail_msg("%s (%s), output %d, element %zu: %.9g, wanted %.9g", c->name, how, output, i, (double)a,
                         (double)b);
        } else if (want->dtype == DTYPE_I64) {
            int64_t a = ((const int64_t *)got->data)[i], b = ((const int64_t *)want->data)[i];
            if (a != b)
                fail_msg("%s (%s), output %d, element %zu: %lld, wanted %lld", c->name, how, output, i, (long long)a,
                         (long long)b);
        } else if (((const uint8_t *)got->data)[i] != ((const uint8_t *)want->data)[i]) {
            fail_msg("%s (%s), output %d, element %zu: another bool", c->name, how, output, i);
        }
    }
}

static void compare_all(const struct op_case *c, const char *how, const struct graph *g, const struct graph_run *run)
{
    for (int i = 0, at = 0; i < c->output_count; i++) {
        if (c->outputs[i].use == USE_SKIP) continue;
        if (c->outputs[i].use == USE_OUTPUT)
            compare(c, how, i, graph_run_value(run, g->outputs[at]), &c->outputs[i].tensor);
        at++;
    }
}

/* Builds, compiles, runs twice; the answer is compared each time. */
static rnnd_code run_case(const struct op_case *c, const struct kernels *kernels, bool constants, rnnd_error *err)
{
    const struct op *op = op_find(c->op);
    struct tensor inputs[MAX_ENDS];
    struct graph g;
    struct graph_run *run = NULL;
    char how[64];
    int n = 0;
    if (!op) fail_msg("%s: no operator '%s'", c->name, c->op);
    snprintf(how, sizeof how, "%s, inputs %s", kernels->name, constants ? "constant" : "as given");
    graph_init(&g, kernels);
    g.tensors = true;
    rnnd_code code = build(&g, c, constants, op);
    if (!code) code = graph_compile(&g, err);
    if (!code) code = graph_run_open(&g, 1, 1, &run, err);
    if (!code) graph_run_limit(run, RUN_BYTES);
    for (int i = 0; i < c->input_count; i++)
        if (c->inputs[i].use == USE_INPUT && !constants) inputs[n++] = c->inputs[i].tensor;
    for (int pass = 0; pass < 2 && !code; pass++) {
        code = graph_run_tensors(run, inputs, err);
        if (!code) compare_all(c, how, &g, run);
    }
    graph_run_close(run);
    graph_free(&g);
    return code;
}

static void check_case(const struct op_case *c)
{
    const struct kernels *const *rows;
    size_t count = kernels_list(&rows);
    if (c->output_count == 0) fail_msg("%s: no output to compare", c->name);
    for (size_t i = 0; i < count; i++)
        for (int constants = 0; constants < 2; constants++) {
            rnnd_error err = {0};
            rnnd_code code = run_case(c, rows[i], constants, &err);
            if (code) fail_msg("%s (%s): code %d, %s", c->name, rows[i]->name, (int)code, err.message);
        }
}

static size_t check_text(const char *text, const char *const *ops)
{
    struct op_case c;
    size_t ran = 0, seen[256] = {0};
    while (read_case(&text, &c)) {
        size_t i = 0;
        while (ops && ops[i] && strcmp(ops[i], c.op) != 0)
            i++;
        if (!ops || ops[i]) {
            check_case(&c);
            ran++;
            if (ops && i < 256) seen[i]++;
        }
        free_case(&c);
    }
    for (size_t i = 0; ops && ops[i]; i++)
        if (!seen[i]) fail_msg("no case of %s", ops[i]);
    return ran;
}

size_t op_vectors_check(const char *path, const char *const *ops)
{
    FILE *f = fopen(path, "rb");
    if (!f) fail_msg("%s: cannot be opened", path);
    fseek(f, 0, SEEK_END);
    size_t bytes = (size_t)ftell(f);
    rewind(f);
    char *text = calloc(bytes + 1, 1);
    assert_int_equal(fread(text, 1, bytes, f), bytes);
    fclose(f);
    size_t ran = check_text(text, ops);
    free(text);
    return ran;
}

size_t op_text_check(const char *text)
{
    return check_text(text, NULL);
}

void op_text_fails(const char *text, rnnd_code want)
{
    struct op_case c;
    assert_true(read_case(&text, &c));
    rnnd_error err = {0};
    rnnd_code code = run_case(&c, kernels_pick(NULL), false, &err);
    if (code != want)
        fail_msg("%s: code %d, wanted %d (%s)", c.name, (int)code, (int)want, code ? err.message : "it ran");
    if (!err.message[0]) fail_msg("%s: no sentence", c.name);
    free_case(&c);
}

void op_text_torture(const char *text)
{
    struct op_case c;
    assert_true(read_case(&text, &c));
    for (size_t n = 1;; n++) {
        rnnd_error err = {0};
        mem_fail_at(n);
        rnnd_code code = run_case(&c, kernels_pick(NULL), false, &err);
        size_t used = mem_fail_at(0);
        if (code != RNND_OK && code != RNND_NO_MEMORY) fail_msg("%s: allocation %zu: %s", c.name, n, err.message);
        if (used < n) break;
    }
    free_case(&c);
}
