/* inspect.c -- `rnnd inspect`: what is in a model file. */
#include <string.h>

#include "core/cli/cli.h"

static const char *task_name(rnnd_task t)
{
    return t == RNND_TEXT ? "text" : t == RNND_SERIES ? "series" : "raw";
}

/* 1234567 as "1,234,567" */
static const char *grouped(uint64_t v, char out[32])
{
    char digits[24];
    int n = snprintf(digits, sizeof digits, "%llu", (unsigned long long)v), m = 0;
    for (int i = 0; i < n; i++) {
        if (i > 0 && (n - i) % 3 == 0)
            out[m++] = ',';
        out[m++] = digits[i];
    }
    out[m] = 0;
    return out;
}

static void line(const char *name, const char *value)
{
    if (value && value[0])
        printf("%-13s %s\n", name, value);
}

/* Of a whole tensor, "?" where any size is taken. */
static void print_shape(const rnnd_port *p)
{
    printf(p->rank < 0 ? ": a tensor" : ": a tensor of shape ");
    for (int k = 0; k < p->rank; k++)
        p->dim[k] ? printf("[%zu]", p->dim[k]) : printf("[?]");
}

static void print_ports(const char *name, const rnnd_port *ports, size_t count, bool whole)
{
    for (size_t i = 0; i < count; i++) {
        printf("%-13s %s", i ? "" : name, ports[i].name ? ports[i].name : "");
        if (whole)
            print_shape(&ports[i]);
        else if (ports[i].is_ids)
            printf(": an id, 0 to %zu", ports[i].limit - 1);
        else
            printf(": %zu number%s a step", ports[i].width, ports[i].width == 1 ? "" : "s");
        for (int k = 0; !whole && k < ports[i].rank && ports[i].rank > 1; k++)
            printf("%s%zu%s", k ? "][" : ", [", ports[i].dim[k], k + 1 == ports[i].rank ? "]" : "");
        printf("\n");
    }
}

static void print_task(const rnnd_info *m)
{
    if (m->task == RNND_TEXT)
        printf("%-13s %s, %zu symbols%s\n", "tokenizer", m->tokenizer, m->vocabulary,
               m->chat ? "; with a chat template" : "");
    if (m->task != RNND_SERIES)
        return;
    printf("%-13s", "channels");
    for (size_t i = 0; i < m->channel_count; i++)
        printf("%s %s", i ? "," : "", m->channels[i]);
    if (m->target_count < m->channel_count)
        printf("\n%-13s", "target");
    for (size_t i = 0; i < m->target_count && m->target_count < m->channel_count; i++)
        printf("%s %s", i ? "," : "", m->targets[i]);
    printf("\n%-13s %zu step%s, after a warm-up of %zu\n", "horizon", m->horizon, m->horizon == 1 ? "" : "s",
           m->warmup);
    line("frequency", m->frequency);
    if (m->quantile_count > 0) {
        printf("%-13s", "quantiles");
        for (size_t i = 0; i < m->quantile_count; i++)
            printf(" %g", (double)m->quantiles[i]);
        printf("\n");
    }
}

static void print_layers(const rnnd_info *m)
{
    char number[32];
    int type = 5, name = 4;
    for (size_t i = 0; i < m->layer_count; i++) {
        int t = (int)strlen(m->layers[i].type), n = (int)strlen(m->layers[i].name);
        type = t > type ? t : type;
        name = n > name ? n : name;
    }
    printf("\n%-*s  %-*s  %8s  %8s  %12s\n", type, "layer", name, "name", "inputs", "outputs", "parameters");
    for (size_t i = 0; i < m->layer_count; i++) {
        const rnnd_layer *l = &m->layers[i];
        printf("%-*s  %-*s  %8zu  %8zu  %12s%s%s\n", type, l->type, name, l->name, l->inputs, l->outputs,
               grouped(l->parameters, number), l->detail[0] ? "  " : "", l->detail);
    }
    printf("%-*s  %-*s  %8s  %8s  %12s\n", type, "total", name, "", "", "", grouped(m->parameters, number));
}

