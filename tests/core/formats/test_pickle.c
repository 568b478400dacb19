/* test_pickle.c -- the pickle machine: what opcodes make, what is refused, and how little a hostile pickle can take. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "core/base/mem.h"
#include "core/base/rng.h"
#include "core/formats/pickle.h"
#include "tests/lib/hostile.h"


struct reading {
    struct arena arena;
    struct pickle p;
    rnnd_error err;
    size_t rest; /* bytes behind STOP */
    rnnd_code code;
};

static void read_bytes(struct reading *r, const void *data, size_t n, size_t limit)
{
    memset(r, 0, sizeof *r);
    uint8_t *to = hostile_at_end(n);
    memmove(to, data, n);
    struct bytes in = bytes_of(to, n);
    arena_init(&r->arena, limit);
    r->code = pickle_read(&in, &r->arena, &r->p, &r->err);
    r->rest = bytes_left(&in);
}
#define READ(r, text) read_bytes(r, text, sizeof text - 1, (size_t)1 << 20)

static void show_items(const struct pickle_value *v, size_t n, char *to, size_t room, int depth);

/* A value as Python would print it, nearly. */
static void show(const struct pickle_value *v, char *to, size_t room, int depth)
{
    size_t at = strlen(to);
    char *end = to + at;
    room -= at;
    if (depth > 8) {
        snprintf(end, room, "..");
        return;
    }
    switch (v->kind) {
    case PICKLE_NONE: snprintf(end, room, "None"); break;
    case PICKLE_BOOL: snprintf(end, room, "%s", v->whole ? "True" : "False"); break;
    case PICKLE_INT: snprintf(end, room, "%lld", (long long)v->whole); break;
    case PICKLE_FLOAT: snprintf(end, room, "%g", v->number); break;
    case PICKLE_TEXT: snprintf(end, room, "'%.*s'", (int)v->count, v->text); break;
    case PICKLE_BYTES: snprintf(end, room, "b%u", v->count); break;
    case PICKLE_GLOBAL: snprintf(end, room, "<%s>", v->text); break;
    case PICKLE_PERSISTENT:
        snprintf(end, room, "@");
        show(v->id, to, room + at, depth + 1);
        break;
    case PICKLE_OBJECT:
        show(v->object->callable, to, room + at, depth + 1);
        show(v->object->args, to, room + at, depth + 1);
        if (v->object->items) show(v->object->items, to, room + at, depth + 1);
        break;
    case PICKLE_DICT:
        snprintf(end, room, "{");
        show_items(v, (size_t)v->count * 2, to, room + at, depth);
        snprintf(to + strlen(to), room + at - strlen(to), "}");
        break;
    default:
        snprintf(end, room, v->kind == PICKLE_TUPLE ? "(" : "[");
        show_items(v, v->count, to, room + at, depth);
        snprintf(to + strlen(to), room + at - strlen(to), v->kind == PICKLE_TUPLE ? ")" : "]");
    }
    if (v->kind >= PICKLE_DICT && v->kind <= PICKLE_OBJECT && v->state) {
        snprintf(to + strlen(to), room + at - strlen(to), "/");
        show(v->state, to, room + at, depth + 1);
    }
}

static void show_items(const struct pickle_value *v, size_t n, char *to, size_t room, int depth)
{
    for (size_t i = 0; i < n; i++) {
        if (i) snprintf(to + strlen(to), room - strlen(to), v->kind == PICKLE_DICT && i % 2 ? ":" : ",");
        show(v->items[i], to, room, depth + 1);
    }
}

