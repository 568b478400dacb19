/* rtjson_ml5.c -- ml5's charRNN: TensorFlow 1 variables, a file of raw float32 each, that a manifest names.
 *
 *   embedding [V][E]; .../cell_K/basic_lstm_cell/kernel [I + H][4H], bias [4H]: gates i j f o, 1 added to f at run
 *   time; .../softmax_w [H][V], softmax_b [V]. vocab.json beside it, {"symbol": id}, makes a text model of it. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/error.h"
#include "core/formats/rtjson.h"
#include "core/formats/stack.h"

#define MAX_MANIFEST ((size_t)1 << 20)
#define MAX_FILES 4096
#define MAX_CELLS 64

struct weights { /* the files of one manifest */
    int folder;
    struct checkpoint *ck;
    const char **files; /* [tensors of ck], in the manifest's order */
};

bool ml5_probe(const uint8_t *data, size_t bytes)
{
    static const char names[] = "\"filename\"", shapes[] = "\"shape\"";
    return bytes > 1 && bytes <= MAX_MANIFEST && (data[0] == '{' || data[0] <= ' ') &&
           memmem(data, bytes, names, sizeof names - 1) && memmem(data, bytes, shapes, sizeof shapes - 1);
}

/* ---- files beside the manifest: of plain names, themselves and no links ---- */

static bool safe_name(const char *s)
{
    return s && *s && *s != '.' && strlen(s) < 256 && !strchr(s, '/');
}

