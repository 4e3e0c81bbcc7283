// Translates the engine's events into the objects of OpenAI's API.

/** The parts that both endpoints share: an id, a time, a model, and one choice. */
class Shape {
  #head;

  constructor(prefix, object, model) {
    const random = crypto.getRandomValues(new Uint8Array(12));
    const id = prefix + Array.from(random, (byte) => byte.toString(16).padStart(2, "0")).join("");
    this.#head = { id, object, created: Math.floor(Date.now() / 1000), model };
  }

  frame(choice, extra) {
    const choices = choice ? [{ index: 0, ...choice }] : [];
    return { ...this.#head, choices, ...extra };
  }
}

/** `chat.completion` and its chunks. */
export class ChatShape {
  #shape;
  #withLogprobs;

  constructor(model, reply) {
    const object = reply.stream ? "chat.completion.chunk" : "chat.completion";
    this.#shape = new Shape("chatcmpl-", object, model);
    this.#withLogprobs = reply.logprobs;
  }

  whole(text, tokens, end) {
    const logprobs = this.#logprobs(tokens);
    const message = { role: "assistant", content: text, refusal: null };
    return this.#shape.frame({ message, logprobs, finish_reason: end.finish_reason }, summary(end));
  }

  start() {
    return this.#shape.frame({ delta: { role: "assistant", content: "" }, logprobs: null, finish_reason: null });
  }

  piece(text, tokens) {
    return this.#shape.frame({ delta: { content: text }, logprobs: this.#logprobs(tokens), finish_reason: null });
  }

  finish(end) {
    return this.#shape.frame({ delta: {}, logprobs: null, finish_reason: end.finish_reason }, summary(end));
  }

  usage(end) {
    return this.#shape.frame(null, { usage: summary(end).usage });
  }

  #logprobs(tokens) {
    if (!this.#withLogprobs) return null;
    const content = tokens.map(({ logprob }) => ({ ...entry(logprob), top_logprobs: logprob.top.map(entry) }));
    return { content, refusal: null };
  }
}

/** `text_completion`, whole or in chunks. */
export class TextShape {
  #shape;
  #withLogprobs;
  #echo;
  #offset;

  constructor(model, reply, prompt) {
    this.#shape = new Shape("cmpl-", "text_completion", model);
    this.#withLogprobs = reply.logprobs;
    this.#echo = reply.echo ? prompt : "";
    this.#offset = this.#echo.length;
  }

  whole(text, tokens, end) {
    const logprobs = this.#logprobs(tokens);
    return this.#shape.frame({ text: this.#echo + text, logprobs, finish_reason: end.finish_reason }, summary(end));
  }

  start() {
    return this.#echo ? this.#shape.frame({ text: this.#echo, logprobs: null, finish_reason: null }) : null;
  }

  piece(text, tokens) {
    return this.#shape.frame({ text, logprobs: this.#logprobs(tokens), finish_reason: null });
  }

  finish(end) {
    return this.#shape.frame({ text: "", logprobs: null, finish_reason: end.finish_reason }, summary(end));
  }

  usage(end) {
    return this.#shape.frame(null, { usage: summary(end).usage });
  }

  #logprobs(tokens) {
    if (!this.#withLogprobs) return null;
    const offsets = tokens.map(({ text }) => {
      const offset = this.#offset;
      this.#offset += text.length;
      return offset;
    });
    return {
      tokens: tokens.map(({ logprob }) => logprob.token),
      token_logprobs: tokens.map(({ logprob }) => logprob.logprob),
      top_logprobs: tokens.map(({ logprob }) =>
        Object.fromEntries(logprob.top.map(({ token, logprob }) => [token, logprob])),
      ),
      text_offset: offsets,
    };
  }
}

function entry({ token, logprob, bytes }) {
  return { token, logprob, bytes };
}

function summary({ usage, timings }) {
  const { prompt_tokens: prompt, completion_tokens: completion, cached_tokens: cached } = usage;
  return {
    usage: {
      prompt_tokens: prompt,
      completion_tokens: completion,
      total_tokens: prompt + completion,
      prompt_tokens_details: { cached_tokens: cached },
    },
    timings,
  };
}
