// @ts-check
// One run of the playground: its data, its net, a step, and what can be measured of it. No worker and no page in here.

import { TOY_2D, makeGrid, makeToy2d, readDigits } from "./data.mjs";
import { forward, goodness, labelGoodnessPerLayer, normalizeFor, overlay, predict, summed } from "./ff.mjs";
import { NEGATIVE_LABELS, goodnessOf, makeNet, seeded, trainBatch } from "./train.mjs";

export const BATCH = 50;
export const TURN = 20; // epochs that each layer has to itself where they learn one after another
const TOO_LARGE = 1e4; // a loss or a goodness above this will not come back

/** @typedef {import("./data.mjs").Data} Data */
/** @typedef {import("./ff.mjs").Numbers} Numbers */
/** @typedef {import("./settings.mjs").Settings} Settings */
/** @typedef {{ kind: "diverged" | "silent", layer: number }} Trouble */
/**
 * @typedef {object} Run
 * @property {Settings} settings
 * @property {Data} train
 * @property {Data} test
 * @property {number} inputs
 * @property {number} labels
 * @property {import("./train.mjs").Net} net
 * @property {import("./train.mjs").Random} random
 * @property {number[]} fixedNegatives
 * @property {number[]} order rows that are still to come in this epoch
 * @property {number} epoch
 * @property {number} steps
 * @property {(number | null)[]} losses of each layer, smoothed
 * @property {Trouble | null} trouble
 */
/** @typedef {{ winner: Uint8Array, margin: Float32Array }} Colors of a grid: which label wins, and by how much */

/** @param {Numbers} x @param {number} inputs @param {number[]} rows */
function rowsOf(x, inputs, rows) {
  const out = new Float64Array(rows.length * inputs);
  rows.forEach((row, i) => out.set(x.subarray(row * inputs, (row + 1) * inputs), i * inputs));
  return out;
}

/**
 * @param {Settings} settings
 * @param {Uint8Array | null} [digits] the bytes of digits8.bin, where the data are digits
 * @param {Data | null} [painted] points to learn from, in place of those that the settings ask for
 * @returns {Run}
 */
export function makeRun(settings, digits = null, painted = null) {
  const { data, noise, layers, width, norm, seed } = settings;
  const { train, test } = TOY_2D.includes(data) ? makeToy2d(data, noise, seed) : readDigits(digits ?? new Uint8Array());
  const { inputs, labels } = train;
  // The net and the batches have generators of their own: a layer more does not change what the others are shown.
  const drawNet = seeded(seed + 1000);
  const net = makeNet([inputs, ...Array(layers).fill(width)], norm, drawNet);
  const fixedNegatives = [...NEGATIVE_LABELS.random({ net, x: train.x, y: train.y, rows: [], labels, random: seeded(seed + 3000), fixedNegatives: [] })];
  /** @type {Run} */
  const run = {
    settings, train: painted ?? train, test, inputs, labels, net, random: seeded(seed + 2000), fixedNegatives,
    order: [], epoch: 0, steps: 0, losses: Array(layers).fill(null), trouble: null,
  };
  applySettings(run, settings);
  return run;
}

/** Settings that need no new run (see RESTARTING in settings.mjs). @param {Run} run @param {Settings} settings */
export function applySettings(run, settings) {
  run.settings = settings;
  Object.assign(run.net, {
    normalization: settings.norm, kept: settings.kept, goodness: settings.goodness, sign: settings.positive === "high" ? 1 : -1,
  });
}

/** The layers that learn now: all of them, or the one whose turn it is. @param {Run} run */
export function learning(run) {
  const all = run.net.layers.map((_, k) => k);
  if (run.settings.order === "together") return all;
  return [Math.min(Math.floor(run.epoch / TURN), all.length - 1)];
}

/** @param {Run} run @param {number[]} rows @param {Numbers} x @param {Uint8Array} y */
function sampleNegativeLabels({ net, labels, random, fixedNegatives, settings }, rows, x, y) {
  return NEGATIVE_LABELS[settings.neg]({ net, x, y, labels, random, rows, fixedNegatives });
}

/** The rows of the next batch; the last one of an epoch may be smaller. @param {Run} run */
function nextRows(run) {
  const count = run.train.y.length;
  run.order = run.order.filter((row) => row < count); // points may have been taken away meanwhile
  if (run.order.length === 0) run.order = run.random.order(count);
  return run.order.splice(0, BATCH);
}

