// "Draw a digit": turns every <div class="ff-draw"> of a page into a pad to draw on, and shows what each layer of a
// Forward-Forward net makes of the drawing with each of the ten labels written into it.
import { SIDE, brighter, preprocess, rasterize } from "./image.mjs";
import { LABELS, decide, labelGoodnessPerLayer, overlay } from "./net.mjs";
import { decodePixels, loadNet } from "./weights.mjs";

const WORDS_EVERY = 500; // milliseconds between two sentences while a stroke is being drawn

/** Make an element: attributes by name, then children, which may be texts. */
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/** Show pixels from 0 to 1 on a canvas of 28×28. */
function paint(canvas, pixels) {
  const context = canvas.getContext("2d");
  const image = context.createImageData(SIDE, SIDE);
  pixels.forEach((ink, i) => image.data.set([255 * ink, 255 * ink, 255 * ink, 255], 4 * i));
  context.putImageData(image, 0, 0);
}

const list = (words) => (words.length < 2 ? words.join("") : `${words.slice(0, -1).join(", ")} and ${words.at(-1)}`);

/** What the numbers say, as a sentence or three. `sample` is the one that was chosen, or null. */
export function describe(perLayer, switchedOn, sample) {
  const layers = switchedOn.flatMap((on, layer) => (on ? [layer + 1] : []));
  if (layers.length === 0) return "Every layer is switched off: switch one on to get an answer.";
  const { sums, winner, second, margin } = decide(perLayer, switchedOn);
  const where = layers.length > 1 ? `summed over layers ${list(layers)}` : `in layer ${layers[0]} alone`;
  const said = [`The net says ${winner}: its goodness, ${where}, is ${sums[winner].toFixed(2)}, ahead of ${second} by ${margin.toFixed(2)}.`];
  const others = perLayer[0].map((_, layer) => decide(perLayer, switchedOn.map((_, k) => k === layer)).winner);
  const dissent = others.flatMap((label, layer) => (label === winner ? [] : [`layer ${layer + 1} alone would say ${label}`]));
  const sentence = list(dissent);
  if (dissent.length) said.push(`${sentence[0].toUpperCase()}${sentence.slice(1)}.`);
  if (sample) said.push(winner === sample.label ? `The sample is a ${sample.label}.` : `But the sample is a ${sample.label}.`);
  return said.join(" ");
}

/** The table: a row per label, a column per layer with its switch, and the sum. Returns it with what has to be updated. */
function makeTable(depth, onSwitch) {
  const switches = Array.from({ length: depth }, () => make("input", { type: "checkbox" }));
  const heads = switches.map((box, layer) => {
    box.checked = true;
    box.addEventListener("change", onSwitch);
    return make("th", { scope: "col" }, make("label", {}, box, `Layer ${layer + 1}`));
  });
  const rows = Array.from({ length: LABELS }, (_, label) => {
    const image = make("canvas", { width: SIDE, height: SIDE, "aria-hidden": "true" });
    const cells = Array.from({ length: depth + 1 }, () => {
      const [fill, value] = [make("b"), make("span")];
      return { fill, value, bar: make("div", { class: "ff-draw-bar" }, make("i", { "aria-hidden": "true" }, fill), value) };
    });
    const head = make("th", { scope: "row" }, make("div", { class: "ff-draw-label" }, image, String(label)));
    return { image, cells, row: make("tr", {}, head, ...cells.map(({ bar }) => make("td", {}, bar))) };
  });
  const header = make("tr", {}, make("th", { scope: "col" }, "Label"), ...heads, make("th", { scope: "col" }, "Sum"));
  const table = make("table", { class: "ff-draw-bars" }, make("thead", {}, header), make("tbody", {}, ...rows.map(({ row }) => row)));
  return { table, switches, rows };
}

