// @ts-check
// The playground's controls: the bar with Train, the row of lessons, the settings, and what stands there in a lesson.

import { comeIntoView, make, makeButton } from "./dom.mjs";
import { LESSONS, foundText, thenText } from "./lessons.mjs";
import { CHOICES, NAMES, RESTARTING, sanitize } from "./settings.mjs";
import { NAMES_TEXT, OFFERED, captionText } from "./words.mjs";

/** @typedef {import("./settings.mjs").Settings} Settings */
/** @typedef {import("./settings.mjs").Name} Name */
/** @typedef {import("./lessons.mjs").Lesson} Lesson */
/** @typedef {import("./lessons.mjs").Part} Part */
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
  const speed = makeSwitch("Speed", [["slow", "slow", "One epoch a second"], ["normal", "normal", "Two epochs a second, then five, then twenty"], ["fast", "fast", "As fast as it can"]],
    (key) => {
      acts.speed(/** @type {Speed} */ (key));
      speed.press(key);
    });
  speed.press("normal");
  const epoch = make("output", { class: "ff-play-epoch", "aria-live": "off" }, "epoch 0");
  const seed = makeButton({ title: "Another seed: other points, other initial weights" }, acts.seed, "⚄ seed 1");
  const more = make("div", { class: "ff-play-more" }, speed.element, seed,
    makeButton({ title: "Say in words what the pictures show" }, acts.describe, "In words"),
    makeButton({ title: "Copy a link to these settings" }, acts.link, "Copy link"));
  const opener = makeButton({ class: "ff-play-opener", "aria-expanded": "false" },
    () => opener.setAttribute("aria-expanded", String(more.classList.toggle("ff-play-open"))), "More");
  const element = make("div", { class: "ff-play-bar" }, train,
    makeButton({ title: "One step: one batch of fifty" }, acts.step, "Step"),
    makeButton({ title: "Start again at epoch 0" }, acts.reset, "Reset"), epoch, opener);
  return { element, more, train, epoch, seed };
}

/** The lessons: a row of buttons, or where that is too wide a menu. @param {(key: string) => void} choose */
export function makeLessons(choose) {
  /** @type {[string, string, string][]} */
  const options = [["", "Free play", "One net, and all its settings"],
    ...LESSONS.map(({ key, name, title }, k) => /** @type {[string, string, string]} */ ([key, `${k + 1} ${name}`, title]))];
  const row = makeSwitch("Lessons", options, choose);
  const menu = make("select", { "aria-label": "Lesson" },
    ...options.map(([key, text], k) => make("option", { value: key }, k ? `Lesson ${text}` : text)));
  menu.addEventListener("change", () => choose(menu.value));
  /** @param {string} key */
  const press = (key) => {
    row.press(key);
    menu.value = key;
  };
  const focus = () => {
    const shown = menu.offsetParent ? menu : /** @type {HTMLElement | null} */ (row.element.querySelector("[aria-pressed=true]"));
    shown?.scrollIntoView({ block: "nearest" });
    shown?.focus();
  };
  return { element: make("div", { class: "ff-play-lessons" }, row.element, menu), press, focus };
}

/** A text in the colour of a pass. @param {"blue" | "orange"} color @param {string} text */
export const colored = (color, text) => make("span", { class: `ff-play-${color}` }, text);

