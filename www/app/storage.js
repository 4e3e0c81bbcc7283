// Remembering things between visits, where the browser lets us.

/** Reads a value; `fallback` where there is none. */
export function recall(store, key, fallback) {
  try {
    return JSON.parse(window[store].getItem(`mobilellm.${key}`)) ?? fallback;
  } catch {
    return fallback;
  }
}

/** Keeps a value. A browser that refuses loses nothing but comfort. */
export function remember(store, key, value) {
  try {
    window[store].setItem(`mobilellm.${key}`, JSON.stringify(value));
  } catch {
    // Private windows and full disks.
  }
}
