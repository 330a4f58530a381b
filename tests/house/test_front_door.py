"""The front door must open on a machine that has nothing but Python."""

import ast
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NOXFILE = ROOT / "noxfile.py"


@pytest.fixture
def checkout(tmp_path):
    """Return a folder with the front door and nothing else: no environment yet."""
    shutil.copy(NOXFILE, tmp_path)
    shutil.copytree(ROOT / ".ci", tmp_path / ".ci")
    return tmp_path


def front_door(checkout: Path, *arguments: str, python=sys.executable, **env: str):
    return subprocess.run(
        [str(python), str(checkout / "noxfile.py"), *arguments],
        cwd=checkout.parent,
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=900,
    )


def sessions() -> list[ast.FunctionDef]:
    body = ast.parse(NOXFILE.read_text(encoding="utf-8")).body
    functions = [node for node in body if isinstance(node, ast.FunctionDef)]
    return [f for f in functions if "job" in map(ast.unparse, f.decorator_list)]


@pytest.mark.skipif(
    importlib.util.find_spec("nox") is not None,
    reason="this environment has nox, so the front door has nothing to install",
)
def test_the_front_door_installs_nox_where_there_is_none(checkout):
    done = front_door(checkout, "-l")
    assert done.returncode == 0, done.stderr
    assert "making .nox/front" in done.stdout
    for session in sessions():
        assert re.search(rf"^[*-] {session.name} -> \S", done.stdout, re.MULTILINE)
    again = front_door(checkout, "-l")
    assert again.returncode == 0 and "making" not in again.stdout


def test_every_session_says_what_it_is_for():
    found = {session.name: ast.get_docstring(session) for session in sessions()}
    assert {"test", "book", "bench", "lint", "lock", "serve"} <= set(found)
    assert [name for name, text in found.items() if not text] == []


def test_an_old_python_is_told_in_one_sentence(checkout):
    """The version is faked: no Python older than 3.11 is installed everywhere."""
    code = (
        "import sys, runpy; sys.version_info = (3, 8, 10, 'final', 0);"
        "runpy.run_path(sys.argv[1], run_name='__main__')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(checkout / "noxfile.py")],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert done.stderr.startswith(
        "The handbook needs Python 3.11 or newer, this is 3.8"
    )
    assert "Traceback" not in done.stderr
    assert not (checkout / ".nox").exists()


def test_an_install_that_fails_is_reported_and_never_reused(checkout):
    lock = checkout / ".ci" / "locks" / "front.txt"
    lock.write_text("no-such-package-of-the-handbook==1.0\n")
    for _ in range(2):
        done = front_door(checkout, "-l", PIP_NO_INDEX="1", PIP_FIND_LINKS="")
        assert done.returncode == 1
        assert "making .nox/front" in done.stdout
        assert "no-such-package-of-the-handbook" in done.stderr
        assert "it starts anew" in done.stderr
    assert not (checkout / ".nox" / "front" / "made-from").exists()


def test_environments_are_made_anew_when_a_lock_changes(front, monkeypatch):
    monkeypatch.setattr(front, "make_venv", fake_venv)
    installed = []
    monkeypatch.setattr(front, "pip", lambda _, verb, words: installed.append(words))
    first = front.environment("notebooks")
    assert front.environment("notebooks") == first
    assert installed == list(front.ENVIRONMENTS["notebooks"])

    lock = front.LOCKS / "notebooks.txt"
    lock.write_text(lock.read_text() + "# changed\n")
    front.environment("notebooks")
    assert len(installed) == 2 * len(front.ENVIRONMENTS["notebooks"])


