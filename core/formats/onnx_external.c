/* onnx_external.c -- weights that an ONNX file keeps in files beside it: found without leaving its folder, read in
 * parts. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/error.h"
#include "core/formats/onnx_private.h"

struct part { /* of a file, wanted by tensor `index` of the checkpoint */
    const char *location;
    uint64_t offset, length;
    size_t index, at; /* at: where in our block it goes */
    bool again;       /* the same part as the one before: read once */
};

static rnnd_code refuse(const char *location, const char *why, rnnd_error *err)
{
    return fail_at(err, RNND_CORRUPT, "external_data", "external data \"%.80s\": %s", location, why);
}

/* One step down from a folder, links not followed; closes the folder. */
static int step_down(int folder, const char *name, bool last)
{
    int fd = openat(folder, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | (last ? 0 : O_DIRECTORY));
    int kept = errno;
    close(folder);
    errno = kept;
    return fd;
}

/* Opens FOLDER/location part by part. */
static rnnd_code open_beside(const char *path, const char *location, int *out, rnnd_error *err)
{
    char part[256];
    const char *slash = strrchr(path, '/');
    char *folder = mem_alloc(strlen(path) + 2, 1);
    if (!folder) return fail_memory(err, strlen(path));
    if (slash)
        memcpy(folder, path, (size_t)(slash - path) + 1);
    else
        folder[0] = '.';
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    mem_free(folder);
    if (fd < 0) return fail_at(err, RNND_IO, "external_data", "the folder of the model cannot be opened: %s",
                               strerror(errno));
    for (const char *p = location;; ) {
        size_t n = strcspn(p, "/");
        if (n == 0 || n >= sizeof part || (n == 2 && memcmp(p, "..", 2) == 0)) {
            close(fd);
            return refuse(location, "wanted a file below the model's folder, without \"..\"", err);
        }
        memcpy(part, p, n);
        part[n] = 0;
        fd = step_down(fd, part, p[n] == 0);
        if (fd < 0)
            return fail_at(err, errno == ELOOP || errno == ENOTDIR ? RNND_CORRUPT : RNND_IO, "external_data",
                           "external data \"%.80s\": %s", location,
                           errno == ELOOP ? "a symbolic link, which is not followed" : strerror(errno));
        if (p[n] == 0) break;
        p += n + 1;
    }
    *out = fd;
    return RNND_OK;
}

static int compare_parts(const void *a, const void *b)
{
    const struct part *x = a, *y = b;
    int names = strcmp(x->location, y->location);
    if (names) return names;
    if (x->offset != y->offset) return x->offset < y->offset ? -1 : 1;
    return x->length < y->length ? -1 : x->length > y->length;
}

/* Sorted: parts may be the same but not overlap, so that all of them are no more than the files. */
static rnnd_code place_parts(struct part *parts, size_t count, size_t *total, rnnd_error *err)
{
    const struct part *last = NULL; /* the one before that is not empty, in the same file */
    qsort(parts, count, sizeof *parts, compare_parts);
    *total = 0;
    for (size_t i = 0; i < count; i++) {
        struct part *p = &parts[i];
        size_t rounded;
        if (last && strcmp(last->location, p->location) != 0) last = NULL;
        p->again = last && last->offset == p->offset && last->length == p->length;
        if (last && !p->again && p->length && p->offset < last->offset + last->length)
            return refuse(p->location, "two tensors overlap in it", err);
        p->at = p->again ? last->at : *total;
        if (p->again) continue;
        if (!size_add((size_t)p->length, 15, &rounded) || !size_add(*total, rounded & ~(size_t)15, total))
            return refuse(p->location, "its parts are beyond all memory", err);
        if (p->length) last = p;
    }
    return RNND_OK;
}

