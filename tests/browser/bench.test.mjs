// The speed page: measures a tiny shape, shows and saves what it found, and can be stopped.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { after, before, describe, test } from "node:test";

import { launch, openPage, picture } from "./support/browser.mjs";
import { axeViolations } from "./support/axe.mjs";
import { startSite } from "./support/site.mjs";

let browser;
let site;
before(async () => {
  browser = await launch();
  site = await startSite();
});
after(async () => {
  await browser?.close();
  site?.stop();
});

/** The page with its shapes listed, and a measurement small enough for a software GPU. */
async function openBench(page, query = "backend=gpu") {
  await page.goto(`${site.address}/bench.html?${query}`);
  await page.locator("body[data-state=ready]").waitFor();
}

const TINY = { num_hidden_layers: 2, hidden_size: 64, num_attention_heads: 2, num_key_value_heads: 1, intermediate_size: 96, vocab_size: 64 };

async function chooseTiny(page) {
  await page.locator("[name=shape]").selectOption("");
  for (const [name, value] of Object.entries(TINY)) await page.locator(`[name=${name}]`).fill(String(value));
  await page.getByText("What is measured").click();
  const measured = { prefill: "8, 20", decode: "6", context: "24", repeats: "1" };
  for (const [name, value] of Object.entries(measured)) await page.locator(`[name=${name}]`).fill(value);
}

/** What "Save JSON" saves. */
async function saved(page, article) {
  const download = page.waitForEvent("download");
  await article.getByRole("button", { name: "Save JSON" }).last().click();
  return JSON.parse(await readFile(await (await download).path(), "utf8"));
}

describe("a measurement", () => {
  for (const backend of ["gpu", "cpu"]) {
    test(`of a tiny shape on the ${backend} finishes, is shown, and is saved as JSON`, async (t) => {
      const page = await openPage(t, browser);
      await openBench(page, `backend=${backend}`);
      await chooseTiny(page);
      await page.getByRole("button", { name: "Measure" }).click();
      const article = page.locator("article.result");
      await article.waitFor();
      assert.match(await article.locator("h3").textContent(), /2x64/);
      assert.ok(await page.locator("#running").isHidden());
      const report = await saved(page, article);
      assert.equal(report.backend, backend);
      assert.deepEqual({ ...report.shape, ...TINY }, report.shape, "another shape was measured");
      assert.deepEqual(report.prefill.map(({ tokens }) => tokens), [8, 20]);
      assert.deepEqual(report.decode.map(({ context }) => context), [16, 24]);
      for (const { tokens_per_s: speed } of [...report.prefill, ...report.decode]) assert.ok(speed > 0);
      if (backend === "cpu") return;
      assert.ok(report.ceiling.copy_bytes_per_s > 0);
      assert.equal(report.kernels.length, 3);
      const [decode] = report.decode;
      assert.ok(decode.per_token.dispatches >= 5 * TINY.num_hidden_layers, "dispatches are counted");
      const kernels = report.kernels[0].kernels;
      const launches = kernels.reduce((sum, { dispatches }) => sum + dispatches, 0);
      assert.ok(launches >= 5 * TINY.num_hidden_layers, "every kernel is timed");
      // Each chart has a table that says the same.
      assert.ok((await article.locator("svg.chart").count()) >= 5);
      assert.equal(await article.locator(".figure table").count(), await article.locator(".figure").count());
    });
  }

  test("can be cancelled, and another one started", async (t) => {
    const page = await openPage(t, browser);
    await openBench(page);
    await page.getByRole("button", { name: "Measure" }).click();
    await page.locator("#running").waitFor();
    await page.getByRole("button", { name: "Cancel" }).click();
    await page.locator("body[data-state=ready]").waitFor();
    assert.ok(await page.locator("#running").isHidden());
    assert.ok(await page.locator("#error").isHidden(), "what was asked for is no error");
    assert.equal(await page.locator("article.result").count(), 0);
    await chooseTiny(page);
    await page.getByRole("button", { name: "Measure" }).click();
    await page.locator("article.result").waitFor();
  });

  test("of sizes that do not go together is refused in words", async (t) => {
    const page = await openPage(t, browser);
    await openBench(page, "backend=cpu");
    await chooseTiny(page);
    await page.locator("[name=num_attention_heads]").fill("3");
    await page.locator("[name=num_key_value_heads]").fill("3");
    await page.getByRole("button", { name: "Measure" }).click();
    await page.locator("#error:not(:empty)").waitFor();
    assert.match(await page.locator("#error").textContent(), /^hidden_size: 64 is not a multiple of num_attention_heads \(3\)/);
  });
});

