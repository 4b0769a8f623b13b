// @ts-check
// The lessons: two runs side by side from one seed, a question, and an answer when the run has ended.
// tests/browser/test_playground.py trains every lesson with the seeds 1 to 5 and holds `measured`, which the sentences
// quote, to what it finds.

/** @typedef {import("./settings.mjs").Settings} Settings */
/** @typedef {[least: number, greatest: number]} Range in percent of the test set that are right, over the seeds 1 to 5 */
/** @typedef {{ name: string, short: string, change: Partial<Settings> }} Arm short: its name beside a number */
/**
 * @typedef {object} Part of a lesson: a question, a run that ends, an answer
 * @property {string} [button] what begins it, where it goes on with the run of the part before
 * @property {string} question what stands there until it has ended
 * @property {[during: string, after: string]} [state] of the layer that is compared
 * @property {number} until the epoch at which it ends
 * @property {number} measuredAt the epoch at which `measured` holds
 * @property {Range[]} measured for each run, of what is compared
 * @property {(ranges: string[]) => string} found what was measured, given the ranges in words
 * @property {string} why
 * @property {Demo} [demo]
 */
/**
 * @typedef {object} Demo what a button under the answer does: it moves the slider of one run
 * @property {number} arm
 * @property {number} kept where the slider goes
 * @property {[forth: string, back: string]} buttons
 * @property {Range} measured what is compared, once it is there
 * @property {(range: string) => string} [then] what takes the place of the reason while it is there, given that range in words
 */
/**
 * @typedef {object} Lesson
 * @property {string} key in the page's address
 * @property {string} name
 * @property {string} title
 * @property {Partial<Settings>} base what both runs share
 * @property {Arm[]} arms the first stands on the left, one of the others on the right
 * @property {number | "sum"} focus whose accuracy is compared: a layer, counted from 0, or the sum
 * @property {boolean} [arrows] draw what layer 2 is given, with a slider for its length
 * @property {number} floor of the curve's axis
 * @property {Part[]} parts
 */

