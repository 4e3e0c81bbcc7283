// A real Chromium, whose every complaint fails the test.

import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { chromium } from "playwright-core";

import { root } from "./models.mjs";

const artifacts = process.env.ARTIFACTS ?? join(root, "target/browser");

const ALWAYS = ["--no-sandbox", "--no-first-run", "--disable-background-networking"];
const SOFTWARE_GPU = ["--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader"];

/** Chromium's command line, with WebGPU in software or without WebGPU. */
export function flags({ gpu = true } = {}) {
  return [...ALWAYS, ...(gpu ? SOFTWARE_GPU : ["--disable-blink-features=WebGPU", "--disable-features=WebGPU"])];
}

/** Starts the browser. */
export function launch(options) {
  return chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: flags(options) });
}

/**
 * A new page that collects console errors, exceptions and policy violations; they fail the test when it ends.
 */
export async function openPage(test, browser, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(60_000);
  const complaints = [];
  page.on("pageerror", (error) => complaints.push(`exception: ${error}`));
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type()) && !isAbsentFile(message)) complaints.push(message.text());
  });
  await page.addInitScript(() => {
    addEventListener("securitypolicyviolation", (event) => {
      console.error(`policy violated: ${event.violatedDirective} ${event.blockedURI}`);
    });
  });
  test.after(async () => {
    await context.close();
    assert.deepEqual(complaints, []);
  });
  return page;
}

/** Chromium reports every answer that is no success, also for files that a checkpoint may or may not have. */
function isAbsentFile(message) {
  return message.text().startsWith("Failed to load resource");
}

/** Opens the page and waits until its model is ready. */
export async function openReady(page, address) {
  await page.goto(address);
  await page.locator("body[data-state=ready]").waitFor();
}

/** A page of the same origin with nothing on it, for tests of the package alone. */
export async function openEmpty(page, address) {
  await page.goto(`${address}/pkg/README.md`);
}

/** Keeps a picture for people. */
export async function picture(page, name, options = {}) {
  mkdirSync(artifacts, { recursive: true });
  await page.screenshot({ path: join(artifacts, `${name}.png`), ...options });
}
