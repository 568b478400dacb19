#!/usr/bin/python3
"""make_onnx_loops.py -- recurrent cells written out in Loop and Scan bodies, and bodies that only look like cells.

    apt-get install python3-onnx
    npm install --ignore-scripts --prefix build/clients onnxruntime-node
    NODE_PATH=build/clients/node_modules /usr/bin/python3 tests/vectors/make_onnx_loops.py

Writes tests/vectors/onnx_loops/NAME.onnx and NAME.safetensors (tensors "in.INPUT" and "out.OUTPUT", ONNX Runtime's
answers). Names that begin with "not_" are no cells, or not of the whole sequence.
"""
import numpy as np
from onnx import TensorProto as T, helper as h
from onnx_lib import Files, f32, init, rng, value

I, H, B, STEPS = 3, 4, 2, 5
files = Files("onnx_loops", "make_onnx_loops")


class Nodes:
    """Nodes and constants of a graph or body; each call returns the name of what it makes."""

    def __init__(self, prefix):
        self.prefix, self.list, self.consts, self.count = prefix, [], [], 0

    def name(self, what):
        self.count += 1
        return f"{self.prefix}{what}_{self.count}"

    def c(self, a, dtype=None):
        name = self.name("c")
        self.consts.append(init(name, np.asarray(a, dtype)))
        return name

    def i(self, *v):
        return self.c(list(v), np.int64)

    def op(self, op, *inputs, outputs=1, makes=None, **a):
        out = [makes] if makes else [self.name(op) for _ in range(outputs)]
        name = a.pop("name", None) or self.name(op)
        self.list.append(h.make_node(op, list(inputs), out, name=name, **a))
        return out[0] if outputs == 1 else out


def slices(b, x, start, end):
    return b.op("Slice", x, b.i(0, start), b.i(2147483647, end), b.i(0, 1))


# ---- cells: from the step's row and the states to the next states --------------------------------------------------
def gru_keras(b, r, x, s, act="Tanh", gate=None):
    """reset_after as tf2onnx writes it: biases split and squeezed, slices of the recurrent part, z r h."""
    gate = gate or (lambda v: b.op("Sigmoid", v))
    two = b.op("Split", b.c(f32(r, 2, 3 * H)), axis=0, outputs=2)
    xk = b.op("Add", b.op("MatMul", x, b.c(f32(r, I, 3 * H))), b.op("Squeeze", two[0], b.i(0)))
    hk = b.op("Add", b.op("MatMul", s[0], b.c(f32(r, H, 3 * H))), b.op("Squeeze", two[1], b.i(0)))
    xz, xr, xh = b.op("Split", xk, axis=-1, outputs=3)
    z = gate(b.op("Add", xz, slices(b, hk, 0, H)))
    q = gate(b.op("Add", xr, slices(b, hk, H, 2 * H)))
    n = b.op(act, b.op("Add", xh, b.op("Mul", q, slices(b, hk, 2 * H, 2147483647))))
    one = b.op("Sub", b.c(np.float32(1)), z)
    return [b.op("Add", b.op("Mul", z, s[0]), b.op("Mul", one, n))]


def gru_before(b, r, x, s):
    """reset_before as Keras has it: the kernel of the candidate is multiplied with r h."""
    xk = b.op("Add", b.op("MatMul", x, b.c(f32(r, I, 3 * H))), b.c(f32(r, 3 * H)))
    xz, xr, xh = b.op("Split", xk, b.i(H, H, H), axis=1, outputs=3)
    hz, hr = b.op("Split", b.op("MatMul", s[0], b.c(f32(r, H, 2 * H))), axis=1, outputs=2)
    z, q = b.op("Sigmoid", b.op("Add", hz, xz)), b.op("Sigmoid", b.op("Add", xr, hr))
    n = b.op("Tanh", b.op("Add", xh, b.op("MatMul", b.op("Mul", s[0], q), b.c(f32(r, H, H)))))
    return [b.op("Add", b.op("Mul", b.op("Sub", b.c(np.ones(H, np.float32)), z), n), b.op("Mul", s[0], z))]


