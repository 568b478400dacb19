/* torch_walk.c -- from the pickle's root to named tensors: which part is the model, what its modules are. */
#include <stdio.h>
#include <string.h>

#include "core/base/error.h"
#include "core/formats/torch_parts.h"

#define MAX_DEPTH 48
#define MAX_VISITS ((size_t)1 << 23)
#define MAX_PATH 512
#define MAX_FACTS 48
#define MAX_FACT_TEXT 64

struct path { /* of keys joined by '.' */
    char text[MAX_PATH];
    size_t size;
};

static rnnd_code walk(struct torch_reader *r, const struct pickle_value *v, struct path *p, int depth);

/* ---- looking without taking ---- */

static const struct pickle_value *state_of(const struct pickle_value *v)
{
    const struct pickle_value *s = pickle_is(v, PICKLE_OBJECT) ? v->state : NULL;
    if (pickle_is(s, PICKLE_TUPLE) && s->count == 2) s = s->items[0]; /* (__dict__, __slots__) */
    return pickle_is(s, PICKLE_DICT) ? s : NULL;
}

static bool is_script(const struct pickle_value *v)
{
    const char *class = pickle_class(v);
    return class && state_of(v) && strncmp(class, "__torch__", 9) == 0;
}

static bool is_module(const struct pickle_value *v)
{
    const struct pickle_value *state = state_of(v);
    return is_script(v) || pickle_is(pickle_get(state, "_modules"), PICKLE_DICT) ||
           pickle_is(pickle_get(state, "_parameters"), PICKLE_DICT);
}

/* Whether any tensor is within; gives up, saying no, in nests that have no end. */
static bool holds_tensors(struct torch_reader *r, const struct pickle_value *v, int depth)
{
    if (depth > MAX_DEPTH || ++r->visits > MAX_VISITS) return false;
    if (torch_is_tensor(v)) return true;
    if (is_module(v)) v = state_of(v);
    bool dict = pickle_is(v, PICKLE_DICT), list = pickle_is(v, PICKLE_LIST) || pickle_is(v, PICKLE_TUPLE);
    for (size_t i = 0; (dict || list) && i < v->count; i++)
        if (holds_tensors(r, dict ? v->items[2 * i + 1] : v->items[i], depth + 1)) return true;
    return false;
}

/* An optimizer's part of a checkpoint: its moments look like tensors of a model. */
static bool is_optimizer(const struct pickle_value *key, const struct pickle_value *v)
{
    char name[64];
    if (pickle_get(v, "param_groups")) return true;
    if (!pickle_is(key, PICKLE_TEXT) || pickle_is(v, PICKLE_OBJECT)) return false;
    size_t n = key->count < sizeof name - 1 ? key->count : sizeof name - 1;
    for (size_t i = 0; i < n; i++)
        name[i] = (char)(key->text[i] >= 'A' && key->text[i] <= 'Z' ? key->text[i] | 0x20 : key->text[i]);
    name[n] = 0;
    return strstr(name, "optim") || strstr(name, "sched") || strcmp(name, "opt") == 0;
}

static bool is_part(const struct pickle_value *v)
{
    return pickle_is(v, PICKLE_DICT) || is_module(v);
}

/* The part of a checkpoint that is the model, or the dict itself. */
static const struct pickle_value *unwrap(struct torch_reader *r, const struct pickle_value *v)
{
    static const char *const names[] = {"model_state_dict", "state_dict", "model_state", "model", "net", "network",
                                        "module", "weights", "params", "state"};
    for (int depth = 0; depth < 8 && pickle_is(v, PICKLE_DICT); depth++) {
        const struct pickle_value *inner = NULL;
        size_t parts = 0;
        for (size_t i = 0; i < sizeof names / sizeof *names && !inner; i++) {
            const struct pickle_value *part = pickle_get(v, names[i]);
            r->visits = 0;
            if (is_part(part) && holds_tensors(r, part, 0)) inner = part;
        }
        for (size_t i = 0; i < v->count && !inner; i++) /* a state_dict has tensors, no parts */
            if (torch_is_tensor(v->items[2 * i + 1])) return v;
        for (size_t i = 0; i < v->count && parts < 2 && (!inner || parts); i++) {
            const struct pickle_value *part = v->items[2 * i + 1];
            r->visits = 0;
            if (is_optimizer(v->items[2 * i], part) || !is_part(part) || !holds_tensors(r, part, 0)) continue;
            inner = part;
            parts++;
        }
        if (!inner || parts > 1) return v;
        v = inner;
    }
    return v;
}

