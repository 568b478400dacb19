/* torch_tensors.c -- storages, and tensors as views of them: checked, borrowed where they lie in order, copied else. */
#include <stdlib.h>
#include <string.h>

#include "core/base/error.h"
#include "core/formats/torch_parts.h"

static const struct torch_element elements[] = {
    {"FloatStorage", "float32", STORED_F32},    {"DoubleStorage", "float64", STORED_F64},
    {"HalfStorage", "float16", STORED_F16},     {"BFloat16Storage", "bfloat16", STORED_BF16},
    {"LongStorage", "int64", STORED_I64},       {"IntStorage", "int32", STORED_I32},
    {"ShortStorage", "int16", STORED_I16},      {"CharStorage", "int8", STORED_I8},
    {"ByteStorage", "uint8", STORED_U8},        {"BoolStorage", "bool", STORED_BOOL},
    {"UntypedStorage", "uint8", STORED_U8},     {"_UntypedStorage", "uint8", STORED_U8},
    {"UInt16Storage", "uint16", STORED_U16},    {"UInt32Storage", "uint32", STORED_U32},
    {"UInt64Storage", "uint64", STORED_U64},
};

static const char *last_word(const char *name)
{
    const char *space = strrchr(name, ' ');
    return space ? space + 1 : name;
}

const struct torch_element *torch_element(const char *storage)
{
    for (size_t i = 0; i < sizeof elements / sizeof *elements; i++)
        if (strcmp(elements[i].storage, storage) == 0) return &elements[i];
    return NULL;
}

rnnd_code torch_make_room(struct torch_reader *r, size_t bytes, const char *what)
{
    if (bytes > r->made_limit - r->made)
        return fail(r->err, RNND_TOO_LARGE, "%s would need more than the %zu bytes that a file of this size may", what,
                    r->made_limit);
    r->made += bytes;
    return RNND_OK;
}

/* ---- storages ---- */

static int compare_texts(const struct pickle_value *a, const struct pickle_value *b)
{
    size_t n = a->count < b->count ? a->count : b->count;
    int c = n ? memcmp(a->text, b->text, n) : 0;
    return c ? c : (a->count > b->count) - (a->count < b->count);
}

static int compare_storages(const void *a, const void *b)
{
    return compare_texts(((const struct torch_storage *)a)->key, ((const struct torch_storage *)b)->key);
}

struct torch_storage *torch_storage_find(struct torch_reader *r, const struct pickle_value *key)
{
    struct torch_storage wanted = {.key = key};
    if (!pickle_is(key, PICKLE_TEXT) || !r->storage_count) return NULL;
    return bsearch(&wanted, r->storages, r->storage_count, sizeof wanted, compare_storages);
}

/* False: a persistent id of another kind. */
static bool read_id(const struct pickle_value *id, struct torch_storage *s)
{
    const struct pickle_value *type = pickle_item(id, 1), *key = pickle_item(id, 2);
    int64_t count;
    if (!pickle_text_is(pickle_item(id, 0), "storage") || !pickle_is(type, PICKLE_GLOBAL) ||
        !pickle_is(key, PICKLE_TEXT) || !pickle_whole(pickle_item(id, 4), 0, INT64_C(1) << 48, &count))
        return false;
    *s = (struct torch_storage){.key = key, .type = last_word(type->text), .count = (size_t)count};
    return true;
}

rnnd_code torch_storages(struct torch_reader *r)
{
    size_t n = 0, count = 0;
    struct torch_storage *list = arena_alloc(&r->values, r->pickle.persistent_count + 1, sizeof *list);
    if (!list) return fail_memory(r->err, r->pickle.persistent_count * sizeof *list);
    for (const struct pickle_value *v = r->pickle.persistent; v; v = v->state)
        count += read_id(v->id, &list[count]);
    if (count) qsort(list, count, sizeof *list, compare_storages);
    for (size_t i = 0; i < count; i++) { /* each tensor has an id of its own for the storage it shares */
        if (n && compare_storages(&list[n - 1], &list[i]) == 0) {
            if (strcmp(list[n - 1].type, list[i].type) != 0)
                return fail(r->err, RNND_CORRUPT, "a storage is said to be both %.60s and %.60s", list[n - 1].type,
                            list[i].type);
            if (list[n - 1].count < list[i].count) list[n - 1].count = list[i].count;
            continue;
        }
        list[n++] = list[i];
    }
    r->storages = list;
    r->storage_count = n;
    return RNND_OK;
}

/* ---- tensors ---- */

