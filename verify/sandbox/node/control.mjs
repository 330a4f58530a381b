// The control port: turns the dials that a test needs, for the holder of the key.
import { timingSafeEqual } from "node:crypto";
import { approveDevice } from "./provider.mjs";
import { HttpError, readJson, readSecret, sendJson } from "./web.mjs";

/** A handler for the control port; every call needs the header X-Sandbox-Key. */
export function control({ config, provider, dial, accounts, cluster, counts }) {
  const key = Buffer.from(readSecret(config, "control.key"));
  const routes = {
    "GET /requests": () => Object.fromEntries(counts),
    "POST /token-seconds": ({ seconds }) => setSeconds(dial, seconds),
    "POST /reset-failures": () => accounts.resetFailures(),
    "POST /rbac": ({ yaml }) => replaceRules(cluster, yaml),
    "DELETE /rbac": () => cluster.restoreRules(),
    "POST /approve-device": (body) => approve(provider, accounts, body),
  };
  return async (req, res) => {
    const sent = Buffer.from(req.headers["x-sandbox-key"] ?? "");
    if (sent.length !== key.length || !timingSafeEqual(sent, key)) {
      throw new HttpError(403, "forbidden", "X-Sandbox-Key is missing or wrong");
    }
    const route = routes[`${req.method} ${req.url.split("?")[0]}`];
    if (!route) throw new HttpError(404, "not_found", "no such control");
    sendJson(res, 200, (await route(await readJson(req))) ?? { ok: true });
  };
}

function setSeconds(dial, seconds) {
  if (!Number.isInteger(seconds) || seconds < 1) {
    const text = "seconds must be a whole number from 1";
    throw new HttpError(400, "invalid_request", text);
  }
  dial.tokenSeconds = seconds;
}

function replaceRules(cluster, yaml) {
  try {
    cluster.replaceRules(String(yaml));
  } catch (cause) {
    throw new HttpError(400, "invalid_request", cause.message, { cause });
  }
}

async function approve(provider, accounts, { user_code: code, user }) {
  const person = accounts.named(user);
  if (!person) throw new HttpError(400, "invalid_request", "no such user");
  if (await approveDevice(provider, String(code), person)) return { ok: true };
  throw new HttpError(400, "invalid_request", "the user code is unknown or was used");
}
