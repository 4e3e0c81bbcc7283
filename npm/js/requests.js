// Translates the parameters of OpenAI's API into the engine's options. Unknown names and wrong values are errors that name
// the parameter. A parameter that is silently ignored would hide a mistake.

import { invalid, show } from "./errors.js";

const number = (min, max) => (name, value) => {
  if (typeof value !== "number" || !(value >= min && value <= max)) {
    throw invalid(name, `must be a number from ${min} to ${max}, not ${show(value)}`);
  }
  return value;
};

const integer = (min, max) => (name, value) => {
  if (!Number.isInteger(value) || value < min || value > max) {
    throw invalid(name, `must be a whole number from ${min} to ${max}, not ${show(value)}`);
  }
  return value;
};

const boolean = (name, value) => {
  if (typeof value !== "boolean") throw invalid(name, `must be true or false, not ${show(value)}`);
  return value;
};

const oneOf = (...allowed) => (name, value) => {
  if (!allowed.includes(value)) throw invalid(name, `must be one of ${allowed.join(", ")}, not ${show(value)}`);
  return value;
};

const stopStrings = (name, value) => {
  const list = typeof value === "string" ? [value] : value;
  if (!Array.isArray(list) || list.some((stop) => typeof stop !== "string" || stop === "")) {
    throw invalid(name, `must be a string that is not empty, or a list of such strings, not ${show(value)}`);
  }
  return list.map(wellFormed);
};

const logitBias = (name, value) => {
  const bias = Object(value);
  if (Array.isArray(value) || typeof value !== "object") throw invalid(name, `must be an object of token ids and numbers, such as { "42": -5 }, not ${show(value)}`);
  for (const [token, addend] of Object.entries(bias)) {
    if (!/^\d+$/.test(token)) throw invalid(name, `${show(token)} is not a token id; the keys must be whole numbers such as "42"`);
    number(-100, 100)(`${name}.${token}`, addend);
  }
  return bias;
};

/** Sampling and stop options, under the names that the engine uses. */
const SAMPLING = {
  max_tokens: integer(1, 2 ** 31 - 1),
  temperature: number(0, 100),
  top_p: number(0, 1),
  top_k: integer(0, 2 ** 31 - 1),
  min_p: number(0, 1),
  seed: integer(0, Number.MAX_SAFE_INTEGER),
  stop: stopStrings,
  frequency_penalty: number(-2, 2),
  presence_penalty: number(-2, 2),
  repetition_penalty: number(0.01, 100),
  logit_bias: logitBias,
  ignore_eos: boolean,
  speculation: oneOf("auto", "on", "off"),
  in_flight_ms: number(0, 60_000),
};

/** Parameters that OpenAI's clients send and that have no effect here. */
const IGNORED = new Set(["model", "user", "metadata", "store", "service_tier"]);

/** `chat.completions.create`: what to run, and how to answer. */
export function chatRequest(body) {
  const request = read(body, "messages", (name, value, options, reply) => {
    if (name === "max_completion_tokens") options.max_tokens = SAMPLING.max_tokens(name, value);
    else if (name === "logprobs") reply.logprobs = boolean(name, value);
    else if (name === "top_logprobs") options.top_logprobs = integer(0, 20)(name, value);
    else if (name === "chat_format") reply.plain = oneOf("template", "plain")(name, value) === "plain";
    else return false;
    return true;
  });
  if (request.options.top_logprobs !== undefined && !request.reply.logprobs) {
    throw invalid("top_logprobs", "needs logprobs: true");
  }
  if (request.reply.logprobs) request.options.top_logprobs ??= 0;
  request.messages = messages(body.messages);
  return request;
}

/** `completions.create`: what to run, and how to answer. */
export function textRequest(body) {
  const request = read(body, "prompt", (name, value, options, reply) => {
    if (name === "logprobs") {
      options.top_logprobs = integer(0, 20)(name, value);
      reply.logprobs = true;
    } else if (name === "echo") reply.echo = boolean(name, value);
    else return false;
    return true;
  });
  const prompt = Array.isArray(body.prompt) && body.prompt.length === 1 ? body.prompt[0] : body.prompt;
  if (typeof prompt === "string") request.prompt = wellFormed(prompt);
  else if (Array.isArray(body.prompt) && body.prompt.length > 0) request.tokens = tokenIds("prompt", body.prompt);
  else throw invalid("prompt", `must be a string or a list of token ids, not ${show(body.prompt)}`);
  if (request.reply.echo && request.tokens) throw invalid("echo", "needs the prompt as a string");
  return request;
}

/** A list of token ids. */
export function tokenIds(name, value) {
  const list = ArrayBuffer.isView(value) ? [...value] : value;
  if (!Array.isArray(list)) throw invalid(name, `must be a list of token ids, not ${show(value)}`);
  return list.map((id, at) => integer(0, 2 ** 32 - 1)(`${name}[${at}]`, id));
}

/** A valid Unicode string: lone surrogates, which JavaScript allows, become U+FFFD. */
export function wellFormed(text) {
  return text.replace(/\p{Surrogate}/gu, "\u{fffd}");
}

function read(body, subject, special) {
  if (body === null || typeof body !== "object") throw invalid("request", `must be an object, not ${show(body)}`);
  const options = {};
  const reply = { stream: false, includeUsage: false, logprobs: false, echo: false, plain: false };
  for (const [name, value] of Object.entries(body)) {
    // As in OpenAI's API, null means that the parameter is not given.
    if (value === undefined || value === null || name === subject || name === "signal" || IGNORED.has(name)) continue;
    if (name === "stream") reply.stream = boolean(name, value);
    else if (name === "stream_options") reply.includeUsage = streamOptions(value);
    else if (name === "n") integer(1, 1)(name, value);
    else if (special(name, value, options, reply)) continue;
    else if (Object.hasOwn(SAMPLING, name)) options[name] = SAMPLING[name](name, value);
    else throw invalid(name, "is not a parameter that this engine knows");
  }
  return { options, reply };
}

function streamOptions(value) {
  const { include_usage: includeUsage = false, ...rest } = Object(value);
  const [unknown] = Object.keys(rest);
  if (unknown) throw invalid(`stream_options.${unknown}`, "is not a parameter that this engine knows");
  return boolean("stream_options.include_usage", includeUsage);
}

function messages(list) {
  if (!Array.isArray(list) || list.length === 0) {
    throw invalid("messages", `must be a list of at least one message, not ${show(list)}`);
  }
  return list.map((message, at) => {
    const { role, content } = Object(message);
    if (typeof role !== "string") throw invalid(`messages[${at}].role`, `must be a string, not ${show(role)}`);
    return everyString({ ...message, content: contentText(`messages[${at}].content`, content) });
  });
}

/** The text of a message. Clients may send it in parts. */
function contentText(name, content) {
  if (typeof content === "string") return content;
  if (content === null || content === undefined) return "";
  if (!Array.isArray(content)) throw invalid(name, `must be a string or a list of text parts, not ${show(content)}`);
  return content
    .map((part, at) => {
      if (part?.type === "text" && typeof part.text === "string") return part.text;
      throw invalid(`${name}[${at}]`, `only parts of type "text" are supported, not ${show(part?.type)}`);
    })
    .join("");
}

function everyString(value) {
  if (typeof value === "string") return wellFormed(value);
  if (Array.isArray(value)) return value.map(everyString);
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [wellFormed(key), everyString(inner)]));
}
