// Kubernetes RBAC API (double): the few calls that the MLflow plugin makes.
import { jwtVerify, createLocalJWKSet } from "jose";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { isAllowed, parseRules, readRules, selects } from "./rbac.mjs";
import { readJson, readSecret, sendJson } from "./web.mjs";

const REVIEWS = "/apis/authorization.k8s.io/v1";
const WHO = "/apis/authentication.k8s.io/v1/selfsubjectreviews";
const CONFIGS = "/apis/mlflow.kubeflow.org/v1/mlflowconfigs";
const SERVICE_ACCOUNT = "service-account.token";
const UNAUTHORIZED = [401, "Unauthorized", "Unauthorized"];

/** The cluster: its rules, who may ask, and the watches that stay open. */
export class Cluster {
  constructor({ config, issuer, keys }) {
    this.rbacFolder = config.rbac;
    this.keys = createLocalJWKSet(keys);
    this.trust = {
      issuer,
      audience: ["mlflow-proxy", "mlflow-device"],
      algorithms: ["RS256"],
      requiredClaims: ["exp", "email"],
    };
    this.ownToken = existsSync(join(config.secrets, SERVICE_ACCOUNT))
      ? readSecret(config, SERVICE_ACCOUNT) : undefined;
    this.version = this.first = Date.now(); // above all that an earlier process said
    this.events = [];
    this.watches = new Set();
    this.restoreRules();
  }

  restoreRules() {
    this.setDocuments(readRules(this.rbacFolder));
  }

  /** Rules of a YAML text instead of the files'; namespaces stay if it has none. */
  replaceRules(yaml) {
    const documents = parseRules(yaml);
    const named = documents.some(({ kind }) => kind === "Namespace");
    this.setDocuments(named ? documents : [...this.namespaces(), ...documents]);
  }

  setDocuments(documents) {
    const before = this.documents ? this.namespaces() : [];
    this.documents = documents;
    this.version += 1;
    const names = new Set(this.namespaces().map(nameOf));
    const gone = before.filter((one) => !names.has(nameOf(one)));
    gone.forEach((one) => this.tell("DELETED", one));
    const known = new Set(before.map(nameOf));
    for (const one of this.namespaces()) {
      this.tell(known.has(nameOf(one)) ? "MODIFIED" : "ADDED", one);
    }
  }

  namespaces() {
    return this.documents.filter(({ kind }) => kind === "Namespace");
  }

  tell(type, namespace) {
    const event = { version: this.version, type, object: this.stamped(namespace) };
    this.events.push(event);
    for (const watch of this.watches) send(watch, event);
  }

  stamped(object) {
    const { metadata, ...rest } = object;
    const resourceVersion = String(this.version);
    return { ...rest, metadata: { ...metadata, resourceVersion } };
  }

  /** Answer one request as an API server would. */
  async handle(req, res) {
    const url = new URL(req.url, "http://kubernetes");
    const who = await this.identify(req.headers.authorization);
    if (url.pathname === "/version") return sendJson(res, 200, VERSION);
    if (!who) return refuse(res, ...UNAUTHORIZED);
    const route = this.routes()[`${req.method} ${url.pathname}`];
    if (!route) return refuse(res, 404, "NotFound", "the double does not serve this");
    if (route.own && !who.own) {
      const text = `User "${who.user}" cannot do this at the cluster scope`;
      return refuse(res, 403, "Forbidden", text);
    }
    return route.answer.call(this, { req, res, url, who });
  }

  routes() {
    return {
      "GET /api/v1/namespaces": { answer: this.listNamespaces, own: true },
      [`GET ${CONFIGS}`]: { answer: this.listConfigs, own: true },
      [`POST ${REVIEWS}/selfsubjectaccessreviews`]: { answer: this.reviewSelf },
      [`POST ${REVIEWS}/subjectaccessreviews`]: { answer: this.reviewOther, own: true },
      [`POST ${WHO}`]: { answer: this.whoAmI },
    };
  }

