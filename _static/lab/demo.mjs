// @ts-check
// What the pad plays once by itself: a 3 draws itself, then the ten labels are tried. Times are in milliseconds.

/** @typedef {import("./image.mjs").Stroke} Stroke */

const DRAWING = 1200;
const PAUSE = 250;
const EACH_LABEL = 140;
const LABELS = 10;

/** Points on a circle's arc, flattened a little, from one angle to another in degrees; 0 is right, 90 is down. */
function arc(/** @type {number} */ x, /** @type {number} */ y, /** @type {number} */ radius, /** @type {number} */ from, /** @type {number} */ to) {
  return Array.from({ length: 25 }, (_, k) => {
    const angle = ((from + ((to - from) * k) / 24) * Math.PI) / 180;
    return { x: x + radius * Math.cos(angle), y: y + 0.94 * radius * Math.sin(angle) };
  });
}

/** A three, in one stroke. @type {Stroke} */
const THREE = [...arc(13.8, 7.8, 4.7, -155, 75), ...arc(13.6, 17.2, 5.3, -75, 150)];

/** The strokes as far as they are drawn when a share of the time has passed. @param {number} share */
function drawn(share) {
  const eased = share * share * (3 - 2 * share); // slow at both ends, as a hand is
  return [THREE.slice(0, Math.max(1, Math.round(eased * THREE.length)))];
}

export const END = DRAWING + PAUSE + LABELS * EACH_LABEL + PAUSE;

/**
 * What there is to see at a time: the strokes so far, how many labels were tried, and whether it is over.
 * @param {number} time
 */
export function demo(time) {
  const tried = Math.floor((time - DRAWING - PAUSE) / EACH_LABEL) + 1;
  return {
    strokes: drawn(Math.min(1, time / DRAWING)),
    tried: Math.min(LABELS, Math.max(0, tried)),
    over: time >= END,
  };
}
