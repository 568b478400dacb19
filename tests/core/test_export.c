/* test_export.c -- files of models/rnnd_export.py answer what PyTorch and Keras answered before they were written.
 *
 * tests/vectors/export/ holds one per way in which people wire a model (make_export.py there made them), each with
 * golden vectors, which opening it checks, and with another input and answer. */
#include <dirent.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/rnnd.h"
#include "tests/lib/arrays.h"

#define FOLDER "tests/vectors/export/"

static double one_file(const char *name)
{
    char path[512];
    struct array x, y;
    rnnd_model *m;
    rnnd_workspace *ws;
    rnnd_error err;
    double most = 1, worst = 0;
    snprintf(path, sizeof path, FOLDER "%s", name);
    assert_true(arrays_safetensors(path, "vector.x", &x) && arrays_safetensors(path, "vector.y", &y));
    assert_int_equal(x.rank, 3);
    assert_int_equal(y.rank, 3);
    if (rnnd_model_open(path, NULL, &m, &err)) fail_msg("%s: %s", name, err.message);
    assert_int_equal(rnnd_model_info(m)->output_last, y.dim[1] == 1);
    assert_int_equal(rnnd_window_input_width(m), x.dim[2]);
    assert_int_equal(rnnd_window_output_width(m), y.dim[2]);
    float *got = calloc(y.count, sizeof *got);
    rnnd_window w = {.batch = x.dim[0], .steps = x.dim[1], .inputs = x.data, .outputs = got};
    assert_int_equal(rnnd_workspace_open(m, x.dim[0], &ws, &err), RNND_OK);
    if (rnnd_run_window(ws, &w, &err)) fail_msg("%s: %s", name, err.message);
    for (size_t i = 0; i < y.count; i++)
        most = fmax(most, fabs((double)y.data[i]));
    for (size_t i = 0; i < y.count; i++) {
        double off = fabs((double)got[i] - (double)y.data[i]);
        if (!(off <= 1e-5 * most))
            fail_msg("%s: number %zu is %.9g, wanted %.9g", name, i, (double)got[i], (double)y.data[i]);
        worst = fmax(worst, off / most);
    }
    free(got);
    rnnd_workspace_close(ws);
    rnnd_model_close(m);
    arrays_free(&x), arrays_free(&y);
    return worst;
}

static void files_answer_as_their_frameworks(void **state)
{
    struct dirent *e;
    size_t torch = 0, keras = 0;
    double worst = 0;
    DIR *d = opendir(FOLDER);
    (void)state;
    assert_non_null(d);
    while ((e = readdir(d)))
        if (strstr(e->d_name, ".safetensors")) {
            worst = fmax(worst, one_file(e->d_name));
            torch += strncmp(e->d_name, "torch_", 6) == 0;
            keras += strncmp(e->d_name, "keras_", 6) == 0;
        }
    closedir(d);
    print_message("%zu of PyTorch, %zu of Keras, largest error %.1e of the largest value\n", torch, keras, worst);
    assert_true(torch >= 7 && keras >= 13);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(files_answer_as_their_frameworks)};
    return cmocka_run_group_tests_name("export", tests, NULL, NULL);
}
