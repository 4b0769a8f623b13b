// What the playground learns from: points in the plane, made here, and scikit-learn's small digits, from digits8.bin.
// A set is { x, y, inputs, labels }: x has n rows, the first `labels` inputs of each empty, for the label.

import { seeded } from "./train.mjs";

const POINTS = 400; // to learn from, and as many again to be judged by
const turn = 2 * Math.PI;

// Each returns the coordinates, within about −1 … 1, of the k-th point of one label; random() is in 0 … 1.
const SHAPES = {
  blobs: { labels: 3, at: (label, random) => [
    0.6 * Math.sin((turn * label) / 3) + 0.08 * random.normal(),
    0.6 * Math.cos((turn * label) / 3) + 0.08 * random.normal(),
  ] },
  moons: { labels: 2, at: (label, random) => {
    const angle = Math.PI * random();
    return label ? [0.32 - 0.6 * Math.cos(angle), 0.18 - 0.6 * Math.sin(angle)] : [0.6 * Math.cos(angle) - 0.32, 0.6 * Math.sin(angle) - 0.18];
  } },
  circles: { labels: 2, at: (label, random) => {
    const angle = turn * random();
    const radius = label ? 0.35 : 0.8;
    return [radius * Math.cos(angle), radius * Math.sin(angle)];
  } },
  xor: { labels: 2, at: (label, random) => {
    const [x, y] = [0.08 + 0.8 * random(), 0.08 + 0.8 * random()];
    const side = random() < 0.5 ? 1 : -1;
    return [side * x, (label ? -side : side) * y];
  } },
  spirals: { labels: 2, at: (label, random) => {
    const along = Math.sqrt(random());
    const angle = 1.25 * turn * along + (label ? Math.PI : 0);
    return [0.9 * along * Math.cos(angle), 0.9 * along * Math.sin(angle)];
  } },
};

export const TOY_2D = Object.keys(SHAPES);

// A row of the net's input for a point in the plane, its label still empty.
export const toy2dInputs = (labels) => labels + 2;

function toy2dSet(kind, noise, random) {
  const { labels, at } = SHAPES[kind];
  const inputs = toy2dInputs(labels);
  const [x, y] = [new Float64Array(POINTS * inputs), new Uint8Array(POINTS)];
  for (let i = 0; i < POINTS; i++) {
    y[i] = i % labels;
    const [across, up] = at(y[i], random);
    x[i * inputs + labels] = across + noise * random.normal();
    x[i * inputs + labels + 1] = up + noise * random.normal();
  }
  return { x, y, inputs, labels };
}

export function makeToy2d(kind, noise, seed) {
  const random = seeded(seed);
  return { train: toy2dSet(kind, noise, random), test: toy2dSet(kind, noise, random) };
}

// Points on a grid of side × side over −1 … 1, the top row first.
export function makeGrid(labels, side) {
  const inputs = toy2dInputs(labels);
  const x = new Float64Array(side * side * inputs);
  for (let i = 0; i < side * side; i++) {
    x[i * inputs + labels] = (((i % side) + 0.5) / side) * 2 - 1;
    x[i * inputs + labels + 1] = 1 - ((Math.floor(i / side) + 0.5) / side) * 2;
  }
  return x;
}

// digits8.bin: 1,797 images of 64 bytes (0 … 16), then as many labels. The order, and with it who is in the test set, is
// the same whatever the seed.
export function readDigits(bytes) {
  const count = 1797;
  if (bytes.length !== count * 65) throw new Error(`digits8.bin should have ${count * 65} bytes, but has ${bytes.length}`);
  const [labels, pixels] = [10, 64];
  const inputs = labels + pixels;
  const order = seeded(0).order(count);
  const subset = (rows) => {
    const x = new Float64Array(rows.length * inputs);
    rows.forEach((row, i) => {
      for (let j = 0; j < pixels; j++) x[i * inputs + labels + j] = bytes[row * pixels + j] / 16;
    });
    return { x, y: Uint8Array.from(rows, (row) => bytes[count * pixels + row]), inputs, labels };
  };
  return { train: subset(order.slice(0, 1500)), test: subset(order.slice(1500)) };
}
