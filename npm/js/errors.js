// The one kind of error that this package throws.

/** An error with a stable, machine-readable `code` beside its message. */
export class MobileLLMError extends Error {
  constructor(code, message, options) {
    super(message, options);
    this.name = "MobileLLMError";
    this.code = code;
  }
}

/** A request that cannot be right, whatever the model. */
export function invalid(field, problem) {
  return new MobileLLMError("invalid_request", `${field}: ${problem}`);
}

/** What the caller's AbortSignal asked for. */
export function cancelled() {
  return new MobileLLMError("cancelled", "cancelled");
}

/** What a worker's error event says. */
export function workerFailed(whose, { message }) {
  const detail = message ? `: ${message}` : " (its files may be missing, or a policy forbids it)";
  return new MobileLLMError("worker", `the ${whose}'s worker failed${detail}`);
}

/** How a value looks in an error message. */
export function show(value) {
  if (typeof value === "function") return "a function";
  const text = typeof value === "bigint" ? `${value}n` : (JSON.stringify(value) ?? String(value));
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
}
