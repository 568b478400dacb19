"""export.py -- models/rnnd_export.py on models that answer as Keras does, and scalers that answer as scikit-learn does.

    python3 tests/clients/export.py RNND FOLDER        RNND is the program, FOLDER for files

Neither is in Debian, so the classes here stand in for them: names, get_config(), get_weights(), inputs and outputs with
_keras_history as both Keras 2 and Keras 3 have them, predict() by the layers' equations in float64. Files written from
Keras itself are in tests/vectors/export. Prints one line per failure and "N passed, N failed".
"""
import os, subprocess, sys, types
import numpy as np

sys.path.insert(0, "models")
sys.dont_write_bytecode = True
import rnnd_export

RNND, FOLDER = sys.argv[1:3]
rng = np.random.default_rng(8)
counts = [0, 0]
sigmoid = lambda x: 1 / (1 + np.exp(-x))


def check(name, good):
    counts[not good] += 1
    if not good:
        print("FAIL " + name)


def refused(name, words, call, *arguments, **options):
    try:
        call(*arguments, **options)
    except ValueError as e:
        check("%s: %s not in %s" % (name, words, e), all(w in str(e) for w in words))
    else:
        check(name + ": not refused", False)


def rnnd(*arguments):
    done = subprocess.run([RNND] + list(arguments), capture_output=True, text=True)
    return done.stdout if done.returncode == 0 else "exit %d: %s" % (done.returncode, done.stderr)


# ---- stand-ins for Keras ---------------------------------------------------------------------------------------------

class Tensor:
    def __init__(self, shape, history, name="t"):
        self.shape, self._keras_history, self.name = shape, history, name


class Node:
    """what a layer was called with; Keras 2 calls it keras_inputs, Keras 3 input_tensors"""
    def __init__(self, version, inputs):
        setattr(self, "keras_inputs" if version == 2 else "input_tensors", inputs)


class Layer:
    version = 3

    def __init__(self, name, weights=(), **config):
        self.name, self._inbound_nodes, self.config = name, [], dict(config, name=name)
        self.arrays = [np.float32(w) for w in weights]

    def get_config(self):
        return self.config

    def get_weights(self):
        return self.arrays

    def __call__(self, *inputs):
        self._inbound_nodes.append(Node(self.version, list(inputs)))
        self.input = inputs[0]
        return Tensor(self.shape([t.shape for t in inputs]), (self, len(self._inbound_nodes) - 1, 0), self.name)

    def shape(self, shapes):
        return shapes[0]


class InputLayer(Layer):
    def run(self, x):
        return x


class Dense(Layer):
    def shape(self, shapes):
        return shapes[0][:-1] + (self.arrays[0].shape[1],)

    def run(self, x):
        return {"relu": lambda y: np.maximum(y, 0), "linear": lambda y: y}[self.config["activation"]](
            x @ self.arrays[0].astype(float) + self.arrays[1])


class LSTM(Layer):
    def shape(self, shapes):
        return shapes[0][:2] + (self.config["units"],) if self.config["return_sequences"] else \
            (shapes[0][0], self.config["units"])

    def run(self, x):
        kernel, recurrent, bias = (a.astype(float) for a in self.arrays)
        gate = {"sigmoid": sigmoid, "hard_sigmoid": (lambda v: np.clip(.2 * v + .5, 0, 1)) if self.version == 2 else
                (lambda v: np.clip(v / 6 + .5, 0, 1))}[self.config["recurrent_activation"]]
        h = c = np.zeros((len(x), len(recurrent)))
        steps = []
        for t in range(x.shape[1]):
            i, f, g, o = np.split(x[:, t] @ kernel + h @ recurrent + bias, 4, -1)
            c = gate(f) * c + gate(i) * np.tanh(g)
            h = gate(o) * np.tanh(c)
            steps.append(h)
        return np.stack(steps, 1) if self.config["return_sequences"] else h


class Concatenate(Layer):
    def shape(self, shapes):
        return shapes[0][:-1] + (sum(s[-1] for s in shapes),)

    def run(self, *x):
        return np.concatenate(x, -1)


class Lambda(Layer):
    def shape(self, shapes):
        return (shapes[0][0], shapes[0][2])

    def run(self, x):
        return x[:, -1]


