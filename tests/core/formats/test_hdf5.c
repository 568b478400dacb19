/* test_hdf5.c -- HDF5 files: as h5py writes them, cut, damaged, lying. */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "core/formats/hdf5_internal.h" /* before cmocka, whose fail() hides that of core/base/error.h */

#include <cmocka.h>

#include "core/base/mem.h"
#include "core/base/rng.h"
#include "core/formats/zip.h"
#include "tests/lib/hostile.h"

static const char *const files[] = {"dtypes", "dtypes-latest", "texts",   "many",  "ordered", "ordered-old",
                                    "chunks", "chunks-latest", "growing", "dense", "compact", "user-block"};
enum { FILES = sizeof files / sizeof *files };

static uint8_t *load(const char *path, size_t *bytes) /* free() it */
{
    struct stat st;
    FILE *f = fopen(path, "rb");
    if (!f || stat(path, &st)) fail_msg("%s is not there", path);
    uint8_t *p = malloc((size_t)st.st_size + 1);
    *bytes = fread(p, 1, (size_t)st.st_size, f);
    p[*bytes] = 0;
    fclose(f);
    return p;
}

static uint8_t *load_vector(const char *name, const char *ending, size_t *bytes)
{
    char path[256];
    snprintf(path, sizeof path, "tests/vectors/hdf5/%s.%s", name, ending);
    return load(path, bytes);
}

/* ---- everything in a file ---- */

struct tally {
    size_t groups, datasets, texts, bytes;
};

static rnnd_code read_texts(struct h5 *f, const char *path, struct tally *t, rnnd_error *err)
{
    static const char *const names[] = {"one",           "fixed",       "empty",        "names",
                                        "more",          "long",        "huge",         "none",
                                        "number",        "attribute 3", "of a dataset", "model_config",
                                        "keras_version", "backend",     "layer_names",  "weight_names"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const char *const *list;
        size_t count;
        if (strcmp(names[i], "number") == 0) continue;
        rnnd_code code = h5_attr_strings(f, path, names[i], &list, &count, err);
        if (code) return code;
        t->texts += count;
        for (size_t k = 0; k < count; k++)
            t->bytes += strlen(list[k]);
    }
    return RNND_OK;
}

static rnnd_code read_below(struct h5 *f, const char *path, struct tally *t, rnnd_error *err)
{
    const char *const *names;
    size_t count;
    enum h5_kind kind;
    rnnd_code code = h5_kind_of(f, path, &kind, err);
    if (!code && kind != H5_NONE) code = read_texts(f, path, t, err);
    if (code || kind == H5_NONE) return code;
    if (kind == H5_DATASET) {
        struct checkpoint_tensor x;
        code = h5_dataset(f, path, &x, err);
        if (code) return code;
        t->datasets++;
        volatile uint8_t sum = 0;
        for (size_t i = 0; i < x.count * stored_types[x.stored].bytes; i++)
            sum ^= x.raw[i];
        t->bytes += x.count;
        return RNND_OK;
    }
    t->groups++;
    code = h5_list(f, path, &names, &count, err);
    for (size_t i = 0; i < count && !code; i++) {
        size_t n = strlen(path) + strlen(names[i]) + 2;
        char *below = malloc(n);
        snprintf(below, n, "%s/%s", path, names[i]);
        code = read_below(f, below, t, err);
        free(below);
    }
    return code;
}

static rnnd_code read_all(const uint8_t *data, size_t bytes, struct tally *t, rnnd_error *err)
{
    struct arena arena;
    struct h5 *f;
    memset(err, 0, sizeof *err);
    memset(t, 0, sizeof *t);
    arena_init(&arena, (size_t)256 << 20);
    rnnd_code code = h5_open(data, bytes, &arena, &f, err);
    if (!code) code = read_below(f, "", t, err);
    arena_free(&arena);
    return code;
}

/* ---- against h5py ---- */

static void unescape(char *s)
{
    char *to = s;
    for (; *s; s++) {
        if (strncmp(s, "%20", 3) == 0) {
            *to++ = ' ';
            s += 2;
        } else {
            *to++ = *s;
        }
    }
    *to = 0;
}

