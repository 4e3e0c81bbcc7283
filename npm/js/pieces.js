// Large files that lie in pieces, as static hosts want them. pieces.json lists the pieces; docs/formats.md describes it.

import { MobileLLMError } from "./errors.js";

/** The manifest's name in its folder. */
export const MANIFEST = "pieces.json";

const REMEDY = "Lay the folder out again, with `cargo xtask site`";

/** Fetches and checks the manifest at a URL; resolves to what `PiecedFiles` reads, and the file that is to be opened. */
export async function readManifest(url) {
  const fail = (code, problem) => {
    throw new MobileLLMError(code, `${url.href}: ${problem}`);
  };
  const response = await fetch(url).catch((error) => fail("fetch_failed", `${error.message}. Check the connection and the address`));
  if (!response.ok) fail(response.status === 404 ? "missing_file" : "fetch_failed", `the server answered ${response.status}. Check the address`);
  const manifest = await response.json().catch((error) => fail("invalid_file", `${error.message}. ${REMEDY}`));
  const problem = wrong(manifest);
  if (problem) fail("invalid_file", `${problem}. ${REMEDY}`);
  return { model: manifest.model ?? "", pieces: { folder: new URL(".", url).href, files: manifest.files } };
}

/** What is wrong with a manifest, or nothing. */
function wrong(manifest) {
  if (manifest?.version !== 1) return "version: it is not 1";
  if (typeof (manifest.model ?? "") !== "string" || (manifest.model && !isPath(manifest.model))) return "model: it is no file of the folder";
  for (const [name, { size, pieces } = {}] of Object.entries(manifest.files ?? {})) {
    if (!Array.isArray(pieces)) return `${name}: it has no list of pieces`;
    for (const piece of pieces) {
      if (!isPath(piece?.file)) return `${name}: ${piece?.file} is no path in the folder`;
      if (!/^[0-9a-f]{64}$/.test(piece.sha256)) return `${name}: the sha256 of ${piece.file} is not 64 hexadecimal digits`;
      if (!Number.isSafeInteger(piece.size) || piece.size < 0) return `${name}: the size of ${piece.file} is no number of bytes`;
    }
    if (pieces.reduce((sum, piece) => sum + piece.size, 0) !== size) return `${name}: the sizes of its pieces do not add up to ${size}`;
  }
  return null;
}

/** Whether this is a path that stays in the folder. */
function isPath(path) {
  return typeof path === "string" && path.split("/").every((name) => /^[^.\\:?#%\0][^\\:?#%\0]*$/.test(name));
}

/** The files of a manifest, behind the addresses that they would have if they were whole. */
export class PiecedFiles {
  #files;
  #folder;

  constructor({ folder, files }) {
    this.#folder = folder;
    this.#files = new Map(Object.entries(files).map(([name, file]) => [new URL(encodeURI(name), folder).href, file]));
  }

  /** Like the global `fetch`, also for files that lie in pieces. */
  async fetch(url, options) {
    const file = this.#files.get(new URL(url).href);
    if (!file) return fetch(url, options);
    const pieces = this.#read(file.pieces, options?.signal);
    const body = new ReadableStream({
      async pull(controller) {
        const { done, value } = await pieces.next();
        if (done) controller.close();
        else controller.enqueue(value);
      },
      cancel: () => pieces.return(),
    }, { highWaterMark: 0 });
    return new Response(body, { headers: { "Content-Length": file.size, "Content-Type": "application/octet-stream" } });
  }

  /** The bytes of all pieces in order. The last of a piece are handed out when the piece is known to be right. */
  async *#read(pieces, signal) {
    const whole = new Uint8Array(pieces.reduce((size, piece) => Math.max(size, piece.size), 0));
    for (const { file, size, sha256 } of pieces) {
      const url = new URL(file, this.#folder).href;
      const response = await fetch(url, { signal });
      if (!response.ok) throw new TypeError(`${url}: the server answered ${response.status}`);
      const reader = response.body.getReader();
      let received = 0;
      for (let read; !(read = await reader.read()).done; ) {
        const bytes = read.value;
        if (received + bytes.length > size) {
          await reader.cancel();
          throw new TypeError(`${url}: more bytes came than the ${size} that ${MANIFEST} says`);
        }
        whole.set(bytes, received);
        received += bytes.length;
        if (received === size) await check(url, whole.subarray(0, size), sha256);
        yield bytes;
      }
      if (received !== size) throw new TypeError(`${url}: ${received} bytes came, and ${MANIFEST} says ${size}`);
    }
  }
}

/** Whether these are the bytes that the manifest means. Pages without TLS have no digests; there only the sizes are checked. */
async function check(url, bytes, sha256) {
  if (!globalThis.crypto?.subtle) return;
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  const found = Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
  if (found !== sha256) throw new TypeError(`${url}: it has other bytes than ${MANIFEST} says (sha256 ${found})`);
}
