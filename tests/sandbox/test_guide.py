"""A reader with only the guide and the sandbox gets to a run that belongs to them.

The blocks of three pages are pasted in order: shell into bash, Python into one
interpreter that is started from that shell, in an empty home, in a fresh workbench.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import requests
import yaml

from snippets.mlflow_auth import oidc
from snippets.mlflow_auth.settings import Settings
from verify.blocks import pages
from verify.blocks.found import Block
from verify.standalone import wheels

ROOT = Path(__file__).resolve().parents[2]
SDK, LONG, REGISTRY = "mlflow-sdk", "mlflow-long-jobs", "mlflow-registry"
SITE = "https://handbook.example.com"
# What the page tells its reader to replace, and the sandbox's setting for it. The
# rest is pasted as it stands: account, client and workspace are the sandbox's own.
EXAMPLES = {
    "https://platform.example.com/clusters/global/mlflow": "MLFLOW_TRACKING_URI",
    "https://platform.example.com/dex": "MLFLOW_SSO_ISSUER",
    "https://platform.example.com/oauth2/callback": "MLFLOW_SSO_REDIRECT_URI",
    "/etc/platform/ca.pem": "MLFLOW_SSO_CA_BUNDLE",
}
# Runs one pasted block after the other, as a kernel does. What they print goes to a
# file, so that nothing of it is taken for an answer.
INTERPRETER = """
import json, os, sys, traceback
blocks, answers = os.fdopen(os.dup(0)), os.fdopen(os.dup(1), "w")
os.dup2(os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_APPEND), 1)
os.dup2(1, 2)
names = {"__name__": "__main__"}
for line in blocks:
    said = ""
    try:
        exec(compile(json.loads(line), "<block>", "exec"), names)
    except BaseException:
        said = traceback.format_exc()
    sys.stdout.flush()
    print(json.dumps(said), file=answers, flush=True)
