#!/usr/bin/python3
"""make_rtjson.py -- the JSON vectors: RTNeural, guitar amplifiers, NAM, a bare state dict, ml5's files.

    python3 tests/vectors/make_rtjson.py        (Debian's python3-torch; rewrites tests/vectors/rtjson/)

Each model NAME.json (or .nam, or a folder with manifest.json) has NAME.txt beside it: a line "steps inputs outputs", then
a line of numbers for each step's input, then one for each step's output. Expected values are computed by torch in
float64 from the weights as the file has them.
"""
import json, os
import numpy as np
import torch

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "rtjson")
torch.set_num_threads(1)
torch.manual_seed(20)
F = torch.nn.functional


def numbers(t):
    """A tensor as nested lists of its float32 values."""
    return t.detach().to(torch.float32).tolist()


def randn(*shape, scale=0.5):
    return (torch.randn(*shape) * scale).to(torch.float32).to(torch.float64)


def write(name, model, x, y):
    path = os.path.join(HERE, name)
    with open(path, "w") as f:
        json.dump(model, f)
        f.write("\n")
    expected(os.path.splitext(path)[0] + ".txt", x, y)


def expected(path, x, y):
    with open(path, "w") as f:
        f.write("%d %d %d\n" % (x.shape[0], x.shape[1], y.shape[1]))
        for t in (x, y):
            for row in t:
                f.write(" ".join("%.9g" % v for v in row.tolist()) + "\n")


# ---- RTNeural: layers as functions of [T][width], and their JSON -------------------------------------------------------

ACTS = {"": lambda v: v, "linear": lambda v: v, "tanh": torch.tanh, "relu": torch.relu, "sigmoid": torch.sigmoid,
        "elu": F.elu, "softmax": lambda v: torch.softmax(v, -1)}


def layer(kind, act, width, weights, **more):
    return dict({"type": kind, "activation": act, "shape": [None, None, width], "weights": weights}, **more)


def dense(i, o, act="", bias=True, kind="dense"):
    w, b = randn(i, o), randn(o)
    return (layer(kind, act, o, [numbers(w)] + ([numbers(b)] if bias else [])),
            lambda x: ACTS[act](x @ w + (b if bias else 0)))


def activation(n, act):
    return layer("activation", act, n, []), ACTS[act]


def cell(kind, i, h, act="tanh"):
    m = getattr(torch.nn, kind.upper())(i, h).double()
    gates = {"lstm": "ifco", "gru": "zrh"}[kind]
    here = {"lstm": "ifco", "gru": "rzh"}[kind]  # torch's order, under Keras' letters
    with torch.no_grad():
        for p in m.parameters():
            p.copy_(randn(*p.shape))
        if kind == "lstm":
            m.bias_hh_l0.zero_()

    def turned(t):  # [G*H][..] in torch's order -> [..][G*H] in Keras'
        blocks = dict(zip(here, t.detach().chunk(len(here))))
        t = torch.cat([blocks[g] for g in gates])
        return numbers(t.T if t.dim() == 2 else t)
    bias = turned(m.bias_ih_l0) if kind == "lstm" else [turned(m.bias_ih_l0), turned(m.bias_hh_l0)]
    return layer(kind, act, h, [turned(m.weight_ih_l0), turned(m.weight_hh_l0), bias]), lambda x: m(x[:, None])[0][:, 0]


def conv(i, o, k, d, act=""):
    w, b = randn(k, i, o), randn(o)

    def run(x):
        padded = F.pad(x.T[None], ((k - 1) * d, 0))
        return ACTS[act](F.conv1d(padded, w.permute(2, 1, 0).contiguous(), b, dilation=d)[0].T)
    return layer("conv1d", act, o, [numbers(w), numbers(b)], kernel_size=[k], dilation=[d]), run


def prelu(n, count, lead):
    a = randn(count)
    return layer("prelu", "", n, [[numbers(a)]] if lead else [numbers(a)]), lambda x: torch.where(x > 0, x, a * x)


def batchnorm(n, affine):
    g, b, m = randn(n), randn(n), randn(n)
    v = randn(n).abs() + 0.25
    e = 0.01
    weights = [numbers(t) for t in ((g, b, m, v) if affine else (m, v))]
    return (layer("batchnorm", "", n, weights, epsilon=e),
            lambda x: (x - m) / torch.sqrt(v + e) * (g if affine else 1) + (b if affine else 0))


def rtneural(name, width, layers, steps, **more):
    x = y = randn(steps, width, scale=1)
    for _, run in layers:
        y = run(y)
    if more.get("in_skip"):
        y = y + x
    write(name, dict({"in_shape": [None, None, width], "layers": [j for j, _ in layers]}, **more), x, y)


# ---- the others ---------------------------------------------------------------------------------------------------------


def guitar(name, kind, inputs, hidden, layers, skip, bias):
    m = getattr(torch.nn, kind)(inputs, hidden, layers).double()
    lin = torch.nn.Linear(hidden, 1, bias=bias).double()
    for p in list(m.parameters()) + list(lin.parameters()):
        p.data.copy_(randn(*p.shape))
    x = randn(12, inputs, scale=1)
    y = lin(m(x[:, None])[0][:, 0]) + (x[:, :skip] if skip else 0)
    state = {"rec." + k: numbers(v) for k, v in m.state_dict().items()}
    state.update({"lin." + k: numbers(v) for k, v in lin.state_dict().items()})
    data = {"model": "SimpleRNN", "input_size": inputs, "skip": skip, "output_size": 1, "unit_type": kind,
            "num_layers": layers, "hidden_size": hidden, "bias_fl": bias}
    write(name, {"model_data": data, "state_dict": state}, x, y)


