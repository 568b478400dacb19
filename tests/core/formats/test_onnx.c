/* test_onnx.c -- ONNX files: forms of all opsets against ONNX Runtime, data in every place, refusals, damage. */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "core/base/rng.h"
#include "core/formats/onnx.h"
#include "core/ops/op.h"
#include "tests/lib/onnx_case.h"
#include "tests/lib/hostile.h"


static const char *const cases[] = {
    "forms_7",   "forms_9",         "forms_11",       "forms_13",          "forms_18",
    "unsorted",  "torch_lstm",      "torch_lstm_2bi", "torch_gru_2",       "torch_rnn_last",
    "if_then",   "if_else",         "if_constant",    "torch_gru_bi_last", "torch_embedding_lstm",
    "loop",      "scan",            "nested",         "torch_state",       "torch_conv",
    "typed_data", "external",       "function",       "recurrent",         "loop_weights",
    "scan_weights",
};

static void file_name(char *out, size_t size, const char *name, const char *suffix)
{
    snprintf(out, size, ONNX_FILES "%s.%s", name, suffix);
}

/* Every file, folded and not: ONNX Runtime's answer, and the same bits. */
static void against_onnx_runtime(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct onnx_case plain, folded;
        struct checkpoint io;
        rnnd_error err;
        char path[200];
        size_t bytes;
        file_name(path, sizeof path, strcmp(cases[i], "unsorted") == 0 ? "forms_13" : cases[i], "safetensors");
        uint8_t *data = read_whole(path, &bytes);
        assert_non_null(data);
        checkpoint_init(&io);
        assert_int_equal(format_read(data, bytes, NULL, &io, &err), RNND_OK);
        file_name(path, sizeof path, cases[i], "onnx");
        if (onnx_case_open(&plain, path, false, &err)) fail_msg("%s: %s", cases[i], err.message);
        if (onnx_case_open(&folded, path, true, &err)) fail_msg("%s, folded: %s", cases[i], err.message);
        onnx_case_run(&plain, &io);
        onnx_case_run(&folded, &io);
        for (size_t o = 0; o < plain.graph.output_count; o++) {
            snprintf(path, sizeof path, "out.%s", plain.network.outputs[o].name);
            const struct checkpoint_tensor *want = checkpoint_find(&io, path);
            assert_non_null(want);
            onnx_case_compare(&plain, o, want, cases[i]);
            onnx_case_compare(&folded, o, want, cases[i]);
            const struct tensor *a = graph_run_value(plain.run, plain.graph.outputs[o]);
            const struct tensor *b = graph_run_value(folded.run, folded.graph.outputs[o]);
            assert_memory_equal(a->data, b->data, tensor_count(a) * dtype_bytes(a->dtype));
        }
        onnx_case_close(&plain);
        onnx_case_close(&folded);
        checkpoint_free(&io);
        free(data);
    }
}

static void what_people_see(void **unused)
{
    (void)unused;
    struct onnx_case c;
    rnnd_error err;
    if (onnx_case_open(&c, ONNX_FILES "torch_lstm.onnx", false, &err)) fail_msg("%s", err.message);
    const struct network *n = &c.network;
    assert_string_equal(n->framework, "ONNX opset 13 (pytorch 1.13.0)");
    assert_int_equal(n->input_count, 1);
    assert_string_equal(n->inputs[0].name, "x");
    assert_int_equal(n->inputs[0].width, 5);
    assert_string_equal(n->outputs[0].name, "y");
    const struct graph_port *p = c.graph.input_ports;
    assert_int_equal(p->rank, 3);
    assert_true(p->dim[0] == -1 && p->dim[1] == -1 && p->dim[2] == 5);
    assert_true(n->named_outputs == 1 && n->tap_count > 5);
    assert_string_equal(n->taps[0].name, "y");
    assert_true(n->layer_count >= 1);
    assert_string_equal(n->layers[0].type, "LSTM");
    assert_int_equal(n->layers[0].inputs, 5);
    assert_int_equal(n->layers[0].outputs, 6);
    assert_int_equal(n->layers[0].parameters, 4 * 6 * (5 + 6 + 2));
    assert_non_null(checkpoint_find(&c.ck, "head.bias"));
    onnx_case_close(&c);
}

