// Panels at the side: dialogs that a click outside closes.

/** Opens a panel; the browser keeps the focus in it and gives it back afterwards. */
export function openPanel(panel) {
  if (!panel.open) panel.showModal();
}

/** Lets close buttons and clicks outside close the panels. */
export function startPanels() {
  for (const panel of document.querySelectorAll("dialog.panel")) {
    panel.addEventListener("click", (event) => {
      // The dialog itself is hit only outside of its padding box, on the backdrop.
      const box = panel.getBoundingClientRect();
      const outside = event.clientX < box.left || event.clientX > box.right;
      if (event.target === panel && outside) panel.close();
    });
    panel.querySelector("[data-close]").addEventListener("click", () => panel.close());
  }
}
