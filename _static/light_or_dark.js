// The theme decides between light and dark when all of its scripts are there. Until then a page has two logos, in
// colours that may not stay. Decide before it is drawn, as the theme will.
const root = document.documentElement;
if (root.dataset.theme === "auto") root.dataset.theme = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
