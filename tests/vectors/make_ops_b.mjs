// make_ops_b.mjs -- vectors of products, convolutions, norms and recurrent operators (ops_lib.mjs says how to run it).
import { Vectors, seed, f, i, i32, float } from './ops_lib.mjs';

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

const parts = { linear };
for (const part of process.argv.length > 2 ? process.argv.slice(2) : Object.keys(parts)) await parts[part]();