/* ---- names ---- */

/* UTF-8 without control characters: names go into messages and JSON. */
static bool is_name(const char *s, size_t n)
{
    for (size_t i = 0; i < n;) {
        unsigned char c = (unsigned char)s[i];
        size_t more = c < 0x80 ? 0 : c < 0xe0 ? 1 : c < 0xf0 ? 2 : 3;
        if (c < 0x20 || c == 0x7f || (more && c < 0xc2) || c > 0xf4 || more > n - i - 1) return false;
        unsigned second = more ? (unsigned char)s[i + 1] : 0x80;
        if ((c == 0xe0 && second < 0xa0) || (c == 0xed && second >= 0xa0) || (c == 0xf0 && second < 0x90) ||
            (c == 0xf4 && second >= 0x90))
            return false;
        for (size_t k = 1; k <= more; k++)
            if (((unsigned char)s[i + k] & 0xc0) != 0x80) return false;
        i += more + 1;
    }
    return true;
}

/* Adds ".key"; *before is what to give to leave(). */
static rnnd_code enter(struct torch_reader *r, struct path *p, const char *key, size_t n, size_t *before)
{
    *before = p->size;
    if (!is_name(key, n)) return fail(r->err, RNND_CORRUPT, "a name below \"%.80s\" is no text", p->text);
    if (n > MAX_PATH - 2 - p->size)
        return fail(r->err, RNND_CORRUPT, "a name below \"%.80s\" has more than %d bytes", p->text, MAX_PATH);
    if (p->size) p->text[p->size++] = '.';
    memcpy(p->text + p->size, key, n);
    p->size += n;
    p->text[p->size] = 0;
    return RNND_OK;
}

static void leave(struct path *p, size_t before)
{
    p->size = before;
    p->text[before] = 0;
}

/* What may have tensors below; other things (vocabularies, settings) may have any names. */
static rnnd_code walk_below(struct torch_reader *r, const struct pickle_value *key, const struct pickle_value *v,
                            struct path *p, int depth)
{
    bool list = v->kind == PICKLE_TUPLE || v->kind == PICKLE_LIST || v->kind == PICKLE_DICT;
    char number[24];
    size_t before, n = key->count;
    const char *name = number;
    if (!list && !torch_is_tensor(v) && !is_module(v)) return RNND_OK;
    if (key->kind != PICKLE_INT && key->kind != PICKLE_TEXT) return RNND_OK;
    if (key->kind == PICKLE_INT)
        n = (size_t)snprintf(number, sizeof number, "%lld", (long long)key->whole);
    else
        name = key->text;
    if (list && (n > MAX_PATH / 2 || !is_name(name, n)) && !holds_tensors(r, v, depth)) return RNND_OK;
    rnnd_code code = enter(r, p, name, n, &before);
    if (!code) code = walk(r, v, p, depth + 1);
    leave(p, before);
    return code;
}

/* ---- modules ---- */

static rnnd_code add_fact(struct torch_reader *r, struct torch_module *m, struct torch_fact *facts,
                          const struct pickle_value *key, const struct pickle_value *v)
{
    struct torch_fact f = {0};
    if (pickle_is(v, PICKLE_TUPLE) && v->count == 1) v = v->items[0];
    switch (v->kind) {
    case PICKLE_BOOL:
        f.kind = TORCH_BOOL;
        f.whole = v->whole;
        break;
    case PICKLE_INT:
        f.kind = TORCH_INT;
        f.whole = v->whole;
        f.number = (double)v->whole;
        break;
    case PICKLE_FLOAT:
        f.kind = TORCH_FLOAT;
        f.number = v->number;
        break;
    case PICKLE_TEXT:
        f.kind = TORCH_TEXT;
        if (v->count > MAX_FACT_TEXT || !is_name(v->text, v->count)) return RNND_OK;
        if (!(f.text = arena_string(&r->ck->arena, v->text, v->count))) return fail_memory(r->err, v->count);
        break;
    default:
        return RNND_OK;
    }
    if (m->fact_count == MAX_FACTS || key->count > MAX_FACT_TEXT || !is_name(key->text, key->count)) return RNND_OK;
    if (!(f.key = arena_string(&r->ck->arena, key->text, key->count))) return fail_memory(r->err, key->count);
    facts[m->fact_count++] = f;
    return RNND_OK;
}

