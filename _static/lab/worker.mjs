// @ts-check
// Trains away from the page, so that the page stays quick: told what to do by messages, it answers with what to draw.
// It has one run, or the two of a lesson, which take their steps in turn and so are always at the same epoch.

import { TOY_2D } from "./data.mjs";
import {
  addPoint, applySettings, clearPoints, difference, example, learning, lengthsForLayer2, makeRun, measure, movePoint, nextWrong,
  plane, removePoint, step, verdictAt,
} from "./run.mjs";

const SLICE = 12; // milliseconds of training between two looks at the messages
const SIDE = 44; // of the grid on which the plane is coloured
const BINS = 40;
const MOST_POINTS = 1200;
const ARROWS = 8; // inputs of the test set whose lengths are drawn

/** @typedef {import("./run.mjs").Run} Run */
/** @typedef {ReturnType<typeof measure>} Measured */
/** @typedef {import("./settings.mjs").Settings} Settings */
/** @typedef {"slow" | "normal" | "fast"} Speed */
/** @typedef {{ top: number, loss: number | null, positive: Float32Array, negative: Float32Array, above: [number, number] }} LayerView */
/** @typedef {{ x: Float64Array, y: Uint8Array, inputs: number }} Points */
/**
 * @typedef {object} ArmView what there is to draw of one run
 * @property {Settings} settings
 * @property {number} labels
 * @property {{ layers: number[], sum: number }} accuracy
 * @property {LayerView[]} layers
 * @property {number[]} learning
 * @property {import("./run.mjs").Trouble | null} trouble
 * @property {ReturnType<typeof plane>} [plane]
 * @property {Points} [points]
 * @property {ReturnType<typeof verdictAt>} [probe]
 * @property {ReturnType<typeof example> & { wrongLabel: number }} [example]
 * @property {import("./run.mjs").Lengths} [lengths] of what layer 2 is given
 * @property {Float64Array[]} [fields] the weights of the first layer's first units
 */
/** @typedef {{ type: "view", id: number, epoch: number, steps: number, playing: boolean, ended: boolean, arms: ArmView[], difference: number | null }} View */
/** @typedef {{ across: number, up: number } | null} Place */
/**
 * @typedef {{ type: "start", id: number, arms: Settings[], until: number | null, keepPoints: boolean } | { type: "play", until: number | null }
 *   | { type: "pause" } | { type: "step" } | { type: "shown" } | { type: "speed", speed: Speed } | { type: "change", arms: Settings[] }
 *   | { type: "probe", at: Place } | { type: "example" } | { type: "wrong" }
 *   | { type: "add", label: number, across: number, up: number } | { type: "move", row: number, across: number, up: number }
 *   | { type: "remove", row: number } | { type: "clear" }} Message
 */

/** Shares of the goodness in equal bins from 0 to `top`; what is larger counts in the last. @param {Float64Array} values @param {number} top */
export function histogram(values, top) {
  const bins = new Float32Array(BINS);
  for (const v of values) bins[Math.max(0, Math.min(BINS - 1, Math.floor((v / top) * BINS) || 0))] += 1 / values.length;
  return bins;
}

/** Epochs a second: slow enough to watch at first, then faster. @param {Speed} speed @param {number} epoch */
export function pace(speed, epoch) {
  if (speed === "fast") return Infinity;
  if (speed === "slow") return 1;
  if (epoch < 5) return 2;
  return epoch < 30 ? 5 : 20;
}

/** How many steps some milliseconds bring: without a limit, also where the clock has not moved (0 · ∞ is no number). @param {number} milliseconds @param {number} perSecond */
export const stepsDue = (milliseconds, perSecond) => (perSecond === Infinity ? Infinity : (milliseconds / 1000) * perSecond);

const state = {
  id: 0,
  /** @type {Run[]} */ runs: [],
  /** @type {number[][]} the right end of each histogram, by run and layer */ tops: [],
  /** @type {number | null} the epoch at which to pause */ until: null,
  /** @type {Speed} */ speed: "normal",
  playing: false,
  waiting: false, // for the page to have drawn the last view
  stale: false, // what it draws is no longer so
  viewDue: 0, // when the next view may be made: at most half of the time goes into views
  ended: false,
  index: 0,
  /** @type {Place} */ probe: null,
  /** @type {Uint8Array | null} */ digits: null,
  /** @type {{ run: Run, kind: string } | null} points that the reader has changed */ painted: null,
  last: 0, // when it last worked
  due: 0, // steps that it should have taken by now
};

