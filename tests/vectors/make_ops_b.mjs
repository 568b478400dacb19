// make_ops_b.mjs -- vectors of products, convolutions, norms and recurrent operators (ops_lib.mjs says how to run it).
import { Vectors, seed, uniform, f, i, i32, float } from './ops_lib.mjs';

const tol = 1e-5;

// ---- products ----------------------------------------------------------------------------------------------------
async function linear() {
  const v = new Vectors('ops_linear.txt', 'MatMul, Gemm, Einsum');
  seed(1);
  const shapes = [[[3, 4], [4, 5]], [[1, 1], [1, 1]], [[4], [4]], [[4], [4, 3]], [[3, 4], [4]], [[2, 3, 4], [4, 5]],
    [[2, 3, 4], [2, 4, 5]], [[2, 1, 3, 4], [3, 4, 2]], [[3, 4], [2, 3, 4, 2]], [[2, 3, 4], [4]], [[4], [2, 4, 3]],
    [[1, 3, 17], [17, 65]], [[2, 2, 2, 33], [1, 2, 33, 18]], [[130, 3], [3, 2]], [[0, 3], [3, 2]], [[2, 3], [3, 0]],
    [[2, 0], [0, 3]], [[1, 2, 3, 2], [2, 1, 2, 3]]];
  for (const [a, b] of shapes) {
    await v.add('MatMul', { in: [f(a), f(b)], tol });
  }
  await v.add('MatMul', { name: 'const_right', in: [f([5, 7]), f([2, 7, 3])], constants: [1], tol });
  await v.add('MatMul', { name: 'const_left', in: [f([5, 7]), f([2, 7, 3])], constants: [0], tol });
  for (const transA of [0, 1]) for (const transB of [0, 1]) for (const c of [null, [3, 5], [5], [1, 5], [3, 1], [1], []]) {
    const attrs = { ...(transA ? { transA } : {}), ...(transB ? { transB } : {}),
      ...(c && c.length === 1 ? { alpha: float(0.5), beta: float(-2) } : {}) };
    const ends = [f(transA ? [4, 3] : [3, 4]), f(transB ? [5, 4] : [4, 5]), ...(c ? [f(c)] : [])];
    await v.add('Gemm', { name: `${transA}${transB}_${c ? 'c' + c.join('x') : 'noc'}`, attrs, in: ends,
      constants: transA === transB ? [1, 2].slice(0, ends.length - 1) : [], tol });
  }
  await v.add('Gemm', { name: 'alpha', attrs: { alpha: float(0.25) }, in: [f([2, 3]), f([3, 2])], tol });
  await v.add('Gemm', { name: 'beta0', attrs: { beta: float(0) }, in: [f([2, 3]), f([3, 2]), f([2])], tol });
  await v.add('Gemm', { name: 'empty', in: [f([0, 3]), f([3, 2]), f([2])], tol });
  const equations = [['bij,bjk->bik', [2, 3, 4], [2, 4, 5]], ['bth,h->bt', [2, 3, 4], [4]], ['btd,de->bte', [2, 3, 4], [4, 5]],
    ['bhqd,bhkd->bhqk', [2, 2, 3, 4], [2, 2, 5, 4]], ['ij,jk', [3, 4], [4, 2]], ['i,j->ij', [3], [4]], ['i,i->', [5], [5]],
    ['ij,jk->ki', [3, 4], [4, 2]], ['abc,cd->abd', [2, 3, 4], [4, 2]], ['abcd,abed->abce', [1, 2, 3, 4], [1, 2, 5, 4]],
    ['aecd,abcd->acbe', [1, 2, 3, 4], [1, 5, 3, 4]], ['bi,bi->bi', [2, 3], [2, 3]], ['abc,abc->b', [2, 3, 4], [2, 3, 4]],
    ['bi , bj -> bij', [2, 3], [2, 4]], ['Ab,bA->A', [2, 3], [3, 2]], ['ab,cb->ac', [2, 33], [20, 33]]];
  for (const [equation, a, b] of equations) {
    const name = equation.replace(/[^A-Za-z]+/g, '_');
    const attrs = { equation };
    const shown = { equation: equation.replace(/ /g, '') };
    await v.add('Einsum', { name, attrs, shown, in: [f(a), f(b)], tol });
  }
  v.write();
}

