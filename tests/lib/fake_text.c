/* fake_text.c -- a text model without a network. */
#include "tests/lib/fake_text.h"

#include <stdlib.h>
#include <string.h>

#include "core/tasks/text.h"

void fake_text_open(struct fake_text *f, const struct text_config *texts)
{
    static const rnnd_port input = {.name = "ids", .width = 1, .is_ids = true, .limit = 1000000};
    memset(f, 0, sizeof *f);
    arena_init(&f->model.arena, 1 << 20);
    f->model.config.task = RNND_TEXT;
    f->model.config.texts = *texts;
    f->model.info.name = "fake";
    f->model.info.task = RNND_TEXT;
    f->model.info.inputs = &input;
    f->model.info.input_count = 1;
    f->model.kernels = kernels_pick(NULL);
    f->model.task = &task_text;
    f->model.network_inputs = 1;
    f->model.network_outputs = texts->symbol_count ? texts->symbol_count : 256;
    rnnd_error err;
    if (task_text.attach(&f->model, &err) != RNND_OK)
        abort();
    f->model.task_offset = sizeof(uint64_t);
    f->model.state_bytes = f->model.task_offset + f->model.task_bytes;
    f->state = calloc(1, f->model.state_bytes);
    if (!f->state)
        abort();
    fake_text_reset(f);
}

void fake_text_close(struct fake_text *f)
{
    free(f->state);
    arena_free(&f->model.arena);
}

void fake_text_reset(struct fake_text *f)
{
    f->state[0] = 0;
    f->fed = 0;
    task_text.reset(&f->model, f->state + 1);
}

void fake_text_step(struct fake_text *f, float id, size_t skip, float *logits)
{
    size_t v = f->model.info.vocabulary;
    float row;
    if (task_text.before(&f->model, f->state + 1, &id, &row, NULL) != RNND_OK || row != id)
        abort();
    f->state[0] = (f->state[0] + (uint64_t)id + 1) * 0x9E3779B97F4A7C15u;
    if (f->fed < 64)
        f->last_fed[f->fed] = (int32_t)id;
    f->fed++;
    for (size_t i = 0; i < v; i++) {
        uint64_t x = (f->state[0] + i) * 0xBF58476D1CE4E5B9u;
        logits[i] = (float)(x >> 40) * 0x1p-24f * 6.0f;
    }
    if (f->script && f->fed > skip) {
        size_t at = f->fed - 1 - skip;
        if (at < strlen(f->script))
            logits[(uint8_t)f->script[at]] = 50.0f;
    }
    task_text.after(&f->model, f->state + 1, logits, NULL);
}
