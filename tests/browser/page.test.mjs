// The page as people use it: load, ask, stop, ask again.

import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { launch, openPage, openReady, picture } from "./support/browser.mjs";
import { brokenModel, hasDefaultModel } from "./support/models.mjs";
import { startSite } from "./support/site.mjs";
import { setStage } from "./support/stage.mjs";

const stage = setStage();
/** Software GPUs are not chosen by themselves. */
const gpu = () => `${stage.site.address}/?backend=gpu`;

const lastAnswer = (page) => page.locator(".turn.assistant").last();

/** Sends a message by keyboard. */
async function ask(page, text) {
  await page.locator("#message").fill(text);
  await page.keyboard.press("Enter");
}

/** Waits until the model has finished its answer, and returns it. */
async function answer(page) {
  await page.locator(".turn.assistant:not(.streaming) .after span:not(:empty)").last().waitFor();
  return lastAnswer(page).locator(".text").textContent();
}

/** Nobody should have to scroll for what came last. */
async function assertInView(page, locator) {
  const [box, room] = [await locator.boundingBox(), await page.locator("#scroller").boundingBox()];
  assert.ok(box.y + box.height <= room.y + room.height, "it lies below the part that is in view");
}

/** Settings for short, repeatable answers. */
async function settle(page, values) {
  await page.locator("#open-settings").click();
  for (const [name, value] of Object.entries(values)) await page.locator(`#settings-form [name=${name}]`).fill(value);
  await page.keyboard.press("Escape");
}

