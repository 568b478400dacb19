/* pickle.c -- the pickle machine: a stack, marks, a memo, and a table of the opcodes that are read. */
#include "core/formats/pickle.h"

#include <string.h>

#include "core/base/error.h"

#define VALUES_AT_ONCE 64
#define MEMO_SLACK 256 /* indices count up; some writers begin at 1 */
#define LINE_MAX_BYTES 1024

struct machine {
    struct bytes *in;
    struct arena *arena;
    struct pickle *out;
    rnnd_error *err;
    size_t at; /* of the opcode at work */
    struct pickle_value **stack, **memo;
    size_t depth, stack_cap, memo_cap, puts;
    size_t *marks, mark_count, mark_cap;
    struct pickle_value *spare; /* values made but not used yet */
    size_t spare_count;
    bool stopped;
};

static rnnd_code damaged(struct machine *m, const char *what)
{
    return fail(m->err, RNND_CORRUPT, "the pickle is damaged at byte %zu: %s", m->at, what);
}

static rnnd_code cut(struct machine *m)
{
    return fail(m->err, RNND_CORRUPT, "the pickle ends within what begins at byte %zu; is the file cut short?", m->at);
}

static size_t tables(const struct machine *m)
{
    return (m->stack_cap + m->memo_cap) * sizeof *m->stack + m->mark_cap * sizeof *m->marks;
}

static rnnd_code no_room(struct machine *m, size_t bytes)
{
    size_t total = m->arena->used + tables(m);
    if (bytes > m->arena->limit || total > m->arena->limit - bytes)
        return fail(m->err, RNND_TOO_LARGE, "the pickle makes more objects than the %zu bytes for them hold",
                    m->arena->limit);
    return fail_memory(m->err, bytes);
}

/* Room in the arena, which the tables count against too. */
static void *room(struct machine *m, size_t count, size_t size)
{
    size_t bytes;
    if (!size_mul(count, size, &bytes) || bytes > m->arena->limit) return NULL;
    return m->arena->used + tables(m) > m->arena->limit - bytes ? NULL : arena_alloc(m->arena, count, size);
}

/* A table that holds at least `need` entries; entries are pointers or sizes. */
static rnnd_code grow(struct machine *m, void *list, size_t *cap, size_t need)
{
    size_t wanted = *cap ? *cap : 64;
    void *old, *p;
    if (need <= *cap) return RNND_OK;
    while (wanted < need)
        wanted *= 2;
    size_t bytes = wanted * sizeof(void *);
    if (bytes > m->arena->limit || m->arena->used + tables(m) > m->arena->limit - bytes) return no_room(m, bytes);
    memcpy(&old, list, sizeof old);
    if (!(p = mem_resize(old, bytes))) return fail_memory(m->err, bytes);
    memset((char *)p + *cap * sizeof(void *), 0, (wanted - *cap) * sizeof(void *));
    memcpy(list, &p, sizeof p);
    *cap = wanted;
    return RNND_OK;
}

static struct pickle_value *make(struct machine *m, enum pickle_kind kind)
{
    if (!m->spare_count) {
        if (!(m->spare = room(m, VALUES_AT_ONCE, sizeof *m->spare))) return NULL;
        m->spare_count = VALUES_AT_ONCE;
    }
    m->spare_count--;
    m->spare->kind = kind;
    return m->spare++;
}

static rnnd_code push(struct machine *m, struct pickle_value *v)
{
    if (!v) return no_room(m, VALUES_AT_ONCE * sizeof *v);
    rnnd_code code = grow(m, &m->stack, &m->stack_cap, m->depth + 1);
    if (!code) m->stack[m->depth++] = v;
    return code;
}

/* Entries above the last mark, or above the floor. */
static size_t above(const struct machine *m)
{
    return m->depth - (m->mark_count ? m->marks[m->mark_count - 1] : 0);
}

static struct pickle_value *pop(struct machine *m)
{
    return above(m) ? m->stack[--m->depth] : NULL;
}

