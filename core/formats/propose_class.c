/* propose_class.c -- modules of torch.nn without tensors: activations, dropout, and those that do nothing here. */
#include <string.h>

#include "core/formats/propose_parts.h"

double propose_number(const struct torch_module *m, const char *key, double absent, bool *found)
{
    const struct torch_fact *f = torch_fact(m, key);
    *found = f && (f->kind == TORCH_FLOAT || f->kind == TORCH_INT) && f->number > -1e30 && f->number < 1e30;
    return *found ? f->number : absent;
}

static const struct {
    const char *class_name;
    enum item_kind kind;
    const char *activation, *key; /* key: its number's attribute */
    double usual;
} classes[] = {
    {"ReLU", ITEM_ACTIVATION, "relu", NULL, 0},
    {"ReLU6", ITEM_ACTIVATION, "relu6", NULL, 0},
    {"Tanh", ITEM_ACTIVATION, "tanh", NULL, 0},
    {"Sigmoid", ITEM_ACTIVATION, "sigmoid", NULL, 0},
    {"LeakyReLU", ITEM_ACTIVATION, "leaky_relu", "negative_slope", 0.01},
    {"ELU", ITEM_ACTIVATION, "elu", "alpha", 1},
    {"SELU", ITEM_ACTIVATION, "selu", NULL, 0},
    {"SiLU", ITEM_ACTIVATION, "silu", NULL, 0},
    {"Mish", ITEM_ACTIVATION, "mish", NULL, 0},
    {"Softsign", ITEM_ACTIVATION, "softsign", NULL, 0},
    {"Hardsigmoid", ITEM_ACTIVATION, "hard_sigmoid", NULL, 0},
    {"Hardswish", ITEM_ACTIVATION, "hard_swish", NULL, 0},
    {"Softplus", ITEM_ACTIVATION, "softplus", "beta", 1},
    {"Hardtanh", ITEM_ACTIVATION, "hard_tanh", "max_val", 1},
    {"GELU", ITEM_ACTIVATION, "gelu", NULL, 0},
    {"Softmax", ITEM_SOFTMAX, NULL, NULL, 0},
    {"LogSoftmax", ITEM_LOG_SOFTMAX, NULL, NULL, 0},
    {"Dropout", ITEM_DROPOUT, NULL, "p", 0},
    {"Dropout1d", ITEM_DROPOUT, NULL, "p", 0},
    {"AlphaDropout", ITEM_DROPOUT, NULL, "p", 0},
    {"LayerNorm", ITEM_LAYER_NORM, NULL, "eps", 1e-5}, /* elementwise_affine=False */
};
static const char *const nothing[] = {"Identity", "Sequential", "ModuleList", "ModuleDict", "DataParallel",
                                      "ParameterList", "ParameterDict", "Flatten"};

/* Forms that have an attribute of another value than the one this build computes. */
static bool foreign(const struct torch_module *m, const struct item *i)
{
    const struct torch_fact *approximate = torch_fact(m, "approximate");
    bool found;
    if (!i->activation) return false;
    if (strcmp(i->activation, "softplus") == 0) return i->number != 1;
    if (strcmp(i->activation, "hard_tanh") == 0)
        return i->number != 1 || propose_number(m, "min_val", -1, &found) != -1;
    return approximate && approximate->kind == TORCH_TEXT && strcmp(approximate->text, "none") != 0;
}

void propose_class(const struct torch_module *m, struct item *out, bool *known, bool *some)
{
    size_t length = strlen(m->class_name);
    memset(out, 0, sizeof *out);
    *known = *some = false;
    for (size_t i = 0; i < sizeof nothing / sizeof *nothing; i++)
        *known |= strcmp(m->class_name, nothing[i]) == 0;
    *known |= length > 4 && strcmp(m->class_name + length - 4, "Loss") == 0;
    for (size_t i = 0; i < sizeof classes / sizeof *classes; i++) {
        if (strcmp(m->class_name, classes[i].class_name) != 0) continue;
        *out = (struct item){.kind = classes[i].kind, .path = m->path, .module = m};
        out->activation = classes[i].activation;
        out->number = classes[i].usual;
        if (classes[i].key) out->number = propose_number(m, classes[i].key, classes[i].usual, &out->has_number);
        *known = *some = !foreign(m, out);
    }
}
