/* onnx.h -- ONNX files: read into named tensors and a document that lowers to a tensor graph.
 *
 * The reader keeps the file's protobuf as it is and only finds the model's parts; initializers become the checkpoint's
 * tensors, those of companion files ("external data") included. Lowering walks the nodes: any operator set from 7 on is
 * raised to the forms of opset 18, which the tensor operators have; values of If, Loop and Scan bodies stand in the
 * graph's one table; the file's own functions are inlined. */
#ifndef RNND_ONNX_H
#define RNND_ONNX_H

#include "core/formats/checkpoint.h"
#include "core/formats/json.h"
#include "core/formats/stack.h"

bool onnx_probe(const uint8_t *data, size_t bytes);
/* Tensors borrow `data`, and so does the document in out->own until it has been lowered. External data is looked for in
 * the folder of `path`, never outside it and never through symbolic links. */
rnnd_code onnx_read(const uint8_t *data, size_t bytes, const char *path, struct checkpoint *out, rnnd_error *err);
/* As struct format's lower: g is empty and becomes a tensor graph, not yet folded or compiled. Floats become float32,
 * integers int64. net: framework, inputs and the first output with the widths that are declared (0: not), layers (a row
 * for each node with weights), taps (every named value outside bodies). `config` is not looked at. */
rnnd_code onnx_lower(struct checkpoint *ck, const struct json *config, struct graph *g, struct arena *arena,
                     struct network *net, rnnd_error *err);

/* One serialized TensorProto (the .pb files of ONNX's own tests): borrowed from `bytes` where the data lies there as it
 * is in memory, converted into the arena else. Strings, complex numbers and types below a byte are UNSUPPORTED. */
rnnd_code onnx_tensor_read(const void *bytes, size_t n, struct arena *arena, struct checkpoint_tensor *out,
                           rnnd_error *err);

#endif
