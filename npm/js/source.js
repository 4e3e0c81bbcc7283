// Where a checkpoint comes from: translates what callers pass to Engine.load into what the worker needs.

import { invalid, show } from "./errors.js";
import { MANIFEST, readManifest } from "./pieces.js";

const HUB = "https://huggingface.co";
const HUB_ID = /^[\w-][\w.-]*\/[\w-][\w.-]*$/;
const REVISION = /^[\w./-]+$/;
const HUB_FILE = /^(?!(?:blob|resolve|tree)\/)(?:[\w-][\w.-]*\/)*[\w-][\w.-]*\.gguf$/;
const QUANTIZATION = /^[\w-][\w.-]*$/;

/**
 * Turns a source into `{ kind: "url", name, url }` or `{ kind: "files", name, files: { name: File } }`. The URL is that of a folder.
 * Of a GGUF file in it there is also `gguf`, its name, or `quantization` with `listing`, the address where the hub lists its files.
 * Where large files lie in pieces, `pieces` says in which.
 */
export async function resolveSource(source) {
  if (source instanceof URL) return fromUrl(source);
  if (typeof source === "string") return fromString(source);
  if (typeof File !== "undefined" && source instanceof File) return fromFiles([source], source.name);
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
  const onHub = fromHub(source);
  if (onHub) return onHub;
  throw invalid(
    "source",
    `${show(text)} is neither a URL (https://..., ./folder) nor a hub id such as "HuggingFaceTB/SmolLM2-135M-Instruct", "org/name/file.gguf" or "org/name:Q4_K_M"`,
  );
}

/**
 * "org/name", "org/name/file.gguf" or "org/name:Q4_K_M", each with "@revision" behind it or without; a path of this site starts
 * with "./" or "/".
 */
function fromHub(source) {
  const [path, revision = "main", ...more] = source.split("@");
  const [name, quantization, ...rest] = path.split(":");
  const [owner, repository, ...folders] = name.split("/");
  const id = `${owner}/${repository ?? ""}`;
  const file = folders.join("/");
  const isKnown =
    HUB_ID.test(id) &&
    REVISION.test(revision) &&
    more.length + rest.length === 0 &&
    (folders.length === 0 || HUB_FILE.test(file)) &&
    (quantization === undefined || (QUANTIZATION.test(quantization) && folders.length === 0));
  if (!isKnown) return undefined;
  const escaped = encodeURIComponent(revision);
  const files = `${HUB}/${id}/resolve/${escaped}/`;
  if (file) return { ...ofGguf(new URL(files + file)), name: `${id}/${file}` };
  if (quantization === undefined) return { kind: "url", name: id, url: files };
  const listing = `${HUB}/api/models/${id}/revision/${escaped}`;
  return { kind: "url", name: `${id}:${quantization}`, url: files, quantization, listing };
}

/** A GGUF file, as a name in its folder. */
function ofGguf(url) {
  const folder = new URL(url);
  const [, path, gguf] = url.pathname.match(/^(.*\/)([^/]+)$/);
  folder.pathname = path;
  return { kind: "url", name: decoded(gguf), url: folder.href, gguf: decoded(gguf) };
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
  // A link to a GGUF file means that file; the hub's page about it is at another address.
  if (url.hostname.replace(/^www\./, "") === "huggingface.co") url.pathname = url.pathname.replace("/blob/", "/resolve/");
  if (url.pathname.endsWith(".gguf")) return ofGguf(url);
  // A link to one of the other files means its folder.
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
  return decoded(hubId ?? url.pathname.split("/").filter(Boolean).pop() ?? url.host);
}

function decoded(name) {
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