/** How to read the histograms. @param {HTMLElement} caption @param {Settings[]} arms of each run */
export function showCaption(caption, arms) {
  const [before, between, after] = captionText(arms);
  caption.replaceChildren(before, colored("blue", "Blue (true label)"), between, colored("orange", "orange (wrong)"), after);
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
 * What stands there in a lesson: the question, the numbers that are compared, and the answer once it may be seen. Nothing
 * moves when that comes: all questions stand in one place, all answers in another, and one of each is shown.
 * @param {Lesson} lesson
 * @param {{ arm: (k: number) => void, next: () => void, free: () => void, reveal: () => void, goOn: () => void, demonstrate: () => void }} acts
 */
export function makeLessonPanel(lesson, acts) {
  const number = LESSONS.indexOf(lesson) + 1;
  const questions = lesson.parts.map(({ question }) => make("p", {}, question));
  const demos = lesson.parts.map(({ demo }) => (demo ? makeButton({ class: "ff-play-main ff-play-demo" }, acts.demonstrate, demo.buttons[0]) : null));
  const answers = lesson.parts.flatMap((part, k) => [makeWait(part, acts.reveal), makeAnswer(part, lesson.parts[k + 1], demos[k], acts.goOn)]);
  const numbers = makeNumbers(lesson.key === "isolation");
  const question = make("div", { class: "ff-play-question" }, make("h2", {}, `${number}. ${lesson.title}`),
    make("div", { class: "ff-play-stack" }, ...questions), ...makeChoice(lesson, acts.arm));
  const result = make("div", { class: "ff-play-result" }, numbers.element, make("div", { class: "ff-play-stack" }, ...answers),
    make("div", { class: "ff-play-tools" }, makeButton({ title: "The run on the right, with all settings" }, acts.free, "Play with it"),
      ...(number < LESSONS.length ? [makeButton({ title: LESSONS[number].title }, acts.next, "Next lesson")] : [])));
  /** @param {number} part @param {boolean} answered */
  const show = (part, answered) => {
    questions.forEach((one, k) => one.classList.toggle("ff-play-shown", k === part));
    answers.forEach((one, k) => one.classList.toggle("ff-play-shown", k === 2 * part + Number(answered)));
    result.classList.toggle("ff-play-answered", answered);
  };
  /** With the picture that its button moves. @param {number} part */
  const showAnswer = (part) => comeIntoView(demos[part] ?? answers[2 * part + 1]);
  const focus = (/** @type {number} */ part) => {
    answers[2 * part + 1].focus({ preventScroll: true });
    showAnswer(part);
  };
  /** What the button under the answer would do next. @param {number} part @param {boolean} done */
  const showDemo = (part, done) => {
    const [button, { demo }] = [demos[part], lesson.parts[part]];
    if (!button || !demo) return;
    button.textContent = demo.buttons[Number(done)];
    const reasons = answers[2 * part + 1].querySelectorAll(".ff-play-reason > p");
    reasons.forEach((reason, k) => reason.classList.toggle("ff-play-shown", k === Number(done)));
  };
  return { elements: [question, result], numbers, show, showDemo, showQuestion: () => comeIntoView(question), showAnswer, focus };
}

/** Until the answer may be seen. @param {Part} part @param {() => void} reveal */
const makeWait = ({ until }, reveal) => make("div", { class: "ff-play-pending" },
  make("p", {}, `The answer comes at epoch ${until}.`), makeButton({}, reveal, "Show the answer"));

/** @param {Part} part @param {Part | undefined} next @param {HTMLElement | null} demo @param {() => void} goOn */
function makeAnswer(part, next, demo, goOn) {
  const [found, why] = [make("p", { class: "ff-play-found" }, foundText(part)), makeReason(part)];
  const tools = make("div", { class: "ff-play-tools" }, ...(demo ? [demo] : []), ...(next?.button ? [makeButton({}, goOn, next.button)] : []));
  return make("div", { class: "ff-play-answer", tabindex: -1 }, ...(demo ? [why, tools, found] : [found, why]));
}

/** The reason, and where there is one, in the same place, what the slider has shown. @param {Part} part */
function makeReason({ why, demo }) {
  const then = demo && thenText(demo);
  const reason = make("p", { class: "ff-play-shown" }, why);
  return then ? make("div", { class: "ff-play-stack ff-play-reason" }, reason, make("p", {}, then)) : make("p", {}, why);
}

/** Which run stands on the right, where there are several. @param {Lesson} lesson @param {(k: number) => void} act */
function makeChoice({ arms }, act) {
  if (arms.length < 3) return [];
  const options = arms.slice(1).map(({ name }, k) => /** @type {[string, string]} */ ([String(k + 1), name]));
  const choice = makeSwitch("On the right", options, (key) => {
    act(Number(key));
    choice.press(key);
  });
  choice.press("1");
  return [choice.element];
}

/** The two numbers that a lesson compares, large. Their room is there before they are. @param {boolean} noted with a line below them */
function makeNumbers(noted) {
  const blank = "\u00a0";
  const what = make("p", { class: "ff-play-what" }, blank);
  const runs = [0, 1].map((k) => ({ share: make("b", {}, blank), name: make("span", {}, blank), dash: make("i", { class: `ff-play-dash ff-play-dash-${k}` }) }));
  const note = make("p", { class: "ff-play-note" }, noted ? blank : "");
  const element = make("div", { class: "ff-play-live" }, what,
    make("div", { class: "ff-play-two" }, ...runs.map(({ share, name, dash }) => make("p", {}, share, " ", make("span", {}, dash, name)))), note);
  /** @param {string} text @param {[share: string, name: string][]} pairs @param {string} further */
  const show = (text, pairs, further) => {
    [what.textContent, note.textContent] = [text, further];
    pairs.forEach(([share, name], k) => ([runs[k].share.textContent, runs[k].name.textContent] = [share, name]));
  };
  return { element, show };
}
