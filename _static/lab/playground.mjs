// @ts-check
// The Forward-Forward playground: turns every <div class="ff-playground"> of a page into nets that train while you watch.
// worker.mjs trains and measures, arm.mjs draws a run, panels.mjs has the controls; this file holds them together.

import { Arm } from "./arm.mjs";
import { comeIntoView, make, makeButton, reducedMotion } from "./dom.mjs";
import { LESSONS, findLesson, focusOf, focusText } from "./lessons.mjs";
import { makeBar, makeLessonPanel, makeLessons, makeSettings, showCaption } from "./panels.mjs";
import { paintCurve } from "./paint.mjs";
import { DEFAULTS, RESTARTING, fromAddress, toHash } from "./settings.mjs";
import { describe, movedName, percent, wrongText } from "./words.mjs";

/** @typedef {import("./settings.mjs").Settings} Settings */
/** @typedef {import("./settings.mjs").Name} Name */
/** @typedef {import("./worker.mjs").View} View */
/** @typedef {import("./worker.mjs").Message} Message */
/** @typedef {import("./lessons.mjs").Lesson} Lesson */
/** @typedef {"loading" | "paused" | "running" | "stopped" | "failed"} State */

const GLIDE = 70; // milliseconds for a twentieth of a slider that moves by itself
const REST_AT = 200; // epochs, after which a run pauses that the reader has not asked for
const WORDS = { loading: "Loading…", paused: "Train", running: "Pause", stopped: "Start again", failed: "Try again" };
const DASHES = [[], [7, 4], [2, 3], [9, 3, 2, 3], [4, 4]];

class Playground {
  /** @param {HTMLElement} element */
  constructor(element) {
    this.element = element;
    /** @type {Settings} */ this.settings = { ...DEFAULTS };
    /** @type {Lesson | null} */ this.lesson = null;
    this.right = 1; // which of the lesson's arms stands on the right
    this.part = 0; // of the lesson
    this.answered = -1; // the last part whose answer may be seen
    /** @type {(number | undefined)[]} */ this.kept = []; // by the sliders of the lesson's runs, where they have been moved
    /** @type {(number | undefined)[]} */ this.keptShown = []; // in the view that is on the page
    this.followed = false; // the reader has asked for the next answer, and is to see it
    this.gliding = 0; // the timer of a slider that moves by itself
    /** @type {State} */ this.state = "loading";
    this.wanted = false; // the reader, or the page on arrival, wants it to run
    this.stayed = false; // the reader has paused it: nothing starts by itself
    this.inSight = false;
    this.asked = false; // the words are wanted with the next view
    /** @type {number | null} */ this.wrongAt = null; // the step of what is said of a wrong one
    this.id = 0;
    this.seeds = 1;
    /** @type {View | null} */ this.view = null;
    /** @type {Arm[]} */ this.arms = [];
    /** @type {{ epoch: number, arms: { layers: number[], sum: number }[] }[]} */ this.history = [];
    this.drawing = false;
    this.bar = this.makeBar();
    this.lessons = makeLessons((key) => this.choose(findLesson(key)));
    this.status = make("p", { role: "status", class: "ff-play-status" });
    this.menus = makeSettings((name, value) => this.change(name, value));
    this.caption = make("p", { class: "ff-play-caption" });
    this.stage = make("div", { class: "ff-play-arms" });
    this.side = make("div", { class: "ff-play-side" });
    this.curve = make("canvas", { role: "img", "aria-label": "Accuracy over epochs, on data that the net has not learnt from" });
    this.legend = make("p", { class: "ff-play-legend" });
    /** @type {ReturnType<typeof makeLessonPanel> | null} of the lesson */ this.panel = null;
    /** @type {Lesson | null} the lesson that the panel is of */ this.panelOf = null;
    this.touched = false; // the reader has pressed Train: nothing starts by itself any more
    element.replaceChildren(this.bar.element, this.bar.more, this.lessons.element, this.status, make("div", { class: "ff-play-stage" },
      this.caption, this.stage, this.side, make("div", { class: "ff-play-curve" }, this.curve, this.legend)));
    this.worker = this.makeWorker();
    if (!this.readAddress(location)) this.lesson = findLesson(element.dataset.lesson ?? null);
    this.listen();
    this.start();
  }

