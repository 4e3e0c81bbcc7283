// The engine's end of the reader's thread: a `fetch` whose bodies arrive while the engine computes.

export class ReadAhead {
  #port;
  #files = new Map();
  #expected = new Map();
  #nextId = 1;

  /** `port` leads to a `Reader` of reader.js. */
  constructor(port) {
    this.#port = port;
    port.onmessage = ({ data: { id, type, ...message } }) => this.#files.get(id)[type](message);
  }

  /** Names files that will be fetched, in that order: they may be read now. */
  expect(urls) {
    for (const url of urls) {
      const file = this.#add();
      this.#expected.set(url, file);
      this.#port.postMessage({ type: "expect", id: file.id, url });
    }
  }

  /** As the function of that name: a promise of a `Response`. */
  fetch(url) {
    const file = this.#expected.get(url) ?? this.#add();
    this.#expected.delete(url);
    this.#port.postMessage({ type: "open", id: file.id, url });
    return file.response;
  }

  #add() {
    const id = this.#nextId++;
    const file = new IncomingFile(id, (message) => this.#port.postMessage({ id, ...message }));
    this.#files.set(id, file);
    return file;
  }
}

/** A file on its way. */
class IncomingFile {
  #post;
  #pieces = [];
  #end = null;
  #wake = () => {};
  #settle;

  constructor(id, post) {
    this.id = id;
    this.#post = post;
    this.response = new Promise((resolve, reject) => (this.#settle = { resolve, reject }));
    // Nobody may ask for what was only expected.
    this.response.catch(() => {});
  }

  answer({ status, statusText, headers, hasBody }) {
    const source = { pull: (controller) => this.#pull(controller), cancel: () => this.#post({ type: "cancel" }) };
    // Nothing is pulled before it is asked for: the pieces wait here.
    const body = hasBody ? new ReadableStream(source, { highWaterMark: 0 }) : null;
    try {
      this.#settle.resolve(new Response(body, { status, statusText, headers }));
    } catch (error) {
      this.#settle.reject(error);
    }
  }

  piece({ bytes }) {
    this.#pieces.push(bytes);
    this.#wake();
  }

  end() {
    this.#end = (controller) => controller.close();
    this.#wake();
  }

  failure({ message }) {
    const error = new TypeError(message);
    this.#settle.reject(error);
    this.#end = (controller) => controller.error(error);
    this.#wake();
  }

  async #pull(controller) {
    while (this.#pieces.length === 0 && !this.#end) await new Promise((resolve) => (this.#wake = resolve));
    const bytes = this.#pieces.shift();
    if (!bytes) return this.#end(controller);
    controller.enqueue(bytes);
    this.#post({ type: "took", bytes: bytes.length });
  }
}