/* Bytes as Python's pickle.dumps and pickletools make them; what they are is Python's answer. */
static void values(void **unused)
{
    (void)unused;
    static const struct {
        const char *bytes;
        size_t n;
        const char *shown;
    } cases[] = {
#define CASE(bytes, shown) {bytes, sizeof bytes - 1, shown}
        CASE("\x80\x02N.", "None"),
        CASE("\x80\x02\x88.", "True"),
        CASE("\x80\x02\x89.", "False"),
        CASE("\x80\x02K\xff.", "255"),
        CASE("\x80\x02M\xff\xff.", "65535"),
        CASE("\x80\x02J\xff\xff\xff\xff.", "-1"),
        CASE("\x80\x02J\x00\x00\x00\x80.", "-2147483648"),
        CASE("\x80\x02\x8a\x05\x00\x00\x00\x00\xff.", "-4294967296"),
        CASE("\x80\x02\x8a\x00.", "0"),
        CASE("\x80\x02\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f.", "9223372036854775807"),
        CASE("\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.", "b10"),
        CASE("\x80\x02\x8b\x02\x00\x00\x00\x10\x27.", "10000"),
        CASE("\x80\x02G\x3f\xf8\x00\x00\x00\x00\x00\x00.", "1.5"),
        CASE("\x80\x02X\x03\x00\x00\x00" "abcq\x00.", "'abc'"),
        CASE("\x80\x03" "C\x02hi.", "b2"),
        CASE("\x80\x02U\x02hi.", "'hi'"),
        CASE("\x80\x02)K\x01\x85K\x01K\x02\x86K\x01K\x02K\x03\x87(t\x87.", "((1,2),(1,2,3),())"),
        CASE("\x80\x02)\x85.", "(())"),
        CASE("\x80\x02(t.", "()"), /* of a stack that has never held anything */
        CASE("\x80\x02(K\x01K\x02K\x03K\x04tq\x00.", "(1,2,3,4)"),
        CASE("\x80\x02]q\x00(K\x01K\x02" "e.", "[1,2]"),
        CASE("\x80\x02]K\x07" "a.", "[7]"),
        CASE("\x80\x02}q\x00(K\x01K\x02X\x01\x00\x00\x00kNu.", "{1:2,'k':None}"),
        CASE("\x80\x02}K\x01Ns.", "{1:None}"),
        CASE("\x80\x02]q\x05h\x05\x86.", "([],[])"),
        CASE("\x80\x02]r\x05\x00\x00\x00j\x05\x00\x00\x00\x86.", "([],[])"),
        CASE("\x80\x02K\x01K\x02" "0.", "1"),
        CASE("\x80\x02K\x01(K\x02K\x03" "1.", "1"),
        CASE("\x80\x02]2\x86.", "([],[])"),
        CASE("\x80\x02" "cos\nsystem\nX\x02\x00\x00\x00ls\x85R.", "<os system>('ls')"),
        CASE("\x80\x02" "ccollections\nOrderedDict\n)R(K\x01K\x02u.", "{1:2}"),
        CASE("\x80\x02" "ccollections\nOrderedDict\n]K\x01K\x02\x86" "a\x85R.", "{1:2}"),
        CASE("\x80\x02" "ccollections\ndefaultdict\nN\x85RK\x01K\x02s.", "{1:2}"),
        CASE("\x80\x02" "ccollections\nOrderedDict\n)R}K\x01K\x02sb.", "{}/{1:2}"),
        CASE("\x80\x02" "cm\nC\n)\x81}K\x01K\x02sb.", "<m C>()/{1:2}"),
        CASE("\x80\x02" "cm\nC\n)\x81(K\x01K\x02" "e.", "<m C>()[1,2]"),
        CASE("\x80\x02" "cm\nC\n)\x81K\x01K\x02s.", "<m C>()[1,2]"),
        CASE("\x80\x02K\x05Q.", "@5"),
        CASE("\x80\x04\x95\x0f\x00\x00\x00\x00\x00\x00\x00\x8c\x01m\x94\x8c\x01" "C\x94\x93\x94)\x81\x94.", "<m C>()"),
        CASE("\x80\x04\x8f\x94(K\x01K\x02\x90.", "[1,2]"),
        CASE("\x80\x04(K\x01K\x02\x91.", "[1,2]"),
        CASE("\x80\x04" "cm\nC\n)}\x92.", "<m C>()"),
        CASE("\x80\x05\x96\x02\x00\x00\x00\x00\x00\x00\x00hi.", "b2"),
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct reading r;
        char text[400] = "";
        read_bytes(&r, cases[i].bytes, cases[i].n, (size_t)1 << 20);
        if (r.code) fail_msg("%s: %s", cases[i].shown, r.err.message);
        show(r.p.root, text, sizeof text, 0);
        assert_string_equal(text, cases[i].shown);
        assert_int_equal(r.rest, 0);
        arena_free(&r.arena);
        for (size_t n = 0; n < cases[i].n; n++) { /* cut anywhere it is no pickle */
            read_bytes(&r, cases[i].bytes, n, (size_t)1 << 20);
            assert_int_equal(r.code, RNND_CORRUPT);
            arena_free(&r.arena);
        }
    }
}

