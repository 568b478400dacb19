"""rnnd_export.py -- writes live PyTorch and Keras models as native rnnd files: safetensors, the configuration inside.

    import rnnd_export
    rnnd_export.export(net, "net.safetensors", {"name": "net", "license": "MIT"})

PyTorch: `net` is an nn.LSTM, nn.GRU or nn.RNN, or any module whose children are applied one after the other. export()
runs it, and finds by comparison whether forward() takes every step, the last one or the final hidden state, which
activations it puts between its children, and in what order they come; what it cannot find, it refuses.
Keras (3, and tf.keras 2): a Sequential or Functional model of the layers that core/README.md lists. A SavedModel is one
behind tf.keras.models.load_model(folder). Layers of your own, Lambda among them, are replaced by `layers`.

Both put an input and the framework's answer into the file as golden vectors, which rnnd checks at load. Only numpy is
needed for write_safetensors(), and for export() the framework whose model it is given.

The configuration is the one of core/README.md; what the caller gives goes over what export() finds out.
"""
import itertools
import json
import os
import struct
import sys

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


# ---- what surrounds a network ----------------------------------------------------------------------------------------

def scaler_numbers(scaler):
    """(column names or None, scalers of the configuration) out of a fitted scikit-learn scaler, or of {"type": ..} for
    every column, a list of those, or {column: {"type": ..}}"""
    if isinstance(scaler, dict) and "type" in scaler:
        return None, [scaler]
    if isinstance(scaler, dict):
        return list(scaler), list(scaler.values())
    if isinstance(scaler, (list, tuple)):
        return None, list(scaler)
    kind = type(scaler).__name__
    numbers = lambda name: [float(v) for v in np.ravel(getattr(scaler, name))]
    if kind not in ("MinMaxScaler", "StandardScaler", "RobustScaler", "MaxAbsScaler"):
        raise ValueError("the scaler is a %s; wanted a StandardScaler, MinMaxScaler, MaxAbsScaler or RobustScaler of "
                         "scikit-learn, or its numbers: {\"type\": \"standard\", \"mean\": .., \"std\": ..}" % kind)
    if not hasattr(scaler, "scale_"):
        raise ValueError("the scaler, a %s, is not fitted; wanted one on which fit() has run" % kind)
    if kind == "MinMaxScaler":
        # x scale_ + min_, whatever the feature range: (x - a) / (b - a)
        pairs = [(-m / k, (1 - m) / k) for m, k in zip(numbers("min_"), numbers("scale_"))]
        found = [{"type": "minmax", "min": a, "max": b} for a, b in pairs]
    else:
        center = getattr(scaler, {"StandardScaler": "mean_", "RobustScaler": "center_"}.get(kind, ""), None)
        if not getattr(scaler, "with_mean", True) or not getattr(scaler, "with_centering", True):
            center = None
        count = len(np.ravel(center if scaler.scale_ is None else scaler.scale_))
        middle = [0.0] * count if center is None else [float(v) for v in np.ravel(center)]
        scale = [1.0] * count if scaler.scale_ is None else numbers("scale_")
        found = [{"type": "standard", "mean": m, "std": k} for m, k in zip(middle, scale)]
    names = getattr(scaler, "feature_names_in_", None)
    return None if names is None else [str(n) for n in names], found


