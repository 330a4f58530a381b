"""The Kubernetes RBAC API (double) evaluates rules as RBAC's documentation says."""

from __future__ import annotations

import time

import psutil
import pytest
import requests
import yaml

from tests.sandbox import attacker
from verify.sandbox import Sandbox, parts, ports, processes

GROUP = "mlflow.kubeflow.org"
REVIEWS = "/apis/authorization.k8s.io/v1"
WHO = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
WORKSPACE = {"mlflow.kubeflow.org/workspace": "true"}
SECONDS = 20  # the plugin waits before it watches again


@pytest.fixture(scope="module")
def alice(sandbox: Sandbox) -> dict[str, str]:
    token = attacker.tokens(sandbox, "alice")["id_token"]
    return {"Authorization": f"Bearer {token}"}


def role(rule: dict, kind: str = "Role", namespace: str = "team-a") -> dict:
    whole = {"apiGroups": [GROUP], "resources": ["experiments"], "verbs": ["get"]}
    metadata = {"name": "some", "namespace": namespace}
    return {"kind": kind, "metadata": metadata, "rules": [{**whole, **rule}]}


def binding(
    subject: dict,
    kind: str = "RoleBinding",
    to: str = "Role",
    namespace: str = "team-a",
) -> dict:
    return {
        "kind": kind,
        "metadata": {"name": "some", "namespace": namespace},
        "subjects": [subject],
        "roleRef": {"kind": to, "name": "some"},
    }


ALICE = {"kind": "User", "name": "alice@example.com"}
GET = {"group": GROUP, "resource": "experiments", "verb": "get"}
HERE = {**GET, "namespace": "team-a"}
THERE = {**GET, "namespace": "team-b"}
CLUSTER = [role({}, "ClusterRole"), binding(ALICE, "ClusterRoleBinding", "ClusterRole")]
LOCAL = [role({}, "ClusterRole"), binding(ALICE, to="ClusterRole")]


def given(subject: dict | None = None, **rule: list[str]) -> list[dict]:
    return [role(rule), binding(subject or ALICE)]


CASES = {
    "a role, here": (given(), HERE, True),
    "a role, elsewhere": (given(), THERE, False),
    "no binding": ([role({})], HERE, False),
    "no role": ([binding(ALICE)], HERE, False),
    "another verb": (given(), {**HERE, "verb": "delete"}, False),
    "another resource": (given(), {**HERE, "resource": "datasets"}, False),
    "another group": (given(), {**HERE, "group": ""}, False),
    "all verbs": (given(verbs=["*"]), {**HERE, "verb": "delete"}, True),
    "all groups": (given(apiGroups=["*"]), {**HERE, "group": "x"}, True),
    "all resources": (given(resources=["*"]), {**HERE, "resource": "x"}, True),
    "another user": (given({"kind": "User", "name": "bob@example.com"}), HERE, False),
    "a group": (given({"kind": "Group", "name": "team-a"}), HERE, True),
    "a group of all": (
        given({"kind": "Group", "name": "system:authenticated"}),
        HERE,
        True,
    ),
    "another group of users": (given({"kind": "Group", "name": "team-b"}), HERE, False),
    "a user named like the group": (given({"kind": "User", "name": "team-a"}), HERE, 0),
    "a service account": (given({"kind": "ServiceAccount", "name": "alice"}), HERE, 0),
    "a named object": (given(resourceNames=["mine"]), {**HERE, "name": "mine"}, True),
    "another object": (given(resourceNames=["mine"]), {**HERE, "name": "x"}, False),
    "any object": (given(resourceNames=["mine"]), HERE, False),
    "a subresource": (
        given(resources=["experiments/use"]),
        {**HERE, "subresource": "use"},
        True,
    ),
    "a subresource of a rule without it": (
        given(),
        {**HERE, "subresource": "use"},
        False,
    ),
    "any resource's subresource": (
        given(resources=["*/use"]),
        {**HERE, "subresource": "use"},
        True,
    ),
    "a role of the cluster, here": (LOCAL, HERE, True),
    "a role of the cluster, elsewhere": (LOCAL, THERE, False),
    "a binding of the cluster": (CLUSTER, THERE, True),
}


def replace_rules(sandbox: Sandbox, documents: list[dict]) -> None:
    sandbox.control("rbac", yaml=yaml.safe_dump_all(documents))


def review(sandbox: Sandbox, headers: dict, asked: dict) -> bool:
    """Ask as MLflow's plugin does."""
    answer = requests.post(
        f"{sandbox.kubernetes}{REVIEWS}/selfsubjectaccessreviews",
        json={"spec": {"resourceAttributes": asked}},
        headers=headers,
        timeout=SECONDS,
    )
    assert answer.status_code == 201
    return answer.json()["status"]["allowed"]


