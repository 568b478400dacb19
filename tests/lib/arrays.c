/* arrays.c -- safetensors and .npz as far as the files of the tests need it; their headers are searched as text. */
#include "tests/lib/arrays.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

unsigned char *arrays_file(const char *path, size_t *bytes)
{
    FILE *f = fopen(path, "rb");
    if (!f) return NULL;
    fseek(f, 0, SEEK_END);
    long n = ftell(f);
    rewind(f);
    unsigned char *data = calloc((size_t)n + 1, 1);
    *bytes = data ? fread(data, 1, (size_t)n, f) : 0;
    fclose(f);
    return data;
}

void arrays_free(struct array *a)
{
    free(a->data);
    *a = (struct array){0};
}

/* "2,3]" or "(2, 3)" behind the bracket, up to the closing one. */
static void read_shape(const char *p, struct array *out)
{
    out->rank = 0;
    out->count = 1;
    while (*p && *p != ']' && *p != ')' && out->rank < 8) {
        char *end;
        size_t v = strtoul(p, &end, 10);
        if (end == p) {
            p++;
            continue;
        }
        out->dim[out->rank++] = v;
        out->count *= v;
        p = end;
    }
}

bool arrays_safetensors(const char *path, const char *name, struct array *out)
{
    size_t bytes;
    unsigned char *file = arrays_file(path, &bytes);
    uint64_t header = 0;
    char key[128];
    *out = (struct array){0};
    if (!file || bytes < 8) return false;
    memcpy(&header, file, 8);
    char *text = strndup((char *)file + 8, header);
    snprintf(key, sizeof key, "\"%s\":", name);
    const char *entry = text ? strstr(text, key) : NULL, *shape = entry ? strstr(entry, "\"shape\":") : NULL;
    const char *place = entry ? strstr(entry, "\"data_offsets\":") : NULL;
    if (shape && place) {
        size_t begin = strtoul(strchr(place, '[') + 1, NULL, 10);
        read_shape(strchr(shape, '[') + 1, out);
        out->data = malloc((out->count ? out->count : 1) * sizeof(float));
        if (out->data && 8 + header + begin + out->count * sizeof(float) <= bytes)
            memcpy(out->data, file + 8 + header + begin, out->count * sizeof(float));
    }
    free(text);
    free(file);
    return out->data != NULL;
}

static uint32_t u32(const unsigned char *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static float number(const unsigned char *p, char kind, size_t item)
{
    float f;
    double d;
    int32_t i;
    int64_t l;
    if (kind == 'f' && item == 4) return memcpy(&f, p, 4), f;
    if (kind == 'f') return memcpy(&d, p, 8), (float)d;
    if (item == 4) return memcpy(&i, p, 4), (float)i;
    return memcpy(&l, p, 8), (float)l;
}

/* "\x93NUMPY", version 1: u16 header bytes, the header, the numbers */
static bool read_npy(const unsigned char *p, struct array *out)
{
    size_t header = (size_t)p[8] | (size_t)p[9] << 8;
    char *text = strndup((const char *)p + 10, header);
    const char *descr = text ? strstr(text, "'<") : NULL, *shape = text ? strstr(text, "'shape': (") : NULL;
    if (descr && shape) {
        size_t item = (size_t)(descr[3] - '0');
        read_shape(shape + 10, out);
        out->data = malloc((out->count ? out->count : 1) * sizeof(float));
        for (size_t i = 0; out->data && i < out->count; i++)
            out->data[i] = number(p + 10 + header + i * item, descr[2], item);
    }
    free(text);
    return out->data != NULL;
}

/* Zip: the end record (22 bytes, no comment) gives the central directory; its entries name and place the members. */
bool arrays_npz(const char *path, const char *name, struct array *out)
{
    size_t bytes;
    unsigned char *file = arrays_file(path, &bytes);
    char member[128];
    bool found = false;
    *out = (struct array){0};
    snprintf(member, sizeof member, "%s.npy", name);
    if (!file || bytes < 22) {
        free(file);
        return false;
    }
    const unsigned char *end = file + bytes - 22, *entry = file + u32(end + 16);
    for (size_t n = (size_t)end[10] | (size_t)end[11] << 8; n-- && !found;) {
        size_t name_bytes = (size_t)entry[28] | (size_t)entry[29] << 8;
        size_t rest = ((size_t)entry[30] | (size_t)entry[31] << 8) + ((size_t)entry[32] | (size_t)entry[33] << 8);
        if (name_bytes == strlen(member) && !memcmp(entry + 46, member, name_bytes)) {
            const unsigned char *local = file + u32(entry + 42);
            found = read_npy(local + 30 + ((size_t)local[26] | (size_t)local[27] << 8) +
                                 ((size_t)local[28] | (size_t)local[29] << 8), out);
        }
        entry += 46 + name_bytes + rest;
    }
    free(file);
    return found;
}
