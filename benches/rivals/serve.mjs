// A server for the measurements. Its origin is isolated, so that engines can use threads.

import { createReadStream, readFileSync, statSync } from "node:fs";
import { createServer } from "node:http";
import { extname, join, normalize } from "node:path";

const TYPES = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript",
  ".mjs": "text/javascript",
  ".json": "application/json",
  ".wasm": "application/wasm",
};

/** Serves folders under their names. */
export async function serve(folders) {
  const server = createServer((request, response) => {
    const [, name, ...rest] = decodeURIComponent(new URL(request.url, "http://localhost").pathname).split("/");
    const file = folders[name] && join(folders[name], normalize(`/${rest.join("/")}`));
    response.setHeader("Cross-Origin-Opener-Policy", "same-origin");
    response.setHeader("Cross-Origin-Embedder-Policy", "require-corp");
    response.setHeader("Cross-Origin-Resource-Policy", "same-origin");
    const size = file ? sizeOf(file) : null;
    if (size === null) {
      response.writeHead(404).end();
      return;
    }
    response.setHeader("Content-Type", TYPES[extname(file)] ?? "application/octet-stream");
    // Counts the calls of this project's worker too.
    if (name === "pkg" && rest.join("/") === "worker.js") {
      response.end(`import "/rivals/count.js";\n${readFileSync(file, "utf8")}`);
      return;
    }
    response.setHeader("Content-Length", size);
    if (request.method === "HEAD") response.end();
    else createReadStream(file).pipe(response);
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const stop = () => {
    server.closeAllConnections();
    server.close();
  };
  return { address: `http://localhost:${server.address().port}`, stop };
}

/** The size of a file in bytes; null if it does not exist. */
function sizeOf(file) {
  const found = statSync(file, { throwIfNoEntry: false });
  return found?.isFile() ? found.size : null;
}
