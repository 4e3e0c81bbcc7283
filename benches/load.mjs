// How long a checkpoint takes to load in Chromium, and how much memory its processes take at most.
//
//   cargo bench --bench load              writes target/bench/mobilellm-125m
//   cargo xtask build
//   node benches/load.mjs [FOLDER]        prints one JSON line for each backend and weight format

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { chromium } from "playwright-core";

import { flags } from "../tests/browser/support/browser.mjs";
import { root } from "../tests/browser/support/models.mjs";
import { startSite } from "../tests/browser/support/site.mjs";

const folder = process.argv[2] ?? join(root, "target/bench/mobilellm-125m");
const runs = [
  { backend: "cpu", weights: "auto" },
  { backend: "cpu", weights: "q4" },
  { backend: "gpu", weights: "auto" },
  { backend: "gpu", weights: "q4" },
];

const site = await startSite({ model: folder });
try {
  for (const run of runs) console.log(JSON.stringify(await measure(run)));
} finally {
  site.stop();
}

/** Loads once in a fresh browser. */
async function measure({ backend, weights }) {
  const executablePath = process.env.CHROMIUM ?? "/usr/bin/chromium";
  const server = await chromium.launchServer({ executablePath, args: flags() });
  const browser = await chromium.connect(server.wsEndpoint());
  try {
    const page = await browser.newPage();
    await page.goto(`${site.address}/pkg/README.md`);
    const empty = peaks(server.process().pid);
    const result = await page.evaluate(
      async ({ name, ...options }) => {
        const { Engine } = await import("/pkg/index.js");
        const start = performance.now();
        const engine = await Engine.load(`/models/${name}/`, options);
        const seconds = (performance.now() - start) / 1000;
        const info = engine.info();
        engine.close();
        return { seconds, parameters: info.parameters, bytes: info.weight_bytes };
      },
      { name: folder.split("/").filter(Boolean).pop(), backend, weights },
    );
    const full = peaks(server.process().pid);
    const megabytes = (bytes) => Math.round(bytes / 1e5) / 10;
    return {
      backend,
      weights,
      parameters: result.parameters,
      load_s: Math.round(result.seconds * 1000) / 1000,
      weights_mb: megabytes(result.bytes),
      tab_peak_extra_mb: megabytes(full.renderer - empty.renderer),
      gpu_process_peak_extra_mb: megabytes(full["gpu-process"] - empty["gpu-process"]),
    };
  } finally {
    await browser.close();
    await server.close();
  }
}

/** The largest peak of resident memory among the browser's processes, by type; Linux keeps it. */
function peaks(browserPid) {
  const parents = new Map();
  for (const pid of readdirSync("/proc").filter((name) => /^\d+$/.test(name))) {
    const stat = read(`/proc/${pid}/stat`);
    parents.set(Number(pid), Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]));
  }
  const isOurs = (pid) => pid === browserPid || (parents.has(pid) && isOurs(parents.get(pid)));
  const most = { renderer: 0, "gpu-process": 0 };
  for (const pid of [...parents.keys()].filter(isOurs)) {
    const [, type] = read(`/proc/${pid}/cmdline`).match(/--type=([\w-]+)/) ?? [];
    const [, kilobytes] = read(`/proc/${pid}/status`).match(/VmHWM:\s+(\d+) kB/) ?? [];
    if (type in most) most[type] = Math.max(most[type], Number(kilobytes) * 1024);
  }
  return most;
}

function read(path) {
  try {
    return readFileSync(path, "utf8");
  } catch {
    // The process has ended meanwhile.
    return "";
  }
}