"""


class Stopped(AssertionError):
    """A block of the page did not work for the reader."""


class Reader:
    """Pastes blocks into a shell, and into one Python that was started from it.

    Parameters
    ----------
    home
        An empty folder: the reader's home, and where the reader stands.
    environment
        What the workbench has set, before the page tells of anything.
    typed
        What the reader types where a block asks, line by line.
    """

    def __init__(self, home: Path, environment: Mapping[str, str], typed: str) -> None:
        self.home, self.environment, self.typed = home, dict(environment), typed
        self.output = home.parent / "printed"
        self.output.touch()
        self._python: subprocess.Popen[str] | None = None

    def paste(self, block: Block) -> str:
        """Run a block; return what it printed, or raise with its place."""
        run = self._shell if block.language == "bash" else self._interpreter
        printed, problem = run(block.code)
        if problem:
            raise Stopped(f"{block.place}: {problem.strip()}\n{printed}")
        return printed

    def ask(self, code: str) -> str:
        """Return what an expression is, or what a text of several lines prints."""
        code = code if "\n" in code else f"print({code})"
        printed, problem = self._interpreter(code)
        assert not problem, problem
        return printed.strip()

    def read(self, page: str, environment: Mapping[str, str]) -> str:
        """Paste a whole page, with the reader's own values in it."""
        return "".join(self.paste(own(b, environment)) for b in blocks(page))

    def close(self) -> None:
        """End the interpreter, as one who leaves does."""
        if self._python is not None:
            self._python.communicate(timeout=30)

    def _shell(self, code: str) -> tuple[str, str]:
        """Give a block to bash, and keep the variables that it leaves behind."""
        left = self.home.parent / "left"
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", f"{code}\nenv -0 > {left}"],
            cwd=self.home,
            env=self.environment,
            input=self.typed,
            capture_output=True,
            text=True,
            timeout=60,
        )
        printed = done.stdout + done.stderr
        if done.returncode:
            return printed, f"exit {done.returncode}"
        pairs = (pair.partition("=") for pair in left.read_text().split("\0") if pair)
        self.environment = {name: value for name, _, value in pairs}
        return printed, ""

    def _interpreter(self, code: str) -> tuple[str, str]:
        """Give a block to the interpreter, which the first block starts."""
        self._python = self._python or subprocess.Popen(
            ["python", "-c", INTERPRETER, str(self.output)],
            cwd=self.home,
            env=self.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        begun = self.output.stat().st_size
        print(json.dumps(code), file=self._python.stdin, flush=True)
        answer = self._python.stdout.readline()
        with self.output.open("rb") as file:
            file.seek(begun)
            printed = file.read().decode()
        return printed, json.loads(answer) if answer else "the interpreter has died"


def blocks(page: str) -> list[Block]:
    """Return what a reader of a guide pastes, in order; no cluster is at hand."""
    [part] = pages.parts(ROOT / "docs" / "how-to" / f"{page}.mdx", ROOT)
    found = [b for b in pages.blocks(part) if b.language in ("bash", "python")]
    return [block for block in found if not block.code.startswith("kubectl ")]


def own(block: Block, environment: Mapping[str, str]) -> Block:
    """Put the reader's own values where the page has examples."""
    code = block.code
    for example, value in environment.items():
        code = re.sub(rf"{re.escape(example)}(?![\w/.])", lambda _, v=value: v, code)
    return replace(block, code=code)


def broken(block: Block, right: str, wrong: str) -> Block:
    """Return a block with a mistake in it."""
    assert right in block.code, f"{right!r} is not in {block.place}"
    return replace(block, code=block.code.replace(right, wrong))


def workbench(folder: Path) -> dict[str, str]:
    """Make an environment that has what MLflow needs, and nothing of this handbook."""
    make = [sys.executable, "-m", "venv", "--without-pip", str(folder)]
    subprocess.run(make, check=True)
    site = folder / "lib" / f"python{sysconfig.get_python_version()}" / "site-packages"
    (site / "notebooks.pth").write_text(sysconfig.get_path("purelib") + "\n")
    pip = folder / "bin" / "pip"
    pip.write_text(f'#!/bin/sh\nexec {folder}/bin/python -m pip "$@"\n')
    pip.chmod(0o755)
    home = folder.parent / "home"
    home.mkdir()
    path = os.pathsep.join([str(folder / "bin"), "/usr/bin", "/bin"])
    return {
        "PATH": path,
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "OMP_NUM_THREADS": "1",
        "PIP_NO_INDEX": "1",  # what the page installs must need no index
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    }


@dataclass(frozen=True)
class Followed:
    """What came of pasting both pages."""

    printed: dict[str, str]
    run: str


@pytest.fixture(scope="module")
def values(sandbox, tmp_path_factory) -> dict[str, str]:
    """Return the reader's own values: those of the sandbox, and where the site is."""
    site = tmp_path_factory.mktemp("site")
    wheels.snippets(ROOT, site / "downloads" / "wheels")
    ours = sandbox.environment("alice")
    return {e: ours[name] for e, name in EXAMPLES.items()} | {SITE: str(site)}


@pytest.fixture(scope="module")
def reader(sandbox, tmp_path_factory) -> Iterator[Reader]:
    """Return a reader in an empty home, who knows a password and a client secret."""
    secrets = (sandbox.secret("alice.password"), sandbox.secret("client.secret"))
    typed = "".join(f"{secret}\n" for secret in secrets)
    folder = tmp_path_factory.mktemp("reader")
    someone = Reader(folder / "home", workbench(folder / "workbench"), typed)
    yield someone
    someone.close()


@pytest.fixture(scope="module")
def followed(reader, values) -> Followed:
    """Return what each page printed, after the reader has pasted all of it."""
    printed = {SDK: reader.read(SDK, values)}
    run = reader.ask("run.info.run_id")
    printed |= {page: reader.read(page, values) for page in (LONG, REGISTRY)}
    return Followed(printed, run)


def client(address: str, token: str, **verified: str) -> Callable[..., dict]:
    """Return a call of MLflow's REST API in team-a, without the SDK and its plugins."""
    web = requests.Session()
    web.trust_env = False
    web.headers["Authorization"] = f"Bearer {token}"
    web.headers["X-MLFLOW-WORKSPACE"] = "team-a"

    def call(method: str, path: str, **body: str) -> dict:
        url, given = f"{address}/api/2.0/mlflow/{path}", {"timeout": 30, **verified}
        told = {"params": body} if method == "GET" else {"json": body}
        answer = web.request(method, url, allow_redirects=False, **told, **given)
        answer.raise_for_status()
        return answer.json()

    return call


def test_a_reader_of_the_guide_owns_the_run_that_it_leads_to(sandbox, reader, followed):
    email = sandbox.users["alice"]["email"]
    assert f"server's record: {email}\n" in followed.printed[SDK]
    assert f"what the UI shows: {email}\n" in followed.printed[SDK]
    kept = reader.home / ".config" / "mlflow-sso" / "token.json"
    trusted = {"verify": str(sandbox.ca)}
    mine = client(sandbox.mlflow, json.loads(kept.read_text())["id_token"], **trusted)
    found = mine("GET", "runs/get", run_id=followed.run)["run"]["info"]
    assert (found["user_id"], found["status"]) == (email, "FINISHED")
    bob = oidc.login(Settings.from_environment(sandbox.environment("bob")))
    other = client(sandbox.mlflow, bob.id_token.reveal(), **trusted)
    with pytest.raises(requests.HTTPError, match="403"):
        other("GET", "runs/get", run_id=followed.run)
    assert oct(kept.stat().st_mode & 0o777) == "0o600"


def test_nothing_that_the_reader_sees_holds_a_secret(sandbox, reader, followed):
    kept = json.loads((reader.home / ".config/mlflow-sso/token.json").read_text())
    secrets = [sandbox.secret("alice.password"), sandbox.secret("client.secret")]
    secrets += [kept["id_token"], kept["refresh_token"]]
    said = "".join(followed.printed.values())
    assert [s for s in secrets if str(s) in said] == [] and len(said) > 500


def test_a_block_that_asks_takes_no_line_of_itself_for_an_answer(tmp_path):
    """A shell that reads commands and answers from one input is an older terminal."""
    [asking] = [block for block in blocks(SDK) if "read -rsp" in block.code]
    told = {"env": {"HOME": str(tmp_path), "PATH": os.defpath}, "text": True}

    def password(code: str) -> str:
        typed = f"{code.rstrip()}\na password\na client secret\n"
        subprocess.run(["bash"], input=typed, capture_output=True, timeout=30, **told)
        return (tmp_path / ".config" / "mlflow-sso" / "password").read_text("utf-8")

    assert password(asking.code) == "a password"
    loose = re.sub(r"(?m)^[{}]$", "", asking.code)
    assert password(loose).startswith("read -rsp")  # a canary: without the braces


def test_a_reader_of_the_page_on_long_jobs_counts_the_steps_of_the_run(followed):
    said = followed.printed[LONG]
    assert "\nFINISHED 40 steps, alice@example.com\n" in said
    assert "\nsent 0 recorded calls\n" in said


def test_a_reader_of_the_registry_page_moves_an_alias_and_back(followed):
    said = followed.printed[REGISTRY]
    for line in (
        "ticket-format 1 READY",
        "['adapter_config.json']",
        "ticket-format version 1, from run ",
        "champion is version 1",
        "{'champion': '1'}",
        "1 alice@example.com",
    ):
        assert f"\n{line}" in f"\n{said}", said


# What the registry page states and does not show, asked in the reader's interpreter.
STATED = """
import json, warnings

def said(call):
    try:
        return str(call())
    except Exception as error:
        return str(error)

def said_of(stage):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        client.transition_model_version_stage("ticket-format", "1", stage)
    return " ".join(str(warning.message) for warning in caught)

def aliases_of(name):
    return [v.aliases for v in client.search_model_versions(f"name = '{name}'")]

run_id = first.run_id
client.set_registered_model_alias("ticket-format", "gone", "1")
place = f"runs:/{run_id}/adapter"
version = client.create_model_version("ticket-format", place, run_id)
client.set_registered_model_alias("ticket-format", "gone", version.version)
found = {
    "plain folder": said(lambda: mlflow.register_model(place, "p")),
    "left behind": said(lambda: client.get_registered_model("p").latest_versions),
    "reserved": said(lambda: client.set_registered_model_alias("p", "latest", "1")),
    "number": said(lambda: client.set_registered_model_alias("p", "v1", "1")),
    "stage": said_of("Staging"),
    "owner": said(lambda: repr(client.get_model_version("ticket-format", "1").user_id)),
    "searched": said(lambda: aliases_of("ticket-format")),
    "taken": said(lambda: client.create_registered_model("ticket-format")),
    "deleted": said(lambda: client.delete_model_version(*version_of(version))),
    "alias": said(lambda: client.get_model_version_by_alias("ticket-format", "gone")),
    "run": said(lambda: client.delete_run(run_id)),
    "back": said(lambda: client.restore_run(run_id)),
    "state": client.get_run(run_id).info.lifecycle_stage,
}
client.delete_registered_model("p")
print(json.dumps(found))
""".replace("*version_of(version)", '"ticket-format", version.version')


def test_the_registry_does_what_its_page_states(reader, followed):
    found = json.loads(reader.ask(STATED).splitlines()[-1])
    for name, text in {
        "plain folder": "Unable to find a logged_model with artifact_path adapter",
        "left behind": "[]",
        "reserved": "'latest' alias name (case insensitive) is reserved",
        "number": "alias name 'v1' is reserved",
        "stage": "deprecated since 2.9.0",
        "taken": "RESOURCE_ALREADY_EXISTS",
        "alias": "Registered model alias gone not found",
        "state": "active",
    }.items():
        assert text in found[name], (name, found[name])
    assert found["owner"] in ("None", "''"), found["owner"]
    assert set(found["searched"]) <= set("[], ")


def plain(text: str, examples: Mapping[str, str], home: Path) -> str:
    """Write a table of the doctor with the page's examples in it, in one line."""
    for example, value in examples.items():
        text = text.replace(value, example)
    text = text.replace(str(home), "~")
    text = re.sub(r"(?m)^DNS .*$", "DNS", re.sub(r"\d+ s left", "some s left", text))
    return " ".join(text.split())


def test_the_doctor_prints_the_table_of_the_page(reader, values, followed):
    [part] = pages.parts(ROOT / "docs" / "how-to" / f"{SDK}.mdx", ROOT)
    [table] = [b.code for b in pages.blocks(part) if b.language == "text"]
    assert table.startswith("settings   ok ")
    shown = plain(table, {}, reader.home)
    assert plain(followed.printed[SDK], values, reader.home).endswith(shown)
    assert shown.count(" ok ") >= 12  # a canary: an empty table would end anything


# What a reader sees who names another workspace, or none.
ELSEWHERE = """
import os

def seen(workspace):
    mlflow.set_workspace(workspace)
    return mlflow.get_experiment_by_name("first-steps").name

here = os.environ["MLFLOW_WORKSPACE"]
found = {name: said(lambda: seen(name)) for name in ("team-b", "nope", "Team_A", here)}
print(json.dumps(found))
"""
WORKSPACE_SAYS = {
    "team-b": "may not do this in the workspace",
    "nope": "there is no workspace",
    "Team_A": "must match the pattern",
}


def test_another_workspace_says_what_the_page_says(reader, followed):
    reader.ask(STATED.partition("def said_of")[0])
    found = json.loads(reader.ask(ELSEWHERE).splitlines()[-1])
    assert found.pop("team-a") == "first-steps"
    for workspace, text in WORKSPACE_SAYS.items():
        assert text in found[workspace], (workspace, found[workspace])
    page = (ROOT / "docs" / "how-to" / f"{SDK}.mdx").read_text(encoding="utf-8")
    assert all(f"| `{text}` |" in page for text in WORKSPACE_SAYS.values())


# A script that has the settings and the wheel, and no line of this handbook.
STOCK = """
python - <<'SCRIPT'
import mlflow

mlflow.set_experiment("stock")
with mlflow.start_run() as run:
    mlflow.log_metric("loss", 1.5)
found = mlflow.get_run(run.info.run_id)
print(found.info.user_id, found.data.tags["mlflow.user"])
SCRIPT
"""


def test_a_script_without_a_line_of_ours_has_the_same_owner(reader, followed):
    block = replace(blocks(SDK)[0], language="bash", code=STOCK)
    assert "alice@example.com alice@example.com\n" in reader.paste(block)


def test_inside_the_cluster_only_address_and_certificate_differ(
    sandbox, reader, followed
):
    environment = reader.environment | {"MLFLOW_TRACKING_URI": sandbox.mlflow_service}
    del environment["MLFLOW_TRACKING_SERVER_CERT_PATH"]
    inside = Reader(reader.home, environment, "")
    block = replace(blocks(SDK)[0], language="bash", code=STOCK)
    assert "alice@example.com alice@example.com\n" in inside.paste(block)


def test_the_job_sets_what_the_shell_sets_with_files_of_its_own():
    [part] = pages.parts(ROOT / "docs" / "how-to" / f"{LONG}.mdx", ROOT)
    [job] = [yaml.safe_load(b.code) for b in pages.blocks(part) if b.language == "yaml"]
    [container] = job["spec"]["template"]["spec"]["containers"]
    told = {one["name"]: one["value"] for one in container["env"]}
    shell = "".join(b.code for b in blocks(SDK) if b.language == "bash")
    said = dict(re.findall(r"^export (MLFLOW_\w+)=(\S+)$", shell, re.MULTILINE))
    del said["MLFLOW_TRACKING_SERVER_CERT_PATH"]  # in the cluster there is no TLS
    assert set(told) - set(said) == {"MLFLOW_SSO_TOKEN_FILE"} and set(said) <= set(told)
    mounted = tuple(f"{one['mountPath']}/" for one in container["volumeMounts"])
    paths = {name: value for name, value in told.items() if value.startswith("/")}
    assert all(path.startswith(mounted) for path in paths.values()), paths
    same = {name: value for name, value in said.items() if name not in paths}
    assert same.pop("MLFLOW_TRACKING_URI") != told["MLFLOW_TRACKING_URI"]
    assert same == {name: told[name] for name in same}


def test_a_wrong_setting_stops_the_reader_where_the_page_signs_in(reader, values):
    shell = [own(block, values) for block in blocks(SDK) if block.language == "bash"]
    login = next(block for block in shell if "mlflow_auth login" in block.code)
    settings = next(block for block in shell if "MLFLOW_SSO_ISSUER" in block.code)
    right = "PASSWORD_FILE=~/.config/mlflow-sso/password"
    other = Reader(reader.home, reader.environment, "")
    other.paste(broken(settings, right, f"{right}-of-nobody"))
    with pytest.raises(
        Stopped, match=r"mlflow-sdk\.mdx:\d+: exit \d+\n(.|\n)*of-nobody"
    ):
        other.paste(login)


def test_a_wrong_block_stops_the_reader_with_its_place(reader, followed):
    [owner] = [block for block in blocks(SDK) if "user_id" in block.code]
    reader.paste(owner)
    for right, wrong, error in (
        (" == me", ' == "mallory@example.com"', "AssertionError"),
        ("mlflow.get_run", "mlflow.get_the_run", "AttributeError"),
    ):
        with pytest.raises(Stopped, match=rf"mlflow-sdk\.mdx:\d+: (.|\n)*{error}"):
            reader.paste(broken(owner, right, wrong))
    with pytest.raises(AssertionError, match="is not in docs/how-to/mlflow-sdk.mdx"):
        broken(owner, "no such text", "")


# A job of team-a that signs in as a service account, beside the sandbox's own rules.
JOB = """
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: a-job, namespace: team-a}
subjects: [{kind: ServiceAccount, name: mlflow, namespace: mlflow}]
roleRef: {kind: Role, name: mlflow-user, apiGroup: rbac.authorization.k8s.io}
"""


def test_a_token_without_the_claim_owns_a_run_as_whoever_it_says(sandbox):
    rules = sorted((ROOT / "verify" / "sandbox" / "rbac").glob("*.yaml"))
    text = "\n---\n".join([*(path.read_text() for path in rules), JOB])
    sandbox.control("rbac", yaml=text)
    token = sandbox.secret("service-account.token")
    web = client(sandbox.mlflow_container, token)
    experiment = web("POST", "experiments/create", name="a-job")
    run = web("POST", "runs/create", **experiment, user_id="mallory")["run"]
    assert run["info"]["user_id"] == "mallory"


# Everything but `delete`: what the table of permissions says that this still allows.
ROLE = """
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: mlflow-user, namespace: team-a}
rules:
  - apiGroups: [mlflow.kubeflow.org]
    resources: [experiments, registeredmodels]
    verbs: [get, list, create, update]
"""


def test_who_may_log_may_delete_runs_and_versions_but_no_experiment_or_model(sandbox):
    rules = ROOT / "verify" / "sandbox" / "rbac"
    role, binding = (rules / "team-a.yaml").read_text().split("---\n")
    spaces = (rules / "namespaces.yaml").read_text()
    sandbox.control("rbac", yaml="\n---\n".join([spaces, ROLE, binding]))
    ours = Settings.from_environment(sandbox.environment("alice"))
    web = client(sandbox.mlflow_service, oidc.login(ours).id_token.reveal())
    experiment = web("POST", "experiments/create", name="no-delete")
    run = web("POST", "runs/create", **experiment)["run"]["info"]["run_id"]
    web("POST", "registered-models/create", name="no-delete")
    named = {"name": "no-delete", "source": f"runs:/{run}/adapter", "run_id": run}
    web("POST", "model-versions/create", **named)
    web("DELETE", "model-versions/delete", name="no-delete", version="1")
    web("POST", "runs/delete", run_id=run)
    for method, path, body in (
        ("POST", "experiments/delete", experiment),
        ("DELETE", "registered-models/delete", {"name": "no-delete"}),
    ):
        with pytest.raises(requests.HTTPError, match="403"):
            web(method, path, **body)


def test_the_review_on_the_page_answers_what_the_page_says(sandbox):
    [part] = pages.parts(ROOT / "docs" / "how-to" / "mlflow-authentication.mdx", ROOT)
    code = [b.code for b in pages.blocks(part) if "SubjectAccessReview" in b.code]
    [review] = [yaml.safe_load(one) for one in code if "resourceAttributes" in one]
    token = sandbox.secret("service-account.token")
    asked = f"{sandbox.kubernetes}/apis/authorization.k8s.io/v1/subjectaccessreviews"
    for user, allowed in (("alice@example.com", True), ("bob@example.com", False)):
        review["spec"]["user"] = user
        headers = {"Authorization": f"Bearer {token}"}
        answer = requests.post(asked, json=review, headers=headers, timeout=30)
        assert answer.json()["status"]["allowed"] is allowed
