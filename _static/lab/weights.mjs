// @ts-check
// Loads the net that tools/lab/export_weights.py wrote, and refuses one that is not whole.

/** @typedef {import("./ff.mjs").Net} Net */
/** @typedef {{row: number, label: number, answer: number, pixels: string}} Sample */
/** @typedef {{below: number | null, images: number, wrong: number}} LeadBin */
/**
 * What is known of the answers, measured on validation images: how often a lead errs, and where digits lie.
 * @typedef {object} Calibration
 * @property {LeadBin[]} leads by rising lead; the last has no upper end
 * @property {Record<"ink" | "rows" | "goodness" | "standout", [least: number, most: number | null]>} bands that hold most digits
 * @property {number} span of the winner's goodness over the lowest label's, in the middle
 */
/**
 * @typedef {object} Manifest digits.json
 * @property {string} file
 * @property {number} bytes
 * @property {string} sha256
 * @property {number[]} widths
 * @property {number} label_strength
 * @property {string} license
 * @property {Sample[]} samples
 * @property {Calibration} calibration
 */

/**
 * Fetch a file and tell how much of it has come. Throws an Error that names the file and what the server said.
 * @param {URL} url
 * @param {(bytes: number) => void} [onProgress]
 * @returns {Promise<Uint8Array>}
 */
async function get(url, onProgress = () => {}) {
  const name = url.pathname.split("/").at(-1);
  let answer;
  try {
    answer = await fetch(url);
  } catch (error) {
    throw new Error(`${name} could not be loaded (${/** @type {Error} */ (error).message}): is there a connection?`);
  }
  if (!answer.ok || !answer.body) throw new Error(`${name} could not be loaded: the server answered ${answer.status}.`);
  const [parts, reader] = [/** @type {Uint8Array[]} */ ([]), answer.body.getReader()];
  let length = 0;
  try {
    for (let part = await reader.read(); !part.done; part = await reader.read()) {
      parts.push(part.value);
      onProgress((length += part.value.length));
    }
  } catch (error) {
    throw new Error(`${name} broke off after ${length} bytes (${/** @type {Error} */ (error).message}).`);
  }
  const whole = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/**
 * The SHA-256 of bytes in hexadecimal, or null where the browser offers none (plain http from another machine).
 * @param {Uint8Array} bytes
 */
async function sha256(bytes) {
  if (!globalThis.crypto?.subtle) return null;
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", /** @type {BufferSource} */ (bytes)));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/**
 * Read digits.json. Throws an Error unless it says all that the pad needs.
 * @param {string} text
 * @returns {Manifest}
 */
export function readManifest(text) {
  let manifest;
  try {
    manifest = JSON.parse(text);
  } catch {
    throw new Error("digits.json is damaged: it is no JSON.");
  }
  const { bytes, sha256: hash, widths, samples, calibration } = manifest ?? {};
  const whole = {
    bytes: bytes > 0,
    sha256: /^[0-9a-f]{64}$/.test(hash),
    widths: Array.isArray(widths) && widths.length > 1,
    samples: Array.isArray(samples) && samples.every(({ pixels }) => typeof pixels === "string"),
    calibration: Array.isArray(calibration?.leads) && calibration.bands instanceof Object,
  };
  const missing = Object.entries(whole).flatMap(([name, there]) => (there ? [] : [name]));
  if (missing.length) throw new Error(`digits.json is damaged: expected ${missing.join(", ")}.`);
  return manifest;
}

/**
 * Throw an Error unless the bytes are what the manifest describes.
 * @param {Uint8Array} data
 * @param {Pick<Manifest, "file" | "bytes" | "sha256">} manifest
 */
export async function check(data, { file, bytes, sha256: expected }) {
  if (data.length !== bytes) throw new Error(`${file} is damaged: expected ${bytes} bytes, got ${data.length}.`);
  const actual = await sha256(data);
  if (actual !== null && actual !== expected) {
    throw new Error(`${file} does not match digits.json: expected SHA-256 ${expected.slice(0, 8)}…, got ${actual.slice(0, 8)}….`);
  }
}

/**
 * Turn the bytes into a net: per layer biases and scales (float32, little-endian), then rows of weights (int8).
 * @param {Uint8Array} data
 * @param {number[]} widths
 * @returns {Net}
 */
export function unpack(data, widths) {
  const view = new DataView(data.buffer, data.byteOffset); // reads numbers from any position
  let at = 0;
  const floats = (/** @type {number} */ count) => {
    const values = Float32Array.from({ length: count }, (_, i) => view.getFloat32(at + 4 * i, true));
    at += 4 * count;
    return values;
  };
  const layers = widths.slice(1).map((units, below) => {
    const inputs = widths[below];
    const [bias, scales] = [floats(units), floats(units)];
    const whole = new Int8Array(data.buffer, data.byteOffset + at, units * inputs);
    at += units * inputs;
    const weights = new Float32Array(units * inputs);
    for (let i = 0; i < weights.length; i++) weights[i] = scales[Math.floor(i / inputs)] * whole[i];
    return { inputs, units, weights, bias };
  });
  return { layers, normalization: "rms" };
}

/** A sample's pixels, 784 bytes in base64, as numbers from 0 to 1. @param {string} text */
export function decodePixels(text) {
  return Float32Array.from(atob(text), (character) => character.charCodeAt(0) / 255);
}

/**
 * Load and check the net beside this module.
 * @param {(share: number) => void} [onProgress] from 0 to 1
 */
export async function loadNet(onProgress = () => {}, base = import.meta.url) {
  const manifest = readManifest(new TextDecoder().decode(await get(new URL("digits.json", base))));
  const url = new URL(manifest.file, base);
  url.search = manifest.sha256.slice(0, 8); // a cache must not answer with the file of another manifest
  const data = await get(url, (bytes) => onProgress(Math.min(1, bytes / manifest.bytes)));
  await check(data, manifest);
  return { net: unpack(data, manifest.widths), manifest };
}