def gru_torch(b, r, x, s):
    """r z n by Gemm; h' = n + z (h - n); both gates from one Sigmoid."""
    gx = b.op("Gemm", x, b.c(f32(r, 3 * H, I)), b.c(f32(r, 3 * H)), transB=1)
    gh = b.op("Gemm", s[0], b.c(f32(r, 3 * H, H)), b.c(f32(r, 3 * H)), transB=1)
    rz = b.op("Sigmoid", b.op("Add", slices(b, gx, 0, 2 * H), slices(b, gh, 0, 2 * H)))
    q, z = b.op("Split", rz, axis=1, outputs=2)
    n = b.op("Tanh", b.op("Add", slices(b, gx, 2 * H, 3 * H), b.op("Mul", slices(b, gh, 2 * H, 3 * H), q)))
    return [b.op("Add", n, b.op("Mul", z, b.op("Sub", s[0], n)))]


def gru_turned(b, r, x, s, sign=1):
    """u takes the new: h' = (1 - u) h + u n."""
    u, q = (b.op("Sigmoid", b.op("Add", b.op("MatMul", b.op("Concat", x, s[0], axis=1), b.c(f32(r, I + H, H))),
                                 b.c(f32(r, H)))) for _ in range(2))
    n = b.op("Tanh", b.op("Add", b.op("MatMul", b.op("Concat", x, b.op("Mul", q, s[0]), axis=-1),
                                      b.c(f32(r, I + H, H))), b.c(f32(r, H))))
    one = b.op("Sub", b.c(np.float32(1)), u)
    return [b.op("Add" if sign > 0 else "Sub", b.op("Mul", one, s[0]), b.op("Mul", u, n))]


def lstm_gates(b, r, x, s, count=4):
    both = b.op("Add", b.op("MatMul", x, b.c(f32(r, I, count * H))), b.op("MatMul", s[0], b.c(f32(r, H, count * H))))
    return b.op("Split", b.op("Add", both, b.c(f32(r, count * H))), axis=1, outputs=count)


def lstm_keras(b, r, x, s, act="Tanh", gate=None):
    """i f c o"""
    gate = gate or (lambda v: b.op("Sigmoid", v))
    i, f, g, o = lstm_gates(b, r, x, s)
    c = b.op("Add", b.op("Mul", gate(f), s[1]), b.op("Mul", gate(i), b.op(act, g)))
    return [b.op("Mul", gate(o), b.op(act, c)), c]


def lstm_old(b, r, x, s):
    """TensorFlow 1: one kernel for row and state, i j f o, the forget bias added as it runs."""
    k = b.op("Add", b.op("MatMul", b.op("Concat", x, s[0], axis=1), b.c(f32(r, I + H, 4 * H))), b.c(f32(r, 4 * H)))
    i, j, f, o = b.op("Split", k, axis=1, outputs=4)
    f = b.op("Sigmoid", b.op("Add", f, b.c(np.float32(1))))
    c = b.op("Add", b.op("Mul", s[1], f), b.op("Mul", b.op("Sigmoid", i), b.op("Tanh", j)))
    return [b.op("Mul", b.op("Tanh", c), b.op("Sigmoid", o)), c]


def lstm_peephole(b, r, x, s):
    """i f o see c, c and c'; one gate's kernel at a time"""
    def part(state):
        v = b.op("Add", b.op("MatMul", x, b.c(f32(r, I, H))), b.op("MatMul", s[0], b.c(f32(r, H, H))))
        v = b.op("Add", v, b.c(f32(r, 1, H)))
        return b.op("Add", v, b.op("Mul", b.c(f32(r, H)), state)) if state else v
    i, f, g = b.op("Sigmoid", part(s[1])), b.op("Sigmoid", part(s[1])), b.op("Sigmoid", part(None))
    c = b.op("Add", b.op("Mul", g, i), b.op("Mul", s[1], f))
    return [b.op("Mul", b.op("Sigmoid", part(c)), b.op("Softsign", c)), c]


