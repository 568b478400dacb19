/* keras_weights.c -- finding a layer's weights: in its model's lists of names (.h5), or in its folder (.keras). */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/error.h"
#include "core/formats/keras_lower.h"

#define MAX_PATH 1024

/* As Keras does (naming.to_snake_case): "LSTM" -> "lstm", "Conv1D" -> "conv1d", "SimpleRNN" -> "simple_rnn". */
void keras_snake(const char *kind, char out[KERAS_MAX_NAME])
{
    size_t at = 0, n = strlen(kind);
    for (size_t i = 0; i < n && at + 3 < KERAS_MAX_NAME; i++) {
        unsigned char c = (unsigned char)kind[i];
        unsigned char before = i ? (unsigned char)kind[i - 1] : 0, after = (unsigned char)kind[i + 1];
        bool word = i && isupper(c) && after && islower(after); /* (.)([A-Z][a-z]+) */
        bool edge = i && isupper(c) && islower(before);         /* ([a-z])([A-Z]) */
        if ((word || edge) && at && out[at - 1] != '_') out[at++] = '_';
        out[at++] = (char)tolower(c);
    }
    out[at] = 0;
}

bool keras_is_model(const char *kind)
{
    return strcmp(kind, "Sequential") == 0 || strcmp(kind, "Functional") == 0 || strcmp(kind, "Model") == 0;
}

/* ---- .keras ---- */

static const struct keras_folder *folder_at(const struct keras_document *doc, const char *path)
{
    size_t low = 0, high = doc->folder_count;
    while (low < high) {
        size_t at = low + (high - low) / 2;
        int order = strcmp(path, doc->folders[at].path);
        if (order == 0) return &doc->folders[at];
        if (order < 0)
            high = at;
        else
            low = at + 1;
    }
    return NULL;
}

/* The first folder whose path begins with this one, itself or below. */
static bool has_folder(const struct keras_document *doc, const char *path)
{
    size_t n = strlen(path);
    if (folder_at(doc, path)) return true;
    for (size_t i = 0; i < doc->folder_count; i++)
        if (strncmp(doc->folders[i].path, path, n) == 0 && doc->folders[i].path[n] == '/') return true;
    return false;
}

/* A folder right below `parent` whose layer says this name. */
static const char *folder_named(const struct keras_document *doc, const char *parent, const char *name)
{
    size_t n = strlen(parent);
    for (size_t i = 0; i < doc->folder_count; i++) {
        const char *path = doc->folders[i].path;
        if (strncmp(path, parent, n) == 0 && path[n] == '/' && !strchr(path + n + 1, '/') &&
            strcmp(doc->folders[i].name, name) == 0)
            return path;
    }
    return NULL;
}

static const char *keep(struct lowering *L, const char *text)
{
    const char *copy = arena_string(&L->scratch, text, strlen(text));
    if (!copy) build_keep(&L->b, L->b.code ? L->b.code : fail_memory(L->b.err, strlen(text)));
    return copy ? copy : "";
}

static void find_folder(struct lowering *L, const char *model, struct keras_layer *l, size_t nth)
{
    static const char *const roots[] = {"layers", "_layer_checkpoint_dependencies"};
    char snake[KERAS_MAX_NAME], parent[700], path[MAX_PATH];
    keras_snake(l->kind, snake);
    l->weights.folder = "";
    for (size_t i = 0; i < 2; i++) {
        snprintf(parent, sizeof parent, "%.600s%s%s", model, *model ? "/" : "", roots[i]);
        if (!has_folder(L->doc, parent)) continue;
        const char *named = folder_named(L->doc, parent, l->name);
        if (named) {
            l->weights.folder = named;
            return;
        }
        snprintf(path, sizeof path, nth ? "%s/%s_%zu" : "%s/%s", parent, snake, nth);
        const struct keras_folder *f = folder_at(L->doc, path);
        if (has_folder(L->doc, path) && (!f || !*f->name)) {
            l->weights.folder = keep(L, path);
            return;
        }
        snprintf(path, sizeof path, "%s/%s", parent, l->name);
        if (has_folder(L->doc, path)) {
            l->weights.folder = keep(L, path);
            return;
        }
    }
}

/* ---- .h5 ---- */

static bool has_component(const char *path, const char *name)
{
    size_t n = strlen(name);
    for (const char *at = strstr(path, name); at; at = strstr(at + 1, name))
        if ((at == path || at[-1] == '/') && (at[n] == '/' || at[n] == 0)) return true;
    return false;
}

/* Those of an inner model's list whose paths go through the layer. `model` names what they all go through. */
static void filter(struct lowering *L, const struct keras_weights *model, struct keras_layer *l)
{
    l->weights.names = arena_alloc(&L->scratch, model->count + 1, sizeof *l->weights.names);
    if (!l->weights.names) {
        build_keep(&L->b, L->b.code ? L->b.code : fail_memory(L->b.err, model->count));
        return;
    }
    for (size_t i = 0; i < model->count && keras_work(L, l, 16); i++) {
        const char *inner = strchr(model->names[i], '/'); /* behind the group's own name */
        if (inner && has_component(inner + 1, l->name)) l->weights.names[l->weights.count++] = model->names[i];
    }
}

