// The endpoints: they send requests to the engine and return its events in the format of OpenAI's API.

import { invalid } from "./errors.js";
import { chatRequest, textRequest } from "./requests.js";
import { ChatShape, TextShape } from "./responses.js";
import { CompletionStream } from "./stream.js";

/** `engine.chat.completions`. */
export class ChatCompletions {
  #channel;
  #model;

  constructor(channel, model) {
    this.#channel = channel;
    this.#model = model;
  }

  async create(body, options) {
    const { messages, options: sampling, reply } = chatRequest(body);
    const shape = new ChatShape(this.#model, reply);
    const request = { messages, plain: reply.plain, trusted: reply.trusted, options: sampling };
    return run(this.#channel, request, shape, reply, callOptions(body, options));
  }
}

/** `engine.completions`. */
export class TextCompletions {
  #channel;
  #model;

  constructor(channel, model) {
    this.#channel = channel;
    this.#model = model;
  }

  async create(body, options) {
    const { prompt, tokens, options: sampling, reply } = textRequest(body);
    const shape = new TextShape(this.#model, reply, prompt);
    return run(this.#channel, { prompt, tokens, options: sampling }, shape, reply, callOptions(body, options));
  }
}

/** The options of the call, which are not sent to the engine: the second argument, or `signal` among the parameters. */
function callOptions(body, { signal = body.signal, onPrefill, ...rest } = {}) {
  const [unknown] = Object.keys(rest);
  if (unknown) throw invalid(unknown, "is not an option of create(); the options are signal and onPrefill");
  return { signal: signal ?? undefined, onPrefill };
}

function run(channel, request, shape, reply, callOptions) {
  if (reply.stream) return streamed(channel, request, shape, reply, callOptions);
  return whole(channel, request, shape, callOptions);
}

async function whole(channel, request, shape, { signal, onPrefill }) {
  const tokens = [];
  const onEvent = (event) => (event.type === "token" ? tokens.push(event) : onPrefill?.(event));
  const end = await channel.call("generate", request, { signal, onEvent });
  return shape.whole(tokens.map(({ text }) => text).join(""), tokens, end);
}

function streamed(channel, request, shape, reply, { signal, onPrefill }) {
  const stream = new CompletionStream();
  const abort = () => stream.controller.abort();
  if (signal?.aborted) abort();
  signal?.addEventListener("abort", abort, { once: true });

  stream.push(shape.start());
  // A token may end in the middle of a character. Then its text is sent with the next token.
  let held = [];
  const onEvent = (event) => {
    if (event.type !== "token") return onPrefill?.(event);
    held.push(event);
    if (event.text === "" && !reply.logprobs) return;
    stream.push(shape.piece(event.text, held));
    held = [];
  };
  channel
    .call("generate", request, { signal: stream.controller.signal, onEvent })
    .then(
      (end) => {
        stream.push(shape.finish(end));
        if (reply.includeUsage) stream.push(shape.usage(end));
        stream.end();
      },
      (error) => stream.end(error),
    )
    .finally(() => signal?.removeEventListener("abort", abort));
  return stream;
}
