"""What looks for weaknesses must go red for one, and when it could look at nothing."""

from __future__ import annotations

import ast
import os
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PLACES = ("snippets", "verify", "noxfile.py")
EXEMPT = re.compile(r"# nosec(?! B\d{3} # \S+ \S+)(?! B\d{3}$)")


def constant(name: str):
    """Return a constant of the front door."""
    for node in ast.parse((ROOT / "noxfile.py").read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == name:
            return ast.literal_eval(node.value)
    raise LookupError(name)


def tool(*words: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Run a program of the tools environment as lint does."""
    python = os.environ.get("HANDBOOK_TOOLS_PYTHON")
    if not python:
        pytest.skip("HANDBOOK_TOOLS_PYTHON is not set: no bandit, no pip-audit")
    return subprocess.run(
        [python, *words],
        cwd=ROOT,
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        timeout=900,
    )


ALL = ["--configfile", "pyproject.toml"]
SECRETS = list(constant("ONLY_NO_SHELL"))


@pytest.mark.parametrize(
    ("settings", "code", "found"),
    [
        (ALL, "import subprocess\nsubprocess.run(name, shell=True)", "B602"),
        (ALL, "import pickle\npickle.load(file)", "B301"),
        (ALL, "requests.get(address, verify=False, timeout=9)", "B501"),
        (SECRETS, "password = 'correct horse'", "B105"),
        (SECRETS, "import random\nstate = random.random()", "B311"),
        (SECRETS, "assert token", "B101"),
        (SECRETS, "server.bind(('0.0.0.0', 1))", "B104"),
    ],
)
def test_code_that_lets_others_in_makes_lint_red(tmp_path, settings, code, found):
    (tmp_path / "weak.py").write_text(code + "\n", encoding="utf-8")
    done = tool(*constant("BANDIT"), *settings, str(tmp_path))
    assert done.returncode == 1
    assert f"[{found}:" in done.stdout


def test_the_code_that_handles_secrets_is_where_lint_looks_for_it():
    """Bandit passes a path that does not exist."""
    places = constant("SECRET_CODE")
    assert [place for place in places if not (ROOT / place).exists()] == []


def test_every_exemption_says_which_check_and_why():
    wrong = [
        f"{file.relative_to(ROOT)}: {line.strip()}"
        for place in PLACES
        for file in [ROOT / place, *(ROOT / place).rglob("*.py")]
        if file.suffix == ".py"
        for line in file.read_text(encoding="utf-8").splitlines()
        if EXEMPT.search(line)
    ]
    assert wrong == []
    assert EXEMPT.search("x = eval(y)  # nosec")
    assert EXEMPT.search("x = eval(y)  # nosec B307 # why")


def test_an_audit_that_reaches_nobody_is_red():
    lock = str(ROOT / ".ci" / "locks" / "trainer.txt")
    nowhere = {"HTTPS_PROXY": "http://127.0.0.1:9", "NO_PROXY": ""}
    options = [*constant("AUDIT"), "--timeout", "5"]
    done = tool("-m", "pip_audit", *options, "-r", lock, **nowhere)
    assert done.returncode != 0
    assert "No known vulnerabilities" not in done.stdout + done.stderr
