/* safetensors.c -- reads safetensors files, trusting nothing in them, and writes them. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/bytes.h"
#include "core/base/error.h"
#include "core/formats/json.h"
#include "core/formats/json_text.h"
#include "core/formats/safetensors.h"

struct range {
    uint64_t begin, end;
    const char *name;
};

bool safetensors_probe(const uint8_t *data, size_t bytes)
{
    struct bytes b = bytes_of(data, bytes);
    uint64_t n;
    return bytes_u64(&b, &n) && n >= 2 && n <= bytes - 8 && data[8] == '{';
}

static rnnd_code read_dtype(const struct json *j, const char *name, enum stored *out, rnnd_error *err)
{
    const char *text = json_string(json_get(j, "dtype"));
    for (int k = 0; text && k < STORED_COUNT; k++)
        if (strcmp(text, stored_types[k].name) == 0) {
            *out = (enum stored)k;
            return RNND_OK;
        }
    return fail_at(err, text ? RNND_UNSUPPORTED : RNND_CORRUPT, name,
                   "tensor \"%.80s\": wanted a dtype of BOOL, U8 ... U64, F16, BF16, F32, F64, found %.40s", name,
                   text ? text : json_type_name(json_get(j, "dtype")));
}

static rnnd_code read_shape(const struct json *j, struct checkpoint_tensor *t, rnnd_error *err)
{
    const struct json *shape = json_get(j, "shape");
    t->count = 1;
    if (!json_is_array(shape) || json_count(shape) > MAX_RANK)
        return fail_at(err, RNND_CORRUPT, t->name, "tensor \"%.80s\": wanted a shape of at most %d numbers, found %s",
                       t->name, MAX_RANK, json_is_array(shape) ? "more" : json_type_name(shape));
    for (const struct json *e = json_first(shape); e; e = json_next(e)) {
        int64_t n;
        if (!json_whole(e, 0, INT64_C(1) << 48, &n))
            return fail_at(err, RNND_CORRUPT, t->name, "tensor \"%.80s\": a dimension is no whole number in range",
                           t->name);
        t->dim[t->rank++] = (size_t)n;
        if (!size_mul(t->count, (size_t)n, &t->count))
            return fail_at(err, RNND_CORRUPT, t->name, "tensor \"%.80s\": its shape overflows", t->name);
    }
    return RNND_OK;
}

static rnnd_code read_entry(const struct json *j, const uint8_t *buffer, size_t size, struct checkpoint_tensor *t,
                            struct range *r, rnnd_error *err)
{
    const struct json *offsets = json_get(j, "data_offsets");
    int64_t begin, end;
    size_t want;
    if (!json_is_object(j))
        return fail_at(err, RNND_CORRUPT, t->name, "tensor \"%.80s\": wanted an object, found %s", t->name,
                       json_type_name(j));
    for (const struct json *e = json_first(j); e; e = json_next(e))
        if (strcmp(json_key(e), "dtype") != 0 && strcmp(json_key(e), "shape") != 0 &&
            strcmp(json_key(e), "data_offsets") != 0)
            return fail_at(err, RNND_CORRUPT, t->name, "tensor \"%.80s\": unknown key \"%.40s\"", t->name, json_key(e));
    rnnd_code code = read_dtype(j, t->name, &t->stored, err);
    if (!code) code = read_shape(j, t, err);
    if (code) return code;
    if (json_count(offsets) != 2 || !json_is_array(offsets) || !json_whole(json_first(offsets), 0, INT64_MAX, &begin) ||
        !json_whole(json_next(json_first(offsets)), 0, INT64_MAX, &end) || begin > end || (uint64_t)end > size)
        return fail_at(err, RNND_CORRUPT, t->name,
                       "tensor \"%.80s\": wanted data_offsets [begin, end] within the %zu bytes behind the header; is "
                       "the file cut short?", t->name, size);
    if (!size_mul(t->count, stored_types[t->stored].bytes, &want) || want != (uint64_t)(end - begin))
        return fail_at(err, RNND_CORRUPT, t->name,
                       "tensor \"%.80s\": its shape wants %zu elements of %s, its range has %zu bytes", t->name,
                       t->count, stored_types[t->stored].name, (size_t)(end - begin));
    t->raw = buffer + begin;
    *r = (struct range){(uint64_t)begin, (uint64_t)end, t->name};
    return RNND_OK;
}

static int compare_ranges(const void *a, const void *b)
{
    const struct range *x = a, *y = b;
    if (x->begin != y->begin) return x->begin < y->begin ? -1 : 1;
    return x->end < y->end ? -1 : x->end > y->end;
}

static rnnd_code check_ranges(struct range *r, size_t n, size_t size, rnnd_error *err)
{
    uint64_t at = 0;
    if (n) qsort(r, n, sizeof *r, compare_ranges);
    for (size_t i = 0; i < n; i++) {
        if (r[i].begin != at)
            return fail_at(err, RNND_CORRUPT, r[i].name, "tensor \"%.80s\" begins at byte %llu, %s byte %llu",
                           r[i].name, (unsigned long long)r[i].begin,
                           r[i].begin < at ? "inside another that ends at" : "behind a hole from",
                           (unsigned long long)at);
        at = r[i].end;
    }
    if (at != size)
        return fail(err, RNND_CORRUPT, "the tensors end at byte %llu, the file has %zu bytes for them",
                    (unsigned long long)at, size);
    return RNND_OK;
}

static rnnd_code read_metadata(const struct json *meta, struct checkpoint *out, rnnd_error *err)
{
    if (!json_is_object(meta))
        return fail_at(err, RNND_CORRUPT, "__metadata__", "__metadata__: wanted an object, found %s",
                       json_type_name(meta));
    for (const struct json *e = json_first(meta); e; e = json_next(e)) {
        if (!json_is_string(e))
            return fail_at(err, RNND_CORRUPT, "__metadata__", "__metadata__: wanted strings only, \"%.40s\" is %s",
                           json_key(e), json_type_name(e));
        if (strcmp(json_key(e), "rnnd") != 0) continue;
        out->config_bytes = strlen(json_string(e));
        out->config = arena_string(&out->arena, json_string(e), out->config_bytes);
        if (!out->config) return fail_memory(err, out->config_bytes);
    }
    return RNND_OK;
}

static rnnd_code read_header(const struct json *header, const uint8_t *buffer, size_t size, struct checkpoint *out,
                             rnnd_error *err)
{
    if (!json_is_object(header))
        return fail(err, RNND_CORRUPT, "the header: wanted an object, found %s", json_type_name(header));
    size_t n = json_count(header);
    if (n > CHECKPOINT_MAX_TENSORS)
        return fail(err, RNND_CORRUPT, "the file names %zu tensors, at most %zu are read", n, CHECKPOINT_MAX_TENSORS);
    struct range *ranges = arena_alloc(&out->arena, n + 1, sizeof *ranges);
    out->tensors = arena_alloc(&out->arena, n + 1, sizeof *out->tensors);
    if (!ranges || !out->tensors) return fail_memory(err, n * sizeof *out->tensors);
    for (const struct json *e = json_first(header); e; e = json_next(e)) {
        const char *key = json_key(e);
        rnnd_code code;
        if (strcmp(key, "__metadata__") == 0) {
            code = read_metadata(e, out, err);
        } else {
            struct checkpoint_tensor *t = &out->tensors[out->count];
            t->name = arena_string(&out->arena, key, strlen(key));
            if (!t->name) return fail_memory(err, strlen(key));
            code = read_entry(e, buffer, size, t, &ranges[out->count], err);
            out->count++;
        }
        if (code) return code;
    }
    rnnd_code code = check_ranges(ranges, out->count, size, err);
    return code ? code : checkpoint_finish(out, err);
}

rnnd_code safetensors_read(const uint8_t *data, size_t bytes, const char *path, struct checkpoint *out,
                           rnnd_error *err)
{
    struct bytes b = bytes_of(data, bytes);
    const uint8_t *text;
    struct json *header;
    uint64_t n;
    (void)path;
    if (!bytes_u64(&b, &n)) return fail(err, RNND_CORRUPT, "the file has %zu bytes, its header length needs 8", bytes);
    if (n > JSON_MAX_BYTES)
        return fail(err, RNND_CORRUPT, "the header is said to have %llu bytes, at most %zu are read",
                    (unsigned long long)n, JSON_MAX_BYTES);
    if (!bytes_take(&b, (size_t)n, &text))
        return fail(err, RNND_CORRUPT, "the header is said to have %llu bytes, the file has %zu for it",
                    (unsigned long long)n, bytes_left(&b));
    rnnd_code code = json_parse((const char *)text, (size_t)n, "the header", &header, err);
    if (code) return code;
    code = read_header(header, text + n, bytes_left(&b), out, err);
    json_free(header);
    return code;
}

/* ---- writing ---- */

