// Loads the net that tools/lab/export_weights.py wrote, and refuses one that is not whole.

/** Fetch a file as `kind`, "json" or "arrayBuffer". Throws an Error that names the file and what the server said. */
async function get(url, kind) {
  let answer;
  try {
    answer = await fetch(url);
  } catch (error) {
    throw new Error(`${url.pathname} could not be loaded (${error.message}): is the server still running?`);
  }
  if (!answer.ok) throw new Error(`${url.pathname} could not be loaded: the server answered ${answer.status}`);
  return answer[kind]();
}

/** The SHA-256 of a buffer in hexadecimal, or null where the browser offers none (plain http from another machine). */
async function sha256(buffer) {
  if (!globalThis.crypto?.subtle) return null;
  const bytes = new Uint8Array(await crypto.subtle.digest("SHA-256", buffer));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Throw an Error unless the buffer is what the manifest describes. */
export async function check(buffer, manifest) {
  const { file, bytes, sha256: expected } = manifest;
  if (buffer.byteLength !== bytes) {
    throw new Error(`${file} is damaged: expected ${bytes} bytes, got ${buffer.byteLength}; reload the page`);
  }
  const actual = await sha256(buffer);
  if (actual !== null && actual !== expected) {
    throw new Error(`${file} does not match its manifest: expected SHA-256 ${expected}, got ${actual}; reload the page`);
  }
}

/** Turn the bytes into a net for net.mjs: per layer biases and scales (float32), then rows of weights (int8). */
export function unpack(buffer, widths) {
  const view = new DataView(buffer); // reads little-endian numbers from any position
  let at = 0;
  const floats = (count) => Float32Array.from({ length: count }, (_, i) => view.getFloat32(at + 4 * i, true));
  return widths.slice(1).map((units, below) => {
    const inputs = widths[below];
    const biases = floats(units);
    at += 4 * units;
    const scales = floats(units);
    at += 4 * units;
    const whole = new Int8Array(buffer, at, units * inputs);
    at += units * inputs;
    const weights = new Float32Array(units * inputs);
    for (let j = 0; j < units; j++) {
      for (let i = j * inputs; i < (j + 1) * inputs; i++) weights[i] = scales[j] * whole[i];
    }
    return { inputs, units, weights, biases };
  });
}

/** A sample's pixels, 784 bytes in base64, as numbers from 0 to 1. */
export function decodePixels(text) {
  return Float32Array.from(atob(text), (character) => character.charCodeAt(0) / 255);
}

/** Load and check the net beside this module: {net, manifest}. */
export async function loadNet(base = import.meta.url) {
  const manifest = await get(new URL("digits.json", base), "json");
  const url = new URL(manifest.file, base);
  url.search = manifest.sha256.slice(0, 8); // a cache must not answer with the file of another manifest
  const buffer = await get(url, "arrayBuffer");
  await check(buffer, manifest);
  return { net: unpack(buffer, manifest.widths), manifest };
}
