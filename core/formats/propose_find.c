/* propose_find.c -- layers from the names and shapes of tensors: a module's tensors share the path before the dot. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/error.h"
#include "core/formats/propose_parts.h"

#define MAX_MODULES 512 /* they are looked up one by one */

static const char *role_of(const char *name)
{
    const char *dot = strrchr(name, '.');
    return dot ? dot + 1 : name;
}

static bool same_path(const struct checkpoint_tensor *t, const char *path, size_t n)
{
    size_t length = (size_t)(role_of(t->name) - t->name);
    return length == n && memcmp(t->name, path, n) == 0;
}

static rnnd_code refuse(struct proposing *p, const struct checkpoint_tensor *t, const char *why)
{
    char shape[96];
    return fail_at(p->err, RNND_UNSUPPORTED, t->name,
                   PROPOSE_NONE "tensor \"%.80s\" %s %s" PROPOSE_WAY_OUT, t->name,
                   shape_text(shape, t->rank, t->dim), why, p->name);
}

/* The tensor PATH.role; path has its dot. */
static struct checkpoint_tensor *part(const struct proposing *p, const char *path, size_t n, const char *role)
{
    char name[700];
    if (n > 600) return NULL;
    snprintf(name, sizeof name, "%.*s%s", (int)n, path, role);
    return checkpoint_find(p->ck, name);
}

/* ---- recurrent ---- */

/* "_l3_reverse" behind the role. */
static bool read_suffix(const char *s, size_t *layer, bool *reverse, bool *plain)
{
    char *end;
    *layer = 0;
    *reverse = false;
    *plain = !*s;
    if (*plain) return true;
    if (strncmp(s, "_l", 2) != 0 || s[2] < '0' || s[2] > '9') return false;
    *layer = strtoul(s + 2, &end, 10);
    *reverse = strcmp(end, "_reverse") == 0;
    return (!*end || *reverse) && *layer < 64;
}

static bool is_matrix(const struct checkpoint_tensor *t, size_t rows, size_t columns)
{
    return t && t->rank == 2 && t->dim[0] == rows && (!columns || t->dim[1] == columns) && t->dim[1] > 0;
}

static bool is_vector(const struct checkpoint_tensor *t, size_t n)
{
    return t && t->rank == 1 && t->dim[0] == n;
}

/* Sizes from the first layer's tensors. */
static rnnd_code read_sizes(struct proposing *p, const char *path, size_t n, struct item *i)
{
    const char *end = i->cell ? "" : "_l0";
    char role[40];
    const struct checkpoint_tensor *t[3];
    static const char *const roles[] = {"weight_hh", "weight_ih", "weight_hr"};
    for (int k = 0; k < 3; k++) {
        snprintf(role, sizeof role, "%s%s", roles[k], end);
        t[k] = part(p, path, n, role);
    }
    snprintf(role, sizeof role, "bias_ih%s", end);
    i->bias = part(p, path, n, role) != NULL;
    if (!t[0] || t[0]->rank != 2 || !t[0]->dim[1])
        return refuse(p, t[0] ? t[0] : p->tensors[0], "is no recurrent weight, nor has one of layer 0 beside it");
    i->projection = t[2] && t[2]->rank == 2 ? t[2]->dim[0] : 0;
    i->hidden = i->projection ? t[2]->dim[1] : t[0]->dim[1];
    i->gates = i->hidden && t[0]->dim[0] % i->hidden == 0 ? t[0]->dim[0] / i->hidden : 0;
    if (i->gates != 4 && i->gates != 3 && i->gates != 1)
        return refuse(p, t[0], "has neither 4 (LSTM), 3 (GRU) nor 1 (RNN) times as many rows as columns");
    if (i->projection && i->gates != 4) return refuse(p, t[2], "is a projection of something else than an LSTM");
    if (!is_matrix(t[1], i->gates * i->hidden, 0))
        return refuse(p, t[0], "has no weight_ih of as many rows beside it");
    i->inputs = t[1]->dim[1];
    i->outputs = (i->projection ? i->projection : i->hidden) * (i->both ? 2 : 1);
    return RNND_OK;
}

