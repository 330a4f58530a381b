// Passes a request on to MLflow, with the identity that the proxy vouches for.
import { Agent, request } from "node:http";
import { othersCookies } from "./session.mjs";

const HOP = ["connection", "expect", "keep-alive", "proxy-authenticate",
  "proxy-authorization", "proxy-connection",
  "te", // codespell:ignore te
  "trailer", "transfer-encoding", "upgrade"];
const IDLE = 4000; // ms; shorter than uvicorn's 5 s, so that none is closed in use
const IDENTITY = new RegExp("^(x-forwarded-|x-remote-|x-auth-request-"
  + "|(x-real-ip|forwarded|authorization|cookie)$)");

/**
 * The headers of the client without those that name an identity.
 *
 * An underscore counts as a dash, because a WSGI server behind takes one for the other.
 */
export function cleanHeaders({ rawHeaders }) {
  const kept = {};
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i].toLowerCase();
    const value = rawHeaders[i + 1];
    if (IDENTITY.test(name.replaceAll("_", "-")) || HOP.includes(name)) continue;
    kept[name] = name in kept ? [kept[name], value].flat() : value;
  }
  return kept;
}

/** The headers that say who asks, from a checked session. */
export function identityHeaders(req, { token, accessToken, claims }, scheme) {
  const cookie = othersCookies(req);
  return {
    ...(cookie ? { cookie } : {}),
    "authorization": `Bearer ${token}`,
    "x-forwarded-access-token": accessToken,
    "x-forwarded-user": claims.sub,
    "x-forwarded-email": claims.email ?? "",
    "x-forwarded-groups": (claims.groups ?? []).join(","),
    "x-forwarded-for": req.socket.remoteAddress,
    "x-forwarded-host": req.headers.host ?? "",
    "x-forwarded-proto": scheme,
  };
}

/** A function that streams a request to MLflow and its answer back. */
export function forwarder(port) {
  const agent = new Agent({ keepAlive: true, maxSockets: 64, timeout: IDLE });
  return (req, res, { path, headers }) => {
    const chunked = req.headers["transfer-encoding"] !== undefined;
    const all = chunked ? { ...headers, "transfer-encoding": "chunked" } : headers;
    const { method } = req;
    const options = { agent, host: "127.0.0.1", port, method, path, headers: all };
    const onward = request(options, (answer) => passBack(answer, res));
    onward.on("error", () => badGateway(res));
    res.on("close", () => onward.destroy());
    req.pipe(onward);
  };
}

function passBack(answer, res) {
  const headers = { ...answer.headers };
  for (const name of HOP) delete headers[name];
  res.writeHead(answer.statusCode, headers);
  answer.on("error", () => res.destroy());
  answer.on("aborted", () => res.destroy());
  answer.pipe(res);
}

function badGateway(res) {
  if (res.headersSent) return res.destroy();
  const body = "502 Bad Gateway: the server behind the proxy does not answer\n";
  res.writeHead(502, { "Content-Type": "text/plain; charset=utf-8" });
  return res.end(body);
}
