// node --test tests/lab/: the exhibit "Draw a digit" without a page.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { END, demo } from "../../_static/lab/demo.mjs";
import { activations, firstLayerForEachLabel, forward, goodness, labelGoodnessPerLayer, normalize, overlay } from "../../_static/lab/ff.mjs";
import { SIDE, brighter, centerOfMass, preprocess, rasterize } from "../../_static/lab/image.mjs";
import { describe, howOften, rank, signs, whyNoDigit } from "../../_static/lab/verdict.mjs";
import { check, decodePixels, readManifest, unpack } from "../../_static/lab/weights.mjs";
import { drawings } from "../../tools/lab/strokes.mjs";
import { generator, makeHand, write } from "./hands.mjs";

const LABELS = 10;
const read = (name) => readFileSync(new URL(name, import.meta.url));
const manifest = readManifest(read("../../_static/lab/digits.json").toString());
const bytes = new Uint8Array(read("../../_static/lab/digits.bin"));
const net = unpack(bytes, manifest.widths);
const { calibration } = manifest;
const golden = JSON.parse(read("golden_draw.json"));

/** The goodness of an image as the golden file has it: [label][layer]. */
function byLabel(someNet, image) {
  const perLayer = labelGoodnessPerLayer(someNet, image, LABELS);
  return Array.from({ length: LABELS }, (_, label) => perLayer.map((layer) => layer[label]));
}

/** What the pad says of an image. */
function say(image, sample = null) {
  const perLayer = labelGoodnessPerLayer(net, image, LABELS);
  return describe({ image, perLayer, switchedOn: [true, true, true], sample }, calibration);
}

function assertClose(actual, expected, within = 1e-5) {
  const [a, b] = [actual.flat(2), expected.flat(2)];
  assert.equal(a.length, b.length);
  a.forEach((value, i) => assert.ok(Math.abs(value - b[i]) <= within, `at ${i}: ${value}, expected ${b[i]}`));
}

// The net and the images that tools/lab/export_weights.py gives ffutils, by the same formula.
const { widths } = golden.small;
const layers = widths.slice(1).map((units, k) => ({
  inputs: widths[k],
  units,
  weights: Float32Array.from({ length: units * widths[k] }, (_, i) => ((i * 37 + k) % 101) / 800 - 1 / 16),
  bias: Float32Array.from({ length: units }, (_, j) => ((j % 3) - 1) / 4),
}));
const small = { layers, normalization: "rms" };
const images = [0, 1, 2].map((n) =>
  Float32Array.from({ length: 784 }, (_, i) => (n === 2 ? 0 : (((n * 784 + i) * 29) % 256) / 255)),
);

test("the exported net has ffutils' goodness on every sample, to 1e-5", () => {
  assert.equal(golden.sha256, manifest.sha256, "the golden file belongs to other weights");
  assertClose(manifest.samples.map(({ pixels }) => byLabel(net, decodePixels(pixels))), golden.exported);
});

test("a small net has ffutils' activations and goodness, to 1e-5", () => {
  const [first] = forward(small, overlay(images[0], 784, [4], LABELS));
  assertClose([[Array.from(first)]], [[golden.small.activations_layer_1_image_0_label_4]]);
  assertClose(images.map((image) => byLabel(small, image)), golden.small.goodness);
});

for (const kind of ["none", "rms", "layernorm"]) {
  test(`the shared first layer is the same as ten passes: ${kind}`, () => {
    const x = Float64Array.from({ length: 3 * 784 }, (_, i) => ((i * 29) % 256) / 255);
    const layer = { ...layers[0], weights: Float64Array.from(layers[0].weights), bias: Float64Array.from(layers[0].bias) };
    const shared = firstLayerForEachLabel(layer, x, LABELS, kind, 0.7);
    for (let label = 0; label < LABELS; label++) {
      const alone = activations(layer, normalize(overlay(x, 784, [label, label, label], LABELS, 0.7), 784, kind));
      for (let i = 0; i < 3; i++) {
        for (let u = 0; u < layer.units; u++) {
          assert.ok(Math.abs(shared[(i * LABELS + label) * layer.units + u] - alone[i * layer.units + u]) < 1e-12);
        }
      }
    }
  });
}

test("normalize gives every row a root mean square of 1, leaves zeros alone, and leaves its argument as it was", () => {
  const x = Float32Array.of(3, 4, 0, 12, 0, 0, 0, 0);
  const [first, second] = goodness(normalize(x, 4, "rms"), 4);
  assert.ok(Math.abs(first - 1) < 1e-6);
  assert.equal(second, 0);
  assert.deepEqual(x, Float32Array.of(3, 4, 0, 12, 0, 0, 0, 0));
});