static rnnd_code open_beside(const struct weights *w, const char *name, size_t wanted, int *fd, rnnd_error *err)
{
    struct stat st;
    *fd = openat(w->folder, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (*fd < 0)
        return fail_at(err, errno == ENOENT ? RNND_NOT_FOUND : RNND_IO, name,
                       "the file \"%.80s\" that the manifest names cannot be opened: %s", name, strerror(errno));
    bool is_file = fstat(*fd, &st) == 0 && S_ISREG(st.st_mode);
    if (is_file && (uint64_t)st.st_size == wanted) return RNND_OK;
    close(*fd);
    if (!is_file) return fail_at(err, RNND_IO, name, "wanted \"%.80s\" to be an ordinary file", name);
    return fail_at(err, RNND_CORRUPT, name, "the file \"%.80s\": wanted %zu bytes for its shape, found %llu", name,
                   wanted, (unsigned long long)st.st_size);
}

static rnnd_code read_beside(const struct weights *w, const char *name, uint8_t *to, size_t bytes, rnnd_error *err)
{
    int fd;
    rnnd_code code = open_beside(w, name, bytes, &fd, err);
    if (code) return code;
    for (size_t at = 0; at < bytes && !code;) {
        ssize_t n = read(fd, to + at, bytes - at);
        if (n > 0)
            at += (size_t)n;
        else if (n == 0 || errno != EINTR)
            code = fail_at(err, RNND_IO, name, "the file \"%.80s\" cannot be read: %s", name,
                           n ? strerror(errno) : "it became shorter meanwhile");
    }
    close(fd);
    return code;
}

/* ---- the manifest ---- */

static rnnd_code read_entry(struct weights *w, const struct json *e, rnnd_error *err)
{
    const char *file = json_string(json_get(e, "filename"));
    const struct json *shape = json_get(e, "shape");
    struct checkpoint_tensor t = {.name = json_key(e), .stored = STORED_F32, .count = 1};
    if (!safe_name(file))
        return fail_at(err, RNND_CORRUPT, t.name,
                       "\"%.80s\": wanted the plain name of a file beside the manifest, found "
                       "\"%.80s\"",
                       t.name, file ? file : "");
    for (size_t i = 0; i < w->ck->count; i++)
        if (strcmp(w->files[i], file) == 0)
            return fail_at(err, RNND_CORRUPT, t.name, "the manifest names the file \"%.80s\" twice", file);
    if (!json_is_array(shape) || json_count(shape) > MAX_RANK)
        return fail_at(err, RNND_CORRUPT, t.name, "\"%.80s\": wanted a shape of at most %d numbers", t.name, MAX_RANK);
    for (const struct json *d = json_first(shape); d; d = json_next(d)) {
        int64_t v;
        if (!json_whole(d, 0, INT32_MAX, &v) || !size_mul(t.count, (size_t)v, &t.count) || t.count > SIZE_MAX / 16)
            return fail_at(err, RNND_CORRUPT, t.name, "\"%.80s\": wanted a shape of whole numbers", t.name);
        t.dim[t.rank++] = (size_t)v;
    }
    if (!(w->files[w->ck->count] = arena_string(&w->ck->arena, file, strlen(file))))
        return fail_memory(err, strlen(file));
    return checkpoint_add(w->ck, &t, err);
}

static rnnd_code read_files(struct weights *w, rnnd_error *err)
{
    size_t total = 0;
    int fd;
    for (size_t i = 0; i < w->ck->count; i++) { /* nothing is allocated for what is not there */
        size_t bytes = w->ck->tensors[i].count * sizeof(float);
        rnnd_code code = open_beside(w, w->files[i], bytes, &fd, err);
        if (code) return code;
        close(fd);
        if (!size_add(total, bytes, &total)) return fail_memory(err, bytes);
    }
    uint8_t *to = w->ck->memory[0] = mem_alloc(total + 1, 1);
    if (!to) return fail_memory(err, total);
    for (size_t i = 0; i < w->ck->count; i++) {
        struct checkpoint_tensor *t = &w->ck->tensors[i];
        rnnd_code code = read_beside(w, w->files[i], to, t->count * sizeof(float), err);
        if (code) return code;
        t->raw = to;
        to += t->count * sizeof(float);
    }
    return RNND_OK;
}

static rnnd_code read_manifest(struct weights *w, const uint8_t *data, size_t bytes, rnnd_error *err)
{
    struct json *manifest;
    rnnd_code code = json_parse((const char *)data, bytes, "the manifest", &manifest, err);
    if (code) return code;
    size_t n = json_count(manifest);
    if (!json_is_object(manifest) || n > MAX_FILES)
        code = fail(err, RNND_CORRUPT, "the manifest: wanted an object of at most %d files", MAX_FILES);
    if (!code && !(w->files = arena_alloc(&w->ck->arena, n + 1, sizeof *w->files)))
        code = fail_memory(err, n * sizeof *w->files);
    for (const struct json *e = json_first(manifest); e && !code; e = json_next(e))
        code = read_entry(w, e, err);
    json_free(manifest);
    return code ? code : read_files(w, err);
}

/* ---- what network they are ---- */

static bool ends_in(const char *s, const char *end)
{
    size_t n = strlen(s), k = strlen(end);
    return n >= k && strcmp(s + n - k, end) == 0;
}

static const struct checkpoint_tensor *matrix(const struct checkpoint *ck, const char *end)
{
    for (size_t i = 0; i < ck->count; i++)
        if (ends_in(ck->tensors[i].name, end) && ck->tensors[i].rank == 2 && ck->tensors[i].count)
            return &ck->tensors[i];
    return NULL;
}

static void put_tensors(struct rtjson *r, const char *role, const char *name, const char *bias)
{
    json_text_add(&r->config, ",\"tensors\":{\"%s\":", role);
    json_text_string(&r->config, name);
    if (bias) {
        json_text_add(&r->config, ",\"bias\":");
        json_text_string(&r->config, bias);
    }
    json_text_add(&r->config, "}}");
}

/* Cell number k, false where there is none. */
static bool put_cell(struct rtjson *r, int k)
{
    char end[64], name[32], bias[300];
    snprintf(name, sizeof name, "cell_%d", k);
    snprintf(end, sizeof end, "cell_%d/basic_lstm_cell/kernel", k);
    const struct checkpoint_tensor *kernel = matrix(r->ck, end);
    if (!kernel && k == 0) kernel = matrix(r->ck, "basic_lstm_cell/kernel");
    if (!kernel || strlen(kernel->name) >= sizeof bias) return false;
    snprintf(bias, sizeof bias, "%.*sbias", (int)(strlen(kernel->name) - strlen("kernel")), kernel->name);
    rtjson_layer(r, "lstm", name);
    json_text_add(&r->config, ",\"layout\":\"tf1\",\"hidden\":%zu", kernel->dim[1] / 4);
    put_tensors(r, "kernel", kernel->name, bias);
    return true;
}

static rnnd_code put_network(struct rtjson *r, bool vocabulary, rnnd_error *err)
{
    const struct checkpoint *ck = r->ck;
    const struct checkpoint_tensor *embedding = matrix(ck, "embedding"), *w = matrix(ck, "softmax_w"), *b = NULL;
    int cells = 0;
    for (size_t i = 0; i < ck->count; i++)
        if (ends_in(ck->tensors[i].name, "softmax_b")) b = &ck->tensors[i];
    if (!embedding || !w || !b)
        return fail_at(err, RNND_UNSUPPORTED, "manifest", "wanted the variables of a charRNN, found none named \"%s\"",
                       !embedding ? "embedding"
                       : !w       ? "softmax_w"
                                  : "softmax_b");
    json_text_add(&r->config, "{\"format\":1,");
    if (vocabulary)
        json_text_add(&r->config,
                      "\"task\":\"text\",\"text\":{\"tokenizer\":\"chars\",\"vocabulary\":\"vocab.json\"},");
    json_text_add(&r->config, "\"inputs\":[{\"name\":\"ids\",\"ids\":%zu}],\"layers\":[", embedding->dim[0]);
    rtjson_layer(r, "embedding", "embedding");
    put_tensors(r, "weight", embedding->name, NULL);
    while (cells < MAX_CELLS && put_cell(r, cells))
        cells++;
    if (cells == 0)
        return fail_at(err, RNND_UNSUPPORTED, "manifest",
                       "wanted the variables of a charRNN, found none named \"cell_0/basic_lstm_cell/kernel\"");
    rtjson_layer(r, "dense", "softmax");
    json_text_add(&r->config, ",\"layout\":\"tf1\"");
    put_tensors(r, "weight", w->name, b->name);
    return RNND_OK;
}

static rnnd_code open_folder(const char *path, struct weights *w, rnnd_error *err)
{
    const char *slash = strrchr(path, '/');
    size_t n = slash ? (size_t)(slash - path) + 1 : 1;
    char *folder = arena_string(&w->ck->arena, slash ? path : ".", n);
    if (!folder) return fail_memory(err, n);
    w->folder = open(folder, O_RDONLY | O_CLOEXEC | O_DIRECTORY);
    return w->folder < 0 ? fail(err, RNND_IO, "the folder of the manifest cannot be opened: %s", strerror(errno))
                         : RNND_OK;
}

rnnd_code ml5_read(const uint8_t *data, size_t bytes, const char *path, struct checkpoint *out, rnnd_error *err)
{
    struct weights w = {.folder = -1, .ck = out};
    struct rtjson r = {.ck = out};
    struct stat st;
    if (!path)
        return fail(err, RNND_UNSUPPORTED, "a manifest names the files of its weights, so it must be opened as a file");
    rnnd_code code = open_folder(path, &w, err);
    if (!code) code = read_manifest(&w, data, bytes, err);
    bool vocabulary = !code && fstatat(w.folder, "vocab.json", &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode);
    if (w.folder >= 0) close(w.folder);
    if (!code) code = put_network(&r, vocabulary, err);
    return rtjson_end(&r, code, err);
}