/* Takes the mark away; *items are the entries above it, off the stack but still there. */
static bool pop_mark(struct machine *m, struct pickle_value ***items, size_t *count)
{
    if (!m->mark_count) return false;
    size_t floor = m->marks[--m->mark_count];
    *items = m->stack ? m->stack + floor : NULL;
    *count = m->depth - floor;
    m->depth = floor;
    return true;
}

/* Appends n pointers to a list or dict; room doubles at powers of two, so it follows from how many there are. */
static rnnd_code append(struct machine *m, struct pickle_value *v, struct pickle_value *const *items, size_t n)
{
    size_t each = v->kind == PICKLE_DICT ? 2 : 1, have = v->count * each, cap = have ? 4 : 0, wanted = 4;
    while (cap < have)
        cap *= 2;
    while (wanted < have + n)
        wanted *= 2;
    if (have + n > UINT32_MAX) return no_room(m, SIZE_MAX);
    if (wanted > cap && n) {
        struct pickle_value **list = room(m, wanted, sizeof *list);
        if (!list) return no_room(m, wanted * sizeof *list);
        if (have) memcpy(list, v->items, have * sizeof *list);
        v->items = list;
    }
    if (n) memcpy(v->items + have, items, n * sizeof *items);
    v->count = (uint32_t)((have + n) / each);
    return RNND_OK;
}

/* ---- what opcodes do ---- */

static rnnd_code number(struct machine *m, uint8_t op)
{
    static const uint8_t sizes[] = {['K'] = 1, ['M'] = 2, ['J'] = 4};
    uint64_t u = 0;
    const uint8_t *p;
    struct pickle_value *v = make(m, PICKLE_INT);
    if (!v) return push(m, v);
    if (op == 'G') {
        v->kind = PICKLE_FLOAT;
        if (!bytes_take(m->in, 8, &p)) return cut(m);
        for (int i = 0; i < 8; i++) /* the one big-endian thing */
            u = u << 8 | p[i];
        memcpy(&v->number, &u, sizeof u);
        return push(m, v);
    }
    if (!bytes_take(m->in, sizes[op], &p)) return cut(m);
    for (int i = sizes[op]; i > 0; i--)
        u = u << 8 | p[i - 1];
    v->whole = op == 'J' ? (int32_t)(uint32_t)u : (int64_t)u;
    return push(m, v);
}

static rnnd_code constant(struct machine *m, uint8_t op)
{
    struct pickle_value *v = make(m, op == 'N' ? PICKLE_NONE : PICKLE_BOOL);
    if (v) v->whole = op == 0x88;
    return push(m, v);
}

/* Bytes behind a length of 1, 4 or 8 bytes: texts, bytes, long numbers. */
static rnnd_code sized(struct machine *m, uint8_t op)
{
    static const struct {
        uint8_t op, width;
        enum pickle_kind kind;
    } forms[] = {{'X', 4, PICKLE_TEXT},   {0x8c, 1, PICKLE_TEXT},  {0x8d, 8, PICKLE_TEXT}, {'B', 4, PICKLE_BYTES},
                 {'C', 1, PICKLE_BYTES},  {0x8e, 8, PICKLE_BYTES}, {'U', 1, PICKLE_TEXT},  {'T', 4, PICKLE_TEXT},
                 {0x96, 8, PICKLE_BYTES}, {0x8a, 1, PICKLE_INT},   {0x8b, 4, PICKLE_INT}};
    size_t f = 0;
    uint64_t n = 0;
    const uint8_t *p;
    while (forms[f].op != op)
        f++;
    if (!bytes_take(m->in, forms[f].width, &p)) return cut(m);
    for (int i = forms[f].width; i > 0; i--)
        n = n << 8 | p[i - 1];
    if (n > UINT32_MAX || !bytes_take(m->in, (size_t)n, &p)) return cut(m);
    bool whole = forms[f].kind == PICKLE_INT && n <= 8;
    struct pickle_value *v = make(m, whole || forms[f].kind != PICKLE_INT ? forms[f].kind : PICKLE_BYTES);
    if (!v) return push(m, v);
    if (whole) { /* two's complement, n bytes */
        uint64_t u = n && p[n - 1] & 0x80 ? UINT64_MAX : 0;
        for (uint64_t i = n; i > 0; i--)
            u = u << 8 | p[i - 1];
        memcpy(&v->whole, &u, sizeof u);
    } else {
        v->text = (const char *)p;
        v->count = (uint32_t)n;
    }
    return push(m, v);
}

