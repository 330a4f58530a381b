"""Every broken block is caught, by its check, at its line, with what to write."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from verify.blocks.found import ToolError
from verify.blocks.table import CHECKS

TRAIN_JOB = """apiVersion: trainer.kubeflow.org/v1alpha1
kind: TrainJob
metadata:
  name: job
spec:
  runtimeRef:
    name: torch
"""
RUNTIME = """apiVersion: trainer.kubeflow.org/v1alpha1
kind: ClusterTrainingRuntime
metadata:
  name: torch
spec:
  mlPolicy:
    numNodes: 1
    torch:
      numProcPerNode: auto
  template:
    spec:
      replicatedJobs: []
"""
DEPLOYMENT = """apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
spec:
  template:
    metadata:
      labels: {app: web}
    spec:
      containers:
        - name: web
          image: web:1
"""


def page(language, *code, mark="```"):
    return "\n".join(["# T", "", f"{mark}{language}", *code, mark, ""])


# fence and code -> line, words of the message, check
BROKEN = {
    "untagged": ("", ["x"], 3, "names no language", "fence"),
    "unknown": ("dockerfile", ["FROM x"], 3, "write text, or give", "fence"),
    "misspelt": ("yml", ["a: 1"], 3, "'yml'; write yaml", "fence"),
    "syntax": ("python", ["x = 1", "y = ("], 5, "never closed", "python-syntax"),
    "kubectl": ("python", ["kubectl get pods"], 4, "a bash block", "python-syntax"),
    "magic": ("python", ["%pip install x"], 4, "a bash block", "python-syntax"),
    "session": ("python", [">>> x = (", "1"], 4, "does not compile", "python-syntax"),
    "name": (
        "python",
        ["from snippets.greet import hallo"],
        4,
        "snippets.greet has no hallo; write hello",
        "python-names",
    ),
    "module": (
        "python",
        ["from snippets.great import x"],
        4,
        "snippets has no great; write greet",
        "python-names",
    ),
    "attribute": (
        "python",
        ["from snippets import greet", "greet.helo('x')"],
        5,
        "has no helo; write hello",
        "python-names",
    ),
    "keyword": (
        "python",
        ["from snippets.greet import hello", "hello('x', loudly=True)"],
        5,
        "hello() takes no argument 'loudly'; write loud",
        "python-names",
    ),
    "positions": (
        "python",
        ["from snippets import greet", "greet.hello('x', True)"],
        5,
        "takes 1 arguments by position, not 2",
        "python-names",
    ),
    "required": (
        "python",
        ["from snippets.greet import Door", "Door(open=True)"],
        5,
        "Door() needs width; write width=...",
        "python-names",
    ),
    "run": ("python run", ["x = 1", "1 / 0"], 5, "ZeroDivisionError", "python-run"),
    "exits": ("python run", ["raise SystemExit(0)"], 4, "SystemExit", "python-run"),
    "dies": ("python run", ["import os; os._exit(3)"], 4, "ended with 3", "python-run"),
    "differs": (
        "python run",
        [">>> 1 + 1", "3"],
        4,
        "the session differs",
        "python-run",
    ),
    "run-bash": ("bash run", ["ls"], 3, "only python blocks are run", "fence"),
    "yaml": ("yaml", ["a: 1", "b: ]"], 5, "is no YAML", "yaml"),
    "yaml-twice": ("yaml", ["a: 1", "b: 2", "a: 3"], 6, "'a' is given twice", "yaml"),
    "yaml-dots": ("yaml", ["a:", "  ..."], 5, "a value here, not an omission", "yaml"),
    "yaml-command": (
        "yaml",
        ["kubectl apply -f - <<EOF", "a: 1", "b: {", "EOF"],
        0,
        "tag a command with its here-document bash",
        "yaml",
    ),
    "json": ("json", ["{", '"a": 1,', "}"], 0, "is no JSON", "json"),
    "json-dots": ("json", ['{"a": ...}'], 4, "leave the ... out", "json"),
    "json-lines": ("json", ['{"a": 1}', '{"a": 2}'], 5, "tag it jsonl", "json"),
    "json-twice": ("json", ['{"a": 1,', '"a": 2}'], 5, "'a' is given twice", "json"),
    "json-nan": ("json", ['{"a": NaN}'], 4, "'NaN' is no number", "json"),
    "jsonl": ("jsonl", ['{"a": 1}', "{"], 5, "is no JSON", "json"),
    "toml": ("toml", ["a = 1", "a ="], 5, "is no TOML", "toml"),
    "ini": ("ini", ["[a]", "b = 1", "[a]"], 6, "is no INI", "ini"),
    "no-reason": ('bash exempt="placeholder"', ["ls"], 3, "gives no reason", "fence"),
    "no-quotes": ("bash exempt=placeholder", ["ls"], 3, "has no quotes", "fence"),
    "no-check": ('text exempt="spelling: x"', ["x"], 3, "names no check", "exemption"),
    "unneeded": (
        'json exempt="json: it was broken"',
        ["{}"],
        3,
        "nothing here needs the exemption",
        "exemption",
    ),
}
SHELL = {
    "placeholder": (
        "bash",
        ["kubectl get pods -n <your-namespace>"],
        4,
        "<your-namespace> outside quotes is a redirection when pasted; write "
        '"$YOUR_NAMESPACE" or YOUR_NAMESPACE',
        "placeholder",
    ),
    "prompt": ("bash", ["ls", "$ ls"], 5, "tag the fence console", "prompt"),
    "no-prompt": ("console", ["total 0"], 3, "this one has none", "prompt"),
    "bash": ("bash", ["if true", "ls"], 0, "bash cannot read it", "bash-syntax"),
    "console": ("console", ["$ ls |", "x"], 0, "bash cannot read it", "bash-syntax"),
    "shellcheck": ("sh", ["[[ a = b ]] && ls"], 4, "SC3010", "shellcheck"),
    "session": (
        "bash",
        ["ls", "python3 noxfile.py -s bok"],
        5,
        "no session 'bok'; choose one of: book",
        "command",
    ),
    "module": ("bash", ["python -m verify.nothing"], 4, "no module verify", "command"),
    "inline": (
        "bash",
        ['python -c "from snippets.greet import x"'],
        4,
        "snippets.greet has no x",
        "python-names",
    ),
}
OBJECTS = {
    "core": (
        "yaml",
        DEPLOYMENT.splitlines(),
        8,
        "Deployment web does not fit Kubernetes 1.37.0: spec: 'selector' is a required",
        "kubernetes",
    ),
    "unknown-field": (
        "json",
        ['{"apiVersion": "v1", "kind": "ConfigMap",', ' "dat": {}}'],
        4,
        "'dat' was unexpected",
        "kubernetes",
    ),
    "trainer": (
        "yaml",
        [*TRAIN_JOB.splitlines(), "  nodes: 2"],
        11,
        "TrainJob job does not fit Trainer 2.1.0: spec.nodes is not known",
        "kubernetes",
    ),
    "here-document": (
        "bash",
        ["kubectl apply -f - <<EOF", *TRAIN_JOB.splitlines(), "  nodes: 2", "EOF"],
        12,
        "spec.nodes is not known",
        "kubernetes",
    ),
}


def assert_said(said, line, words, check):
    hits = [one for one in said if words in one and one.endswith(f"[{check}]")]
    assert hits, said
    if line:
        assert hits[0].startswith(f"page.md:{line}: "), hits


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_block_is_caught_at_its_line(small, name, monkeypatch):
    language, code, line, words, check = BROKEN[name]
    if language.startswith("bash"):
        monkeypatch.setattr("verify.blocks.languages.shell._shellcheck", no_findings)
    assert_said(small.said(page(language, *code)), line, words, check)


@pytest.mark.parametrize("name", SHELL)
def test_a_broken_command_is_caught_at_its_line(small, tools, name):
    language, code, line, words, check = SHELL[name]
    assert_said(small.said(page(language, *code)), line, words, check)


@pytest.mark.parametrize("name", OBJECTS)
def test_a_broken_object_is_caught_at_its_line(small, tools, name):
    language, code, line, words, check = OBJECTS[name]
    assert_said(small.said(page(language, *code)), line, words, check)


def test_every_check_has_a_canary():
    told = {row[4] for row in [*BROKEN.values(), *SHELL.values(), *OBJECTS.values()]}
    assert told == {*CHECKS, "fence", "exemption"}


def no_findings(*_):
    """Stand in for shellcheck where a test is about something else."""
    return []


def test_a_problem_says_what_and_what_instead(small):
    assert small.said(page("", "x")) == [
        "page.md:3: the fence names no language; write one after it, or text [fence]"
    ]


def test_a_problem_in_a_notebook_names_cell_and_line(small):
    file = small.notebook("a.ipynb", "# T", page("json", "{"))
    assert "a.ipynb:cell 2:4: is no JSON" in str(small.check(file).problems[0])


def test_a_fence_that_is_never_closed_is_caught(small):
    said = small.said("# T\n\n```text\nx\n\nmore\n")
    assert said == [
        "page.md:3: the fence is never closed; close it with the same marks [fence]"
    ]


def test_indented_code_is_caught(small):
    assert "page.md:3: indented text renders as code" in small.said("a\n\n    ls\n")[0]


def test_a_session_in_prose_must_exist(small):
    said = small.said("Run `python3 noxfile.py -s helper`\nor `nox -s book`.\n")
    assert len(said) == 1 and "page.md:1: there is no session 'helper'" in said[0]


def test_a_block_that_runs_too_long_is_caught(small):
    text = page("python run", "x = 1") + page("python run", "while True: pass")
    said = small.said(text, time_limit=2)
    assert "page.md:9: stopped when it ran" in said[0] and "more than 2 s" in said[0]


def test_a_missing_shellcheck_is_an_error_and_no_pass(small):
    with pytest.raises(ToolError, match="shellcheck is missing: .*nowhere"):
        small.said(page("bash", "ls"), tools="/nowhere/python")


def test_a_missing_schema_is_an_error_and_no_pass(small):
    text = page("yaml", *TRAIN_JOB.splitlines())
    with pytest.raises(ToolError, match="cannot judge Kubernetes objects"):
        small.said(text, tools=sys.executable)


def test_what_holds_on_the_platform_and_not_in_the_newest_is_an_upgrade_note(
    small, tools
):
    file = small.write("page.md", page("yaml", *RUNTIME.splitlines()))
    result = small.check(file)
    assert result.problems == []
    [note] = result.objects.upgrades
    assert (str(note.place), note.old) == ("page.md:4", "2.1.0")
    assert note.new > note.old
    assert note.fields == ("spec.mlPolicy.torch.numProcPerNode is not known",)


def test_an_object_of_an_unknown_kind_is_listed_as_not_checked(small, tools):
    code = ["apiVersion: a.example/v1", "kind: Thing", "spec: {x: 1}"]
    result = small.check(small.write("page.md", page("yaml", *code)))
    assert result.problems == []
    kinds = [kind for _, kind in result.objects.unchecked]
    assert kinds == ["a.example/v1 Thing"]


def test_an_exemption_is_counted_with_its_reason(small, monkeypatch):
    monkeypatch.setattr("verify.blocks.languages.shell._shellcheck", no_findings)
    text = page('bash exempt="placeholder: the page is about it"', "ls <x>")
    result = small.check(small.write("page.mdx", text))
    assert result.problems == []
    [one] = result.exempt
    assert (str(one.place), one.check) == ("page.mdx:3", "placeholder")
    assert one.reason == "the page is about it"


def test_an_exemption_covers_its_own_check_only(small):
    text = page('json exempt="yaml: no"', "{")
    checks = [s.rsplit("[")[-1] for s in small.said(text)]
    assert sorted(checks) == ["exemption]", "json]"]


GOLDEN = Path(__file__).parent / "golden"


@pytest.mark.parametrize("name", ["right.md", "right.mdx"])
def test_a_page_that_is_all_right_passes(small, tools, name):
    file = small.write(name, (GOLDEN / name).read_text(encoding="utf-8"))
    result = small.check(file)
    assert [str(problem) for problem in result.problems] == []
    assert {block.language for block in result.blocks} >= {"bash", "console", "yaml"}
    assert sum(block.run for block in result.blocks) == 3
    assert len(result.exempt) == 1
    assert replace(result.objects, upgrades=[]).checked == 3
