// A study: several shapes side by side, each compared with the first.

import { element } from "../app/dom.js";
import { count } from "../app/format.js";
import { bars, figure, table } from "./chart.js";
import { showReport, where } from "./report.js";
import { saving } from "./save.js";

const number = (value) => value.toFixed(value < 100 ? 1 : 0);

/** What is compared: how to read it from a report, and its unit. */
const MEASURES = [
  { title: "Start-up", unit: "ms", note: "Opening the device, loading weights, making pipelines. Lower is better.", of: started },
  { title: "Prefill", unit: "tokens/s", note: "The longest prompt that all shapes were measured with. Higher is better.", of: read },
  { title: "Decode, short context", unit: "ms", note: "Time per token. Lower is better.", of: (report) => report.decode[0]?.ms_per_token },
  { title: "Decode, long context", unit: "ms", note: "Time per token. Lower is better.", of: (report) => report.decode[1]?.ms_per_token },
];

function started({ load }) {
  return load.init_ms + load.load_ms + load.prepare_ms;
}

function read({ prefill }, reports) {
  const lengths = Math.min(...reports.map((report) => report.prefill.length));
  return prefill[lengths - 1]?.tokens_per_s;
}

export function showStudy(study, reports) {
  const article = element("article", "card result");
  article.dataset.study = study.name;
  const head = element("header", "stack");
  head.append(
    element("h3", "display small", study.title),
    element("p", "quiet", study.about),
    element("p", "quiet", `${where(reports[0])}. Ratios compare with ${reports[0].shape.name}.`),
  );
  article.append(head);
  for (const measure of MEASURES) {
    const values = reports.map((report) => measure.of(report, reports));
    if (values.every((value) => value !== undefined)) article.append(compare(measure, reports, values));
  }
  const shapes = reports.map(({ shape, parameters }) => [
    shape.name,
    count(parameters),
    `${shape.num_hidden_layers}${shape.layer_sharing ? " × 2" : ""}`,
    String(shape.hidden_size),
    String(shape.intermediate_size),
  ]);
  const sizes = element("figure", "figure");
  sizes.append(
    element("figcaption", "", ""),
    table("The shapes", ["Shape", "Parameters", "Layers", "Width", "Feed-forward"], shapes),
  );
  sizes.firstChild.append(element("h4", "", "The shapes"));
  const each = element("details");
  each.append(element("summary", "", "Full report of each shape"), ...reports.map(showReport));
  article.append(sizes, each, saving({ study: study.name, reports }, `bench-${study.name}`));
  return article;
}

function compare({ title, unit, note }, reports, values) {
  const ratio = (value) => `${(value / values[0]).toFixed(2)}×`;
  const rows = reports.map(({ shape }, index) => ({
    label: shape.name,
    value: values[index],
    text: `${number(values[index])} ${unit}`,
    mark: shape.layer_sharing,
  }));
  const cells = rows.map(({ label, text }, index) => [label, text, ratio(values[index])]);
  return figure(title, note, bars(`${title}, ${unit}`, rows), table(title, ["Shape", "Measured", "Ratio"], cells));
}
