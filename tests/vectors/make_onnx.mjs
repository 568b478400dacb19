// make_onnx.mjs -- the ONNX Runtime vectors: recurrent operators in the forms that PyTorch does not have.
//
//     npm install --ignore-scripts --prefix build/clients onnxruntime-node
//     NODE_PATH=build/clients/node_modules node tests/vectors/make_onnx.mjs
//
// Builds one-operator ONNX models (a dozen lines of protobuf below), runs them in ONNX Runtime and writes
// tests/vectors/onnx/*.safetensors: the same weights as a native model in the `onnx` layout, and vector.x, vector.h0,
// vector.c0, vector.y, vector.hn, vector.cn as make_torch.py does.
import { createRequire } from 'node:module';
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
const ort = createRequire((process.env.NODE_PATH ?? '.') + '/x.js')('onnxruntime-node');
const here = dirname(fileURLToPath(import.meta.url));

// ---- protobuf, as far as an ONNX file needs it -------------------------------------------------------------------
const varint = (n) => { const b = []; n = BigInt(n); if (n < 0n) n += 1n << 64n; do { b.push(Number(n & 127n) | (n > 127n ? 128 : 0)); n >>= 7n; } while (n > 0n); return Buffer.from(b); };
const int = (f, n) => Buffer.concat([varint(f << 3), varint(n)]);
const bytes = (f, b) => { b = Buffer.from(b); return Buffer.concat([varint(f << 3 | 2), varint(b.length), b]); };
const float = (f, x) => { const b = Buffer.alloc(4); b.writeFloatLE(x); return Buffer.concat([varint(f << 3 | 5), b]); };
const raw = (a) => Buffer.from(a.buffer, a.byteOffset, a.byteLength);
const tensor = (name, dims, data) => Buffer.concat([...dims.map((d) => int(1, d)), int(2, 1), bytes(8, name), bytes(9, raw(data))]);
const attribute = (name, v) => bytes(5, Buffer.concat([bytes(1, name), ...(typeof v === 'string' ? [bytes(4, v), int(20, 3)]
  : Array.isArray(v) && typeof v[0] === 'string' ? [...v.map((s) => bytes(9, s)), int(20, 8)]
  : Array.isArray(v) ? [...v.map((x) => float(7, x)), int(20, 6)]
  : name === 'clip' ? [float(2, v), int(20, 1)] : [int(3, v), int(20, 2)])]));
const port = (name, rank) => Buffer.concat([bytes(1, name), bytes(2, bytes(1, Buffer.concat([int(1, 1),
  bytes(2, Buffer.concat(Array.from({ length: rank }, (_, i) => bytes(1, bytes(2, 'd' + i)))))])))]);
const model = (op, attrs, inputs, outputs, constants) => Buffer.concat([int(1, 8), bytes(8, int(2, 14)), bytes(7, Buffer.concat([
  bytes(1, Buffer.concat([...inputs.map((s) => bytes(1, s)), ...outputs.map((s) => bytes(2, s)), bytes(4, op),
    ...Object.entries(attrs).map(([k, v]) => attribute(k, v))])), bytes(2, 'g'),
  ...Object.entries(constants).map(([k, { dims, data }]) => bytes(5, tensor(k, dims, data))),
  bytes(11, port('X', 3)), ...['initial_h', 'initial_c'].filter((s) => inputs.includes(s)).map((s) => bytes(11, port(s, 3))),
  ...outputs.map((s) => bytes(12, port(s, s === 'Y' ? 4 : 3)))]))]);

// ---- random numbers that are the same everywhere ------------------------------------------------------------------
let seed = 1;
const uniform = () => { seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0; return seed / 2 ** 32; };
const random = (n, scale) => Float32Array.from({ length: n }, () => (uniform() + uniform() + uniform() - 1.5) * 2 * scale);

// Weights are small enough that no case is chaotic: with gru_before_large at scale 0.7, ONNX Runtime itself is 2.5e-2 from
// float64 after 60 steps, and a start moved by 1e-7 as far; such a case says nothing about who is right.
const cases = [
  { name: 'gru_before', op: 'GRU', I: 5, H: 7, B: 2, T: 9, attrs: { linear_before_reset: 0 }, layer: { reset: 'before' } },
  { name: 'gru_before_large', op: 'GRU', I: 3, H: 40, B: 3, T: 60, scale: 0.2, attrs: { linear_before_reset: 0 }, layer: { reset: 'before' } },
  { name: 'gru_before_nobias', op: 'GRU', I: 4, H: 6, B: 2, T: 5, bias: false, attrs: { linear_before_reset: 0 }, layer: { reset: 'before', bias: false } },
  { name: 'gru_before_both_ways', op: 'GRU', I: 4, H: 9, B: 2, T: 6, D: 2, attrs: { linear_before_reset: 0, direction: 'bidirectional' }, layer: { reset: 'before', direction: 'bidirectional' } },
  { name: 'gru_before_clip', op: 'GRU', I: 5, H: 8, B: 2, T: 7, scale: 1.5, attrs: { linear_before_reset: 0, clip: 0.7 }, layer: { reset: 'before', clip: 0.7 } },
  { name: 'gru_after_relu', op: 'GRU', I: 5, H: 8, B: 2, T: 7, attrs: { linear_before_reset: 1, activations: ['HardSigmoid', 'Relu'], activation_alpha: [0.2], activation_beta: [0.5] }, layer: { reset: 'after', activations: { gate: { type: 'hard_sigmoid', alpha: 0.2, beta: 0.5 }, cell: 'relu' } } },
  { name: 'lstm_peephole', op: 'LSTM', I: 4, H: 6, B: 3, T: 8, peephole: true, attrs: {}, layer: { peephole: true } },
  { name: 'lstm_peephole_clip_reverse', op: 'LSTM', I: 4, H: 18, B: 2, T: 8, scale: 1.5, peephole: true, attrs: { clip: 0.8, direction: 'reverse' }, layer: { peephole: true, clip: 0.8, direction: 'reverse' } },
  { name: 'lstm_input_forget', op: 'LSTM', I: 4, H: 6, B: 3, T: 8, attrs: { input_forget: 1 }, layer: { coupled: 'forget' } },
  { name: 'lstm_activations', op: 'LSTM', I: 3, H: 5, B: 2, T: 10, attrs: { activations: ['HardSigmoid', 'Softsign', 'Elu'], activation_alpha: [0.2, 1.0], activation_beta: [0.5] }, layer: { activations: { gate: { type: 'hard_sigmoid', alpha: 0.2, beta: 0.5 }, cell: 'softsign', out: { type: 'elu', alpha: 1.0 } } } },
  { name: 'rnn_leaky', op: 'RNN', I: 3, H: 11, B: 2, T: 12, scale: 0.5, attrs: { activations: ['LeakyRelu'], activation_alpha: [0.1] }, layer: { nonlinearity: { type: 'leaky_relu', alpha: 0.1 } } },
];

