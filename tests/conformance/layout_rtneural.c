/* layout_rtneural.c -- NAME.json with NAME_x_python.csv and NAME_y_python.csv: one row a step, state from zero. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/cli/cli.h"
#include "tests/conformance/runner.h"

/* A network that says its last step alone is asked at every step. */
static void compare_steps(struct subject *m, const struct array *x, const struct array *want, struct verdict *v)
{
    const rnnd_info *info = rnnd_model_info(m->model);
    rnnd_workspace *ws = NULL;
    rnnd_error err = {.message = ""};
    struct array got = {.rank = 2, .dim = {x->dim[0], info->output_width}};
    void *state = calloc(1, rnnd_state_bytes(m->model));
    got.data = calloc(x->dim[0] * info->output_width + 1, sizeof *got.data);
    bool good = state && got.data && info->input_width == x->dim[1] &&
                rnnd_workspace_open(m->model, 1, &ws, &err) == RNND_OK;
    if (good)
        rnnd_state_reset(m->model, state);
    for (size_t t = 0; t < x->dim[0] && good; t++) {
        rnnd_step_row row = {.state = state, .input = x->data + t * x->dim[1],
                             .output = got.data + t * info->output_width};
        good = rnnd_step(ws, &row, 1, &err) == RNND_OK;
    }
    if (good)
        verdict_compare(v, &got, want, "y");
    else
        verdict_fail(v, "%s", err.message[0] ? err.message : "the table's columns are not the network's inputs");
    rnnd_workspace_close(ws);
    free(state);
    array_free(&got);
}

static void compare(struct subject *m, struct array *x, const struct array *want, struct verdict *v,
                    struct stream_result *r)
{
    const rnnd_info *info = rnnd_model_info(m->model);
    rnnd_error err;
    struct array got;
    if (info->output_last && info->streamable && info->mode == RNND_CARRY && want->dim[0] == x->dim[0]) {
        rnnd_tensor rows = tensor_of(NULL, x);
        compare_steps(m, x, want, v);
        stream_run(m, &rows, 1, false, r);
        return;
    }
    *x = (struct array){.rank = 3, .dim = {1, x->dim[0], x->dim[1]}, .data = x->data};
    rnnd_tensor input = tensor_of(NULL, x);
    if (rnnd_call_run(m->call, &input, 1, &err) != RNND_OK)
        verdict_fail(v, "%s", err.message);
    else if (subject_output(m, NULL, 0, want, &got, v))
        verdict_compare(v, &got, want, "y");
    stream_run(m, &input, 1, true, r);
}

static void run_file(struct suite *s, const char *folder, const char *stem)
{
    char model[PATH_BYTES], path[PATH_BYTES], file[300];
    struct verdict v = {0};
    struct stream_result r = {.kind = STREAM_NEITHER};
    struct array x = {0}, y = {0};
    struct subject m;
    rnnd_error err;
    rnnd_code code;
    snprintf(file, sizeof file, "%s.json", stem);
    path_join(model, folder, file);
    snprintf(file, sizeof file, "%s_x_python.csv", stem);
    if (!path_join(path, folder, file) || !file_exists(path)) {
        suite_skip(s, suite_name(s, model), "no %s_x_python.csv beside it", stem);
        return;
    }
    code = array_load(path, &x, &err);
    snprintf(file, sizeof file, "%s_y_python.csv", stem);
    if (code == RNND_OK && path_join(path, folder, file))
        code = array_load(path, &y, &err);
    if (code != RNND_OK) {
        verdict_fail(&v, "%s", err.message);
    } else {
        if (subject_open(&m, model, NULL, &v))
            compare(&m, &x, &y, &v, &r);
        subject_close(&m);
    }
    verdict_close(s, suite_name(s, model), &v);
    stream_close(s, suite_name(s, model), &r);
    array_free(&x);
    array_free(&y);
}

/* A folder is of this kind where one such table is; models in it without tables are skipped by name. */
void rtneural_cases(struct suite *s, const char *folder)
{
    size_t count;
    char **names = folder_list(folder, &count), stem[256];
    bool any = false;
    for (size_t i = 0; i < count; i++)
        any = any || cli_has_suffix(names[i], "_x_python.csv");
    for (size_t i = 0; i < count && any; i++)
        if (cli_has_suffix(names[i], ".json") && !cli_has_suffix(names[i], ".rnnd.json") &&
            strlen(names[i]) < sizeof stem) {
            snprintf(stem, sizeof stem, "%.*s", (int)(strlen(names[i]) - 5), names[i]);
            run_file(s, folder, stem);
        }
    folder_list_free(names, count);
}
