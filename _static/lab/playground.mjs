// The Forward-Forward playground: turns every <div class="ff-playground"> of a page into a net that trains while you watch.
// The worker trains and measures; this file has the controls, the pictures and the words.

import { TOY_2D } from "./data.mjs";
import { PRESETS } from "./presets.mjs";
import { CHOICES, DEFAULTS, fromHash, sanitize, toHash } from "./settings.mjs";

const LABEL_COLORS = [[0, 158, 115], [166, 107, 190], [184, 160, 0]]; // those of ffutils.plots that are not the passes'
const [POSITIVE, NEGATIVE] = ["#2a86c8", "#d9600f"];
const WORDS_EVERY = 2500; // milliseconds between two sentences while it trains

const LABELS_TEXT = {
  data: ["Data", { blobs: "three blobs", moons: "two moons", circles: "circles", xor: "XOR", spirals: "spirals", digits: "8×8 digits" }],
  noise: ["Noise"],
  layers: ["Layers"],
  width: ["Units per layer"],
  lr: ["Learning rate"],
  theta: ["Threshold θ"],
  loss: ["Loss", { logistic: "logistic", pair: "pair" }],
  norm: ["Normalisation", { none: "none", rms: "RMS 1", layernorm: "LayerNorm" }],
  neg: ["Wrong labels", { random: "random", hard: "hard", once: "drawn once", any: "sometimes true" }],
  order: ["Layers learn", { together: "together", turns: "one after another" }],
  seed: ["Seed"],
};
// What the menus offer; an address may say anything within settings.mjs's ranges.
const OFFERED = {
  noise: [0, 0.05, 0.1, 0.2, 0.3], layers: [1, 2, 3, 4], width: [4, 8, 16, 32, 64],
  lr: [0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 1, 10], theta: [0.3, 1, 2, 5, 10], seed: [1, 2, 3, 4, 5],
};

function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

const percent = (share) => `${Math.round(100 * share)} %`;

/** What the picture shows, in sentences. */
export function describe({ settings, epoch, trouble, accuracy, layers, learning }) {
  if (trouble) {
    const layer = `layer ${trouble.layer + 1}`;
    return trouble.kind === "diverged"
      ? `Stopped: the loss of ${layer} has run away. Lower the learning rate, then press Reset.`
      : `Stopped: ${layer} has fallen silent, no unit of it answers to anything. Lower the learning rate or the threshold, then press Reset.`;
  }
  const kind = TOY_2D.includes(settings.data) ? "points" : "digits";
  const alone = accuracy.layers.map((share, k) => `layer ${k + 1} ${percent(share)}`).join(", ");
  const sentences = [`Epoch ${epoch}: of ${kind} that it has not seen, the sum of the layers names ${percent(accuracy.sum)} rightly (${alone}).`];
  if (settings.loss === "logistic") {
    const [positive, negative] = layers.at(-1).above;
    sentences.push(`In layer ${layers.length}, ${percent(positive)} of the positive and ${percent(negative)} of the negative data are above the threshold.`);
  }
  if (settings.order === "turns") sentences.push(`It is layer ${learning[0] + 1}'s turn.`);
  return sentences.join(" ");
}

// ---- Pictures

function paintPlane(canvas, view, points) {
  const side = Math.round(Math.sqrt(view.winner.length));
  const image = new ImageData(side, side);
  const strongest = Math.max(1e-9, ...view.margin);
  for (let i = 0; i < view.winner.length; i++) {
    const [r, g, b] = LABEL_COLORS[view.winner[i]];
    image.data.set([r, g, b, 50 + 160 * Math.sqrt(view.margin[i] / strongest)], 4 * i);
  }
  const small = new OffscreenCanvas(side, side);
  small.getContext("2d").putImageData(image, 0, 0);
  const context = canvas.getContext("2d");
  context.clearRect(0, 0, canvas.width, canvas.height);
  context.imageSmoothingEnabled = true;
  context.drawImage(small, 0, 0, canvas.width, canvas.height);
  if (points) paintPoints(context, canvas.width, points);
}

