// @ts-check
// The playground's pictures: canvases in, colours out.

import { labelText } from "./words.mjs";

/** @typedef {import("./run.mjs").Colors} Colors */
/** @typedef {import("./worker.mjs").LayerView} LayerView */
/** @typedef {import("./worker.mjs").Points} Points */
/** @typedef {import("./settings.mjs").Settings} Settings */
/** @typedef {{ width: number, height: number, context: CanvasRenderingContext2D }} Sheet a canvas in CSS pixels */
/** @typedef {{ values: [epoch: number, share: number][], now: number | null, dash: number[], strong: boolean }} Series now: what a slider has made of the last value */

export const LABEL_COLORS = [[0, 158, 115], [166, 107, 190], [184, 160, 0]]; // those of ffutils.plots that are not the passes'
const [POSITIVE, NEGATIVE] = ["#2a86c8", "#d9600f"];
const FONT = "12px system-ui, sans-serif";
const ROOM = 15; // above a histogram's bars, for θ, and below them, for the axis
const FARTHEST = 1.35; // the longest arrow that is drawn

/** @param {HTMLCanvasElement} canvas */
const contextOf = (canvas) => /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));

/** A canvas as large as it is shown, cleared. @param {HTMLCanvasElement} canvas @returns {Sheet} */
function sheetOf(canvas) {
  const dots = globalThis.devicePixelRatio || 1;
  const [width, height] = [canvas.clientWidth, canvas.clientHeight];
  const [across, down] = [Math.round(width * dots), Math.round(height * dots)];
  if (canvas.width !== across || canvas.height !== down) Object.assign(canvas, { width: across, height: down });
  const context = contextOf(canvas);
  context.setTransform(dots, 0, 0, dots, 0, 0);
  context.clearRect(0, 0, width, height);
  return { width, height, context };
}

// ---- The plane

/** @type {OffscreenCanvas | null} */
let small = null;

/** Which label wins where, the stronger the colour the greater its lead. @param {HTMLCanvasElement} canvas @param {Colors} colors @returns {Sheet} */
export function paintPlane(canvas, { winner, margin }) {
  const side = Math.round(Math.sqrt(winner.length));
  const image = new ImageData(side, side);
  let strongest = 1e-9;
  for (const lead of margin) if (lead > strongest) strongest = lead;
  for (let i = 0; i < winner.length; i++) {
    const [r, g, b] = LABEL_COLORS[winner[i]];
    const at = 4 * i;
    image.data[at] = r;
    image.data[at + 1] = g;
    image.data[at + 2] = b;
    image.data[at + 3] = 50 + 160 * Math.sqrt(margin[i] / strongest);
  }
  if (small?.width !== side) small = new OffscreenCanvas(side, side);
  /** @type {OffscreenCanvasRenderingContext2D} */ (small.getContext("2d")).putImageData(image, 0, 0);
  const sheet = sheetOf(canvas);
  sheet.context.imageSmoothingEnabled = true;
  sheet.context.drawImage(small, 0, 0, sheet.width, sheet.height);
  return sheet;
}

/** A circle, a square or a triangle, so that colour is not all that tells labels apart. @param {CanvasRenderingContext2D} context @param {number} label @param {number} x @param {number} y @param {number} r */
function markPath(context, label, x, y, r) {
  context.beginPath();
  if (label === 0) context.arc(x, y, r, 0, 2 * Math.PI);
  else if (label === 1) context.rect(x - r, y - r, 2 * r, 2 * r);
  else {
    context.moveTo(x, y - 1.3 * r);
    context.lineTo(x + 1.2 * r, y + r);
    context.lineTo(x - 1.2 * r, y + r);
    context.closePath();
  }
}

/** @param {Sheet} sheet @param {Points} points @param {number} r */
export function paintPoints({ context, width, height }, { x, y, inputs }, r) {
  const labels = inputs - 2;
  context.lineWidth = 1;
  context.strokeStyle = "#fff";
  for (let i = 0; i < y.length; i++) {
    const across = ((x[i * inputs + labels] + 1) / 2) * width;
    const down = ((1 - x[i * inputs + labels + 1]) / 2) * height;
    markPath(context, y[i], across, down, r);
    context.fillStyle = `rgb(${LABEL_COLORS[y[i]].join()})`;
    context.fill();
    context.stroke();
  }
}

