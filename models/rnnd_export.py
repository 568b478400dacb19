"""rnnd_export.py -- writes PyTorch modules as native rnnd model files: safetensors with the configuration inside.

    import rnnd_export
    rnnd_export.export(net, "net.safetensors", {"name": "net", "license": "MIT"})

`net` is an nn.LSTM, nn.GRU or nn.RNN, or any module whose children are applied one after the other in the order in
which they are defined (recurrent layers handing on their output sequence). export() runs the module, refuses with
ValueError where its forward() is something else, and puts input and output into the file as golden vectors, which rnnd
checks at load. Only numpy is needed for write_safetensors(), torch for export().

The configuration is the one of core/README.md; what the caller gives goes over what export() finds out.
"""
import json
import os
import struct

import numpy as np

TYPES = {"float32": "F32", "float64": "F64", "float16": "F16", "int64": "I64", "int32": "I32", "int16": "I16",
         "int8": "I8", "uint8": "U8", "bool": "BOOL"}
BY_HAND = "write_safetensors() takes the tensors and a configuration written by hand (core/README.md)"


def write_safetensors(path, tensors, config=None, metadata=None):
    """Writes named arrays, little-endian and without gaps, each at a multiple of its element size.

    path      file to write; its folder is made where it is missing
    tensors   {name: numpy array}
    config    the model's configuration, kept as JSON text under __metadata__.rnnd
    metadata  further {name: text}
    """
    header, blocks, at = {}, [], 0
    notes = dict(metadata or {})
    if config is not None:
        notes["rnnd"] = json.dumps(config, ensure_ascii=False, allow_nan=False)
    if notes:
        header["__metadata__"] = notes
    order = sorted(tensors, key=lambda name: (-np.asarray(tensors[name]).dtype.itemsize, name))
    for name in order:
        a = np.asarray(tensors[name])
        if a.dtype.name not in TYPES:
            raise ValueError("tensor %r has type %s; wanted one of %s" % (name, a.dtype, ", ".join(TYPES)))
        block = np.ascontiguousarray(a, a.dtype.newbyteorder("<")).tobytes()
        header[name] = {"dtype": TYPES[a.dtype.name], "shape": list(a.shape), "data_offsets": [at, at + len(block)]}
        blocks.append(block)
        at += len(block)
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text + b"".join(blocks))


def activation(m):
    """the configuration's word for an activation module, or None"""
    from torch import nn
    plain = {nn.ReLU: "relu", nn.Tanh: "tanh", nn.Sigmoid: "sigmoid", nn.SELU: "selu", nn.Softsign: "softsign",
             nn.SiLU: "silu", nn.Mish: "mish", nn.ReLU6: "relu6", nn.Hardsigmoid: "hard_sigmoid",
             nn.Hardswish: "hard_swish"}
    if type(m) in plain:
        return plain[type(m)]
    if type(m) is nn.LeakyReLU:
        return {"type": "leaky_relu", "alpha": m.negative_slope}
    if type(m) is nn.ELU:
        return {"type": "elu", "alpha": m.alpha}
    if type(m) is nn.Hardtanh and (m.min_val, m.max_val) == (-1, 1):
        return "hard_tanh"
    if type(m) is nn.Softplus and m.beta == 1:
        return "softplus"
    if type(m) is nn.GELU and getattr(m, "approximate", "none") == "none":
        return "gelu"
    return None


def recurrent(m, name):
    """one recurrent module as a layer"""
    layer = {"type": m.mode.split("_")[0].lower(), "name": name, "hidden": m.hidden_size}
    if m.num_layers > 1:
        layer["layers"] = m.num_layers
    if m.bidirectional:
        layer["direction"] = "bidirectional"
    if not m.bias:
        layer["bias"] = False
    if getattr(m, "proj_size", 0):
        layer["projection"] = m.proj_size
    if m.mode == "RNN_RELU":
        layer["nonlinearity"] = "relu"
    return layer


def describe(m, name):
    """A module without its children as a layer of the configuration: False if it does nothing at inference, None if it
    is not known."""
    from torch import nn
    if isinstance(m, nn.RNNBase):
        return recurrent(m, name)
    if type(m) is nn.Embedding and m.max_norm is None:
        return {"type": "embedding", "name": name}
    if type(m) is nn.Linear:
        layer = {"type": "dense", "name": name}
        if m.bias is None:
            layer["bias"] = False
        return layer
    if type(m) is nn.LayerNorm and len(m.normalized_shape) == 1:
        return {"type": "layer_norm", "name": name, "epsilon": m.eps, "affine": m.elementwise_affine}
    if type(m) in (nn.Softmax, nn.LogSoftmax) and m.dim in (-1, 2):
        return {"type": "softmax" if type(m) is nn.Softmax else "log_softmax", "name": name}
    if isinstance(m, (nn.Dropout, nn.Identity)):
        return False
    if activation(m):
        return {"type": "activation", "name": name, "activation": activation(m)}
    return None


