// One run of the playground: its data, its net, a step, and what can be measured of it. No worker and no page in here.

import { FLAT, makeFlat, makeGrid, readDigits } from "./data.mjs";
import {
  NEGATIVES, forward, goodness, labelGoodness, makeNet, overlay, predict, seeded, summed, trainBatch,
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
  const { train, test } = FLAT.includes(data) ? makeFlat(data, noise, seed) : readDigits(digits);
  const { inputs, labels } = train;
  const random = seeded(seed + 1000);
  const net = makeNet([inputs, ...Array(layers).fill(width)], norm, random);
  const drawnOnce = NEGATIVES.random({ y: train.y, labels, random });
  return {
    settings, train, test, inputs, labels, net, random, drawnOnce,
    order: [], epoch: 0, steps: 0, losses: Array(layers).fill(null), recent: net.layers.map(() => []), trouble: null,
  };
}

// The layers that learn now: all of them, or the one whose turn it is.
export function learning(run) {
  const all = run.net.layers.map((_, k) => k);
  if (run.settings.order === "together") return all;
  return [Math.min(Math.floor(run.epoch / TURN), all.length - 1)];
}

function negativeLabels(run, rows, x, y) {
  const { net, labels, random, drawnOnce, settings } = run;
  return NEGATIVES[settings.neg]({ net, x, y, labels, random, rows, drawnOnce });
}

// One batch. Returns false, and says why in run.trouble, once there is no sense in going on.
export function step(run) {
  if (run.trouble) return false;
  const { net, train, inputs, labels, settings } = run;
  if (run.order.length === 0) run.order = run.random.order(train.y.length);
  const rows = run.order.splice(0, BATCH);
  const [x, y] = [rowsOf(train.x, inputs, rows), Uint8Array.from(rows, (row) => train.y[row])];
  const negatives = negativeLabels(run, rows, x, y);
  const trained = learning(run);
  const options = { loss: settings.loss, threshold: settings.theta, lr: settings.lr };
  const results = trainBatch(net, overlay(x, inputs, y, labels), overlay(x, inputs, negatives, labels), trained, options);
  results.forEach(({ loss, gPositive, gNegative }, i) => {
    const k = trained[i];
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

const share = (found, wanted) => found.reduce((right, label, i) => right + (label === wanted[i]), 0) / wanted.length;

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
  const perLayer = labelGoodness(net, test.x, labels);
  const seen = rowsOf(train.x, run.inputs, Array.from({ length: Math.min(300, train.y.length) }, (_, k) => k));
  return {
    layers: perLayer.map((scores) => share(predict(scores, labels), test.y)),
    sum: share(predict(summed(perLayer), labels), test.y),
    train: share(predict(summed(labelGoodness(net, seen, labels)), labels), train.y.subarray(0, seen.length / run.inputs)),
  };
}

// The goodness of the test set on a positive and a negative pass, layer by layer, and how closely each layer's follows
// that of the layer below (the correlation). The negative labels are drawn as in training, from a generator of their own.
export function goodnessNow(run) {
  const { net, test, inputs, labels, drawnOnce, settings } = run;
  const rows = test.y.map((_, k) => k);
  const y = test.y;
  const own = seeded(7);
  // Those drawn once belong to the training set: others of the same kind stand in for them.
  const kind = settings.neg === "once" ? "random" : settings.neg;
  const negatives = NEGATIVES[kind]({ net, x: test.x, y, labels, random: own, rows, drawnOnce });
  const [positive, negative] = [y, negatives].map((label) =>
    forward(net, overlay(test.x, inputs, label, labels)).map((h, k) => goodness(h, net.layers[k].units)),
  );
  const both = positive.map((g, k) => [...g, ...negative[k]]);
  return { positive, negative, follows: both.map((g, k) => (k === 0 ? null : correlation(g, both[k - 1]))) };
}

// For points in the plane: which label wins at each point of a grid, and by how much, for each layer and the sum.
export function plane(run, side) {
  const { net, labels } = run;
  const perLayer = labelGoodness(net, makeGrid(labels, side), labels);
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

// For one digit of the test set: its pixels, the goodness of each label by layer, and every layer's activities on it
// with the true label (positive) and with the strongest wrong one (negative).
export function example(run, index) {
  const { net, test, inputs, labels } = run;
  const row = index % test.y.length;
  const x = test.x.slice(row * inputs, (row + 1) * inputs);
  const truth = test.y[row];
  const perLayer = labelGoodness(net, x, labels);
  const total = summed(perLayer);
  let rival = truth === 0 ? 1 : 0;
  for (let k = 0; k < labels; k++) if (k !== truth && total[k] > total[rival]) rival = k;
  const [positive, negative] = [truth, rival].map((label) => forward(net, overlay(x, inputs, [label], labels)));
  return { row, data: x.slice(labels), truth, rival, perLayer, total, positive, negative };
}

