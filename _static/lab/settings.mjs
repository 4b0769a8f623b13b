// The playground's settings: what each may be, and how they are written into the page's address.

export const CHOICES = {
  data: ["blobs", "moons", "circles", "xor", "spirals", "digits"],
  loss: ["logistic", "pair"],
  norm: ["none", "rms", "layernorm"],
  neg: ["random", "hard", "once", "any"],
  order: ["together", "turns"],
};
// name: [least, greatest]; whole numbers where both are.
export const RANGES = { noise: [0, 0.3], layers: [1, 4], width: [2, 64], lr: [0.0001, 10], theta: [0.1, 20], seed: [0, 9999] };
const WHOLE = ["layers", "width", "seed"];

export const DEFAULTS = {
  data: "moons", noise: 0.1, layers: 2, width: 32, lr: 0.01, theta: 1,
  loss: "logistic", norm: "rms", neg: "random", order: "together", seed: 1,
};

/** A value that is allowed: the given one, moved into its range, or the default where it makes no sense. */
export function sanitize(name, value) {
  if (name in CHOICES) return CHOICES[name].includes(value) ? value : DEFAULTS[name];
  const [least, greatest] = RANGES[name];
  const number = value === "" || value === null ? NaN : Number(value);
  if (!Number.isFinite(number)) return DEFAULTS[name];
  const inside = Math.min(greatest, Math.max(least, number));
  return WHOLE.includes(name) ? Math.round(inside) : inside;
}

/** Settings from the end of an address, such as #data=xor&norm=none; what it does not say is as in DEFAULTS. */
export function fromHash(end) {
  const params = new URLSearchParams(end.replace(/^[#?]/, ""));
  return Object.fromEntries(
    Object.keys(DEFAULTS).map((name) => [name, params.has(name) ? sanitize(name, params.get(name)) : DEFAULTS[name]]),
  );
}

/** The address of some settings: what differs from DEFAULTS. */
export function toHash(settings) {
  const params = new URLSearchParams();
  for (const [name, value] of Object.entries(DEFAULTS)) if (settings[name] !== value) params.set(name, settings[name]);
  return `#${params}`;
}
