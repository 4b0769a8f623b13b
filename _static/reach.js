// What scrolls sideways must scroll from the keyboard, too. The theme sees to code and tables when a page is loaded or
// resized; this sees to formulae and, on a phone, pictures that are too wide, and lets the theme look again when a hidden
// cell is opened.
function reach() {
  const wide = 'mjx-container[display="true"], div.cell_output:has(> img:is([src$=".svg"], .ff-wide))';
  for (const box of document.querySelectorAll(wide)) {
    if (box.scrollWidth > box.clientWidth) box.tabIndex = 0;
    else box.removeAttribute("tabindex");
  }
}

addEventListener("load", reach);
addEventListener("load", () => window.MathJax?.startup?.promise?.then(reach));
addEventListener("resize", reach);
addEventListener("toggle", () => dispatchEvent(new Event("resize")), true);
