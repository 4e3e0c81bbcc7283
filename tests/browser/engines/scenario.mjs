// What every browser engine has to do: the page answers on the CPU, and the package computes the same bits as everywhere.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";

import { tiny, tinyExpected } from "../support/models.mjs";
import { startSite } from "../support/site.mjs";

const ANSWER = ".turn.assistant:not(.streaming) .after span:not(:empty)";

/** Runs in a page, where the package lies beside it. */
async function usePackage({ prompt, text }) {
  const { Engine } = await import("/pkg/index.js");
  const engine = await Engine.load("/models/chat/", { backend: "cpu", weights: "f32" });
  const completion = await engine.completions.create({ prompt, temperature: 0, max_tokens: 16 });
  const fidelity = await engine.fidelity({ text });
  const { backend } = engine.info();
  engine.close();
  return { completion, fidelity, backend };
}

/**
 * Tests a browser. `start` resolves to a driver with `version`, `goto`, `waitFor`, `textOf`, `send`, `call`, `complaints`
 * and `stop`; where it cannot, the tests are skipped with its reason, which begins with `need`, the name that
 * `cargo xtask test --require` knows.
 */
export async function testEngine(need, start) {
  const { driver, reason } = await start().then(
    (driver) => ({ driver }),
    ({ message }) => ({ reason: `${need}: ${message.split("\n")[0]}` }),
  );
  describe(driver?.version ?? need, { skip: reason ?? false }, () => {
    let site;
    before(async () => {
      site = await startSite({ model: tiny });
    });
    after(async () => {
      await driver.stop();
      site?.stop();
    });

    test("the page loads a model and answers", async () => {
      await driver.goto(`${site.address}/?backend=cpu`);
      await driver.waitFor("body[data-state=ready]");
      assert.equal(await driver.textOf("#model-backend"), "CPU");
      await driver.send("#message", "Who are you?");
      await driver.waitFor(ANSWER);
      assert.equal(await driver.textOf(".turn.user .text"), "Who are you?");
      assert.notEqual(await driver.textOf(".turn.assistant .text"), "");
      assert.deepEqual(driver.complaints, []);
    });

    test("the package completes as transformers does, and measures its fidelity", async () => {
      const { prompt, text } = tinyExpected.completion;
      await driver.goto(`${site.address}/pkg/README.md`);
      const { completion, fidelity, backend } = await driver.call(usePackage, { prompt, text: "Who are you? ".repeat(9) });
      assert.equal(backend, "cpu");
      assert.equal(completion.choices[0].text, text);
      assert.equal(completion.usage.completion_tokens, 16);
      assert.ok(fidelity.positions > 9, JSON.stringify(fidelity));
      assert.ok(fidelity.mean_kl < 1e-3 && fidelity.top1_agreement === 1, JSON.stringify(fidelity));
      assert.deepEqual(driver.complaints, []);
    });
  });
}
