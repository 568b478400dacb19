/* test_torch.c -- PyTorch files of every form against what torch reads, and every way to damage them. */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "core/base/mem.h"
#include "core/base/rng.h"
#include "core/formats/format.h"
#include "core/formats/torch.h"
#include "tests/lib/arrays.h"
#include "tests/lib/hostile.h"

#define FOLDER "tests/vectors/torch_files/"
#define SHARED "../shared/conformance/torch-random/"

static rnnd_code read_back(const uint8_t *data, size_t bytes, struct checkpoint *ck, rnnd_error *err)
{
    memset(err, 0, sizeof *err);
    checkpoint_init(ck);
    return format_read(data, bytes, NULL, ck, err);
}

static uint8_t *open_file(const char *path, struct checkpoint *ck)
{
    rnnd_error err;
    size_t bytes;
    uint8_t *data = arrays_file(path, &bytes);
    if (!data) fail_msg("%s is not there", path);
    if (read_back(data, bytes, ck, &err)) fail_msg("%s: %s", path, err.message);
    return data;
}

/* Every tensor of `wanted` (but vector.*) is in `found` bit by bit, and no other. */
static void same_tensors(const char *path, const struct checkpoint *found, const struct checkpoint *wanted)
{
    size_t n = 0;
    for (size_t i = 0; i < wanted->count; i++) {
        const struct checkpoint_tensor *w = &wanted->tensors[i], *t = checkpoint_find(found, w->name);
        if (strncmp(w->name, "vector.", 7) == 0) continue;
        n++;
        if (!t) fail_msg("%s: no %s", path, w->name);
        assert_int_equal(t->stored, w->stored);
        assert_int_equal(t->rank, w->rank);
        for (int d = 0; d < t->rank; d++)
            assert_int_equal(t->dim[d], w->dim[d]);
        if (memcmp(t->raw, w->raw, w->count * stored_types[w->stored].bytes) != 0)
            fail_msg("%s: %s differs", path, w->name);
    }
    assert_int_equal(found->count, n);
}

static const char *const groups[][9] = {
    {"lstm", "lstm_legacy", "lstm_module", "lstm_module_legacy", "lstm_script"},
    {"lstm_proj", "lstm_proj_legacy", "lstm_proj_module", "lstm_proj_module_legacy", "lstm_proj_script"},
    {"gru", "gru_legacy", "gru_module", "gru_module_legacy", "gru_script"},
    {"rnn_relu", "rnn_relu_legacy", "rnn_relu_module", "rnn_relu_module_legacy", "rnn_relu_script"},
    {"net", "net_module", "net_script", "net_checkpoint", "net_parallel", "net_compiled", "net_protocol4", "net_big",
     "net_parallel_module"},
    {"tagger", "tagger_module"},
    {"views", "views_legacy"},
};

static void equal_to_torch(void **unused)
{
    (void)unused;
    for (size_t g = 0; g < sizeof groups / sizeof *groups; g++) {
        char path[200];
        struct checkpoint wanted;
        snprintf(path, sizeof path, FOLDER "%s.safetensors", groups[g][0]);
        uint8_t *expected = open_file(path, &wanted);
        for (size_t i = 0; i < 9 && groups[g][i]; i++) {
            struct checkpoint found;
            snprintf(path, sizeof path, FOLDER "%s.pt", groups[g][i]);
            uint8_t *data = open_file(path, &found);
            same_tensors(path, &found, &wanted);
            assert_string_equal(found.format->name, "torch");
            assert_non_null(torch_of(&found));
            checkpoint_free(&found);
            free(data);
        }
        assert_null(torch_of(&wanted));
        checkpoint_free(&wanted);
        free(expected);
    }
}

static const struct torch_module *module_at(const struct torch_file *f, const char *path)
{
    for (size_t i = 0; i < f->module_count; i++)
        if (strcmp(f->modules[i].path, path) == 0) return &f->modules[i];
    fail_msg("no module \"%s\"", path);
    return NULL;
}

