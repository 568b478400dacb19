/* fuzz_torch.c -- any bytes as a PyTorch file: its tensors are read and a configuration is proposed.
 *
 * seeds: *.pt *.pth
 * options: -max_len=32768 -malloc_limit_mb=72
 */
#include <stdlib.h>
#include <string.h>

#include "core/formats/json.h"
#include "core/formats/propose.h"
#include "core/formats/torch.h"
#include "tests/fuzz/bound.h"

static volatile size_t seen; /* so that all is read */

static void look(const struct checkpoint *ck)
{
    const struct torch_file *f = torch_of(ck);
    if (!f || f->order_count != ck->count) abort();
    for (size_t i = 0; i < ck->count; i++) {
        const struct checkpoint_tensor *t = &ck->tensors[i];
        size_t n = t->count * stored_types[t->stored].bytes;
        if (checkpoint_find(ck, f->order[i]) == NULL) abort();
        if (n) seen += t->raw[0] + t->raw[n / 2] + t->raw[n - 1];
    }
    for (size_t i = 0; i < f->module_count; i++)
        for (size_t k = 0; k < f->modules[i].fact_count; k++)
            seen += strlen(f->modules[i].facts[k].key) + strlen(f->modules[i].path);
}

static void propose(const struct checkpoint *ck)
{
    struct arena arena;
    struct proposal p;
    struct json *json = NULL;
    rnnd_error err = {0};
    arena_init(&arena, (size_t)16 << 20);
    rnnd_code code = propose_config(ck, "net", &arena, &p, &err);
    if (code && !err.message[0]) abort();
    if (!code && json_parse(p.config, strlen(p.config), "proposal", &json, &err)) abort();
    json_free(json);
    arena_free(&arena);
}

void fuzz_one(const uint8_t *data, size_t bytes)
{
    struct checkpoint ck;
    rnnd_error err = {0};
    if (!torch_probe(data, bytes)) return;
    checkpoint_init(&ck);
    rnnd_code code = torch_read(data, bytes, NULL, &ck, &err);
    if (code && !err.message[0]) abort();
    if (!code) {
        look(&ck);
        propose(&ck);
    }
    checkpoint_free(&ck);
}