  // ---- The parts on the page

  makeBar() {
    return makeBar({
      train: () => this.pressTrain(),
      step: () => this.pressStep(),
      reset: () => this.start({ keepPoints: true }),
      speed: (speed) => this.tell({ type: "speed", speed }),
      seed: () => this.change("seed", (this.settings.seed % 9999) + 1),
      describe: () => this.view && this.say(this.describe(this.view)),
      link: () => this.copyLink(),
    });
  }

  /** New arms and a new panel, for a new run. */
  layOut() {
    const arms = this.armSettings();
    const names = this.armNames();
    const labels = { blobs: 3, digits: 10 }[arms[0].data] ?? 2;
    this.arms = arms.map((settings, k) => new Arm(settings, {
      labels, lone: !this.lesson, title: names[k] ?? "", highlighted: this.lesson?.focus ?? null,
      arrows: this.lesson?.arrows ?? false,
      tell: (message) => this.tell(message), say: (text) => this.say(text), keep: (kept) => this.slide(k, kept),
    }));
    showCaption(this.caption, arms);
    this.stage.replaceChildren(...this.arms.map(({ element }) => element));
    this.element.classList.toggle("ff-play-twin", this.lesson !== null);
    this.lessons.press(this.lesson?.key ?? "");
    this.bar.seed.textContent = `⚄ seed ${this.settings.seed}`;
    if (!this.lesson) {
      this.panel = null;
      if (this.menus.element.parentElement !== this.side) this.side.replaceChildren(this.menus.element);
      this.menus.show(this.settings);
    } else {
      if (this.panelOf !== this.lesson || !this.panel) {
        this.panel = makeLessonPanel(this.lesson, {
          arm: (k) => this.chooseRight(k), next: () => this.chooseNext(), free: () => this.playFreely(),
          reveal: () => this.reveal(), goOn: () => this.goOnWithLesson(), demonstrate: () => this.demonstrate(),
        });
        this.side.replaceChildren(...this.panel.elements);
      }
      this.panel.show(this.part, this.answered >= this.part);
    }
    this.panelOf = this.lesson;
    this.legend.replaceChildren(...this.seriesNames().map((name, k) => this.makeKey(name, k)));
  }

  /** @param {string} name @param {number} k */
  makeKey(name, k) {
    return make("span", {}, make("i", { class: `ff-play-dash ff-play-dash-${k}` }), name);
  }

  // ---- What runs

  /** The settings of each run. @returns {Settings[]} */
  armSettings() {
    const { lesson, settings } = this;
    if (!lesson) return [settings];
    const base = { ...DEFAULTS, ...lesson.base, seed: settings.seed };
    return this.armsShown().map(({ change }, k) => ({ ...base, ...change, kept: this.kept[k] ?? change.kept ?? base.kept }));
  }

  /** The two of the lesson's arms that run. */
  armsShown() {
    return this.lesson ? [this.lesson.arms[0], this.lesson.arms[this.right]] : [];
  }

  armNames() {
    return this.armsShown().map(({ name }, k) => (this.isMoved(k) ? `Lengths ${this.movedName(k)}` : name));
  }

  armShorts() {
    return this.armsShown().map(({ short }, k) => (this.isMoved(k) ? this.movedName(k) : short));
  }

  /** Has the slider of a run been moved from where the lesson has it, in what is on the page? @param {number} k */
  isMoved(k) {
    return this.keptShown[k] !== undefined && this.keptShown[k] !== this.armsShown()[k]?.change.kept;
  }

