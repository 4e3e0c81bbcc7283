// What `cargo xtask serve` answers.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { request } from "node:http";
import { join } from "node:path";
import { after, before, test } from "node:test";

import { tiny } from "./support/models.mjs";
import { startSite } from "./support/site.mjs";

let site;
before(async () => (site = await startSite({ model: tiny })));
after(() => site?.stop());

const get = (path, headers = {}, method = "GET") => fetch(site.address + path, { headers, method });
const weights = readFileSync(join(tiny, "model.safetensors"));

test("media types are right", async () => {
  const types = {
    "/": "text/html; charset=utf-8",
    "/app/main.js": "text/javascript; charset=utf-8",
    "/style/theme.css": "text/css; charset=utf-8",
    "/favicon.svg": "image/svg+xml",
    "/pkg/mobilellm_bg.wasm": "application/wasm",
    "/models/chat/config.json": "application/json",
    "/models/chat/model.safetensors": "application/octet-stream",
    "/models/default.json": "application/json",
  };
  for (const [path, type] of Object.entries(types)) {
    const response = await get(path);
    assert.equal(response.status, 200, path);
    assert.equal(response.headers.get("content-type"), type, path);
    await response.arrayBuffer();
  }
});

test("the policy is strict, on every answer", async () => {
  for (const path of ["/", "/pkg/worker.js", "/absent"]) {
    const response = await get(path);
    const policy = response.headers.get("content-security-policy");
    assert.match(policy, /default-src 'self'/);
    assert.doesNotMatch(policy, /unsafe-inline|unsafe-eval'(?<!wasm-unsafe-eval')/);
    assert.equal(response.headers.get("x-content-type-options"), "nosniff");
    await response.arrayBuffer();
  }
});

test("ranges are sent as asked", async () => {
  const path = "/models/chat/model.safetensors";
  const whole = await get(path);
  assert.equal(whole.headers.get("content-length"), String(weights.length));
  assert.deepEqual(Buffer.from(await whole.arrayBuffer()), weights);

  const part = await get(path, { Range: "bytes=8-107" });
  assert.equal(part.status, 206);
  assert.equal(part.headers.get("content-range"), `bytes 8-107/${weights.length}`);
  assert.deepEqual(Buffer.from(await part.arrayBuffer()), weights.subarray(8, 108));

  const beyond = await get(path, { Range: `bytes=${weights.length}-` });
  assert.equal(beyond.status, 416);
  assert.equal(beyond.headers.get("content-range"), `bytes */${weights.length}`);

  const changed = await get(path, { Range: "bytes=0-9", "If-Range": '"something else"' });
  assert.equal(changed.status, 200);
  assert.deepEqual(Buffer.from(await changed.arrayBuffer()), weights);
  const same = await get(path, { Range: "bytes=0-9", "If-Range": whole.headers.get("etag") });
  assert.equal(same.status, 206);
  assert.deepEqual(Buffer.from(await same.arrayBuffer()), weights.subarray(0, 10));
});

test("texts of the page are compressed, and what a load counts in bytes is not", async () => {
  for (const [path, encoding] of [
    ["/app/main.js", "gzip"],
    ["/", "gzip"],
    ["/models/chat/tokenizer.json", null],
    ["/models/chat/model.safetensors", null],
    ["/pkg/mobilellm_bg.wasm", null],
  ]) {
    const response = await get(path, { "Accept-Encoding": "gzip" });
    assert.equal(response.headers.get("content-encoding"), encoding, path);
    if (!encoding) assert.ok(Number(response.headers.get("content-length")) > 0, path);
    await response.arrayBuffer();
  }
});

test("copies are revalidated", async () => {
  const first = await get("/app/main.js");
  await first.arrayBuffer();
  const etag = first.headers.get("etag");
  assert.equal((await get("/app/main.js", { "If-None-Match": etag })).status, 304);
  assert.equal((await get("/app/main.js", { "If-None-Match": '"old"' })).status, 200);
  const modified = first.headers.get("last-modified");
  assert.equal((await get("/app/main.js", { "If-Modified-Since": modified })).status, 304);
  assert.equal(first.headers.get("cache-control"), "no-cache");
});

test("HEAD has the headers and no body; other methods are refused", async () => {
  const head = await get("/models/chat/model.safetensors", {}, "HEAD");
  assert.equal(head.headers.get("content-length"), String(weights.length));
  assert.equal((await head.arrayBuffer()).byteLength, 0);
  assert.equal((await get("/", {}, "POST")).status, 405);
});

test("nothing outside of the folders is served", async () => {
  for (const path of ["/../Cargo.toml", "/pkg/../../Cargo.toml", "/%2e%2e/Cargo.toml", "/pkg/..%2f..%2fCargo.toml", "/.git/HEAD"]) {
    // fetch would tidy the path up before sending it.
    const status = await new Promise((resolve, reject) => {
      request(site.address, { path }, (response) => resolve(response.resume().statusCode)).on("error", reject).end();
    });
    assert.equal(status, 404, path);
  }
});
