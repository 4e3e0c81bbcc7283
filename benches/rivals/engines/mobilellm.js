// This project's engine, from pkg/. It does not guess ahead here: random weights repeat themselves after a few tokens, where
// guessing wins more than in any text.

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
