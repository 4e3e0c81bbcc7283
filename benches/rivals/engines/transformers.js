// transformers.js: onnxruntime-web, on WebGPU or in WebAssembly.

import { AutoModelForCausalLM, AutoTokenizer, env } from "/npm/@huggingface/transformers/dist/transformers.js";

const MODEL = "smollm2-135m";

export default async function load({ device, threads }) {
  env.allowRemoteModels = false;
  env.allowLocalModels = true;
  env.localModelPath = "/models/onnx/";
  env.useBrowserCache = false;
  const runtime = `${location.origin}/npm/onnxruntime-web/dist/ort-wasm-simd-threaded.asyncify`;
  env.backends.onnx.wasm.wasmPaths = { mjs: `${runtime}.mjs`, wasm: `${runtime}.wasm` };
  env.backends.onnx.wasm.numThreads = threads;
  const tokenizer = await AutoTokenizer.from_pretrained(MODEL);
  const model = await AutoModelForCausalLM.from_pretrained(MODEL, {
    dtype: "q4",
    device: device === "cpu" ? "wasm" : "webgpu",
    use_external_data_format: false,
  });
  return {
    version: env.version,
    threads: env.backends.onnx.wasm.numThreads,
    async generate(prompt, tokens) {
      const inputs = tokenizer(prompt, { add_special_tokens: false });
      const promptTokens = inputs.input_ids.dims[1];
      const output = await model.generate({ ...inputs, max_new_tokens: tokens, do_sample: false });
      return { promptTokens, tokens: output.dims[1] - promptTokens };
    },
  };
}