def series_block(given, scaler, target, inputs, outputs, window):
    """the "series" part: `given` by the caller, what it lacks out of the scaler and the network's widths"""
    series = dict(given or {})
    names, scalers = scaler_numbers(scaler) if scaler is not None else (None, [{"type": "none"}])
    width = len(series["channels"]) if "channels" in series else inputs
    scalers = scalers * width if len(scalers) == 1 else scalers
    if len(scalers) != width:
        raise ValueError("the scaler has %d columns, the network takes %d numbers a step" % (len(scalers), width))
    if "channels" not in series:
        series["channels"] = [{"name": n} for n in names or map(str, range(width))]
    series["channels"] = [dict(c, scaler=c.get("scaler", k)) for c, k in zip(series["channels"], scalers)]
    if target is not None:
        series["target"] = target
    target = series.get("target", [c["name"] for c in series["channels"]])
    count = 1 if isinstance(target, str) else len(target)
    count *= len(series.get("quantiles") or [0])
    if "horizon" not in series and outputs % count:
        raise ValueError("the network answers %d numbers for %d channels; target= names those that it answers"
                         % (outputs, count))
    series.setdefault("horizon", outputs // count)
    if window:
        series.setdefault("warmup", window)
    return series


def finish(path, found, tensors, x, y, ids, config, scaler, target, extra_tensors):
    """Writes what was found out, the golden vectors x [batch][steps][inputs] (ids: [batch][steps][1]) and y, under what
    the caller says; returns the configuration."""
    if not np.isfinite(y).all():
        raise ValueError("the model answers what is not finite; golden_inputs takes an input that it was made for")
    tensors = dict(tensors)
    tensors["golden.x"], tensors["golden.y"] = np.asarray(x, np.float32), np.asarray(y, np.float32)
    whole = {"format": 1, "name": path.replace("\\", "/").split("/")[-1].split(".")[0], "task": "raw"}
    whole.update(found)
    whole["golden"] = {"inputs": "golden.x", "outputs": "golden.y"}
    whole.update(config or {})
    if scaler is not None or target is not None:
        if ids:
            raise ValueError("a scaler or a target is for numbers, the network takes ids")
        whole["task"] = "series"
    if whole["task"] == "series":
        whole["series"] = series_block(whole.get("series"), scaler, target, x.shape[-1], y.shape[-1],
                                       whole.get("window", 0))
    if whole["task"] == "text" and whole.get("layers", [{}])[-1].get("type") == "softmax":
        whole["text"] = dict({"outputs": "probabilities"}, **whole.get("text", {}))
    tensors.update({name: np.asarray(a) for name, a in (extra_tensors or {}).items()})
    write_safetensors(path, tensors, whole)
    return whole


# ---- PyTorch ---------------------------------------------------------------------------------------------------------

def torch_activation(m):
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


def torch_recurrent(m, name):
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


def torch_layer(m, name):
    """A module without its children as a layer of the configuration: False if it does nothing at inference, None if it
    is not known."""
    from torch import nn
    if isinstance(m, nn.RNNBase):
        return torch_recurrent(m, name)
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
    if torch_activation(m):
        return {"type": "activation", "name": name, "activation": torch_activation(m)}
    return None


def flatten(module, prefix=""):
    """[(name, module)] of the leaves, in order of definition; a name of digits alone is led by the module's type"""
    children = list(module.named_children())
    if not children or torch_layer(module, "") is not None:
        return [(prefix or type(module).__name__.lower(), module)]
    leaves = []
    for name, child in children:
        name = type(child).__name__.lower() + name if name.isdigit() else name
        leaves += flatten(child, prefix + "." + name if prefix else name)
    return leaves


def torch_apply(leaves, x, final):
    """The leaves one after the other; x is [batch][steps] of ids or [batch][steps][width]. A leaf is a module, or a
    function. `final`: the last recurrent one hands on its final hidden states, as one step."""
    from torch import nn
    import torch
    last = max([i for i, (_, m) in enumerate(leaves) if isinstance(m, nn.RNNBase)], default=-1)
    for i, (name, m) in enumerate(leaves):
        try:
            if isinstance(m, nn.RNNBase):
                x, h = m(x if m.batch_first else x.transpose(0, 1))
                x = x if m.batch_first else x.transpose(0, 1)
                if final and i == last:
                    h = h[0] if isinstance(h, tuple) else h
                    x = torch.cat(list(h[-2:] if m.bidirectional else h[-1:]), -1)[:, None]
            else:
                x = m(x)
        except (RuntimeError, IndexError) as e:
            raise ValueError("layer %r does not take what the layers before it give (%s); " % (name, e) + BY_HAND)
    return x


def torch_forward(module, x, time_first):
    """what forward() gives: [batch]...[outputs], without the state beside it. A forward() that wants a state gets None,
    or what its init_hidden() makes."""
    x = x.transpose(0, 1) if time_first else x
    try:
        out = module(x)
    except TypeError:
        if hasattr(module, "init_hidden"):
            out = module(x, module.init_hidden(x.shape[1 if time_first else 0]))
        else:
            out = module(x, None)
    while isinstance(out, (tuple, list)):
        out = out[0]
    return out.transpose(0, 1) if time_first and out.dim() == 3 else out


def torch_same(out, y, time_first):
    """whether out is y ("all"), its last step ("last"), or neither (None); steps may have been laid end to end, and an
    axis of one number been squeezed away"""
    import torch
    laid = (y.transpose(0, 1) if time_first else y).reshape(-1, y.shape[-1])
    wanted = [("all", y), ("last", y[:, -1]), ("last", y[:, -1:]), ("all", laid)]
    if y.shape[-1] == 1:
        wanted += [("last", y[:, -1, 0]), ("all", (y.transpose(0, 1) if time_first and out.dim() == 2 else y)[..., 0])]
    for kind, wanted in wanted:
        if out.shape == wanted.shape and torch.allclose(out, wanted, rtol=1e-4, atol=1e-5):
            return kind
    return None


def torch_guesses(leaves, layers):
    """(leaves, layers, final) that forward() may be, the plainest first: as defined; with one kind of function behind
    some of them; in another order. Functions that a forward() calls itself leave no other trace."""
    from torch import nn
    import torch
    bidirectional = any(getattr(m, "bidirectional", False) for _, m in leaves)
    for final in (False, True) if bidirectional else (False,):
        yield leaves, layers, final
    functions = [("relu", torch.relu), ("tanh", torch.tanh), ("sigmoid", torch.sigmoid),
                 ("gelu", nn.functional.gelu), ("elu", nn.functional.elu), ("leaky_relu", nn.functional.leaky_relu)]
    ends = [None, ("softmax", lambda x: torch.softmax(x, -1)), ("log_softmax", lambda x: torch.log_softmax(x, -1)),
            ("sigmoid", torch.sigmoid)]
    places = [i for i, (_, m) in enumerate(leaves) if isinstance(m, (nn.RNNBase, nn.Linear, nn.LayerNorm))]
    subsets = [c for n in range(0, min(len(places), 5) + 1) for c in itertools.combinations(places, n)]
    for final in (False, True) if bidirectional else (False,):
        for where, (kind, f), end in itertools.product(subsets, functions, ends):
            if not where and (end is None or kind != "relu"):
                continue
            with_f, described = [], []
            for i, (leaf, layer) in enumerate(zip(leaves, layers)):
                with_f.append(leaf)
                described.append(layer)
                if i in where:
                    with_f.append(("%s after %s" % (kind, leaf[0]), f))
                    described.append({"type": "activation", "name": "%s.%s" % (leaf[0], kind), "activation": kind})
            if end:
                with_f.append(end)
                described.append({"type": end[0], "name": "out.softmax"} if end[0] != "sigmoid" else
                                 {"type": "activation", "name": "out.sigmoid", "activation": "sigmoid"})
            yield with_f, described, final
    for order in itertools.permutations(range(len(leaves))) if len(leaves) <= 5 else ():
        yield [leaves[i] for i in order], [layers[i] for i in order], False


def torch_wiring(module, leaves, layers, x):
    """(leaves, layers, output, y) such that forward() gives y for x, or the last step of it"""
    from torch import nn
    layout = [m.batch_first for _, m in leaves if isinstance(m, nn.RNNBase)]
    time_first = bool(layout) and not layout[0]
    out, first = torch_forward(module, x, time_first), None
    for used, described, final in torch_guesses(leaves, layers):
        try:
            y = torch_apply(used, x, final)
        except ValueError as e:
            first = first or e
            continue
        kind = torch_same(out, y, time_first)
        if kind and final:
            last = max(i for i, layer in enumerate(described) if layer["type"] in ("lstm", "gru", "rnn"))
            described = [dict(layer, sequences=False) if i == last else layer for i, layer in enumerate(described)]
        if kind:
            return used, described, "last" if final else kind, final
        first = first or ValueError(
            "forward() of %s is not its layers one after the other (%s); "
            % (type(module).__name__, "its output is %s, theirs %s" % (list(out.shape), list(y.shape))
               if out.shape != y.shape else "they differ by up to %.3g" % (out - y).abs().max()) + BY_HAND)
    raise first


def torch_leaves(module, replaced):
    """([(name, module)], [layer], {tensor name: array}) of what a module is made of"""
    leaves, layers, tensors = [], [], {}
    for name, m in flatten(module):
        if name in replaced:
            layer = dict(replaced[name], name=name) if replaced[name] else False
        else:
            layer = torch_layer(m, name)
        if layer is None:
            raise ValueError("module %r is a %s, which export() does not know; layers={%r: {\"type\": ..}} says what "
                             "it is, or " % (name, type(m).__name__, name) + BY_HAND)
        if layer is False:
            continue
        leaves.append((name, m))
        layers.append(layer)
        for key, value in m.state_dict().items():
            tensors["%s.%s" % (name, key)] = value.detach().cpu().float().numpy()
    if not leaves:
        raise ValueError("%s has no layers" % type(module).__name__)
    return leaves, layers, tensors


def torch_widths(leaves):
    """(width, whether of ids) of what the module may take: the first leaf's, then those of others that may be first"""
    from torch import nn
    found = []
    for _, m in leaves[:1] + [leaf for leaf in leaves if isinstance(leaf[1], (nn.Embedding, nn.RNNBase))]:
        pair = (m.num_embeddings, True) if type(m) is nn.Embedding else \
            (getattr(m, "input_size", None) or getattr(m, "in_features", None), False)
        found += [pair] if pair[0] and pair not in found else []
    return found


def torch_try(module, leaves, layers, width, ids, golden_inputs):
    """(configuration, x, y) of a module that takes ids below `width`, or as many numbers"""
    import torch
    generator = torch.Generator().manual_seed(1)
    draw = lambda n, size: (torch.randint(0, width, (n, 16), generator=generator) if ids
                            else size * torch.randn(n, 16, width, generator=generator))
    x = torch.as_tensor(golden_inputs) if golden_inputs is not None else draw(1, 1)
    many = draw(16, 2) if width else x # what holds for one input may be chance
    used, layers, output, final = torch_wiring(module, leaves, layers, many)
    y = torch_apply(used, x, final)
    x = x[..., None] if ids else x
    found = {"inputs": [{"name": "x", "ids": width} if ids else {"name": "x", "width": int(x.shape[-1])}],
             "layers": layers, "output": output}
    return found, x.float().numpy(), (y[:, -1:] if output == "last" else y).float().numpy()


def torch_export(module, golden_inputs, replaced):
    """(configuration, tensors, x, y, whether x are ids) of a module"""
    import torch
    leaves, layers, tensors = torch_leaves(module, replaced)
    widths = torch_widths(leaves)
    if golden_inputs is None and not widths:
        raise ValueError("the first layer does not say how wide its input is; give golden_inputs")
    training, first = module.training, None
    module.eval()
    try:
        for width, ids in widths or [(None, False)]:
            try:
                with torch.no_grad():
                    found, x, y = torch_try(module, leaves, layers, width, ids, golden_inputs)
                return found, tensors, x, y, ids
            except (RuntimeError, IndexError, TypeError) as e: # out of forward() itself: it takes something else
                first = first or ValueError("forward() of %s does not take an input of %s %s (%s); "
                                            % (type(module).__name__, width, "ids" if ids else "numbers a step", e)
                                            + BY_HAND)
    finally:
        module.train(training)
    raise first


# ---- Keras -----------------------------------------------------------------------------------------------------------

KERAS_ACTIVATIONS = {name: name for name in ("linear", "relu", "relu6", "tanh", "sigmoid", "selu", "softplus", "mish",
                                             "softsign", "gelu", "elu", "hard_tanh", "silu", "softmax", "log_softmax")}
KERAS_ACTIVATIONS.update(swish="silu", exponential="exp", hard_silu="hard_swish", hard_swish="hard_swish",
                         leaky_relu={"type": "leaky_relu", "alpha": 0.2})
KERAS_NOTHING = ("Dropout", "SpatialDropout1D", "GaussianNoise", "GaussianDropout", "AlphaDropout", "Identity",
                 "ActivityRegularization")
KERAS_MERGES = {"Concatenate": "concat", "Add": "add", "Multiply": "multiply", "Subtract": "subtract"}
KERAS_CELLS = {"LSTM": "lstm", "GRU": "gru", "SimpleRNN": "rnn"}
KERAS_CODE = "; or export the model to ONNX (tf2onnx, or model.export(format=\"onnx\"))"
KERAS_OUT = "; or model.save(\"NAME.keras\") or .h5 keeps it, and rnnd reads that file as it is (models/README.md)"


def is_keras_model(layer):
    return hasattr(layer, "layers") and hasattr(layer, "predict")


def keras_version(model):
    """2 or 3, of the package that the model's class is from"""
    for c in type(model).__mro__:
        root = c.__module__.split(".")[0]
        if root == "tensorflow" or root == "tf_keras":
            return 2
        if root == "keras":
            return int(sys.modules[root].__version__.split(".")[0])
    return 3


def flat(x):
    """what is in lists, tuples and dictionaries, one after the other"""
    x = list(x.values()) if isinstance(x, dict) else x
    return [y for e in x for y in flat(e)] if isinstance(x, (list, tuple)) else [x]


class KerasNet:
    """Walks through a model, layer by layer; gathers the configuration's layers and the tensors they name."""

    def __init__(self, version, replaced):
        self.version, self.replaced = version, replaced
        self.layers, self.tensors, self.names, self.ids = [], {}, set(), {}

    def refuse(self, layer, why):
        own = type(layer).__name__ == "Lambda" or \
            type(layer).__module__.split(".")[0] not in ("keras", "tensorflow", "tf_keras", "__keras__")
        name = getattr(layer, "name", "?")
        raise ValueError("layer %r, a %s, %s: layers={%r: {\"type\": ..}} puts one of the list in its place (None: "
                         "nothing)%s" % (name, type(layer).__name__, why, name, KERAS_CODE if own else KERAS_OUT))

    def name(self, wanted):
        name, n = wanted, 1
        while name in self.names:
            n += 1
            name = "%s_%d" % (wanted, n)
        self.names.add(name)
        return name

    def put(self, kind, name, inputs, arrays=None, **keys):
        """one layer of the configuration with its tensors by role; returns the name of what it gives"""
        name = self.name(name)
        layer = dict({"type": kind, "name": name}, **keys)
        if arrays and kind != "prelu":
            layer["layout"] = "keras"
        layer.update({"inputs": inputs} if kind in KERAS_MERGES.values() else {"input": inputs[0]})
        for role, a in (arrays or {}).items():
            self.tensors["%s.%s" % (name, role)] = np.asarray(a, np.float32)
        self.layers.append(layer)
        return name

    def function(self, layer, config, key="activation"):
        """an activation of a layer's configuration as the configuration's word for it"""
        found = config.get(key)
        found = "linear" if found is None else found
        if isinstance(found, dict): # Keras 3 writes what is no string as an object
            found = found.get("config") if isinstance(found.get("config"), str) else found.get("class_name")
        if found == "hard_sigmoid":
            return "hard_sigmoid" if self.version >= 3 else "hard_sigmoid_keras2"
        if found not in KERAS_ACTIVATIONS:
            self.refuse(layer, "has the %s %s, which the layer list does not have" % (key, found or "of its own"))
        return KERAS_ACTIVATIONS[found]

    def activate(self, layer, name, function, value):
        if function == "linear":
            return value
        if function in ("softmax", "log_softmax"):
            return self.put(function, name, [value])
        return self.put("activation", name, [value], activation=function)

    # ---- layers ------------------------------------------------------------------------------------------------------

    def cell(self, layer, config, kind):
        """keys of one recurrent layer, one direction"""
        if config.get("time_major", False):
            self.refuse(layer, "has time_major=True")
        keys = {"hidden": int(config["units"])}
        if not config.get("use_bias", True):
            keys["bias"] = False
        function = self.function(layer, config)
        gate = self.function(layer, config, "recurrent_activation") if kind != "rnn" else None
        if "softmax" in (function, gate) or "log_softmax" in (function, gate):
            self.refuse(layer, "has a softmax inside its cell")
        if kind == "rnn":
            keys["nonlinearity"] = function
        else:
            keys["activations"] = {"gate": gate, "cell": function}
        if kind == "lstm":
            keys["activations"]["out"] = function
        if kind == "gru":
            keys["reset"] = "after" if config.get("reset_after", False) else "before"
        if not config.get("return_sequences", False):
            keys["sequences"] = False
        return keys

    def weights(self, layer, config, prefix=""):
        roles = ["kernel", "recurrent_kernel"] + (["bias"] if config.get("use_bias", True) else [])
        return dict(zip((prefix + r for r in roles), layer.get_weights()))

    def cell_of(self, layer):
        """(configuration, kind) of a recurrent layer, also of RNN(cell)"""
        config, kind = layer.get_config(), type(layer).__name__
        if kind == "RNN":
            cell = layer.cell
            if not type(cell).__name__.endswith("Cell") or type(cell).__name__ == "StackedRNNCells":
                self.refuse(layer, "has cells of the kind %s" % type(cell).__name__)
            kind = type(cell).__name__[:-4]
            config = dict(config, **{k: v for k, v in cell.get_config().items() if k not in ("name", "dtype")})
        if kind not in KERAS_CELLS:
            self.refuse(layer, "is no LSTM, GRU or SimpleRNN")
        return config, KERAS_CELLS[kind]

    def recurrent(self, layer, inputs):
        config, kind = self.cell_of(layer)
        keys = self.cell(layer, config, kind)
        if config.get("go_backwards", False):
            keys["direction"] = "reverse"
        value = self.put(kind, layer.name, inputs, self.weights(layer, config), **keys)
        if config.get("go_backwards", False) and keys.get("sequences", True):
            value = self.put("reverse", layer.name + ".order", [value]) # Keras leaves them as they were computed
        return value

    def bidirectional(self, layer, inputs):
        config, kind = self.cell_of(layer.forward_layer)
        other, other_kind = self.cell_of(layer.backward_layer)
        keys, back = self.cell(layer, config, kind), self.cell(layer, other, other_kind)
        if (kind, keys) != (other_kind, back) or config.get("go_backwards") or not other.get("go_backwards"):
            self.refuse(layer, "has two directions that differ in more than that")
        merge = layer.get_config().get("merge_mode", "concat")
        if merge not in ("concat", "sum", "mul", "ave"):
            self.refuse(layer, "has merge_mode=%r" % merge)
        tensors = self.weights(layer.forward_layer, config, "forward.")
        tensors.update(self.weights(layer.backward_layer, other, "backward."))
        return self.put(kind, layer.name, inputs, tensors, direction="bidirectional", merge=merge, **keys)

    def norm(self, layer, name, inputs, config, rank):
        axis = config.get("axis", -1)
        axis = list(axis) if isinstance(axis, (list, tuple)) else [axis]
        if axis not in ([-1], [rank - 1]):
            self.refuse(layer, "has axis=%r of %d" % (config["axis"], rank))
        if config.get("rms_scaling", False):
            self.refuse(layer, "has rms_scaling")
        batch, rest = type(layer).__name__ == "BatchNormalization", list(layer.get_weights())
        scale = rest.pop(0) if config.get("scale", True) else None
        center = rest.pop(0) if config.get("center", True) else None
        tensors = {}
        if scale is not None or center is not None: # the layer list has both or none
            tensors = {"gamma": np.ones_like(center) if scale is None else scale,
                       "beta": np.zeros_like(scale) if center is None else center}
        if batch:
            tensors.update(moving_mean=rest[0], moving_variance=rest[1])
        return self.put("batch_norm" if batch else "layer_norm", name, inputs, tensors,
                        epsilon=float(config["epsilon"]), affine=scale is not None or center is not None)

    def convolution(self, layer, inputs, config):
        plain = {"padding": "causal", "strides": 1, "groups": 1, "data_format": "channels_last"}
        for key, wanted in plain.items():
            found = config.get(key, wanted)
            found = found[0] if isinstance(found, (list, tuple)) else found
            if found != wanted:
                self.refuse(layer, "has %s=%r; wanted %r" % (key, config[key], wanted))
        roles = ["kernel", "bias"] if config.get("use_bias", True) else ["kernel"]
        value = self.put("conv1d", layer.name, inputs, dict(zip(roles, layer.get_weights())), bias=len(roles) == 2,
                         kernel=int(flat(config["kernel_size"])[0]),
                         dilation=int(flat(config.get("dilation_rate", 1))[0]))
        return self.activate(layer, layer.name + ".activation", self.function(layer, config), value)

    def rectifier(self, layer, kind, config):
        """the function of a layer that is one"""
        number = lambda *keys: next((float(config[k]) for k in keys if config.get(k) is not None), 0.0)
        if kind == "ReLU":
            slope, most = number("negative_slope"), config.get("max_value")
            if number("threshold") or (most is not None and (float(most) != 6 or slope)):
                self.refuse(layer, "has a threshold or a largest value")
            return "relu6" if most is not None else {"type": "leaky_relu", "alpha": slope} if slope else "relu"
        if kind == "LeakyReLU":
            return {"type": "leaky_relu", "alpha": number("negative_slope", "alpha")}
        if kind == "ELU":
            return {"type": "elu", "alpha": number("alpha")}
        return {"type": "thresholded_relu", "alpha": number("theta")}

    def plain(self, layer, name, inputs, rank):
        """a layer that treats every step alike"""
        config, kind, value = layer.get_config(), type(layer).__name__, inputs[0]
        if kind == "Dense":
            roles = ["kernel", "bias"] if config.get("use_bias", True) else ["kernel"]
            value = self.put("dense", name, inputs, dict(zip(roles, layer.get_weights())), bias=len(roles) == 2)
            return self.activate(layer, name + ".activation", self.function(layer, config), value)
        if kind == "Activation":
            return self.activate(layer, name, self.function(layer, config), value)
        if kind in ("ReLU", "LeakyReLU", "ELU", "ThresholdedReLU"):
            return self.activate(layer, name, self.rectifier(layer, kind, config), value)
        if kind == "PReLU":
            alpha = np.asarray(layer.get_weights()[0])
            if alpha.size != alpha.shape[-1]:
                self.refuse(layer, "has a slope for every step; wanted shared_axes=[1]")
            return self.put("prelu", name, inputs, {"weight": alpha.ravel()})
        if kind == "Softmax":
            if config.get("axis", -1) not in (-1, rank - 1):
                self.refuse(layer, "has axis=%r" % config["axis"])
            return self.put("softmax", name, inputs)
        if kind in ("LayerNormalization", "BatchNormalization"):
            return self.norm(layer, name, inputs, config, rank)
        if kind in KERAS_NOTHING:
            return value
        return None

    def layer(self, layer, inputs, rank, shapes):
        """Puts one layer, which reads `inputs` of these shapes; returns the name of what it gives."""
        kind, given = type(layer).__name__, self.replaced.get(getattr(layer, "name", None), self)
        if given is not self:
            keys = dict(given or {})
            return self.put(keys.pop("type"), keys.pop("name", layer.name), inputs, **keys) if keys else inputs[0]
        if len(inputs) > 1 and kind not in KERAS_MERGES:
            self.refuse(layer, "reads %d values (an initial state?)" % len(inputs))
        if kind in KERAS_MERGES:
            if kind != "Concatenate" and any(s[1:] != shapes[0][1:] for s in shapes):
                self.refuse(layer, "reads values of different shapes")
            if kind == "Concatenate" and layer.get_config().get("axis", -1) not in (-1, rank - 1):
                self.refuse(layer, "has axis=%r; wanted the last one" % layer.get_config()["axis"])
            return self.put(KERAS_MERGES[kind], layer.name, inputs)
        if kind == "Embedding":
            config = layer.get_config()
            if config.get("mask_zero"):
                self.refuse(layer, "has mask_zero=True, and the layer list knows no masks")
            if inputs[0] not in self.ids:
                self.refuse(layer, "reads what is no input of the model")
            self.ids[inputs[0]] = max(self.ids[inputs[0]], int(config["input_dim"]))
            return self.put("embedding", layer.name, inputs, {"embeddings": layer.get_weights()[0]})
        if kind in KERAS_CELLS or kind == "RNN":
            return self.recurrent(layer, inputs)
        if kind == "Bidirectional":
            return self.bidirectional(layer, inputs)
        if kind == "Conv1D":
            return self.convolution(layer, inputs, layer.get_config())
        if kind == "TimeDistributed":
            value = self.plain(layer.layer, layer.name, inputs, rank - 1)
        elif kind == "Flatten" and rank == 2:
            value = inputs[0]
        else:
            value = self.plain(layer, layer.name, inputs, rank)
        if value is None:
            self.refuse(layer, "is none that the layer list has")
        return value

    # ---- models ------------------------------------------------------------------------------------------------------

    def sequence(self, model, value):
        """the name of what a Sequential model gives"""
        shape = None
        for layer in model.layers:
            if type(layer).__name__ == "InputLayer":
                continue
            try:
                shape = tuple(layer.input.shape)
            except (AttributeError, ValueError): # not known to every version; it matters for axes alone
                shape = shape or (None, None, None)
            value = self.model(layer, [value])[0] if is_keras_model(layer) else \
                self.layer(layer, [value], len(shape), [shape])
        return value

    def model(self, model, values):
        """the names of a model's outputs, given those of its inputs"""
        return [self.sequence(model, values[0])] if "Sequential" in kinds(model) else self.functional(model, values)

    def functional(self, model, values):
        known = {id(t._keras_history[0]): v for t, v in zip(flat(model.inputs), values)}
        done = {}

        def value(tensor):
            layer, node_index, index = tensor._keras_history
            if id(layer) in known:
                return known[id(layer)]
            key = (id(layer), node_index)
            if key not in done:
                node = layer._inbound_nodes[node_index]
                parents = flat(getattr(node, "keras_inputs", None) or node.input_tensors)
                inputs, shapes = [value(t) for t in parents], [tuple(t.shape) for t in parents]
                done[key] = self.model(layer, inputs) if is_keras_model(layer) else \
                    [self.layer(layer, inputs, len(shapes[0]), shapes)]
            if index >= len(done[key]):
                self.refuse(layer, "hands on its state")
            return done[key][index]

        return [value(t) for t in flat(model.outputs)]


def kinds(layer):
    return [c.__name__ for c in type(layer).__mro__]


def keras_inputs(model, golden_inputs):
    """[(name, shape with None where it is free)] of a model's inputs"""
    tensors = getattr(model, "inputs", None)
    if tensors:
        names = [str(getattr(t, "name", "x")).split(":")[0] for t in flat(tensors)]
        names = ["x" if n.startswith("keras_tensor") else n for n in names]
        return list(zip(names, [tuple(t.shape) for t in flat(tensors)]))
    if "Sequential" not in kinds(model):
        raise ValueError("%s is a class of its own, whose call() is Python code: rebuild it as a Functional model%s"
                         % (type(model).__name__, KERAS_CODE))
    if golden_inputs is None:
        raise ValueError("the model does not say how wide its input is; give golden_inputs")
    return [("x", (None, None) + np.asarray(golden_inputs).shape[2:])]


def keras_golden(shapes, ids, golden_inputs):
    """one array per input: the caller's, else random ones of one window, or the fixed batch; 16 steps where free"""
    if golden_inputs is not None:
        given = golden_inputs if isinstance(golden_inputs, (list, tuple)) else [golden_inputs]
        return [np.asarray(g, np.float32) for g in given]
    rng, arrays = np.random.default_rng(1), []
    for name, shape in shapes:
        size = (shape[0] or 1, shape[1] or 16) + tuple(shape[2:])
        arrays.append(rng.integers(0, ids[name], size).astype(np.float32) if ids[name]
                      else rng.normal(size=size).astype(np.float32))
    return arrays


def keras_predict(model, arrays, stateful):
    """predict() from a zero state, which a stateful model is left in"""
    reset = lambda: [layer.reset_states() if hasattr(layer, "reset_states") else layer.reset_state()
                     for layer in stateful]
    reset()
    y = model.predict(arrays if len(arrays) > 1 else arrays[0], batch_size=len(arrays[0]), verbose=0)
    reset()
    return np.asarray(y, np.float32)


def every_layer(model):
    return [x for layer in model.layers for x in ([layer] + every_layer(layer) if is_keras_model(layer) else [layer])]


def keras_export(model, golden_inputs, replaced):
    """(configuration, tensors, x, y, whether x are ids) of a model"""
    shapes = keras_inputs(model, golden_inputs)
    net = KerasNet(keras_version(model), replaced)
    names = [net.name(name) for name, _ in shapes]
    net.ids = dict.fromkeys(names, 0)
    values = net.model(model, names)
    if len(values) != 1:
        raise ValueError("the model has %d outputs, a layer list has one" % len(values) + KERAS_OUT)
    if not net.layers:
        raise ValueError("the model has no layers that compute anything")
    if net.layers[-1]["name"] != values[0]: # the output is the last layer's
        net.layers.append(net.layers.pop(next(i for i, l in enumerate(net.layers) if l["name"] == values[0])))
    shapes = list(zip(names, (shape for _, shape in shapes)))
    for name, shape in shapes:
        if len(shape) != (2 if net.ids[name] else 3):
            raise ValueError("input %r has the shape %s; wanted [batch][steps][features], or [batch][steps] of ids"
                             % (name, list(shape)) + KERAS_OUT)
    arrays = keras_golden(shapes, net.ids, golden_inputs)
    stateful = [layer for layer in every_layer(model) if getattr(layer, "stateful", False)]
    y = keras_predict(model, arrays, stateful)
    found = {"inputs": [{"name": name, "ids": net.ids[name]} if net.ids[name] else
                        {"name": name, "width": int(shape[2])} for name, shape in shapes],
             "layers": net.layers, "output": "last" if y.ndim == 2 else "all"}
    window = max(shape[1] or 0 for _, shape in shapes)
    if window and not stateful: # made for windows of one length: a session answers for the newest one
        found.update(mode="sliding", window=int(window))
    x = np.concatenate([a[..., None] if net.ids[name] else a for (name, _), a in zip(shapes, arrays)], -1)
    return found, net.tensors, x, y[:, None] if y.ndim == 2 else y, any(net.ids.values())


# ---- any model -------------------------------------------------------------------------------------------------------

def export(model, path, config=None, golden_inputs=None, extra_tensors=None, scaler=None, target=None, layers=None):
    """Writes a live model of PyTorch or Keras with golden vectors; returns the configuration written.

    model          torch: nn.LSTM, nn.GRU, nn.RNN, or a module of Embedding, recurrent, Linear, LayerNorm, Dropout,
                   Softmax and activation children. keras: a Sequential or Functional model
    config         keys that go over the ones found out; without "task" the model is a raw one
    golden_inputs  [batch][steps][width], or [batch][steps] ids; a list of them for a Keras model of several inputs;
                   random ones where there are none
    extra_tensors  {name: numpy array} to put into the file beside the weights
    scaler         makes it a model of task series, which takes and answers the units of the table: a fitted scaler of
                   scikit-learn over the input columns (StandardScaler, MinMaxScaler), or its numbers as in the
                   configuration: {"type": "standard", "mean": 5, "std": 2} for all columns, a list, or {column: ..}
    target         name of the column that it answers, or a list of them, where it does not answer all
    layers         {name: layer of the configuration} in place of layers that export() does not know (Lambda, your own
                   classes); None: it does nothing, or takes the last step of what is the last step anyway
    """
    if hasattr(model, "layers") and hasattr(model, "get_weights") and hasattr(model, "predict"):
        found = keras_export(model, golden_inputs, layers or {})
    else:
        if "torch" not in sys.modules or not isinstance(model, sys.modules["torch"].nn.Module):
            raise ValueError("wanted a live torch.nn.Module or Keras model, found %s (load_state_dict() puts a "
                             "state_dict into a module, load_model() makes a model of a folder)" % type(model).__name__)
        found = torch_export(model, golden_inputs, layers or {})
    return finish(path, *found, config, scaler, target, extra_tensors)