/* ---- files made here ---- */

struct pb { uint8_t data[4096]; size_t n; };

static void pb_varint(struct pb *b, uint64_t v)
{
    for (; v > 127; v >>= 7)
        b->data[b->n++] = (uint8_t)(v | 128);
    b->data[b->n++] = (uint8_t)v;
}

static void pb_int(struct pb *b, unsigned field, uint64_t v)
{
    pb_varint(b, field << 3);
    pb_varint(b, v);
}

static void pb_bytes(struct pb *b, unsigned field, const void *data, size_t n)
{
    pb_varint(b, field << 3 | 2);
    pb_varint(b, n);
    assert_true(b->n + n < sizeof b->data);
    memcpy(b->data + b->n, data, n);
    b->n += n;
}

static void pb_text(struct pb *b, unsigned field, const char *text)
{
    pb_bytes(b, field, text, strlen(text));
}

static void pb_in(struct pb *b, unsigned field, const struct pb *part)
{
    pb_bytes(b, field, part->data, part->n);
}

/* "Op a,b -> c": a NodeProto; an empty name is an absent input. */
static void pb_node(struct pb *graph, const char *line, const struct pb *attribute)
{
    struct pb n = {.n = 0};
    char op[64], inputs[128] = "", outputs[128] = "";
    if (sscanf(line, "%63s %127[^ ] -> %127s", op, inputs, outputs) != 3) fail_msg("%s", line);
    for (int side = 0; side < 2; side++)
        for (char *at = side ? outputs : inputs; at;) {
            char *comma = strchr(at, ',');
            if (comma) *comma = 0;
            pb_text(&n, side ? 2 : 1, strcmp(at, "-") == 0 ? "" : at);
            at = comma ? comma + 1 : NULL;
        }
    char *dot = strrchr(op, '.');
    if (dot) {
        *dot = 0;
        pb_text(&n, 7, op);
    }
    pb_text(&n, 4, dot ? dot + 1 : op);
    if (attribute) pb_in(&n, 5, attribute);
    pb_in(graph, 1, &n);
}

static void pb_value(struct pb *graph, unsigned field, const char *name, int type)
{
    struct pb tensor = {.n = 0}, kind = {.n = 0}, v = {.n = 0};
    pb_int(&tensor, 1, (uint64_t)type);
    pb_in(&kind, 1, &tensor);
    pb_text(&v, 1, name);
    pb_in(&v, 2, &kind);
    pb_in(graph, field, &v);
}

static void pb_tensor(struct pb *graph, const char *name, int type, uint64_t dim, size_t raw)
{
    static const uint8_t zeros[1024];
    struct pb t = {.n = 0};
    pb_int(&t, 1, dim);
    pb_int(&t, 2, (uint64_t)type);
    pb_text(&t, 8, name);
    pb_bytes(&t, 9, zeros, raw);
    pb_in(graph, 5, &t);
}

static void pb_model(struct pb *m, const struct pb *graph, uint64_t opset)
{
    struct pb set = {.n = 0};
    pb_int(m, 1, 8);
    pb_in(m, 7, graph);
    pb_int(&set, 2, opset);
    if (opset) pb_in(m, 8, &set);
}

static rnnd_code try_model(const struct pb *m, const char *path, rnnd_error *err)
{
    struct onnx_case c;
    rnnd_code code = onnx_case_open_memory(&c, m->data, m->n, path, true, err);
    onnx_case_close(&c);
    return code;
}

