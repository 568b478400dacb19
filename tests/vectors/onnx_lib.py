"""onnx_lib.py -- what the scripts share that make ONNX files: tensors, names, and the answers of ONNX Runtime."""
import json, os, struct, subprocess, sys
import numpy as np
import onnx
from onnx import TensorProto as T, helper as h, numpy_helper as nh

DTYPES = {"float32": "F32", "int64": "I64", "bool": "BOOL", "int32": "I32"}


def write_tensors(path, tensors):
    header, at, parts = {}, 0, []
    for name, a in tensors.items():
        data = np.ascontiguousarray(a).tobytes()
        header[name] = {"dtype": DTYPES[str(a.dtype)], "shape": list(a.shape), "data_offsets": [at, at + len(data)]}
        at += len(data)
        parts.append(data)
    text = json.dumps(header).encode()
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text + b"".join(parts))


def rng(name):
    return np.random.RandomState(sum(name.encode()) % 2**31)


def f32(r, *shape):
    return r.uniform(-1, 1, shape).astype(np.float32)


def value(name, shape, kind=T.FLOAT):
    return h.make_tensor_value_info(name, kind, shape)


def init(name, a):
    return nh.from_array(np.asarray(a), name)


ORT = """
const ort = require('onnxruntime-node'), fs = require('fs'), path = require('path');
const kinds = { F32: ['float32', Float32Array], I64: ['int64', BigInt64Array], BOOL: ['bool', Uint8Array],
                I32: ['int32', Int32Array] };
const names = { float32: 'F32', int64: 'I64', bool: 'BOOL', int32: 'I32' };
(async () => {
  for (const name of process.argv.slice(1)) {
    const file = path.join(process.cwd(), name + '.safetensors'), all = fs.readFileSync(file);
    const n = Number(all.readBigUInt64LE(0)), header = JSON.parse(all.subarray(8, 8 + n).toString());
    const feeds = {}, out = {}, parts = [];
    let at = 0;
    const put = (k, dtype, shape, bytes) => {
      out[k] = { dtype, shape, data_offsets: [at, at + bytes.length] }; at += bytes.length; parts.push(bytes); };
    for (const [k, t] of Object.entries(header)) {
      const bytes = all.subarray(8 + n + t.data_offsets[0], 8 + n + t.data_offsets[1]);
      const [type, List] = kinds[t.dtype], copy = new Uint8Array(bytes);
      feeds[k.slice(3)] = new ort.Tensor(type, type === 'bool' ? copy : new List(copy.buffer), t.shape);
      put(k, t.dtype, t.shape, Buffer.from(bytes));
    }
    const session = await ort.InferenceSession.create(path.join(process.cwd(), name + '.onnx'),
                                                      { graphOptimizationLevel: 'disabled', logSeverityLevel: 3 });
    const got = await session.run(feeds);
    for (const [k, t] of Object.entries(got))
      put('out.' + k, names[t.type], t.dims.slice(), Buffer.from(t.data.buffer, t.data.byteOffset, t.data.byteLength));
    const text = Buffer.from(JSON.stringify(out)), size = Buffer.alloc(8);
    size.writeBigUInt64LE(BigInt(text.length));
    fs.writeFileSync(file, Buffer.concat([size, text, ...parts]));
    console.log(name);
  }
})().catch((e) => { console.error(e); process.exit(1); });
"""


class Files:
    """NAME.onnx and NAME.safetensors ("in.INPUT", then "out.OUTPUT" too) in a folder beside this one."""

    def __init__(self, folder, producer):
        self.folder = os.path.join(os.path.dirname(os.path.abspath(__file__)), folder)
        self.producer, self.cases = producer, []
        os.makedirs(self.folder, exist_ok=True)

    def model(self, graph, opset, domains=(), functions=()):
        sets = [h.make_opsetid("", opset)] + [h.make_opsetid(d, 1) for d in domains]
        m = h.make_model(graph, opset_imports=sets, producer_name=self.producer, producer_version="1")
        m.ir_version = 4 if opset < 11 else 8
        m.functions.extend(functions)
        return m

    def add(self, name, model, inputs, check=True):
        """model: ModelProto, or None where the file is there already."""
        if model is not None:
            if check:
                onnx.checker.check_model(model)
            with open(os.path.join(self.folder, name + ".onnx"), "wb") as f:
                f.write(model.SerializeToString())
        write_tensors(os.path.join(self.folder, name + ".safetensors"), {"in." + k: v for k, v in inputs.items()})
        self.cases.append(name)

    def answer(self):
        for k in self.cases:
            if subprocess.run(["node", "-e", ORT, k], cwd=self.folder).returncode:
                print(f"{k}: no answer", file=sys.stderr)
