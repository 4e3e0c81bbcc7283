// Charts as SVG, each with a table of the same values. Lengths are in percent, so that text keeps its size on every
// screen. Colours are CSS classes, because the Content-Security-Policy of the page allows no inline style.

import { element } from "../app/dom.js";

const ROW = 46;
const BAR = 12;

function svg(name, attributes, text) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  if (text !== undefined) node.textContent = text;
  return node;
}

function canvas(height, label) {
  return svg("svg", { class: "chart", width: "100%", height, role: "img", "aria-label": label });
}

/**
 * One horizontal bar per row: `{ label, value, text }`. The optional `of` is the largest possible value.
 *
 * In rows with `of`, the track behind the bar ends at that value.
 */
export function bars(title, rows) {
  const most = Math.max(...rows.map(({ value, of }) => Math.max(value, of ?? 0)), 1e-12);
  const words = rows.map(({ label, text }) => `${label}: ${text}`).join("; ");
  const chart = canvas(rows.length * ROW, `${title}. ${words}`);
  rows.forEach(({ label, value, of, text, mark }, index) => {
    const y = index * ROW;
    chart.append(
      svg("text", { class: "chart-label", x: 0, y: y + 15 }, label),
      svg("text", { class: "chart-value", x: "100%", y: y + 15, "text-anchor": "end" }, text),
      svg("rect", { class: "chart-track", x: 0, y: y + 22, width: `${(100 * (of ?? most)) / most}%`, height: BAR, rx: 3 }),
      svg("rect", {
        class: mark ? "chart-bar marked" : "chart-bar",
        x: 0,
        y: y + 22,
        width: `${Math.max(0.4, (100 * value) / most)}%`,
        height: BAR,
        rx: 3,
      }),
    );
  });
  return chart;
}

/** One bar of parts `{ label, value, text }`, in order. The table next to it is the legend. */
export function stack(title, parts) {
  const total = parts.reduce((sum, { value }) => sum + value, 0) || 1;
  const words = parts.map(({ label, text }) => `${label}: ${text}`).join("; ");
  const chart = canvas(34, `${title}. ${words}`);
  let x = 0;
  parts.forEach(({ label, value, text }, index) => {
    const width = (100 * value) / total;
    const part = svg("rect", { class: `hue-${index % 8}`, x: `${x}%`, y: 0, width: `${width}%`, height: 34 });
    part.append(svg("title", {}, `${label}: ${text}`));
    chart.append(part);
    x += width;
  });
  return chart;
}

/** A table. The first cell of each row is its header. All cells are formatted strings. */
export function table(caption, columns, rows, { legend = false } = {}) {
  const node = element("table", "numbers");
  node.append(element("caption", "visually-hidden", caption));
  const head = element("tr");
  for (const column of columns) {
    const cell = element("th", "", column);
    cell.scope = "col";
    head.append(cell);
  }
  node.append(element("thead"));
  node.tHead.append(head);
  const body = element("tbody");
  rows.forEach((cells, index) => {
    const row = element("tr");
    cells.forEach((text, column) => {
      const cell = element(column === 0 ? "th" : "td", "", text);
      if (column === 0) cell.scope = "row";
      if (column === 0 && legend) cell.prepend(swatch(index));
      row.append(cell);
    });
    body.append(row);
  });
  node.append(body);
  // A wide table scrolls inside its frame, also by keyboard, and does not make the page wider.
  const frame = element("div", "table-frame");
  frame.tabIndex = 0;
  frame.setAttribute("role", "region");
  frame.setAttribute("aria-label", caption);
  frame.append(node);
  return frame;
}

function swatch(index) {
  const box = svg("svg", { class: "swatch", width: 10, height: 10, "aria-hidden": "true" });
  box.append(svg("rect", { class: `hue-${index % 8}`, width: 10, height: 10, rx: 2 }));
  return box;
}

/** A chart and its table, with a title and a note. */
export function figure(title, note, chart, numbers) {
  const node = element("figure", "figure");
  const caption = element("figcaption");
  caption.append(element("h4", "", title));
  if (note) caption.append(element("p", "fine", note));
  const pair = element("div", "figure-pair");
  pair.append(chart, numbers);
  node.append(caption, pair);
  return node;
}