/** @type {Lesson[]} */
export const LESSONS = [
  {
    key: "lengths",
    name: "Lengths",
    title: "Why lengths are normalised",
    base: { data: "digits", order: "turns", layers: 2, width: 64 },
    arms: [
      { name: "Lengths as they come", short: "as they come", change: { kept: 1 } },
      { name: "Lengths scaled to 1", short: "scaled to 1", change: { kept: 0 } },
    ],
    focus: 1,
    arrows: true,
    floor: 0,
    parts: [
      {
        question: "Both runs train the same layer 1. Layer 2 is not trained: its weights stay random. How can the one on the left name digits?",
        state: ["untrained", "untrained"],
        until: 20,
        measuredAt: 20,
        measured: [[65, 85], [0, 18]],
        found: ([left, right]) => `Five seeds: with lengths as they come, the untrained layer 2 is right on ${left} of the digits; scaled to 1, on ${right}.`,
        why: "Layer 1 has answered already, by length. Random weights copy it: right, with nothing learnt. Why should layer 2 learn, then? Scaled to 1, only luck is left (guessing: 10\u00a0%). Drag the right slider.",
        demo: { arm: 1, kept: 1, buttons: ["Let the lengths in", "Scale them again"], measured: [65, 85] },
      },
      {
        button: "Now train layer 2",
        question: "Layer 1 rests, layer 2 learns. On the right, it is given no lengths, only which units of layer 1 fire and how they share the length. Is that enough?",
        state: ["learning", "trained"],
        until: 40,
        measuredAt: 40,
        measured: [[96, 98], [94, 97]],
        found: ([left, right]) => `Five seeds: layer 2 reaches ${right} scaled to 1, and ${left} with lengths as they come. On these small digits lengths do no harm while they are there.`,
        why: "Enough: both do well. But has the left one learnt as much by itself? Take the lengths away from it.",
        demo: { arm: 0, kept: 0, buttons: ["Take the lengths away", "Give them back"], measured: [82, 92],
          then: (taken) => `No: it leaned on them, and found less by itself. Five seeds: ${taken} without them, below the right one each time. That is why lengths are taken out.` },
      },
    ],
  },
  {
    key: "isolation",
    name: "Isolation",
    title: "Nothing comes down",
    base: { data: "moons", width: 32 },
    arms: [
      { name: "One layer", short: "one layer", change: { layers: 1 } },
      { name: "Two layers", short: "two layers", change: { layers: 2 } },
    ],
    focus: 0,
    floor: 0.4,
    parts: [
      {
        question: "On the right, a second layer learns on top of the first. Compare the two layers 1: does the one above change anything below?",
        state: ["on its own", "on its own"],
        until: 40,
        measuredAt: 40,
        measured: [[0, 0], [0, 0]],
        found: () => "Nothing. With five seeds, the weights of the two layers 1 agree to the last digit, at every step.",
        why: "Each layer learns from its own activations. With backpropagation, layer 2 would send an error down, and layer 1 would change with it.",
      },
    ],
  },
  {
    key: "hard",
    name: "Hard negatives",
    title: "Hard negatives",
    base: { data: "digits", loss: "pair", lr: 0.003 },
    arms: [
      { name: "Random wrong labels", short: "random", change: { neg: "random" } },
      { name: "Wrong labels that look right", short: "hard", change: { neg: "hard" } },
    ],
    focus: "sum",
    floor: 0.8,
    parts: [
      {
        question: "On the right, a wrong label is drawn the more often, the more goodness layer 1 gives it. Its loss stays higher. Does it learn less?",
        until: 20,
        measuredAt: 20,
        measured: [[95, 98], [96, 99]],
        found: ([left, right]) => `No, more: after twenty epochs the sum names ${left} of the digits rightly with random wrong labels, and ${right} with hard ones. Hard is ahead with each of five seeds.`,
        why: "A random wrong label is soon told from the true one and teaches little. A likely one keeps the net busy where it errs.",
      },
    ],
  },
  {
    key: "threshold",
    name: "Threshold",
    title: "A threshold that fits",
    base: { data: "digits" },
    arms: [
      { name: "θ = 1", short: "θ\u00a0=\u00a01", change: { theta: 1 } },
      { name: "θ = 20", short: "θ\u00a0=\u00a020", change: { theta: 20 } },
      { name: "θ = 0.1", short: "θ\u00a0=\u00a00.1", change: { theta: 0.1 } },
    ],
    focus: "sum",
    floor: 0,
    parts: [
      {
        question: "A fresh layer's goodness is near 1. Where do the histograms start, and how far is it from there to the dashed line?",
        until: 20,
        measuredAt: 5,
        measured: [[87, 90], [39, 48], [8, 31]],
        found: ([one, high, low]) => `At epoch 5, with five seeds, the sum names ${one} of the digits rightly with θ\u00a0=\u00a01, ${high} with θ\u00a0=\u00a020 and ${low} with θ\u00a0=\u00a00.1.`,
        why: "Far above 1, a layer must first grow its weights. Far below, it learns to be quiet, and units that are off for every input never learn again.",
      },
    ],
  },
  {
    key: "upside-down",
    name: "Upside down",
    title: "Goodness upside down",
    base: { data: "digits" },
    arms: [
      { name: "High for positive data", short: "high", change: { positive: "high" } },
      { name: "Low for positive data", short: "low", change: { positive: "low" } },
    ],
    focus: "sum",
    floor: 0.4,
    parts: [
      {
        question: "On the right, blue is to lie left of θ, and the answer is the label with the lowest goodness. Does it learn?",
        until: 20,
        measuredAt: 5,
        measured: [[87, 90], [92, 94]],
        found: ([left, right]) => `It does, and here sooner: at epoch 5, with five seeds, the sum names ${left} of the digits rightly with high goodness for positive data, and ${right} with low. By epoch 20 both are at 95 to 98 %.`,
        why: "A layer only has to tell the two passes apart. A unit that falls silent when label and digit agree tells as much as one that fires.",
      },
    ],
  },
  {
    key: "true-negatives",
    name: "A bug",
    title: "Wrong labels that may be true",
    base: { data: "moons" },
    arms: [
      { name: "Always wrong", short: "always wrong", change: { neg: "random" } },
      { name: "Half of them true", short: "half true", change: { neg: "any" } },
    ],
    focus: "sum",
    floor: 0.4,
    parts: [
      {
        question: "On the right, any label may be drawn as the wrong one, so half are true. Compare accuracy, losses and histograms. What gives the bug away?",
        until: 60,
        measuredAt: 60,
        measured: [[95, 99], [94, 97]],
        found: ([left, right]) => `Not the error: with five seeds, the sum names ${left} of the points rightly if the labels are always wrong, and ${right} if half are true. The loss does: below 0.2 in every layer on the left, above 0.5 on the right.`,
        why: "No layer can raise and lower its goodness on the same input, so the loss has a floor. The pairs that are really wrong still pull the right way.",
      },
    ],
  },
];

/** @param {string | null} key */
export const findLesson = (key) => LESSONS.find((lesson) => lesson.key === key) ?? null;

/** A range in words. @param {Range} range */
export const rangeText = ([least, greatest]) => (least === greatest ? `${least}\u00a0%` : `${least} to ${greatest}\u00a0%`);

/** The sentence on what was measured. @param {Part} part */
export const foundText = ({ measured, found }) => found(measured.map(rangeText));

/** What the slider has shown, where a lesson says so. @param {Demo} demo */
export const thenText = ({ measured, then }) => then?.(rangeText(measured)) ?? null;

/** What is compared, in words. @param {Lesson} lesson @param {number} part @param {boolean} ended */
export const focusText = ({ focus, parts }, part, ended) => (focus === "sum" ? "The sum of layers" : `Layer ${focus + 1}, ${parts[part].state?.[Number(ended)]},`);

/** What was compared: the accuracy of the lesson's layer, or of the sum. @param {{ layers: number[], sum: number }} accuracy @param {Lesson["focus"]} focus */
export const focusOf = (accuracy, focus) => (focus === "sum" ? accuracy.sum : accuracy.layers[focus]);
