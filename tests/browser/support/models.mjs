// Checkpoints to load, and how to break them.

import { cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { existsSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

export const root = fileURLToPath(new URL("../../..", import.meta.url));
const shared = process.env.MOBILELLM_SHARED ?? join(root, "../shared");

/** A tiny checkpoint with random weights, a tokenizer and a chat template; transformers' greedy text is known. */
export const tiny = join(root, "tests/reference/fixtures/checkpoints/chat");

/** Another one, with a SentencePiece tokenizer and no chat template, as MobileLLM's base models are. */
export const base = join(root, "tests/reference/fixtures/checkpoints/mobilellm");

/** What transformers generates from `tiny`. */
export const tinyExpected = JSON.parse(readFileSync(join(tiny, "expected_generation.json"), "utf8"));

/** A real checkpoint that nobody here made; it is not part of the repository. */
export const stories = { folder: join(shared, "stories260k"), present: existsSync(join(shared, "stories260k")) };

/** Whether the page has a model of its own. */
export const hasDefaultModel = existsSync(join(root, "models/default.json"));

/** A copy of `tiny` that a test may break; it goes when the test ends. */
export async function brokenModel(test, damage) {
  const folder = await mkdtemp(join(tmpdir(), "mobilellm-"));
  test.after(() => rm(folder, { recursive: true }));
  await cp(tiny, folder, { recursive: true });
  await damage({
    remove: (file) => rm(join(folder, file)),
    write: (file, content) => writeFile(join(folder, file), content),
    async edit(file, change) {
      await writeFile(join(folder, file), await change(await readFile(join(folder, file))));
    },
    async config(change) {
      const path = join(folder, "config.json");
      await writeFile(path, JSON.stringify(change(JSON.parse(await readFile(path, "utf8")))));
    },
  });
  return folder;
}
