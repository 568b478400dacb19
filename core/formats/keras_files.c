/* keras_files.c -- the tensors of a Keras HDF5 file: by layer_names and weight_names, or by folders with vars. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/error.h"
#include "core/formats/keras_document.h"

#define MAX_PATH 1024
#define MAX_FOLDERS 32 /* within each other */
#define MAX_CHUNKS 64  /* of a split attribute */

/* ---- attributes that may be split: layer_names, or layer_names0, layer_names1, ... ---- */

static rnnd_code read_names(struct h5 *f, const char *path, const char *attr, struct arena *arena, const char ***out,
                            size_t *count, rnnd_error *err)
{
    const char *const *part;
    size_t n;
    *out = NULL;
    *count = 0;
    rnnd_code code = h5_attr_strings(f, path, attr, &part, &n, err);
    for (int chunk = 0; chunk < MAX_CHUNKS && !code && !(chunk == 0 && part); chunk++) {
        char name[64];
        snprintf(name, sizeof name, "%s%d", attr, chunk);
        code = h5_attr_strings(f, path, name, &part, &n, err);
        if (code || !part) break;
        const char **all = arena_alloc(arena, *count + n + 1, sizeof *all);
        if (!all) return fail_memory(err, n * sizeof *all);
        if (*count) memcpy(all, *out, *count * sizeof *all);
        if (n) memcpy(all + *count, part, n * sizeof *all);
        *out = all;
        *count += n;
    }
    if (code || *out || !part) return code;
    *out = arena_alloc(arena, n + 1, sizeof **out);
    if (!*out) return fail_memory(err, n * sizeof **out);
    if (n) memcpy(*out, part, n * sizeof **out);
    *count = n;
    return RNND_OK;
}

/* ---- short names ---- */

struct alias {
    const char *name, *tensor;
};
struct aliases {
    struct arena *arena;
    struct alias *list;
    size_t count, cap;
};

static rnnd_code add_alias(struct aliases *a, const char *layer, const char *role, const char *tensor, rnnd_error *err)
{
    char name[MAX_PATH];
    int n = snprintf(name, sizeof name, "%s/%s", layer, role);
    if (n < 0 || (size_t)n >= sizeof name || strcmp(name, tensor) == 0) return RNND_OK;
    if (a->count == a->cap) {
        size_t cap = a->cap ? a->cap * 2 : 64;
        struct alias *list = mem_resize(a->list, cap * sizeof *list);
        if (!list) return fail_memory(err, cap * sizeof *list);
        a->list = list;
        a->cap = cap;
    }
    const char *copy = arena_string(a->arena, name, (size_t)n);
    if (!copy) return fail_memory(err, (size_t)n);
    a->list[a->count++] = (struct alias){copy, tensor};
    return RNND_OK;
}

static int compare_aliases(const void *x, const void *y)
{
    return strcmp(((const struct alias *)x)->name, ((const struct alias *)y)->name);
}

/* Those that are unique and no tensor's own name become names of their tensors, beside the long ones. */
static rnnd_code give_aliases(struct aliases *a, struct checkpoint *out, rnnd_error *err)
{
    size_t kept = 0;
    rnnd_code code = checkpoint_finish(out, err);
    if (a->count) qsort(a->list, a->count, sizeof *a->list, compare_aliases);
    for (size_t i = 0; i < a->count; i++) {
        bool twice = (i && compare_aliases(&a->list[i - 1], &a->list[i]) == 0) ||
                     (i + 1 < a->count && compare_aliases(&a->list[i + 1], &a->list[i]) == 0);
        if (!twice && !checkpoint_find(out, a->list[i].name)) a->list[kept++] = a->list[i];
    }
    size_t count = out->count;
    for (size_t i = 0; i < kept && !code && count + kept <= CHECKPOINT_MAX_TENSORS; i++) {
        size_t at = 0; /* the table is being added to: its sorted part is the first `count` */
        for (size_t low = 0, high = count; low < high;) {
            at = low + (high - low) / 2;
            int order = strcmp(a->list[i].tensor, out->tensors[at].name);
            if (order == 0) break;
            if (order < 0)
                high = at;
            else
                low = at + 1;
        }
        struct checkpoint_tensor t = out->tensors[at];
        t.name = a->list[i].name;
        code = checkpoint_add(out, &t, err);
    }
    mem_free(a->list);
    return code ? code : checkpoint_finish(out, err);
}

