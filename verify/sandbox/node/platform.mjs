// The platform of the sandbox: sign-in, Kubernetes rules and a control port.
//
//   node platform.mjs CONFIG.json        (proxy.mjs takes the same argument)
//
// CONFIG.json is written by `python -m verify.sandbox up`:
//   {"folder": "/…", "secrets": "/…/secrets", "rbac": "/…/verify/sandbox/rbac",
//    "ports": {"platform", "mlflow", "mlflow_service", "mlflow_container",
//              "kubernetes", "control"},
//    "tls": {"key": path, "cert": path, "ca": path},
//    "users": {"alice": {"email": "alice@example.com", "workspaces": ["team-a"]}},
//    "token_seconds": 600,
//    "proxy": {"bearer_login_fallback": true}}          (optional, proxy.mjs only)
// Secrets read: USER.password, client.secret, other-client.secret, control.key, and by
// proxy.mjs client.secret and cookie.secret. Written: secrets/signing-key.json (0600),
// so that a token stays valid when the platform starts again. If there is a file
// secrets/service-account.token, the Kubernetes double wants it as bearer token for
// lists, watches and SubjectAccessReview; otherwise it answers those without one.
//
// Each program listens on 127.0.0.1 only, prints the line `ready` to stdout once all
// its ports are open, logs one line a request to stderr (path without query, no
// secret), and leaves with code 0 on SIGTERM. The proxy finds the platform at its first
// need, so the order of start does not matter.
import { createServer as createHttp } from "node:http";
import { createServer as createHttps } from "node:https";
import { readFileSync } from "node:fs";
import { Accounts } from "./accounts.mjs";
import { control } from "./control.mjs";
import { Cluster } from "./kubernetes.mjs";
import { LoginApi, loginPage } from "./login.mjs";
import { openProvider } from "./provider.mjs";
import { answering, listen, plainPath, readBody, readConfig } from "./web.mjs";
import { serveUntilTold } from "./web.mjs";

const MOUNT = "/dex";

/** The HTTPS routes: the login API (double), the login page, then the provider. */
function platform({ provider, issuer, accounts, ca, counts }) {
  const api = new LoginApi({ issuer, accounts, ca });
  const page = loginPage(provider, accounts);
  const certified = provider.callback();
  const own = {
    "GET /dex/api/v1/authorize": (req, res) => api.authorize(req, res),
    "POST /dex/api/v1/authorize/local": (req, res) => api.local(req, res),
    "GET /dex/pubkey": (req, res) => api.pubkey(req, res),
  };
  return async (req, res) => {
    const path = req.url.split("?")[0];
    const counted = plainPath(req.url);
    counts.set(counted, (counts.get(counted) ?? 0) + 1);
    const handler = own[`${req.method} ${path}`];
    if (handler) return handler(req, res);
    if (path.startsWith(`${MOUNT}/interaction/`)) return page(req, res);
    if (!path.startsWith(`${MOUNT}/`)) return res.writeHead(404).end();
    await likeDex(req, path);
    return certified(mounted(req), res);
  };
}

function mounted(req) {
  req.originalUrl = req.url;
  req.url = req.url.slice(MOUNT.length);
  return req;
}

/**
 * Two habits of Dex that the certified provider leaves to its owner.
 *
 * `offline_access` gives a refresh token without a page that asks for consent, and a
 * client secret is taken from the form as well as from the Authorization header.
 */
async function likeDex(req, path) {
  if (path === `${MOUNT}/auth` && req.method === "GET") askConsent(req);
  if (path === `${MOUNT}/token` && req.method === "POST") await acceptPosted(req);
}

function askConsent(req) {
  const url = new URL(req.url, "https://platform");
  const scopes = url.searchParams.get("scope")?.split(" ") ?? [];
  if (!scopes.includes("offline_access") || url.searchParams.has("prompt")) return;
  url.searchParams.set("prompt", "consent");
  req.url = url.pathname + url.search;
}

async function acceptPosted(req) {
  const form = new URLSearchParams(await readBody(req));
  const [id, secret] = [form.get("client_id"), form.get("client_secret")];
  if (id && secret && !req.headers.authorization) {
    const pair = [id, secret].map(encodeURIComponent).join(":");
    req.headers.authorization = `Basic ${Buffer.from(pair).toString("base64")}`;
    form.delete("client_secret");
  }
  req.body = Object.fromEntries(form);
}

async function main() {
  const config = readConfig();
  const { ports, tls } = config;
  const accounts = new Accounts(config);
  const opened = openProvider(config, accounts);
  const cluster = new Cluster({ config, ...opened });
  const counts = new Map();
  const parts = { config, accounts, cluster, counts, ca: tls.ca, ...opened };
  const pair = { key: readFileSync(tls.key), cert: readFileSync(tls.cert) };
  const servers = await Promise.all([
    listen(createHttps(pair, answering("platform", platform(parts))), ports.platform),
    listen(
      createHttp(answering("kubernetes", (req, res) => cluster.handle(req, res))),
      ports.kubernetes,
    ),
    listen(createHttp(answering("control", control(parts))), ports.control),
  ]);
  serveUntilTold(servers);
}

await main();
