// What the proxy keeps in a browser: sealed cookies that only it can read or make.
import { createHash } from "node:crypto";
import { EncryptJWT, jwtDecrypt } from "jose";

export const SESSION = "_oauth2_proxy";
export const CSRF = "_oauth2_proxy_csrf";
const LIMIT = 4096;

/** Seals and opens cookies with AES-256-GCM, for one route (its path, TLS or not). */
export class Cookies {
  constructor(secret, { path, secure }) {
    this.key = createHash("sha256").update(secret).digest();
    this.attributes = `Path=${path}; HttpOnly; SameSite=Lax${secure ? "; Secure" : ""}`;
  }

  /** A Set-Cookie line that holds `claims` for `seconds`. */
  async seal(name, claims, seconds) {
    const value = await new EncryptJWT(claims)
      .setProtectedHeader({ alg: "dir", enc: "A256GCM" })
      .setAudience(name)
      .setExpirationTime(Math.floor(Date.now() / 1000) + seconds)
      .encrypt(this.key);
    if (value.length > LIMIT) throw new Error(`cookie ${name} is over ${LIMIT} bytes`);
    return `${name}=${value}; ${this.attributes}; Max-Age=${seconds}`;
  }

  /** The claims of a cookie, or undefined if it is missing, altered or too old. */
  async open(req, name) {
    const value = cookiesOf(req)[name];
    if (!value) return undefined;
    try {
      const options = { audience: name, requiredClaims: ["exp"] };
      return (await jwtDecrypt(value, this.key, options)).payload;
    } catch {
      return undefined;
    }
  }

  clear(name) {
    return `${name}=; ${this.attributes}; Max-Age=0`;
  }
}

function cookiesOf({ headers }) {
  const pairs = (headers.cookie ?? "").split(";").map((pair) => pair.trim().split("="));
  return Object.fromEntries(pairs.map(([name, ...value]) => [name, value.join("=")]));
}

/** The Cookie header without the proxy's own cookies, for the server behind it. */
export function othersCookies({ headers }) {
  return (headers.cookie ?? "")
    .split(";")
    .map((pair) => pair.trim())
    .filter((pair) => pair && !pair.startsWith(SESSION))
    .join("; ");
}
