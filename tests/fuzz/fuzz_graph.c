/* fuzz_graph.c -- any text as the configuration of a tensor graph, beside tensors of each type: opened.
 *
 * seeds: *.graph.json
 * options: -max_len=8192
 */
#include <stdlib.h>
#include <string.h>

#include "core/base/mem.h"
#include "core/formats/safetensors.h"
#include "tests/fuzz/bound.h"

static const float w[] = {1, 2, 3, 4, 5, 6}, W[24] = {0.5f, -0.25f, 1}, R[16] = {0.25f, -1}, B[16] = {1, 0.5f};
static const int64_t pick[] = {2, 0}, one[] = {1};
static const uint8_t flag = 1;
static const uint16_t half = 0x3800; /* 0.5 */
static const struct safetensors_item items[] = {
    {"w", STORED_F32, 2, {3, 2}, w},      {"W", STORED_F32, 3, {1, 8, 3}, W}, {"R", STORED_F32, 3, {1, 8, 2}, R},
    {"B", STORED_F32, 2, {1, 16}, B},     {"pick", STORED_I64, 1, {2}, pick}, {"one", STORED_I64, 1, {1}, one},
    {"flag", STORED_BOOL, 0, {0}, &flag}, {"half", STORED_F16, 0, {0}, &half}};

void fuzz_one(const uint8_t *data, size_t bytes)
{
    rnnd_error err = {.message = ""};
    void *image;
    size_t size;
    rnnd_model *m;
    char *text = mem_alloc(bytes + 1, 1);
    if (!text) abort();
    memcpy(text, data, bytes);
    struct safetensors_meta meta = {"rnnd", text};
    if (!safetensors_image(items, sizeof items / sizeof *items, &meta, 1, &image, &size, &err)) {
        rnnd_code code = rnnd_model_open_memory(image, size, "net", NULL, &m, &err);
        if (code ? m != NULL || !err.message[0] : m == NULL) abort();
        rnnd_model_close(m);
        mem_free(image);
    }
    mem_free(text);
}