static rnnd_code add_module(struct torch_reader *r, const char *path, struct torch_module **out)
{
    struct torch_document *d = r->document;
    rnnd_code code = torch_make_room(r, sizeof **out * 2 + strlen(path) + 16, "what the file says of its modules");
    if (code) return code;
    if (d->file.module_count == d->module_cap) {
        size_t cap = d->module_cap ? d->module_cap * 2 : 16;
        struct torch_module *list = arena_alloc(&r->ck->arena, cap, sizeof *list);
        if (!list) return fail_memory(r->err, cap * sizeof *list);
        if (d->module_cap) memcpy(list, d->file.modules, d->module_cap * sizeof *list);
        d->file.modules = list;
        d->module_cap = cap;
    }
    struct torch_module *m = *out = &d->file.modules[d->file.module_count++];
    m->path = arena_string(&r->ck->arena, path, strlen(path));
    return m->path ? RNND_OK : fail_memory(r->err, strlen(path));
}

static rnnd_code describe_module(struct torch_reader *r, const struct pickle_value *v, const struct path *p)
{
    const struct pickle_value *state = state_of(v), *inner = pickle_get(state, "_modules");
    const char *class = pickle_class(v), *space = class ? strrchr(class, ' ') : NULL;
    struct torch_module *m;
    size_t plain = 0;
    rnnd_code code = add_module(r, p->text, &m);
    if (code) return code;
    m->torch_nn = class && (strncmp(class, "torch.nn.modules.", 17) == 0 ||
                            strncmp(class, "__torch__.torch.nn.", 19) == 0);
    class = space ? space + 1 : "module";
    size_t length = strnlen(class, MAX_FACT_TEXT);
    m->class_name = arena_string(&r->ck->arena, class, is_name(class, length) ? length : 0);
    if (!m->class_name) return fail_memory(r->err, length);
    for (size_t i = 0; i < state->count; i++)
        plain += pickle_is(state->items[2 * i], PICKLE_TEXT) && state->items[2 * i + 1]->kind <= PICKLE_TUPLE;
    if (plain > MAX_FACTS) plain = MAX_FACTS;
    code = torch_make_room(r, plain * (sizeof(struct torch_fact) + 2 * MAX_FACT_TEXT),
                           "what the file says of its modules");
    struct torch_fact *facts = code ? NULL : arena_alloc(&r->ck->arena, plain, sizeof *facts);
    if (!facts) return code ? code : fail_memory(r->err, plain * sizeof *facts);
    m->facts = facts;
    for (size_t i = 0; i < state->count && !code && m->fact_count < plain; i++) {
        const struct pickle_value *key = state->items[2 * i];
        if (pickle_is(key, PICKLE_TEXT)) code = add_fact(r, m, facts, key, state->items[2 * i + 1]);
    }
    if (pickle_is(inner, PICKLE_DICT)) m->children = inner->count;
    for (size_t i = 0; is_script(v) && i < state->count; i++)
        m->children += is_module(state->items[2 * i + 1]);
    return code;
}

static rnnd_code walk_module(struct torch_reader *r, const struct pickle_value *v, struct path *p, int depth)
{
    static const char *const parts[] = {"_parameters", "_buffers", "_modules"};
    const struct pickle_value *state = state_of(v);
    rnnd_code code = describe_module(r, v, p);
    if (is_script(v)) { /* attributes: parameters, buffers, others, submodules */
        for (size_t i = 0; i < state->count && !code; i++) {
            const struct pickle_value *below = state->items[2 * i + 1];
            if (torch_is_tensor(below) || is_module(below)) code = walk_below(r, state->items[2 * i], below, p, depth);
        }
        return code;
    }
    for (size_t k = 0; k < 3; k++) {
        const struct pickle_value *dict = pickle_get(state, parts[k]);
        for (size_t i = 0; pickle_is(dict, PICKLE_DICT) && i < dict->count && !code; i++) {
            const struct pickle_value *below = dict->items[2 * i + 1];
            if (torch_is_tensor(below) || is_module(below)) code = walk_below(r, dict->items[2 * i], below, p, depth);
        }
    }
    return code;
}

/* ---- all ---- */

