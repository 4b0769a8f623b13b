// @ts-check
// The playground's settings: what each may be, and how they are written into the page's address.

/**
 * @typedef {object} Settings
 * @property {string} data
 * @property {number} noise
 * @property {number} layers
 * @property {number} width units of each layer
 * @property {import("./ff.mjs").Normalization} norm
 * @property {number} kept how much of a layer's length goes up to the next: the power that is left of it
 * @property {import("./train.mjs").GoodnessKind} goodness
 * @property {"high" | "low"} positive the goodness that positive data are to have
 * @property {import("./train.mjs").LossKind} loss
 * @property {number} theta
 * @property {number} lr
 * @property {import("./train.mjs").NegativeKind} neg
 * @property {"together" | "turns"} order
 * @property {number} seed
 */
/** @typedef {keyof Settings} Name */
/** @typedef {{ settings: Settings, lesson: string | null }} Address */

/** @type {Partial<Record<Name, string[]>>} */
export const CHOICES = {
  data: ["blobs", "moons", "circles", "xor", "spirals", "digits"],
  norm: ["none", "rms", "layernorm"],
  goodness: ["squares", "rms", "abs"],
  positive: ["high", "low"],
  loss: ["logistic", "pair"],
  neg: ["random", "hard", "once", "any"],
  order: ["together", "turns"],
};
/** The least and the greatest value. @type {Partial<Record<Name, [number, number]>>} */
export const RANGES = { kept: [0, 1], noise: [0, 0.3], layers: [1, 4], width: [2, 64], theta: [0.1, 20], lr: [0.0001, 10], seed: [0, 9999] };
const WHOLE = ["layers", "width", "seed"];

/** @type {Settings} */
export const DEFAULTS = {
  data: "moons", noise: 0.1, layers: 2, width: 32, norm: "rms", kept: 0, goodness: "squares", positive: "high",
  loss: "logistic", theta: 1, lr: 0.01, neg: "random", order: "together", seed: 1,
};
export const NAMES = /** @type {Name[]} */ (Object.keys(DEFAULTS));

/** What needs new data or a new net; all else changes while it learns. @type {Name[]} */
export const RESTARTING = ["data", "noise", "layers", "width", "seed"];

/**
 * A value that is allowed: the given one, moved into its range, or the default where it makes no sense.
 * @param {Name} name
 * @param {string | number | null} value
 * @returns {string | number}
 */
export function sanitize(name, value) {
  const choices = CHOICES[name];
  if (choices) return choices.includes(String(value)) ? String(value) : DEFAULTS[name];
  const [least, greatest] = RANGES[name] ?? [0, 0];
  const number = value === "" || value === null ? NaN : Number(value);
  if (!Number.isFinite(number)) return DEFAULTS[name];
  const inside = Math.min(greatest, Math.max(least, number));
  return WHOLE.includes(name) ? Math.round(inside) : inside;
}

/** @param {string} end of an address */
const parametersOf = (end) => new URLSearchParams(end.replace(/^[#?]/, ""));

/** Is there a setting or a lesson in it? A link to a section has none. @param {URLSearchParams} parameters */
const isKnown = (parameters) => parameters.has("lesson") || NAMES.some((name) => parameters.has(name));

/**
 * What an address asks for: its hash if that has settings, otherwise its query. Null where neither has any.
 * @param {{ hash: string, search: string }} address
 * @returns {Address | null}
 */
export function fromAddress({ hash, search }) {
  const parameters = [hash, search].map(parametersOf).find(isKnown);
  if (!parameters) return null;
  const entries = NAMES.map((name) => [name, parameters.has(name) ? sanitize(name, parameters.get(name)) : DEFAULTS[name]]);
  return { settings: Object.fromEntries(entries), lesson: parameters.get("lesson") };
}

/**
 * The hash of some settings: what differs from DEFAULTS. Never empty, so that it is told from a page without one.
 * @param {Settings} settings
 * @param {string | null} [lesson]
 */
export function toHash(settings, lesson = null) {
  const parameters = new URLSearchParams();
  if (lesson) parameters.set("lesson", lesson);
  for (const name of NAMES) {
    if (settings[name] !== DEFAULTS[name] || (name === "data" && !lesson)) parameters.set(name, String(settings[name]));
  }
  return `#${parameters}`;
}
