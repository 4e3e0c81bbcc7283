// Small language models in the browser tab. The types, with their documentation, are in index.d.ts.

export { benchmark, benchmarkChoices } from "./benchmark.js";
export { Engine } from "./engine.js";
export { MobileLLMError } from "./errors.js";
export { filesFromDataTransfer } from "./source.js";