  /** Who asks: the server's own account, or the verified e-mail of an id token. */
  async identify(header = "") {
    const token = /^Bearer (\S+)$/i.exec(header)?.[1];
    const own = { user: "system:serviceaccount:mlflow:mlflow", groups: [], own: true };
    if (this.ownToken === undefined && token === undefined) return own;
    if (token === undefined) return undefined;
    if (token === this.ownToken) return own;
    try {
      const { payload } = await jwtVerify(token, this.keys, this.trust);
      if (payload.email_verified === false) return undefined;
      const groups = [...(payload.groups ?? []), "system:authenticated"];
      return { user: payload.email, groups, own: false };
    } catch {
      return undefined;
    }
  }

  listNamespaces({ req, res, url }) {
    const selector = url.searchParams.get("labelSelector");
    if (isWatch(url)) return this.watch({ req, res, url, selector });
    const items = this.namespaces()
      .filter(({ metadata }) => selects(selector, metadata.labels))
      .map((one) => this.stamped(one));
    return sendJson(res, 200, this.list("NamespaceList", "v1", items));
  }

  listConfigs({ req, res, url }) {
    if (isWatch(url)) return this.watch({ req, res, url, selector: "!" });
    const version = "mlflow.kubeflow.org/v1";
    return sendJson(res, 200, this.list("MLflowConfigList", version, []));
  }

  list(kind, apiVersion, items) {
    const metadata = { resourceVersion: String(this.version) };
    return { kind, apiVersion, metadata, items };
  }

  watch({ req, res, url, selector }) {
    const seconds = Number(url.searchParams.get("timeoutSeconds") ?? 300);
    res.writeHead(200, { "Content-Type": "application/json" });
    res.flushHeaders();
    const watch = { res, selector };
    const since = Number(url.searchParams.get("resourceVersion") || this.version);
    if (since < this.first || since > this.version) return res.end(expired());
    if (selector !== "!") {
      // What happened between the list and this watch comes first.
      for (const event of this.events) if (event.version > since) send(watch, event);
      this.watches.add(watch);
    }
    const timer = setTimeout(() => res.end(), seconds * 1000);
    res.on("close", () => {
      clearTimeout(timer);
      this.watches.delete(watch);
    });
  }

  async reviewSelf({ req, res, who }) {
    return this.review(res, await readJson(req), who);
  }

  async reviewOther({ req, res }) {
    const body = await readJson(req);
    const { user, groups } = body.spec ?? {};
    return this.review(res, body, { user, groups: groups ?? [] });
  }

  review(res, body, subject) {
    const asked = body.spec?.resourceAttributes;
    if (!asked) return refuse(res, 422, "Invalid", "no spec.resourceAttributes");
    const allowed = isAllowed(this.documents, subject, asked);
    return sendJson(res, 201, { ...body, status: { allowed } });
  }

  whoAmI({ res, who }) {
    const { user: username, groups } = who;
    const kind = "SelfSubjectReview";
    const status = { userInfo: { username, groups } };
    return sendJson(res, 201, { kind, apiVersion: "authentication.k8s.io/v1", status });
  }
}

const VERSION = { major: "1", minor: "0", gitVersion: "v1.0.0-handbook-double" };

/** Tell a watch what happened, as far as its labels are concerned. */
function send({ res, selector }, { type, object }) {
  const seen = selects(selector, object.metadata.labels);
  if (type === "ADDED" && !seen) return;
  res.write(`${JSON.stringify({ type: seen ? type : "DELETED", object })}\n`);
}

/** What a watch is told that begins at a version of another time: list again. */
function expired() {
  const status = { kind: "Status", apiVersion: "v1", status: "Failure" };
  const object = { ...status, reason: "Expired", code: 410, message: "too old" };
  return `${JSON.stringify({ type: "ERROR", object })}\n`;
}

function nameOf({ metadata }) {
  return metadata.name;
}

function isWatch(url) {
  return ["true", "True", "1"].includes(url.searchParams.get("watch"));
}

function refuse(res, code, reason, message) {
  const kind = { kind: "Status", apiVersion: "v1", metadata: {}, status: "Failure" };
  return sendJson(res, code, { ...kind, message, reason, code });
}
