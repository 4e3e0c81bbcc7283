// Saving and copying a result.

import { element } from "../app/dom.js";

/** Buttons that save a value as a JSON file and copy it. */
export function saving(value, name) {
  const json = `${JSON.stringify(value, null, 2)}\n`;
  const row = element("div", "row");
  const save = element("button", "button small", "Save JSON");
  save.type = "button";
  save.addEventListener("click", () => {
    const link = element("a");
    link.href = URL.createObjectURL(new Blob([json], { type: "application/json" }));
    link.download = `${name.replace(/[^\w.-]+/g, "-")}.json`;
    link.click();
    URL.revokeObjectURL(link.href);
  });
  const copy = element("button", "button small", "Copy JSON");
  copy.type = "button";
  copy.addEventListener("click", async () => {
    await navigator.clipboard.writeText(json);
    copy.textContent = "Copied";
    setTimeout(() => (copy.textContent = "Copy JSON"), 2000);
  });
  row.append(save, copy);
  return row;
}
