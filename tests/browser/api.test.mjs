// The package's API, called from a page as a web developer calls it.

import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { openEmpty, openPage } from "./support/browser.mjs";
import { base, stories, tinyExpected } from "./support/models.mjs";
import { startSite } from "./support/site.mjs";
import { setStage } from "./support/stage.mjs";

const STORY =
  "Once upon a time, there was a little girl named Lily. She loved to play outside in the park. " +
  "One day, she saw a big, red ball. She wanted to play with it, but it was too high.";

const stage = setStage();

/** Runs `body` in a page where `engine` is loaded; `body` gets (engine, argument). */
async function withEngine(t, body, argument, options = { backend: "gpu" }) {
  const page = await openPage(t, stage.browser);
  await openEmpty(page, stage.site.address);
  return page.evaluate(`(async () => {
    const { Engine } = await import("/pkg/index.js");
    const engine = await Engine.load("/models/chat/", ${JSON.stringify(options)});
    try {
      return await (${body})(engine, ${JSON.stringify(argument)});
    } finally {
      engine.close();
    }
  })()`);
}

/** What a call that has to fail throws: `{ typed, name, code, message }`. */
async function failure(t, body) {
  const page = await openPage(t, stage.browser);
  await openEmpty(page, stage.site.address);
  return page.evaluate(`(async () => {
    const { Engine, MobileLLMError } = await import("/pkg/index.js");
    try {
      return { returned: String(await (${body})(Engine)) };
    } catch (error) {
      return { typed: error instanceof MobileLLMError, name: error.name, code: error.code, message: error.message };
    }
  })()`);
}

describe("loading", () => {
  test("reports progress and says what runs", async (t) => {
    const page = await openPage(t, stage.browser);
    await openEmpty(page, stage.site.address);
    const { progress, info } = await page.evaluate(async () => {
      const { Engine } = await import("/pkg/index.js");
      const progress = [];
      const engine = await Engine.load("/models/chat/", {
        backend: "gpu",
        onProgress: (event) => progress.push(event),
      });
      const info = engine.info();
      engine.close();
      return { progress, info };
    });
    const last = progress.at(-1);
    assert.ok(last.total > 0);
    assert.equal(last.loaded, last.total);
    assert.equal(last.tensors, last.totalTensors);
    for (const [at, { loaded }] of progress.entries()) assert.ok(at === 0 || loaded >= progress[at - 1].loaded);
    assert.equal(info.model, "chat");
    assert.equal(info.backend, "gpu");
    assert.equal(info.max_context, 512);
    assert.ok(info.parameters > 0 && info.weight_bytes > 0);
    assert.equal(info.chat_template, true);
    assert.equal(info.adapter.software, true);
  });

  const refused = {
    "no source": [(Engine) => Engine.load(), /source/],
    "a word": [(Engine) => Engine.load("llama"), /"llama" is neither a URL/],
    "another protocol": [(Engine) => Engine.load(new URL("ftp://example.org/x")), /ftp:/],
    "no files": [(Engine) => Engine.load([]), /list of files is empty/],
    "an unknown option": [(Engine) => Engine.load("/models/chat/", { device: "gpu" }), /^device: is not an option/],
    "an unknown backend": [(Engine) => Engine.load("/models/chat/", { backend: "npu" }), /^backend: .*auto, gpu, cpu.*"npu"/],
    "integers by a word": [(Engine) => Engine.load("/models/chat/", { int8Tiles: "on" }), /^int8Tiles: must be true or false/],
    "integers where there are no tiles": [
      (Engine) => Engine.load("/models/chat/", { backend: "gpu", tier: "software", int8Tiles: true }),
      /int8_tiles.*software has no tiles/,
    ],
    "an unknown tier": [(Engine) => Engine.load("/models/chat/", { tier: "turbo" }), /tier.*turbo/],
  };
  for (const [name, [body, words]] of Object.entries(refused)) {
    test(`refuses ${name}`, async (t) => {
      const error = await failure(t, body);
      assert.equal(error.typed, true, JSON.stringify(error));
      assert.equal(error.name, "MobileLLMError");
      assert.equal(error.code, "invalid_request");
      assert.match(error.message, words);
    });
  }

  test("an aborted load is cancelled, and the next one works", async (t) => {
    const error = await failure(t, async (Engine) => {
      const controller = new AbortController();
      const loading = Engine.load("/models/chat/", { signal: controller.signal });
      setTimeout(() => controller.abort(), 5);
      await loading;
    });
    assert.equal(error.code, "cancelled");
    assert.deepEqual(await withEngine(t, (engine) => engine.tokenize("")), await withEngine(t, (engine) => engine.tokenize("")));
  });
});

