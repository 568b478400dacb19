#!/usr/bin/python3
"""make_conformance.py -- a small folder in each layout that `make conformance` knows, and the same with wrong answers.

    python3 tests/vectors/make_conformance.py      (Debian's python3-torch and python3-onnx; rewrites
                                                    tests/vectors/conformance and tests/vectors/conformance_wrong)

Expected values are torch's, in float64 from the float32 weights. In conformance_wrong one number of each expected
output is off by three times what is allowed, so that every case of it must fail, and by a hair.
"""
import json, os, shutil
import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper

HERE = os.path.dirname(os.path.abspath(__file__))
torch.set_num_threads(1)
OFF = 3e-5


def spoil(y, wrong):
    y = np.array(y)
    if wrong:
        at = np.unravel_index(y.size * 2 // 3, y.shape)
        y[at] += OFF * max(1.0, np.abs(y).max())
    return y


def randomize(module, seed):
    torch.manual_seed(seed)
    with torch.no_grad():
        for p in module.parameters():
            p.copy_(torch.randn_like(p) * 0.4)
    return module


def run64(module, *args):
    module.double()
    with torch.no_grad():
        out = module(*args)
    module.float()
    return out


def ids(x):
    return torch.from_numpy(x)


def torch_triple(folder, name, kind, wrong, variants, **args):
    module = randomize(getattr(torch.nn, kind)(3, 4, **args), len(name))
    os.makedirs(folder, exist_ok=True)
    path = os.path.join(folder, name)
    rng = np.random.default_rng(7)
    batch_first = args.get("batch_first", False)
    x = rng.standard_normal((2, 5, 3) if batch_first else (5, 2, 3)).astype(np.float32)
    states = args.get("num_layers", 1) * (2 if args.get("bidirectional") else 1)
    width = args.get("proj_size", 0) or 4
    h0 = rng.standard_normal((states, 2, width)).astype(np.float32)
    c0 = rng.standard_normal((states, 2, 4)).astype(np.float32) if kind == "LSTM" else np.zeros(0, np.float32)
    given = (ids(h0).double(), ids(c0).double()) if kind == "LSTM" else ids(h0).double()
    y, last = run64(module, ids(x).double(), given)
    hn, cn = (t.numpy() for t in last) if kind == "LSTM" else (last.numpy(), np.zeros(0))
    torch.save(module.state_dict(), path + ".pt")
    if variants:
        torch.save(module.state_dict(), path + ".legacy.pt", _use_new_zipfile_serialization=False)
    json.dump(dict(kind=kind, input_size=3, hidden_size=4, **args), open(path + ".json", "w"))
    np.savez(path + ".io.npz", x=x, h0=h0, c0=c0, y=y.numpy().astype(np.float32), hn=hn.astype(np.float32),
             cn=spoil(cn, wrong and kind == "LSTM").astype(np.float32), y_ref64=spoil(y.numpy(), wrong))


def rtneural(folder, wrong):
    os.makedirs(folder, exist_ok=True)
    gru, head = randomize(torch.nn.GRU(1, 3), 1), randomize(torch.nn.Linear(3, 1), 2)
    x = np.sin(np.arange(20) / 3).reshape(20, 1, 1)
    y = run64(head, run64(gru, ids(x))[0]).numpy().reshape(20, 1)
    order = np.r_[3:6, 0:3, 6:9]  # torch's r z n as Keras' z r n
    def keras(name):
        return getattr(gru, name).detach().numpy()[order].T.tolist()
    bias = [keras("bias_ih_l0"), keras("bias_hh_l0")]
    layers = [{"type": "gru", "activation": "", "shape": [None, None, 3],
               "weights": [keras("weight_ih_l0"), keras("weight_hh_l0"), bias]},
              {"type": "dense", "activation": "", "shape": [None, None, 1],
               "weights": [head.weight.detach().numpy().T.tolist(), head.bias.detach().numpy().tolist()]}]
    json.dump({"in_shape": [None, None, 1], "layers": layers}, open(os.path.join(folder, "gru.json"), "w"))
    np.savetxt(os.path.join(folder, "gru_x_python.csv"), x.reshape(20, 1))
    np.savetxt(os.path.join(folder, "gru_y_python.csv"), spoil(y, wrong))
    json.dump({"in_shape": [None, None, 1], "layers": layers}, open(os.path.join(folder, "silent.json"), "w"))


def table(folder, wrong):
    os.makedirs(os.path.join(folder, "expected"), exist_ok=True)
    rows = ["case\tmodel\tmode\taxes_in\taxes_out\tconfig\tnotes"]

    def add(case, model, axes_in, axes_out, config, arrays):
        rows.append("%s\t%s\twindow\t%s\t%s\t%s\t" % (case, model, axes_in, axes_out, "yes" if config else "-"))
        if isinstance(config, dict):
            json.dump(config, open(os.path.join(folder, case + ".rnnd.json"), "w"), indent=1)
        np.savez(os.path.join(folder, "expected", case + ".npz"),
                 **{k: spoil(v, wrong) if k.startswith("out_") else v for k, v in arrays.items()})

    # an LSTM and a head on its last step: the output, and what the LSTM handed on, as a tap
    net = torch.nn.ModuleDict({"rnn": torch.nn.LSTM(2, 4, batch_first=True), "fc": torch.nn.Linear(4, 3)})
    randomize(net, 11)
    torch.save(net.state_dict(), os.path.join(folder, "last.pt"))
    x = np.random.default_rng(1).standard_normal((3, 6, 2)).astype(np.float32)
    seq = run64(net["rnn"], ids(x).double())[0]
    y = run64(net["fc"], seq[:, -1]).numpy()
    config = {"format": 1, "inputs": [{"name": "x", "width": 2}], "output": "last",
              "layers": [{"type": "lstm", "name": "rnn", "hidden": 4}, {"type": "dense", "name": "fc"}]}
    add("last", "last.pt", "x=batch,time,feature", "y=batch,feature; other=batch,feature", config,
        {"in_x": x, "out_y": y, "out_other": y})
    # the same at every step, time first, another oracle, under the folder's own name
    y = run64(net["fc"], seq).numpy().transpose(1, 0, 2)
    config = dict(config, output="all")
    add("every", "table/last.pt", "x=time,batch,feature", "y=time,batch,feature; rnn=time,batch,feature", config,
        {"in_x": x.transpose(1, 0, 2).copy(), "out_y": y, "out_rnn": seq.numpy().transpose(1, 0, 2)})
    # whole numbers in
    net = torch.nn.ModuleDict({"emb": torch.nn.Embedding(6, 3), "rnn": torch.nn.GRU(3, 4, batch_first=True),
                               "fc": torch.nn.Linear(4, 6)})
    randomize(net, 12)
    torch.save(net.state_dict(), os.path.join(folder, "ids.pt"))
    tokens = np.random.default_rng(2).integers(0, 6, (2, 7))
    net.double()
    with torch.no_grad():
        logits = net["fc"](net["rnn"](net["emb"](ids(tokens)))[0]).numpy()
    config = {"format": 1, "inputs": [{"name": "ids", "ids": 6}],
              "layers": [{"type": "embedding", "name": "emb"}, {"type": "gru", "name": "rnn", "hidden": 4},
                         {"type": "dense", "name": "fc"}]}
    add("ids", "ids.pt", "ids=batch,time", "logits=batch,time,feature", config,
        {"in_ids": tokens, "out_logits": logits})
    add("nobody", "ids.pt", "ids=batch,time", "logits=batch,time,feature", True, {"in_ids": tokens, "out_y": logits})
    open(os.path.join(folder, "cases.tsv"), "w").write("\n".join(rows) + "\n")


def lstm_graph(net, stepwise, late=False):
    """x, h, c -> y, hn, cn of a torch LSTM with one layer, time first; stepwise: one tensor holds both states; late: the
    weights are inputs too, as in ONNX' own node tests."""
    order = np.r_[0:4, 12:16, 4:8, 8:12]  # torch's i f g o as ONNX' i o f c
    w = {n: p.detach().numpy()[order] for n, p in net.named_parameters()}
    constants = [numpy_helper.from_array(w["weight_ih_l0"][None], "W"),
                 numpy_helper.from_array(w["weight_hh_l0"][None], "R"),
                 numpy_helper.from_array(np.concatenate([w["bias_ih_l0"], w["bias_hh_l0"]])[None], "B")]
    def value(name, *shape):
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
    if stepwise:
        nodes = [helper.make_node("Split", ["state", "half"], ["h", "c"], axis=0),
                 helper.make_node("LSTM", ["x", "W", "R", "B", "", "h", "c"], ["seq", "hn", "cn"], hidden_size=4),
                 helper.make_node("Squeeze", ["seq", "one"], ["y"]),
                 helper.make_node("Concat", ["hn", "cn"], ["stateN"], axis=0)]
        constants += [numpy_helper.from_array(np.array([1, 1]), "half"), numpy_helper.from_array(np.array([1]), "one")]
        ends = [value("x", 1, 1, 3), value("state", 2, 1, 4)], [value("y", 1, 1, 4), value("stateN", 2, 1, 4)]
    else:
        nodes = [helper.make_node("LSTM", ["x", "W", "R", "B", "", "h0", "c0"], ["y", "hn", "cn"], hidden_size=4)]
        ends = ([value("x", 5, 2, 3), value("h0", 1, 2, 4), value("c0", 1, 2, 4)],
                [value("y", 5, 1, 2, 4), value("hn", 1, 2, 4), value("cn", 1, 2, 4)])
    if late:
        ends[0].extend(value(c.name, *c.dims) for c in constants)
        weights, constants = [numpy_helper.to_array(c) for c in constants], []
    graph = helper.make_graph(nodes, "lstm", *ends, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], producer_name="make_conformance")
    model.ir_version = 7
    onnx.checker.check_model(model)
    return (model, weights) if late else model


