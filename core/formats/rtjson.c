/* rtjson.c -- what the JSON formats have in common: telling them apart, tensors, the configuration they become. */
#include "core/formats/rtjson.h"

#include <stdio.h>
#include <string.h>

#include "core/base/bytes.h"
#include "core/base/error.h"

static bool take_space(struct bytes *b)
{
    while (b->at < b->size && strchr(" \t\r\n", b->data[b->at]) && b->data[b->at])
        b->at++;
    return b->at < b->size;
}

/* A string at the place, the content's bytes in *out. */
static bool take_string(struct bytes *b, struct bytes *out)
{
    size_t from = ++b->at;
    for (; b->at < b->size && b->data[b->at] != '"'; b->at++)
        if (b->data[b->at] == '\\') b->at++;
    return b->at < b->size && bytes_slice(b, from, b->at++ - from, out);
}

bool rtjson_has(const uint8_t *data, size_t bytes, const char *key)
{
    struct bytes b = bytes_of(data, bytes), string;
    size_t depth = 0, n = strlen(key);
    bool name = false; /* a string here would be a key */
    if (!take_space(&b) || b.data[b.at] != '{') return false;
    while (take_space(&b)) {
        uint8_t c = b.data[b.at];
        if (c == '"') {
            if (!take_string(&b, &string)) return false;
            if (name && depth == 1 && string.size == n && memcmp(string.data, key, n) == 0) return true;
            name = false;
            continue;
        }
        if (c == '{' || c == '[') depth++;
        if ((c == '}' || c == ']') && --depth == 0) return false;
        if (c < 0x20) return false;
        name = c == '{' || c == ',';
        b.at++;
    }
    return false;
}

rnnd_code rtjson_begin(struct rtjson *r, const uint8_t *data, size_t bytes, const char *what, struct checkpoint *ck,
                       rnnd_error *err)
{
    memset(r, 0, sizeof *r);
    r->ck = ck;
    return json_arrays_read((const char *)data, bytes, what, &r->doc, err);
}

rnnd_code rtjson_end(struct rtjson *r, rnnd_code code, rnnd_error *err)
{
    struct checkpoint *ck = r->ck;
    if (!code && (r->config.size || r->config.failed)) {
        json_text_bytes(&r->config, "]}", 2);
        ck->config = r->config.failed ? NULL : arena_string(&ck->arena, r->config.data, r->config.size);
        ck->config_bytes = r->config.size;
        ck->config_made = true;
        if (!ck->config) code = fail_memory(err, r->config.size);
    }
    if (r->doc.floats)
        ck->memory[0] = (uint8_t *)r->doc.floats; /* tensors point into it, whatever became of the rest */
    r->doc.floats = NULL;
    json_arrays_free(&r->doc);
    mem_free(r->config.data);
    return code ? code : checkpoint_finish(ck, err);
}

rnnd_code rtjson_tensor(struct rtjson *r, const char *layer, const char *role, const struct json_array *numbers,
                        rnnd_error *err)
{
    char name[256];
    int n = snprintf(name, sizeof name, role ? "%s.%s" : "%s", layer, role);
    if (n < 0 || (size_t)n >= sizeof name)
        return fail(err, RNND_CORRUPT, "the name of the tensor \"%.80s\" has more than %zu bytes", layer,
                    sizeof name - 1);
    struct checkpoint_tensor t = {.name = name,
                                  .stored = STORED_F32,
                                  .rank = numbers->rank,
                                  .count = numbers->count,
                                  .raw = (const uint8_t *)(r->doc.floats + numbers->at)};
    memcpy(t.dim, numbers->dim, sizeof t.dim);
    return checkpoint_add(r->ck, &t, err);
}

rnnd_code rtjson_weight(struct rtjson *r, const char *layer, const char *role, const struct json_array *found, int rank,
                        const size_t *dim, rnnd_error *err)
{
    char wanted[96], there[96] = "none";
    bool same = found && found->rank == rank;
    for (int i = 0; same && i < rank; i++)
        same = found->dim[i] == dim[i];
    if (same) return rtjson_tensor(r, layer, role, found, err);
    if (found) shape_text(there, found->rank, found->dim);
    return fail_at(err, RNND_CORRUPT, layer, "layer %.80s, %s: wanted numbers of shape %s, found %s", layer, role,
                   shape_text(wanted, rank, dim), there);
}

void rtjson_head(struct rtjson *r, size_t width)
{
    json_text_add(&r->config, "{\"format\":1,\"inputs\":[{\"name\":\"input\",\"width\":%zu}],\"layers\":[", width);
}

void rtjson_layer(struct rtjson *r, const char *type, const char *name)
{
    json_text_add(&r->config, "%s{\"type\":\"%s\",\"name\":", r->layers++ ? "," : "", type);
    json_text_string(&r->config, name);
    snprintf(r->last, sizeof r->last, "%s", name);
}
