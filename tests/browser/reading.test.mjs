// Files are read ahead of the engine, by a thread of their own: how far, in which order, and what becomes of errors.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";

import { openEmpty, openPage } from "./support/browser.mjs";
import { hangUp, startHostile } from "./support/hostile.mjs";
import { root } from "./support/models.mjs";
import { setStage } from "./support/stage.mjs";

const stage = setStage();

/** A real model, whose weights lie in two files. */
const { source } = JSON.parse(readFileSync(join(root, "models/default.json")));
const folder = join(root, source);
const [FIRST, SECOND] = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"];

/** Loads the model from a server that behaves so; resolves to null or the error. `prepare` may name another site. */
async function load(t, behave, { prepare = () => {} } = {}) {
  const server = await startHostile({ model: folder }, behave);
  t.after(server.stop);
  const page = await openPage(t, stage.browser);
  const site = (await prepare(page, server)) ?? stage.site.address;
  await openEmpty(page, site);
  return page.evaluate(
    async (source) => {
      const { Engine } = await import("/pkg/index.js");
      try {
        const engine = await Engine.load(source, { backend: "cpu" });
        await engine.completions.create({ prompt: "Once", max_tokens: 2 });
        engine.close();
        return null;
      } catch ({ code, message }) {
        return { code, message };
      }
    },
    `${server.address}/model/`,
  );
}

/** The file that a request is for. */
const nameOf = (request) => request.url.split("/").pop();

test("all weights are on their way before the tokenizer has come", async (t) => {
  const asked = [];
  let send;
  const error = await load(t, (request, response, path) => {
    asked.push(nameOf(request));
    if (nameOf(request) === "tokenizer.json") {
      send = () => response.writeHead(200).end(readFileSync(path));
      return true;
    }
    // Whoever waits for the tokenizer before it reads the weights waits for ever.
    if (nameOf(request) === SECOND) send();
    return false;
  });
  assert.equal(error, null);
  assert.ok(asked.indexOf(FIRST) < asked.indexOf(SECOND), asked.join(" "));
  for (const name of [FIRST, SECOND]) assert.equal(asked.filter((other) => other === name).length, 1, name);
});

test("what waits for the engine is bounded", async (t) => {
  const MIB = 1 << 20;
  let read = 0;
  const error = await load(
    t,
    (request, response) => {
      if (nameOf(request) === "tokenizer.json") {
        // By then the reader has taken what it takes; that this is no tokenizer ends the load.
        unchanging(() => read).then(() => response.writeHead(200).end("no"));
        return true;
      }
      if (request.url.startsWith("/pkg/")) return servePackage(request, response);
      if (nameOf(request) !== FIRST) return false;
      response.writeHead(200, { "Content-Length": 512 * MIB });
      pour(response, Buffer.alloc(MIB));
      return true;
    },
    {
      // What the server got rid of says little: browser and system take tens of megabytes that nobody has read.
      async prepare(page, server) {
        await page.exposeFunction("tell", (bytes) => (read = bytes));
        await page.addInitScript(() => (new BroadcastChannel("read").onmessage = ({ data }) => globalThis.tell(data)));
        return server.address;
      },
    },
  );
  assert.equal(error.code, "invalid_file", error.message);
  assert.match(error.message, /tokenizer\.json/);
  assert.ok(read > 24 * MIB && read < 40 * MIB, `${read / MIB} MiB`);
});

/** The package as it is built, but for a reader that tells how much it reads. */
function servePackage(request, response) {
  const text = readFileSync(join(root, request.url));
  const type = request.url.endsWith(".wasm") ? "application/wasm" : "text/javascript";
  response.writeHead(200, { "Content-Type": request.url.endsWith(".md") ? "text/plain" : type });
  response.end(nameOf(request) === "reader.js" ? `(${countReads})();\n${text}` : text);
  return true;
}

/** Runs in the reader's thread: tells everybody how many bytes it has read. */
function countReads() {
  const channel = new BroadcastChannel("read");
  const { read } = ReadableStreamDefaultReader.prototype;
  let bytes = 0;
  ReadableStreamDefaultReader.prototype.read = async function () {
    const piece = await read.call(this);
    bytes += piece.value?.length ?? 0;
    channel.postMessage(bytes);
    return piece;
  };
}

/** Writes the same piece for as long as somebody takes it. */
function pour(response, piece) {
  while (!response.destroyed && response.write(piece));
  response.once("drain", () => pour(response, piece));
}

/** Waits until a number has grown and then been the same for a while. */
async function unchanging(number) {
  for (let last = 0; last === 0 || last !== number(); ) {
    last = number();
    await new Promise((resolve) => setTimeout(resolve, 500));
  }
}

test("a file that breaks while it is read ahead is reported when the engine comes to it", async (t) => {
  const behave = (request, response, path) => nameOf(request) === SECOND && (hangUp(response, path), true);
  const error = await load(t, behave);
  assert.equal(error.code, "fetch_failed");
  assert.match(error.message, /model-00002-of-00002\.safetensors.*after \d+ of \d+ bytes.*load again/);
});

test("a file that is missing is reported by its name", async (t) => {
  const error = await load(t, (request, response) => nameOf(request) === SECOND && response.writeHead(404).end() && true);
  assert.equal(error.code, "missing_file");
  assert.match(error.message, /model-00002-of-00002\.safetensors is missing/);
});

test("a reader that cannot start is an error in words", async (t) => {
  const error = await load(t, () => false, {
    async prepare(page) {
      await page.context().route("**/pkg/reader.js", (route) => route.fulfill({ status: 404 }));
    },
  });
  assert.equal(error.code, "worker");
  assert.match(error.message, /the reader worker failed/);
});
