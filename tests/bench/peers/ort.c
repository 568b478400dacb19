/* ort.c -- ONNX Runtime by the entries of its table that are needed, declared here by their place in it.
 *
 * The table, OrtApi, only ever grows at its end, so places never change. Every entry but the releases returns a status,
 * NULL for success. */
#include "tests/bench/peers/ort.h"

#include <dlfcn.h>
#include <glob.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define API_VERSION 12 /* of the table asked for; later ones hold the same entries in the same places */
enum { LOG_ERROR = 3, OPTIMIZE_ALL = 99, ARENA = 1, MEMORY_DEFAULT = 0, ELEMENT_FLOAT = 1 };

enum place {
    ERROR_MESSAGE = 2,
    CREATE_ENV = 3,
    CREATE_SESSION_FROM_ARRAY = 8,
    RUN = 9,
    CREATE_SESSION_OPTIONS = 10,
    SET_OPTIMIZATION = 23,
    SET_INTRA_THREADS = 24,
    SET_INTER_THREADS = 25,
    CREATE_TENSOR_WITH_DATA = 49,
    CREATE_CPU_MEMORY_INFO = 69,
    RELEASE_STATUS = 93,
    RELEASE_MEMORY_INFO = 94,
    RELEASE_SESSION = 95,
    RELEASE_VALUE = 96,
    RELEASE_SESSION_OPTIONS = 100
};

typedef void *status;
typedef void (*entry)(void);
struct api_base {
    const entry *(*get_api)(uint32_t version);
    const char *(*version)(void);
};

static const entry *api;
static const char *version;
static void *env;
static _Thread_local char error[512];

#define CALL(at, types, ...) (((status(*) types)api[at])(__VA_ARGS__))

static void release(enum place at, void *thing)
{
    if (thing) ((void (*)(void *))api[at])(thing);
}

/* Was it a success? Its sentence is kept. */
static bool good(status s)
{
    if (!s) return true;
    snprintf(error, sizeof error, "%s", ((const char *(*)(status))api[ERROR_MESSAGE])(s));
    release(RELEASE_STATUS, s);
    return false;
}

static void *find_library(void)
{
    const char *named = getenv("ORT_LIBRARY");
    if (named) return dlopen(named, RTLD_NOW | RTLD_LOCAL);
    glob_t found;
    void *library = NULL;
    if (glob("build/peers/node_modules/onnxruntime-node/bin/napi-v*/linux/x64/libonnxruntime.so.1", 0, NULL, &found) ==
        0)
        library = dlopen(found.gl_pathv[0], RTLD_NOW | RTLD_LOCAL);
    globfree(&found);
    return library ? library : dlopen("libonnxruntime.so.1", RTLD_NOW | RTLD_LOCAL);
}

bool ort_load(void)
{
    if (env) return true;
    void *library = find_library();
    struct api_base *(*get_base)(void) = NULL;
    if (library) *(void **)&get_base = dlsym(library, "OrtGetApiBase");
    if (!get_base) {
        const char *why = dlerror();
        snprintf(error, sizeof error, "%s", why ? why : "no OrtGetApiBase");
        return false;
    }
    api = get_base()->get_api(API_VERSION);
    version = get_base()->version();
    if (!api) {
        snprintf(error, sizeof error, "ONNX Runtime %s has no interface %d", version, API_VERSION);
        return false;
    }
    return good(CALL(CREATE_ENV, (int, const char *, void **), LOG_ERROR, "bench", &env));
}

const char *ort_version(void)
{
    return version;
}

const char *ort_error(void)
{
    return error;
}

/* ---- sessions ---- */

struct ort_session {
    void *session;
    size_t inputs, hidden, layers, outputs;
    int kinds; /* of states: h, or h and c */
};

static bool create_session(const unsigned char *file, size_t bytes, int threads, void **out)
{
    void *options = NULL;
    bool done = good(CALL(CREATE_SESSION_OPTIONS, (void **), &options)) &&
                good(CALL(SET_OPTIMIZATION, (void *, int), options, OPTIMIZE_ALL)) &&
                good(CALL(SET_INTRA_THREADS, (void *, int), options, threads)) &&
                good(CALL(SET_INTER_THREADS, (void *, int), options, 1)) &&
                good(CALL(CREATE_SESSION_FROM_ARRAY, (void *, const void *, size_t, const void *, void **), env, file,
                          bytes, options, out));
    release(RELEASE_SESSION_OPTIONS, options);
    return done;
}

struct ort_session *ort_session_open(const struct onnx_net *net, int threads)
{
    struct ort_session *s = calloc(1, sizeof *s);
    size_t bytes;
    unsigned char *file = onnx_write(net, &bytes);
    if (!s || !file) {
        snprintf(error, sizeof error, "no memory");
        free(file);
        free(s);
        return NULL;
    }
    *s = (struct ort_session){.inputs = net->inputs,
                              .hidden = net->hidden,
                              .layers = net->layers,
                              .outputs = net->outputs,
                              .kinds = net->gru ? 1 : 2};
    if (!create_session(file, bytes, threads, &s->session)) {
        free(s);
        s = NULL;
    }
    free(file);
    return s;
}

