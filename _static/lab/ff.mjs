// @ts-check
// The forward pass of Forward-Forward, under both exhibits: what `ffutils` has in layers.py, labels.py and prediction.py.
//
// Rows lie one after another in one typed array: n rows of `inputs` numbers for a layer, of `units` numbers after it.
// Float32Array for the pad, whose weights come from a file, Float64Array for the playground, which trains. What comes out
// is of the same kind as what went in. tests/test_lab_golden.py holds these functions to PyTorch's numbers.

/** @typedef {Float32Array | Float64Array} Numbers */
/** @typedef {"none" | "rms" | "layernorm"} Normalization what is done to a row */
/**
 * @typedef {object} Layer
 * @property {number} inputs
 * @property {number} units
 * @property {Numbers} weights one row of `inputs` numbers per unit
 * @property {Numbers} bias one number per unit
 */
/**
 * @typedef {object} Net
 * @property {Layer[]} layers
 * @property {Normalization} normalization
 * @property {number} [kept] how much of the length goes up to the next layer, from 0 (none of it) to 1 (all)
 */

/**
 * An array of zeros, of the same kind as another.
 * @param {Numbers} kind
 * @param {number} length
 * @returns {Numbers}
 */
const zeros = (kind, length) => (kind instanceof Float32Array ? new Float32Array(length) : new Float64Array(length));

/** @typedef {{places: Int32Array, values: Float64Array, count: number}} Sparse */

/**
 * The numbers of a row that are not zero, and their places. Black pixels and silent units, most of an image and of a
 * layer, add nothing to a product and are passed over.
 * @param {Numbers} row
 * @returns {Sparse}
 */
function sparse(row) {
  const [places, values] = [new Int32Array(row.length), new Float64Array(row.length)];
  let count = 0;
  for (let k = 0; k < row.length; k++) {
    if (row[k] === 0) continue;
    places[count] = k;
    values[count++] = row[k];
  }
  return { places, values, count };
}

/**
 * The product of one unit's weights, which begin at `start`, with a row.
 * @param {Numbers} weights
 * @param {number} start
 * @param {Sparse} row
 */
function dot(weights, start, { places, values, count }) {
  let sum = 0;
  for (let k = 0; k < count; k++) sum += weights[start + places[k]] * values[k];
  return sum;
}

// ---- What a layer is given: its input without the length, so that goodness cannot be passed on

/** @param {Numbers} row */
function mean(row) {
  let sum = 0;
  for (const v of row) sum += v;
  return sum / row.length;
}
/** @param {Numbers} row */
function meanSquare(row) {
  let sum = 0;
  for (const v of row) sum += v * v;
  return sum / row.length;
}

/**
 * Each says of a row what is to be subtracted from every number, and what the difference is divided by.
 * @type {Record<Normalization, (row: Numbers) => [shift: number, scale: number]>}
 */
export const NORMALIZATIONS = {
  // As it comes: the length, which is the goodness of the layer below, goes on to the next.
  none: () => [0, 1],
  // To a root mean square of 1; only the direction is left.
  rms: (row) => [0, Math.sqrt(meanSquare(row) + 1e-8)],
  // As torch.nn.LayerNorm: the mean is taken away first.
  layernorm: (row) => {
    const shift = mean(row);
    const variance = mean(row.map((v) => (v - shift) ** 2));
    return [shift, Math.sqrt(variance + 1e-5)];
  },
};

/**
 * A copy of x with every row of `inputs` numbers normalised. Of a row's length, the power `kept` is left.
 * @param {Numbers} x
 * @param {number} inputs
 * @param {Normalization} kind
 * @param {number} [kept]
 * @returns {Numbers}
 */
export function normalize(x, inputs, kind, kept = 0) {
  const out = x.slice();
  for (let start = 0; start < out.length; start += inputs) {
    const [shift, scale] = NORMALIZATIONS[kind](x.subarray(start, start + inputs));
    const divisor = kept === 0 ? scale : scale ** (1 - kept);
    for (let k = start; k < start + inputs; k++) out[k] = (out[k] - shift) / divisor;
  }
  return out;
}

/**
 * What layer k makes its sums of, given what comes up to it: normalised. An image's length is never kept.
 * @param {Net} net
 * @param {number} k
 * @param {Numbers} x
 */
export const normalizeFor = ({ layers, normalization, kept = 0 }, k, x) => normalize(x, layers[k].inputs, normalization, k === 0 ? 0 : kept);

// ---- Layers

/** Zero for what is negative. NaN stays NaN, so that nobody overlooks it. @param {number} v */
const relu = (v) => (v < 0 ? 0 : v);

/**
 * A layer's activations on rows that are normalised already: relu(weights · row + bias).
 * @param {Layer} layer
 * @param {Numbers} x
 * @returns {Numbers} n rows of `units` numbers
 */
