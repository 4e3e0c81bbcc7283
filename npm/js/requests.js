// Translates the parameters of OpenAI's API into the engine's options. Unknown names and wrong values are errors that name
// the parameter. A parameter that is silently ignored would hide a mistake.

import { boolean, integer, oneOf, wellFormed } from "./checks.js";
import { invalid, show } from "./errors.js";
import { REQUEST_OPTIONS } from "./options.js";

/** Parameters that OpenAI's clients send and that have no effect here. */
const IGNORED = new Set(["model", "user", "metadata", "store", "service_tier"]);

/** `chat.completions.create`: what to run, and how to answer. */
export function chatRequest(body) {
  const request = read(body, "messages", (name, value, options, reply) => {
    if (name === "max_completion_tokens") options.max_tokens = REQUEST_OPTIONS.max_tokens(name, value);
    else if (name === "logprobs") reply.logprobs = boolean(name, value);
    else if (name === "top_logprobs") options.top_logprobs = integer(0, 20)(name, value);
    else if (name === "chat_format") reply.plain = oneOf("template", "plain")(name, value) === "plain";
    else if (name === "control_tokens") reply.trusted = oneOf("template", "anywhere")(name, value) === "anywhere";
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

function read(body, subject, special) {
  if (body === null || typeof body !== "object") throw invalid("request", `must be an object, not ${show(body)}`);
  const options = {};
  const reply = { stream: false, includeUsage: false, logprobs: false, echo: false, plain: false, trusted: false };
  for (const [name, value] of Object.entries(body)) {
    // As in OpenAI's API, null means that the parameter is not given.
    if (value === undefined || value === null || name === subject || name === "signal" || IGNORED.has(name)) continue;
    if (name === "stream") reply.stream = boolean(name, value);
    else if (name === "stream_options") reply.includeUsage = streamOptions(value);
    else if (name === "n") integer(1, 1)(name, value);
    else if (special(name, value, options, reply)) continue;
    else if (Object.hasOwn(REQUEST_OPTIONS, name)) options[name] = REQUEST_OPTIONS[name](name, value);
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
    checkContent(`messages[${at}].content`, content);
    return everyString(message);
  });
}

/** Content reaches the chat template as it is: text, a list of text parts, null, or not at all. */
function checkContent(name, content) {
  if (typeof content === "string" || content === null || content === undefined) return;
  if (!Array.isArray(content)) throw invalid(name, `must be a string or a list of text parts, not ${show(content)}`);
  content.forEach((part, at) => {
    if (part?.type === "text" && typeof part.text === "string") return;
    throw invalid(`${name}[${at}]`, `only parts of type "text" are supported, not ${show(part?.type)}`);
  });
}

function everyString(value) {
  if (typeof value === "string") return wellFormed(value);
  if (Array.isArray(value)) return value.map(everyString);
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [wellFormed(key), everyString(inner)]));
}
