"""The workflows may do what they need and no more, and run what you run at home."""

import ast
import os
import platform
import re
import subprocess
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / ".github" / "workflows"
FILES = sorted(FOLDER.glob("*.yml"))
TEXTS = {file.stem: file.read_text(encoding="utf-8") for file in FILES}

PINNED = re.compile(r"uses: [\w.-]+/[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+")
FRONT_DOOR = re.compile(r"python3 noxfile\.py -s |bash \.ci/run")
ONLY = {"contents": "read"}
REPORT = {"contents": "read", "actions": "read", "issues": "write"}


def read(text: str) -> dict:
    """Parse a workflow; YAML takes the word `on` for true."""
    found = yaml.safe_load(text)
    found["on"] = found.pop(True)
    return found


def steps(workflow: dict) -> list[dict]:
    return [step for job in workflow["jobs"].values() for step in job["steps"]]


def commands(workflow: dict) -> str:
    return "\n".join(step["run"] for step in steps(workflow) if "run" in step)


def findings(text: str) -> list[str]:
    """Say in one sentence each what a workflow does that it may not do."""
    workflow = read(text)
    used = [line.strip(" -") for line in text.splitlines() if "uses:" in line]
    bad = [f"not pinned by commit: {u}" for u in used if not PINNED.fullmatch(u)]
    if workflow.get("permissions") != {}:
        bad.append("the workflow has permissions: give them to the job that needs them")
    for name, job in workflow["jobs"].items():
        if job.get("permissions") != (REPORT if name == "report" else ONLY):
            bad.append(f"{name}: its permissions are {job.get('permissions')}")
        if not 0 < job.get("timeout-minutes", 0) <= 240:
            bad.append(f"{name}: it has no time limit of its own")
        if str(job["runs-on"]).endswith("-latest"):
            bad.append(f"{name}: it runs on whatever is the latest")
    for step in steps(workflow):
        checkout = step.get("uses", "").startswith("actions/checkout@")
        if checkout and step.get("with", {}).get("persist-credentials") is not False:
            bad.append("a checkout leaves its credentials behind")
    inserted = re.findall(r"\${{.*", commands(workflow))
    bad += [f"text becomes code: {text}" for text in inserted]
    if not FRONT_DOOR.search(commands(workflow)):
        bad.append("nothing goes through the front door")
    if workflow["on"].keys() & {"pull_request_target", "workflow_run", "issue_comment"}:
        bad.append("a stranger can start it with the rights of the project")
    if "pull_request" in workflow["on"] and "self-hosted" in text:
        bad.append("a stranger's code would run on our own machine")
    return bad


def sessions() -> set[str]:
    body = ast.parse((ROOT / "noxfile.py").read_text(encoding="utf-8")).body
    functions = [node for node in body if isinstance(node, ast.FunctionDef)]
    return {f.name for f in functions if "job" in map(ast.unparse, f.decorator_list)}


def linters() -> list[list[str]]:
    """Return the commands of `nox -s lint`, as the noxfile has them."""
    body = ast.parse((ROOT / "noxfile.py").read_text(encoding="utf-8")).body
    values = [
        node.value
        for node in body
        if isinstance(node, ast.Assign)
        and ast.unparse(node.targets[0]) == "WORKFLOW_LINTERS"
    ]
    return [list(command) for command in ast.literal_eval(values[0])]


def test_there_are_four_workflows():
    assert set(TEXTS) == {"docs", "gpu", "mdx", "nightly"}


@pytest.mark.parametrize("name", TEXTS)
def test_a_workflow_keeps_the_rules(name):
    assert findings(TEXTS[name]) == []


@pytest.mark.parametrize("name", TEXTS)
def test_a_workflow_says_that_github_has_not_run_it(name):
    assert "# Not yet run on GitHub" in TEXTS[name]


COMMIT = re.search(r"checkout@([0-9a-f]{40})", TEXTS["docs"]).group(1)


