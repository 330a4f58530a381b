// Two ways to sign in: an HTML form, and the login API (Dex-like, a double).
import { constants, generateKeyPair, privateDecrypt, randomBytes } from "node:crypto";
import { promisify } from "node:util";
import { grantAll } from "./provider.mjs";
import { escapeHtml, fetchTrusting, HttpError } from "./web.mjs";
import { readBody, readJson, sendHtml, sendJson } from "./web.mjs";

const PKCE_MISSING = "PKCE code_challenge is required";
const OFFER_SECONDS = 300;

/** The login page of the provider: GET shows a form, POST signs in. */
export function loginPage(provider, accounts) {
  return async (req, res) => {
    const details = await detailsOf(provider, req, res);
    const { params, session, prompt } = details;
    if (prompt.name === "consent") {
      return finish(provider, req, res, params, session.accountId);
    }
    if (req.method !== "POST") return sendHtml(res, 200, form(details.uid));
    const fields = new URLSearchParams(await readBody(req));
    try {
      const person = accounts.signIn(fields.get("login"), fields.get("password"));
      return await finish(provider, req, res, params, person.sub);
    } catch (error) {
      if (!(error instanceof HttpError)) throw error;
      return sendHtml(res, error.status, form(details.uid, error.message));
    }
  };
}

async function detailsOf(provider, req, res) {
  try {
    return await provider.interactionDetails(req, res);
  } catch (cause) {
    const text = "this sign-in has ended: begin again";
    throw new HttpError(400, "invalid_request", text, { cause });
  }
}

async function finish(provider, req, res, params, accountId) {
  const grantId = await grantAll(provider, params.client_id, accountId, params.scope);
  const result = { login: { accountId }, consent: { grantId } };
  return provider.interactionFinished(req, res, result);
}

function form(uid, problem) {
  const alert = problem ? `<p role="alert">${escapeHtml(problem)}</p>` : "";
  return `<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>Sign in to the sandbox</title>
<meta name="viewport" content="width=device-width"></head>
<body>
<h1>Sign in</h1>
${alert}
<form method="post" action="/dex/interaction/${escapeHtml(uid)}">
<label>Account <input name="login" autocomplete="username" required></label>
<label>Password <input name="password" type="password" required></label>
<button type="submit">Sign in</button>
</form>
</body>
</html>`;
}

/**
 * The login API (double): what a script speaks instead of the form.
 *
 * It signs in by playing a browser at the real provider, so that the code that it
 * hands out, its redirect URI, PKCE and state are the provider's own.
 */
export class LoginApi {
  constructor({ issuer, accounts, ca }) {
    Object.assign(this, { issuer, accounts, fetch: fetchTrusting(ca) });
    this.requests = new Map();
    this.offers = new Map();
  }

  /** GET /api/v1/authorize?<authorization query> -> {"req"} */
  async authorize(req, res) {
    const { searchParams } = new URL(req.url, this.issuer);
    if (!searchParams.get("code_challenge")) {
      throw new HttpError(400, "invalid_request", PKCE_MISSING);
    }
    const browser = new Browser(this.fetch);
    const answer = await browser.get(`${this.issuer}/auth?${searchParams}`);
    const page = answer.headers.get("location");
    if (!page?.startsWith("/dex/interaction/")) throw await refusal(answer);
    const name = randomBytes(16).toString("base64url");
    this.requests.set(name, { browser, page: new URL(page, this.issuer).href });
    sendJson(res, 200, { req: name });
  }

  /** GET /pubkey -> {"ts", "pubkey"}: what to encrypt a password with */
  async pubkey(_req, res) {
    const { publicKey } = await this.keyPair();
    const ts = String(Date.now());
    this.offers.set(ts, Date.now() + OFFER_SECONDS * 1000);
    const pubkey = publicKey.export({ type: "spki", format: "pem" });
    sendJson(res, 200, { ts, pubkey });
  }

