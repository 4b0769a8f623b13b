// @ts-check
// The pad itself: a canvas that mouse, finger or pen draws strokes on. It knows nothing of a net.

import { make } from "./dom.mjs";
import { SIDE } from "./image.mjs";

/** @typedef {import("./image.mjs").Point} Point */
/** @typedef {import("./image.mjs").Stroke} Stroke */

const SIZE = 560; // pixels of the canvas along a side
const LINE = 2; // the width of a line, in pixels of 28
const APART = 0.08; // a point nearer than this to the last one adds nothing

/**
 * @param {object} listeners
 * @param {() => void} listeners.onBegin before the first point of a stroke
 * @param {() => void} listeners.onChange with every point
 * @param {() => void} listeners.onEnd when the pen is lifted
 */
export function makePad({ onBegin, onChange, onEnd }) {
  const canvas = make("canvas", {
    class: "ff-draw-pad", width: SIZE, height: SIZE, role: "img",
    "aria-label": "Pad to draw a digit on with a mouse, finger or pen; the samples need only a keyboard",
  });
  const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  const unit = SIZE / SIDE;
  let strokes = /** @type {Stroke[]} */ ([]);
  let pointer = /** @type {number | null} */ (null); // the one that is drawing

  /** Draw a stroke from one of its points on. @param {Stroke} stroke @param {number} [from] */
  function paint(stroke, from = 0) {
    Object.assign(context, { lineWidth: LINE * unit, lineCap: "round", lineJoin: "round", strokeStyle: "#fff" });
    const [first, ...others] = stroke.slice(Math.max(0, from - 1));
    context.beginPath();
    context.moveTo(first.x * unit, first.y * unit);
    for (const { x, y } of [first, ...others]) context.lineTo(x * unit, y * unit);
    context.stroke();
  }

  /** Show these strokes, over a picture if there is one. @param {Stroke[]} all @param {HTMLCanvasElement | null} [below] */
  function show(all, below = null) {
    context.clearRect(0, 0, SIZE, SIZE);
    context.imageSmoothingEnabled = false;
    if (below) context.drawImage(below, 0, 0, SIZE, SIZE);
    all.forEach((stroke) => paint(stroke));
    strokes = all;
  }

  /** @param {PointerEvent} event */
  function addPoints(event) {
    const box = canvas.getBoundingClientRect();
    const stroke = strokes[strokes.length - 1];
    const from = stroke.length;
    const events = event.getCoalescedEvents?.() ?? [];
    for (const { clientX, clientY } of events.length ? events : [event]) {
      const [x, y] = [((clientX - box.left) / box.width) * SIDE, ((clientY - box.top) / box.height) * SIDE];
      const last = stroke[stroke.length - 1];
      if (!last || Math.hypot(x - last.x, y - last.y) > APART) stroke.push({ x, y });
    }
    if (stroke.length === from) return;
    paint(stroke, from);
    onChange();
  }

  canvas.addEventListener("pointerdown", (event) => {
    if (pointer !== null || event.button !== 0) return;
    event.preventDefault();
    pointer = event.pointerId;
    try {
      canvas.setPointerCapture(pointer); // so that a stroke may leave the pad and come back
    } catch {
      // a pointer that a script made up cannot be captured, and can draw all the same
    }
    onBegin();
    strokes.push([]);
    addPoints(event);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (event.pointerId === pointer) addPoints(event);
  });
  for (const end of /** @type {const} */ (["pointerup", "pointercancel", "lostpointercapture"])) {
    canvas.addEventListener(end, (event) => {
      if (event.pointerId !== pointer) return;
      pointer = null;
      onEnd();
    });
  }

  return {
    canvas,
    show,
    strokes: () => strokes,
    drawing: () => pointer !== null,
  };
}
