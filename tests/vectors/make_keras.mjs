// make_keras.mjs -- Keras models with random weights and what they answer, by TensorFlow.js; JSON for make_keras.py.
import { createRequire } from 'module';
const tf = createRequire(import.meta.url)('@tensorflow/tfjs');
await tf.setBackend('cpu');
const L = tf.layers;
let seed = 7;
const random = (shape, low = -1, high = 1) => {
    const n = shape.reduce((a, b) => a * b, 1), out = new Float32Array(n);
    for (let i = 0; i < n; i++) {
        seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
        out[i] = low + (high - low) * (seed / 4294967296);
    }
    return tf.tensor(out, shape);
};
const data = t => ({ shape: t.shape, data: Array.from(t.dataSync()) });
const emit = (name, model, inputs) => {
    const all = layer => layer.layers ? layer.layers.flatMap(all) : [layer];
    for (const l of all(model)) {
        const w = l.getWeights();
        l.setWeights(w.map((t, i) => l.getClassName() === 'BatchNormalization' && i === 3 ? random(t.shape, 0.5, 2)
            : random(t.shape, -0.7, 0.7)));
    }
    const y = model.predict(inputs.length === 1 ? inputs[0] : inputs);
    const weights = {};
    const take = (layer, into) => {
        if (layer.layers) for (const l of layer.layers) take(l, into);
        else into.push([layer.name, layer.weights.map((w, i) => [w.originalName, data(layer.getWeights()[i])])]);
    };
    for (const l of model.layers) take(l, weights[l.name] = []);
    return { name, config: model.toJSON(null, false), weights, inputs: inputs.map(data),
             outputs: (Array.isArray(y) ? y : [y]).map(data) };
};
const out = [];
{
    const x = tf.input({ shape: [6, 3], name: 'series' });
    const one = layer => { const y = layer.apply(x); return Array.isArray(y) ? y[0] : y; };
    out.push(emit('recurrent', tf.model({ inputs: x, outputs: [
        one(L.lstm({ units: 4, recurrentActivation: 'hardSigmoid', name: 'lstm_hard' })),
        one(L.gru({ units: 3, resetAfter: false, returnSequences: true, recurrentActivation: 'sigmoid', name: 'gru_before' })),
        one(L.simpleRNN({ units: 5, goBackwards: true, returnSequences: true, activation: 'relu', name: 'back' })),
        one(L.bidirectional({ layer: L.lstm({ units: 2, returnSequences: true, recurrentActivation: 'sigmoid' }),
            mergeMode: 'concat', name: 'both' })),
        one(L.bidirectional({ layer: L.gru({ units: 3, resetAfter: false, recurrentActivation: 'sigmoid' }),
            mergeMode: 'ave', name: 'mean' })),
        one(L.lstm({ units: 3, useBias: false, activation: 'elu', recurrentActivation: 'sigmoid', name: 'plain' })),
    ] }), [random([2, 6, 3])]));
}
{
    const m = tf.sequential({ name: 'stacked' });
    m.add(L.rnn({ cell: [L.lstmCell({ units: 3, recurrentActivation: 'sigmoid' }), L.simpleRNNCell({ units: 4 })],
        returnSequences: true, inputShape: [null, 2], name: 'cells' }));
    m.add(L.timeDistributed({ layer: L.dense({ units: 2, activation: 'tanh' }), name: 'each' }));
    out.push(emit('stacked', m, [random([2, 5, 2])]));
}
{
    const m = tf.sequential({ name: 'text' });
    m.add(L.embedding({ inputDim: 9, outputDim: 4, maskZero: true, inputShape: [null], name: 'table' }));
    m.add(L.lstm({ units: 5, returnSequences: true, recurrentActivation: 'sigmoid', name: 'first' }));
    m.add(L.dropout({ rate: 0.5, name: 'drop' }));
    m.add(L.gru({ units: 4, resetAfter: false, recurrentActivation: 'sigmoid', name: 'second' }));
    m.add(L.dense({ units: 6, activation: 'softmax', name: 'out' }));
    out.push(emit('text', m, [tf.tensor2d([[3, 1, 8, 2, 0, 0], [0, 4, 0, 5, 7, 1]])]));
}
{
    const x = tf.input({ shape: [9, 4], name: 'signal' }), image = tf.input({ shape: [5, 6, 2], name: 'image' });
    const conv = o => L.conv1d({ filters: 3, kernelSize: 3, ...o }).apply(x);
    out.push(emit('places', tf.model({ inputs: [x, image], outputs: [
        L.gru({ units: 2, resetAfter: false, recurrentActivation: 'sigmoid', name: 'after' }).apply(
            L.maxPooling1d({ poolSize: 2, name: 'halves' }).apply(conv({ padding: 'valid', dilationRate: 2, name: 'dilated' }))),
        L.averagePooling1d({ poolSize: 3, strides: 2, padding: 'same', name: 'mean' }).apply(
            conv({ padding: 'same', activation: 'relu', name: 'same' })),
        L.globalMaxPooling1d({ name: 'most' }).apply(conv({ strides: 2, padding: 'same', name: 'strided' })),
        L.flatten({ name: 'flat' }).apply(L.conv2d({ filters: 3, kernelSize: [2, 3], padding: 'same', strides: [2, 1],
            name: 'plane' }).apply(image)),
        L.globalAveragePooling2d({ name: 'whole' }).apply(L.maxPooling2d({ poolSize: [2, 2], name: 'tiles' }).apply(image)),
        L.permute({ dims: [2, 1], name: 'turned' }).apply(L.reshape({ targetShape: [12, 3], name: 'shaped' }).apply(x)),
    ] }), [random([2, 9, 4]), random([2, 5, 6, 2])]));
}
{
    const a = tf.input({ shape: [4], name: 'left' }), b = tf.input({ shape: [4], name: 'right' });
    const inner = tf.sequential({ name: 'tower' });
    inner.add(L.dense({ units: 4, activation: 'sigmoid', inputShape: [4], name: 'tower_in' }));
    inner.add(L.batchNormalization({ name: 'tower_norm' }));
    const p = inner.apply(a), q = inner.apply(b);
    const shared = L.dense({ units: 3, activation: 'tanh', name: 'shared' });
    const s = shared.apply(p), t = shared.apply(q);
    out.push(emit('merge', tf.model({ inputs: [a, b], outputs: [
        L.dense({ units: 2, activation: 'softplus', name: 'joined' }).apply(L.concatenate({ name: 'cat' }).apply([s, t, p])),
        L.multiply({ name: 'product' }).apply([L.add({ name: 'sum' }).apply([p, q, a]),
            L.average({ name: 'middle' }).apply([a, b])]),
        L.maximum({ name: 'larger' }).apply([L.minimum({ name: 'smaller' }).apply([p, b]), q]),
        L.dot({ axes: -1, normalize: true, name: 'cosine' }).apply([s, t]),
        L.layerNormalization({ name: 'level' }).apply(L.leakyReLU({ alpha: 0.1, name: 'leaky' }).apply(a)),
        L.softmax({ name: 'shares' }).apply(L.prelu({ name: 'slope' }).apply(b)),
        L.simpleRNN({ units: 3, name: 'decoder' }).apply(L.repeatVector({ n: 3, name: 'again' }).apply(
            L.elu({ name: 'bent' }).apply(a))),
        L.activation({ activation: 'swish', name: 'swished' }).apply(L.reLU({ maxValue: 0.6, name: 'capped' }).apply(b)),
    ] }), [random([3, 4]), random([3, 4])]));
}
{
    const m = tf.sequential({ name: 'masking' });
    m.add(L.masking({ maskValue: -1, inputShape: [null, 3], name: 'steps' }));
    m.add(L.gru({ units: 4, returnSequences: true, resetAfter: false, recurrentActivation: 'sigmoid', name: 'first' }));
    m.add(L.lstm({ units: 3, returnSequences: true, recurrentActivation: 'sigmoid', name: 'second' }));
    m.add(L.timeDistributed({ layer: L.dense({ units: 2 }), name: 'each' }));
    const x = random([2, 6, 3]).arraySync(); /* a step is left out where all of it is -1 */
    x[0][0] = x[0][3] = x[0][5] = x[1][2] = x[1][3] = [-1, -1, -1];
    x[1][0] = [-1, 0.5, -1];
    out.push(emit('masking', m, [tf.tensor3d(x)]));
}
process.stdout.write(JSON.stringify(out));