/* What was assumed, and the side file that would say it. */
static void print_guesses(const rnnd_info *m)
{
    if (m->assumption_count == 0)
        return;
    printf("\n%s\n", m->unconfirmed ? "not said by the file and guessed; nothing is computed until that is accepted:"
                                     : "not said by the file and guessed, and accepted:");
    for (size_t i = 0; i < m->assumption_count; i++)
        printf("  - %s\n", m->assumptions[i]);
    if (m->unconfirmed && m->side_file && m->side_file[0])
        printf("\nif that is right, put this into NAME.rnnd.json beside the file (`rnnd init` does so):\n%s\n",
               m->side_file);
}

static void print_people(const rnnd_info *m, const char *asked)
{
    char a[32], b[32];
    line("model", m->name);
    line("about", m->description);
    line("framework", m->framework);
    printf("%-13s %s, task %s\n", "format", m->format, task_name(m->task));
    print_ports(m->task == RNND_SERIES ? "network in" : "inputs", m->inputs, m->input_count, m->no_rows[0]);
    print_ports(m->task == RNND_SERIES ? "network out" : "outputs", m->outputs, m->output_count, m->no_rows[0]);
    print_task(m);
    if (!m->streamable)
        printf("%-13s windows only: %s\n", "mode", m->not_streamable);
    else if (m->mode == RNND_SLIDING)
        printf("%-13s sliding: a step answers for the last %zu inputs%s\n", "mode", m->window,
               m->pad_zeros ? ", before the first of them zeros" : "");
    else
        printf("%-13s carry: a step advances the state\n", "mode");
    if (m->output_last)
        printf("%-13s a window answers its last step only\n", "output");
    printf("%-13s %s bytes; a session's state %s bytes\n", "weights", grouped(m->weight_bytes, a),
           grouped(m->state_bytes, b));
    if (strcmp(m->precision, "fp32") && m->precision_error < 0)
        printf("%-13s %s: what it costs was not measured\n", "precision", m->precision);
    else if (strcmp(m->precision, "fp32"))
        printf("%-13s %s: outputs differ from those in fp32 by %.2g %%\n", "precision", m->precision,
               100 * m->precision_error);
    else if (asked && strcmp(asked, "fp32"))
        printf("%-13s fp32: a tensor graph, whose weights are not reduced\n", "precision");
    line("licence", m->license);
    line("data", m->data);
    line("metrics", strcmp(m->metrics, "{}") ? m->metrics : "");
    line("digest", m->digest);
    print_layers(m);
    print_guesses(m);
}

/* ---- JSON ------------------------------------------------------------------------------------------------------ */

static void json_text(const char *s)
{
    putchar('"');
    for (; s && *s; s++) {
        unsigned char c = (unsigned char)*s;
        if (c == '"' || c == '\\')
            printf("\\%c", c);
        else if (c < 0x20)
            printf("\\u%04x", c);
        else
            putchar(c);
    }
    putchar('"');
}

static void json_string(const char *key, const char *s)
{
    printf("  \"%s\": ", key);
    json_text(s);
    printf(",\n");
}

static void json_ports(const char *key, const rnnd_port *ports, size_t count)
{
    printf("  \"%s\": [\n", key);
    for (size_t i = 0; i < count; i++) {
        printf("  {\n");
        json_string("name", ports[i].name);
        if (ports[i].is_ids)
            printf("  \"ids\": %zu,\n", ports[i].limit);
        printf(ports[i].rank < 0 ? "  \"shape\": null" : "  \"shape\": [");
        for (int k = 0; k < ports[i].rank; k++)
            printf("%s%ld", k ? ", " : "", ports[i].dim[k] ? (long)ports[i].dim[k] : -1L);
        printf("%s,\n  \"width\": %zu\n  }%s\n", ports[i].rank < 0 ? "" : "]", ports[i].width,
               i + 1 < count ? "," : "");
    }
    printf("  ],\n");
}