static void refusals(void **unused)
{
    (void)unused;
    static const struct {
        const char *nodes[3];
        uint64_t opset;
        rnnd_code code;
        const char *says;
    } table[] = {
        {{"Relu x -> y"}, 13, RNND_OK, ""},
        {{"Identity x -> y"}, 13, RNND_OK, ""},
        {{"Relu a -> y", "Relu x -> a"}, 13, RNND_OK, ""}, /* in another order */
        {{"Relu x -> y"}, 99, RNND_OK, ""},
        {{"Relu x -> y"}, 0, RNND_CORRUPT, "operator set"},
        {{"Twirl x -> y"}, 13, RNND_UNSUPPORTED, "Twirl"},
        {{"com.microsoft.FusedGemm x -> y"}, 13, RNND_UNSUPPORTED, "com.microsoft"},
        {{"lstm x,x,x -> y"}, 13, RNND_UNSUPPORTED, "lstm"}, /* an operator of sequence graphs, not of ONNX */
        {{"Relu z -> y"}, 13, RNND_CORRUPT, "nothing makes"},
        {{"Relu x -> z"}, 13, RNND_CORRUPT, "nothing makes"},
        {{"Relu a -> b", "Relu b -> a", "Relu a -> y"}, 13, RNND_CORRUPT, "each other"},
        {{"Relu y -> y"}, 13, RNND_CORRUPT, "each other"},
        {{"Relu x -> y", "Tanh x -> y"}, 13, RNND_CORRUPT, "two nodes make"},
        {{"Relu x -> x", "Relu x -> y"}, 13, RNND_CORRUPT, ""},
        {{"Add x,text -> y"}, 13, RNND_UNSUPPORTED, "string"},
        {{"Add x,short -> y"}, 13, RNND_OK, ""},
        {{"Scan x,x -> y"}, 8, RNND_UNSUPPORTED, "opset 8"},
        {{"Cast x -> y"}, 13, RNND_UNSUPPORTED, "type"},
        {{"If x -> y"}, 13, RNND_CORRUPT, "then_branch"},
        {{"Add x -> y"}, 13, RNND_MISMATCH, "inputs"},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct pb m = {.n = 0}, g = {.n = 0};
        rnnd_error err;
        for (int k = 0; k < 3 && table[i].nodes[k]; k++)
            pb_node(&g, table[i].nodes[k], NULL);
        pb_tensor(&g, "text", 8, 1, 0);
        pb_tensor(&g, "short", 1, 2, 8);
        pb_value(&g, 11, "x", 1);
        pb_value(&g, 12, "y", 1);
        pb_model(&m, &g, table[i].opset);
        if (try_model(&m, NULL, &err) != table[i].code || !strstr(err.message, table[i].says))
            fail_msg("%zu, %s: %d %s", i, table[i].nodes[0], err.code, err.message);
    }
}

static void damaged_tensors(void **unused)
{
    (void)unused;
    static const struct {
        int type;
        uint64_t dim;
        size_t raw;
        rnnd_code code;
    } table[] = {
        {1, 2, 8, RNND_OK},      {1, 3, 8, RNND_CORRUPT},          {1, 2, 9, RNND_CORRUPT},
        {1, 2, 0, RNND_CORRUPT}, {1, UINT64_MAX, 8, RNND_CORRUPT}, {1, (uint64_t)1 << 48, 8, RNND_CORRUPT},
        {10, 2, 4, RNND_OK},     {7, 1, 8, RNND_MISMATCH}, /* float and int64 do not add up */
        {23, 2, 1, RNND_UNSUPPORTED},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct pb m = {.n = 0}, g = {.n = 0};
        rnnd_error err;
        pb_node(&g, "Add x,w -> y", NULL);
        pb_tensor(&g, "w", table[i].type, table[i].dim, table[i].raw);
        pb_value(&g, 11, "x", 1);
        pb_value(&g, 12, "y", 1);
        pb_model(&m, &g, 13);
        rnnd_code code = try_model(&m, NULL, &err);
        if (table[i].code == RNND_MISMATCH) continue; /* told by the run */
        if (code != table[i].code) fail_msg("%zu: %d %s", i, err.code, err.message);
    }
}

