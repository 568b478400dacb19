/* vocabulary.c -- reads vocabularies: lists, maps, Keras tokenizers; files beside a model. */
#include "core/model/vocabulary.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/error.h"

/* ---- tables ---- */

rnnd_code vocabulary_room(struct arena *arena, struct text_config *out, size_t count, rnnd_error *err)
{
    if (count <= out->symbol_count) return RNND_OK;
    const char **table = arena_alloc(arena, count, sizeof *table);
    if (!table) return fail_memory(err, count * sizeof *table);
    if (out->symbol_count) memcpy(table, out->symbols, out->symbol_count * sizeof *table);
    out->symbols = table;
    out->symbol_count = count;
    out->holes = true;
    return RNND_OK;
}

rnnd_code vocabulary_put(struct arena *arena, struct text_config *out, const char *token, size_t id, rnnd_error *err)
{
    const char **place = &out->symbols[id];
    if (*place && strcmp(*place, token) != 0)
        return fail_at(err, RNND_CORRUPT, "vocabulary", "the tokens \"%.40s\" and \"%.40s\" have the same id %zu",
                       *place, token, id);
    if (*place || !*token) return RNND_OK;
    return (*place = arena_string(arena, token, strlen(token))) ? RNND_OK : fail_memory(err, strlen(token));
}

static rnnd_code wrong(const struct json *e, const char *wanted, rnnd_error *err)
{
    return fail_at(err, RNND_CORRUPT, "vocabulary", "the vocabulary: wanted %s, \"%.40s\" is %s", wanted, json_key(e),
                   json_type_name(e));
}

rnnd_code vocabulary_map(const struct json *map, struct arena *arena, struct text_config *out, rnnd_error *err)
{
    int64_t most = -1, id;
    for (const struct json *e = json_first(map); e; e = json_next(e)) {
        if (!json_whole(e, 0, VOCABULARY_MAX - 1, &id)) return wrong(e, "ids below 1048576", err);
        if (id > most) most = id;
    }
    if (most < 0) return fail_at(err, RNND_CORRUPT, "vocabulary", "the vocabulary: wanted tokens, found none");
    rnnd_code code = vocabulary_room(arena, out, (size_t)most + 1, err);
    for (const struct json *e = json_first(map); e && !code; e = json_next(e)) {
        json_whole(e, 0, most, &id);
        code = vocabulary_put(arena, out, json_key(e), (size_t)id, err);
    }
    return code;
}

static rnnd_code read_list(const struct json *list, struct arena *arena, struct text_config *out, rnnd_error *err)
{
    size_t n = json_count(list), id = 0;
    if (n < 1 || n > VOCABULARY_MAX)
        return fail_at(err, RNND_CORRUPT, "vocabulary", "the vocabulary: wanted 1 to %d tokens, found %zu",
                       VOCABULARY_MAX, n);
    rnnd_code code = vocabulary_room(arena, out, n, err);
    for (const struct json *e = json_first(list); e && !code; e = json_next(e), id++) {
        if (!json_is_string(e) && !json_is_null(e))
            return fail_at(err, RNND_CORRUPT, "vocabulary", "the vocabulary: wanted strings, number %zu is %s", id,
                           json_type_name(e));
        if (json_is_string(e)) code = vocabulary_put(arena, out, json_string(e), id, err);
    }
    return code;
}

/* A key such as "17"; -1 if it is none. */
static int64_t key_id(const char *s)
{
    int64_t id = 0;
    if (!*s || (*s == '0' && s[1])) return -1;
    for (; *s; s++) {
        if (*s < '0' || *s > '9' || id >= VOCABULARY_MAX) return -1;
        id = id * 10 + (*s - '0');
    }
    return id < VOCABULARY_MAX ? id : -1;
}

