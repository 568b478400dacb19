#!/usr/bin/python3
"""make_torch_files.py -- small files as torch.save() writes them, and what torch reads from them.

    python3 tests/vectors/make_torch_files.py      (Debian's python3-torch 1.13; rewrites tests/vectors/torch_files/)

NAME.pt beside NAME.safetensors, which has the tensors that a reader must find, in their own types. Bare modules and
those of the class Net also have vector.x [B][T][in] and vector.y, computed in float64 from the float32 weights.
"""
import collections, copy, io, os, struct, sys, zipfile
import numpy as np
import torch
from torch import nn

HERE = os.path.dirname(os.path.abspath(__file__))
OUT = os.path.join(HERE, "torch_files")
torch.set_num_threads(1)
TYPES = {torch.float32: "F32", torch.float64: "F64", torch.float16: "F16", torch.bfloat16: "BF16", torch.int64: "I64",
         torch.int32: "I32", torch.int16: "I16", torch.int8: "I8", torch.uint8: "U8", torch.bool: "BOOL"}


def raw(t):
    t = t.detach().contiguous()
    return (t.view(torch.int16) if t.dtype == torch.bfloat16 else t).numpy().tobytes()


def write_expected(name, tensors):
    import json
    header, blocks, at = {}, [], 0
    for key in sorted(tensors):
        block = raw(tensors[key])
        header[key] = {"dtype": TYPES[tensors[key].dtype], "shape": list(tensors[key].shape),
                       "data_offsets": [at, at + len(block)]}
        blocks.append(block)
        at += len(block)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(os.path.join(OUT, name + ".safetensors"), "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text + b"".join(blocks))


def path(name):
    return os.path.join(OUT, name + ".pt")


class Net(nn.Module):
    """GRU -> relu -> fc on the last step: the relu is in no file but that of the whole module."""
    def __init__(self):
        super().__init__()
        self.gru = nn.GRU(3, 4, num_layers=2, batch_first=True)
        self.relu = nn.ReLU()
        self.fc = nn.Linear(4, 2)

    def forward(self, x):
        return self.fc(self.relu(self.gru(x)[0][:, -1]))


class Tagger(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(7, 5, padding_idx=0)
        self.lstm = nn.LSTM(5, 3, bidirectional=True, batch_first=True)
        self.norm = nn.LayerNorm(6, eps=1e-6)
        self.head = nn.Sequential(nn.Linear(6, 4), nn.LeakyReLU(0.2), nn.Dropout(0.1), nn.Linear(4, 7))

    def forward(self, ids):
        return self.head(self.norm(self.lstm(self.embedding(ids))[0]))


class Scaler:
    """stands for what people keep beside their weights"""
    def __init__(self):
        self.mean = np.arange(3, dtype=np.float64)
        self.scale = np.float32(2.5)


def no_source(*args, **kw):
    raise OSError("the text of torch's own classes stays out of these files")


torch.serialization.get_source_lines_and_file = no_source


def save_script(script, target):
    """without the program, which is not read"""
    buffer = io.BytesIO()
    torch.jit.save(script, buffer)
    with zipfile.ZipFile(buffer) as a, zipfile.ZipFile(target, "w") as b:
        for entry in a.namelist():
            if "/code/" not in entry:
                b.writestr(entry, a.read(entry))


def swap_storages(source, target):
    """the same archive as a big-endian machine writes it (float32 storages)"""
    with zipfile.ZipFile(source) as a, zipfile.ZipFile(target, "w") as b:
        root = a.namelist()[0].split("/")[0]
        for entry in a.namelist():
            data = a.read(entry)
            if "/data/" in entry:
                data = np.frombuffer(data, "<f4").astype(">f4").tobytes()
            b.writestr(entry, data)
        b.writestr(root + "/byteorder", "big")


def expected_output(net, x, bare):
    wide = copy.deepcopy(net).double().eval()
    with torch.no_grad():
        y = wide(x if x.dtype == torch.int64 else x.double())
    return (y[0] if bare else y).float()


def bare_modules():
    for n, (name, net) in enumerate([("lstm", nn.LSTM(3, 4, 2, batch_first=True)),
                                     ("lstm_proj", nn.LSTM(3, 6, proj_size=2, bidirectional=True, batch_first=True)),
                                     ("gru", nn.GRU(2, 3, bias=False, batch_first=True)),
                                     ("rnn_relu", nn.RNN(3, 4, nonlinearity="relu", batch_first=True))]):
        torch.manual_seed(n)
        for p in net.parameters():
            nn.init.normal_(p, std=0.4)
        x = torch.randn(2, 6, net.input_size)
        expected = dict(net.state_dict())
        expected["vector.x"], expected["vector.y"] = x, expected_output(net, x, True)
        torch.save(net.state_dict(), path(name))
        torch.save(net.state_dict(), path(name + "_legacy"), _use_new_zipfile_serialization=False)
        torch.save(net, path(name + "_module"))
        torch.save(net, path(name + "_module_legacy"), _use_new_zipfile_serialization=False)
        save_script(torch.jit.script(net), path(name + "_script"))
        write_expected(name, expected)


def networks():
    torch.manual_seed(11)
    net = Net().eval()
    for p in net.parameters():
        nn.init.normal_(p, std=0.5)
    x = torch.randn(2, 5, 3)
    optimizer = torch.optim.Adam(net.parameters())
    net(x).sum().backward()
    optimizer.step()
    net.zero_grad()
    expected = dict(net.state_dict())
    expected["vector.x"], expected["vector.y"] = x, expected_output(net, x, False)
    write_expected("net", expected)
    torch.save(net.state_dict(), path("net"))
    torch.save(net, path("net_module"))
    save_script(torch.jit.trace(net, x), path("net_script"))
    torch.save({"epoch": 3, "model_state_dict": net.state_dict(), "optimizer_state_dict": optimizer.state_dict(),
                "loss": torch.tensor(0.25), "scaler": Scaler(), "mean": np.arange(3.0), "vocab": {"\n": 0, "a": 1}},
               path("net_checkpoint"))
    torch.save({"net": {"state_dict": nn.DataParallel(net).state_dict()}}, path("net_parallel"))
    torch.save(nn.DataParallel(net), path("net_parallel_module"))
    torch.save({"_orig_mod." + k: v for k, v in net.state_dict().items()}, path("net_compiled"))
    torch.save(net.state_dict(), path("net_protocol4"), pickle_protocol=4)
    swap_storages(path("net"), path("net_big"))

    torch.manual_seed(12)
    tagger = Tagger().eval()
    ids = torch.randint(0, 7, (2, 5))
    expected = dict(tagger.state_dict())
    expected["vector.x"], expected["vector.y"] = ids.float(), expected_output(tagger, ids, False)
    write_expected("tagger", expected)
    torch.save(tagger.state_dict(), path("tagger"))
    torch.save(tagger, path("tagger_module"))


def views():
    base = torch.arange(24, dtype=torch.float32)
    tensors = collections.OrderedDict()
    tensors["whole"] = base.view(4, 6)
    tensors["turned"] = base.view(4, 6).t()
    tensors["every_second"] = base[1::2]
    tensors["tail"] = base[20:]
    tensors["expanded"] = base[2:3].expand(3, 5)
    tensors["none"] = torch.zeros(0, 3)
    tensors["scalar"] = torch.tensor(7.5)
    tensors["parameter"] = nn.Parameter(base.view(2, 3, 4).permute(2, 0, 1))
    for dtype in (torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.int32, torch.int16, torch.int8,
                  torch.uint8):
        tensors[str(dtype)[6:]] = torch.arange(6).view(2, 3).to(dtype) * (1 if dtype == torch.uint8 else -3)
    tensors["bool"] = torch.tensor([True, False, True])
    torch.save(tensors, path("views"))
    torch.save(tensors, path("views_legacy"), _use_new_zipfile_serialization=False)
    write_expected("views", tensors)


def refused():
    torch.save({"a": torch.quantize_per_tensor(torch.randn(3), 0.1, 0, torch.qint8)}, path("refused_quantised"))
    torch.save({"a": torch.eye(3).to_sparse()}, path("refused_sparse"))
    torch.save({"a": torch.zeros(2, dtype=torch.complex64)}, path("refused_complex"))
    torch.save(torch.optim.Adam(nn.Linear(2, 2).parameters()).state_dict(), path("refused_optimizer"))
    torch.save(Scaler(), path("refused_object"))


def main():
    os.makedirs(OUT, exist_ok=True)
    for f in os.listdir(OUT):
        os.remove(os.path.join(OUT, f))
    bare_modules()
    networks()
    views()
    refused()


main()
