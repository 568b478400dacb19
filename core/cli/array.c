/* array.c -- arrays of the commands: sizes, types, and files by their ending. */
#include "core/cli/array.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/cli/cli.h"

void array_free(struct array *a)
{
    free(a->raw);
    memset(a, 0, sizeof *a);
}

size_t array_count(const struct array *a)
{
    size_t n = 1;
    for (size_t i = 0; i < a->rank; i++)
        n *= a->dim[i];
    return n;
}

size_t array_width(rnnd_dtype dtype)
{
    return dtype == RNND_FLOAT32 ? sizeof(float) : dtype == RNND_INT64 ? sizeof(int64_t) : 1;
}

const char *array_shape(const struct array *a, char text[ARRAY_MAX_RANK * 24])
{
    size_t n = 0, cap = ARRAY_MAX_RANK * 24;
    snprintf(text, cap, "[]");
    for (size_t i = 0; i < a->rank && n < cap; i++)
        n += (size_t)snprintf(text + n, cap - n, "[%zu]", a->dim[i]);
    return text;
}

static double number_at(const struct array *a, size_t i)
{
    return a->dtype == RNND_FLOAT32 ? (double)a->data[i] : a->dtype == RNND_INT64 ? (double)a->whole[i] : a->truth[i];
}

rnnd_code array_convert(struct array *a, rnnd_dtype dtype, rnnd_error *err)
{
    struct array to = *a;
    size_t count = array_count(a);
    if (a->dtype == dtype)
        return RNND_OK;
    to.dtype = dtype;
    to.raw = malloc(count ? count * array_width(dtype) : 1);
    if (!to.raw)
        return cli_error(err, RNND_NO_MEMORY, "no memory for %zu numbers", count);
    for (size_t i = 0; i < count; i++) {
        double v = number_at(a, i);
        if (dtype == RNND_FLOAT32) {
            to.data[i] = (float)v;
        } else if (dtype == RNND_BOOL8) {
            to.truth[i] = v != 0;
        } else if (a->dtype == RNND_BOOL8) {
            to.whole[i] = a->truth[i];
        } else if (v >= -0x1p62 && v <= 0x1p62 && (double)(int64_t)v == v) {
            to.whole[i] = (int64_t)v;
        } else {
            free(to.raw);
            return cli_error(err, RNND_MISMATCH, "element %zu is %g; wanted whole numbers", i, v);
        }
    }
    free(a->raw);
    *a = to;
    return RNND_OK;
}

static rnnd_code read_csv(const char *bytes, size_t size, struct array *out, rnnd_error *err)
{
    struct csv csv;
    rnnd_code code = csv_read(bytes, size, &csv, err);
    if (code != RNND_OK)
        return code;
    *out = (struct array){.rank = 2, .dim = {csv.rows, csv.columns}, .data = csv.data};
    csv.data = NULL;
    csv_free(&csv);
    return RNND_OK;
}

rnnd_code array_load(const char *path, struct array *out, rnnd_error *err)
{
    char *bytes;
    size_t size;
    rnnd_error why;
    memset(out, 0, sizeof *out);
    rnnd_code code = cli_read_file(path, (size_t)4 << 30, &bytes, &size, err);
    if (code != RNND_OK)
        return code;
    if (cli_has_suffix(path, ".csv"))
        code = read_csv(bytes, size, out, &why);
    else if (cli_has_suffix(path, ".json"))
        code = json_read_array(bytes, size, out, &why);
    else
        code = npy_read(bytes, size, out, &why);
    free(bytes);
    return code == RNND_OK ? code : cli_error(err, code, "%.200s: %.280s", path, why.message);
}

static void print_element(FILE *f, const struct array *a, size_t i)
{
    if (a->dtype == RNND_FLOAT32)
        fprintf(f, "%.9g", (double)a->data[i]);
    else
        fprintf(f, "%lld", a->dtype == RNND_INT64 ? (long long)a->whole[i] : (long long)a->truth[i]);
}

static rnnd_code close_file(FILE *f, const char *path, rnnd_error *err)
{
    bool bad = ferror(f) != 0;
    if (fclose(f) != 0 || bad)
        return cli_error(err, RNND_IO, "cannot write %s: %s", path, strerror(errno));
    return RNND_OK;
}

static rnnd_code write_csv(const char *path, const struct array *a, rnnd_error *err)
{
    size_t count = array_count(a), width = a->rank ? a->dim[a->rank - 1] : 1;
    FILE *f = fopen(path, "w");
    if (!f)
        return cli_error(err, RNND_IO, "cannot write %s: %s", path, strerror(errno));
    for (size_t i = 0; i < count; i++) {
        print_element(f, a, i);
        fputc((i + 1) % width ? ',' : '\n', f);
    }
    return close_file(f, path, err);
}

rnnd_code json_write_array(const char *path, const struct array *a, rnnd_error *err)
{
    size_t count = array_count(a);
    FILE *f = fopen(path, "w");
    if (!f)
        return cli_error(err, RNND_IO, "cannot write %s: %s", path, strerror(errno));
    if (count == 0)
        fputs("[]", f);
    for (size_t i = 0; i < count; i++) {
        size_t inner = 1, opened = 0, closed = 0;
        for (size_t k = a->rank; k-- > 0;) { /* axes that begin or end at this element */
            inner *= a->dim[k];
            opened += i % inner == 0;
            closed += (i + 1) % inner == 0;
        }
        for (size_t k = 0; k < opened; k++)
            fputc('[', f);
        if (a->dtype == RNND_FLOAT32 && a->data[i] != a->data[i])
            fputs("null", f);
        else
            print_element(f, a, i);
        for (size_t k = 0; k < closed; k++)
            fputc(']', f);
        if (i + 1 < count)
            fputs(closed ? ",\n" : ",", f);
    }
    fputc('\n', f);
    return close_file(f, path, err);
}

rnnd_code array_save(const char *path, const struct array *a, rnnd_error *err)
{
    if (cli_has_suffix(path, ".csv"))
        return write_csv(path, a, err);
    if (cli_has_suffix(path, ".json"))
        return json_write_array(path, a, err);
    return npy_write(path, a, err);
}
