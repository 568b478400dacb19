// make_ops_a.mjs -- ONNX Runtime vectors of the elementwise, layout and reducing operators: tests/vectors/ops_a.txt.
// How to run it stands in ops_lib.mjs.
import { Vectors, f, i, b, float, seed, below } from './ops_lib.mjs';

const v = new Vectors('ops_a.txt', 'made by make_ops_a.mjs; the layout is described in tests/lib/op_vectors.h');
seed(20260);
const shapes = [[[3, 4], [3, 4]], [[2, 3, 4], [4]], [[2, 3, 4], [1]], [[], [5]], [[2, 1, 4], [3, 1]], [[2, 3, 1, 5], [1, 3, 4, 1]], [[], []], [[0, 3], [1, 3]]];
const nonzero = (k) => [1, -2, 3, 0.5, -1.5, 7, -4, 2.25][k % 8];
const divisors = (k) => [1, -2, 3, 5, -1, 7, -4, 2][k % 8];

// ---- arithmetic ----
for (const op of ['Add', 'Sub', 'Mul'])
  for (const [a, c] of shapes) await v.add(op, { in: [f(a), f(c)] });
await v.add('Add', { name: 'long', in: [f([2, 37]), f([37])] });
for (const op of ['Add', 'Sub', 'Mul']) await v.add(op, { name: 'int', in: [i([2, 3]), i([3])] });
await v.add('Add', { name: 'int_wraps', in: [i([2], [9223372036854775807n, -9223372036854775808n]), i([2], [1n, -1n])] });
await v.add('Mul', { name: 'int_wraps', in: [i([1], [4611686018427387904n]), i([1], [3n])] });
for (const [a, c] of shapes) await v.add('Div', { in: [f(a), f(c, nonzero)] });
await v.add('Div', { name: 'by_zero', in: [f([3], [1, -1, 0]), f([3], [0, 0, 0])] });
await v.add('Div', { name: 'int', in: [i([4, 8]), i([8], divisors)] });
await v.add('Mod', { name: 'int', in: [i([4, 8]), i([8], divisors)] });
await v.add('Mod', { name: 'int_c', attrs: { fmod: 1 }, in: [i([4, 8]), i([8], divisors)] });
await v.add('Mod', { name: 'float', attrs: { fmod: 1 }, in: [f([4, 8]), f([8], nonzero)] });
for (const y of [2, 0.5, 1, 3, 0, -1, 1.7, -2.5]) await v.add('Pow', { name: 'to_' + String(y).replace('-', 'minus_'), tol: 2e-6, in: [f([7], [0.3, 1, 2.5, 0, 11, 1e-3, 4]), f([], [y])] });
await v.add('Pow', { name: 'negative', tol: 2e-6, in: [f([6], [-2, -2, -2, -2, -1, -0.5]), f([6], [3, 2, -1, 0.5, 5, -3])] });
await v.add('Pow', { name: 'spread', tol: 2e-6, in: [f([2, 3], (k) => k / 2 + 0.1), f([3], [1.5, 0.25, 4])] });
await v.add('Pow', { name: 'int', in: [i([6], [2, -3, 0, 5, 1, 7]), i([6], [10, 3, 0, 1, 9, 2])] });
await v.add('Pow', { name: 'float_to_int', tol: 1e-6, in: [f([4], [1.5, -2, 3, 0.5]), i([4], [3, 5, 2, -2])] });
await v.add('Pow', { name: 'int_to_float', in: [i([3], [4, 9, 2]), f([3], [0.5, 0.5, 3.5])] });
for (const op of ['Max', 'Min', 'Sum', 'Mean']) {
  await v.add(op, { name: 'one', in: [f([2, 3])] });
  await v.add(op, { name: 'three', tol: 1e-6, in: [f([3]), f([2, 1]), f([4, 1, 1])] });
}
await v.add('Max', { name: 'nan', in: [f([3], [NaN, 1, 2]), f([3], [1, NaN, 0])] });
await v.add('Max', { name: 'int', in: [i([2, 3]), i([3]), i([])] });
await v.add('Min', { name: 'int', in: [i([2, 3]), i([3])] });
for (const c of [[4], [1], [3, 1], [2, 3, 4]]) await v.add('PRelu', { in: [f([2, 3, 4]), f(c)] });

