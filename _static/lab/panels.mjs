// @ts-check
// The playground's controls: the bar with Train, the row of lessons, the settings, and what stands there in a lesson.

import { make, makeButton } from "./dom.mjs";
import { LESSONS, foundText } from "./lessons.mjs";
import { CHOICES, NAMES, RESTARTING, sanitize } from "./settings.mjs";
import { NAMES_TEXT, OFFERED } from "./words.mjs";

/** @typedef {import("./settings.mjs").Settings} Settings */
/** @typedef {import("./settings.mjs").Name} Name */
/** @typedef {import("./lessons.mjs").Lesson} Lesson */
/** @typedef {import("./worker.mjs").Speed} Speed */

/**
 * Buttons of which one is pressed.
 * @param {string} name
 * @param {[key: string, text: string, title?: string][]} options
 * @param {(key: string) => void} choose
 */
export function makeSwitch(name, options, choose) {
  const buttons = options.map(([key, text, title]) =>
    makeButton({ "aria-pressed": "false", ...(title ? { title } : {}) }, () => choose(key), text));
  const element = make("div", { class: "ff-play-switch", role: "group", "aria-label": name }, ...buttons);
  /** @param {string} key */
  const press = (key) => buttons.forEach((button, k) => button.setAttribute("aria-pressed", String(options[k][0] === key)));
  return { element, press };
}

/** @param {{ train: () => void, step: () => void, reset: () => void, speed: (speed: Speed) => void, seed: () => void, describe: () => void, link: () => void }} acts */
export function makeBar(acts) {
  const train = makeButton({ class: "ff-play-main" }, acts.train, "Loading…");
  const speed = makeSwitch("Speed", [["slow", "slow", "One epoch a second"], ["normal", "normal", "Five epochs a second, twenty after the first thirty"], ["fast", "fast", "As fast as it can"]],
    (key) => {
      acts.speed(/** @type {Speed} */ (key));
      speed.press(key);
    });
  speed.press("normal");
  const epoch = make("output", { class: "ff-play-epoch", "aria-live": "off" }, "epoch 0");
  const seed = makeButton({ title: "Another seed: other points, other initial weights" }, acts.seed, "⚄ seed 1");
  const element = make("div", { class: "ff-play-bar" }, train,
    makeButton({ title: "One step: one batch of fifty" }, acts.step, "Step"),
    makeButton({ title: "Start again at epoch 0" }, acts.reset, "Reset"), epoch);
  const more = make("div", { class: "ff-play-more" }, speed.element, seed,
    makeButton({ title: "Say in words what the pictures show" }, acts.describe, "In words"),
    makeButton({ title: "Copy a link to these settings" }, acts.link, "Copy link"));
  return { element, more, train, epoch, seed };
}

/** The row of lessons. @param {(key: string) => void} choose */
export function makeLessons(choose) {
  return makeSwitch("Lessons", [["", "Free play", "One net, and all its settings"], ...LESSONS.map(({ key, name, title }, k) =>
    /** @type {[string, string, string]} */ ([key, `${k + 1} ${name}`, title]))], choose);
}

/** @param {Name} name @param {(name: Name, value: string | number) => void} change */
function makeMenu(name, change) {
  const [title, texts] = NAMES_TEXT[name];
  const select = make("select", { name });
  for (const value of CHOICES[name] ?? OFFERED[name] ?? []) select.append(make("option", { value }, texts?.[value] ?? String(value)));
  select.addEventListener("change", () => change(name, sanitize(name, select.value)));
  return { select, element: make("label", {}, title, select) };
}

/** A menu shows a value, also one that it does not offer. @param {HTMLSelectElement} select @param {string | number} value */
function choose(select, value) {
  if (select.value === String(value)) return;
  if (![...select.options].some((option) => option.value === String(value))) select.append(make("option", { value }, String(value)));
  select.value = String(value);
}

/** All settings of a free run. Made once: a menu stays where it is while it is used. @param {(name: Name, value: string | number) => void} change */
export function makeSettings(change) {
  const menus = NAMES.filter((name) => name !== "seed").map((name) => ({ name, ...makeMenu(name, change) }));
  const elements = (/** @type {boolean} */ restarting) => menus.filter(({ name }) => RESTARTING.includes(name) === restarting).map(({ element }) => element);
  const element = make("div", { class: "ff-play-settings" },
    make("p", { class: "ff-play-group" }, "Starts again"), ...elements(true),
    make("p", { class: "ff-play-group" }, "Changes at once"), ...elements(false));
  /** @param {Settings} settings */
  const show = (settings) => menus.forEach(({ name, select }) => {
    choose(select, settings[name]);
    if (name === "noise") select.disabled = settings.data === "digits";
    if (name === "theta") select.disabled = settings.loss === "pair";
  });
  return { element, show };
}

/**
 * What stands there in a lesson: what to look for, the switch, what was found.
 * @param {Lesson} lesson
 * @param {{ arm: (k: number) => void, next: () => void, free: () => void }} acts
 */
export function makeLessonPanel(lesson, acts) {
  const arms = lesson.arms.slice(1).map(({ name }, k) => /** @type {[string, string]} */ ([String(k + 1), name]));
  const choice = makeSwitch("On the right", arms, (key) => {
    acts.arm(Number(key));
    choice.press(key);
  });
  choice.press("1");
  const live = make("p", { class: "ff-play-live" });
  const number = LESSONS.indexOf(lesson) + 1;
  const element = make("div", { class: "ff-play-lesson" },
    make("h2", {}, `${number}. ${lesson.title}`), make("p", {}, lesson.look), live,
    ...(arms.length > 1 ? [choice.element] : []),
    make("p", { class: "ff-play-found" }, foundText(lesson)), make("p", {}, lesson.why),
    make("div", { class: "ff-play-tools" }, makeButton({ title: "The run on the right, with all settings" }, acts.free, "Play with it"),
      ...(number < LESSONS.length ? [makeButton({ title: LESSONS[number].title }, acts.next, "Next lesson")] : [])));
  return { element, live };
}
