// node tools/lab/strokes.mjs: drawings that export_weights.py measures, as the pad turns them into images.
//
// Prints {kind: [base64 of 784 bytes, …]}: digits in many hands, and what is no digit: dots, taps, lines, crosses, spirals,
// full pads, scribbles, letters, shapes, two digits side by side. A kind's drawings are the same on every run.
import { preprocess } from "../../_static/lab/image.mjs";
import { generator, makeHand, write } from "../../tests/lab/hands.mjs";

const EACH = 200; // drawings of a kind
const HANDS = 100; // each writes the ten digits

const turn = 2 * Math.PI;
const point = (x, y) => ({ x, y });
const around = (count, at) => Array.from({ length: count + 1 }, (_, k) => at(k / count));

/** Where a drawing sits on the pad: points of a box from −1 to 1, turned, sized and moved at random. */
function place(random, strokes, mostTurn = 0.25) {
  const [size, angle] = [4 + 8 * random(), mostTurn * (2 * random() - 1)];
  const [x, y, wide] = [14 + 4 * (random() - 0.5), 14 + 4 * (random() - 0.5), 0.75 + 0.5 * random()];
  const tremble = () => 0.04 * (random() + random() - 1);
  return strokes.map((stroke) =>
    stroke.map((p) => {
      const [px, py] = [wide * (p.x + tremble()), p.y + tremble()];
      return point(x + size * (Math.cos(angle) * px - Math.sin(angle) * py), y + size * (Math.sin(angle) * px + Math.cos(angle) * py));
    }),
  );
}

/** Capitals that look like no digit, each as polylines of "x,y" in a box from 0 to 2. */
const LETTERS = [
  "0,2 1,0 2,2|0.4,1.3 1.6,1.3", // A
  "2,0 0,0 0,2 2,2|0,1 1.5,1", // E
  "2,0 0,0 0,2|0,1 1.5,1", // F
  "0,0 0,2|2,0 2,2|0,1 2,1", // H
  "0,0 0,2|1.8,0 0,1.1 1.9,2", // K
  "0,2 0.2,0 1,1.3 1.8,0 2,2", // M
  "0,2 0,0 2,2 2,0", // N
  "0,2 0,0 1.4,0 1.7,0.5 1.3,1 0,1 1.8,2", // R
  "0,0 2,0|1,0 1,2", // T
  "0,0 0.5,2 1,0.7 1.5,2 2,0", // W
].map((letter) => letter.split("|").map((stroke) => stroke.split(" ").map((pair) => {
  const [x, y] = pair.split(",").map(Number);
  return point(x - 1, y - 1);
})));

const circle = (x, y, radius) => around(24, (t) => point(x + radius * Math.cos(turn * t), y + radius * Math.sin(turn * t)));
const SHAPES = [
  [[point(0, -1), point(1, 0.8), point(-1, 0.8), point(0, -1)]], // triangle
  [[point(-1, -1), point(1, -1), point(1, 1), point(-1, 1), point(-1, -1)]], // square
  [circle(0, 0, 1), circle(-0.35, -0.3, 0.08), circle(0.35, -0.3, 0.08), around(9, (t) => point(1.1 * (t - 0.5), 0.4 + 0.9 * t * (1 - t)))], // face
  [around(5, (t) => point(Math.sin(2 * turn * t), -Math.cos(2 * turn * t)))], // star of five
  [around(30, (t) => point(2 * t - 1, 0.5 * Math.sin(3 * turn * t)))], // wave
  [around(8, (t) => point(2 * t - 1, Math.round(8 * t) % 2 ? 0.7 : -0.7))], // zigzag
];

const pick = (random, list) => list[Math.floor(random() * list.length)];

/** Each makes the strokes of one drawing. */
const KINDS = {
  dot: (random) => [[point(28 * random(), 28 * random())]],
  tap: (random) => {
    const [x, y] = [28 * random(), 28 * random()];
    return [around(1 + Math.floor(4 * random()), () => point(x + 0.6 * random(), y + 0.6 * random()))];
  },
  taps: (random) => around(1 + Math.floor(5 * random()), () => [point(4 + 20 * random(), 4 + 20 * random())]),
  // At most 30° from level: a steeper one is a 1.
  line: (random) => {
    const angle = ((random() * 2 - 1) * 30 * Math.PI) / 180;
    return place(random, [[point(-Math.cos(angle), -Math.sin(angle)), point(Math.cos(angle), Math.sin(angle))]], 0);
  },
  cross: (random) => place(random, pick(random, [
    [[point(-1, -1), point(1, 1)], [point(1, -1), point(-1, 1)]],
    [[point(-1, 0), point(1, 0)], [point(0, -1), point(0, 1)]],
  ])),
  spiral: (random) => {
    const [turns, way, start] = [2 + 2 * random(), random() < 0.5 ? 1 : -1, turn * random()];
    return place(random, [around(60, (t) => point(t * Math.cos(start + way * turns * turn * t), t * Math.sin(start + way * turns * turn * t)))]);
  },
  full: (random) => {
    const [gap, tall] = [0.8 + random(), random() < 0.5];
    const rows = around(Math.round(26 / gap), (t) => t).flatMap((t, k) => [1, 27].map((end) => point(k % 2 ? 28 - end : end, 1 + 26 * t)));
    return [rows.map(({ x, y }) => (tall ? point(y, x) : point(x, y)))];
  },
  scribble: (random) => {
    const corners = around(7 + Math.floor(8 * random()), () => point(2 + 24 * random(), 2 + 24 * random()));
    return [corners.flatMap((a, k) => {
      const b = corners[Math.min(k + 1, corners.length - 1)];
      const bend = 6 * (random() - 0.5);
      return around(8, (t) => point(a.x + (b.x - a.x) * t + bend * Math.sin(Math.PI * t), a.y + (b.y - a.y) * t + bend * Math.sin(Math.PI * t)));
    })];
  },
  letter: (random) => place(random, pick(random, LETTERS)),
  shape: (random) => place(random, pick(random, SHAPES)),
  "two digits": (random, k) => [0, 1].flatMap((side) =>
    write({ ...makeHand(500 + k), size: 12, turn: 0 }, Math.floor(10 * random()), side).map((stroke) =>
      stroke.map(({ x, y }) => point(x / 2 + 14 * side, y)))),
};

const encode = (strokes) => Buffer.from(preprocess(strokes).map((ink) => Math.round(255 * ink))).toString("base64");

/** Every kind's strokes: the junk, and digits in hands as `digit`. */
export function drawings() {
  const junk = Object.entries(KINDS).map(([kind, draw], number) => {
    const random = generator(9000 + number);
    return [kind, Array.from({ length: EACH }, (_, k) => draw(random, k))];
  });
  const digits = Array.from({ length: 10 * HANDS }, (_, k) => write(makeHand(1000 + Math.floor(k / 10)), k % 10));
  return { ...Object.fromEntries(junk), digit: digits };
}

if (import.meta.url === `file://${process.argv[1]}`) {
  console.log(JSON.stringify(Object.fromEntries(Object.entries(drawings()).map(([kind, all]) => [kind, all.map(encode)]))));
}
