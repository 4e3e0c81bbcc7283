// Where a checkpoint comes from: translates what callers pass to Engine.load into what the worker needs.

import { invalid, show } from "./errors.js";
import { MANIFEST, readManifest } from "./pieces.js";

const HUB = "https://huggingface.co";
const HUB_ID = /^[\w-][\w.-]*\/[\w-][\w.-]*$/;
const REVISION = /^[\w./-]+$/;

/**
 * Turns a source into `{ kind: "url", name, url }` or `{ kind: "files", name, files: { name: File } }`. Where large files lie in
 * pieces, `pieces` says in which.
 */
export async function resolveSource(source) {
  if (source instanceof URL) return fromUrl(source);
  if (typeof source === "string") return fromString(source);
  if (isDirectoryHandle(source)) return fromFiles(await filesOfHandle(source), source.name);
  if (isIterable(source)) {
    const files = [...source];
    if (files.length > 0 && files.every((file) => file instanceof File)) return fromFiles(files);
    throw invalid("source", "the list of files is empty, or contains something that is not a File; pass all files of the model folder");
  }
  throw invalid("source", `must be a URL, a hub id such as "org/name", a list of files or a folder handle, not ${show(source)}`);
}

function fromString(text) {
  const source = text.trim();
  if (/^https?:\/\//i.test(source) || /^\.{0,2}\//.test(source)) return fromUrl(parseUrl(source));
  // "org/name" or "org/name@revision"; a path of this site starts with "./" or "/".
  const [id, revision = "main", ...more] = source.split("@");
  if (HUB_ID.test(id) && REVISION.test(revision) && more.length === 0) {
    const url = `${HUB}/${id}/resolve/${encodeURIComponent(revision)}/`;
    return { kind: "url", name: id, url };
  }
  throw invalid(
    "source",
    `${show(text)} is neither a URL (https://..., ./folder) nor a hub id such as "HuggingFaceTB/SmolLM2-135M-Instruct"`,
  );
}

function parseUrl(text) {
  try {
    return new URL(text, globalThis.document?.baseURI ?? globalThis.location?.href);
  } catch (cause) {
    throw invalid("source", `${show(text)} is not a URL (${cause.message})`);
  }
}

function fromUrl(given) {
  const url = new URL(given);
  if (!/^https?:$/.test(url.protocol)) throw invalid("source", `cannot load from a ${url.protocol} address; use https: or http:`);
  // Users paste the address of a repository's page. The files are at another address.
  const page = url.href.match(/^https:\/\/(?:www\.)?huggingface\.co\/([\w.-]+\/[\w.-]+)(?:\/tree\/([^?#]+?))?\/?$/);
  if (page) return fromString(page[2] ? `${page[1]}@${decodeURIComponent(page[2])}` : page[1]);
  if (url.pathname.endsWith(`/${MANIFEST}`)) return inPieces(url);
  // A link to one of the files means its folder.
  url.pathname = url.pathname.replace(/[^/]+\.(json|safetensors|model)$/, "");
  return { kind: "url", name: nameOf(url), url: url.href };
}

/** The model that a manifest of pieces names; other files lie beside it as usual. */
async function inPieces(url) {
  const { model, pieces } = await readManifest(url);
  return { ...(await fromUrl(new URL(encodeURI(model) || ".", url))), pieces };
}

/** The folder's name; files of the hub lie under `/org/name/resolve/revision/`. */
function nameOf(url) {
  const [, hubId] = url.pathname.match(/^\/([^/]+\/[^/]+)\/resolve\//) ?? [];
  const name = hubId ?? url.pathname.split("/").filter(Boolean).pop() ?? url.host;
  try {
    return decodeURIComponent(name);
  } catch {
    return name;
  }
}

/** Files of one folder. Files picked with `webkitdirectory` carry their path inside it. */
function fromFiles(list, folder) {
  const pathOf = (file) => file.webkitRelativePath || file.name;
  const configs = list.map(pathOf).filter((path) => path.split("/").pop() === "config.json");
  const depth = (path) => path.split("/").length;
  const config = configs.sort((a, b) => depth(a) - depth(b))[0];
  const root = config ? config.slice(0, -"config.json".length) : "";
  const files = {};
  for (const file of list) {
    const path = pathOf(file);
    if (path.startsWith(root)) files[path.slice(root.length)] = file;
  }
  const name = folder ?? (root.split("/").filter(Boolean).pop() || "picked files");
  return { kind: "files", name, files };
}

function isDirectoryHandle(source) {
  return source !== null && typeof source === "object" && source.kind === "directory" && "values" in source;
}

async function filesOfHandle(handle) {
  const files = [];
  for await (const entry of handle.values()) {
    if (entry.kind === "file") files.push(await entry.getFile());
  }
  return files;
}

function isIterable(value) {
  return value !== null && typeof value === "object" && Symbol.iterator in value;
}

/**
 * The files that were dropped on a page: those of a folder, or single files. Call it in the drop handler, before any `await`.
 */
export async function filesFromDataTransfer(dataTransfer) {
  // The browser empties the list when the handler returns, so both forms are taken at once.
  const entries = [...dataTransfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  const files = [...dataTransfer.files];
  const folders = entries.filter((entry) => entry.isDirectory);
  if (folders.length === 0) return files;
  return (await Promise.all(folders.map(filesOfEntry))).flat();
}

async function filesOfEntry(folder) {
  const reader = folder.createReader();
  const files = [];
  for (;;) {
    // A reader returns at most a hundred entries per call.
    const entries = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (entries.length === 0) return files;
    for (const entry of entries.filter((entry) => entry.isFile)) {
      files.push(await new Promise((resolve, reject) => entry.file(resolve, reject)));
    }
  }
}
