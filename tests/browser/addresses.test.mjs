// Which address stands for which files: the same cases that the library is tested with. Needs no browser.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";

import { resolveSource } from "../../npm/js/source.js";

const cases = JSON.parse(await readFile(new URL("../addresses.json", import.meta.url), "utf8"));

for (const { given, files, query = "", gguf, quantization, listing, refused } of cases) {
  test(`${JSON.stringify(given)} is ${refused ? "refused" : files}`, async () => {
    if (refused) {
      await assert.rejects(resolveSource(given), ({ code }) => code === "invalid_request");
      return;
    }
    const { url, ...source } = await resolveSource(given);
    const [path, found = ""] = url.replace(/#.*/, "").split(/(?=\?)/);
    assert.equal(path.replace(/\/$/, ""), files);
    assert.equal(found, query);
    assert.deepEqual([source.gguf, source.quantization, source.listing], [gguf, quantization, listing]);
  });
}
