/* layout_torch.c -- torch.nn modules: NAME.json has the arguments of the constructor, NAME.io.npz what went in and came
 * out, NAME.pt and NAME.*.pt the weights in every way torch writes them. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/cli/cli.h"
#include "core/cli/json.h"
#include "tests/conformance/runner.h"

struct arguments {
    char kind[8], nonlinearity[8];
    long inputs, hidden, layers, projection;
    bool bias, two, batch_first;
};

static long whole(struct json_text text, const char *key, long absent)
{
    struct json_text v = json_find(text, key);
    char number[24];
    if (!v.at || v.end - v.at >= (long)sizeof number || strncmp(v.at, "null", 4) == 0)
        return absent;
    if (*v.at == 't' || *v.at == 'f')
        return *v.at == 't';
    snprintf(number, sizeof number, "%.*s", (int)(v.end - v.at), v.at);
    return strtol(number, NULL, 10);
}

static void word(struct json_text text, const char *key, const char *absent, char out[8])
{
    struct json_text v = json_find(text, key);
    if (v.at && v.end - v.at > 2 && *v.at == '"')
        snprintf(out, 8, "%.*s", (int)(v.end - v.at - 2), v.at + 1);
    else
        snprintf(out, 8, "%s", absent);
    for (char *p = out; *p; p++)
        *p = (char)tolower((unsigned char)*p);
}

static void read_arguments(struct json_text t, struct arguments *a)
{
    word(t, "kind", "", a->kind);
    word(t, "nonlinearity", "tanh", a->nonlinearity);
    a->inputs = whole(t, "input_size", 0);
    a->hidden = whole(t, "hidden_size", 0);
    a->layers = whole(t, "num_layers", 1);
    a->projection = whole(t, "proj_size", 0);
    a->bias = whole(t, "bias", 1) != 0;
    a->two = whole(t, "bidirectional", 0) != 0;
    a->batch_first = whole(t, "batch_first", 0) != 0;
}

/* Our configuration of it: one layer whose tensors have the module's own names. */
static void write_config(const struct arguments *a, char *out, size_t cap)
{
    static const char *const roles[] = {"weight_ih", "weight_hh", "bias_ih", "bias_hh", "weight_hr"};
    FILE *f = fmemopen(out, cap, "w");
    fprintf(f, "{\"format\": 1, \"inputs\": [{\"name\": \"x\", \"width\": %ld}], \"layers\": [{\"type\": \"%s\", "
               "\"name\": \"rnn\", \"hidden\": %ld, \"layers\": %ld, \"bias\": %s, \"direction\": \"%s\"",
            a->inputs, a->kind, a->hidden, a->layers, a->bias ? "true" : "false",
            a->two ? "bidirectional" : "forward");
    if (a->projection)
        fprintf(f, ", \"projection\": %ld", a->projection);
    if (strcmp(a->kind, "rnn") == 0)
        fprintf(f, ", \"nonlinearity\": \"%s\"", a->nonlinearity);
    fprintf(f, ", \"tensors\": {");
    const char *comma = "";
    for (long layer = 0; layer < a->layers; layer++)
        for (int reverse = 0; reverse <= a->two; reverse++)
            for (int r = 0; r < 5; r++) {
                if ((!a->bias && (r == 2 || r == 3)) || (r == 4 && !a->projection))
                    continue;
                const char *end = reverse ? "_reverse" : "";
                fprintf(f, "%s\"%s_l%ld%s\": \"%s_l%ld%s\"", comma, roles[r], layer, end, roles[r], layer, end);
                comma = ", ";
            }
    fprintf(f, "}}]}");
    fclose(f);
}

/* Between [time][batch][..] and [batch][time][..]. */
static void swap(struct bundle *io, const char *name)
{
    static const size_t order[ARRAY_MAX_RANK] = {1, 0, 2, 3, 4, 5, 6, 7};
    struct array *a = bundle_find(io, name), other;
    if (!a || a->rank < 3 || array_permute(a, order, &other, NULL) != RNND_OK)
        return;
    array_free(a);
    *a = other;
}

static void compare(struct subject *m, struct bundle *io, struct verdict *v, struct stream_result *r)
{
    static const struct { const char *name, *output; } wanted[] = {
        {"y", NULL}, {"y_ref64", NULL}, {"hn", "hn"}, {"cn", "cn"}};
    static const char *const given[] = {"x", "h0", "c0"};
    rnnd_tensor inputs[3];
    rnnd_error err;
    size_t count = 0;
    for (size_t i = 0; i < 3; i++) {
        struct array *a = bundle_find(io, given[i]);
        if (a && array_count(a))
            inputs[count++] = tensor_of(given[i], a);
    }
    if (rnnd_call_run(m->call, inputs, count, &err) != RNND_OK) {
        verdict_fail(v, "%s", err.message);
        return;
    }
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        struct array *want = bundle_find(io, wanted[i].name), got;
        if (want && array_count(want) && subject_output(m, wanted[i].output, SIZE_MAX, want, &got, v))
            verdict_compare(v, &got, want, wanted[i].name);
    }
    stream_run(m, inputs, count, true, r);
}

static void run_file(struct suite *s, const char *path, const char *config, struct bundle *io)
{
    struct verdict v = {0};
    struct stream_result r = {.kind = STREAM_NEITHER};
    struct subject m;
    if (subject_open(&m, path, config, &v))
        compare(&m, io, &v, &r);
    subject_close(&m);
    verdict_close(s, suite_name(s, path), &v);
    stream_close(s, suite_name(s, path), &r);
}

/* All files of one stem that end in .pt. */
static void run_stem(struct suite *s, const char *folder, const char *stem, char *const *names, size_t count)
{
    static struct bundle io;
    char path[PATH_BYTES], file[512], config[16384], *text = NULL;
    struct arguments a;
    size_t bytes, length = strlen(stem);
    rnnd_error err;
    snprintf(file, sizeof file, "%s.json", stem);
    if (!path_join(path, folder, file) || cli_read_file(path, 1 << 20, &text, &bytes, &err) != RNND_OK) {
        suite_skip(s, suite_name(s, path), "no such file beside %s.io.npz", stem);
        return;
    }
    read_arguments((struct json_text){text, text + bytes}, &a);
    free(text);
    write_config(&a, config, sizeof config);
    snprintf(file, sizeof file, "%s.io.npz", stem);
    if (!path_join(path, folder, file) || bundle_read_npz(path, &io, &err) != RNND_OK) {
        struct verdict v = {0};
        verdict_fail(&v, "%s", err.message);
        verdict_close(s, suite_name(s, path), &v);
        return;
    }
    for (int i = 0; i < 3 && !a.batch_first; i++)
        swap(&io, (const char *const[]){"x", "y", "y_ref64"}[i]);
    for (size_t i = 0; i < count; i++)
        if (strncmp(names[i], stem, length) == 0 && names[i][length] == '.' && cli_has_suffix(names[i], ".pt") &&
            path_join(path, folder, names[i]))
            run_file(s, path, config, &io);
    bundle_free(&io);
}

void torch_cases(struct suite *s, const char *folder)
{
    size_t count;
    char **names = folder_list(folder, &count), stem[256];
    for (size_t i = 0; i < count; i++)
        if (cli_has_suffix(names[i], ".io.npz") && strlen(names[i]) < sizeof stem) {
            snprintf(stem, sizeof stem, "%.*s", (int)(strlen(names[i]) - 7), names[i]);
            run_stem(s, folder, stem, names, count);
        }
    folder_list_free(names, count);
}