static bool item_bytes(const struct safetensors_item *item, size_t *bytes)
{
    *bytes = stored_types[item->stored].bytes;
    for (int k = 0; k < item->rank; k++)
        if (!size_mul(*bytes, item->dim[k], bytes)) return false;
    return true;
}

static rnnd_code put_header(struct json_text *t, const struct safetensors_item *items, size_t count,
                            const struct safetensors_meta *meta, size_t meta_count, size_t *data_bytes, rnnd_error *err)
{
    size_t at = 0;
    json_text_bytes(t, "\0\0\0\0\0\0\0\0{", 9);
    for (size_t i = 0; i < meta_count; i++) {
        json_text_add(t, i ? "," : "\"__metadata__\":{");
        json_text_string(t, meta[i].key);
        json_text_bytes(t, ":", 1);
        json_text_string(t, meta[i].value);
    }
    json_text_bytes(t, "}", meta_count != 0);
    for (size_t i = 0; i < count; i++) {
        size_t bytes, end;
        if (!item_bytes(&items[i], &bytes) || !size_add(at, bytes, &end))
            return fail(err, RNND_INVALID, "tensor \"%.80s\" is too large", items[i].name);
        json_text_bytes(t, ",", i || meta_count);
        json_text_string(t, items[i].name);
        json_text_add(t, ":{\"dtype\":\"%s\",\"shape\":[", stored_types[items[i].stored].name);
        for (int k = 0; k < items[i].rank; k++)
            json_text_add(t, k ? ",%zu" : "%zu", items[i].dim[k]);
        json_text_add(t, "],\"data_offsets\":[%zu,%zu]}", at, end);
        at = end;
    }
    json_text_bytes(t, "}", 1);
    while (!t->failed && t->size % 8)
        json_text_bytes(t, " ", 1);
    if (t->failed) return fail_memory(err, t->size);
    if (t->size - 8 > JSON_MAX_BYTES)
        return fail(err, RNND_TOO_LARGE, "the header would have %zu bytes, at most %zu are read", t->size - 8,
                    JSON_MAX_BYTES);
    uint64_t header = t->size - 8;
    for (int i = 0; i < 8; i++)
        t->data[i] = (char)(header >> (8 * i));
    *data_bytes = at;
    return RNND_OK;
}