static rnnd_code push_global(struct machine *m, const char *module, size_t a, const char *name, size_t b)
{
    struct pickle_value *v = make(m, PICKLE_GLOBAL);
    char *text = room(m, a + b + 2, 1);
    if (!v || !text) return no_room(m, a + b + 2);
    memcpy(text, module, a);
    text[a] = ' ';
    memcpy(text + a + 1, name, b);
    v->text = text;
    v->count = (uint32_t)(a + b + 1);
    return push(m, v);
}

static bool line(struct machine *m, const char **text, size_t *n)
{
    const uint8_t *start = m->in->data + m->in->at, *p;
    size_t left = bytes_left(m->in);
    const uint8_t *end = left ? memchr(start, '\n', left < LINE_MAX_BYTES ? left : LINE_MAX_BYTES) : NULL;
    if (!end) return false;
    *text = (const char *)start;
    *n = (size_t)(end - start);
    return bytes_take(m->in, *n + 1, &p);
}

static rnnd_code global(struct machine *m, uint8_t op)
{
    const char *module, *name;
    size_t a, b;
    if (op == 'c') {
        if (!line(m, &module, &a) || !line(m, &name, &b)) return cut(m);
        return push_global(m, module, a, name, b);
    }
    struct pickle_value *second = pop(m), *first = pop(m);
    if (!pickle_is(first, PICKLE_TEXT) || !pickle_is(second, PICKLE_TEXT) || first->count > LINE_MAX_BYTES ||
        second->count > LINE_MAX_BYTES)
        return damaged(m, "wanted two names for STACK_GLOBAL");
    return push_global(m, first->text, first->count, second->text, second->count);
}

static rnnd_code mark(struct machine *m, uint8_t op)
{
    (void)op;
    rnnd_code code = grow(m, &m->marks, &m->mark_cap, m->mark_count + 1);
    if (!code) m->marks[m->mark_count++] = m->depth;
    return code;
}

static rnnd_code empty(struct machine *m, uint8_t op)
{
    return push(m, make(m, op == ')' ? PICKLE_TUPLE : op == '}' ? PICKLE_DICT : PICKLE_LIST));
}

static rnnd_code tuple(struct machine *m, uint8_t op)
{
    struct pickle_value **items, *v = make(m, op == 0x91 ? PICKLE_LIST : PICKLE_TUPLE);
    size_t n;
    if (!v) return push(m, v);
    if (op == 't' || op == 0x91) {
        if (!pop_mark(m, &items, &n)) return damaged(m, "a tuple without a mark");
    } else {
        n = (size_t)(op - 0x84);
        if (above(m) < n) return damaged(m, "a tuple of more than there is");
        m->depth -= n;
        items = m->stack + m->depth;
    }
    rnnd_code code = append(m, v, items, n);
    return code ? code : push(m, v);
}

static size_t memo_index(struct machine *m, uint8_t op, bool *good)
{
    uint8_t one = 0;
    uint32_t four = 0;
    bool wide = op == 'r' || op == 'j';
    *good = wide ? bytes_u32(m->in, &four) : bytes_u8(m->in, &one);
    return wide ? four : one;
}