describe("text", () => {
  test("tokens and back, and lone surrogates", async (t) => {
    const { ids, text, half, replaced } = await withEngine(t, async (engine) => {
      const ids = await engine.tokenize("Who are you? \u{1f642}");
      const text = await engine.detokenize(new Uint32Array(ids));
      return { ids, text, half: await engine.tokenize("a\ud83db"), replaced: await engine.tokenize("a\ufffdb") };
    });
    assert.ok(ids.length > 3 && ids.every(Number.isInteger));
    assert.equal(text, "Who are you? \u{1f642}");
    assert.deepEqual(half, replaced);
  });

  for (const backend of ["gpu", "cpu"]) {
    test(`greedy text is the reference's, on the ${backend}`, async (t) => {
      const { completion, chat } = tinyExpected;
      const answer = await withEngine(
        t,
        async (engine, { completion, chat }) => {
          const text = await engine.completions.create({ prompt: completion.prompt, temperature: 0, max_tokens: 16 });
          const ids = await engine.completions.create({ prompt: completion.prompt_ids, temperature: 0, max_tokens: 16 });
          const said = await engine.chat.completions.create({ messages: chat.messages, temperature: 0, max_tokens: 16 });
          return { text, ids, said, prompt: await engine.tokenize(completion.prompt) };
        },
        { completion, chat },
        { backend, weights: "f32" },
      );
      assert.deepEqual(answer.prompt, completion.prompt_ids);
      assert.equal(answer.text.choices[0].text, completion.text);
      assert.equal(answer.ids.choices[0].text, completion.text);
      assert.equal(answer.said.choices[0].message.content, chat.text);
      assert.equal(answer.said.usage.prompt_tokens, chat.prompt_ids.length);
    });

    test(`an answer does not begin with the space that continues a text, on the ${backend}`, async (t) => {
      const own = await startSite({ model: base });
      t.after(() => own.stop());
      const page = await openPage(t, stage.browser);
      await openEmpty(page, own.address);
      const { answer, text } = await page.evaluate(async (backend) => {
        const { Engine } = await import("/pkg/index.js");
        const engine = await Engine.load("/models/mobilellm/", { backend });
        const same = { temperature: 0, max_tokens: 12 };
        const messages = [{ role: "user", content: "Hi" }];
        const chat = await engine.chat.completions.create({ messages, chat_format: "plain", ...same });
        const completion = await engine.completions.create({ prompt: "User: Hi\nAssistant:", ...same });
        engine.close();
        return { answer: chat.choices[0].message.content, text: completion.choices[0].text };
      }, backend);
      assert.equal(` ${answer}`, text);
    });

    const skip = stories.present ? false : "../shared/stories260k is absent";
    test(`stories260k tells its story, on the ${backend}`, { skip }, async (t) => {
      const own = await startSite({ model: stories.folder });
      t.after(() => own.stop());
      const page = await openPage(t, stage.browser);
      await openEmpty(page, own.address);
      const text = await page.evaluate(async (backend) => {
        const { Engine } = await import("/pkg/index.js");
        const engine = await Engine.load("/models/stories260k/", { backend, weights: "f32" });
        const body = { prompt: "Once upon a time", temperature: 0, max_tokens: 80, echo: true };
        const { choices } = await engine.completions.create(body);
        engine.close();
        return choices[0].text;
      }, backend);
      assert.ok(text.startsWith(STORY), text);
    });
  }
});

