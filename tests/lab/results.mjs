// What ff.mjs and train.mjs make of the inputs in golden.json, in the shape in which that file has the answers.

import * as ff from "../../_static/lab/ff.mjs";
import * as training from "../../_static/lab/train.mjs";

const LABELS = 10;

// A case's normalisation is the playground's, or a share of the lengths that is kept above the first layer.
function makeNet({ widths, layers, kept }, normalization) {
  const net = training.makeNet(widths, normalization in kept ? "rms" : normalization, training.seeded(1));
  net.kept = kept[normalization] ?? 0;
  net.layers.forEach((layer, k) => {
    layer.weights = Float64Array.from(layers[k].weights);
    layer.bias = Float64Array.from(layers[k].bias);
  });
  return net;
}

function train(inputs, { normalization, options, judge = {} }, turns, steps) {
  const net = Object.assign(makeNet(inputs, normalization), judge);
  const width = inputs.widths[0];
  const losses = [];
  for (let step = 0; step < steps; step++) {
    const [positive, negative] = [inputs.y, inputs.negative_labels[step]].map((y) => ff.overlay(Float64Array.from(inputs.x), width, y, LABELS));
    const layerIndices = turns[Math.floor((step * turns.length) / steps)];
    losses.push(training.trainBatch(net, positive, negative, layerIndices, options).map((result) => result.loss));
  }
  return { net, losses };
}

const plain = (arrays) => arrays.map((array) => Array.from(array));

// How often each label is drawn for each row, of this many times.
function drawn(kind, net, inputs, times) {
  const random = training.seeded(5);
  const counts = Array(inputs.y.length * LABELS).fill(0);
  const rows = inputs.y.map((_, i) => i);
  const [x, y] = [Float64Array.from(inputs.x), Uint8Array.from(inputs.y)];
  for (let k = 0; k < times; k++) {
    const sampled = training.NEGATIVE_LABELS[kind]({ net, x, y, rows, labels: LABELS, random, fixedNegatives: y });
    sampled.forEach((label, i) => (counts[i * LABELS + label] += 1 / times));
  }
  return counts;
}

export function results({ inputs: numbers, kept, forward, steps, runs, judged }) {
  const inputs = { ...numbers, kept };
  const answers = { forward: {}, steps: [], runs: [], judged: [], drawn: {} };
  const width = inputs.widths[0];
  for (const normalization of Object.keys(forward)) {
    const net = makeNet(inputs, normalization);
    answers.forward[normalization] = {
      activations: plain(ff.forward(net, ff.overlay(Float64Array.from(inputs.x), width, inputs.y, LABELS))),
      goodness: plain(ff.labelGoodnessPerLayer(net, Float64Array.from(inputs.x), LABELS)),
    };
  }
  for (const one of steps) {
    const { net, losses } = train(inputs, one, [[0, 1, 2]], 1);
    const layers = net.layers.map(({ weights, bias }) => ({ weights: Array.from(weights), bias: Array.from(bias) }));
    answers.steps.push({ losses: losses[0], layers });
  }
  for (const one of runs) {
    const { net, losses } = train(inputs, one, one.turns, one.losses.length);
    answers.runs.push({ losses, goodness: plain(ff.labelGoodnessPerLayer(net, Float64Array.from(inputs.x), LABELS)) });
  }
  for (const one of judged) {
    const { net, losses } = train(inputs, one, [[0, 1, 2]], one.losses.length);
    const scores = plain(ff.labelGoodnessPerLayer(net, Float64Array.from(inputs.x), LABELS, 1, training.goodnessOf(net)));
    answers.judged.push({ losses, scores });
  }
  for (const kind of ["random", "hard", "any", "once"]) answers.drawn[kind] = drawn(kind, makeNet(inputs, "rms"), inputs, 4000);
  return answers;
}
