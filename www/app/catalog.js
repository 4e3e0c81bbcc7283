// Which models there are: the one that the site serves, and those that its catalog offers.

const LOCAL = ["localhost", "127.0.0.1", "[::1]"];

/** Bytes that are downloaded without a question. */
const LARGE = 50e6;

/** The model that the site serves: `{ id, source }`, where `id` may be null; null where it serves none. */
export async function findServed() {
  const served = await json("models/default.json");
  return served && { id: served.id, source: new URL(served.source, document.baseURI).href };
}

/** What the page can load, the served model first. An entry has the fields of models/catalog.json, and `source` and `isHere`. */
export async function findOffers(served) {
  const { models = [] } = (await json("models/catalog.json")) ?? {};
  const offers = models.map((model) => located(model, served)).filter(({ source }) => source);
  if (served && !offers.some(({ id }) => id === served.id)) offers.unshift(unknown(served));
  // A stable sort: apart from that, the catalog's order stays.
  return offers.sort((a, b) => (b.source === served?.source) - (a.source === served?.source));
}

function located(model, served) {
  if (served && model.id === served.id) return { ...model, source: served.source, isHere: true };
  if (model.folder) return { ...model, source: new URL(`models/${model.folder}/`, document.baseURI).href, isHere: true };
  const [mirror] = model.mirrors.filter(({ hub }) => hub);
  return { ...model, source: mirror && [mirror.hub, mirror.file].filter(Boolean).join("/"), isHere: false };
}

/** A served model that the catalog does not know. */
function unknown({ source }) {
  const words = new URL(source).pathname.split("/").filter(Boolean);
  return { id: null, name: decodeURIComponent(words.at(-1)), about: "The model that this site serves.", source, isHere: true, suggestions: [] };
}

/** The name of a loaded model for people: the catalog's, where it knows the model. */
export const nameFor = (info, offer) => (offer?.id ? offer.name : info.model);

/** Whether somebody should be asked before a model is loaded: because of its licence, or because of its size. */
export function mustAsk({ license, size, isHere }) {
  if (license?.accept) return true;
  // What lies on this machine costs nobody anything.
  return size > LARGE && !(isHere && LOCAL.includes(location.hostname));
}

async function json(path) {
  try {
    const response = await fetch(path);
    return response.ok ? await response.json() : null;
  } catch {
    return null;
  }
}