def onnx_folder(folder, wrong, late):
    os.makedirs(os.path.join(folder, "test_data_set_0"))
    net = randomize(torch.nn.LSTM(3, 4), 21)
    rng = np.random.default_rng(3)
    x, h0, c0 = (rng.standard_normal(s).astype(np.float32) for s in ((5, 2, 3), (1, 2, 4), (1, 2, 4)))
    y, (hn, cn) = run64(net, ids(x).double(), (ids(h0).double(), ids(c0).double()))
    model, weights = lstm_graph(net, False, True) if late else (lstm_graph(net, False), [])
    onnx.save(model, os.path.join(folder, "model.onnx"))
    arrays = {"input": [x, h0, c0] + weights, "output": [y.numpy()[:, None], hn.numpy(), spoil(cn.numpy(), wrong)]}
    for kind, list_ in arrays.items():
        for i, a in enumerate(list_):
            a = a.astype(np.float32)
            t = numpy_helper.from_array(a) if i != 1 else helper.make_tensor("", TensorProto.FLOAT, a.shape, a.ravel())
            open(os.path.join(folder, "test_data_set_0", "%s_%d.pb" % (kind, i)), "wb").write(t.SerializeToString())


def stream_case(folder, wrong):
    """One more line of the table: a state that is an input and an output of the graph."""
    net = randomize(torch.nn.LSTM(3, 4), 22)
    x = np.random.default_rng(4).standard_normal((6, 1, 1, 3)).astype(np.float32)
    state, ys, states = (torch.zeros(1, 1, 4).double(),) * 2, [], []
    for step in x:
        y, state = run64(net, ids(step).double(), state)
        ys.append(y.numpy())
        states.append(np.concatenate([s.numpy() for s in state]))
    onnx.save(lstm_graph(net, True), os.path.join(folder, "step.onnx"))
    np.savez(os.path.join(folder, "expected", "step.npz"), in_x=x, out_y=spoil(np.array(ys), wrong),
             out_state=np.array(states))
    with open(os.path.join(folder, "cases.tsv"), "a") as f:
        f.write("step\tstep.onnx\tstream\tx=step,time,batch,feature\ty=step,time,batch,feature; state=step,...\t-\t\n")


def main():
    for wrong in (False, True):
        out = os.path.join(HERE, "conformance_wrong" if wrong else "conformance")
        shutil.rmtree(out, ignore_errors=True)
        torch_triple(os.path.join(out, "torch"), "lstm", "LSTM", wrong, True, num_layers=2)
        torch_triple(os.path.join(out, "torch"), "lstm_bf", "LSTM", wrong, False, batch_first=True, proj_size=2)
        torch_triple(os.path.join(out, "torch"), "gru_bi", "GRU", wrong, False, bidirectional=True)
        torch_triple(os.path.join(out, "torch"), "rnn", "RNN", wrong, False, bias=False, nonlinearity="relu")
        rtneural(os.path.join(out, "json", "rtneural"), wrong)
        table(os.path.join(out, "table"), wrong)
        stream_case(os.path.join(out, "table"), wrong)
        onnx_folder(os.path.join(out, "onnx", "lstm"), wrong, False)
        onnx_folder(os.path.join(out, "onnx", "lstm_late"), wrong, True)


if __name__ == "__main__":
    main()
