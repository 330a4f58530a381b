// The real OpenID provider (npm oidc-provider), set up to look like Dex from outside.
import { createPrivateKey, generateKeyPairSync, randomBytes } from "node:crypto";
import { existsSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import Provider from "oidc-provider";
import { escapeHtml, readSecret } from "./web.mjs";

const SCOPES = ["openid", "offline_access", "email", "groups", "profile"];
const DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code";
const HOUR = 3600;

/** The provider, its public keys, and the dial for the life of id tokens. */
export function openProvider(config, accounts) {
  const { ports } = config;
  const issuer = `https://127.0.0.1:${ports.platform}/dex`;
  const dial = { tokenSeconds: config.token_seconds };
  const key = signingKey(config);
  const provider = new Provider(issuer, {
    clients: clients(config),
    jwks: { keys: [key] },
    findAccount: (_ctx, sub) => account(accounts.withSub(sub)),
    claims: claims(),
    conformIdTokenClaims: false,
    scopes: SCOPES,
    pkce: { required: () => true },
    rotateRefreshToken: true,
    ttl: lifetimes(dial),
    cookies: { keys: [randomBytes(32).toString("hex")] },
    routes: routes(),
    interactions: { url: (_ctx, { uid }) => `/dex/interaction/${uid}` },
    features: { devInteractions: { enabled: false }, deviceFlow: { enabled: true } },
    renderError,
  });
  return { provider, issuer, dial, keys: { keys: [publicPart(key)] } };
}

function claims() {
  return {
    openid: ["sub"],
    email: ["email", "email_verified"],
    groups: ["groups"],
    profile: ["name", "preferred_username"],
  };
}

function account(person) {
  if (!person) return undefined;
  const { sub, email, name, groups } = person;
  const about = { sub, email, email_verified: true, groups, name };
  return {
    accountId: sub,
    claims: async () => ({ ...about, preferred_username: name }),
  };
}

function clients({ ports, secrets }) {
  const platform = `https://127.0.0.1:${ports.platform}`;
  const own = (name) => readSecret({ secrets }, name);
  const web = { grant_types: ["authorization_code", "refresh_token"] };
  return [
    {
      ...web,
      client_id: "mlflow-proxy",
      client_secret: own("client.secret"),
      redirect_uris: [
        `${platform}/oauth2/callback`,
        `https://127.0.0.1:${ports.mlflow}/clusters/local/mlflow/oauth2/callback`,
        `http://127.0.0.1:${ports.mlflow_service}/oauth2/callback`,
      ],
    },
    {
      ...web,
      client_id: "other-app",
      client_secret: own("other-client.secret"),
      redirect_uris: [`${platform}/oauth2/callback`],
    },
    {
      client_id: "mlflow-device",
      token_endpoint_auth_method: "none",
      application_type: "native",
      grant_types: [DEVICE_GRANT, "refresh_token"],
      response_types: [],
      redirect_uris: [],
    },
  ];
}

/** Lifetimes in seconds; that of id tokens is read when each is issued. */
function lifetimes(dial) {
  return {
    AccessToken: HOUR,
    AuthorizationCode: 60,
    DeviceCode: 600,
    Grant: 24 * HOUR,
    IdToken: () => dial.tokenSeconds,
    Interaction: 600,
    RefreshToken: 24 * HOUR,
    Session: 24 * HOUR,
  };
}

/** The paths that Dex serves, so that a client made for Dex finds them. */
function routes() {
  return {
    authorization: "/auth",
    token: "/token",
    jwks: "/keys",
    userinfo: "/userinfo",
    device_authorization: "/device/code",
    code_verification: "/device",
  };
}

/** One RS256 key a sandbox, kept over a restart so that old tokens stay valid. */
function signingKey({ secrets }) {
  const path = join(secrets, "signing-key.json");
  if (existsSync(path)) return JSON.parse(readFileSync(path, "utf8"));
  // Through PEM: Node.js 20 can wait for ever in the export of one key of a pair whose
  // other key is collected meanwhile: at 1 of some 250 pairs here, and once at an `up`.
  const { privateKey } = generateKeyPairSync("rsa", {
    modulusLength: 2048,
    publicKeyEncoding: { type: "spki", format: "pem" },
    privateKeyEncoding: { type: "pkcs8", format: "pem" },
  });
  const kid = randomBytes(8).toString("hex");
  const jwk = createPrivateKey(privateKey).export({ format: "jwk" });
  const key = { ...jwk, kid, alg: "RS256", use: "sig" };
  writeFileSync(`${path}.new`, JSON.stringify(key), { mode: 0o600 });
  renameSync(`${path}.new`, path);
  return key;
}

function publicPart({ kty, n, e, kid, alg, use }) {
  return { kty, n, e, kid, alg, use };
}

function renderError(ctx, out) {
  if (ctx.accepts("json", "html") === "json") {
    ctx.body = { error: out.error, error_description: out.error_description };
    return;
  }
  ctx.type = "html";
  const text = escapeHtml(`${out.error}: ${out.error_description}`);
  ctx.body = `<!doctype html><title>Sign-in failed</title><p role="alert">${text}</p>`;
}

/** Grant a client all it asked for, as Dex does with `skipApprovalScreen`. */
export async function grantAll(provider, clientId, accountId, scope) {
  const grant = new provider.Grant({ accountId, clientId });
  grant.addOIDCScope(scope);
  return grant.save();
}

/** Play the human of the device flow: approve a user code as this person. */
export async function approveDevice(provider, userCode, person) {
  const plain = userCode.replace(/[^a-zA-Z]/g, "").toUpperCase();
  const code = await provider.DeviceCode.findByUserCode(plain);
  if (!code || code.isExpired || code.accountId) return false;
  const { scope, ...others } = code.params;
  code.grantId = await grantAll(provider, code.clientId, person.sub, scope);
  code.accountId = person.sub;
  code.authTime = Math.floor(Date.now() / 1000);
  code.scope = scope;
  code.nonce = others.nonce;
  await code.save();
  return true;
}
