// @ts-check
// The lessons: two runs side by side from one seed, and what to look for. tests/browser/test_playground.py trains every
// lesson with the seeds 1 to 5 and holds `measured`, which the sentences quote, to what it finds.

/** @typedef {import("./settings.mjs").Settings} Settings */
/** @typedef {[least: number, greatest: number]} Range in percent of the test set that are right, over the seeds 1 to 5 */
/** @typedef {{ name: string, change: Partial<Settings>, measured: Range }} Arm */
/**
 * @typedef {object} Lesson
 * @property {string} key in the page's address
 * @property {string} name
 * @property {string} title
 * @property {Partial<Settings>} base what both runs share
 * @property {Arm[]} arms the first stands on the left, one of the others on the right
 * @property {number | "sum"} focus whose accuracy is compared: a layer, counted from 0, or the sum
 * @property {number} measuredAt the epoch at which `measured` holds
 * @property {number} epochs where it pauses
 * @property {number} floor of the curve's axis
 * @property {string} look what to look for while it trains
 * @property {(arms: string[]) => string} found what was measured, given the ranges in words
 * @property {string} why
 */

/** @type {Lesson[]} */
export const LESSONS = [
  {
    key: "lengths",
    name: "Lengths",
    title: "Why lengths must be normalised",
    base: { data: "digits", order: "turns", layers: 2, width: 64 },
    arms: [
      { name: "Lengths as they come", change: { norm: "none" }, measured: [49, 68] },
      { name: "Lengths scaled to 1", change: { norm: "rms" }, measured: [0, 18] },
    ],
    focus: 1,
    measuredAt: 20,
    epochs: 20,
    floor: 0,
    look: "Only layer 1 learns here. Layer 2 stays at its random initial weights. How can it name digits on the left?",
    found: ([left, right]) => `With five seeds, the untrained layer 2 names ${left} of the digits rightly on the left and ${right} on the right (chance: 10 %).`,
    why: "Layer 1's goodness is the length of its activations. On the left that length goes up, and layer 2 copies layer 1's answer. On the right all lengths are 1, only the direction goes up, and layer 2 must learn something of its own. Until it does, it adds noise to the sum.",
  },
  {
    key: "isolation",
    name: "Isolation",
    title: "Nothing comes down",
    base: { data: "moons", width: 32 },
    arms: [
      { name: "One layer", change: { layers: 1 }, measured: [0, 0] },
      { name: "Two layers", change: { layers: 2 }, measured: [0, 0] },
    ],
    focus: 0,
    measuredAt: 40,
    epochs: 40,
    floor: 0.4,
    look: "A second layer learns on top of the first on the right. Compare the two layers 1: picture, histogram, loss.",
    found: () => "With five seeds, the weights of the two layers 1 agree to the last digit, at every step.",
    why: "Each layer learns from its own activations. With backpropagation, layer 2 would send an error down, and layer 1 would change with it.",
  },
  {
    key: "hard",
    name: "Hard negatives",
    title: "Hard negatives",
    base: { data: "digits", loss: "pair", lr: 0.003 },
    arms: [
      { name: "Random wrong labels", change: { neg: "random" }, measured: [95, 98] },
      { name: "Wrong labels that look right", change: { neg: "hard" }, measured: [96, 99] },
    ],
    focus: "sum",
    measuredAt: 20,
    epochs: 20,
    floor: 0.8,
    look: "On the right, a wrong label is drawn the more often, the more goodness layer 1 gives it. Watch the loss stay higher, and the curve.",
    found: ([left, right]) => `After twenty epochs, the sum names ${left} of the digits rightly on the left and ${right} on the right; the right side is ahead with each of five seeds.`,
    why: "A random wrong label is soon told from the true one and teaches little. A likely one keeps the net busy where it errs.",
  },
  {
    key: "threshold",
    name: "Threshold",
    title: "A threshold that fits",
    base: { data: "digits" },
    arms: [
      { name: "θ = 1", change: { theta: 1 }, measured: [87, 90] },
      { name: "θ = 20", change: { theta: 20 }, measured: [39, 48] },
      { name: "θ = 0.1", change: { theta: 0.1 }, measured: [8, 31] },
    ],
    focus: "sum",
    measuredAt: 5,
    epochs: 20,
    floor: 0,
    look: "Watch where the histograms start, and how far it is from there to the dashed line. A fresh layer's goodness is near 1.",
    found: ([one, high, low]) => `At epoch 5, the sum names ${one} of the digits rightly with θ\u00a0=\u00a01, ${high} with θ\u00a0=\u00a020 and ${low} with θ\u00a0=\u00a00.1.`,
    why: "Far above 1, a layer must first grow its weights. Far below, it learns to be quiet, and units that are off for every input never learn again.",
  },
  {
    key: "upside-down",
    name: "Upside down",
    title: "Goodness upside down",
    base: { data: "digits" },
    arms: [
      { name: "High for positive data", change: { positive: "high" }, measured: [87, 90] },
      { name: "Low for positive data", change: { positive: "low" }, measured: [92, 94] },
    ],
    focus: "sum",
    measuredAt: 5,
    epochs: 20,
    floor: 0.4,
    look: "On the right, blue is to lie left of θ, and the answer is the label with the lowest goodness. Does it learn?",
    found: ([left, right]) => `It does, and here sooner: at epoch 5 the sum names ${left} of the digits rightly on the left and ${right} on the right. By epoch 20 both are at 95 to 98 %.`,
    why: "A layer only has to tell the two passes apart. A unit that falls silent when label and digit agree tells as much as one that fires.",
  },
  {
    key: "true-negatives",
    name: "A bug",
    title: "Wrong labels that may be true",
    base: { data: "moons" },
    arms: [
      { name: "Always wrong", change: { neg: "random" }, measured: [95, 99] },
      { name: "Half of them true", change: { neg: "any" }, measured: [94, 97] },
    ],
    focus: "sum",
    measuredAt: 60,
    epochs: 60,
    floor: 0.4,
    look: "On the right, any label may be drawn as the wrong one. Compare the losses and the histograms, then the accuracy.",
    found: ([left, right]) => `The sum names ${left} of the points rightly on the left and ${right} on the right, so the error hardly gives the bug away. The loss does: above 0.5 in every layer on the right, below 0.2 on the left.`,
    why: "No layer can raise and lower its goodness on the same input, so the loss has a floor. The pairs that are really wrong still pull the right way.",
  },
];

/** @param {string | null} key */
export const findLesson = (key) => LESSONS.find((lesson) => lesson.key === key) ?? null;

/** A range in words. @param {Range} range */
export const rangeText = ([least, greatest]) => (least === greatest ? `${least}\u00a0%` : `${least} to ${greatest}\u00a0%`);

/** The sentence on what was measured. @param {Lesson} lesson */
export const foundText = ({ arms, found }) => found(arms.map(({ measured }) => rangeText(measured)));

/** What was compared: the accuracy of the lesson's layer, or of the sum. @param {{ layers: number[], sum: number }} accuracy @param {Lesson["focus"]} focus */
export const focusOf = (accuracy, focus) => (focus === "sum" ? accuracy.sum : accuracy.layers[focus]);