def nam(name, hidden, layers):
    m = torch.nn.LSTM(1, hidden, layers).double()
    weights, h, c = [], [], []
    for p in m.parameters():
        p.data.copy_(randn(*p.shape))
    for k in range(layers):
        getattr(m, "bias_hh_l%d" % k).data.zero_()
        both = torch.cat([getattr(m, "weight_ih_l%d" % k), getattr(m, "weight_hh_l%d" % k)], 1)
        h.append(randn(hidden))
        c.append(randn(hidden))
        for t in (both, getattr(m, "bias_ih_l%d" % k), h[-1], c[-1]):
            weights += numbers(t.flatten())
    w, b = randn(1, hidden), randn(1)
    weights += numbers(w.flatten()) + numbers(b)
    x = randn(10, 1, scale=1)
    y = m(x[:, None], (torch.stack(h)[:, None], torch.stack(c)[:, None]))[0][:, 0] @ w.T + b
    write(name, {"version": "0.5.4", "metadata": {"name": "vector"}, "architecture": "LSTM",
                 "config": {"input_size": 1, "hidden_size": hidden, "num_layers": layers}, "weights": weights,
                 "sample_rate": 48000}, x, y)


def state_dict(name):
    m, d = torch.nn.GRU(2, 4).double(), torch.nn.Linear(4, 1).double()
    for p in list(m.parameters()) + list(d.parameters()):
        p.data.copy_(randn(*p.shape))
    x = randn(8, 2, scale=1)
    state = {"gru." + k: numbers(v) for k, v in m.state_dict().items()}
    state.update({"dense." + k: numbers(v) for k, v in d.state_dict().items()})
    write(name, state, x, d(m(x[:, None])[0][:, 0]))


def ml5(folder, symbols, width, hidden, layers):
    """TensorFlow 1's BasicLSTMCell: one kernel on [x, h], gates i j f o, 1 added to f at run time."""
    v = len(symbols)
    os.makedirs(os.path.join(HERE, folder), exist_ok=True)
    tensors = {"embedding": randn(v, width), "rnnlm/softmax_w": randn(hidden, v), "rnnlm/softmax_b": randn(v)}
    ids = torch.tensor([1, 0, 3, 2, 2, 4, 1, 0])
    y = tensors["embedding"][ids]
    for k in range(layers):
        i = width if k == 0 else hidden
        kernel, bias = randn(i + hidden, 4 * hidden), randn(4 * hidden)
        base = "rnnlm/multi_rnn_cell/cell_%d/basic_lstm_cell/" % k
        tensors[base + "kernel"], tensors[base + "bias"] = kernel, bias
        m = torch.nn.LSTM(i, hidden).double()
        order = lambda t: torch.cat([t.chunk(4)[n] for n in (0, 2, 1, 3)])  # i j f o -> i f j o
        m.weight_ih_l0.data.copy_(order(kernel[:i].T))
        m.weight_hh_l0.data.copy_(order(kernel[i:].T))
        m.bias_ih_l0.data.copy_(order(bias))
        m.bias_hh_l0.data.zero_()
        m.bias_hh_l0.data[hidden:2 * hidden] = 1  # forget_bias
        y = m(y[:, None])[0][:, 0]
    y = y @ tensors["rnnlm/softmax_w"] + tensors["rnnlm/softmax_b"]
    manifest = {}
    for name, t in tensors.items():
        file = name.replace("/", "_")
        manifest[name] = {"filename": file, "shape": list(t.shape)}
        t.detach().numpy().astype("<f4").tofile(os.path.join(HERE, folder, file))
    with open(os.path.join(HERE, folder, "manifest.json"), "w") as f:
        json.dump(manifest, f)
        f.write("\n")
    with open(os.path.join(HERE, folder, "vocab.json"), "w") as f:
        json.dump({s: i for i, s in enumerate(symbols)}, f)
        f.write("\n")
    expected(os.path.join(HERE, folder, "expected.txt"), ids[:, None].double(), y)


def main():
    os.makedirs(HERE, exist_ok=True)
    with torch.no_grad():
        rtneural("dense.json", 2, [dense(2, 4, "tanh"), activation(4, "relu"), dense(4, 3, bias=False),
                                   activation(3, "elu"), dense(3, 3, "softmax"), dense(3, 4, "linear"),
                                   activation(4, "softmax"), activation(4, "sigmoid")], 5)
        rtneural("gru.json", 1, [dense(1, 4, "tanh", kind="time-distributed-dense"), cell("gru", 4, 5),
                                 dense(5, 2, "sigmoid")], 12, samplerate="48000", author="nobody")
        rtneural("lstm.json", 3, [cell("lstm", 3, 4), cell("lstm", 4, 4, ""), dense(4, 1, "elu")], 12)
        rtneural("conv.json", 2, [dense(2, 3, "tanh"), conv(3, 4, 3, 2, "tanh"), conv(4, 2, 2, 1, "relu"),
                                  conv(2, 3, 1, 1), cell("gru", 3, 3), conv(3, 1, 20, 3)], 70)
        rtneural("norm.json", 3, [prelu(3, 3, False), batchnorm(3, True), prelu(3, 1, False), batchnorm(3, False),
                                  prelu(3, 3, True)], 6, in_skip=1)
        guitar("guitar_lstm.json", "LSTM", 2, 5, 1, 1, True)
        guitar("guitar_gru.json", "GRU", 1, 4, 2, 0, False)
        guitar("guitar_rnn.json", "RNN", 1, 4, 1, 1, True)
        nam("amp.nam", 3, 2)
        state_dict("state.json")
        ml5("ml5", ["a", "b", " ", "\n", "é"], 3, 4, 2)


main()
