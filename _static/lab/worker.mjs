// Trains away from the page, so that the page stays quick: told what to do by messages, it answers with pictures' numbers.
// A message in: { type: "start", settings } | { type: "play" } | { type: "pause" } | { type: "step" } | { type: "shown" }
// | { type: "example", index }. A message out: { type: "view", … } or { type: "failed", message }.

import { accuracy, example, goodnessNow, learning, makeRun, plane, step } from "./run.mjs";
import { TOY_2D } from "./data.mjs";

const SLICE = 14; // milliseconds of training between two looks at the messages
const SIDE = 44; // of the grid on which the plane is coloured
const BINS = 40;

let run = null;
let playing = false;
let waiting = false; // for the page to have drawn the last view
let started = 0; // which run: a start that was overtaken by another is dropped
let index = 0;
let digits = null;

async function loadDigits() {
  const answer = await fetch(new URL("digits8.bin", import.meta.url));
  if (!answer.ok) throw new Error(`digits8.bin: the server answered ${answer.status}`);
  return new Uint8Array(await answer.arrayBuffer());
}

/** Shares of the goodness in equal bins from 0 to `top`; what is larger counts in the last. */
export function histogram(values, top) {
  const bins = new Float32Array(BINS);
  for (const v of values) bins[Math.max(0, Math.min(BINS - 1, Math.floor((v / top) * BINS) || 0))] += 1 / values.length;
  return bins;
}

function postView() {
  const { settings, net } = run;
  const is2d = TOY_2D.includes(settings.data);
  const { positive, negative, follows } = goodnessNow(run);
  const layers = net.layers.map((layer, k) => {
    const sorted = Float64Array.from([...positive[k], ...negative[k]]).sort();
    const top = Math.max(2 * settings.theta, 1.15 * sorted[Math.floor(0.99 * (sorted.length - 1))] || 0);
    const above = (values) => values.reduce((n, v) => n + (v > settings.theta), 0) / values.length;
    return {
      top, follows: follows[k], loss: run.losses[k],
      positive: histogram(positive[k], top), negative: histogram(negative[k], top),
      above: [above(positive[k]), above(negative[k])],
    };
  });
  const view = {
    type: "view", id: started, settings, epoch: run.epoch, steps: run.steps, playing, trouble: run.trouble,
    learning: learning(run), layers, accuracy: accuracy(run), labels: run.labels,
  };
  if (is2d) view.plane = plane(run, SIDE);
  else {
    view.example = example(run, index);
    view.fields = Array.from({ length: Math.min(16, net.layers[0].units) }, (_, unit) =>
      net.layers[0].weights.slice(unit * run.inputs + run.labels, (unit + 1) * run.inputs));
  }
  if (is2d && run.steps === 0) view.points = { x: run.train.x, y: run.train.y, inputs: run.inputs };
  postMessage(view);
  waiting = true;
}

const failed = (error) => {
  playing = false;
  postMessage({ type: "failed", message: error.message });
};

function work() {
  if (!playing || !run) return;
  try {
    const until = performance.now() + SLICE;
    let going = true;
    while (going && performance.now() < until) going = step(run);
    if (!going) playing = false;
    if (!waiting || !going) postView();
  } catch (error) {
    failed(error);
  }
  if (playing) setTimeout(work, 0);
}

const TASKS = {
  async start({ settings }) {
    const id = (started += 1);
    [run, playing] = [null, false];
    if (!TOY_2D.includes(settings.data)) digits ??= await loadDigits();
    if (id !== started) return;
    run = makeRun(settings, digits);
    index = 0;
    postView();
    work(); // if Train was pressed while the digits were on their way
  },
  play() {
    if (playing || run?.trouble) return;
    playing = true;
    work();
  },
  pause() {
    playing = false;
    if (run) postView();
  },
  step() {
    playing = false;
    if (!run) return;
    step(run);
    postView();
  },
  shown() {
    waiting = false;
  },
  example(message) {
    index = message.index;
    if (run) postView();
  },
};

if (globalThis.postMessage && !globalThis.document) {
  addEventListener("message", ({ data }) => Promise.resolve(TASKS[data.type](data)).catch(failed));
}
