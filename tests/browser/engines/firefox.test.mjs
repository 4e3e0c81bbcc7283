// Firefox, driven through WebDriver BiDi.

import { existsSync } from "node:fs";
import puppeteer from "puppeteer-core";

import { testEngine } from "./scenario.mjs";

const program = process.env.FIREFOX ?? "/usr/bin/firefox-esr";

async function start() {
  if (!existsSync(program)) throw new Error(`${program} is not there. Install Firefox, or name it by the variable FIREFOX`);
  const browser = await puppeteer.launch({ browser: "firefox", executablePath: program, headless: true });
  const page = await browser.newPage();
  page.setDefaultTimeout(60_000);
  const complaints = [];
  page.on("pageerror", (error) => complaints.push(`exception: ${error}`));
  page.on("console", (message) => {
    if (["error", "warn"].includes(message.type())) complaints.push(message.text());
  });
  return {
    version: await browser.version(),
    complaints,
    goto: (address) => page.goto(address),
    waitFor: (selector) => page.waitForSelector(selector),
    textOf: (selector) => page.$eval(selector, (node) => node.textContent),
    async send(selector, text) {
      await page.type(selector, text);
      await page.keyboard.press("Enter");
    },
    call: (body, argument) => page.evaluate(body, argument),
    stop: () => browser.close(),
  };
}

await testEngine("firefox", start);