static void modules(void **unused)
{
    (void)unused;
    struct checkpoint ck;
    static const char *const paths[] = {"",     "embedding", "lstm",   "norm",  "head",
                                        "head.0", "head.1",    "head.2", "head.3"};
    uint8_t *data = open_file(FOLDER "tagger_module.pt", &ck);
    const struct torch_file *f = torch_of(&ck);
    assert_int_equal(f->form, TORCH_MODULE);
    assert_int_equal(f->module_count, 9);
    for (size_t i = 0; i < 9; i++)
        assert_string_equal(f->modules[i].path, paths[i]);
    assert_string_equal(module_at(f, "")->class_name, "Tagger");
    assert_false(module_at(f, "")->torch_nn);
    assert_int_equal(module_at(f, "")->children, 4);
    assert_string_equal(module_at(f, "lstm")->class_name, "LSTM");
    assert_true(module_at(f, "lstm")->torch_nn);
    assert_int_equal(torch_fact(module_at(f, "lstm"), "bidirectional")->whole, 1);
    assert_int_equal(torch_fact(module_at(f, "lstm"), "hidden_size")->whole, 3);
    assert_true(torch_fact(module_at(f, "head.1"), "negative_slope")->number == 0.2);
    assert_true(torch_fact(module_at(f, "norm"), "eps")->number == 1e-6);
    assert_int_equal(torch_fact(module_at(f, "embedding"), "padding_idx")->whole, 0);
    assert_null(torch_fact(module_at(f, "norm"), "hidden_size"));
    checkpoint_free(&ck);
    free(data);
    data = open_file(FOLDER "rnn_relu_module_legacy.pt", &ck); /* the class is kept apart, with its source */
    f = torch_of(&ck);
    assert_string_equal(f->modules[0].class_name, "RNN");
    assert_true(f->modules[0].torch_nn);
    assert_string_equal(torch_fact(&f->modules[0], "nonlinearity")->text, "relu");
    checkpoint_free(&ck);
    free(data);
    data = open_file(FOLDER "net_parallel_module.pt", &ck); /* the wrapper is gone */
    f = torch_of(&ck);
    assert_int_equal(f->module_count, 4);
    assert_string_equal(module_at(f, "")->class_name, "Net");
    assert_string_equal(module_at(f, "relu")->class_name, "ReLU");
    checkpoint_free(&ck);
    free(data);
    data = open_file(FOLDER "net_parallel.pt", &ck); /* of a state_dict's modules the paths alone are known */
    f = torch_of(&ck);
    assert_int_equal(f->form, TORCH_STATE);
    assert_null(module_at(f, "relu")->class_name);
    assert_string_equal(f->order[0], "gru.weight_ih_l0");
    checkpoint_free(&ck);
    free(data);
    data = open_file(FOLDER "net_script.pt", &ck);
    f = torch_of(&ck);
    assert_int_equal(f->form, TORCH_SCRIPT);
    assert_string_equal(module_at(f, "fc")->class_name, "Linear");
    assert_true(module_at(f, "fc")->torch_nn);
    checkpoint_free(&ck);
    free(data);
}

static void refusals(void **unused)
{
    (void)unused;
    static const struct {
        const char *name, *says;
    } cases[] = {{"refused_quantised", "quantised"},
                 {"refused_sparse", "sparse"},
                 {"refused_complex", "ComplexFloatStorage"},
                 {"refused_optimizer", "optimizer"},
                 {"refused_object", "Scaler"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char path[200];
        struct checkpoint ck;
        rnnd_error err;
        size_t bytes;
        snprintf(path, sizeof path, FOLDER "%s.pt", cases[i].name);
        uint8_t *data = arrays_file(path, &bytes);
        assert_non_null(data);
        assert_int_equal(read_back(data, bytes, &ck, &err), RNND_UNSUPPORTED);
        if (!strstr(err.message, cases[i].says)) fail_msg("%s: %s", path, err.message);
        checkpoint_free(&ck);
        free(data);
    }
    uint8_t tar[1024] = {0};
    static const uint8_t plain[] = {0x80, 4, 0x95, 3, 0, 0, 0, 0, 0, 0, 0, ']', '.'};
    struct checkpoint ck;
    rnnd_error err;
    memcpy(tar + 257, "ustar", 5);
    assert_int_equal(read_back(tar, sizeof tar, &ck, &err), RNND_UNSUPPORTED);
    assert_non_null(strstr(err.message, "tar"));
    checkpoint_free(&ck);
    assert_int_equal(read_back(plain, sizeof plain, &ck, &err), RNND_UNSUPPORTED);
    assert_non_null(strstr(err.message, "pickle"));
    checkpoint_free(&ck);
    static const char pointer[] = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n";
    assert_int_equal(read_back((const uint8_t *)pointer, sizeof pointer - 1, &ck, &err), RNND_UNSUPPORTED);
    assert_non_null(strstr(err.message, "LFS"));
    checkpoint_free(&ck);
}

/* ---- damage ---- */

static const char *const whole_files[] = {"gru", "gru_legacy", "gru_module", "net_big", "views_legacy"};

static void cut_everywhere(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < sizeof whole_files / sizeof *whole_files; i++) {
        char path[200];
        size_t bytes;
        snprintf(path, sizeof path, FOLDER "%s.pt", whole_files[i]);
        uint8_t *data = arrays_file(path, &bytes);
        for (size_t n = 0; n <= bytes; n++) {
            struct checkpoint ck;
            rnnd_error err;
            uint8_t *p = hostile_at_end(n);
            memcpy(p, data, n);
            rnnd_code code = read_back(p, n, &ck, &err);
            if ((code != RNND_OK) != (n < bytes)) fail_msg("%s cut at %zu of %zu: %s", path, n, bytes, err.message);
            checkpoint_free(&ck);
        }
        free(data);
    }
}

