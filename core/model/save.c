/* save.c -- writes tensors and a configuration, whatever format they came from, as a native file. */
#include "core/model/save.h"

#include <string.h>

#include "core/base/error.h"
#include "core/formats/safetensors.h"

rnnd_code save_native(const char *path, struct checkpoint *ck, const char *config, rnnd_error *err)
{
    struct safetensors_meta meta = {"rnnd", config};
    struct safetensors_item *items = mem_alloc(ck->count + 1, sizeof *items);
    rnnd_code code = RNND_OK;
    if (!items) return fail_memory(err, ck->count * sizeof *items);
    for (size_t i = 0; i < ck->count && !code; i++) {
        struct checkpoint_tensor *t = &ck->tensors[i];
        items[i] = (struct safetensors_item){.name = t->name, .rank = t->rank};
        memcpy(items[i].dim, t->dim, sizeof t->dim);
        code = checkpoint_floats(t, &items[i].data, err);
    }
    if (!code) code = safetensors_write(path, items, ck->count, &meta, 1, err);
    mem_free(items);
    return code;
}