/** A cross at the place that is asked about. @param {Sheet} sheet @param {{ across: number, up: number }} at @param {string} ink */
export function paintPlace({ context, width, height }, { across, up }, ink) {
  const [x, y] = [((across + 1) / 2) * width, ((1 - up) / 2) * height];
  for (const [color, thick] of /** @type {[string, number][]} */ ([["#fff", 5], [ink === "#fff" ? "#000" : "#111", 2]])) {
    context.strokeStyle = color;
    context.lineWidth = thick;
    context.beginPath();
    context.moveTo(x - 9, y);
    context.lineTo(x + 9, y);
    context.moveTo(x, y - 9);
    context.lineTo(x, y + 9);
    context.stroke();
  }
}

// ---- Histograms

/** @param {CanvasRenderingContext2D} context @param {string} ink @param {[number, number, number, number]} line @param {number[]} [dash] */
function rule(context, ink, [x0, y0, x1, y1], dash = []) {
  context.strokeStyle = ink;
  context.lineWidth = 1.5;
  context.setLineDash(dash);
  context.beginPath();
  context.moveTo(x0, y0);
  context.lineTo(x1, y1);
  context.stroke();
  context.setLineDash([]);
}

/**
 * The goodness of positive and negative data, with the threshold, and where an input lies that is asked about.
 * @param {HTMLCanvasElement} canvas
 * @param {LayerView} layer
 * @param {Settings} settings
 * @param {[label: number, goodness: number][]} marks
 * @param {string} ink
 */
export function paintHistogram(canvas, { positive, negative, top }, settings, marks, ink) {
  const { context, width, height } = sheetOf(canvas);
  const floor = height - ROOM;
  const tallest = Math.max(0.12, ...positive, ...negative);
  context.globalAlpha = 0.75;
  for (const [bins, color] of /** @type {[Float32Array, string][]} */ ([[positive, POSITIVE], [negative, NEGATIVE]])) {
    context.fillStyle = color;
    const wide = width / bins.length;
    bins.forEach((share, k) => {
      const tall = (share / tallest) * (floor - ROOM);
      context.fillRect(k * wide, floor - tall, wide - 0.7, tall);
    });
  }
  context.globalAlpha = 1;
  context.fillStyle = ink;
  context.font = FONT;
  rule(context, ink, [0, floor, width, floor]);
  if (settings.loss === "logistic") {
    const at = (settings.theta / top) * width;
    rule(context, ink, [at, 2, at, floor], [4, 3]);
    const whole = at + 80 < width && width > 220;
    context.fillText(whole ? "threshold θ" : "θ", Math.min(at + 4, width - 9), 11);
  }
  context.textAlign = "center";
  const taken = [4, width - 8];
  for (const [label, g] of marks) {
    const at = Math.min(width - 5, Math.max(5, (g / top) * width));
    rule(context, ink, [at, floor, at, floor + 4]);
    if (taken.some((other) => Math.abs(other - at) < 15)) continue; // two texts in one place
    context.fillText(labelText(settings.data, label), at, height - 1);
    taken.push(at);
  }
  context.fillText("0", 4, height - 3);
  context.textAlign = "right";
  context.fillText(`${top}+`, width, height - 3);
  context.textAlign = "left";
}

// ---- Arrows

/** @param {Sheet} sheet @param {string} color @param {{ from: [number, number], angle: number, far: number }} arrow */
function paintArrow({ context }, color, { from: [x, y], angle, far }) {
  const [across, up] = [Math.cos(angle), Math.sin(angle)];
  const place = (/** @type {number} */ along, /** @type {number} */ aside) => /** @type {[number, number]} */ ([x + across * along + up * aside, y - up * along + across * aside]);
  context.strokeStyle = context.fillStyle = color;
  context.lineWidth = 1.8;
  context.beginPath();
  context.moveTo(x, y);
  context.lineTo(...place(far - 5, 0));
  context.stroke();
  context.beginPath();
  context.moveTo(...place(far, 0));
  context.lineTo(...place(far - 8, 3.6));
  context.lineTo(...place(far - 8, -3.6));
  context.fill();
}

/**
 * The lengths of vectors as a fan of arrows, each input's two side by side, and an arc at the length 1. The angles say nothing.
 * @param {HTMLCanvasElement} canvas
 * @param {import("./run.mjs").Lengths} lengths
 * @param {string} ink
 */
export function paintArrows(canvas, { positive, negative }, ink) {
  const sheet = sheetOf(canvas);
  const { context, width, height } = sheet;
  const from = /** @type {[number, number]} */ ([width / 2, height - 2]);
  const unit = Math.min(width / 2, height - 3) / FARTHEST;
  for (const [lengths, color, shift] of /** @type {[Float64Array, string, number][]} */ ([[negative, NEGATIVE, 0.68], [positive, POSITIVE, 0.32]])) {
    lengths.forEach((length, k) => paintArrow(sheet, color, {
      from, angle: Math.PI * (1 - (k + shift) / lengths.length), far: unit * Math.min(length, FARTHEST),
    }));
  }
  context.strokeStyle = context.fillStyle = ink;
  context.lineWidth = 1.5;
  context.setLineDash([4, 3]);
  context.beginPath();
  context.arc(...from, unit, Math.PI, 0);
  context.stroke();
  context.setLineDash([]);
  context.font = FONT;
  context.fillText("1", from[0] + unit + 5, height - 3);
}