static rnnd_code check_file(int fd, const struct part *p, rnnd_error *err)
{
    struct stat st;
    if (fstat(fd, &st) || !S_ISREG(st.st_mode)) return refuse(p->location, "wanted a regular file", err);
    if (p->offset > (uint64_t)st.st_size || p->length > (uint64_t)st.st_size - p->offset)
        return fail_at(err, RNND_CORRUPT, "external_data",
                       "external data \"%.80s\": wanted %llu bytes from %llu on, the file has %llu", p->location,
                       (unsigned long long)p->length, (unsigned long long)p->offset, (unsigned long long)st.st_size);
    return RNND_OK;
}

static rnnd_code read_part(int fd, const struct part *p, uint8_t *to, rnnd_error *err)
{
    for (size_t done = 0; done < p->length;) {
        ssize_t n = pread(fd, to + done, (size_t)p->length - done, (off_t)(p->offset + done));
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0)
            return fail_at(err, RNND_IO, "external_data", "external data \"%.80s\": %s", p->location,
                           n ? strerror(errno) : "it has become shorter");
        done += (size_t)n;
    }
    return RNND_OK;
}

/* Every file is opened once: `to` NULL only checks that the parts are there. */
static rnnd_code visit(const struct part *parts, size_t count, const char *path, uint8_t *to, rnnd_error *err)
{
    rnnd_code code = RNND_OK;
    int fd = -1;
    for (size_t i = 0; i < count && !code; i++) {
        const struct part *p = &parts[i];
        if (p->again) continue;
        if (fd < 0 || strcmp(parts[i - 1].location, p->location) != 0) {
            if (fd >= 0) close(fd);
            fd = -1;
            code = open_beside(path, p->location, &fd, err);
        }
        if (!code) code = check_file(fd, p, err);
        if (!code && to) code = read_part(fd, p, to + p->at, err);
    }
    if (fd >= 0) close(fd);
    return code;
}

static rnnd_code make_part(struct checkpoint *ck, const struct onnx_tensor *x, size_t index, struct part *out,
                           rnnd_error *err)
{
    size_t bytes = x->t.count * stored_types[x->t.stored].bytes;
    struct proto_field f = {.wire = PROTO_SPAN, .span = x->external.location};
    rnnd_code code = onnx_text(&f, "the place of external data", &ck->arena, &out->location, err);
    if (code) return code;
    if (x->external.location.size == 0 || out->location[0] == '/')
        return refuse(out->location, "wanted a file below the model's folder", err);
    if (x->external.has_length && x->external.length != bytes)
        return fail_at(err, RNND_CORRUPT, x->t.name,
                       "tensor \"%.80s\": its shape wants %zu bytes, its external data has %llu", x->t.name, bytes,
                       (unsigned long long)x->external.length);
    if (x->external.offset > (uint64_t)INT64_MAX - bytes)
        return refuse(out->location, "its offset is beyond all files", err);
    out->offset = x->external.offset;
    out->length = bytes;
    out->index = index;
    return RNND_OK;
}

rnnd_code onnx_read_external(struct checkpoint *ck, const struct onnx_tensor *list, const size_t *index, size_t count,
                             const char *path, rnnd_error *err)
{
    size_t total;
    if (!path)
        return fail_at(err, RNND_UNSUPPORTED, list[0].t.name,
                       "tensor \"%.80s\": its data lies in another file (\"external data\"), which can be found only "
                       "where the model is opened by its path", list[0].t.name);
    struct part *parts = mem_alloc(count, sizeof *parts);
    if (!parts) return fail_memory(err, count * sizeof *parts);
    rnnd_code code = RNND_OK;
    for (size_t i = 0; i < count && !code; i++)
        code = make_part(ck, &list[i], index[i], &parts[i], err);
    if (!code) code = place_parts(parts, count, &total, err);
    if (!code) code = visit(parts, count, path, NULL, err); /* before any memory is taken: they are as large as said */
    if (!code && !(ck->memory[0] = mem_aligned(total))) code = fail_memory(err, total);
    if (!code) code = visit(parts, count, path, ck->memory[0], err);
    for (size_t i = 0; i < count && !code; i++)
        ck->tensors[parts[i].index].raw = ck->memory[0] + parts[i].at;
    mem_free(parts);
    return code;
}
