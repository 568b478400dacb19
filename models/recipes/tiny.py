#!/usr/bin/python3
"""tiny.py -- makes the small models that tests use: random weights from a fixed seed, no training.

    python3 models/recipes/tiny.py [FOLDER]        FOLDER is models/tiny by default

text.safetensors   bytes -> embedding 16 -> GRU 24 -> 256 logits, with a chat template
chars.safetensors  43 characters, some of several bytes -> embedding 8 -> LSTM 20 -> logits; others are refused
lstm.safetensors   3 numbers -> LSTM 8 -> 2 numbers, carried
bigru.safetensors  2 numbers -> GRU 6 both ways -> 1 number, the last step of a sliding window of 12
daily.safetensors  hourly series with a day as period -> GRU 8 -> 5 quantiles, 12 hours ahead
pair.safetensors   two channels, running mean and scale -> LSTM 8 -> 3 quantiles, one step ahead
overflow.safetensors  1 number -> ReLU RNN 1 with h' = max(0, x + 1e20 h), which is infinite at the third step after a 1

Golden vectors are computed here in float64 with numpy, by the equations of PyTorch's nn.GRU and nn.LSTM.
"""
import os
import sys

import numpy as np

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from rnnd_export import write_safetensors

SYMBOLS = list("\n abcdefghijklmnopqrstuvwxyz.,!?'-:;0123") + ["é", "€", "😀"]


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def gru(w, x, way=""):
    """hidden states [steps][hidden]; way "_reverse": read from the end, answered in the order of the input"""
    if way:
        reverse = {k[:-len(way)]: v for k, v in w.items() if k.endswith(way)}
        return gru(reverse, x[::-1])[::-1]
    hidden = w["rnn.weight_hh_l0"].shape[1]
    h, out = np.zeros(hidden), []
    for row in x:
        a = w["rnn.weight_ih_l0"] @ row + w["rnn.bias_ih_l0"]
        b = w["rnn.weight_hh_l0"] @ h + w["rnn.bias_hh_l0"]
        r = sigmoid(a[:hidden] + b[:hidden])
        z = sigmoid(a[hidden:2 * hidden] + b[hidden:2 * hidden])
        n = np.tanh(a[2 * hidden:] + r * b[2 * hidden:])
        h = (1 - z) * n + z * h
        out.append(h)
    return np.array(out)


def lstm(w, x):
    hidden = w["rnn.weight_hh_l0"].shape[1]
    h, c, out = np.zeros(hidden), np.zeros(hidden), []
    for row in x:
        a = (w["rnn.weight_ih_l0"] @ row + w["rnn.bias_ih_l0"] + w["rnn.weight_hh_l0"] @ h + w["rnn.bias_hh_l0"])
        i, f, g, o = a.reshape(4, hidden)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
        out.append(h)
    return np.array(out)


def make(path, kind, gates, vocabulary, embed, hidden, ids, config, seed):
    rng = np.random.default_rng(seed)

    def normal(scale, *shape):
        return (rng.standard_normal(shape) * scale).astype(np.float32)

    tensors = {
        "embed.weight": normal(1.0, vocabulary, embed),
        "rnn.weight_ih_l0": normal(0.5, gates * hidden, embed),
        "rnn.weight_hh_l0": normal(0.3, gates * hidden, hidden),
        "rnn.bias_ih_l0": normal(0.3, gates * hidden),
        "rnn.bias_hh_l0": normal(0.3, gates * hidden),
        "head.weight": normal(1.0, vocabulary, hidden),
        "head.bias": normal(0.5, vocabulary),
    }
    if vocabulary == 256:   # mostly letters, now and then a line's end: something that tests can read
        tensors["head.bias"][:] -= 6
        tensors["head.bias"][[ord(c) for c in "abcdefghijklmnopqrstuvwxyz ,."]] += 7
        tensors["head.bias"][ord("\n")] += 5
    w = {k: v.astype(np.float64) for k, v in tensors.items()}
    out = (gru if kind == "gru" else lstm)(w, w["embed.weight"][ids])
    tensors["golden.x"] = np.array(ids, np.float32)[None, :, None]
    tensors["golden.y"] = (out @ w["head.weight"].T + w["head.bias"]).astype(np.float32)[None]
    config = dict({
        "format": 1, "task": "text", "mode": "carry", "output": "all", "license": "MIT",
        "data": "none: random weights", "inputs": [{"name": "ids", "ids": vocabulary}],
        "layers": [{"type": "embedding", "name": "embed"},
                   {"type": kind, "name": "rnn", "hidden": hidden, "layers": 1},
                   {"type": "dense", "name": "head"}],
        "golden": {"inputs": "golden.x", "outputs": "golden.y"},
    }, **config)
    write_safetensors(path, tensors, config)
    print("%s: %d bytes" % (path, os.path.getsize(path)))


