/* registry.c -- the open models: sources to files, files to named models, names back to models.
 *
 * A file's name is what a request calls it: "NAME=FILE" says it, else it is the file's stem. Stems that occur twice
 * get their extension, all of them, so that neither file silently takes the name. Loading happens in registry_add,
 * before the server listens. */
#include "server/engine/registry.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "server/engine/fail.h"

/* The file names that a folder is searched for. A .json file is a model only where the library opens it. */
static const char *const extensions[] = {".safetensors", ".h5", ".hdf5", ".keras", ".pt", ".pth", ".onnx", ".nam",
                                         ".json"};
#define SIDE_FILE ".rnnd.json" /* NAME.rnnd.json is the configuration of the model beside it */

struct entry {
    struct model model; /* first: a struct model * is a struct entry * */
    char *name, *path;
    char *stem, *file;  /* file name without and with its extension */
    bool named;         /* by NAME=FILE: never renamed */
    char version[24];
};

struct registry {
    struct model **models; /* sorted by name; each owned */
    size_t count, cap;
    rnnd_options options;
};

struct registry *registry_start(void)
{
    return calloc(1, sizeof(struct registry));
}

void registry_open_as(struct registry *r, const rnnd_options *options)
{
    r->options = *options;
}

void registry_fail(struct model *m, const char *sentence)
{
    snprintf(m->failure, sizeof m->failure, "%s", sentence);
    rnnd_model_close(m->handle);
    m->handle = NULL;
    m->info = NULL;
}

static void free_entry(struct entry *e)
{
    if (!e) return;
    if (e->model.handle) rnnd_model_close(e->model.handle);
    free(e->name);
    free(e->path);
    free(e->stem);
    free(e->file);
    free(e);
}

void registry_stop(struct registry *r)
{
    if (!r) return;
    for (size_t i = 0; i < r->count; i++) free_entry((struct entry *)r->models[i]);
    free(r->models);
    free(r);
}

size_t registry_list(const struct registry *r, struct model *const **models)
{
    *models = r->models;
    return r->count;
}

struct model *registry_find(const struct registry *r, const char *name)
{
    size_t low = 0, high = r->count;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        int order = strcmp(r->models[mid]->name, name);
        if (order == 0) return r->models[mid];
        if (order < 0) low = mid + 1;
        else high = mid;
    }
    return NULL;
}

/* ---- adding --------------------------------------------------------------------------------------------------- */

static const char *model_extension(const char *file)
{
    size_t bytes = strlen(file);
    for (size_t i = 0; i < sizeof extensions / sizeof *extensions; i++) {
        size_t n = strlen(extensions[i]);
        if (bytes > n && !strcmp(file + bytes - n, extensions[i])) return extensions[i];
    }
    return NULL;
}

static int by_name(const void *a, const void *b)
{
    return strcmp((*(struct model *const *)a)->name, (*(struct model *const *)b)->name);
}

static double seconds_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* Path parts end up in URLs ("/v1/models/{model}:predict"), so a name keeps to what needs no escaping there. */
static bool good_name(const char *name)
{
    size_t n = strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-");
    return n >= 1 && n <= 128 && !name[n] && strcmp(name, "stats");
}

/* Equal stems get their extension, those that are there already too. Returns the name for the new entry (owned by it),
 * or an error if that is taken as well. */
static rnnd_code settle_name(struct registry *r, struct entry *e, rnnd_error *err)
{
    bool clash = false;
    if (!e->named) {
        for (size_t i = 0; i < r->count; i++) {
            struct entry *other = (struct entry *)r->models[i];
            if (other->named ? strcmp(other->name, e->stem) : strcmp(other->stem, e->stem)) continue;
            clash = true;
            if (other->named || !strcmp(other->name, other->file)) continue;
            char *longer = strdup(other->file);
            if (!longer) return engine_fail_memory(err, strlen(other->file) + 1);
            free(other->name);
            other->model.name = other->name = longer;
        }
        if (clash) {
            char *longer = strdup(e->file);
            if (!longer) return engine_fail_memory(err, strlen(e->file) + 1);
            free(e->name);
            e->model.name = e->name = longer;
            qsort(r->models, r->count, sizeof *r->models, by_name);
        }
    }
    struct model *taken = registry_find(r, e->name);
    if (taken)
        return engine_fail(err, RNND_CONFLICT, "models", "the model name %s is given twice: to %s and to %s", e->name,
                           taken->path, e->path);
    return RNND_OK;
}