test("of a length, normalize leaves the power that is kept: all of it, none, or something between", () => {
  const x = Float64Array.of(3, 4, 0, 12);
  const length = Math.sqrt(goodness(x, 4)[0]);
  for (const kept of [0, 0.4, 1]) {
    const row = normalize(x, 4, "rms", kept);
    assert.ok(Math.abs(Math.sqrt(goodness(row, 4)[0]) - length ** kept) < 1e-6);
    assert.ok(Math.abs(row[3] / row[1] - 3) < 1e-12, "it turns");
  }
});

test("what comes out is of the kind of the weights, and NaN is not overlooked", () => {
  assert.ok(forward(small, images[0])[2] instanceof Float32Array);
  const layer = { inputs: 2, units: 1, weights: Float64Array.of(1, 1), bias: Float64Array.of(0) };
  assert.ok(Number.isNaN(activations(layer, Float64Array.of(NaN, 1))[0]));
});

// Two layers that disagree: label 2 in the first, label 7 in the second.
const disagreeing = [2, 7].map((best, layer) => Float64Array.from({ length: LABELS }, (_, label) => (label === best ? 5 - 2 * layer : 1)));

test("rank sums the layers that are switched on", () => {
  assert.deepEqual({ ...rank(disagreeing), sums: 0 }, { sums: 0, winner: 2, second: 7, lead: 2 });
  assert.equal(rank(disagreeing, [false, true]).winner, 7);
  assert.equal(rank(disagreeing, [false, false]).lead, 0);
});

test("the words for some of the layers promise nothing about errors", () => {
  const words = (switchedOn) => describe({ image: images[0], perLayer: disagreeing, switchedOn, sample: null }, calibration).words;
  assert.equal(words([false, true]), "In layer 2 alone, label 7 has the largest goodness, 2.00 more than 0.");
  assert.match(words([false, false]), /switch one on/);
});

test("the words say how often such a lead errs", () => {
  const leads = [{ below: 0.1, images: 100, wrong: 46 }, { below: 0.2, images: 100, wrong: 20 }, { below: 0.3, images: 90, wrong: 10 },
    { below: 0.4, images: 1000, wrong: 1 }, { below: null, images: 5000, wrong: 0 }];
  const often = (lead) => howOften(lead, { leads });
  assert.deepEqual(often(0.05), { unsure: true, words: "it errs almost every second time" });
  assert.deepEqual(often(0.1), { unsure: true, words: "it errs every fifth time" });
  assert.deepEqual(often(0.25), { unsure: true, words: "it errs every ninth time" });
  assert.deepEqual(often(0.35), { unsure: false, words: "it got 1 of 1,000 validation images wrong" });
  assert.deepEqual(often(9), { unsure: false, words: "it got none of 5,000 validation images wrong" });
});

test("a sample that fools the net is said to, and a close second is named", () => {
  for (const { pixels, label, answer } of manifest.samples) {
    const { words } = say(decodePixels(pixels), { label });
    assert.match(words, label === answer ? new RegExp(`The sample is a ${label}\\.$`) : new RegExp(`But the sample is a ${label}\\.$`));
  }
  assert.ok(manifest.samples.some(({ pixels }) => /^\d or \d\? With a lead this small it errs /.test(say(decodePixels(pixels)).words)));
});

const junk = drawings();
const least = { dot: 1, tap: 1, full: 1, line: 0.8, spiral: 0.85, taps: 0.7, scribble: 0.55 };
for (const [kind, share] of Object.entries(least)) {
  test(`of drawings of the kind "${kind}", at least ${100 * share} % are hardly a digit`, (context) => {
    const doubted = junk[kind].filter((strokes) => say(preprocess(strokes)).answer === "?").length / junk[kind].length;
    context.diagnostic(`${(100 * doubted).toFixed(1)} %`);
    assert.ok(doubted >= share, String(doubted));
    assert.ok(Math.abs(doubted - calibration.outside[kind]) < 0.02, `digits.json says ${calibration.outside[kind]}`);
  });
}

test("at most 2 % of digits, on the pad or in the validation set, are hardly digits", () => {
  const doubted = junk.digit.filter((strokes) => say(preprocess(strokes)).answer === "?").length / junk.digit.length;
  assert.ok(doubted <= 0.02, String(doubted));
  assert.ok(calibration.outside.validation <= 0.02);
});

test("the reasons are those that one sees", () => {
  const why = (strokes) => {
    const image = preprocess(strokes);
    return whyNoDigit(signs(image, rank(labelGoodnessPerLayer(net, image, LABELS))), calibration);
  };
  assert.equal(why([[{ x: 14, y: 14 }]]), "there is too little ink");
  assert.equal(why([[{ x: 4, y: 14 }, { x: 24, y: 14 }]]), "it is too flat");
  assert.equal(why(junk.full[0]), "there is too much ink");
  assert.equal(why(write(makeHand(3), 3)), null);
});

