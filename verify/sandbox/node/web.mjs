// What every server of the sandbox needs: bodies, answers, a log without secrets, TLS.
import { Agent, request as httpsRequest } from "node:https";
import { readFileSync } from "node:fs";
import { join } from "node:path";

const LIMIT = 1024 * 1024;

/** The JSON settings that `python -m verify.sandbox up` wrote for this program. */
export function readConfig() {
  const [path] = process.argv.slice(2);
  if (!path) throw new Error("give the path of the sandbox's JSON settings");
  return JSON.parse(readFileSync(path, "utf8"));
}

/** A secret of this sandbox by file name, such as `alice.password`. */
export function readSecret(config, name) {
  return readFileSync(join(config.secrets, name), "utf8").trim();
}

/** The whole body of a request as text; more than 1 MiB is refused. */
export async function readBody(req) {
  const parts = [];
  let size = 0;
  for await (const part of req) {
    size += part.length;
    if (size > LIMIT) throw new HttpError(413, "too_large", "the body is over 1 MiB");
    parts.push(part);
  }
  return Buffer.concat(parts).toString("utf8");
}

/** The body of a request as JSON, or a 400 that says so. */
export async function readJson(req) {
  const text = await readBody(req);
  try {
    return JSON.parse(text || "{}");
  } catch (cause) {
    throw new HttpError(400, "invalid_request", "the body is not JSON", { cause });
  }
}

/** An answer that is an error: a status, OAuth's `error` and `error_description`. */
export class HttpError extends Error {
  constructor(status, error, description, options) {
    super(description, options);
    this.status = status;
    this.error = error;
  }
}

export function sendJson(res, status, body) {
  send(res, status, "application/json", JSON.stringify(body));
}

export function sendHtml(res, status, body) {
  send(res, status, "text/html; charset=utf-8", body);
}

function send(res, status, type, body) {
  res.writeHead(status, {
    "Content-Type": type,
    "Content-Length": Buffer.byteLength(body),
    "Cache-Control": "no-store",
  });
  res.end(body);
}

/** Wrap a handler: errors become answers, and each request one line in the log. */
export function answering(name, handler) {
  return async (req, res) => {
    const start = performance.now();
    const { method } = req;
    const path = plainPath(req.url);
    res.on("close", () => {
      const took = (performance.now() - start).toFixed(0);
      const now = new Date().toISOString();
      console.error(`${now} ${name} ${method} ${path} ${res.statusCode} ${took} ms`);
    });
    try {
      await handler(req, res);
    } catch (error) {
      answerError(res, error, name);
    }
  };
}

/** A path without its query and without the name of somebody's sign-in. */
export function plainPath(url) {
  return url.split("?")[0].replace(/^(\/dex\/(?:interaction|auth))\/.+$/, "$1/…");
}

function answerError(res, error, name) {
  const known = error instanceof HttpError;
  if (!known) console.error(`${name} failed: ${error.name} ${error.code ?? ""}`);
  if (res.headersSent) return res.destroy();
  const body = {
    error: known ? error.error : "server_error",
    error_description: known ? error.message : "the sandbox failed, see its log",
  };
  return sendJson(res, known ? error.status : 500, body);
}

/** Listen on loopback only, resolve once the port is open. */
export function listen(server, port) {
  server.keepAliveTimeout = 65_000; // ms; a client that pauses keeps its connection
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, "127.0.0.1", () => resolve(server));
  });
}

/** Say `ready`, and leave at once when asked to. */
export function serveUntilTold(servers) {
  const stop = () => {
    for (const server of servers) {
      server.close();
      server.closeAllConnections();
    }
    process.exit(0);
  };
  process.on("SIGTERM", stop);
  process.on("SIGINT", stop);
  process.stdout.write("ready\n");
}

/** `fetch` that trusts the sandbox's own authority and never follows a redirect. */
export function fetchTrusting(caPath) {
  const agent = new Agent({ ca: readFileSync(caPath), keepAlive: true });
  return (url, options = {}) => {
    const headers = Object.fromEntries(new Headers(options.headers));
    const body = options.body === undefined ? undefined : String(options.body ?? "");
    if (body !== undefined) headers["content-length"] = Buffer.byteLength(body);
    const method = options.method ?? "GET";
    const { signal } = options;
    return new Promise((resolve, reject) => {
      const sent = httpsRequest(String(url), { agent, method, headers, signal });
      sent.on("error", reject);
      sent.on("response", (answer) => readBody(answer).then(
        (text) => resolve(asResponse(answer, text)), reject));
      sent.end(body);
    });
  };
}

function asResponse(answer, text) {
  const headers = new Headers();
  for (let i = 0; i < answer.rawHeaders.length; i += 2) {
    headers.append(answer.rawHeaders[i], answer.rawHeaders[i + 1]);
  }
  const empty = [204, 205, 304].includes(answer.statusCode);
  return new Response(empty ? null : text, { status: answer.statusCode, headers });
}

const ESCAPES = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" };

export function escapeHtml(text) {
  return String(text).replace(/[&<>"']/g, (sign) => ESCAPES[sign]);
}
