// Forward-Forward, whole: the same mathematics as ffutils (layers.py, training.py, recipe.py), without a library.
// A batch of n rows is one Float64Array, row after row. tests/test_lab_golden.py holds every function to PyTorch's
// numbers. Nothing in here is ever handed down from a layer to the one below it: look for it.

// ---- Random numbers that a seed repeats (mulberry32, and Box and Muller's normal ones)

export function seeded(seed) {
  let state = seed >>> 0;
  const random = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t = (t + Math.imul(t ^ (t >>> 7), t | 61)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
  random.below = (count) => Math.floor(random() * count);
  random.normal = () => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
  random.order = (count) => {
    const order = Array.from({ length: count }, (_, k) => k);
    for (let k = count - 1; k > 0; k--) {
      const other = random.below(k + 1);
      [order[k], order[other]] = [order[other], order[k]];
    }
    return order;
  };
  return random;
}

// ---- What a layer is given: its input without the length, so that goodness cannot be passed on

export const NORMALIZATIONS = {
  // As it comes: the length, which is the goodness of the layer below, goes on to the next.
  none: () => {},
  // Scaled to a root mean square of 1; only the direction is left.
  rms: (row) => {
    let squares = 0;
    for (const v of row) squares += v * v;
    const length = Math.sqrt(squares / row.length + 1e-8);
    for (let j = 0; j < row.length; j++) row[j] /= length;
  },
  // As torch.nn.LayerNorm: the mean is taken away first.
  layernorm: (row) => {
    let mean = 0;
    for (const v of row) mean += v / row.length;
    let variance = 0;
    for (const v of row) variance += (v - mean) ** 2 / row.length;
    const deviation = Math.sqrt(variance + 1e-5);
    for (let j = 0; j < row.length; j++) row[j] = (row[j] - mean) / deviation;
  },
};

export function normalize(x, inputs, kind) {
  const out = Float64Array.from(x);
  for (let start = 0; start < out.length; start += inputs) NORMALIZATIONS[kind](out.subarray(start, start + inputs));
  return out;
}

// ---- A layer, and a stack of them

export function makeLayer(inputs, units, random) {
  const weights = Float64Array.from({ length: units * inputs }, () => random.normal() * Math.sqrt(2 / inputs));
  return { inputs, units, weights, bias: new Float64Array(units), memory: null, steps: 0 };
}

export function makeNet(widths, normalization, random) {
  const layers = widths.slice(1).map((units, k) => makeLayer(widths[k], units, random));
  return { layers, normalization };
}

// The layer's activations on inputs that are normalised already: relu(weights · input + bias).
export function activations(layer, input) {
  const { inputs, units, weights, bias } = layer;
  const n = input.length / inputs;
  const h = new Float64Array(n * units);
  for (let i = 0; i < n; i++) {
    for (let u = 0; u < units; u++) {
      let sum = bias[u];
      for (let j = 0, w = u * inputs, x = i * inputs; j < inputs; j++) sum += weights[w + j] * input[x + j];
      h[i * units + u] = sum < 0 ? 0 : sum; // NaN stays NaN, so that nobody overlooks it
    }
  }
  return h;
}

export function forward(net, x) {
  return net.layers.map((layer) => (x = activations(layer, normalize(x, layer.inputs, net.normalization))));
}

// Goodness: the mean square of a row's activations.
export function goodness(h, units) {
  const g = new Float64Array(h.length / units);
  for (let k = 0; k < h.length; k++) g[Math.floor(k / units)] += (h[k] * h[k]) / units;
  return g;
}

// ---- The losses. Each returns its value, and how it changes with the goodness of every row: the push.

const softplus = (z) => Math.max(z, 0) + Math.log1p(Math.exp(-Math.abs(z)));
const sigmoid = (z) => 1 / (1 + Math.exp(-z));

export const LOSSES = {
  // Positive above the threshold, negative below: the logit is width · (goodness − threshold).
  logistic(positive, negative, { units, threshold = 1 }) {
    const n = positive.length;
    let value = 0;
    const pushPositive = positive.map((g) => {
      const logit = units * (g - threshold);
      value += softplus(-logit) / (2 * n);
      return (-units * sigmoid(-logit)) / (2 * n);
    });
    const pushNegative = negative.map((g) => {
      const logit = units * (g - threshold);
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

// d goodness / d activation is 2 · activation / units, d activation / d weight is the input where the unit is on, and a
// unit that is off has the activation 0: so the gradient of a weight is the sum over rows of push · 2 · activation /
// units · input. `grad` is that of the loss with respect to the preactivation.
function addGradient(layer, gradient, input, h, push) {
  const { inputs, units } = layer;
  for (let i = 0; i < push.length; i++) {
    for (let u = 0; u < units; u++) {
      const grad = (push[i] * 2 * h[i * units + u]) / units;
      if (grad === 0) continue;
      for (let j = 0, w = u * inputs, x = i * inputs; j < inputs; j++) gradient.weights[w + j] += grad * input[x + j];
      gradient.bias[u] += grad;
    }
  }
}

export const OPTIMIZERS = {
  sgd(layer, gradient, lr) {
    for (const name of ["weights", "bias"]) {
      gradient[name].forEach((g, k) => (layer[name][k] -= lr * g));
    }
  },
  // Kingma and Ba 2015, with PyTorch's defaults.
  adam(layer, gradient, lr) {
    layer.steps += 1;
    const [keepMean, keepSquare] = [0.9, 0.999];
    const [meanShare, squareShare] = [1 - keepMean ** layer.steps, 1 - keepSquare ** layer.steps];
    layer.memory ??= Object.fromEntries(
      ["weights", "bias"].map((name) => {
        const zeros = () => new Float64Array(layer[name].length);
        return [name, { mean: zeros(), square: zeros() }];
      }),
    );
    for (const name of ["weights", "bias"]) {
      const [values, grad, { mean, square }] = [layer[name], gradient[name], layer.memory[name]];
      for (let k = 0; k < values.length; k++) {
        mean[k] = keepMean * mean[k] + (1 - keepMean) * grad[k];
        square[k] = keepSquare * square[k] + (1 - keepSquare) * grad[k] * grad[k];
        values[k] -= (lr * (mean[k] / meanShare)) / (Math.sqrt(square[k] / squareShare) + 1e-8);
      }
    }
  },
};

// One step of one layer: two forward passes, a loss of its own, an update of its own. Returns its activations before
// the update, which is what the layer above is given.
export function trainLayer(layer, positive, negative, options) {
  const { normalization, loss, threshold, scale, optimizer = "adam", lr } = options;
  const inputs = [positive, negative].map((x) => normalize(x, layer.inputs, normalization));
  const [hPositive, hNegative] = inputs.map((input) => activations(layer, input));
  const [gPositive, gNegative] = [hPositive, hNegative].map((h) => goodness(h, layer.units));
  const { value, pushPositive, pushNegative } = LOSSES[loss](gPositive, gNegative, {
    units: layer.units, threshold, scale,
  });
  const gradient = { weights: new Float64Array(layer.weights.length), bias: new Float64Array(layer.units) };
  addGradient(layer, gradient, inputs[0], hPositive, pushPositive);
  addGradient(layer, gradient, inputs[1], hNegative, pushNegative);
  OPTIMIZERS[optimizer](layer, gradient, lr);
  return { positive: hPositive, negative: hNegative, gPositive, gNegative, loss: value };
}

// One step of the layers in `layerIndices`; those below them only pass the data on. Returns what trainLayer does, for
// these.
export function trainBatch(net, positive, negative, layerIndices, options) {
  options = { ...options, normalization: net.normalization };
  const results = [];
  for (let k = 0; k <= Math.max(...layerIndices); k++) {
    const layer = net.layers[k];
    if (layerIndices.includes(k)) {
      const result = trainLayer(layer, positive, negative, options);
      results.push(result);
      ({ positive, negative } = result);
    } else {
      [positive, negative] = [positive, negative].map((x) =>
        activations(layer, normalize(x, layer.inputs, net.normalization)),
      );
    }
  }
  return results;
}

// ---- Labels: the first `labels` inputs of every row are theirs

export function overlay(x, inputs, y, labels) {
  const out = Float64Array.from(x);
  for (let i = 0; i < y.length; i++) {
    out.fill(0, i * inputs, i * inputs + labels);
    out[i * inputs + y[i]] = 1;
  }
  return out;
}

// The goodness of every label in every row, layer by layer: [layer][row · labels + label].
export function labelGoodnessPerLayer(net, x, labels, layers = net.layers) {
  const inputs = net.layers[0].inputs;
  const n = x.length / inputs;
  const perLayer = layers.map(() => new Float64Array(n * labels));
  for (let label = 0; label < labels; label++) {
    const written = overlay(x, inputs, new Uint8Array(n).fill(label), labels);
    forward({ ...net, layers }, written).forEach((h, k) => {
      goodness(h, layers[k].units).forEach((g, i) => (perLayer[k][i * labels + label] = g));
    });
  }
  return perLayer;
}

export const summed = (perLayer) => perLayer[0].map((_, k) => perLayer.reduce((sum, layer) => sum + layer[k], 0));

// The label with the greatest goodness, of each row.
export function predict(scores, labels) {
  return Uint8Array.from({ length: scores.length / labels }, (_, i) => {
    let best = 0;
    for (let k = 1; k < labels; k++) if (scores[i * labels + k] > scores[i * labels + best]) best = k;
    return best;
  });
}

// ---- Labels for the negative pass

export const NEGATIVE_LABELS = {
  // One of the others, all equally likely, new on every batch.
  random: ({ y, labels, random }) => y.map((label) => (label + 1 + random.below(labels - 1)) % labels),
  // One of the others, in proportion to exp(30 · the first layer's goodness for it).
  hard: ({ net, x, y, labels, random, scale = 30 }) => {
    const [scores] = labelGoodnessPerLayer(net, x, labels, net.layers.slice(0, 1));
    return y.map((label, i) => {
      const row = scores.subarray(i * labels, (i + 1) * labels);
      const top = Math.max(...row.filter((_, k) => k !== label));
      const probabilities = row.map((g, k) => (k === label ? 0 : Math.exp(scale * (g - top))));
      let left = random() * probabilities.reduce((sum, probability) => sum + probability, 0);
      let drawn = label;
      for (let k = 0; k < labels; k++) {
        if (probabilities[k] === 0) continue;
        drawn = k;
        if ((left -= probabilities[k]) < 0) break;
      }
      return drawn;
    });
  },
  // A mistake: drawn before training, and the same ones ever after.
  once: ({ rows, fixedNegatives }) => Uint8Array.from(rows, (row) => fixedNegatives[row]),
  // Another mistake: any label, so that the true one is among them.
  any: ({ y, labels, random }) => y.map(() => random.below(labels)),
};