async function loadDigits() {
  const answer = await fetch(new URL("digits8.bin", import.meta.url));
  if (!answer.ok) throw new Error(`digits8.bin: the server answered ${answer.status}`);
  return new Uint8Array(await answer.arrayBuffer());
}

/** The axis of a histogram only ever grows, by doubling, so that bars and threshold stay where they are. @param {number} old @param {Float64Array[]} passes @param {Settings} settings */
function growTop(old, passes, { loss, theta }) {
  const sorted = Float64Array.from([...passes[0], ...passes[1]]).sort();
  const high = sorted[Math.floor(0.97 * (sorted.length - 1))];
  let top = old;
  while ((loss === "logistic" && top < 1.5 * theta) || (top < high && top < 1e6)) top *= 2;
  return top;
}

/** The axes of all histograms. A lesson's are all the same, unless the thresholds of its runs differ. @param {Measured[]} measured */
function growTops(measured) {
  const { runs, tops } = state;
  measured.forEach(({ positive, negative }, number) =>
    positive.forEach((_, k) => (tops[number][k] = growTop(tops[number][k], [positive[k], negative[k]], runs[number].settings))));
  if (runs.length < 2 || runs[0].settings.theta !== runs[1].settings.theta) return;
  const top = Math.max(...tops.flat());
  tops.forEach((own) => own.fill(top));
}

/** @param {Run} run @param {number[]} tops @param {Measured} measured @returns {ArmView} */
function viewOf(run, tops, { accuracy, wrongLabels, positive, negative }) {
  const { settings, net, labels } = run;
  const layers = tops.map((top, k) => {
    const above = (/** @type {Float64Array} */ values) => values.reduce((n, v) => n + (v > settings.theta ? 1 : 0), 0) / values.length;
    return {
      top, loss: run.losses[k], positive: histogram(positive[k], top), negative: histogram(negative[k], top),
      above: /** @type {[number, number]} */ ([above(positive[k]), above(negative[k])]),
    };
  });
  const lengths = layers.length > 1 ? lengthsForLayer2(run, ARROWS) : undefined;
  const shared = { settings, labels, accuracy, layers, lengths, learning: learning(run), trouble: run.trouble };
  if (!TOY_2D.includes(settings.data)) {
    const shown = example(run, state.index);
    return { ...shared, example: { ...shown, wrongLabel: wrongLabels[shown.row] }, fields: fieldsOf(run) };
  }
  const { x, y, inputs } = run.train;
  return {
    ...shared, plane: plane(run, SIDE), points: { x, y, inputs },
    probe: state.probe ? verdictAt(run, state.probe.across, state.probe.up) : undefined,
  };
}

/** @param {Run} run */
function fieldsOf({ net, inputs, labels }) {
  const [first] = net.layers;
  return Array.from({ length: Math.min(16, first.units) }, (_, unit) => first.weights.slice(unit * inputs + labels, (unit + 1) * inputs));
}

function postView() {
  const began = performance.now();
  const { id, runs, playing, ended } = state;
  const [{ epoch, steps }] = runs;
  const [a, b] = runs;
  const alike = b && a.net.layers[0].weights.length === b.net.layers[0].weights.length;
  const measured = runs.map(measure);
  growTops(measured);
  const arms = runs.map((run, k) => viewOf(run, state.tops[k], measured[k]));
  /** @type {View} */
  const view = {
    type: "view", id, epoch, steps, playing, ended, arms, difference: alike ? difference(a, b, 0) : null,
  };
  postMessage(view);
  [state.waiting, state.stale] = [true, false];
  state.viewDue = 2 * performance.now() - began;
}

/** @param {unknown} error */
function failed(error) {
  state.playing = false;
  postMessage({ type: "failed", id: state.id, message: error instanceof Error ? error.message : String(error) });
}

/** One step of every run that is not in trouble. Returns whether there is sense in going on. */
function stepAll() {
  const before = state.runs[0].epoch;
  const going = state.runs.map(step).some(Boolean);
  // A run in trouble stands still; the other one goes on, and with it the count of epochs.
  const most = Math.max(...state.runs.map(({ epoch }) => epoch));
  if (going && most > before) for (const run of state.runs) run.epoch = most;
  return going;
}