/** Circles, squares and triangles, so that colour is not all that tells labels apart. */
function paintPoints(context, size, { x, y, inputs }) {
  const labels = inputs - 2;
  context.lineWidth = 1;
  context.strokeStyle = "#fff";
  for (let i = 0; i < y.length; i++) {
    const across = ((x[i * inputs + labels] + 1) / 2) * size;
    const down = ((1 - x[i * inputs + labels + 1]) / 2) * size;
    const r = 3.2;
    context.beginPath();
    if (y[i] === 0) context.arc(across, down, r, 0, 2 * Math.PI);
    else if (y[i] === 1) context.rect(across - r, down - r, 2 * r, 2 * r);
    else {
      context.moveTo(across, down - 1.3 * r);
      context.lineTo(across + 1.2 * r, down + r);
      context.lineTo(across - 1.2 * r, down + r);
      context.closePath();
    }
    context.fillStyle = `rgb(${LABEL_COLORS[y[i]].join()})`;
    context.fill();
    context.stroke();
  }
}

function paintHistogram(canvas, { positive, negative, top }, settings, ink) {
  const dots = globalThis.devicePixelRatio || 1;
  const [width, height] = [canvas.clientWidth, canvas.clientHeight];
  if (canvas.width !== Math.round(width * dots)) [canvas.width, canvas.height] = [Math.round(width * dots), Math.round(height * dots)];
  const context = canvas.getContext("2d");
  context.setTransform(dots, 0, 0, dots, 0, 0);
  const floor = height - 18;
  context.clearRect(0, 0, width, height);
  const tallest = Math.max(...positive, ...negative, 1e-9);
  context.globalAlpha = 0.75;
  for (const [bins, color] of [[positive, POSITIVE], [negative, NEGATIVE]]) {
    context.fillStyle = color;
    bins.forEach((share, k) => {
      const tall = (share / tallest) * (floor - 6);
      context.fillRect((k / bins.length) * width, floor - tall, width / bins.length - 1, tall);
    });
  }
  context.globalAlpha = 1;
  context.strokeStyle = context.fillStyle = ink;
  context.lineWidth = 1.5;
  context.beginPath();
  context.moveTo(0, floor);
  context.lineTo(width, floor);
  context.stroke();
  if (settings.loss === "logistic") {
    const at = (settings.theta / top) * width;
    context.setLineDash([5, 4]);
    context.beginPath();
    context.moveTo(at, 0);
    context.lineTo(at, floor);
    context.stroke();
    context.setLineDash([]);
    context.font = "15px system-ui, sans-serif";
    context.fillText("θ", Math.min(at + 4, width - 12), 14);
  }
  context.font = "13px system-ui, sans-serif";
  context.textAlign = "left";
  context.fillText("0", 0, height - 4);
  context.textAlign = "right";
  context.fillText(top.toPrecision(2), width, height - 4);
  context.textAlign = "left";
}

function paintImage(canvas, pixels, signed) {
  const side = Math.round(Math.sqrt(pixels.length));
  const bound = Math.max(1e-9, ...pixels.map(Math.abs));
  const image = new ImageData(side, side);
  pixels.forEach((value, i) => {
    const v = value / bound;
    const rgb = signed ? (v > 0 ? [42, 134, 200] : [217, 96, 15]) : [255, 255, 255];
    const strength = Math.abs(v);
    image.data.set(signed ? [...rgb, 255 * strength] : [255 * v, 255 * v, 255 * v, 255], 4 * i);
  });
  canvas.width = canvas.height = side;
  canvas.getContext("2d").putImageData(image, 0, 0);
}

/** Ten bars, one per label: from the lowest to the highest of them. */
function paintLabels(bars, values, trueLabel) {
  const [low, high] = [Math.min(...values), Math.max(...values)];
  bars.forEach(({ fill, item }, label) => {
    fill.style.transform = `scaleY(${high > low ? (values[label] - low) / (high - low) : 0})`;
    item.classList.toggle("ff-play-winner", values[label] === high && high > low);
    item.classList.toggle("ff-play-true-label", label === trueLabel);
  });
}

// ---- The exhibit

function makeMenu(name, value, onChange) {
  const [title, texts] = LABELS_TEXT[name];
  const select = make("select", { name });
  const offered = texts ? CHOICES[name] : [...new Set([...OFFERED[name], value])].sort((a, b) => a - b);
  for (const option of offered) select.append(make("option", { value: option }, texts ? texts[option] : String(option)));
  select.value = value;
  select.addEventListener("change", () => onChange(name, sanitize(name, select.value)));
  return make("label", {}, title, select);
}

