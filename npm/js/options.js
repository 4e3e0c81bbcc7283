// The request options and their checks, under the names that the engine uses.
// `cargo xtask options` makes this file from src/generate/options.rs. Do not edit it: change the table and run the command again.

import { boolean, integer, number, numberByToken, oneOf, strings } from "./checks.js";

/** The check of each option. */
export const OPTIONS = {
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