static void load(struct entry *e, const struct registry *r)
{
    const char *row = r->options.kernel_row;
    rnnd_error why = {0};
    double begin = seconds_now();

    rnnd_code code = rnnd_model_open(e->path, &r->options, &e->model.handle, &why);
    e->model.load_seconds = seconds_now() - begin;
    e->model.loaded_unix = (int64_t)time(NULL);
    if (code != RNND_OK) {
        e->model.handle = NULL;
        snprintf(e->model.failure, sizeof e->model.failure, "%s", why.message[0] ? why.message : rnnd_code_name(code));
        return;
    }
    e->model.info = rnnd_model_info(e->model.handle);
    bool exact = !strcmp(e->model.info->precision, "fp32"); /* what is not says so */
    snprintf(e->version, sizeof e->version, "%.12s%s%s%s", e->model.info->digest, exact ? "" : "+",
             exact ? "" : e->model.info->precision, row && !strcmp(row, "fast") ? "+fast" : "");
}

static void refuse_bad_name(struct entry *e)
{
    if (good_name(e->name)) return;
    if (e->model.handle) rnnd_model_close(e->model.handle);
    e->model.handle = NULL;
    e->model.info = NULL;
    snprintf(e->model.failure, sizeof e->model.failure,
             "'%.100s' cannot be a model's name: wanted 1 to 128 of [A-Za-z0-9._-], and not 'stats'; "
             "NAME=FILE gives it another", e->name);
}

static bool has_ending(const char *file, const char *ending)
{
    size_t bytes = strlen(file), n = strlen(ending);
    return bytes >= n && !strcmp(file + bytes - n, ending);
}

/* Takes one file in. name NULL: its stem. found: in a folder, where nobody has said that it is a model. */
static rnnd_code add_file(struct registry *r, const char *name, const char *path, bool found, rnnd_error *err)
{
    const char *slash = strrchr(path, '/'), *file = slash ? slash + 1 : path, *extension = model_extension(file);
    size_t stem_bytes = strlen(file) - (extension ? strlen(extension) : 0);
    rnnd_code code = RNND_NO_MEMORY;

    for (size_t i = 0; i < r->count; i++) /* the same file twice is once */
        if (!name && !strcmp(r->models[i]->path, path)) return RNND_OK;
    struct entry *e = calloc(1, sizeof *e);
    if (!e) return engine_fail_memory(err, sizeof *e);
    e->named = name != NULL;
    e->stem = strndup(file, stem_bytes);
    e->file = strdup(file);
    e->path = strdup(path);
    e->name = name ? strdup(name) : strndup(file, stem_bytes);
    if (!e->stem || !e->file || !e->path || !e->name) {
        engine_fail_memory(err, strlen(path) * 2);
        goto out;
    }
    e->model.name = e->name;
    e->model.path = e->path;
    e->model.version = e->version;
    if (r->count == r->cap) {
        size_t cap = r->cap ? r->cap * 2 : 16;
        struct model **grown = realloc(r->models, cap * sizeof *grown);
        if (!grown) {
            engine_fail_memory(err, cap * sizeof *grown);
            goto out;
        }
        r->models = grown;
        r->cap = cap;
    }
    load(e, r);
    if (found && !e->model.handle && has_ending(file, ".json")) { /* other JSON, none of ours to speak of */
        free_entry(e);
        return RNND_OK;
    }
    code = settle_name(r, e, err);
    if (code != RNND_OK) goto out;
    refuse_bad_name(e);
    r->models[r->count++] = &e->model;
    qsort(r->models, r->count, sizeof *r->models, by_name);
    return RNND_OK;
out:
    free_entry(e);
    return code;
}