// ---- functions ----
const wide = (k) => [-120, -30, -10, -5.5, -3, -2, -1.5, -1, -0.7, -0.5, -0.1, -1e-4, 0, 1e-4, 0.1, 0.5, 0.7, 1, 1.5, 2, 3, 5.5, 10, 30, 85][k % 25];
const t = 1e-6;
for (const op of ['Sigmoid', 'Tanh', 'Relu', 'Softplus', 'Softsign', 'HardSwish', 'Neg', 'Abs', 'Sign', 'Floor', 'Ceil', 'Erf', 'Sin', 'Cos', 'Exp', 'LeakyRelu', 'Elu', 'Selu', 'Celu', 'HardSigmoid', 'ThresholdedRelu', 'Mish', 'Identity'])
  await v.add(op, { name: 'wide', tol: t, in: [f([5, 5], wide)] });
for (const op of ['Relu', 'Sigmoid', 'Neg', 'Erf']) {
  await v.add(op, { name: 'scalar', tol: t, in: [f([], [0.3])] });
  await v.add(op, { name: 'empty', in: [f([2, 0, 3])] });
}
for (const op of ['Neg', 'Abs', 'Sign']) await v.add(op, { name: 'int', in: [i([2, 5])] });
for (const op of ['Gelu']) for (const how of ['none', 'tanh']) await v.add(op, { name: how, opset: 20, tol: t, attrs: { approximate: how }, in: [f([25], wide)] });
for (const op of ['Sqrt', 'Log']) await v.add(op, { tol: t, in: [f([8], [0, 1e-30, 0.3, 1, 2, 10, 1e10, Infinity])] });
await v.add('Reciprocal', { in: [f([6], [1, -2, 0.3, 1e30, 0, -Infinity])] });
await v.add('Round', { in: [f([10], [0.5, 1.5, 2.5, -0.5, -1.5, 2.4, -2.6, 1e10, 0, 3])] });
await v.add('Sin', { name: 'large', tol: t, in: [f([4], [1e4, -12345.6, 700, 31415.926])] });
await v.add('Elu', { name: 'alpha', tol: t, attrs: { alpha: float(0.3) }, in: [f([25], wide)] });
await v.add('Celu', { name: 'alpha', tol: t, attrs: { alpha: float(2) }, in: [f([25], wide)] });
await v.add('Selu', { name: 'other', tol: t, attrs: { alpha: float(1.5), gamma: float(0.5) }, in: [f([25], wide)] });
await v.add('LeakyRelu', { name: 'alpha', tol: t, attrs: { alpha: float(0.2) }, in: [f([25], wide)] });
await v.add('HardSigmoid', { name: 'thirds', tol: t, attrs: { alpha: float(1 / 6), beta: float(0.5) }, in: [f([25], wide)] });
await v.add('ThresholdedRelu', { name: 'alpha', attrs: { alpha: float(0.6) }, in: [f([25], wide)] });
await v.add('Clip', { name: 'both', in: [f([3, 4]), f([], [-0.5]), f([], [0.75])] });
await v.add('Clip', { name: 'low', in: [f([3, 4]), f([], [-0.5])] });
await v.add('Clip', { name: 'high', in: [f([3, 4]), null, f([], [0.25])] });
await v.add('Clip', { name: 'none', in: [f([3, 4])] });
await v.add('Clip', { name: 'crossed', in: [f([3], [-3, 0, 3]), f([], [1]), f([], [-1])] });
await v.add('Clip', { name: 'int', in: [i([2, 5]), i([], [-3]), i([], [4])] });
await v.add('Identity', { name: 'int', in: [i([2, 3])] });
await v.add('Dropout', { out: 2, in: [f([2, 3]), f([], [0.4])] });

