// Weights that are not there, broken, or served by a server that misbehaves: the page says so in words, and works on.

import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { gzipSync } from "node:zlib";

import { openEmpty, openPage, openReady, picture } from "./support/browser.mjs";
import { hangUp, stall, startHostile, trickle } from "./support/hostile.mjs";
import { brokenModel, tiny } from "./support/models.mjs";
import { setStage } from "./support/stage.mjs";

const stage = setStage();

/** A server of weights that lives as long as the test. */
async function hostile(t, folders, behave) {
  const server = await startHostile(folders, behave);
  t.after(server.stop);
  return server.address;
}

/** Loads a model through the page's form. */
async function loadInPage(page, source) {
  await page.locator("#open-model").click();
  await page.locator("#model-source").fill(source);
  await page.getByRole("button", { name: "Load", exact: true }).click();
}

describe("the page", () => {
  test("reports a 404 in words, and loads again", async (t) => {
    const address = await hostile(t, {});
    const page = await openPage(t, stage.browser);
    await openReady(page, stage.site.address);
    await loadInPage(page, `${address}/absent`);
    await page.locator("body[data-state=failed]").waitFor();
    const words = await page.locator("#failure-message").textContent();
    assert.match(words, /config\.json.* is missing\. \S+/s);
    assert.ok(words.startsWith(address), "an address is not spelled with a capital letter");
    assert.equal(await page.locator("#failure-code").textContent(), "missing file");
    await picture(page, "failure");
    await page.locator("#open-model").click();
    await page.getByRole("button", { name: "Load chat" }).click();
    await page.locator("body[data-state=ready]").waitFor();
  });

  test("says what to write where nothing was written", async (t) => {
    const page = await openPage(t, stage.browser);
    await openReady(page, stage.site.address);
    await loadInPage(page, "  ");
    assert.match(await page.locator("#model-error").textContent(), /hub id/);
    await page.keyboard.press("Escape");
    await loadInPage(page, "just words");
    await page.locator("body[data-state=failed]").waitFor();
    assert.match(await page.locator("#failure-message").textContent(), /neither a URL .* nor a hub id/);
  });

  test("cancels a load at once, and loads again", async (t) => {
    const isWeights = (path) => path?.endsWith(".safetensors");
    const address = await hostile(t, { tiny }, (_, response, path) => isWeights(path) && (stall(response, path), true));
    const page = await openPage(t, stage.browser);
    await openReady(page, stage.site.address);
    await loadInPage(page, `${address}/tiny/`);
    await page.locator("#loading-facts:not(:empty)").waitFor();
    await page.getByText("Waiting for data").waitFor();
    const facts = await page.locator("#loading-facts").textContent();
    assert.match(facts, /^\d+ bytes of [\d.]+ kB/);
    assert.doesNotMatch(facts, /Infinity|NaN/);
    await page.getByRole("button", { name: "Cancel" }).click();
    await page.locator("body[data-state=empty]").waitFor();
    await page.getByRole("button", { name: "Choose a model", exact: true }).click();
    await page.getByRole("button", { name: "Load chat" }).click();
    await page.locator("body[data-state=ready]").waitFor();
  });

  test("shows how much has come, how fast, and how long it will take", async (t) => {
    const address = await hostile(
      t,
      { tiny },
      (_, response, path) => path?.endsWith(".safetensors") && (trickle(response, path, { pieces: 60, pause: 60 }), true),
    );
    const page = await openPage(t, stage.browser);
    // Opening a GPU, even one in software, would take longer than the load.
    await openReady(page, `${stage.site.address}/?backend=cpu`);
    await loadInPage(page, `${address}/tiny/`);
    await page.getByText(/[\d.]+ kB of [\d.]+ kB\s+·\s+[\d.]+ kB\/s\s+·\s+\d+ s left/).waitFor();
    await picture(page, "loading");
    await page.locator("body[data-state=ready]").waitFor();
    assert.equal(await page.locator("#model-name").textContent(), "tiny");
  });

  test("what the browser cannot read of a drop leaves the model alone", async (t) => {
    const page = await openPage(t, stage.browser);
    await openReady(page, stage.site.address);
    await page.evaluate(() => {
      const event = new Event("drop", { bubbles: true, cancelable: true });
      const entry = { isDirectory: true, createReader: () => ({ readEntries: (_, fail) => fail(new Error("no access")) }) };
      event.dataTransfer = { types: ["Files"], files: [], items: [{ webkitGetAsEntry: () => entry }] };
      document.body.dispatchEvent(event);
    });
    await page.getByText("The browser could not read what was dropped: No access.").waitFor();
    assert.equal(await page.locator("body").getAttribute("data-state"), "ready");
  });

  test("takes a hub id, and a revision of one", async (t) => {
    const page = await openPage(t, stage.browser);
    const asked = [];
    // The hub is played by the files of this repository: no test leaves this machine.
    await page.context().route("https://huggingface.co/**", (route) => {
      asked.push(new URL(route.request().url()).pathname);
      const path = join(tiny, asked.at(-1).split("/").pop());
      if (!existsSync(path)) return route.fulfill({ status: 404, headers: { "Access-Control-Allow-Origin": "*" } });
      return route.fulfill({ path, headers: { "Access-Control-Allow-Origin": "*" } });
    });
    await openReady(page, stage.site.address);
    for (const [id, folder] of [
      ["some/model", "/some/model/resolve/main/"],
      ["some/model@refs/pr/1", "/some/model/resolve/refs%2Fpr%2F1/"],
      ["https://huggingface.co/some/model/tree/v2", "/some/model/resolve/v2/"],
    ]) {
      asked.length = 0;
      await loadInPage(page, id);
      await page.locator("#model-panel:not([open])").waitFor({ state: "attached" });
      await page.waitForFunction(() => document.getElementById("model-name").textContent === "some/model");
      assert.ok(asked.length > 3 && asked.every((path) => path.startsWith(folder)), asked.join(" "));
    }
  });

  test("takes a folder from the picker, and one that is dropped", async (t) => {
    const page = await openPage(t, stage.browser);
    await openReady(page, `${stage.site.address}/?backend=cpu`);
    await page.locator("#open-model").click();
    const chooser = page.waitForEvent("filechooser");
    await page.getByRole("button", { name: "Open a folder" }).click();
    await (await chooser).setFiles(tiny);
    await page.locator("#model-panel:not([open])").waitFor({ state: "attached" });
    await page.locator("body[data-state=ready]").waitFor();
    assert.equal(await page.locator("#model-name").textContent(), "chat");

    const names = ["config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors"];
    const files = names.map((name) => [name, readFileSync(join(tiny, name)).toString("base64")]);
    await page.evaluate((files) => {
      const data = new DataTransfer();
      for (const [name, base64] of files) {
        data.items.add(new File([Uint8Array.from(atob(base64), (char) => char.charCodeAt(0))], name));
      }
      document.body.dispatchEvent(new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true }));
    }, files);
    await page.waitForFunction(() => document.getElementById("model-name").textContent === "picked files");
    await page.locator("body[data-state=ready]").waitFor();
  });

  test("a page without a default model asks for one", async (t) => {
    const page = await openPage(t, stage.browser);
    await page.route("**/models/default.json", (route) => route.fulfill({ status: 404 }));
    await page.goto(stage.site.address);
    await page.getByRole("button", { name: "Choose a model", exact: true }).click();
    assert.ok(await page.locator("#model-source").isVisible());
    assert.ok(await page.getByRole("button", { name: "Load MobileLLM 47M" }).isVisible(), "the catalog is there");
    await page.keyboard.press("Escape");
    await page.getByRole("tab", { name: "Complete" }).click();
    await page.getByRole("button", { name: "Choose a model", exact: true }).click();
    assert.ok(await page.locator("#model-source").isVisible());
  });
});

