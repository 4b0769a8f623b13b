// @ts-check
// What both exhibits need of a page.

/**
 * Make an element: attributes by name, then children, which may be texts.
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Record<string, string | number>} [attributes]
 * @param {...(Node | string)} children
 * @returns {HTMLElementTagNameMap[Tag]}
 */
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, String(value));
  element.append(...children);
  return element;
}

/**
 * A button that acts when the finger is lifted from it.
 *
 * After a tap, a browser may keep the click back until it knows whether a second tap follows, and drop it when a stroke
 * begins meanwhile. Keys and screen readers send a click alone.
 * @param {Record<string, string | number>} attributes
 * @param {() => void} act
 * @param {...(Node | string)} children
 */
export function makeButton(attributes, act, ...children) {
  const button = make("button", { type: "button", ...attributes }, ...children);
  let lifted = -Infinity;
  const enabled = () => button.getAttribute("aria-disabled") !== "true";
  button.addEventListener("pointerup", (event) => {
    if (event.button !== 0) return;
    lifted = event.timeStamp;
    if (enabled()) act();
  });
  button.addEventListener("click", (event) => {
    if (event.timeStamp - lifted > 700 && enabled()) act();
  });
  return button;
}

export const reducedMotion = () => matchMedia("(prefers-reduced-motion: reduce)").matches;

/** Scroll as far as it takes, where it takes any. @param {HTMLElement} element */
export const comeIntoView = (element) => element.scrollIntoView({ block: "nearest", behavior: reducedMotion() ? "instant" : "smooth" });