/** @param {Run} run @param {number} k @param {import("./train.mjs").Trained} trained */
function record(run, k, { loss, gPositive, gNegative }) {
  const old = run.losses[k];
  run.losses[k] = old === null ? loss : 0.9 * old + 0.1 * loss;
  const greatest = Math.max(...gPositive, ...gNegative);
  if (!(loss < TOO_LARGE && greatest < TOO_LARGE)) run.trouble ??= { kind: "diverged", layer: k };
  // The roots of rms are not quite 0 where nothing answers.
  else if (greatest <= 1e-4) run.trouble ??= { kind: "silent", layer: k };
}

/**
 * One batch. Returns false, and says why in run.trouble, once there is no sense in going on.
 * @param {Run} run
 */
export function step(run) {
  if (run.trouble || run.train.y.length === 0) return false;
  const { net, train, inputs, labels, settings } = run;
  const rows = nextRows(run);
  const [x, y] = [rowsOf(train.x, inputs, rows), Uint8Array.from(rows, (row) => train.y[row])];
  const negativeLabels = sampleNegativeLabels(run, rows, x, y);
  const layerIndices = learning(run);
  const [positive, negative] = [y, negativeLabels].map((written) => overlay(x, inputs, written, labels));
  const options = { loss: settings.loss, threshold: settings.theta, lr: settings.lr };
  trainBatch(net, positive, negative, layerIndices, options).forEach((trained, i) => record(run, layerIndices[i], trained));
  run.steps += 1;
  if (run.order.length === 0) run.epoch += 1;
  return !run.trouble;
}

// ---- Points that the reader adds, moves and takes away

/** @param {Run} run @param {number} label @param {number} across @param {number} up */
export function addPoint(run, label, across, up) {
  const { inputs, labels, train } = run;
  const x = new Float64Array(train.x.length + inputs);
  x.set(train.x);
  x.set([across, up], train.x.length + labels);
  run.train = { ...train, x, y: Uint8Array.from([...train.y, label]) };
  run.fixedNegatives.push((label + 1) % labels);
}

/** @param {Run} run @param {number} row @param {number} across @param {number} up */
export function movePoint({ train, inputs, labels }, row, across, up) {
  train.x.set([across, up], row * inputs + labels);
}

/** @param {Run} run @param {number} row */
export function removePoint(run, row) {
  const { inputs, train } = run;
  const rows = [...train.y.keys()].filter((other) => other !== row);
  run.train = { ...train, x: rowsOf(train.x, inputs, rows), y: train.y.filter((_, other) => other !== row) };
  run.fixedNegatives.splice(row, 1);
}

/** @param {Run} run */
export function clearPoints(run) {
  run.train = { ...run.train, x: new Float64Array(), y: new Uint8Array() };
  run.fixedNegatives = [];
}

// ---- What can be measured

/** @param {Uint8Array} predictions @param {Uint8Array} labels */
const share = (predictions, labels) =>
  predictions.reduce((right, label, i) => right + (label === labels[i] ? 1 : 0), 0) / labels.length;

/** What the losses and the answers go by: [layer][row · labels + label]. @param {Run} run @param {Numbers} x */
const scoresOf = ({ net, labels }, x) => labelGoodnessPerLayer(net, x, labels, 1, goodnessOf(net));

/** The labels of a negative pass with the test set, always the same draws. @param {Run} run */
function testNegatives({ net, test, labels, settings }) {
  // Those drawn once belong to the training set: others of the same kind stand in for them.
  const kind = settings.neg === "once" ? "random" : settings.neg;
  return NEGATIVE_LABELS[kind]({ net, x: test.x, y: test.y, labels, random: seeded(7), rows: [], fixedNegatives: [] });
}

/**
 * Of the test set: the shares that each layer, and their sum, label rightly, the labels of the negative pass, and each row's
 * goodness on a positive and a negative pass, layer by layer.
 * @param {Run} run
 */
