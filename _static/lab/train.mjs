// @ts-check
// Learning, on top of ff.mjs's forward pass: the same mathematics as ffutils (training.py, recipe.py), without a library.
// A batch of n rows is one Float64Array, row after row. tests/test_lab_golden.py holds every function to PyTorch's
// numbers. Nothing in here is ever handed down from a layer to the one below it: look for it.

import { activations, goodness as meanSquares, labelGoodnessPerLayer, normalizeFor } from "./ff.mjs";

/** @typedef {import("./ff.mjs").Numbers} Numbers */
/** @typedef {import("./ff.mjs").Normalization} Normalization */
/** @typedef {{ weights: Float64Array, bias: Float64Array }} Parameters a layer's, or a gradient of them */
/** @typedef {{ mean: Float64Array, square: Float64Array }} Moments Adam's running means */
/** @typedef {Parameters & { inputs: number, units: number, memory: null | { weights: Moments, bias: Moments }, steps: number }} Layer */
/** @typedef {{ layers: Layer[], normalization: Normalization, kept?: number, goodness?: GoodnessKind, sign?: 1 | -1 }} Net */
/** @typedef {(() => number) & { below: (count: number) => number, normal: () => number, order: (count: number) => number[] }} Random */
/** @typedef {"logistic" | "pair"} LossKind */
/** @typedef {{ units: number, threshold?: number, scale?: number, sign?: number }} LossOptions */
/** @typedef {{ value: number, pushPositive: Float64Array, pushNegative: Float64Array }} Loss */
/** @typedef {{ loss: LossKind, threshold?: number, scale?: number, optimizer?: "sgd" | "adam", lr: number }} TrainOptions */
/** @typedef {{ positive: Float64Array, negative: Float64Array, gPositive: Float64Array, gNegative: Float64Array, loss: number }} Trained */

// ---- Random numbers that a seed repeats (mulberry32, and Box and Muller's normal ones)

