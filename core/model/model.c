/* model.c -- opens models: file to tensors to graph to a laid out, verified, immutable model. */
#include "core/model/model.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "core/base/error.h"
#include "core/formats/format.h"
#include "core/formats/graph_read.h"
#include "core/formats/json.h"
#include "core/formats/propose.h"
#include "core/formats/reduced.h"
#include "core/formats/torch.h"
#include "core/model/assume.h"
#include "core/model/config_merge.h"
#include "core/model/config_tasks.h"
#include "core/model/digest.h"
#include "core/model/files.h"
#include "core/model/foreign.h"
#include "core/model/golden.h"
#include "core/model/precision.h"
#include "core/model/vocabulary.h"
#include "core/model/workspace.h"

#define MAX_STATE_BYTES ((size_t)1 << 30)
#define ARENA_LIMIT ((size_t)256 << 20)

struct origin { /* where a model comes from */
    const uint8_t *data;
    size_t bytes;
    bool mapped;      /* data is a map of the file */
    const char *path; /* of the file, or NULL */
    const char *side; /* configuration beside the file, or NULL */
    size_t side_bytes;
    const char *name;
    const rnnd_options *options;
};

/* Sets what is known of a configuration that nobody has written: as it stands it is served once it is confirmed. */
static rnnd_code propose(struct rnnd_model *m, const char *name, const struct checkpoint *ck, rnnd_error *err)
{
    struct proposal p;
    rnnd_code code = propose_config(ck, name, &m->arena, &p, err);
    if (code) return code;
    m->info.assumptions = p.assumptions;
    m->info.assumption_count = p.assumption_count;
    m->info.side_file = p.config;
    return RNND_OK;
}

/* The configuration: given, inside the file, or beside it, in this order (one beside wins over one that the reader only
 * made of the file's architecture), or else proposed. One that does not say what the network is goes on top of the
 * file's own or of the proposal. */
static rnnd_code find_config(struct rnnd_model *m, const struct origin *from, const struct checkpoint *ck,
                             rnnd_error *err)
{
    struct arena *arena = &m->arena;
    struct config *out = &m->config;
    const char *over = from->options ? from->options->config : NULL, *base = ck->config;
    size_t over_bytes = over ? strlen(over) : 0, base_bytes = ck->config_bytes;
    bool own = ck->own && ck->format->lower, stands_alone = false;
    char *merged = NULL;
    if (!over && (!base || ck->config_made)) {
        over = from->side;
        over_bytes = from->side_bytes;
    }
    if (own && !base) {
        base = "{\"format\":1}";
        base_bytes = strlen(base);
    }
    rnnd_code code = over ? config_has_network(over, over_bytes, &stands_alone, err) : RNND_OK;
    if (!code && stands_alone) return config_parse(over, over_bytes, own, arena, out, err);
    if (!code && !base) {
        code = propose(m, from->name, ck, err);
        base = m->info.side_file;
        base_bytes = code ? 0 : strlen(base);
    }
    if (!code && !over) return config_parse(base, base_bytes, own, arena, out, err);
    if (!code) code = config_merge(base, base_bytes, over, over_bytes, &merged, err);
    if (!code && m->info.side_file[0]) code = model_side_file(m, merged, err); /* with what stands beside it */
    if (!code) code = config_parse(merged, strlen(merged), own, arena, out, err);
    mem_free(merged);
    return code;
}

/* Offsets of a state's parts; every part begins at a multiple of 8 bytes. */
static rnnd_code lay_out(struct rnnd_model *m, rnnd_error *err)
{
    size_t floats = m->network_state, bytes;
    bool fits = m->config.mode == RNND_CARRY || size_mul(m->config.window, m->network_inputs, &floats);
    m->recurrent_offset = sizeof(struct state_header);
    m->recurrent_floats = floats;
    fits = fits && size_mul(floats, sizeof(float), &bytes) && size_add(bytes, m->recurrent_offset + 7, &m->task_offset);
    m->task_offset &= ~(size_t)7;
    fits = fits && size_add(m->task_offset, m->task_bytes, &m->state_bytes) &&
           size_add(m->state_bytes, 7, &m->state_bytes);
    m->state_bytes &= ~(size_t)7;
    if (!fits || m->state_bytes > MAX_STATE_BYTES)
        return fail(err, RNND_TOO_LARGE, "a state of this model would have more than %zu bytes", MAX_STATE_BYTES);
    m->info.state_bytes = m->state_bytes;
    return RNND_OK;
}

static void describe_states(struct rnnd_model *m)
{
    rnnd_info *info = &m->info;
    bool same = true;
    for (size_t i = 0; i < m->graph.state_count; i++) {
        const struct graph_state *s = &m->graph.states[i];
        m->network_state += s->width;
        if (s->kind == 'c') info->c_width += s->width;
        if (s->kind != 'h') continue;
        info->h_width += s->width;
        same &= info->state_layers++ == 0 || info->state_hidden == s->width;
        info->state_hidden = s->width;
    }
    if (!same) info->state_hidden = 0;
}

