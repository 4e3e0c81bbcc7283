// The benchmark page: choose a shape, measure it, show the result, save it.

import { benchmark, benchmarkChoices } from "../pkg/index.js";
import { byId, element } from "../app/dom.js";
import { sentence } from "../app/format.js";
import { measureFidelity, showFidelity } from "./fidelity.js";
import { settings, startForm } from "./form.js";
import { showReport } from "./report.js";
import { showStudy } from "./study.js";

const STAGES = {
  load: () => "making and loading random weights",
  prefill: (tokens) => `prefill of ${tokens} tokens`,
  decode: (tokens) => `decode after ${tokens} tokens`,
  ceiling: () => "measuring the limits of the device",
  kernels: (tokens) => `measuring each kernel at ${tokens} tokens`,
};

let running = null;

/** Runs cancellable work and shows its progress. Resolves to its result, or to null if it failed or was cancelled. */
async function run(work) {
  running = new AbortController();
  show(null);
  const tell = (stage, done) => {
    byId("stage").textContent = stage;
    byId("progress").value = done;
  };
  try {
    return await work(running.signal, tell);
  } catch (error) {
    if (error.code !== "cancelled") show(error);
    return null;
  } finally {
    running = null;
    show();
  }
}

/** Measures shapes one after the other. Resolves to their reports, or to null if it failed or was cancelled. */
function measure(shapes, options) {
  return run(async (signal, tell) => {
    const reports = [];
    for (const [index, shape] of shapes.entries()) {
      const onProgress = ({ name, tokens, done }) =>
        tell(`${shape.name}: ${STAGES[name](tokens)}`, (index + done) / shapes.length);
      tell(`${shape.name}: starting`, index / shapes.length);
      reports.push(await benchmark({ ...options, shape, onProgress, signal }));
    }
    return reports;
  });
}

/** Updates the page: whether something runs, and the error. `undefined` leaves the error as it is. */
function show(error) {
  document.body.dataset.state = running ? "running" : "ready";
  byId("running").hidden = !running;
  if (running) byId("progress").value = 0;
  for (const button of document.querySelectorAll("[data-starts]")) button.disabled = running !== null;
  if (error !== undefined) {
    byId("error").hidden = error === null;
    byId("error").textContent = error ? sentence(error.message) : "";
  }
}

/** Puts a result on top of the list and scrolls to it. */
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
  byId("fidelity-form").addEventListener("submit", async (event) => {
    event.preventDefault();
    const result = await run((signal, tell) => measureFidelity(settings().options, signal, tell));
    if (result) present(showFidelity(result));
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
