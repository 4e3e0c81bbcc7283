// Checks of single values. Each check takes a name and a value, and returns the value in the form that the engine
// reads. For a wrong value it throws an error with the name.

import { invalid, show } from "./errors.js";

/** A number from `min` to `max`. */
export const number = (min, max) => (name, value) => {
  if (typeof value !== "number" || !(value >= min && value <= max)) {
    throw invalid(name, `must be a number from ${min} to ${max}, not ${show(value)}`);
  }
  return value;
};

/** A whole number from `min` to `max`. */
export const integer = (min, max) => (name, value) => {
  if (!Number.isInteger(value) || value < min || value > max) {
    throw invalid(name, `must be a whole number from ${min} to ${max}, not ${show(value)}`);
  }
  return value;
};

/** True or false. */
export const boolean = (name, value) => {
  if (typeof value !== "boolean") throw invalid(name, `must be true or false, not ${show(value)}`);
  return value;
};

/** One of the given words. */
export const oneOf = (...allowed) => (name, value) => {
  if (!allowed.includes(value)) throw invalid(name, `must be one of ${allowed.join(", ")}, not ${show(value)}`);
  return value;
};

/** A string or a list of strings; none of them is empty. */
export const strings = (name, value) => {
  const list = typeof value === "string" ? [value] : value;
  if (!Array.isArray(list) || list.some((string) => typeof string !== "string" || string === "")) {
    throw invalid(name, `must be a string that is not empty, or a list of such strings, not ${show(value)}`);
  }
  return list.map(wellFormed);
};

/** Numbers from `min` to `max` by token id. */
export const numberByToken = (min, max) => (name, value) => {
  const numbers = Object(value);
  if (Array.isArray(value) || typeof value !== "object") throw invalid(name, `must be an object of token ids and numbers, such as { "42": -5 }, not ${show(value)}`);
  for (const [token, addend] of Object.entries(numbers)) {
    if (!/^\d+$/.test(token)) throw invalid(name, `${show(token)} is not a token id; the keys must be whole numbers such as "42"`);
    number(min, max)(`${name}.${token}`, addend);
  }
  return numbers;
};

/** A valid Unicode string: lone surrogates, which JavaScript allows, become U+FFFD. */
export function wellFormed(text) {
  return text.replace(/\p{Surrogate}/gu, "\u{fffd}");
}