// ---- comparing, logic, types ----
for (const op of ['Equal', 'Less', 'LessOrEqual', 'Greater', 'GreaterOrEqual']) {
  await v.add(op, { in: [i([3, 5], () => below(3)), i([5], () => below(3))] });
  await v.add(op, { in: [f([2, 3], () => below(3) / 2), f([2, 1], () => below(3) / 2)] });
  await v.add(op, { name: 'nan', in: [f([3], [NaN, 1, Infinity]), f([3], [NaN, NaN, Infinity])] });
}
await v.add('Equal', { name: 'bool', in: [b([4]), b([4])] });
for (const op of ['And', 'Or', 'Xor']) await v.add(op, { in: [b([2, 1, 3]), b([4, 1])] });
await v.add('Not', { in: [b([2, 5])] });
for (const [c, x, y] of [[[2, 3], [2, 3], [2, 3]], [[3], [2, 3], [1]], [[2, 1], [3], []], [[], [2, 2], [2, 2]], [[4, 1, 1], [3, 1], [2]]]) await v.add('Where', { in: [b(c), f(x), f(y)] });
await v.add('Where', { name: 'int', in: [b([2, 3]), i([3]), i([], [99])] });
const odd = [0, -0, 1, -1, 0.5, -0.5, NaN, Infinity, -Infinity];
await v.add('IsNaN', { in: [f([9], odd)] });
await v.add('IsInf', { in: [f([9], odd)] });
await v.add('IsInf', { name: 'above', attrs: { detect_negative: 0 }, in: [f([9], odd)] });
await v.add('IsInf', { name: 'below', attrs: { detect_positive: 0 }, in: [f([9], odd)] });
const casts = [1.9, -1.9, 0, 0.4, -0.4, 100.5, 127, 3];
for (const to of [1, 6, 7, 9, 10, 11, 16]) {
  const cast = [1, 7, 9].includes(to) ? undefined : [10, 11, 16].includes(to) ? 1 : 7;
  await v.add('Cast', { name: 'float_to_' + to, cast, attrs: { to }, in: [f([8], casts)] });
  await v.add('Cast', { name: 'int_to_' + to, cast, attrs: { to }, in: [i([2, 3], [5, -7, 0, 1, 1000, -3])] });
  await v.add('Cast', { name: 'bool_to_' + to, cast, attrs: { to }, in: [b([5])] });
}
for (const to of [2, 3, 5, 4, 12]) {
  await v.add('Cast', { name: 'float_in_range_to_' + to, cast: 7, attrs: { to }, in: [f([4], [0, 1.9, 100.5, 3])] });
  await v.add('Cast', { name: 'int_wraps_to_' + to, cast: 7, attrs: { to }, in: [i([6], [300, -1, 70000, 128, 4294967297, -32769])] });
}
await v.add('Cast', { name: 'half_rounds', cast: 1, attrs: { to: 10 }, in: [f([8], [1.0004883, 1.0014648, 65504, 65519, 65520, 6e-8, 1e-9, -0.33333334])] });
await v.add('CastLike', { name: 'to_int', in: [f([8], casts), i([1])] });
await v.add('CastLike', { name: 'to_bool', in: [i([3], [0, 2, -1]), b([1])] });
await v.add('CastLike', { name: 'to_float', in: [i([3], [0, 2, -1]), f([])] });

// ---- layout ----
for (const [dims, perm] of [[[2, 3]], [[2, 3, 4], [1, 0, 2]], [[2, 3, 4], [2, 0, 1]], [[2, 3, 4], [0, 2, 1]], [[4]], [[]], [[2, 1, 3, 2], [3, 1, 0, 2]], [[2, 3, 2, 2, 2], [4, 3, 2, 1, 0]], [[0, 3], [1, 0]]])
  await v.add('Transpose', { attrs: perm ? { perm } : {}, in: [f(dims)] });
