/* pickle.h -- a Python pickle read as data: a bounded machine that imports nothing and runs nothing.
 *
 * The opcodes that make plain values do so. GLOBAL is a name and no more; what a program would call or build stays an
 * object: the name, its arguments, the state that BUILD gives it. Values may be shared and may contain themselves, so
 * whoever walks them limits depth and number of visits. */
#ifndef RNND_PICKLE_H
#define RNND_PICKLE_H

#include "core/base/bytes.h"
#include "core/base/mem.h"
#include "core/rnnd.h"

enum pickle_kind {
    PICKLE_NONE,
    PICKLE_BOOL,
    PICKLE_INT,
    PICKLE_FLOAT,
    PICKLE_TEXT,
    PICKLE_BYTES, /* bytes, and whole numbers of more than 8 bytes, least first */
    PICKLE_TUPLE,
    PICKLE_LIST,  /* sets too */
    PICKLE_DICT,  /* dict, collections.OrderedDict, collections.defaultdict */
    PICKLE_GLOBAL,
    PICKLE_OBJECT,
    PICKLE_PERSISTENT
};

struct pickle_value;
struct pickle_object {
    struct pickle_value *callable, *args; /* a class or function, usually a GLOBAL; its arguments, usually a TUPLE */
    struct pickle_value *items;           /* LIST of what was appended or set (key, value, ..), or NULL */
};

struct pickle_value {
    enum pickle_kind kind;
    uint32_t count; /* bytes of TEXT, BYTES, GLOBAL; items of TUPLE, LIST; pairs of DICT */
    union {
        int64_t whole;               /* BOOL, INT */
        double number;               /* FLOAT */
        const char *text;            /* TEXT and BYTES are borrowed and not terminated; GLOBAL "module name" is */
        struct pickle_value **items; /* [count], DICT: key, value, key, value, .. */
        struct pickle_object *object;
        struct pickle_value *id;     /* PERSISTENT */
    };
    struct pickle_value *state; /* of an OBJECT or a DICT: what BUILD gave, or NULL; of a PERSISTENT: the one before */
};

struct pickle {
    struct pickle_value *root;
    struct pickle_value *persistent; /* the last one; the others behind its `state` */
    size_t persistent_count;
};

/* Reads one pickle from the place of `in` and moves behind it. Values are made in the arena, whose limit bounds all the
 * memory this takes; TOO_LARGE beyond. CORRUPT and UNSUPPORTED (an opcode that is not read) name the place. */
rnnd_code pickle_read(struct bytes *in, struct arena *arena, struct pickle *out, rnnd_error *err);

/* All of these take NULL. */
bool pickle_is(const struct pickle_value *v, enum pickle_kind kind);
bool pickle_text_is(const struct pickle_value *v, const char *text); /* a TEXT or GLOBAL of this content */
const struct pickle_value *pickle_get(const struct pickle_value *dict, const char *key); /* the last of that name */
const struct pickle_value *pickle_item(const struct pickle_value *v, size_t i); /* of a TUPLE or LIST, else NULL */
bool pickle_whole(const struct pickle_value *v, int64_t min, int64_t max, int64_t *out);
/* "module name" of an object's class or function, or NULL. */
const char *pickle_class(const struct pickle_value *v);

#endif
