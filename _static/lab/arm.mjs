// @ts-check
// One run on the page: what the sum of its layers says, and above one another its layers with their histograms.

import { TOY_2D } from "./data.mjs";
import { make, makeButton } from "./dom.mjs";
import { colored } from "./panels.mjs";
import { paintArrows, paintHistogram, paintImage, paintLabels, paintPlace, paintPlane, paintPoints } from "./paint.mjs";
import { SHAPES, brief, goodnessText, lengthsName, lengthsText, percent, verdictText } from "./words.mjs";

/** @typedef {import("./settings.mjs").Settings} Settings */
/** @typedef {import("./worker.mjs").ArmView} ArmView */
/** @typedef {import("./worker.mjs").Message} Message */
/** @typedef {(message: Message) => void} Tell */
/** @typedef {"look" | "erase" | number} Tool look at a place, take points away, or add points of a label */

const STEP = 0.05; // of the arrow keys, in a plane from −1 to 1

function makeBars() {
  const bars = Array.from({ length: 10 }, (_, label) => {
    const fill = make("b");
    return { fill, item: make("span", {}, make("i", {}, fill), String(label)) };
  });
  return { bars, element: make("div", { class: "ff-play-labels", "aria-hidden": "true", title: "Goodness with each of the ten labels: most wins" }, ...bars.map(({ item }) => item)) };
}

/** A layer: a small picture of what it says, the histogram of its goodness, and its figures. @param {number} k @param {boolean} is2d @param {boolean} [bare] without the picture */
function makeRow(k, is2d, bare = false) {
  const picture = make("canvas", { "aria-hidden": "true" });
  const histogram = make("canvas", { "aria-hidden": "true" });
  const labels = makeBars();
  const [share, figures] = [make("b"), make("span", { class: "ff-play-figures" })];
  const heading = make("p", { class: "ff-play-heading" }, make("span", {}, `Layer ${k + 1} `, share, make("span", { class: "ff-play-right" }, " right")), figures);
  const element = make("div", { class: `ff-play-row${bare ? " ff-play-bare" : ""}` }, heading,
    ...(bare ? [] : [make("div", { class: "ff-play-picture" }, is2d ? picture : labels.element)]),
    make("div", { class: "ff-play-histogram" }, histogram));
  return { element, picture, histogram, labels, share, figures };
}

/** Buttons of which one is pressed. @param {string} name @param {[value: Tool, text: string, title: string][]} options @param {(value: Tool) => void} choose */
function makeTools(name, options, choose) {
  const buttons = options.map(([value, text, title]) => makeButton({ title, "aria-label": title, "aria-pressed": String(value === "look") }, () => {
    choose(value);
    buttons.forEach((button, k) => button.setAttribute("aria-pressed", String(options[k][0] === value)));
  }, text));
  return make("div", { class: "ff-play-tools", role: "group", "aria-label": name }, ...buttons);
}

/** What goes in at the bottom, in the colours of the two passes. @param {string} what */
function makeInput(what) {
  return make("p", { class: "ff-play-input" }, `${what} with a `, colored("blue", "true"), " or ", colored("orange", "wrong"), " label");
}

/** A label as it goes in beside the digit: ten numbers, one of them 1. @param {"blue" | "orange"} color @param {string} kind */
function makeLabel(color, kind) {
  const cells = Array.from({ length: 10 }, () => make("i"));
  const element = make("span", { class: `ff-play-label ff-play-label-${color}` }, ...cells, make("span", {}, colored(color, kind), make("span", { class: "ff-play-label-rest" }, " label")));
  const show = (/** @type {number} */ label) => cells.forEach((cell, k) => (cell.textContent = k === label ? String(label) : ""));
  return { element, show };
}

const makeDigitCanvas = () =>
  make("canvas", { width: 8, height: 8, class: "ff-play-digit", role: "img", "aria-label": "A digit that the net has not learnt from" });

/** What layer 2 is given: a fan of arrows, and a slider for what is kept of their lengths. @param {(kept: number) => void} keep */
function makeArrows(keep) {
  const canvas = make("canvas", { role: "img", "aria-label": "Lengths that layer 2 is given" });
  const slider = make("input", { type: "range", min: 0, max: 1, step: 0.05, disabled: "", "aria-label": "What layer 2 is given of layer 1's lengths" });
  slider.addEventListener("input", () => keep(Number(slider.value)));
  const end = (/** @type {number} */ kept) => make("span", { "aria-hidden": "true" }, lengthsName(kept));
  return { canvas, slider, element: make("div", { class: "ff-play-arrows" },
    make("p", {}, make("span", {}, "lengths given to layer 2"), " ", make("span", {}, "(angles mean nothing)")), canvas,
    make("div", { class: "ff-play-slider" }, end(0), slider, end(1))) };
}

