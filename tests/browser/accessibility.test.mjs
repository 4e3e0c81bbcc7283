// Contrast, names and roles, by axe; and the page without a mouse.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { axeViolations as violations } from "./support/axe.mjs";
import { launch, openPage, openReady } from "./support/browser.mjs";
import { tiny } from "./support/models.mjs";
import { startSite } from "./support/site.mjs";

let browser;
let site;
before(async () => {
  browser = await launch();
  site = await startSite({ model: tiny });
});
after(async () => {
  await browser?.close();
  site?.stop();
});

for (const colorScheme of ["light", "dark"]) {
  test(`axe has nothing to say about any view, ${colorScheme}`, async (t) => {
    const page = await openPage(t, browser, { colorScheme, reducedMotion: "reduce" });
    await openReady(page, `${site.address}/?backend=cpu`);
    assert.deepEqual(await violations(page), []);
    await page.locator("#open-settings").click();
    await page.locator("#settings-form [name=max_tokens]").fill("6");
    assert.deepEqual(await violations(page), []);
    await page.keyboard.press("Escape");
    await page.locator("#message").fill("Who are you?");
    await page.keyboard.press("Enter");
    await page.locator(".turn.assistant:not(.streaming) .after span:not(:empty)").waitFor();
    assert.deepEqual(await violations(page), []);
    await page.locator("#open-model").click();
    assert.deepEqual(await violations(page), []);
    await page.keyboard.press("Escape");
    await page.getByRole("tab", { name: "Complete" }).click();
    assert.deepEqual(await violations(page), []);
    await page.goto(`${site.address}/?model=nonsense`);
    await page.locator("body[data-state=failed]").waitFor();
    assert.deepEqual(await violations(page), []);
  });
}

test("tabs move by arrow keys, and answers are announced", async (t) => {
  const page = await openPage(t, browser);
  await openReady(page, `${site.address}/?backend=cpu`);
  await page.locator("#tab-chat").focus();
  await page.keyboard.press("ArrowRight");
  assert.equal(await page.evaluate(() => document.activeElement.id), "tab-complete");
  assert.ok(await page.locator("#complete").isVisible());
  await page.keyboard.press("ArrowRight");
  assert.ok(await page.locator("#chat").isVisible());

  await page.locator("#open-settings").click();
  await page.locator("#settings-form [name=max_tokens]").fill("6");
  await page.keyboard.press("Escape");
  await page.locator("#message").fill("Who are you?");
  await page.keyboard.press("Enter");
  await page.locator(".turn.assistant:not(.streaming) .after span:not(:empty)").waitFor();
  const said = await page.locator(".turn.assistant .text").textContent();
  assert.equal(await page.locator("#announcer").textContent(), said || "No answer");
});
