// The only error type that this package throws.

/** An error with a message and a stable, machine-readable `code`. */
export class MobileLLMError extends Error {
  constructor(code, message, options) {
    super(message, options);
    this.name = "MobileLLMError";
    this.code = code;
  }
}

/** An invalid option or parameter. */
export function invalid(field, problem) {
  return new MobileLLMError("invalid_request", `${field}: ${problem}`);
}

/** The caller's AbortSignal stopped the call. */
export function cancelled() {
  return new MobileLLMError("cancelled", "cancelled");
}

/** The error for an error event of the engine worker or the reader worker. */
export function workerFailed(whose, { message }) {
  const start =
    " to start. Check that the server has all files of the package, and that the Content-Security-Policy of the page allows " +
    "worker-src 'self' and script-src 'wasm-unsafe-eval'";
  return new MobileLLMError("worker", `the ${whose} worker failed${message ? `: ${message}` : start}`);
}

/** A value as text for an error message. */
export function show(value) {
  if (typeof value === "function") return "a function";
  const text = typeof value === "bigint" ? `${value}n` : (JSON.stringify(value) ?? String(value));
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
}
