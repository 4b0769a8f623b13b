// @ts-check
// From strokes to the 28×28 image that the network sees, the way MNIST's images were made: the digit is scaled into a
// box of 20×20 pixels, keeping its proportions, and placed so that its centre of mass is in the middle of the image.
//
// A stroke is a list of points {x, y}, in pixels of the image: 0 is its left or upper edge, 28 its right or lower one.
// Strokes are scaled, not pixels, so that a small digit gets no thicker a line than a large one.

/** @typedef {{x: number, y: number}} Point */
/** @typedef {Point[]} Stroke */

export const SIDE = 28;
const BOX = 20;
// Measured on MNIST: its lines are about 2.7 pixels wide, grey at their edges; its centres of mass are, in whole
// pixels, at 14, which is the middle of pixel 14 (row 15 of 28).
const RADIUS = 1.35;
const EDGE = 0.6;
const REACH = RADIUS + EDGE;
const CENTER = 14.5;
const SMALLEST = 4; // a mark smaller than this is not enlarged further, so that a dot stays a dot

/**
 * The distance from a point to the line from a to b.
 * @param {number} x
 * @param {number} y
 * @param {Point} a
 * @param {Point} b
 */
function distance(x, y, a, b) {
  const dx = b.x - a.x;
  const dy = b.y - a.y;
  const squares = dx * dx + dy * dy;
  const along = squares === 0 ? 0 : Math.min(1, Math.max(0, ((x - a.x) * dx + (y - a.y) * dy) / squares));
  const across = x - a.x - along * dx;
  const down = y - a.y - along * dy;
  return Math.sqrt(across * across + down * down);
}

/** The first pixel whose middle lies after a place. @param {number} place */
const pixelAfter = (place) => Math.min(SIDE, Math.max(0, Math.round(place)));

/**
 * Draw the line from a to b into the image. In each row it looks only where the pen can reach, and not at pixels that
 * are white already: long lines across the pad, of which a scribble has thousands, cost little.
 * @param {Float32Array} image
 * @param {Point} a
 * @param {Point} b
 */
function drawLine(image, a, b) {
  if (a.y > b.y) [a, b] = [b, a];
  const [dx, dy] = [b.x - a.x, b.y - a.y];
  const bottom = pixelAfter(b.y + REACH);
  for (let row = pixelAfter(a.y - REACH); row < bottom; row++) {
    // The part of the line that is near this row, as shares of its length, and the columns that it may ink.
    const from = dy === 0 ? 0 : Math.max(0, (row + 0.5 - REACH - a.y) / dy);
    const to = dy === 0 ? 1 : Math.min(1, (row + 0.5 + REACH - a.y) / dy);
    const right = pixelAfter(a.x + Math.max(dx * from, dx * to) + REACH);
    for (let column = pixelAfter(a.x + Math.min(dx * from, dx * to) - REACH); column < right; column++) {
      const pixel = row * SIDE + column;
      if (image[pixel] === 1) continue;
      const ink = Math.min(1, (REACH - distance(column + 0.5, row + 0.5, a, b)) / (2 * EDGE));
      if (ink > image[pixel]) image[pixel] = ink;
    }
  }
}

/**
 * Draw strokes, each point moved to place(point), with a round pen and soft edges.
 * @param {Stroke[]} strokes
 * @param {(point: Point) => Point} [place]
 * @returns {Float32Array} 784 numbers from 0 to 1
 */
export function rasterize(strokes, place = (point) => point) {
  const image = new Float32Array(SIDE * SIDE);
  for (const stroke of strokes) {
    const points = stroke.map(place);
    points.forEach((b, index) => drawLine(image, points[Math.max(0, index - 1)], b));
  }
  return image;
}

/**
 * The centre of mass of an image, in pixels from its left and upper edge; its middle where there is no ink.
 * @param {Float32Array} image
 * @returns {Point}
 */
export function centerOfMass(image) {
  let [mass, x, y] = [0, 0, 0];
  image.forEach((ink, pixel) => {
    mass += ink;
    x += ink * ((pixel % SIDE) + 0.5);
    y += ink * (Math.floor(pixel / SIDE) + 0.5);
  });
  return mass === 0 ? { x: CENTER, y: CENTER } : { x: x / mass, y: y / mass };
}

/**
 * The least and the greatest of some numbers.
 * @param {number[]} values
 */
const range = (values) => values.reduce(([low, high], v) => [Math.min(low, v), Math.max(high, v)], [Infinity, -Infinity]);

/**
 * Make an MNIST image of strokes: scaled into the box of 20×20, drawn, and centred by mass.
 * @param {Stroke[]} strokes
 * @returns {Float32Array} 784 numbers from 0 to 1
 */
export function preprocess(strokes) {
  const points = strokes.flat();
  if (points.length === 0) return new Float32Array(SIDE * SIDE);
  const [left, right] = range(points.map((point) => point.x));
  const [top, bottom] = range(points.map((point) => point.y));
  const scale = (BOX - 2 * RADIUS) / Math.max(right - left, bottom - top, SMALLEST);
  const middle = { x: (left + right) / 2, y: (top + bottom) / 2 };
  const at = (/** @type {Point} */ shift) => (/** @type {Point} */ { x, y }) => ({
    x: (x - middle.x) * scale + CENTER + shift.x,
    y: (y - middle.y) * scale + CENTER + shift.y,
  });
  const mass = centerOfMass(rasterize(strokes, at({ x: 0, y: 0 })));
  return rasterize(strokes, at({ x: CENTER - mass.x, y: CENTER - mass.y }));
}

/**
 * Two images in one frame, such as a sample and strokes on top of it: the brighter pixel of each.
 * @param {Float32Array} one
 * @param {Float32Array} other
 */
export function brighter(one, other) {
  return one.map((ink, pixel) => Math.max(ink, other[pixel]));
}
