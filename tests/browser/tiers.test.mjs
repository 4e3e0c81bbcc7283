// Every tier of the GPU's kernels, in a browser's own dialect of WGSL: the same text as transformers writes.

import assert from "node:assert/strict";
import { test } from "node:test";

import { openEmpty, openPage } from "./support/browser.mjs";
import { tinyExpected } from "./support/models.mjs";
import { setStage } from "./support/stage.mjs";

const stage = setStage();
const { completion } = tinyExpected;

/** Runs first in the worker: tells how pipelines were made, and which features devices were asked for. */
function watch() {
  const seen = { ahead: 0, waited: 0, features: [] };
  const wrap = (type, name, note) => {
    const original = type.prototype[name];
    type.prototype[name] = function (...args) {
      note(...args);
      return original.apply(this, args);
    };
  };
  wrap(GPUDevice, "createComputePipelineAsync", () => seen.ahead++);
  wrap(GPUDevice, "createComputePipeline", () => seen.waited++);
  wrap(GPUAdapter, "requestDevice", (descriptor) => seen.features.push(...(descriptor?.requiredFeatures ?? [])));
  const channel = new BroadcastChannel("seen");
  channel.onmessage = ({ data }) => data === "ask" && channel.postMessage(seen);
}

test("tier f16 is refused by name where the adapter lacks shader-f16, as Chromium's emulated one does", async (t) => {
  const page = await openPage(t, stage.browser);
  await openEmpty(page, stage.site.address);
  const { has, error } = await page.evaluate(async () => {
    const adapter = await navigator.gpu.requestAdapter();
    const { Engine } = await import("/pkg/index.js");
    const loading = Engine.load("/models/chat/", { backend: "gpu", tier: "f16" });
    const error = await loading.then(
      (engine) => void engine.close(),
      ({ name, code, message }) => ({ name, code, message }),
    );
    return { has: adapter.features.has("shader-f16"), error };
  });
  assert.equal(has, false, "the tier can be tested here: add it to the list below");
  assert.equal(error?.name, "MobileLLMError");
  assert.equal(error.code, "invalid_request");
  assert.match(error.message, /tier.*does not support f16; its highest tier is subgroups/);
});

test("tiles of 8-bit integers pass the self-test, and an emulated adapter gets none unasked", async (t) => {
  const page = await openPage(t, stage.browser);
  page.setDefaultTimeout(120_000);
  await openEmpty(page, stage.site.address);
  const adapters = await page.evaluate(async () => {
    const { Engine } = await import("/pkg/index.js");
    const adapters = [];
    for (const int8Tiles of [undefined, true]) {
      const engine = await Engine.load("/models/chat/", { backend: "gpu", tier: "portable", int8Tiles });
      adapters.push(engine.info().adapter);
      engine.close();
    }
    return adapters;
  });
  assert.deepEqual(adapters.map(({ int8_tiles }) => int8_tiles), [false, true], adapters[1].degraded);
  assert.deepEqual(adapters.map(({ packed_dot }) => packed_dot), [true, true]);
});

for (const tier of ["software", "portable", "subgroups"]) {
  test(`tier ${tier} writes what transformers writes, and compiles while it loads`, async (t) => {
    const page = await openPage(t, stage.browser);
    page.setDefaultTimeout(120_000);
    await page.context().route("**/pkg/worker.js", async (route) => {
      const response = await route.fetch();
      await route.fulfill({ response, body: `(${watch})();\n${await response.text()}` });
    });
    await openEmpty(page, stage.site.address);
    const { info, text, seen } = await page.evaluate(
      async ({ tier, prompt, max_tokens }) => {
        const { Engine } = await import("/pkg/index.js");
        const engine = await Engine.load("/models/chat/", { backend: "gpu", tier });
        const channel = new BroadcastChannel("seen");
        const seen = await new Promise((resolve) => {
          channel.onmessage = ({ data }) => resolve(data);
          channel.postMessage("ask");
        });
        const { choices } = await engine.completions.create({ prompt, max_tokens, temperature: 0 });
        const info = engine.info();
        engine.close();
        return { info, text: choices[0].text, seen };
      },
      { tier, prompt: completion.prompt, max_tokens: completion.ids.length },
    );
    assert.equal(info.adapter.tier, tier, info.adapter.degraded);
    assert.equal(text, completion.text);
    // Those that are waited for at this point are the self-test's.
    assert.ok(seen.ahead >= 8, `${seen.ahead} pipelines were compiled ahead`);
    assert.ok(seen.features.includes("subgroups"), `asked for ${seen.features}`);
  });
}