static void refused(void **unused)
{
    (void)unused;
    static const struct {
        const char *bytes;
        size_t n;
        rnnd_code code;
        const char *says;
    } cases[] = {
#define REFUSED(bytes, code, says) {bytes, sizeof bytes - 1, code, says}
        REFUSED("\x80\x02I1\n.", RNND_UNSUPPORTED, "INT at byte 2"),
        REFUSED("\x80\x02K\x01(ios\nsystem\n.", RNND_UNSUPPORTED, "INST at byte 5"),
        REFUSED("\x80\x02\x82\x01.", RNND_UNSUPPORTED, "EXT1"),
        REFUSED("\x80\x02\x97.", RNND_UNSUPPORTED, "NEXT_BUFFER"),
        REFUSED("\x80\x02P5\n.", RNND_UNSUPPORTED, "PERSID"),
        REFUSED("\x80\x06N.", RNND_UNSUPPORTED, "protocol 6"),
        REFUSED("\x80\x02\xfe.", RNND_CORRUPT, "0xfe at byte 2"),
        REFUSED("\x80\x02.", RNND_CORRUPT, "nothing"),
        REFUSED("\x80\x02(.", RNND_CORRUPT, "nothing"),
        REFUSED("\x80\x02K\x01(.", RNND_CORRUPT, "nothing"),
        REFUSED("\x80\x02h\x00.", RNND_CORRUPT, "memo"),
        REFUSED("\x80\x02Nj\xff\xff\xff\xff.", RNND_CORRUPT, "memo"),
        REFUSED("\x80\x02Nr\xff\xff\xff\xff.", RNND_CORRUPT, "sequence"),
        REFUSED("\x80\x02t.", RNND_CORRUPT, "mark"),
        REFUSED("\x80\x02N\x86.", RNND_CORRUPT, "more than there is"),
        REFUSED("\x80\x02N(\x85.", RNND_CORRUPT, "more than there is"),
        REFUSED("\x80\x02K\x01K\x02" "a.", RNND_CORRUPT, "takes none"),
        REFUSED("\x80\x02]K\x01K\x02s.", RNND_CORRUPT, "takes none"),
        REFUSED("\x80\x02}K\x01" "a.", RNND_CORRUPT, "takes none"),
        REFUSED("\x80\x02}(K\x01u.", RNND_CORRUPT, "belong"),
        REFUSED("\x80\x02K\x01R.", RNND_CORRUPT, "object"),
        REFUSED("\x80\x02K\x01" "b.", RNND_CORRUPT, "state"),
        REFUSED("\x80\x02Q.", RNND_CORRUPT, "persistent"),
        REFUSED("\x80\x02K\x01K\x02\x93.", RNND_CORRUPT, "STACK_GLOBAL"),
        REFUSED("\x80\x02X\xff\xff\xff\xff" "a.", RNND_CORRUPT, "cut short"),
        REFUSED("\x80\x02\x8d\xff\xff\xff\xff\xff\xff\xff\xff" "a.", RNND_CORRUPT, "cut short"),
        REFUSED("\x80\x02" "cos\nsystem", RNND_CORRUPT, "cut short"),
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct reading r;
        read_bytes(&r, cases[i].bytes, cases[i].n, (size_t)1 << 20);
        if (r.code != cases[i].code || !strstr(r.err.message, cases[i].says))
            fail_msg("%zu: %d %s", i, r.code, r.err.message);
        arena_free(&r.arena);
    }
}

