// What decoding asks of WebGPU, counted where it is asked: by wrapping the prototypes in the engine's own worker.

import assert from "node:assert/strict";
import { basename } from "node:path";
import { after, before, test } from "node:test";

import { launch, openEmpty, openPage } from "./support/browser.mjs";
import { brokenModel, tiny } from "./support/models.mjs";
import { startSite } from "./support/site.mjs";

let browser;
before(async () => {
  browser = await launch();
});
after(() => browser?.close());

/** Runs first in the worker: counts calls, live buffers and the wasm's memory, and tells whoever asks. */
function count() {
  const counts = { dispatches: 0, submits: 0, readbacks: 0, bytesRead: 0, writes: 0, groups: 0, buffers: 0, pipelines: 0 };
  const live = new Map();
  let memory;
  const wrap = (type, name, note) => {
    const original = type.prototype[name];
    type.prototype[name] = function (...args) {
      const result = original.apply(this, args);
      note(args, result, this);
      return result;
    };
  };
  wrap(GPUComputePassEncoder, "dispatchWorkgroups", () => counts.dispatches++);
  wrap(GPUQueue, "submit", () => counts.submits++);
  wrap(GPUQueue, "writeBuffer", () => counts.writes++);
  wrap(GPUBuffer, "mapAsync", ([, , size], _, buffer) => {
    counts.readbacks++;
    counts.bytesRead += size ?? buffer.size;
  });
  wrap(GPUDevice, "createBindGroup", () => counts.groups++);
  wrap(GPUDevice, "createComputePipeline", () => counts.pipelines++);
  wrap(GPUDevice, "createComputePipelineAsync", () => counts.pipelines++);
  wrap(GPUDevice, "createBuffer", ([{ size }], buffer) => {
    counts.buffers++;
    live.set(buffer, size);
  });
  wrap(GPUBuffer, "destroy", (_args, _result, buffer) => live.delete(buffer));
  const instantiate = WebAssembly.instantiateStreaming;
  WebAssembly.instantiateStreaming = async (...args) => {
    const result = await instantiate.apply(WebAssembly, args);
    memory = result.instance.exports.memory;
    return result;
  };
  const channel = new BroadcastChannel("counts");
  channel.onmessage = ({ data }) => {
    if (data !== "ask") return;
    const bytes = [...live.values()].reduce((sum, size) => sum + size, 0);
    channel.postMessage({ counts: { ...counts }, live: { buffers: live.size, bytes, wasm: memory?.buffer.byteLength } });
  };
}

/** `body` runs in the page with an engine on a tier and `ask`, which resolves to the counts. */
async function counted(t, tier, body) {
  const folder = await brokenModel(t, ({ config }) => config((all) => ({ ...all, max_position_embeddings: 2048 })));
  const site = await startSite({ model: folder });
  t.after(() => site.stop());
  const page = await openPage(t, browser);
  page.setDefaultTimeout(240_000);
  await page.context().route("**/pkg/worker.js", async (route) => {
    const response = await route.fetch();
    await route.fulfill({ response, body: `(${count})();\n${await response.text()}` });
  });
  await openEmpty(page, site.address);
  return page.evaluate(`(async () => {
    const { Engine } = await import("/pkg/index.js");
    const engine = await Engine.load("/models/${basename(folder)}/", { backend: "gpu", tier: ${JSON.stringify(tier)} });
    const channel = new BroadcastChannel("counts");
    const ask = () => new Promise((resolve) => {
      channel.onmessage = ({ data }) => resolve(data);
      channel.postMessage("ask");
    });
    // However slow the device is: as many tokens a submit as there may be.
    const generate = (max_tokens, more) => engine.completions.create({
      prompt: "Hello", max_tokens, temperature: 0, speculation: "off", in_flight_ms: 60_000, ignore_eos: true, ...more,
    });
    try {
      return await (${body})(engine, ask, generate);
    } finally {
      engine.close();
    }
  })()`);
}

const layers = async () => {
  const { readFile } = await import("node:fs/promises");
  return JSON.parse(await readFile(`${tiny}/config.json`, "utf8")).num_hidden_layers;
};

const WAYS = {
  greedily: {},
  "with everything": { temperature: 0.8, top_p: 0.9, top_k: 40, min_p: 0.01, frequency_penalty: 0.5, seed: 1 },
};

test("steady decode makes nothing, waits rarely and reads little", async (t) => {
  const results = await counted(
    t,
    "portable",
    `async (engine, ask, generate) => {
      const run = async (max_tokens, more) => {
        const before = (await ask()).counts;
        const { usage } = await generate(max_tokens, more);
        const after = (await ask()).counts;
        const spent = Object.fromEntries(Object.keys(after).map((key) => [key, after[key] - before[key]]));
        return { tokens: usage.completion_tokens, ...spent };
      };
      await run(8);
      const results = {};
      for (const [way, more] of Object.entries(${JSON.stringify(WAYS)})) {
        results[way] = [await run(24, more), await run(88, more)];
      }
      return results;
    }`,
  );
  for (const way of Object.keys(WAYS)) {
    const [few, many] = results[way];
    assert.equal(few.tokens, 24);
    assert.equal(many.tokens, 88);
    // Both have the same beginning, so the difference is what 64 tokens in the middle of a text take.
    const each = (key) => (many[key] - few[key]) / 64;
    assert.ok(each("dispatches") <= 5 * (await layers()) + 4, `${way}: ${each("dispatches")} dispatches`);
    assert.ok(each("dispatches") > 5, "dispatches were counted");
    assert.ok(each("submits") <= 0.25, `${way}: ${each("submits")} submits`);
    assert.ok(each("readbacks") <= 0.25, `${way}: ${each("readbacks")} readbacks`);
    assert.ok(each("bytesRead") <= 64, `${way}: ${each("bytesRead")} bytes read`);
    assert.ok(each("bytesRead") >= 4, "bytes were counted");
    assert.ok(each("writes") <= 0.25, `${way}: ${each("writes")} writes`);
    for (const key of ["groups", "buffers", "pipelines"]) assert.equal(many[key], 0, `${way}: ${key} made`);
  }
});

test("a thousand tokens leave nothing behind", async (t) => {
  // What is made is the same on every tier; this one is the fastest here.
  const [warm, end] = await counted(
    t,
    "software",
    `async (engine, ask, generate) => {
      await generate(128);
      const warm = (await ask()).live;
      const { usage } = await generate(1024);
      return [warm, { ...(await ask()).live, tokens: usage.completion_tokens }];
    }`,
  );
  assert.ok(warm.buffers > 10 && warm.bytes > 1000 && warm.wasm > 1e6, JSON.stringify(warm));
  assert.deepEqual(end, { ...warm, tokens: 1024 });
});