def lstm_coupled(b, r, x, s):
    """f = 1 - i"""
    i, g, o = lstm_gates(b, r, x, s, 3)
    i = b.op("Sigmoid", i)
    c = b.op("Add", b.op("Mul", b.op("Sub", b.c(np.float32(1)), i), s[1]), b.op("Mul", i, b.op("Tanh", g)))
    return [b.op("Mul", b.op("Sigmoid", o), b.op("Tanh", c)), c]


def rnn(b, r, x, s, act="Tanh"):
    v = b.op("Add", b.op("MatMul", x, b.c(f32(r, I, H))), b.op("MatMul", s[0], b.c(f32(r, H, H))))
    return [b.op(act, b.op("Add", v, b.c(f32(r, H))))]


def rnn_projected(b, r, x, s):
    """the row comes multiplied already"""
    return [b.op("Relu", b.op("Add", b.op("MatMul", s[0], b.c(f32(r, H, H))), x))]


def keras2(b):
    """hard_sigmoid of Keras 2 as tf2onnx writes it"""
    return lambda v: b.op("Clip", b.op("Add", b.op("Mul", v, b.c(np.float32(0.2))), b.c(np.float32(0.5))),
                          b.c(np.float32(0)), b.c(np.float32(1)))


def keras3(b):
    """relu6(x + 3) / 6"""
    return lambda v: b.op("Mul", b.op("Min", b.op("Max", b.op("Add", v, b.c(np.float32(3))), b.c(np.float32(0))),
                                      b.c(np.float32(6))), b.c(np.float32(1 / 6)))


def sliced(b, x, i):
    """x[:, i:i + 1], squeezed"""
    end = b.op("Unsqueeze", b.op("Add", i, b.c(np.int64(1))), b.i(0))
    return b.op("Squeeze", b.op("Slice", x, b.op("Unsqueeze", i, b.i(0)), end, b.i(1)), b.i(1))


# ---- loops ---------------------------------------------------------------------------------------------------------
def keras_loop(name, cell, states=1, free=False, head=None, scan=True, steps=STEPS, trips=None, index=0, extra=None,
               back=False, stop=None, fixed=True):
    """As tf2onnx writes Keras' layers: time first, a counter of its own, the condition computed in the body; the
    length fixed or taken from the shape. head: "last step", "state", None: all steps. stop: what ends the loop early.
    fixed=False: the file does not say the length that the loop turns."""
    r, g, b = rng(name), Nodes("g/"), Nodes("b/")
    x = "x"
    if back:
        x = g.op("Slice", x, g.i(-1), g.i(-2**63), g.i(1), g.i(-1))
    seq = g.op("Transpose", x, perm=[1, 0, 2])
    shape = g.op("Cast", g.op("Shape", x), to=6)
    batch = g.op("Slice", shape, g.i(0), g.i(1), g.i(0))
    zeros = g.op("Expand", g.c(np.float32(0)), g.op("Cast", g.op("Concat", batch, g.c([H], np.int32), axis=0), to=7))
    count = trips if trips is not None else steps
    zero = g.c(np.int32(0))
    if free:
        length = g.op("Squeeze", g.op("Slice", g.op("Cast", g.op("Shape", seq), to=6), g.i(0), g.i(1), g.i(0)), g.i(0))
        limit = g.op("ReduceMax", length, keepdims=0)
        most = g.op("Cast", limit, to=7)
        bound = g.op("Cast", limit, to=1)
        zero_f = g.c(np.float32(0))
        yes = g.op("And", g.op("Less", zero_f, bound), g.op("Less", zero_f, g.op("Cast", length, to=1)))
    else:
        most, bound, yes = g.c(np.int64(count)), g.c(np.float32(count)), g.c(np.bool_(True))
    at = b.op("Add", "b/t", b.c(np.int32(1)))
    row = b.op("Gather", seq, b.op("Add", "b/t", b.c(np.int32(index))) if index else "b/t", axis=0)
    old = ["b/s%d" % k for k in range(states)]
    new = cell(b, r, row, old)
    going = b.op("And", b.op("Less", b.op("Cast", "b/i", to=1), bound), b.op("Less", b.op("Cast", at, to=1), bound))
    if stop:
        going = b.op("And", going, stop(b, new))
    outs, ends = [at], [value(at, [], T.INT32)]
    for k, s in enumerate(new):
        outs.append(b.op("Identity", s))
        ends.append(value(outs[-1], [None, H]))
    if scan:
        y = b.op("Identity", extra(b, old, new) if extra else new[0])
        ends.append(value(y, [None, H]))
    body = h.make_graph(b.list, "body", [value("b/i", [], T.INT64), value("b/going", [], T.BOOL),
                                         value("b/t", [], T.INT32)] + [value(s, [None, H]) for s in old],
                        [value(going, [], T.BOOL)] + ends, b.consts)
    got = g.op("Loop", most, yes, zero, *[zeros] * states, outputs=1 + states + scan, body=body,
               name=name + "/while_loop")
    if head == "state":
        y = got[1]
    else:
        y = g.op("Transpose", got[-1], perm=[1, 0, 2])
        if head:
            y = g.op("Squeeze", g.op("Slice", y, g.i(-1), g.i(2147483647), g.i(1)), g.i(1))
    g.op("Add", g.op("MatMul", y, g.c(f32(r, H, 2))), g.c(f32(r, 2)), makes="y")
    out = ["n", None, 2] if head is None else ["n", 2]
    length = steps if fixed and not free else None
    graph = h.make_graph(g.list, name, [value("x", ["n", length, I])], [value("y", out)], g.consts)
    files.add(name, files.model(graph, 13), {"x": f32(r, B, steps, I)}, check=False)