/* Companion files: below the model's folder, regular, as long as said. */
static void external_data(void **unused)
{
    (void)unused;
    char folder[] = "/tmp/rnnd-test-XXXXXX", path[200], file[200], link_path[200];
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/model.onnx", folder);
    snprintf(file, sizeof file, "%s/w.bin", folder);
    snprintf(link_path, sizeof link_path, "%s/link", folder);
    FILE *f = fopen(file, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite("0123456789abcdef", 1, 16, f), 16);
    fclose(f);
    assert_int_equal(symlink("w.bin", link_path), 0);
    static const struct {
        const char *location, *offset, *length;
        bool no_path;
        rnnd_code code;
        const char *says;
    } table[] = {
        {"w.bin", "8", "8", false, RNND_OK, ""},
        {"w.bin", NULL, NULL, false, RNND_OK, ""},
        {"w.bin", "8", "8", true, RNND_UNSUPPORTED, "by its path"},
        {"w.bin", "9", "8", false, RNND_CORRUPT, "the file has 16"},
        {"w.bin", "18446744073709551615", "8", false, RNND_CORRUPT, ""},
        {"w.bin", "99999999999999999999", "8", false, RNND_CORRUPT, "no number"},
        {"w.bin", "-1", "8", false, RNND_CORRUPT, "no number"},
        {"w.bin", "0", "12", false, RNND_CORRUPT, "wants 8 bytes"},
        {"nowhere.bin", "0", "8", false, RNND_IO, "nowhere.bin"},
        {"link", "0", "8", false, RNND_CORRUPT, "symbolic link"},
        {"", "0", "8", false, RNND_CORRUPT, "below"},
        {"/etc/passwd", "0", "8", false, RNND_CORRUPT, "below"},
        {"../w.bin", "0", "8", false, RNND_CORRUPT, "\"..\""},
        {"a/../w.bin", "0", "8", false, RNND_IO, ""},
        {"w.bin/x", "0", "8", false, RNND_CORRUPT, ""},
        {"./w.bin", "0", "8", false, RNND_OK, ""},
        {".", "0", "8", false, RNND_CORRUPT, "regular"},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        const char *const keys[] = {"location", "offset", "length"};
        const char *const values[] = {table[i].location, table[i].offset, table[i].length};
        struct pb m = {.n = 0}, g = {.n = 0}, t = {.n = 0};
        rnnd_error err;
        pb_int(&t, 1, 2);
        pb_int(&t, 2, 1);
        pb_text(&t, 8, "w");
        pb_int(&t, 14, 1);
        for (int k = 0; k < 3; k++) {
            struct pb e = {.n = 0};
            if (!values[k]) continue;
            pb_text(&e, 1, keys[k]);
            pb_text(&e, 2, values[k]);
            pb_in(&t, 13, &e);
        }
        pb_node(&g, "Add x,w -> y", NULL);
        pb_in(&g, 5, &t);
        pb_value(&g, 11, "x", 1);
        pb_value(&g, 12, "y", 1);
        pb_model(&m, &g, 13);
        if (try_model(&m, table[i].no_path ? NULL : path, &err) != table[i].code || !strstr(err.message, table[i].says))
            fail_msg("%zu, %s: %d %s", i, table[i].location, err.code, err.message);
    }
    unlink(link_path);
    unlink(file);
    rmdir(folder);
}