/** Put the exhibit into an element, with a net and a manifest as weights.mjs loads them. */
function mount(element, { net, manifest }) {
  const samples = manifest.samples.map((sample) => ({ ...sample, pixels: decodePixels(sample.pixels) }));
  let strokes = [];
  let sample = null; // an image that strokes are added to, as it is
  let pointer = null; // the one that is drawing
  let [due, spoken] = [false, 0];

  const pad = make("canvas", {
    class: "ff-draw-pad", width: 560, height: 560, role: "img",
    "aria-label": "Pad to draw a digit on with a mouse, finger or pen; the samples need only a keyboard",
  });
  const inputCanvas = make("canvas", { class: "ff-draw-seen", width: SIDE, height: SIDE, role: "img", "aria-label": "What the net sees, 28 by 28 pixels" });
  const clear = make("button", { type: "button" }, "Clear");
  const status = make("p", { role: "status" });
  const { table, switches, rows } = makeTable(net.length, () => update(true));
  const choices = samples.map((one) => {
    const image = make("canvas", { width: SIDE, height: SIDE, "aria-hidden": "true" });
    const name = one.answer === one.label ? `Sample: a ${one.label}` : `Sample that fools the net: a ${one.label}`;
    const button = make("button", { type: "button", "aria-label": name, "aria-pressed": "false", title: name }, image);
    paint(image, one.pixels);
    button.addEventListener("click", () => begin(one));
    return button;
  });
  // Bars start at the lowest of the ten labels, since only differences count; the samples say how long they may get.
  const spans = samples.map(({ pixels }) => labelGoodnessPerLayer(net, pixels));
  const span = (values) => Math.max(...values) - Math.min(...values);
  const column = (perLayer, layer) => perLayer.map((values) => values[layer]);
  const longest = Math.max(...spans.flatMap((perLayer) => net.map((_, layer) => span(column(perLayer, layer)))));

  function begin(newSample) {
    [strokes, sample, pointer] = [[], newSample, null];
    update(true);
  }

  function pixels() {
    if (sample === null) return preprocess(strokes);
    return strokes.length ? brighter(sample.pixels, rasterize(strokes)) : sample.pixels;
  }

  function paintPad() {
    const context = pad.getContext("2d");
    context.clearRect(0, 0, pad.width, pad.height);
    if (sample) context.drawImage(choices[samples.indexOf(sample)].firstChild, 0, 0, pad.width, pad.height);
    const unit = pad.width / SIDE;
    Object.assign(context, { lineWidth: 2 * unit, lineCap: "round", lineJoin: "round", strokeStyle: "#fff" });
    for (const stroke of strokes) {
      context.beginPath();
      context.moveTo(stroke[0].x * unit, stroke[0].y * unit);
      for (const { x, y } of stroke) context.lineTo(x * unit, y * unit);
      context.stroke();
    }
  }

  function showBars(perLayer, switchedOn) {
    const { sums, winner } = decide(perLayer, switchedOn);
    const columns = [...net.map((_, layer) => column(perLayer, layer)), sums];
    columns.forEach((values, index) => {
      const [low, high] = [Math.min(...values), Math.max(...values)];
      const scale = index < net.length ? longest : longest * Math.max(1, switchedOn.filter(Boolean).length);
      rows.forEach(({ cells }, label) => {
        const { fill, value, bar } = cells[index];
        fill.style.transform = `scaleX(${Math.min(1, (values[label] - low) / scale)})`;
        value.textContent = values[label].toFixed(2);
        bar.classList.toggle("ff-draw-best", high > low && values[label] === high);
        bar.parentElement.classList.toggle("ff-draw-off", index < net.length && !switchedOn[index]);
      });
    });
    rows.forEach(({ row }, label) => row.classList.toggle("ff-draw-winner", switchedOn.includes(true) && label === winner));
  }

  function emptyBars() {
    for (const { row, cells } of rows) {
      row.classList.remove("ff-draw-winner");
      for (const { fill, value, bar } of cells) {
        fill.style.transform = "scaleX(0)";
        value.textContent = "–";
        bar.classList.remove("ff-draw-best");
      }
    }
  }

  function show() {
    due = false;
    const image = pixels();
    const switchedOn = switches.map((box) => box.checked);
    paintPad();
    paint(inputCanvas, image);
    rows.forEach((row, label) => paint(row.image, overlay(image, label, manifest.label_strength)));
    choices.forEach((button, k) => button.setAttribute("aria-pressed", String(samples[k] === sample)));
    if (sample === null && strokes.length === 0) {
      emptyBars();
      status.textContent = "The pad is empty: draw a digit, or choose a sample.";
      return;
    }
    const perLayer = labelGoodnessPerLayer(net, image, manifest.label_strength);
    showBars(perLayer, switchedOn);
    const now = performance.now();
    if (pointer !== null && now - spoken < WORDS_EVERY) return; // the last sentence comes when the pen is lifted
    spoken = now;
    status.textContent = describe(perLayer, switchedOn, strokes.length ? null : sample);
  }

  /** Show the new state in the next frame, however often it changes before; or now. */
  function update(now = false) {
    if (now) show();
    else if (!due) {
      due = true;
      requestAnimationFrame(show);
    }
  }

  function addPoints(event) {
    const box = pad.getBoundingClientRect();
    const events = event.getCoalescedEvents?.() ?? [];
    for (const { clientX, clientY } of events.length ? events : [event]) {
      strokes.at(-1).push({ x: ((clientX - box.left) / box.width) * SIDE, y: ((clientY - box.top) / box.height) * SIDE });
    }
    update();
  }

  pad.addEventListener("pointerdown", (event) => {
    if (pointer !== null || event.button !== 0) return;
    event.preventDefault();
    pointer = event.pointerId;
    try {
      pad.setPointerCapture(pointer); // so that a stroke may leave the pad and come back
    } catch {
      // a pointer that a script made up cannot be captured, and can draw all the same
    }
    strokes.push([]);
    addPoints(event);
  });
  pad.addEventListener("pointermove", (event) => event.pointerId === pointer && addPoints(event));
  for (const end of ["pointerup", "pointercancel"]) {
    pad.addEventListener(end, (event) => {
      if (event.pointerId !== pointer) return;
      pointer = null;
      update(true);
    });
  }
  clear.addEventListener("click", () => begin(null));

  const caption = make("figcaption", {}, "What the net sees: 28×28 pixels, centred by mass");
  const fooled = samples.filter(({ answer, label }) => answer !== label).length;
  const legend = `Samples from MNIST’s test set${fooled ? `; the last ${fooled} fool the net` : ""}`;
  const side = make("div", { class: "ff-draw-side" }, clear, make("figure", {}, inputCanvas, caption));
  const said = make("div", { class: "ff-draw-said" }, status, table);
  const chooser = make("fieldset", {}, make("legend", {}, legend), make("div", { class: "ff-draw-samples" }, ...choices));
  const note = make("p", { class: "ff-note" }, "Goodness for each label written into the image. Bars start at the lowest of the ten labels; the highest of each column is blue. The boxes switch layers on and off in the sum.");
  const source = make("p", { class: "ff-note" }, manifest.license);
  element.replaceChildren(make("div", { class: "ff-draw-grid" }, pad, side, said, chooser), note, source);
  update(true);
}

/** Load the net once the exhibit is about to come into view, then mount it; say what is wrong where that fails. */
function whenSeen(element, load) {
  element.classList.add("ff-lab");
  const status = make("p", { role: "status" }, "The net is loaded when this comes into view.");
  element.replaceChildren(status);
  new IntersectionObserver(async (entries, observer) => {
    if (!entries.some((entry) => entry.isIntersecting)) return;
    observer.disconnect();
    status.textContent = "Loading the net …";
    try {
      mount(element, await load());
    } catch (error) {
      status.textContent = `The exhibit could not start. ${error.message}`;
    }
  }, { rootMargin: "400px" }).observe(element);
}

if (globalThis.document) {
  let loading = null;
  for (const element of document.querySelectorAll("div.ff-draw")) whenSeen(element, () => (loading ??= loadNet()));
}
