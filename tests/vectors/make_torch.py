#!/usr/bin/python3
"""make_torch.py -- the PyTorch vectors: modules, inputs, given states and what torch answers.

    python3 tests/vectors/make_torch.py        (Debian's python3-torch; rewrites tests/vectors/torch/*.safetensors)

Each file is a model in the native format (models/rnnd_export.py writes it) with five tensors more: vector.x
[B][T][in], vector.h0 and vector.c0 [layers][B][hidden] (absent where zeros were used), vector.y, vector.hn, vector.cn.
Expected values are computed in float64 from the float32 weights, so that they are the reference and not a second
rounding. test_vectors.c runs each by window, by step and in mixed batches.
"""
import os, sys
import numpy as np
import torch

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "..", "models"))
import rnnd_export

torch.set_num_threads(1)

# kind, inputs, hidden, arguments, batch, steps, with given states
CASES = [
    ("RNN", 3, 5, {}, 2, 7, False),
    ("RNN", 1, 17, {"nonlinearity": "relu", "num_layers": 2}, 3, 9, True),
    ("RNN", 4, 6, {"bidirectional": True}, 2, 5, True),
    ("RNN", 6, 16, {"bias": False}, 1, 1, True),
    ("LSTM", 3, 5, {}, 2, 1, False),
    ("LSTM", 10, 64, {"num_layers": 2}, 32, 20, True),
    ("LSTM", 10, 64, {"num_layers": 2}, 32, 20, False),
    ("LSTM", 7, 33, {"num_layers": 3}, 2, 50, True),
    ("LSTM", 5, 13, {"bidirectional": True}, 3, 11, True),
    ("LSTM", 5, 9, {"bidirectional": True, "num_layers": 2}, 2, 8, True),
    ("LSTM", 6, 20, {"proj_size": 7}, 2, 15, True),
    ("LSTM", 6, 11, {"proj_size": 4, "num_layers": 2, "bidirectional": True}, 2, 6, True),
    ("LSTM", 2, 19, {"bias": False}, 5, 12, False),
    ("LSTM", 1, 8, {}, 1, 200, False),
    ("GRU", 3, 5, {}, 2, 7, False),
    ("GRU", 4, 31, {"num_layers": 2}, 3, 40, True),
    ("GRU", 9, 16, {"num_layers": 3}, 7, 10, True),
    ("GRU", 5, 12, {"bidirectional": True}, 2, 9, True),
    ("GRU", 6, 11, {"bias": False}, 1, 3, True),
    ("GRU", 1, 24, {}, 2, 200, True),
]


def name_of(kind, inputs, hidden, args, batch, steps, given):
    extra = "".join("_%s%s" % (k.replace("_", ""), "" if v is True else v) for k, v in args.items())
    return "%s_%dx%d%s_B%dT%d%s" % (kind.lower(), inputs, hidden, extra, batch, steps, "" if given else "_zero")


def main():
    out = os.path.join(HERE, "torch")
    os.makedirs(out, exist_ok=True)
    for n, case in enumerate(CASES):
        kind, inputs, hidden, args, batch, steps, given = case
        torch.manual_seed(100 + n)
        module = getattr(torch.nn, kind)(inputs, hidden, batch_first=True, **args)
        with torch.no_grad():
            for p in module.parameters():
                p.copy_(torch.randn_like(p) * (1.5 / hidden ** 0.5))
        x = torch.randn(batch, steps, inputs)
        layers = args.get("num_layers", 1) * (2 if args.get("bidirectional") else 1)
        h0 = torch.randn(layers, batch, args.get("proj_size", 0) or hidden) * 0.5
        c0 = torch.randn(layers, batch, hidden) * 0.5
        name = name_of(*case)
        double = getattr(torch.nn, kind)(inputs, hidden, batch_first=True, **args).double()
        double.load_state_dict({k: v.double() for k, v in module.state_dict().items()})
        with torch.no_grad():
            state = ((h0.double(), c0.double()) if kind == "LSTM" else h0.double()) if given else None
            y, end = double(x.double(), state)
        hn, cn = end if kind == "LSTM" else (end, None)
        extra = {"vector.x": x, "vector.y": y, "vector.hn": hn}
        if given:
            extra["vector.h0"] = h0
        if cn is not None:
            extra["vector.cn"] = cn
            if given:
                extra["vector.c0"] = c0
        rnnd_export.export(module, os.path.join(out, name + ".safetensors"), config={"name": name},
                           extra_tensors={k: v.float().numpy() for k, v in extra.items()})
        print(name)


if __name__ == "__main__":
    main()
