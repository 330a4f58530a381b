// Who may sign in: passwords compared in constant time, and the count of failures.
import { createHash, timingSafeEqual } from "node:crypto";
import { HttpError, readSecret } from "./web.mjs";

const FAILURES_BEFORE_CAPTCHA = 3;

/** The people of the sandbox, and how often each failed to sign in. */
export class Accounts {
  constructor(config) {
    this.failures = new Map();
    this.people = Object.entries(config.users).map(([name, user]) => ({
      name,
      email: user.email,
      groups: user.groups ?? user.workspaces ?? [],
      sub: digest(`handbook-sandbox:${name}`).toString("base64url").slice(0, 28),
      password: digest(readSecret(config, `${name}.password`)),
    }));
  }

  /** The person behind an account name or an e-mail address. */
  named(account) {
    return this.people.find(({ name, email }) => [name, email].includes(account));
  }

  withSub(sub) {
    return this.people.find((person) => person.sub === sub);
  }

  /** The person, if the password fits; otherwise 401, or 403 after too many. */
  signIn(account, password) {
    const person = this.named(account);
    const key = person?.name ?? String(account);
    const failed = this.failures.get(key) ?? 0;
    if (failed >= FAILURES_BEFORE_CAPTCHA) {
      throw new HttpError(403, "CaptchaError", "captcha required");
    }
    const right = person?.password ?? digest("nobody");
    const fits = timingSafeEqual(digest(String(password)), right);
    if (person && fits) {
      this.failures.delete(key);
      return person;
    }
    this.failures.set(key, failed + 1);
    throw new HttpError(401, "invalid_credentials", "account or password is wrong");
  }

  resetFailures() {
    this.failures.clear();
  }
}

function digest(text) {
  return createHash("sha256").update(text).digest();
}