await v.add('Transpose', { name: 'int', in: [i([3, 4])] });
await v.add('Transpose', { name: 'bool', attrs: { perm: [1, 0] }, in: [b([3, 4])] });
for (const [dims, to] of [[[2, 3, 4], [6, 4]], [[2, 3, 4], [-1, 2]], [[2, 3, 4], [0, -1]], [[2, 3, 4], [4, 0, 2]], [[1], []], [[], [1, 1]], [[0, 3], [0, 1, 3]], [[2, 3], [1, 2, 1, 3, 1]]])
  await v.add('Reshape', { in: [f(dims), i([to.length], to)] });
await v.add('Reshape', { name: 'allowzero', attrs: { allowzero: 1 }, in: [f([2, 0]), i([3], [0, 4, 5])] });
await v.add('Reshape', { name: 'int', in: [i([6]), i([2], [2, 3])] });
for (const axis of [0, 1, 2, 3, -1]) await v.add('Flatten', { attrs: { axis }, in: [f([2, 3, 4])] });
await v.add('Flatten', { name: 'default', in: [f([5])] });
await v.add('Squeeze', { name: 'all', in: [f([1, 3, 1, 2])] });
await v.add('Squeeze', { in: [f([1, 3, 1, 2]), i([1], [2])] });
await v.add('Squeeze', { in: [i([1, 3, 1, 2]), i([2], [-2, 0])] });
for (const axes of [[0], [3], [-1], [0, 2, 5], [1, -1]]) await v.add('Unsqueeze', { in: [f([2, 3, 2].slice(0, 3)), i([axes.length], axes)] });
await v.add('Unsqueeze', { name: 'scalar', in: [f([]), i([1], [0])] });
for (const axis of [0, 1, -1, -3]) {
  const shape = (n) => [2, 3, 2].map((d, k) => (k === (axis + 3) % 3 ? n : d));
  await v.add('Concat', { attrs: { axis }, in: [f(shape(2)), f(shape(1)), f(shape(0)), f(shape(3))] });
}
await v.add('Concat', { name: 'one', attrs: { axis: 0 }, in: [f([2])] });
await v.add('Concat', { name: 'int', attrs: { axis: 0 }, in: [i([2]), i([3])] });
await v.add('Concat', { name: 'bool', attrs: { axis: 1 }, in: [b([2, 2]), b([2, 1])] });
await v.add('Split', { name: 'lengths', attrs: { axis: 1 }, out: 3, in: [f([2, 6, 2]), i([3], [1, 3, 2])] });
await v.add('Split', { name: 'zero', attrs: { axis: -1 }, out: 2, in: [i([2, 3]), i([2], [0, 3])] });
await v.add('Split', { name: 'number', attrs: { axis: 0, num_outputs: 3 }, out: 3, in: [f([6, 2])] });
await v.add('Split', { name: 'uneven', attrs: { axis: 0, num_outputs: 3 }, out: 3, in: [f([7, 2])] });
await v.add('Split', { name: 'one_unwanted', attrs: { axis: 1 }, out: [true, false, true], in: [f([2, 6]), i([3], [2, 2, 2])] });
const least = -9223372036854775808n, most = 9223372036854775807n;
for (const [starts, ends, axes, steps] of [
  [[0, 1], [2, 3]], [[1], [most], [1]], [[-2], [most], [-1]], [[0, 0, 1], [2, -1, 4], [0, 1, 2], [1, 1, 2]], [[most], [least], [0], [-1]],
  [[-1], [least], [2], [-1]], [[3], [0], [2], [-2]], [[-100], [100], [1], [1]], [[2], [1], [0]], [[1, 4], [0, -5], [1, 2], [-1, -3]], [[0], [most], [2], [most]],
  [[-1], [least], [0], [least]], [[100], [least], [1], [-1]], [[-100], [least], [1], [-1]]]) {
  const list = (a) => (a ? i([a.length], a) : null), inputs = [f([3, 3, 5]), list(starts), list(ends), list(axes), list(steps)];
  while (!inputs[inputs.length - 1]) inputs.pop();
  await v.add('Slice', { in: inputs });
}
await v.add('Slice', { name: 'no_axes', in: [i([6]), i([1], [5]), i([1], [0]), null, i([1], [-2])] });
await v.add('Slice', { name: 'empty', in: [f([0, 3]), i([1], [0]), i([1], [5]), i([1], [0])] });