  keyPair() {
    this.pair ??= promisify(generateKeyPair)("rsa", { modulusLength: 2048 });
    return this.pair;
  }

  /** POST /api/v1/authorize/local?req= {"account", "password"} -> {"redirect_url"} */
  async local(req, res) {
    const name = new URL(req.url, this.issuer).searchParams.get("req");
    const pending = this.requests.get(name);
    if (!pending) {
      throw new HttpError(400, "invalid_request", "req is unknown or was used");
    }
    const { account, password } = await readJson(req);
    const plain = await this.decrypt(password);
    this.accounts.signIn(account, plain);
    this.requests.delete(name);
    sendJson(res, 200, { redirect_url: await signIn(pending, account, plain) });
  }

  async decrypt(sealed) {
    const { privateKey } = await this.keyPair();
    const plain = openPkcs1(privateKey, Buffer.from(String(sealed), "base64"));
    const { ts, password } = parsed(plain);
    const until = this.offers.get(String(ts)) ?? 0;
    if (until >= Date.now()) return password;
    const text = "the password is not encrypted with a fresh public key";
    throw new HttpError(400, "invalid_request", text);
  }
}

function parsed(plain) {
  try {
    return JSON.parse(plain.toString("utf8")) ?? {};
  } catch {
    return {};
  }
}

async function signIn({ browser, page }, login, password) {
  let answer = await browser.post(page, new URLSearchParams({ login, password }));
  const resume = answer.headers.get("location");
  if (!resume) throw await refusal(answer);
  answer = await browser.get(new URL(resume, page).href);
  const callback = answer.headers.get("location");
  if (!callback) throw await refusal(answer);
  return callback;
}

/** The provider's refusal, wherever it put it: in a redirect or in the body. */
async function refusal(answer) {
  const location = answer.headers.get("location");
  const said = location
    ? Object.fromEntries(new URL(location).searchParams)
    : parsed(Buffer.from(await answer.text()));
  const error = said.error ?? "server_error";
  return new HttpError(400, error, said.error_description ?? "the provider refused");
}

/** A browser as far as a sign-in needs one: it keeps cookies, it follows nothing. */
class Browser {
  constructor(fetch) {
    this.fetch = fetch;
    this.cookies = new Map();
  }

  get(url) {
    return this.go(url, { method: "GET" });
  }

  post(url, body) {
    const type = { "Content-Type": "application/x-www-form-urlencoded" };
    return this.go(url, { method: "POST", headers: type, body });
  }

  async go(url, options) {
    const cookie = [...this.cookies].map((pair) => pair.join("=")).join("; ");
    const headers = { Accept: "application/json", ...options.headers };
    if (cookie) headers.Cookie = cookie;
    const answer = await this.fetch(url, { ...options, headers });
    for (const line of answer.headers.getSetCookie()) {
      const [name, ...value] = line.split(";")[0].split("=");
      this.cookies.set(name, value.join("="));
    }
    return answer;
  }
}

/**
 * RSA decryption with PKCS#1 v1.5 padding (RFC 8017, section 7.2.2), by hand.
 *
 * Node 20 and later refuse this padding, because a server that tells bad padding from
 * a bad password leaks the plain text. Bad padding gives empty bytes here, so that the
 * answer is the one for any other password that cannot be read.
 */
export function openPkcs1(key, sealed) {
  const { modulusLength } = key.asymmetricKeyDetails;
  if (sealed.length !== modulusLength / 8) return Buffer.alloc(0);
  let block;
  try {
    block = privateDecrypt({ key, padding: constants.RSA_NO_PADDING }, sealed);
  } catch {
    return Buffer.alloc(0);
  }
  const end = block.indexOf(0, 2);
  const padded = block[0] === 0 && block[1] === 2 && end >= 10;
  return padded ? block.subarray(end + 1) : Buffer.alloc(0);
}
