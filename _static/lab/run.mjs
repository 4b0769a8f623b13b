// One run of the playground: its data, its net, a step, and what can be measured of it. No worker and no page in here.

import { TOY_2D, makeGrid, makeToy2d, readDigits } from "./data.mjs";
import {
  NEGATIVE_LABELS, forward, goodness, labelGoodnessPerLayer, makeNet, overlay, predict, seeded, summed, trainBatch,
} from "./train.mjs";

export const BATCH = 50;
export const TURN = 20; // epochs that each layer has to itself where they learn one after another
const TOO_LARGE = 1e4; // a loss or a goodness above this will not come back

const rowsOf = (x, inputs, rows) => {
  const out = new Float64Array(rows.length * inputs);
  rows.forEach((row, i) => out.set(x.subarray(row * inputs, (row + 1) * inputs), i * inputs));
  return out;
};

// settings as in settings.mjs; digits: the bytes of digits8.bin, where the data are digits.
export function makeRun(settings, digits = null) {
  const { data, noise, layers, width, norm, seed } = settings;
  const { train, test } = TOY_2D.includes(data) ? makeToy2d(data, noise, seed) : readDigits(digits);
  const { inputs, labels } = train;
  const random = seeded(seed + 1000);
  const net = makeNet([inputs, ...Array(layers).fill(width)], norm, random);
  const fixedNegatives = NEGATIVE_LABELS.random({ y: train.y, labels, random });
  return {
    settings, train, test, inputs, labels, net, random, fixedNegatives,
    order: [], epoch: 0, steps: 0, losses: Array(layers).fill(null), recent: net.layers.map(() => []), trouble: null,
  };
}

// The layers that learn now: all of them, or the one whose turn it is.
export function learning(run) {
  const all = run.net.layers.map((_, k) => k);
  if (run.settings.order === "together") return all;
  return [Math.min(Math.floor(run.epoch / TURN), all.length - 1)];
}

function sampleNegativeLabels(run, rows, x, y) {
  const { net, labels, random, fixedNegatives, settings } = run;
  return NEGATIVE_LABELS[settings.neg]({ net, x, y, labels, random, rows, fixedNegatives });
}

// One batch. Returns false, and says why in run.trouble, once there is no sense in going on.
export function step(run) {
  if (run.trouble) return false;
  const { net, train, inputs, labels, settings } = run;
  if (run.order.length === 0) run.order = run.random.order(train.y.length);
  const rows = run.order.splice(0, BATCH);
  const [x, y] = [rowsOf(train.x, inputs, rows), Uint8Array.from(rows, (row) => train.y[row])];
  const negativeLabels = sampleNegativeLabels(run, rows, x, y);
  const layerIndices = learning(run);
  const options = { loss: settings.loss, threshold: settings.theta, lr: settings.lr };
  const [positive, negative] = [y, negativeLabels].map((written) => overlay(x, inputs, written, labels));
  const results = trainBatch(net, positive, negative, layerIndices, options);
  results.forEach(({ loss, gPositive, gNegative }, i) => {
    const k = layerIndices[i];
    run.losses[k] = run.losses[k] === null ? loss : 0.9 * run.losses[k] + 0.1 * loss;
    const greatest = Math.max(...gPositive, ...gNegative);
    if (!(loss < TOO_LARGE && greatest < TOO_LARGE)) run.trouble = { kind: "diverged", layer: k };
    else if (greatest === 0) run.trouble = { kind: "silent", layer: k };
  });
  run.steps += 1;
  if (run.order.length === 0) run.epoch += 1;
  return !run.trouble;
}

// ---- What can be measured

const share = (predictions, labels) =>
  predictions.reduce((right, label, i) => right + (label === labels[i]), 0) / labels.length;

function correlation(a, b) {
  const mean = (v) => v.reduce((sum, x) => sum + x, 0) / v.length;
  const [ma, mb] = [mean(a), mean(b)];
  let [ab, aa, bb] = [0, 0, 0];
  a.forEach((v, i) => ((ab += (v - ma) * (b[i] - mb)), (aa += (v - ma) ** 2), (bb += (b[i] - mb) ** 2)));
  return aa > 0 && bb > 0 ? ab / Math.sqrt(aa * bb) : 0;
}

// Shares of the test set that each layer, and their sum, label rightly; and of the training set, by the sum.
export function accuracy(run) {
  const { net, train, test, labels } = run;
  const perLayer = labelGoodnessPerLayer(net, test.x, labels);
  const count = Math.min(300, train.y.length);
  const first = labelGoodnessPerLayer(net, train.x.subarray(0, count * run.inputs), labels);
  return {
    layers: perLayer.map((scores) => share(predict(scores, labels), test.y)),
    sum: share(predict(summed(perLayer), labels), test.y),
    train: share(predict(summed(first), labels), train.y.subarray(0, count)),
  };
}

// The goodness of the test set on a positive and a negative pass, layer by layer, and how closely each layer's follows
// that of the layer below (the correlation). The negative labels are drawn as in training, from a generator of their own.
export function goodnessNow(run) {
  const { net, test, inputs, labels, fixedNegatives, settings } = run;
  const rows = test.y.map((_, k) => k);
  const y = test.y;
  const own = seeded(7);
  // Those drawn once belong to the training set: others of the same kind stand in for them.
  const kind = settings.neg === "once" ? "random" : settings.neg;
  const negativeLabels = NEGATIVE_LABELS[kind]({ net, x: test.x, y, labels, random: own, rows, fixedNegatives });
  const [positive, negative] = [y, negativeLabels].map((label) =>
    forward(net, overlay(test.x, inputs, label, labels)).map((h, k) => goodness(h, net.layers[k].units)),
  );
  const both = positive.map((g, k) => [...g, ...negative[k]]);
  return { positive, negative, follows: both.map((g, k) => (k === 0 ? null : correlation(g, both[k - 1]))) };
}

// For points in the plane: which label wins at each point of a grid, and by how much, for each layer and the sum.
export function plane(run, side) {
  const { net, labels } = run;
  const perLayer = labelGoodnessPerLayer(net, makeGrid(labels, side), labels);
  const view = (scores, layers) => {
    const winner = predict(scores, labels);
    const margin = Float32Array.from(winner, (best, i) => {
      let second = -Infinity;
      for (let k = 0; k < labels; k++) if (k !== best) second = Math.max(second, scores[i * labels + k]);
      return (scores[i * labels + best] - second) / layers;
    });
    return { winner, margin };
  };
  return { layers: perLayer.map((scores) => view(scores, 1)), sum: view(summed(perLayer), perLayer.length) };
}

// For one digit of the test set: its pixels, the goodness of each label by layer, and every layer's activations on it
// with the true label (positive) and with the strongest wrong one (negative).
export function example(run, index) {
  const { net, test, inputs, labels } = run;
  const row = index % test.y.length;
  const x = test.x.slice(row * inputs, (row + 1) * inputs);
  const trueLabel = test.y[row];
  const perLayer = labelGoodnessPerLayer(net, x, labels);
  const total = summed(perLayer);
  let rival = trueLabel === 0 ? 1 : 0;
  for (let k = 0; k < labels; k++) if (k !== trueLabel && total[k] > total[rival]) rival = k;
  const [positive, negative] = [trueLabel, rival].map((label) => forward(net, overlay(x, inputs, [label], labels)));
  return { row, data: x.slice(labels), trueLabel, rival, perLayer, total, positive, negative };
}