def plain_loop(name, cell, states=1, rank3=False, width=I, before=None, backwards=False, reads=None, wires=False,
               extra=None, more=None, axis=1):
    """As a loop by hand: the condition is handed through, the body's number is the index, the batch comes first."""
    r, g, b = rng(name), Nodes("g/"), Nodes("b/")
    seq = "x" if axis == 1 else g.op("Transpose", "x", perm=[1, 0, 2])
    if before:
        seq = before(g, r, seq)
    length = g.op("Gather", g.op("Shape", seq), g.c(np.int64(axis)))
    batch = g.op("Slice", g.op("Shape", "x"), g.i(0), g.i(1), g.i(0))
    shape = g.op("Concat", *([g.i(1)] if rank3 else []), batch, g.i(H), axis=0)
    first = ["s%d" % k for k in range(states)] if wires else [
        g.op("ConstantOfShape", shape, value=h.make_tensor("v", T.FLOAT, [1], [0.0])) for _ in range(states)]
    at = "b/i"
    if backwards:
        at = b.op("Sub", b.op("Sub", length, b.c(np.int64(1))), at)
    row = reads(b, seq, at) if reads else b.op("Gather", seq, at, axis=axis)
    old = ["b/s%d" % k for k in range(states)]
    inner = [b.op("Squeeze", s, b.i(0)) if rank3 else s for s in old]
    new = cell(b, r, row, inner)
    outs = [b.op("Unsqueeze", s, b.i(0)) if rank3 else b.op("Identity", s) for s in new]
    scan = b.op("Identity", extra(b, inner, new) if extra else new[0])
    ins, more_first = [value(s, None) for s in old], []
    if more:  # a state of its own
        ins.append(value("b/more", None))
        outs.append(more(b, new))
        more_first = [first[0]]
    going = b.op("Identity", "b/going")
    body = h.make_graph(b.list, "body", [value("b/i", [], T.INT64), value("b/going", [], T.BOOL)] + ins,
                        [value(going, [], T.BOOL)] + [value(s, None) for s in outs] + [value(scan, None)], b.consts)
    got = g.op("Loop", length, "", *first, *more_first, outputs=len(outs) + 1, body=body)
    g.op("Transpose", got[-1], perm=[1, 0, 2], makes="y")
    ends = [value("y", ["n", "t", H])]
    ports = [value("x", ["n", "t", width])]
    feeds = {"x": f32(r, B, STEPS, width)}
    for k in range(states if wires else 0):
        g.op("Identity", got[k], makes="s%dn" % k)
        state = [1, "n", H] if rank3 else ["n", H]
        ports.append(value("s%d" % k, state))
        ends.append(value("s%dn" % k, state))
        feeds["s%d" % k] = f32(r, *([1, B, H] if rank3 else [B, H]))
    if more:
        g.op("Identity", got[len(outs) - 1], makes="more")
        ends.append(value("more", None))
    files.add(name, files.model(h.make_graph(g.list, name, ports, ends, g.consts), 13), feeds, check=False)