class GlobalAveragePooling1D(Lambda):
    pass


class Functional:
    name = "model"

    def __init__(self, inputs, outputs, layers):
        self.inputs, self.outputs, self.layers = inputs, outputs, layers

    def get_weights(self):
        return [w for l in self.layers for w in l.arrays]

    def predict(self, x, batch_size=None, verbose=1):
        values = dict(zip(map(id, (t._keras_history[0] for t in self.inputs)), x if isinstance(x, list) else [x]))

        def value(t):
            layer, node, _ = t._keras_history
            if id(layer) not in values:
                node = layer._inbound_nodes[node]
                inputs = node.keras_inputs if layer.version == 2 else node.input_tensors
                values[id(layer)] = layer.run(*map(value, inputs))
            return values[id(layer)]
        return np.float32(value(self.outputs[0]))


class Sequential(Functional):
    pass


class Subclassed(Functional):
    pass


def use(version):
    """every stand-in comes from this version of Keras from now on"""
    Layer.version = version
    sys.modules["keras"] = types.ModuleType("keras")
    sys.modules["keras"].__version__ = "2.13.1" if version == 2 else "3.6.0"
    for c in (Layer, InputLayer, Dense, LSTM, Concatenate, Lambda, GlobalAveragePooling1D, Functional, Sequential,
              Subclassed):
        c.__module__ = "keras.src.engine"


def normal(*shape):
    return rng.normal(size=shape)


def lstm(name, inputs, units, sequences, **config):
    return LSTM(name, [normal(inputs, 4 * units), normal(units, 4 * units), normal(4 * units)], units=units,
                return_sequences=sequences, activation="tanh", recurrent_activation=config.pop("gate", "sigmoid"),
                **config)


def dense(name, inputs, outputs, activation="linear"):
    return Dense(name, [normal(inputs, outputs), normal(outputs)], activation=activation)


def source(name, *shape):
    layer = InputLayer(name)
    return Tensor((None,) + shape, (layer, 0, 0), name)


def chain(kind, x, *layers):
    t = x
    for l in layers:
        t = l(t)
    return kind([x], [t], [x._keras_history[0]] + list(layers))


def path(name):
    return os.path.join(FOLDER, name + ".safetensors")


# ---- models ----------------------------------------------------------------------------------------------------------

def opens(name, model, **options):
    """the file that is written opens, so its golden vectors hold: they are the stand-in's own answer"""
    rnnd_export.export(model, path(name), **options)
    said = rnnd("inspect", path(name))
    check("%s: %s" % (name, said), said.startswith("model "))
    return said


def both_versions():
    for version in (2, 3):
        use(version)
        net = chain(Sequential, source("x", 9, 3), lstm("a", 3, 4, True, gate="hard_sigmoid"), lstm("b", 4, 5, False),
                    dense("c", 5, 2, "relu"), dense("d", 2, 2))
        said = opens("stack%d" % version, net)
        check("its window slides", "sliding: a step answers for the last 9 inputs" in said)
        a, cat = lstm("a", 3, 4, True), Concatenate("cat", axis=-1)
        x = source("x", None, 3)
        h = cat(a(x), x)
        b, d = lstm("b", 7, 5, False), dense("d", 5, 2)
        said = opens("graph%d" % version, Functional([x], [d(b(h))], [a, cat, b, d]))
        check("one without a length carries", "carry" in said)
    use(2)
    x = source("x", None, 3)
    other = chain(Sequential, x, lstm("a", 3, 4, False, gate="hard_sigmoid"))
    use(3) # its function is another one: the file must not hold
    other.predict, wrong = lambda *a, **k: wrong, np.float32(normal(1, 4))
    rnnd_export.export(other, path("wrong"))
    check("an answer that is not the network's is refused at load", "exit" in rnnd("inspect", path("wrong")))


