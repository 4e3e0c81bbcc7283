// A completion that arrives in pieces: an async iterable that stops the engine when its reader stops reading.

/** What `create({ stream: true })` resolves to. */
export class CompletionStream {
  /** Aborting it ends the generation; the loop over the stream then ends without an error. */
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

  /** For the producer: there is nothing more, or it failed. */
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
      // Leaving the loop early - break, return, throw - comes here.
      this.controller.abort();
    }
  }

  /** The stream as newline-delimited JSON bytes, as OpenAI's client has it. */
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