static rnnd_code add_tensor(struct h5 *f, const char *path, const char *name, struct checkpoint *out, rnnd_error *err)
{
    struct checkpoint_tensor t = {0};
    rnnd_code code = h5_dataset(f, path, &t, err);
    t.name = name;
    return code ? code : checkpoint_add(out, &t, err);
}

/* ---- by layer_names ---- */

static bool ends(const char *s, size_t n, const char *suffix)
{
    size_t k = strlen(suffix);
    return n >= k && memcmp(s + n - k, suffix, k) == 0;
}

static bool begins(const char *s, size_t n, const char *prefix)
{
    size_t k = strlen(prefix);
    return n >= k && memcmp(s, prefix, k) == 0;
}

/* Where the path goes on behind the layer's own name, if it is there. */
static const char *behind(const char *layer, const char *weight)
{
    size_t n = strlen(layer);
    const char *from = weight;
    for (const char *at = strstr(weight, layer); at; at = strstr(at + 1, layer))
        if ((at == weight || at[-1] == '/') && at[n] == '/') from = at + n + 1;
    return from;
}

/* "sequential/both/forward_lstm/lstm_cell/kernel:0" of layer "both" -> "forward/kernel": only what tells the tensor
 * from the layer's others. */
static void short_role(const char *layer, const char *weight, char role[MAX_PATH])
{
    size_t at = 0;
    for (const char *c = behind(layer, weight); *c; c += strspn(c, "/")) {
        size_t n = strcspn(c, "/");
        const char *part = c, *next = c + n;
        if (!*next) {
            n = strcspn(c, ":");
        } else if (begins(c, n, "forward_")) {
            n = 7;
        } else if (begins(c, n, "backward_")) {
            n = 8;
        } else if (memmem(c, n, "_cell", 5)) {
            part = NULL;
        }
        if (part && at + n + 2 < MAX_PATH) {
            if (at) role[at++] = '/';
            memcpy(role + at, part, n);
            at += n;
        }
        c = next;
    }
    role[at] = 0;
}

static rnnd_code read_group(struct h5 *f, const char *root, struct checkpoint *out, struct keras_group *g,
                            struct aliases *aliases, rnnd_error *err)
{
    char path[MAX_PATH], role[MAX_PATH];
    const char **names;
    int skip = *root ? (int)strlen(root) + 1 : 0;
    int n = snprintf(path, sizeof path, "%s%s%s", root, *root ? "/" : "", g->layer);
    if (n < 0 || (size_t)n >= sizeof path || !*g->layer)
        return fail(err, RNND_CORRUPT, "layer_names: wanted names of 1 to %d bytes, found %.80s", MAX_PATH, g->layer);
    rnnd_code code = read_names(f, path, "weight_names", &out->arena, &names, &g->count, err);
    if (code) return code;
    g->tensors = arena_alloc(&out->arena, g->count + 1, sizeof *g->tensors);
    if (!g->tensors) return fail_memory(err, g->count * sizeof *g->tensors);
    for (size_t i = 0; i < g->count && !code; i++) {
        int k = snprintf(path + n, sizeof path - (size_t)n, "/%s", names[i]);
        if (k < 0 || (size_t)(n + k) >= sizeof path)
            return fail_at(err, RNND_CORRUPT, g->layer, "layer \"%.80s\": a weight's name is too long", g->layer);
        char *name = arena_string(&out->arena, path + skip, strlen(path + skip));
        if (!name) return fail_memory(err, (size_t)(n + k));
        g->tensors[i] = name;
        code = add_tensor(f, path, name, out, err);
        short_role(g->layer, names[i], role);
        if (!code) code = add_alias(aliases, g->layer, role, name, err);
    }
    return code;
}

