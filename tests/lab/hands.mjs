// Digits in several hands, for tests: how people form each digit, as strokes, and what makes one hand differ from another.
// A hand has a slant, a width, a size, a place on the pad, a preferred form of each digit, and a tremor; each digit that it
// writes also strays a little from its form. Everything follows from the seed.

/** Random numbers from 0 to 1 that are the same everywhere (mulberry32). */
export function generator(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Points on an ellipse, from one angle to another, in degrees; 0 is right, 90 is down. */
function arc(cx, cy, rx, ry, from, to) {
  const count = Math.max(4, Math.round(Math.abs(to - from) / 30));
  return Array.from({ length: count + 1 }, (_, i) => {
    const angle = ((from + ((to - from) * i) / count) * Math.PI) / 180;
    return [cx + rx * Math.cos(angle), cy + ry * Math.sin(angle)];
  });
}

// Forms of each digit in a box of width 0.6 and height 1: lists of strokes; "line" strokes have corners, others are curves.
const line = (...points) => ({ corners: true, points });
const curve = (...points) => ({ corners: false, points });
export const FORMS = [
  [[curve(...arc(0.3, 0.5, 0.28, 0.5, -90, -450))], [curve(...arc(0.3, 0.5, 0.22, 0.5, -60, -440))], [curve(...arc(0.3, 0.5, 0.3, 0.45, -100, 270))]],
  [[line([0.3, 0], [0.3, 1])], [line([0.12, 0.22], [0.34, 0], [0.34, 1])], [line([0.35, 0], [0.28, 1])], [line([0.14, 0.2], [0.32, 0], [0.32, 1]), line([0.1, 1], [0.54, 1])]],
  [
    [curve([0.06, 0.22], ...arc(0.3, 0.26, 0.24, 0.26, -150, 20), [0.4, 0.6], [0.04, 0.98]), line([0.04, 0.98], [0.58, 0.97])],
    [curve([0.08, 0.2], ...arc(0.3, 0.24, 0.22, 0.24, -150, 30), [0.3, 0.72], [0.1, 0.95], [0.02, 0.88], [0.12, 0.8], [0.32, 0.92], [0.6, 0.96])],
    [curve([0.04, 0.12], [0.3, 0], [0.5, 0.14], [0.46, 0.4], [0.02, 1]), line([0.02, 1], [0.56, 1])],
  ],
  [
    [curve(...arc(0.26, 0.25, 0.24, 0.25, -150, 80), ...arc(0.26, 0.74, 0.3, 0.26, -80, 150))],
    [line([0.06, 0.02], [0.52, 0.02], [0.26, 0.4]), curve([0.26, 0.4], ...arc(0.26, 0.7, 0.3, 0.3, -70, 150))],
    [curve([0.06, 0.1], [0.34, 0], [0.5, 0.2], [0.38, 0.42], [0.22, 0.46], [0.44, 0.52], [0.56, 0.74], [0.36, 0.98], [0.02, 0.9])],
  ],
  [
    [line([0.16, 0], [0.04, 0.52], [0.58, 0.52]), line([0.46, 0.08], [0.42, 1])],
    [line([0.4, 0], [0.02, 0.64], [0.6, 0.64]), line([0.42, 0.02], [0.42, 1])],
    [curve([0.1, 0.02], [0.06, 0.36], [0.2, 0.52], [0.5, 0.46]), line([0.52, 0.02], [0.46, 1])],
  ],
  [
    [line([0.12, 0.02], [0.08, 0.44]), curve([0.08, 0.44], ...arc(0.26, 0.7, 0.3, 0.3, -110, 140)), line([0.12, 0.02], [0.54, 0.02])],
    [line([0.54, 0], [0.14, 0.03], [0.1, 0.42]), curve([0.1, 0.42], [0.34, 0.38], [0.55, 0.58], [0.5, 0.86], [0.26, 1], [0.02, 0.92])],
  ],
  [
    [curve([0.46, 0.02], [0.18, 0.26], [0.04, 0.62], ...arc(0.3, 0.72, 0.26, 0.28, 160, -190))],
    [curve([0.34, 0], [0.1, 0.4], [0.04, 0.74], [0.18, 0.98], [0.44, 0.96], [0.54, 0.76], [0.42, 0.58], [0.2, 0.62], [0.08, 0.8])],
  ],
  [
    [line([0.02, 0.04], [0.56, 0.02], [0.2, 1])],
    [line([0.02, 0.04], [0.56, 0.02], [0.22, 1]), line([0.14, 0.5], [0.52, 0.5])],
    [curve([0.04, 0.08], [0.3, 0.06], [0.56, 0], [0.36, 0.44], [0.26, 1])],
  ],
  [
    [curve([0.5, 0.12], [0.3, 0], [0.1, 0.14], [0.16, 0.38], [0.44, 0.56], [0.54, 0.8], [0.3, 1], [0.06, 0.82], [0.14, 0.58], [0.46, 0.36], [0.5, 0.12])],
    [curve(...arc(0.3, 0.23, 0.2, 0.23, 90, 450)), curve(...arc(0.3, 0.73, 0.26, 0.27, -90, 270))],
  ],
  [
    [curve(...arc(0.28, 0.27, 0.24, 0.27, -20, -370)), line([0.52, 0.2], [0.48, 1])],
    [curve(...arc(0.28, 0.26, 0.24, 0.26, 0, -360), [0.52, 0.6], [0.4, 0.92], [0.1, 0.98])],
    [curve(...arc(0.26, 0.28, 0.24, 0.28, -40, -360), [0.46, 0.6], [0.34, 1])],
  ],
];

/** Points along a smooth line through the given ones (Catmull and Rom's spline), or along straight ones with corners. */
function trace({ corners, points }, steps = 8) {
  const at = (i) => points[Math.min(points.length - 1, Math.max(0, i))];
  const traced = [];
  for (let i = 0; i < points.length - 1; i++) {
    for (let step = 0; step < steps; step++) {
      const t = step / steps;
      traced.push(
        [0, 1].map((axis) => {
          const [p, q, r, s] = [at(i - 1), at(i), at(i + 1), at(i + 2)].map((point) => point[axis]);
          if (corners) return q + (r - q) * t;
          return q + 0.5 * t * (r - p + t * (2 * p - 5 * q + 4 * r - s + t * (3 * (q - r) + s - p)));
        }),
      );
    }
  }
  return [...traced, points.at(-1)];
}

/** One hand: the habits that its digits share. A roughness of 2 makes it lean, turn, stray and tremble twice as much. */
export function makeHand(seed, roughness = 1) {
  const random = generator(1000 + seed);
  const between = (low, high) => low + (high - low) * random();
  return {
    seed,
    slant: 0.14 + roughness * between(-0.26, 0.26), // how far the top leans to the right, as a share of the height
    width: between(0.75, 1.3),
    size: between(9, 22), // height on the pad of 28 units
    turn: roughness * between(-0.08, 0.08), // radians
    stray: roughness * between(0.01, 0.035), // of the points, as a share of the height
    tremor: roughness * between(0, 0.008),
    forms: FORMS.map((forms) => Math.floor(random() * forms.length)),
  };
}

/** The strokes of a digit as this hand writes it the nth time: lists of {x, y} in 0..28, for image.mjs. */
export function write(hand, digit, nth = 0) {
  const random = generator(hand.seed * 7919 + digit * 101 + nth);
  const around = (spread) => spread * (random() + random() + random() - 1.5) * 2; // its standard deviation is `spread`
  const ends = new Map(); // where two strokes meet, they go on meeting
  const stray = ([x, y]) => {
    const key = `${x} ${y}`;
    if (!ends.has(key)) ends.set(key, [x + around(hand.stray), y + around(hand.stray)]);
    return ends.get(key);
  };
  const [sine, cosine] = [Math.sin(hand.turn + around(0.03)), Math.cos(hand.turn)];
  const size = hand.size * (1 + around(0.06));
  const [left, top] = [14 + around(1.5), 14 + around(1.5)];
  return FORMS[digit][hand.forms[digit]].map(({ corners, points }) =>
    trace({ corners, points: points.map(stray) }).map(([px, py]) => {
      const x = (px - 0.3) * hand.width + hand.slant * (0.5 - py) + around(hand.tremor);
      const y = py - 0.5 + around(hand.tremor);
      const inside = (v) => Math.min(27.5, Math.max(0.5, v));
      return { x: inside(left + size * (cosine * x - sine * y)), y: inside(top + size * (sine * x + cosine * y)) };
    }),
  );
}
