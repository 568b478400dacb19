#!/usr/bin/python3
"""make_keras.py -- Keras files in the layouts of several versions, with what their models answer.

    NODE_PATH=... python3 tests/vectors/make_keras.py     (rewrites tests/vectors/keras/; numpy, h5py, torch; node with
                                                           @tensorflow/tfjs)

Models and answers come from TensorFlow.js (make_keras.mjs) and, for what that lacks, from PyTorch. The files are laid
out as Keras writes them: NAME.h5 by layer_names and weight_names, in the three ways that paths have had ("plain": up to
2.2, "tf2": 2.4 to 2.15, "keras3"); NAME.keras by folders. NAME.safetensors has in_0 ... and out_0 ....
"""
import copy, io, json, os, struct, subprocess, zipfile
import h5py
import numpy as np
import torch

HERE = os.path.dirname(os.path.abspath(__file__))
OUT = os.path.join(HERE, "keras")
torch.set_num_threads(1)
torch.manual_seed(5)
RECURRENT = {"LSTM": "lstm_cell", "GRU": "gru_cell", "SimpleRNN": "simple_rnn_cell"}


def snake(name):
    import re
    name = re.sub(r"\W+", "", name)
    name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()


def safetensors(path, tensors):
    head, data = {}, b""
    for name, a in tensors.items():
        a = np.ascontiguousarray(a, np.float32)
        head[name] = {"dtype": "F32", "shape": list(a.shape), "data_offsets": [len(data), len(data) + a.nbytes]}
        data += a.tobytes()
    text = json.dumps(head, separators=(",", ":")).encode()
    open(path, "wb").write(struct.pack("<Q", len(text)) + text + data)


def layers_of(config):
    return config["config"]["layers"]


# ---- .h5 --------------------------------------------------------------------------------------------------------------

def weight_path(layer, sub, role, style, model, part=""):
    """A weight's name: of layer `layer` (sub: inside a nested model), role "kernel"; part "forward_x" or a cell's."""
    kind = sub["class_name"]
    inner = sub["config"].get("layer", {}).get("class_name", kind)
    cell = RECURRENT.get(inner)
    middle = [part] if part else []
    if style != "plain" and cell: middle.append(cell)
    name = "/".join([sub["config"]["name"]] + middle + [role])
    if style == "keras3": return "/".join([model, name])
    return name + ":0"


def groups_of(l, weights):
    return [ws for _, ws in weights.get(l["config"]["name"], []) if ws]


def write_h5(name, config, weights, style, version, split=False):
    with h5py.File(os.path.join(OUT, name + ".h5"), "w") as f:
        old = style == "plain"
        f.attrs["backend"] = np.bytes_(b"tensorflow") if old else "tensorflow"
        f.attrs["keras_version"] = version.encode() if old else version
        text = json.dumps(config)
        f.attrs["model_config"] = text.encode() if old else text
        root = f.create_group("model_weights")
        listed = [l for l in layers_of(config) if groups_of(l, weights) or l["class_name"] in ("InputLayer", "Dropout")]
        names = [l["config"]["name"] for l in listed]
        text_list = lambda a: np.array([s.encode() for s in a]) if old else np.array(a, dtype=object)
        def put(o, key, a):
            if not len(a): o.attrs[key] = np.array([], dtype="float64")
            elif old: o.attrs[key] = text_list(a)
            else: o.attrs.create(key, a, dtype=h5py.string_dtype())
        if split:
            put(root, "layer_names0", names[:2])
            put(root, "layer_names1", names[2:])
        else:
            put(root, "layer_names", names)
        for l in listed:
            g = root.create_group(l["config"]["name"])
            rows = []
            for sub, ws in weights.get(l["config"]["name"], []):
                rows += [(weight_path(l, sub, role, style, config["config"]["name"], part), a) for part, role, a in ws]
            put(g, "weight_names", [r[0] for r in rows])
            for path, a in rows:
                g.create_dataset(path, data=np.asarray(a, np.float32))


# ---- .keras -----------------------------------------------------------------------------------------------------------