  /** @param {number} k */
  movedName(k) {
    return movedName(this.keptShown[k] ?? 0);
  }

  /** Begin at epoch 0, and go on training if that was going on. @param {{ keepPoints?: boolean }} [options] */
  start({ keepPoints = false } = {}) {
    this.id += 1;
    this.followed = false;
    this.forgetWrong();
    [this.view, this.history] = [null, []];
    [this.part, this.answered, this.kept, this.keptShown] = [0, -1, [], []];
    this.layOut();
    this.setState("loading");
    this.bar.epoch.textContent = "epoch 0";
    const until = this.until();
    this.tell({ type: "start", id: this.id, arms: this.armSettings(), until, keepPoints });
  }

  /** Where a run that goes on by itself pauses. */
  until() {
    return this.lesson ? this.lesson.parts[this.part].until : REST_AT;
  }

  /** Is that behind it? A lesson then goes on with its next part, if it has one. */
  isPast() {
    if (!this.view || this.view.epoch < this.until()) return false;
    if (!this.lesson || this.part + 1 === this.lesson.parts.length) return true;
    this.part += 1;
    this.panel?.show(this.part, false);
    this.panel?.showQuestion();
    this.keep([]);
    this.arms.forEach((arm) => arm.allowSlider(false));
    return false;
  }

  /** @param {State} state */
  setState(state) {
    this.state = state;
    this.bar.train.textContent = WORDS[state];
    this.bar.train.setAttribute("aria-disabled", String(state === "loading"));
    this.element.dataset.state = state;
    this.element.classList.toggle("ff-play-running", state === "running");
  }

  /** Run, or rest while out of sight. */
  run() {
    this.wanted = true;
    this.setState("running");
    if (!this.inSight || document.hidden) return;
    this.tell({ type: "play", until: this.isPast() ? null : this.until() });
  }

  pressTrain() {
    this.touched = true;
    if (this.state === "running") this.pause();
    else if (this.state === "paused") {
      this.stayed = false;
      this.run();
      this.say("Training.");
    } else if (this.state === "stopped" || this.state === "failed") {
      [this.wanted, this.stayed] = [true, false];
      this.start({ keepPoints: true });
    }
  }

  pause() {
    [this.wanted, this.stayed, this.asked] = [false, true, true];
    this.setState("paused");
    this.tell({ type: "pause" });
  }

  pressStep() {
    if (this.state === "running") [this.wanted, this.stayed] = [false, true];
    if (this.state === "running") this.setState("paused");
    if (this.state === "paused") this.tell({ type: "step" });
  }

  // ---- Settings, lessons, address

  /** @param {Name} name @param {string | number} value */
  change(name, value) {
    this.settings = /** @type {Settings} */ ({ ...this.settings, [name]: value });
    this.writeAddress();
    if (RESTARTING.includes(name) || this.state === "failed") {
      this.goOn();
      this.start();
      return;
    }
    this.menus.show(this.settings);
    this.tell({ type: "change", arms: this.armSettings() });
  }

  /** A new run goes on training, unless the reader has paused it or wants nothing to move. */
  goOn() {
    this.wanted = this.wanted || (!this.stayed && !reducedMotion());
  }

  /** @param {Lesson | null} lesson */
  choose(lesson) {
    [this.lesson, this.right, this.stayed] = [lesson, 1, false];
    this.writeAddress();
    this.goOn();
    this.start();
    if (lesson) this.say(`Lesson: ${lesson.title}.`);
    else this.say("");
  }

  chooseNext() {
    const next = LESSONS[LESSONS.findIndex((lesson) => lesson === this.lesson) + 1] ?? null;
    this.choose(next);
    this.lessons.focus();
  }

  /** @param {number} k */
  chooseRight(k) {
    this.right = k;
    this.goOn();
    this.start();
  }

  /** Show the answer before the run has ended. */
  reveal() {
    this.answer();
    this.panel?.focus(this.part);
  }