static void print_json(const rnnd_info *m)
{
    printf("{\n");
    json_string("name", m->name);
    json_string("description", m->description);
    json_string("format", m->format);
    json_string("framework", m->framework);
    json_string("task", task_name(m->task));
    json_string("mode", m->mode == RNND_SLIDING ? "sliding" : "carry");
    json_string("license", m->license);
    json_string("data", m->data);
    json_string("digest", m->digest);
    json_ports("inputs", m->inputs, m->input_count);
    json_ports("outputs", m->outputs, m->output_count);
    printf("  \"layers\": [\n");
    for (size_t i = 0; i < m->layer_count; i++) {
        const rnnd_layer *l = &m->layers[i];
        printf("  {\n");
        json_string("type", l->type);
        json_string("name", l->name);
        json_string("detail", l->detail);
        printf("  \"inputs\": %zu, \"outputs\": %zu, \"parameters\": %llu\n  }%s\n", l->inputs, l->outputs,
               (unsigned long long)l->parameters, i + 1 < m->layer_count ? "," : "");
    }
    printf("  ],\n  \"assumptions\": [");
    for (size_t i = 0; i < m->assumption_count; i++) {
        printf("%s", i ? ", " : "");
        json_text(m->assumptions[i]);
    }
    printf("],\n  \"unconfirmed\": %s,\n", m->unconfirmed ? "true" : "false");
    json_string("side_file", m->side_file);
    printf("  \"parameters\": %llu,\n", (unsigned long long)m->parameters);
    printf("  \"weight_bytes\": %zu,\n  \"state_bytes\": %zu,\n", m->weight_bytes, m->state_bytes);
    printf("  \"precision\": \"%s\",\n  \"precision_error\": %.3g,\n", m->precision, m->precision_error);
    printf("  \"window\": %zu,\n  \"pad\": \"%s\",\n", m->window, m->pad_zeros ? "zeros" : "none");
    printf("  \"output_last\": %s,\n  \"streamable\": %s,\n", m->output_last ? "true" : "false",
           m->streamable ? "true" : "false");
    printf("  \"metrics\": %s,\n  \"config\": %s\n}\n", m->metrics[0] ? m->metrics : "{}",
           m->config && m->config[0] ? m->config : "{}");
}

static int inspect(int argc, char **argv)
{
    bool json = false;
    rnnd_options how = {NULL};
    const struct cli_option options[] = {
        {"json", 0, CLI_FLAG, &json, NULL, "as JSON, the configuration included"},
        {"precision", 0, CLI_TEXT, &how.precision, "NAME", "of weights: fp32, bf16 or int8; shows what it costs"},
        {"force-precision", 0, CLI_FLAG, &how.force_precision, NULL, "even where outputs differ by more than a tenth"},
        {0}};
    const struct cli_usage usage = {
        "inspect", "FILE [--json]",
        "Opens a model, checks it as the server would, and shows its architecture, inputs, outputs,\n"
        "state, licence and metrics. FILE is a path, or the name of a model, in ./models\n"
        "or installed. What the file does not say and was guessed is listed, with the side file that says it.\n\n"
        "Exit codes: 0 done, 1 there is no such file, 2 usage, 3 the model cannot be opened.",
        "example: what is in the bundled forecaster?\n\n"
        "  rnnd inspect models/taxi.safetensors",
        options, 1, 1};
    const char *file;
    int code;
    rnnd_error err;
    rnnd_model *model;
    if (!cli_parse(&usage, argc, argv, &file, &code))
        return code;
    if (cli_open_model_as(file, NULL, &how, &model, &err) != RNND_OK)
        return cli_fail_model("inspect", &err);
    if (json)
        print_json(rnnd_model_info(model));
    else
        print_people(rnnd_model_info(model), how.precision);
    rnnd_model_close(model);
    return CLI_OK;
}

const struct command command_inspect = {"inspect", "show what is in a model file", inspect};
