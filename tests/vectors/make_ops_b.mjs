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

// ---- convolutions, pooling, Resize ---------------------------------------------------------------------------------
async function convolution() {
  const v = new Vectors('ops_convolution.txt', 'Conv, ConvTranspose, pooling, Resize');
  seed(3);
  const conv = async (name, x, w, attrs = {}, bias = true, op = 'Conv') => {
    const out = op === 'Conv' ? w[0] : w[1] * (attrs.group ?? 1);
    await v.add(op, { name, attrs, in: [f(x), f(w), ...(bias ? [f([out])] : [])], tol, digits: 7 });
  };
  await conv('1d', [2, 3, 7], [4, 3, 3]);
  await conv('1d_nobias', [1, 2, 5], [3, 2, 2], {}, false);
  await conv('1d_stride', [1, 2, 11], [3, 2, 4], { strides: [3] });
  await conv('1d_pads', [2, 2, 5], [2, 2, 3], { pads: [2, 1], kernel_shape: [3] });
  await conv('1d_causal', [1, 3, 6], [2, 3, 3], { pads: [4, 0], dilations: [2] });
  await conv('1d_dilated_strided', [1, 2, 12], [3, 2, 3], { dilations: [3], strides: [2], pads: [1, 3] });
  await conv('1d_wide', [1, 17, 3], [33, 17, 1]);
  await conv('1d_group', [2, 4, 6], [6, 2, 3], { group: 2 });
  await conv('1d_depthwise', [1, 3, 6], [3, 1, 3], { group: 3, pads: [1, 1] });
  await conv('1d_long', [1, 1, 210], [2, 1, 3], { pads: [1, 1], strides: [2] });
  for (const auto_pad of ['SAME_UPPER', 'SAME_LOWER', 'VALID']) {
    await conv('1d_' + auto_pad, [1, 2, 7], [2, 2, 4], { auto_pad });
    await conv('1d_stride_' + auto_pad, [1, 2, 7], [2, 2, 3], { auto_pad, strides: [2] });
    await conv('2d_' + auto_pad, [1, 1, 4, 5], [2, 1, 2, 3], { auto_pad, strides: [2, 1] });
  }
  await conv('2d', [2, 2, 4, 5], [3, 2, 2, 3]);
  await conv('2d_pads', [1, 2, 3, 4], [2, 2, 3, 3], { pads: [1, 0, 2, 3] });
  await conv('2d_strides', [1, 2, 6, 7], [2, 2, 3, 2], { strides: [2, 3] });
  await conv('2d_dilations', [1, 1, 6, 7], [2, 1, 2, 3], { dilations: [3, 2], pads: [1, 1, 1, 1] });
  await conv('2d_group', [1, 4, 3, 3], [4, 2, 2, 2], { group: 2, strides: [1, 2], pads: [0, 1, 1, 0] });
  await conv('2d_height1', [1, 2, 1, 6], [2, 2, 1, 3]);
  const back = (name, x, w, attrs, bias) => conv(name, x, w, attrs, bias, 'ConvTranspose');
  await back('1d', [2, 3, 4], [3, 2, 3]);
  await back('1d_stride', [1, 2, 4], [2, 3, 4], { strides: [3] });
  await back('1d_pads', [1, 2, 5], [2, 2, 4], { strides: [2], pads: [1, 2] }, false);
  await back('1d_more', [1, 2, 4], [2, 2, 3], { strides: [3], output_padding: [2] });
  await back('1d_dilated', [1, 2, 4], [2, 2, 3], { dilations: [2], strides: [2] });
  await back('1d_shape', [1, 2, 4], [2, 2, 3], { strides: [2], output_shape: [8] });
  await back('1d_shape_odd', [1, 2, 4], [2, 2, 4], { strides: [2], output_shape: [7] });
  for (const auto_pad of ['SAME_UPPER', 'SAME_LOWER', 'VALID']) await back('1d_' + auto_pad, [1, 2, 4], [2, 1, 5], { auto_pad, strides: [2] });
  await back('1d_group', [1, 4, 3], [4, 3, 2], { group: 2 });
  await back('2d', [1, 2, 3, 2], [2, 3, 2, 3], { strides: [2, 1] });
  await back('2d_all', [1, 2, 3, 2], [2, 2, 3, 2], { strides: [2, 3], pads: [1, 0, 0, 1], output_padding: [1, 2], dilations: [1, 2] });
  for (const op of ['MaxPool', 'AveragePool']) {
    const pool = (name, x, attrs) => v.add(op, { name, attrs, in: [f(x)], tol, digits: 7 });
    await pool('1d', [2, 2, 7], { kernel_shape: [3] });
    await pool('1d_stride', [1, 2, 8], { kernel_shape: [3], strides: [2] });
    await pool('1d_pads', [1, 2, 6], { kernel_shape: [3], pads: [1, 2], strides: [2] });
    await pool('1d_ceil', [1, 2, 8], { kernel_shape: [3], strides: [3], ceil_mode: 1 });
    await pool('1d_ceil_pads', [1, 2, 7], { kernel_shape: [3], strides: [2], ceil_mode: 1, pads: [1, 1] });
    await pool('1d_ceil_beyond', [1, 1, 5], { kernel_shape: [1], strides: [3], ceil_mode: 1 });
    for (const auto_pad of ['SAME_UPPER', 'SAME_LOWER', 'VALID']) await pool('1d_' + auto_pad, [1, 2, 7], { kernel_shape: [4], strides: [2], auto_pad });
    await pool('2d', [1, 2, 4, 5], { kernel_shape: [2, 3] });
    await pool('2d_all', [1, 1, 6, 7], { kernel_shape: [3, 2], strides: [2, 2], pads: [1, 0, 2, 1], ceil_mode: 1 });
    if (op === 'MaxPool') await pool('dilated', [1, 1, 6, 7], { kernel_shape: [2, 3], dilations: [2, 3], strides: [1, 1] });
    if (op === 'MaxPool') await pool('dilated_pads', [1, 2, 9], { kernel_shape: [3], dilations: [2], pads: [2, 1] });
    if (op === 'AveragePool') {
      await pool('padded', [1, 2, 6], { kernel_shape: [3], pads: [1, 2], strides: [2], count_include_pad: 1 });
      await pool('padded_2d', [1, 1, 4, 5], { kernel_shape: [3, 2], pads: [1, 1, 1, 0], count_include_pad: 1 });
      await pool('padded_ceil', [1, 1, 6], { kernel_shape: [3], strides: [2], pads: [1, 1], ceil_mode: 1, count_include_pad: 1 });
      await v.add(op, { name: 'dilated', opset: 19, attrs: { kernel_shape: [3], dilations: [2], pads: [1, 1] }, in: [f([1, 2, 8])], tol, digits: 7 });
    }
    for (const x of [[2, 3, 7], [1, 2, 3, 4], [1, 2, 2, 3, 2]]) await v.add('Global' + op, { name: x.length + 'd', in: [f(x)], tol, digits: 7 });
  }
  const empty = f([0]);
  for (const mode of ['half_pixel', 'pytorch_half_pixel', 'asymmetric', 'align_corners'])
    for (const nearest_mode of ['round_prefer_floor', 'round_prefer_ceil', 'floor', 'ceil']) {
      const attrs = { mode: 'nearest', coordinate_transformation_mode: mode, nearest_mode };
      await v.add('Resize', { name: `${mode}_${nearest_mode}_up`, attrs, in: [f([1, 1, 3]), empty, f([3], [1, 1, 2.6])], tol });
      await v.add('Resize', { name: `${mode}_${nearest_mode}_down`, attrs, in: [f([1, 1, 7]), null, null, i([3], [1, 1, 4])], tol });
    }
  await v.add('Resize', { name: '2d', attrs: { mode: 'nearest' }, in: [f([1, 2, 2, 3]), null, f([4], [1, 1, 2, 3])], tol });
  await v.add('Resize', { name: 'axes', attrs: { mode: 'nearest', axes: [3, 2] }, in: [f([1, 1, 2, 3]), null, null, i([2], [6, 3])], tol });
  await v.add('Resize', { name: 'one', attrs: { mode: 'nearest', coordinate_transformation_mode: 'pytorch_half_pixel' }, in: [f([1, 1, 5]), null, null, i([3], [1, 1, 1])], tol });
  await v.add('Upsample', { name: '2d', opset: 9, attrs: { mode: 'nearest' }, in: [f([1, 2, 2, 3]), f([4], [1, 1, 2, 3])], tol });
  await v.add('Upsample', { name: '1d', opset: 9, attrs: { mode: 'nearest' }, in: [f([1, 2, 4]), f([3], [1, 1, 2.5])], tol });
  v.write();
}