@pytest.mark.parametrize("case", CASES)
def test_rules_allow_what_they_name_and_nothing_else(case, sandbox, alice):
    documents, asked, allowed = CASES[case]
    replace_rules(sandbox, documents)
    assert review(sandbox, alice, asked) is bool(allowed)


def test_the_server_may_ask_for_somebody_else(sandbox, alice):
    own = {"Authorization": f"Bearer {sandbox.secret('service-account.token')}"}
    spec = {"user": "bob@example.com", "resourceAttributes": THERE}
    url = f"{sandbox.kubernetes}{REVIEWS}/subjectaccessreviews"
    answer = requests.post(url, json={"spec": spec}, headers=own, timeout=SECONDS)
    assert answer.json()["status"] == {"allowed": True}
    answer = requests.post(url, json={"spec": spec}, headers=alice, timeout=SECONDS)
    assert answer.status_code == 403


def test_the_api_says_who_one_is(sandbox, alice):
    answer = requests.post(
        f"{sandbox.kubernetes}{WHO}", json={}, headers=alice, timeout=SECONDS
    )
    info = answer.json()["status"]["userInfo"]
    assert info["username"] == "alice@example.com"
    assert info["groups"] == ["team-a", "system:authenticated"]


@pytest.mark.parametrize("text", ["kind: Pod", "- 1", "kind: Role", "a: [", "a: 'b"])
def test_rules_that_are_none_are_refused_and_change_nothing(text, sandbox, alice):
    with pytest.raises(Exception, match="POST rbac was refused"):
        sandbox.control("rbac", yaml=text)
    assert review(sandbox, alice, HERE)


def test_a_namespace_is_a_workspace_while_it_has_the_label(sandbox, alice):
    """MLflow's plugin watches namespaces: what is new is there without a restart."""
    everything = binding(ALICE, "ClusterRoleBinding", "ClusterRole")
    rules = [role({"resources": ["*"], "verbs": ["*"]}, "ClusterRole"), everything]
    new = {"kind": "Namespace", "metadata": {"name": "team-new", "labels": WORKSPACE}}
    bare = {"kind": "Namespace", "metadata": {"name": "team-new"}}
    for namespaces, there in (([new], True), ([bare], False), ([new], True)):
        replace_rules(sandbox, [*namespaces, *rules])
        assert seen_within_seconds(sandbox, alice, "team-new", there)
    sandbox.control("rbac", "DELETE")
    assert seen_within_seconds(sandbox, alice, "team-new", False)
    sandbox.stop("platform")  # and with it the watch
    sandbox.start("platform")
    replace_rules(sandbox, [new, *rules])
    assert seen_within_seconds(sandbox, alice, "team-new", True)


def seen_within_seconds(
    sandbox: Sandbox, headers: dict, name: str, there: bool
) -> bool:
    """Say whether a workspace appears, or disappears, before the time is over."""
    url = f"{sandbox.mlflow_container}/api/2.0/mlflow/experiments/search?max_results=1"
    workspace = {"X-MLFLOW-WORKSPACE": name}
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        answer = requests.get(url, headers={**headers, **workspace}, timeout=SECONDS)
        missing = answer.json().get("error_code") == "RESOURCE_DOES_NOT_EXIST"
        if missing is not there:
            return True
        time.sleep(0.05)
    return False


def test_who_reaches_a_server_that_believes_headers_is_whoever_it_says(sandbox):
    """Why the container's port must be closed: the mode `subject_access_review`."""
    port = ports.choose(["other"])["other"]
    mode = {"MLFLOW_K8S_AUTH_AUTHORIZATION_MODE": "subject_access_review"}
    settings = {**parts.mlflow_settings(sandbox.folder), **mode}
    server = processes.spawn(
        sandbox.folder, "other", parts.mlflow(port), settings, tied=sandbox.tied
    )
    try:
        place = f"http://127.0.0.1:{port}"
        assert comes_up(f"{place}/health"), "the second server did not start"
        made = f"{place}/api/2.0/mlflow/experiments/create"
        team = {"X-MLFLOW-WORKSPACE": "team-a"}
        answers = [
            requests.post(
                made,
                json={"name": f"by-header-{who}"},
                headers={**team, "X-Remote-User": who},
                timeout=SECONDS,
            ).status_code
            for who in ("alice@example.com", "bob@example.com")
        ]
        assert answers == [200, 403]  # no credential was sent at all
    finally:
        processes.end([psutil.Process(server.pid)])


def comes_up(url: str) -> bool:
    deadline = time.monotonic() + 3 * SECONDS
    while time.monotonic() < deadline:
        try:
            if requests.get(url, timeout=SECONDS).ok:
                return True
        except requests.RequestException:
            time.sleep(0.2)
    return False