export class Arm {
  /**
   * @param {Settings} settings
   * @param {{ labels: number, lone: boolean, title: string, highlighted: number | "sum" | null, arrows: boolean, tell: Tell, say: (text: string) => void, keep: (kept: number) => void }} options
   */
  constructor(settings, { labels, lone, title, highlighted, arrows, tell, say, keep }) {
    this.is2d = TOY_2D.includes(settings.data);
    this.lone = lone;
    this.labels = labels;
    this.tell = tell;
    this.say = say;
    /** @type {Tool} */ this.tool = "look";
    /** @type {ArmView | null} */ this.view = null;
    /** @type {{ across: number, up: number } | null} where the keys are */ this.cursor = null;
    /** @type {number | null} the point that is being dragged */ this.dragged = null;
    /** @type {{ across: number, up: number } | null} where it was last pressed or painted */ this.last = null;
    this.pinned = false;
    this.rows = Array.from({ length: settings.layers }, (_, k) => makeRow(k, this.is2d, arrows && k === 0));
    this.sumShare = make("b");
    this.verdict = make("p", { class: "ff-play-verdict" });
    this.arrows = arrows ? makeArrows(keep) : null;
    const input = makeInput(this.is2d ? "a point" : "a digit");
    const net = make("div", { class: "ff-play-net" }, ...this.rows.map(({ element }) => element).reverse(), input);
    if (this.arrows) {
      this.rows[0].element.before(this.arrows.element);
      this.writtenLabels = [makeLabel("orange", "wrong"), makeLabel("blue", "true")];
      input.replaceChildren(...this.writtenLabels.map(({ element }) => element), makeButton({ class: "ff-play-another", title: "Another digit" }, () => this.showAnother(), "↻", (this.digit = makeDigitCanvas())));
    }
    if (typeof highlighted === "number") this.rows[highlighted]?.element.classList.add("ff-play-focus");
    this.element = make("section", { class: "ff-play-arm", "aria-label": title || "The net" });
    this.heading = make("h2", {}, title);
    if (title) this.element.append(this.heading);
    this.showKept(settings.kept);
    this.element.append(...(this.arrows ? [] : [this.makeSum(settings)]), net);
  }

  /** What the sum of the layers says. @param {Settings} settings */
  makeSum({ layers }) {
    const sum = this.is2d ? this.makePlane() : this.makeDigit();
    sum.prepend(make("p", { class: "ff-play-heading" }, make("span", {}, layers > 1 ? "Sum of the layers " : "The layer ", this.sumShare)));
    return sum;
  }

  makePlane() {
    this.plane = make("canvas", {
      class: "ff-play-plane", tabindex: 0, role: "application",
      "aria-label": "The plane, coloured by the label that the sum of the layers chooses. The arrow keys move a place to ask about, Enter says what the net makes of it.",
    });
    this.listenToPlane(this.plane);
    const parts = [this.plane];
    if (!this.lone) return make("div", { class: "ff-play-sum" }, ...parts, this.verdict);
    /** @type {[Tool, string, string][]} */
    const options = [["look", "Look", "Look: what the net says of a place; drag a point to move it"],
      ...SHAPES.slice(0, this.labels).map((shape, label) => /** @type {[Tool, string, string]} */ ([label, shape, `Paint points ${shape}`])),
      ["erase", "✕", "Take points away"]];
    const tools = makeTools("What a press on the plane does", options, (tool) => (this.tool = tool));
    tools.append(makeButton({ title: "Take all points away, to paint your own" }, () => this.tell({ type: "clear" }), "Clear"));
    tools.append(makeButton({ title: "Show a point of the others that it gets wrong" }, () => this.tell({ type: "wrong" }), "A wrong one"));
    return make("div", { class: "ff-play-sum" }, ...parts, tools, this.verdict);
  }

  makeDigit() {
    this.digit = makeDigitCanvas();
    this.sumBars = makeBars();
    const sum = make("div", { class: "ff-play-sum" }, make("div", { class: "ff-play-seen" }, this.digit, this.sumBars.element), this.verdict);
    const another = makeButton({}, () => this.showAnother(), "Another digit");
    const wrong = makeButton({ title: "Show a digit that it gets wrong" }, () => this.tell({ type: "wrong" }), "A wrong one");
    if (this.lone) sum.append(make("div", { class: "ff-play-tools" }, another, wrong));
    this.fields = this.lone ? Array.from({ length: 16 }, () => make("canvas", { width: 8, height: 8 })) : [];
    if (this.lone) {
      sum.append(make("p", { class: "ff-note" }, "Weights of layer 1: ink on blue excites a unit, ink on orange silences it."),
        make("div", { class: "ff-play-fields", "aria-hidden": "true" }, ...this.fields));
    }
    return sum;
  }

