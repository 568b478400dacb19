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

v.write();