export function measure(run) {
  const { net, test, labels } = run;
  const perLayer = scoresOf(run, test.x);
  const negatives = testNegatives(run);
  const sign = net.sign ?? 1;
  /** @param {Uint8Array} y */
  const passes = (y) => perLayer.map((scores) => Float64Array.from(y, (label, i) => sign * scores[i * labels + label]));
  return {
    accuracy: {
      layers: perLayer.map((scores) => share(predict(scores, labels), test.y)),
      sum: share(predict(summed(perLayer), labels), test.y),
    },
    wrongLabels: negatives,
    positive: passes(test.y),
    negative: passes(negatives),
  };
}

/** @param {Run} run */
export const accuracy = (run) => measure(run).accuracy;

/** @typedef {{ positive: Float64Array, negative: Float64Array }} Lengths */

/**
 * The root mean square of what layer 2 is given, for the first `count` of the test set on a positive and a negative pass.
 * @param {Run} run
 * @param {number} count
 * @returns {Lengths}
 */
export function lengthsForLayer2(run, count) {
  const { net, test, inputs, labels } = run;
  const [first, second] = net.layers;
  /** @param {Uint8Array} y */
  const lengths = (y) => {
    const x = overlay(test.x.subarray(0, count * inputs), inputs, y.subarray(0, count), labels);
    const [h] = forward({ ...net, layers: [first] }, x);
    return goodness(normalizeFor(net, 1, h), second.inputs).map(Math.sqrt);
  };
  return { positive: lengths(test.y), negative: lengths(testNegatives(run)) };
}

/** @param {Float64Array} scores @param {number} labels @param {number} layers @returns {Colors} */
function colorsOf(scores, labels, layers) {
  const winner = predict(scores, labels);
  const margin = Float32Array.from(winner, (best, i) => {
    let second = -Infinity;
    for (let k = 0; k < labels; k++) if (k !== best) second = Math.max(second, scores[i * labels + k]);
    return (scores[i * labels + best] - second) / layers;
  });
  return { winner, margin };
}

/** For points in the plane: the colours of a grid, for each layer and the sum. @param {Run} run @param {number} side */
export function plane(run, side) {
  const perLayer = scoresOf(run, makeGrid(run.labels, side));
  return {
    layers: perLayer.map((scores) => colorsOf(scores, run.labels, 1)),
    sum: colorsOf(summed(perLayer), run.labels, perLayer.length),
  };
}

/**
 * What the net says of one input: the goodness of each label by layer, and the label that each layer and the sum choose.
 * @param {Run} run
 * @param {Numbers} x one row
 */
export function verdict(run, x) {
  const scores = scoresOf(run, x);
  const total = summed(scores);
  const sign = run.net.sign ?? 1;
  const unsigned = (/** @type {Float64Array} */ row) => [...row].map((g) => sign * g);
  return {
    perLayer: scores.map(unsigned), total: unsigned(total),
    chosen: scores.map((row) => predict(row, run.labels)[0]), winner: predict(total, run.labels)[0],
  };
}

/** @param {Run} run @param {number} across @param {number} up */
export function verdictAt(run, across, up) {
  const x = new Float64Array(run.inputs);
  x.set([across, up], run.labels);
  return { across, up, trueLabel: /** @type {number | null} */ (null), ...verdict(run, x) };
}

/** @param {Run} run @param {number} index of the test set */
export function example(run, index) {
  const { test, inputs, labels } = run;
  const row = index % test.y.length;
  const x = test.x.slice(row * inputs, (row + 1) * inputs);
  return { row, data: x.slice(labels), trueLabel: test.y[row], ...verdict(run, x) };
}

/** The next of the test set after `index` that the sum labels wrongly, or −1. @param {Run} run @param {number} index */
export function nextWrong(run, index) {
  const { test, labels } = run;
  const predictions = predict(summed(scoresOf(run, test.x)), labels);
  const count = test.y.length;
  for (let k = 1; k <= count; k++) {
    const row = (index + k) % count;
    if (predictions[row] !== test.y[row]) return row;
  }
  return -1;
}

/** The greatest difference between two nets' weights and biases of one layer. @param {Run} a @param {Run} b @param {number} k */
export function difference(a, b, k) {
  const [one, other] = [a.net.layers[k], b.net.layers[k]];
  const apart = (/** @type {Float64Array} */ v, /** @type {Float64Array} */ w) => v.reduce((most, value, i) => Math.max(most, Math.abs(value - w[i])), 0);
  return Math.max(apart(one.weights, other.weights), apart(one.bias, other.bias));
}