  showAnother() {
    this.tell({ type: "example" });
  }

  /** Where the slider stands. @param {number} kept */
  showKept(kept) {
    if (!this.arrows) return;
    this.arrows.slider.value = String(kept);
    this.arrows.slider.setAttribute("aria-valuetext", lengthsName(kept));
  }

  /** Only once the lesson has its answer: before, it would be another experiment. @param {boolean} allowed */
  allowSlider(allowed) {
    if (this.arrows) this.arrows.slider.disabled = !allowed;
  }

  // ---- Pointer and keys on the plane

  /** @param {HTMLCanvasElement} canvas */
  listenToPlane(canvas) {
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      this.press(this.placeOf(event));
    });
    canvas.addEventListener("pointermove", (event) => {
      if (event.buttons) this.drag(this.placeOf(event));
      else if (event.pointerType === "mouse" && !this.pinned) this.ask(this.placeOf(event));
    });
    canvas.addEventListener("pointerup", () => (this.dragged = null));
    canvas.addEventListener("pointercancel", () => { // a finger that scrolls the page
      [this.dragged, this.pinned] = [null, false];
      this.ask(null);
    });
    canvas.addEventListener("touchstart", (event) => {
      if (this.tool !== "look" || this.touches(event)) event.preventDefault();
    }, { passive: false });
    canvas.addEventListener("pointerleave", () => {
      if (!this.pinned && this.cursor === null) this.ask(null);
    });
    canvas.addEventListener("keydown", (event) => this.key(event));
    canvas.addEventListener("blur", () => {
      if (this.cursor !== null && !this.pinned) this.ask((this.cursor = null));
    });
  }

  /** Is there a point to be dragged under the finger? Otherwise a stroke up or down scrolls the page. @param {TouchEvent} event */
  touches({ touches: [finger] }) {
    return this.lone && finger !== undefined && this.pointAt(this.placeOf(finger)) !== null;
  }

  /** @param {{ clientX: number, clientY: number }} event */
  placeOf(event) {
    const box = /** @type {HTMLCanvasElement} */ (this.plane).getBoundingClientRect();
    const inside = (/** @type {number} */ v) => Math.max(-1, Math.min(1, v));
    return { across: inside(((event.clientX - box.left) / box.width) * 2 - 1), up: inside(1 - ((event.clientY - box.top) / box.height) * 2) };
  }

  /** The training point nearest to a place, if it is near. @param {{ across: number, up: number }} at */
  pointAt({ across, up }) {
    const points = this.view?.points;
    if (!points) return null;
    const { x, y, inputs } = points;
    let [nearest, least] = [/** @type {number | null} */ (null), 0.05];
    for (let i = 0; i < y.length; i++) {
      const far = Math.hypot(x[(i + 1) * inputs - 2] - across, x[(i + 1) * inputs - 1] - up);
      if (far < least) [nearest, least] = [i, far];
    }
    return nearest;
  }

  /** @param {{ across: number, up: number }} at */
  press(at) {
    this.dragged = this.tool === "look" && this.lone ? this.pointAt(at) : null;
    this.last = at;
    if (this.tool === "look") {
      this.say(""); // what was said of another place
      this.pinned = !this.pinned || this.dragged !== null;
      this.ask(at);
    } else this.edit(at);
  }

  /** @param {{ across: number, up: number }} at */
  drag(at) {
    if (this.tool === "look") {
      if (this.dragged !== null) this.tell({ type: "move", row: this.dragged, ...at });
      this.ask(at);
      return;
    }
    const last = this.last ?? at;
    if (Math.hypot(at.across - last.across, at.up - last.up) < 0.07) return;
    this.last = at;
    this.edit(at);
  }

  /** Paint or take away. @param {{ across: number, up: number }} at */
  edit(at) {
    if (typeof this.tool === "number") this.tell({ type: "add", label: this.tool, ...at });
    else {
      const row = this.pointAt(at);
      if (row !== null) this.tell({ type: "remove", row });
    }
  }

  /** @param {{ across: number, up: number } | null} at */
  ask(at) {
    this.tell({ type: "probe", at });
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    const moves = /** @type {Record<string, [number, number]>} */ ({ ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] });
    const move = moves[event.key];
    if (!move && !["Enter", " ", "Escape"].includes(event.key)) return;
    event.preventDefault();
    if (event.key === "Escape") {
      this.pinned = false;
      this.ask((this.cursor = null));
      return;
    }
    const from = this.cursor ?? { across: 0, up: 0 };
    if (move) {
      const far = event.shiftKey ? 4 * STEP : STEP;
      const inside = (/** @type {number} */ v) => Math.max(-1, Math.min(1, v));
      this.cursor = { across: inside(from.across + far * move[0]), up: inside(from.up + far * move[1]) };
      this.ask(this.cursor);
    } else if (this.tool === "look") this.say(this.verdict.textContent || "Move with the arrow keys first.");
    else this.edit(from);
  }

  // ---- Painting

  /** @param {ArmView} view @param {string} ink @param {{ name: string, running: boolean, moved: boolean }} now moved: by a slider, so that the loss is not of what is shown */
  show(view, ink, { name, running, moved }) {
    this.view = view;
    this.heading.textContent = name;
    this.sumShare.textContent = percent(view.accuracy.sum);
    if (view.plane) this.showPlane(view, ink);
    if (view.example) this.showDigit(view);
    if (view.lengths && this.arrows) {
      paintArrows(this.arrows.canvas, view.lengths, ink);
      this.arrows.canvas.setAttribute("aria-label", lengthsText(view.lengths));
    }
    view.layers.forEach((layer, k) => this.showRow(view, layer, k, ink, { running, moved }));
  }

  /** @param {ArmView} view @param {string} ink */
  showPlane({ plane, points, probe, settings }, ink) {
    if (!this.plane || !plane) return;
    const sheet = paintPlane(this.plane, plane.sum);
    if (points) paintPoints(sheet, points, this.lone ? 3.2 : 2);
    if (probe) paintPlace(sheet, probe, ink);
    this.verdict.textContent = probe ? verdictText(settings.data, probe) : "";
  }

  /** @param {ArmView} view */
  showDigit({ example, fields }) {
    if (!this.digit || !example) return;
    const { data, total, winner, trueLabel, wrongLabel } = example;
    paintImage(this.digit, data, false);
    [wrongLabel, trueLabel].forEach((label, k) => this.writtenLabels?.[k].show(label));
    this.digit.setAttribute("aria-label", `A digit that the net has not learnt from: a ${trueLabel}`);
    if (!this.sumBars) return;
    paintLabels(this.sumBars.bars, total, winner, trueLabel);
    this.verdict.textContent = `A ${trueLabel}. The sum says ${winner}.`;
    this.fields?.forEach((canvas, k) => fields?.[k] && paintImage(canvas, fields[k], true));
  }

  /** @param {ArmView} view @param {import("./worker.mjs").LayerView} layer @param {number} k @param {string} ink @param {{ running: boolean, moved: boolean }} now */
  showRow(view, layer, k, ink, { running, moved }) {
    const row = this.rows[k];
    const { settings, plane, example, probe } = view;
    if (plane) paintPlane(row.picture, plane.layers[k]);
    if (example) paintLabels(row.labels.bars, example.perLayer[k], example.chosen[k], example.trueLabel);
    paintHistogram(row.histogram, layer, settings, this.lone || view.probe ? marksOf(view, k) : [], ink);
    row.share.textContent = percent(view.accuracy.layers[k]);
    const learnt = layer.loss === null ? "untrained" : moved && k > 0 ? "" : `loss ${brief(layer.loss)}`;
    const said = this.arrows && example ? `says ${example.chosen[k]}` : "";
    row.figures.textContent = probe ? goodnessText(settings.data, probe.perLayer[k]) : [learnt, said].filter(Boolean).join(", ");
    row.element.classList.toggle("ff-play-learning", running && !view.trouble && view.learning.includes(k));
  }
}

/** The goodness of each label at the place that is asked about; of a digit's true label and of the best other one. @param {ArmView} view @param {number} k @returns {[number, number][]} */
function marksOf({ probe, example, settings }, k) {
  if (probe) return probe.perLayer[k].map((g, label) => [label, g]);
  if (!example) return [];
  const values = example.perLayer[k];
  const better = (/** @type {number} */ a, /** @type {number} */ b) => (settings.positive === "low" ? values[a] < values[b] : values[a] > values[b]);
  let rival = example.trueLabel === 0 ? 1 : 0;
  values.forEach((_, label) => {
    if (label !== example.trueLabel && better(label, rival)) rival = label;
  });
  return [[example.trueLabel, values[example.trueLabel]], [rival, values[rival]]];
}
