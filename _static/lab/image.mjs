// From strokes to the 28×28 image that the network sees, the way MNIST's images were made: the digit is scaled into a
// box of 20×20 pixels, keeping its proportions, and placed so that its centre of mass is in the middle of the image.
//
// A stroke is a list of points {x, y}, in pixels of the image: 0 is its left or upper edge, 28 its right or lower one.
// Strokes are scaled, not pixels, so that a small digit gets no thicker a line than a large one.

export const SIDE = 28;
const BOX = 20;
// Measured on MNIST: its lines are about 2.7 pixels wide, grey at their edges; its centres of mass are, in whole
// pixels, at 14, which is the middle of pixel 14 (row 15 of 28).
const RADIUS = 1.35;
const EDGE = 0.6;
const CENTER = 14.5;
const SMALLEST = 4; // a mark smaller than this is not enlarged further, so that a dot stays a dot

/** The distance from a point to the line from (ax, ay) to (bx, by). */
function distance(x, y, ax, ay, bx, by) {
  const [dx, dy] = [bx - ax, by - ay];
  const squares = dx * dx + dy * dy;
  const along = squares === 0 ? 0 : Math.min(1, Math.max(0, ((x - ax) * dx + (y - ay) * dy) / squares));
  return Math.hypot(x - ax - along * dx, y - ay - along * dy);
}

/** Draw strokes, each point moved to place(point), with a round pen and soft edges: 784 numbers from 0 to 1. */
export function rasterize(strokes, place = (point) => point) {
  const image = new Float32Array(SIDE * SIDE);
  const reach = RADIUS + EDGE;
  const clamp = (pixel) => Math.min(SIDE, Math.max(0, pixel));
  for (const stroke of strokes) {
    const points = stroke.map(place);
    points.forEach((b, index) => {
      const a = points[Math.max(0, index - 1)];
      const [left, right] = [Math.min(a.x, b.x) - reach, Math.max(a.x, b.x) + reach].map(Math.round).map(clamp);
      const [top, bottom] = [Math.min(a.y, b.y) - reach, Math.max(a.y, b.y) + reach].map(Math.round).map(clamp);
      for (let row = top; row < bottom; row++) {
        for (let column = left; column < right; column++) {
          const far = distance(column + 0.5, row + 0.5, a.x, a.y, b.x, b.y);
          const ink = Math.min(1, Math.max(0, (reach - far) / (2 * EDGE)));
          const pixel = row * SIDE + column;
          if (ink > image[pixel]) image[pixel] = ink;
        }
      }
    });
  }
  return image;
}

/** The centre of mass of an image, in pixels from its left and upper edge; its middle where there is no ink. */
export function centerOfMass(image) {
  let [mass, x, y] = [0, 0, 0];
  image.forEach((ink, pixel) => {
    mass += ink;
    x += ink * ((pixel % SIDE) + 0.5);
    y += ink * (Math.floor(pixel / SIDE) + 0.5);
  });
  return mass === 0 ? { x: CENTER, y: CENTER } : { x: x / mass, y: y / mass };
}

/** Make an MNIST image of strokes: scaled into the box of 20×20, drawn, and centred by mass. */
export function preprocess(strokes) {
  const points = strokes.flat();
  if (points.length === 0) return new Float32Array(SIDE * SIDE);
  const range = (values) => values.reduce(([low, high], v) => [Math.min(low, v), Math.max(high, v)], [Infinity, -Infinity]);
  const [left, right] = range(points.map((point) => point.x));
  const [top, bottom] = range(points.map((point) => point.y));
  const scale = (BOX - 2 * RADIUS) / Math.max(right - left, bottom - top, SMALLEST);
  const middle = { x: (left + right) / 2, y: (top + bottom) / 2 };
  const at = (shift) => ({ x, y }) => ({
    x: (x - middle.x) * scale + CENTER + shift.x,
    y: (y - middle.y) * scale + CENTER + shift.y,
  });
  const mass = centerOfMass(rasterize(strokes, at({ x: 0, y: 0 })));
  return rasterize(strokes, at({ x: CENTER - mass.x, y: CENTER - mass.y }));
}

/** Two images in one frame, such as a sample and strokes on top of it: the brighter pixel of each. */
export function brighter(one, other) {
  return one.map((ink, pixel) => Math.max(ink, other[pixel]));
}
