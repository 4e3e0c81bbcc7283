// What the page's address asks for: ?model= ?backend= ?tier= ?int8= ?weights=

const query = new URLSearchParams(location.search);

/** A value that is one of `allowed`, or nothing. */
function choice(name, allowed) {
  const value = query.get(name);
  return allowed.includes(value) ? value : undefined;
}

/** The hub id or URL to load instead of the default model. */
export const model = query.get("model") ?? undefined;

/** Options of `Engine.load`. */
export const engineOptions = {
  backend: choice("backend", ["auto", "gpu", "cpu"]) ?? "auto",
  weights: choice("weights", ["auto", "stored", "f32", "f16", "q8", "q4"]) ?? "auto",
  tier: query.get("tier") ?? undefined,
  int8Tiles: { on: true, off: false }[choice("int8", ["on", "off"])],
};