function safetensors(path, tensors, config) {
  const header = { __metadata__: { rnnd: JSON.stringify(config) } }, parts = [];
  let at = 0;
  for (const [name, { dims, data }] of Object.entries(tensors)) {
    header[name] = { dtype: 'F32', shape: dims, data_offsets: [at, at + data.byteLength] };
    at += data.byteLength; parts.push(raw(data));
  }
  let text = JSON.stringify(header); text += ' '.repeat((8 - text.length % 8) % 8);
  const size = Buffer.alloc(8); size.writeBigUInt64LE(BigInt(Buffer.byteLength(text)));
  writeFileSync(path, Buffer.concat([size, Buffer.from(text), ...parts]));
}

mkdirSync(join(here, 'onnx'), { recursive: true });
for (const c of cases) {
  const { op, I, H, B, T, D = 1, scale = 0.7 } = c, G = { RNN: 1, GRU: 3, LSTM: 4 }[op];
  seed = [...c.name].reduce((a, s) => (a * 31 + s.charCodeAt(0)) >>> 0, 7);
  const k = { W: { dims: [D, G * H, I], data: random(D * G * H * I, scale) }, R: { dims: [D, G * H, H], data: random(D * G * H * H, scale) } };
  if (c.bias !== false) k.B = { dims: [D, 2 * G * H], data: random(D * 2 * G * H, scale) };
  if (c.peephole) k.P = { dims: [D, 3 * H], data: random(D * 3 * H, scale) };
  const x = random(T * B * I, 1), h0 = random(D * B * H, 0.5), c0 = random(D * B * H, 0.5);
  const inputs = ['X', 'W', 'R', k.B ? 'B' : '', '', 'initial_h', ...(op === 'LSTM' ? ['initial_c', ...(k.P ? ['P'] : [])] : [])];
  const outputs = ['Y', 'Y_h', ...(op === 'LSTM' ? ['Y_c'] : [])];
  const session = await ort.InferenceSession.create(model(op, { hidden_size: H, ...c.attrs }, inputs, outputs, k));
  const feeds = { X: new ort.Tensor('float32', x, [T, B, I]), initial_h: new ort.Tensor('float32', h0, [D, B, H]) };
  if (op === 'LSTM') feeds.initial_c = new ort.Tensor('float32', c0, [D, B, H]);
  const got = await session.run(feeds);
  const xs = new Float32Array(B * T * I), ys = new Float32Array(B * T * D * H), Y = got.Y.data;
  for (let t = 0; t < T; t++) for (let b = 0; b < B; b++) {
    for (let i = 0; i < I; i++) xs[(b * T + t) * I + i] = x[(t * B + b) * I + i];
    for (let d = 0; d < D; d++) for (let j = 0; j < H; j++) ys[((b * T + t) * D + d) * H + j] = Y[((t * D + d) * B + b) * H + j];
  }
  const tensors = { 'cell.W': k.W, 'cell.R': k.R, ...(k.B ? { 'cell.B': k.B } : {}), ...(k.P ? { 'cell.P': k.P } : {}),
    'vector.x': { dims: [B, T, I], data: xs }, 'vector.y': { dims: [B, T, D * H], data: ys },
    'vector.h0': { dims: [D, B, H], data: h0 }, 'vector.hn': { dims: [D, B, H], data: got.Y_h.data } };
  if (op === 'LSTM') Object.assign(tensors, { 'vector.c0': { dims: [D, B, H], data: c0 }, 'vector.cn': { dims: [D, B, H], data: got.Y_c.data } });
  safetensors(join(here, 'onnx', c.name + '.safetensors'), tensors, { format: 1, name: c.name, task: 'raw',
    inputs: [{ name: 'x', width: I }], layers: [{ type: op.toLowerCase(), name: 'cell', hidden: H, layout: 'onnx', ...c.layer }], output: 'all' });
  console.log(c.name);
}