// ---- Small images, and the bars of the labels

/** @param {HTMLCanvasElement} canvas @param {ArrayLike<number>} pixels @param {boolean} signed blue for what excites, orange for what silences */
export function paintImage(canvas, pixels, signed) {
  const side = Math.round(Math.sqrt(pixels.length));
  let bound = 1e-9;
  for (let i = 0; i < pixels.length; i++) bound = Math.max(bound, Math.abs(pixels[i]));
  const image = new ImageData(side, side);
  for (let i = 0; i < pixels.length; i++) {
    const v = pixels[i] / bound;
    if (signed) image.data.set([...(v > 0 ? [42, 134, 200] : [217, 96, 15]), 255 * Math.abs(v)], 4 * i);
    else image.data.set([255 * v, 255 * v, 255 * v, 255], 4 * i);
  }
  if (canvas.width !== side) canvas.width = canvas.height = side;
  contextOf(canvas).putImageData(image, 0, 0);
}

/**
 * Ten bars, one per label: from the lowest to the highest of them.
 * @param {{ fill: HTMLElement, item: HTMLElement }[]} bars
 * @param {number[]} values
 * @param {number} chosen
 * @param {number} trueLabel
 */
export function paintLabels(bars, values, chosen, trueLabel) {
  const [low, high] = [Math.min(...values), Math.max(...values)];
  bars.forEach(({ fill, item }, label) => {
    fill.style.transform = `scaleY(${high > low ? (values[label] - low) / (high - low) : 0})`;
    item.classList.toggle("ff-play-winner", label === chosen && high > low);
    item.classList.toggle("ff-play-true-label", label === trueLabel);
  });
}

// ---- The curve

/** The last epoch on the axis: it grows by doubling. @param {number} epoch @param {number} least */
function lastEpoch(epoch, least) {
  let last = least;
  while (last < epoch) last *= 2;
  return last;
}

/**
 * Accuracy over epochs.
 * @param {HTMLCanvasElement} canvas
 * @param {Series[]} series
 * @param {{ epoch: number, least: number, floor: number, chance: number, mark: number | null }} axis
 * @param {string} ink
 */
export function paintCurve(canvas, series, { epoch, least, floor, chance, mark }, ink) {
  const { context, width, height } = sheetOf(canvas);
  const [left, right, bottom, above] = [46, width - 56, height - 16, 6];
  const last = lastEpoch(epoch, least);
  const across = (/** @type {number} */ at) => left + (at / last) * (right - left);
  const up = (/** @type {number} */ share) => bottom - ((Math.max(floor, share) - floor) / (1 - floor)) * (bottom - above);
  context.font = FONT;
  context.fillStyle = ink;
  rule(context, ink, [left, bottom, right, bottom]);
  context.textAlign = "right";
  context.fillText(`${Math.round(100 * floor)}\u00a0%`, left - 4, bottom + 2);
  context.fillText("100\u00a0%", left - 4, above + 6);
  context.fillText(`epoch ${last}`, right, height - 3);
  context.textAlign = "left";
  if (chance > floor) context.fillText("guessing", right + 4, up(chance) + 4, 52);
  context.fillText("0", left, height - 3);
  context.globalAlpha = 0.45;
  rule(context, ink, [left, up(1), right, up(1)], [1, 4]);
  if (chance > floor) rule(context, ink, [left, up(chance), right, up(chance)], [1, 4]);
  if (mark !== null) rule(context, ink, [across(mark), above, across(mark), bottom], [1, 4]);
  context.globalAlpha = 1;
  for (const { values, now, dash, strong } of series) {
    context.strokeStyle = ink;
    context.globalAlpha = strong ? 1 : 0.7;
    context.lineWidth = strong ? 2.4 : 1.4;
    context.setLineDash(dash);
    context.beginPath();
    values.forEach(([at, share], k) => (k ? context.lineTo(across(at), up(share)) : context.moveTo(across(at), up(share))));
    context.stroke();
    if (now === null) continue;
    context.setLineDash([]);
    context.beginPath();
    context.arc(across(values.at(-1)?.[0] ?? 0), up(now), 4, 0, 2 * Math.PI);
    context.stroke();
  }
  context.setLineDash([]);
  context.globalAlpha = 1;
}