void keras_find_weights(struct lowering *L, const struct keras_weights *model, struct keras_layer *l, size_t nth,
                        bool top)
{
    l->weights = (struct keras_weights){0};
    if (!keras_work(L, l, L->doc->folder_count + L->doc->group_count)) return;
    if (!L->doc->by_name) {
        find_folder(L, model->folder ? model->folder : "", l, nth);
    } else if (!top) {
        filter(L, model, l);
    } else {
        for (size_t i = 0; i < L->doc->group_count; i++)
            if (strcmp(L->doc->groups[i].layer, l->name) == 0)
                l->weights = (struct keras_weights){L->doc->groups[i].tensors, L->doc->groups[i].count, NULL};
    }
}

/* ---- reading them ---- */

struct keras_weights keras_part(struct lowering *L, const struct keras_layer *l, const char *folder, const char *other,
                                size_t first, size_t count)
{
    struct keras_weights part = {0};
    char path[MAX_PATH];
    if (!l->weights.folder) {
        if (first > l->weights.count || count > l->weights.count - first)
            return keras_fail(L, l, RNND_CORRUPT, "wanted %zu weights, found %zu", first + count, l->weights.count),
                   part;
        return (struct keras_weights){count ? l->weights.names + first : NULL, count, NULL};
    }
    snprintf(path, sizeof path, "%.700s/%s", l->weights.folder, folder);
    if (other && !has_folder(L->doc, path)) snprintf(path, sizeof path, "%.700s/%s", l->weights.folder, other);
    part.folder = has_folder(L->doc, path) ? keep(L, path) : l->weights.folder;
    return part;
}

static struct checkpoint_tensor *look(struct lowering *L, const struct keras_layer *l, size_t i)
{
    char path[MAX_PATH];
    if (!l->weights.folder) return i < l->weights.count ? checkpoint_find(L->ck, l->weights.names[i]) : NULL;
    snprintf(path, sizeof path, "%.900s%svars/%zu", l->weights.folder, *l->weights.folder ? "/" : "", i);
    return *l->weights.folder ? checkpoint_find(L->ck, path) : NULL;
}

size_t keras_weight_count(struct lowering *L, const struct keras_layer *l)
{
    size_t n = 0;
    while (n < 64 && look(L, l, n))
        n++;
    return n;
}

struct checkpoint_tensor *keras_weight(struct lowering *L, const struct keras_layer *l, size_t i, const char *role)
{
    if (L->b.code) return NULL;
    struct checkpoint_tensor *t = look(L, l, i);
    if (t)
        L->parameters += t->count;
    else if (l->weights.folder && !*l->weights.folder)
        keras_fail(L, l, RNND_CORRUPT, "the file has no weights for it: its %s is missing", role);
    else
        keras_fail(L, l, RNND_CORRUPT, "its %s is missing: the file has %zu weights for it", role,
                   keras_weight_count(L, l));
    return t;
}

const float *keras_floats(struct lowering *L, const struct keras_layer *l, size_t i, const char *role, int rank,
                          const int64_t *dim)
{
    struct checkpoint_tensor *t = keras_weight(L, l, i, role);
    const float *f = NULL;
    char found[96], wanted[96];
    if (!t) return NULL;
    bool same = rank == 0 || t->rank == rank;
    size_t want[MAX_RANK] = {0};
    for (int k = 0; k < rank; k++) {
        want[k] = dim[k] > 0 ? (size_t)dim[k] : 0;
        same = same && k < t->rank && t->dim[k] == want[k];
    }
    if (!same)
        return keras_fail(L, l, RNND_MISMATCH, "its %s \"%.80s\": wanted shape %s, found %s", role, t->name,
                          shape_text(wanted, rank, want), shape_text(found, t->rank, t->dim)),
               NULL;
    rnnd_code code = checkpoint_floats(t, &f, L->b.err);
    if (code) build_keep(&L->b, code);
    return code ? NULL : f;
}

void keras_weight_done(struct checkpoint_tensor *t)
{
    if (!t) return;
    mem_free(t->floats);
    t->floats = NULL;
}

int keras_cached(struct lowering *L, const struct checkpoint_tensor *t, const char *role)
{
    const struct keras_cached *c = t ? &L->cached[t - L->ck->tensors] : NULL;
    return c && c->role && strcmp(c->role, role) == 0 ? c->value : -1;
}

void keras_cache(struct lowering *L, const struct checkpoint_tensor *t, const char *role, int value)
{
    if (t && value >= 0) L->cached[t - L->ck->tensors] = (struct keras_cached){value, role};
}

int keras_constant(struct lowering *L, const struct keras_layer *l, size_t i, const char *role, int rank,
                   const int64_t *dim, int as_rank, const size_t *as)
{
    const float *f = keras_floats(L, l, i, role, rank, dim);
    if (!f) return -1;
    struct checkpoint_tensor *t = look(L, l, i);
    int value = keras_cached(L, t, role);
    if (value < 0) {
        value = build_floats(&L->b, as_rank ? as_rank : t->rank, as_rank ? as : t->dim, f);
        keras_cache(L, t, role, value);
    }
    keras_weight_done(t);
    return value;
}
