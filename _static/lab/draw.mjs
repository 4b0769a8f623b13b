// @ts-check
// "Draw a digit": turns every <div class="ff-draw"> of a page into a pad to draw on, and shows what a Forward-Forward net
// makes of the drawing with each of the ten labels written into it.
import { END, demo } from "./demo.mjs";
import { make, makeButton, reducedMotion } from "./dom.mjs";
import { labelGoodnessPerLayer, overlay } from "./ff.mjs";
import { SIDE, brighter, preprocess, rasterize } from "./image.mjs";
import { makePad } from "./pad.mjs";
import { describe, rank } from "./verdict.mjs";
import { decodePixels, loadNet } from "./weights.mjs";

/** @typedef {Awaited<ReturnType<typeof loadNet>>} Loaded */
/** @typedef {{label: number, answer: number, pixels: Float32Array, button: HTMLButtonElement, canvas: HTMLCanvasElement}} Sample */

const LABELS = 10;
const SAMPLES = 12; // room is kept for as many until they are loaded
const SETTLED = 600; // milliseconds without a new stroke before the answer is said in words
const EMPTY = "Draw a digit, or choose one of MNIST’s.";

const digits = Array.from({ length: LABELS }, (_, label) => label);

/** Show an image of 28×28 on a canvas. @param {HTMLCanvasElement} canvas @param {Float32Array} pixels from 0 to 1 */
function paint(canvas, pixels) {
  const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  const image = context.createImageData(SIDE, SIDE);
  pixels.forEach((ink, i) => image.data.set([255 * ink, 255 * ink, 255 * ink, 255], 4 * i));
  context.putImageData(image, 0, 0);
}

const smallCanvas = (/** @type {Record<string, string>} */ attributes) => make("canvas", { width: SIDE, height: SIDE, ...attributes });

// ---- The parts. Each returns its element, and functions that show something in it.

/** The first ten pixels of the image, enlarged: where the label goes. */
function makeFirstRow() {
  const cells = digits.map((label) => make("span", {}, String(label)));
  const row = make("div", { class: "ff-draw-row", "aria-hidden": "true" }, ...cells);
  /** Light the pixel of a label, or none. @param {number | null} label */
  const light = (label) => cells.forEach((cell, k) => cell.classList.toggle("ff-draw-lit", k === label));
  return { row, light };
}

/** One bar per label, over the whole width. @param {(label: number | null) => void} onPeek when the pointer is over a bar */
function makeBars(onPeek) {
  const fills = digits.map(() => make("b"));
  const rows = digits.map((label) => make("div", {}, make("span", {}, String(label)), make("i", {}, fills[label])));
  rows.forEach((row, label) => {
    row.addEventListener("pointerenter", () => onPeek(label));
    row.addEventListener("pointerleave", () => onPeek(null));
  });
  const bars = make("div", { class: "ff-draw-bars", role: "img", "aria-label": "Goodness of the ten labels; the numbers are below, layer by layer" }, ...rows);
  /**
   * Bars start at the lowest of the ten, since only differences count. `full` fills the width.
   * @param {ArrayLike<number> | null} sums @param {number} full @param {number | null} winner @param {number} tried how many labels
   */
  function show(sums, full, winner, tried) {
    const values = sums ? Array.from(sums) : digits.map(() => 0);
    const lowest = Math.min(...values);
    const longest = Math.max(full, ...values.map((value) => value - lowest));
    rows.forEach((row, label) => {
      const length = label < tried ? (values[label] - lowest) / longest : 0;
      fills[label].style.transform = `scaleX(${length.toFixed(4)})`;
      row.classList.toggle("ff-draw-winner", label === winner);
    });
  }
  return { bars, show };
}

