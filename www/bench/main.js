// The page: choose, measure, look, save.

import { benchmark, benchmarkChoices } from "../pkg/index.js";
import { byId, element } from "../app/dom.js";
import { sentence } from "../app/format.js";
import { settings, startForm } from "./form.js";
import { showReport } from "./report.js";
import { showStudy } from "./study.js";

const STAGES = {
  load: () => "making and loading the weights",
  prefill: (tokens) => `reading a prompt of ${tokens} tokens`,
  decode: (tokens) => `writing after ${tokens} tokens`,
  ceiling: () => "asking the device what it can do",
  kernels: (tokens) => `timing each kernel at ${tokens} tokens`,
};

let running = null;

/** Measures shapes one after the other; resolves to their reports, or to null where it was cancelled or failed. */
async function measure(shapes, options) {
  running = new AbortController();
  show(null);
  try {
    const reports = [];
    for (const [index, shape] of shapes.entries()) {
      const onProgress = ({ name, tokens, done }) => {
        byId("stage").textContent = `${shape.name}: ${STAGES[name](tokens)}`;
        byId("progress").value = (index + done) / shapes.length;
      };
      byId("stage").textContent = `${shape.name}: starting`;
      reports.push(await benchmark({ ...options, shape, onProgress, signal: running.signal }));
    }
    return reports;
  } catch (error) {
    if (error.code !== "cancelled") show(error);
    return null;
  } finally {
    running = null;
    show();
  }
}

/** The state of the page: what runs, and what went wrong. `undefined` leaves the error as it is. */
function show(error) {
  document.body.dataset.state = running ? "running" : "ready";
  byId("running").hidden = !running;
  if (running) byId("progress").value = 0;
  for (const button of document.querySelectorAll("[data-starts]")) button.disabled = running !== null;
  byId("run").disabled = running !== null;
  if (error !== undefined) {
    byId("error").hidden = error === null;
    byId("error").textContent = error ? sentence(error.message) : "";
  }
}

/** Puts a result on top, and the reader's eye on it. */
function present(article) {
  byId("results").prepend(article);
  article.tabIndex = -1;
  article.focus({ preventScroll: true });
  article.scrollIntoView({ block: "start", behavior: "smooth" });
}

function studyCard(study) {
  const card = element("article", "card stack");
  const button = element("button", "button", "Run this study");
  button.type = "button";
  button.dataset.starts = study.name;
  button.addEventListener("click", async () => {
    const reports = await measure(study.shapes, settings().options);
    if (reports) present(showStudy(study, reports));
  });
  const names = study.shapes.map(({ name }) => name).join(", ");
  card.append(element("h3", "", study.title), element("p", "quiet", study.about), element("p", "fine", names), button);
  return card;
}

async function start() {
  byId("cancel").addEventListener("click", () => running?.abort());
  byId("form").addEventListener("submit", async (event) => {
    event.preventDefault();
    const { shape, options } = settings();
    const reports = await measure([shape], options);
    if (reports) present(showReport(reports[0]));
  });
  try {
    const { shapes, studies, tiers } = await benchmarkChoices();
    startForm(shapes, tiers);
    byId("studies").replaceChildren(...studies.map(studyCard));
    show();
  } catch (error) {
    show(error);
    document.body.dataset.state = "failed";
  }
}

start();