static rnnd_code describe(struct rnnd_model *m, const char *name, rnnd_error *err)
{
    rnnd_info *info = &m->info;
    const struct config *c = &m->config;
    if (!c->name && !(info->name = arena_string(&m->arena, name, strlen(name)))) return fail_memory(err, strlen(name));
    if (c->name) info->name = c->name;
    info->format = m->format;
    info->framework = m->network.framework ? m->network.framework : "";
    info->description = c->description;
    info->license = c->license;
    info->data = c->data;
    info->metrics = c->metrics;
    info->config = c->text;
    info->task = c->task;
    info->mode = c->mode;
    info->window = c->window;
    info->pad_zeros = c->mode == RNND_SLIDING && c->pad_zeros;
    info->output_last = c->output_last;
    info->inputs = m->network.inputs;
    info->input_count = m->network.input_count;
    info->outputs = m->network.outputs;
    info->output_count = m->network.output_count;
    info->input_width = m->network_inputs = m->network.input_width;
    info->output_width = m->network_outputs = m->network.output_width;
    info->layers = m->network.layers;
    info->layer_count = m->network.layer_count;
    info->parameters = m->graph.parameters;
    info->weight_bytes = m->graph.weight_bytes;
    info->precision = precision_name(m->graph.precision);
    info->tokenizer = info->frequency = "";
    info->streamable = (c->mode == RNND_SLIDING || m->graph.causal) && !m->no_rows;
    info->not_streamable = "";
    info->no_rows = m->no_rows ? m->no_rows : "";
    describe_states(m);
    if (info->streamable) return RNND_OK;
    char why[256];
    if (m->no_rows)
        snprintf(why, sizeof why, "%.240s", m->no_rows);
    else
        snprintf(why, sizeof why,
                 "layer \"%.80s\" %s, so no state can be carried; mode sliding with a window streams it",
                 m->graph.not_causal, m->graph.not_causal_why);
    info->not_streamable = arena_string(&m->arena, why, strlen(why));
    return info->not_streamable ? RNND_OK : fail_memory(err, sizeof why);
}

static rnnd_code attach_task(struct rnnd_model *m, const struct task *const *tasks, rnnd_error *err)
{
    while (*tasks && (*tasks)->id != m->config.task)
        tasks++;
    if (!*tasks) return fail_at(err, RNND_UNSUPPORTED, "task", "this build does not know the task of the model");
    rnnd_code code = (*tasks)->attach(m, err);
    if (!code) m->task = *tasks;
    return code;
}

static rnnd_code read_vocabulary(struct rnnd_model *m, const char *path, rnnd_error *err)
{
    struct text_config *texts = &m->config.texts;
    rnnd_code code = vocabulary_load(path, &m->arena, texts, err);
    return code ? code : config_end_text(json_get(m->config.json, "text"), &m->arena, texts, err);
}

static rnnd_code open_origin(const struct origin *from, const struct task *const *tasks, rnnd_model **out,
                             rnnd_error *err);

/* A file of reduced weights is of one precision. */
static rnnd_code take_precision(struct rnnd_model *m, const struct checkpoint *ck, rnnd_error *err)
{
    if (m->graph.precision && m->graph.precision != ck->precision)
        return fail_at(err, RNND_UNSUPPORTED, "precision", "the file's weights are in %s, found a wish for %s",
                       precision_name(ck->precision), precision_name(m->graph.precision));
    m->graph.precision = ck->precision;
    return RNND_OK;
}

static rnnd_code build(struct rnnd_model *m, const struct origin *from, struct checkpoint *ck,
                       const struct task *const *tasks, rnnd_error *err)
{
    m->info.side_file = "";
    ck->mapped = from->mapped ? from->data : NULL;
    ck->mapped_bytes = from->bytes;
    rnnd_code code = format_read(from->data, from->bytes, from->path, ck, err);
    if (!code) code = reduced_read(ck, err);
    if (!code && ck->precision) code = take_precision(m, ck, err);
    if (!code) code = find_config(m, from, ck, err);
    if (!code && m->config.texts.vocabulary_file) code = read_vocabulary(m, from->path, err);
    if (!code && ((ck->own && ck->format->lower) || graph_in_config(m->config.json)))
        code = foreign_build(m, ck, from->bytes, err);
    else if (!code)
        code = stack_build(m->config.json, ck, &m->graph, &m->arena, &m->network, err);
    if (!code && torch_of(ck)) m->network.framework = "PyTorch";
    if (!code) code = model_digest(m, ck, from->data, from->bytes, err);
    if (code) return code;
    m->format = strcmp(ck->format->name, "safetensors") == 0 ? "rnnd-1" : ck->format->name;
    m->info.unconfirmed = m->info.assumption_count && !(from->options && from->options->accept_guesses);
    config_free(&m->config); /* the document; what was read of it lives in the arena */
    code = describe(m, from->name, err);
    if (!code) code = attach_task(m, tasks, err);
    if (!code) code = lay_out(m, err);
    if (!code) m->info.feeds_together = model_feeds_together(m);
    return code || m->graph.precision ? code : model_check_golden(m, ck, err);
}

