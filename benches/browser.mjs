// Runs the measurement of www/bench.html in a headless browser and prints the result.
//
//   node benches/browser.mjs '{"shape": "mobilellm-125m"}' [--json]      (cargo xtask bench --browser builds first)
//
// CHROMIUM is the path of the browser, CHROMIUM_FLAGS its flags: by default those that let it use any GPU.

import { chromium } from "playwright-core";

import { startSite } from "../tests/browser/support/site.mjs";

// Timestamps in nanoseconds, and any adapter.
const FLAGS =
  "--enable-unsafe-webgpu --enable-webgpu-developer-features --enable-features=Vulkan --ignore-gpu-blocklist";

const [settings, form] = process.argv.slice(2);
const site = await startSite();
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--no-sandbox", ...(process.env.CHROMIUM_FLAGS ?? FLAGS).split(/\s+/).filter(Boolean)],
  ignoreDefaultArgs: ["--disable-gpu"],
});
try {
  const page = await browser.newPage();
  page.setDefaultTimeout(0);
  await page.goto(`${site.address}/bench.html`);
  const report = await page.evaluate(async (settings) => {
    const { benchmark } = await import("./pkg/index.js");
    return benchmark(settings);
  }, JSON.parse(settings));
  console.log(form === "--json" ? JSON.stringify(report) : words(report));
} finally {
  await browser.close();
  site.stop();
}

/** The most important numbers. */
function words({ shape, weights, backend, adapter, load, prefill, decode, kernels, left_out: leftOut }) {
  const where = backend === "gpu" ? `${adapter.adapter || "an unnamed adapter"}, ${adapter.tier}` : "CPU";
  return [
    `${shape.name}, ${weights}, in ${browser.version()} on ${where}`,
    starting(load),
    ...prefill.map(({ tokens, tokens_per_s }) => `prefill ${tokens}: ${tokens_per_s.toFixed(1)} tokens/s`),
    ...decode.map(({ context, tokens_per_s, bound }) => {
      const reached = bound ? `, ${(100 * bound.reached).toFixed(0)} % of the limit` : "";
      return `decode after ${context}: ${tokens_per_s.toFixed(1)} tokens/s${reached}`;
    }),
    ...kernels.map(({ rows, context, us }) => `${rows} token(s) after ${context}: ${(us / 1000).toFixed(2)} ms on the GPU`),
    ...leftOut.map((what) => `not measured: ${what}`),
  ].join("\n");
}

/** The steps to the first token, and their sum. There are no downloads, because the page makes random weights. */
function starting({ init_ms: init, load_ms: load, prepare_ms: prepare, first_token_ms: first }) {
  const steps = [["open and test the device", init], ["make and load weights", load], ["caches and pipelines", prepare]];
  const words = [...steps, ["first token", first]].map(([step, time]) => `${step} ${time.toFixed(0)} ms`);
  return `first token after ${(init + load + prepare + first).toFixed(0)} ms: ${words.join(", ")}`;
}