test("the demonstration draws a 3 in 1.2 seconds, tries the labels in turn, and the net is sure of it", () => {
  assert.ok(demo(600).strokes[0].length < demo(1200).strokes[0].length);
  assert.equal(demo(1200).strokes[0].length, demo(END).strokes[0].length);
  assert.equal(demo(1200).tried, 0);
  const tried = Array.from({ length: 50 }, (_, k) => demo((END * k) / 49).tried);
  assert.deepEqual([...new Set(tried)], Array.from({ length: 11 }, (_, k) => k));
  assert.ok(END < 5000, "what moves by itself for longer needs a button that stops it (WCAG 2.2.2)");
  assert.equal(say(preprocess(demo(END).strokes)).answer, "3");
});

test("the samples get the answers that the manifest records", () => {
  for (const { pixels, answer } of manifest.samples) {
    assert.equal(rank(labelGoodnessPerLayer(net, decodePixels(pixels), LABELS)).winner, answer);
  }
});

test("a damaged file is refused in words", async () => {
  await check(bytes, manifest);
  await assert.rejects(check(bytes.slice(1), manifest), /expected \d+ bytes, got \d+/);
  const changed = bytes.slice();
  changed[5] ^= 1;
  await assert.rejects(check(changed, manifest), /does not match digits\.json/);
  assert.throws(() => readManifest("{"), /digits\.json is damaged: it is no JSON/);
  assert.throws(() => readManifest("{}"), /digits\.json is damaged: expected bytes, sha256, widths, samples, calibration/);
  assert.throws(() => readManifest("null"), /digits\.json is damaged/);
});

/** The rows and columns that ink reaches: [top, bottom, left, right]. */
function extent(image) {
  const inked = [...image.keys()].filter((pixel) => image[pixel] > 0.1);
  const [rows, columns] = [inked.map((pixel) => Math.floor(pixel / SIDE)), inked.map((pixel) => pixel % SIDE)];
  return [Math.min(...rows), Math.max(...rows), Math.min(...columns), Math.max(...columns)];
}

test("a digit fills a box of 20×20 and is centred by its mass, wherever and however large it is drawn", () => {
  for (let digit = 0; digit < 10; digit++) {
    const strokes = write(makeHand(3), digit);
    const image = preprocess(strokes);
    const [top, bottom, left, right] = extent(image);
    const longer = Math.max(bottom - top, right - left) + 1;
    assert.ok(longer >= 19 && longer <= 21, `${digit}: ${longer} pixels`);
    const { x, y } = centerOfMass(image);
    assert.ok(Math.hypot(x - 14.5, y - 14.5) < 0.1, `${digit}: centre at ${x}, ${y}`);
    const moved = preprocess(strokes.map((stroke) => stroke.map((p) => ({ x: 2 + p.x / 2, y: 9 + p.y / 2 }))));
    image.forEach((ink, pixel) => assert.ok(Math.abs(ink - moved[pixel]) < 1e-3));
  }
});

test("a line is about as wide as MNIST's, a dot stays a dot, and no ink is no ink", () => {
  const bar = rasterize([[{ x: 14, y: 4 }, { x: 14, y: 24 }]]);
  const across = Array.from({ length: SIDE }, (_, column) => bar[14 * SIDE + column]).reduce((a, b) => a + b);
  assert.ok(Math.abs(across - 2.7) < 0.3, `${across} pixels`);
  assert.ok(preprocess([[{ x: 3, y: 3 }]]).reduce((a, b) => a + b) < 10);
  assert.ok(preprocess([]).every((ink) => ink === 0));
  assert.ok(brighter(bar, preprocess([])).every((ink, pixel) => ink === bar[pixel]));
});

test("a scribble of 20,000 points is an image in less time than the first edition took", (context) => {
  const random = generator(1);
  const [x, y] = [[14], [14]];
  const step = (v) => Math.min(28, Math.max(0, v + random() - 0.5));
  for (let k = 1; k < 20000; k++) [x[k], y[k]] = [step(x[k - 1]), step(y[k - 1])];
  const scribble = [x.map((across, k) => ({ x: across, y: y[k] }))];
  const times = Array.from({ length: 9 }, () => {
    const began = performance.now();
    preprocess(scribble);
    return performance.now() - began;
  }).sort((a, b) => a - b);
  context.diagnostic(`quickest ${times[0].toFixed(0)} ms`);
  assert.ok(times[0] < 60, `${times[0]} ms`);
});

for (const [roughness, enough] of [[1, 96], [2, 90]]) {
  test(`a hundred digits in ten hands of roughness ${roughness} are read`, (context) => {
    let right = 0;
    for (let seed = 100; seed < 110; seed++) {
      for (let digit = 0; digit < 10; digit++) {
        right += rank(labelGoodnessPerLayer(net, preprocess(write(makeHand(seed, roughness), digit)), LABELS)).winner === digit;
      }
    }
    context.diagnostic(`${right} of 100 right`);
    assert.ok(right >= enough, `${right} of 100`);
  });
}
