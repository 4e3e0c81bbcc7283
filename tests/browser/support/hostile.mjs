// A server for weights, on another origin, that can misbehave.

import { createReadStream, existsSync, readFileSync, statSync } from "node:fs";
import { createServer } from "node:http";
import { join } from "node:path";

/**
 * Serves folders under `/NAME/`; `behave(request, response, path)` may answer differently by returning true.
 */
export async function startHostile(folders, behave = () => false) {
  const server = createServer((request, response) => {
    response.setHeader("Access-Control-Allow-Origin", "*");
    const [, name, file] = request.url.split("?")[0].split("/");
    const path = folders[name] && file ? join(folders[name], file) : null;
    if (behave(request, response, path)) return;
    if (!path || !existsSync(path)) {
      response.writeHead(404).end("nothing here");
      return;
    }
    response.writeHead(200, { "Content-Length": statSync(path).size });
    createReadStream(path).pipe(response);
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const stop = () => {
    server.closeAllConnections();
    server.close();
  };
  return { address: `http://127.0.0.1:${server.address().port}`, stop };
}

/** Sends the first half of the file and then nothing, with the connection open. */
export function stall(response, path) {
  const bytes = readFileSync(path);
  response.writeHead(200, { "Content-Length": bytes.length });
  response.write(bytes.subarray(0, bytes.length >> 1));
}

/** Sends the first half of the file and hangs up. */
export function hangUp(response, path) {
  const bytes = readFileSync(path);
  response.writeHead(200, { "Content-Length": bytes.length });
  response.write(bytes.subarray(0, bytes.length >> 1), () => response.destroy());
}

/** Sends the file in pieces, with pauses, without saying how long it is. */
export async function trickle(response, path, { pieces, pause }) {
  const bytes = readFileSync(path);
  const size = Math.ceil(bytes.length / pieces);
  for (let at = 0; at < bytes.length && !response.destroyed; at += size) {
    response.write(bytes.subarray(at, at + size));
    await new Promise((resolve) => setTimeout(resolve, pause));
  }
  response.end();
}