/** Take the steps that are due, for as long as a slice lasts. */
function train() {
  const now = performance.now();
  const perEpoch = Math.ceil(Math.max(1, state.runs[0].train.y.length) / 50);
  state.due += stepsDue(now - state.last, pace(state.speed, state.runs[0].epoch) * perEpoch);
  state.last = now;
  let going = true;
  while (going && state.due >= 1 && performance.now() < now + SLICE) {
    going = stepAll();
    state.due -= 1;
    if (state.until !== null && state.runs[0].epoch >= state.until) {
      state.ended = true;
      going = false;
    }
  }
  state.due = Math.min(state.due, perEpoch); // what a slow machine cannot do is not made up for later
  if (!going) state.playing = false;
}

function work() {
  if (!state.playing || state.runs.length === 0) return;
  try {
    train();
    if ((!state.waiting && performance.now() >= state.viewDue) || !state.playing) postView();
  } catch (error) {
    failed(error);
  }
  if (state.playing) setTimeout(work, state.speed === "fast" ? 0 : 4);
}

/** Change the points, and show what comes of it. @param {(run: Run) => void} edit */
function editPoints(edit) {
  const [run] = state.runs;
  if (!run || state.runs.length > 1) return;
  edit(run);
  state.painted = { run, kind: run.settings.data };
  if (!state.playing) postView();
}

/** @param {Extract<Message, { type: "start" }>} message */
async function start({ id, arms, until, keepPoints }) {
  Object.assign(state, { id, runs: [], playing: false, until, ended: false, stale: false, index: 0, probe: null, due: 0 });
  if (arms.some(({ data }) => !TOY_2D.includes(data))) state.digits ??= await loadDigits();
  if (id !== state.id) return; // another start has overtaken this one
  if (!keepPoints || state.painted?.kind !== arms[0].data) state.painted = null;
  const points = state.painted?.run.train;
  try {
    state.runs = arms.map((settings) => makeRun(settings, state.digits, points));
  } catch (error) {
    state.digits = null; // the next start asks for them again
    throw error;
  }
  state.tops = state.runs.map(({ net }) => net.layers.map(() => 2));
  postView();
}

/** @type {{ [type in Message["type"]]: (message: any) => void | Promise<void> }} */
const TASKS = {
  start,
  play({ until }) {
    if (state.playing || state.runs.length === 0) return;
    Object.assign(state, { playing: true, until, ended: false, last: performance.now(), due: 1 });
    work();
  },
  pause() {
    state.playing = false;
    if (state.runs.length) postView();
  },
  step() {
    state.playing = false;
    if (state.runs.length === 0) return;
    stepAll();
    postView();
  },
  shown() {
    state.waiting = false;
    if (state.stale && !state.playing && state.runs.length) postView();
  },
  speed({ speed }) {
    state.speed = speed;
    state.due = 0;
  },
  change({ arms }) {
    state.runs.forEach((run, k) => applySettings(run, arms[k]));
    if (state.playing || state.runs.length === 0) return;
    if (state.waiting) state.stale = true; // a slider moves faster than a view is made: the last one counts
    else postView();
  },
  probe({ at }) {
    state.probe = at;
    if (!state.playing && state.runs.length) postView();
  },
  example() {
    state.index += 1;
    if (!state.playing && state.runs.length) postView();
  },
  wrong() {
    const run = state.runs.at(-1);
    if (!run) return;
    const index = nextWrong(run, state.index);
    if (index < 0) {
      postMessage({ type: "wrong", id: state.id, found: null });
      return;
    }
    state.index = index;
    const at = index * run.inputs + run.labels;
    if (TOY_2D.includes(run.settings.data)) state.probe = { across: run.test.x[at], up: run.test.x[at + 1] };
    const { trueLabel, winner } = example(run, index);
    postMessage({ type: "wrong", id: state.id, found: { trueLabel, winner } });
    if (!state.playing) postView();
  },
  add: ({ label, across, up }) => editPoints((run) => run.train.y.length < MOST_POINTS && addPoint(run, label, across, up)),
  move: ({ row, across, up }) => editPoints((run) => row < run.train.y.length && movePoint(run, row, across, up)),
  remove: ({ row }) => editPoints((run) => row < run.train.y.length && removePoint(run, row)),
  clear: () => editPoints(clearPoints),
};

if (typeof postMessage === "function" && typeof document === "undefined") {
  addEventListener("message", ({ data }) => {
    const task = TASKS[/** @type {Message} */ (data).type];
    Promise.resolve(data).then(task).catch(failed);
  });
}
