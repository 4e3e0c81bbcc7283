// Measures one engine: run.mjs calls `measure(options)` once per page.
//
// Only whole calls are timed, because engines differ in when they return a token. Prefill is a call that generates one
// token. Decode is the difference between a call that generates many tokens and a call that generates one.

const CONTEXT = 16;

let salt = 0;

/** A text of n tokens, one character each. No earlier text has the same beginning, so a prompt cache cannot help. */
function prompt(n) {
  salt += 1;
  let state = Math.imul(salt, 2654435761) >>> 0;
  let text = "";
  while (text.length < n) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    text += String.fromCharCode(97 + ((state >>> 16) % 26));
  }
  return text;
}

const median = (values) => values.toSorted((a, b) => a - b)[values.length >> 1];
const rounded = (value) => Number(value.toPrecision(4));

/** Milliseconds of one call. */
async function time(engine, promptTokens, tokens) {
  const text = prompt(promptTokens);
  const start = performance.now();
  const written = await engine.generate(text, tokens);
  const elapsed = performance.now() - start;
  if (written.promptTokens !== undefined && written.promptTokens !== promptTokens) {
    throw new Error(`the prompt has ${written.promptTokens} tokens, it should have ${promptTokens}`);
  }
  if (written.tokens !== tokens) throw new Error(`${written.tokens} tokens were written instead of ${tokens}`);
  return elapsed;
}

async function repeat(times, work) {
  const results = [];
  for (let i = 0; i < times; i++) results.push(await work());
  return median(results);
}

async function decode(engine, context, tokens, repeats) {
  await time(engine, context, 2);
  const one = await repeat(repeats, () => time(engine, context, 1));
  const all = await repeat(repeats, () => time(engine, context, tokens));
  return rounded(((tokens - 1) * 1000) / (all - one));
}

/** WebGPU calls per token: the difference between twelve tokens and two, divided by ten. */
async function calls(engine) {
  webgpuCalls.start();
  // The message must reach the workers first.
  await new Promise((resolve) => setTimeout(resolve, 200));
  const marks = [webgpuCalls.read()];
  for (const tokens of [2, 12]) {
    await time(engine, CONTEXT, tokens);
    marks.push(webgpuCalls.read());
  }
  const [start, two, twelve] = marks;
  const share = (name) => rounded((twelve[name] - two[name] - (two[name] - start[name])) / 10);
  return Object.fromEntries(Object.keys(start).map((name) => [name, share(name)]));
}

/** The browser's description of the GPU. */
async function adapter() {
  const found = await navigator.gpu?.requestAdapter({ powerPreference: "high-performance" });
  if (!found) return null;
  const { vendor, architecture, description, isFallbackAdapter } = found.info;
  return { vendor, architecture, description, software: isFallbackAdapter, f16: found.features.has("shader-f16") };
}

self.measure = async ({ engine: name, device, threads, prefill, decode: tokens, long, repeats }) => {
  const { default: load } = await import(`./engines/${name}.js`);
  const started = performance.now();
  const engine = await load({ device, threads });
  const result = {
    engine: name,
    version: engine.version,
    device,
    ...(device === "cpu" ? { threads: engine.threads } : { adapter: await adapter() }),
    load_s: rounded((performance.now() - started) / 1000),
    first_token_ms: rounded(await time(engine, CONTEXT, 1)),
    prefill: {},
    decode: {},
  };
  for (const length of prefill) {
    await time(engine, length, 1);
    result.prefill[length] = rounded((length * 1000) / (await repeat(repeats, () => time(engine, length, 1))));
  }
  for (const context of [CONTEXT, long].filter(Boolean)) {
    result.decode[context] = await decode(engine, context, tokens, repeats);
  }
  if (device === "webgpu") {
    result.per_token = await calls(engine);
    // If the adapter lacks an optional feature that an engine needs, the engine uses the CPU without a message.
    if (result.per_token.dispatches === 0) result.remark = "it computed on the CPU";
  }
  return result;
};