/* That all layers and directions are there, of the shapes they must have. */
static bool check_layers(const struct proposing *p, const char *path, size_t n, const struct item *i)
{
    size_t rows = i->gates * i->hidden, width = i->projection ? i->projection : i->hidden;
    char role[48];
    bool good = true;
    for (size_t k = 0; k < i->layers * (i->both ? 2 : 1) && good; k++) {
        size_t layer = i->both ? k / 2 : k;
        char end[32];
        snprintf(end, sizeof end, "_l%zu%s", layer, i->both && k % 2 ? "_reverse" : "");
        if (i->cell) end[0] = 0;
        snprintf(role, sizeof role, "weight_ih%s", end);
        good = is_matrix(part(p, path, n, role), rows, layer ? i->outputs : i->inputs);
        snprintf(role, sizeof role, "weight_hh%s", end);
        good = good && is_matrix(part(p, path, n, role), rows, width);
        snprintf(role, sizeof role, "bias_ih%s", end);
        good = good && (!i->bias || is_vector(part(p, path, n, role), rows));
        snprintf(role, sizeof role, "bias_hh%s", end);
        good = good && (!i->bias || is_vector(part(p, path, n, role), rows));
        snprintf(role, sizeof role, "weight_hr%s", end);
        good = good && (!i->projection || is_matrix(part(p, path, n, role), i->projection, i->hidden));
    }
    return good;
}

static rnnd_code find_recurrent(struct proposing *p, const char *path, size_t n, struct item *i)
{
    static const char *const roles[] = {"weight_ih", "weight_hh", "weight_hr", "bias_ih", "bias_hh"};
    size_t layer;
    bool reverse, plain, numbered = false;
    i->kind = ITEM_RECURRENT;
    for (size_t k = 0; k < p->ck->count; k++) {
        const struct checkpoint_tensor *t = p->tensors[k];
        const char *end = NULL;
        if (!same_path(t, path, n)) continue;
        for (int r = 0; r < 5; r++)
            if (strncmp(role_of(t->name), roles[r], strlen(roles[r])) == 0) end = role_of(t->name) + strlen(roles[r]);
        if (!end || !read_suffix(end, &layer, &reverse, &plain))
            return refuse(p, t, "lies beside a recurrent layer's and is none of them");
        i->cell |= plain;
        numbered |= !plain;
        i->both |= reverse;
        if (layer >= i->layers) i->layers = layer + 1;
    }
    rnnd_code code = read_sizes(p, path, n, i);
    if (code) return code;
    if ((i->cell && numbered) || !check_layers(p, path, n, i))
        return refuse(p, part(p, path, n, i->cell ? "weight_hh" : "weight_hh_l0"),
                      "begins a recurrent layer whose other tensors are missing or of other shapes");
    const struct torch_fact *f = torch_fact(i->module, "nonlinearity"), *mode = torch_fact(i->module, "mode");
    if (i->gates == 1 && mode && mode->kind == TORCH_TEXT)
        i->activation = strcmp(mode->text, "RNN_RELU") == 0   ? "relu"
                        : strcmp(mode->text, "RNN_TANH") == 0 ? "tanh"
                                                              : NULL;
    if (i->gates == 1 && f && f->kind == TORCH_TEXT && (strcmp(f->text, "relu") == 0 || strcmp(f->text, "tanh") == 0))
        i->activation = f->text;
    return RNND_OK;
}

/* ---- others ---- */

static bool is_embedding(const struct item *i)
{
    if (i->module && i->module->class_name && i->module->torch_nn)
        return strcmp(i->module->class_name, "Embedding") == 0;
    for (const char *s = i->path; *s; s++)
        if ((s[0] | 0x20) == 'e' && (s[1] | 0x20) == 'm' && (s[2] | 0x20) == 'b') return true;
    return false;
}