describe("OpenAI's shapes", () => {
  test("a chat completion", async (t) => {
    const whole = await withEngine(t, (engine) =>
      engine.chat.completions.create({
        model: "whatever",
        messages: [
          { role: "system", content: "Be brief." },
          { role: "user", content: "Who are you?" },
        ],
        temperature: 0,
        max_completion_tokens: 8,
        logprobs: true,
        top_logprobs: 2,
      }),
    );
    assert.match(whole.id, /^chatcmpl-/);
    assert.equal(whole.object, "chat.completion");
    assert.equal(whole.model, "chat");
    assert.ok(Math.abs(whole.created - Date.now() / 1000) < 600);
    const [choice] = whole.choices;
    assert.equal(choice.index, 0);
    assert.equal(choice.message.role, "assistant");
    assert.equal(choice.finish_reason, "length");
    assert.equal(whole.usage.completion_tokens, 8);
    assert.equal(whole.usage.total_tokens, whole.usage.prompt_tokens + 8);
    assert.equal(choice.logprobs.content.length, 8);
    for (const { logprob, top_logprobs: top } of choice.logprobs.content) {
      assert.equal(top.length, 2);
      assert.ok(top[0].logprob >= top[1].logprob);
      assert.equal(logprob, top[0].logprob, "greedy takes the likeliest");
      assert.ok(logprob <= 0);
    }
  });

  test("chunks of a chat completion add up to the whole", async (t) => {
    const { whole, chunks } = await withEngine(t, async (engine) => {
      const body = { messages: [{ role: "user", content: "Who are you?" }], temperature: 0, max_tokens: 12 };
      const whole = await engine.chat.completions.create(body);
      const stream = await engine.chat.completions.create({
        ...body,
        stream: true,
        stream_options: { include_usage: true },
      });
      const chunks = [];
      for await (const chunk of stream) chunks.push(chunk);
      return { whole, chunks };
    });
    assert.equal(new Set(chunks.map(({ id }) => id)).size, 1);
    assert.ok(chunks.every(({ object }) => object === "chat.completion.chunk"));
    assert.equal(chunks[0].choices[0].delta.role, "assistant");
    const text = chunks.map(({ choices }) => choices[0]?.delta.content ?? "").join("");
    assert.equal(text, whole.choices[0].message.content);
    const reasons = chunks.flatMap(({ choices }) => choices.map((choice) => choice.finish_reason)).filter(Boolean);
    assert.deepEqual(reasons, ["length"]);
    assert.deepEqual(chunks.at(-1).choices, []);
    assert.equal(chunks.at(-1).usage.completion_tokens, 12);
    assert.ok(chunks.at(-1).usage.prompt_tokens_details.cached_tokens > 0, "the second request reuses the cache");
  });

  test("a text completion, with echo and logprobs", async (t) => {
    const { whole, text } = await withEngine(t, async (engine) => {
      const body = { prompt: "Alice was", temperature: 0, max_tokens: 5, echo: true, logprobs: 3 };
      const whole = await engine.completions.create(body);
      let text = "";
      for await (const { choices } of await engine.completions.create({ ...body, stream: true })) text += choices[0].text;
      return { whole, text };
    });
    assert.match(whole.id, /^cmpl-/);
    assert.equal(whole.object, "text_completion");
    assert.ok(whole.choices[0].text.startsWith("Alice was"));
    assert.equal(text, whole.choices[0].text);
    const { tokens, token_logprobs: logprobs, top_logprobs: top, text_offset: offsets } = whole.choices[0].logprobs;
    assert.deepEqual([tokens.length, logprobs.length, top.length, offsets.length], [5, 5, 5, 5]);
    assert.equal(offsets[0], "Alice was".length);
  });

  test("stop strings end the text and do not appear in it", async (t) => {
    const { choices } = await withEngine(
      t,
      (engine, prompt) => engine.completions.create({ prompt, temperature: 0, max_tokens: 16, stop: ["asas"] }),
      tinyExpected.completion.prompt,
    );
    assert.equal(choices[0].text, tinyExpected.completion.text.split("asas")[0]);
    assert.equal(choices[0].finish_reason, "stop");
  });

  test("the same seed gives the same text, another seed another", async (t) => {
    const [a, b, c] = await withEngine(t, async (engine) => {
      const texts = [];
      for (const seed of [1, 1, 2]) {
        const body = { prompt: "Alice", temperature: 1, max_tokens: 24, seed };
        texts.push((await engine.completions.create(body)).choices[0].text);
      }
      return texts;
    });
    assert.equal(a, b);
    assert.notEqual(a, c);
  });
});

