/* test_foreign_numbers.c -- inputs that are always one number: guessed where all that reads them compares them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "core/model/foreign.h"
#include "core/ops/op.h"

/* x and rate; `is` = rate == 16000; If (is) whose first body reads the rate by `inner`, or gives it out as it is. */
static void build(struct graph *g, struct graph_port ports[2], const char *inner)
{
    static const int64_t numbers[] = {16000, 8000};
    graph_init(g, kernels_pick(NULL));
    g->tensors = true;
    g->input_ports = ports;
    ports[0] = (struct graph_port){.dtype = DTYPE_F32, .rank = 2, .dim = {1, 3}, .batch_axis = 0, .time_axis = -1};
    ports[1] = (struct graph_port){.dtype = DTYPE_I64, .rank = 0, .batch_axis = -1, .time_axis = -1};
    int x = graph_value(g, "x"), rate = graph_value(g, "rate"), is = graph_value(g, "is"), y = graph_value(g, "y");
    int sixteen = graph_constant(g, "sixteen", DTYPE_I64, 0, NULL, &numbers[0]);
    int eight = graph_constant(g, "eight", DTYPE_I64, 0, NULL, &numbers[1]);
    graph_add_input(g, x);
    graph_add_input(g, rate);
    struct graph_node *n = graph_node(g, op_find("Equal"), "compare", 2, 1);
    n->inputs[0] = rate, n->inputs[1] = sixteen, n->outputs[0] = is;
    n = graph_node(g, op_find("If"), "if", 1, 1);
    n->inputs[0] = is, n->outputs[0] = y;
    struct graph_body *b = graph_add_body(g, n);
    b->outputs = arena_alloc(&g->arena, 1, sizeof *b->outputs);
    b->output_count = 1;
    b->outputs[0] = rate;
    if (!inner) return;
    struct graph_node *m = graph_node_in(g, b, op_find(inner), "inner", 2, 1);
    m->inputs[0] = rate, m->inputs[1] = eight;
    b->outputs[0] = m->outputs[0] = graph_value(g, "inner");
}

static void guessed_where_all_compare(void **unused)
{
    (void)unused;
    static const struct {
        const char *inner;
        bool guessed;
    } table[] = {{"Equal", true}, {"Add", false}, {NULL, false}};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct rnnd_model *m = calloc(1, sizeof *m);
        struct graph_port ports[2];
        struct graph g;
        rnnd_error err;
        arena_init(&m->arena, (size_t)1 << 20);
        m->info.side_file = "";
        m->config.text = "{\"format\":1}";
        build(&g, ports, table[i].inner);
        if (foreign_assume_numbers(m, &g, &err)) fail_msg("%s", err.message);
        assert_int_equal(m->info.assumption_count, table[i].guessed);
        assert_int_equal(g.input_count, table[i].guessed ? 1 : 2);
        if (table[i].guessed) {
            assert_non_null(strstr(m->info.assumptions[0], "\"rate\" is always 16000")); /* 8000 may never run */
            assert_non_null(strstr(m->info.side_file, "\"value\":16000"));
        }
        graph_free(&g);
        arena_free(&m->arena);
        free(m);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(guessed_where_all_compare)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