static rnnd_code find_norm(struct proposing *p, const char *path, size_t n, struct item *i)
{
    const struct checkpoint_tensor *weight = part(p, path, n, "weight"), *bias = part(p, path, n, "bias"),
                                   *mean = part(p, path, n, "running_mean"), *var = part(p, path, n, "running_var");
    const struct checkpoint_tensor *first = mean ? mean : weight;
    i->kind = mean ? ITEM_BATCH_NORM : ITEM_LAYER_NORM;
    i->inputs = i->outputs = first->dim[0];
    i->affine = weight != NULL;
    i->bias = bias != NULL;
    i->number = propose_number(i->module, "eps", 1e-5, &i->has_number);
    bool good = is_vector(first, i->inputs) && (!weight || is_vector(weight, i->inputs)) &&
                (!bias || is_vector(bias, i->inputs)) && (!mean || is_vector(var, i->inputs)) &&
                (i->bias == i->affine || !mean);
    return good ? RNND_OK : refuse(p, first, "begins a normalisation whose other tensors are of other shapes");
}

static bool class_allows(const struct item *i)
{
    static const char *const names[] = {[ITEM_EMBEDDING] = "Embedding", [ITEM_DENSE] = "Linear",
                                        [ITEM_LAYER_NORM] = "LayerNorm", [ITEM_BATCH_NORM] = "BatchNorm1d"};
    if (!i->module || !i->module->class_name || !i->module->torch_nn || i->kind == ITEM_RECURRENT) return true;
    return strcmp(i->module->class_name, names[i->kind]) == 0 ||
           (i->kind == ITEM_DENSE && strcmp(i->module->class_name, "NonDynamicallyQuantizableLinear") == 0);
}

static rnnd_code find_plain(struct proposing *p, const char *path, size_t n, struct item *i)
{
    const struct checkpoint_tensor *weight = part(p, path, n, "weight"), *bias = part(p, path, n, "bias");
    bool known = true;
    for (size_t k = 0; k < p->ck->count && known; k++) {
        const struct checkpoint_tensor *t = p->tensors[k];
        const char *role = role_of(t->name);
        if (!same_path(t, path, n)) continue;
        bool norm = strcmp(role, "running_mean") == 0 || strcmp(role, "running_var") == 0;
        known = norm || strcmp(role, "weight") == 0 || strcmp(role, "bias") == 0 ||
                strcmp(role, "num_batches_tracked") == 0;
        if (!known) return refuse(p, t, "is of no layer that a proposal knows");
    }
    if (part(p, path, n, "running_mean") || (weight && weight->rank == 1 && weight->dim[0] && bias)) {
        rnnd_code code = find_norm(p, path, n, i);
        if (code) return code;
    } else if (weight && weight->rank == 2 && weight->dim[0] && weight->dim[1]) {
        i->kind = !bias && is_embedding(i) ? ITEM_EMBEDDING : ITEM_DENSE;
        i->inputs = weight->dim[i->kind == ITEM_DENSE];
        i->outputs = weight->dim[i->kind != ITEM_DENSE];
        i->bias = bias != NULL;
        if (bias && !is_vector(bias, i->outputs)) return refuse(p, bias, "does not fit the weight beside it");
    } else {
        return refuse(p, weight ? weight : bias ? bias : p->tensors[0], "is of no layer that a proposal knows");
    }
    if (class_allows(i)) return RNND_OK;
    return fail(p->err, RNND_UNSUPPORTED,
                PROPOSE_NONE "module \"%.80s\" is of class %.60s, which is no layer of a list" PROPOSE_WAY_OUT, i->path,
                i->module->class_name, p->name);
}

static const struct torch_module *module_of(const struct proposing *p, const char *path)
{
    for (size_t i = 0; p->torch && i < p->torch->module_count; i++)
        if (strcmp(p->torch->modules[i].path, path) == 0) return &p->torch->modules[i];
    return NULL;
}