  answer() {
    this.answered = this.part;
    this.panel?.show(this.part, true);
    this.arms.forEach((arm) => arm.allowSlider(true));
  }

  // ---- The sliders of a lesson

  /** What layer 2 is given of its lengths, in each run. @param {(number | undefined)[]} kept */
  keep(kept) {
    clearTimeout(this.gliding);
    this.kept = kept;
    if (kept.length > 0 && this.state === "paused") this.say(""); // what it says was before
    this.armSettings().forEach((settings, k) => this.arms[k].showKept(settings.kept));
    this.tell({ type: "change", arms: this.armSettings() });
    const demo = this.lesson?.parts[this.part].demo;
    if (demo) this.panel?.showDemo(this.part, this.armSettings()[demo.arm].kept === demo.kept);
  }

  /** @param {number} arm @param {number} kept */
  slide(arm, kept) {
    this.keep(Object.assign([...this.kept], { [arm]: kept }));
  }

  /** Move a slider to its other end: before the reader's eyes, or at once where nothing is to move. */
  demonstrate() {
    const demo = this.lesson?.parts[this.part].demo;
    if (!demo) return;
    const to = this.armSettings()[demo.arm].kept === demo.kept ? 1 - demo.kept : demo.kept;
    comeIntoView(/** @type {HTMLElement | null} */ (this.stage.querySelector(".ff-play-focus")) ?? this.stage);
    const glide = () => {
      const from = this.armSettings()[demo.arm].kept;
      const next = reducedMotion() ? to : Math.round(20 * from + Math.sign(to - from)) / 20;
      this.slide(demo.arm, next);
      if (next !== to) this.gliding = window.setTimeout(glide, GLIDE);
    };
    glide();
  }

  goOnWithLesson() {
    this.bar.train.focus({ preventScroll: true });
    this.pressTrain();
    this.followed = true;
  }

  playFreely() {
    this.settings = this.armSettings()[1];
    this.choose(null);
    this.lessons.focus();
  }

  /** @param {{ hash: string, search: string }} from */
  readAddress(from) {
    const address = fromAddress(from);
    if (!address) return false;
    [this.settings, this.lesson, this.right] = [address.settings, findLesson(address.lesson), 1];
    return true;
  }

  writeAddress() {
    const shared = this.lesson ? { ...DEFAULTS, seed: this.settings.seed } : this.settings;
    history.replaceState(null, "", location.pathname + toHash(shared, this.lesson?.key));
  }

  async copyLink() {
    this.writeAddress();
    try {
      await navigator.clipboard.writeText(location.href);
      this.say("The link is copied.");
    } catch {
      this.say("This browser lets no page copy. The link is the page's address.");
    }
  }

  // ---- Words

  /** To the eye and to a screen reader: only at the start, at a pause, in trouble, and when asked. @param {string} text */
  say(text) {
    this.status.textContent = text;
  }

  /** @param {View} view */
  describe(view) {
    const words = describe(view, this.armNames());
    if (this.lesson?.key === "isolation" && view.difference !== null) return `${words} The weights of the two layers 1 differ by ${view.difference}.`;
    return words;
  }

  // ---- The worker

  makeWorker() {
    const worker = new Worker(new URL("worker.mjs", import.meta.url), { type: "module" });
    worker.addEventListener("message", ({ data }) => this.hear(data));
    worker.addEventListener("error", () => this.fail("its worker could not start"));
    return worker;
  }

  /** @param {Message} message */
  tell(message) {
    this.worker.postMessage(message);
  }

  /** @param {string} why */
  fail(why) {
    this.wanted = false;
    this.setState("failed");
    this.say(`The playground stopped: ${why}.`);
  }

