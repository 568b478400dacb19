/* test_readme_configs.c -- every configuration shown in core/README.md opens with the tensors listed under it. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/formats/safetensors.h"
#include "core/rnnd.h"

enum { MAX_ITEMS = 32, STEPS = 7 };

struct example {
    char *config;
    struct safetensors_item items[MAX_ITEMS];
    size_t count;
};

static char *page;

/* The text of the next block of this kind behind *at; NULL: no more. */
static char *block(const char **at, const char *fence)
{
    const char *begin = strstr(*at, fence), *end;

    if (!begin) return NULL;
    begin += strlen(fence);
    end = strstr(begin, "```\n");
    assert_non_null(end);
    *at = end;
    return strndup(begin, (size_t)(end - begin));
}

/* A line "name [2, 3]" as a tensor of small positive numbers, which also do as variances. */
static void add_tensor(struct example *e, char *line)
{
    struct safetensors_item *item = &e->items[e->count++];
    char *shape = strstr(line, " [");
    size_t n = 1;
    float *data;

    assert_true(e->count <= MAX_ITEMS);
    assert_non_null(shape);
    *shape = 0;
    item->name = strdup(line);
    item->stored = STORED_F32;
    for (char *p = shape + 2; *p && *p != ']'; item->rank++) {
        item->dim[item->rank] = strtoul(p, &p, 10);
        n *= item->dim[item->rank];
        p += strspn(p, ", ");
    }
    assert_true(n > 0 && n < 100000);
    data = malloc(n * sizeof *data);
    for (size_t i = 0; i < n; i++) data[i] = 0.02f * (float)(1 + (i * 7 + e->count) % 11);
    item->data = data;
}

static bool next_example(const char **at, struct example *e)
{
    memset(e, 0, sizeof *e);
    e->config = block(at, "```json\n");
    if (!e->config) return false;
    char *tensors = block(at, "```tensors\n"), *rest = tensors;
    assert_non_null(tensors);
    for (char *line = strtok_r(tensors, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) add_tensor(e, line);
    free(tensors);
    return true;
}

static void free_example(struct example *e)
{
    for (size_t i = 0; i < e->count; i++) {
        free((char *)(uintptr_t)e->items[i].name);
        free((float *)(uintptr_t)e->items[i].data);
    }
    free(e->config);
}

static rnnd_code open_example(const struct example *e, const char *config, size_t tensors, rnnd_model **m,
                              rnnd_error *err)
{
    struct safetensors_meta meta = {"rnnd", config};
    void *image;
    size_t bytes;

    assert_int_equal(safetensors_image(e->items, tensors, &meta, 1, &image, &bytes, err), RNND_OK);
    rnnd_code code = rnnd_model_open_memory(image, bytes, "example", NULL, m, err);
    mem_free(image);
    return code;
}

static void examples_open_and_step(void **unused)
{
    struct example e;
    size_t count = 0, tasks[3] = {0}, modes[2] = {0}, graphs = 0;

    (void)unused;
    for (const char *at = page; next_example(&at, &e); count++) {
        rnnd_model *m;
        rnnd_workspace *ws;
        rnnd_error err;

        if (open_example(&e, e.config, e.count, &m, &err)) fail_msg("%s\n%s", err.message, e.config);
        const rnnd_info *info = rnnd_model_info(m);
        void *state = calloc(1, rnnd_state_bytes(m));
        float *in = calloc(info->input_width, sizeof *in), *out = calloc(info->output_width, sizeof *out);
        assert_true(info->streamable);
        rnnd_state_reset(m, state);
        assert_int_equal(rnnd_workspace_open(m, 1, &ws, &err), RNND_OK);
        for (int t = 0; t < STEPS; t++) {
            rnnd_step_row row = {.state = state, .input = in, .output = out};
            if (rnnd_step(ws, &row, 1, &err)) fail_msg("%s\n%s", err.message, e.config);
            for (size_t i = 0; i < info->output_width; i++) assert_true(isfinite(out[i]));
        }
        assert_int_equal(rnnd_state_step(m, state), STEPS);
        tasks[info->task]++;
        modes[info->mode]++;
        graphs += strstr(e.config, "\"graph\"") != NULL;
        rnnd_workspace_close(ws);
        rnnd_model_close(m);
        free(state), free(in), free(out);
        free_example(&e);
    }
    assert_true(count >= 5 && tasks[RNND_RAW] && tasks[RNND_TEXT] && tasks[RNND_SERIES] && modes[RNND_SLIDING]);
    assert_true(graphs > 0);
}

/* What is listed is needed: no tensor may be missing, no key unknown. */
static void examples_need_what_they_list(void **unused)
{
    struct example e;

    (void)unused;
    for (const char *at = page; next_example(&at, &e);) {
        rnnd_model *m;
        rnnd_error err;
        char *other = NULL;

        assert_int_equal(open_example(&e, e.config, e.count - 1, &m, &err), RNND_MISMATCH);
        assert_int_equal(strncmp(e.config, "{\"format\": 1, ", 14), 0);
        assert_true(asprintf(&other, "{\"nonsense\": 1, %s", e.config + 1) > 0);
        assert_int_equal(open_example(&e, other, e.count, &m, &err), RNND_MISMATCH);
        assert_string_equal(err.param, "nonsense");
        free(other);
        free_example(&e);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(examples_open_and_step),
                                       cmocka_unit_test(examples_need_what_they_list)};
    FILE *f = fopen("core/README.md", "rb");
    size_t cap = 1 << 20;

    if (!f) return 1;
    page = calloc(1, cap);
    if (fread(page, 1, cap - 1, f) < 1000) return 1;
    fclose(f);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    free(page);
    return failed;
}
