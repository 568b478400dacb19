/* convert.c -- any model file as a native one. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/error.h"
#include "core/formats/format.h"
#include "core/formats/json.h"
#include "core/model/save.h"
#include "core/rnnd.h"

#define MAX_FILE_BYTES ((size_t)16 << 30)

static rnnd_code read_all(const char *path, uint8_t **out, size_t *bytes, rnnd_error *err)
{
    struct stat st;
    rnnd_code code = RNND_OK;
    size_t at = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    *out = NULL;
    if (fd < 0 || fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || (uint64_t)st.st_size > MAX_FILE_BYTES)
        code = fail(err, RNND_IO, "%.300s cannot be read: %s", path, fd < 0 ? strerror(errno) : "no ordinary file");
    else if (!(*out = mem_alloc((size_t)st.st_size + 1, 1)))
        code = fail_memory(err, (size_t)st.st_size);
    while (!code && at < (size_t)st.st_size) {
        ssize_t n = read(fd, *out + at, (size_t)st.st_size - at);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) code = fail(err, RNND_IO, "%.300s cannot be read to its end", path);
        at += n > 0 ? (size_t)n : 0;
    }
    if (fd >= 0) close(fd);
    *bytes = at;
    return code;
}

/* The native format has tensors and a list of layers or nodes over them, and no other kind of architecture. */
static rnnd_code check_native(const rnnd_info *info, rnnd_error *err)
{
    struct json *j = NULL;
    if (info->unconfirmed)
        return fail(err, RNND_CONFLICT, "model %.80s is not confirmed: %.300s", info->name,
                    info->assumption_count ? info->assumptions[0] : "what its file does not say was guessed");
    rnnd_code code = json_parse(info->config, strlen(info->config), "configuration", &j, err);
    if (!code && !json_get(j, "layers") && !json_get(j, "graph"))
        code = fail(err, RNND_UNSUPPORTED, "model %.80s carries its architecture in a way of %.80s; only networks that "
                    "a configuration says in \"layers\" or \"graph\" are written as native files", info->name,
                    info->framework && info->framework[0] ? info->framework : "its own");
    json_free(j);
    return code;
}

rnnd_code rnnd_convert(const char *in, const rnnd_options *options, const char *out, rnnd_error *err)
{
    rnnd_model *model = NULL;
    struct checkpoint ck;
    uint8_t *data = NULL;
    size_t bytes;
    rnnd_code code = rnnd_model_open(in, options, &model, err);
    if (code) return code;
    checkpoint_init(&ck);
    code = check_native(rnnd_model_info(model), err);
    if (!code) code = read_all(in, &data, &bytes, err);
    if (!code) code = format_read(data, bytes, in, &ck, err);
    if (!code) code = save_native(out, &ck, rnnd_model_info(model)->config, err);
    checkpoint_free(&ck);
    mem_free(data);
    rnnd_model_close(model);
    return code;
}
