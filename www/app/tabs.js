// The tabs of the bar: arrow keys move between them, as screen readers expect.

import { remember, recall } from "./storage.js";

const tabs = [...document.querySelectorAll('[role="tab"]')];
let listener = () => {};

function select(tab, { focus = false } = {}) {
  for (const other of tabs) {
    const selected = other === tab;
    other.setAttribute("aria-selected", String(selected));
    other.tabIndex = selected ? 0 : -1;
  }
  if (focus) tab.focus();
  remember("sessionStorage", "tab", tab.id);
  listener(current());
}

/** The id of the panel that is chosen: "chat" or "complete". */
export function current() {
  return tabs.find((tab) => tab.getAttribute("aria-selected") === "true").getAttribute("aria-controls");
}

/** Makes the tabs work; `onChange` gets the chosen panel's id, at once and whenever it changes. */
export function startTabs(onChange) {
  listener = onChange;
  for (const [at, tab] of tabs.entries()) {
    tab.addEventListener("click", () => select(tab));
    tab.addEventListener("keydown", ({ key }) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[key];
      if (step) select(tabs[(at + step + tabs.length) % tabs.length], { focus: true });
    });
  }
  select(tabs.find((tab) => tab.id === recall("sessionStorage", "tab", "")) ?? tabs[0]);
}