/** Loads in an empty page and returns the error; then loads the good model, to show that nothing is lost. */
async function loadError(t, source, options = {}) {
  const page = await openPage(t, stage.browser);
  await openEmpty(page, stage.site.address);
  return page.evaluate(
    async ([source, options]) => {
      const { Engine, MobileLLMError } = await import("/pkg/index.js");
      const error = await Engine.load(source, options).then(
        (engine) => (engine.close(), null),
        (error) => ({ typed: error instanceof MobileLLMError, code: error.code, message: error.message }),
      );
      (await Engine.load("/models/chat/", { backend: "cpu" })).close();
      return error;
    },
    [source, { backend: "cpu", ...options }],
  );
}

function assertError(error, code, words) {
  assert.equal(error?.typed, true, JSON.stringify(error));
  assert.match(error.message, words);
  assert.equal(error.code, code, error.message);
}

describe("a server", () => {
  const weights = (path) => path?.endsWith(".safetensors");

  test("that sends its page for every path", async (t) => {
    const address = await hostile(t, { tiny }, (_, response) => {
      response.writeHead(200, { "Content-Type": "text/html; charset=utf-8" }).end("<!doctype html><title>App</title>");
      return true;
    });
    assertError(await loadError(t, `${address}/tiny`), "fetch_failed", /web page \(HTML\) instead of the file/);
  });

  test("that sends its page only for files that may be absent", async (t) => {
    const address = await hostile(t, { tiny }, (_, response, path) => {
      if (path && /(config|tokenizer|tokenizer_config)\.json$|model\.safetensors$/.test(path)) return false;
      response.writeHead(200, { "Content-Type": "text/html" }).end("<!doctype html><title>App</title>");
      return true;
    });
    assert.equal(await loadError(t, `${address}/tiny`), null);
  });

  for (const [status, words] of [
    [401, /401.*accept its licence/],
    [403, /403/],
    [429, /429.*wait/],
    [500, /500.*try again later/],
  ]) {
    test(`that answers ${status}`, async (t) => {
      const address = await hostile(t, { tiny }, (_, response) => (response.writeHead(status).end("no"), true));
      assertError(await loadError(t, `${address}/tiny`), "fetch_failed", words);
    });
  }

  test("that redirects is followed", async (t) => {
    const address = await hostile(t, { tiny }, (request, response) => {
      if (!request.url.startsWith("/moved/")) return false;
      response.writeHead(302, { Location: request.url.replace("/moved/", "/tiny/") }).end();
      return true;
    });
    assert.equal(await loadError(t, `${address}/moved`), null);
  });

  test("that stalls", async (t) => {
    const address = await hostile(t, { tiny }, (_, response, path) => weights(path) && (stall(response, path), true));
    const error = await loadError(t, `${address}/tiny`, { stallTimeout: 700 });
    assertError(error, "fetch_failed", /no byte came for 0\.7 seconds, after \d+ of \d+ bytes/);
  });

  test("that never answers", async (t) => {
    const address = await hostile(t, { tiny }, (_, __, path) => weights(path));
    const error = await loadError(t, `${address}/tiny`, { stallTimeout: 700 });
    assertError(error, "fetch_failed", /did not answer for 0\.7 seconds/);
  });

  test("that hangs up early", async (t) => {
    const address = await hostile(t, { tiny }, (_, response, path) => weights(path) && (hangUp(response, path), true));
    assertError(await loadError(t, `${address}/tiny`), "fetch_failed", /after \d+ of \d+ bytes.*load again/);
  });

  test("that is slow and says no length", async (t) => {
    const address = await hostile(
      t,
      { tiny },
      (_, response, path) => weights(path) && (trickle(response, path, { pieces: 40, pause: 5 }), true),
    );
    assert.equal(await loadError(t, `${address}/tiny`), null);
  });

  test("that lies about the length", async (t) => {
    let lie = 0;
    const address = await hostile(t, { tiny }, (_, response, path) => {
      if (!weights(path)) return false;
      const bytes = readFileSync(path);
      response.writeHead(200, { "Content-Length": bytes.length + lie, Connection: "close" });
      response.write(bytes, () => response.destroy());
      return true;
    });
    lie = 1000;
    assertError(await loadError(t, `${address}/tiny`), "fetch_failed", /after \d+ of \d+ bytes.*load again/);
    lie = -1000;
    assertError(await loadError(t, `${address}/tiny`), "invalid_file", /model\.safetensors.*truncated/);
  });

  test("that compresses, and says the compressed length", async (t) => {
    const address = await hostile(t, { tiny }, (_, response, path) => {
      if (!weights(path)) return false;
      const bytes = gzipSync(readFileSync(path));
      response.writeHead(200, { "Content-Length": bytes.length, "Content-Encoding": "gzip" }).end(bytes);
      return true;
    });
    assert.equal(await loadError(t, `${address}/tiny`), null);
  });

  test("that is not there, or does not let us read", async (t) => {
    assertError(await loadError(t, "http://127.0.0.1:9/model"), "fetch_failed", /network is down.*CORS/);
    const address = await hostile(t, { tiny }, (_, response) => (response.removeHeader("Access-Control-Allow-Origin"), false));
    assertError(await loadError(t, `${address}/tiny`), "fetch_failed", /CORS/);
  });
});

