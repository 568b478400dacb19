/* layout_onnx.c -- ONNX test folders: model.onnx and test_data_set_N/{input,output}_N.pb, in the graph's order. */
#include <stdio.h>
#include <string.h>

#include "tests/conformance/runner.h"

static bool read_set(const char *folder, const char *kind, struct bundle *out, struct verdict *v)
{
    char path[PATH_BYTES], file[64];
    rnnd_error err;
    for (out->count = 0; out->count < MOST_ARRAYS; out->count++) {
        snprintf(file, sizeof file, "%s_%zu.pb", kind, out->count);
        if (!path_join(path, folder, file) || !file_exists(path))
            return true;
        if (tensor_read_pb(path, &out->items[out->count], &err) != RNND_OK) {
            verdict_fail(v, "%s", err.message);
            return false;
        }
    }
    return true;
}

static void compare_set(struct subject *m, const struct names *order, struct bundle *in, struct bundle *out,
                        struct verdict *v, struct stream_result *r)
{
    rnnd_tensor inputs[MOST_ARRAYS];
    rnnd_error err;
    for (size_t i = 0; i < in->count; i++)
        inputs[i] = tensor_of(i < order->count ? subject_input(m, order->names[i], i)
                                               : subject_input(m, in->items[i].name, i), &in->items[i].array);
    if (rnnd_call_run(m->call, inputs, in->count, &err) != RNND_OK) {
        verdict_fail(v, "%s", err.message);
        return;
    }
    for (size_t i = 0; i < out->count; i++) {
        struct array got;
        char label[160];
        snprintf(label, sizeof label, "output %zu%s%s", i, out->items[i].name[0] ? " " : "", out->items[i].name);
        if (subject_output(m, out->items[i].name, i, &out->items[i].array, &got, v))
            verdict_compare(v, &got, &out->items[i].array, label);
    }
    if (r->kind != STREAM_WRONG) /* sets before this one */
        stream_run(m, inputs, in->count, true, r);
}

static void run_set(const char *model, const char *folder, struct verdict *v, struct stream_result *r)
{
    static struct bundle in, out; /* large; cases run one after another */
    static struct names order;
    struct subject m;
    onnx_inputs(model, &order);
    if (read_set(folder, "input", &in, v) && read_set(folder, "output", &out, v)) {
        if (subject_open(&m, model, NULL, v))
            compare_set(&m, &order, &in, &out, v, r);
        subject_close(&m);
    }
    bundle_free(&in);
    bundle_free(&out);
}

bool onnx_folder(struct suite *s, const char *folder)
{
    char model[PATH_BYTES], set[PATH_BYTES];
    struct verdict v = {0};
    struct stream_result r = {.kind = STREAM_NEITHER};
    size_t count, sets = 0;
    if (!path_join(model, folder, "model.onnx") || !file_exists(model))
        return false;
    char **names = folder_list(folder, &count);
    for (size_t i = 0; i < count; i++)
        if (strncmp(names[i], "test_data_set_", 14) == 0 && path_join(set, folder, names[i])) {
            sets++;
            run_set(model, set, &v, &r);
        }
    folder_list_free(names, count);
    if (sets) {
        verdict_close(s, suite_name(s, folder), &v);
        stream_close(s, suite_name(s, folder), &r);
    } else
        suite_skip(s, suite_name(s, folder), "no test_data_set_0 beside model.onnx");
    return true;
}