describe("chat", () => {
  test("loads, shows what runs, answers piece by piece", async (t) => {
    const page = await openPage(t, stage.browser);
    await openReady(page, gpu());
    assert.equal(await page.locator("#model-name").textContent(), "chat");
    assert.equal(await page.locator("#model-backend").textContent(), "WebGPU");
    assert.equal(await page.evaluate(() => document.activeElement.id), "message");

    await page.evaluate(() => {
      window.pieces = 0;
      const count = (records) => (window.pieces += records.filter(({ target }) => target.className === "text").length);
      new MutationObserver(count).observe(document.getElementById("conversation"), { childList: true, subtree: true });
    });
    await settle(page, { max_tokens: "24", seed: "1" });
    await ask(page, "Who are you?");
    assert.notEqual(await answer(page), "");
    assert.ok((await page.evaluate(() => window.pieces)) > 2, "the answer came in one piece");
    assert.match(await lastAnswer(page).locator(".after").textContent(), /tokens\/s.*time to first token/s);

    await page.locator("#open-model").click();
    const facts = await page.locator("#model-facts").textContent();
    assert.match(facts, /WebGPU/);
    assert.match(facts, /Adapter/);
    assert.match(facts, /tier/);
    await page.keyboard.press("Escape");
    assert.equal(await page.evaluate(() => document.activeElement.id), "open-model");
  });

  test("copies an answer, and says so", async (t) => {
    const page = await openPage(t, stage.browser, { permissions: ["clipboard-read", "clipboard-write"] });
    await openReady(page, gpu());
    await settle(page, { max_tokens: "8", seed: "1" });
    await ask(page, "Who are you?");
    const said = await answer(page);
    await page.getByRole("button", { name: "Copy" }).click();
    await page.getByRole("button", { name: "Copied" }).waitFor();
    assert.equal(await page.evaluate(() => navigator.clipboard.readText()), said);
  });

  test("stops by button and by Escape, and goes on afterwards", async (t) => {
    const page = await openPage(t, stage.browser);
    await openReady(page, gpu());
    await settle(page, { max_tokens: "450", temperature: "1.5", seed: "3" });
    for (const way of ["button", "Escape"]) {
      await page.locator("#clear").evaluate((button) => button.click());
      // In the page, at the first piece of text: a small model would be done before a click from outside arrived.
      await page.evaluate((way) => {
        const observer = new MutationObserver(() => {
          if (!document.querySelector(".turn.assistant.streaming .text:not(:empty)")) return;
          observer.disconnect();
          if (way === "button") document.getElementById("stop").click();
          else document.activeElement.dispatchEvent(new KeyboardEvent("keydown", { key: way, bubbles: true }));
        });
        observer.observe(document.getElementById("conversation"), { childList: true, subtree: true });
      }, way);
      await ask(page, "Go on for ever");
      await answer(page);
      assert.match(await lastAnswer(page).locator(".after").textContent(), /stopped/);
    }
    await settle(page, { max_tokens: "4" });
    await ask(page, "And now?");
    await answer(page);
    assert.equal(await page.locator(".turn").count(), 4);
  });

  test("answers again, and forgets", async (t) => {
    const page = await openPage(t, stage.browser);
    await openReady(page, gpu());
    await settle(page, { max_tokens: "12", seed: "5" });
    await ask(page, "Who are you?");
    const first = await answer(page);
    await lastAnswer(page).evaluate((node) => (node.dataset.old = ""));
    await page.getByRole("button", { name: "Retry" }).click();
    await page.locator(".turn.assistant:not([data-old])").waitFor();
    assert.equal(await answer(page), first, "the same seed gives the same answer");
    assert.equal(await page.locator(".turn").count(), 2);
    await page.getByRole("button", { name: "Clear conversation" }).click();
    assert.equal(await page.locator(".turn").count(), 0);
    assert.ok(await page.locator("#welcome").isVisible());
  });

  test("shows text as text, and takes half characters", async (t) => {
    const page = await openPage(t, stage.browser);
    await openReady(page, gpu());
    await settle(page, { max_tokens: "3" });
    const markup = '<img src="x" onerror="document.title=1">&amp;';
    await ask(page, markup);
    await answer(page);
    assert.equal(await page.locator(".turn.user .text").textContent(), markup);
    assert.equal(await page.locator(".conversation img").count(), 0);
    // A lone surrogate cannot be typed through the driver, but scripts and odd keyboards produce it.
    await page.evaluate(() => {
      const message = document.getElementById("message");
      message.value = "half \ud83d of one";
      message.dispatchEvent(new Event("input"));
    });
    await page.locator("#send").click();
    await answer(page);
    assert.equal(await page.locator(".turn .problem").count(), 0);
    assert.equal(await page.locator(".turn").count(), 4);
  });

  test("says by how much a prompt is too long, and gives it back", async (t) => {
    const page = await openPage(t, stage.browser);
    await openReady(page, gpu());
    await settle(page, { max_tokens: "3" });
    await ask(page, "First");
    await answer(page);
    const long = "word ".repeat(2000);
    await ask(page, long);
    const problem = page.locator(".turn .problem");
    await problem.waitFor();
    assert.match(await problem.textContent(), /\d+ tokens, \d+ too many for the context/);
    await assertInView(page, problem);
    assert.equal(await page.locator("#message").inputValue(), long, "it can be shortened");
    await ask(page, "Short");
    await page.locator(".turn.user").nth(1).waitFor();
    await answer(page);
    assert.equal(await problem.count(), 0);
    assert.equal(await page.locator(".turn").count(), 4);
  });

  test("the system prompt stands before the conversation", async (t) => {
    const page = await openPage(t, stage.browser);
    await openReady(page, gpu());
    const answers = [];
    for (const system of ["", "Speak like a pirate", ""]) {
      await settle(page, { max_tokens: "12", temperature: "0", repetition_penalty: "1", system });
      await ask(page, "Who are you?");
      answers.push(await answer(page));
      await page.getByRole("button", { name: "Clear conversation" }).click();
    }
    assert.equal(answers[0], answers[2]);
    assert.notEqual(answers[0], answers[1]);
  });

  test("survives a reload, with its conversation and its settings", async (t) => {
    const page = await openPage(t, stage.browser);
    await openReady(page, gpu());
    await settle(page, { max_tokens: "5", system: "Be brief." });
    await ask(page, "Remember me");
    const said = await answer(page);
    await page.reload();
    await page.locator("body[data-state=ready]").waitFor();
    assert.equal(await page.locator(".turn.user .text").textContent(), "Remember me");
    assert.equal(await lastAnswer(page).locator(".text").textContent(), said);
    assert.equal(await page.locator("#settings-form [name=system]").inputValue(), "Be brief.");
    await ask(page, "Again");
    await page.locator(".turn").nth(3).waitFor();
    await answer(page);
  });
});

test("settings are what the model recommends, until somebody changes them", async (t) => {
  const folder = await brokenModel(t, (model) =>
    model.write("generation_config.json", JSON.stringify({ temperature: 0.3, top_k: 7 })),
  );
  const own = await startSite({ model: folder });
  t.after(() => own.stop());
  const page = await openPage(t, stage.browser);
  await openReady(page, `${own.address}/?backend=cpu`);
  const value = (name) => page.locator(`#settings-form [name=${name}]`).inputValue();
  assert.deepEqual(await Promise.all(["temperature", "top_k", "min_p"].map(value)), ["0.3", "7", "0"]);
  await settle(page, { top_k: "9" });
  await page.reload();
  await page.locator("body[data-state=ready]").waitFor();
  assert.deepEqual(await Promise.all(["temperature", "top_k"].map(value)), ["0.3", "9"]);
  await page.locator("#open-settings").click();
  await page.getByRole("button", { name: "Reset" }).click();
  assert.equal(await value("top_k"), "7");
});