static rnnd_code put(struct machine *m, uint8_t op)
{
    bool good = true;
    size_t i = op == 0x94 ? m->puts : memo_index(m, op, &good);
    if (!good) return cut(m);
    if (!above(m)) return damaged(m, "nothing to remember");
    if (i > m->puts + MEMO_SLACK) return damaged(m, "a memo index out of sequence");
    rnnd_code code = grow(m, &m->memo, &m->memo_cap, i + 1);
    if (code) return code;
    m->memo[i] = m->stack[m->depth - 1];
    m->puts++;
    return RNND_OK;
}

static rnnd_code get(struct machine *m, uint8_t op)
{
    bool good;
    size_t i = memo_index(m, op, &good);
    if (!good) return cut(m);
    if (i >= m->memo_cap || !m->memo[i]) return damaged(m, "a memo entry that is not there");
    return push(m, m->memo[i]);
}

static rnnd_code drop(struct machine *m, uint8_t op)
{
    struct pickle_value **items;
    size_t n;
    if (op == '2') return above(m) ? push(m, m->stack[m->depth - 1]) : damaged(m, "nothing to double");
    if (op == '1' || !above(m)) return pop_mark(m, &items, &n) ? RNND_OK : damaged(m, "nothing to drop");
    m->depth--;
    return RNND_OK;
}

/* Items go into what lies below them: APPEND, APPENDS, ADDITEMS, SETITEM, SETITEMS. */
static rnnd_code add_items(struct machine *m, uint8_t op)
{
    bool pairs = op == 's' || op == 'u', many = op == 'e' || op == 'u' || op == 0x90;
    struct pickle_value **items;
    size_t n = pairs ? 2 : 1;
    if (many) {
        if (!pop_mark(m, &items, &n)) return damaged(m, "items without a mark");
    } else {
        if (above(m) < n) return damaged(m, "no items to add");
        m->depth -= n;
        items = m->stack + m->depth;
    }
    if (!above(m) || (pairs && n % 2)) return damaged(m, "items without what they belong to");
    struct pickle_value *to = m->stack[m->depth - 1];
    if (to->kind == PICKLE_OBJECT) { /* of a class derived from list or dict */
        if (!to->object->items && !(to->object->items = make(m, PICKLE_LIST))) return no_room(m, sizeof *to);
        return append(m, to->object->items, items, n);
    }
    if (to->kind != (pairs ? PICKLE_DICT : PICKLE_LIST)) return damaged(m, "items for what takes none");
    return append(m, to, items, n);
}

/* A dict from the pairs that older writers give to OrderedDict. */
static rnnd_code fill_dict(struct machine *m, struct pickle_value *dict, const struct pickle_value *pairs)
{
    rnnd_code code = RNND_OK;
    for (size_t i = 0; pickle_is(pairs, PICKLE_LIST) && i < pairs->count && !code; i++) {
        const struct pickle_value *pair = pairs->items[i];
        if ((pair->kind == PICKLE_LIST || pair->kind == PICKLE_TUPLE) && pair->count == 2)
            code = append(m, dict, pair->items, 2);
    }
    return code;
}

static rnnd_code object(struct machine *m, uint8_t op)
{
    if (op == 0x92 && !pop(m)) return damaged(m, "no keyword arguments"); /* NEWOBJ_EX: they are not kept */
    struct pickle_value *args = pop(m), *callable = pop(m);
    if (!args || !callable) return damaged(m, "nothing to make an object of");
    bool ordered = pickle_text_is(callable, "collections OrderedDict");
    if (callable->kind == PICKLE_GLOBAL && (ordered || pickle_text_is(callable, "collections defaultdict"))) {
        struct pickle_value *dict = make(m, PICKLE_DICT);
        rnnd_code code = push(m, dict);
        return code || !ordered ? code : fill_dict(m, dict, pickle_item(args, 0));
    }
    struct pickle_value *v = make(m, PICKLE_OBJECT);
    if (!v || !(v->object = room(m, 1, sizeof *v->object))) return no_room(m, sizeof *v->object);
    v->object->callable = callable;
    v->object->args = args;
    return push(m, v);
}