  /** @param {View | { type: "failed", id: number, message: string } | { type: "wrong", id: number, found: { trueLabel: number, winner: number } | null }} data */
  hear(data) {
    if (data.id !== this.id) return; // of a run that is gone
    if (data.type === "failed") this.fail(data.message);
    else if (data.type === "wrong") {
      this.say(wrongText(this.armSettings()[0].data, data.found));
      this.wrongAt = this.view?.steps ?? 0;
    }
    else this.receive(data);
  }

  /** @param {View} view */
  receive(view) {
    this.view = view;
    if (view.steps !== this.wrongAt) this.forgetWrong();
    this.keptShown = this.lesson?.arrows ? view.arms.map(({ settings }) => settings.kept) : [];
    this.remember(view);
    if (this.state === "loading") this.arrive();
    const troubled = view.arms.every(({ trouble }) => trouble);
    if (troubled && this.state !== "stopped") {
      this.wanted = false;
      this.setState("stopped");
      this.say(this.describe(view));
    } else if (view.ended && view.epoch >= this.until() && this.state === "running") {
      this.wanted = false;
      this.setState("paused");
      this.asked = true;
      this.answer();
      if (this.followed && this.inSight) this.panel?.showAnswer(this.part);
      this.followed = false;
    }
    if (this.asked && !view.playing && this.state !== "running") {
      this.asked = false;
      this.say(this.lesson ? this.pausedText(view, this.lesson) : describe(view, [], false));
      if (this.lesson && view.ended) this.showWay();
    }
    if (this.drawing) return;
    this.drawing = true;
    requestAnimationFrame(() => this.show());
  }

  /** Where the answer is: beside the runs, or on a narrow page below them, where a tap leads to it. */
  showWay() {
    this.status.append(" ", make("span", { class: "ff-play-is-there" }, "The answer is there."),
      makeButton({ class: "ff-play-to-answer" }, () => this.panel?.focus(this.part), "To the answer\u00a0↓"));
  }

  /** What was said of a wrong one, before it learnt on. */
  forgetWrong() {
    if (this.wrongAt !== null) this.say("");
    this.wrongAt = null;
  }

  /** The first view of a run is there. */
  arrive() {
    this.setState("paused");
    if (this.wanted) this.run();
    else this.startWhenSeen();
  }

  startWhenSeen() {
    if (this.stayed || this.touched || !this.inSight || reducedMotion() || this.state !== "paused") return;
    if (this.view && this.view.epoch > 0) return;
    this.run();
    this.say("It trains by itself. Pause stops it.");
  }

  /** @param {View} view */
  remember({ epoch, arms }) {
    if (this.state !== "running" && arms.some((_, k) => this.isMoved(k))) return; // a slider has nothing to do with learning
    const entry = { epoch, arms: arms.map(({ accuracy }) => accuracy) };
    if (this.history.at(-1)?.epoch === epoch) this.history[this.history.length - 1] = entry;
    else this.history.push(entry);
    if (this.history.length > 2000) this.history = this.history.filter((_, k) => k % 2 === 0);
  }

  // ---- Drawing

  show() {
    this.drawing = false;
    const { view } = this;
    if (!view || view.arms.length !== this.arms.length) return;
    const ink = getComputedStyle(this.element).color;
    this.bar.epoch.textContent = `epoch ${view.epoch}`;
    const names = this.armNames();
    view.arms.forEach((arm, k) => this.arms[k].show(arm, ink, { name: names[k] ?? "", running: this.state === "running", moved: this.isMoved(k) }));
    this.showCurve(view, ink);
    if (this.panel && this.lesson) this.panel.numbers.show(...this.compare(view, this.lesson));
    this.tell({ type: "shown" });
  }

  /**
   * What the lesson is about: a text, the two numbers with the names of their runs, and what else there is to say.
   * @param {View} view
   * @param {Lesson} lesson
   * @returns {[text: string, pairs: [string, string][], further: string]}
   */
  compare({ arms, epoch, ended, difference }, lesson) {
    const { key, focus } = lesson;
    const shorts = this.armShorts();
    const pairs = arms.map(({ accuracy }, k) => /** @type {[string, string]} */ ([percent(focusOf(accuracy, focus)), shorts[k]]));
    const further = key === "isolation" ? `The weights of the two layers 1 differ by ${difference}.` : "";
    return [`${ended ? "Result" : `Epoch ${epoch}`}. ${focusText(lesson, this.part, ended)} gets right`, pairs, further];
  }