describe("a checkpoint", () => {
  const cases = {
    "without config.json": [(model) => model.remove("config.json"), "missing_file", /config\.json/],
    "with a config that is no JSON": [(model) => model.write("config.json", "{"), "invalid_file", /config\.json/],
    "of another family": [
      (model) => model.config((config) => ({ ...config, model_type: "qwen3_moe" })),
      "unsupported",
      /model_type qwen3_moe/,
    ],
    "with an absurd number of layers": [
      (model) => model.config((config) => ({ ...config, num_hidden_layers: 2 ** 40 })),
      "invalid_file",
      /num_hidden_layers/,
    ],
    "without weights": [(model) => model.remove("model.safetensors"), "missing_file", /safetensors/],
    "with half the weights": [
      (model) => model.edit("model.safetensors", (bytes) => bytes.subarray(0, bytes.length >> 1)),
      "invalid_file",
      /model\.safetensors/,
    ],
    "with a header longer than the file": [
      (model) => model.edit("model.safetensors", (bytes) => (bytes.writeBigUInt64LE(2n ** 40n), bytes)),
      "invalid_file",
      /model\.safetensors/,
    ],
    "without a tokenizer": [(model) => model.remove("tokenizer.json"), "missing_file", /tokenizer/],
    "with a tokenizer that is no JSON": [(model) => model.write("tokenizer.json", "no"), "invalid_file", /tokenizer\.json/],
  };
  for (const [name, [damage, code, words]] of Object.entries(cases)) {
    test(name, async (t) => {
      const folder = await brokenModel(t, damage);
      const address = await hostile(t, { broken: folder });
      assertError(await loadError(t, `${address}/broken`), code, words);
    });
  }

  test("in one file is not asked for an index, nor one without a tokenizer for its weights", async (t) => {
    const requests = [];
    const folder = await brokenModel(t, (model) => model.remove("tokenizer.json"));
    const address = await hostile(t, { tiny, mute: folder }, (request, response, path) => {
      requests.push(request.url);
      const isMute = request.url === "/mute/model.safetensors";
      if (!isMute) return false;
      // The header, and of the weights nothing: whoever waits for them waits for ever.
      const bytes = readFileSync(path);
      response.writeHead(200, { "Content-Length": bytes.length });
      response.write(bytes.subarray(0, 8 + Number(bytes.readBigUInt64LE())));
      return true;
    });
    assertError(await loadError(t, `${address}/mute`), "missing_file", /tokenizer/);
    const page = await openPage(t, stage.browser);
    await openEmpty(page, stage.site.address);
    await page.evaluate(async (source) => {
      const { Engine } = await import("/pkg/index.js");
      (await Engine.load(source, { backend: "cpu" })).close();
    }, `${address}/tiny`);
    const asked = requests.filter((url) => url.startsWith("/tiny/")).map((url) => url.slice("/tiny/".length));
    assert.ok(asked.includes("model.safetensors"));
    for (const name of ["model.safetensors.index.json", "tokenizer.model"]) assert.ok(!asked.includes(name), name);
  });

  test("without a chat template says so, and chats in a plain format on request", async (t) => {
    const folder = await brokenModel(t, (model) =>
      model.edit("tokenizer_config.json", (bytes) => {
        const { chat_template: _, ...rest } = JSON.parse(bytes);
        return JSON.stringify(rest);
      }),
    );
    const address = await hostile(t, { base: folder });
    const page = await openPage(t, stage.browser);
    await openEmpty(page, stage.site.address);
    const { code, message, text } = await page.evaluate(async (source) => {
      const { Engine } = await import("/pkg/index.js");
      const engine = await Engine.load(source, { backend: "cpu" });
      const chat = engine.chat.completions.create({ messages: [{ role: "user", content: "Hi" }] });
      const { code, message } = await chat.catch((error) => error);
      const plain = await engine.chat.completions.create({
        messages: [{ role: "user", content: "Hi" }],
        chat_format: "plain",
        max_tokens: 4,
      });
      engine.close();
      return { code, message, text: plain.choices[0].message.content };
    }, `${address}/base`);
    assert.equal(code, "chat_template");
    assert.match(message, /template/);
    assert.equal(typeof text, "string");
  });
});
