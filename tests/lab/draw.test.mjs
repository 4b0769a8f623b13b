// node --test tests/lab/: the exhibit "Draw a digit" without a page.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { SIDE, brighter, centerOfMass, preprocess, rasterize } from "../../_static/lab/image.mjs";
import { decide, firstLayer, forward, goodness, labelGoodnessPerLayer, normalize, overlay } from "../../_static/lab/net.mjs";
import { check, decodePixels, unpack } from "../../_static/lab/weights.mjs";
import { describe } from "../../_static/lab/draw.mjs";
import { makeHand, write } from "./hands.mjs";

const read = (name) => readFileSync(new URL(name, import.meta.url));
const manifest = JSON.parse(read("../../_static/lab/digits.json"));
const file = read("../../_static/lab/digits.bin");
const bytes = file.buffer.slice(file.byteOffset, file.byteOffset + file.length);
const net = unpack(bytes, manifest.widths);
const golden = JSON.parse(read("golden_draw.json"));

function assertClose(actual, expected, within = 1e-5) {
  const [a, b] = [actual.flat(2), expected.flat(2)];
  assert.equal(a.length, b.length);
  a.forEach((value, i) => assert.ok(Math.abs(value - b[i]) <= within, `at ${i}: ${value}, expected ${b[i]}`));
}

// The net and the images that tools/lab/export_weights.py gives ffutils, by the same formula.
const { widths } = golden.small;
const small = widths.slice(1).map((units, k) => ({
  inputs: widths[k],
  units,
  weights: Float32Array.from({ length: units * widths[k] }, (_, i) => ((i * 37 + k) % 101) / 800 - 1 / 16),
  biases: Float32Array.from({ length: units }, (_, j) => ((j % 3) - 1) / 4),
}));
const images = [0, 1, 2].map((n) =>
  Float32Array.from({ length: 784 }, (_, i) => (n === 2 ? 0 : (((n * 784 + i) * 29) % 256) / 255)),
);

test("the exported net has ffutils' goodness on every sample, to 1e-5", () => {
  assert.equal(golden.sha256, manifest.sha256, "the golden file belongs to other weights");
  assertClose(manifest.samples.map(({ pixels }) => labelGoodnessPerLayer(net, decodePixels(pixels))), golden.exported);
});

test("a small net has ffutils' activations and goodness, to 1e-5", () => {
  const activations = forward(small[0], overlay(images[0], 4));
  assertClose([[Array.from(activations)]], [[golden.small.activations_layer_1_image_0_label_4]]);
  assertClose(images.map((image) => labelGoodnessPerLayer(small, image)), golden.small.goodness);
});

test("the shared first layer is the same as ten passes", () => {
  const shared = firstLayer(net[0], decodePixels(manifest.samples[3].pixels));
  shared.forEach((h, k) => {
    const alone = forward(net[0], overlay(decodePixels(manifest.samples[3].pixels), k));
    h.forEach((value, j) => assert.ok(Math.abs(value - alone[j]) <= 1e-5));
  });
});

test("normalize gives a root mean square of 1, and leaves zeros alone", () => {
  assert.ok(Math.abs(goodness(normalize(Float32Array.of(3, 4, 0, 12))) - 1) < 1e-6);
  assert.deepEqual(normalize(new Float32Array(5)), new Float32Array(5));
});

test("decide sums the layers that are switched on", () => {
  const perLayer = Array.from({ length: 10 }, (_, label) => [label === 2 ? 5 : 1, label === 7 ? 3 : 1]);
  assert.deepEqual({ ...decide(perLayer, [true, true]), sums: 0 }, { sums: 0, winner: 2, second: 7, margin: 2 });
  assert.equal(decide(perLayer, [false, true]).winner, 7);
});

test("the words say what the numbers say", () => {
  const perLayer = Array.from({ length: 10 }, (_, label) => [label === 2 ? 5 : 1, label === 7 ? 3 : 1]);
  const said = describe(perLayer, [true, true], { label: 7 });
  assert.match(said, /^The net says 2: its goodness, summed over layers 1 and 2, is 6\.00, ahead of 7 by 2\.00\./);
  assert.match(said, /Layer 2 alone would say 7\. But the sample is a 7\.$/);
  assert.match(describe(perLayer, [false, true], null), /in layer 2 alone/);
  assert.match(describe(perLayer, [false, false], null), /switch one on/);
});

test("the samples get the answers that the manifest records", () => {
  for (const { pixels, answer } of manifest.samples) {
    assert.equal(decide(labelGoodnessPerLayer(net, decodePixels(pixels)), [true, true, true]).winner, answer);
  }
});

test("a damaged file is refused in words", async () => {
  await check(bytes, manifest);
  await assert.rejects(check(bytes.slice(1), manifest), /expected \d+ bytes, got \d+/);
  const changed = bytes.slice(0);
  new Uint8Array(changed)[5] ^= 1;
  await assert.rejects(check(changed, manifest), /does not match its manifest/);
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

for (const [roughness, least] of [[1, 96], [2, 90]]) {
  test(`a hundred digits in ten hands of roughness ${roughness} are read`, (context) => {
    let right = 0;
    for (let seed = 100; seed < 110; seed++) {
      for (let digit = 0; digit < 10; digit++) {
        const perLayer = labelGoodnessPerLayer(net, preprocess(write(makeHand(seed, roughness), digit)));
        right += decide(perLayer, [true, true, true]).winner === digit;
      }
    }
    context.diagnostic(`${right} of 100 right`);
    assert.ok(right >= least, `${right} of 100`);
  });
}
