#!/usr/bin/python3
"""make_export.py -- models of Keras and PyTorch as models/rnnd_export.py writes them, with what the frameworks answer.

    python3 tests/vectors/make_export.py      (rewrites tests/vectors/export/; torch, and Keras 3 with any backend)

Where one of the two is missing, the other's files are written alone. Every file has vector.x [batch][steps][inputs] and
vector.y [batch][steps or 1][outputs], the framework's own answer to another input than the golden one. The files of
Keras were made with 3.16 on its numpy backend (Conv1D, which that hands to jax, by a sum of products in its place).
"""
import os, sys
import numpy as np

HERE = os.path.dirname(os.path.abspath(__file__))
OUT = os.path.join(HERE, "export")
sys.path.insert(0, os.path.join(HERE, "..", "..", "models"))
sys.dont_write_bytecode = True
import rnnd_export

rng = np.random.default_rng(17)


def write(name, model, x, y, **options):
    y = np.asarray(y, np.float32)
    ids = x.ndim == 2
    rnnd_export.export(model, os.path.join(OUT, name + ".safetensors"), extra_tensors=dict(options.pop("extra", {}), **{
        "vector.x": np.asarray(x[..., None] if ids else x, np.float32),
        "vector.y": y[:, None] if y.ndim == 2 else y}), **options)
    print(name)


# ---- Keras -----------------------------------------------------------------------------------------------------------

def keras_models(keras):
    """[(name, model, options)]"""
    L, I, Model = keras.layers, keras.Input, keras.Model
    list_of = lambda *layers: keras.Sequential(list(layers))
    yield "keras_stack", list_of(I((None, 3)), L.LSTM(5, return_sequences=True, activation="relu"), L.Dropout(.2),
                                 L.GRU(4, reset_after=False, recurrent_activation="hard_sigmoid"),
                                 L.Dense(3, activation="leaky_relu"), L.Dense(2)), {}
    yield "keras_two_ways", list_of(I((7, 3)), L.Bidirectional(L.LSTM(4, return_sequences=True), merge_mode="sum"),
                                    L.Bidirectional(L.GRU(3)), L.Dense(1, use_bias=False)), {}
    yield "keras_each_step", list_of(I((None, 2)), L.SimpleRNN(4, return_sequences=True, activation="relu",
                                                               use_bias=False),
                                     L.TimeDistributed(L.Dense(3, activation="softmax"))), {}
    yield "keras_ids", list_of(I((None,)), L.Embedding(11, 4), L.GRU(5, use_bias=False),
                               L.Dense(11, activation="softmax")), {}
    yield "keras_norms", list_of(I((None, 4)), L.BatchNormalization(scale=False), L.LSTM(3, return_sequences=True),
                                 L.LayerNormalization(center=False), L.LeakyReLU(negative_slope=.1),
                                 L.Activation("silu"), L.PReLU(shared_axes=[1]), L.ELU(.5), L.ReLU(6)), {}
    yield "keras_convolution", list_of(I((None, 2)), L.Conv1D(4, 3, padding="causal", dilation_rate=2,
                                                              activation="tanh"),
                                       L.GRU(3, return_sequences=True)), {}
    yield "keras_backwards", list_of(I((6, 3)), L.LSTM(4, return_sequences=True, go_backwards=True),
                                     L.GRU(2, go_backwards=True)), {}
    yield "keras_cells", list_of(I((None, 3)), L.RNN(L.LSTMCell(3), return_sequences=True), L.RNN(L.GRUCell(2))), {}
    yield "keras_stateful", list_of(I(batch_shape=(2, 3, 2)), L.LSTM(3, stateful=True), L.Dense(1)), {}
    a = I((7, 3), name="table")
    h = L.Add()([L.LSTM(4, return_sequences=True)(a),
                 L.Bidirectional(L.GRU(4, return_sequences=True), merge_mode="ave")(a)])
    yield "keras_graph", Model(a, L.Dense(2)(L.GRU(3)(L.Concatenate()([h, a])))), {}
    inner = keras.Sequential([I((None, 4)), L.GRU(4, return_sequences=True), L.Dense(4, activation="elu")])
    a = I((None, 4))
    yield "keras_shared", Model(a, inner(inner(a))), {}
    a = I((None, 3))
    yield "keras_first_output", Model(a, L.Dense(2)(L.LSTM(4, return_state=True, return_sequences=True)(a)[0])), {}
    yield "keras_forecaster", list_of(I((4, 3)), L.LSTM(5), L.Dense(1)), {
        "scaler": {"load": {"type": "standard", "mean": 50, "std": 20}, "hour": {"type": "minmax", "min": 0, "max": 23},
                   "warm": {"type": "none"}}, "target": "load"}
    a = I((8, 3))
    last = L.Lambda(lambda x: x[:, -1], name="last")
    yield "keras_lambda", Model(a, L.Dense(2)(last(L.LSTM(4, return_sequences=True)(a)))), {"layers": {"last": None}}


