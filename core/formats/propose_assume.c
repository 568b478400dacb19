/* propose_assume.c -- what a file of weights does not say of its network: decided here, a sentence each. */
#include <stdio.h>
#include <string.h>

#include "core/base/error.h"
#include "core/formats/propose_parts.h"

/* A recurrent module by itself: torch.nn says all that it does. */
static bool is_bare(const struct proposing *p)
{
    const struct item *i = &p->items[0];
    if (p->item_count != 1 || i->kind != ITEM_RECURRENT || i->path[0]) return false;
    if (!p->classes) return !p->torch || p->torch->module_count <= 1;
    return i->module && i->module->torch_nn;
}

static rnnd_code say_function(struct proposing *p)
{
    rnnd_code code = RNND_OK;
    for (size_t k = 0; k < p->item_count && !code; k++) {
        const struct item *i = &p->items[k];
        bool norm = i->kind == ITEM_BATCH_NORM || i->kind == ITEM_LAYER_NORM;
        if (i->kind == ITEM_RECURRENT && i->gates == 1 && !i->activation)
            code = propose_say(p, "the function of \"%.80s\": tanh, which is PyTorch's usual one; it may be relu",
                               propose_name(i));
        if (i->guessed)
            code = propose_say(p, "\"%.80s\" is an Embedding of %zu ids: it stands where one would", i->path,
                               i->inputs);
        if (norm && !i->has_number)
            code = propose_say(p, "epsilon of \"%.80s\": 1e-5, which is PyTorch's usual one", i->path);
        if (!code && i->kind == ITEM_LAYER_NORM && !i->module)
            code = propose_say(p, "\"%.80s\" is a LayerNorm over the features: its weight and bias look like one's",
                               i->path);
        if (i->kind == ITEM_ACTIVATION && !i->has_number &&
            (strcmp(i->activation, "leaky_relu") == 0 || strcmp(i->activation, "elu") == 0 ||
             strcmp(i->activation, "softplus") == 0 || strcmp(i->activation, "hard_tanh") == 0))
            code = propose_say(p, "the parameters of \"%.80s\" (%s): PyTorch's usual ones", i->path, i->activation);
    }
    return code;
}

/* All names in their order: "a", "b", "c". */
static void list_names(const struct proposing *p, char *text, size_t room)
{
    size_t at = 0;
    text[0] = 0;
    for (size_t i = 0; i < p->item_count && at + 1 < room; i++) {
        int n = snprintf(text + at, room - at, "%s\"%.60s\"", i ? ", " : "", propose_name(&p->items[i]));
        at = n < 0 || (size_t)n >= room - at ? room : at + (size_t)n;
    }
}

static rnnd_code say_order(struct proposing *p)
{
    char text[400];
    const struct torch_module *root = p->torch && p->torch->module_count ? p->torch->modules : NULL;
    list_names(p, text, sizeof text);
    if (p->classes && root)
        return propose_say(p, "the layers run one after the other as they are registered, %s: %s of %.60s is not read",
                           text, p->torch->form == TORCH_SCRIPT ? "the program" : "forward()",
                           root->class_name ? root->class_name : "the module");
    if (p->ambiguous)
        return propose_say(p, "the order of the layers is that of the file, %s; their widths allow others too", text);
    return RNND_OK;
}

/* A state_dict has no function between layers; a whole module has those that are modules. */
static rnnd_code say_between(struct proposing *p)
{
    rnnd_code code = RNND_OK;
    if (p->classes)
        return propose_say(p, "no functions besides its modules: what forward() calls itself (F.relu, a sum, a part of "
                              "a tensor) is not in the file");
    for (size_t i = 1; i < p->item_count && !code; i++)
        if (p->items[i - 1].kind != ITEM_EMBEDDING)
            code = propose_say(p, "activation between \"%.80s\" and \"%.80s\": none; a state_dict does not show it",
                               propose_name(&p->items[i - 1]), propose_name(&p->items[i]));
    if (!code)
        code = propose_say(p, "function behind \"%.80s\" (softmax, sigmoid, ..): none; a state_dict does not show it",
                           propose_name(&p->items[p->item_count - 1]));
    return code;
}

/* A text model predicts its own vocabulary at every step; other heads mostly read the last. */
static rnnd_code say_output(struct proposing *p)
{
    const struct item *first = &p->items[0], *recurrent = NULL, *end = NULL;
    rnnd_code code = RNND_OK;
    for (size_t i = 0; i < p->item_count; i++) {
        if (p->items[i].kind == ITEM_RECURRENT) recurrent = &p->items[i], end = NULL;
        else if (p->items[i].kind == ITEM_DENSE) end = &p->items[i];
    }
    p->last = end && !(first->kind == ITEM_EMBEDDING && end->outputs == first->inputs);
    if (p->last)
        code = propose_say(p, "what is behind \"%.80s\" reads its last step alone (\"output\": \"last\")",
                           propose_name(recurrent));
    else
        code = propose_say(p, "every step is answered (\"output\": \"all\")");
    if (!code && p->last && recurrent->both)
        code = propose_say(p, "of both directions of \"%.80s\" the last step is read, out[:, -1], and not the last h "
                              "of each (\"sequences\": false)", propose_name(recurrent));
    for (size_t i = 0; i < p->item_count && !code; i++)
        if (p->items[i].kind == ITEM_RECURRENT && p->items[i].cell)
            code = propose_say(p, "the cell \"%.80s\" runs over the steps from zeros", propose_name(&p->items[i]));
    return code;
}

static bool has_item_below(const struct proposing *p, const char *path)
{
    size_t n = strlen(path);
    for (size_t i = 0; i < p->item_count; i++)
        if (strncmp(p->items[i].path, path, n) == 0 && (!n || !p->items[i].path[n] || p->items[i].path[n] == '.'))
            return true;
    return false;
}

/* Modules that a state_dict names and that have no tensors: dropout, activations, losses. */
static rnnd_code say_silent(struct proposing *p)
{
    char text[400];
    size_t at = 0;
    for (size_t i = 0; p->torch && !p->classes && i < p->torch->module_count && at < sizeof text - 80; i++) {
        if (has_item_below(p, p->torch->modules[i].path)) continue;
        at += (size_t)snprintf(text + at, sizeof text - at, "%s\"%.60s\"", at ? ", " : "", p->torch->modules[i].path);
    }
    if (!at) return RNND_OK;
    return propose_say(p, "left out: %s, which the file names without saying what it is or where it stands", text);
}

rnnd_code propose_assume(struct proposing *p)
{
    rnnd_code code = say_function(p);
    if (code || is_bare(p)) return code;
    code = say_order(p);
    if (!code) code = say_between(p);
    if (!code) code = say_silent(p);
    return code ? code : say_output(p);
}
