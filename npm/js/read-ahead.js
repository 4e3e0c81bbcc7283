// The engine's side of the reader worker: a `fetch` whose data arrives while the engine computes.

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

  /** Names files that will be fetched, in this order. The reader may start to read them now. */
  expect(urls) {
    for (const url of urls) {
      const file = this.#add();
      this.#expected.set(url, file);
      this.#port.postMessage({ type: "expect", id: file.id, url });
    }
  }

  /** Like the global `fetch`: a promise of a `Response`. */
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

/** A file that is being read. */
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
    // The engine may never fetch a file that it only expected; then its error must not be reported as unhandled.
    this.response.catch(() => {});
  }

  answer({ status, statusText, headers, hasBody }) {
    const source = { pull: (controller) => this.#pull(controller), cancel: () => this.#post({ type: "cancel" }) };
    // The stream pulls nothing in advance: the pieces wait in this object.
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
