/* torch.c -- PyTorch files: which they are, the zip form, and what they leave behind. */
#include "core/formats/torch.h"

#include <string.h>

#include "core/base/error.h"
#include "core/formats/torch_parts.h"

/* Memory besides what is in proportion to the file: objects of the pickle, and what is copied, inflated and named. */
#define VALUE_BYTES ((size_t)32 << 20)
#define MADE_BYTES ((size_t)8 << 20)
#define PROBE_LIMIT ((size_t)16 << 20)

static bool is_tar(const uint8_t *data, size_t bytes)
{
    return bytes >= 512 && memcmp(data + 257, "ustar", 5) == 0;
}

static bool is_pickle(const uint8_t *data, size_t bytes)
{
    return bytes >= 3 && data[0] == 0x80 && data[1] >= 1 && data[1] <= 5;
}

/* The first entry is <root>/data.pkl or, of TorchScript, <root>/data/0: so a file cut short is still known as one. */
static bool begins_like_torch(const uint8_t *data, size_t bytes)
{
    size_t n = bytes >= 30 ? (size_t)(data[26] | data[27] << 8) : 0;
    const char *name = (const char *)data + 30;
    if (!n || n > bytes - 30 || memcmp(data, "PK\3\4", 4) != 0) return false;
    return (n > 9 && memcmp(name + n - 9, "/data.pkl", 9) == 0) || memmem(name, n, "/data/", 6);
}

/* <root>/data.pkl: of more than one (TorchScript may carry files of others) that with the shortest name. */
static const struct zip_entry *find_pickle(const struct zip *z)
{
    const struct zip_entry *best = NULL;
    for (size_t i = 0; i < z->count; i++) {
        const char *name = z->entries[i].name;
        size_t n = strlen(name);
        if (n > 9 && strcmp(name + n - 9, "/data.pkl") == 0 && (!best || n < strlen(best->name)))
            best = &z->entries[i];
    }
    return best;
}

bool torch_probe(const uint8_t *data, size_t bytes)
{
    struct arena arena;
    struct zip zip;
    if (is_pickle(data, bytes) || is_tar(data, bytes)) return true;
    if (!zip_probe(data, bytes)) return false;
    if (begins_like_torch(data, bytes)) return true;
    arena_init(&arena, PROBE_LIMIT);
    bool found = zip_read(data, bytes, &arena, &zip, NULL) == RNND_OK && find_pickle(&zip);
    arena_free(&arena);
    return found;
}

const struct torch_fact *torch_fact(const struct torch_module *m, const char *key)
{
    for (size_t i = 0; m && i < m->fact_count; i++)
        if (strcmp(m->facts[i].key, key) == 0) return &m->facts[i];
    return NULL;
}

static void release(void *own)
{
    struct torch_document *d = own; /* in the checkpoint's arena, as all but these blocks */
    for (struct torch_owned *o = d->owned; o; o = o->next)
        mem_free(o->data);
}

const struct torch_file *torch_of(const struct checkpoint *ck)
{
    return ck->release == release ? ck->own : NULL;
}

/* ---- zip ---- */

static rnnd_code entry_bytes(struct torch_reader *r, const struct zip_entry *e, const uint8_t **out, rnnd_error *err)
{
    uint8_t *block = NULL;
    size_t limit = r->made_limit - r->made;
    rnnd_code code = zip_bytes(e, limit, out, &block, err);
    if (code || !block) return code;
    struct torch_owned *o = arena_alloc(&r->ck->arena, 1, sizeof *o);
    if (!o) {
        mem_free(block);
        return fail_memory(err, sizeof *o);
    }
    *o = (struct torch_owned){r->document->owned, block};
    r->document->owned = o;
    r->made += e->bytes;
    return RNND_OK;
}

/* Looks <root>/NAME up; NULL in *out: there is none. */
static rnnd_code find_entry(struct torch_reader *r, const char *part, const char *name, size_t n,
                            const struct zip_entry **out)
{
    size_t a = strlen(r->root), b = strlen(part), total;
    char *path = size_add(n, a + b + 1, &total) ? arena_alloc(&r->values, total, 1) : NULL;
    if (!path) return fail_memory(r->err, n);
    memcpy(path, r->root, a);
    memcpy(path + a, part, b);
    memcpy(path + a + b, name, n);
    *out = zip_find(&r->zip, path);
    return RNND_OK;
}