BROKEN = {
    "tag": (f"@{COMMIT} # v7.0.1", "@v7", "not pinned by commit: uses: actions/check"),
    "version": (f"{COMMIT} # v7.0.1", COMMIT, "not pinned by commit: uses: actions/"),
    "rights of all": ("permissions: {}", "permissions: read-all", "has permissions"),
    "rights of one": ("contents: read ", "contents: write ", "docs: its permissions"),
    "no limit": ("timeout-minutes: 90", "timeout-minutes: 900", "docs: it has no time"),
    "latest": ("ubuntu-24.04", "ubuntu-latest", "whatever is the latest"),
    "token": ("persist-credentials: false", "lfs: false", "leaves its credentials"),
    "injection": (".ci/run", ".ci/run ${{ github.ref }}", "text becomes code: ${{ g"),
    "back door": ("bash .ci/run", "pytest", "nothing goes through the front door"),
    "target": ("pull_request:", "pull_request_target:", "a stranger can start it"),
    "own machine": ("ubuntu-24.04", "[self-hosted, gpu]", "on our own machine"),
}


@pytest.mark.parametrize(("old", "new", "message"), BROKEN.values(), ids=BROKEN)
def test_a_workflow_that_breaks_a_rule_is_told_which(old, new, message):
    assert old in TEXTS["docs"]
    found = findings(TEXTS["docs"].replace(old, new))
    assert len(found) == 1 and message in found[0]


def test_one_action_has_one_version_in_all_workflows():
    pins = re.findall(r"uses: ([\w-]+/[\w-]+)\S*@(\S+ # \S+)", "".join(TEXTS.values()))
    versions: dict[str, set[str]] = {}
    for action, version in pins:
        versions.setdefault(action, set()).add(version)
    assert versions and {a: v for a, v in versions.items() if len(v) > 1} == {}


@pytest.mark.parametrize("name", TEXTS)
def test_every_session_a_workflow_runs_exists(name):
    named = re.findall(r"noxfile\.py -s (\w+)", commands(read(TEXTS[name])))
    assert set(named) <= sessions()


def test_docs_runs_on_every_change_what_ci_runs():
    docs = read(TEXTS["docs"])
    assert docs["on"] == {"push": {"branches": ["main"]}, "pull_request": None}
    assert commands(docs) == "bash .ci/run"


def test_the_history_of_main_survives_between_runs():
    caches = [s for s in steps(read(TEXTS["docs"])) if "/cache/" in s.get("uses", "")]
    restore, save = caches
    assert "/cache/restore@" in restore["uses"] and "/cache/save@" in save["uses"]
    assert restore["with"]["path"] == save["with"]["path"] == "_build/history"
    assert restore["with"]["key"] == save["with"]["key"]
    assert save["with"]["key"].startswith(restore["with"]["restore-keys"])
    assert "github.run_id" in save["with"]["key"], "a used key is never saved again"
    assert "refs/heads/main" in save["if"] and "!cancelled()" in save["if"]


def test_gpu_runs_weekly_and_on_demand_on_a_runner_with_the_label():
    gpu = read(TEXTS["gpu"])
    assert set(gpu["on"]) == {"schedule", "workflow_dispatch"}
    labels = gpu["jobs"]["gpu"]["runs-on"]
    known = yaml.safe_load((ROOT / ".github" / "actionlint.yaml").read_text())
    assert "gpu" in labels and "gpu" in known["self-hosted-runner"]["labels"]
    assert "noxfile.py -s gpu" in commands(gpu)
    upload = steps(gpu)[-1]
    assert {"_build/receipts", "_build/executed"} <= set(upload["with"]["path"].split())
    assert gpu["concurrency"]["group"] == "gpu"