describe("fidelity", () => {
  test("of the site's own model is measured, shown and saved", async (t) => {
    const page = await openPage(t, browser);
    await openBench(page, "backend=cpu");
    await page.getByRole("button", { name: "Compare" }).click();
    const article = page.locator("article.result");
    await article.waitFor();
    assert.match(await article.textContent(), /Same most likely token/);
    assert.deepEqual(await axeViolations(page), []);
    await picture(page, "bench-fidelity", { fullPage: true });
    const report = await saved(page, article);
    assert.ok(report.positions > 500, `${report.positions} positions`);
    assert.ok(report.mean_kl <= 0.005 && report.top1_agreement >= 0.95, JSON.stringify(report));
    assert.ok(report.mean_kl > 0, "a comparison with itself");
  });

  test("can be cancelled, and a model that is not there is said in words", async (t) => {
    const page = await openPage(t, browser);
    await openBench(page, "backend=cpu");
    await page.getByRole("button", { name: "Compare" }).click();
    await page.locator("#stage", { hasText: "compared" }).waitFor();
    await page.getByRole("button", { name: "Cancel" }).click();
    await page.locator("body[data-state=ready]").waitFor();
    assert.equal(await page.locator("article.result").count(), 0);
    assert.ok(await page.locator("#error").isHidden(), "what was asked for is no error");
    await page.getByLabel("Model").fill("./models/nothing-here/");
    await page.getByRole("button", { name: "Compare" }).click();
    await page.locator("#error:not(:empty)").waitFor();
    assert.match(await page.locator("#error").textContent(), /nothing-here/);
  });
});

describe("the API", () => {
  test("lists shapes and studies, and refuses what it does not know", async (t) => {
    const page = await openPage(t, browser);
    await openBench(page);
    const { choices, refusals } = await page.evaluate(async () => {
      const { benchmark, benchmarkChoices } = await import("./pkg/index.js");
      const refusal = (options) => benchmark(options).then(() => "measured", ({ code, message }) => `${code}: ${message}`);
      return {
        choices: await benchmarkChoices(),
        refusals: [
          await refusal({ shape: "mobilellm-2b", backend: "cpu" }),
          await refusal({ speed: "fast" }),
          await refusal({ prefill: "128" }),
          await refusal({ signal: AbortSignal.abort() }),
          await refusal({ shape: { name: "half", num_hidden_layers: 2 }, backend: "cpu" }),
        ],
      };
    });
    assert.equal(choices.shapes.find(({ name }) => name === "mobilellm-125m").parameters, 124_635_456);
    assert.deepEqual(choices.studies.map(({ name }) => name), ["layer-sharing", "depth"]);
    assert.match(refusals[0], /^invalid_request: shape: .*mobilellm-1b/);
    assert.match(refusals[1], /^invalid_request: speed/);
    assert.match(refusals[2], /^invalid_request: prefill/);
    assert.match(refusals[3], /^cancelled/);
    assert.match(refusals[4], /^invalid_request: shape: .*hidden_size/);
  });
});

describe("looks", () => {
  for (const colorScheme of ["light", "dark"]) {
    for (const [name, viewport] of Object.entries({ desktop: { width: 1280, height: 800 }, phone: { width: 360, height: 740 } })) {
      test(`on a ${name}, ${colorScheme}: nothing sticks out, axe has nothing to say, and pictures are kept`, async (t) => {
        const page = await openPage(t, browser, { viewport, colorScheme, reducedMotion: "reduce" });
        await openBench(page);
        await picture(page, `bench-form-${name}-${colorScheme}`);
        await chooseTiny(page);
        await page.getByRole("button", { name: "Measure" }).click();
        await page.locator("article.result").waitFor();
        const [content, window] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
        assert.ok(content <= window, `the page is ${content} pixels wide in a window of ${window}`);
        assert.deepEqual(await axeViolations(page), []);
        await picture(page, `bench-${name}-${colorScheme}`, { fullPage: true });
      });
    }
  }
});