/** @param {number} seed @returns {Random} */
export function seeded(seed) {
  let state = seed >>> 0;
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t = (t + Math.imul(t ^ (t >>> 7), t | 61)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
  /** @param {number} count */
  const below = (count) => Math.floor(next() * count);
  const normal = () => Math.sqrt(-2 * Math.log(1 - next())) * Math.cos(2 * Math.PI * next());
  /** @param {number} count */
  const order = (count) => {
    const order = Array.from({ length: count }, (_, k) => k);
    for (let k = count - 1; k > 0; k--) {
      const other = below(k + 1);
      [order[k], order[other]] = [order[other], order[k]];
    }
    return order;
  };
  return Object.assign(next, { below, normal, order });
}

// ---- A layer, and a stack of them

/** @param {number} inputs @param {number} units @param {Random} random @returns {Layer} */
export function makeLayer(inputs, units, random) {
  const weights = Float64Array.from({ length: units * inputs }, () => random.normal() * Math.sqrt(2 / inputs));
  return { inputs, units, weights, bias: new Float64Array(units), memory: null, steps: 0 };
}

/** @param {number[]} widths @param {Normalization} normalization @param {Random} random @returns {Net} */
export function makeNet(widths, normalization, random) {
  const layers = widths.slice(1).map((units, k) => makeLayer(widths[k], units, random));
  return { layers, normalization };
}

// ---- Goodness: what a layer is judged by, of each row of its activations

// slope: of a row's goodness, as one activation h changes. A unit that is off has the slope 0, like its ReLU.
/** @typedef {"squares" | "rms" | "abs"} GoodnessKind */
/** @type {Record<GoodnessKind, { of: (h: Numbers, units: number) => Float64Array, slope: (h: number, units: number, g: number) => number }>} */
export const GOODNESS = {
  // The mean square: the book's, and the sum of squares but for the division by the width.
  squares: { of: meanSquares, slope: (h, units) => (2 * h) / units },
  // The root of it: the length of the activations, divided by the root of the width.
  rms: {
    of: (h, units) => meanSquares(h, units).map((square) => Math.sqrt(square + 1e-8)),
    slope: (h, units, g) => h / (units * g),
  },
  // The mean absolute value.
  abs: {
    of: (h, units) => {
      const g = new Float64Array(h.length / units);
      for (let k = 0; k < h.length; k++) g[Math.floor(k / units)] += Math.abs(h[k]) / units;
      return g;
    },
    slope: (h, units) => Math.sign(h) / units,
  },
};

/**
 * A net's goodness as its losses and its answers use it: upside down, with low values for positive data, it counts
 * negatively, and the threshold with it. As ffutils does it: FFNet(…, goodness=lambda h: -goodness(h)), threshold=-1.
 * @param {Net} net
 * @returns {(h: Numbers, units: number) => Float64Array}
 */
export function goodnessOf({ goodness = "squares", sign = 1 }) {
  const { of } = GOODNESS[goodness];
  return sign === 1 ? of : (h, units) => of(h, units).map((g) => -g);
}

// ---- The losses. Each returns its value, and how it changes with the goodness of every row: the push.

/** @param {number} z */
const softplus = (z) => Math.max(z, 0) + Math.log1p(Math.exp(-Math.abs(z)));
/** @param {number} z */
const sigmoid = (z) => 1 / (1 + Math.exp(-z));

/** @type {Record<LossKind, (positive: Float64Array, negative: Float64Array, options: LossOptions) => Loss>} */
export const LOSSES = {
  // Positive above the threshold, negative below: the logit is width · (goodness − threshold). Upside down (sign −1),
  // the goodness comes as a negative number, and so must the threshold be.
  logistic(positive, negative, { units, threshold = 1, sign = 1 }) {
    const n = positive.length;
    let value = 0;
    const pushPositive = positive.map((g) => {
      const logit = units * (g - sign * threshold);
      value += softplus(-logit) / (2 * n);
      return (-units * sigmoid(-logit)) / (2 * n);
    });
    const pushNegative = negative.map((g) => {
      const logit = units * (g - sign * threshold);
      value += softplus(logit) / (2 * n);
      return (units * sigmoid(logit)) / (2 * n);
    });
    return { value, pushPositive, pushNegative };
  },
  // Row by row: the true label's goodness above the wrong one's, wherever both may lie.
  pair(positive, negative, { scale = 30 }) {
    const n = positive.length;
    let value = 0;
    const pushNegative = positive.map((g, i) => {
      const margin = scale * (g - negative[i]);
      value += softplus(-margin) / n;
      return (scale * sigmoid(-margin)) / n;
    });
    return { value, pushPositive: pushNegative.map((push) => -push), pushNegative };
  },
};

// ---- Learning: the gradient by hand, for one layer and from nothing but what that layer sees

// A unit that is off has the slope 0, so that the gradient of a weight is the sum over rows of push · slope · input.
// `grad` is that of the loss with respect to the preactivation.
/**
 * @param {Layer} layer
 * @param {Parameters} gradient changed
 * @param {Numbers} input
 * @param {Numbers} h
 * @param {Float64Array} g the rows' goodness, without a sign
 * @param {Float64Array} push how the loss changes with it
 * @param {GoodnessKind} kind
 */
function addGradient(layer, gradient, input, h, g, push, kind) {
  const { inputs, units } = layer;
  const { slope } = GOODNESS[kind];
  for (let i = 0; i < push.length; i++) {
    for (let u = 0; u < units; u++) {
      const grad = push[i] * slope(h[i * units + u], units, g[i]);
      if (grad === 0) continue;
      for (let j = 0, w = u * inputs, x = i * inputs; j < inputs; j++) gradient.weights[w + j] += grad * input[x + j];
      gradient.bias[u] += grad;
    }
  }
}

const NAMES = /** @type {const} */ (["weights", "bias"]);

/** @param {Layer} layer */
function makeMemory(layer) {
  const zeros = (/** @type {number} */ count) => ({ mean: new Float64Array(count), square: new Float64Array(count) });
  return { weights: zeros(layer.weights.length), bias: zeros(layer.bias.length) };
}

/** @type {Record<"sgd" | "adam", (layer: Layer, gradient: Parameters, lr: number) => void>} */
export const OPTIMIZERS = {
  sgd(layer, gradient, lr) {
    for (const name of NAMES) gradient[name].forEach((g, k) => (layer[name][k] -= lr * g));
  },
  // Kingma and Ba 2015, with PyTorch's defaults.
  adam(layer, gradient, lr) {
    layer.steps += 1;
    const [keepMean, keepSquare] = [0.9, 0.999];
    const [meanShare, squareShare] = [1 - keepMean ** layer.steps, 1 - keepSquare ** layer.steps];
    const memory = (layer.memory ??= makeMemory(layer));
    for (const name of NAMES) {
      const [values, grad, { mean, square }] = [layer[name], gradient[name], memory[name]];
      for (let k = 0; k < values.length; k++) {
        mean[k] = keepMean * mean[k] + (1 - keepMean) * grad[k];
        square[k] = keepSquare * square[k] + (1 - keepSquare) * grad[k] * grad[k];
        values[k] -= (lr * (mean[k] / meanShare)) / (Math.sqrt(square[k] / squareShare) + 1e-8);
      }
    }
  },
};

/**
 * One step of a net's layer k: two forward passes, a loss of its own, an update of its own. Returns its activations
 * before the update, which is what the layer above is given, and the goodness of its rows, without a sign.
 * @param {Net} net
 * @param {number} k
 * @param {Numbers} positive
 * @param {Numbers} negative
 * @param {TrainOptions} options
 * @returns {Trained}
 */
export function trainLayer(net, k, positive, negative, options) {
  const { goodness: kind = "squares", sign = 1 } = net;
  const { loss, threshold, scale, optimizer = "adam", lr } = options;
  const layer = net.layers[k];
  const inputs = [positive, negative].map((x) => normalizeFor(net, k, x));
  const h = inputs.map((input) => /** @type {Float64Array} */ (activations(layer, input)));
  const g = h.map((one) => GOODNESS[kind].of(one, layer.units));
  const [judgedPositive, judgedNegative] = sign === 1 ? g : g.map((one) => one.map((value) => -value));
  const { value, pushPositive, pushNegative } = LOSSES[loss](judgedPositive, judgedNegative, {
    units: layer.units, threshold, scale, sign,
  });
  const gradient = { weights: new Float64Array(layer.weights.length), bias: new Float64Array(layer.units) };
  [pushPositive, pushNegative].forEach((push, pass) =>
    addGradient(layer, gradient, inputs[pass], h[pass], g[pass], push.map((one) => sign * one), kind));
  OPTIMIZERS[optimizer](layer, gradient, lr);
  return { positive: h[0], negative: h[1], gPositive: g[0], gNegative: g[1], loss: value };
}

/**
 * One step of the layers in `layerIndices`; those below them only pass the data on. Returns what trainLayer does, for these.
 * @param {Net} net
 * @param {Numbers} positive
 * @param {Numbers} negative
 * @param {number[]} layerIndices
 * @param {TrainOptions} options
 */
export function trainBatch(net, positive, negative, layerIndices, options) {
  const results = [];
  for (let k = 0; k <= Math.max(...layerIndices); k++) {
    const layer = net.layers[k];
    if (layerIndices.includes(k)) {
      const result = trainLayer(net, k, positive, negative, options);
      results.push(result);
      ({ positive, negative } = result);
    } else {
      [positive, negative] = [positive, negative].map((x) => activations(layer, normalizeFor(net, k, x)));
    }
  }
  return results;
}

// ---- Labels for the negative pass

/**
 * @typedef {object} Draw what a kind of negative labels may look at
 * @property {Net} net
 * @property {Numbers} x
 * @property {Uint8Array} y the true labels
 * @property {ArrayLike<number>} rows which rows of the training set they are
 * @property {number} labels
 * @property {Random} random
 * @property {ArrayLike<number>} fixedNegatives
 * @property {number} [scale]
 */

/** The first layer's goodness for every label. @param {Net} net @param {Numbers} x @param {number} labels */
function firstLayerScores(net, x, labels) {
  const [first] = net.layers;
  return labelGoodnessPerLayer({ ...net, layers: [first] }, x, labels, 1, goodnessOf(net))[0];
}

/**
 * A label other than the true one, in proportion to exp(scale · its goodness).
 * @param {Float64Array} scores one per label
 * @param {number} label the true one
 * @param {number} scale
 * @param {Random} random
 */
function drawHard(scores, label, scale, random) {
  const top = Math.max(...scores.filter((_, k) => k !== label));
  const probabilities = scores.map((g, k) => (k === label ? 0 : Math.exp(scale * (g - top))));
  let left = random() * probabilities.reduce((sum, probability) => sum + probability, 0);
  let drawn = label;
  for (let k = 0; k < scores.length; k++) {
    if (probabilities[k] === 0) continue;
    drawn = k;
    if ((left -= probabilities[k]) < 0) break;
  }
  return drawn;
}

/** @typedef {"random" | "hard" | "once" | "any"} NegativeKind */
/** @type {Record<NegativeKind, (draw: Draw) => Uint8Array>} */
export const NEGATIVE_LABELS = {
  // One of the others, all equally likely, new on every batch.
  random: ({ y, labels, random }) => y.map((label) => (label + 1 + random.below(labels - 1)) % labels),
  // One of the others, the likelier the greater the first layer's goodness for it.
  hard: ({ net, x, y, labels, random, scale = 30 }) => {
    const scores = firstLayerScores(net, x, labels);
    return y.map((label, i) => drawHard(scores.subarray(i * labels, (i + 1) * labels), label, scale, random));
  },
  // A mistake: drawn before training, and the same ones ever after.
  once: ({ rows, fixedNegatives }) => Uint8Array.from(rows, (row) => fixedNegatives[row]),
  // Another mistake: any label, so that the true one is among them.
  any: ({ y, labels, random }) => y.map(() => random.below(labels)),
};
