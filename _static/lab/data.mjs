// @ts-check
// What the playground learns from: points in the plane, made here, and scikit-learn's small digits, from digits8.bin.
// A set is { x, y, inputs, labels }: x has n rows, the first `labels` inputs of each empty, for the label.

import { seeded } from "./train.mjs";

/** @typedef {{ x: Float64Array, y: Uint8Array, inputs: number, labels: number }} Data */
/** @typedef {import("./train.mjs").Random} Random */

const POINTS = 400; // to learn from, and as many again to be judged by
const turn = 2 * Math.PI;

// Each returns the coordinates, within about −1 … 1, of the k-th point of one label; random() is in 0 … 1.
/** @type {Record<string, { labels: number, at: (label: number, random: Random) => number[] }>} */
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
/** @param {number} labels */
export const toy2dInputs = (labels) => labels + 2;

/** @param {string} kind @param {number} noise @param {Random} random @returns {Data} */
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

/** @param {string} kind @param {number} noise @param {number} seed */
export function makeToy2d(kind, noise, seed) {
  const random = seeded(seed);
  return { train: toy2dSet(kind, noise, random), test: toy2dSet(kind, noise, random) };
}

/** Points on a grid of side × side over −1 … 1, the top row first. @param {number} labels @param {number} side */
export function makeGrid(labels, side) {
  const inputs = toy2dInputs(labels);
  const x = new Float64Array(side * side * inputs);
  for (let i = 0; i < side * side; i++) {
    x[i * inputs + labels] = (((i % side) + 0.5) / side) * 2 - 1;
    x[i * inputs + labels + 1] = 1 - ((Math.floor(i / side) + 0.5) / side) * 2;
  }
  return x;
}

const DIGITS = 1797;
const DIGITS_HASH = 0x569b6da1; // of the bytes of digits8.bin

/** FNV-1a of some bytes: a damaged file has another one. @param {Uint8Array} bytes */
function hash(bytes) {
  let value = 0x811c9dc5;
  for (const byte of bytes) value = Math.imul(value ^ byte, 0x01000193);
  return value >>> 0;
}

/**
 * digits8.bin: 1,797 images of 64 bytes (0 … 16), then as many labels. The order, and with it who is in the test set, is
 * the same whatever the seed. Throws an Error for bytes that are not those of the file.
 * @param {Uint8Array} bytes
 * @returns {{ train: Data, test: Data }}
 */
export function readDigits(bytes) {
  if (bytes.length !== DIGITS * 65) {
    throw new Error(`digits8.bin is damaged: expected ${DIGITS * 65} bytes, got ${bytes.length}`);
  }
  if (hash(bytes) !== DIGITS_HASH) throw new Error("digits8.bin is damaged: its bytes are not those of the book");
  const [labels, pixels] = [10, 64];
  const inputs = labels + pixels;
  const order = seeded(0).order(DIGITS);
  /** @param {number[]} rows @returns {Data} */
  const subset = (rows) => {
    const x = new Float64Array(rows.length * inputs);
    rows.forEach((row, i) => {
      for (let j = 0; j < pixels; j++) x[i * inputs + labels + j] = bytes[row * pixels + j] / 16;
    });
    return { x, y: Uint8Array.from(rows, (row) => bytes[DIGITS * pixels + row]), inputs, labels };
  };
  return { train: subset(order.slice(0, 1500)), test: subset(order.slice(1500)) };
}