def scan(name, cell, states=1, backwards=False, out_backwards=None, begin=False):
    r, g, b = rng(name), Nodes("g/"), Nodes("b/")
    seq = g.op("Transpose", "x", perm=[1, 0, 2])
    shape = g.op("Concat", g.op("Slice", g.op("Shape", "x"), g.i(0), g.i(1), g.i(0)), g.i(H), axis=0)
    first = [g.op("Expand", g.c(f32(r, 1, H) if begin else np.zeros((1, H), np.float32)), shape) for _ in range(states)]
    old = ["b/s%d" % k for k in range(states)]
    new = cell(b, r, "b/x", old)
    outs = [b.op("Identity", s) for s in new]
    y = b.op("Identity", new[0])
    body = h.make_graph(b.list, "body", [value(s, [None, H]) for s in old] + [value("b/x", [None, I])],
                        [value(s, [None, H]) for s in outs] + [value(y, [None, H])], b.consts)
    extra = {"scan_input_directions": [1]} if backwards else {}
    if backwards if out_backwards is None else out_backwards:
        extra["scan_output_directions"] = [1]
    got = g.op("Scan", *first, seq, outputs=states + 1, body=body, num_scan_inputs=1, **extra)
    g.op("Transpose", got[-1], perm=[1, 0, 2], makes="y")
    graph = h.make_graph(g.list, name, [value("x", ["n", "t", I])], [value("y", ["n", "t", H])], g.consts)
    files.add(name, files.model(graph, 13), {"x": f32(r, B, STEPS, I)}, check=False)


# ---- what is a cell ------------------------------------------------------------------------------------------------
keras_loop("gru_keras", gru_keras)
keras_loop("gru_free", gru_keras, free=True)
keras_loop("gru_last", gru_keras, free=True, head="last step")
keras_loop("gru_state", gru_before, free=True, head="state", scan=False)
keras_loop("gru_relu_hard", lambda b, r, x, s: gru_keras(b, r, x, s, "Relu", keras2(b)), free=True)
keras_loop("gru_back", gru_keras, free=True, back=True)
keras_loop("lstm_keras", lstm_keras, states=2, free=True)
keras_loop("lstm_state", lambda b, r, x, s: lstm_keras(b, r, x, s, "Relu"), states=2, head="state")
keras_loop("lstm_hard", lambda b, r, x, s: lstm_keras(b, r, x, s, "Tanh", keras3(b)), states=2, free=True)
keras_loop("rnn_keras", rnn, free=True)
plain_loop("gru_torch", gru_torch)
plain_loop("gru_wired", gru_torch, wires=True)
plain_loop("gru_turned", gru_turned, axis=0)
plain_loop("gru_backwards", gru_torch, backwards=True)
plain_loop("lstm_old", lstm_old, states=2, rank3=True)
plain_loop("lstm_wired", lstm_old, states=2, rank3=True, wires=True)
plain_loop("lstm_coupled", lstm_coupled, states=2, reads=sliced)
plain_loop("rnn_projected", rnn_projected, before=lambda g, r, x: g.op("MatMul", x, g.c(f32(r, I, H))))
scan("scan_lstm", lstm_keras, states=2)
scan("scan_peephole", lstm_peephole, states=2, begin=True)
scan("scan_gru_reverse", gru_before, backwards=True)
scan("scan_rnn_back", lambda b, r, x, s: rnn(b, r, x, s, "Elu"), backwards=True, out_backwards=False)


# ---- what is not ---------------------------------------------------------------------------------------------------
def old_cell_state(b, r, x, s):
    i, f, g, o = lstm_gates(b, r, x, s)
    c = b.op("Add", b.op("Mul", b.op("Sigmoid", f), s[1]), b.op("Mul", b.op("Sigmoid", i), b.op("Tanh", g)))
    return [b.op("Mul", b.op("Sigmoid", o), b.op("Tanh", s[1])), c]


