// An oauth2-proxy-compatible proxy (double) in front of MLflow, for both routes to it.
//
//   node proxy.mjs CONFIG.json           (see platform.mjs for CONFIG.json)
//
// It does what the public documentation of oauth2-proxy says of these settings:
// skip_jwt_bearer_tokens=true, skip_provider_button=true, pass_access_token=true,
// pass_authorization_header=true, cookie_refresh=0, extra_jwt_issuers with a second
// audience, and bearer_token_login_fallback, which CONFIG.json may set to false under
// "proxy": then a bad bearer token gets 403 instead of a way to sign in. Tokens are
// checked by jose and the sign-in is run by openid-client (OpenID certified); what is
// the double is the choice between them and the shape of the answers.
import { createServer as createHttp } from "node:http";
import { createServer as createHttps } from "node:https";
import { readFileSync } from "node:fs";
import { createRemoteJWKSet, customFetch as josesFetch, jwtVerify } from "jose";
import * as oidc from "openid-client";
import { cleanHeaders, forwarder, identityHeaders } from "./forward.mjs";
import { Cookies, CSRF, SESSION } from "./session.mjs";
import { answering, escapeHtml, fetchTrusting, HttpError, listen } from "./web.mjs";
import { readConfig, readSecret, sendHtml, sendJson, serveUntilTold } from "./web.mjs";

const CLIENT = "mlflow-proxy";
const AUDIENCES = [CLIENT, "mlflow-device"];
const SCOPE = "openid email groups profile";
const SIGN_IN_SECONDS = 900;
const SESSION_SECONDS = 7 * 24 * 3600;

/** The relying party: finds the provider when first needed, then checks tokens. */
class Relying {
  constructor(config) {
    this.issuer = `https://127.0.0.1:${config.ports.platform}/dex`;
    this.secret = readSecret(config, "client.secret");
    this.fetch = fetchTrusting(config.tls.ca);
    this.keys = createRemoteJWKSet(new URL(`${this.issuer}/keys`), {
      [josesFetch]: this.fetch,
      cooldownDuration: 1000,
    });
  }

  async client() {
    const auth = oidc.ClientSecretBasic(this.secret);
    const options = { [oidc.customFetch]: this.fetch };
    const address = new URL(this.issuer);
    try {
      this.found ??= await oidc.discovery(address, CLIENT, {}, auth, options);
    } catch (cause) {
      const text = "the proxy does not reach the OpenID provider";
      throw new HttpError(502, "provider_unreachable", text, { cause });
    }
    return this.found;
  }

  /** The claims of an id token that is signed, fresh, ours and for us; or undefined. */
  async verify(token) {
    const { issuer } = this;
    const trust = { issuer, audience: AUDIENCES, algorithms: ["RS256"] };
    try {
      const options = { ...trust, requiredClaims: ["exp", "sub"] };
      return (await jwtVerify(token, this.keys, options)).payload;
    } catch (error) {
      console.error(`proxy token refused: ${error.code ?? error.name}`);
      return undefined;
    }
  }
}

/** One way to MLflow: an address, the path that it is mounted at, TLS or not. */
class Route {
  constructor({ relying, forward, cookieSecret, fallback }, { origin, base }) {
    Object.assign(this, { relying, forward, fallback, origin, base });
    this.scheme = new URL(origin).protocol.slice(0, -1);
    const secure = this.scheme === "https";
    this.cookies = new Cookies(cookieSecret, { path: `${base}/`, secure });
    this.callback = `${origin}${base}/oauth2/callback`;
  }

  async handle(req, res) {
    const [whole] = req.url.split("?");
    if (whole !== this.base && !whole.startsWith(`${this.base}/`)) {
      return sendHtml(res, 404, "<p>404: no such route</p>");
    }
    const path = whole.slice(this.base.length) || "/";
    const own = this.pages()[path];
    return own ? own.call(this, req, res) : this.pass(req, res);
  }

  pages() {
    return {
      "/ping": (_req, res) => sendHtml(res, 200, "OK"),
      "/oauth2/start": this.start,
      "/oauth2/sign_in": this.start,
      "/oauth2/callback": this.finish,
      "/oauth2/sign_out": this.signOut,
      "/oauth2/userinfo": this.userInfo,
      "/oauth2/auth": this.check,
    };
  }

  /** Everything else: on to MLflow with a session, to the sign-in without one. */
  async pass(req, res) {
    const session = await this.session(req);
    if (!session) return this.reject(req, res);
    const identity = identityHeaders(req, session, this.scheme);
    const path = req.url.slice(this.base.length) || "/";
    const onward = path.startsWith("/") ? path : `/${path}`;
    const headers = { ...cleanHeaders(req), ...identity };
    return this.forward(req, res, { path: onward, headers });
  }

  /** Who asks: a bearer token first, then the cookie. */
  async session(req) {
    const token = bearerOf(req);
    const claims = token && await this.relying.verify(token);
    if (claims) return { token, accessToken: token, claims };
    return this.cookies.open(req, SESSION);
  }