rnnd_code torch_zip_load(struct torch_reader *r, struct torch_storage *s)
{
    const struct zip_entry *e;
    if (memchr(s->key->text, 0, s->key->count))
        return fail(r->err, RNND_CORRUPT, "a storage's key has a zero byte in it");
    rnnd_code code = find_entry(r, "/data/", s->key->text, s->key->count, &e);
    if (code) return code;
    if (!e)
        return fail(r->err, RNND_CORRUPT, "the archive has no entry %.80s/data/%.*s for a storage", r->root,
                    s->key->count < 80 ? (int)s->key->count : 80, s->key->text);
    code = entry_bytes(r, e, &s->raw, r->err);
    s->bytes = e->bytes;
    return code;
}

static rnnd_code read_byteorder(struct torch_reader *r)
{
    const struct zip_entry *e;
    const uint8_t *text;
    rnnd_code code = find_entry(r, "/byteorder", "", 0, &e);
    if (code || !e) return code;
    code = entry_bytes(r, e, &text, r->err);
    if (code) return code;
    r->big_endian = e->bytes >= 3 && memcmp(text, "big", 3) == 0;
    if (!r->big_endian && (e->bytes < 6 || memcmp(text, "little", 6) != 0))
        return fail(r->err, RNND_CORRUPT, "its byteorder: wanted \"little\" or \"big\", found \"%.*s\"",
                    e->bytes < 20 ? (int)e->bytes : 20, (const char *)text);
    return RNND_OK;
}

static rnnd_code read_zip(struct torch_reader *r)
{
    const uint8_t *text;
    rnnd_code code = zip_read(r->data, r->bytes, &r->values, &r->zip, r->err);
    if (code) return code;
    const struct zip_entry *e = find_pickle(&r->zip);
    if (!e) return fail(r->err, RNND_CORRUPT, "the archive has no data.pkl, which says what its tensors are");
    r->root = arena_string(&r->values, e->name, strlen(e->name) - 9);
    if (!r->root) return fail_memory(r->err, strlen(e->name));
    code = entry_bytes(r, e, &text, r->err);
    if (!code) code = read_byteorder(r);
    struct bytes in = bytes_of(code ? NULL : text, code ? 0 : e->bytes);
    if (!code) code = pickle_read(&in, &r->values, &r->pickle, r->err);
    if (!code) code = torch_storages(r);
    return code ? code : torch_walk(r);
}

/* ---- all forms ---- */

static rnnd_code read_form(struct torch_reader *r)
{
    if (is_tar(r->data, r->bytes))
        return fail(r->err, RNND_UNSUPPORTED,
                    "a tar file, as PyTorch wrote before 0.1.10: load it with torch.load() and torch.save() it again");
    if (zip_probe(r->data, r->bytes)) return read_zip(r);
    size_t n = r->bytes < sizeof torch_legacy_magic ? r->bytes : sizeof torch_legacy_magic;
    /* the pickle's protocol is the writer's choice */
    if (n < 3 || r->data[0] != 0x80 || memcmp(r->data + 2, torch_legacy_magic + 2, n - 2) != 0)
        return fail(r->err, RNND_UNSUPPORTED,
                    "a Python pickle that torch.save() did not write (a scaler, a scikit-learn or joblib object?): "
                    "wanted a model's tensors; models/rnnd_export.py writes them from Python");
    return torch_legacy(r);
}

rnnd_code torch_read(const uint8_t *data, size_t bytes, const char *path, struct checkpoint *out, rnnd_error *err)
{
    struct torch_reader r = {.data = data, .bytes = bytes, .ck = out, .err = err};
    (void)path;
    struct torch_document *d = arena_alloc(&out->arena, 1, sizeof *d);
    if (!d) return fail_memory(err, sizeof *d);
    out->own = r.document = d;
    out->release = release;
    r.made_limit = MADE_BYTES + (bytes < SIZE_MAX / 2 ? bytes : 0);
    arena_init(&r.values, VALUE_BYTES + (bytes < SIZE_MAX / 4 ? 2 * bytes : 0));
    rnnd_code code = read_form(&r);
    if (!code) code = checkpoint_finish(out, err);
    arena_free(&r.values);
    return code;
}