  /** @param {View} view @param {Lesson} lesson */
  pausedText(view, lesson) {
    const [, pairs, further] = this.compare(view, lesson);
    const when = view.ended ? "Result" : `Epoch ${view.epoch}`;
    if (further) return `${when}. ${further}`;
    if (view.ended) return `${when}: ${pairs.map(([share]) => share).join(" and ")}.`;
    return `${when}: ${pairs.map(([share, name]) => `${share} (${name})`).join(", ")}.`;
  }

  /** Of the curve's lines; a lesson has them beside its two numbers. @returns {string[]} */
  seriesNames() {
    const { layers } = this.settings;
    return this.lesson ? [] : layers === 1 ? ["the layer"] : ["sum", ...Array.from({ length: layers }, (_, k) => `layer ${k + 1}`)];
  }

  /** Each line of the curve, from what is remembered. @returns {((accuracy: { layers: number[], sum: number }[]) => number)[]} */
  seriesReaders() {
    const { lesson } = this;
    if (lesson) return [0, 1].map((arm) => (accuracy) => focusOf(accuracy[arm], lesson.focus));
    const layers = this.settings.layers === 1 ? [] : Array.from({ length: this.settings.layers }, (_, k) => k);
    return [([{ sum }]) => sum, ...layers.map((k) => (/** @type {{ layers: number[], sum: number }[]} */ [one]) => one.layers[k])];
  }

  /** @param {View} view @param {string} ink */
  showCurve(view, ink) {
    const series = this.seriesReaders().map((read, k) => ({
      values: this.history.map(({ epoch, arms }) => /** @type {[number, number]} */ ([epoch, read(arms)])),
      now: this.isMoved(k) ? read(view.arms.map(({ accuracy }) => accuracy)) : null,
      dash: DASHES[k], strong: this.lesson !== null || k === 0,
    }));
    const { labels } = view.arms[0];
    paintCurve(this.curve, series, {
      epoch: view.epoch, least: this.lesson?.parts[0].until ?? 30, floor: this.lesson?.floor ?? (labels === 10 ? 0 : 0.4), chance: 1 / labels,
      mark: this.lesson?.parts[0].measuredAt ?? null,
    }, ink);
  }

  /** Paint the last view again: another theme, another size. */
  repaint() {
    if (this.drawing || !this.view) return;
    this.drawing = true;
    requestAnimationFrame(() => this.show());
  }

  // ---- What happens around it

  listen() {
    addEventListener("hashchange", () => {
      if (!this.readAddress({ hash: location.hash, search: "" })) return; // a link to a section
      this.element.scrollIntoView({ block: "nearest" });
      this.stayed = false;
      this.goOn();
      this.start();
    });
    new IntersectionObserver((entries) => {
      this.inSight = entries[entries.length - 1].isIntersecting;
      this.rest();
      this.startWhenSeen();
    }, { threshold: [0, 0.2] }).observe(this.element);
    document.addEventListener("visibilitychange", () => this.rest());
    new MutationObserver(() => this.repaint()).observe(document.documentElement, { attributes: true, attributeFilter: ["data-theme"] });
    new ResizeObserver(() => this.repaint()).observe(this.stage);
  }

  /** Out of sight it rests, whatever the reader wants. */
  rest() {
    if (!this.wanted || this.state !== "running") return;
    if (this.inSight && !document.hidden) this.run();
    else this.tell({ type: "pause" });
  }
}

for (const element of document.querySelectorAll("div.ff-playground")) new Playground(/** @type {HTMLElement} */ (element));
