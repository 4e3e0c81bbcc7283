// The engine of this project, from pkg/, without speculative decoding: a model with random weights repeats itself after
// a few tokens, so guesses would gain more than in real text.

import { Engine } from "/pkg/index.js";

export default async function load({ device }) {
  const engine = await Engine.load("/models/hf", {
    backend: device === "cpu" ? "cpu" : "gpu",
    weights: "q4",
    maxContext: 2048,
  });
  const manifest = await (await fetch("/pkg/package.json")).json();
  return {
    version: manifest.version,
    threads: 1, // WebAssembly without threads
    async generate(prompt, tokens) {
      const { usage } = await engine.completions.create({
        prompt,
        max_tokens: tokens,
        temperature: 0,
        repetition_penalty: 1,
        speculation: "off",
      });
      return { promptTokens: usage.prompt_tokens, tokens: usage.completion_tokens };
    },
  };
}