// ---- shapes, filling ----
for (const attrs of [{}, { start: 1 }, { end: -1 }, { start: -2, end: 3 }, { start: 2, end: 1 }, { start: -9, end: 9 }]) await v.add('Shape', { attrs, in: [f([2, 3, 4])] });
await v.add('Shape', { name: 'scalar', in: [f([])] });
await v.add('Size', { in: [f([2, 3, 4])] });
await v.add('Size', { name: 'scalar', in: [i([])] });
for (const [dims, to] of [[[3, 1], [2, 1, 4]], [[3], [3]], [[1], [2, 2]], [[], [2, 3]], [[2, 3, 4], [1]], [[1, 3, 1], [2, 3, 2]], [[3, 1], [0]], [[1, 2], [0, 2]]])
  if (!(to[0] === 0 && dims[1] === 1)) await v.add('Expand', { in: [f(dims), i([to.length], to)] });
await v.add('Expand', { name: 'int', in: [i([2, 1]), i([2], [2, 3])] });
await v.add('Expand', { name: 'bool', in: [b([1, 3]), i([2], [2, 3])] });
for (const [dims, n] of [[[2], [3]], [[2, 3], [2, 2]], [[2, 1, 3], [1, 4, 2]], [[2, 3], [1, 1]], [[2, 3], [0, 2]]]) await v.add('Tile', { in: [f(dims), i([n.length], n)] });
await v.add('Tile', { name: 'int', in: [i([2, 2, 2]), i([3], [2, 1, 3])] });
await v.add('ConstantOfShape', { name: 'zeros', in: [i([2], [2, 3])] });
await v.add('ConstantOfShape', { name: 'float', in: [i([2], [2, 3])], value: f([1], [1.5]) });
await v.add('ConstantOfShape', { name: 'int', in: [i([1], [4])], value: i([1], [-7]) });
await v.add('ConstantOfShape', { name: 'bool', in: [i([1], [3])], value: b([1], [1]) });
await v.add('ConstantOfShape', { name: 'scalar', in: [i([0], [])], value: i([1], [5]) });
await v.add('ConstantOfShape', { name: 'empty', in: [i([2], [0, 3])] });
for (const [a, z, s] of [[0, 5, 1], [5, 0, -2], [0, 5, 2], [3, 3, 1], [0, 5, -1], [-3, 4, 3]]) await v.add('Range', { in: [i([], [a]), i([], [z]), i([], [s])] });
for (const [a, z, s] of [[0, 2, 0.5], [1, -1, -0.3], [0, 1, 2], [2, 1, 1]]) await v.add('Range', { name: 'float_' + v.cases, tol: 1e-6, in: [f([], [a]), f([], [z]), f([], [s])] });
for (const axis of [-1, 0, 1]) await v.add('OneHot', { attrs: { axis }, in: [i([2, 3], [0, 2, -1, 5, -4, 1]), i([], [4]), f([2], [-1, 2])] });
await v.add('OneHot', { name: 'int', in: [i([3], [1, 0, 2]), i([1], [3]), i([2], [0, 1])] });
await v.add('OneHot', { name: 'float_indices', in: [f([3], [1, 0, 2]), f([1], [3]), f([2], [0, 1])] });
for (const mode of ['constant', 'reflect', 'edge'])
  for (const pads of [[0, 1, 0, 2], [2, 0, 1, 3], [-1, 0, 0, -2], [-1, 2, 1, -1]])
    await v.add('Pad', { name: `${mode}_${v.cases}`, attrs: { mode }, in: [f([3, 4]), i([4], pads), ...(mode === 'constant' ? [f([], [0.5])] : [])] });
