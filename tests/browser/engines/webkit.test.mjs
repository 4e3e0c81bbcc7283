// WebKitGTK, driven through WebDriver, on a display that nobody sees.

import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { createServer } from "node:net";
import { Builder, By, Capabilities, Key, until } from "selenium-webdriver";

import { testEngine } from "./scenario.mjs";

const driverProgram = process.env.WEBKIT_DRIVER ?? "/usr/bin/WebKitWebDriver";
const displayProgram = process.env.XVFB ?? "/usr/bin/Xvfb";
const PATIENCE = 60_000;

async function start() {
  for (const program of [driverProgram, displayProgram]) {
    if (!existsSync(program)) throw new Error(`${program} is not there. Install webkit2gtk-driver and xvfb`);
  }
  const display = await startDisplay();
  const port = await freePort();
  const server = spawn(driverProgram, [`--port=${port}`], {
    stdio: "ignore",
    env: { ...process.env, DISPLAY: display.name, GDK_BACKEND: "x11" },
  });
  const end = () => {
    server.kill();
    display.stop();
  };
  try {
    return await openSession(port, end);
  } catch (error) {
    end();
    throw error;
  }
}

/** A browser, and what the tests do with it. */
async function openSession(port, end) {
  await answering(port);
  const driver = await new Builder()
    .usingServer(`http://127.0.0.1:${port}`)
    .withCapabilities(new Capabilities({ browserName: "MiniBrowser" }))
    .build();
  await driver.manage().setTimeouts({ script: PATIENCE });
  const version = (await driver.getCapabilities()).getBrowserVersion();
  return {
    version: `WebKitGTK/${version}`,
    // The driver does not hand out what pages write to their console.
    complaints: [],
    goto: (address) => driver.get(address),
    waitFor: (selector) => driver.wait(until.elementLocated(By.css(selector)), PATIENCE),
    textOf: (selector) => driver.findElement(By.css(selector)).getText(),
    send: (selector, text) => driver.findElement(By.css(selector)).sendKeys(text, Key.ENTER),
    async call(body, argument) {
      const script = `const done = arguments[1];
        (${body})(arguments[0]).then((value) => done({ value }), (error) => done({ problem: String(error) }));`;
      const { value, problem } = await driver.executeAsyncScript(script, argument);
      if (problem) throw new Error(problem);
      return value;
    },
    async stop() {
      await driver.quit();
      end();
    },
  };
}

/** An X server without a screen, on a number that it finds itself. */
async function startDisplay() {
  const server = spawn(displayProgram, ["-displayfd", "3", "-screen", "0", "1280x800x24", "-nolisten", "tcp"], {
    stdio: ["ignore", "ignore", "ignore", "pipe"],
  });
  const number = await new Promise((resolve, reject) => {
    server.once("error", reject);
    server.once("exit", (code) => reject(new Error(`${displayProgram} ended with ${code}`)));
    server.stdio[3].once("data", (data) => resolve(String(data).trim()));
  });
  return { name: `:${number}`, stop: () => server.kill() };
}

async function freePort() {
  const server = createServer();
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** Waits until the driver takes requests. */
async function answering(port) {
  const end = Date.now() + 10_000;
  for (;;) {
    const answer = await fetch(`http://127.0.0.1:${port}/status`).catch(() => null);
    if (answer?.ok) return;
    if (Date.now() > end) throw new Error(`${driverProgram} does not answer on port ${port}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

await testEngine("webkit", start);