def test_nightly_tries_oldest_locked_and_newest_each_night():
    nightly = read(TEXTS["nightly"])
    assert set(nightly["on"]) == {"schedule", "workflow_dispatch"}
    strategy = nightly["jobs"]["versions"]["strategy"]
    assert strategy["fail-fast"] is False
    kinds = [row["kind"] for row in strategy["matrix"]["include"]]
    assert kinds == ["oldest", "locked", "newest"]
    ran = commands({"jobs": {"versions": nightly["jobs"]["versions"]}})
    wanted = ['-s lock -- "--$KIND"', "-s test", '-s "$JOB"']
    assert [line for line in wanted if line not in ran] == []
    [job] = [s["env"]["JOB"] for s in steps(nightly) if "JOB" in s.get("env", {})]
    assert job == "${{ matrix.kind == 'oldest' && 'run' || 'book' }}"


def test_the_report_waits_for_every_job_and_names_every_kind():
    jobs = read(TEXTS["nightly"])["jobs"]
    report = jobs.pop("report")
    assert set(report["needs"]) == set(jobs)
    kinds = [row["kind"] for row in jobs["versions"]["strategy"]["matrix"]["include"]]
    names = [*kinds, *(job["name"] for key, job in jobs.items() if key != "versions")]
    assert jobs["versions"]["name"] == "${{ matrix.kind }}"
    command = report["steps"][-1]["run"].split()
    assert command == ["python3", ".ci/report.py", *names]
    assert "!cancelled()" in report["if"], "a report only of green nights is no report"


@pytest.fixture
def lint(tmp_path):
    """Return a function that runs lint's own commands on one workflow's text."""
    python = os.environ.get("HANDBOOK_TOOLS_PYTHON")
    if not python:
        pytest.skip("HANDBOOK_TOOLS_PYTHON is not set: no actionlint, no zizmor")
    folder = tmp_path / ".github" / "workflows"
    folder.mkdir(parents=True)
    (tmp_path / ".git").mkdir()  # actionlint looks for the repository's root
    path = os.pathsep.join([str(Path(python).parent), os.environ["PATH"]])

    def run(text: str) -> dict[str, subprocess.CompletedProcess]:
        (folder / "docs.yml").write_text(text, encoding="utf-8")
        env = {**os.environ, "PATH": path}
        return {
            command[0]: subprocess.run(
                command, cwd=tmp_path, env=env, capture_output=True, text=True
            )
            for command in linters()
        }

    return run


def test_lint_passes_a_workflow_as_it_is(lint):
    done = lint(TEXTS["docs"])
    assert {name: (d.returncode, d.stdout) for name, d in done.items()} == {
        "actionlint": (0, ""),
        "zizmor": (0, done["zizmor"].stdout),
    }


TITLE = "run: echo ${{ github.event.pull_request.title }}"
RED = {
    "tag": (f"@{COMMIT} # v7.0.1", "@v7", "zizmor", "unpinned-uses"),
    "injection": ("run: bash .ci/run", TITLE, "zizmor", "template-injection"),
    "untrusted": ("run: bash .ci/run", TITLE, "actionlint", "potentially untrusted"),
    "token": ("persist-credentials: false", "lfs: false", "zizmor", "artipacked"),
    "rights": ("permissions: {}", "permissions: write-all", "zizmor", "excessive-perm"),
    "typo": ("timeout-minutes", "timeout-minute", "actionlint", "unexpected key"),
    "label": ("ubuntu-24.04", "ubuntu-24.40", "actionlint", "is unknown"),
    "syntax": ("'refs/heads/main' }}", "'refs/heads/main' }", "actionlint", "lexing"),
    "shell": ("run: bash .ci/run", "run: bash $HOME/run", "actionlint", "SC2086"),
}


@pytest.mark.parametrize(("old", "new", "linter", "message"), RED.values(), ids=RED)
def test_lint_goes_red_for_a_workflow_that_is_broken(lint, old, new, linter, message):
    assert old in TEXTS["docs"]
    if message.startswith("SC") and platform.machine() == "aarch64":
        pytest.skip("shellcheck has no wheel for this machine")
    done = lint(TEXTS["docs"].replace(old, new))[linter]
    assert done.returncode != 0
    assert message in done.stdout + done.stderr