enum form { FORM_NONE, FORM_V1, FORM_V2, FORM_V3, FORM_PARAMETER, FORM_TYPED, FORM_FOREIGN };

static enum form tensor_form(const char *name)
{
    static const char *const forms[] = {[FORM_V1] = "torch._utils _rebuild_tensor",
                                        [FORM_V2] = "torch._utils _rebuild_tensor_v2",
                                        [FORM_V3] = "torch._utils _rebuild_tensor_v3",
                                        [FORM_PARAMETER] = "torch._utils _rebuild_parameter",
                                        [FORM_TYPED] = "torch._tensor _rebuild_from_type_v2"};
    if (!name) return FORM_NONE;
    for (int i = FORM_V1; i <= FORM_TYPED; i++)
        if (strcmp(name, forms[i]) == 0) return (enum form)i;
    if (strcmp(name, "torch._utils _rebuild_parameter_with_state") == 0) return FORM_PARAMETER;
    return strncmp(name, "torch._utils _rebuild_", 22) == 0 ? FORM_FOREIGN : FORM_NONE;
}

bool torch_is_tensor(const struct pickle_value *v)
{
    return tensor_form(pickle_class(v)) != FORM_NONE;
}

struct view { /* a tensor as it is written */
    const struct torch_element *element;
    struct torch_storage *storage;
    size_t offset; /* elements */
    size_t stride[MAX_RANK];
    bool in_order;
};

static rnnd_code damaged(struct torch_reader *r, const char *name, const char *what)
{
    return fail_at(r->err, RNND_CORRUPT, name, "tensor \"%.80s\": %s", name, what);
}

static rnnd_code read_storage(struct torch_reader *r, const struct pickle_value *persistent, const char *dtype,
                              const char *name, struct view *v)
{
    const struct pickle_value *id = pickle_is(persistent, PICKLE_PERSISTENT) ? persistent->id : NULL;
    const struct pickle_value *view = pickle_item(id, 5);
    int64_t skip = 0;
    v->storage = torch_storage_find(r, pickle_item(id, 2));
    if (!v->storage) return damaged(r, name, "wanted a storage, found something else");
    v->element = torch_element(v->storage->type);
    for (size_t i = 0; dtype && i < sizeof elements / sizeof *elements; i++)
        if (strcmp(elements[i].dtype, dtype) == 0) v->element = &elements[i];
    if (!v->element || (dtype && strcmp(v->element->dtype, dtype) != 0))
        return fail_at(r->err, RNND_UNSUPPORTED, name,
                       "tensor \"%.80s\" is of %.60s, which is not read; floats and whole numbers are", name,
                       dtype ? dtype : v->storage->type);
    if (pickle_is(view, PICKLE_TUPLE) && !pickle_whole(pickle_item(view, 1), 0, INT64_C(1) << 48, &skip))
        return damaged(r, name, "its view of a storage is no view");
    v->offset = (size_t)skip;
    if (v->storage->raw) return RNND_OK;
    if (r->root) return torch_zip_load(r, v->storage);
    return damaged(r, name, "its storage is not among those that the file lists");
}

static rnnd_code read_shape(struct torch_reader *r, const struct pickle_value *size, const struct pickle_value *stride,
                            struct checkpoint_tensor *t, struct view *v)
{
    size_t n = pickle_is(size, PICKLE_TUPLE) ? size->count : SIZE_MAX, expected = 1;
    int64_t d, s;
    if (n > MAX_RANK)
        return fail_at(r->err, n == SIZE_MAX ? RNND_CORRUPT : RNND_UNSUPPORTED, t->name,
                       "tensor \"%.80s\": wanted a shape of at most %d numbers", t->name, MAX_RANK);
    if (!pickle_is(stride, PICKLE_TUPLE) || stride->count != n)
        return damaged(r, t->name, "wanted a stride for each dimension");
    t->rank = (int)n;
    t->count = 1;
    for (size_t i = 0; i < n; i++) {
        if (!pickle_whole(size->items[i], 0, INT64_C(1) << 48, &d) ||
            !pickle_whole(stride->items[i], 0, INT64_C(1) << 48, &s) || !size_mul(t->count, (size_t)d, &t->count))
            return damaged(r, t->name, "a dimension or stride is no whole number in range");
        t->dim[i] = (size_t)d;
        v->stride[i] = (size_t)s;
    }
    v->in_order = true;
    for (size_t i = n; i-- > 0;) {
        v->in_order &= t->dim[i] <= 1 || v->stride[i] == expected;
        if (t->count) expected *= t->dim[i];
    }
    return RNND_OK;
}