static rnnd_code read_turned(const struct json *map, struct arena *arena, struct text_config *out, rnnd_error *err)
{
    int64_t most = 0;
    for (const struct json *e = json_first(map); e; e = json_next(e)) {
        int64_t id = key_id(json_key(e));
        if (id < 0 || !json_is_string(e)) return wrong(e, "{\"id\": \"token\"}, as its first entry is", err);
        if (id > most) most = id;
    }
    rnnd_code code = vocabulary_room(arena, out, (size_t)most + 1, err);
    for (const struct json *e = json_first(map); e && !code; e = json_next(e))
        code = vocabulary_put(arena, out, json_string(e), (size_t)key_id(json_key(e)), err);
    return code;
}

/* ---- Keras ---- */

/* A member that is the object itself, or JSON text of it (*own is then to be freed). */
static rnnd_code inner_object(const struct json *j, const char *what, const struct json **out, struct json **own,
                              rnnd_error *err)
{
    *own = NULL;
    *out = j;
    if (json_is_string(j)) {
        rnnd_code code = json_parse(json_string(j), strlen(json_string(j)), what, own, err);
        if (code) return code;
        *out = *own;
    }
    if (json_is_object(*out)) return RNND_OK;
    json_free(*own);
    *own = NULL;
    return fail_at(err, RNND_CORRUPT, "vocabulary", "%s: wanted an object, found %s", what, json_type_name(j));
}

static rnnd_code copy_string(const struct json *j, const char *key, struct arena *arena, const char **out,
                             rnnd_error *err)
{
    const char *s = json_string(json_get(j, key));
    if (!s) return RNND_OK;
    return (*out = arena_string(arena, s, strlen(s))) ? RNND_OK : fail_memory(err, strlen(s));
}

/* {"word_index", "num_words", "filters", "lower", "split", "char_level", "oov_token"} */
static rnnd_code read_keras(const struct json *config, struct arena *arena, struct text_config *out, rnnd_error *err)
{
    const struct json *index, *words = json_get(config, "num_words"), *lower = json_get(config, "lower");
    const char *unknown = json_string(json_get(config, "oov_token"));
    struct json *own;
    int64_t most = VOCABULARY_MAX, id;
    rnnd_code code = inner_object(json_get(config, "word_index"), "the vocabulary's word_index", &index, &own, err);
    if (code) return code;
    code = vocabulary_map(index, arena, out, err);
    if (!code && unknown && json_whole(json_get(index, unknown), 0, VOCABULARY_MAX - 1, &id))
        out->unknown = (int32_t)id;
    json_free(own);
    if (!code && words && !json_is_null(words) && !json_whole(words, 1, INT32_MAX, &most))
        code = fail_at(err, RNND_CORRUPT, "vocabulary", "the vocabulary: wanted \"num_words\" of at least 1");
    if (!code && (size_t)most < out->symbol_count) out->symbol_count = (size_t)most;
    if (json_is_bool(lower)) out->lower = json_true(lower);
    out->char_level = json_true(json_get(config, "char_level"));
    if (!code) code = copy_string(config, "filters", arena, &out->filters, err);
    return code ? code : copy_string(config, "split", arena, &out->split, err);
}

/* ---- any ---- */

static rnnd_code read_object(const struct json *j, struct arena *arena, struct text_config *out, rnnd_error *err)
{
    const struct json *config = json_get(j, "config"), *first = json_first(j), *model = json_get(j, "model");
    if (json_is_object(config) && json_get(config, "word_index")) return read_keras(config, arena, out, err);
    if (json_get(j, "word_index") && !json_is_number(json_get(j, "word_index"))) return read_keras(j, arena, out, err);
    if (json_is_object(model)) return vocabulary_read_bpe(j, arena, out, err);
    if (json_is_string(first)) return read_turned(j, arena, out, err);
    return vocabulary_map(j, arena, out, err);
}