static rnnd_code add_tensor(struct torch_reader *r, const struct pickle_value *v, const struct path *p)
{
    struct torch_document *d = r->document;
    const char *name = p->size ? p->text : "tensor";
    rnnd_code code = torch_make_room(r, strlen(name) + 16 + sizeof(struct checkpoint_tensor), "the file's names");
    if (!code) code = torch_add_tensor(r, v, name);
    if (code) return code;
    if (d->file.order_count == d->order_cap) {
        size_t cap = d->order_cap ? d->order_cap * 2 : 64;
        const char **list = arena_alloc(&r->ck->arena, cap, sizeof *list);
        if (!list) return fail_memory(r->err, cap * sizeof *list);
        if (d->order_cap) memcpy(list, d->file.order, d->order_cap * sizeof *list);
        d->file.order = list;
        d->order_cap = cap;
    }
    d->file.order[d->file.order_count++] = r->ck->tensors[r->ck->count - 1].name;
    return RNND_OK;
}

/* A state_dict's metadata lists the paths of all modules, those without tensors too. */
static rnnd_code walk_metadata(struct torch_reader *r, const struct pickle_value *dict)
{
    const struct pickle_value *paths = pickle_get(pickle_is(dict, PICKLE_DICT) ? dict->state : NULL, "_metadata");
    struct torch_module *m;
    rnnd_code code = RNND_OK;
    char text[MAX_PATH];
    for (size_t i = 0; pickle_is(paths, PICKLE_DICT) && i < paths->count && !code; i++) {
        const struct pickle_value *key = paths->items[2 * i];
        if (!pickle_is(key, PICKLE_TEXT) || key->count >= MAX_PATH || !is_name(key->text, key->count)) continue;
        memcpy(text, key->text, key->count);
        text[key->count] = 0;
        code = add_module(r, text, &m);
    }
    return code;
}

static rnnd_code walk(struct torch_reader *r, const struct pickle_value *v, struct path *p, int depth)
{
    rnnd_code code = RNND_OK;
    if (depth > MAX_DEPTH || ++r->visits > MAX_VISITS)
        return fail(r->err, RNND_TOO_LARGE, "the object is nested too deeply or too often at \"%.80s\"", p->text);
    if (torch_is_tensor(v)) return add_tensor(r, v, p);
    if (is_module(v)) return walk_module(r, v, p, depth);
    for (size_t i = 0; pickle_is(v, PICKLE_DICT) && i < v->count && !code; i++)
        if (!is_optimizer(v->items[2 * i], v->items[2 * i + 1]))
            code = walk_below(r, v->items[2 * i], v->items[2 * i + 1], p, depth);
    for (size_t i = 0; (v->kind == PICKLE_LIST || v->kind == PICKLE_TUPLE) && i < v->count && !code; i++) {
        struct pickle_value index = {.kind = PICKLE_INT, .whole = (int64_t)i};
        code = walk_below(r, &index, v->items[i], p, depth);
    }
    return code;
}

/* Takes a prefix off that all tensors share. */
static void strip(struct torch_reader *r, const char *prefix)
{
    struct torch_file *f = &r->document->file;
    size_t n = strlen(prefix), kept = 0;
    for (size_t i = 0; i < f->order_count; i++)
        if (strncmp(f->order[i], prefix, n) != 0) return;
    for (size_t i = 0; i < f->order_count; i++) {
        f->order[i] += n;
        r->ck->tensors[i].name += n; /* not sorted yet */
    }
    for (size_t i = 0; i < f->module_count; i++) { /* the wrapping module itself goes */
        struct torch_module *m = &f->modules[i];
        bool itself = strncmp(m->path, prefix, n - 1) == 0 && !m->path[n - 1];
        if (!itself && strncmp(m->path, prefix, n) != 0) continue;
        f->modules[kept] = *m;
        f->modules[kept++].path = m->path + (itself ? n - 1 : n);
    }
    f->module_count = kept;
}

rnnd_code torch_walk(struct torch_reader *r)
{
    struct torch_file *f = &r->document->file;
    struct path p = {{0}, 0};
    const struct pickle_value *v = unwrap(r, r->pickle.root);
    const char *class = pickle_class(v);
    if (pickle_get(v, "param_groups"))
        return fail(r->err, RNND_UNSUPPORTED, "the state of an optimizer, which has no model in it");
    f->form = is_script(v) ? TORCH_SCRIPT : is_module(v) ? TORCH_MODULE : TORCH_STATE;
    r->visits = 0;
    rnnd_code code = walk(r, v, &p, 0);
    if (!code) code = walk_metadata(r, v);
    if (code) return code;
    if (!f->order_count)
        return fail(r->err, RNND_UNSUPPORTED, "the file holds no tensors%s%.80s",
                    class ? ", but a Python object of " : "", class ? class : "");
    for (int again = 0; again < 4; again++) {
        strip(r, "module.");
        strip(r, "_orig_mod.");
    }
    return RNND_OK;
}