rnnd_code keras_read_groups(struct h5 *f, const char *root, struct checkpoint *out, struct keras_document *doc,
                            rnnd_error *err)
{
    struct aliases aliases = {.arena = &out->arena};
    const char **layers;
    size_t count;
    rnnd_code code = read_names(f, root, "layer_names", &out->arena, &layers, &count, err);
    if (code) return code;
    if (!layers) { /* no Keras 1 or 2 way of saving: Keras 3's save_weights(), or any other HDF5 file */
        doc->by_name = false;
        return keras_read_folders(f, out, doc, err);
    }
    if (count > CHECKPOINT_MAX_TENSORS) return fail(err, RNND_CORRUPT, "layer_names names %zu layers", count);
    doc->groups = arena_alloc(&out->arena, count + 1, sizeof *doc->groups);
    if (!doc->groups) return fail_memory(err, count * sizeof *doc->groups);
    for (size_t i = 0; i < count && !code; i++) {
        doc->groups[i].layer = layers[i];
        code = read_group(f, root, out, &doc->groups[i], &aliases, err);
        doc->group_count = i + 1;
    }
    if (code) return mem_free(aliases.list), code;
    return give_aliases(&aliases, out, err);
}

/* ---- by folders ---- */

struct walk {
    struct h5 *f;
    struct checkpoint *out;
    struct keras_document *doc;
    struct aliases aliases;
    size_t folder_cap, met;
    char path[MAX_PATH];
};

/* The folder above a vars: noted with the name that Keras writes beside, and its tensors with short names. */
static rnnd_code note_folder(struct walk *w, size_t length, rnnd_error *err)
{
    struct keras_document *doc = w->doc;
    const char *name;
    size_t bytes;
    char *copy = arena_string(&w->out->arena, w->path, length);
    if (!copy) return fail_memory(err, length);
    rnnd_code code = h5_attr_string(w->f, w->path, "name", &name, &bytes, err);
    if (code) return code;
    if (doc->folder_count == w->folder_cap) {
        size_t cap = w->folder_cap ? w->folder_cap * 2 : 64;
        struct keras_folder *list = arena_alloc(&w->out->arena, cap, sizeof *list);
        if (!list) return fail_memory(err, cap * sizeof *list);
        if (doc->folder_count) memcpy(list, doc->folders, doc->folder_count * sizeof *list);
        doc->folders = list;
        w->folder_cap = cap;
    }
    doc->folders[doc->folder_count++] = (struct keras_folder){copy, name ? name : ""};
    return RNND_OK;
}

/* What Keras calls the i-th variable of such a folder, or NULL. */
static const char *role_of(const char *folder, size_t length, size_t i)
{
    static const char *const cell[] = {"kernel", "recurrent_kernel", "bias"};
    static const char *const dense[] = {"kernel", "bias"};
    const char *base = folder + length;
    while (base > folder && base[-1] != '/')
        base--;
    size_t n = (size_t)(folder + length - base);
    if (memmem(base, n, "cell", 4)) return i < 3 ? cell[i] : NULL;
    if (n >= 5 && (memcmp(base, "dense", 5) == 0 || memcmp(base, "conv1", 5) == 0 || memcmp(base, "conv2", 5) == 0))
        return i < 2 ? dense[i] : NULL;
    if (n >= 9 && memcmp(base, "embedding", 9) == 0) return i == 0 ? "embeddings" : NULL;
    return NULL;
}

