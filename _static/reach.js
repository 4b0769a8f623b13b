// What scrolls sideways must scroll from the keyboard, too. The theme sees to code and tables when a page is loaded or
// resized; this sees to formulae that are too wide, and lets the theme look again when a hidden cell is opened.
function reachFormulae() {
  for (const formula of document.querySelectorAll('mjx-container[display="true"]')) {
    if (formula.scrollWidth > formula.clientWidth) formula.tabIndex = 0;
    else formula.removeAttribute("tabindex");
  }
}

addEventListener("load", () => window.MathJax?.startup?.promise?.then(reachFormulae));
addEventListener("resize", reachFormulae);
addEventListener("toggle", () => dispatchEvent(new Event("resize")), true);