def two_gates(b, r, x, s):
    """z from the state alone is a gate still, but r has another function"""
    hk = b.op("MatMul", s[0], b.c(f32(r, H, 3 * H)))
    xz, xr, xh = b.op("Split", b.op("MatMul", x, b.c(f32(r, I, 3 * H))), axis=1, outputs=3)
    hz, hr, hh = b.op("Split", hk, axis=1, outputs=3)
    z, q = b.op("Sigmoid", b.op("Add", xz, hz)), b.op("HardSigmoid", b.op("Add", xr, hr))
    n = b.op("Tanh", b.op("Add", xh, b.op("Mul", q, hh)))
    return [b.op("Add", b.op("Mul", z, s[0]), b.op("Mul", b.op("Sub", b.c(np.float32(1)), z), n))]


def squared(b, r, x, s):
    """z z h + (1 - z) n"""
    xz, xh = b.op("Split", b.op("MatMul", x, b.c(f32(r, I, 2 * H))), axis=1, outputs=2)
    hz, hh = b.op("Split", b.op("MatMul", s[0], b.c(f32(r, H, 2 * H))), axis=1, outputs=2)
    z, n = b.op("Sigmoid", b.op("Add", xz, hz)), b.op("Tanh", b.op("Add", xh, hh))
    return [b.op("Add", b.op("Mul", b.op("Mul", z, z), s[0]), b.op("Mul", b.op("Sub", b.c(np.float32(1)), z), n))]


def changing(b, r, x, s):
    """another matrix at each step"""
    every = b.op("Gather", b.c(f32(r, STEPS, H, H)), "b/t", axis=0)
    return [b.op("Tanh", b.op("Add", b.op("MatMul", x, b.c(f32(r, I, H))), b.op("MatMul", s[0], every)))]


def late(b, r, x, s):
    """the bias takes part from step 1 on"""
    on = b.op("Cast", b.op("Greater", b.op("Cast", "b/t", to=1), b.c(np.float32(0))), to=1)
    v = b.op("Add", b.op("MatMul", x, b.c(f32(r, I, H))), b.op("MatMul", s[0], b.c(f32(r, H, H))))
    return [b.op("Tanh", b.op("Add", v, b.op("Mul", b.c(f32(r, H)), on)))]


def mixed(b, r, x, s):
    """the mean over the batch goes in: rows that are no rows"""
    m = b.op("ReduceMean", s[0], axes=[0], keepdims=1)
    v = b.op("Add", b.op("MatMul", x, b.c(f32(r, I, H))), b.op("MatMul", m, b.c(f32(r, H, H))))
    return [b.op("Tanh", v)]


plain_loop("not_sign", lambda b, r, x, s: gru_turned(b, r, x, s, -1))
plain_loop("not_cell_state", old_cell_state, states=2)
plain_loop("not_two_gates", two_gates)
plain_loop("not_squared", squared)
plain_loop("not_mixed", mixed)
plain_loop("not_all_h", gru_torch, extra=lambda b, old, new: b.op("Add", old[0], new[0]))
plain_loop("not_old_h", gru_torch, extra=lambda b, old, new: old[0])
plain_loop("not_sum", gru_torch, more=lambda b, new: b.op("Add", "b/more", new[0]))
plain_loop("not_first_step", rnn, reads=lambda b, x, i: b.op("Gather", x, b.c(np.int64(0)), axis=1))
plain_loop("not_previous", rnn, reads=lambda b, x, i: b.op("Gather", x, b.op("Sub", i, b.c(np.int64(1))), axis=1))
keras_loop("not_short", gru_keras, trips=STEPS - 1)
keras_loop("not_shifted", gru_keras, trips=STEPS - 1, index=1)
keras_loop("not_known", gru_keras, fixed=False)
keras_loop("not_while", gru_keras, stop=lambda b, new: b.op("Less", b.op("ReduceMax", new[0], keepdims=0),
                                                            b.c(np.float32(9))))
keras_loop("not_changing", changing)
keras_loop("not_late", late)
files.answer()