// ---- recurrent operators -------------------------------------------------------------------------------------------
const gates = { LSTM: 4, GRU: 3, RNN: 1 };
const tenths = (dims) => f(dims, () => Math.round((uniform() * 2 - 1) * 10) / 10);
const turn = (t, a, b) => { // axes a and b change places
  const dims = [...t.dims], data = t.data.slice(), stride = (d) => d.reduceRight((s, n, k) => ((s.out[k] = s.step), { step: s.step * n, out: s.out }), { step: 1, out: [] }).out;
  [dims[a], dims[b]] = [dims[b], dims[a]];
  const from = stride(t.dims), to = stride(dims);
  [from[a], from[b]] = [from[b], from[a]];
  for (let k = 0; k < data.length; k++) {
    let rest = k, at = 0;
    dims.forEach((_, d) => { at += Math.floor(rest / to[d]) * from[d]; rest %= to[d]; });
    data[k] = t.data[at];
  }
  return { ...t, dims, data };
};
// ONNX Runtime does not know layout 1: it is layout 0 with axes turned
const batchFirst = ({ in: x, out: y }) => ({
  in: x.map((t, k) => (t && [0, 5, 6].includes(k) ? turn(t, 0, 1) : t)),
  out: y.map((t, k) => (t && (k === 0 ? turn(turn(t, 0, 2), 1, 2) : turn(t, 0, 1)))) });