def make_keras(keras):
    for name, model, options in keras_models(keras):
        for v in model.weights:
            v.assign(rng.normal(size=v.shape) * .5 + (1.5 if "variance" in v.path else 0))
        batch, steps = model.inputs[0].shape[0] or 3, model.inputs[0].shape[1] or 11
        x = rng.integers(0, 11, (batch, steps)) if name == "keras_ids" else rng.normal(
            size=(batch, steps, model.inputs[0].shape[2]))
        y = model.predict(x.astype(np.float32), batch_size=batch, verbose=0)
        write(name, model, x, y, **options)


# ---- PyTorch ---------------------------------------------------------------------------------------------------------

def torch_modules(torch, nn, F):
    """[(name, module)], whose forward() is what people write"""
    class Net(nn.Module):
        def __init__(self, run, **children):
            super().__init__()
            for name, m in children.items():
                setattr(self, name, m)
            self.run = run

        def forward(self, x):
            return self.run(self, x)

    class Stateful(nn.Module):
        def __init__(self):
            super().__init__()
            self.embed, self.gru, self.out = nn.Embedding(9, 4), nn.GRU(4, 5, batch_first=True), nn.Linear(5, 9)

        def init_hidden(self, batch):
            return torch.zeros(1, batch, 5)

        def forward(self, x, h):
            y, h = self.gru(self.embed(x), h)
            return self.out(y.reshape(-1, 5)), h

    yield "torch_last", Net(lambda s, x: s.fc(s.lstm(x)[0][:, -1]), lstm=nn.LSTM(3, 6, 2, batch_first=True),
                            fc=nn.Linear(6, 2))
    yield "torch_relu_between", Net(lambda s, x: s.fc(F.relu(s.lstm(x)[1][0][-1])),
                                    lstm=nn.LSTM(3, 6, 2, batch_first=True), fc=nn.Linear(6, 2))
    yield "torch_time_first", Net(lambda s, x: s.fc(s.gru(x)[0][-1]), fc=nn.Linear(5, 2), gru=nn.GRU(3, 5))
    ends = lambda s, x: torch.cat(list(s.rnn(x)[1][0][-2:]), 1)
    yield "torch_both_ends", Net(lambda s, x: torch.sigmoid(s.b(s.drop(F.relu(s.a(ends(s, x)))))),
                                 rnn=nn.LSTM(3, 4, batch_first=True, bidirectional=True), a=nn.Linear(8, 6),
                                 drop=nn.Dropout(.3), b=nn.Linear(6, 1))
    yield "torch_log_softmax", Net(lambda s, x: F.log_softmax(s.o(s.rnn(torch.tanh(s.i(x)))[0][:, -1, :]), dim=1),
                                   i=nn.Linear(3, 4), rnn=nn.RNN(4, 5, batch_first=True), o=nn.Linear(5, 3))
    yield "torch_squeezed", Net(lambda s, x: s.fc(s.rnn(x)[0][:, -1]).squeeze(), rnn=nn.GRU(3, 4, batch_first=True),
                                fc=nn.Linear(4, 1))
    yield "torch_stateful", Stateful()


def make_torch(torch):
    torch.manual_seed(5)
    torch.set_num_threads(1)
    for name, module in torch_modules(torch, torch.nn, torch.nn.functional):
        module.eval()
        x = torch.randint(0, 9, (3, 12)) if name == "torch_stateful" else torch.randn(3, 12, 3)
        with torch.no_grad():
            if name == "torch_stateful":
                y = module(x, module.init_hidden(3))[0].reshape(3, 12, 9)
            else:
                y = module(x.transpose(0, 1) if name == "torch_time_first" else x).reshape(3, -1)
        write(name, module, x.numpy(), y.numpy())


def main():
    os.makedirs(OUT, exist_ok=True)
    try:
        import torch
        make_torch(torch)
    except ImportError as e:
        print("no files of PyTorch: %s" % e)
    try:
        import keras
        make_keras(keras)
    except ImportError as e:
        print("no files of Keras: %s" % e)


main()
