// The options and their checks.
// `cargo xtask options` makes this file from src/options/. Do not edit it: change the tables and run the command again.

import { boolean, integer, number, numberByToken, oneOf, strings } from "./checks.js";

/** The check of each option of a request, under the names that the engine uses. */
export const REQUEST_OPTIONS = {
  max_tokens: integer(1, 2147483647),
  temperature: number(0, 100),
  top_p: number(0, 1),
  top_k: integer(0, 2147483647),
  min_p: number(0, 1),
  seed: integer(0, 9007199254740991),
  stop: strings,
  frequency_penalty: number(-2, 2),
  presence_penalty: number(-2, 2),
  repetition_penalty: number(0.01, 100),
  logit_bias: numberByToken(-100, 100),
  ignore_eos: boolean,
  speculation: oneOf("auto", "on", "off"),
  in_flight_ms: number(0, 60000),
};

/** The check of each option of Engine.load(). */
export const LOAD_OPTIONS = {
  backend: oneOf("auto", "gpu", "cpu"),
  weights: oneOf("auto", "stored", "f32", "f16", "q8", "q4"),
  tier: oneOf("software", "portable", "subgroups", "f16"),
  int8Tiles: boolean,
  maxContext: integer(1, 2147483647),
  ignoreConfigFields: strings,
};