static void accessors(void **unused)
{
    (void)unused;
    struct reading r;
    int64_t n;
    READ(&r, "\x80\x02}(X\x01\0\0\0aK\x01X\x01\0\0\0aK\x02X\x01\0\0\0bK\x01K\x02\x86u.");
    assert_int_equal(r.code, RNND_OK);
    assert_true(pickle_whole(pickle_get(r.p.root, "a"), 0, 9, &n));
    assert_int_equal(n, 2); /* the last, as in Python */
    assert_false(pickle_whole(pickle_get(r.p.root, "a"), 3, 9, &n));
    assert_null(pickle_get(r.p.root, "c"));
    assert_true(pickle_whole(pickle_item(pickle_get(r.p.root, "b"), 1), 0, 9, &n));
    assert_null(pickle_item(pickle_get(r.p.root, "b"), 2));
    assert_null(pickle_get(NULL, "a"));
    assert_null(pickle_item(NULL, 0));
    assert_null(pickle_class(NULL));
    assert_false(pickle_text_is(NULL, "a"));
    arena_free(&r.arena);
    READ(&r, "\x80\x02(X\x06\0\0\0modulecm\nNet\nX\x01\0\0\0fX\x01\0\0\0stQ)\x81.rest");
    assert_int_equal(r.code, RNND_OK);
    assert_string_equal(pickle_class(r.p.root), "m Net"); /* a class kept with its source */
    assert_int_equal(r.p.persistent_count, 1);
    assert_int_equal(r.rest, 4);
    arena_free(&r.arena);
}

/* Every byte makes a value; the arena's limit holds all that is kept for them. */
static void bounded(void **unused)
{
    (void)unused;
    static const char *const fillers[] = {"N", "]", "(", "}q\x01", ")"};
    for (size_t i = 0; i < sizeof fillers / sizeof *fillers; i++) {
        struct reading r;
        static uint8_t text[60000];
        size_t n = 2, width = strlen(fillers[i]);
        memcpy(text, "\x80\x02", 2);
        for (; n + width < sizeof text; n += width)
            memcpy(text + n, fillers[i], width);
        read_bytes(&r, text, n, (size_t)256 << 10);
        assert_int_equal(r.code, RNND_TOO_LARGE);
        assert_true(r.arena.used <= (size_t)256 << 10);
        arena_free(&r.arena);
    }
}

static const char sample[] =
    "\x80\x02}q\x00(X\x01\0\0\0aq\x01" "ccollections\nOrderedDict\nq\x02)Rq\x03(X\x01\0\0\0wq\x04" "cm\nf\nq\x05(X\x07"
    "\0\0\0storageq\x06K\x05tq\x07QK\0K\x02K\x03\x86q\x08\x87q\tRq\nX\x01\0\0\0vq\x0bG@\t!\xfbTD-\x18u}q\x0cX\t\0\0\0"
    "_metadataq\rh\x03sbX\x01\0\0\0bq\x0e]q\x0f(\x88\x89NJ\xff\xff\xff\xff\x8a\x03\x01\x02\x03" "eu.";

static void damaged(void **unused)
{
    (void)unused;
    struct rng rng;
    size_t good = 0;
    rng_seed(&rng, hostile_seed, 5);
    for (int round = 0; round < 20000; round++) {
        uint8_t text[sizeof sample];
        struct reading r;
        char shown[2000] = "";
        memcpy(text, sample, sizeof sample);
        if (round) hostile_damage(&rng, text, sizeof sample - 1, 3); /* the first is whole */
        read_bytes(&r, text, sizeof sample - 1, (size_t)1 << 16);
        if (round == 0) assert_int_equal(r.code, RNND_OK);
        if (r.code)
            assert_true(strlen(r.err.message) > 15);
        else
            show(r.p.root, shown, sizeof shown, 0), good++;
        arena_free(&r.arena);
    }
    assert_true(good > 500 && good < 19500);
}

static void no_memory(void **unused)
{
    (void)unused;
    bool done = false;
    for (size_t n = 1; !done; n++) {
        struct arena arena;
        struct pickle p;
        rnnd_error err;
        struct bytes in = bytes_of(sample, sizeof sample - 1);
        arena_init(&arena, (size_t)1 << 20);
        mem_fail_at(n);
        rnnd_code code = pickle_read(&in, &arena, &p, &err);
        mem_fail_at(0);
        if (code) assert_int_equal(code, RNND_NO_MEMORY);
        done = code == RNND_OK;
        assert_true(n < 100);
        arena_free(&arena);
    }
}

int main(void)
{
    if (!hostile_begin(1 << 16)) return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values),  cmocka_unit_test(refused), cmocka_unit_test(accessors),
        cmocka_unit_test(bounded), cmocka_unit_test(damaged), cmocka_unit_test(no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
