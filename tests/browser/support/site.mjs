// The page's own server: `cargo xtask serve`, as people run it.

import { spawn } from "node:child_process";
import { join } from "node:path";
import { createInterface } from "node:readline";

import { root } from "./models.mjs";

/**
 * Serves what is built, with `model`, by default the one that needs no download; resolves to the address, without a slash at
 * its end.
 */
export async function startSite({ model = "builtin" } = {}) {
  const args = ["serve", "--no-build", "--port", "0", "--model", model];
  const server = spawn(process.env.XTASK ?? join(root, "target/debug/xtask"), args, {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const address = await new Promise((resolve, reject) => {
    server.once("error", reject);
    server.once("exit", (code) => reject(new Error(`xtask serve ended with ${code}`)));
    createInterface({ input: server.stdout }).on("line", (line) => {
      const [found] = line.match(/http:\/\/localhost:\d+/) ?? [];
      if (found) resolve(found);
    });
  });
  return { address, stop: () => server.kill() };
}
