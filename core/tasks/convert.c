/* convert.c -- any model file as a native one. */
#include <string.h>
#include <sys/mman.h>

#include "core/base/error.h"
#include "core/formats/format.h"
#include "core/model/assume.h"
#include "core/model/files.h"
#include "core/model/model.h"
#include "core/model/save.h"
#include "core/tasks/tasks.h"

/* The file is read a second time: the model has taken its graph apart. By then the model is closed, so that its weights
 * are not in memory twice. */
static rnnd_code write_native(const char *in, const char *out, const char *config, const rnnd_options *options,
                              rnnd_error *err)
{
    struct checkpoint ck;
    uint8_t *data = NULL;
    size_t bytes;
    rnnd_code code = file_map(in, &data, &bytes, err);
    if (code) return code;
    checkpoint_init(&ck);
    ck.mapped = data;
    ck.mapped_bytes = bytes;
    code = format_read(data, bytes, in, &ck, err);
    const struct save_how how = {options, tasks_all};
    if (!code) code = save_native(out, in, &ck, bytes, config, &how, err);
    checkpoint_free(&ck);
    if (data) munmap(data, bytes);
    return code;
}

rnnd_code rnnd_convert(const char *in, const rnnd_options *options, const char *out, rnnd_error *err)
{
    rnnd_model *model = NULL;
    rnnd_options plain = options ? *options : (rnnd_options){NULL};
    plain.precision = NULL; /* measured of what is written */
    rnnd_code code = rnnd_model_open(in, &plain, &model, err);
    if (code) return code;
    code = model_check_confirmed(model, err);
    char *config = code ? NULL : mem_copy_string(rnnd_model_info(model)->config);
    if (!code && !config) code = fail_memory(err, strlen(rnnd_model_info(model)->config));
    rnnd_model_close(model);
    if (!code) code = write_native(in, out, config, options, err);
    mem_free(config);
    return code;
}