static void other_files_stay_theirs(void **unused)
{
    (void)unused;
    static const struct {
        const char *bytes;
        size_t n;
        bool ours;
    } table[] = {
        {"\x08\x07\x3a\x02\x12\x00", 6, true},
        {"\x08\x07\x12\x01p\x3a\x02\x12\x00", 9, true},
        {"\x08\x07\x3a\x7f\x12\x00", 6, true}, /* cut short: for the reader to say */
        {"\x08\x00\x3a\x02\x12\x00", 6, false},
        {"\x08\x07\x3a\x02\x10\x00", 6, false},
        {"\x3a\x02\x12\x00", 4, false},
        {"\x08\x01\0\0\0\0\0\0{\"a\":1}", 15, false}, /* a safetensors header length */
        {"PK\x03\x04", 4, false},
        {"\x80\x02}q", 4, false},
        {"{\"model\":1}", 11, false},
        {"\x89HDF\r\n\x1a\n", 8, false},
        {"", 0, false},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (onnx_probe((const uint8_t *)table[i].bytes, table[i].n) != table[i].ours) fail_msg("%zu", i);
}

/* ---- damage ---- */

static void cut_everywhere(void **unused)
{
    (void)unused;
    static const char *const names[] = {"if_constant", "loop", "forms_7", "function", "typed_data"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char path[200];
        size_t bytes, read = 0;
        file_name(path, sizeof path, names[i], "onnx");
        uint8_t *file = read_whole(path, &bytes);
        assert_non_null(file);
        for (size_t n = 0; n <= bytes; n++) {
            struct onnx_case c;
            rnnd_error err;
            uint8_t *p = hostile_at_end(n);
            memcpy(p, file, n);
            if (n < bytes && !onnx_probe(p, n)) continue;
            rnnd_code code = onnx_case_open_memory(&c, p, n, NULL, true, &err);
            if (code) assert_true(strlen(err.message) > 10);
            read += code == RNND_OK;
            onnx_case_close(&c);
        }
        assert_int_equal(read, 1); /* the opset stands last */
        free(file);
    }
}

static void damaged(void **unused)
{
    (void)unused;
    struct rng rng;
    size_t refused = 0, read = 0;
    rng_seed(&rng, hostile_seed, 5);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char path[200];
        size_t bytes;
        file_name(path, sizeof path, cases[i], "onnx");
        uint8_t *file = read_whole(path, &bytes), *p = hostile_at_end(bytes);
        assert_non_null(file);
        for (int round = 0; round < 300; round++) {
            struct onnx_case c;
            rnnd_error err;
            memcpy(p, file, bytes);
            for (uint32_t k = 1 + rng_u32(&rng) % 4; k > 0; k--)
                p[rng_u32(&rng) % bytes] = (uint8_t)(rng_u32(&rng) % 3 ? rng_u32(&rng) : rng_u32(&rng) % 24);
            if (!onnx_probe(p, bytes)) continue;
            rnnd_code code = onnx_case_open_memory(&c, p, bytes, path, true, &err);
            refused += code != RNND_OK;
            read += code == RNND_OK;
            if (code) assert_true(err.message[0]);
            onnx_case_close(&c);
        }
        free(file);
    }
    assert_true(refused > 500 && read > 500);
}

static void no_memory(void **unused)
{
    (void)unused;
    static const char *const names[] = {"if_constant", "loop", "torch_lstm", "external", "function", "forms_9"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char path[200];
        size_t bytes, failed = 0;
        file_name(path, sizeof path, names[i], "onnx");
        uint8_t *file = read_whole(path, &bytes);
        assert_non_null(file);
        for (size_t n = 1;; n++) {
            struct onnx_case c;
            rnnd_error err;
            mem_fail_at(n);
            rnnd_code code = onnx_case_open_memory(&c, file, bytes, path, true, &err);
            size_t made = mem_fail_at(0);
            onnx_case_close(&c);
            if (code && code != RNND_NO_MEMORY) fail_msg("%s, %zu: %d %s", names[i], n, code, err.message);
            failed += code != RNND_OK;
            if (made < n) {
                assert_int_equal(code, RNND_OK);
                break;
            }
        }
        assert_true(failed > 10);
        free(file);
    }
}

/* ---- tensors alone, and folders of ONNX's own layout ---- */