static int by_text(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static int looks_like_model(const struct dirent *d)
{
    return d->d_name[0] != '.' && model_extension(d->d_name) && !has_ending(d->d_name, SIDE_FILE);
}

static rnnd_code add_folder(struct registry *r, const char *folder, rnnd_error *err)
{
    struct dirent **found = NULL;
    rnnd_code code = RNND_OK;
    int count = scandir(folder, &found, looks_like_model, by_text);
    size_t folder_bytes = strlen(folder);

    if (count < 0) return engine_fail(err, RNND_IO, "models", "the folder %s cannot be read: %m", folder);
    while (folder_bytes > 1 && folder[folder_bytes - 1] == '/') folder_bytes--;
    for (int i = 0; i < count; i++) {
        char *path = NULL;
        struct stat info;
        if (code == RNND_OK) {
            if (asprintf(&path, "%.*s/%s", (int)folder_bytes, folder, found[i]->d_name) < 0)
                code = engine_fail_memory(err, folder_bytes + 256);
            else if (!stat(path, &info) && S_ISREG(info.st_mode)) code = add_file(r, NULL, path, true, err);
        }
        free(path);
        free(found[i]);
    }
    free(found);
    return code;
}

rnnd_code registry_add(struct registry *r, const char *source, rnnd_error *err)
{
    struct stat info;
    const char *equals = strchr(source, '=');
    char *name = NULL;

    if (equals && stat(source, &info)) { /* a file whose own name holds '=' is still a file */
        name = strndup(source, (size_t)(equals - source));
        if (!name) return engine_fail_memory(err, (size_t)(equals - source));
        source = equals + 1;
    }
    rnnd_code code;
    if (stat(source, &info))
        code = engine_fail(err, RNND_NOT_FOUND, "models", "there is no model file or folder '%s': %m", source);
    else if (S_ISDIR(info.st_mode) && name)
        code = engine_fail(err, RNND_INVALID, "models", "%s=%s: a name goes with a file, %s is a folder", name, source,
                           source);
    else if (S_ISDIR(info.st_mode)) code = add_folder(r, source, err);
    else if (name && !good_name(name))
        code = engine_fail(err, RNND_INVALID, "models",
                           "'%s' cannot be a model's name: wanted 1 to 128 of [A-Za-z0-9._-], and not 'stats'", name);
    else code = add_file(r, name, source, false, err);
    free(name);
    return code;
}

/* ---- choosing ------------------------------------------------------------------------------------------------- */

static bool fits(const struct model *m, int task)
{
    return m->handle && (task < 0 || (int)m->info->task == task);
}

/* "a, b, c" of the loaded models of a task, cut to what fits. */
static void name_candidates(const struct registry *r, int task, char *out, size_t bytes)
{
    size_t used = 0;
    out[0] = '\0';
    for (size_t i = 0; i < r->count; i++) {
        if (!fits(r->models[i], task)) continue;
        size_t need = strlen(r->models[i]->name) + 2;
        if (used + need + 5 > bytes) {
            snprintf(out + used, bytes - used, ", ...");
            return;
        }
        used += (size_t)snprintf(out + used, bytes - used, "%s%s", used ? ", " : "", r->models[i]->name);
    }
}

rnnd_code registry_choose(const struct registry *r, const char *name, int task, struct model **out, rnnd_error *err)
{
    static const char *const task_names[] = {"tensor ", "text ", "series "};
    const char *kind = task < 0 ? "" : task_names[task];
    char candidates[256];
    struct model *m = NULL;
    size_t count = 0;

    *out = NULL;
    name_candidates(r, task, candidates, sizeof candidates);
    if (name) {
        m = registry_find(r, name);
        if (!m)
            return engine_fail(err, RNND_NOT_FOUND, "model", "there is no model '%.100s'; %smodels here: %s", name,
                               kind, candidates[0] ? candidates : "none");
        if (!m->handle)
            return engine_fail(err, RNND_BUSY, "model", "the model %s did not load: %s", m->name, m->failure);
        if (!fits(m, task))
            return engine_fail(err, RNND_UNSUPPORTED, "model", "%s is a %smodel; this needs a %smodel: %s", m->name,
                               task_names[m->info->task], kind, candidates[0] ? candidates : "none here");
        *out = m;
        return RNND_OK;
    }
    for (size_t i = 0; i < r->count; i++)
        if (fits(r->models[i], task)) {
            m = r->models[i];
            count++;
        }
    if (count == 0)
        return engine_fail(err, RNND_NOT_FOUND, "model", "no %smodel is loaded", kind);
    if (count > 1)
        return engine_fail(err, RNND_INVALID, "model", "say which model is meant, by \"model\": %s", candidates);
    *out = m;
    return RNND_OK;
}
