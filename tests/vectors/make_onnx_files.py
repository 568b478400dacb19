#!/usr/bin/python3
"""make_onnx_files.py -- small ONNX files in many forms, with inputs and what ONNX Runtime answers.

    apt-get install python3-onnx python3-torch
    npm install --ignore-scripts --prefix build/clients onnxruntime-node
    NODE_PATH=build/clients/node_modules /usr/bin/python3 tests/vectors/make_onnx_files.py

Writes tests/vectors/onnx_files/NAME.onnx and NAME.safetensors: tensors "in.INPUT" and "out.OUTPUT". The operator forms of
several opsets, exports of torch modules, bodies (If, Loop, Scan), data in every place a file can keep it.
"""
import os, warnings
import numpy as np
import onnx
from onnx import TensorProto as T, helper as h
import torch
from torch import nn
from onnx_lib import Files, f32, init, rng, value

warnings.filterwarnings("ignore")
torch.set_num_threads(1)
files = Files("onnx_files", "make_onnx_files")
HERE, add, model = files.folder, files.add, files.model


# ---- one model in the forms of an opset: slices, splits, axes, pads, clips, softmax of old --------------------------
def forms(opset):
    nodes, consts = [], []

    def ints(name, v):
        consts.append(init(name, np.array(v, np.int64)))
        return name

    def node(op, inputs, outputs, **a):
        nodes.append(h.make_node(op, inputs, outputs, **a))

    if opset >= 10:
        node("Slice", ["x", ints("s", [1]), ints("e", [5]), ints("a", [1])], ["sliced"])
    else:
        node("Slice", ["x"], ["sliced"], starts=[1], ends=[5], axes=[1])
    if opset >= 13:
        node("Split", ["sliced", ints("sp", [2, 4])], ["p", "q"], axis=2)
        node("Unsqueeze", ["p", ints("u", [0, 3])], ["up"])
        node("Squeeze", ["up", ints("u2", [0])], ["sq"])
        node("Squeeze", ["sq", ints("u3", [2])], ["back"])
    else:
        node("Split", ["sliced"], ["p", "q"], axis=2, split=[2, 4])
        node("Unsqueeze", ["p"], ["up"], axes=[0, 3])
        node("Squeeze", ["up"], ["sq"], axes=[0])
        node("Squeeze", ["sq"], ["back"], axes=[2])
    if opset >= 18:
        node("ReduceMean", ["q", ints("r", [2])], ["mean"], keepdims=1)
        node("ReduceMax", ["q", ints("r2", [-1])], ["max"], keepdims=1)
    else:
        node("ReduceMean", ["q"], ["mean"], axes=[2], keepdims=1)
        node("ReduceMax", ["q"], ["max"], axes=[2], keepdims=1)
    if opset >= 13:
        node("ReduceSum", ["q", ints("r3", [2])], ["sum"], keepdims=1)
    else:
        node("ReduceSum", ["q"], ["sum"], axes=[2], keepdims=1)
    node("Concat", ["back", "mean", "max", "sum"], ["joined"], axis=2)
    if opset >= 11:
        consts.append(init("half", np.float32(0.5)))
        node("Pad", ["joined", ints("pads", [0, 1, 0, 0, 0, 2]), "half"], ["padded"])
        consts.append(init("low", np.float32(-0.6)))
        node("Clip", ["padded", "low", ""], ["clipped"])
    else:
        node("Pad", ["joined"], ["padded"], pads=[0, 1, 0, 0, 0, 2], value=0.5)
        node("Clip", ["padded"], ["clipped"], min=-0.6)
    if opset >= 12:
        consts.append(init("ratio", np.float32(0.4)))
        node("Dropout", ["clipped", "ratio"], ["kept", "mask"])
    else:
        node("Dropout", ["clipped"], ["kept"], ratio=0.4)
    node("Softmax", ["kept"], ["soft"], axis=1)  # before 13: over the last two axes together
    node("LogSoftmax", ["kept"], ["log"], axis=-1 if opset >= 11 else 2)
    node("Add", ["soft", "log"], ["y"])
    if opset >= 10:
        node("TopK", ["y", ints("k", [2])], ["top", "which"], axis=1)
    else:
        node("TopK", ["y"], ["top", "which"], axis=1, k=2)
    outs = [value("y", ["n", "t", "c"]), value("top", ["n", 2, "c"]), value("which", ["n", 2, "c"], T.INT64)]
    g = h.make_graph(nodes, "forms", [value("x", ["n", "t", 6])], outs, consts)
    add(f"forms_{opset}", model(g, opset), {"x": f32(rng("forms"), 2, 6, 6)}, check=opset < 18)