/** The numbers: a row per label, a column per layer with its switch, and the sum. @param {number} depth @param {() => void} onSwitch */
function makeTable(depth, onSwitch) {
  const switches = Array.from({ length: depth }, () => make("input", { type: "checkbox" }));
  const heads = switches.map((box, layer) => {
    box.checked = true;
    box.addEventListener("change", onSwitch);
    return make("th", { scope: "col" }, make("label", {}, box, `Layer ${layer + 1}`));
  });
  const cells = digits.map(() => Array.from({ length: depth + 1 }, () => make("td", {}, "–")));
  const rows = digits.map((label) => make("tr", {}, make("th", { scope: "row" }, String(label)), ...cells[label]));
  const header = make("tr", {}, make("th", { scope: "col" }, "Label"), ...heads, make("th", { scope: "col" }, "Sum"));
  const table = make("table", {}, make("thead", {}, header), make("tbody", {}, ...rows));
  /** @param {ArrayLike<number>[] | null} columns */
  function show(columns) {
    for (let column = 0; column <= depth; column++) {
      const values = columns ? Array.from(columns[column]) : null;
      const highest = values ? Math.max(...values) : 0;
      digits.forEach((label) => {
        const cell = cells[label][column];
        cell.textContent = values ? values[label].toFixed(2) : "–";
        cell.classList.toggle("ff-draw-best", values !== null && highest > Math.min(...values) && values[label] === highest);
        cell.classList.toggle("ff-draw-off", column < depth && !switches[column].checked);
      });
    }
  }
  return { table, show, switchedOn: () => switches.map((box) => box.checked) };
}

/** The numbers and what the net sees, folded. @param {number} depth @param {() => void} onSwitch */
function makeDetails(depth, onSwitch) {
  const { table, show: showTable, switchedOn } = makeTable(depth, onSwitch);
  const seen = smallCanvas({ class: "ff-draw-seen", role: "img", "aria-label": "What the net sees, 28 by 28 pixels" });
  const caption = make("figcaption", {}, "What the net sees: 28×28 pixels, centred by mass, the label in the first row");
  const details = make("details", {}, make("summary", {}, "Layer by layer"),
    make("div", { class: "ff-draw-layers" }, make("figure", {}, seen, caption), table));
  details.addEventListener("toggle", onSwitch);
  /** @param {Float32Array} image @param {ArrayLike<number>[] | null} columns */
  function show(image, columns) {
    if (!details.open) return;
    paint(seen, image);
    showTable(columns);
  }
  return { details, show, switchedOn };
}

/** The answer, large, and words beside it. Only `announce` is heard by a screen reader. */
function makeAnswer() {
  const answer = make("p", { class: "ff-draw-answer", "aria-hidden": "true" });
  const words = make("div", { class: "ff-draw-words" });
  const status = make("p", { class: "ff-draw-status", role: "status" });
  return {
    answer, words, status,
    showLarge(/** @type {string} */ text) {
      answer.textContent = text;
      answer.classList.toggle("ff-draw-unsure", text.endsWith("?"));
    },
    showWords: (/** @type {(Node | string)[]} */ ...content) => words.replaceChildren(...content),
    announce: (/** @type {string} */ text) => {
      status.textContent = text;
    },
  };
}

/** Images to choose. @param {Loaded["manifest"]} manifest @param {(sample: Sample) => void} onChoose @returns {Sample[]} */
function makeSamples({ samples }, onChoose) {
  return samples.map(({ label, answer, pixels: encoded }) => {
    const [pixels, canvas] = [decodePixels(encoded), smallCanvas({ "aria-hidden": "true" })];
    const name = answer === label ? `Sample: a ${label}` : `Sample that fools the net: a ${label}`;
    const button = makeButton({ "aria-label": name, "aria-pressed": "false", title: name }, () => onChoose(sample), canvas);
    const sample = { label, answer, pixels, button, canvas };
    paint(canvas, pixels);
    return sample;
  });
}

// ---- The exhibit

