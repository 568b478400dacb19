/* files.c -- a model file's bytes, what stands beside it, and what both are called. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/error.h"
#include "core/base/mem.h"
#include "core/model/files.h"

#define MAX_FILE_BYTES ((size_t)16 << 30)

static rnnd_code read_open(int fd, size_t limit, uint8_t **out, size_t *bytes, rnnd_error *err)
{
    struct stat st;
    size_t at = 0;
    if (fstat(fd, &st) != 0) return fail(err, RNND_IO, "cannot be read: %s", strerror(errno));
    if (!S_ISREG(st.st_mode)) return fail(err, RNND_IO, "wanted an ordinary file, found something else");
    if ((uint64_t)st.st_size > limit)
        return fail(err, RNND_TOO_LARGE, "the file has %llu bytes, at most %zu are read",
                    (unsigned long long)st.st_size, limit);
    if (!(*out = mem_alloc((size_t)st.st_size + 1, 1))) return fail_memory(err, (size_t)st.st_size);
    while (at < (size_t)st.st_size) {
        ssize_t n = read(fd, *out + at, (size_t)st.st_size - at);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0)
            return fail(err, RNND_IO, "cannot be read: %s", n < 0 ? strerror(errno) : "it became shorter meanwhile");
        at += (size_t)n;
    }
    *bytes = at;
    return RNND_OK;
}

rnnd_code file_map(const char *path, uint8_t **out, size_t *bytes, rnnd_error *err)
{
    struct stat st;
    rnnd_code code = RNND_OK;
    *out = NULL;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 || fstat(fd, &st) != 0)
        code = fail(err, errno == ENOENT || errno == ENOTDIR ? RNND_NOT_FOUND : RNND_IO, "cannot be opened: %s",
                    strerror(errno));
    else if (!S_ISREG(st.st_mode))
        code = fail(err, RNND_IO, "wanted an ordinary file, found something else");
    else if ((uint64_t)st.st_size > MAX_FILE_BYTES)
        code = fail(err, RNND_TOO_LARGE, "the file has %llu bytes, at most %zu are read",
                    (unsigned long long)st.st_size, MAX_FILE_BYTES);
    else if (st.st_size > 0) {
        void *p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (p == MAP_FAILED)
            code = fail(err, errno == ENOMEM ? RNND_NO_MEMORY : RNND_IO, "cannot be mapped: %s", strerror(errno));
        else
            *out = p;
    }
    *bytes = *out ? (size_t)st.st_size : 0;
    if (fd >= 0) close(fd);
    if (code) fail_in(err, path);
    return code;
}

rnnd_code file_read(const char *path, size_t limit, uint8_t **out, size_t *bytes, rnnd_error *err)
{
    rnnd_code code;
    *out = NULL;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a fifo must not hang us before fstat tells */
    if (fd < 0)
        code = fail(err, errno == ENOENT || errno == ENOTDIR ? RNND_NOT_FOUND : RNND_IO, "cannot be opened: %s",
                    strerror(errno));
    else
        code = read_open(fd, limit, out, bytes, err);
    if (fd >= 0) close(fd);
    if (!code) return RNND_OK;
    mem_free(*out);
    *out = NULL;
    fail_in(err, path);
    return code;
}

const char *file_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

rnnd_code file_name_parts(const char *path, char **stem, char **side, rnnd_error *err)
{
    const char *base = file_name(path), *dot = strrchr(base, '.');
    size_t length = dot && dot > base ? (size_t)(dot - base) : strlen(base), lead = (size_t)(base - path);
    *stem = mem_alloc(length + 1, 1);
    *side = mem_alloc(lead + length + sizeof ".rnnd.json", 1);
    if (!*stem || !*side) return fail_memory(err, lead + length);
    memcpy(*stem, base, length);
    memcpy(*side, path, lead + length);
    memcpy(*side + lead + length, ".rnnd.json", sizeof ".rnnd.json");
    return RNND_OK;
}
