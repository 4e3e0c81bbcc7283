// wllama: llama.cpp in WebAssembly, with its WebGPU backend if the adapter supports it.

import { Wllama } from "/npm/@wllama/wllama/esm/index.js";

const silent = { debug() {}, log() {}, warn() {}, error() {} };

export default async function load({ device, threads }) {
  const wllama = new Wllama({ default: "/npm/@wllama/wllama/esm/wasm/wllama.wasm" }, { logger: silent });
  const model = await (await fetch("/models/gguf/model-Q4_0.gguf")).blob();
  await wllama.loadModel([model], {
    n_ctx: 2048,
    n_gpu_layers: device === "cpu" ? 0 : 99999,
    n_threads: threads,
    n_parallel: 1,
    n_batch: 2048,
    n_ubatch: 512,
    log_level: 1,
  });
  const manifest = await (await fetch("/npm/@wllama/wllama/package.json")).json();
  return {
    version: manifest.version,
    threads: wllama.getNumThreads(),
    async generate(prompt, tokens) {
      let timings;
      await wllama.createCompletion({
        prompt,
        max_tokens: tokens,
        temperature: 0,
        top_k: 1,
        ignore_eos: true,
        cache_prompt: false,
        stream: true,
        onData: (chunk) => (timings = chunk.timings ?? timings),
      });
      return { promptTokens: timings?.prompt_n, tokens: timings?.predicted_n };
    },
  };
}