def test_the_sandbox_sees_the_notebooks_packages_and_changes_with_them(
    front, monkeypatch
):
    def packages(python):
        (folder := Path(python).parents[1] / "lib").mkdir(exist_ok=True)
        return folder

    monkeypatch.setattr(front, "make_venv", fake_venv)
    monkeypatch.setattr(front, "pip", lambda *_: None)
    monkeypatch.setattr(front, "site_packages", packages)
    below = Path(front.environment("notebooks")).parents[1]
    path = Path(front.environment("sandbox")).parents[1] / "lib" / "on-top-of.pth"
    assert path.read_text() == f"{below / 'lib'}\n"

    before = front.digest("sandbox")
    lock = front.LOCKS / "notebooks.txt"
    lock.write_text(lock.read_text() + "# changed\n")
    assert front.digest("sandbox") != before


@pytest.mark.parametrize(
    "printed, lacks",
    [
        ("v20.19.0", ""),
        ("v22.1.0", ""),
        ("v18.20.4", "Node.js v18.20.4 is too old: install 20 or newer."),
        (None, "node and npm are missing: install Node.js 20 or newer."),
    ],
)
def test_what_is_missing_of_node_is_said(front, monkeypatch, tmp_path, printed, lacks):
    for name in ("node", "npm") if printed else ():
        (program := tmp_path / name).write_text(f"#!/bin/sh\necho {printed}\n")
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}")
    assert front.lacks_node() == lacks


def test_without_node_the_sandbox_is_left_out_and_said(front, monkeypatch, capsys):
    monkeypatch.setenv("PATH", "")
    assert front.sandbox_parts(None) == {}
    assert "what needs the sandbox is skipped: node and npm" in capsys.readouterr().out


@pytest.mark.parametrize(
    "line, needs",
    [
        ("        needs: [sandbox]", True),
        ("        needs: [cuda, sandbox]", True),
        ("        needs: [cuda]  # no sandbox", False),
        ("    title: A sandbox", False),
    ],
)
def test_only_a_profile_that_needs_the_sandbox_makes_it(front, line, needs):
    assert bool(front.NEEDS_SANDBOX.search(line)) == needs


def test_an_install_that_was_killed_is_done_again(front, monkeypatch):
    monkeypatch.setattr(front, "make_venv", fake_venv)

    def killed(python, verb, words):
        raise KeyboardInterrupt

    monkeypatch.setattr(front, "pip", killed)
    with pytest.raises(KeyboardInterrupt):
        front.environment("book")
    done = []
    monkeypatch.setattr(front, "pip", lambda _, verb, words: done.append(words))
    front.environment("book")
    assert done == list(front.ENVIRONMENTS["book"])


def fake_venv(home: Path) -> None:
    """Stand in for the seconds that a real venv takes."""
    (home / "bin").mkdir(parents=True)
    (home / "bin" / "python").touch()


@pytest.fixture
def front(checkout, monkeypatch):
    """Import the front door of a fresh checkout, with a stand-in for nox."""
    return stand_in_for_nox(checkout, monkeypatch)