static bool equals_hex(const void *data, size_t bytes, const char *hex)
{
    const uint8_t *p = data;
    if (strcmp(hex, "-") == 0) return bytes == 0;
    if (strlen(hex) != 2 * bytes) return false;
    for (size_t i = 0; i < bytes; i++) {
        char two[3];
        snprintf(two, sizeof two, "%02x", p[i]);
        if (memcmp(two, hex + 2 * i, 2) != 0) return false;
    }
    return true;
}

static void check_data(struct h5 *f, const char *file, char *rest)
{
    char *path = strtok(rest, " "), *type = strtok(NULL, " "), *sizes = strtok(NULL, " "), *hex = strtok(NULL, " ");
    struct checkpoint_tensor t;
    char shape[128] = "";
    rnnd_error err;
    unescape(path);
    if (h5_dataset(f, path, &t, &err)) fail_msg("%s %s: %s", file, path, err.message);
    assert_string_equal(t.name, path + 1);
    assert_string_equal(stored_types[t.stored].name, type);
    for (int i = 0; i < t.rank; i++)
        snprintf(shape + strlen(shape), sizeof shape - strlen(shape), "%s%zu", i ? "," : "", t.dim[i]);
    assert_string_equal(t.rank ? shape : "-", sizes);
    if (!equals_hex(t.raw, t.count * stored_types[t.stored].bytes, hex)) fail_msg("%s %s: other numbers", file, path);
}

static void check_text(struct h5 *f, const char *file, char *rest)
{
    char *path = strtok(rest, " "), *attr = strtok(NULL, " "), *hex;
    const char *const *list;
    const char *one;
    size_t count, bytes, n = 0;
    rnnd_error err;
    unescape(path);
    unescape(attr);
    if (h5_attr_strings(f, path, attr, &list, &count, &err)) fail_msg("%s %s@%s: %s", file, path, attr, err.message);
    while ((hex = strtok(NULL, " "))) {
        assert_true(n < count);
        if (!equals_hex(list[n], strlen(list[n]), hex)) fail_msg("%s %s@%s: \"%s\"", file, path, attr, list[n]);
        n++;
    }
    assert_int_equal(n, count);
    rnnd_code code = h5_attr_string(f, path, attr, &one, &bytes, &err);
    assert_int_equal(code, count > 1 ? RNND_MISMATCH : RNND_OK);
    if (count == 1) assert_string_equal(one, list[0]);
    if (count == 1) assert_int_equal(bytes, strlen(one));
    if (count == 0) assert_null(one);
}

static void as_h5py_reads_them(void **unused)
{
    (void)unused;
    size_t lines = 0;
    for (size_t i = 0; i < FILES; i++) {
        struct arena arena;
        struct h5 *f;
        rnnd_error err;
        size_t bytes, n;
        uint8_t *data = load_vector(files[i], "h5", &bytes);
        char *text = (char *)load_vector(files[i], "txt", &n), *next;
        arena_init(&arena, (size_t)16 << 20);
        if (h5_open(data, bytes, &arena, &f, &err)) fail_msg("%s: %s", files[i], err.message);
        for (char *line = text; *line; line = next, lines++) {
            enum h5_kind kind;
            next = strchr(line, '\n');
            *next++ = 0;
            if (strncmp(line, "data ", 5) == 0) {
                check_data(f, files[i], line + 5);
            } else if (strncmp(line, "text ", 5) == 0) {
                check_text(f, files[i], line + 5);
            } else {
                if (h5_kind_of(f, line + 6, &kind, &err)) fail_msg("%s: %s", files[i], err.message);
                assert_int_equal(kind, H5_GROUP);
            }
        }
        arena_free(&arena);
        free(text);
        free(data);
    }
    assert_true(lines > 150);
}

