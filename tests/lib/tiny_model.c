/* tiny_model.c -- writes the file: a safetensors header with the configuration inside, then the weights. */
#include "tests/lib/tiny_model.h"

#include <stdio.h>
#include <string.h>

#define HIDDEN 5

static const struct {
    const char *name, *shape;
    int count;
} tensors[] = {
    {"rnn.weight_ih_l0", "20,3", 4 * HIDDEN * TINY_INPUTS}, {"rnn.weight_hh_l0", "20,5", 4 * HIDDEN * HIDDEN},
    {"rnn.bias_ih_l0", "20", 4 * HIDDEN},                   {"rnn.bias_hh_l0", "20", 4 * HIDDEN},
    {"head.weight", "2,5", TINY_OUTPUTS * HIDDEN},          {"head.bias", "2", TINY_OUTPUTS},
};

bool tiny_model_write(const char *path, uint32_t seed)
{
    char header[4096];
    int n = snprintf(header, sizeof header, "{\"__metadata__\":{\"rnnd\":\"%s\"}",
                     "{\\\"format\\\": 1, \\\"task\\\": \\\"raw\\\", \\\"mode\\\": \\\"carry\\\", "
                     "\\\"output\\\": \\\"all\\\", \\\"inputs\\\": [{\\\"name\\\": \\\"x\\\", \\\"width\\\": 3}], "
                     "\\\"layers\\\": [{\\\"type\\\": \\\"lstm\\\", \\\"name\\\": \\\"rnn\\\", \\\"hidden\\\": 5, "
                     "\\\"layers\\\": 1}, {\\\"type\\\": \\\"dense\\\", \\\"name\\\": \\\"head\\\"}]}");
    int at = 0;
    for (size_t i = 0; i < sizeof tensors / sizeof *tensors; i++) {
        n += snprintf(header + n, sizeof header - (size_t)n,
                      ",\"%s\":{\"dtype\":\"F32\",\"shape\":[%s],\"data_offsets\":[%d,%d]}", tensors[i].name,
                      tensors[i].shape, at, at + 4 * tensors[i].count);
        at += 4 * tensors[i].count;
    }
    n += snprintf(header + n, sizeof header - (size_t)n, "}");
    while (n % 8) header[n++] = ' ';
    FILE *f = fopen(path, "wb");
    if (!f) return false;
    bool huge_head = seed == 0;
    uint8_t length[8] = {(uint8_t)n, (uint8_t)(n >> 8)};
    bool good = fwrite(length, 1, 8, f) == 8 && fwrite(header, 1, (size_t)n, f) == (size_t)n;
    for (int i = 0; i < at / 4; i++) {
        seed = seed * 1664525u + 1013904223u;
        float w = (float)(seed >> 8) / (float)(1 << 24) * 1.4f - 0.7f;
        if (huge_head && i >= at / 4 - TINY_OUTPUTS * (HIDDEN + 1)) w = 2.8e38f;
        good = good && fwrite(&w, sizeof w, 1, f) == 1;
    }
    return !fclose(f) && good;
}
