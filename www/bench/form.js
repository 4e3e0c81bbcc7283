// The form says what to measure. The address of the page can fill it: ?shape= ?backend= ?weights= ?tier= ?int8= ...

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

/** Fills the lists of shapes, smallest first and then custom sizes, and of tiers of GPU kernels. */
export function startForm(shapes, tiers) {
  field("shape").replaceChildren(...shapes.map(({ name }) => option(name)), option("", "custom sizes"));
  field("tier").append(...tiers.map((name) => option(name)));
  field("shape").disabled = false;
  for (const [name, value] of new URLSearchParams(location.search)) {
    if (field(name) instanceof Element && field(name).type !== "checkbox") field(name).value = value;
  }
  // If the address names a shape that is not in the list, nothing is selected.
  if (field("shape").selectedIndex < 0) field("shape").value = shapes[0].name;

  const choose = () => {
    const shape = shapes.find(({ name }) => name === field("shape").value);
    byId("sizes").hidden = shape !== undefined;
    if (shape) fill(shape);
    summarise();
  };
  field("shape").addEventListener("input", choose);
  // Another width needs another number of heads.
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
  // An invalid field must be visible, or the browser cannot show what is wrong.
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

/** Shows the number of parameters of these sizes. Embeddings are tied. */
function summarise() {
  const { shape } = settings();
  const kv = (shape.hidden_size / shape.num_attention_heads) * shape.num_key_value_heads;
  const attention = 2 * shape.hidden_size * (shape.hidden_size + kv);
  const layer = attention + 3 * shape.hidden_size * shape.intermediate_size + 2 * shape.hidden_size;
  const parameters = layer * shape.num_hidden_layers + (shape.vocab_size + 1) * shape.hidden_size;
  const depth = shape.num_hidden_layers * (shape.layer_sharing ? 2 : 1);
  byId("summary").textContent = Number.isInteger(parameters)
    ? `${count(parameters)} parameters, ${depth} layers deep, ${shape.hidden_size} wide`
    : "These sizes do not fit together: the heads must divide the width";
}