# ---- exports of torch modules ---------------------------------------------------------------------------------------
class Net(nn.Module):
    def __init__(self, kind, bidirectional=False, layers=1, ids=False, last=False, hidden=6):
        super().__init__()
        self.ids, self.last = ids, last
        if ids:
            self.embedding = nn.Embedding(11, 5)
        self.rnn = getattr(nn, kind)(5, hidden, layers, batch_first=True, bidirectional=bidirectional)
        self.head = nn.Linear(hidden * (2 if bidirectional else 1), 3)

    def forward(self, x):
        if self.ids:
            x = self.embedding(x)
        y = self.rnn(x)[0]
        return torch.softmax(self.head(y[:, -1] if self.last else y), -1)


class WithState(nn.Module):
    def __init__(self):
        super().__init__()
        self.cell = nn.LSTM(4, 5, 2, batch_first=True)
        self.norm = nn.LayerNorm(5)

    def forward(self, x, h0, c0):
        y, (hn, cn) = self.cell(x, (h0, c0))
        return self.norm(torch.relu(y)), hn, cn


class Convolved(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv1d(3, 4, 3, padding=1)
        self.bn = nn.BatchNorm1d(4)
        self.gru = nn.GRU(4, 5)

    def forward(self, x):
        y = torch.relu(self.bn(self.conv(x)))
        return self.gru(y.permute(2, 0, 1))[0][-1]


def export(name, module, inputs, opset, names, dynamic, folding=True):
    path = os.path.join(HERE, name + ".onnx")
    module.eval()
    args = tuple(torch.from_numpy(v) for v in inputs.values())
    torch.onnx.export(module, args, path, opset_version=opset, input_names=list(inputs), output_names=names,
                      dynamic_axes=dynamic, do_constant_folding=folding)
    add(name, None, inputs)


def torch_cases():
    dynamic = {"x": {0: "batch", 1: "time"}, "y": {0: "batch"}}
    for name, args, opset, folding in [
        ("torch_lstm", dict(kind="LSTM"), 13, True),
        ("torch_lstm_2bi", dict(kind="LSTM", bidirectional=True, layers=2), 11, True),
        ("torch_gru_2", dict(kind="GRU", layers=2), 9, False),
        ("torch_rnn_last", dict(kind="RNN", last=True), 16, False),
        ("torch_gru_bi_last", dict(kind="GRU", bidirectional=True, last=True), 14, True),
        ("torch_embedding_lstm", dict(kind="LSTM", ids=True, last=True), 13, True),
    ]:
        torch.manual_seed(sum(name.encode()))
        r = rng(name)
        x = r.randint(0, 11, (2, 7)) if args.get("ids") else f32(r, 2, 7, 5)
        export(name, Net(**args), {"x": x.astype(np.int64) if args.get("ids") else x}, opset, ["y"], dynamic, folding)
    torch.manual_seed(5)
    r = rng("state")
    export("torch_state", WithState(), {"x": f32(r, 2, 4, 4), "h0": f32(r, 2, 2, 5), "c0": f32(r, 2, 2, 5)}, 12,
           ["y", "hn", "cn"], {"x": {0: "n", 1: "t"}, "h0": {1: "n"}, "c0": {1: "n"}})
    net = Convolved()
    net.bn.running_mean.data = torch.tensor([0.1, -0.2, 0.3, 0.0])
    net.bn.running_var.data = torch.tensor([0.5, 1.5, 1.0, 2.0])
    export("torch_conv", net, {"x": f32(r, 2, 3, 9)}, 10, ["y"], {"x": {0: "n", 2: "t"}})


# ---- bodies -----------------------------------------------------------------------------------------------------------
def body_cases():
    r = rng("bodies")
    w, b = f32(r, 4, 3), f32(r, 3)

    then = h.make_graph([h.make_node("MatMul", ["x", "w"], ["t1"]), h.make_node("Add", ["t1", "tb"], ["t2"])], "then",
                        [], [value("t2", None)], [init("tb", b)])
    other = h.make_graph([h.make_node("Constant", [], ["two"], value_float=2.0), h.make_node("MatMul", ["x", "w"], ["t1"]),
                          h.make_node("Mul", ["t1", "two"], ["t2"])], "else", [], [value("t2", None)])
    # names of the two branches are the same; torch's exports do so too
    nodes = [h.make_node("ReduceSum", ["x"], ["s"], keepdims=0), h.make_node("Greater", ["s", "zero"], ["c"]),
             h.make_node("If", ["c"], ["y"], then_branch=then, else_branch=other)]
    for name, sign in [("if_then", 1), ("if_else", -1)]:
        g = h.make_graph(nodes, "if", [value("x", [2, 4])], [value("y", [2, 3])],
                         [init("w", w), init("zero", np.float32(0))])
        add(name, model(g, 13), {"x": sign * np.abs(f32(rng(name), 2, 4))})

    # the condition comes from constants alone; Shape of a fixed input too
    nodes = [h.make_node("Shape", ["x"], ["shape"]), h.make_node("Gather", ["shape", "one"], ["width"]),
             h.make_node("Equal", ["width", "four"], ["c"]), h.make_node("Identity", ["x"], ["xi"]),
             h.make_node("If", ["c"], ["z"], then_branch=then, else_branch=other),
             h.make_node("Cast", ["z"], ["zc"], to=1), h.make_node("Identity", ["zc"], ["y"]),
             h.make_node("Relu", ["xi"], ["unread"])]
    g = h.make_graph(nodes, "if_constant", [value("x", [2, 4])], [value("y", [2, 3])],
                     [init("w", w), init("one", np.int64(1)), init("four", np.int64(4))])
    add("if_constant", model(g, 13), {"x": f32(r, 2, 4)})

    # Loop: a recurrence with a running output; the inner product's weights are the outer graph's
    loop = h.make_graph([
        h.make_node("Gather", ["x", "i"], ["xt"]), h.make_node("MatMul", ["xt", "w"], ["a"]),
        h.make_node("Transpose", ["r0"], ["rt"]), h.make_node("MatMul", ["hin", "rt"], ["b"]),
        h.make_node("Add", ["a", "b"], ["c"]), h.make_node("Tanh", ["c"], ["hout"]),
        h.make_node("Identity", ["cin"], ["cout"]), h.make_node("Identity", ["hout"], ["scan"])], "body",
        [value("i", [], T.INT64), value("cin", [], T.BOOL), value("hin", [2, 3])],
        [value("cout", [], T.BOOL), value("hout", [2, 3]), value("scan", [2, 3])])
    nodes = [h.make_node("Shape", ["x"], ["sh"]), h.make_node("Gather", ["sh", "zero"], ["steps"]),
             h.make_node("Loop", ["steps", "yes", "h0"], ["last", "all"], body=loop)]
    g = h.make_graph(nodes, "loop", [value("x", ["t", 2, 4])], [value("last", [2, 3]), value("all", ["t", 2, 3])],
                     [init("w", w), init("r0", f32(r, 3, 3)), init("zero", np.int64(0)), init("yes", np.bool_(True)),
                      init("h0", np.zeros((2, 3), np.float32))])
    add("loop", model(g, 13), {"x": f32(r, 5, 2, 4)})

    scan = h.make_graph([h.make_node("MatMul", ["xt", "w"], ["a"]), h.make_node("Add", ["a", "hin"], ["c"]),
                         h.make_node("Sigmoid", ["c"], ["hout"]), h.make_node("Identity", ["hout"], ["yt"])], "body",
                        [value("hin", [2, 3]), value("xt", [2, 4])], [value("hout", [2, 3]), value("yt", [2, 3])])
    g = h.make_graph([h.make_node("Scan", ["h0", "x"], ["last", "all"], body=scan, num_scan_inputs=1,
                                  scan_input_directions=[1])], "scan",
                     [value("x", ["t", 2, 4])], [value("last", [2, 3]), value("all", ["t", 2, 3])],
                     [init("w", w), init("h0", np.full((2, 3), 0.25, np.float32))])
    add("scan", model(g, 11), {"x": f32(r, 5, 2, 4)})

    # weights handed through a loop unchanged, as tf2onnx does; one of them is an output too
    loop = h.make_graph([
        h.make_node("Gather", ["x", "i"], ["xt"]), h.make_node("MatMul", ["xt", "win"], ["a"]),
        h.make_node("MatMul", ["hin", "rin"], ["b"]), h.make_node("Add", ["a", "b"], ["c"]),
        h.make_node("Tanh", ["c"], ["hout"]), h.make_node("Identity", ["rin"], ["rout"]),
        h.make_node("Identity", ["cin"], ["cout"])], "body",
        [value("i", [], T.INT64), value("cin", [], T.BOOL), value("win", [4, 3]), value("hin", [2, 3]),
         value("rin", [3, 3])],
        [value("cout", [], T.BOOL), value("win", [4, 3]), value("hout", [2, 3]), value("rout", [3, 3]),
         value("rin", [3, 3])])
    g = h.make_graph([h.make_node("Loop", ["n", "", "w", "h0", "r0"], ["wlast", "last", "rlast", "rall"], body=loop)],
                     "loop_weights", [value("x", ["t", 2, 4])],
                     [value("last", [2, 3]), value("wlast", [4, 3]), value("rall", [4, 3, 3])],
                     [init("w", w), init("r0", f32(r, 3, 3)), init("n", np.int64(4)),
                      init("h0", np.zeros((2, 3), np.float32))])
    add("loop_weights", model(g, 13), {"x": f32(r, 5, 2, 4)})

    scan = h.make_graph([h.make_node("MatMul", ["xt", "win"], ["a"]), h.make_node("Add", ["a", "hin"], ["hout"]),
                         h.make_node("Identity", ["win"], ["wout"]), h.make_node("Relu", ["hout"], ["yt"])], "body",
                        [value("hin", [2, 3]), value("win", [4, 3]), value("xt", [2, 4])],
                        [value("hout", [2, 3]), value("wout", [4, 3]), value("yt", [2, 3])])
    g = h.make_graph([h.make_node("Scan", ["h0", "w", "x"], ["last", "wlast", "all"], body=scan, num_scan_inputs=1)],
                     "scan_weights", [value("x", ["t", 2, 4])], [value("last", [2, 3]), value("all", ["t", 2, 3])],
                     [init("w", w), init("h0", np.full((2, 3), 0.25, np.float32))])
    add("scan_weights", model(g, 13), {"x": f32(r, 5, 2, 4)})

    # an If in a Loop that hands on an outer value
    inner_then = h.make_graph([], "a", [], [value("hin", [2])])
    inner_else = h.make_graph([h.make_node("Add", ["hin", "k"], ["more"])], "b", [], [value("more", [2])])
    loop = h.make_graph([h.make_node("Mod", ["i", "two"], ["odd"]), h.make_node("Equal", ["odd", "zero"], ["even"]),
                         h.make_node("Identity", ["hin"], ["same"]),
                         h.make_node("If", ["even"], ["hout"], then_branch=h.make_graph(
                             [h.make_node("Identity", ["same"], ["out"])], "a", [], [value("out", [2])]),
                             else_branch=inner_else),
                         h.make_node("Identity", ["cin"], ["cout"])], "body",
                        [value("i", [], T.INT64), value("cin", [], T.BOOL), value("hin", [2])],
                        [value("cout", [], T.BOOL), value("hout", [2])])
    g = h.make_graph([h.make_node("Loop", ["n", "", "x"], ["y"], body=loop)], "nested", [value("x", [2])],
                     [value("y", [2])], [init("n", np.int64(5)), init("two", np.int64(2)), init("zero", np.int64(0)),
                                         init("k", np.array([1, 10], np.float32))])
    add("nested", model(g, 13), {"x": f32(r, 2)})


# ---- where data can be ------------------------------------------------------------------------------------------------
def data_cases():
    r = rng("data")
    a = f32(r, 2, 3)
    consts = [
        h.make_tensor("f32", T.FLOAT, [2, 3], a.flatten()), h.make_tensor("f64", T.DOUBLE, [3], [0.5, -1.25, 3]),
        h.make_tensor("f16", T.FLOAT16, [3], [0.5, -2.5, 3.0]), init("f16raw", np.array([1.5, -0.25, 2], np.float16)),
        h.make_tensor("i32", T.INT32, [3], [1, -2, 3]), h.make_tensor("i64", T.INT64, [3], [-1, 0, 2**40]),
        h.make_tensor("u8", T.UINT8, [3], [0, 200, 255]), h.make_tensor("i8", T.INT8, [3], [-128, 0, 127]),
        h.make_tensor("bool", T.BOOL, [3], [True, False, True]), init("i16raw", np.array([-300, 2, 300], np.int16)),
        h.make_tensor("scalar", T.FLOAT, [], [2.5]), h.make_tensor("empty", T.FLOAT, [0, 3], []),
        h.make_tensor("text", T.STRING, [1], [b"nobody reads this"]),
    ]
    nodes, names = [], ["x"]
    for k in ["f64", "f16", "f16raw", "i32", "i64", "u8", "i8", "bool", "i16raw", "scalar"]:
        nodes.append(h.make_node("Cast", [k], [k + "_f"], to=1))
        nodes.append(h.make_node("Add", [names[-1] if names[-1] == "x" else names[-1], k + "_f"], [k + "_s"]))
        names.append(k + "_s")
    nodes.append(h.make_node("Concat", [names[-1], "f32", "empty"], ["y"], axis=0))
    g = h.make_graph(nodes, "typed", [value("x", [1, 3])], [value("y", [3, 3])], consts)
    add("typed_data", model(g, 13), {"x": f32(r, 1, 3)})

    # weights beside the file, in a folder below its own
    w = f32(r, 6, 5)
    g = h.make_graph([h.make_node("MatMul", ["x", "w"], ["m"]), h.make_node("Add", ["m", "b"], ["y"])], "external",
                     [value("x", ["n", 6])], [value("y", ["n", 5])], [init("w", w), init("b", f32(r, 5))])
    m = model(g, 13)
    blob = b""
    for t in m.graph.initializer:
        blob += b"\0" * (-len(blob) % 64)
        entry = {"location": "weights/external.bin", "offset": str(len(blob)), "length": str(len(t.raw_data))}
        blob += t.raw_data
        t.ClearField("raw_data")
        t.data_location = T.EXTERNAL
        for k, v in entry.items():
            e = t.external_data.add()
            e.key, e.value = k, v
    os.makedirs(os.path.join(HERE, "weights"), exist_ok=True)
    with open(os.path.join(HERE, "weights", "external.bin"), "wb") as f:
        f.write(blob)
    add("external", m, {"x": f32(r, 3, 6)}, check=False)

    # a function of the file's own, called twice, with an attribute handed on
    leak = h.make_node("LeakyRelu", ["m"], ["q"])
    ref = leak.attribute.add()
    ref.name, ref.ref_attr_name, ref.type = "alpha", "slope", onnx.AttributeProto.FLOAT
    fn = h.make_function("own", "Twist", ["p", "v"], ["q"],
                         [h.make_node("MatMul", ["p", "v"], ["m"]), leak], [h.make_opsetid("", 13)], ["slope"])
    g = h.make_graph([h.make_node("Twist", ["x", "w"], ["m"], domain="own", slope=0.3),
                      h.make_node("Twist", ["m", "v"], ["y"], domain="own", slope=0.1)], "function",
                     [value("x", ["n", 6])], [value("y", ["n", 2])], [init("w", w), init("v", f32(r, 5, 2))])
    add("function", model(g, 13, ["own"], [fn]), {"x": f32(r, 3, 6)}, check=False)

    # recurrent operators as bare nodes: initial state, lengths, peepholes, activations
    H = 4
    g = h.make_graph([
        h.make_node("LSTM", ["x", "W", "R", "B", "", "h0", "h0", "P"], ["Y", "", "Yc"], hidden_size=H,
                    activations=["HardSigmoid", "Tanh", "Softsign"], activation_alpha=[0.2], activation_beta=[0.5],
                    clip=0.9),
        h.make_node("Squeeze", ["Y", "ax"], ["s"]),
        h.make_node("GRU", ["s", "gW", "gR", "", "lens"], ["G", "Gh"], hidden_size=H, direction="bidirectional",
                    linear_before_reset=1)], "recurrent",
        [value("x", [5, 2, 3]), value("lens", [2], T.INT32)],
        [value("G", [5, 2, 2, H]), value("Gh", [2, 2, H]), value("Yc", [1, 2, H])],
        [init("W", f32(r, 1, 4 * H, 3)), init("R", f32(r, 1, 4 * H, H)), init("B", f32(r, 1, 8 * H)),
         init("h0", f32(r, 1, 2, H)), init("P", f32(r, 1, 3 * H)), init("ax", np.array([1], np.int64)),
         init("gW", f32(r, 2, 3 * H, H)), init("gR", f32(r, 2, 3 * H, H))])
    add("recurrent", model(g, 13), {"x": f32(r, 5, 2, 3), "lens": np.array([5, 3], np.int32)})


for opset in (7, 9, 11, 13, 18):
    forms(opset)
torch_cases()
body_cases()
data_cases()

# nodes in another order than they run in: the same model, the same answer
path = os.path.join(HERE, "forms_13.onnx")
m = onnx.load(path)
shuffled = list(m.graph.node)[::-1]
del m.graph.node[:]
m.graph.node.extend(shuffled)
with open(os.path.join(HERE, "unsorted.onnx"), "wb") as f:
    f.write(m.SerializeToString())

files.answer()