def stand_in_for_nox(checkout, monkeypatch):
    """Import a checkout's front door as if nox were there."""
    import types

    nox = types.ModuleType("nox")
    nox.main, nox.options = lambda: None, types.SimpleNamespace()
    nox.session = lambda **_: lambda function: function
    nox.Session = object
    monkeypatch.setitem(sys.modules, "nox", nox)
    spec = importlib.util.spec_from_file_location("front", checkout / "noxfile.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def door(tmp_path_factory):
    """Return a checkout whose kernel environment is a stand-in: this test's."""
    home = tmp_path_factory.mktemp("door")
    for name in ("noxfile.py", "verify", "snippets", ".ci"):
        source = ROOT / name
        if source.is_dir():
            ignore = shutil.ignore_patterns("__pycache__", "fixtures")
            shutil.copytree(source, home / name, ignore=ignore)
        else:
            shutil.copy(source, home)
    kernel = home / ".nox" / "env" / "notebooks"
    (kernel / "bin").mkdir(parents=True)
    python = kernel / "bin" / "python"
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n', encoding="utf-8")
    python.chmod(0o755)
    with pytest.MonkeyPatch.context() as patch:
        made_from = stand_in_for_nox(home, patch).digest("notebooks")
    (kernel / "made-from").write_text(made_from, encoding="utf-8")
    return home


def give(door: Path, source: str, **entry) -> None:
    """Give a checkout one notebook with one cell."""
    cell = {"cell_type": "code", "id": "a", "metadata": {}, "source": source}
    cell |= {"outputs": [], "execution_count": None}
    notebook = {"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    plain = {"title": "One", "time_limit": 60, "profiles": {"cpu": {}}, "expect": {}}
    (door / "notebooks").mkdir(exist_ok=True)
    (door / "notebooks" / "one.ipynb").write_text(json.dumps(notebook))
    catalog = {"notebooks": {"one": plain | entry}}
    (door / "notebooks" / "catalog.yml").write_text(json.dumps(catalog))


def test_the_exit_code_of_a_kernel_reaches_the_shell(door):
    give(door, "import os; os._exit(3)")
    done = front_door(door, "-s", "run")
    assert done.returncode != 0
    said = done.stdout + done.stderr
    assert "one crashed: cell 1 (code cell 1) `import os; os._exit(3)`" in said
    assert "the kernel died, exit code 3" in said
    shell = f'set -e; "{sys.executable}" "{door / "noxfile.py"}" -s run; echo green'
    done = subprocess.run(["bash", "-c", shell], capture_output=True, text=True)
    assert done.returncode != 0
    assert "green" not in done.stdout
    give(door, "x = 1")
    done = subprocess.run(["bash", "-c", shell], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("green\n")


def test_a_skip_is_no_failure_of_a_session_and_an_expired_one_is(door):
    skip = {"probe": {"cores_below": 10**6}, "reason": "too small", "owner": "us"}
    tomorrow = datetime.now(UTC).date() + timedelta(days=1)
    for expires, code in ((f"{tomorrow}", 0), ("2020-01-01", 1)):
        declared = {"cpu": {"skip": {**skip, "expires": expires}}}
        give(door, "x = 1", profiles=declared)
        done = front_door(door, "-s", "run")
        assert done.returncode == code
    assert "its skip expired on 2020-01-01" in done.stdout + done.stderr


def test_two_commands_do_not_build_one_book_at_once(door):
    import fcntl

    (door / "_build").mkdir(exist_ok=True)
    with (door / "_build" / "book.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = front_door(door, "-s", "book")
    assert done.returncode != 0
    assert "Another command builds this book right now" in done.stdout + done.stderr


@pytest.mark.parametrize("red", ["lint", "test", "book"])
def test_ci_stops_red_at_the_first_job_that_fails(tmp_path, red):
    """A stand-in for Python plays the jobs: one of them fails."""
    (tmp_path / ".ci").mkdir()
    shutil.copy(ROOT / ".ci" / "run", tmp_path / ".ci")
    jobs = f'#!/bin/sh\necho "job $3"\n[ "$3" != {red} ] || exit 1\n'
    for name, text in (("python3", jobs), ("chromium", "#!/bin/sh\n")):
        (tmp_path / name).write_text(text, encoding="utf-8")
        (tmp_path / name).chmod(0o755)
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", str(tmp_path / ".ci" / "run")],
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert done.stdout.splitlines()[-1] == f"job {red}"


def test_ci_runs_style_then_tests_then_the_book():
    text = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert "set -euo pipefail" in text
    assert text.splitlines()[-5:] == [
        "install_browser",
        "python3 noxfile.py -s lint",
        "python3 noxfile.py -s test",
        "python3 noxfile.py -s book",
        "python3 noxfile.py -s bundle",
    ]
    assert os.access(ROOT / ".ci" / "run", os.X_OK)


def test_every_session_that_a_workflow_names_exists():
    names = {session.name for session in sessions()}
    files = [
        *ROOT.glob(".github/workflows/*.yml"),
        *ROOT.glob("*.md"),
        *ROOT.glob("docs/**/*.md"),
        ROOT / ".ci/run",
    ]
    for file in files:
        text = file.read_text(encoding="utf-8")
        used = set(re.findall(r"noxfile\.py -s (\w+)", text))
        assert used <= names, f"{file.name} names {used - names}"
