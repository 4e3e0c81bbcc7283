// What the tests of a file share: one browser, and one site with the tiny model as its default.

import { after, before } from "node:test";

import { launch } from "./browser.mjs";
import { tiny } from "./models.mjs";
import { startSite } from "./site.mjs";

/** Sets it up before the first test and clears it away after the last; `browser` and `site` are there in between. */
export function setStage() {
  const stage = { browser: null, site: null };
  before(async () => {
    stage.browser = await launch();
    stage.site = await startSite({ model: tiny });
  });
  after(async () => {
    await stage.browser?.close();
    stage.site?.stop();
  });
  return stage;
}
