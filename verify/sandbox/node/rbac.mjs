// Kubernetes RBAC, evaluated as its documentation says: rules only ever allow.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { loadAll } from "js-yaml";

const ROLES = ["Role", "ClusterRole"];
const BINDINGS = ["RoleBinding", "ClusterRoleBinding"];

/** All documents of a folder of YAML files, in the order of their names. */
export function readRules(folder) {
  const files = readdirSync(folder).filter((name) => /\.ya?ml$/.test(name)).sort();
  return files.flatMap((name) => parseRules(readFileSync(join(folder, name), "utf8")));
}

/** The Kubernetes objects of a YAML text, or an error that names the odd one. */
export function parseRules(text) {
  const documents = loadAll(text).filter(Boolean);
  for (const { kind, metadata } of documents) {
    if (![...ROLES, ...BINDINGS, "Namespace"].includes(kind) || !metadata?.name) {
      const what = kind ?? "a document";
      throw new Error(`${what} is not a named Namespace, Role or binding`);
    }
  }
  return documents;
}

/**
 * Whether some binding gives this subject what it asks for.
 *
 * `subject` is {user, groups}; `asked` is the `resourceAttributes` of an access review:
 * group, resource, subresource, verb, namespace, name.
 */
export function isAllowed(documents, subject, asked) {
  return documents
    .filter(({ kind }) => BINDINGS.includes(kind))
    .filter((binding) => reaches(binding, asked.namespace))
    .filter(({ subjects }) => (subjects ?? []).some((one) => isSubject(one, subject)))
    .flatMap((binding) => rulesOf(documents, binding))
    .some((rule) => covers(rule, asked));
}

function reaches({ kind, metadata }, namespace) {
  return kind === "ClusterRoleBinding" || metadata.namespace === namespace;
}

function isSubject({ kind, name, namespace }, { user, groups }) {
  if (kind === "User") return name === user;
  if (kind === "Group") return groups.includes(name);
  return kind === "ServiceAccount"
    && user === `system:serviceaccount:${namespace}:${name}`;
}

function rulesOf(documents, { roleRef, metadata }) {
  const role = documents.find((one) => one.kind === roleRef.kind
    && one.metadata.name === roleRef.name
    && (one.kind === "ClusterRole" || one.metadata.namespace === metadata.namespace));
  return role?.rules ?? [];
}

function covers(rule, asked) {
  const { group = "", resource, subresource, verb, name } = asked;
  const full = subresource ? `${resource}/${subresource}` : resource;
  return holds(rule.apiGroups, group)
    && (holds(rule.resources, full) || holdsSub(rule.resources, subresource))
    && holds(rule.verbs, verb)
    && (!rule.resourceNames?.length || rule.resourceNames.includes(name));
}

function holds(list = [], value) {
  return list.includes("*") || list.includes(value);
}

function holdsSub(resources = [], subresource) {
  return Boolean(subresource) && resources.includes(`*/${subresource}`);
}

/** Whether labels meet a selector such as `a=b`, `a==b`, `a!=b`, `a`, `!a`. */
export function selects(selector, labels = {}) {
  const parts = (selector ?? "").split(",").map((part) => part.trim()).filter(Boolean);
  return parts.every((part) => {
    const [, key, sign, value] = /^(!?[^=!]+)(?:(!=|==?)(.*))?$/.exec(part) ?? [];
    if (!key) return false;
    if (key.startsWith("!")) return !(key.slice(1) in labels);
    if (!sign) return key in labels;
    return sign === "!=" ? labels[key] !== value : labels[key] === value;
  });
}
