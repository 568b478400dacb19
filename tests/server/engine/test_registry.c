/* test_registry.c -- sources to models, names and their collisions, the model a request means. */
#include "server/engine/registry.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/lib/tiny_model.h"

static char folder[64];

static const char *at(const char *name)
{
    static char path[4][200];
    static int turn;
    turn = (turn + 1) % 4;
    snprintf(path[turn], sizeof path[0], "%s/%s", folder, name);
    return path[turn];
}

static void write_text(const char *name, const char *text)
{
    FILE *f = fopen(at(name), "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static void copy(const char *from, const char *name)
{
    char bytes[65536];
    FILE *in = fopen(from, "rb"), *out = fopen(at(name), "wb");
    assert_non_null(in);
    assert_non_null(out);
    size_t n = fread(bytes, 1, sizeof bytes, in);
    assert_true(n > 0 && n < sizeof bytes);
    assert_int_equal(fwrite(bytes, 1, n, out), n);
    fclose(in);
    fclose(out);
}

static int make_world(void **unused)
{
    (void)unused;
    snprintf(folder, sizeof folder, "/tmp/rnnd-registry-XXXXXX");
    if (!mkdtemp(folder)) return -1;
    mkdir(at("more"), 0700);
    mkdir(at("dir.safetensors"), 0700);
    if (!tiny_model_write(at("b.safetensors"), 1) || !tiny_model_write(at("a.safetensors"), 2) ||
        !tiny_model_write(at("more/b.safetensors"), 3) || !tiny_model_write(at("x=y.safetensors"), 4) ||
        !tiny_model_write(at(".hidden.safetensors"), 5))
        return -1;
    write_text("notes.txt", "no model");
    write_text("broken.safetensors", "no model either");
    mkdir(at("foreign"), 0700);
    copy("tests/vectors/rtjson/gru.json", "foreign/gru.json");
    copy("tests/vectors/rtjson/amp.nam", "foreign/amp.nam");
    copy("tests/vectors/rtjson/dense.json", "foreign/amp.json");
    write_text("foreign/vocabulary.json", "{\"a\":1}");
    write_text("foreign/notes.rnnd.json", "no JSON at all");
    write_text("foreign/weights.h5", "no HDF5");
    write_text("foreign/model.onnx", "no ONNX");
    write_text("foreign/model.keras", "no zip");
    write_text("foreign/state.pth", "no pickle");
    return 0;
}

static int end_world(void **unused)
{
    static const char *const files[] = {"b.safetensors", "a.safetensors", "more/b.safetensors", "x=y.safetensors",
                                        ".hidden.safetensors", "notes.txt", "broken.safetensors",
                                        "foreign/gru.json", "foreign/amp.nam", "foreign/amp.json",
                                        "foreign/vocabulary.json", "foreign/notes.rnnd.json", "foreign/weights.h5",
                                        "foreign/model.onnx", "foreign/model.keras", "foreign/state.pth"};
    (void)unused;
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) unlink(at(files[i]));
    rmdir(at("more"));
    rmdir(at("foreign"));
    rmdir(at("dir.safetensors"));
    return rmdir(folder);
}

static void expect_names(const struct registry *r, const char *wanted)
{
    struct model *const *models;
    char found[256] = "";
    size_t count = registry_list(r, &models), used = 0;
    for (size_t i = 0; i < count; i++)
        used += (size_t)snprintf(found + used, sizeof found - used, "%s%s", i ? " " : "", models[i]->name);
    assert_string_equal(found, wanted);
}

static void a_folder_gives_its_models(void **unused)
{
    (void)unused;
    struct registry *r = registry_start();
    struct model *m;
    rnnd_error err;
    assert_int_equal(registry_add(r, folder, &err), RNND_OK);
    expect_names(r, "a b broken x=y");
    m = registry_find(r, "a");
    assert_non_null(m->handle);
    assert_ptr_equal(m->info, rnnd_model_info(m->handle));
    assert_int_equal(strlen(m->version), 12);
    assert_memory_equal(m->version, m->info->digest, 12);
    assert_string_equal(m->failure, "");
    assert_true(m->loaded_unix > 0 && m->load_seconds >= 0);
    m = registry_find(r, "broken"); /* listed with its sentence */
    assert_null(m->handle);
    assert_null(m->info);
    assert_string_not_equal(m->failure, "");
    assert_non_null(strstr(registry_find(r, "x=y")->failure, "cannot be a model's name"));
    assert_null(registry_find(r, "notes"));
    assert_null(registry_find(r, "dir"));
    registry_stop(r);
}

static void a_folder_of_strangers_files(void **unused)
{
    (void)unused;
    struct registry *r = registry_start();
    rnnd_error err;
    assert_int_equal(registry_add(r, at("foreign"), &err), RNND_OK);
    expect_names(r, "amp.json amp.nam gru model.keras model.onnx state weights"); /* not the other JSON */
    assert_non_null(registry_find(r, "gru")->handle);
    assert_non_null(registry_find(r, "amp.nam")->handle);
    assert_non_null(registry_find(r, "amp.json")->handle);
    assert_null(registry_find(r, "model.onnx")->handle);
    assert_non_null(strstr(registry_find(r, "model.onnx")->failure, "model.onnx"));
    assert_null(registry_find(r, "weights")->handle);
    assert_int_equal(registry_add(r, at("foreign/vocabulary.json"), &err), RNND_OK); /* named, it is to be a model */
    assert_null(registry_find(r, "vocabulary")->handle);
    assert_string_not_equal(registry_find(r, "vocabulary")->failure, "");
    registry_stop(r);
}

static void a_model_that_cannot_run_here(void **unused)
{
    (void)unused;
    struct registry *r = registry_start();
    rnnd_error err;
    struct model *m;
    assert_int_equal(registry_add(r, at("a.safetensors"), &err), RNND_OK);
    registry_fail(registry_find(r, "a"), "too large for this machine");
    assert_int_equal(registry_choose(r, "a", -1, &m, &err), RNND_BUSY);
    assert_non_null(strstr(err.message, "too large"));
    registry_stop(r);
}

static void sources_that_cannot_be_used(void **unused)
{
    (void)unused;
    struct registry *r = registry_start();
    rnnd_error err;
    char source[300];
    assert_int_equal(registry_add(r, at("nothing"), &err), RNND_NOT_FOUND);
    assert_non_null(strstr(err.message, "nothing"));
    snprintf(source, sizeof source, "name=%s", folder);
    assert_int_equal(registry_add(r, source, &err), RNND_INVALID);
    snprintf(source, sizeof source, "stats=%s", at("a.safetensors"));
    assert_int_equal(registry_add(r, source, &err), RNND_INVALID);
    snprintf(source, sizeof source, "a b=%s", at("a.safetensors"));
    assert_int_equal(registry_add(r, source, &err), RNND_INVALID);
    snprintf(source, sizeof source, "one=%s", at("a.safetensors"));
    assert_int_equal(registry_add(r, source, &err), RNND_OK);
    snprintf(source, sizeof source, "one=%s", at("b.safetensors"));
    assert_int_equal(registry_add(r, source, &err), RNND_CONFLICT);
    assert_non_null(strstr(err.message, "one"));
    expect_names(r, "one");
    snprintf(source, sizeof source, "two=%s", at("a.safetensors")); /* one file under two names is fine */
    assert_int_equal(registry_add(r, source, &err), RNND_OK);
    expect_names(r, "one two");
    registry_stop(r);
}

static void equal_stems(void **unused)
{
    (void)unused;
    struct registry *r = registry_start();
    rnnd_error err;
    char source[300];
    snprintf(source, sizeof source, "b=%s", at("a.safetensors"));
    assert_int_equal(registry_add(r, source, &err), RNND_OK);
    assert_int_equal(registry_add(r, at("b.safetensors"), &err), RNND_OK);
    expect_names(r, "b b.safetensors"); /* a name that was given stays */
    assert_int_equal(registry_add(r, at("b.safetensors"), &err), RNND_OK); /* the same file again is nothing new */
    expect_names(r, "b b.safetensors");
    assert_int_equal(registry_add(r, at("more/b.safetensors"), &err), RNND_CONFLICT);
    registry_stop(r);
}

static void the_model_that_is_meant(void **unused)
{
    (void)unused;
    struct registry *r = registry_start();
    struct model *m;
    rnnd_error err;
    assert_int_equal(registry_choose(r, NULL, -1, &m, &err), RNND_NOT_FOUND);
    assert_int_equal(registry_add(r, at("broken.safetensors"), &err), RNND_OK);
    assert_int_equal(registry_choose(r, NULL, -1, &m, &err), RNND_NOT_FOUND);
    assert_int_equal(registry_choose(r, "broken", -1, &m, &err), RNND_BUSY);
    assert_int_equal(registry_add(r, at("a.safetensors"), &err), RNND_OK);
    assert_int_equal(registry_choose(r, NULL, -1, &m, &err), RNND_OK);
    assert_string_equal(m->name, "a");
    assert_int_equal(registry_choose(r, NULL, RNND_RAW, &m, &err), RNND_OK);
    assert_int_equal(registry_choose(r, NULL, RNND_TEXT, &m, &err), RNND_NOT_FOUND);
    assert_null(m);
    assert_int_equal(registry_choose(r, "a", RNND_TEXT, &m, &err), RNND_UNSUPPORTED);
    assert_int_equal(registry_add(r, at("b.safetensors"), &err), RNND_OK);
    assert_int_equal(registry_choose(r, NULL, -1, &m, &err), RNND_INVALID);
    assert_non_null(strstr(err.message, "a, b"));
    assert_string_equal(err.param, "model");
    assert_int_equal(registry_choose(r, "b", RNND_RAW, &m, &err), RNND_OK);
    assert_string_equal(m->name, "b");
    assert_int_equal(registry_choose(r, "c", -1, &m, &err), RNND_NOT_FOUND);
    assert_non_null(strstr(err.message, "a, b"));
    registry_stop(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_folder_gives_its_models),
        cmocka_unit_test(a_folder_of_strangers_files),
        cmocka_unit_test(a_model_that_cannot_run_here),
        cmocka_unit_test(sources_that_cannot_be_used),
        cmocka_unit_test(equal_stems),
        cmocka_unit_test(the_model_that_is_meant),
    };
    return cmocka_run_group_tests(tests, make_world, end_world);
}