export function activations({ inputs, units, weights, bias }, x) {
  const n = x.length / inputs;
  const h = zeros(weights, n * units);
  for (let i = 0; i < n; i++) {
    const row = sparse(x.subarray(i * inputs, (i + 1) * inputs));
    for (let u = 0; u < units; u++) h[i * units + u] = relu(bias[u] + dot(weights, u * inputs, row));
  }
  return h;
}

/**
 * The activations of every layer, or of those from layer `from` on, each of which normalises what it is given.
 * @param {Net} net
 * @param {Numbers} x
 * @param {number} [from]
 * @returns {Numbers[]}
 */
export function forward(net, x, from = 0) {
  return net.layers.slice(from).map((layer, k) => (x = activations(layer, normalizeFor(net, from + k, x))));
}

/**
 * The goodness of every row: the mean square of its activations, before they are normalised for the next layer.
 * @param {Numbers} h
 * @param {number} units
 * @returns {Float64Array}
 */
export function goodness(h, units) {
  return Float64Array.from({ length: h.length / units }, (_, i) => meanSquare(h.subarray(i * units, (i + 1) * units)));
}

// ---- Labels: the first `labels` inputs of every row are theirs

/**
 * A copy of x with a label written into each row: `strength` at its own place, zero at the others.
 * @param {Numbers} x
 * @param {number} inputs
 * @param {ArrayLike<number>} y one label per row
 * @param {number} labels
 * @param {number} [strength]
 * @returns {Numbers}
 */
export function overlay(x, inputs, y, labels, strength = 1) {
  const out = x.slice();
  for (let i = 0; i < y.length; i++) {
    out.fill(0, i * inputs, i * inputs + labels);
    out[i * inputs + y[i]] = strength;
  }
  return out;
}

/**
 * The first layer's activations on every row with every label written into it, for the price of one pass.
 *
 * A label is one input, so it adds one column of the weights to a product that all labels share, and the row's mean and
 * length are the same for all of them (chapter 06).
 * @param {Layer} layer
 * @param {Numbers} x
 * @param {number} labels
 * @param {Normalization} normalization
 * @param {number} [strength]
 * @returns {Numbers} row after row, and in it label after label, `units` numbers each
 */
export function firstLayerForEachLabel(layer, x, labels, normalization, strength = 1) {
  const { inputs, units, weights, bias } = layer;
  const n = x.length / inputs;
  const h = zeros(weights, n * labels * units);
  for (let i = 0; i < n; i++) {
    const row = overlay(x.subarray(i * inputs, (i + 1) * inputs), inputs, [0], labels, strength);
    const [shift, scale] = NORMALIZATIONS[normalization](row);
    row.fill(0, 0, labels); // what all labels share
    for (let k = 0; shift !== 0 && k < inputs; k++) row[k] -= shift;
    const shared = sparse(row);
    for (let u = 0; u < units; u++) {
      const image = dot(weights, u * inputs, shared);
      for (let label = 0; label < labels; label++) {
        const own = strength * weights[u * inputs + label];
        h[(i * labels + label) * units + u] = relu((image + own) / scale + bias[u]);
      }
    }
  }
  return h;
}

/**
 * The activations of every layer on every row with every label: [layer], laid out as firstLayerForEachLabel does.
 * @param {Net} net
 * @param {Numbers} x
 * @param {number} labels
 * @param {number} [strength]
 * @returns {Numbers[]}
 */
export function forwardForEachLabel(net, x, labels, strength = 1) {
  const first = firstLayerForEachLabel(net.layers[0], x, labels, net.normalization, strength);
  return [first, ...forward(net, first, 1)];
}

/**
 * The goodness of every label in every row, layer by layer.
 *
 * @param {Net} net
 * @param {Numbers} x
 * @param {number} labels
 * @param {number} [strength]
 * @param {typeof goodness} [goodnessOf] another goodness than the book's
 * @returns {Float64Array[]} [layer][row · labels + label]
 */
export function labelGoodnessPerLayer(net, x, labels, strength = 1, goodnessOf = goodness) {
  return forwardForEachLabel(net, x, labels, strength).map((h, k) => goodnessOf(h, net.layers[k].units));
}

/**
 * The sum over layers.
 * @param {Float64Array[]} perLayer
 * @returns {Float64Array}
 */
export const summed = (perLayer) => perLayer[0].map((_, k) => perLayer.reduce((sum, layer) => sum + layer[k], 0));

/**
 * The label with the greatest goodness, of each row.
 * @param {Float64Array} scores
 * @param {number} labels
 * @returns {Uint8Array}
 */
export function predict(scores, labels) {
  return Uint8Array.from({ length: scores.length / labels }, (_, i) => {
    let best = 0;
    for (let k = 1; k < labels; k++) if (scores[i * labels + k] > scores[i * labels + best]) best = k;
    return best;
  });
}