static bool has_item(const struct proposing *p, const char *path, size_t n)
{
    for (size_t i = 0; i < p->item_count; i++)
        if (strncmp(p->items[i].path, path, n) == 0 && !p->items[i].path[n]) return true;
    return false;
}

static rnnd_code next_item(struct proposing *p, struct item **out)
{
    if (p->item_count == PROPOSE_MAX_ITEMS || (p->torch && p->torch->module_count > MAX_MODULES))
        return fail(p->err, RNND_UNSUPPORTED,
                    PROPOSE_NONE "the file has more than %d layers" PROPOSE_WAY_OUT, PROPOSE_MAX_ITEMS, p->name);
    *out = &p->items[p->item_count++];
    return RNND_OK;
}

/* The layer that a tensor is the first of. */
static rnnd_code find_group(struct proposing *p, const struct checkpoint_tensor *t)
{
    const char *role = role_of(t->name);
    size_t n = (size_t)(role - t->name);
    struct item *i = NULL;
    if (has_item(p, t->name, n ? n - 1 : 0)) return RNND_OK;
    rnnd_code code = next_item(p, &i);
    if (code) return code;
    i->path = arena_string(p->arena, t->name, n ? n - 1 : 0);
    if (!i->path) return fail_memory(p->err, n);
    i->module = module_of(p, i->path);
    bool recurrent = part(p, t->name, n, "weight_hh") || part(p, t->name, n, "weight_hh_l0");
    return recurrent ? find_recurrent(p, t->name, n, i) : find_plain(p, t->name, n, i);
}

/* A module without tensors, where classes are known. */
static rnnd_code find_module(struct proposing *p, const struct torch_module *m)
{
    struct item found, *i = NULL;
    bool known, some;
    if (m->children || !m->torch_nn) return RNND_OK;
    propose_class(m, &found, &known, &some);
    if (!known)
        return fail(p->err, RNND_UNSUPPORTED,
                    PROPOSE_NONE "module \"%.80s\" is of class %.60s, which is no layer of a list" PROPOSE_WAY_OUT,
                    m->path, m->class_name, p->name);
    if (!some) return RNND_OK;
    rnnd_code code = next_item(p, &i);
    if (!code) *i = found;
    return code;
}

static rnnd_code nothing_recurrent(struct proposing *p)
{
    char names[300];
    size_t at = 0;
    names[0] = 0;
    for (size_t i = 0; i < p->ck->count && i < 4; i++)
        at += (size_t)snprintf(names + at, sizeof names - at, "%s\"%.50s\"", i ? ", " : "", p->tensors[i]->name);
    return fail(p->err, RNND_UNSUPPORTED,
                PROPOSE_NONE "no recurrent layer (weight_hh_l0 ..) is among its %zu tensors (%s%s)" PROPOSE_WAY_OUT,
                p->ck->count, names, p->ck->count > 4 ? ", .." : "", p->name);
}

rnnd_code propose_find(struct proposing *p)
{
    bool recurrent = false;
    rnnd_code code = RNND_OK;
    for (size_t i = 0; i < p->ck->count && !recurrent; i++)
        recurrent = strncmp(role_of(p->tensors[i]->name), "weight_hh", 9) == 0;
    if (!recurrent) return nothing_recurrent(p);
    for (size_t m = 0; p->classes && m < p->torch->module_count && m <= MAX_MODULES && !code; m++) {
        const struct torch_module *module = &p->torch->modules[m];
        size_t n = strlen(module->path), found = 0;
        for (size_t i = 0; i < p->ck->count && !found && !code; i++) {
            const struct checkpoint_tensor *t = p->tensors[i];
            if (!same_path(t, t->name, n ? n + 1 : 0) || memcmp(t->name, module->path, n) != 0) continue;
            found = 1;
            code = find_group(p, t);
        }
        if (!code && !found) code = find_module(p, module);
    }
    for (size_t i = 0; i < p->ck->count && !code; i++) /* what no module of the list has */
        code = find_group(p, p->tensors[i]);
    return code;
}
