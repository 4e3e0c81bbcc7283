// The reader worker: it fetches files while the engine processes earlier data. read-ahead.js is the engine's side.

import { PiecedFiles } from "./pieces.js";

/**
 * Bytes that may wait for the engine. For a file that the engine has opened, only the bytes of that file count. For a file
 * that it has not opened yet, the bytes of all files count together.
 */
const WINDOW = 32 << 20;

class Reader {
  #port;
  #pieced;
  #files = new Map();
  #queue = Promise.resolve();

  /** `pieces` says which files lie in pieces; null where none does. */
  constructor(port, pieces) {
    this.#port = port;
    this.#pieced = pieces && new PiecedFiles(pieces);
    port.onmessage = ({ data: { type, ...message } }) => this[type](message);
  }

  /** The engine waits for this file. */
  open({ id, url }) {
    const file = this.#files.get(id) ?? this.#add(id, url);
    file.isOpen = true;
    file.wake();
    this.#read(file);
  }

  /** The engine will open this file, after the files that it named before. */
  expect({ id, url }) {
    const file = this.#add(id, url);
    this.#queue = this.#queue.then(() => this.#read(file));
  }

  /** The engine has taken this many bytes. */
  took({ id, bytes }) {
    this.#files.get(id).waiting -= bytes;
    for (const file of this.#files.values()) file.wake();
  }

  /** The engine needs no more of this file. */
  cancel({ id }) {
    const file = this.#files.get(id);
    file.abort.abort();
    file.wake();
  }

  #add(id, url) {
    const file = { id, url, isOpen: false, isRead: false, waiting: 0, abort: new AbortController(), wake: () => {} };
    this.#files.set(id, file);
    return file;
  }

  async #read(file) {
    if (file.isRead) return;
    file.isRead = true;
    const { id, url, abort } = file;
    const post = (message, transfer) => this.#port.postMessage({ id, ...message }, transfer);
    try {
      await this.#room(file);
      const options = { signal: abort.signal };
      const response = await (this.#pieced?.fetch(url, options) ?? fetch(url, options));
      const { status, statusText, headers, body } = response;
      post({ type: "answer", status, statusText, headers: [...headers], hasBody: body !== null });
      const reader = body?.getReader();
      for (let piece; reader && !(piece = await reader.read()).done; ) {
        const bytes = piece.value;
        file.waiting += bytes.length;
        post({ type: "piece", bytes }, [bytes.buffer]);
        await this.#room(file);
      }
      post({ type: "end" });
    } catch (error) {
      post({ type: "failure", message: error.message });
    }
  }

  /** Waits until more of a file may be read. */
  async #room(file) {
    const waiting = () => [...this.#files.values()].reduce((sum, { waiting }) => sum + waiting, 0);
    while (!file.abort.signal.aborted && (file.isOpen ? file.waiting : waiting()) >= WINDOW) {
      await new Promise((resolve) => (file.wake = resolve));
    }
  }
}

onmessage = ({ data: pieces, ports: [port] }) => new Reader(port, pieces);