static void lists_and_paths(void **unused)
{
    (void)unused;
    struct arena arena;
    struct h5 *f;
    rnnd_error err;
    const char *const *names, *one;
    size_t bytes, count;
    enum h5_kind kind;
    uint8_t *data = load_vector("dtypes", "h5", &bytes);
    struct checkpoint_tensor t;
    arena_init(&arena, (size_t)16 << 20);
    assert_int_equal(h5_open(data, bytes, &arena, &f, &err), RNND_OK);
    static const char *const wanted[] = {"big",  "bool",   "committed", "deep", "empty",
                                         "hard", "little", "scalar",    "soft", "type"};
    for (int k = 0; k < 3; k++) {
        assert_int_equal(h5_list(f, k == 0 ? "" : k == 1 ? "/" : "//.//", &names, &count, &err), RNND_OK);
        assert_int_equal(count, 10);
        for (size_t i = 0; i < count; i++)
            assert_string_equal(names[i], wanted[i]);
    }
    static const struct {
        const char *path;
        enum h5_kind kind;
    } kinds[] = {{"deep/er", H5_GROUP},
                 {"soft", H5_GROUP},
                 {"soft/and/deeper/x", H5_DATASET},
                 {"scalar", H5_DATASET},
                 {"deep/relative/deeper/x", H5_DATASET},
                 {"hard/deeper/x", H5_DATASET},
                 {"type", H5_NONE},
                 {"nothing", H5_NONE},
                 {"nothing/below", H5_NONE},
                 {"scalar/below", H5_NONE},
                 {"dee", H5_NONE},
                 {"deepe", H5_NONE}};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        if (h5_kind_of(f, kinds[i].path, &kind, &err)) fail_msg("%s: %s", kinds[i].path, err.message);
        if (kind != kinds[i].kind) fail_msg("%s: %d", kinds[i].path, kind);
    }
    assert_int_equal(h5_list(f, "scalar", &names, &count, &err), RNND_MISMATCH);
    assert_int_equal(h5_list(f, "nothing", &names, &count, &err), RNND_MISMATCH);
    assert_int_equal(h5_dataset(f, "deep", &t, &err), RNND_MISMATCH);
    assert_int_equal(h5_dataset(f, "nothing", &t, &err), RNND_MISMATCH);
    assert_int_equal(h5_attr_string(f, "nothing", "a", &one, &bytes, &err), RNND_MISMATCH);
    assert_int_equal(h5_attr_string(f, "deep", "a", &one, &bytes, &err), RNND_OK);
    assert_null(one);
    free(data);
    arena_free(&arena);
    data = load_vector("texts", "h5", &bytes);
    assert_int_equal(h5_open(data, bytes, &arena, &f, &err), RNND_OK);
    assert_int_equal(h5_attr_string(f, "", "number", &one, &bytes, &err), RNND_MISMATCH);
    assert_non_null(strstr(err.message, "numbers"));
    free(data);
    arena_free(&arena);
}

static void refused_by_name(void **unused)
{
    (void)unused;
    static const char *const words[] = {"lzf",     "scale",  "compound", "external", "another file",
                                        "strings", "circle", "deeper",   "no data",  "virtual"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        char name[64];
        struct tally t;
        rnnd_error err;
        size_t bytes;
        snprintf(name, sizeof name, "refused-%s", words[i]);
        uint8_t *data = load_vector(name, "h5", &bytes);
        rnnd_code code = read_all(data, bytes, &t, &err);
        if (code != RNND_UNSUPPORTED && code != RNND_CORRUPT) fail_msg("%s: %d %s", name, code, err.message);
        if (!strstr(err.message, words[i])) fail_msg("%s: %s", name, err.message);
        free(data);
    }
}

/* ---- hostile ---- */

static void cut_everywhere(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < FILES; i++) {
        size_t bytes;
        uint8_t *data = load_vector(files[i], "h5", &bytes);
        for (size_t n = 0; n < bytes; n += n < 2048 ? 1 : 7) { /* the superblock has told the length */
            struct tally t;
            rnnd_error err;
            uint8_t *p = hostile_at_end(n);
            memcpy(p, data, n);
            rnnd_code code = read_all(p, n, &t, &err);
            if (code != RNND_CORRUPT) fail_msg("%s cut at %zu: %d", files[i], n, code);
        }
        free(data);
    }
}

/* The same with the superblock saying what is there, so that the cut is met where the things are. */
static void cut_unnoticed(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < FILES; i++) {
        size_t bytes, refused = 0;
        uint8_t *data = load_vector(files[i], "h5", &bytes);
        for (size_t n = 100; n < bytes; n += 1 + n / 300) {
            struct tally t;
            rnnd_error err;
            uint8_t *p = hostile_at_end(n);
            memcpy(p, data, n);
            memset(p + (p[8] < 2 ? 40 : 28), 0, 8);
            refused += read_all(p, n, &t, &err) != RNND_OK;
        }
        assert_true(refused > 20);
        free(data);
    }
}