describe("completion", () => {
  test("suggests, Tab accepts it, Escape dismisses it, Continue goes on", async (t) => {
    const page = await openPage(t, stage.browser);
    await openReady(page, gpu());
    await page.getByRole("tab", { name: "Complete" }).click();
    const draft = page.locator("#draft");
    const suggestion = page.locator("#ghost-suggestion");
    const begin = "Alice was beginning to get";
    await draft.pressSequentially(begin);
    await page.locator("#take").waitFor();
    await page.waitForFunction(() => document.getElementById("announcer").textContent.startsWith("Suggestion: "));
    const text = await suggestion.textContent();
    await page.keyboard.press("Tab");
    assert.equal(await draft.inputValue(), begin + text);
    assert.equal(await page.evaluate(() => document.activeElement.id), "draft");

    await page.locator("#take").waitFor();
    await page.keyboard.press("Escape");
    assert.ok(await page.locator("#take").isHidden());
    // Without a suggestion, Tab leaves the field, as everywhere.
    await page.keyboard.press("Tab");
    assert.notEqual(await page.evaluate(() => document.activeElement.id), "draft");

    await settle(page, { max_tokens: "20" });
    const before = await draft.inputValue();
    await page.getByRole("button", { name: "Continue" }).click();
    await page.waitForFunction((length) => document.getElementById("draft").value.length > length, before.length);
    await page.getByRole("button", { name: "Continue" }).waitFor();
    assert.ok((await draft.inputValue()).startsWith(before));
  });
});

describe("backends", () => {
  test("?backend=cpu runs on the CPU and answers", async (t) => {
    const page = await openPage(t, stage.browser);
    await openReady(page, `${stage.site.address}/?backend=cpu`);
    assert.equal(await page.locator("#model-backend").textContent(), "CPU");
    assert.ok(await page.locator("#notice").isHidden(), "what was asked for needs no notice");
    await settle(page, { max_tokens: "8" });
    await ask(page, "Who are you?");
    assert.notEqual(await answer(page), "");
  });

  test("without WebGPU the page says why, runs on the CPU and answers", async (t) => {
    const without = await launch({ gpu: false });
    t.after(() => without.close());
    const page = await openPage(t, without);
    await openReady(page, stage.site.address);
    assert.match(await page.locator("#notice").textContent(), /The model runs on the CPU: .*WebGPU/);
    assert.equal(await page.locator("#model-backend").textContent(), "CPU");
    await settle(page, { max_tokens: "8" });
    await ask(page, "Who are you?");
    assert.notEqual(await answer(page), "");
  });
});

describe("the default model", { skip: hasDefaultModel ? false : "models/default.json is absent" }, () => {
  test("loads with no other host and answers in words", async (t) => {
    const own = await startSite();
    t.after(() => own.stop());
    const page = await openPage(t, stage.browser);
    const foreign = [];
    page.on("request", (request) => {
      if (!request.url().startsWith(own.address)) foreign.push(request.url());
    });
    await openReady(page, own.address);
    await settle(page, { max_tokens: "24", temperature: "0" });
    await ask(page, "Why is the sky blue?");
    const words = await answer(page);
    assert.match(words, /\p{Letter}{2,} \p{Letter}{2,}/u, "these are no words");
    assert.deepEqual(foreign, []);
    await picture(page, "default-model");
  });
});

describe("looks", () => {
  for (const colorScheme of ["light", "dark"]) {
    for (const [name, viewport] of Object.entries({ desktop: { width: 1280, height: 800 }, phone: { width: 360, height: 740 } })) {
      test(`on a ${name}, ${colorScheme}: nothing sticks out, and pictures are kept`, async (t) => {
        const page = await openPage(t, stage.browser, { viewport, colorScheme });
        await openReady(page, stage.site.address);
        const widths = () => page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
        let [content, window] = await widths();
        assert.ok(content <= window, `the page is ${content} pixels wide in a window of ${window}`);
        await picture(page, `welcome-${name}-${colorScheme}`);
        await settle(page, { max_tokens: "40", seed: "2" });
        await ask(page, `${"A long word that never ends ".repeat(4)}${"x".repeat(120)}`);
        await answer(page);
        await assertInView(page, lastAnswer(page).locator(".after"));
        [content, window] = await widths();
        assert.ok(content <= window, `the conversation is ${content} pixels wide in a window of ${window}`);
        await picture(page, `chat-${name}-${colorScheme}`);
      });
    }
  }
});