/* That every element lies within the storage. */
static rnnd_code check_extent(struct torch_reader *r, const struct checkpoint_tensor *t, const struct view *v)
{
    size_t last = v->offset, part, bytes;
    bool fits = true;
    for (int i = 0; i < t->rank && t->count; i++)
        fits = fits && size_mul(t->dim[i] - 1, v->stride[i], &part) && size_add(last, part, &last);
    fits = fits && size_add(last, t->count > 0, &last) &&
           size_mul(last, stored_types[v->element->stored].bytes, &bytes);
    if (fits && bytes <= v->storage->bytes) return RNND_OK;
    return fail_at(r->err, RNND_CORRUPT, t->name,
                   "tensor \"%.80s\" reaches beyond its storage, which has %zu bytes", t->name, v->storage->bytes);
}

/* In C order and little-endian. */
static rnnd_code copy_view(struct torch_reader *r, struct checkpoint_tensor *t, const struct view *v)
{
    size_t width = stored_types[t->stored].bytes, at[MAX_RANK] = {0}, bytes;
    if (!size_mul(t->count, width, &bytes)) return damaged(r, t->name, "its shape overflows");
    rnnd_code code = torch_make_room(r, bytes, "a tensor that does not lie in order");
    uint8_t *to = code ? NULL : arena_alloc(&r->ck->arena, bytes, 1);
    if (!to) return code ? code : fail_memory(r->err, bytes);
    t->raw = to;
    for (size_t n = 0; n < t->count; n++, to += width) {
        size_t from = v->offset;
        for (int i = 0; i < t->rank; i++)
            from += at[i] * v->stride[i];
        const uint8_t *p = v->storage->raw + from * width;
        for (size_t b = 0; b < width; b++)
            to[b] = p[r->big_endian ? width - 1 - b : b];
        for (int i = t->rank - 1; i >= 0 && ++at[i] == t->dim[i]; i--)
            at[i] = 0;
    }
    return RNND_OK;
}

static rnnd_code add_view(struct torch_reader *r, enum form form, const struct pickle_value *args, const char *name)
{
    struct checkpoint_tensor t = {.name = name};
    struct view v = {0};
    int64_t offset;
    const char *dtype = NULL;
    if (form == FORM_V3) {
        const struct pickle_value *type = pickle_item(args, 6);
        if (!pickle_is(type, PICKLE_GLOBAL)) return damaged(r, name, "wanted an element type");
        dtype = last_word(type->text);
    }
    rnnd_code code = read_storage(r, pickle_item(args, 0), dtype, name, &v);
    if (!code) code = read_shape(r, pickle_item(args, 2), pickle_item(args, 3), &t, &v);
    if (code) return code;
    if (!pickle_whole(pickle_item(args, 1), 0, INT64_C(1) << 48, &offset))
        return damaged(r, name, "its offset is no whole number in range");
    v.offset += (size_t)offset;
    t.stored = v.element->stored;
    size_t width = stored_types[t.stored].bytes;
    code = check_extent(r, &t, &v);
    if (code) return code;
    if (v.in_order && (!r->big_endian || width == 1))
        t.raw = v.storage->raw + (t.count ? v.offset * width : 0);
    else
        code = copy_view(r, &t, &v);
    return code ? code : checkpoint_add(r->ck, &t, r->err);
}

rnnd_code torch_add_tensor(struct torch_reader *r, const struct pickle_value *v, const char *name)
{
    const char *class = pickle_class(v);
    const struct pickle_value *args = v->object->args;
    enum form form = tensor_form(class);
    for (int depth = 0; depth < 8 && (form == FORM_PARAMETER || form == FORM_TYPED); depth++) {
        if (form == FORM_TYPED) { /* (function, type, its arguments, attributes) */
            const struct pickle_value *function = pickle_item(args, 0);
            class = pickle_is(function, PICKLE_GLOBAL) ? function->text : NULL;
            args = pickle_item(args, 2);
        } else { /* (tensor, requires_grad, hooks) */
            const struct pickle_value *inner = pickle_item(args, 0);
            class = pickle_class(inner);
            args = class ? inner->object->args : NULL;
        }
        form = tensor_form(class);
    }
    if (form == FORM_FOREIGN)
        return fail_at(r->err, RNND_UNSUPPORTED, name,
                       "tensor \"%.80s\" is written by %.60s (quantised, sparse or of another kind), which is not "
                       "read: save the dense float model", name, last_word(class));
    if (form != FORM_V1 && form != FORM_V2 && form != FORM_V3) return damaged(r, name, "it is made of no tensor");
    return add_view(r, form, args, name);
}
