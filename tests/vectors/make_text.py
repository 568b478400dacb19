#!/usr/bin/python3
"""make_text.py -- a small character model from Keras, laid out as textgenrnn lays out its own, and what it says.

    python3 tests/vectors/make_text.py            (rewrites tests/vectors/text/; numpy, h5py)

Weights alone, in CuDNN's layout, as such files are: embedding, two LSTMs, all three side by side, an average over time
weighed by attention, softmax. Texts go in as textgenrnn puts them: "<s>" first, the last `window` ids, zeros before
them, 0 for what is not in the vocabulary; the likeliest symbol is taken until "<s>" comes. The network is computed here
in float64 from its equations, with the CuDNN blocks turned back. Where ../shared/real is there, the same code is first
held to the expected answers of the published file, and writes down what that one says.
"""
import json, os
import h5py
import numpy as np

HERE = os.path.dirname(os.path.abspath(__file__))
OUT = os.path.join(HERE, "text")
REAL = os.path.join(HERE, "..", "..", "..", "shared", "real")
SYMBOLS = list("\n abcdefghijklmnopqrstuvwxyz.,!?'é日") + ["<s>"]  # from id 1 on
WINDOW, WIDTH, HIDDEN = 8, 6, 10


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


class Network:
    """the weights of a file as float64; LSTM gates i f c o"""

    def __init__(self, path):
        with h5py.File(path, "r") as f:
            arrays = {}
            f.visititems(lambda name, d: arrays.update({name.split("/", 1)[1].split(":")[0]: np.array(d, np.float64)})
                         if isinstance(d, h5py.Dataset) else None)
        find = lambda end: next(a for name, a in arrays.items() if name.endswith(end))
        self.embedding, self.attention = find("embedding/embeddings"), find("attention/attention_W")
        self.head = find("output/kernel"), find("output/bias")
        self.cells = []
        for rnn in ("rnn_1", "rnn_2"):
            kernel, recurrent, bias = find(rnn + "/kernel"), find(rnn + "/recurrent_kernel"), find(rnn + "/bias")
            h = len(recurrent)
            turned = [k.T.reshape(k.shape, order="F") for k in np.split(kernel, 4, 1)]
            self.cells.append((np.hstack(turned), np.hstack([k.T for k in np.split(recurrent, 4, 1)]),
                               bias[:4 * h] + bias[4 * h:]))

    def lstm(self, x, cell):
        kernel, recurrent, bias = cell
        h = c = np.zeros(len(recurrent))
        out = []
        for row in x:
            i, f, g, o = np.split(row @ kernel + h @ recurrent + bias, 4)
            c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
            h = sigmoid(o) * np.tanh(c)
            out.append(h)
        return np.array(out)

    def probabilities(self, ids):
        e = self.embedding[ids]
        a = self.lstm(e, self.cells[0])
        b = self.lstm(a, self.cells[1])
        all = np.hstack([e, a, b])
        score = np.exp(all @ self.attention)
        z = (all * score / score.sum()).sum(0) @ self.head[0] + self.head[1]
        z = np.exp(z - z.max())
        return z / z.sum()


def speak(net, vocabulary, window, prompt, most):
    """ids and log-probabilities of the likeliest symbols behind a prompt, and why they end"""
    symbols = {i: s for s, i in vocabulary.items()}
    ids = [vocabulary["<s>"]] + [vocabulary.get(c, 0) for c in prompt]
    case = {"prompt": prompt, "ids": ids, "tokens": [], "logprobs": [], "finish": "length"}
    for _ in range(most):
        p = net.probabilities(np.array(([0] * window + ids)[-window:]))
        p[0] = 0 # the placeholder is never taken
        order = np.argsort(-p)
        assert p[order[0]] > 1.0005 * p[order[1]], "too close for float32 to decide"
        if order[0] == vocabulary["<s>"]:
            case["finish"] = "stop"
            break
        ids.append(int(order[0]))
        case["tokens"].append(symbols[int(order[0])])
        case["logprobs"].append(float(np.log(p[order[0]])))
    case["text"] = "".join(case["tokens"])
    case["ids"] = ids
    return case