await v.add('Pad', { name: 'zeros', in: [f([2, 2]), i([4], [1, 0, 0, 1])] });
await v.add('Pad', { name: 'axes', in: [f([2, 2, 3]), i([4], [1, 0, 0, 2]), f([], [9]), i([2], [-1, 0])] });
await v.add('Pad', { name: 'wrap', opset: 19, attrs: { mode: 'wrap' }, in: [f([3, 2]), i([4], [2, 1, 1, 3])] });
await v.add('Pad', { name: 'int', in: [i([3]), i([2], [1, 1]), i([], [7])] });
await v.add('Pad', { name: 'rank_3_edge', attrs: { mode: 'edge' }, in: [f([2, 3, 2]), i([6], [1, 0, 2, 0, 1, 1])] });

// ---- picking and putting ----
const picks = (dims, n) => i(dims, () => below(2 * n) - n);
for (const axis of [0, 1, 2, -1]) for (const q of [[], [2], [2, 2]]) await v.add('Gather', { attrs: { axis }, in: [f([3, 3, 3]), picks(q, 3)] });
await v.add('Gather', { name: 'int', in: [i([5]), picks([2], 5)] });
await v.add('Gather', { name: 'bool', attrs: { axis: 1 }, in: [b([2, 5]), picks([3], 5)] });
await v.add('Gather', { name: 'none', in: [f([3, 2]), i([0], [])] });
for (const axis of [0, 1, -1]) await v.add('GatherElements', { attrs: { axis }, in: [f([3, 3]), picks([2, 3], 3)] });
await v.add('GatherElements', { name: 'int', attrs: { axis: 1 }, in: [i([2, 2, 3]), picks([2, 4, 3], 2)] });
await v.add('GatherND', { in: [f([3, 4]), i([2, 2], [0, 1, 2, -1])] });
await v.add('GatherND', { in: [f([3, 4]), i([2, 1], [2, 0])] });
await v.add('GatherND', { in: [i([2, 3, 2]), i([2, 1, 2], [0, 1, 1, -3])] });
await v.add('GatherND', { name: 'batch', attrs: { batch_dims: 1 }, in: [f([2, 3, 2]), i([2, 2, 1], [0, 1, 2, -1])] });
await v.add('GatherND', { name: 'batch_2', attrs: { batch_dims: 2 }, in: [f([2, 2, 3]), i([2, 2, 1], [0, 1, 2, -1])] });
for (const reduction of ['none', 'add', 'mul', 'max', 'min']) {
  await v.add('ScatterElements', { name: reduction, attrs: { axis: 1, reduction }, in: [f([3, 4]), i([2, 3], [0, -1, 2, 1, 3, 0]), f([2, 3])] });
  await v.add('ScatterND', { name: reduction, attrs: { reduction }, in: [f([4, 3]), i([2, 2], [0, 1, 3, -1]), f([2])] });
}
await v.add('ScatterElements', { name: 'twice', attrs: { reduction: 'add' }, in: [f([3]), i([4], [0, 0, 1, 0]), f([4])] });
await v.add('ScatterElements', { name: 'int', in: [i([3, 2]), i([1, 2], [2, 0]), i([1, 2])] });
await v.add('ScatterND', { name: 'rows', in: [f([4, 2, 2]), i([2, 1], [3, 0]), f([2, 2, 2])] });
await v.add('ScatterND', { name: 'bool', in: [b([4]), i([2, 1], [1, 3]), b([2])] });
await v.add('NonZero', { in: [f([2, 4], [0, 1, 0, 2, 3, 0, 0, -1])] });
await v.add('NonZero', { name: 'bool', in: [b([2, 2, 3])] });
await v.add('NonZero', { name: 'none', in: [i([2, 2], [0, 0, 0, 0])] });
await v.add('NonZero', { name: 'scalar', in: [f([], [2])] });
for (const [axis, n] of [[0, 3], [1, 2], [-1, 4]]) await v.add('Compress', { attrs: { axis }, in: [f([3, 2, 4]), b([n])] });
await v.add('Compress', { name: 'flat', in: [f([2, 3]), b([5], [0, 1, 0, 1, 1])] });