// ---- norms ---------------------------------------------------------------------------------------------------------
async function normal() {
  const v = new Vectors('ops_normal.txt', 'Softmax to GroupNormalization');
  seed(4);
  const rows = [['1d', [5]], ['2d', [3, 4]], ['3d', [2, 3, 4]], ['first', [4, 3, 2], 0], ['middle', [2, 5, 3], 1], ['negative', [2, 5, 3], -2],
    ['wide', [2, 37]], ['one', [3, 1]]];
  for (const op of ['Softmax', 'LogSoftmax', 'Hardmax', 'LpNormalization'])
    for (const [name, x, axis] of rows) await v.add(op, { name, attrs: axis === undefined ? {} : { axis }, in: [f(x)], tol, digits: 7 });
  await v.add('Softmax', { name: 'large', in: [f([2, 3], [1000, 1001, 999, -1000, -1001, -999])], tol });
  await v.add('LogSoftmax', { name: 'large', in: [f([2, 3], [1000, 1001, 999, -1000, -1001, -999])], tol });
  await v.add('Softmax', { name: 'masked', in: [f([2, 3], [-Infinity, 1, 2, 3, -Infinity, -Infinity])], tol });
  await v.add('Softmax', { name: 'empty', in: [f([0, 3])], tol });
  await v.add('Hardmax', { name: 'ties', in: [f([2, 4], [1, 3, 3, 0, 2, 2, 2, 2])], tol });
  for (const p of [1, 2]) await v.add('LpNormalization', { name: 'p' + p, attrs: { p, axis: 1 }, in: [f([2, 3, 4])], tol });
  const layer = (name, x, scale, bias, attrs = {}, out = 1) => v.add('LayerNormalization',
    { name, attrs, in: [f(x), f(scale), ...(bias ? [f(bias)] : [])], out, tol, digits: 7 });
  await layer('2d', [3, 5], [5], [5]);
  await layer('3d', [2, 3, 17], [17], [17], { epsilon: float(0.001) });
  await layer('nobias', [2, 3, 4], [4]);
  await layer('axis1', [2, 3, 4], [3, 4], [3, 4], { axis: 1 });
  await layer('axis0', [2, 3], [2, 3], [2, 3], { axis: 0 });
  await layer('axis_negative', [2, 3, 4], [3, 4], null, { axis: -2 });
  await layer('moments', [2, 3, 4], [4], [4], {}, 3);
  await layer('moments_axis1', [2, 3, 4], [3, 4], null, { axis: 1 }, [true, false, true]);
  const positive = (dims) => f(dims, () => 0.2 + Math.round(uniform() * 200) / 100);
  for (const x of [[3, 4], [2, 3, 5], [1, 2, 3, 4], [1, 1, 300]]) {
    const C = [x[1]];
    await v.add('BatchNormalization', { name: x.join('x'), in: [f(x), f(C), f(C), f(C), positive(C)], tol, digits: 7 });
  }
  await v.add('BatchNormalization', { name: 'epsilon', attrs: { epsilon: float(0.1), momentum: float(0.5) }, in: [f([2, 3, 2]), f([3]), f([3]), f([3]), positive([3])], tol });
  for (const x of [[2, 3, 5], [1, 2, 3, 4]]) await v.add('InstanceNormalization', { name: x.join('x'), in: [f(x), f([x[1]]), f([x[1]])], tol, digits: 7 });
  await v.add('InstanceNormalization', { name: 'far', attrs: { epsilon: float(0.01) }, in: [f([1, 2, 6], (k) => 100 + k % 5), f([2]), f([2])], tol });
  await v.add('GroupNormalization', { name: '18', attrs: { num_groups: 2 }, in: [f([2, 4, 3]), f([2]), f([2])], tol, digits: 7 });
  await v.add('GroupNormalization', { name: '21', opset: 21, attrs: { num_groups: 2, epsilon: float(0.01) }, in: [f([1, 6, 2, 2]), f([6]), f([6])], tol, digits: 7 });
  v.write();
}

const parts = { linear, sequence, convolution, normal };
for (const part of process.argv.length > 2 ? process.argv.slice(2) : Object.keys(parts)) await parts[part]();
