/* test_stream.c -- what a session answers is what the window says, bit for bit, for model files of every format. */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/lib/stream.h"

#define VECTORS "tests/vectors/"

static int seen[4]; /* by stream_kind */

static rnnd_model *open_as(const char *path, const char *config)
{
    rnnd_options options = {.config = config, .accept_guesses = true};
    rnnd_model *m;
    rnnd_error err;
    return rnnd_model_open(path, &options, &m, &err) == RNND_OK ? m : NULL;
}

static rnnd_code refused(const char *path, const char *config, rnnd_error *err)
{
    rnnd_options options = {.config = config};
    rnnd_model *m;
    rnnd_code code = rnnd_model_open(path, &options, &m, err);
    rnnd_model_close(m);
    return code;
}

static enum stream_kind check(const rnnd_model *m, const char *path)
{
    char why[512];
    size_t steps = stream_steps(m);
    float *rows = stream_rows(m, steps);
    enum stream_kind kind = stream_check(m, rows, rows, steps, why);
    free(rows);
    if (kind == STREAM_WRONG) fail_msg("%s: %s", path, why);
    seen[kind]++;
    return kind;
}

/* What carries nothing and fixes no window slides over one of seven steps, if it can be laid out in rows at all. */
static void check_file(const char *path)
{
    static const char config[] = "{\"format\":1,\"mode\":\"sliding\",\"window\":7}";
    rnnd_model *m = open_as(path, NULL);
    if (!m) return; /* weights alone, and files that are refused */
    enum stream_kind kind = check(m, path);
    rnnd_model_close(m);
    if (kind != STREAM_NEITHER || !(m = open_as(path, config))) return;
    check(m, path);
    rnnd_model_close(m);
}

static void check_folder(const char *folder)
{
    char path[300];
    DIR *d = opendir(folder);
    assert_non_null(d);
    for (struct dirent *e; (e = readdir(d));) {
        const char *dot = strrchr(e->d_name, '.');
        if (e->d_name[0] == '.' || !dot || !strcmp(dot, ".safetensors") || !strcmp(dot, ".txt")) continue;
        snprintf(path, sizeof path, "%s/%.200s", folder, e->d_name);
        check_file(path);
    }
    closedir(d);
}

static void files_of_every_format(void **unused)
{
    (void)unused;
    check_folder(VECTORS "keras");
    check_folder(VECTORS "onnx_files");
    check_folder(VECTORS "rtjson");
    check_folder(VECTORS "torch_files");
    printf("%d carried, %d slid, %d neither\n", seen[STREAM_CARRY], seen[STREAM_SLIDING], seen[STREAM_NEITHER]);
    assert_true(seen[STREAM_CARRY] >= 30 && seen[STREAM_SLIDING] >= 20);
}

/* The check finds one number that is another, in a carried state and in a window. */
static void a_difference_is_found(void **unused)
{
    (void)unused;
    static const char *const files[] = {VECTORS "onnx_files/torch_lstm.onnx", VECTORS "keras/recurrent.h5"};
    for (size_t i = 0; i < 2; i++) {
        char why[512];
        rnnd_model *m = open_as(files[i], NULL);
        assert_non_null(m);
        size_t steps = 20, width = rnnd_model_info(m)->input_width;
        float *rows = stream_rows(m, steps), *others = stream_rows(m, steps);
        assert_int_not_equal(stream_check(m, rows, others, steps, why), STREAM_WRONG);
        others[(steps - 1) * width] += 0.25f;
        assert_int_equal(stream_check(m, rows, others, steps, why), STREAM_WRONG);
        assert_non_null(strstr(why, "session 0, step 19"));
        free(rows);
        free(others);
        rnnd_model_close(m);
    }
}

/* A window that is not full: files that say themselves what they are have zeros before the first row, whether their
 * network runs as rows or as tensors; "pad": "none" makes windows grow, where the file lets them. */
static void young_windows(void **unused)
{
    (void)unused;
    static const char grow[] = "{\"format\":1,\"pad\":\"none\"}",
                      slide[] = "{\"format\":1,\"mode\":\"sliding\",\"window\":7,\"pad\":\"none\"}";
    rnnd_error err;
    rnnd_model *m = open_as(VECTORS "keras/recurrent.h5", NULL);
    assert_true(rnnd_model_info(m)->pad_zeros);
    assert_int_equal(check(m, "keras, zeros"), STREAM_SLIDING);
    rnnd_model_close(m);
    m = open_as(VECTORS "onnx_files/scan_weights.onnx", NULL);
    assert_true(rnnd_model_info(m)->pad_zeros);
    assert_int_equal(check(m, "onnx, zeros"), STREAM_SLIDING);
    rnnd_model_close(m);
    m = open_as(VECTORS "onnx_files/torch_gru_bi_last.onnx", slide);
    assert_non_null(m);
    assert_false(rnnd_model_info(m)->pad_zeros);
    assert_int_equal(check(m, "onnx, growing"), STREAM_SLIDING);
    rnnd_model_close(m);
    m = open_as(VECTORS "onnx_files/torch_lstm.onnx", NULL);
    assert_false(rnnd_model_info(m)->pad_zeros); /* a carried state needs none */
    rnnd_model_close(m);
    assert_int_equal(refused(VECTORS "onnx_files/scan_weights.onnx", grow, &err), RNND_MISMATCH);
    assert_string_equal(err.param, "pad");
    assert_non_null(strstr(err.message, "the file fixes windows to 2 steps"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(files_of_every_format), cmocka_unit_test(a_difference_is_found),
                                       cmocka_unit_test(young_windows)};
    return cmocka_run_group_tests_name("stream", tests, NULL, NULL);
}