/** Put the exhibit into an element, and return what makes it load its net. @param {HTMLElement} element */
function mount(element) {
  let loaded = /** @type {Loaded | null} */ (null);
  let samples = /** @type {Sample[]} */ ([]);
  let sample = /** @type {Sample | null} */ (null); // strokes are added to it as it is
  let demonstration = /** @type {"due" | "playing" | "shown" | "gone"} */ ("due");
  let peeked = /** @type {number | null} */ (null);
  let inSight = false;
  let [due, readyAt, timer] = [false, 0, 0];

  const pad = makePad({ onBegin: beginStroke, onChange: update, onEnd: settle });
  const hint = make("p", { class: "ff-draw-hint", "aria-hidden": "true" });
  const { row, light } = makeFirstRow();
  const { bars, show: showBars } = makeBars((label) => {
    peeked = label;
    if (demonstration !== "playing") update();
  });
  const answer = makeAnswer();
  const { details, show: showDetails, switchedOn } = makeDetails(3, () => say());
  const undo = makeButton({}, () => change(pad.strokes().slice(0, -1), sample), "Undo");
  const clear = makeButton({}, () => change([], null), "Clear");
  const choices = make("div", { class: "ff-draw-samples" }, ...Array.from({ length: SAMPLES }, () => make("span")));
  const license = make("p", { class: "ff-note ff-draw-license" });
  const note = make("p", { class: "ff-note" }, "The ten boxes above the pad are the first pixels of the image, enlarged: the label goes there. Each bar is the goodness with that label, summed over the layers and counted from the lowest of the ten.");

  /** @returns {Float32Array | null} what the net sees, or null where nothing is drawn */
  function image() {
    const strokes = pad.strokes();
    if (sample === null) return strokes.length ? preprocess(strokes) : null;
    return strokes.length ? brighter(sample.pixels, rasterize(strokes)) : sample.pixels;
  }

  /**
   * Show the answer of the net, without words; or, of the demonstration, the labels that were tried so far.
   * @param {number | null} [tried]
   * @returns what there is to say
   */
  function show(tried = null) {
    const started = performance.now();
    due = false;
    const pixels = image();
    for (const one of samples) one.button.setAttribute("aria-pressed", String(one === sample));
    undo.setAttribute("aria-disabled", String(pad.strokes().length === 0));
    clear.setAttribute("aria-disabled", String(pixels === null));
    if (!loaded || !pixels) return showNothing();
    const { net, manifest } = loaded;
    const perLayer = labelGoodnessPerLayer(net, pixels, LABELS, manifest.label_strength);
    const { sums, winner } = rank(perLayer, switchedOn());
    const some = switchedOn().includes(true);
    showBars(some ? sums : null, manifest.calibration.span, some && tried === null ? winner : null, tried ?? LABELS);
    const lit = peeked ?? (tried === null ? winner : tried - 1);
    light(some ? lit : null);
    showDetails(/** @type {Float32Array} */ (overlay(pixels, pixels.length, [lit], LABELS, manifest.label_strength)), [...perLayer, sums]);
    const said = describe({ image: pixels, perLayer, switchedOn: switchedOn(), sample: pad.strokes().length ? null : sample }, manifest.calibration);
    bars.classList.toggle("ff-draw-doubt", said.answer === "?");
    answer.showLarge(tried === null ? said.answer : "");
    readyAt = started + 3 * (performance.now() - started); // a drawing that takes long must not hold the page up
    return said;
  }

  function showNothing() {
    showBars(null, 1, null, 0);
    light(peeked);
    showDetails(new Float32Array(SIDE * SIDE), null);
    answer.showLarge("");
    return null;
  }

  /** Show the new state in the next frame, however often it changes before. */
  function update() {
    if (due) return;
    due = true;
    setTimeout(() => requestAnimationFrame(() => due && show()), Math.max(0, readyAt - performance.now()));
  }

  /** Show the state now, and say it. */
  function say(announced = true) {
    clearTimeout(timer);
    const said = show();
    if (!loaded) return;
    const words = said ? said.words : EMPTY;
    answer.showWords(words);
    if (announced) answer.announce(words);
    hint.textContent = demonstration === "shown" ? "Now you: draw a digit" : said ? "" : "Draw a digit here";
  }

  /** @param {import("./image.mjs").Stroke[]} strokes @param {Sample | null} newSample */
  function change(strokes, newSample) {
    demonstration = "gone";
    sample = newSample;
    pad.show(strokes, sample?.canvas);
    say();
  }

  function beginStroke() {
    clearTimeout(timer);
    if (demonstration === "playing" || demonstration === "shown") pad.show([]);
    demonstration = "gone";
    hint.textContent = "";
    if (loaded) answer.showWords(); // the last drawing's words are no longer true
  }

  function settle() {
    show();
    timer = setTimeout(say, SETTLED);
  }

  // ---- The demonstration: once, when the pad is in sight and the net is there

  function play() {
    if (demonstration !== "due" || !inSight || !loaded) return;
    demonstration = "playing";
    if (reducedMotion()) return endDemonstration();
    hint.textContent = "";
    let shown = -1;
    const began = performance.now();
    const frame = () => {
      if (demonstration !== "playing") return;
      const { strokes, tried, over } = demo(performance.now() - began);
      if (over) return endDemonstration();
      if (tried === 0 || shown <= 0) pad.show(strokes);
      if (tried !== shown) showTried(tried);
      shown = tried;
      requestAnimationFrame(frame);
    };
    document.addEventListener("keydown", endDemonstration, { once: true });
    element.addEventListener("pointerdown", (event) => event.target !== pad.canvas && endDemonstration(), { once: true });
    frame();
  }

  /** @param {number} tried how many labels */
  function showTried(tried) {
    if (tried === 0) showNothing();
    else show(tried);
    answer.showWords(tried === 0 ? "A digit is drawn …" : `The net looks ten times. Label ${tried - 1} is in the first row: how large is the goodness?`);
  }

  function endDemonstration() {
    if (demonstration !== "playing") return;
    demonstration = "shown";
    pad.show(demo(END).strokes);
    say(false);
  }

  // ---- Loading

  /** @param {(onProgress: (share: number) => void) => Promise<Loaded>} load */
  async function start(load) {
    const progress = make("progress", { max: 1, value: 0, "aria-label": "Loading the net" });
    answer.showWords(make("p", {}, "Loading the net, 0.9 MB …"), progress);
    try {
      const found = await load((share) => {
        progress.value = share;
      });
      samples = makeSamples(found.manifest, (one) => change([], one));
      choices.replaceChildren(...samples.map(({ button }) => button));
      license.textContent = found.manifest.license;
      loaded = found;
      if (!pad.drawing()) say(pad.strokes().length > 0);
      play();
    } catch (error) {
      const { message } = /** @type {Error} */ (error);
      const again = makeButton({}, () => start(load), "Try again");
      answer.showWords(make("p", {}, `The net is not there. ${message}`), again);
      answer.announce(`The net is not there. ${message}`);
    }
  }

  const board = make("div", { class: "ff-draw-board" }, row, make("div", { class: "ff-draw-sheet" }, pad.canvas, hint));
  const tools = make("div", { class: "ff-draw-tools" }, undo, clear);
  const legend = make("legend", {}, "From MNIST’s test set; the last two fool the net");
  const chooser = make("fieldset", {}, legend, choices);
  const grid = make("div", { class: "ff-draw-grid" }, board, answer.answer, tools, answer.words, bars, chooser);
  element.classList.add("ff-lab");
  element.replaceChildren(grid, note, details, license, answer.status);
  say();
  whenSeen(pad.canvas, { threshold: 0.6 }, () => {
    inSight = true;
    play();
  });
  return start;
}

/** Call back once, when a share of an element is in sight. @param {Element} element @param {IntersectionObserverInit} options @param {() => void} act */
function whenSeen(element, options, act) {
  new IntersectionObserver((entries, observer) => {
    if (!entries.some((entry) => entry.isIntersecting)) return;
    observer.disconnect();
    act();
  }, options).observe(element);
}

if (globalThis.document) {
  let loading = /** @type {Promise<Loaded> | null} */ (null);
  /** One net for all pads of a page; after a failure the next call tries again. @param {(share: number) => void} onProgress */
  const load = (onProgress) => (loading ??= loadNet(onProgress).catch((error) => {
    loading = null;
    throw error;
  }));
  for (const element of /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll("div.ff-draw"))) {
    const start = mount(element);
    whenSeen(element, { rootMargin: "400px" }, () => start(load));
  }
}
