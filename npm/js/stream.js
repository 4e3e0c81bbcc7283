// A completion that arrives in pieces: an async iterable. When the caller leaves the loop, the engine stops.

/** What `create({ stream: true })` resolves to. */
export class CompletionStream {
  /** Aborting it stops the generation. The loop over the stream then ends without an error. */
  controller = new AbortController();
  #waiting = [];
  #wake = () => {};
  #done = false;
  #error = null;

  /** For the producer: the next chunk. */
  push(chunk) {
    if (chunk) this.#waiting.push(chunk);
    this.#wake();
  }

  /** For the producer: the stream is complete, or it failed. */
  end(error = null) {
    this.#done = true;
    this.#error = error;
    this.#wake();
  }

  async *[Symbol.asyncIterator]() {
    try {
      for (;;) {
        while (this.#waiting.length > 0) yield this.#waiting.shift();
        if (this.#done) break;
        await new Promise((resolve) => (this.#wake = resolve));
      }
      if (this.#error && !this.controller.signal.aborted) throw this.#error;
    } finally {
      // This also runs when the caller leaves the loop early: by break, return or throw.
      this.controller.abort();
    }
  }

  /** The stream as bytes of newline-delimited JSON, as in OpenAI's client. */
  toReadableStream() {
    const iterator = this[Symbol.asyncIterator]();
    const encoder = new TextEncoder();
    return new ReadableStream({
      async pull(controller) {
        const { value, done } = await iterator.next();
        if (done) controller.close();
        else controller.enqueue(encoder.encode(`${JSON.stringify(value)}\n`));
      },
      async cancel() {
        await iterator.return();
      },
    });
  }
}
