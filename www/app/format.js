// Quantities for people.

/** 12.3 MB: decimal units, as downloads are measured. */
export function bytes(count) {
  const units = ["bytes", "kB", "MB", "GB"];
  let unit = 0;
  while (count >= 1000 && unit < units.length - 1) {
    count /= 1000;
    unit += 1;
  }
  const digits = unit === 0 || count >= 100 ? 0 : 1;
  return `${count.toFixed(digits)} ${units[unit]}`;
}

/** 125 M. */
export function count(number) {
  if (number >= 1e9) return `${(number / 1e9).toPrecision(3)} billion`;
  if (number >= 1e6) return `${(number / 1e6).toPrecision(3)} million`;
  return number.toLocaleString("en");
}

/** 0.21 s, or 38 s. */
export function seconds(milliseconds) {
  const value = milliseconds / 1000;
  return `${value.toFixed(value < 10 ? 2 : 0)} s`;
}

/** How long something will still take: 8 s, or 12 min. */
export function remaining(seconds) {
  return seconds < 90 ? `${Math.ceil(seconds)} s` : `${Math.round(seconds / 60)} min`;
}

/** 34.2 tokens/s. */
export function rate(tokensPerSecond) {
  return `${tokensPerSecond.toFixed(tokensPerSecond < 100 ? 1 : 0)} tokens/s`;
}

/** An error message as a sentence of its own; an address or a file's name at its beginning stays as it is. */
export function sentence(text) {
  const begun = text.replace(/^\p{Ll}+(?=,|:?\s)/u, (word) => word.charAt(0).toUpperCase() + word.slice(1));
  return /[.!?]$/.test(begun) ? begun : `${begun}.`;
}
