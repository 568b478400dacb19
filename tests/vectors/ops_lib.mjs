// ops_lib.mjs -- what the operator vectors share: one-node ONNX models, run in ONNX Runtime, written as text.
//
//     npm install --ignore-scripts --prefix build/clients onnxruntime-node
//     NODE_PATH=build/clients/node_modules node tests/vectors/make_ops_a.mjs
//
// The text is described in tests/lib/op_vectors.h. Use:
//     const v = new Vectors('ops_a.txt', 'what is in it');
//     await v.add('Gather', { name: 'negative', attrs: { axis: 1 }, in: [f([2, 3]), i([2], [0, -1])] });
//     v.write();
// Options of add: attrs (whole numbers are ints, F(x) floats, arrays lists), in (tensors, null = absent), out (how many
// outputs, 1; false in an array = our node is not asked for it), tol, opset (18), cast (ONNX type that the output becomes before it is read),
// constants (numbers of the inputs that stand as constants), value (a tensor attribute "value", which our nodes take as a
// further input), shown (attributes that our node gets instead, where it is told otherwise), retold (a function of
// { in, out }, the tensors, that gives those that our node gets and answers instead), digits (of outputs, 9).
import { createRequire } from 'node:module';
import { writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
const ort = createRequire((process.env.NODE_PATH ?? '.') + '/x.js')('onnxruntime-node');
const here = dirname(fileURLToPath(import.meta.url));

// ---- random numbers that are the same everywhere ------------------------------------------------------------------
let state = 1;
export const seed = (n) => { state = n >>> 0; };
export const uniform = () => { state = (Math.imul(state, 1664525) + 1013904223) >>> 0; return state / 2 ** 32; };
export const below = (n) => Math.floor(uniform() * n);
const count = (dims) => dims.reduce((a, b) => a * b, 1);

// ---- tensors: f floats (two decimals, normal-like), i int64, b bool; data, a function of the index, or random ---------
const fill = (dims, data, random) => Array.from({ length: count(dims) },
  (_, k) => (typeof data === 'function' ? data(k) : data ? data[k] : random()));
export const f = (dims, data) => ({ type: 'f', dims,
  data: Float32Array.from(fill(dims, data, () => Math.round((uniform() + uniform() + uniform() - 1.5) * 200) / 100)) });
export const i = (dims, data) => ({ type: 'i', dims, data: BigInt64Array.from(fill(dims, data, () => below(19) - 9), (x) => BigInt(x)) });
export const i32 = (dims, data) => ({ ...i(dims, data), int32: true }); // int32 to ONNX Runtime, int64 to us
export const b = (dims, data) => ({ type: 'b', dims, data: Uint8Array.from(fill(dims, data, () => below(2)), Number) });
export class F { constructor(x) { this.x = x; } }
export const float = (x) => new F(x);

// ---- protobuf, as far as an ONNX file needs it -------------------------------------------------------------------
const varint = (n) => {
  const out = [];
  n = BigInt(n);
  if (n < 0n) n += 1n << 64n;
  do { out.push(Number(n & 127n) | (n > 127n ? 128 : 0)); n >>= 7n; } while (n > 0n);
  return Buffer.from(out);
};
const int = (field, n) => Buffer.concat([varint(field << 3), varint(n)]);
const bytes = (field, x) => { x = Buffer.from(x); return Buffer.concat([varint(field << 3 | 2), varint(x.length), x]); };
const single = (field, x) => { const out = Buffer.alloc(5); out[0] = field << 3 | 5; out.writeFloatLE(x, 1); return out; };
const raw = (a) => Buffer.from(a.buffer, a.byteOffset, a.byteLength);
const codes = { f: 1, i: 7, b: 9 };
const code = (t) => (t.int32 ? 6 : codes[t.type]);
const tensor = (name, t) => Buffer.concat([...t.dims.map((d) => int(1, d)), int(2, code(t)), bytes(8, name), bytes(9, raw(t.data))]);
const attribute = (name, v) => {
  const kind = (n, ...parts) => bytes(5, Buffer.concat([bytes(1, name), ...parts, int(20, n)]));
  if (v instanceof F) return Array.isArray(v.x) ? kind(6, ...v.x.map((x) => single(7, x))) : kind(1, single(2, v.x));
  if (typeof v === 'string') return kind(3, bytes(4, v));
  if (v.dims) return kind(4, bytes(5, tensor('', v)));
  if (Array.isArray(v) && typeof v[0] === 'string') return kind(8, ...v.map((s) => bytes(9, s)));
  return Array.isArray(v) ? kind(7, ...v.map((x) => int(8, x))) : kind(2, int(3, v));
};
const port = (name, t) => Buffer.concat([bytes(1, name), ...(t ? [bytes(2, bytes(1, Buffer.concat([int(1, code(t)),
  bytes(2, Buffer.concat(t.dims.map((d) => bytes(1, int(1, d)))))])))] : [])]);
const node = (op, inputs, outputs, attrs) => bytes(1, Buffer.concat([...inputs.map((s) => bytes(1, s)),
  ...outputs.map((s) => bytes(2, s)), bytes(4, op), ...Object.entries(attrs).map(([k, v]) => attribute(k, v))]));

function model(op, o, outputs) {
  const inputs = o.in.map((t, k) => (t ? 'in' + k : ''));
  const last = outputs.map((s) => (o.cast ? s + 'c' : s));
  const nodes = [node(op, inputs, outputs, { ...o.attrs, ...(o.value ? { value: o.value } : {}) }),
    ...(o.cast ? outputs.map((s) => node('Cast', [s], [s + 'c'], { to: o.cast })) : [])];
  return Buffer.concat([int(1, 9), bytes(8, int(2, o.opset ?? 18)), bytes(7, Buffer.concat([...nodes, bytes(2, 'g'),
    ...o.in.map((t, k) => (t ? bytes(11, port('in' + k, t)) : Buffer.alloc(0))), ...last.map((s) => bytes(12, port(s)))]))]);
}

// ---- text ----------------------------------------------------------------------------------------------------------
const number = (x, most = 9) => { // a float in as few digits as give it back, at most so many
  if (typeof x === 'bigint' || !Number.isFinite(x)) return String(x);
  if (Object.is(x, -0)) return '-0';
  for (let digits = 1; ; digits++) if (Math.fround(Number(x.toPrecision(digits))) === Math.fround(x) || digits === most) return String(Number(x.toPrecision(digits)));
};
const words = (t, digits) => {
  const v = [...t.data].map((x) => number(x, digits)), one = v.length > 1 && v.every((x) => x === v[0]);
  return [t.type, t.dims.length ? t.dims.join(',') : '.', ...(one ? v.slice(0, 1) : v)].join(' ');
};
const attrLine = ([name, v]) => {
  if (v instanceof F) return Array.isArray(v.x) ? ['floats', name, ...v.x] : ['float', name, v.x];
  if (typeof v === 'string') return ['string', name, v];
  if (Array.isArray(v)) return [typeof v[0] === 'string' ? 'strings' : 'ints', name, ...v];
  return ['int', name, v];
};
const types = { float32: 'f', int64: 'i', bool: 'b' };
const ortTypes = { f: 'float32', i: 'int64', b: 'bool' };

export class Vectors {
  constructor(file, title) { this.path = join(here, file); this.lines = ['# ' + title]; this.cases = 0; }

  async add(op, o) {
    o.in ??= [];
    const asked = Array.isArray(o.out) ? o.out : Array(o.out ?? 1).fill(true);
    const outputs = asked.map((_, k) => 'out' + k);
    const feeds = {};
    o.in.forEach((t, k) => { if (t) feeds['in' + k] = t.int32 ? new ort.Tensor('int32', Int32Array.from(t.data, Number), t.dims)
      : new ort.Tensor(ortTypes[t.type], t.data, t.dims); });
    let got;
    const name = op + (o.name ? '_' + o.name : '_' + this.cases);
    try {
      const session = await ort.InferenceSession.create(model(op, o, outputs), { logSeverityLevel: 4, graphOptimizationLevel: 'disabled', intraOpNumThreads: 1 });
      got = await session.run(feeds);
    } catch (e) {
      throw new Error(name + ': ' + e.message);
    }
    this.lines.push(['case', name, op].join(' '));
    if (o.tol) this.lines.push('tol ' + o.tol);
    for (const entry of Object.entries(o.shown ?? o.attrs ?? {})) this.lines.push(attrLine(entry).join(' '));
    const read = (y) => ({ type: types[y.type], dims: y.dims, data: y.data });
    let told = { in: o.in, out: asked.map((yes, k) => (yes ? read(got[o.cast ? `out${k}c` : 'out' + k]) : null)) };
    if (o.retold) told = o.retold(told);
    told.in.forEach((t, k) => this.lines.push(t ? (o.constants?.includes(k) ? 'const ' : 'in ') + words(t) : 'none'));
    if (o.value) this.lines.push('const ' + words(o.value));
    told.out.forEach((t) => this.lines.push(t ? 'out ' + words(t, o.digits) : 'skip'));
    this.cases++;
  }

  write() {
    writeFileSync(this.path, this.lines.join('\n') + '\n');
    console.log(`${this.path}: ${this.cases} cases`);
  }
}