static rnnd_code build(struct machine *m, uint8_t op)
{
    struct pickle_value *state = pop(m);
    (void)op;
    if (!state || !above(m)) return damaged(m, "a state without its object");
    struct pickle_value *v = m->stack[m->depth - 1];
    if (v->kind == PICKLE_OBJECT || v->kind == PICKLE_DICT) v->state = state;
    return RNND_OK;
}

static rnnd_code persistent(struct machine *m, uint8_t op)
{
    struct pickle_value *id = pop(m), *v = id ? make(m, PICKLE_PERSISTENT) : NULL;
    (void)op;
    if (!id) return damaged(m, "a persistent id without one");
    if (!v) return push(m, v);
    v->id = id;
    v->state = m->out->persistent;
    m->out->persistent = v;
    m->out->persistent_count++;
    return push(m, v);
}

static rnnd_code frame(struct machine *m, uint8_t op)
{
    const uint8_t *p;
    if (!bytes_take(m->in, op == 0x95 ? 8 : 1, &p)) return cut(m);
    if (op == 0x80 && *p > 5)
        return fail(m->err, RNND_UNSUPPORTED, "the pickle is of protocol %d, at most 5 is read", *p);
    return RNND_OK;
}

static rnnd_code stop(struct machine *m, uint8_t op)
{
    (void)op;
    m->out->root = pop(m);
    m->stopped = true;
    return m->out->root ? RNND_OK : damaged(m, "it ends with nothing");
}

static const struct {
    const char *name;
    rnnd_code (*run)(struct machine *m, uint8_t op); /* NULL: known, not read */
} opcodes[256] = {
    ['('] = {"MARK", mark},
    [')'] = {"EMPTY_TUPLE", empty},
    ['.'] = {"STOP", stop},
    ['0'] = {"POP", drop},
    ['1'] = {"POP_MARK", drop},
    ['2'] = {"DUP", drop},
    ['B'] = {"BINBYTES", sized},
    ['C'] = {"SHORT_BINBYTES", sized},
    ['D'] = {"DUP_OLD", NULL},
    ['F'] = {"FLOAT", NULL},
    ['G'] = {"BINFLOAT", number},
    ['I'] = {"INT", NULL},
    ['J'] = {"BININT", number},
    ['K'] = {"BININT1", number},
    ['L'] = {"LONG", NULL},
    ['M'] = {"BININT2", number},
    ['N'] = {"NONE", constant},
    ['P'] = {"PERSID", NULL},
    ['Q'] = {"BINPERSID", persistent},
    ['R'] = {"REDUCE", object},
    ['S'] = {"STRING", NULL},
    ['T'] = {"BINSTRING", sized},
    ['U'] = {"SHORT_BINSTRING", sized},
    ['V'] = {"UNICODE", NULL},
    ['X'] = {"BINUNICODE", sized},
    [']'] = {"EMPTY_LIST", empty},
    ['a'] = {"APPEND", add_items},
    ['b'] = {"BUILD", build},
    ['c'] = {"GLOBAL", global},
    ['d'] = {"DICT", NULL},
    ['e'] = {"APPENDS", add_items},
    ['g'] = {"GET", NULL},
    ['h'] = {"BINGET", get},
    ['i'] = {"INST", NULL},
    ['j'] = {"LONG_BINGET", get},
    ['l'] = {"LIST", NULL},
    ['o'] = {"OBJ", NULL},
    ['p'] = {"PUT", NULL},
    ['q'] = {"BINPUT", put},
    ['r'] = {"LONG_BINPUT", put},
    ['s'] = {"SETITEM", add_items},
    ['t'] = {"TUPLE", tuple},
    ['u'] = {"SETITEMS", add_items},
    ['}'] = {"EMPTY_DICT", empty},
    [0x80] = {"PROTO", frame},
    [0x81] = {"NEWOBJ", object},
    [0x82] = {"EXT1", NULL},
    [0x83] = {"EXT2", NULL},
    [0x84] = {"EXT4", NULL},
    [0x85] = {"TUPLE1", tuple},
    [0x86] = {"TUPLE2", tuple},
    [0x87] = {"TUPLE3", tuple},
    [0x88] = {"NEWTRUE", constant},
    [0x89] = {"NEWFALSE", constant},
    [0x8a] = {"LONG1", sized},
    [0x8b] = {"LONG4", sized},
    [0x8c] = {"SHORT_BINUNICODE", sized},
    [0x8d] = {"BINUNICODE8", sized},
    [0x8e] = {"BINBYTES8", sized},
    [0x8f] = {"EMPTY_SET", empty},
    [0x90] = {"ADDITEMS", add_items},
    [0x91] = {"FROZENSET", tuple},
    [0x92] = {"NEWOBJ_EX", object},
    [0x93] = {"STACK_GLOBAL", global},
    [0x94] = {"MEMOIZE", put},
    [0x95] = {"FRAME", frame},
    [0x96] = {"BYTEARRAY8", sized},
    [0x97] = {"NEXT_BUFFER", NULL},
    [0x98] = {"READONLY_BUFFER", NULL},
};

