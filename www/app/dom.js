// Small helpers over the document. Text from models and from people only ever becomes a text node.

/** The element with this id. */
export const byId = (id) => document.getElementById(id);

/** A new element with a class and text. */
export function element(tag, className, text) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  if (text !== undefined) node.textContent = text;
  return node;
}

/** A button with an icon of the page's sprite. */
export function iconButton(icon, label, className, onClick) {
  const button = element("button", className);
  button.type = "button";
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  use.setAttribute("href", `#icon-${icon}`);
  svg.append(use);
  button.append(svg, label);
  button.addEventListener("click", onClick);
  return button;
}

/** Tells a screen reader. */
export function announce(text) {
  byId("announcer").textContent = text;
}