def what_is_refused():
    use(3)
    cut = Lambda("cut")
    layers = [lstm("a", 3, 4, True), cut, dense("d", 4, 2)]
    net = chain(Functional, source("x", 6, 3), *layers)
    refused("Lambda", ["'cut'", "Lambda", "layers={'cut'", "ONNX"], rnnd_export.export, net, path("no"))
    opens("lambda", net, layers={"cut": None})
    net = chain(Functional, source("x", 6, 3), lstm("a", 3, 4, True), GlobalAveragePooling1D("pool"))
    refused("a layer outside the list", ["'pool'", "GlobalAveragePooling1D", ".keras"], rnnd_export.export, net,
            path("no"))
    net = chain(Functional, source("x", 6, 3), lstm("a", 3, 4, False, time_major=True))
    refused("an option outside the list", ["'a'", "time_major"], rnnd_export.export, net, path("no"))
    net = Subclassed(None, None, [])
    refused("a class of one's own", ["Subclassed", "call()", "ONNX"], rnnd_export.export, net, path("no"))
    refused("no model", ["dict"], rnnd_export.export, {}, path("no"))
    x = source("x", 6, 3)
    a, b = lstm("a", 3, 4, False), lstm("b", 3, 4, False)
    refused("two outputs", ["2 outputs"], rnnd_export.export, Functional([x], [a(x), b(x)], [a, b]), path("no"))
    check("nothing was written", not os.path.exists(path("no")))


# ---- scalers ---------------------------------------------------------------------------------------------------------

class StandardScaler:
    pass


class MinMaxScaler:
    pass


class PowerTransformer:
    pass


def units_of_the_table():
    use(3)
    table = np.float32(normal(20, 3) * [2, 30, 500] + [5, -20, 1000])
    net = chain(Sequential, source("x", 8, 3), lstm("a", 3, 5, False), dense("d", 5, 2))
    standard = StandardScaler()
    standard.mean_, standard.scale_ = table.mean(0).astype(float), table.std(0).astype(float)
    minmax = MinMaxScaler() # to -1 .. 1: x scale_ + min_
    low, high = table.min(0).astype(float), table.max(0).astype(float)
    minmax.scale_, minmax.min_ = 2 / (high - low), -1 - low * 2 / (high - low)
    minmax.feature_names_in_ = np.array(["a", "b", "c"], object)
    numbers = {"a": {"type": "standard", "mean": 5, "std": 2}, "b": {"type": "none"},
               "c": {"type": "minmax", "max": 900}}
    cases = {"standard": (standard, (table - standard.mean_) / standard.scale_, "1",
                          lambda y: y * standard.scale_[1] + standard.mean_[1]),
             "minmax": (minmax, table * minmax.scale_ + minmax.min_, "b",
                        lambda y: (y - minmax.min_[1]) / minmax.scale_[1]),
             "numbers": (numbers, np.stack([(table[:, 0] - 5) / 2, table[:, 1], table[:, 2] / 900], 1), "c",
                         lambda y: y * 900)}
    for name, (scaler, scaled, target, back) in cases.items():
        whole = rnnd_export.export(net, path(name), scaler=scaler, target=target)
        np.savetxt(os.path.join(FOLDER, "t.csv"), table, "%.9g", ",", comments="",
                   header=",".join(c["name"] for c in whole["series"]["channels"]))
        said = rnnd("forecast", os.path.join(FOLDER, "t.csv"), "--model", path(name))
        rows = [line.split(",") for line in said.splitlines()[1:]]
        want = back(net.predict(scaled[None, -8:])[0].astype(float))
        check("%s: %s, wanted %s" % (name, said, want), [r[1] for r in rows] == [target, target] and np.allclose(
            [float(r[2]) for r in rows], want, rtol=1e-5, atol=1e-5 * np.abs(want).max()))
    refused("no target", ["2 numbers for 3 channels", "target="], rnnd_export.export, net, path("no"), scaler=standard)
    refused("not fitted", ["StandardScaler", "fit()"], rnnd_export.export, net, path("no"), scaler=StandardScaler())
    refused("another scaler", ["PowerTransformer"], rnnd_export.export, net, path("no"), scaler=PowerTransformer())
    minmax.scale_, minmax.min_ = minmax.scale_[:2], minmax.min_[:2]
    refused("too few columns", ["2 columns", "3 numbers"], rnnd_export.export, net, path("no"), scaler=minmax,
            target="a")


both_versions()
what_is_refused()
units_of_the_table()
print("%d passed, %d failed" % tuple(counts))
sys.exit(counts[1] > 0)