async function sequence() {
  const v = new Vectors('ops_sequence.txt', 'LSTM, GRU, RNN');
  seed(2);
  const add = async (op, name, c = {}) => {
    const { T = 3, B = 2, I = 2, H = 3, direction, lens, bias = true, h, cell, peephole, out = true, layout, ...attrs } = c;
    const D = direction === 'bidirectional' ? 2 : 1, G = gates[op];
    const ends = [f([T, B, I]), tenths([D, G * H, I]), tenths([D, G * H, H]), bias ? tenths([D, 2 * G * H]) : null,
      lens ? i32([B], lens) : null, h ? f([D, B, H]) : null, ...(op === 'LSTM' ? [cell ? f([D, B, H]) : null, peephole ? tenths([D, 3 * H]) : null] : [])];
    while (ends.at(-1) === null) ends.pop();
    const said = { hidden_size: H, ...(direction ? { direction } : {}), ...attrs };
    await v.add(op, { name, attrs: said, shown: { ...said, ...(layout ? { layout: 1 } : {}) }, in: ends, constants: [1, 2, 3, 7],
      out: out === true ? (op === 'LSTM' ? 3 : 2) : out, tol, digits: 7, ...(layout ? { retold: batchFirst } : {}) });
  };
  for (const op of ['LSTM', 'GRU', 'RNN']) {
    for (const direction of ['forward', 'reverse', 'bidirectional']) {
      await add(op, direction, { direction });
      await add(op, direction + '_state', { direction, h: true, cell: true, bias: false });
      await add(op, direction + '_lens', { direction, lens: [3, 1], h: true, cell: true });
      await add(op, direction + '_layout1', { direction, layout: true, h: true, cell: true, lens: [2, 3, 1], B: 3 });
    }
    await add(op, 'plain_layout1', { layout: true });
    await add(op, 'lens_zero', { lens: [0, 3] });
    await add(op, 'lens_zero_state', { lens: [2, 0], h: true, cell: true, direction: 'bidirectional' });
    await add(op, 'one', { T: 1, B: 1, I: 1, H: 1, bias: false });
    await add(op, 'H17', { T: 2, B: 1, I: 1, H: 17, bias: false, h: true });
    await add(op, 'B5', { T: 2, B: 5, I: 3, H: 2, lens: [1, 2, 2, 1, 2], direction: 'reverse' });
    await add(op, 'long', { T: 150, B: 1, I: 1, H: 2, out: [false, true] });
    await add(op, 'clip', { clip: float(0.3), h: true });
    await add(op, 'clip_both', { clip: float(0.5), direction: 'bidirectional' });
    await add(op, 'only_y', { out: 1 });
    await add(op, 'only_h', { out: [false, true], direction: 'bidirectional', h: true });
  }
  await add('LSTM', 'only_c', { out: [false, false, true], h: true, cell: true });
  await add('LSTM', 'y_and_c', { out: [true, false, true], lens: [2, 3] });
  for (const direction of ['forward', 'reverse', 'bidirectional']) {
    await add('LSTM', 'peephole_' + direction, { direction, peephole: true, h: true, cell: true });
    await add('LSTM', 'input_forget_' + direction, { direction, input_forget: 1, h: true, cell: true });
  }
  await add('LSTM', 'peephole_clip', { peephole: true, clip: float(0.4), cell: true });
  await add('LSTM', 'peephole_input_forget_lens', { peephole: true, input_forget: 1, lens: [1, 3], cell: true });
  await add('LSTM', 'c_alone', { cell: true });
  for (const direction of ['forward', 'bidirectional']) {
    await add('GRU', 'after_' + direction, { direction, linear_before_reset: 1, h: true });
    await add('GRU', 'after_nobias_' + direction, { direction, linear_before_reset: 1, bias: false });
  }
  await add('GRU', 'after_clip_lens', { linear_before_reset: 1, clip: float(0.4), lens: [3, 2] });
  await add('GRU', 'after_layout1', { linear_before_reset: 1, layout: true, h: true });
  await add('GRU', 'after_H33', { linear_before_reset: 1, H: 33, I: 1, T: 2, B: 1, bias: false, out: [false, true] });
  const acts = ['Relu', 'Tanh', 'Sigmoid', 'Affine', 'LeakyRelu', 'ThresholdedRelu', 'ScaledTanh', 'HardSigmoid', 'Elu', 'Softsign', 'Softplus'];
  const small = { T: 2, B: 1, H: 2 };
  // without lists: ONNX Runtime takes 0 for three of them, where the standard says what the operator of that name has
  for (const a of acts) if (!['Affine', 'ThresholdedRelu', 'ScaledTanh'].includes(a)) await add('GRU', a, { ...small, activations: ['Sigmoid', a] });
  await add('RNN', 'Affine_ab', { ...small, activations: ['Affine'], activation_alpha: float([0.5]), activation_beta: float([0.25]) });
  await add('RNN', 'ScaledTanh_ab', { ...small, activations: ['ScaledTanh'], activation_alpha: float([1.5]), activation_beta: float([0.75]) });
  await add('RNN', 'LeakyRelu_a', { ...small, activations: ['LeakyRelu'], activation_alpha: float([0.3]) });
  await add('RNN', 'two_lists', { ...small, direction: 'bidirectional', activations: ['LeakyRelu', 'HardSigmoid'],
    activation_alpha: float([0.3, 0.4]), activation_beta: float([0.1]) });
  await add('RNN', 'one_of_two', { ...small, direction: 'bidirectional', activations: ['Tanh', 'Elu'], activation_alpha: float([0.5]) });
  await add('LSTM', 'relu', { activations: ['HardSigmoid', 'Relu', 'Softsign'], h: true, cell: true });
  await add('LSTM', 'lists', { activations: ['HardSigmoid', 'ScaledTanh', 'Affine'], activation_alpha: float([0.3, 1.2, 0.9]),
    activation_beta: float([0.4, 0.8, 0.1]) });
  await add('LSTM', 'lists_with_gaps', { activations: ['Sigmoid', 'LeakyRelu', 'ScaledTanh'], activation_alpha: float([0.2, 1.5]),
    activation_beta: float([0.6]) });
  await add('LSTM', 'lists_both', { direction: 'bidirectional', activations: ['HardSigmoid', 'Tanh', 'Relu', 'Sigmoid', 'Elu', 'ScaledTanh'],
    activation_alpha: float([0.25, 0.7, 1.1]), activation_beta: float([0.45, 0.9]) });
  await add('LSTM', 'peephole_acts', { peephole: true, activations: ['HardSigmoid', 'Softplus', 'Elu'], cell: true });
  await add('GRU', 'acts', { activations: ['HardSigmoid', 'Softsign'], h: true });
  await add('GRU', 'acts_after', { linear_before_reset: 1, activations: ['HardSigmoid', 'LeakyRelu'], activation_alpha: float([0.3, 0.1]),
    activation_beta: float([0.6]), h: true });
  await add('GRU', 'acts_both', { direction: 'bidirectional', activations: ['Sigmoid', 'Relu', 'HardSigmoid', 'Affine'],
    activation_alpha: float([0.3, 0.5]), activation_beta: float([0.4, 0.1]) });
  v.write();
}

const parts = { linear, sequence };
for (const part of process.argv.length > 2 ? process.argv.slice(2) : Object.keys(parts)) await parts[part]();