rnnd_code vocabulary_read(const struct json *j, struct arena *arena, struct text_config *out, rnnd_error *err)
{
    struct json *inner = NULL;
    rnnd_code code = RNND_OK;
    if (json_is_string(j)) { /* json.dumps() of what was JSON text already */
        code = json_parse(json_string(j), strlen(json_string(j)), "the vocabulary, a JSON text in a JSON string",
                          &inner, err);
        j = inner;
    }
    if (!code && json_is_array(j))
        code = read_list(j, arena, out, err);
    else if (!code && json_is_object(j))
        code = read_object(j, arena, out, err);
    else if (!code)
        code = fail_at(err, RNND_CORRUPT, "vocabulary", "the vocabulary: wanted a list or an object, found %s",
                       json_type_name(j));
    json_free(inner);
    return code;
}

/* ---- files ---- */

static rnnd_code read_open(int fd, char **text, size_t *bytes, rnnd_error *err)
{
    struct stat st;
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) return fail(err, RNND_IO, "wanted an ordinary file");
    if ((uint64_t)st.st_size > JSON_MAX_BYTES)
        return fail(err, RNND_TOO_LARGE, "at most %zu bytes of JSON are read, it has %llu", JSON_MAX_BYTES,
                    (unsigned long long)st.st_size);
    if (!(*text = mem_alloc((size_t)st.st_size + 1, 1))) return fail_memory(err, (size_t)st.st_size);
    while (*bytes < (size_t)st.st_size) {
        ssize_t n = read(fd, *text + *bytes, (size_t)st.st_size - *bytes);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0)
            return fail(err, RNND_IO, "cannot be read: %s", n ? strerror(errno) : "it became shorter meanwhile");
        *bytes += (size_t)n;
    }
    return RNND_OK;
}

static rnnd_code read_beside(const char *model_path, const char *name, char **text, size_t *bytes, rnnd_error *err)
{
    const char *slash = strrchr(model_path, '/');
    size_t lead = slash ? (size_t)(slash - model_path) + 1 : 0, length = strlen(name);
    char *path = mem_alloc(lead + length + 1, 1);
    if (!path) return fail_memory(err, lead + length);
    memcpy(path, model_path, lead);
    memcpy(path + lead, name, length + 1);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);
    rnnd_code code =
        fd >= 0 ? read_open(fd, text, bytes, err)
                : fail(err, errno == ENOENT ? RNND_NOT_FOUND : RNND_IO, "cannot be opened: %s", strerror(errno));
    if (fd >= 0) close(fd);
    mem_free(path);
    return code;
}

rnnd_code vocabulary_load(const char *model_path, struct arena *arena, struct text_config *out, rnnd_error *err)
{
    const char *name = out->vocabulary_file;
    struct json *j = NULL;
    char *text = NULL;
    size_t bytes = 0;
    if (!*name || *name == '.' || strchr(name, '/') || strlen(name) > 255)
        return fail_at(err, RNND_MISMATCH, "vocabulary",
                       "text: \"vocabulary\" must be the plain name of a file beside the model, found \"%.80s\"", name);
    if (!model_path)
        return fail_at(err, RNND_UNSUPPORTED, "vocabulary",
                       "text: \"vocabulary\" names the file \"%.80s\", so the model must be opened as a file", name);
    rnnd_code code = read_beside(model_path, name, &text, &bytes, err);
    if (!code) code = json_parse(text, bytes, "the vocabulary", &j, err);
    mem_free(text);
    if (!code) code = vocabulary_read(j, arena, out, err);
    json_free(j);
    if (code) fail_in(err, name);
    return code;
}

rnnd_code vocabulary_text(const char *model_path, const char *name, char **out, rnnd_error *err)
{
    struct json *j = NULL;
    size_t bytes = 0;
    rnnd_code code = read_beside(model_path, name, out, &bytes, err);
    if (!code) code = json_parse(*out, bytes, "the vocabulary", &j, err);
    if (!code && json_is_string(j)) { /* in a configuration a string is the name of a file */
        char *inner = mem_copy_string(json_string(j));
        mem_free(*out);
        *out = inner;
        if (!inner) code = fail_memory(err, bytes);
    }
    json_free(j);
    if (!code) return RNND_OK;
    mem_free(*out);
    *out = NULL;
    fail_in(err, name);
    return code;
}