/* path is .../lstm/cell/vars/0; the layer's name stands at the shortest folder below the last `layers` */
static rnnd_code alias_of(struct walk *w, const char *tensor, size_t index, rnnd_error *err)
{
    size_t length = strlen(tensor);
    while (length && tensor[length - 1] != '/')
        length--;
    if (length < 6) return RNND_OK;
    length -= 6; /* without "/vars/" */
    const char *role = role_of(tensor, length, index), *direction = NULL;
    const char *from = memmem(tensor, length, "layers/", 7);
    for (const char *next = from; next; next = memmem(next + 7, length - (size_t)(next + 7 - tensor), "layers/", 7))
        from = next;
    if (!role || !from) return RNND_OK;
    size_t top = (size_t)(from + 7 - tensor) + strcspn(from + 7, "/");
    if (memmem(tensor, length, "/forward_layer", 14)) direction = "forward/";
    if (memmem(tensor, length, "/backward_layer", 15)) direction = "backward/";
    char vars[MAX_PATH], text[64];
    const char *name;
    size_t bytes;
    snprintf(vars, sizeof vars, "%.*s/vars", (int)top, tensor);
    enum h5_kind kind;
    rnnd_code code = h5_kind_of(w->f, vars, &kind, err);
    if (code || kind != H5_GROUP) return code;
    code = h5_attr_string(w->f, vars, "name", &name, &bytes, err);
    if (code || !name) return code;
    snprintf(text, sizeof text, "%s%s", direction ? direction : "", role);
    return add_alias(&w->aliases, name, text, tensor, err);
}

static rnnd_code walk(struct walk *w, size_t length, int depth, rnnd_error *err);

static rnnd_code walk_member(struct walk *w, size_t length, const char *name, int depth, rnnd_error *err)
{
    size_t n = strlen(name), end = length ? length + 1 + n : n;
    enum h5_kind kind;
    if (end + 8 >= MAX_PATH) return fail(err, RNND_CORRUPT, "a path in the file is too long: %.80s", w->path);
    if (!length && (strcmp(name, "optimizer") == 0 || strcmp(name, "optimizer_weights") == 0)) return RNND_OK;
    if (++w->met > CHECKPOINT_MAX_TENSORS * 4)
        return fail(err, RNND_CORRUPT, "the file has more than %zu members", CHECKPOINT_MAX_TENSORS * 4);
    if (length) w->path[length] = '/';
    memcpy(w->path + end - n, name, n + 1);
    rnnd_code code = h5_kind_of(w->f, w->path, &kind, err);
    if (!code && kind == H5_GROUP) {
        if (strcmp(name, "vars") == 0 && length) code = note_folder(w, length, err);
        if (!code) code = walk(w, end, depth + 1, err);
    } else if (!code && kind == H5_DATASET) {
        char *copy = arena_string(&w->out->arena, w->path, end);
        bool var = length >= 5 && ends(w->path, length, "/vars") && n == 1 && name[0] >= '0' && name[0] <= '9';
        rnnd_error why = {0};
        code = copy ? add_tensor(w->f, w->path, copy, w->out, &why) : fail_memory(&why, end);
        if (code == RNND_UNSUPPORTED)
            code = RNND_OK; /* texts and the like: who needs it will miss it */
        else if (!code && var)
            code = alias_of(w, copy, (size_t)(name[0] - '0'), &why);
        if (code && err) *err = why;
    }
    w->path[length] = 0;
    return code;
}

static rnnd_code walk(struct walk *w, size_t length, int depth, rnnd_error *err)
{
    const char *const *names;
    size_t count;
    if (depth > MAX_FOLDERS) return fail(err, RNND_CORRUPT, "groups within groups, more than %d deep", MAX_FOLDERS);
    rnnd_code code = h5_list(w->f, w->path, &names, &count, err);
    for (size_t i = 0; i < count && !code; i++)
        code = walk_member(w, length, names[i], depth, err);
    return code;
}

static int compare_folders(const void *a, const void *b)
{
    return strcmp(((const struct keras_folder *)a)->path, ((const struct keras_folder *)b)->path);
}

rnnd_code keras_read_folders(struct h5 *f, struct checkpoint *out, struct keras_document *doc, rnnd_error *err)
{
    struct walk *w = mem_alloc(1, sizeof *w);
    if (!w) return fail_memory(err, sizeof *w);
    *w = (struct walk){.f = f, .out = out, .doc = doc, .aliases = {.arena = &out->arena}};
    rnnd_code code = walk(w, 0, 0, err);
    if (code)
        mem_free(w->aliases.list);
    else
        code = give_aliases(&w->aliases, out, err);
    if (doc->folder_count) qsort(doc->folders, doc->folder_count, sizeof *doc->folders, compare_folders);
    mem_free(w);
    return code;
}
