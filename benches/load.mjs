// Measures how long a checkpoint takes to load in Chromium: from the server, and again from the cache of the browser.
// It compares with reading the same bytes from the cache without using them. It also measures the peak memory of the
// processes.
//
//   cargo bench --bench load              writes target/bench/mobilellm-125m
//   cargo xtask build
//   node benches/load.mjs [FOLDER]        prints one JSON line for each backend and weight format
//
// CHROMIUM is the path of the browser, CHROMIUM_FLAGS its flags: by default the GPU is SwiftShader.

import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { basename, join } from "node:path";
import { chromium } from "playwright-core";

import { flags } from "../tests/browser/support/browser.mjs";
import { root } from "../tests/browser/support/models.mjs";
import { startSite } from "../tests/browser/support/site.mjs";

/** Number of second loads and of plain reads. They take turns; the result is the median. */
const ROUNDS = 5;

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

/** Loads in a browser with a new profile: without a profile the browser would have its cache in memory. */
async function measure({ backend, weights }) {
  const profile = mkdtempSync(join(tmpdir(), "mobilellm-profile-"));
  const executablePath = process.env.CHROMIUM ?? "/usr/bin/chromium";
  const context = await chromium.launchPersistentContext(profile, {
    executablePath,
    args: process.env.CHROMIUM_FLAGS ? ["--no-sandbox", ...process.env.CHROMIUM_FLAGS.split(/\s+/)] : flags(),
    // Playwright's default arguments would switch off the GPU that the flags ask for.
    ignoreDefaultArgs: process.env.CHROMIUM_FLAGS ? ["--disable-gpu"] : [],
    // The worker for plain reads is made from text, which the Content-Security-Policy forbids.
    bypassCSP: true,
  });
  try {
    const page = context.pages()[0] ?? (await context.newPage());
    const empty = await open(page, profile);
    const first = await load(page, { backend, weights });
    const full = peaks(profile);
    const again = [];
    const reads = [];
    for (let round = 0; round < ROUNDS; round++) {
      await open(page, profile);
      again.push(await load(page, { backend, weights }));
      await open(page, profile);
      reads.push(await readPlainly(page));
    }
    const [secondLoad, afterLastByte, plainRead] = [
      median(again.map(({ seconds }) => seconds)),
      median(again.map(({ afterLastByte }) => afterLastByte)),
      median(reads.map(({ seconds }) => seconds)),
    ];
    const { bytes, cached } = reads.at(-1);
    return {
      machine: `${cpus()[0].model}, ${cpus().length} threads`,
      browser: context.browser()?.version(),
      backend,
      adapter: first.adapter,
      weights,
      parameters: first.parameters,
      load_s: thousandths(first.seconds),
      second_load_s: thousandths(secondLoad),
      ready_after_last_byte_s: thousandths(afterLastByte),
      plain_read_s: thousandths(plainRead),
      second_load_to_plain_read: Math.round((100 * secondLoad) / plainRead) / 100,
      files_mb: megabytes(bytes),
      cached_mb: megabytes(cached),
      second_load_mb_per_s: Math.round(bytes / 1e6 / secondLoad),
      plain_read_mb_per_s: Math.round(bytes / 1e6 / plainRead),
      weights_mb: megabytes(first.bytes),
      tab_peak_extra_mb: megabytes(full.renderer - empty.renderer),
      gpu_process_peak_extra_mb: megabytes(full["gpu-process"] - empty["gpu-process"]),
    };
  } finally {
    await context.close();
    rmSync(profile, { recursive: true, force: true, maxRetries: 5 });
  }
}

/** Opens an empty page of the site, without anything from earlier runs. */
async function open(page, profile) {
  await page.goto(`${site.address}/pkg/README.md`);
  return peaks(profile);
}

/**
 * Loads the engine as a page does, from the first import until it can answer. `afterLastByte` is the part of the
 * seconds after the last byte of the weights was read.
 */
async function load(page, options) {
  let lastByte = 0;
  const finished = (request) => {
    if (request.url().endsWith(".safetensors")) lastByte = performance.now();
  };
  page.context().on("requestfinished", finished);
  const loaded = await page.evaluate(
    async ({ name, ...options }) => {
      const start = performance.now();
      const { Engine } = await import("/pkg/index.js");
      const engine = await Engine.load(`/models/${name}/`, options);
      const seconds = (performance.now() - start) / 1000;
      const info = engine.info();
      engine.close();
      return { seconds, adapter: info.adapter?.adapter, parameters: info.parameters, bytes: info.weight_bytes };
    },
    { name: basename(folder), ...options },
  );
  const afterLastByte = (performance.now() - lastByte) / 1000;
  page.context().off("requestfinished", finished);
  return { ...loaded, afterLastByte };
}

/**
 * Reads the same files in a worker, as the engine does, but does not use the data. `cached` is the number of bytes that
 * came from the cache of the browser: Chromium does not store files that are too large for its cache.
 */
function readPlainly(page) {
  const names = readdirSync(folder).filter((name) => /\.(json|safetensors)$/.test(name));
  const urls = names.map((name) => `${site.address}/models/${basename(folder)}/${name}`);
  const script = `onmessage = async ({ data: urls }) => {
    const start = performance.now();
    let bytes = 0;
    for (const url of urls) {
      const reader = (await fetch(url)).body.getReader();
      for (let piece; !(piece = await reader.read()).done; ) bytes += piece.value.length;
    }
    const seconds = (performance.now() - start) / 1000;
    const isCached = ({ transferSize, encodedBodySize }) => transferSize < encodedBodySize;
    const cached = performance.getEntriesByType("resource").filter(isCached);
    postMessage({ seconds, bytes, cached: cached.reduce((sum, { encodedBodySize }) => sum + encodedBodySize, 0) });
  };`;
  return page.evaluate(
    ({ script, urls }) =>
      new Promise((resolve, reject) => {
        const worker = new Worker(URL.createObjectURL(new Blob([script], { type: "text/javascript" })));
        worker.onmessage = ({ data }) => resolve(data);
        worker.onerror = ({ message }) => reject(new Error(message));
        worker.postMessage(urls);
      }),
    { script, urls },
  );
}

function median(values) {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)];
}

function thousandths(seconds) {
  return Math.round(seconds * 1000) / 1000;
}

function megabytes(bytes) {
  return Math.round(bytes / 1e5) / 10;
}

/** The largest peak of resident memory of the browser processes with this profile, by type of process. Linux records it. */
function peaks(profile) {
  const parents = new Map();
  for (const pid of readdirSync("/proc").filter((name) => /^\d+$/.test(name))) {
    const stat = read(`/proc/${pid}/stat`);
    parents.set(Number(pid), Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]));
  }
  const isBrowser = (pid) => read(`/proc/${pid}/cmdline`).split("\0").includes(`--user-data-dir=${profile}`);
  const browsers = new Set([...parents.keys()].filter(isBrowser));
  const isOurs = (pid) => browsers.has(pid) || (parents.has(pid) && isOurs(parents.get(pid)));
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
