/* keras_ends.h -- inputs and outputs of a Keras model, and what people are told of its layers. */
#ifndef RNND_KERAS_ENDS_H
#define RNND_KERAS_ENDS_H

#include "core/formats/keras_lower.h"

/* A graph input from an InputLayer. */
struct keras_tensor keras_make_input(struct lowering *L, const struct keras_layer *l);
/* For a Sequential model without one: from what its first layer, its configuration or its weights say. */
struct keras_tensor keras_guess_input(struct lowering *L, const struct keras_layer *model,
                                      const struct keras_layer *first);
/* Sees to it that the output's value is the output's own and has its layer's name. */
void keras_name_output(struct lowering *L, struct keras_tensor *t, const char *layer, int tensor);
/* A row of the table of layers, and a tap. */
void keras_note(struct lowering *L, const struct keras_layer *l, const struct keras_call *in,
                const struct keras_outputs *out);
/* After all layers: token ids become whole numbers; ports and the network's outside are filled. */
void keras_finish(struct lowering *L, const struct keras_outputs *out);

#endif