// ---- order ----
for (const attrs of [{}, { exclusive: 1 }, { reverse: 1 }, { exclusive: 1, reverse: 1 }]) for (const axis of [0, -1]) await v.add('CumSum', { tol: t, attrs, in: [f([3, 2, 4]), i([], [axis])] });
await v.add('CumSum', { name: 'int', in: [i([2, 4]), i([], [1])] });
for (const [axis, k] of [[-1, 3], [0, 2], [1, 1]]) for (const largest of [1, 0]) await v.add('TopK', { attrs: { axis, largest }, out: 2, in: [f([3, 4, 5]), i([1], [k])] });
await v.add('TopK', { name: 'ties', out: 2, in: [f([8], [1, 3, 3, 2, 3, 1, 2, 3]), i([1], [6])] });
await v.add('TopK', { name: 'all_int', out: 2, in: [i([2, 9]), i([1], [9])] });
await v.add('TopK', { name: 'places_only', out: [false, true], in: [f([4, 6]), i([1], [2])] });
await v.add('TopK', { name: 'none', out: 2, in: [f([2, 3]), i([1], [0])] });
await v.add('ReverseSequence', { in: [f([4, 3, 2]), i([3], [4, 2, 1])] });
await v.add('ReverseSequence', { name: 'batch_first', attrs: { batch_axis: 0, time_axis: 1 }, in: [i([3, 4]), i([3], [1, 4, 3])] });
for (const upper of [1, 0]) for (const k of [null, 1, -1, 5]) await v.add('Trilu', { attrs: { upper }, in: k === null ? [f([2, 3, 4])] : [f([3, 4]), i([], [k])] });
await v.add('Trilu', { name: 'int', in: [i([4, 2])] });

// ---- reducing ----
const positive = (k) => 0.2 + (k * 7 % 11) / 4;
for (const op of ['Sum', 'Mean', 'Max', 'Min', 'Prod', 'L1', 'L2', 'SumSquare', 'LogSum', 'LogSumExp']) {
  const data = op === 'LogSum' ? positive : undefined;
  for (const [dims, axes, keepdims] of [[[2, 3, 4], [1], 1], [[2, 3, 4], [0, 2], 0], [[2, 3, 4], [-1], 0], [[2, 3, 4], null, 1], [[3, 2, 2, 3], [1, 2], 1], [[], null, 0]])
    await v.add('Reduce' + op, { tol: t, attrs: { keepdims }, in: [f(dims, data), ...(axes ? [i([axes.length], axes)] : [])] });
  await v.add('Reduce' + op, { name: 'noop', tol: t, attrs: { noop_with_empty_axes: 1 }, in: [f([2, 3], positive), i([0], [])] });
}
for (const op of ['Sum', 'Max', 'Min', 'Prod', 'Mean', 'L1', 'SumSquare']) if (!['L1', 'SumSquare', 'Mean'].includes(op)) await v.add('Reduce' + op, { name: 'int', in: [i([2, 3, 2]), i([1], [1])] });
await v.add('ReduceSum', { name: 'of_nothing', in: [f([2, 0]), i([1], [1])] });
await v.add('ReduceLogSumExp', { name: 'large', tol: t, in: [f([2, 2], [1000, 999, -1000, -1001]), i([1], [1])] });
for (const op of ['ArgMax', 'ArgMin']) {
  for (const [axis, keepdims] of [[0, 1], [1, 0], [-1, 1]]) await v.add(op, { attrs: { axis, keepdims }, in: [f([3, 4, 3])] });
  for (const select_last_index of [0, 1]) await v.add(op, { name: 'ties_' + select_last_index, attrs: { axis: 1, select_last_index }, in: [f([2, 5], [1, 2, 2, 1, 2, 0, 0, 3, 0, 3])] });
  await v.add(op, { name: 'int', in: [i([4, 3])] });
}

v.write();