def write(name, data):
    with open(os.path.join(OUT, name), "w", encoding="utf-8") as f:
        json.dump(data, f, ensure_ascii=False)
        f.write("\n")


def layer(f, name, arrays):
    """one layer's group as model.save_weights() of Keras 2 writes it"""
    group = f.create_group(name)
    group.attrs["weight_names"] = [("%s/%s:0" % (name, role)).encode() for role in arrays]
    for role, a in arrays.items():
        group.create_dataset("%s/%s:0" % (name, role), data=a.astype(np.float32))


def make_file(path, seed):
    rng = np.random.default_rng(seed)
    n, joined = len(SYMBOLS) + 1, WIDTH + 2 * HIDDEN
    normal = lambda *shape: rng.normal(size=shape)
    lstm = lambda width: {"kernel": normal(width, 4 * HIDDEN), "recurrent_kernel": normal(HIDDEN, 4 * HIDDEN) * 0.6,
                          "bias": normal(8 * HIDDEN) * 0.5}
    names = ["embedding", "rnn_1", "rnn_2", "attention", "output"]
    with h5py.File(path, "w") as f:
        f.attrs["layer_names"] = [x.encode() for x in names]
        f.attrs["backend"], f.attrs["keras_version"] = b"tensorflow", b"2.1.5"
        layer(f, "embedding", {"embeddings": normal(n, WIDTH)})
        layer(f, "rnn_1", lstm(WIDTH))
        layer(f, "rnn_2", lstm(HIDDEN))
        layer(f, "attention", {"attention_W": normal(joined, 1)})
        layer(f, "output", {"kernel": normal(joined, n) * 2, "bias": normal(n)})


def side_file():
    """that of models/examples for the published model, with this one's sizes"""
    with open(os.path.join(HERE, "..", "..", "models", "examples", "textgenrnn.rnnd.json"), encoding="utf-8") as f:
        config = json.load(f)
    config["name"], config["window"], config["inputs"][0]["ids"] = "characters", WINDOW, len(SYMBOLS) + 1
    for l in config["layers"]:
        if l["type"] == "lstm": l["hidden"] = HIDDEN
    config["text"]["vocabulary"] = "characters_vocab.json"
    return config


def main():
    os.makedirs(OUT, exist_ok=True)
    path = os.path.join(OUT, "characters.h5")
    vocabulary = {s: i + 1 for i, s in enumerate(SYMBOLS)}
    make_file(path, 11)
    write("characters_vocab.json", vocabulary)
    write("characters.rnnd.json", side_file())
    net = Network(path)
    cases = [speak(net, vocabulary, WINDOW, p, 40) for p in ("", "the", "é日 'tis", "UNKNOWN", "a rather long beginning")]
    windows = np.random.default_rng(3).integers(0, len(SYMBOLS) + 1, (3, WINDOW))
    write("characters.cases.json", {"cases": cases, "windows": [{"ids": w.tolist(), "probabilities": net.probabilities(w).tolist()}
                                                                for w in windows]})
    if not os.path.isdir(REAL): return
    real = Network(os.path.join(REAL, "textgenrnn", "textgenrnn_weights.hdf5"))
    expected = np.load(os.path.join(REAL, "expected", "textgenrnn.npz"))
    for ids, probs in zip(expected["in_ids"], expected["out_probs"]):
        off = np.abs(real.probabilities(ids) - probs).max()
        assert off < 1e-6, off
    with open(os.path.join(REAL, "textgenrnn", "textgenrnn_vocab.json"), encoding="utf-8") as f:
        vocabulary = json.load(f)
    write("textgenrnn.cases.json", {"cases": [speak(real, vocabulary, 40, p, 40) for p in
                                              ("", "Why does", "What is the best 日本 way to")]})


main()