function makeBars() {
  const bars = Array.from({ length: 10 }, (_, label) => {
    const fill = make("b");
    return { fill, item: make("span", {}, make("i", {}, fill), String(label)) };
  });
  return { bars, element: make("div", { class: "ff-play-labels", "aria-hidden": "true" }, ...bars.map(({ item }) => item)) };
}

/** A row of the net: a picture of what it says, the histogram of its goodness, and its figures. */
function makeRow(title, is2d, first) {
  const picture = make("canvas", { width: 132, height: 132, "aria-hidden": "true" });
  const histogram = make("canvas", { "aria-hidden": "true" });
  const [figures, labels] = [make("p"), makeBars()];
  const fields = first && !is2d ? Array.from({ length: 16 }, () => make("canvas", { width: 8, height: 8 })) : [];
  const left = is2d ? picture : labels.element;
  const parts = [make("h4", {}, title), make("div", { class: "ff-play-picture" }, left), make("div", { class: "ff-play-histogram" }, histogram), figures];
  if (fields.length) parts.push(make("div", { class: "ff-play-fields", "aria-hidden": "true" }, ...fields));
  return { element: make("section", { class: "ff-play-row" }, ...parts), picture, histogram, figures, labels, fields };
}

function mount(element) {
  let settings = fromHash(location.hash.length > 1 ? location.hash : location.search); // a link from a chapter says ?norm=none
  let wanted = false; // what the reader asked for: out of sight it rests all the same
  let inSight = true;
  let [view, points, drawn, spoken, index, starts] = [null, null, true, 0, 0, 0];
  let rows = [];
  const worker = new Worker(new URL("worker.mjs", import.meta.url), { type: "module" });
  const tell = (type, more = {}) => worker.postMessage({ type, ...more });

  const play = make("button", { type: "button", class: "ff-play-main" }, "Train");
  const single = make("button", { type: "button" }, "One step");
  const reset = make("button", { type: "button" }, "Reset");
  const other = make("button", { type: "button" }, "Another digit");
  const presets = make("select", { "aria-label": "Presets" }, make("option", { value: "" }, "Presets: choose what to look for …"));
  PRESETS.forEach(({ name }, k) => presets.append(make("option", { value: k }, name)));
  const hint = make("p", { class: "ff-note ff-play-hint" });
  const status = make("p", { role: "status" }, "Starting …");
  const menus = make("div", { class: "ff-play-menus" });
  const whole = make("canvas", { width: 320, height: 320, role: "img", "aria-label": "The plane, coloured by the label with the larger summed goodness, and the points to learn from" });
  const digit = make("canvas", { width: 8, height: 8, class: "ff-play-digit", role: "img", "aria-label": "A digit that the net has not seen" });
  const sum = makeBars();
  const top = make("div", { class: "ff-play-top" });
  const net = make("div", { class: "ff-play-net" });
  const legend = make("p", { class: "ff-note" });
  legend.innerHTML = 'In each layer: how large its goodness is for <b class="ff-play-blue">positive</b> and for <b class="ff-play-orange">negative</b> data that it has not seen. The dots show the two passes. They go up, and nothing comes down: each layer has only its own two histograms to learn from.';

  function build() {
    const is2d = TOY_2D.includes(settings.data);
    menus.replaceChildren(...Object.keys(DEFAULTS).filter((name) => name !== "noise" || is2d).map((name) => makeMenu(name, settings[name], change)));
    rows = Array.from({ length: settings.layers }, (_, k) => makeRow(`Layer ${k + 1}`, is2d, k === 0));
    const title = make("h4", {}, "Sum of all layers");
    top.replaceChildren(title, is2d ? whole : make("div", { class: "ff-play-seen" }, digit, sum.element, other));
    net.replaceChildren(...rows.map(({ element: row }) => row).reverse(), make("p", { class: "ff-play-input" }, is2d ? "a point with a label" : "a digit with a label"));
    net.style.setProperty("--ff-rows", settings.layers);
    [points, index] = [null, 0];
  }

  function start() {
    setWanted(false);
    build();
    status.textContent = "Starting …";
    history.replaceState(null, "", location.pathname + (toHash(settings) === "#" ? "" : toHash(settings)));
    [view, starts] = [null, starts + 1];
    tell("start", { settings });
  }

  function change(name, value) {
    settings = { ...settings, [name]: value };
    hint.textContent = presets.value = "";
    const focused = name;
    start();
    menus.querySelector(`select[name="${focused}"]`)?.focus();
  }

  function setWanted(on) {
    wanted = on;
    play.textContent = on ? "Pause" : "Train";
    play.setAttribute("aria-pressed", String(on));
    element.classList.toggle("ff-play-running", on);
    tell(on && inSight ? "play" : "pause");
  }

  function show() {
    drawn = true;
    if (view === null) return;
    const ink = getComputedStyle(element).getPropertyValue("color");
    const is2d = TOY_2D.includes(view.settings.data);
    if (is2d) paintPlane(whole, view.plane.sum, points);
    else {
      paintImage(digit, view.example.data, false);
      paintLabels(sum.bars, view.example.total, view.example.trueLabel);
      view.fields.forEach((field, k) => paintImage(rows[0].fields[k], field, true));
    }
    view.layers.forEach((layer, k) => {
      const row = rows[k];
      if (is2d) paintPlane(row.picture, view.plane.layers[k], null);
      else paintLabels(row.labels.bars, view.example.perLayer[k], view.example.trueLabel);
      paintHistogram(row.histogram, layer, view.settings, ink);
      const figures = [`alone ${percent(view.accuracy.layers[k])}`, `loss ${layer.loss === null ? "–" : layer.loss.toPrecision(2)}`];
      if (k > 0) figures.push(`follows layer ${k}: ${layer.follows.toFixed(2)}`);
      row.figures.textContent = figures.join(" · ");
      row.element.classList.toggle("ff-play-learning", wanted && view.learning.includes(k));
    });
    top.firstChild.textContent = `Sum of all layers: ${percent(view.accuracy.sum)} of the unseen, ${percent(view.accuracy.train)} of the seen`;
    const now = performance.now();
    if (!wanted || view.trouble || now - spoken > WORDS_EVERY) {
      spoken = now;
      status.textContent = describe(view);
    }
    tell("shown");
  }

  worker.addEventListener("message", ({ data }) => {
    if (data.type === "failed") {
      setWanted(false);
      status.textContent = `The playground stopped: ${data.message}. Reload the page to try again.`;
      return;
    }
    if (data.id !== starts) return; // of a run that is gone
    view = data;
    if (data.points) points = data.points;
    if (data.trouble && wanted) setWanted(false);
    if (drawn) {
      drawn = false;
      requestAnimationFrame(show);
    }
  });
  worker.addEventListener("error", () => (status.textContent = "The playground could not start its worker. Reload the page to try again."));

  play.addEventListener("click", () => setWanted(!wanted));
  single.addEventListener("click", () => {
    setWanted(false);
    tell("step");
  });
  reset.addEventListener("click", start);
  other.addEventListener("click", () => tell("example", { index: (index += 1) }));
  presets.addEventListener("change", () => {
    if (presets.value === "") return;
    const preset = PRESETS[presets.value];
    settings = { ...DEFAULTS, ...preset.change };
    start();
    hint.textContent = preset.hint;
  });
  addEventListener("hashchange", () => {
    settings = fromHash(location.hash);
    hint.textContent = presets.value = "";
    start();
  });
  const rest = () => tell(wanted && inSight && !document.hidden ? "play" : "pause");
  new IntersectionObserver((entries) => {
    inSight = entries.at(-1).isIntersecting;
    rest();
  }).observe(element);
  document.addEventListener("visibilitychange", rest);

  const bar = make("div", { class: "ff-play-bar" }, play, single, reset, presets);
  const controls = make("details", { open: "" }, make("summary", {}, "Settings"), menus);
  element.replaceChildren(bar, hint, status, make("div", { class: "ff-play-grid" }, top, net), legend, controls);
  start();
}

if (globalThis.document) {
  for (const element of document.querySelectorAll("div.ff-playground")) {
    element.classList.add("ff-lab");
    mount(element);
  }
}