def flatten(module, prefix=""):
    """[(name, module)] of the leaves, in order of definition; a name of digits alone is led by the module's type"""
    children = list(module.named_children())
    if not children or describe(module, "") is not None:
        return [(prefix or type(module).__name__.lower(), module)]
    leaves = []
    for name, child in children:
        name = type(child).__name__.lower() + name if name.isdigit() else name
        leaves += flatten(child, prefix + "." + name if prefix else name)
    return leaves


def apply(leaves, x):
    """the leaves one after the other; x is [batch][steps] of ids or [batch][steps][width]"""
    from torch import nn
    for name, m in leaves:
        try:
            if isinstance(m, nn.RNNBase):
                x = m(x if m.batch_first else x.transpose(0, 1))[0]
                x = x if m.batch_first else x.transpose(0, 1)
            else:
                x = m(x)
        except (RuntimeError, IndexError) as e:
            raise ValueError("layer %r does not take what the layers defined before it give (%s); " % (name, e) + BY_HAND)
    return x


def ordered(module, leaves, x, y):
    """whether forward() gives y ("all"), or the last step of it ("last")"""
    from torch import nn
    import torch
    layout = [m.batch_first for _, m in leaves if isinstance(m, nn.RNNBase)]
    time_first = bool(layout) and not layout[0]
    out = module(x.transpose(0, 1) if time_first else x)
    while isinstance(out, (tuple, list)):
        out = out[0]
    if time_first and out.dim() == 3:
        out = out.transpose(0, 1)
    for kind, wanted in (("all", y), ("last", y[:, -1]), ("last", y[:, -1:])):
        if out.shape == wanted.shape and torch.allclose(out, wanted, rtol=1e-4, atol=1e-5):
            return kind
    found = ("its output is %s, theirs %s" % (list(out.shape), list(y.shape)) if out.shape != y.shape
             else "they differ by up to %.3g" % (out - y).abs().max())
    raise ValueError("forward() of %s is not its layers one after the other in their order of definition (%s); "
                     % (type(module).__name__, found) + BY_HAND)


def export(module, path, config=None, golden_inputs=None, extra_tensors=None):
    """Writes a live torch module with golden vectors; returns the configuration written.

    module         nn.LSTM, nn.GRU, nn.RNN, or a module of Embedding, recurrent, Linear, LayerNorm, Dropout, Softmax and
                   activation children in the order in which they are applied
    config         keys that go over the ones found out; without "task" the model is a raw one
    golden_inputs  [batch][steps][width], or [batch][steps] ids; random ones where there are none
    extra_tensors  {name: numpy array} to put into the file beside the weights
    """
    import torch
    from torch import nn
    if not isinstance(module, nn.Module):
        raise ValueError("wanted a live torch.nn.Module, found %s (load_state_dict() puts a state_dict into one)"
                         % type(module).__name__)
    leaves, layers, tensors = [], [], {}
    for name, m in flatten(module):
        layer = describe(m, name)
        if layer is None:
            raise ValueError("module %r is a %s, which export() does not know; " % (name, type(m).__name__) + BY_HAND)
        if layer is False:
            continue
        leaves.append((name, m))
        layers.append(layer)
        for key, value in m.state_dict().items():
            tensors["%s.%s" % (name, key)] = value.detach().cpu().float().numpy()
    if not leaves:
        raise ValueError("%s has no layers" % type(module).__name__)
    first, ids = leaves[0][1], type(leaves[0][1]) is nn.Embedding
    width = first.num_embeddings if ids else getattr(first, "input_size", None) or getattr(first, "in_features", None)
    if golden_inputs is None and width is None:
        raise ValueError("the first layer does not say how wide its input is; give golden_inputs")
    generator = torch.Generator().manual_seed(1)
    if golden_inputs is not None:
        x = torch.as_tensor(golden_inputs)
    elif ids:
        x = torch.randint(0, width, (1, 16), generator=generator)
    else:
        x = torch.randn(1, 16, width, generator=generator)
    training = module.training
    module.eval()
    try:
        with torch.no_grad():
            y = apply(leaves, x)
            output = ordered(module, leaves, x, y)
    finally:
        module.train(training)
    x = x[..., None] if ids else x
    tensors["golden.x"] = x.float().numpy()
    tensors["golden.y"] = (y[:, -1:] if output == "last" else y).float().numpy()
    whole = {"format": 1, "name": path.replace("\\", "/").split("/")[-1].split(".")[0], "task": "raw",
             "inputs": [{"name": "x", "ids": width} if ids else {"name": "x", "width": int(x.shape[-1])}],
             "layers": layers, "output": output, "golden": {"inputs": "golden.x", "outputs": "golden.y"}}
    whole.update(config or {})
    tensors.update(extra_tensors or {})
    write_safetensors(path, tensors, whole)
    return whole