def keras3(config):
    """A Keras 2 configuration as Keras 3 writes it."""
    c = copy.deepcopy(config)
    c.pop("keras_version", None), c.pop("backend", None)
    if c["class_name"] == "Model": c["class_name"] = "Functional"
    def layer(l):
        l["module"], l["registered_name"] = "keras.layers", None
        k = l["config"]
        k["dtype"] = {"module": "keras", "class_name": "DTypePolicy", "config": {"name": "float32"}, "registered_name": None}
        if "batch_input_shape" in k and l["class_name"] == "InputLayer": k["batch_shape"] = k.pop("batch_input_shape")
        if l["class_name"] == "LeakyReLU": k["negative_slope"] = k.pop("alpha")
        if l["class_name"] in ("Sequential", "Model"):
            for s in k["layers"]: layer(s)
        calls = []
        for call in l.get("inbound_nodes", []):
            refs = [{"class_name": "__keras_tensor__", "config": {"shape": [None], "dtype": "float32",
                                                                  "keras_history": r[:3]}} for r in call]
            calls.append({"args": [refs] if len(refs) > 1 else refs, "kwargs": {}})
        if "inbound_nodes" in l: l["inbound_nodes"] = calls
    for l in layers_of(c): layer(l)
    return c


def write_keras(name, config, weights, version, by_counter=True, deflate=False, root="layers", named=True):
    blob = io.BytesIO()
    with h5py.File(blob, "w") as f:
        def save(root, layers, groups):
            seen = {}
            for l in layers:
                kind, lname = l["class_name"], l["config"]["name"]
                s = snake(kind)
                n = seen[s] = seen.get(s, -1) + 1
                folder = f"{root}/{s}_{n}" if n else f"{root}/{s}"
                if not by_counter: folder = f"{root}/{lname}"
                if kind in ("Sequential", "Functional"):
                    save(folder + "/layers", layers_of(l), {sub["config"]["name"]: [(sub, ws)] for sub, ws in groups[lname]})
                    continue
                if not groups_of(l, groups) and kind != "Dropout": continue  # Keras writes empty groups for all; one kind will do
                v = f.require_group(folder + "/vars")
                if named: v.attrs["name"] = lname
                for sub, ws in groups.get(lname, []):
                    for i, (part, role, a) in enumerate(ws):
                        if kind == "Bidirectional":
                            half = len(ws) // 2
                            where = ["forward_layer", "backward_layer"][i // half] + f"/cell/vars/{i % half}"
                        elif kind == "RNN":
                            where = f"cell/cells/{part}/vars/{['kernel', 'recurrent_kernel', 'bias'].index(role)}"
                        elif kind in RECURRENT: where = f"cell/vars/{i}"
                        elif kind == "TimeDistributed": where = f"layer/vars/{i}"
                        elif kind == "MultiHeadAttention": where = f"{part}/vars/{i % 2}"
                        else: where = f"vars/{i}"
                        f.create_dataset(f"{folder}/{where}", data=np.asarray(a, np.float32))
        save(root, layers_of(config), weights)
    with zipfile.ZipFile(os.path.join(OUT, name + ".keras"), "w") as z:
        for entry, data in (("metadata.json", json.dumps({"keras_version": version, "date_saved": "2025-01-01@00:00:00"})),
                            ("config.json", json.dumps(config)), ("model.weights.h5", blob.getvalue())):
            z.writestr(zipfile.ZipInfo(entry, (2025, 1, 1, 0, 0, 0)), data,
                       zipfile.ZIP_DEFLATED if deflate else zipfile.ZIP_STORED)


# ---- from TensorFlow.js ----------------------------------------------------------------------------------------------

def tidy(config):
    """Initializers and the like tell nothing; StackedRNNCells as Keras has it."""
    for l in layers_of(config):
        k = l["config"]
        for key in ("trainable", "activity_regularizer", "implementation", "unroll", "dropout", "recurrent_dropout"): k.pop(key, None)
        for holder in [k, k.get("layer", {}).get("config", {})] + [c["config"] for c in k.get("cells", [])]:
            for key in [key for key in holder if key.endswith(("_initializer", "_regularizer", "_constraint"))]:
                del holder[key]
        if "cells" in k: k["cell"] = {"class_name": "StackedRNNCells", "config": {"cells": k.pop("cells")}}
        if l["class_name"] == "Sequential": tidy(l)
    return config


def of_tfjs(case):
    config = tidy(case["config"])
    kinds = {}
    def walk(layers):
        for l in layers:
            kinds[l["config"]["name"]] = l
            if l["class_name"] == "Sequential": walk(layers_of(l))
    walk(layers_of(config))
    weights = {}
    for layer, subs in case["weights"].items():
        weights[layer] = []
        for sub, ws in subs:
            rows = []
            for path, w in ws:
                parts = path.split("/")
                part = "" if len(parts) < 3 else parts[1]
                part = {"RNNCell_0": "lstm_cell", "RNNCell_1": "simple_rnn_cell"}.get(part, part)
                rows.append((part, parts[-1], np.array(w["data"], np.float32).reshape(w["shape"])))
            weights[layer].append((kinds[sub], rows))
    arrays = {f"in_{i}": np.array(a["data"]).reshape(a["shape"]) for i, a in enumerate(case["inputs"])}
    arrays.update({f"out_{i}": np.array(a["data"]).reshape(a["shape"]) for i, a in enumerate(case["outputs"])})
    return config, weights, arrays


def tfjs_files():
    text = subprocess.run(["node", os.path.join(HERE, "make_keras.mjs")], check=True, stdout=subprocess.PIPE).stdout
    cases = {c["name"]: of_tfjs(c) for c in json.loads(text)}
    write = lambda name, *how: write_h5(name, cases[name][0], cases[name][1], *how)
    write("recurrent", "plain", "2.2.4")
    write("stacked", "tf2", "2.13.1", True)
    write("merge", "tf2", "2.9.0")
    write("text", "keras3", "3.3.3")
    write("masking", "tf2", "2.13.1")
    for name, counter, deflate in (("merge", True, False), ("text", False, True), ("places", True, True),
                                   ("stacked", True, True)):
        write_keras(name, keras3(cases[name][0]), cases[name][1], "3.6.0", counter, deflate)
    # tf.keras 2.13: Keras 2's configuration, another root, folders by counters alone
    write_keras("text_2.13", cases["text"][0], cases["text"][1], "2.13.1", True, True, "_layer_checkpoint_dependencies", False)
    for name, case in cases.items():
        safetensors(os.path.join(OUT, name + ".safetensors"), case[2])


# ---- from PyTorch -----------------------------------------------------------------------------------------------------

def uniform(*shape):
    return torch.rand(*shape) * 1.4 - 0.7


def cell(kind, inputs, hidden, both=False):
    m = getattr(torch.nn, kind)(inputs, hidden, batch_first=True, bidirectional=both)
    for p in m.parameters(): p.data = uniform(*p.shape)
    return m


def keras_cell(m, suffix=""):
    """[kernel, recurrent_kernel, bias] in Keras' order of gates (i f c o; z r h)."""
    H = m.hidden_size
    order = [0, 1, 2, 3] if isinstance(m, torch.nn.LSTM) else [1, 0, 2]
    pick = lambda a: np.concatenate([a[g * H:(g + 1) * H] for g in order])
    w, r, bi, bh = (pick(getattr(m, f"{n}_l0{suffix}").detach().numpy()) for n in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"))
    bias = bi + bh if isinstance(m, torch.nn.LSTM) else np.stack([bi, bh])
    return [("", "kernel", w.T), ("", "recurrent_kernel", r.T), ("", "bias", bias)]


def cudnn_cell(m):
    """The same as CuDNNLSTM and CuDNNGRU keep it: each gate's block is CuDNN's own."""
    H, I = m.hidden_size, m.input_size
    order = [0, 1, 2, 3] if isinstance(m, torch.nn.LSTM) else [1, 0, 2]
    blocks = lambda a: [a[g * H:(g + 1) * H] for g in order]
    w, r, bi, bh = (blocks(getattr(m, n + "_l0").detach().numpy()) for n in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"))
    kernel = np.concatenate([b.reshape(I, H) for b in w], axis=1)
    return [("", "kernel", kernel), ("", "recurrent_kernel", np.concatenate(r, axis=1)),
            ("", "bias", np.concatenate(bi + bh))]


def layer(kind, name, config, *calls):
    return {"class_name": kind, "name": name, "config": {"name": name, **config},
            "inbound_nodes": [[[c, 0, 0, {}] for c in call] for call in calls]}


def functional(name, layers, inputs, outputs):
    return {"class_name": "Functional", "config": {"name": name, "layers": layers,
            "input_layers": [[i, 0, 0] for i in inputs], "output_layers": [[o, 0, 0] for o in outputs]}}


def rnn(units, **more):
    return {"units": units, "activation": "tanh", "recurrent_activation": "sigmoid", "use_bias": True,
            "return_sequences": False, "return_state": False, "go_backwards": False, "stateful": False, **more}


def save(name, config, weights, x, ys, version, style=None):
    groups = {k: [(next(l for l in layers_of(config) if l["config"]["name"] == k), ws)] for k, ws in weights.items()}
    if style: write_h5(name, config, groups, style, version)
    else: write_keras(name, keras3(config), groups, version)
    safetensors(os.path.join(OUT, name + ".safetensors"),
                {"in_0": x.numpy(), **{f"out_{i}": y.detach().numpy() for i, y in enumerate(ys)}})


def cudnn():
    x = uniform(2, 5, 3)
    a, b, c = cell("LSTM", 3, 4), cell("GRU", 3, 2), cell("LSTM", 3, 2)
    plain = {"units": 4, "return_sequences": True, "return_state": False, "go_backwards": False, "stateful": False}
    config = functional("model_1", [layer("InputLayer", "x", {"batch_input_shape": [None, None, 3], "dtype": "float32"}),
                                    layer("CuDNNLSTM", "fast", plain, ["x"]),
                                    layer("CuDNNGRU", "gates", {**plain, "units": 2}, ["x"]),
                                    layer("LSTM", "twin", rnn(2), ["x"])], ["x"], ["fast", "gates", "twin"])
    config["class_name"] = "Model"
    save("cudnn", config, {"fast": cudnn_cell(a), "gates": cudnn_cell(b), "twin": cudnn_cell(c)}, x,
         [a(x)[0], b(x)[0], c(x)[1][0][0]], "2.1.5", "plain")


def states():
    """reset_after, states handed on, attention, causal convolution."""
    x = uniform(2, 6, 4)
    e, d, g = cell("LSTM", 4, 3), cell("LSTM", 4, 3), cell("GRU", 4, 5)
    conv = torch.nn.Conv1d(4, 3, 3, dilation=2)
    heads = torch.nn.MultiheadAttention(4, 2, batch_first=True)
    for p in list(conv.parameters()) + list(heads.parameters()): p.data = uniform(*p.shape)
    config = functional("functional", [
        layer("InputLayer", "x", {"batch_shape": [None, None, 4], "dtype": "float32"}),
        layer("LSTM", "encoder", rnn(3, return_state=True), ["x"]),
        layer("LSTM", "decoder", rnn(3, return_sequences=True), ["x"]),
        layer("GRU", "after", rnn(5, reset_after=True), ["x"]),
        layer("Conv1D", "causal", {"filters": 3, "kernel_size": [3], "strides": [1], "padding": "causal",
              "dilation_rate": [2], "activation": "linear", "use_bias": True, "groups": 1}, ["x"]),
        layer("Attention", "looks", {"use_scale": False, "score_mode": "dot", "dropout": 0.0}, ["decoder", "causal"]),
        layer("MultiHeadAttention", "heads", {"num_heads": 2, "key_dim": 2, "value_dim": 2, "use_bias": True}, ["x", "x"]),
    ], ["x"], ["decoder", "after", "causal", "looks", "heads"])
    c3 = keras3(config)
    call = next(l for l in layers_of(c3) if l["name"] == "decoder")["inbound_nodes"][0]
    state = lambda i: {"class_name": "__keras_tensor__", "config": {"shape": [None, 3], "dtype": "float32",
                                                                    "keras_history": ["encoder", 0, i]}}
    call["kwargs"] = {"initial_state": [state(1), state(2)], "mask": None, "training": False}
    _, hc = e(x)
    y, last = d(x, hc)[0], g(x)[1][0]
    k = conv(torch.nn.functional.pad(x.transpose(1, 2), (4, 0))).transpose(1, 2)
    looks = torch.softmax(y @ k.transpose(1, 2), -1) @ k
    w, b = heads.in_proj_weight.detach(), heads.in_proj_bias.detach()
    mha = []
    for i, part in enumerate(("_query_dense", "_key_dense", "_value_dense")):
        mha += [(part, "kernel", w[4 * i:4 * i + 4].T.reshape(4, 2, 2)), (part, "bias", b[4 * i:4 * i + 4].reshape(2, 2))]
    mha += [("_output_dense", "kernel", heads.out_proj.weight.detach().T.reshape(2, 2, 4)),
            ("_output_dense", "bias", heads.out_proj.bias.detach())]
    weights = {"encoder": keras_cell(e), "decoder": keras_cell(d), "after": keras_cell(g), "heads": mha,
               "causal": [("", "kernel", conv.weight.detach().permute(2, 1, 0)), ("", "bias", conv.bias.detach())]}
    groups = {k: [(next(l for l in layers_of(config) if l["name"] == k), ws)] for k, ws in weights.items()}
    write_keras("states", c3, groups, "3.10.0")
    ys = [y, last, k, looks, heads(x, x, x)[0]]
    safetensors(os.path.join(OUT, "states.safetensors"),
                {"in_0": x.numpy(), **{f"out_{i}": t.detach().numpy() for i, t in enumerate(ys)}})


def masked():
    """Keras 3: masked steps of a Bidirectional are zeros, as those of a packed sequence are."""
    ids = torch.tensor([[4, 2, 6, 1, 3], [5, 1, 2, 0, 0]])
    table, m = uniform(7, 3), cell("LSTM", 3, 2, True)
    packed = torch.nn.utils.rnn.pack_padded_sequence(table[ids], torch.tensor([5, 3]), batch_first=True)
    y = torch.nn.utils.rnn.pad_packed_sequence(m(packed)[0], batch_first=True)[0]
    mean = torch.stack([y[0].mean(0), y[1, :3].mean(0)])
    config = functional("functional", [
        layer("InputLayer", "ids", {"batch_input_shape": [None, 5], "dtype": "float32"}),
        layer("Embedding", "table", {"input_dim": 7, "output_dim": 3, "mask_zero": True}, ["ids"]),
        layer("Bidirectional", "both", {"merge_mode": "concat", "layer": {"class_name": "LSTM", "config": {
            "name": "lstm", **rnn(2, return_sequences=True)}}}, ["table"]),
        layer("GlobalAveragePooling1D", "mean", {"data_format": "channels_last"}, ["both"])], ["ids"], ["both", "mean"])
    save("masked", config, {"table": [("", "embeddings", table)], "both": keras_cell(m) + keras_cell(m, "_reverse")},
         ids, [y, mean], "3.8.0")


def operations():
    """tf.keras: functions as layers, a nested model counted from 1, convolutions by depth, scaling layers."""
    x = uniform(2, 6, 4)
    dense, depth, point = uniform(4, 4), uniform(3, 4, 2), uniform(1, 8, 3)
    single, scale, mean, variance = uniform(2, 4, 1), uniform(4), uniform(4), uniform(4).abs() + 0.1
    inner = functional("inner", [layer("InputLayer", "inner_in", {"batch_input_shape": [None, 6, 4]}),
                                 layer("Dense", "inner_dense", {"units": 4, "activation": "relu", "use_bias": False},
                                       ["inner_in"])], ["inner_in"], ["inner_dense"])
    conv = {"kernel_size": [3], "strides": [1], "padding": "same", "dilation_rate": [1], "activation": "linear"}
    layers = [
        layer("InputLayer", "x", {"batch_input_shape": [None, 6, 4], "dtype": "float32"}),
        {**inner, "name": "inner", "inbound_nodes": [[["x", 0, 0, {}]]]},
        layer("TFOpLambda", "tf.math.multiply", {"function": "math.multiply"}),
        layer("TFOpLambda", "tf.__operators__.add", {"function": "__operators__.add"}),
        layer("SlicingOpLambda", "tf.__operators__.getitem", {"function": "__operators__.getitem"}),
        layer("SeparableConv1D", "apart", {**conv, "filters": 3, "depth_multiplier": 2, "use_bias": False}, ["x"]),
        layer("DepthwiseConv1D", "deep", {**conv, "kernel_size": [2], "padding": "valid", "depth_multiplier": 1,
                                          "use_bias": False}, ["x"]),
        layer("AdditiveAttention", "looks", {"use_scale": True, "causal": False, "dropout": 0.0}, ["x", "tf.math.multiply"]),
        layer("Normalization", "usual", {"axis": [-1], "mean": None, "variance": None}, ["x"]),
        layer("Rescaling", "rescaled", {"scale": 0.5, "offset": -1.0}, ["usual"]),
        layer("ZeroPadding1D", "padded", {"padding": [1, 2]}, ["x"]),
        layer("Cropping1D", "cropped", {"cropping": [2, 0]}, ["padded"]),
        layer("UpSampling1D", "longer", {"size": 2}, ["cropped"]),
    ]
    by = {l["name"]: l for l in layers}
    by["tf.math.multiply"]["inbound_nodes"] = [["inner", 1, 0, {"y": 2.5, "name": None}]]
    by["tf.__operators__.add"]["inbound_nodes"] = [["tf.math.multiply", 0, 0, {"y": ["x", 0, 0], "name": None}]]
    by["tf.__operators__.getitem"]["inbound_nodes"] = [["tf.__operators__.add", 0, 0, {
        "slice_spec": [{"start": None, "stop": None, "step": None}, -1, {"start": 1, "stop": None, "step": 2}]}]]
    outputs = ["tf.__operators__.getitem", "apart", "deep", "looks", "rescaled", "longer"]
    config = functional("model", layers, ["x"], outputs)
    weights = {"inner": [(layers_of(inner)[1], [("", "kernel", dense)])], "apart": [(by["apart"], [
        ("", "depthwise_kernel", depth), ("", "pointwise_kernel", point)])],
        "deep": [(by["deep"], [("", "depthwise_kernel", single)])], "looks": [(by["looks"], [("", "scale", scale)])],
        "usual": [(by["usual"], [("", "mean", mean), ("", "variance", variance), ("", "count", torch.tensor(7.0))])]}
    write_h5("operations", config, weights, "tf2", "2.11.0")
    conv1d, xt = torch.nn.functional.conv1d, x.transpose(1, 2)
    by_depth = lambda k, padding: conv1d(xt, k.permute(1, 2, 0).reshape(-1, 1, k.shape[0]), groups=4, padding=padding)
    m = torch.relu(x @ dense) * 2.5
    scores = (scale * torch.tanh(x[:, :, None] + m[:, None])).sum(-1)
    padded = torch.nn.functional.pad(x, (0, 0, 1, 2))[:, 2:]
    ys = [(m + x)[:, -1, 1::2], conv1d(by_depth(depth, 1), point.permute(2, 1, 0)).transpose(1, 2),
          by_depth(single, 0).transpose(1, 2), torch.softmax(scores, -1) @ m,
          (x - mean) / variance.sqrt() * 0.5 - 1, padded.repeat_interleave(2, 1)]
    safetensors(os.path.join(OUT, "operations.safetensors"),
                {"in_0": x.numpy(), **{f"out_{i}": y.numpy() for i, y in enumerate(ys)}})


def main():
    os.makedirs(OUT, exist_ok=True)
    for f in os.listdir(OUT): os.remove(os.path.join(OUT, f))
    with torch.no_grad():
        tfjs_files(), cudnn(), states(), masked(), operations()
    for f in sorted(os.listdir(OUT)): print(f, os.path.getsize(os.path.join(OUT, f)))


main()