rnnd_code pickle_read(struct bytes *in, struct arena *arena, struct pickle *out, rnnd_error *err)
{
    struct machine m = {.in = in, .arena = arena, .out = out, .err = err};
    rnnd_code code = RNND_OK;
    uint8_t op;
    memset(out, 0, sizeof *out);
    while (!code && !m.stopped) {
        m.at = in->at;
        if (!bytes_u8(in, &op))
            code = cut(&m);
        else if (opcodes[op].run)
            code = opcodes[op].run(&m, op);
        else if (opcodes[op].name)
            code = fail(err, RNND_UNSUPPORTED, "the pickle has the opcode %s at byte %zu, which is not read",
                        opcodes[op].name, m.at);
        else
            code = fail(err, RNND_CORRUPT, "the pickle has 0x%02x at byte %zu, which is no opcode", op, m.at);
    }
    mem_free(m.stack);
    mem_free(m.memo);
    mem_free(m.marks);
    return code;
}

/* ---- reading values ---- */

bool pickle_is(const struct pickle_value *v, enum pickle_kind kind)
{
    return v && v->kind == kind;
}

bool pickle_text_is(const struct pickle_value *v, const char *text)
{
    size_t n = strlen(text);
    return (pickle_is(v, PICKLE_TEXT) || pickle_is(v, PICKLE_GLOBAL)) && v->count == n && memcmp(v->text, text, n) == 0;
}

const struct pickle_value *pickle_get(const struct pickle_value *dict, const char *key)
{
    for (size_t i = pickle_is(dict, PICKLE_DICT) ? dict->count : 0; i-- > 0;)
        if (pickle_text_is(dict->items[2 * i], key)) return dict->items[2 * i + 1];
    return NULL;
}

const struct pickle_value *pickle_item(const struct pickle_value *v, size_t i)
{
    bool list = pickle_is(v, PICKLE_TUPLE) || pickle_is(v, PICKLE_LIST);
    return list && i < v->count ? v->items[i] : NULL;
}

bool pickle_whole(const struct pickle_value *v, int64_t min, int64_t max, int64_t *out)
{
    if (!pickle_is(v, PICKLE_INT) || v->whole < min || v->whole > max) return false;
    *out = v->whole;
    return true;
}

const char *pickle_class(const struct pickle_value *v)
{
    const struct pickle_value *c = pickle_is(v, PICKLE_OBJECT) ? v->object->callable : NULL;
    /* torch before 1.6 keeps a module's class with its source: ('module', class, file, text) */
    if (pickle_is(c, PICKLE_PERSISTENT) && pickle_text_is(pickle_item(c->id, 0), "module")) c = pickle_item(c->id, 1);
    return pickle_is(c, PICKLE_GLOBAL) ? c->text : NULL;
}
