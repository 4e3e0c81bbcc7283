// Compares this engine with transformers.js and wllama: same machine, same browser, same shape, same prompts.
//
//   cargo xtask rivals [--engines LIST] [--threads N] [--prefill 128,512] [--decode 64]
//     [--long 1024] [--repeats 3] [--software] [--timeout SECONDS]
//
// LIST has entries ENGINE:DEVICE, separated by commas; the default is all. Prints one JSON object per engine, and
// ratios at the end. Exits with 1 if an engine failed. --software uses SwiftShader as the GPU. --timeout applies to
// each engine. CHROMIUM is the path of the browser, CHROMIUM_FLAGS its flags, PYTHON an interpreter that has the
// packages of requirements.txt; without PYTHON they are installed into target/rivals/.

import { execFileSync } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";

import { serve } from "./serve.mjs";

const here = fileURLToPath(new URL(".", import.meta.url));
const root = join(here, "../..");
const work = join(root, "target/rivals");
const models = join(work, "models");

const { values: flags } = parseArgs({
  options: {
    engines: {
      type: "string",
      default: "mobilellm:cpu,wllama:cpu,transformers:cpu,mobilellm:webgpu,wllama:webgpu,transformers:webgpu",
    },
    threads: { type: "string", default: String(cpus().length) },
    prefill: { type: "string", default: "128,512" },
    decode: { type: "string", default: "64" },
    long: { type: "string", default: "1024" },
    repeats: { type: "string", default: "3" },
    timeout: { type: "string", default: "900" },
    software: { type: "boolean", default: false },
  },
});

const MACHINE = `${cpus()[0]?.model ?? process.arch}, ${cpus().length} threads`;
const HARDWARE = "--enable-unsafe-webgpu --enable-features=Vulkan --ignore-gpu-blocklist";
const SOFTWARE = "--enable-unsafe-webgpu --use-webgpu-adapter=swiftshader";

/** Installs the other engines and makes the models, unless an earlier run did. */
function prepare() {
  if (!existsSync(join(root, "pkg/index.js"))) throw new Error("pkg/ is missing: run `cargo xtask rivals`, which builds it");
  if (!isInstalled()) {
    run("npm", ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]);
  }
  if (!existsSync(models)) run(process.env.PYTHON ?? python(), [join(here, "models.py"), models]);
}

/** Runs a program. Its output is not part of the result. */
function run(program, args) {
  execFileSync(program, args, { cwd: here, stdio: ["ignore", 2, 2] });
}

/** Whether node_modules/ has the versions that package.json asks for. */
function isInstalled() {
  const json = (path) => JSON.parse(readFileSync(join(here, path), "utf8"));
  return Object.entries(json("package.json").dependencies).every(([name, version]) => {
    const path = `node_modules/${name}/package.json`;
    return existsSync(join(here, path)) && json(path).version === version;
  });
}

/** A separate Python environment. An interrupted installation is repeated. */
function python() {
  const own = join(work, "python/bin/python");
  const marker = join(work, "python/installed");
  if (!existsSync(marker)) {
    run("python3", ["-m", "venv", "--clear", join(work, "python")]);
    run(own, ["-m", "pip", "install", "--quiet", "-r", join(here, "requirements.txt")]);
    writeFileSync(marker, "");
  }
  return own;
}

async function measure(address, engine, device) {
  const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: ["--no-sandbox", ...(process.env.CHROMIUM_FLAGS ?? (flags.software ? SOFTWARE : HARDWARE)).split(/\s+/)],
    ignoreDefaultArgs: ["--disable-gpu"],
  });
  const numbers = (text) => text.split(",").map(Number).filter((number) => number > 0);
  const options = {
    engine,
    device,
    threads: Number(flags.threads),
    prefill: numbers(flags.prefill),
    decode: Number(flags.decode),
    long: Number(flags.long),
    repeats: Number(flags.repeats),
  };
  try {
    const page = await browser.newPage();
    page.setDefaultTimeout(1000 * Number(flags.timeout));
    await page.goto(`${address}/rivals/page.html`);
    await page.waitForFunction(() => self.measure);
    const late = new Promise((_, reject) => {
      setTimeout(() => reject(new Error(`not done after ${flags.timeout} s`)), 1000 * Number(flags.timeout)).unref();
    });
    const result = await Promise.race([page.evaluate((options) => self.measure(options), options), late]);
    return { ...result, browser: browser.version(), machine: MACHINE };
  } catch (error) {
    return { engine, device, error: String(error.message ?? error).split("\n")[0] };
  } finally {
    await browser.close();
  }
}

/** The speed of this engine divided by that of the best other engine on the same device, for everything that both measured. */
function ratios(results) {
  const lines = [];
  for (const device of ["cpu", "webgpu"]) {
    const on = results.filter((result) => result.device === device && !result.error && !result.remark);
    const ours = on.find(({ engine }) => engine === "mobilellm");
    const rivals = on.filter(({ engine }) => engine !== "mobilellm");
    if (!ours || rivals.length === 0) continue;
    for (const kind of ["prefill", "decode"]) {
      for (const [tokens, value] of Object.entries(ours[kind])) {
        const best = rivals.toSorted((a, b) => b[kind][tokens] - a[kind][tokens])[0];
        lines.push({ device, kind, tokens: Number(tokens), ratio: Number((value / best[kind][tokens]).toFixed(2)), against: best.engine });
      }
    }
  }
  return lines;
}

prepare();
const site = await serve({ rivals: here, npm: join(here, "node_modules"), pkg: join(root, "pkg"), models });
const results = [];
for (const spec of flags.engines.split(",")) {
  const [engine, device] = spec.split(":");
  results.push(await measure(site.address, engine, device));
  console.log(JSON.stringify(results.at(-1)));
}
console.log(JSON.stringify({ ratios: ratios(results) }));
site.stop();
if (results.some(({ error }) => error)) process.exitCode = 1;