describe("requests that cannot be right", () => {
  const chat = (extra) => ({ messages: [{ role: "user", content: "Hi" }], ...extra });
  const cases = [
    [chat({ temprature: 1 }), /^temprature: is not a parameter/],
    [chat({ tools: [] }), /^tools: is not a parameter/],
    [chat({ temperature: "hot" }), /^temperature: must be a number.*"hot"/],
    [chat({ top_p: 1.5 }), /^top_p: must be a number from 0 to 1, not 1.5/],
    [chat({ max_tokens: 0 }), /^max_tokens: must be a whole number from 1/],
    [chat({ seed: 0.5 }), /^seed: must be a whole number/],
    [chat({ stop: [""] }), /^stop: must be a string that is not empty/],
    [chat({ n: 2 }), /^n: must be a whole number from 1 to 1/],
    [chat({ top_logprobs: 2 }), /^top_logprobs: needs logprobs/],
    [chat({ stream: 1 }), /^stream: must be true or false/],
    [{ messages: [] }, /^messages: must be a list of at least one/],
    [{ messages: [{ content: "Hi" }] }, /^messages\[0\].role: must be a string/],
    [{ messages: [{ role: "user", content: 5 }] }, /^messages\[0\].content: must be a string/],
    [{ messages: [{ role: "user", content: [{ type: "image_url" }] }] }, /only parts of type "text".*"image_url"/],
    [chat({ control_tokens: "none" }), /^control_tokens: must be/],
  ];
  test("are refused by name, before the engine sees them", async (t) => {
    const errors = await withEngine(
      t,
      async (engine, bodies) => {
        const errors = [];
        for (const body of bodies) {
          const call = engine.chat.completions.create(body);
          errors.push(await call.then(() => null, ({ code, message }) => ({ code, message })));
        }
        return errors;
      },
      cases.map(([body]) => body),
    );
    for (const [at, [body, words]] of cases.entries()) {
      assert.equal(errors[at]?.code, "invalid_request", JSON.stringify(body));
      assert.match(errors[at].message, words);
    }
  });

  test("control tokens in a message stay text, unless they are trusted", async (t) => {
    const tokens = await withEngine(t, async (engine) => {
      const count = async (extra) => {
        const messages = [{ role: "user", content: "<|im_end|>".repeat(20) }];
        return (await engine.chat.completions.create({ messages, max_tokens: 1, ...extra })).usage.prompt_tokens;
      };
      return { text: await count({}), trusted: await count({ control_tokens: "anywhere" }) };
    });
    assert.ok(tokens.text > tokens.trusted + 20, JSON.stringify(tokens));
  });

  test("token ids outside the vocabulary, an empty prompt, a prompt that is too long", async (t) => {
    const errors = await withEngine(t, async (engine) => {
      const fail = (promise) => promise.then(() => null, ({ code, message }) => ({ code, message }));
      return {
        outside: await fail(engine.completions.create({ prompt: [5, 100000], max_tokens: 1 })),
        detokenize: await fail(engine.detokenize([5, -1])),
        none: await fail(engine.completions.create({ max_tokens: 1 })),
        long: await fail(engine.completions.create({ prompt: "word ".repeat(3000) })),
        alive: (await engine.completions.create({ prompt: "Alice", max_tokens: 2 })).usage.completion_tokens > 0,
      };
    });
    assert.match(errors.outside.message, /100000/);
    assert.equal(errors.outside.code, "invalid_request");
    assert.match(errors.detokenize.message, /^ids\[1\]/);
    assert.match(errors.none.message, /^prompt/);
    assert.equal(errors.long.code, "context_length_exceeded");
    assert.match(errors.long.message, /\d+ too many for/);
    assert.equal(errors.alive, true);
  });
});

describe("stopping", () => {
  test("by signal, by leaving the loop, by the stream's controller; and the engine goes on", async (t) => {
    const seen = await withEngine(t, async (engine) => {
      const body = { prompt: "Alice", temperature: 1, seed: 1, max_tokens: 400, stream: true };
      const seen = {};

      const controller = new AbortController();
      seen.signal = 0;
      for await (const chunk of await engine.completions.create(body, { signal: controller.signal })) {
        seen.signal += 1;
        seen.finished ||= chunk.choices[0].finish_reason !== null;
        if (seen.signal === 3) controller.abort();
      }

      seen.loop = 0;
      for await (const _ of await engine.completions.create(body)) if (++seen.loop === 3) break;

      const stream = await engine.completions.create(body);
      seen.controller = 0;
      for await (const _ of stream) if (++seen.controller === 3) stream.controller.abort();

      const whole = new AbortController();
      const waiting = engine.completions.create({ ...body, stream: false, signal: whole.signal });
      setTimeout(() => whole.abort(), 50);
      seen.whole = await waiting.then(() => "an answer", ({ code }) => code);

      const already = AbortSignal.abort();
      seen.already = await engine.completions
        .create({ ...body, stream: false }, { signal: already })
        .then(() => "an answer", ({ code }) => code);

      const after = await engine.completions.create({ prompt: "Alice", max_tokens: 3, temperature: 0 });
      seen.after = after.usage.completion_tokens;
      return seen;
    });
    assert.ok(seen.signal < 400 && seen.controller < 400, JSON.stringify(seen));
    assert.notEqual(seen.finished, true, "an aborted stream has no finish_reason");
    assert.equal(seen.loop, 3);
    assert.equal(seen.whole, "cancelled");
    assert.equal(seen.already, "cancelled");
    assert.equal(seen.after, 3);
  });

  test("requests at the same time wait for each other, and closing fails what runs", async (t) => {
    const page = await openPage(t, stage.browser);
    await openEmpty(page, stage.site.address);
    const result = await page.evaluate(async () => {
      const { Engine } = await import("/pkg/index.js");
      const engine = await Engine.load("/models/chat/");
      const body = { prompt: "Alice", temperature: 0, max_tokens: 10 };
      const alone = await engine.completions.create(body);
      const both = await Promise.all([engine.completions.create(body), engine.completions.create(body)]);
      const running = engine.completions.create({ ...body, max_tokens: 400 }).catch(({ code }) => code);
      engine.close();
      const afterwards = await engine.tokenize("x").catch(({ code }) => code);
      return { alone, both, running: await running, afterwards };
    });
    for (const { choices } of result.both) assert.equal(choices[0].text, result.alone.choices[0].text);
    assert.equal(result.running, "closed");
    assert.equal(result.afterwards, "closed");
  });
});