static void damaged(void **unused)
{
    (void)unused;
    struct rng rng;
    size_t refused = 0, good = 0;
    rng_seed(&rng, hostile_seed, 3);
    for (size_t i = 0; i < FILES; i++) {
        size_t bytes;
        uint8_t *data = load_vector(files[i], "h5", &bytes), *p = hostile_at_end(bytes);
        memcpy(p, data, bytes);
        for (int round = 0; round < 1000; round++) {
            struct tally t;
            rnnd_error err;
            size_t at[4], n = 1 + rng_u32(&rng) % 4;
            for (size_t k = 0; k < n; k++) {
                at[k] = rng_u32(&rng) % bytes;
                while (!data[at[k]] && rng_u32(&rng) % 16) /* rather where something is written */
                    at[k] = (at[k] + 1) % bytes;
                p[at[k]] = rng_u32(&rng) % 4   ? (uint8_t)rng_u32(&rng)
                           : rng_u32(&rng) % 2 ? 0xff
                                               : (uint8_t)(p[at[k]] + 1);
            }
            if (read_all(p, bytes, &t, &err)) {
                refused++;
                assert_true(err.message[0]);
            } else {
                good++;
            }
            for (size_t k = 0; k < n; k++)
                p[at[k]] = data[at[k]];
        }
        free(data);
    }
    assert_true(refused > 1000);
    assert_true(good > 100);
}

static void every_allocation_fails(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < FILES; i++) {
        struct tally t;
        rnnd_error err;
        size_t bytes, n;
        uint8_t *data = load_vector(files[i], "h5", &bytes);
        for (n = 1; n < 10000; n++) {
            mem_fail_at(n);
            rnnd_code code = read_all(data, bytes, &t, &err);
            mem_fail_at(0);
            if (!code) break;
            if (code != RNND_NO_MEMORY) fail_msg("%s, allocation %zu: %d %s", files[i], n, code, err.message);
        }
        assert_in_range(n, 2, 9999);
        free(data);
    }
}

static void put64(uint8_t *p, uint64_t v)
{
    for (int i = 0; i < 8; i++)
        p[i] = (uint8_t)(v >> (8 * i));
}

/* Structures that contain themselves are left, one way or the other. */
static void circles_end(void **unused)
{
    (void)unused;
    struct tally t;
    rnnd_error err;
    size_t bytes, trees = 0, headers = 0;
    uint8_t *data = load_vector("many", "h5", &bytes);
    for (size_t i = 0; i + 48 < bytes; i++) {
        uint8_t kept[40];
        if (memcmp(data + i, "TREE", 4) != 0) continue;
        memcpy(kept, data + i, sizeof kept);
        put64(data + i + 32, i); /* a leaf whose child it is itself; then the same as an inner node */
        assert_int_equal(read_all(data, bytes, &t, &err), RNND_CORRUPT);
        data[i + 5] = 1;
        assert_int_equal(read_all(data, bytes, &t, &err), RNND_CORRUPT);
        memcpy(data + i, kept, sizeof kept);
        trees++;
    }
    assert_int_equal(read_all(data, bytes, &t, &err), RNND_OK);
    free(data);
    data = load_vector("ordered", "h5", &bytes);
    for (size_t i = 0; i + 30 < bytes; i++) { /* a header of version 2 that goes on in the block that says so */
        static const uint8_t message[] = {0x10, 16, 0, 0};
        if (memcmp(data + i, message, sizeof message) != 0) continue;
        memcpy(data + i - 4, "OCHK", 4);
        put64(data + i + 6, i - 4);
        put64(data + i + 14, 4 + 6 + 16 + 4);
        assert_int_equal(read_all(data, bytes, &t, &err), RNND_CORRUPT);
        assert_non_null(strstr(err.message, "circle"));
        headers++;
        break;
    }
    free(data);
    assert_true(trees >= 2 && headers == 1);
}