/* Touches all that was read, so that a sanitizer or the guard page sees what lies outside. */
static void touch(const struct checkpoint *ck)
{
    const struct torch_file *f = torch_of(ck);
    volatile size_t sum = 0;
    for (size_t i = 0; i < ck->count; i++)
        for (size_t b = 0; b < ck->tensors[i].count * stored_types[ck->tensors[i].stored].bytes; b++)
            sum += ck->tensors[i].raw[b];
    for (size_t i = 0; f && i < f->module_count; i++)
        for (size_t k = 0; k < f->modules[i].fact_count; k++)
            sum += strlen(f->modules[i].facts[k].key) + strlen(f->modules[i].path);
}

/* Random damage in pickles and directories; the archive's checksums would hide what lies behind them, so most damage
 * goes to the legacy form, which has none. */
static void damaged(void **unused)
{
    (void)unused;
    static const char *const files[] = {"gru_module_legacy", "views_legacy", "lstm_legacy", "net"};
    struct rng rng;
    rng_seed(&rng, hostile_seed, 3);
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char path[200];
        size_t bytes, good = 0;
        snprintf(path, sizeof path, FOLDER "%s.pt", files[i]);
        uint8_t *data = arrays_file(path, &bytes), *p = hostile_at_end(bytes);
        for (int round = 0; round < 4000; round++) {
            struct checkpoint ck;
            rnnd_error err;
            memcpy(p, data, bytes);
            hostile_damage(&rng, p, bytes, 4);
            rnnd_code code = read_back(p, bytes, &ck, &err);
            if (code)
                assert_true(strlen(err.message) > 15);
            else
                touch(&ck), good++;
            checkpoint_free(&ck);
        }
        if (good == 4000 || (good == 0 && i < 3)) fail_msg("%s: %zu of 4000 were read", path, good);
        free(data);
    }
}

static void no_memory(void **unused)
{
    (void)unused;
    static const char *const files[] = {"tagger_module", "net_parallel", "views_legacy", "net_big", "lstm_script"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char path[200];
        size_t bytes;
        bool done = false;
        snprintf(path, sizeof path, FOLDER "%s.pt", files[i]);
        uint8_t *data = arrays_file(path, &bytes);
        for (size_t n = 1; !done; n++) {
            struct checkpoint ck;
            rnnd_error err;
            checkpoint_init(&ck);
            mem_fail_at(n);
            rnnd_code code = torch_read(data, bytes, NULL, &ck, &err);
            mem_fail_at(0);
            checkpoint_free(&ck);
            if (code) assert_int_equal(code, RNND_NO_MEMORY);
            done = code == RNND_OK;
            if (n > 5000) fail_msg("%s: never enough memory", path);
        }
        free(data);
    }
}

/* ---- a pickle in a file of the old form ---- */

static size_t put_bytes(uint8_t *to, size_t at, const void *what, size_t n)
{
    memcpy(to + at, what, n);
    return at + n;
}
#define PUT(text) at = put_bytes(file, at, text, sizeof text - 1)

static size_t head(uint8_t *file)
{
    size_t at = 0;
    PUT("\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.\x80\x02M\xe9\x03.\x80\x02}.");
    return at;
}

