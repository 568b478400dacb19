/* files.c -- what the conformance runner reads: .npz archives, TensorProto messages, folders. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/base/mem.h"
#include "core/cli/cli.h"
#include "core/formats/zip.h"
#include "tests/conformance/runner.h"

enum { MOST_BYTES = 1 << 30 };

bool path_join(char out[PATH_BYTES], const char *folder, const char *file)
{
    int n = snprintf(out, PATH_BYTES, "%s/%s", folder, file);
    return n > 0 && n < PATH_BYTES;
}

bool file_exists(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

char **folder_list(const char *folder, size_t *count)
{
    DIR *d = opendir(folder);
    char **names = NULL;
    size_t capacity = 0;
    *count = 0;
    for (struct dirent *e; d && (e = readdir(d));) {
        if (e->d_name[0] == '.')
            continue;
        if (*count == capacity && !(names = realloc(names, (capacity = capacity * 2 + 64) * sizeof *names)))
            abort();
        names[(*count)++] = strdup(e->d_name);
    }
    if (d)
        closedir(d);
    if (*count)
        qsort(names, *count, sizeof *names, by_name);
    return names;
}

void folder_list_free(char **names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(names[i]);
    free(names);
}

/* ---- named arrays ---------------------------------------------------------------------------------------------- */

void bundle_free(struct bundle *b)
{
    for (size_t i = 0; i < b->count; i++)
        array_free(&b->items[i].array);
    b->count = 0;
}

struct array *bundle_find(struct bundle *b, const char *name)
{
    for (size_t i = 0; i < b->count; i++)
        if (strcmp(b->items[i].name, name) == 0)
            return &b->items[i].array;
    return NULL;
}

static rnnd_code read_entry(const struct zip_entry *e, struct bundle *out, rnnd_error *err)
{
    const uint8_t *bytes;
    uint8_t *owned = NULL;
    struct named *n = &out->items[out->count];
    size_t length = strlen(e->name);
    if (length < 5 || strcmp(e->name + length - 4, ".npy") != 0 || length - 4 >= sizeof n->name)
        return cli_error(err, RNND_CORRUPT, "wanted arrays alone, found %.80s", e->name);
    if (out->count == MOST_ARRAYS)
        return cli_error(err, RNND_TOO_LARGE, "more than %d arrays", MOST_ARRAYS);
    memcpy(n->name, e->name, length - 4);
    n->name[length - 4] = 0;
    rnnd_code code = zip_bytes(e, MOST_BYTES, &bytes, &owned, err);
    if (code == RNND_OK)
        code = npy_read(bytes, e->bytes, &n->array, err);
    out->count += code == RNND_OK;
    mem_free(owned);
    return code;
}

rnnd_code bundle_read_npz(const char *path, struct bundle *out, rnnd_error *err)
{
    struct zip zip;
    struct arena arena;
    rnnd_error why;
    char *bytes;
    size_t size;
    out->count = 0;
    rnnd_code code = cli_read_file(path, MOST_BYTES, &bytes, &size, err);
    if (code != RNND_OK)
        return code;
    arena_init(&arena, 1 << 24);
    code = zip_read((const uint8_t *)bytes, size, &arena, &zip, &why);
    for (size_t i = 0; code == RNND_OK && i < zip.count; i++)
        code = read_entry(&zip.entries[i], out, &why);
    arena_free(&arena);
    free(bytes);
    if (code == RNND_OK)
        return code;
    bundle_free(out);
    return cli_error(err, code, "%s: %.300s", path, why.message);
}

rnnd_code array_permute(const struct array *a, const size_t *order, struct array *out, rnnd_error *err)
{
    size_t count = array_count(a), width = array_width(a->dtype), stride[ARRAY_MAX_RANK], at[ARRAY_MAX_RANK] = {0};
    *out = *a;
    if (!(out->raw = malloc(count ? count * width : 1)))
        return cli_error(err, RNND_NO_MEMORY, "no memory for %zu numbers", count);
    for (size_t i = 0; i < a->rank; i++) {
        out->dim[i] = a->dim[order[i]];
        stride[i] = 1;
        for (size_t k = order[i] + 1; k < a->rank; k++)
            stride[i] *= a->dim[k];
    }
    for (size_t n = 0; n < count; n++) {
        size_t from = 0;
        for (size_t i = 0; i < a->rank; i++)
            from += at[i] * stride[i];
        memcpy((char *)out->raw + n * width, (const char *)a->raw + from * width, width);
        for (size_t i = a->rank; i-- > 0 && ++at[i] == out->dim[i];)
            at[i] = 0;
    }
    return RNND_OK;
}