/* Little memory whatever a file claims: chunked datasets of 2^40 elements. */
static void memory_is_bounded(void **unused)
{
    (void)unused;
    struct tally t;
    rnnd_error err;
    size_t bytes, found = 0;
    uint8_t *data = load_vector("growing", "h5", &bytes);
    for (size_t i = 0; i + 24 < bytes; i++) { /* the dataspaces: version 2, two axes that may grow, 5 by 7 */
        static const uint8_t space[] = {2, 2, 1, 1, 5, 0, 0, 0, 0, 0, 0, 0, 7};
        if (memcmp(data + i, space, sizeof space) != 0) continue;
        data[i + 9] = 1;
        found++;
    }
    assert_in_range(found, 2, 3);
    assert_int_equal(read_all(data, bytes, &t, &err), RNND_TOO_LARGE);
    free(data);
}

/* ---- files people have, where they are ---- */

static size_t read_real(const char *path)
{
    struct arena arena;
    struct zip z;
    struct tally t;
    rnnd_error err;
    size_t bytes, n;
    uint8_t *data = load(path, &bytes), *owned = NULL;
    const uint8_t *p = data;
    arena_init(&arena, (size_t)16 << 20);
    if (zip_probe(data, bytes)) {
        const struct zip_entry *e;
        if (zip_read(data, bytes, &arena, &z, &err)) fail_msg("%s: %s", path, err.message);
        e = zip_find(&z, "model.weights.h5");
        if (!e || zip_bytes(e, (size_t)1 << 30, &p, &owned, &err)) fail_msg("%s: %s", path, e ? err.message : "none");
        n = e->bytes;
    } else {
        n = bytes;
    }
    if (read_all(p, n, &t, &err)) fail_msg("%s: %s", path, err.message);
    assert_true(t.datasets > 0);
    mem_free(owned);
    free(data);
    arena_free(&arena);
    return t.datasets;
}

/* A shuffled element that claims to be larger than its chunk costs no more than the chunk's bytes. */
static void huge_elements(void **unused)
{
    (void)unused;
    static const size_t elements[] = {UINT32_MAX, 65, 64, 3};
    uint8_t in[64], one[80], two[80], *const work[2] = {one, two};
    struct bytes out;
    rnnd_error err;
    for (size_t i = 0; i < sizeof in; i++)
        in[i] = (uint8_t)i;
    for (size_t k = 0; k < sizeof elements / sizeof *elements; k++) {
        struct h5_filters f = {.count = 1, .list = {{.id = 2, .element = elements[k]}}};
        for (int i = 0; i < 2000; i++) /* with the claim believed, an hour */
            assert_int_equal(h5_unfilter(&f, 0, bytes_of(in, sizeof in), work, sizeof one, &out, &err), RNND_OK);
        assert_int_equal(out.size, sizeof in);
        if (elements[k] > 3)
            assert_memory_equal(out.data, in, sizeof in);
        else
            assert_true(out.data[0] == 0 && out.data[1] == 21 && out.data[2] == 42 && out.data[63] == 63);
    }
}

static void of_strangers(void **unused)
{
    (void)unused;
    static const char *const paths[] = {
        "lettuce/sensor_forecast_model.keras",
        "textgenrnn/textgenrnn_weights.hdf5",
        "keras2c/model.h5",
        "weather/lstm_model.keras",
        "weather/lstm_model.h5",
        "har/lstm_model.h5",
    };
    size_t found = 0;
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        char path[256];
        struct stat st;
        snprintf(path, sizeof path, "../shared/real/%s", paths[i]);
        if (stat(path, &st) == 0) found += read_real(path) > 0;
    }
    if (!found) {
        printf("skipped: HDF5 files of strangers, ../shared/real is not there\n");
        skip();
    }
}

int main(void)
{
    if (!hostile_begin(1 << 18)) return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(as_h5py_reads_them), cmocka_unit_test(lists_and_paths),
        cmocka_unit_test(refused_by_name),    cmocka_unit_test(cut_everywhere),
        cmocka_unit_test(cut_unnoticed),      cmocka_unit_test(damaged),
        cmocka_unit_test(circles_end),        cmocka_unit_test(memory_is_bounded),
        cmocka_unit_test(of_strangers),       cmocka_unit_test(every_allocation_fails),
        cmocka_unit_test(huge_elements),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
