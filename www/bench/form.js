// What to measure, from the form, which the page's address may fill: ?shape= ?backend= ?weights= ?tier= ?int8= ...

import { byId, element } from "../app/dom.js";
import { count } from "../app/format.js";

const SIZES = [
  "num_hidden_layers",
  "hidden_size",
  "num_attention_heads",
  "num_key_value_heads",
  "intermediate_size",
  "vocab_size",
];

const form = byId("form");
const field = (name) => form.elements[name];
const number = (name) => Number(field(name).value);

function option(value, text = value) {
  const node = element("option", "", text);
  node.value = value;
  return node;
}

/** Offers the shapes, smallest first, and any other; and the tiers of GPU kernels. */
export function startForm(shapes, tiers) {
  field("shape").replaceChildren(...shapes.map(({ name }) => option(name)), option("", "any other"));
  field("tier").append(...tiers.map((name) => option(name)));
  field("shape").disabled = false;
  for (const [name, value] of new URLSearchParams(location.search)) {
    if (field(name) instanceof Element && field(name).type !== "checkbox") field(name).value = value;
  }
  // A shape that is not in the list leaves nothing chosen.
  if (field("shape").selectedIndex < 0) field("shape").value = shapes[0].name;

  const choose = () => {
    const shape = shapes.find(({ name }) => name === field("shape").value);
    byId("sizes").hidden = shape !== undefined;
    if (shape) fill(shape);
    summarise();
  };
  field("shape").addEventListener("input", choose);
  // Another width asks for other heads.
  field("hidden_size").addEventListener("input", () => {
    const heads = Math.max(1, Math.floor(number("hidden_size") / 64));
    const fits = number("hidden_size") % heads === 0;
    field("num_attention_heads").value = fits ? heads : 1;
    const groups = [3, 4, 5, 2, 1].find((group) => (fits ? heads : 1) % group === 0);
    field("num_key_value_heads").value = (fits ? heads : 1) / groups;
    field("intermediate_size").value = Math.ceil((number("hidden_size") * 8) / 3 / 32) * 32;
    summarise();
  });
  byId("sizes").addEventListener("input", summarise);
  // A field that is out of sight cannot say what is wrong with it.
  form.addEventListener("invalid", ({ target }) => target.closest("details")?.setAttribute("open", ""), true);
  choose();
}

function fill(shape) {
  for (const name of SIZES) field(name).value = shape[name];
  field("layer_sharing").checked = shape.layer_sharing;
}

/** The shape and the options that the form describes. */
export function settings() {
  const sizes = Object.fromEntries(SIZES.map((name) => [name, number(name)]));
  const sharing = field("layer_sharing").checked;
  const free = `${sizes.num_hidden_layers}x${sizes.hidden_size}${sharing ? ", each block twice" : ""}`;
  return {
    shape: { name: field("shape").value || free, ...sizes, layer_sharing: sharing },
    options: {
      backend: field("backend").value,
      weights: field("weights").value,
      tier: field("tier").value || undefined,
      int8Tiles: { on: true, off: false }[field("int8").value],
      prefill: field("prefill").value.split(",").map(Number),
      decode: number("decode"),
      context: number("context"),
      repeats: number("repeats"),
      limit: number("limit"),
    },
  };
}

/** Says what the sizes amount to; embeddings are tied. */
function summarise() {
  const { shape } = settings();
  const kv = (shape.hidden_size / shape.num_attention_heads) * shape.num_key_value_heads;
  const attention = 2 * shape.hidden_size * (shape.hidden_size + kv);
  const layer = attention + 3 * shape.hidden_size * shape.intermediate_size + 2 * shape.hidden_size;
  const parameters = layer * shape.num_hidden_layers + (shape.vocab_size + 1) * shape.hidden_size;
  const depth = shape.num_hidden_layers * (shape.layer_sharing ? 2 : 1);
  byId("summary").textContent = Number.isInteger(parameters)
    ? `${count(parameters)} parameters, ${depth} layers deep, ${shape.hidden_size} wide`
    : "These sizes do not go together";
}