def make_raw(path, kind, gates, inputs, hidden, outputs, ways, steps, config, seed, size=0.7, bias=None):
    """numbers -> one recurrent layer -> dense, whose weights are of this size; bias [outputs] is added to its own"""
    rng = np.random.default_rng(seed)

    def normal(scale, *shape):
        return (rng.standard_normal(shape) * scale).astype(np.float32)

    tensors = {}
    for way in ways:
        tensors["rnn.weight_ih_l0" + way] = normal(0.6, gates * hidden, inputs)
        tensors["rnn.weight_hh_l0" + way] = normal(0.4, gates * hidden, hidden)
        tensors["rnn.bias_ih_l0" + way] = normal(0.3, gates * hidden)
        tensors["rnn.bias_hh_l0" + way] = normal(0.3, gates * hidden)
    tensors["head.weight"] = normal(size, outputs, hidden * len(ways))
    tensors["head.bias"] = normal(0.3 if bias is None else size, outputs)
    if bias is not None:
        tensors["head.bias"] += np.asarray(bias, np.float32)
    x = normal(1.0, steps, inputs)
    w = {k: v.astype(np.float64) for k, v in tensors.items()}
    states = [lstm(w, x) if kind == "lstm" else gru(w, x, way) for way in ways]
    y = np.concatenate(states, 1) @ w["head.weight"].T + w["head.bias"]
    tensors["golden.x"] = x[None]
    tensors["golden.y"] = (y[-1:] if config["output"] == "last" else y).astype(np.float32)[None]
    layer = {"type": kind, "name": "rnn", "hidden": hidden}
    if len(ways) > 1:
        layer["direction"] = "bidirectional"
    config = dict({
        "format": 1, "task": "raw", "license": "MIT", "data": "none: random weights",
        "inputs": [{"name": "x", "width": inputs}],
        "layers": [layer, {"type": "dense", "name": "head"}],
        "golden": {"inputs": "golden.x", "outputs": "golden.y"},
    }, **config)
    write_safetensors(path, tensors, config)
    print("%s: %d bytes" % (path, os.path.getsize(path)))


def make_overflow(path):
    """h' = relu(x + 1e20 h): 1, 1e20, infinity"""
    one = np.ones((1, 1), np.float32)
    tensors = {"rnn.weight_ih_l0": one, "rnn.weight_hh_l0": one * np.float32(1e20), "head.weight": one,
               "golden.x": np.array([[[1], [0]]], np.float32), "golden.y": np.array([[[1], [1e20]]], np.float32)}
    write_safetensors(path, tensors, {
        "format": 1, "task": "raw", "name": "overflow", "description": "Overflows at the third step, for tests.",
        "license": "MIT", "data": "none: two weights", "mode": "carry", "output": "all",
        "inputs": [{"name": "x", "width": 1}],
        "layers": [{"type": "rnn", "name": "rnn", "hidden": 1, "nonlinearity": "relu", "bias": False},
                   {"type": "dense", "name": "head", "bias": False}],
        "golden": {"inputs": "golden.x", "outputs": "golden.y"},
    })
    print("%s: %d bytes" % (path, os.path.getsize(path)))


def main():
    folder = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(__file__), "..", "tiny")
    os.makedirs(folder, exist_ok=True)
    make(os.path.join(folder, "text.safetensors"), "gru", 3, 256, 16, 24, list("Golden \xc3\xa9\n".encode("latin-1")), {
        "name": "text", "description": "Random byte-level GRU for tests.",
        "text": {"tokenizer": "bytes",
                 "chat": {"user": {"prefix": "U: ", "suffix": "\n"}, "assistant": {"prefix": "A: ", "suffix": "\n"},
                          "system": {"suffix": "\n"}, "opening": "", "stop": ["\n"], "min_bytes": 1}},
    }, seed=1)
    ids = [SYMBOLS.index(c) for c in "golden é€😀\n"]
    make(os.path.join(folder, "chars.safetensors"), "lstm", 4, len(SYMBOLS), 8, 20, ids, {
        "name": "chars", "description": "Random character-level LSTM for tests.",
        "text": {"tokenizer": "chars", "symbols": SYMBOLS},
    }, seed=2)
    make_raw(os.path.join(folder, "lstm.safetensors"), "lstm", 4, 3, 8, 2, [""], 16, {
        "name": "lstm", "description": "Random LSTM for tests.", "mode": "carry", "output": "all",
    }, seed=3)
    make_raw(os.path.join(folder, "bigru.safetensors"), "gru", 3, 2, 6, 1, ["", "_reverse"], 12, {
        "name": "bigru", "description": "Random bidirectional GRU for tests.", "mode": "sliding", "window": 12,
        "output": "last",
    }, seed=4)
    make_raw(os.path.join(folder, "daily.safetensors"), "gru", 3, 4, 8, 12 * 5, [""], 16, {
        "name": "daily", "description": "Random GRU on an hourly series, for tests.", "mode": "carry", "output": "all",
        "task": "series",
        "series": {"channels": [{"name": "value", "min": 0, "scaler": {"type": "standard", "mean": 50, "std": 20}}],
                   "baseline": {"type": "seasonal", "period": 24}, "missing": {"policy": "prediction"},
                   "features": [{"type": "residual"}, {"type": "level", "lag": 24}, {"type": "next_baseline", "lag": 1},
                                {"type": "value"}],
                   "horizon": 12, "warmup": 24, "quantiles": [0.1, 0.25, 0.5, 0.75, 0.9], "residual": True,
                   "frequency": "1h"},
    }, seed=5, size=0.03, bias=12 * [-0.26, -0.13, 0, 0.13, 0.26])
    make_raw(os.path.join(folder, "pair.safetensors"), "lstm", 4, 6, 8, 3 * 2, [""], 16, {
        "name": "pair", "description": "Random LSTM on two channels, for tests.", "mode": "carry", "output": "all",
        "task": "series",
        "series": {"channels": [{"name": "load", "scaler": {"type": "standard", "mean": 100, "std": 30}},
                                {"name": "price", "scaler": {"type": "asinh", "unit": 5}}],
                   "baseline": {"type": "last"}, "running": {"decay": 0.95}, "missing": {"policy": "last", "limit": 6},
                   "features": [{"type": "value"}, {"type": "residual"}, {"type": "missing"}],
                   "horizon": 1, "warmup": 8, "quantiles": [0.1, 0.5, 0.9], "residual": True},
    }, seed=6, size=0.05, bias=[-0.3, -0.3, 0, 0, 0.3, 0.3])
    make_overflow(os.path.join(folder, "overflow.safetensors"))


if __name__ == "__main__":
    main()