static void tensors_alone(void **unused)
{
    (void)unused;
    struct arena arena;
    struct checkpoint_tensor t;
    rnnd_error err;
    struct pb b = {.n = 0};
    pb_int(&b, 1, 3); /* dims, then int64 1, -1, 2 unpacked and packed */
    pb_int(&b, 2, 7);
    pb_int(&b, 7, 1);
    pb_bytes(&b, 7, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x02", 11);
    pb_text(&b, 8, "t");
    arena_init(&arena, 1 << 16);
    assert_int_equal(onnx_tensor_read(b.data, b.n, &arena, &t, &err), RNND_OK);
    assert_string_equal(t.name, "t");
    assert_true(t.stored == STORED_I64 && t.rank == 1 && t.dim[0] == 3 && t.count == 3);
    int64_t v[3];
    memcpy(v, t.raw, sizeof v);
    assert_true(v[0] == 1 && v[1] == -1 && v[2] == 2);
    for (size_t n = 0; n < b.n; n++) { /* cut: too few elements, or no message */
        uint8_t *p = hostile_at_end(n);
        memcpy(p, b.data, n);
        rnnd_code code = onnx_tensor_read(p, n, &arena, &t, &err);
        if (n < b.n - 3) assert_int_not_equal(code, RNND_OK);
    }
    arena_free(&arena);
}

static bool read_pb(const char *folder, const char *kind, size_t i, struct arena *arena, uint8_t **bytes,
                    struct checkpoint_tensor *out)
{
    char path[512];
    rnnd_error err;
    size_t n;
    snprintf(path, sizeof path, "%s/test_data_set_0/%s_%zu.pb", folder, kind, i);
    *bytes = read_whole(path, &n);
    if (!*bytes) return false;
    if (onnx_tensor_read(*bytes, n, arena, out, &err)) fail_msg("%s: %s", path, err.message);
    return true;
}

static void run_folder(const char *folder)
{
    struct onnx_case c;
    struct checkpoint_tensor t;
    struct tensor inputs[MAX_INPUTS];
    uint8_t *bytes;
    char path[512];
    rnnd_error err;
    snprintf(path, sizeof path, "%s/model.onnx", folder);
    if (onnx_case_open(&c, path, true, &err)) fail_msg("%s: %s", folder, err.message);
    for (size_t i = 0; i < c.graph.input_count; i++) {
        if (!read_pb(folder, "input", i, &c.arena, &bytes, &t)) fail_msg("%s: no input %zu", folder, i);
        inputs[i] = tensor_of(&t);
        free(bytes);
    }
    if (graph_run_tensors(c.run, inputs, &err)) fail_msg("%s: %s", folder, err.message);
    for (size_t i = 0; i < c.graph.output_count; i++) {
        if (!read_pb(folder, "output", i, &c.arena, &bytes, &t)) fail_msg("%s: no output %zu", folder, i);
        onnx_case_compare(&c, i, &t, folder);
        free(bytes);
    }
    for (size_t i = 0; i < c.graph.input_count; i++)
        free(inputs[i].data);
    onnx_case_close(&c);
}

static void shared_folders(void **unused)
{
    (void)unused;
    static const char *const roots[] = {"../shared/conformance/onnx-node", "../shared/conformance/onnx-random"};
    for (int i = 0; i < 2; i++) {
        DIR *dir = opendir(roots[i]);
        size_t count = 0;
        if (!dir) printf("skipped: %s\n", roots[i]);
        for (struct dirent *e; dir && (e = readdir(dir));) {
            char folder[400];
            struct stat st;
            snprintf(folder, sizeof folder, "%s/%s", roots[i], e->d_name);
            if (e->d_name[0] == '.' || stat(folder, &st) || !S_ISDIR(st.st_mode)) continue;
            run_folder(folder);
            count++;
        }
        if (dir) {
            closedir(dir);
            printf("%s: %zu cases\n", roots[i], count);
            assert_true(count > 0);
        }
    }
}

int main(void)
{
    if (!hostile_begin(1 << 18)) return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(against_onnx_runtime), cmocka_unit_test(what_people_see), cmocka_unit_test(refusals),
        cmocka_unit_test(damaged_tensors),      cmocka_unit_test(external_data),   cmocka_unit_test(tensors_alone),
        cmocka_unit_test(other_files_stay_theirs), cmocka_unit_test(cut_everywhere), cmocka_unit_test(damaged),
        cmocka_unit_test(no_memory),            cmocka_unit_test(shared_folders),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