void ort_session_close(struct ort_session *s)
{
    if (!s) return;
    release(RELEASE_SESSION, s->session);
    free(s);
}

/* ---- rows ---- */

struct tensor {
    float *data;
    void *value;
};

struct ort_rows {
    struct ort_session *s;
    size_t steps, batch;
    void *memory;
    struct tensor x, y, state[2][ONNX_MAX_LAYERS][2]; /* [before and after, in turns][layer][h, c] */
    int flip;                                         /* which of them is before the next run */
    char names[4 * ONNX_MAX_LAYERS][32];
    const char *in_names[1 + 2 * ONNX_MAX_LAYERS], *out_names[1 + 2 * ONNX_MAX_LAYERS];
};

static bool make_tensor(struct ort_rows *r, struct tensor *t, size_t d0, size_t d2)
{
    int64_t dim[] = {(int64_t)d0, (int64_t)r->batch, (int64_t)d2};
    size_t bytes = (d0 * r->batch * d2 * sizeof(float) + 4095) / 4096 * 4096;
    t->data = aligned_alloc(4096, bytes);
    if (!t->data) {
        snprintf(error, sizeof error, "no memory");
        return false;
    }
    memset(t->data, 0, bytes);
    return good(CALL(CREATE_TENSOR_WITH_DATA, (const void *, void *, size_t, const int64_t *, size_t, int, void **),
                     r->memory, t->data, d0 * r->batch * d2 * sizeof(float), dim, 3, ELEMENT_FLOAT, &t->value));
}

static void free_tensor(struct tensor *t)
{
    release(RELEASE_VALUE, t->value);
    free(t->data);
}

static bool make_states(struct ort_rows *r)
{
    size_t at = 0;
    for (size_t l = 0; l < r->s->layers; l++)
        for (int k = 0; k < r->s->kinds; k++, at++) {
            snprintf(r->names[2 * at], sizeof *r->names, "%c%zu", "hc"[k], l);
            snprintf(r->names[2 * at + 1], sizeof *r->names, "%cn%zu", "hc"[k], l);
            r->in_names[1 + at] = r->names[2 * at];
            r->out_names[at] = r->names[2 * at + 1];
            for (int f = 0; f < 2; f++)
                if (!make_tensor(r, &r->state[f][l][k], 1, r->s->hidden)) return false;
        }
    r->in_names[0] = "x";
    r->out_names[at] = "y";
    return true;
}

struct ort_rows *ort_rows_open(struct ort_session *s, size_t steps, size_t batch)
{
    struct ort_rows *r = calloc(1, sizeof *r);
    if (!r) return NULL;
    r->s = s;
    r->steps = steps;
    r->batch = batch;
    if (good(CALL(CREATE_CPU_MEMORY_INFO, (int, int, void **), ARENA, MEMORY_DEFAULT, &r->memory)) &&
        make_tensor(r, &r->x, steps, s->inputs) && make_tensor(r, &r->y, steps, s->outputs ? s->outputs : s->hidden) &&
        make_states(r))
        return r;
    ort_rows_close(r);
    return NULL;
}

void ort_rows_close(struct ort_rows *r)
{
    if (!r) return;
    free_tensor(&r->x);
    free_tensor(&r->y);
    for (int f = 0; f < 2; f++)
        for (size_t l = 0; l < r->s->layers; l++)
            for (int k = 0; k < r->s->kinds; k++)
                free_tensor(&r->state[f][l][k]);
    release(RELEASE_MEMORY_INFO, r->memory);
    free(r);
}

float *ort_rows_x(struct ort_rows *r)
{
    return r->x.data;
}

float *ort_rows_h(struct ort_rows *r, size_t layer)
{
    return r->state[r->flip][layer][0].data;
}

float *ort_rows_c(struct ort_rows *r, size_t layer)
{
    return r->state[r->flip][layer][1].data;
}

const float *ort_rows_run(struct ort_rows *r)
{
    const void *ins[1 + 2 * ONNX_MAX_LAYERS] = {r->x.value};
    void *outs[1 + 2 * ONNX_MAX_LAYERS];
    size_t at = 0, layers = r->s->layers;
    bool y_is_h = r->steps == 1 && !r->s->outputs;
    for (size_t l = 0; l < layers; l++)
        for (int k = 0; k < r->s->kinds; k++, at++) {
            ins[1 + at] = r->state[r->flip][l][k].value;
            outs[at] = r->state[!r->flip][l][k].value;
        }
    outs[at] = r->y.value;
    if (!good(CALL(RUN,
                   (void *, const void *, const char *const *, const void *const *, size_t, const char *const *, size_t,
                    void **),
                   r->s->session, NULL, r->in_names, ins, 1 + at, r->out_names, at + !y_is_h, outs)))
        return NULL;
    r->flip = !r->flip;
    return y_is_h ? r->state[r->flip][layers - 1][0].data : r->y.data;
}
