// @ts-check
// What the playground says: the names of its settings, and sentences on what the pictures show.

import { TOY_2D } from "./data.mjs";

/** @typedef {import("./settings.mjs").Settings} Settings */
/** @typedef {import("./settings.mjs").Name} Name */
/** @typedef {import("./worker.mjs").View} View */
/** @typedef {import("./worker.mjs").ArmView} ArmView */

/** The name of a setting, and of each of its values where these are words. @type {Record<Name, [string, Record<string, string>?]>} */
export const NAMES_TEXT = {
  data: ["Data", { blobs: "three blobs", moons: "two moons", circles: "circles", xor: "XOR", spirals: "spirals", digits: "8×8 digits" }],
  noise: ["Noise"],
  layers: ["Layers"],
  width: ["Units"],
  seed: ["Seed"],
  norm: ["Lengths", { none: "as they come", rms: "scaled to 1", layernorm: "LayerNorm" }],
  kept: ["Kept of a length", { 0: "nothing", 1: "all" }],
  goodness: ["Goodness", { squares: "mean square", rms: "root mean square", abs: "mean |h|" }],
  positive: ["Positive data", { high: "above θ", low: "below θ" }],
  loss: ["Loss", { logistic: "logistic", pair: "pair" }],
  theta: ["Threshold θ"],
  lr: ["Learning rate"],
  neg: ["Wrong labels", { random: "random", hard: "hard", once: "drawn once", any: "sometimes true" }],
  order: ["Layers learn", { together: "together", turns: "in turn" }],
};
/** What the menus offer; an address may say anything within settings.mjs's ranges. @type {Partial<Record<Name, number[]>>} */
export const OFFERED = {
  kept: [0, 0.25, 0.5, 0.75, 1],
  noise: [0, 0.05, 0.1, 0.2, 0.3], layers: [1, 2, 3, 4], width: [4, 8, 16, 32, 64],
  theta: [0.1, 0.3, 1, 2, 5, 10, 20], lr: [0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 1, 10],
};

export const SHAPES = ["●", "■", "▲"];
/** The name of a label: a shape in the plane, a number for digits. @param {string} data @param {number} label */
export const labelText = (data, label) => (TOY_2D.includes(data) ? SHAPES[label] : String(label));

/** With a space that does not break. @param {number} share */
export const percent = (share) => `${Math.round(100 * share)}\u00a0%`;

/** A number with two digits that matter. @param {number} value */
export const brief = (value) => (value >= 100 || value === 0 ? value.toFixed(0) : value.toPrecision(2));

/** @param {ArmView} arm */
function troubleText({ trouble, settings }) {
  if (!trouble) return "";
  const layer = `layer ${trouble.layer + 1}`;
  if (trouble.kind === "diverged") return `the loss of ${layer} has run away (learning rate ${settings.lr}).`;
  return `${layer} has fallen silent, no unit of it answers to anything (threshold ${settings.theta}, learning rate ${settings.lr}).`;
}

/** @param {ArmView} arm */
function accuracyText({ settings, accuracy }) {
  const kind = TOY_2D.includes(settings.data) ? "points" : "digits";
  if (accuracy.layers.length === 1) return `of ${kind} that it has not learnt from, it names ${percent(accuracy.sum)} rightly.`;
  const alone = accuracy.layers.map((share, k) => `layer ${k + 1} alone ${percent(share)}`).join(", ");
  return `of ${kind} that it has not learnt from, the sum of the layers names ${percent(accuracy.sum)} rightly (${alone}).`;
}

/** How a run stands, in a sentence. @param {ArmView} arm */
const armText = (arm) => (arm.trouble ? `stopped: ${troubleText(arm)}` : accuracyText(arm));

/**
 * What the pictures show, in sentences.
 * @param {View} view
 * @param {string[]} [names] of the runs, where there are two
 * @param {boolean} [whole] all of it, or what is wanted at a pause
 */
export function describe({ epoch, arms }, names = [], whole = true) {
  if (arms.length > 1) return `Epoch ${epoch}. ${arms.map((arm, k) => `${names[k]}: ${armText(arm)}`).join(" ")}`;
  const [arm] = arms;
  if (arm.trouble) return `Stopped: ${troubleText(arm)} Lower the learning rate or change the threshold, then start again.`;
  const sentences = [`Epoch ${epoch}: ${accuracyText(arm)}`];
  if (whole && arm.settings.loss === "logistic") {
    const [positive, negative] = arm.layers[arm.layers.length - 1].above;
    sentences.push(`In layer ${arm.layers.length}, ${percent(positive)} of the positive and ${percent(negative)} of the negative data are above the threshold.`);
  }
  if (arm.settings.order === "turns") sentences.push(`It is layer ${arm.learning[0] + 1}'s turn.`);
  return sentences.join(" ");
}

/** The goodness of the labels, one after the other, with a space that is not squeezed. @param {string} data @param {number[]} values */
export const goodnessText = (data, values) => values.map((g, label) => `${labelText(data, label)}\u00a0${g.toFixed(2)}`).join("\u2003");

/** What is shown of an input that the net gets wrong. @param {string} data @param {{ trueLabel: number, winner: number } | null} found */
export const wrongText = (data, found) =>
  (found ? `This ${labelText(data, found.trueLabel)} it calls ${TOY_2D.includes(data) ? "" : found.winner === 8 ? "an " : "a "}${labelText(data, found.winner)}.` : "It gets all of them right.");

/** The lengths that are drawn as arrows. @param {import("./run.mjs").Lengths} lengths */
export function lengthsText({ positive, negative }) {
  const range = (/** @type {Float64Array} */ lengths) => `${Math.min(...lengths).toFixed(2)} to ${Math.max(...lengths).toFixed(2)}`;
  return `Length of what layer 2 is given: ${range(positive)} with the true label, ${range(negative)} with a wrong one.`;
}

/** What becomes of lengths, from none kept of them to all. @param {number} kept */
export const lengthsName = (kept) => ({ 0: "scaled to 1", 1: "as they come" })[kept] ?? "in between";

/** What a slider has made of them. @param {number} kept */
export const movedName = (kept) => ({ 0: "taken away", 1: "let in" })[kept] ?? "in between";

/** How to read the histograms: what stands before, between and after "Blue (true label)" and "orange (wrong)". @param {Settings[]} arms of each run */
export function captionText([first, second = first]) {
  if (first.kept !== second.kept) return ["Each label is tried; most goodness (activation length²) wins. ", " should end right of θ, ", " left."];
  const mean = { squares: "mean square", rms: "root mean square", abs: "mean absolute value" }[first.goodness];
  const before = `Goodness = ${mean} of activations. `;
  if (first.loss === "pair") return [before, " should end right of ", "."];
  if (first.positive !== second.positive) return [before, " and ", " should end on different sides of θ."];
  const [blue, orange] = first.positive === "high" ? ["right", "left"] : ["left", "right"];
  return [before, ` should end ${blue} of θ, `, ` ${orange}.`];
}

/** What the net says of a point. @param {string} data @param {{ total: number[], winner: number }} verdict */
export const verdictText = (data, { total, winner }) => `Here the sum says ${labelText(data, winner)}: ${goodnessText(data, total)}`;