/* Objects that contain themselves or double at every level are no trap. */
static void nests(void **unused)
{
    (void)unused;
    static uint8_t file[8192];
    struct checkpoint ck;
    rnnd_error err;
    size_t at = head(file);
    PUT("\x80\x02}q\x00X\x01\0\0\0ah\x00s."); /* a dict within itself */
    PUT("\x80\x02].");
    assert_int_not_equal(read_back(file, at, &ck, &err), RNND_OK);
    checkpoint_free(&ck);
    at = head(file);
    PUT("\x80\x02]q\x00");
    for (int i = 1; i < 100; i++) { /* [x, x] of [x, x] of .. */
        uint8_t level[] = {']', '(', 'h', (uint8_t)(i - 1), 'h', (uint8_t)(i - 1), 'e', 'q', (uint8_t)i};
        at = put_bytes(file, at, level, sizeof level);
    }
    PUT(".\x80\x02].");
    assert_int_not_equal(read_back(file, at, &ck, &err), RNND_OK);
    checkpoint_free(&ck);
    at = head(file);
    PUT("\x80\x02");
    for (int i = 0; i < 3000; i++)
        PUT("]"); /* [[[...]]] */
    for (int i = 0; i < 2999; i++)
        PUT("a");
    PUT(".\x80\x02].");
    assert_int_not_equal(read_back(file, at, &ck, &err), RNND_OK);
    checkpoint_free(&ck);
}

/* A view that repeats one element must not make a small file large in memory. */
static void expansion(void **unused)
{
    (void)unused;
    static uint8_t file[8192];
    struct checkpoint ck;
    rnnd_error err;
    static const char *const sizes[] = {"J\0\0\0\x40", "M\x03\0"};
    for (int i = 0; i < 2; i++) {
        size_t at = head(file);
        PUT("\x80\x02}X\x01\0\0\0actorch._utils\n_rebuild_tensor_v2\n((X\x07\0\0\0storagectorch\nFloatStorage\n"
            "X\x01\0\0\0kX\x03\0\0\0cpuK\x01NtQK\0");
        at = put_bytes(file, at, sizes[i], i ? 3 : 5);
        PUT("\x85K\0\x85\x89}tRs.\x80\x02]X\x01\0\0\0ka.\x01\0\0\0\0\0\0\0\0\0\x80\x3f");
        rnnd_code code = read_back(file, at, &ck, &err);
        if (code != (i ? RNND_OK : RNND_TOO_LARGE)) fail_msg("%d %s", code, err.message);
        if (i) assert_int_equal(ck.tensors[0].count, 3);
        if (i) assert_memory_equal(ck.tensors[0].raw, "\0\0\x80\x3f\0\0\x80\x3f\0\0\x80\x3f", 12);
        checkpoint_free(&ck);
    }
}

/* The random modules of the conformance set: every form of a case is the same tensors. */
static void shared_forms(void **unused)
{
    (void)unused;
    static const char *const forms[] = {".legacy.pt", ".fullmodule.pt", ".torchscript.pt"};
    DIR *folder = opendir(SHARED);
    size_t files = 0;
    if (!folder) {
        print_message("skipped: %s is not here\n", SHARED);
        return;
    }
    for (struct dirent *e; (e = readdir(folder));) {
        const char *dot = strchr(e->d_name, '.');
        char path[400];
        struct checkpoint plain;
        if (!dot || strcmp(dot, ".pt") != 0) continue;
        snprintf(path, sizeof path, SHARED "%s", e->d_name);
        uint8_t *data = open_file(path, &plain);
        files++;
        for (int i = 0; i < 3; i++) {
            struct checkpoint other;
            snprintf(path, sizeof path, SHARED "%.*s%s", (int)(dot - e->d_name), e->d_name, forms[i]);
            if (access(path, R_OK) != 0) continue;
            uint8_t *more = open_file(path, &other);
            same_tensors(path, &other, &plain);
            files++;
            checkpoint_free(&other);
            free(more);
        }
        checkpoint_free(&plain);
        free(data);
    }
    closedir(folder);
    assert_true(files >= 20);
}

int main(void)
{
    if (!hostile_begin(1 << 20)) return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_to_torch), cmocka_unit_test(modules),   cmocka_unit_test(refusals),
        cmocka_unit_test(cut_everywhere), cmocka_unit_test(damaged),   cmocka_unit_test(no_memory),
        cmocka_unit_test(nests),          cmocka_unit_test(expansion), cmocka_unit_test(shared_forms),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
