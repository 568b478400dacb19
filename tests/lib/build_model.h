/* build_model.h -- small models made in memory: named float tensors and a configuration become a safetensors image. */
#ifndef TESTS_BUILD_MODEL_H
#define TESTS_BUILD_MODEL_H

#include "core/base/rng.h"
#include "core/formats/safetensors.h"
#include "core/rnnd.h"

struct model_builder {
    struct rng rng;
    struct safetensors_item items[512];
    size_t count;
};

void builder_init(struct model_builder *b, uint64_t seed);
void builder_free(struct model_builder *b);
/* Copies `data`; NULL: uniform in (-scale, scale). Returns the builder's copy. Dimensions after `rank` are ignored. */
float *builder_tensor(struct model_builder *b, const char *name, const float *data, float scale, int rank, size_t d0,
                      size_t d1, size_t d2);
const float *builder_find(const struct model_builder *b, const char *name);
/* The image with the configuration inside; mem_free() it. config NULL: none. */
void *builder_image(const struct model_builder *b, const char *config, size_t *bytes);
/* Opens it; fails the test with the message if that fails. kernel_row NULL: RNND_ISA, else the best. */
rnnd_model *builder_open(const struct model_builder *b, const char *config, const char *kernel_row);
/* Opens what must be refused: returns the code, *err is filled. */
rnnd_code builder_refused(const struct model_builder *b, const char *config, rnnd_error *err);

/* The tensors of a PyTorch LSTM (4 gates), GRU (3) or RNN (1), all layers and directions. */
void builder_torch(struct model_builder *b, const char *name, size_t gates, size_t inputs, size_t hidden, size_t layers,
                   bool bidirectional, size_t projection);
#define TEXT 8192 /* bytes of a configuration being written */
/* Appends to a string of TEXT bytes; fails the test when it is full. */
void text_add(char *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
float rng_between(struct rng *r, float low, float high);

#endif
