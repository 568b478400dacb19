/* keras.h -- Keras files: whole models and weights as HDF5 (.h5), and zip archives (.keras).
 *
 * .h5     attribute model_config holds the architecture; attributes layer_names and weight_names say which weights a
 *         layer has and in which order. Weights alone: the same without model_config.
 * .keras  config.json, metadata.json, model.weights.h5, whose folders follow the classes of the layers.
 *
 * Tensors have the names of their paths without "model_weights/": "lstm/lstm/lstm_cell/kernel:0",
 * "layers/lstm/cell/vars/0"; and each has a short name besides, layer and role, where that is no other's:
 * "lstm/kernel", "bidirectional/forward/bias". */
#ifndef RNND_KERAS_H
#define RNND_KERAS_H

#include "core/formats/format.h"

bool keras_h5_probe(const uint8_t *data, size_t bytes);
bool keras_zip_probe(const uint8_t *data, size_t bytes);
/* Both: out->own is set where the file has an architecture; without one its tensors need a configuration. */
rnnd_code keras_h5_read(const uint8_t *data, size_t bytes, const char *path, struct checkpoint *out, rnnd_error *err);
rnnd_code keras_zip_read(const uint8_t *data, size_t bytes, const char *path, struct checkpoint *out, rnnd_error *err);
/* The architecture as a tensor graph: batch first, as Keras has it. Lambda and custom layers are UNSUPPORTED. */
rnnd_code keras_lower(struct checkpoint *ck, const struct json *config, struct graph *g, struct arena *arena,
                      struct network *net, rnnd_error *err);

#endif