  async reject(req, res) {
    const { accept = "" } = req.headers;
    if (bearerOf(req) && !this.fallback) return sendHtml(res, 403, "<p>403</p>");
    if (/application\/json/i.test(accept)) return sendJson(res, 401, {});
    return this.toSignIn(req, res, req.url);
  }

  start(req, res) {
    const { searchParams } = new URL(req.url, this.origin);
    return this.toSignIn(req, res, searchParams.get("rd") ?? `${this.base}/`);
  }

  /** 302 to the provider; state, nonce and PKCE verifier wait in a sealed cookie. */
  async toSignIn(req, res, wanted) {
    const client = await this.relying.client();
    const verifier = oidc.randomPKCECodeVerifier();
    const [state, nonce] = [oidc.randomState(), oidc.randomNonce()];
    const url = oidc.buildAuthorizationUrl(client, {
      redirect_uri: this.callback,
      scope: SCOPE,
      state,
      nonce,
      code_challenge: await oidc.calculatePKCECodeChallenge(verifier),
      code_challenge_method: "S256",
    });
    const kept = { state, nonce, verifier, rd: this.local(wanted) };
    const cookie = await this.cookies.seal(CSRF, kept, SIGN_IN_SECONDS);
    redirect(req, res, url.href, [cookie]);
  }

  /** The callback: the cookie's state, a code that works once, then a session. */
  async finish(req, res) {
    const kept = await this.cookies.open(req, CSRF);
    const url = new URL(req.url, this.origin);
    if (!kept || url.searchParams.get("state") !== kept.state) {
      return sendHtml(res, 403, "<p>403: not begun in this browser, or too old</p>");
    }
    const tokens = await this.exchange(url, kept);
    if (!tokens) return sendHtml(res, 403, "<p>403: the provider refused the code</p>");
    const { sub, email, groups } = tokens.claims();
    const session = {
      token: tokens.id_token,
      accessToken: tokens.access_token,
      claims: { sub, email, groups },
    };
    const cookie = await this.cookies.seal(SESSION, session, SESSION_SECONDS);
    return redirect(req, res, kept.rd, [cookie, this.cookies.clear(CSRF)]);
  }

  async exchange(url, { state, nonce, verifier }) {
    const client = await this.relying.client();
    try {
      return await oidc.authorizationCodeGrant(client, url, {
        expectedState: state,
        expectedNonce: nonce,
        pkceCodeVerifier: verifier,
        idTokenExpected: true,
      });
    } catch (error) {
      console.error(`proxy code refused: ${error.error ?? error.code ?? error.name}`);
      return undefined;
    }
  }

  signOut(req, res) {
    const { searchParams } = new URL(req.url, this.origin);
    const next = this.local(searchParams.get("rd") ?? `${this.base}/`);
    return redirect(req, res, next, [this.cookies.clear(SESSION)]);
  }

  async userInfo(req, res) {
    const session = await this.session(req);
    if (!session) return sendJson(res, 401, {});
    const { sub: user, email, groups } = session.claims;
    return sendJson(res, 200, { user, email, groups });
  }

  async check(req, res) {
    const session = await this.session(req);
    res.writeHead(session ? 202 : 401).end();
  }

  /** A path on this host; anything that could lead elsewhere becomes the start page. */
  local(wanted) {
    const home = `${this.base}/`;
    if (!/^\/(?![/\\])[^\\\s\p{Cc}]*$/u.test(wanted)) return home;
    const url = new URL(wanted, this.origin);
    const plain = url.pathname + url.search;
    return url.origin === this.origin && !plain.startsWith("//") ? plain : home;
  }
}

function bearerOf({ headers }) {
  return /^Bearer (\S+)$/i.exec(headers.authorization ?? "")?.[1];
}

function redirect(req, res, location, cookies) {
  const link = `<a href="${escapeHtml(location)}">Found</a>.\n`;
  const body = req.method === "GET" ? link : "";
  req.resume();
  res.writeHead(302, {
    "Location": location,
    "Set-Cookie": cookies,
    "Content-Type": "text/html; charset=utf-8",
    "Content-Length": Buffer.byteLength(body),
    "Cache-Control": "no-store",
  });
  res.end(body);
}

async function main() {
  const config = readConfig();
  const { ports, tls } = config;
  const shared = {
    relying: new Relying(config),
    forward: forwarder(ports.mlflow_container),
    cookieSecret: readSecret(config, "cookie.secret"),
    fallback: config.proxy?.bearer_login_fallback ?? true,
  };
  const outside = new Route(shared, {
    origin: `https://127.0.0.1:${ports.mlflow}`,
    base: "/clusters/local/mlflow",
  });
  const inside = new Route(shared, {
    origin: `http://127.0.0.1:${ports.mlflow_service}`,
    base: "",
  });
  const handler = (route) => answering("proxy", (req, res) => route.handle(req, res));
  const pair = { key: readFileSync(tls.key), cert: readFileSync(tls.cert) };
  const servers = await Promise.all([
    listen(createHttps(pair, handler(outside)), ports.mlflow),
    listen(createHttp(handler(inside)), ports.mlflow_service),
  ]);
  serveUntilTold(servers);
}

await main();
