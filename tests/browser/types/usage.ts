// Compiles when the types say what the package does. Nobody runs it.

import { Engine, MobileLLMError, benchmark, benchmarkChoices, filesFromDataTransfer, type ErrorCode, type Fidelity, type Info, type Usage } from "mobilellm";

export async function everything(files: FileList, handle: FileSystemDirectoryHandle, drop: DataTransfer) {
  const controller = new AbortController();
  const engine = await Engine.load("HuggingFaceTB/SmolLM2-135M-Instruct", {
    onProgress: ({ loaded, total }) => console.log(loaded / total),
    signal: controller.signal,
    backend: "auto",
    weights: "q8",
    maxContext: 2048,
    stallTimeout: 10_000,
  });
  await Engine.load(new URL("https://example.org/model/"));
  await Engine.load(files);
  await Engine.load(handle);
  await Engine.load(await filesFromDataTransfer(drop));

  const stream = await engine.chat.completions.create(
    { messages: [{ role: "user", content: "Hi" }], stream: true, min_p: 0.05, stop: ["\n"] },
    { signal: controller.signal, onPrefill: ({ done, total }) => console.log(done, total) },
  );
  for await (const chunk of stream) {
    const text: string | undefined = chunk.choices[0]?.delta.content;
    console.log(text, chunk.usage?.total_tokens);
  }
  stream.controller.abort();

  const whole = await engine.chat.completions.create({ messages: [{ role: "user", content: "Hi" }] });
  const text: string = whole.choices[0]!.message.content;
  const usage: Usage = whole.usage;
  const completion = await engine.completions.create({ prompt: text, logprobs: 2, echo: true });
  const continued: string = completion.choices[0]!.text;

  const ids: number[] = await engine.tokenize(continued);
  const back: string = await engine.detokenize(new Uint32Array(ids));
  const info: Info = engine.info();
  const fidelity: Fidelity = await engine.fidelity({ onProgress: ({ done, total }) => console.log(done / total) });
  console.log(fidelity.mean_kl, fidelity.top1_agreement);
  engine.close();

  // @ts-expect-error: a misspelt parameter is refused by the compiler, too
  await engine.completions.create({ prompt: "x", temprature: 1 });
  // @ts-expect-error: there is no such backend
  await Engine.load("a/b", { backend: "npu" });

  try {
    await engine.tokenize("x");
  } catch (error) {
    if (error instanceof MobileLLMError) {
      const code: ErrorCode = error.code;
      console.log(code, usage, back, info.fallback_reason);
    }
  }
}

export async function measure(signal: AbortSignal): Promise<number> {
  const { shapes } = await benchmarkChoices();
  const report = await benchmark({
    shape: { ...shapes[0]!, name: "mine", num_hidden_layers: 12 },
    prefill: [64],
    onProgress: ({ name, done }) => console.log(name, done),
    signal,
  });
  // @ts-expect-error: a shape has all its sizes
  await benchmark({ shape: { name: "half" } });
  return report.decode[0]?.per_token?.dispatches ?? report.prefill[0]!.tokens_per_s;
}