rnnd_code safetensors_image(const struct safetensors_item *items, size_t count, const struct safetensors_meta *meta,
                            size_t meta_count, void **out, size_t *bytes, rnnd_error *err)
{
    struct json_text t = {0};
    size_t data_bytes = 0, n;
    rnnd_code code = put_header(&t, items, count, meta, meta_count, &data_bytes, err);
    for (size_t i = 0; i < count && !code; i++)
        if (item_bytes(&items[i], &n)) json_text_bytes(&t, items[i].data, n);
    if (!code && t.failed) code = fail_memory(err, t.size + data_bytes);
    if (code) {
        mem_free(t.data);
        return code;
    }
    *out = t.data;
    *bytes = t.size;
    return RNND_OK;
}

static bool write_all(int fd, const char *p, size_t n)
{
    while (n) {
        ssize_t k = write(fd, p, n);
        if (k < 0 && errno == EINTR) continue;
        if (k <= 0) return false;
        p += k;
        n -= (size_t)k;
    }
    return true;
}

static bool write_parts(int fd, const struct json_text *header, const struct safetensors_item *items, size_t count)
{
    size_t n;
    bool good = write_all(fd, header->data, header->size);
    for (size_t i = 0; i < count && good; i++)
        good = item_bytes(&items[i], &n) && write_all(fd, items[i].data, n);
    return good && fsync(fd) == 0;
}

rnnd_code safetensors_write(const char *path, const struct safetensors_item *items, size_t count,
                            const struct safetensors_meta *meta, size_t meta_count, rnnd_error *err)
{
    struct json_text header = {0};
    size_t bytes, length = strlen(path) + 8;
    rnnd_code code = put_header(&header, items, count, meta, meta_count, &bytes, err);
    char *part = code ? NULL : mem_alloc(length, 1);
    if (!part) {
        mem_free(header.data);
        return code ? code : fail_memory(err, length);
    }
    snprintf(part, length, "%s.part", path); /* renamed when whole, so that no reader meets half a file */
    int fd = open(part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    bool good = fd >= 0 && write_parts(fd, &header, items, count);
    int why = errno;
    if (fd >= 0 && close(fd) != 0 && good) {
        good = false;
        why = errno;
    }
    if (good && rename(part, path) != 0) {
        good = false;
        why = errno;
    }
    if (!good) {
        code = fail(err, RNND_IO, "writing %.200s: %s", path, strerror(why));
        if (fd >= 0) unlink(part);
    }
    mem_free(part);
    mem_free(header.data);
    return code;
}
