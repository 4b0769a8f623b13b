// @ts-check
// What the pad may say of its own answer: the label, whether a second one is close, or that this is hardly a digit.
// The figures come from digits.json, where tools/lab/export_weights.py has measured them on validation images.

import { SIDE } from "./image.mjs";
import { predict, summed } from "./ff.mjs";

/** @typedef {import("./weights.mjs").Calibration} Calibration */
/** @typedef {"ink" | "rows" | "goodness" | "standout"} Sign */
/**
 * @typedef {object} Ranking
 * @property {Float64Array} sums the goodness of each label, over the layers that are switched on
 * @property {number} winner
 * @property {number} second
 * @property {number} lead
 */

const UNSURE = 0.1; // a lead that errs more often than this is said with both labels
const INKED = 0.3; // as in export_weights.py

/**
 * Sum the goodness over the layers that are switched on, and rank the labels.
 * @param {Float64Array[]} perLayer [layer][label]
 * @param {boolean[]} switchedOn
 * @returns {Ranking}
 */
export function rank(perLayer, switchedOn = perLayer.map(() => true)) {
  const on = perLayer.filter((_, layer) => switchedOn[layer]);
  const sums = on.length ? summed(on) : perLayer[0].map(() => 0);
  const [winner] = predict(sums, sums.length);
  const others = sums.map((goodness, label) => (label === winner ? -Infinity : goodness));
  const [second] = predict(others, others.length);
  return { sums, winner, second, lead: sums[winner] - sums[second] };
}

/**
 * What tells a digit from other drawings.
 * @param {Float32Array} image
 * @param {Ranking} ranking of all layers
 * @returns {Record<Sign, number>}
 */
export function signs(image, { sums, winner }) {
  const inked = Array.from({ length: SIDE }, (_, row) => image.subarray(row * SIDE, (row + 1) * SIDE).some((ink) => ink > INKED));
  return {
    ink: image.reduce((sum, ink) => sum + ink, 0),
    rows: inked.lastIndexOf(true) - inked.indexOf(true) + 1,
    goodness: sums[winner],
    standout: sums[winner] - sums.reduce((sum, goodness) => sum + goodness, 0) / sums.length,
  };
}

/** @type {Record<Sign, [low: string, high?: string]>} */
const REASONS = {
  ink: ["there is too little ink", "there is too much ink"],
  rows: ["it is too flat"],
  goodness: ["every label gets less goodness than digits get", "it gets more goodness than digits get"],
  standout: ["no label stands out from the others"],
};

/**
 * Why a drawing is hardly a digit, or null where every sign is within the band of all but a few digits.
 * @returns {string | null | undefined}
 * @param {Record<Sign, number>} measured
 * @param {Calibration} calibration
 */
export function whyNoDigit(measured, { bands }) {
  for (const [name, [least, most]] of Object.entries(bands)) {
    const sign = /** @type {Sign} */ (name);
    if (measured[sign] < least) return REASONS[sign][0];
    if (most !== null && measured[sign] > most) return REASONS[sign][1];
  }
  return null;
}

const ORDINALS = ["", "", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth"];
const group = (/** @type {number} */ count) => count.toLocaleString("en");

/**
 * How often it errs at such a lead, in words, and whether that is often.
 * @param {number} lead
 * @param {Calibration} calibration
 */
export function howOften(lead, { leads }) {
  const { images, wrong } = leads.find(({ below }) => below === null || lead < below) ?? leads[leads.length - 1];
  const share = wrong / images;
  const every = Math.round(1 / share);
  if (every <= 10) {
    const words = share < 0.95 / every ? "almost every" : share > 1.05 / every ? "more than every" : "every";
    return { unsure: share > UNSURE, words: `it errs ${words} ${ORDINALS[every]} time` };
  }
  return { unsure: false, words: `it got ${wrong === 0 ? "none" : group(wrong)} of ${group(images)} validation images wrong` };
}

/** @param {string[]} words */
const list = (words) => (words.length < 2 ? words.join("") : `${words.slice(0, -1).join(", ")} and ${words.at(-1)}`);

/**
 * The answer from some of the layers, whose leads were not calibrated.
 * @param {Float64Array[]} perLayer
 * @param {boolean[]} switchedOn
 */
function describeSome(perLayer, switchedOn) {
  const layers = switchedOn.flatMap((on, layer) => (on ? [String(layer + 1)] : []));
  if (layers.length === 0) return { answer: "", words: "Every layer is switched off: switch one on to get an answer." };
  const { winner, second, lead } = rank(perLayer, switchedOn);
  const where = layers.length > 1 ? `Summed over layers ${list(layers)}` : `In layer ${layers[0]} alone`;
  return { answer: String(winner), words: `${where}, label ${winner} has the largest goodness, ${lead.toFixed(2)} more than ${second}.` };
}

/**
 * The answer to show large, and the words beside it.
 * @param {object} seen
 * @param {Float32Array} seen.image
 * @param {Float64Array[]} seen.perLayer [layer][label]
 * @param {boolean[]} seen.switchedOn
 * @param {{label: number} | null} seen.sample the image that was chosen, where nothing was drawn on it
 * @param {Calibration} calibration
 * @returns {{answer: string, words: string}}
 */
export function describe({ image, perLayer, switchedOn, sample }, calibration) {
  if (!switchedOn.every(Boolean)) return describeSome(perLayer, switchedOn);
  const ranking = rank(perLayer);
  const { winner, second, lead } = ranking;
  const why = whyNoDigit(signs(image, ranking), calibration);
  if (why) return { answer: "?", words: `Hardly a digit: ${why}. The nearest label is ${winner}.` };
  const often = howOften(lead, calibration);
  const truth = sample ? (sample.label === winner ? ` The sample is a ${winner}.` : ` But the sample is a ${sample.label}.`) : "";
  if (often.unsure) {
    return { answer: `${winner}?`, words: `${winner} or ${second}? With a lead this small ${often.words}.${truth}` };
  }
  return { answer: String(winner), words: `The net says ${winner}. With a lead like this ${often.words}.${truth}` };
}