/* One in fewer bits is measured beside the exact one, whose golden vectors are checked. */
static rnnd_code measure(struct rnnd_model *m, const struct origin *from, struct checkpoint *ck,
                         const struct task *const *tasks, rnnd_error *err)
{
    rnnd_options options;
    struct origin same = *from;
    rnnd_model *exact;
    if (m->info.unconfirmed) {
        m->info.precision_error = -1;
        return RNND_OK;
    }
    if (ck->precision) {
        m->info.precision_error = ck->precision_error;
        return precision_check(m, from->options && from->options->force_precision, err);
    }
    options = *from->options;
    options.precision = NULL;
    same.options = &options;
    rnnd_code code = open_origin(&same, tasks, &exact, err);
    if (code) return code;
    code = precision_measure(m, exact, ck, options.force_precision, err);
    rnnd_model_close(exact);
    return code;
}

static rnnd_code check_fast(rnnd_error *err)
{
    if (kernels_pick("fast")) return RNND_OK;
    return fail_at(
        err, RNND_UNSUPPORTED, "kernel_row",
        "the kernel row \"fast\" needs libopenblas.so.0, which was not found; Debian has it in libopenblas0");
}

static rnnd_code open_origin(const struct origin *from, const struct task *const *tasks, rnnd_model **out,
                             rnnd_error *err)
{
    const char *row = from->options ? from->options->kernel_row : NULL;
    enum precision precision;
    struct checkpoint ck;
    *out = NULL;
    rnnd_code code = row && strcmp(row, "fast") == 0 ? check_fast(err) : rnnd_kernel_row_check(row, err);
    if (!code) code = precision_parse(from->options ? from->options->precision : NULL, &precision, err);
    if (code) return code;
    struct rnnd_model *m = mem_alloc(1, sizeof *m);
    if (!m) return fail_memory(err, sizeof *m);
    arena_init(&m->arena, ARENA_LIMIT);
    m->kernels = kernels_pick(row);
    graph_init(&m->graph, m->kernels);
    m->graph.precision = precision;
    checkpoint_init(&ck);
    code = build(m, from, &ck, tasks, err);
    if (!code && m->graph.precision != PRECISION_FP32) code = measure(m, from, &ck, tasks, err);
    checkpoint_free(&ck);
    if (code)
        rnnd_model_close(m);
    else
        *out = m;
    return code;
}

void rnnd_model_close(rnnd_model *model)
{
    if (!model) return;
    if (model->task && model->task->detach) model->task->detach(model);
    config_free(&model->config);
    graph_free(&model->graph);
    arena_free(&model->arena);
    mem_free(model);
}

const rnnd_info *rnnd_model_info(const rnnd_model *model)
{
    return &model->info;
}

/* ---- files ---- */

rnnd_code model_open_file(const char *path, const rnnd_options *options, const struct task *const *tasks,
                          rnnd_model **out, rnnd_error *err)
{
    uint8_t *data = NULL, *side_text = NULL;
    char *stem = NULL, *side = NULL;
    struct origin from = {.options = options};
    *out = NULL;
    rnnd_code code = file_name_parts(path, &stem, &side, err);
    if (!code) code = file_map(path, &data, &from.bytes, err);
    if (!code) {
        rnnd_error side_error;
        code = file_read(side, JSON_MAX_BYTES, &side_text, &from.side_bytes, &side_error);
        if (code == RNND_NOT_FOUND)
            code = RNND_OK; /* most models carry their configuration inside */
        else if (code && err)
            *err = side_error;
    }
    if (!code) {
        from.data = data ? data : (const uint8_t *)""; /* an empty file is not mapped */
        from.mapped = data != NULL;
        from.path = path;
        from.side = (const char *)side_text;
        from.name = stem;
        code = open_origin(&from, tasks, out, err);
        if (code) fail_in(err, file_name(path)); /* who opens many wants to know which */
    }
    mem_free(stem);
    mem_free(side);
    if (data) munmap(data, from.bytes);
    mem_free(side_text);
    return code;
}

rnnd_code model_open_memory(const void *data, size_t bytes, const char *name, const rnnd_options *options,
                            const struct task *const *tasks, rnnd_model **out, rnnd_error *err)
{
    struct origin from = {.data = data, .bytes = bytes, .name = name ? name : "model", .options = options};
    return open_origin(&from, tasks, out, err);
}
