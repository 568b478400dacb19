/* files.h -- a model file's bytes, what stands beside it, and what both are called. */
#ifndef RNND_MODEL_FILES_H
#define RNND_MODEL_FILES_H

#include "core/rnnd.h"

/* A file's bytes as the system pages them in; munmap() them, NULL where there are none. Errors name the path. */
rnnd_code file_map(const char *path, uint8_t **out, size_t *bytes, rnnd_error *err);
/* A file's bytes in memory, the caller's to mem_free(); TOO_LARGE above limit. Errors name the path. */
rnnd_code file_read(const char *path, size_t limit, uint8_t **out, size_t *bytes, rnnd_error *err);
/* "dir/net.safetensors" -> "net.safetensors", borrowed. */
const char *file_name(const char *path);
/* "dir/net.safetensors" -> "net" and "dir/net.rnnd.json", new strings. */
rnnd_code file_name_parts(const char *path, char **stem, char **side, rnnd_error *err);

#endif
